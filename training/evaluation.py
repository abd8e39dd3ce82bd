"""What the models are worth: each beside its baselines on later customers that no fit has seen, with intervals."""

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from training import baselines, metrics
from training.baselines import columns_of
from training.dataset import Past, slices
from training.fitting import (
    active_rows,
    fit_churn,
    fit_inputs,
    fit_next_purchase,
    fit_recommender,
    fit_value,
    in_steps,
    place,
    silent,
    too_small,
    value_window,
)
from training.labels import VALUE_DAYS, expect_complete
from training.models.inputs import Inputs
from training.models.next_purchase import HORIZONS, NextPurchase
from training.models.recommender import Recommender, als_lists, frequency_lists, popular_lists

Matrix = NDArray[np.float64]

RESAMPLES = int(os.environ.get("OKAERI_RESAMPLES", "200"))  # a long run is the same report with a larger N
PRODUCT_DAYS = 30
CHURN_METRICS: dict[str, Callable[..., float]] = {
    "auc": metrics.auc,
    "pr_auc": metrics.pr_auc,
    "lift_at_10pct": metrics.lift_at,
    "brier": metrics.brier,
    "ece": metrics.ece,
}
RANK_ONLY = ("auc", "pr_auc", "lift_at_10pct")
VALUE_METRICS: dict[str, Callable[..., float]] = {
    "spearman": metrics.spearman,
    "ngini": metrics.ngini,
    "decile_mape": metrics.decile_mape,
    "bias": metrics.bias,
}


@dataclass(frozen=True)
class Row:
    """One figure of a report: ours is called ``okaeri``; the interval is 95 %, over customers."""

    question: str
    method: str
    cutoff: str
    slice: str
    metric: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Report:
    """All figures of one held-back evaluation, and the churn predictions its plots are drawn from."""

    rows: tuple[Row, ...]
    churn_truth: Matrix
    churn_predicted: Matrix
    skipped: tuple[str, ...]  # questions the history is too short to judge, with the reason

    def as_list(self) -> list[dict[str, Any]]:
        """Give the rows as plain dictionaries, NaN as ``None``."""
        return as_rows(self.rows)

    def value(self, question: str, method: str, metric: str) -> Row | None:
        """Find one figure; ``None`` if it was not judged."""
        found = (r for r in self.rows if (r.question, r.method, r.metric) == (question, method, metric))
        return next(found, None)


def as_rows(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Give rows as plain dictionaries, NaN as ``None``."""
    return [{k: None if v != v else v for k, v in asdict(row).items()} for row in rows]


@dataclass(frozen=True)
class Judged:
    """One question at one cut-off: its rows, or why it cannot be judged; for churn what the plots need."""

    rows: tuple[Row, ...] = ()
    why_not: str = ""
    truth: Matrix = field(default_factory=lambda: np.empty(0))
    predicted: Matrix = field(default_factory=lambda: np.empty(0))


def evaluate(past: Past, until: int) -> Report:
    """Judge models fitted on the past alone at the newest cut-offs whose outcomes are known at ``until``.

    Questions the history is too short for are left out and said so.
    """
    horizon = in_steps(past.horizon)
    churn = judge_churn(past, until - horizon, until)
    others = (
        judge_next_purchase(past, until - horizon, until),
        judge_value(past, until - in_steps(VALUE_DAYS), until),
        judge_recommender(past, until - PRODUCT_DAYS, until),
    )
    every = (churn, *others)
    skipped = tuple(dict.fromkeys(judged.why_not for judged in every if judged.why_not))
    return Report(tuple(row for judged in every for row in judged.rows), churn.truth, churn.predicted, skipped)


def judge_churn(past: Past, test: int, until: int) -> Judged:
    """Judge churn within the shop's horizon, for the customers active at ``test``."""
    horizon = past.horizon
    expect_complete(past.shop, test, horizon, until)
    if why := too_small(past, test):
        return Judged(why_not=f"churn at {past.shop.calendar.date(test)}: {why}")
    active = active_rows(past.rows([test], until), past.shop)
    scores = _churn_scores(past, fit_inputs(past, test), active, test, horizon)
    truth, cutoff = silent(active), str(past.shop.calendar.date(test))
    rows = [
        _row("churn", method, cutoff, name, metric, truth[who], score[who], slice=part)
        for part, who in slices(active)
        for method, (score, is_probability) in scores.items()
        for name, metric in CHURN_METRICS.items()
        if is_probability or name in RANK_ONLY
    ]
    return Judged(tuple(rows), "", truth, scores["okaeri"][0])


def _churn_scores(
    past: Past, inputs: Inputs, active: pd.DataFrame, test: int, horizon: int
) -> dict[str, tuple[Matrix, bool]]:
    """Score churn by every method; the flag tells whether the score is a probability."""
    columns = columns_of(active, inputs.features)
    earlier = active_rows(past.rows(place(past.shop, test, horizon).train, test), past.shop)
    return {
        "okaeri": (fit_churn(past, inputs, test).predict(inputs.matrix(columns)), True),
        "bg_nbd": (baselines.bg_nbd_no_order(inputs.btyd, columns, horizon), True),
        "rfm_logistic": (baselines.rfm_logistic(earlier, silent(earlier), active), True),
        "recency_rule": (baselines.recency_rule(columns), False),
    }


def _row(
    question: str,
    method: str,
    cutoff: str,
    name: str,
    metric: Callable[..., float],
    *arrays: Matrix,
    slice: str = "all",
) -> Row:
    interval = metrics.bootstrap(metric, *arrays, n=RESAMPLES)
    return Row(question, method, cutoff, slice, name, *interval, n=len(arrays[0]))


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
    return Judged(tuple(rows))


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
            rows += [_row("next-purchase", m, cutoff, f"auc_{h}d", metrics.auc, came, p) for m, p in by.items()]
    quantiles = model.quantiles(x)
    middle = {
        "okaeri": np.nan_to_num(quantiles[:, 1], nan=horizon),
        "bg_nbd": baselines.bg_nbd_days(inputs.btyd, columns, horizon),
        "own_gap": baselines.own_gap_days(columns, horizon),
    }

    def capped_error(days: Matrix, predicted: Matrix) -> float:
        return metrics.mae_days(days, predicted, horizon)

    rows += [_row("next-purchase", m, cutoff, "mae_days", capped_error, days, p) for m, p in middle.items()]
    order = {"okaeri": model.location(x), "bg_nbd": middle["bg_nbd"], "own_gap": middle["own_gap"]}
    rows += [_row("next-purchase", m, cutoff, "c_index", metrics.c_index, days, observed, p) for m, p in order.items()]
    low, high = (np.nan_to_num(quantiles[:, column], nan=np.inf) for column in (0, 2))
    rows.append(_row("next-purchase", "okaeri", cutoff, "coverage_p10_p90", metrics.coverage, days, low, high))
    return rows


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
        _row("value", method, cutoff, name, metric, truth[who], predicted[who], slice=part)
        for part, who in slices(frame)
        for method, predicted in by.items()
        for name, metric in VALUE_METRICS.items()
    ]
    return Judged(tuple(rows))


