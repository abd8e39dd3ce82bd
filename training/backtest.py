"""Judging one question at several past cut-offs, each learnt from the past of its own."""

from collections.abc import Callable, Sequence
from typing import Any

from features.calendar import day_number
from features.errors import BadInput
from features.shop import Shop
from training.dataset import Past, horizon_days
from training.evaluation.churn import judge_churn
from training.evaluation.next_purchase import judge_next_purchase
from training.evaluation.recommender import judge_recommender
from training.evaluation.rows import Judged, as_rows
from training.evaluation.value import judge_value
from training.labels import last_day
from training.season import learnt_span, season

QUESTIONS: dict[str, Callable[[Past, int, int], Judged]] = {
    "churn": judge_churn,
    "next-purchase": judge_next_purchase,
    "value": judge_value,
    "recommender": judge_recommender,
}


def backtest(shop: Shop, question: str, cutoffs: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """Judge a question at cut-offs (business days; default those of the mapping), observed to the lake's end.

    Raises
    ------
    BadInput
        If the question is unknown, or no cut-off is given or mapped.
    Refused
        If a cut-off's outcome is not over, with the earliest date.
    """
    if question not in QUESTIONS:
        raise BadInput(f"{question}: no such question; known are {', '.join(QUESTIONS)}")
    days, until = _days(shop, cutoffs), last_day(shop)
    past = Past(shop, until)
    judged = [QUESTIONS[question](past, day, until) for day in days]
    told = [one.why_not for one in judged if one.why_not]
    if len(told) == len(judged):
        raise BadInput("; ".join(told))
    return as_rows([row for one in judged for row in one.rows])


def seasons(shop: Shop, cutoffs: Sequence[int] | None = None) -> dict[str, dict[str, Any]]:
    """Tell for each cut-off, by date, whether what is judged there had learnt from the same season a year before."""
    horizon, calendar = horizon_days(shop, last_day(shop)), shop.calendar
    return {
        str(calendar.date(day)): season(learnt_span(shop, day, horizon), day, horizon, calendar, shop.mapping.language)
        for day in _days(shop, cutoffs)
    }


def _days(shop: Shop, cutoffs: Sequence[int] | None) -> list[int]:
    days = list(cutoffs) if cutoffs is not None else [day_number(day) for day in shop.mapping.predict.cutoffs]
    if not days:
        raise BadInput(f"{shop.name}: the mapping names no cutoffs; give --cutoffs 2017-10-09,2017-11-06")
    return sorted(days)
