"""The revenue of the next 90 days, judged on every customer known on a later day."""

import numpy as np

from training import baselines
from training.baselines import columns_of
from training.dataset import Past, slices
from training.evaluation.measures import judged
from training.evaluation.rows import Judged, Sample
from training.fitting import fit_inputs, fit_value, too_small, value_window
from training.labels import VALUE_DAYS, expect_complete
from training.models.held import Held


def judge_value(past: Past, test: int, until: int) -> Judged:
    """Judge the next 90 days' revenue of every customer known at ``test``."""
    cutoff = str(past.shop.calendar.date(test))
    if too_small(past, test) or value_window(past.shop, test) is None:
        why = "the history is too short for a training, a calibration and a later test window"
        return Judged(why_not=f"value at {cutoff}: {why}")
    expect_complete(past.shop, test, VALUE_DAYS, until)
    inputs = fit_inputs(past, test)
    model = fit_value(past, inputs, test)
    assert model is not None
    frame = past.rows([test], until)
    columns = columns_of(frame, inputs.features)
    btyd = inputs.matrix(columns)[:, inputs.names.index("btyd_value_90d")]
    held = Held("value", test, inputs, model)
    said = {
        "okaeri": held.say(columns),
        "bg_nbd_gamma_gamma": {"revenue": np.nan_to_num(btyd)},
        "last_quarter": {"revenue": baselines.last_quarter_revenue(columns)},
    }
    return judged(Sample("value", test, frame, VALUE_DAYS, until - test, dict(slices(frame)), said, held), cutoff)
