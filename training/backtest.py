"""Judging one question at several past cut-offs, each learnt from the past of its own."""

from collections.abc import Callable, Sequence
from typing import Any

from features.calendar import day_number
from features.errors import BadInput
from features.shop import Shop
from training.dataset import Past
from training.evaluation.churn import judge_churn
from training.evaluation.next_purchase import judge_next_purchase
from training.evaluation.recommender import backtest_next_basket, backtest_recommender
from training.evaluation.rows import Judged, as_rows
from training.evaluation.value import judge_value
from training.labels import last_day

QUESTIONS: dict[str, Callable[[Past, int, int], Judged]] = {
    "churn": judge_churn,
    "next-purchase": judge_next_purchase,
    "value": judge_value,
    "recommender": backtest_recommender,
}


ROLLING_ORIGIN, NEXT_BASKET = "rolling-origin", "next-basket"


def backtest(
    shop: Shop, question: str, cutoffs: Sequence[int] | None = None, protocol: str = ROLLING_ORIGIN
) -> list[dict[str, Any]]:
    """Judge a question at cut-offs (business days; default those of the mapping), observed to the lake's end.

    With the protocol ``next-basket`` (recommender alone) every customer's last shopping day is left out instead.

    Raises
    ------
    BadInput
        If the question or its protocol is unknown, or no cut-off is given or mapped.
    Refused
        If a cut-off's outcome is not over, with the earliest date.
    """
    if question not in QUESTIONS:
        raise BadInput(f"{question}: no such question; known are {', '.join(QUESTIONS)}")
    protocols = (ROLLING_ORIGIN, NEXT_BASKET) if question == "recommender" else (ROLLING_ORIGIN,)
    if protocol not in protocols:
        raise BadInput(f"--protocol {protocol}: {question} knows {', '.join(protocols)}")
    until = last_day(shop)
    past = Past(shop, until)
    if protocol == NEXT_BASKET:
        judged = [backtest_next_basket(past, until)]
    else:
        judged = [QUESTIONS[question](past, day, until) for day in _days(shop, cutoffs)]
    told = [one.why_not for one in judged if one.why_not]
    if len(told) == len(judged):
        raise BadInput("; ".join(told))
    return as_rows([row for one in judged for row in one.rows])


def _days(shop: Shop, cutoffs: Sequence[int] | None) -> list[int]:
    days = list(cutoffs) if cutoffs is not None else [day_number(day) for day in shop.mapping.predict.cutoffs]
    if not days:
        raise BadInput(f"{shop.name}: the mapping names no cutoffs; give --cutoffs 2017-10-09,2017-11-06")
    return sorted(days)
