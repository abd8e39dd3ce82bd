"""Whether a newly trained release may answer: rules a person can read, and a pure function of what was found.

:mod:`training.trial` measures; here it is only decided.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from features.door.mapping import nearest
from training.evaluation.paired import NAMES
from training.strict import Strict, read_strict

DEFAULT = Path(__file__).with_name("gate.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
Question = Literal["churn", "next-purchase", "second-order", "value", "recommender"]
Outcome = Literal["promoted", "kept_champion"]
# Which rule decided: four promote, four keep the champion.
Kind = Literal["first", "fuller", "better", "refresh", "lighter", "failed_check", "worse", "no_gain"]


class Silence(Strict):
    """How often the risk may fall although only time has passed."""

    days: tuple[Annotated[int, Field(gt=0)], ...]
    fall: Share
    share_at_most: Share


class Checks(Strict):
    """What a release must show whatever the champion does."""

    ece_at_most: Share
    coverage_off_at_most: Share
    silence: Silence
    same_score_at_most: Share
    drift_at_most: Share


class Compared(Strict):
    """Against which methods and by which figures a question is compared."""

    beats: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    never_below: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    wins_by: tuple[str, ...]
    never_worse: tuple[str, ...]

    def figures(self) -> set[str]:
        """Name every figure that is used."""
        against = (figure for rules in (self.beats, self.never_below) for some in rules.values() for figure in some)
        return {*self.wins_by, *self.never_worse, *against}


class Rules(Strict):
    """A whole ``gate.yaml``."""

    resamples: int = Field(ge=10)
    refresh_after_days: int = Field(ge=0)
    checks: Checks
    questions: dict[Question, Compared]

    @model_validator(mode="after")
    def _known_figures(self) -> "Rules":
        for question, compared in self.questions.items():
            for figure in sorted(compared.figures() - set(NAMES[question])):
                raise ValueError(f"questions.{question}: no figure {figure}{nearest(figure, list(NAMES[question]))}")
        return self


def load_rules(path: Path | None = None) -> Rules:
    """Read a ``gate.yaml``; default the one that ships.

    Raises
    ------
    BadInput
        Naming the file, the key and what would be right.
    """
    return read_strict(path or DEFAULT, Rules)


@dataclass(frozen=True)
class Finding:
    """One thing measured. ``gain`` and its interval are above zero where the challenger is better."""

    what: str  # calibration, coverage, silence, same_score, no_number, drift, beats, never_below, champion
    question: str  # or "inputs", which all of them share
    figure: str
    slice: str
    against: str  # a baseline, "champion", or "" for a bound
    value: float | None
    low: float | None
    high: float | None
    n: int
    passed: bool | None  # None: told, but decides nothing
    says: str

    @property
    def is_win(self) -> bool:
        return self.low is not None and self.low > 0


@dataclass(frozen=True)
class Champion:
    """The release that answers now, as far as the decision needs it."""

    id: str
    method: str
    age_days: int  # how much older what it learnt is
    was_rewritten: bool = False  # rows it may have learnt from were erased or rewritten since


@dataclass(frozen=True)
class Verdict:
    """What the gate decided, by which rule, and why in words."""

    outcome: Outcome
    kind: Kind
    reasons: tuple[str, ...]
    champion: str | None
    findings: tuple[Finding, ...]

    @property
    def is_promoted(self) -> bool:
        return self.outcome == "promoted"

    @property
    def failed(self) -> list[Finding]:
        """List the checks that failed."""
        return [finding for finding in self.findings if finding.passed is False]

    @property
    def summary(self) -> str:
        """Say it in one line."""
        n = sum(finding.against != "champion" for finding in self.failed)
        failed = f", {n} failed check{'s' if n > 1 else ''}" if n else ""
        return f"{self.outcome} ({self.kind}{failed})"

    def as_dict(self) -> dict[str, Any]:
        """Give it as ``gate.json`` keeps it."""
        findings = [asdict(finding) for finding in self.findings]
        told = {"verdict": self.outcome, "kind": self.kind, "champion": self.champion, "reasons": list(self.reasons)}
        return {"format_version": 1, **told, "summary": self.summary, "findings": findings}


LADDER = ("rule", "prior", "light", "full")  # each needs more of the shop than the one before


def decide(
    rules: Rules,
    champion: Champion | None,
    method: str,
    why_light: str,
    findings: Sequence[Finding],
    not_compared: Sequence[str] = (),
) -> Verdict:
    """Promote a challenger, or keep the champion, and say why.

    Parameters
    ----------
    method, why_light
        The challenger's rung of the ladder, and what the shop lacks for a fuller one.
    findings
        Of :func:`training.trial.checks` and, where there is a champion, :func:`training.trial.against`.
    not_compared
        Why some questions could not be compared with the champion.
    """
    found = tuple(findings)
    failed = [f.says for f in found if f.passed is False and f.against != "champion"]
    if champion is None:
        loud = [f"FAILED CHECK: {says}" for says in failed]
        why = "there is no champion yet, or none that is whole: without this release nothing would answer"
        return Verdict("promoted", "first", (why, *loud), None, found)

    def kept(kind: Kind, *reasons: str) -> Verdict:
        return Verdict("kept_champion", kind, reasons, champion.id, found)

    if LADDER.index(method) < LADDER.index(champion.method):
        return kept("lighter", f"a lighter rung ({method}) does not replace a {champion.method} champion: {why_light}")
    worse = [f.says for f in found if f.against == "champion" and f.passed is False]
    if failed or worse:
        told = [f"failed check: {says}" for says in failed]
        told += [f"significantly worse than the champion: {says}" for says in worse]
        return kept("failed_check" if failed else "worse", *told)
    gained = _won_or_due(rules, champion, method, found, not_compared)
    return gained or kept("no_gain", _nothing_gained(rules, champion, found), *not_compared)


def _won_or_due(
    rules: Rules, champion: Champion, method: str, found: tuple[Finding, ...], not_compared: Sequence[str]
) -> Verdict | None:
    """Promote what is nowhere worse: for a fuller rung, a significant gain, or the champion's age."""
    wins = [f.says for f in found if f.against == "champion" and f.is_win and f.slice == "all" and _wins(rules, f)]
    if LADDER.index(method) > LADDER.index(champion.method):
        why = f"the shop has grown enough for the {method} models"
        return Verdict("promoted", "fuller", (why, *not_compared), champion.id, found)
    if wins:
        reasons = (*(f"significantly better: {win}" for win in wins), *not_compared)
        return Verdict("promoted", "better", reasons, champion.id, found)
    due = f"the champion's data is {champion.age_days} days older (more than {rules.refresh_after_days})"
    if champion.was_rewritten:
        due = "rows that the champion may have learnt from were erased or rewritten since"
    if champion.was_rewritten or champion.age_days > rules.refresh_after_days:
        why = f"{due}, and nothing is significantly worse"
        return Verdict("promoted", "refresh", (why, *not_compared), champion.id, found)
    return None


def _wins(rules: Rules, finding: Finding) -> bool:
    compared = rules.questions.get(finding.question)  # type: ignore[call-overload]
    return compared is not None and finding.figure in compared.wins_by


def _nothing_gained(rules: Rules, champion: Champion, found: Sequence[Finding]) -> str:
    compared = [f for f in found if f.against == "champion"]
    why = "no figure is significantly better" if compared else "nothing could be compared with the champion"
    age = f"{champion.age_days} days older (a refresh is due after {rules.refresh_after_days})"
    return f"{why}, and the champion's data is {age}"
