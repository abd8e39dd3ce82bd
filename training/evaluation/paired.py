"""Two methods on the very same customers: by how much one is better, with the interval of the difference."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training import metrics
from training.dataset import Past
from training.evaluation.rows import Matrix, Sample
from training.fitting import silent
from training.metrics import Interval
from training.models.recommender import Recommender

TOP = 10  # products shown


@dataclass(frozen=True)
class Measure:
    """One figure: what it takes of the outcomes, what of the method's words, and whether more is better."""

    outcome: Callable[[pd.DataFrame], tuple[NDArray[np.generic], ...]]
    says: str
    metric: Callable[..., float]
    more_is_better: bool = True


def _silent(frame: pd.DataFrame) -> tuple[NDArray[np.generic], ...]:
    return (silent(frame),)


def _days(frame: pd.DataFrame) -> tuple[NDArray[np.generic], ...]:
    return (frame.days_to_next.to_numpy(),)


def _days_and_seen(frame: pd.DataFrame) -> tuple[NDArray[np.generic], ...]:
    return frame.days_to_next.to_numpy(), ~frame.is_censored.to_numpy(dtype=bool)


def _revenue(frame: pd.DataFrame) -> tuple[NDArray[np.generic], ...]:
    return (frame.revenue_90d.to_numpy(),)


def measures(question: str, horizon_days: int) -> dict[str, Measure]:
    """Give a question's figures by name."""

    def capped(days: Matrix, predicted: Matrix) -> float:
        return metrics.mae_days(days, predicted, horizon_days)

    return {
        "churn": {
            "auc": Measure(_silent, "probability", metrics.auc),
            "pr_auc": Measure(_silent, "probability", metrics.pr_auc),
            "lift_at_10pct": Measure(_silent, "probability", metrics.lift_at),
            "brier": Measure(_silent, "probability", metrics.brier, more_is_better=False),
            "ece": Measure(_silent, "probability", metrics.ece, more_is_better=False),
        },
        "next-purchase": {
            "mae_days": Measure(_days, "middle", capped, more_is_better=False),
            "c_index": Measure(_days_and_seen, "location", metrics.c_index),
        },
        "value": {"spearman": Measure(_revenue, "revenue", metrics.spearman)},
    }[question]


NAMES = {question: tuple(measures(question, 1)) for question in ("churn", "next-purchase", "value")}
NAMES["recommender"] = ("ndcg_at_10",)


def gain(
    sample: Sample,
    name: str,
    ours: Mapping[str, Matrix],
    theirs: Mapping[str, Matrix],
    who: NDArray[np.bool_],
    resamples: int,
) -> Interval:
    """Give by how much ``ours`` is better than ``theirs`` among ``who`` (masks the sample): above zero is better."""
    measure = measures(sample.held.question, sample.horizon_days)[name]
    truth = tuple(outcome[who] for outcome in measure.outcome(sample.frame))
    both = ours[measure.says][who], theirs[measure.says][who]
    value, low, high = metrics.paired_bootstrap(measure.metric, truth, *both, n=resamples)
    return Interval(value, low, high) if measure.more_is_better else Interval(-value, -high, -low)


def shown_gain(
    past: Past, day: int, until: int, ours: Recommender, theirs: Recommender, resamples: int
) -> tuple[Interval, int]:
    """Give by how much better ``ours`` orders the ten products shown on ``day``: NDCG@10 per buyer, with how many.

    What counts is what was bought in the days after, of the products that had been bought before.
    """
    known = past.purchases(day)
    bought = past.bought_after(day, 30, until)
    bought = bought[bought.product_id.isin(known.product_id) & bought.customer_id.isin(known.customer_id)]
    if bought.empty:
        return Interval(float("nan"), float("nan"), float("nan")), 0
    scores = [_ndcg(model, known, day, bought) for model in (ours, theirs)]
    return metrics.bootstrap(lambda a, b: float(np.mean(a - b)), *scores, n=resamples), len(scores[0])


def _ndcg(model: Recommender, known: pd.DataFrame, day: int, bought: pd.DataFrame) -> Matrix:
    """Give each buyer's NDCG, in the order of their ids."""
    buyers = sorted(bought.customer_id.unique())
    shown = model.recommend(known, day, buyers, TOP)
    hits = shown.merge(bought[["customer_id", "product_id"]].drop_duplicates(), on=["customer_id", "product_id"])
    found = (1 / np.log2(hits["rank"] + 1)).groupby(hits.customer_id).sum().reindex(buyers, fill_value=0.0)
    n_bought = bought.groupby("customer_id").product_id.nunique().reindex(buyers).to_numpy()
    best = np.cumsum(1 / np.log2(np.arange(2, TOP + 2)))[np.minimum(n_bought, TOP) - 1]
    return np.asarray(found.to_numpy() / best, np.float64)
