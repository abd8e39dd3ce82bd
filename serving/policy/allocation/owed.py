"""What is owed tonight whether or not it pays: an apology for a late parcel, a survey after it came.

It is settled before any money is weighed: by rank, then the customers to whom it is worth most, then position. A
customer gets the first action, in the policy's order, for which nothing is short, and none of a later rank besides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from serving.policy.allocation.bids import Flags, Indices, Numbers


def settle(
    customer: Indices, rank: Indices, due: Flags, value: Numbers, uses: Sequence[Numbers], room: Numbers, n: int
) -> tuple[Indices, Indices]:
    """Give each customer the first due pair that every limit still holds; ``room`` (n_limits,) shrinks.

    Returns
    -------
    (chosen, bound_by) : (n,) and (m,)
        The pair of each customer or -1; for a due pair that was turned away the first limit it did not fit into.
    """
    chosen, bound_by = np.full(n, -1, np.intp), np.full(len(customer), -1, np.intp)
    pairs = np.flatnonzero(due)
    if len(pairs):
        best = _best_of_class(customer[pairs], rank[pairs], value[pairs])
        turn = pairs[np.lexsort((-best, rank[pairs]))]  # stable: then by position, then in the policy's order
        amounts = np.array([use[turn] for use in uses], np.float64).reshape(len(uses), len(turn)).T
        _settle(turn, customer, np.ascontiguousarray(amounts), room, chosen, bound_by)
    return chosen, bound_by


def _best_of_class(customer: Indices, rank: Indices, value: Numbers) -> Numbers:
    """Give each pair the largest value among the pairs of its customer and rank."""
    order = np.lexsort((rank, customer))
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (np.diff(customer[order]) != 0) | (np.diff(rank[order]) != 0)
    best = np.empty(len(order))
    best[order] = np.maximum.reduceat(value[order], np.flatnonzero(begins))[np.cumsum(begins) - 1]
    return best


@njit(cache=True, nogil=True)
def _settle(turn, customer, amounts, room, chosen, bound_by):  # type: ignore[no-untyped-def]
    for t in range(len(turn)):
        pair = turn[t]
        if chosen[customer[pair]] >= 0:
            continue
        full = -1
        for k in range(len(room)):
            if full < 0 and amounts[t, k] > room[k]:
                full = k
        if full >= 0:
            bound_by[pair] = full
            continue
        chosen[customer[pair]] = pair
        for k in range(len(room)):
            room[k] -= amounts[t, k]
