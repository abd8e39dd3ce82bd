"""What a customer would like next: what they come back for, what others like them buy, what everybody buys.

A model is facts about products alone. A customer's taste is worked out from their own purchases at the moment
of asking ("fold-in"): a new customer needs no new training, and a release never holds a customer's id.

Every candidate gets one number, the estimated chance of being bought within 30 days, which orders the list:

    own product   logit = REPEAT_BASE + DECAYED ln(decayed) + ORDER_DAYS ln(n_order_days)
                          + IDLE ln(1 + days since last bought) + KNOWN ln(reach)
    any other     logit = NEW_BASE + TASTE (customer factors . product factors) + REACH ln(1 + reach)

``reach`` is the product's popularity in units of the average product's. Where nothing is known of a customer
the taste is 0, and the second line is the order of popularity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from numba import njit
from scipy import sparse, special

from training.models import topn
from training.models.topn import Lists

# ALS on Complete Journey at 2017-10-09 (2026-11-21), NDCG@10 of new products: weight ln(1 + decayed) .0474,
# ln(1 + order days) .0452, decayed .0460. With the first: regularisation 3, 5, 20: .0453, .0461, .0445;
# alpha 3 .0461; 25 iterations .0471; 96 factors .0477. 10 shrinks the factors of a small shop to nothing.
REGULARIZATION = 10.0
ITERATIONS = 15

# Logistic regression of "bought again by 2017-11-07" on the 687,498 customer x product rows of Complete
# Journey known at 2017-10-09 (2026-11-21). The customer's own activity and the buying cycle gained nothing.
REPEAT_BASE, DECAYED, ORDER_DAYS, IDLE, KNOWN = -2.065, 0.129, 1.070, -0.325, 0.168

# The same cut-off and day. REACH 0-0.8 was tried beside TASTE, by NDCG@10 of products not in the history:
# with all of it (281 products) .0475 without and .0479 with; with one product of it left, .119 and .183
# (popular alone .182). NEW_BASE makes the chances of the first 50 new products right on average.
NEW_BASE, TASTE, REACH = -5.020, 6.0, 0.1

SOURCES = np.array(["repeat", "als", "popular"], dtype=object)
REPEAT, ALS, POPULAR = range(3)

# Customers ranked together; it bounds the memory and changes no answer.
BLOCK = 16_384

ITEMS = "items.npz"

Ids = Sequence[str] | npt.NDArray[np.object_]


@dataclass(frozen=True)
class History:
    """What some customers bought of the catalogue: two matrices (n_customers, n_items), the same cells."""

    decayed: sparse.csr_matrix  # order days, each halved every 60 days of age, > 0
    repeat: sparse.csr_matrix  # logit of the chance that it is bought again within 30 days

    def __getitem__(self, rows: slice) -> History:
        return History(self.decayed[rows], self.repeat[rows])

    @property
    def confidence(self) -> sparse.csr_matrix:
        """The weight of each purchase in ALS: ln(1 + decayed), > 0."""
        return self.decayed.log1p().astype(np.float32)


@dataclass(frozen=True)
class Recommender:
    """What is known about each product: who likes it, as a vector, and how much it is bought of late.

    ``product_ids`` (n_items,) str, ascending; ``item_factors`` (n_items, k) float32; ``popularity``
    (n_items,) float64: the share of all recency-weighted order days, > 0, sum 1.
    """

    product_ids: npt.NDArray[np.str_]
    item_factors: npt.NDArray[np.float32]
    popularity: npt.NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        interactions: pd.DataFrame,
        as_of_day: int,
        factors: int = 64,
        seed: int = 0,
        num_threads: int = 1,
    ) -> Recommender:
        """Learn which products please the same customers, from what was bought by ``as_of_day`` [1]_ [2]_.

        Parameters
        ----------
        interactions : DataFrame, one row per customer and product with a kept purchase, in any order
            ``customer_id``, ``product_id`` (str), ``n_order_days`` (> 0), ``last_day`` (epoch day),
            ``decayed`` (> 0: order days, each halved every 60 days of age). Returns are netted out; a row
            without an order day left is no purchase and is passed over.
        as_of_day : int
            Epoch day of knowledge.

        Raises
        ------
        ValueError
            If nothing was bought, or a purchase is dated after ``as_of_day``.

        References
        ----------
        .. [1] Hu, Koren and Volinsky (2008), "Collaborative Filtering for Implicit Feedback Datasets", ICDM.
        .. [2] Takacs, Pilaszy and Tikk (2011), "Applications of the Conjugate Gradient Method for Implicit
           Feedback Collaborative Filtering", RecSys.
        """
        # Imported here: answers fold in and rank without it.
        from implicit.cpu.als import AlternatingLeastSquares

        kept = _kept(interactions, as_of_day)
        if kept.empty:
            raise ValueError("no kept purchase to learn from")
        products = np.unique(kept["product_id"].unique().astype(str))
        customers = np.sort(kept["customer_id"].unique().astype(object))
        decayed = _matrix(kept["decayed"].to_numpy(np.float64), kept, customers, products)
        bought = np.bincount(decayed.indices, decayed.data, len(products))
        als = AlternatingLeastSquares(
            factors=factors,
            regularization=REGULARIZATION,
            iterations=ITERATIONS,
            num_threads=num_threads,
            random_state=seed,
        )
        als.fit(decayed.log1p().astype(np.float32), show_progress=False)
        return cls(products, als.item_factors, bought / bought.sum())

    def history(self, interactions: pd.DataFrame, as_of_day: int, customer_ids: Ids) -> History:
        """Lay out what these customers (distinct) bought, a row each; unknown products are left out."""
        kept = _kept(interactions, as_of_day)
        decayed = kept["decayed"].to_numpy(np.float64)
        reach = self.reach[np.maximum(_positions(kept["product_id"], self.product_ids), 0)]
        logit = (
            REPEAT_BASE
            + DECAYED * np.log(decayed)
            + ORDER_DAYS * np.log(kept["n_order_days"].to_numpy(np.float64))
            + IDLE * np.log1p(as_of_day - kept["last_day"].to_numpy(np.int64))
            + KNOWN * np.log(reach)
        )
        return History(
            _matrix(decayed, kept, customer_ids, self.product_ids),
            _matrix(logit.astype(np.float32), kept, customer_ids, self.product_ids),
        )

    @cached_property
    def reach(self) -> npt.NDArray[np.float64]:
        """Popularity in units of the average product's, > 0."""
        return self.popularity * len(self.popularity)

    def user_factors(self, confidence: sparse.csr_matrix) -> npt.NDArray[np.float32]:
        """Work out each customer's taste from their own purchases (Hu, Koren and Volinsky 2008, equation 4).

        ``confidence`` is ``History.confidence``; the result has shape (n_customers, k). A customer without
        purchases has the zero vector; no customer's taste depends on another's.
        """
        taste = np.zeros((confidence.shape[0], self.item_factors.shape[1]), np.float32)
        cells = confidence.indptr.astype(np.int64), confidence.indices.astype(np.int32), confidence.data
        _fold_in(*cells, self.item_factors, self._gram, taste)
        return taste

    def recommend(
        self,
        interactions: pd.DataFrame,
        as_of_day: int,
        customer_ids: Ids,
        n: int = 50,
        exclude: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """List for each customer the products they will most likely buy in the 30 days from ``as_of_day``.

        Parameters
        ----------
        interactions, as_of_day
            As for ``fit``. Rows of customers not asked for change nothing.
        customer_ids : sequence of str
            Whose lists, known or not; the answer keeps this order.
        n : int
            Length of a list; it is shorter only where there is no other product left.
        exclude : DataFrame, optional
            ``customer_id`` and ``product_id``: what this customer must not be shown.

        Returns
        -------
        DataFrame, one row per customer and rank
            ``customer_id``, ``rank`` (from 1), ``product_id``, ``score`` (chance of a purchase, 0-1, never
            rising with rank), ``source`` (``repeat`` an own product, ``als`` similar taste, ``popular`` where
            nothing is known of the customer) and ``repurchase`` (bought before).
        """
        position, customers = pd.factorize(np.asarray(customer_ids, dtype=object), use_na_sentinel=False)
        history = self.history(interactions, as_of_day, customers)
        pairs = pd.DataFrame({"customer_id": [], "product_id": []}, dtype=object) if exclude is None else exclude
        hidden = _matrix(np.ones(len(pairs)), pairs, customers, self.product_ids)
        blocks = [slice(at, at + BLOCK) for at in range(0, max(1, len(customers)), BLOCK)]
        ranked = [self._ranked(history[block], hidden[block], n) for block in blocks]
        items, scores, sources = (np.concatenate(part)[position] for part in zip(*ranked, strict=True))
        row, place = np.nonzero(items != topn.PADDING)
        return pd.DataFrame(
            {
                "customer_id": customers[position[row]],
                "rank": place + 1,
                "product_id": self.product_ids.astype(object)[items[row, place]],
                "score": special.expit(scores[row, place].astype(np.float64)),
                "source": SOURCES[sources[row, place]],
                "repurchase": sources[row, place] == REPEAT,
            }
        )

    def save(self, folder: Path) -> None:
        """Write ``items.npz``: facts about products, none about a customer. Same model, same bytes."""
        np.savez(
            folder / ITEMS,
            product_ids=self.product_ids,
            item_factors=self.item_factors,
            popularity=self.popularity,
        )

    @classmethod
    def load(cls, folder: Path) -> Recommender:
        with np.load(folder / ITEMS, allow_pickle=False) as items:
            return cls(items["product_ids"], items["item_factors"], items["popularity"])

    @cached_property
    def _reach_term(self) -> npt.NDArray[np.float32]:
        return (REACH * np.log1p(self.reach)).astype(np.float32)

    @cached_property
    def _gram(self) -> npt.NDArray[np.float64]:
        factors = self.item_factors.astype(np.float64)
        return factors.T @ factors + REGULARIZATION * np.eye(factors.shape[1])

    def _ranked(
        self, history: History, hidden: sparse.csr_matrix, n: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int8]]:
        """Rank own and other products of some customers together: items, logits, positions in SOURCES."""
        known = np.diff(history.decayed.indptr) > 0
        own = topn.top_n_sparse(_without(history.repeat, hidden), n)
        items, scores = self._others(history, known, history.decayed + hidden, n)
        items, scores, origin = topn.merge([own, (items, scores + np.float32(NEW_BASE))], n)
        source = np.where(known, ALS, POPULAR)[:, None]
        return items, scores, np.where(origin == 0, REPEAT, source).astype(np.int8)

    def _others(self, history: History, known: npt.NDArray[np.bool_], exclude: sparse.csr_matrix, n: int) -> Lists:
        """Rank by taste and reach where something is known of a customer, by reach alone where nothing is."""
        taste = self.user_factors(history.confidence[known])
        liking = np.column_stack([TASTE * taste, np.ones(len(taste))]).astype(np.float32)
        products = np.column_stack([self.item_factors, self._reach_term])
        items, scores = np.empty((len(known), n), np.int32), np.empty((len(known), n), np.float32)
        items[known], scores[known] = topn.top_n(liking, products, n, exclude[known])
        items[~known], scores[~known] = self._popular(int((~known).sum()), n, exclude[~known])
        return items, scores

    def _popular(self, n_customers: int, n: int, exclude: sparse.csr_matrix | None = None) -> Lists:
        everybody = np.ones((n_customers, 1), np.float32)
        return topn.top_n(everybody, self._reach_term[:, None], n, exclude)


