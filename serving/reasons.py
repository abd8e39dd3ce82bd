"""Why a customer's risk is what it is: the model's own contributions, said in the glossary's sentences.

A sentence is only said where the customer's own figures bear it out; what no sentence covers is left out. Where no
model was asked, or none reads it, the facts alone speak, and the sentence has no strength.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.calendar import BusinessCalendar
from serving.answers import Answers
from serving.replenishment import ACTED_ON
from serving.words import REASONS, Language, say, say_date
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
MONTH_DAYS = 30
AGES = ("days_since_last_order", *(f"days_since_order_{nth}" for nth in (2, 3, 4, 5, 8, 12, 20)))
RHYTHM = ("silent_long", "frequency_down", "interval_growing")
# What is less than it was in the customer's own past. A model weighs a customer against the average one: whom it finds
# no worse may still be less of a customer than before, and then the facts alone say so. In the simulated shop 33 % of
# those at or above `watch` had no sentence, 15 % with these, `runs_out` and months for `steady` (2026-11-24).
OWN_PAST = (*RHYTHM, "spend_down")
# What a message, a call or a repair can answer. That somebody waits for sales, or orders steadily, calls for none.
ACTIONABLE = frozenset({*OWN_PAST, "one_order_only", "bad_experience", "late_delivery", "no_response", "runs_out"})

Due = Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Reason:
    """One sentence about one customer's risk."""

    code: str
    text: str
    direction: str  # raises or lowers
    strength: float | None  # share of all contributions, 0-1; None where the facts alone speak
    value: float
    typical: float | None
    actionable: bool


def reasons(
    answered: Answers,
    release: Release,
    positions: Sequence[int],
    most: int,
    lang: Language,
    due: Due,
    calendar: BusinessCalendar,
) -> list[list[Reason]]:
    """Explain the churn of some customers (positions in ``answered``), at most ``most`` sentences each.

    First that there was but one order, then what the model says, the strongest first, then what runs out. Where no
    model speaks (no churn score, or shop-wide rates alone) or none of it raises the risk, what is less than it was with
    the customer's own past does.

    Parameters
    ----------
    due
        The night's ``replenishment_due`` by customer: ``product_id``, ``name``, ``due_day`` and ``basis``; others'
        intervals alone are no reason.
    """
    scores = release.models.scores
    explained: dict[int, Matrix] = {}
    chosen = [p for p in positions if scores is not None and not np.isnan(answered.churn[p])]
    if scores is not None and answered.inputs is not None and chosen:
        row = np.cumsum(answered.scored) - 1
        explained = dict(zip(chosen, scores.churn.contributions(answered.inputs[row[chosen]]), strict=True))
    names = scores.inputs.names if scores is not None else ()
    groups = {code: np.array([_speaks(code, name) for name in names], bool) for code in SPEAKS_FOR}
    out = []
    for p in positions:
        facts = {name: float(values[p]) for name, values in answered.features.items()}
        first = [*_one_order(facts, lang)] if answered.f_stage[p] == "F1" else []
        told = _by_model(explained[p], groups, facts, lang) if p in explained else []
        if not any(reason.direction == "raises" for reason in (*first, *told)):
            told += _by_facts(facts, lang)
        theirs = [row for row in due.get(str(answered.customer_id[p]), ()) if row["basis"] in ACTED_ON]
        last = _runs_out(theirs, answered.day, calendar, lang)
        out.append([*first, *told, *last][:most] if answered.scored[p] else [])
    return out


def _speaks(code: str, name: str) -> bool:
    """Give each input to the first sentence that speaks for it."""
    return next((c for c, starts in SPEAKS_FOR.items() if name.startswith(starts)), None) == code


def _one_order(facts: Facts, lang: Language) -> Iterator[Reason]:
    days = facts["days_since_first_order"]
    if not np.isnan(days):  # a subscription's order alone has no day of its own
        yield _reason("one_order_only", lang, ({"days": round(days)}, days, None))


def _by_facts(facts: Facts, lang: Language) -> list[Reason]:
    """Say the first thing that is less than it was, silence before all: it makes a customer dormant or inactive."""
    said = ((code, SENTENCES[code](facts)) for code in OWN_PAST)
    return [_reason(code, lang, words) for code, words in said if words is not None][:1]


def _by_model(given: Matrix, groups: Mapping[str, NDArray[np.bool_]], facts: Facts, lang: Language) -> list[Reason]:
    """Say what raises the risk and what lowers it, the strongest first."""
    push = {code: float(given[mask].sum()) for code, mask in groups.items()}
    total = float(np.abs(given).sum()) or 1.0
    said = ((code, SENTENCES[code](facts)) for code in SENTENCES if push[code] > 0)
    found = [_reason(code, lang, words, push[code] / total) for code, words in said if words is not None]
    rhythm, months = sum(push[code] for code in RHYTHM), _months_running(facts)
    if rhythm < 0 and months:
        found.append(_reason("steady", lang, ({"months": months}, months, None), -rhythm / total, "lowers"))
    return sorted(found, key=lambda reason: -(reason.strength or 0.0))


def _runs_out(
    rows: Sequence[Mapping[str, Any]], day: int, calendar: BusinessCalendar, lang: Language
) -> Iterator[Reason]:
    """Name the customer's next product to run out: a reason to come back, or not to be back although it did."""
    if rows:
        row = min(rows, key=lambda row: (abs(row["due_day"] - day), row["product_id"]))
        words = {
            "product": row.get("name") or row["product_id"],
            "date": say_date(calendar.date(int(row["due_day"])), lang),
        }
        ahead = float(row["due_day"] - day)
        yield _reason("runs_out", lang, (words, ahead, None), None, "lowers" if ahead >= 0 else "raises")


Sentence = tuple[Mapping[str, int | str], float, float | None] | None


def _reason(
    code: str, lang: Language, said: Sentence, strength: float | None = None, direction: str = "raises"
) -> Reason:
    assert said is not None
    values, value, typical = said
    return Reason(code, say(REASONS[code], lang, **values), direction, strength, value, typical, code in ACTIONABLE)


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
    """Count the months up to now in each of which the customer ordered, as far as the features tell; 0 for one alone.

    They tell of some of the latest orders, and whether there was one in every week of some spans.
    """
    ordered = {int((f[age] - 1) // MONTH_DAYS) for age in AGES if not np.isnan(f[age])}
    months = next(month for month in range(len(AGES) + 1) if month not in ordered)
    weekly = next((months for weeks, months in MONTH_WEEKS if f[f"active_weeks_{weeks}"] == weeks), 0)
    return max(months if months > 1 else 0, weekly)
