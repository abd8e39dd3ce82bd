"""Judging one question at several past cut-offs, each learnt from the past of its own, and tracked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.calendar import day_number
from features.door.mapping import nearest
from features.errors import BadInput, Refused
from features.home import Home
from features.shop import Shop
from features.traits import traits
from training import registry
from training.contacts import margin_share
from training.dataset import FEWEST_IN_SLICE, Past, horizon_days
from training.evaluation.churn import judge_churn
from training.evaluation.contacts import judge_contacts
from training.evaluation.measures import figures, outcome
from training.evaluation.next_purchase import judge_next_purchase
from training.evaluation.own_rhythm import judge_own_rhythm
from training.evaluation.recommender import backtest_next_basket, backtest_recommender
from training.evaluation.rows import EVERYONE, Flags, Judged, Row, Sample, as_rows, pooled
from training.evaluation.second_order import judge_second_order
from training.evaluation.uplift import judge_uplift
from training.evaluation.value import judge_value
from training.experiment import Table, read_experiment
from training.fitting import past_contacts
from training.labels import last_day
from training.plots import churn_plots
from training.season import learnt_span, season

Judge = Callable[[Past, int, int], Judged]

ROLLING, NEXT_BASKET, CROSS_FITTING = "rolling-origin", "next-basket", "cross-fitting"
UPLIFT = "uplift"  # judged on a table of its own, not at cut-offs
# By question, the protocols it knows; the first is what is meant when none is named.
QUESTIONS: dict[str, dict[str, Judge]] = {
    "churn": {ROLLING: judge_churn, "own-rhythm": judge_own_rhythm},
    "next-purchase": {ROLLING: judge_next_purchase},
    "second-order": {ROLLING: judge_second_order},
    "value": {ROLLING: judge_value},
    "recommender": {ROLLING: backtest_recommender, NEXT_BASKET: backtest_next_basket},
}
VALUES_SHOWN = 6  # of each trait, the most common


@dataclass(frozen=True)
class Backtested:
    """One backtest: its rows, those pooled over the cut-offs last, what could not be judged, and the seasons."""

    rows: tuple[Row, ...]
    skipped: tuple[str, ...]
    season: dict[str, dict[str, Any]]  # by cut-off: whether the same season a year before was learnt from
    notes: tuple[str, ...] = ()  # what must be said with the figures


def backtest(
    home: Home, shop: Shop, question: str, cutoffs: Sequence[int] | None = None, protocol: str = ROLLING
) -> Backtested:
    """Judge a question at cut-offs (business days; default those of the mapping), observed to the lake's end.

    With the protocol ``next-basket`` (recommender alone) every customer's last shopping day is left out instead;
    its one cut-off, if none is given, is the lake's end. The figures and, for churn, their pictures are a run of
    MLflow's experiment.

    Raises
    ------
    BadInput
        If the question or its protocol is unknown, no cut-off is given or mapped, or none can be judged.
    Refused
        If the outcome of a cut-off that was given is not over, with the earliest date; of the mapping's, those are
        skipped.
    """
    judge, until = _judge(question, protocol), last_day(shop)
    days = [until] if protocol == NEXT_BASKET and cutoffs is None else _days(shop, cutoffs)
    dates = ",".join(str(shop.calendar.date(day)) for day in days)
    tracked = {"shop": shop.name, "protocol": protocol, "cutoffs": dates, "data_snapshot": shop.version}
    with registry.explained(home), registry.run(home, f"backtest {question} {shop.name}", tracked, "backtest"):
        past = Past(shop, until)
        judged = [_in_detail(past, _asked(judge, past, day, until, is_named=cutoffs is not None)) for day in days]
        skipped = tuple(one.why_not for one in judged if one.why_not)
        if len(skipped) == len(judged):
            raise BadInput("; ".join(skipped))
        rows = [row for one in judged for row in one.rows] + pooled(
            [figure for one in judged for figure in one.figures]
        )
        seen = [outcome(one.sample) for one in judged if one.sample is not None and one.sample.question == "churn"]
        plots = churn_plots(*(np.concatenate(parts) for parts in zip(*seen, strict=True))) if seen else {}
        registry.log_report(as_rows(rows), plots)
    return Backtested(tuple(rows), skipped, seasons(shop, days) if protocol == ROLLING else {})


def backtest_table(home: Home, table: Table) -> Backtested:
    """Judge uplift on one flat table of a randomised experiment: each arm against the control, then all of them.

    Raises
    ------
    BadInput
        As ``read_experiment`` does.
    """
    experiment = read_experiment(table)
    tracked = {"table": table.path.name, "control": table.control, "ignored": ",".join(table.ignored)}
    tracked |= {"treatment": table.treatment, "outcome": table.outcome, "protocol": CROSS_FITTING}
    with registry.explained(home), registry.run(home, f"backtest uplift {table.path.name}", tracked, "backtest"):
        rows, notes = judge_uplift(experiment)
        registry.log_report(as_rows(rows), {})
    return Backtested(rows, (), {}, notes)


def backtest_contacts(home: Home, shop: Shop) -> Backtested:
    """Judge what the shop's own contacts do on those that were drawn by lot, each by models of other customers.

    Raises
    ------
    Refused
        If there are no such contacts, or too few.
    """
    until = last_day(shop)
    tracked = {"shop": shop.name, "protocol": CROSS_FITTING, "data_snapshot": shop.version}
    with registry.explained(home), registry.run(home, f"backtest uplift {shop.name}", tracked, "backtest"):
        rows, notes = judge_contacts(past_contacts(Past(shop, until), until), margin_share(shop, until))
        registry.log_report(as_rows(rows), {})
    return Backtested(rows, (), {}, notes)


def _judge(question: str, protocol: str) -> Judge:
    if question not in QUESTIONS:
        raise BadInput(f"{question}: no such question{nearest(question, [*QUESTIONS, UPLIFT])}")
    if protocol not in QUESTIONS[question]:
        raise BadInput(f"--protocol {protocol}: {question} knows {', '.join(QUESTIONS[question])}")
    return QUESTIONS[question][protocol]


def seasons(shop: Shop, cutoffs: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Tell for each cut-off, by date, whether what is judged there had learnt from the same season a year before."""
    horizon, calendar = horizon_days(shop, last_day(shop)), shop.calendar
    return {
        str(calendar.date(day)): season(learnt_span(shop, day, horizon), day, horizon, calendar, shop.mapping.language)
        for day in cutoffs
    }


