"""Baselines that remember every basket: TIFU-KNN, UP-CF and plain frequencies. They need other customers at hand.

Li et al. (2023), "A Next Basket Recommendation Reality Check", ACM TOIS 41(4): simple methods that repeat what a
customer bought beat most neural ones, so these are what a recommender must beat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from training.evaluation.panel import Panel, Scores
from training.models.recommender.history import positions

# Hu et al. (2020), "Modeling Personalized Item Frequency Information for Next-basket Recommendation", SIGIR. Of three
# published settings the best on Complete Journey at 2017-08-14, NDCG@10 (2026-11-24): .4554; (3, .9, .6, .2, 900)
# .4071, (3, .9, .7, .9, 900) .4297.
GROUP, WITHIN, BETWEEN, OWN_SHARE, NEIGHBOURS = 7, 0.9, 0.7, 0.7, 300
# Faggioli, Polato and Aiolli (2020), "Recency Aware Collaborative Filtering for Next Basket Recommendation", UMAP. The
# same day: .4521; 5 and 100 recent baskets .3763, .4503; locality 1 and 10 .2407, .4512; asymmetry .25 .4515.
RECENT, ASYMMETRY, LOCALITY = 25, 0.5, 5
MOST_OTHERS = 5000  # customers a neighbour is looked for among


@dataclass(frozen=True)
class Baskets:
    """Every customer's order days: entry k is product ``item`` of ``customer`` on their ``nth`` last."""

    customer: NDArray[np.intp]
    item: NDArray[np.intp]  # column of the panel
    nth: NDArray[np.int64]  # 0 the last
    n_days: NDArray[np.int64]  # order days of each customer

    @classmethod
    def of(cls, panel: Panel, days: pd.DataFrame) -> Baskets:
        """Number the order days of each customer (``customer_id``, ``product_id``, ``day``) of a panel."""
        visits = days[["customer_id", "day"]].drop_duplicates().sort_values(["customer_id", "day"])
        visits["nth"] = visits.groupby("customer_id").cumcount(ascending=False)
        rows = days.merge(visits, on=["customer_id", "day"])
        customer = positions(rows.customer_id, pd.Index(panel.everyone_ids))
        item = positions(rows.product_id, panel.model.catalogue.index[panel.columns])
        on = (customer >= 0) & (item >= 0)
        counts = visits.groupby("customer_id").size().reindex(panel.everyone_ids).fillna(0)
        nth, n_days = (np.asarray(column, np.int64) for column in (rows.nth, counts))
        return cls(customer[on], item[on], nth[on], n_days)

    def weighed(self, weight: NDArray[np.float64], n_items: int) -> sparse.csr_matrix:
        """Sum a weight per entry by customer and product, (n_customers, n_items)."""
        cells = weight.astype(np.float32), (self.customer, self.item)
        return sparse.csr_matrix(cells, shape=(len(self.n_days), n_items))


def tifu_knn(panel: Panel, baskets: Baskets) -> Callable[[slice], Scores]:
    """Score by a customer's own decayed frequencies and those of the most similar customers.

    Baskets stand in groups of seven, counted from the last; a group weighs .7 of the one after it, a basket .9 of
    the next in its group.
    """
    group, place = np.divmod(baskets.nth, GROUP)
    n_groups = -(-baskets.n_days // GROUP)
    weight = BETWEEN**group * WITHIN**place / (GROUP * n_groups[baskets.customer])
    vectors = baskets.weighed(weight, len(panel.columns))
    others = vectors[_others(panel)]
    norms = np.asarray(others.multiply(others).sum(axis=1)).ravel()

    def scores(block: slice) -> Scores:
        mine = vectors[panel.judged[block]]
        closeness = 2 * (mine @ others.T).toarray() - norms  # minus the squared distance, but for a constant
        nearest = _strongest(closeness, NEIGHBOURS)
        theirs = (sparse.csr_matrix(nearest / nearest.sum(axis=1, keepdims=True)) @ others).toarray()
        return np.asarray(OWN_SHARE * mine.toarray() + (1 - OWN_SHARE) * theirs, np.float32)

    return scores


def up_cf(panel: Panel, baskets: Baskets) -> Callable[[slice], Scores]:
    """Score by the share of recent baskets that hold a product, summed over customers by how alike they are."""
    window = np.minimum(baskets.n_days, RECENT)
    recent = baskets.nth < RECENT
    share = baskets.weighed(recent / np.maximum(window, 1)[baskets.customer], len(panel.columns))
    owned = baskets.weighed(np.ones(len(baskets.item)), len(panel.columns))
    owned.data[:] = 1
    rows = _others(panel)
    others, theirs = owned[rows], share[rows].T.tocsr()
    size = np.diff(owned.indptr).astype(np.float64)

    def scores(block: slice) -> Scores:
        mine = panel.judged[block]
        shared = (owned[mine] @ others.T).toarray()
        scale = np.outer(np.maximum(size[mine], 1) ** ASYMMETRY, np.maximum(size[rows], 1) ** (1 - ASYMMETRY))
        alike = ((shared / scale) ** LOCALITY).astype(np.float32)
        return np.asarray((theirs @ alike.T).T, np.float32)

    return scores


def personal_counts(panel: Panel, baskets: Baskets) -> Callable[[slice], Scores]:
    """Score by how many of a customer's baskets held a product (P-TopFreq)."""
    counts = baskets.weighed(np.ones(len(baskets.item)), len(panel.columns))
    return lambda block: counts[panel.judged[block]].toarray().astype(np.float32)


def _others(panel: Panel) -> NDArray[np.intp]:
    """Name the customers that may be neighbours, spread over all."""
    n = len(panel.everyone)
    return np.arange(0, n, -(-n // MOST_OTHERS))


def _strongest(closeness: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Mark each row's ``n`` largest with 1.0, the others with 0.0."""
    n = min(n, closeness.shape[1])
    out = np.zeros(closeness.shape)
    np.put_along_axis(out, np.argpartition(-closeness, n - 1, axis=1)[:, :n], 1.0, axis=1)
    return out
