"""Churn within the shop's horizon, judged on the active customers of a later day."""

import pandas as pd

from training import baselines
from training.baselines import columns_of
from training.dataset import Past, slices
from training.evaluation.measures import judged
from training.evaluation.rows import Judged, Matrix, Sample
from training.fitting import active_rows, fit_churn, fit_inputs, place, silent, too_small
from training.labels import expect_complete
from training.models.held import Held


def judge_churn(past: Past, test: int, until: int) -> Judged:
    """Judge churn within the shop's horizon, for the customers active at ``test``."""
    horizon, cutoff = past.horizon, str(past.shop.calendar.date(test))
    expect_complete(past.shop, test, horizon, until)
    if why := too_small(past, test):
        return Judged(why_not=f"churn at {cutoff}: {why}")
    active = active_rows(past.rows([test], until), past.shop)
    inputs = fit_inputs(past, test)
    held = Held("churn", test, inputs, fit_churn(past, inputs, test))
    said = _said(past, held, active)
    return judged(Sample("churn", test, active, horizon, until - test, dict(slices(active)), said, held), cutoff)


def _said(past: Past, held: Held, active: pd.DataFrame) -> dict[str, dict[str, Matrix]]:
    """Score churn by every method; a rule gives no probability."""
    columns = columns_of(active, held.inputs.features)
    earlier = active_rows(past.rows(place(past.shop, held.day, past.horizon).train, held.day), past.shop)
    rate = baselines.bg_nbd_no_order(held.inputs.btyd, columns, past.horizon)
    rfm = baselines.rfm_logistic(earlier, silent(earlier), active)
    return {
        "okaeri": held.say(columns),
        "bg_nbd": {"score": rate, "probability": rate},
        "rfm_logistic": {"score": rfm, "probability": rfm},
        "recency_rule": {"score": baselines.recency_rule(columns)},
    }
