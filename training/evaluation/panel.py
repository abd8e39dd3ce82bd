"""Who is asked about which products: the same customers and the same truth for every method."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from training.models.recommender.candidates import Hidden
from training.models.recommender.history import C_DAYS, C_IDLE, N_DAYS, History, positions
from training.models.recommender.model import Recommender

Lists = NDArray[np.int32]
Scores = NDArray[np.float32]

# The bar was measured on products bought at least 15 times before (14,947 of Complete Journey at 2017-12-02; 14,994
# here) by customers who are active; where fewer than 50 products are bought so often, all count.
FEWEST_PURCHASES, FEWEST_PRODUCTS = 15, 50
LISTED = 20  # metrics look at the first 10 and 20
MOST_JUDGED = 5000  # customers; an interval of so many is narrow enough
BLOCK = 256


@dataclass(frozen=True)
class Panel:
    """Customers, the products in question, and what each bought afterwards."""

    model: Recommender
    everyone: History  # of all customers known, ``everyone_ids``
    everyone_ids: NDArray[np.object_]
    judged: NDArray[np.intp]  # which of everyone
    columns: NDArray[np.intp]  # products in question, positions in the catalogue
    truth: sparse.csr_matrix  # (n_judged, n_columns)

    @classmethod
    def of(
        cls, model: Recommender, known: pd.DataFrame, day: int, bought: pd.DataFrame,
        is_wanted: Callable[[History], NDArray[np.bool_]], is_whole: bool = False,
    ) -> Panel:  # fmt: skip
        """Ask about the customers wanted who bought any product in question; ``is_whole``: about every product."""
        ids = np.sort(known["customer_id"].unique().astype(object))
        everyone = model.history(known, day, ids)
        counts = np.bincount(everyone.items, everyone.values[:, N_DAYS], len(model.product_ids))
        often = np.flatnonzero(counts >= FEWEST_PURCHASES)
        columns = np.flatnonzero(counts > 0) if is_whole or len(often) < FEWEST_PRODUCTS else often
        row = positions(bought["customer_id"], pd.Index(ids))
        item = positions(bought["product_id"], model.catalogue.index)
        place = np.full(len(model.product_ids) + 1, -1)
        place[columns] = np.arange(len(columns))
        inside = (row >= 0) & (place[item] >= 0)
        cells = np.ones(inside.sum()), (row[inside], place[item][inside])
        truth = sparse.csr_matrix(cells, shape=(len(ids), len(columns)))
        judged = np.flatnonzero((np.diff(truth.indptr) > 0) & is_wanted(everyone))
        judged = judged[:: -(-len(judged) // MOST_JUDGED)] if len(judged) else judged
        return cls(model, everyone, ids, judged, columns, truth[judged])

    def __len__(self) -> int:
        return len(self.judged)

    @property
    def customers(self) -> NDArray[np.object_]:
        """Who is judged."""
        return self.everyone_ids[self.judged]

    @cached_property
    def history(self) -> History:
        return self.everyone.take(self.judged)

    @cached_property
    def own(self) -> sparse.csr_matrix:
        """What each had bought before, (n_judged, n_columns), > 0."""
        own: sparse.csr_matrix = self.history.matrix(N_DAYS, len(self.model.product_ids))[:, self.columns]
        return own

    @cached_property
    def new_truth(self) -> sparse.csr_matrix:
        """What each bought for the first time."""
        before = self.own.copy()
        before.data[:] = 1
        new: sparse.csr_matrix = (self.truth - self.truth.multiply(before)).tocsr()
        new.eliminate_zeros()
        return new

    @cached_property
    def popularity(self) -> Scores:
        """How much each product is bought of late: the order of the popular, and what breaks ties."""
        facts = self.model.catalogue.facts[self.columns, 0]
        return np.asarray(facts / max(float(facts.max(initial=0)), 1e-12), np.float32)

    def blocks(self) -> Iterator[slice]:
        for at in range(0, len(self), BLOCK):
            yield slice(at, min(at + BLOCK, len(self)))

    def ranked(self, scores: Callable[[slice], Scores]) -> tuple[Lists, Lists]:
        """Turn scores (n_block, n_columns) into lists of columns: of all products, and of those new to the customer."""
        both = [[], []]  # type: list[list[Lists]]
        for block in self.blocks():
            score = scores(block) + np.float32(1e-6) * self.popularity
            both[0].append(_best(score))
            own = self.own[block]
            score[np.repeat(np.arange(own.shape[0]), np.diff(own.indptr)), own.indices] = -np.inf
            both[1].append(_best(score))
        return np.vstack(both[0]), np.vstack(both[1])

    def ours(self, day: int) -> tuple[Lists, Lists]:
        """Give the recommender's own lists, the products in question among them."""
        n_items = len(self.model.product_ids)
        place = np.full(n_items + 1, -1, np.int32)
        place[self.columns] = np.arange(len(self.columns))
        own = self.history.matrix(N_DAYS, n_items)
        out = []
        for unwanted in (sparse.csr_matrix(own.shape), own):
            hidden = Hidden(unwanted, place[:n_items] < 0)
            lists = [place[self.model.ranked(self.history[b], day, hidden[b], LISTED)[0]] for b in self.blocks()]
            out.append(np.vstack(lists))
        return out[0], out[1]


def active(min_order_days: int, lookback_days: int) -> Callable[[History], NDArray[np.bool_]]:
    """Tell which customers are active, as :func:`training.dataset.is_active` does."""

    def is_active(history: History) -> NDArray[np.bool_]:
        customers = history.customers
        return (customers[:, C_DAYS] >= min_order_days) & (customers[:, C_IDLE] <= lookback_days)

    return is_active


def anybody(history: History) -> NDArray[np.bool_]:
    return np.ones(len(history), np.bool_)


def _best(score: Scores) -> Lists:
    """Give the best columns of each row, the lower column first of equals; -1 where none is left."""
    n = min(LISTED, score.shape[1])
    some = np.sort(np.argpartition(-score, n - 1, axis=1)[:, :n], axis=1)
    order = np.argsort(-np.take_along_axis(score, some, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(some, order, axis=1)
    lists = np.where(np.isneginf(np.take_along_axis(score, best, axis=1)), -1, best)
    return np.pad(lists, ((0, 0), (0, LISTED - n)), constant_values=-1).astype(np.int32)
