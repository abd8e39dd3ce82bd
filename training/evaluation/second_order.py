"""Whether who ordered once orders again within 30, 60 and 90 days, judged on one-order customers of a later day."""

import numpy as np
import pandas as pd

from training.baselines import columns_of, rfm_logistic
from training.dataset import Past
from training.evaluation.measures import SECOND_ORDER_DAYS, judged
from training.evaluation.rows import EVERYONE, Judged, Matrix, Sample
from training.fitting import fit_inputs, fit_second_order, one_order_rows, second_order_rows, too_few_firsts, too_small
from training.labels import expect_complete
from training.models.held import Held

AGE_EDGES = (7.0, 14.0, 28.0, 56.0, 91.0, 182.0, 365.0)  # days since the first order
PSEUDO_CUSTOMERS = 20.0  # how many average customers each age starts with


def judge_second_order(past: Past, test: int, until: int) -> Judged:
    """Judge the chance of a second order for who had ordered once by ``test``, where its days are over."""
    cutoff = str(past.shop.calendar.date(test))
    expect_complete(past.shop, test, SECOND_ORDER_DAYS[0], until)
    if why := too_small(past, test) or too_few_firsts(past, test):
        return Judged(why_not=f"second order at {cutoff}: {why}")
    firsts = one_order_rows(past.rows([test], until))
    if firsts.empty:
        return Judged(why_not=f"second order at {cutoff}: nobody had ordered just once")
    inputs = fit_inputs(past, test)
    model = fit_second_order(past, inputs, test)
    assert model is not None  # as `too_few_firsts` says
    held = Held("second-order", test, inputs, model)
    earlier = second_order_rows(past, test)
    ours = held.say(columns_of(firsts, inputs.features))
    said = {"okaeri": ours | {f"score_{h}d": ours[f"p_{h}d"] for h in SECOND_ORDER_DAYS}}
    for name, method in (("age_rates", _age_rates), ("rfm_logistic", rfm_logistic)):
        chances = {h: _chance(method, earlier, test, h, firsts) for h in SECOND_ORDER_DAYS}
        said[name] = {f"{word}_{h}d": p for h, p in chances.items() for word in ("score", "p")}
    everyone = {EVERYONE: np.ones(len(firsts), np.bool_)}
    return judged(Sample("second-order", test, firsts, past.horizon, until - test, everyone, said, held), cutoff)


def _chance(method, earlier: pd.DataFrame, test: int, days: int, firsts: pd.DataFrame) -> Matrix:  # type: ignore[no-untyped-def]
    """Let a baseline learn from who was watched for ``days`` before ``test``."""
    watched = earlier[earlier.as_of_day + days <= test]
    came = ((watched.days_to_next <= days) & ~watched.is_censored.astype(bool)).to_numpy().astype(np.float64)
    if not len(watched) or came.min() == came.max():
        return np.full(len(firsts), came.mean() if len(came) else 0.5)
    return np.asarray(method(watched, came, firsts), np.float64)


def _age_rates(train: pd.DataFrame, came: Matrix, test: pd.DataFrame) -> Matrix:
    """Give the share that came back among who was as far from the first order: what a shop reads off its F2 curve."""
    cell, asked = (np.searchsorted(AGE_EDGES, f.days_since_first_order.to_numpy()) for f in (train, test))
    n = len(AGE_EDGES) + 1
    total, count = np.bincount(cell, came, n), np.bincount(cell, minlength=n)
    rate: Matrix = (total + PSEUDO_CUSTOMERS * came.mean()) / (count + PSEUDO_CUSTOMERS)
    return rate[asked]
