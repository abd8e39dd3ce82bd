"""One pure function from what is known, a release and a policy to answers; the night and the service both call it.

It works on columns, one customer or a million. Nothing is read here: no clock, no store, no file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import catalog
from serving.policy.candidates import Lifts, Worth
from serving.policy.decisions import Decisions, Night, Purse, decide
from serving.policy.moment import Moment
from serving.policy.rules import Lifecycle, Policy
from serving.policy.situation import Situation
from serving.policy.spans import DAY
from training.dataset import is_active
from training.models.inputs import winsorised
from training.models.next_purchase import HORIZONS
from training.models.predicted import Predicted
from training.release import Release

Matrix = NDArray[np.float64]
Words = NDArray[np.object_]
Flags = NDArray[np.bool_]

BANDS = np.array(["low", "watch", "high", "critical"], dtype=object)
VALUES = ("predicted_90d", "predicted_365d", "low_365d", "high_365d")
NOTHING_SPENT = Purse()
FRESH_DAYS = 1  # faults.md D6: features older than a day and two hours are stale; ours are whole days


@dataclass(frozen=True)
class Rows:
    """What is known of the customers asked about, one position each."""

    customer_id: Words
    found: Flags  # known to the feature store
    feature_day: NDArray[np.int64]  # the business day as of whose start the features stand; 0 where not found
    columns: dict[str, Matrix]  # the stored features by name, NaN where not found
    around: Situation


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
    facts: dict[str, NDArray[Any]]  # what is said of them by the names of customer_scores, as filters read it
    decisions: Decisions
    inputs: Matrix | None  # (n_scored, k) the models' matrix, for reasons; None where only a prior answers


def answers(
    rows: Rows,
    release: Release,
    policy: Policy,
    moment: Moment,
    late_tables: Sequence[str] = (),
    purse: Purse = NOTHING_SPENT,
    night: Night | None = None,
) -> Answers:
    """Answer for every customer as of the start of the moment's business day, and decide what each gets from it on.

    Parameters
    ----------
    late_tables
        The shop's tables that have not come when expected.
    purse
        What was spent before; live, the night's prices.
    night
        What the night has settled for them already.

    Raises
    ------
    KeyError
        If ``rows`` lack a feature the release reads; the store's schema check comes before.
    """
    day = moment.day
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
    dormant = _dormant_days(rows.around.words.get("category"), len(scored), policy.lifecycle)
    lifecycle = _lifecycle(features, has_orders, ratio, policy.lifecycle, dormant)
    active = scored & is_active(features, release.facts["min_order_days"])
    judged = active & ~np.isin(lifecycle, ("dormant", "lapsed"))
    predicted, inputs = _predict(features, scored, release)
    kept, lost = release.models.kept_and_lost
    churn = np.where(judged, predicted.churn, np.nan)
    said = {
        "customer_id": rows.customer_id,
        "status": _status(rows, has_orders, opted_out, moment.now_day),
        "order_count": np.where(rows.found, features["orders_all"], np.nan),
        "f_stage": _stage(rows.found, features["orders_all"]),
        "lifecycle": _known(lifecycle, rows.found),
        "churn_probability": churn,
        "churn_band": _band(churn, policy),
        "churn_percentile": _percentile(churn, release),
        "silence_ratio": ratio,
        "overdue_days": np.where(scored, np.maximum(silence - gap, 0.0), np.nan),
        "clv_historic": np.where(scored, rows.columns["revenue_total"], np.nan),
        "clv_grade": _grade(predicted.clv[:, 1], release),
        "at_risk_365d": churn * predicted.clv[:, 1] * (kept - lost),
        "promo_share": np.where(scored, features["promo_share"], np.nan),
        "is_bot": bot,
    }
    facts = said | _further_facts(features, predicted, rows.around, day)
    revenue = np.where(scored, features["mean_order_day_revenue"], np.nan)
    chance = predicted.next_order[:, HORIZONS.index(policy.window_days)]
    worth = Worth(chance, revenue, np.maximum(np.nan_to_num(revenue), 0.0) * purse.margin_of(policy))
    decisions = decide(
        policy, features | facts, rows.around, worth, rows.customer_id, moment, release.facts["currency"], purse,
        _lifts(release, features, scored), late_tables, night,
    )  # fmt: skip
    return Answers(
        customer_id=rows.customer_id,
        day=day,
        status=said["status"],
        features=features,
        feature_day=rows.feature_day,
        scored=scored,
        active=active,
        order_count=said["order_count"],
        f_stage=said["f_stage"],
        lifecycle=said["lifecycle"],
        churn=churn,
        band=said["churn_band"],
        percentile=said["churn_percentile"],
        silence_ratio=ratio,
        next_order=predicted.next_order,
        next_days=predicted.next_days,
        overdue_days=said["overdue_days"],
        clv=predicted.clv,
        historic=said["clv_historic"],
        grade=said["clv_grade"],
        at_risk=said["at_risk_365d"],
        promo_share=said["promo_share"],
        bot=bot,
        late_tables=tuple(late_tables),
        facts=facts,
        decisions=decisions,
        inputs=inputs,
    )


def _further_facts(
    features: Mapping[str, Matrix], predicted: Predicted, around: Situation, day: int
) -> dict[str, NDArray[Any]]:
    """Give what else a filter may ask: chances, dates as numbers of days, value, subscription, membership."""
    dates = day + np.ceil(predicted.next_days) - 1
    running = features.get("subscriptions_active", np.zeros(around.n))
    return {
        "days_since_last_order": features["days_since_last_order"],
        "usual_gap_days": features["gap_days_mean"],
        **{f"next_order_p_{h}d": predicted.next_order[:, place] for place, h in enumerate(HORIZONS)},
        **{f"next_order_{name}": dates[:, place] for place, name in enumerate(("earliest", "expected", "latest"))},
        **{f"clv_{name}": predicted.clv[:, place] for place, name in enumerate(VALUES)},
        "subscription_active": running > 0,
        **around.numbers,
        **around.words,
    }


def _lifts(release: Release, features: Mapping[str, Matrix], scored: Flags) -> Lifts:
    """Ask what the shop's own experiments have shown of each offer; nothing where there were none."""
    return {}


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


def _lifecycle(
    features: dict[str, Matrix], has_orders: Flags, ratio: Matrix, edges: Lifecycle, dormant: Matrix
) -> Words:
    """Name the stage of life: silence first, then a customer's own rhythm, then what is new.

    ``dormant`` are the days after which each is dormant.
    """
    silence, age = features["days_since_last_order"], features["days_since_first_order"]
    overdue = ratio >= edges.at_risk.silence_ratio
    with np.errstate(invalid="ignore"):
        conditions = [
            ~has_orders,
            silence > dormant * edges.lapsed.dormant_times,
            silence > dormant,
            overdue & (features["n_order_days"] >= 3),
            age <= edges.first_order_window / DAY,
            (features["gap_days_last"] > dormant) & (silence <= edges.reactivated.for_ / DAY),
            overdue,
        ]
    names = ["prospect", "lapsed", "dormant", "at_risk", "new", "reactivated", "at_risk"]
    return np.select(conditions, names, "active").astype(object)


def _dormant_days(category: Words | None, n: int, edges: Lifecycle) -> Matrix:
    """Give after how many days without an order each customer is dormant, by the category they buy from most."""
    days = np.full(n, edges.dormant.default / DAY)
    if category is None:
        return days
    for name, span in edges.dormant.by_category.items():
        held = {word for word in set(category.tolist()) if word is not None and name in str(word).split(" > ")}
        days[np.array([word in held for word in category], np.bool_)] = span / DAY
    return days


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
