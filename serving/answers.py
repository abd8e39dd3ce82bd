"""One pure function from what is known, a release and a policy to answers; the night and the service both call it.

It works on columns, one customer or a million. Nothing is read here: no clock, no store, no file.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features import catalog
from serving.policy.candidates import Candidates, Reached, candidates, choose
from serving.policy.guards import guard_states, in_control, reachable, sending_allowed
from serving.policy.rules import LifecycleEdges, Policy
from training.dataset import is_active
from training.models.inputs import winsorised
from training.models.next_purchase import HORIZONS
from training.models.predicted import Predicted
from training.release import Release

Matrix = NDArray[np.float64]
Words = NDArray[np.object_]
Flags = NDArray[np.bool_]

BANDS = np.array(["low", "watch", "high", "critical"], dtype=object)
FRESH_DAYS = 1  # faults.md D6: features older than a day and two hours are stale; ours are whole days


@dataclass(frozen=True)
class Rows:
    """What is known of the customers asked about, one position each."""

    customer_id: Words
    found: Flags  # known to the feature store
    feature_day: NDArray[np.int64]  # the business day as of whose start the features stand; 0 where not found
    columns: dict[str, Matrix]  # the stored features by name, NaN where not found
    due_in_days: Matrix  # until the next product runs out; NaN where none is expected


@dataclass(frozen=True)
class Answers:
    """Everything that is answered, one position per customer; NaN or ``None`` where there is no answer."""

    customer_id: Words
    day: int
    status: Words
    features: dict[str, Matrix]  # stored and derived, as of `day`; a bot's within what people do
    feature_day: NDArray[np.int64]
    scored: Flags  # has an order and did not opt out
    active: Flags
    order_count: Matrix
    f_stage: Words
    lifecycle: Words
    churn: Matrix  # P(no kept order within the horizon); NaN unless active and neither dormant nor lapsed
    band: Words
    percentile: Matrix
    silence_ratio: Matrix
    next_order: Matrix  # (n, 5) P(order within HORIZONS)
    next_days: Matrix  # (n, 3) p10, p50, p90 in days from `day`
    overdue_days: Matrix
    clv: Matrix  # (n, 4) 90 days, 365 days, its low and high
    historic: Matrix
    grade: Matrix
    at_risk: Matrix
    promo_share: Matrix
    bot: Flags  # more lines than any person: scored, but not to be taken at its word
    late_tables: tuple[str, ...]  # not come when expected; their guards are not checked
    reached: Reached  # per channel who may be written to over it; None where the shop does not say
    candidates: Candidates
    guards: NDArray[np.int8]  # (n, len(GUARDS))
    control: Flags
    allowed: Flags
    choice: NDArray[np.intp]  # into candidates.options
    inputs: Matrix | None  # (n_scored, k) the models' matrix, for reasons; None where only a prior answers


def answers(
    rows: Rows, release: Release, policy: Policy, day: int, now_day: int, late_tables: Sequence[str] = ()
) -> Answers:
    """Answer for every customer as of the start of business day ``day``, asked on ``now_day`` (never later).

    Parameters
    ----------
    late_tables
        The shop's tables that have not come when expected.

    Raises
    ------
    KeyError
        If ``rows`` lack a feature the release reads; the store's schema check comes before.
    """
    bot = rows.columns["is_bot"] == 1
    columns = winsorised(rows.columns, bot, release.facts["caps"])
    features = columns | catalog.derive(columns, float(day), release.facts["tables"])
    with np.errstate(invalid="ignore"):
        has_orders = rows.found & (features["order_days_all"] >= 1)
    opted_out = rows.found & (features.get("consent_personalise", np.full(len(rows.found), np.nan)) == 0)
    scored = has_orders & ~opted_out
    silence = features["days_since_last_order"]
    gap = np.where(features["n_order_days"] >= 3, features["gap_days_mean"], release.models.gap_days)
    ratio = np.where(scored, silence / gap, np.nan)
    lifecycle = _lifecycle(features, has_orders, ratio, policy.lifecycle)
    active = scored & is_active(features, release.facts["min_order_days"])
    judged = active & ~np.isin(lifecycle, ("dormant", "lapsed"))
    predicted, inputs = _predict(features, scored, release)
    kept, lost = release.models.kept_and_lost
    churn = np.where(judged, predicted.churn, np.nan)
    overdue = np.maximum(silence - gap, 0.0)
    chance = predicted.next_order[:, HORIZONS.index(policy.window_days)]
    revenue = np.where(scored, features["mean_order_day_revenue"], np.nan)
    reached = reachable(features, policy)
    options = candidates(lifecycle, rows.due_in_days, chance, revenue, policy, reached)
    control = in_control(list(rows.customer_id), policy)
    guards = guard_states(features, np.where(np.isnan(silence), np.inf, silence), control, policy, late_tables)
    allowed = sending_allowed(guards, policy, late_tables) & scored
    worth = predicted.clv[:, 1] * (kept - lost)
    return Answers(
        rows.customer_id,
        day,
        _status(rows, has_orders, opted_out, now_day),
        features,
        rows.feature_day,
        scored,
        active,
        np.where(rows.found, features["orders_all"], np.nan),
        _stage(rows.found, features["orders_all"]),
        _known(lifecycle, rows.found),
        churn,
        _band(churn, policy),
        _percentile(churn, release),
        ratio,
        predicted.next_order,
        predicted.next_days,
        np.where(scored, overdue, np.nan),
        predicted.clv,
        np.where(scored, rows.columns["revenue_total"], np.nan),
        _grade(predicted.clv[:, 1], release),
        churn * worth,
        np.where(scored, features["promo_share"], np.nan),
        bot,
        tuple(late_tables),
        reached,
        options,
        guards,
        control,
        allowed,
        choose(options, allowed),
        inputs,
    )


def _predict(features: dict[str, Matrix], scored: Flags, release: Release) -> tuple[Predicted, Matrix | None]:
    """Ask the release's models about who can be scored, the rest is NaN; and give the matrix they read."""
    chosen = {name: values[scored] for name, values in features.items()}
    scores = release.models.scores
    x = scores.inputs.matrix(chosen) if scores is not None else None
    said = release.models.predict(chosen, x)
    return Predicted(**{name: _spread(values, scored) for name, values in vars(said).items()}), x


