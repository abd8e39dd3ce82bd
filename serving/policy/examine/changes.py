"""What changed in the rules between two policies, a plain line each; another layout of the same rules says nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import BaseModel

from serving.policy.due import ranks, who_of
from serving.policy.examine import spoken
from serving.policy.examine.field_words import BLOCKS, ENTRIES, FIELDS
from serving.policy.examine.findings import Said, named, said
from serving.policy.filter_words import words as filter_words
from serving.policy.rules import Policy, Pool, Scenario
from serving.policy.spans import Hours
from serving.words import INCENTIVES, LANGUAGES, SCENARIOS, Language

CHANGED: Said = ("{subject}: {field}が{old}から{new}に", "{subject}: {field} from {old} to {new}")
ADDED: Said = ("{subject}を追加", "{subject} is new")
GONE: Said = ("{subject}を削除", "{subject} is gone")
SALT: Said = (
    "効果測定: 対照群の割り当てをやり直し(salt の変更)",
    "Control: everybody is drawn anew (another salt)",
)
ORDER: Said = (
    "シナリオ: 同じ優先度の中の順番が{old}から{new}に",
    "Scenarios: their order at equal priority from {old} to {new}",
)
CHANNEL_ORDER: Said = (
    "チャネル: 指定のないシナリオで使う順番が{old}から{new}に",
    "Channels: the order for scenarios that name none from {old} to {new}",
)
CAP: Said = ("{span}あたりの上限", "the cap per {span}")
POOL: Said = ("コード表 {pool}", "codes of {pool}")

SPANS = (
    "no_coupon_before", "first_order_window", "default", "for", "recent_order", "expires", "cooldown", "over",
    "after_ticket_closed", "remind_unused",
)  # fmt: skip
SHARES = (
    "global_share", "scenario_share", "share", "min", "p_order_without", "margin_share", "watch", "high", "critical",
    "margin_floor", "redemption", "max_share_of_order",
)  # fmt: skip
AMOUNTS = ("cost", "value", "min_spend", "min_net_value", "per_month")
CAPS = ("cap", "selling", "coupon")

Steps = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One difference between two policies, in plain words."""

    path: str
    said: Said

    def text(self, lang: Language) -> str:
        return self.said[LANGUAGES.index(lang)]


def changes(old: Policy, new: Policy, currency: str | None = None) -> list[Change]:
    """List what changed, in the order of the policy's blocks; nothing where both decide alike.

    Examples
    --------
    >>> from serving.policy.reading import DEFAULT, parse_policy
    >>> text = DEFAULT.read_text()
    >>> old, new = (parse_policy(t.encode(), "x") for t in (text, text.replace("[-3d, 4d]", "[-10d, 3d]")))
    >>> [change.text("ja") for change in changes(old, new)]
    ['補充のご案内(replenishment): 期間が3日前〜4日後から10日前〜3日後に']
    """
    before, after = dict(_leaves(old, ())), dict(_leaves(new, ()))
    entries = {steps[:2] for steps in before if steps[0] in WHOLE}, {steps[:2] for steps in after if steps[0] in WHOLE}
    found: list[Change] = []
    seen: set[Steps] = set()
    for steps in [*after, *(s for s in before if s not in after)]:
        entry = steps[:2]
        if steps[0] in WHOLE and (entry in entries[0]) != (entry in entries[1]):
            if entry not in seen:
                seen.add(entry)
                there, words = (new, ADDED) if entry in entries[1] else (old, GONE)
                found.append(Change(".".join(entry), said(words, subject=_subject(entry, there))))
        elif before.get(steps) != after.get(steps):
            found.append(_changed(steps, before.get(steps), after.get(steps), (old, new), currency))
    return [*found, *_order(old, new)]


WHOLE = ("offers", "scenarios", "channels", "calendar", "levels")  # blocks of entries that come and go as a whole


def _leaves(value: Any, steps: Steps) -> Iterator[tuple[Steps, Any]]:
    """Walk a policy to the values that people change; entries of a list go by their ids, not by their places."""
    if isinstance(value, BaseModel) and not isinstance(value, Pool):
        for name, field in type(value).model_fields.items():
            inner = getattr(value, name)
            if not (name == "id" and len(steps) == 2):
                yield from _leaves(inner, (*steps, field.alias or name))
        if len(steps) == 2 and steps[0] in WHOLE:
            yield (*steps, "id"), steps[1]  # so that an entry with nothing in it is there too
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        block = steps[-1:]  # levels stand by themselves, wherever their block is
        for key, entry in _by_id(value):
            yield from _leaves(entry, (*block, key))
    elif isinstance(value, Mapping) and steps[-1:] != ("who",):
        for key, inner in value.items():
            yield from _leaves(inner, (*steps, str(key)))
    elif value not in (None, ()):
        yield steps, value


def _by_id(entries: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    """Name each entry of a list by its id or name; of two of one name the later gets a number."""
    seen: dict[str, int] = {}
    for entry in entries:
        name = str(getattr(entry, "id", None) or entry.name)
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), entry


