"""The few products, out of a whole catalogue, that each customer would like best: exactly, not approximately.

A customer's liking of a product is the dot product of their two factor vectors, which is never more than the
product of the two lengths (Cauchy-Schwarz). So products are read longest vector first, a block at a time for
a tile of customers, and a tile is done when even the longest vector left could not enter any of its lists.
``brute_force`` is the same answer written plainly: the reference of the tests, and the faster way where a
list takes in much of the catalogue.

Lists have one form: ``indices`` int32 and ``scores`` float32, both of shape (n_customers, n), best first,
equal scores by the lower product index. A list that runs out of products is filled up with index -1 and
score -inf.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse

Lists = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]

# Customers per tile and products per block: the fastest of five pairs tried (60,149 products, 2026-11-21).
# A tile is always full, so that a customer's scores do not depend on who stands beside them in the batch.
TILE = 32
BLOCK = 256

# From this share of the catalogue on, sorting all of it beats the scan: between 0.1 (4,000 products)
# and 0.3 (400) when vectors are of equal length and pruning finds nothing to skip (2026-11-21).
BRUTE_FORCE_SHARE = 0.15

PADDING = -1


def top_n(
    user_factors: npt.NDArray[np.float32],
    item_factors: npt.NDArray[np.float32],
    n: int,
    exclude: sparse.csr_matrix | None = None,
) -> Lists:
    """Name the ``n`` products that each customer would like best, leaving out what must not be shown to them.

    Parameters
    ----------
    user_factors : float32 array, shape (n_customers, k)
    item_factors : float32 array, shape (n_items, k)
        Finite. Their dot product is the score.
    n : int
        Length of a list, >= 0. It may exceed the catalogue.
    exclude : csr_matrix, shape (n_customers, n_items), optional
        Every stored cell, whatever its value, is a product this customer is not shown.

    Returns
    -------
    (indices, scores) : int32 and float32 arrays, shape (n_customers, n)
        In the form that the module describes; never an excluded product.

    Raises
    ------
    ValueError
        If the shapes do not belong together or ``n`` is negative.

    >>> users, items = np.float32([[1, 0], [0, 1]]), np.float32([[1, 0], [3, 1], [2, 2]])
    >>> top_n(users, items, 2, exclude=sparse.csr_matrix(np.float32([[0, 1, 0], [0, 0, 0]])))[0]
    array([[2, 0],
           [2, 1]], dtype=int32)
    """
    _check_shapes(user_factors, item_factors, n, exclude)
    n_users, n_items = len(user_factors), len(item_factors)
    if n == 0 or n >= BRUTE_FORCE_SHARE * n_items:
        return brute_force(user_factors, item_factors, n, exclude)
    item_norms = _norms(item_factors)
    by_norm = np.argsort(-item_norms, kind="stable").astype(np.int32)
    users = _whole_tiles(user_factors)
    indices = np.full((len(users), n), PADDING, np.int32)
    scores = np.full((len(users), n), -np.inf, np.float32)
    _scan(
        users,
        _norms(users) * _rounding(users.shape[1]),
        np.ascontiguousarray(item_factors[by_norm], np.float32),
        item_norms[by_norm],
        by_norm,
        *_excluded_cells(exclude, n_users, len(users)),
        n_users,
        indices,
        scores,
    )
    return indices[:n_users], scores[:n_users]


def brute_force(
    user_factors: npt.NDArray[np.float32],
    item_factors: npt.NDArray[np.float32],
    n: int,
    exclude: sparse.csr_matrix | None = None,
) -> Lists:
    """Name the same products as ``top_n`` by scoring every product and sorting them all."""
    _check_shapes(user_factors, item_factors, n, exclude)
    n_users, n_items = len(user_factors), len(item_factors)
    indices = np.full((n_users, n), PADDING, np.int32)
    scores = np.full((n_users, n), -np.inf, np.float32)
    kept = min(n, n_items)
    step = TILE * max(1, 4_000_000 // (TILE * max(1, n_items)))  # at most 16 MB of scores at a time
    for first in range(0, n_users if kept else 0, step):
        rows = slice(first, min(first + step, n_users))
        all_scores = (_whole_tiles(user_factors[rows]) @ item_factors.T)[: rows.stop - first]
        if exclude is not None:
            hidden = exclude[rows]
            all_scores[np.repeat(np.arange(hidden.shape[0]), np.diff(hidden.indptr)), hidden.indices] = -np.inf
        best = np.argsort(-all_scores, axis=1, kind="stable")[:, :kept]
        scores[rows, :kept] = np.take_along_axis(all_scores, best, axis=1)
        indices[rows, :kept] = np.where(np.isneginf(scores[rows, :kept]), PADDING, best)
    return indices, scores


def top_n_sparse(scores: sparse.csr_matrix, n: int) -> Lists:
    """Name each customer's ``n`` best among the few products that have a score: the stored cells of a row."""
    n_users = scores.shape[0]
    owner = np.repeat(np.arange(n_users), np.diff(scores.indptr))
    order = np.lexsort((scores.indices, -scores.data, owner))
    rank = np.arange(len(order)) - scores.indptr[owner]
    first = rank < n
    indices = np.full((n_users, n), PADDING, np.int32)
    best = np.full((n_users, n), -np.inf, np.float32)
    indices[owner[first], rank[first]] = scores.indices[order[first]]
    best[owner[first], rank[first]] = scores.data[order[first]]
    return indices, best