def _spread(values: Matrix, scored: Flags) -> Matrix:
    out = np.full((len(scored), *values.shape[1:]), np.nan)
    out[scored] = values
    return out


def _status(rows: Rows, has_orders: Flags, opted_out: Flags, now_day: int) -> Words:
    stale = now_day - rows.feature_day > FRESH_DAYS
    conditions = [~rows.found, opted_out, ~has_orders, stale]
    return np.select(conditions, ["unknown_customer", "opted_out", "prior_only", "stale_features"], "ok").astype(object)


def _stage(found: Flags, orders: Matrix) -> Words:
    stage = np.array(["F0", "F1", "F2", "F3plus"], dtype=object)[np.clip(np.nan_to_num(orders), 0, 3).astype(int)]
    return _known(stage, found)


def _known(words: Words, where: Flags) -> Words:
    """Keep words where there is an answer, ``None`` elsewhere."""
    out = np.full(len(where), None, dtype=object)
    out[where] = words[where]
    return out


def _lifecycle(features: dict[str, Matrix], has_orders: Flags, ratio: Matrix, edges: LifecycleEdges) -> Words:
    """Name the stage of life: silence first, then a customer's own rhythm, then what is new."""
    silence, age = features["days_since_last_order"], features["days_since_first_order"]
    with np.errstate(invalid="ignore"):
        conditions = [
            ~has_orders,
            silence > edges.dormant_days * edges.lapsed_dormant_times,
            silence > edges.dormant_days,
            (ratio >= edges.at_risk_silence_ratio) & (features["n_order_days"] >= 3),
            age <= edges.first_order_window_days,
            (features["gap_days_last"] > edges.dormant_days) & (silence <= edges.reactivated_days),
            ratio >= edges.at_risk_silence_ratio,
        ]
    names = ["prospect", "lapsed", "dormant", "at_risk", "new", "reactivated", "at_risk"]
    return np.select(conditions, names, "active").astype(object)


def _band(churn: Matrix, policy: Policy) -> Words:
    edges = [policy.bands.watch, policy.bands.high, policy.bands.critical]
    return _known(BANDS[np.searchsorted(edges, np.nan_to_num(churn), side="right")], ~np.isnan(churn))


def _percentile(churn: Matrix, release: Release) -> Matrix:
    """Rank a probability among the active customers of the release's own reference day, 0 to 100."""
    reference = np.asarray(release.facts["references"]["churn"])
    ranked = np.interp(np.nan_to_num(churn), reference, np.linspace(0, 100, len(reference)))
    return np.where(np.isnan(churn), np.nan, ranked)


def _grade(year: Matrix, release: Release) -> Matrix:
    edges = np.asarray(release.facts["references"]["clv_365d"])
    return np.where(np.isnan(year), np.nan, 1.0 + np.searchsorted(edges, np.nan_to_num(year), side="right"))
