"""What competes tonight for a budget that does not suffice: the actions of each customer that would pay.

Customers stand in an order of their own content (a hash of values and uses), not of their place in the shop's list.
So a shop that numbers its customers anew gets the same prices and totals, to the last bit; only customers whose
actions are equal in every number are told apart by position, the earlier first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]

NO_RANK = np.iinfo(np.intp).max
# Multiplier and shift of splitmix64 (Steele, Lea and Flood 2014): every bit of a number moves every bit of the hash.
MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)
SHIFT = np.uint64(29)
# A limit is left aside where even everything together keeps this far below it: no rounding of a sum can reach it.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Bids:
    """The actions that compete, customer by customer, and what each would use of the limits that could run short.

    ``customer`` (c,) positions; ``starts`` (c + 1,) where each one's bids begin; ``pair`` (b,) and ``value`` (b,) per
    bid; ``first`` (b + 1,) where a bid's uses begin; ``limit`` and ``use`` per use that is not 0, ``limit`` counting
    along ``tight`` (k,), the indices of the limits that could run short.
    """

    customer: Indices
    starts: Indices
    pair: Indices
    value: Numbers
    first: Indices
    limit: NDArray[np.int32]
    use: Numbers
    tight: Indices

    @property
    def table(self) -> tuple[Indices, Numbers, Indices, NDArray[np.int32], Numbers]:
        """The five arrays that every inner loop reads."""
        return self.starts, self.value, self.first, self.limit, self.use


def classes(starts: Indices, rank: Indices, due: Flags, value: Numbers) -> Indices:
    """Tell each customer's first rank with something that would pay, shape (n,); ``NO_RANK`` where nothing would.

    Raises
    ------
    ValueError
        If a customer has a due pair that does not rank before all their pairs that are not due.
    """
    first = np.full(len(starts) - 1, NO_RANK, np.intp)
    mixed = _classes(starts, rank, due, value, first)
    if mixed >= 0:
        raise ValueError(f"customer {mixed}: a due pair does not rank before the pairs that are not due")
    return first


def gather(pairs: Indices, customer: Indices, value: Numbers, uses: Sequence[Numbers], room: Numbers) -> Bids:
    """Put the pairs that compete in the order of their customers' content.

    Parameters
    ----------
    pairs : (b,)
        Ascending: the pairs that compete, of ``customer``, ``value`` and each of ``uses``, which are per pair (m,).
    room : (n_limits,)
        What may still be used of each limit.
    """
    owner = customer[pairs]
    begins = np.flatnonzero(np.diff(owner, prepend=-1))
    owners, lengths = owner[begins], np.diff(begins, append=len(pairs))
    hashes = np.zeros(len(owners), np.uint64)
    for column in (value, *uses):
        _mix(hashes, begins, lengths, pairs, column.view(np.uint64))
    order = np.argsort(hashes, kind="stable")
    starts = np.concatenate(([0], np.cumsum(lengths[order]))).astype(np.intp)
    pair = pairs[np.repeat(begins[order] - starts[:-1], lengths[order]) + np.arange(len(pairs))]
    tight = [k for k, use in enumerate(uses) if use[pair].sum() > room[k] * (1 - ROUNDING)]
    first = np.zeros(len(pair) + 1, np.intp)
    for k in tight:
        first[1:] += uses[k][pair] != 0
    np.cumsum(first, out=first)
    limit, amount = np.empty(first[-1], np.int32), np.empty(first[-1])
    free = first[:-1].copy()
    for at, k in enumerate(tight):
        _put(at, uses[k], pair, free, limit, amount)
    return Bids(owners[order], starts, pair, value[pair], first, limit, amount, np.array(tight, np.intp))


@njit(cache=True, nogil=True)
def _classes(starts, rank, due, value, first):  # type: ignore[no-untyped-def]
    """Fill ``first``; give the first customer whose due pairs do not rank before the others, or -1."""
    for i in range(len(first)):
        last_due, first_other = -NO_RANK, NO_RANK
        for p in range(starts[i], starts[i + 1]):
            if due[p]:
                last_due = max(last_due, rank[p])
                continue
            first_other = min(first_other, rank[p])
            if value[p] > 0:
                first[i] = min(first[i], rank[p])
        if last_due >= first_other:
            return i
    return -1


@njit(cache=True, nogil=True)
def _mix(hashes, begins, lengths, pairs, bits):  # type: ignore[no-untyped-def]
    for i in range(len(hashes)):
        h = hashes[i]
        for b in range(begins[i], begins[i] + lengths[i]):
            h = (h ^ bits[pairs[b]]) * MULTIPLIER
            h ^= h >> SHIFT
        hashes[i] = h


@njit(cache=True, nogil=True)
def _put(at, column, pair, free, limit, amount):  # type: ignore[no-untyped-def]
    """Write one limit's uses behind those of the limits before it."""
    for b in range(len(pair)):
        use = column[pair[b]]
        if use != 0:
            limit[free[b]] = at
            amount[free[b]] = use
            free[b] += 1
