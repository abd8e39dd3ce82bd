"""The products shown, judged by what was bought afterwards."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from training import metrics
from training.dataset import Past
from training.evaluation.rows import EVERYONE, Figure, Judged
from training.fitting import fit_recommender
from training.models.recommender import Recommender, als_lists, frequency_lists, popular_lists

PRODUCT_DAYS = 30
PER_CUSTOMER = {"recall_at_10": metrics.recall_at, "ndcg_at_10": metrics.ndcg_at, "phr_at_10": metrics.phr_at}


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
    figures = [
        Figure(
            *("recommender", method, cutoff, EVERYONE, name, _mean),
            arrays=(metric(ranked, truth, 10),),
            customers=customers,
        )
        for method, ranked in lists.items()
        for name, metric in PER_CUSTOMER.items()
    ]
    return Judged(tuple(figures))


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values))


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