def _asked(judge: Judge, past: Past, day: int, until: int, is_named: bool) -> Judged:
    """Judge at one cut-off; one that nobody named is skipped where its outcome is not over."""
    try:
        return judge(past, day, until)
    except Refused as error:
        if is_named:
            raise
        return Judged(why_not=str(error))


def _days(shop: Shop, cutoffs: Sequence[int] | None) -> list[int]:
    days = list(cutoffs) if cutoffs is not None else [day_number(day) for day in shop.mapping.predict.cutoffs]
    if not days:
        raise BadInput(f"{shop.name}: the mapping names no cutoffs; give --cutoffs 2017-10-09,2017-11-06")
    return sorted(days)


def _in_detail(past: Past, judged: Judged) -> Judged:
    """Look at a sample in every slice there are enough customers in."""
    if judged.sample is None:
        return judged
    sample = judged.sample
    slices = {**sample.slices, **_more_slices(past, sample)}
    sample = Sample(**{**vars(sample), "slices": slices})
    return Judged(figures(sample, str(past.shop.calendar.date(sample.day))), sample=sample)


def _more_slices(past: Past, sample: Sample) -> dict[str, Flags]:
    """Split a sample's customers by how often and how long they have bought, and by their traits."""
    frame = sample.frame
    age, orders = frame.days_since_first_order.to_numpy(), frame.orders_all.to_numpy()
    found = {
        "one_order": orders == 1,
        "repeat": orders > 1,
        "tenure:under 91 days": age < 91,
        "tenure:91 to 364 days": (age >= 91) & (age < 365),
        "tenure:a year and more": age >= 365,
    }
    known = frame[["customer_id"]].merge(traits(past.shop, sample.day), on="customer_id", how="left", validate="1:1")
    for trait in known.columns.drop("customer_id"):
        for value in known[trait].value_counts().index[:VALUES_SHOWN]:
            found[f"{trait}:{value}"] = (known[trait] == value).to_numpy()
    n = len(sample.slices[EVERYONE])
    return {name: who for name, who in found.items() if FEWEST_IN_SLICE <= who.sum() < n}
