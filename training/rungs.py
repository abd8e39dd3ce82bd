"""The ladder: everything a release answers with, on the highest rung that the shop's history carries."""

from collections.abc import Collection
from dataclasses import replace

import pandas as pd

from features import catalog
from features.errors import Refused
from training.dataset import Past
from training.fitting import (
    fit_churn,
    fit_effects,
    fit_next_purchase,
    fit_recommender,
    fit_scores,
    fit_second_order,
    fit_value,
    place,
    too_small,
)
from training.models.bundle import Models, Rung
from training.models.light import Light
from training.models.prior import Prior
from training.models.rule import Rule

GAP_DAYS = 90.0  # where nobody has come back yet: a quarter, an engineering choice (2026-11-25)


def fit_models(past: Past, until: int) -> Models:
    """Fit everything from what was known at the start of business day ``until``.

    Raises
    ------
    Refused
        If no order was kept.
    """
    if past.purchases(until).empty:
        raise Refused(f"{past.shop.name}: no order was kept; nothing can be learnt")
    known, recommender = with_orders(past, until), fit_recommender(past, until)
    rung, why = fit_rung(past, until), too_small(past, until)
    scores = None if why else fit_scores(past, until)
    effects = fit_effects(past, until)
    return Models(scores, recommender, rung, len(known), usual_gap(known), past.horizon, why, *effects)


def fit_rung(past: Past, until: int) -> Rung:
    """Fit the first rung below the full models that the history carries; the last asks for nothing but an order."""
    known = with_orders(past, until)
    try:
        return Light.fit(known, past.horizon)
    except ValueError:  # too few came back
        pass
    rule = Rule.fit(known, past.horizon)
    try:
        return Prior.fit(past.rows(_whole_horizons(past, until), until), rule)
    except Refused:
        return rule


def with_orders(past: Past, day: int) -> pd.DataFrame:
    """Describe as of a day whoever had an order by then and may be learnt from; outcomes are not looked at."""
    return having_ordered(past.learnable(day))


def having_ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep who had an order, returned or not: they alone are scored."""
    return frame[frame.order_days_all >= 1]


def usual_gap(known: pd.DataFrame) -> float:
    """Give the median of the customers' mean gaps, in days."""
    gaps = known["gap_days_mean"].dropna()
    return float(gaps.median()) if len(gaps) else GAP_DAYS


def _whole_horizons(past: Past, until: int) -> tuple[int, ...]:
    """Name as many cut-offs as the history allows, each with a whole horizon before ``until``.

    Raises
    ------
    Refused
        If not even one horizon lies between the first order and ``until``.
    """
    try:
        return place(past.shop, until, past.horizon).all
    except Refused:
        if until - past.horizon <= past.first_day:
            raise
        return (until - past.horizon,)


def expect_same_inputs(past: Past, base: Models) -> None:
    """Refuse to train a part beside models that mean something else by their inputs or their horizon.

    Raises
    ------
    Refused
        If the base has no full models, another horizon or other features.
    """
    features = tuple(catalog.model_inputs(past.shop.tables))
    if base.scores is None:
        raise Refused(f"the champion is of a smaller shop ({base.method}); nothing of it can be kept: train all models")
    if base.horizon_days != past.horizon:
        raise Refused(f"the champion's horizon is {base.horizon_days} days, now it is {past.horizon}; train all models")
    if base.scores.inputs.features != features:
        odd = sorted({*base.scores.inputs.features} ^ {*features}) or ["their order"]
        raise Refused(f"the champion reads other features than there are now ({odd[0]}); train all models")


def refit(past: Past, until: int, base: Models, parts: Collection[str]) -> Models:
    """Fit some questions' models anew and take the rest, with what they all read, from a release's models.

    Raises
    ------
    Refused
        If the shop has become too small.
    """
    assert base.scores is not None  # as `expect_same_inputs` says
    if why := too_small(past, until):
        raise Refused(f"{past.shop.name}: {why}")
    inputs, scores, recommender = base.scores.inputs, base.scores, base.recommender
    if "churn" in parts:
        scores = replace(scores, churn=fit_churn(past, inputs, until))
    if "next-purchase" in parts:
        scores = replace(scores, next_purchase=fit_next_purchase(past, inputs, until))
    if "second-order" in parts:
        scores = replace(scores, second_order=fit_second_order(past, inputs, until))
    if "value" in parts:
        scores = replace(scores, value=fit_value(past, inputs, until))
    if "recommender" in parts:
        recommender = fit_recommender(past, until)
    return replace(base, scores=scores, recommender=recommender)
