"""The time to the next order, judged on the active customers of a later day."""

import numpy as np

from training import baselines
from training.baselines import columns_of
from training.dataset import Past, slices
from training.evaluation.measures import ORDER_DAYS, judged
from training.evaluation.rows import Judged, Matrix, Sample
from training.fitting import active_rows, fit_inputs, fit_next_purchase, too_small
from training.labels import expect_complete
from training.models.held import Held
from training.models.next_purchase import HORIZONS


def judge_next_purchase(past: Past, test: int, until: int) -> Judged:
    """Judge P(order within h) where h is over, and the median days with the censored at the end of the window."""
    horizon, cutoff = past.horizon, str(past.shop.calendar.date(test))
    expect_complete(past.shop, test, horizon, until)
    if why := too_small(past, test):
        return Judged(why_not=f"next purchase at {cutoff}: {why}")
    active = active_rows(past.rows([test], until), past.shop)
    inputs = fit_inputs(past, test)
    held = Held("next-purchase", test, inputs, fit_next_purchase(past, inputs, test))
    said = _said(held, columns_of(active, inputs.features), min(until - test, max(horizon, ORDER_DAYS)))
    whole = dict(slices(active))
    return judged(Sample("next-purchase", test, active, horizon, until - test, whole, said, held), cutoff)


def _said(held: Held, columns: dict[str, Matrix], cap: int) -> dict[str, dict[str, Matrix]]:
    """Give what each method says of when everyone comes back."""
    btyd, short = held.inputs.btyd, [h for h in HORIZONS if h <= ORDER_DAYS]
    by_rate, own_gap = baselines.bg_nbd_days(btyd, columns, cap), baselines.own_gap_days(columns, cap)
    rate = {f"p_{h}d": 1 - baselines.bg_nbd_no_order(btyd, columns, h) for h in short}
    # the shorter the own gap, the sooner an order: as a ranking better than the date it would give
    usual = -np.nan_to_num(np.asarray(columns["gap_days_mean"], np.float64), nan=1e6)
    return {
        "okaeri": held.say(columns),
        "bg_nbd": {"middle": by_rate, "location": by_rate, **rate},
        "own_gap": {"middle": own_gap, "location": own_gap, **{f"p_{h}d": usual for h in short}},
    }
