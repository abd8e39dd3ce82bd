"""Two methods on the very same customers: by how much one is better, with the interval of the difference."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training import metrics
from training.dataset import Past
from training.evaluation.measures import measures
from training.evaluation.rows import Matrix, Sample
from training.metrics import Interval
from training.models.recommender import Recommender

TOP = 10  # products shown


JUDGED = ("churn", "next-purchase", "second-order", "value")
NAMES = {question: tuple(measures(question, 90)) for question in JUDGED}
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
    measure = measures(sample.question, sample.horizon_days, sample.observed_days)[name]
    truth = tuple(outcome[who] for outcome in measure.outcome(sample.frame))
    (word,) = measure.says
    both = ours[word][who], theirs[word][who]
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