def popular_lists(model: Recommender, history: History, n: int) -> Lists:
    """Name the same products for everybody: the most popular, by REACH ln(1 + reach)."""
    return model._popular(history.decayed.shape[0], n)


def frequency_lists(model: Recommender, history: History, n: int) -> Lists:
    """Name the products each customer bought most often of late, by ``decayed``; then the popular."""
    own = topn.top_n_sparse(history.decayed, n)
    items, scores = model._popular(history.decayed.shape[0], n, history.decayed)
    return topn.merge([own, (items, scores - np.float32(1e6))], n)[:2]


def als_lists(model: Recommender, history: History, n: int) -> Lists:
    """Name the products that fit each customer's taste best, own ones among them, by the factors alone."""
    return topn.top_n(model.user_factors(history.confidence), model.item_factors, n)


def _kept(interactions: pd.DataFrame, as_of_day: int) -> pd.DataFrame:
    kept = interactions[interactions["n_order_days"] > 0]
    if (kept["last_day"] > as_of_day).any():
        raise ValueError(f"a purchase is dated after as_of_day {as_of_day}")
    return kept


def _positions(ids: pd.Series[str], ascending: npt.NDArray[np.str_]) -> npt.NDArray[np.intp]:
    """Find each id in a sorted, non-empty array; -1 where it is not there."""
    codes, distinct = pd.factorize(ids)
    wanted = np.asarray(distinct, dtype=str)
    place = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[place] == wanted, place, -1)[codes]


