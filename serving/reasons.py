"""Why a customer's risk is what it is: the model's own contributions, said in the glossary's sentences.

A sentence is only said where the customer's own figures bear it out; what no sentence covers is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.answers import Answers
from serving.words import REASONS, Language, say
from training.release import Release

Matrix = NDArray[np.float64]
Facts = dict[str, float]

# Which inputs a sentence speaks for, by the beginning of their names.
SPEAKS_FOR: dict[str, tuple[str, ...]] = {
    "silent_long": ("days_since_", "silence_", "btyd_p_", "order_days_7d", "order_days_14d"),
    "interval_growing": ("gap_", "last_gap_"),
    "frequency_down": (
        "order_days_", "orders_decayed_", "active_weeks_", "orders_28d", "orders_91d", "btyd_orders_",
    ),
    "spend_down": ("revenue_", "btyd_value_", "btyd_spend", "mean_order_day_revenue", "lines_", "n_products_"),
    "promo_only": ("promo_", "coupon_", "discount_"),
}  # fmt: skip
MONTH_WEEKS = ((26, 6), (12, 3), (8, 2))


@dataclass(frozen=True)
class Reason:
    """One sentence about one customer's risk."""

    code: str
    text: str
    direction: str  # raises or lowers
    strength: float  # share of all contributions, 0-1
    value: float
    typical: float | None
    actionable: bool


def reasons(
    answered: Answers, release: Release, positions: Sequence[int], most: int, lang: Language
) -> list[list[Reason]]:
    """Explain the churn of some customers (positions in ``answered``), at most ``most`` sentences each.

    Customers without a churn score, or a release without the full models, have none but ``one_order_only``.
    """
    scores = release.models.scores
    explained: dict[int, Matrix] = {}
    chosen = [p for p in positions if scores is not None and not np.isnan(answered.churn[p])]
    if scores is not None and answered.inputs is not None and chosen:
        row = np.cumsum(answered.scored) - 1
        given = scores.churn.contributions(answered.inputs[row[chosen]])
        explained = dict(zip(chosen, given, strict=True))
    names = scores.inputs.names if scores is not None else ()
    groups = {code: np.array([_speaks(code, name) for name in names], bool) for code in SPEAKS_FOR}
    return [_said(answered, p, explained.get(p), groups, most, lang) for p in positions]


def _speaks(code: str, name: str) -> bool:
    """Give each input to the first sentence that speaks for it."""
    return next((c for c, starts in SPEAKS_FOR.items() if name.startswith(starts)), None) == code


def _said(
    answered: Answers, p: int, given: Matrix | None, groups: dict[str, NDArray[np.bool_]], most: int, lang: Language
) -> list[Reason]:
    if not answered.scored[p]:
        return []
    facts = {name: float(values[p]) for name, values in answered.features.items()}
    if answered.f_stage[p] == "F1":
        days = facts["days_since_first_order"]
        text = say(REASONS["one_order_only"], lang, days=round(days))
        return [Reason("one_order_only", text, "raises", 1.0, days, None, True)]
    if given is None:
        return []
    total = float(np.abs(given).sum()) or 1.0
    found = []
    for code, mask in groups.items():
        push = float(given[mask].sum())
        sentence = SENTENCES[code](facts) if push > 0 else None
        if sentence is not None:
            values, value, typical = sentence
            text = say(REASONS[code], lang, **values)
            found.append(Reason(code, text, "raises", abs(push) / total, value, typical, code != "promo_only"))
    lowering = float(given[groups["frequency_down"] | groups["silent_long"]].sum())
    months = _months_running(facts)
    if lowering < 0 and months:
        text = say(REASONS["steady"], lang, months=months)
        found.append(Reason("steady", text, "lowers", abs(lowering) / total, months, None, False))
    return sorted(found, key=lambda reason: -reason.strength)[:most]


Sentence = tuple[dict[str, int], float, float | None] | None


def _silent_long(f: Facts) -> Sentence:
    days, typical = f["days_since_last_order"], f["gap_days_mean"]
    return ({"days": round(days), "typical": round(typical)}, days, typical) if days > typical else None


def _interval_growing(f: Facts) -> Sentence:
    before, recent = f["gap_days_mean"], f["gap_days_mean"] * f["gap_trend"]
    if np.isnan(recent) or round(recent) <= round(before):  # fewer than four order days have no trend
        return None
    return {"a": round(before), "b": round(recent)}, recent, before


def _frequency_down(f: Facts) -> Sentence:
    recent, both = f["order_days_91d"], f["order_days_182d"]
    if not both - recent > recent:
        return None
    return {"a": round(both - recent), "b": round(recent)}, recent, both - recent


def _spend_down(f: Facts) -> Sentence:
    recent, before = f["revenue_91d"], f["revenue_182d"] - f["revenue_91d"]
    if not (before > 0 and 0 <= recent < 0.9 * before):
        return None
    return {"pct": round(100 * (1 - recent / before))}, recent, before


def _promo_only(f: Facts) -> Sentence:
    share = f["promo_share"]
    return ({"pct": round(100 * share)}, share, None) if share > 0.5 else None


SENTENCES: dict[str, Callable[[Facts], Sentence]] = {
    "silent_long": _silent_long,
    "interval_growing": _interval_growing,
    "frequency_down": _frequency_down,
    "spend_down": _spend_down,
    "promo_only": _promo_only,
}


def _months_running(f: Facts) -> int:
    """Count months in each week of which the customer ordered, as far as the features tell."""
    return next((months for weeks, months in MONTH_WEEKS if f[f"active_weeks_{weeks}"] == weeks), 0)