def _changed(steps: Steps, old: Any, new: Any, both: tuple[Policy, Policy], currency: str | None) -> Change:
    path = ".".join(steps)
    if steps == ("control", "salt"):
        return Change(path, SALT)
    ends = [_value(steps, value, policy, currency) for value, policy in zip((old, new), both, strict=True)]
    subject, field = _subject(steps, both[1]), _field(steps)
    if subject == ("", ""):
        plain = tuple(word.removeprefix("{subject}: ") for word in CHANGED)
        return Change(path, said((plain[0], plain[1]), field=field, old=ends[0], new=ends[1]))
    return Change(path, said(CHANGED, subject=subject, field=field, old=ends[0], new=ends[1]))


def _subject(steps: Steps, policy: Policy) -> Said:
    """Name what a path is about."""
    block = steps[0]
    if block == "scenarios":
        return named(policy.scenario(steps[1]))
    if block == "channels":
        return spoken.CHANNELS[steps[1]]
    if block in ENTRIES:
        return said(ENTRIES[block], id=steps[1])
    return BLOCKS.get(block, ("", ""))


def _field(steps: Steps) -> Said:
    """Name the value a path leads to; one without words of its own goes by its key."""
    key, block = steps[-1], steps[-2] if len(steps) > 1 else ""
    if block in CAPS:
        of = FIELDS.get(block, ("", ""))
        cap = said(CAP, span=spoken.span(int(key)))
        return (
            cap
            if block == "cap" and steps[0] == "channels"
            else (f"{of[0]}の{cap[0]}" if of[0] else cap[0], f"{of[1]}: {cap[1]}" if of[1] else cap[1])
        )
    if block == "offers_by_tier":
        return f"会員ランク {key} の特典", f"the offers of tier {key}"
    if block == "by_category":
        return f"{key}で休眠とみなす日数", f"dormant in {key} after"
    if block == "per_offer":
        return f"特典 {key} の予算", f"for the offer {key}"
    return FIELDS.get(f"{block}.{key}") or FIELDS.get(f"{steps[0]}.{key}") or FIELDS.get(key) or (key, key)


def _value(steps: Steps, value: Any, policy: Policy, currency: str | None) -> Said:
    key, block = steps[-1], steps[-2] if len(steps) > 1 else ""
    if steps[0] == "scenarios" and key == "who":
        who = who_of(policy.scenario(steps[1]))
        return f"「{filter_words(who, 'ja')}」", f"'{filter_words(who, 'en')}'"
    match value:
        case None | () | "":
            return spoken.NOTHING
        case bool():
            return spoken.YES_NO[value]
        case Hours():
            return spoken.hours(value)
        case Pool():
            return said(POOL, pool=value.pool)
        case date():
            return value.isoformat(), value.isoformat()
        case str():
            return _word(key, value)
        case tuple() if steps[0] == "scenarios" and key == "window":
            return spoken.window(*value)
        case tuple():
            told = [_word(key, str(entry)) for entry in value]
            return "・".join(word[0] for word in told), ", ".join(word[1] for word in told)
    return _number(steps, key, block, value, currency)


def _number(steps: Steps, key: str, block: str, value: float, currency: str | None) -> Said:
    if key in SPANS or block == "by_category" or steps == ("tiers", "window"):
        return spoken.span(value)
    if key in SHARES:
        return spoken.share(value)
    if key == "percent":
        return spoken.share(value / 100)
    if key in AMOUNTS or block == "per_offer" or steps[0] == "levels" or steps == ("budget", "per_night"):
        return spoken.amount(value, currency)
    return spoken.amount(value, None)


def _word(key: str, word: str) -> Said:
    """Say a word of the policy's vocabulary; a shop's own word stays what it is."""
    known: dict[str, Mapping[str, Said]] = {
        "channels": spoken.CHANNELS, "channel": spoken.CHANNELS, "block": spoken.CHANNELS, "purpose": spoken.PURPOSES,
        "exempt": spoken.PURPOSES, "after": spoken.ANCHORS, "around": spoken.ANCHORS, "before": spoken.ANCHORS,
        "kind": SCENARIOS, "type": INCENTIVES, "offers": {"none": INCENTIVES["none"]},
        "ladder": {"none": INCENTIVES["none"]},
    }  # fmt: skip
    return known.get(key, {}).get(word, (word, word))


def _order(old: Policy, new: Policy) -> Iterator[Change]:
    """Say where the order of the file decides: between scenarios of one rank, and over channels that none names."""
    for one, other in zip(_ties(old), _ties(new), strict=False):
        if one != other and set(one) == set(other):
            yield Change("scenarios", said(ORDER, old=", ".join(one), new=", ".join(other)))
    first, second = (list(policy.channels) for policy in (old, new))
    if first != second and set(first) == set(second) and any(not s.channels for s in new.scenarios):
        told = [[spoken.CHANNELS[c] for c in order] for order in (first, second)]
        ends = [("・".join(w[0] for w in words), ", ".join(w[1] for w in words)) for words in told]
        yield Change("channels", said(CHANNEL_ORDER, old=ends[0], new=ends[1]))


def _ties(policy: Policy) -> list[list[str]]:
    """List the scenarios of each rank, in file order."""
    rank = ranks(policy)
    by_rank: dict[int, list[Scenario]] = {}
    for place, scenario in enumerate(policy.scenarios):
        by_rank.setdefault(int(rank[place]), []).append(scenario)
    return [[scenario.id for scenario in by_rank[key]] for key in sorted(by_rank)]
