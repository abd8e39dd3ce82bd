"""Which products speak for which others: EASE on the products most bought of late.

Steck (2019), "Embarrassingly Shallow Autoencoders for Sparse Data", WWW: the weights B of a linear model that
predicts each product a customer owns from all their others have the closed form B = I - P diag(1 / P), with
P = (X'X + reg I)^-1. Beside the products, X has a column for each of the commonest kinds, ln(1 + purchases of that
kind): what a customer buys of a kind speaks for products they never met. The whole of it would be a square of the
catalogue; here inputs and targets are the ``MOST`` products most bought of late.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from training.models.recommender.catalogue import F_60, KIND, Catalogue
from training.models.recommender.history import D120, Floats, History, Ints

# Complete Journey, NDCG@10 of new products at 2017-09-25 (2026-11-24): 1,500 products .0529, 3,000 .0536 at five
# times the cost; with kinds as inputs .0543. Weighed by momentum and with each input's strongest 30, 60, 100 or all
# links: .0524, .0554, .0556, .0583; all of them, added up row by row, take no longer than 100 looked up.
MOST, MOST_KINDS = 1500, 500
# In units of the mean of the diagonal of X'X. NDCG@10 of new products (2026-11-24) with 1, 3, 6, 10: Complete Journey
# at 2017-09-25 .0477, .0518, .0544, .0543, at 2017-08-14 .0515, .0576, .0610, .0622; Online Retail at 2010-08-13 .1223,
# .1302, .1291, .1312.
REGULARIZATION = 7.0
# A gram matrix of more customers says nothing new; engineering choice, 2026-11-24.
MOST_CUSTOMERS = 20_000


@dataclass(frozen=True)
class Neighbours:
    """Inputs are first the targets themselves, then kinds: a row of weights each, a column for each target."""

    target: Ints  # (m,) positions in the catalogue, ascending
    kinds: Ints  # codes of kinds
    weights: Floats  # (m + n_kinds, m); no finer than half precision, as they are kept

    @classmethod
    def fit(cls, history: History, catalogue: Catalogue) -> Neighbours:
        """Learn from the histories of all customers, as of one day."""
        popular = np.argsort(-catalogue.facts[:, F_60], kind="stable")[:MOST]
        target = np.sort(popular[catalogue.facts[popular, F_60] > 0])
        step = -(-len(history) // MOST_CUSTOMERS)
        recent = history.matrix(D120, len(catalogue))[::step]
        owned = recent[:, target]
        owned.data[:] = 1
        kinds, liked = _liked_kinds(recent, catalogue.codes[:, KIND])
        weights = _ease(sparse.hstack([owned, liked]).tocsr(), len(target))
        return cls(target, kinds, weights.astype(np.float16).astype(np.float32))

    def rows(self, catalogue: Catalogue) -> tuple[Ints, Ints]:
        """Give the input of each product, and of each kind; -1 where it is none."""
        of_item = np.full(len(catalogue), -1, np.int32)
        of_item[self.target] = np.arange(len(self.target))
        of_kind = np.full(max(1, len(catalogue.names[KIND])), -1, np.int32)
        of_kind[self.kinds] = len(self.target) + np.arange(len(self.kinds))
        return of_item, of_kind


def _liked_kinds(recent: sparse.csr_matrix, kind: Ints) -> tuple[Ints, sparse.csr_matrix]:
    """Add up purchases by kind; keep the kinds that most customers buy."""
    known = np.flatnonzero(kind >= 0)
    n_kinds = int(kind.max(initial=-1)) + 1
    to_kind = sparse.csr_matrix((np.ones(len(known)), (known, kind[known])), shape=(len(kind), max(1, n_kinds)))
    liked = (recent @ to_kind).tocsr().log1p()
    buyers = np.bincount(liked.indices, minlength=liked.shape[1])
    common = np.argsort(-buyers, kind="stable")[:MOST_KINDS]
    kinds = np.sort(common[buyers[common] > 0]).astype(np.int32)
    return kinds, liked[:, kinds]


def _ease(inputs: sparse.csr_matrix, n_targets: int) -> Floats:
    """Solve for the weights of all inputs on the targets, (n_inputs, n_targets)."""
    gram = (inputs.T @ inputs).toarray().astype(np.float64)
    diagonal = np.arange(len(gram))
    gram[diagonal, diagonal] += REGULARIZATION * gram[diagonal, diagonal][:n_targets].mean()
    inverse = np.linalg.inv(gram)
    weights = -inverse[:, :n_targets] / np.diag(inverse)[:n_targets]
    weights[diagonal[:n_targets], diagonal[:n_targets]] = 0
    return np.asarray(weights, np.float32)
