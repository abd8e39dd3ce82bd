"""Fitting every model of a release on rolling origins; the same code fits for the report and for the release."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features import catalog
from features.bots import bots
from features.errors import Refused
from features.shop import Shop
from training.baselines import columns_of
from training.contacts import Found, find_contacts
from training.dataset import Past, is_active
from training.labels import VALUE_DAYS, first_order_day
from training.models.btyd import Btyd
from training.models.bundle import Scores
from training.models.churn import Churn
from training.models.effects import Effects
from training.models.inputs import HISTORY, Inputs, history
from training.models.next_purchase import NextPurchase
from training.models.recommender import Lesson, Recommender
from training.models.second_order import SecondOrder
from training.models.value import Value
from training.splits import LEAST_HISTORY_DAYS, YOUNG_STEP_DAYS, Origins, origins_before

Matrix = NDArray[np.float64]

# faults.md B2: below these the next lighter rung of the ladder is fitted and named.
FEWEST_CUSTOMERS = 500
FEWEST_POSITIVES = 50
# With as many customers of one order their own model ranks as well as the general one: the simulated shop .897 against
# .888, with 1,000 .914 against .911; the gift shop .567 and .568 (AUC of 90 days, four draws each, 2026-11-24).
FEWEST_FIRSTS = 200

# The recommender speaks of the next 30 days. Two lessons were as good as three (Complete Journey, NDCG@10 of own
# products at 2017-09-25 and 2017-08-14: .4584, .4707 against .4574, .4700; 2026-11-24).
PRODUCT_DAYS, LESSONS = 30, 2


def in_steps(days: int) -> int:
    """Round an embargo up to whole fortnights, so that all questions share their cut-offs.

    >>> in_steps(28), in_steps(90)
    (28, 98)
    """
    return YOUNG_STEP_DAYS * -(-days // YOUNG_STEP_DAYS)


def window_days(question: str, horizon_days: int) -> int:
    """Give how long a question's outcome takes to be known, in whole fortnights."""
    return in_steps(VALUE_DAYS if question in ("value", "second-order") else horizon_days)


def place(shop: Shop, until: int, embargo_days: int) -> Origins:
    """Place the cut-offs of one question so that its outcomes are all known at ``until``."""
    lookback = shop.mapping.predict.lookback_days
    return origins_before(until, in_steps(embargo_days), first_order_day(shop), lookback)


def fit_recommender(past: Past, until: int) -> Recommender:
    """Fit the recommender on what people bought, its rankers on what they bought after earlier days."""
    fitted: Recommender = past.remember(
        ("recommender", until),
        lambda: Recommender.fit(people(past, until), until, past.products(until), lessons(past, until)),
    )
    return fitted


def lessons(past: Past, until: int) -> list[Lesson]:
    """Ask what was bought within 30 days after each of two earlier days, over by ``until``; a young shop has fewer."""
    days = [until - nth * PRODUCT_DAYS for nth in range(1, LESSONS + 1)]
    earliest = first_order_day(past.shop) + LEAST_HISTORY_DAYS
    return [_lesson(past, day) for day in days if day >= earliest]


def _lesson(past: Past, day: int) -> Lesson:
    """Give the lesson of a day; the same serves the report and the release."""

    def make() -> Lesson:
        bought = past.bought_after(day, PRODUCT_DAYS, day + PRODUCT_DAYS)
        return Lesson(people(past, day), day, bought, past.products(day))

    lesson: Lesson = past.remember(("lesson", day), make)
    return lesson


def people(past: Past, day: int) -> pd.DataFrame:
    """List what people have bought by a day; in a shop of bots alone there is nobody else to learn from."""
    bought = past.purchases(day)
    persons = bought[~bought.customer_id.isin(bots(past.shop, past.shop.calendar.start(day)))]
    return bought if persons.empty else persons


def fit_scores(past: Past, until: int) -> Scores:
    """Fit churn, next purchase, second order and value; the shop must not be too small."""
    inputs = fit_inputs(past, until)
    return Scores(
        inputs,
        fit_churn(past, inputs, until),
        fit_next_purchase(past, inputs, until),
        fit_second_order(past, inputs, until),
        fit_value(past, inputs, until),
    )


def too_small(past: Past, until: int) -> str:
    """Say what the shop lacks for the full models at ``until``; empty if nothing."""
    try:
        origins = place(past.shop, until, past.horizon)
    except Refused as error:
        return str(error)
    later = past.rows(origins.calibrate, until)
    if len(later) < FEWEST_CUSTOMERS:
        return f"{len(later)} customers with an order; the full models need {FEWEST_CUSTOMERS}"
    is_silent = silent(active_rows(later, past.shop))
    few = int(min(is_silent.sum(), len(is_silent) - is_silent.sum()))
    if few < FEWEST_POSITIVES:
        day = past.shop.calendar.date(origins.calibrate[0])
        code = "" if few else "NO_POSITIVES: "  # faults.md B1
        return f"{code}{few} customers of the rarer outcome at {day}; the full models need {FEWEST_POSITIVES}"
    return ""


def fit_inputs(past: Past, until: int) -> Inputs:
    """Fit BG/NBD and Gamma-Gamma on all customers known at the calibration cut-off, the newest learnt from."""
    horizon = past.horizon
    later = past.rows(place(past.shop, until, horizon).calibrate, until)
    return Inputs(tuple(catalog.model_inputs(past.shop.tables)), Btyd.fit(history(columns_of(later, HISTORY)), horizon))


