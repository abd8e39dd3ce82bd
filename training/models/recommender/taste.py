"""What a customer likes, as a vector: ALS factors of products, and customers folded in from their own purchases.

Hu, Koren and Volinsky (2008), "Collaborative Filtering for Implicit Feedback Datasets", ICDM. A release keeps the
products' factors alone: a new customer needs no new training, and no customer's id is ever in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse

from training.models.recommender.history import D60, Floats, History

# ALS on Complete Journey at 2017-10-09 (2026-11-21), NDCG@10 of new products: weight ln(1 + decayed) .0474,
# ln(1 + order days) .0452, decayed .0460. With the first: regularisation 3, 5, 20: .0453, .0461, .0445;
# alpha 3 .0461; 15 iterations .0474, 25 .0471. 10 shrinks the factors of a small shop to nothing.
REGULARIZATION = 10.0
ITERATIONS = 10
# Folding a customer of Complete Journey in: .035 CPU-ms with 32 factors, .131 with 64; NDCG@10 of new products at
# 2017-08-14 by ALS alone .0616 and .0606 (2026-11-24).
FACTORS = 32


@dataclass(frozen=True)
class Taste:
    """Factors of the catalogue's products, (n_items, k); products added later have none (zeros)."""

    factors: Floats

    @classmethod
    def fit(cls, history: History, n_items: int, factors: int = FACTORS, seed: int = 0) -> Taste:
        """Learn which products please the same customers."""
        # Imported here: answers fold in and rank without it.
        from implicit.cpu.als import AlternatingLeastSquares

        als = AlternatingLeastSquares(
            factors=factors, regularization=REGULARIZATION, iterations=ITERATIONS, num_threads=1, random_state=seed
        )
        als.fit(confidence(history, n_items), show_progress=False)
        return cls(als.item_factors)

    def of(self, history: History) -> Floats:
        """Work out each customer's taste from their own purchases (equation 4), (n_customers, k).

        A customer without purchases has the zero vector; no customer's taste depends on another's.
        """
        taste = np.zeros((len(history), self.factors.shape[1]), np.float32)
        _fold_in(history.ptr, history.items, np.log1p(history.values[:, D60]), self.factors, self._gram, taste)
        return taste

    @cached_property
    def _gram(self) -> npt.NDArray[np.float64]:
        factors = self.factors.astype(np.float64)
        return factors.T @ factors + REGULARIZATION * np.eye(factors.shape[1])


def confidence(history: History, n_items: int) -> sparse.csr_matrix:
    """Give the weight of each purchase in ALS: ln(1 + decayed), >= 0."""
    return history.matrix(D60, n_items).log1p().astype(np.float32)


@njit(cache=True, nogil=True)
def _fold_in(indptr, indices, confidence, item_factors, gram, taste):  # type: ignore[no-untyped-def]
    """Solve (Y'Y + reg I + sum (c - 1) y y') x = sum c y for each customer, in float64."""
    for user in range(len(taste)):
        first, last = indptr[user], indptr[user + 1]
        if first == last:
            continue
        owned = np.empty((last - first, len(gram)))
        weighed = np.empty((len(gram), last - first))
        right = np.zeros(len(gram))
        for cell in range(first, last):
            for f in range(len(gram)):
                factor = np.float64(item_factors[indices[cell], f])
                owned[cell - first, f] = factor
                weighed[f, cell - first] = (confidence[cell] - 1.0) * factor
                right[f] += confidence[cell] * factor
        taste[user] = np.linalg.solve(gram + np.dot(weighed, owned), right)
