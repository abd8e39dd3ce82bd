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
    "silent_long": (
        "days_since_last_order", "days_since_first_order", "days_since_order_", "silence_", "btyd_p_", "order_days_7d",
        "order_days_14d",
    ),
    "interval_growing": ("gap_", "last_gap_"),
    "frequency_down": (
        "order_days_", "orders_decayed_", "active_weeks_", "orders_28d", "orders_91d", "btyd_orders_",
    ),
    "spend_down": ("revenue_", "btyd_value_", "btyd_spend", "mean_order_day_revenue", "lines_", "n_products_"),
    "promo_only": ("promo_", "coupon_", "discount_", "days_since_coupon"),
    "bad_experience": ("csat_", "nps_", "review_last", "ticket", "days_since_ticket", "return_", "returned_"),
    "late_delivery": ("delivery_delay_", "late_deliver", "days_since_late_delivery", "parcel"),
    "no_response": ("contacts_", "open", "click", "delivered_91d", "days_since_contact"),
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
    days = facts["days_since_first_order"]
    if answered.f_stage[p] == "F1" and not np.isnan(days):  # a subscription's order alone has no day of its own
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


def _bad_experience(f: Facts) -> Sentence:
    """Look for a ticket, a return or a low answer (three of five or fewer) in 91 days, where the shop tells of them."""
    low = f.get("csat_last", np.inf) <= 3 and f["days_since_feedback"] <= 91
    n = f.get("tickets_91d", 0) + f.get("return_requests_91d", 0) + (f["returned_91d"] > 0) + low
    return ({}, n, None) if n > 0 else None


def _late_delivery(f: Facts) -> Sentence:
    days = f.get("delivery_delay_last", np.nan)
    return ({"days": round(days)}, days, None) if days > 0 else None


def _no_response(f: Facts) -> Sentence:
    """Count the messages of 91 days, as delivered or else as sent; one alone is no pattern."""
    if f.get("opens_91d") != 0 or f.get("clicks_91d") != 0:
        return None
    delivered = f["delivered_91d"]
    n = f.get("contacts_91d", 0) if np.isnan(delivered) else delivered
    return ({"n": round(n)}, n, None) if n >= 2 else None


SENTENCES: dict[str, Callable[[Facts], Sentence]] = {
    "silent_long": _silent_long,
    "interval_growing": _interval_growing,
    "frequency_down": _frequency_down,
    "spend_down": _spend_down,
    "promo_only": _promo_only,
    "bad_experience": _bad_experience,
    "late_delivery": _late_delivery,
    "no_response": _no_response,
}


def _months_running(f: Facts) -> int:
    """Count months in each week of which the customer ordered, as far as the features tell."""
    return next((months for weeks, months in MONTH_WEEKS if f[f"active_weeks_{weeks}"] == weeks), 0)