def active_rows(frame: pd.DataFrame, shop: Shop) -> pd.DataFrame:
    """Keep the active customers of a frame."""
    columns = columns_of(frame, ("n_order_days", "order_days_lookback"))
    return frame[is_active(columns, shop.mapping.predict.min_order_days)]


def silent(frame: pd.DataFrame) -> Matrix:
    """Give the churn label: 1.0 where no order came within H."""
    return (frame.future_order_days == 0).to_numpy().astype(np.float64)


def fit_churn(past: Past, inputs: Inputs, until: int) -> Churn:
    """Fit churn on the active customers of the training cut-offs, calibrated on the later one."""
    origins = place(past.shop, until, past.horizon)
    train, later = (active_rows(past.rows(days, until), past.shop) for days in (origins.train, origins.calibrate))
    learnt, calibrated = ((_matrix(inputs, rows), silent(rows)) for rows in (train, later))
    return Churn.fit(*learnt, inputs.names, *calibrated, past.parameters.churn)


def fit_next_purchase(past: Past, inputs: Inputs, until: int) -> NextPurchase:
    """Fit the time to the next order on all customers; its distribution on windows it was not fitted to.

    The newest window sees one horizon, the older one the tail beyond it.
    """
    origins = place(past.shop, until, past.horizon)
    value_origins = value_window(past.shop, until)
    later = sorted({*origins.calibrate, *(value_origins.calibrate if value_origins else ())})
    train = [day for day in origins.train if day not in later] or list(origins.train)

    def outcome(frame: pd.DataFrame) -> tuple[Matrix, Matrix, NDArray[np.bool_]]:
        return _matrix(inputs, frame), frame.days_to_next.to_numpy(), frame.is_censored.to_numpy(dtype=bool)

    return NextPurchase.fit(
        *outcome(past.rows(train, origins.calibrate[0])),
        inputs.names,
        outcome(past.rows(later, until)),
        past.parameters.next_purchase,
    )


def one_order_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Keep who has ordered exactly once, on a day of their own choosing."""
    return frame[(frame.orders_all == 1) & (frame.n_order_days == 1)]


def second_order_rows(past: Past, until: int) -> pd.DataFrame:
    """Describe who had ordered once at each of the cut-offs learnt from, watched until ``until``."""
    return one_order_rows(past.rows(place(past.shop, until, past.horizon).all, until))


def too_few_firsts(past: Past, until: int) -> str:
    """Say what the shop lacks for a model of the second order; empty if nothing."""
    rows = second_order_rows(past, until)
    n, came = rows.customer_id.nunique(), int((~rows.is_censored.astype(bool)).sum())
    if n >= FEWEST_FIRSTS and came >= FEWEST_POSITIVES:
        return ""
    return f"{n} customers with one order, {came} second orders; a model needs {FEWEST_FIRSTS}, {FEWEST_POSITIVES}"


def fit_second_order(past: Past, inputs: Inputs, until: int) -> SecondOrder | None:
    """Fit the second order of who ordered once; ``None`` where they are too few: the general model answers then."""
    if too_few_firsts(past, until):
        return None
    rows = second_order_rows(past, until)
    days, censored = rows.days_to_next.to_numpy(), rows.is_censored.to_numpy(dtype=bool)
    watched = (until - rows.as_of_day).to_numpy().astype(np.float64)
    return SecondOrder.fit(_matrix(inputs, rows), days, censored, watched, inputs.names)


def value_window(shop: Shop, until: int) -> Origins | None:
    """Place the cut-offs of the value model; ``None`` if the shop is younger than its windows need."""
    try:
        return place(shop, until, VALUE_DAYS)
    except Refused:
        return None


def fit_value(past: Past, inputs: Inputs, until: int) -> Value | None:
    """Fit the value of the next 90 days; ``None`` if the shop is younger than its windows need."""
    origins = value_window(past.shop, until)
    if origins is None:
        return None
    train, later = (past.rows(days, until) for days in (origins.train, origins.calibrate))
    within = min(past.horizon, VALUE_DAYS)  # the value window may end before a long horizon does
    came_back = ((later.days_to_next <= within) & ~later.is_censored.astype(bool)).to_numpy()
    learnt, judged = ((_matrix(inputs, rows), rows.revenue_90d.to_numpy()) for rows in (train, later))
    return Value.fit(*learnt, inputs.names, *judged, came_back, past.parameters.value)


def past_contacts(past: Past, until: int) -> Found:
    """Find the shop's past contacts as an experiment; the same serve the report and the release."""
    found: Found = past.remember(("contacts", until), lambda: find_contacts(past, until))
    return found


def fit_effects(past: Past, until: int) -> tuple[Effects | None, str]:
    """Fit what our own contacts do; ``None`` with the reason where too few were drawn by lot or none is over."""
    found = past_contacts(past, until)
    return (None, found.why_not) if found.drawn is None else (Effects.fit(found.drawn), "")


def _matrix(inputs: Inputs, frame: pd.DataFrame) -> Matrix:
    return inputs.matrix(columns_of(frame, inputs.features))
