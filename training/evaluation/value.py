"""The revenue of the next 90 days, judged on every customer known on a later day."""

from collections.abc import Callable

import numpy as np

from training import baselines, metrics
from training.baselines import columns_of
from training.dataset import Past, slices
from training.evaluation.rows import Judged, Sample, measured
from training.fitting import fit_inputs, fit_value, too_small, value_window
from training.labels import VALUE_DAYS, expect_complete
from training.models.held import Held

VALUE_METRICS: dict[str, Callable[..., float]] = {
    "spearman": metrics.spearman,
    "ngini": metrics.ngini,
    "decile_mape": metrics.decile_mape,
    "bias": metrics.bias,
}


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
    x, truth = inputs.matrix(columns), frame.revenue_90d.to_numpy()
    btyd = x[:, inputs.names.index("btyd_value_90d")]
    by = {
        "okaeri": model.predict_90d(x, inputs.names),
        "bg_nbd_gamma_gamma": np.nan_to_num(btyd),
        "last_quarter": baselines.last_quarter_revenue(columns),
    }
    rows = [
        measured("value", method, cutoff, name, metric, truth[who], predicted[who], slice=part)
        for part, who in slices(frame)
        for method, predicted in by.items()
        for name, metric in VALUE_METRICS.items()
    ]
    said = {method: {"revenue": predicted} for method, predicted in by.items()}
    held = Held("value", test, inputs, model)
    return Judged(tuple(rows), sample=Sample(held, frame, VALUE_DAYS, dict(slices(frame)), said))
