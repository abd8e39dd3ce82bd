"""A policy examined before it is used: every mistake, then what could never happen or is hardly meant."""

from collections.abc import Iterator, Sequence

from serving.policy.examine.contradictions import contradictions
from serving.policy.examine.dead_ends import Dead, dead_ends
from serving.policy.examine.findings import LEVELS, Finding, Level, Said, Setting, said
from serving.policy.examine.odd_scenarios import odd_scenarios
from serving.policy.rules import Policy, Pool
from serving.policy.text.mistake_words import in_japanese
from serving.policy.text.mistakes import Looked, look
from serving.words import LANGUAGES, Language

SEVERITY: tuple[Level, ...] = ("mistake", "warning")
# What is said of a policy as a whole depends on every block: it is left unsaid where some could not be read.
OF_THE_WHOLE = ("offer_unused", "offer_in_dead", "offer_dead", "channel_unused", "never_wins")


def check(content: bytes, setting: Setting) -> list[Finding]:
    """Read a policy's text to its end and say all there is to say of it, by line.

    Nothing but the text and ``setting`` decides: no home is read, nothing is sent.
    """
    looked = look(content)
    found = [Finding("mistake", m.line, m.path, "not_read", (in_japanese(str(m)), str(m))) for m in looked.mistakes]
    if looked.policy is not None:
        found += [_finding(one, looked) for one in examined(looked.policy, setting) if _is_certain(one, looked)]
    return sorted(found, key=lambda f: (f.line, SEVERITY.index(f.level), f.path, f.code, f.said))


def examined(policy: Policy, setting: Setting) -> list[Dead]:
    """List what a policy says that can never happen, contradicts itself, or changes nothing."""
    found = [*dead_ends(policy, setting), *odd_scenarios(policy), *contradictions(policy, setting)]
    return [*found, *_without_codes(policy, setting)]


NO_CODES: Said = (
    "特典 {offer} のコード表 {pool} がないか空のため、誰にも渡せません",
    "the codes of {offer} ({pool}) are not there or none is in them: nobody can be given one",
)


def _without_codes(policy: Policy, setting: Setting) -> Iterator[Dead]:
    """Offers whose codes stand in a file that is not there, or empty."""
    for name, offer in policy.offers.items():
        if setting.codes is not None and isinstance(offer.code, Pool) and not setting.codes.get(name):
            yield "warning", f"offers.{name}.code", "no_codes", said(NO_CODES, offer=name, pool=offer.code.pool)


def is_refused(found: Sequence[Finding]) -> bool:
    return any(one.level == "mistake" for one in found)


def _finding(one: Dead, looked: Looked) -> Finding:
    level, path, code, words = one
    return Finding(level, looked.line(path), path, code, words)


def _is_certain(one: Dead, looked: Looked) -> bool:
    """Tell whether a finding is about blocks that are read as they are written."""
    _, path, code, _ = one
    if looked.mended and code in OF_THE_WHOLE:
        return False
    steps = tuple(path.split("."))
    return not any(steps[: len(block)] == block or block[: len(steps)] == steps for block in looked.mended)


def report(found: Sequence[Finding], named: str, lang: Language) -> list[str]:
    """Say findings for people, a line each: where, how grave, what."""
    lines = []
    for one in found:
        at = f"{named}:{one.line}" if one.line else named
        lines.append(f"{at}: {LEVELS[one.level][LANGUAGES.index(lang)]}: {one.text(lang)}")
    return lines
