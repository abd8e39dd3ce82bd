"""Churn within the shop's horizon, judged on the active customers of a later day."""

from collections.abc import Callable

import pandas as pd

from training import baselines, metrics
from training.baselines import columns_of
from training.dataset import Past, slices
from training.evaluation.rows import Judged, Matrix, Sample, measured
from training.fitting import active_rows, fit_churn, fit_inputs, place, silent, too_small
from training.labels import expect_complete
from training.models.held import Held

CHURN_METRICS: dict[str, Callable[..., float]] = {
    "auc": metrics.auc,
    "pr_auc": metrics.pr_auc,
    "lift_at_10pct": metrics.lift_at,
    "brier": metrics.brier,
    "ece": metrics.ece,
}
RANK_ONLY = ("auc", "pr_auc", "lift_at_10pct")


def judge_churn(past: Past, test: int, until: int) -> Judged:
    """Judge churn within the shop's horizon, for the customers active at ``test``."""
    horizon = past.horizon
    expect_complete(past.shop, test, horizon, until)
    if why := too_small(past, test):
        return Judged(why_not=f"churn at {past.shop.calendar.date(test)}: {why}")
    active = active_rows(past.rows([test], until), past.shop)
    inputs = fit_inputs(past, test)
    held = Held("churn", test, inputs, fit_churn(past, inputs, test))
    scores = _churn_scores(past, held, active, horizon)
    truth, cutoff = silent(active), str(past.shop.calendar.date(test))
    rows = [
        measured("churn", method, cutoff, name, metric, truth[who], score[who], slice=part)
        for part, who in slices(active)
        for method, (score, is_probability) in scores.items()
        for name, metric in CHURN_METRICS.items()
        if is_probability or name in RANK_ONLY
    ]
    said = {method: {"probability": score} for method, (score, _) in scores.items()}
    return Judged(
        tuple(rows), "", truth, scores["okaeri"][0], Sample(held, active, horizon, dict(slices(active)), said)
    )


def _churn_scores(past: Past, held: Held, active: pd.DataFrame, horizon: int) -> dict[str, tuple[Matrix, bool]]:
    """Score churn by every method; the flag tells whether the score is a probability."""
    columns = columns_of(active, held.inputs.features)
    earlier = active_rows(past.rows(place(past.shop, held.day, horizon).train, held.day), past.shop)
    return {
        "okaeri": (held.say(columns)["probability"], True),
        "bg_nbd": (baselines.bg_nbd_no_order(held.inputs.btyd, columns, horizon), True),
        "rfm_logistic": (baselines.rfm_logistic(earlier, silent(earlier), active), True),
        "recency_rule": (baselines.recency_rule(columns), False),
    }