def merge(
    lists: Sequence[Lists], n: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int8]]:
    """Make one list of ``n`` out of several that share no product; equal scores keep the order of the lists.

    The third array says which of the lists each entry comes from.
    """
    origin = np.repeat(np.arange(len(lists), dtype=np.int8), [each[0].shape[1] for each in lists])
    indices = np.concatenate([each[0] for each in lists], axis=1)
    scores = np.concatenate([each[1] for each in lists], axis=1)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    return np.take_along_axis(indices, best, axis=1), np.take_along_axis(scores, best, axis=1), origin[best]


def _check_shapes(
    user_factors: npt.NDArray[np.float32],
    item_factors: npt.NDArray[np.float32],
    n: int,
    exclude: sparse.csr_matrix | None,
) -> None:
    if n < 0:
        raise ValueError(f"a list of {n} products was asked for")
    if user_factors.ndim != 2 or item_factors.ndim != 2 or user_factors.shape[1] != item_factors.shape[1]:
        raise ValueError(f"user factors {user_factors.shape} do not match item factors {item_factors.shape}")
    if exclude is not None and exclude.shape != (len(user_factors), len(item_factors)):
        raise ValueError(f"exclude has shape {exclude.shape}, not (n_customers, n_items)")


def _whole_tiles(user_factors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    padded = np.zeros((-(-len(user_factors) // TILE) * TILE, user_factors.shape[1]), np.float32)
    padded[: len(user_factors)] = user_factors
    return padded


def _excluded_cells(
    exclude: sparse.csr_matrix | None, n_users: int, n_padded: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Give the excluded products of each row, ascending: ``indptr``, ``indices``; a padding row has none."""
    indptr = np.zeros(n_padded + 1, np.int64)
    if exclude is None:
        return indptr, np.empty(0, np.int32)
    indptr[: n_users + 1] = exclude.indptr
    indptr[n_users + 1 :] = exclude.indptr[-1]
    return indptr, exclude.sorted_indices().indices.astype(np.int32)


def _norms(factors: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    norms: npt.NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", factors, factors, dtype=np.float64))
    return norms


def _rounding(k: int) -> float:
    """Say by how much a float32 dot product of ``k`` terms may exceed the bound (Higham 2002, eq. 3.5)."""
    return 1.0 + (k + 8) * 2.0**-23


@njit(cache=True, nogil=True)
def _scan(  # type: ignore[no-untyped-def]
    users, user_norms, items, item_norms, item_ids, hidden_ptr, hidden_ids, n_users, indices, scores
):
    """Fill the lists of all customers, tile by tile; items stand in falling order of their norm."""
    n = indices.shape[1]
    for tile in range(0, len(users), TILE):
        for block in range(0, len(items), BLOCK):
            open_ = False
            for u in range(tile, min(tile + TILE, n_users)):
                open_ |= user_norms[u] * item_norms[block] >= scores[u, n - 1]
            if not open_:
                break
            block_scores = np.dot(users[tile : tile + TILE], items[block : block + BLOCK].T)
            for u in range(tile, min(tile + TILE, n_users)):
                hidden = hidden_ids[hidden_ptr[u] : hidden_ptr[u + 1]]
                _offer(indices[u], scores[u], item_ids[block:], block_scores[u - tile], hidden)


@njit(cache=True, nogil=True)
def _offer(ids, best, item_ids, item_scores, hidden):  # type: ignore[no-untyped-def]
    """Put each item of a block into its place in one customer's list, unless hidden or not good enough."""
    last = len(ids) - 1
    floor = best[last]
    for j in range(len(item_scores)):
        score = item_scores[j]
        if not score >= floor:
            continue
        item = item_ids[j]
        if score == floor and ids[last] != PADDING and item > ids[last]:
            continue
        place = np.searchsorted(hidden, item)
        if place < len(hidden) and hidden[place] == item:
            continue
        slot = last
        while slot > 0 and (score > best[slot - 1] or (score == best[slot - 1] and item < ids[slot - 1])):
            ids[slot] = ids[slot - 1]
            best[slot] = best[slot - 1]
            slot -= 1
        ids[slot] = item
        best[slot] = score
        floor = best[last]