def judge_recommender(past: Past, test: int, until: int) -> Judged:
    """Judge the ten products shown at ``test`` against what was bought in the 30 days after."""
    shop = past.shop
    known = past.purchases(test)
    if known.empty:
        return Judged(why_not=f"recommender at {shop.calendar.date(test)}: nothing had been bought yet")
    model = fit_recommender(shop, known, test)
    bought = past.bought_after(test, PRODUCT_DAYS, until)
    bought = bought[bought.product_id.isin(model.product_ids)]
    customers = np.array(sorted(set(bought.customer_id) & set(known.customer_id)), dtype=str)
    if not len(customers):
        return Judged(why_not=f"recommender at {shop.calendar.date(test)}: nobody known bought a known product")
    row = np.searchsorted(customers, bought.customer_id.to_numpy(dtype=str))
    inside = (row < len(customers)) & (
        customers[np.minimum(row, len(customers) - 1)] == bought.customer_id.to_numpy(dtype=str)
    )
    column = np.searchsorted(model.product_ids, bought.product_id.to_numpy(dtype=str))
    truth = sparse.csr_matrix(
        (np.ones(inside.sum()), (row[inside], column[inside])), shape=(len(customers), len(model.product_ids))
    )
    lists = _lists(model, known, test, customers)
    cutoff = str(shop.calendar.date(test))
    rows = []
    for method, ranked in lists.items():
        for name, metric in (
            ("recall_at_10", metrics.recall_at),
            ("ndcg_at_10", metrics.ndcg_at),
            ("phr_at_10", metrics.phr_at),
        ):
            rows.append(
                _row(
                    "recommender",
                    method,
                    cutoff,
                    name,
                    lambda v: float(np.mean(v)),
                    metric(ranked, truth, 10),
                )
            )
    return Judged(tuple(rows))


def _lists(
    model: Recommender, known: pd.DataFrame, test: int, customers: NDArray[np.str_]
) -> dict[str, NDArray[np.int32]]:
    """Give each method's ten products per customer, as positions in ``model.product_ids``."""
    shown = model.recommend(known, test, list(customers), 10)
    ours = np.full((len(customers), 10), -1, np.int32)
    at = np.searchsorted(customers, shown.customer_id.to_numpy(dtype=str)), shown["rank"].to_numpy() - 1
    ours[at] = np.searchsorted(model.product_ids, shown.product_id.to_numpy(dtype=str))
    history = model.history(known, test, list(customers))
    methods = {"personal_frequency": frequency_lists, "als": als_lists, "popular": popular_lists}
    return {"okaeri": ours} | {name: lists(model, history, 10)[0] for name, lists in methods.items()}