def _matrix(
    values: npt.NDArray[np.floating],
    pairs: pd.DataFrame,
    customer_ids: Ids,
    product_ids: npt.NDArray[np.str_],
) -> sparse.csr_matrix:
    """Lay values out by customer and product, ascending; a pair that is not on the two axes is left out."""
    row = pd.Index(np.asarray(customer_ids, dtype=object)).get_indexer(pairs["customer_id"])
    column = _positions(pairs["product_id"], product_ids)
    on = (row >= 0) & (column >= 0)
    return sparse.csr_matrix((values[on], (row[on], column[on])), shape=(len(customer_ids), len(product_ids)))


def _without(scores: sparse.csr_matrix, hidden: sparse.csr_matrix) -> sparse.csr_matrix:
    """Take the hidden cells out of a matrix, whatever their value."""
    if hidden.nnz == 0:
        return scores
    row = np.repeat(np.arange(scores.shape[0], dtype=np.int64), np.diff(scores.indptr))
    shown = np.asarray(hidden[row, scores.indices]).ravel() == 0
    return sparse.csr_matrix((scores.data[shown], (row[shown], scores.indices[shown])), shape=scores.shape)


@njit(cache=True, nogil=True)
def _fold_in(indptr, indices, confidence, item_factors, gram, taste):  # type: ignore[no-untyped-def]
    """Solve (Y'Y + reg I + sum (c - 1) y y') x = sum c y for each customer, in float64."""
    k = len(gram)
    for user in range(len(taste)):
        if indptr[user] == indptr[user + 1]:
            continue
        left, right = gram.copy(), np.zeros(k)
        for cell in range(indptr[user], indptr[user + 1]):
            factors = item_factors[indices[cell]].astype(np.float64)
            right += confidence[cell] * factors
            for i in range(k):
                weight = (confidence[cell] - 1.0) * factors[i]
                for j in range(i + 1):
                    left[i, j] += weight * factors[j]
        for i in range(k):
            left[:i, i] = left[i, :i]
        taste[user] = np.linalg.solve(left, right)
