"""Lapse against the customer's own rhythm: no order within three of their own mean gaps.

Everyone is asked about a window of their own, and only who was watched for the whole of it is judged: capping the
window at what was observed would tell the label by its length (predictions.md, trap 3).
"""

import numpy as np
import pandas as pd

from training.baselines import columns_of
from training.dataset import Past, slices
from training.evaluation.measures import judged
from training.evaluation.rows import Judged, Matrix, Sample
from training.fitting import active_rows, fit_inputs, too_small
from training.labels import first_order_day
from training.models.churn import Churn
from training.models.inputs import Inputs, history
from training.splits import YOUNG_STEP_DAYS

# Complete Journey at 2017-10-09, 11-06 and 12-04: with three gaps and at least a fortnight BG/NBD has AUC .746 and
# P(alive) .752, near the bar's .729 and .761; with two gaps .727 and .708 (2026-11-24).
GAPS, LEAST_DAYS, MOST_DAYS = 3.0, 14, 56


def judge_own_rhythm(past: Past, test: int, until: int) -> Judged:
    """Judge who lapses by their own rhythm, among the customers active at ``test`` with a gap to go by."""
    cutoff = str(past.shop.calendar.date(test))
    if why := too_small(past, test):
        return Judged(why_not=f"own rhythm at {cutoff}: {why}")
    asked, inputs = _rows(past, test, until), fit_inputs(past, test)
    days = list(range(test - MOST_DAYS, _earliest(past), -YOUNG_STEP_DAYS))
    if len(days) < 2 or asked.empty:
        return Judged(why_not=f"own rhythm at {cutoff}: the history is too short")
    train, later = (pd.concat([_rows(past, day, test) for day in some]) for some in (days[1:], days[:1]))
    names = (*inputs.names, "own_horizon_days", "btyd_p_no_order_in_it")
    model = Churn.fit(_matrix(inputs, train), _lapsed(train), names, _matrix(inputs, later), _lapsed(later))
    x = _matrix(inputs, asked)
    ours, rate = model.predict(x), x[:, -1]
    h, btyd = history(columns_of(asked, inputs.features)), inputs.btyd.bgnbd
    alive = btyd.p_alive(h.n_order_days - 1, h.days_first_to_last, h.days_since_first)
    said = {
        "okaeri": {"score": ours, "probability": ours},
        "bg_nbd": {"score": rate, "probability": rate},
        "p_alive": {"score": 1 - alive},
        "silence_ratio": {"score": asked.silence_ratio.to_numpy()},
    }
    asked = asked.assign(future_order_days=1 - _lapsed(asked))  # silent means: lapsed
    whole = dict(slices(asked))
    return judged(Sample("churn", test, asked, past.horizon, until - test, whole, said), cutoff)


def _earliest(past: Past) -> int:
    return first_order_day(past.shop) + past.shop.mapping.predict.lookback_days - 1


def _rows(past: Past, day: int, until: int) -> pd.DataFrame:
    """Describe the active customers with a gap, each with their own window, as far as all of it was watched."""
    active = active_rows(past.rows([day], until), past.shop)
    window = np.ceil(np.maximum(GAPS * active.gap_days_mean.to_numpy(), LEAST_DAYS))
    return active.assign(own_days=window)[window <= min(MOST_DAYS, until - day)]


def _lapsed(rows: pd.DataFrame) -> Matrix:
    return (rows.days_to_next > rows.own_days).to_numpy().astype(np.float64)


def _matrix(inputs: Inputs, rows: pd.DataFrame) -> Matrix:
    """Give the models' inputs, the window, and BG/NBD's chance of no order in it."""
    columns = columns_of(rows, inputs.features)
    h, window = history(columns), rows.own_days.to_numpy()
    chance = np.empty(len(rows))
    for days in np.unique(window):
        who = window == days
        chance[who] = inputs.btyd.bgnbd.p_no_order(
            (h.n_order_days - 1)[who], h.days_first_to_last[who], h.days_since_first[who], float(days)
        )
    return np.column_stack([inputs.matrix(columns), window, chance])
