"""The time to the next order, judged on the active customers of a later day."""

from dataclasses import replace

import numpy as np
import pandas as pd

from training import baselines, metrics
from training.baselines import columns_of
from training.dataset import Past, slices
from training.evaluation.rows import Judged, Matrix, Row, Sample, measured
from training.fitting import active_rows, fit_inputs, fit_next_purchase, too_small
from training.labels import expect_complete
from training.models.held import Held
from training.models.inputs import Inputs
from training.models.next_purchase import HORIZONS, NextPurchase


def judge_next_purchase(past: Past, test: int, until: int) -> Judged:
    """Judge P(order within h) where h is over, and the median days with the censored at the horizon."""
    horizon, cutoff = past.horizon, str(past.shop.calendar.date(test))
    expect_complete(past.shop, test, horizon, until)
    if why := too_small(past, test):
        return Judged(why_not=f"next purchase at {cutoff}: {why}")
    active = active_rows(past.rows([test], until), past.shop)
    inputs = fit_inputs(past, test)
    model = fit_next_purchase(past, inputs, test)
    rows = [
        replace(row, slice=part)
        for part, who in slices(active)
        for row in _next_purchase_rows(model, inputs, active[who], horizon, cutoff)
    ]
    held = Held("next-purchase", test, inputs, model)
    said = _said(held, columns_of(active, inputs.features), horizon)
    return Judged(tuple(rows), sample=Sample(held, active, horizon, dict(slices(active)), said))


def _said(held: Held, columns: dict[str, Matrix], horizon: int) -> dict[str, dict[str, Matrix]]:
    """Give what each method says of when everyone comes back."""
    by_rate = baselines.bg_nbd_days(held.inputs.btyd, columns, horizon)
    own_gap = baselines.own_gap_days(columns, horizon)
    rules = {name: {"middle": days, "location": days} for name, days in (("bg_nbd", by_rate), ("own_gap", own_gap))}
    return {"okaeri": held.say(columns), **rules}


def _next_purchase_rows(
    model: NextPurchase, inputs: Inputs, active: pd.DataFrame, horizon: int, cutoff: str
) -> list[Row]:
    columns = columns_of(active, inputs.features)
    x = inputs.matrix(columns)
    days, observed = active.days_to_next.to_numpy(), ~active.is_censored.to_numpy(dtype=bool)
    chance = model.predict(x)
    rows = []
    for index, h in enumerate(HORIZONS[:3]):
        if h <= horizon:
            came = ((days <= h) & observed).astype(np.float64)
            by = {
                "okaeri": chance[:, index],
                "bg_nbd": 1 - baselines.bg_nbd_no_order(inputs.btyd, columns, h),
                "own_gap": -baselines.own_gap_days(columns, horizon),
            }
            rows += [measured("next-purchase", m, cutoff, f"auc_{h}d", metrics.auc, came, p) for m, p in by.items()]
    quantiles = model.quantiles(x)
    middle = {
        "okaeri": np.nan_to_num(quantiles[:, 1], nan=horizon),
        "bg_nbd": baselines.bg_nbd_days(inputs.btyd, columns, horizon),
        "own_gap": baselines.own_gap_days(columns, horizon),
    }

    def capped_error(days: Matrix, predicted: Matrix) -> float:
        return metrics.mae_days(days, predicted, horizon)

    rows += [measured("next-purchase", m, cutoff, "mae_days", capped_error, days, p) for m, p in middle.items()]
    order = {"okaeri": model.location(x), "bg_nbd": middle["bg_nbd"], "own_gap": middle["own_gap"]}
    rows += [
        measured("next-purchase", m, cutoff, "c_index", metrics.c_index, days, observed, p) for m, p in order.items()
    ]
    low, high = (np.nan_to_num(quantiles[:, column], nan=np.inf) for column in (0, 2))
    rows.append(measured("next-purchase", "okaeri", cutoff, "coverage_p10_p90", metrics.coverage, days, low, high))
    return rows
