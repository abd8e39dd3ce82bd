"""Who comes first when wishes do not quite fit: the customers who would lose most by anything else.

At the night's prices nearly all wishes fit together; where a limit runs short by a few, customers take in turn the
best of what still fits, those first whose wish beats their second choice by most, per what it pays for what it uses.
Then whatever is left goes to those who make most of it.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from serving.policy.allocation.bids import Bids, Indices, Numbers
from serving.policy.allocation.prices import kept

# Filling up ends by itself when nothing more fits, after at most 4 rounds in 400 generated shops (2026-11-25).
MOST_ROUNDS = 100


def wishes(bids: Bids, prices: Numbers) -> tuple[Indices, Numbers, Numbers]:
    """Tell what each customer takes at these prices: the bid or -1, what they keep, and the strength of the wish.

    The strength is what the wish beats the second choice by, nothing counted as one, per what it pays for its uses;
    infinite where it uses nothing that has a price.
    """
    n = len(bids.customer)
    wish, most, strength = np.full(n, -1, np.intp), np.zeros(n), np.full(n, -np.inf)
    _wish(*bids.table, prices, wish, most, strength)
    return wish, most, strength


def in_turn(bids: Bids, prices: Numbers, strength: Numbers, room: Numbers) -> Indices:
    """Let each customer, the strongest wish first, take what they like best of what still fits; ``room`` shrinks."""
    taken = np.full(len(bids.customer), -1, np.intp)
    _in_turn(*bids.table, prices, np.argsort(-strength, kind="stable"), room, taken)
    return taken


def fill_up(bids: Bids, prices: Numbers, taken: Indices, room: Numbers) -> None:
    """Let customers change to an action worth more while one fits, most gain per further price first; in place."""
    for _ in range(MOST_ROUNDS):
        better, gain, rate = np.full(len(taken), -1, np.intp), np.zeros(len(taken)), np.zeros(len(taken))
        _better(*bids.table, prices, taken, room, better, gain, rate)
        hopeful = np.flatnonzero(better >= 0)
        turn = hopeful[np.lexsort((-gain[hopeful], -rate[hopeful]))]
        if not len(turn) or not _change(bids.first, bids.limit, bids.use, turn, better, taken, room):
            return


def short(bids: Bids, prices: Numbers, taken: Indices, room: Numbers) -> Indices:
    """Name the limit (as ``bids.limit`` counts) for which each bid worth more than what was taken was not; else -1.

    The one whose price for what the bid uses beyond the taken one is largest; where no price says so, the first
    that it does not fit into.
    """
    by = np.full(len(bids.pair), -1, np.intp)
    _short(*bids.table, prices, taken, room, by)
    return by


@njit(cache=True, nogil=True)
def _wish(starts, value, first, limit, use, prices, wish, most, strength):  # type: ignore[no-untyped-def]
    for i in range(len(wish)):
        second = 0.0
        for b in range(starts[i], starts[i + 1]):
            if value[b] <= second:
                continue
            worth = kept(b, value, first, limit, use, prices)
            if worth > most[i]:
                second = most[i]
                wish[i], most[i] = b, worth
            elif worth > second:
                second = worth
        if wish[i] >= 0:
            price = value[wish[i]] - most[i]
            strength[i] = (most[i] - second) / price if price > 0 else np.inf


@njit(cache=True, nogil=True)
def _fits(bid, first, limit, use, room):  # type: ignore[no-untyped-def]
    fits = True
    for e in range(first[bid], first[bid + 1]):
        fits &= use[e] <= room[limit[e]]
    return fits


@njit(cache=True, nogil=True)
def _give(bid, first, limit, use, sign, room):  # type: ignore[no-untyped-def]
    """Add what a bid uses to the room (sign 1) or take it away (-1); nothing for -1."""
    if bid >= 0:
        for e in range(first[bid], first[bid + 1]):
            room[limit[e]] += sign * use[e]


@njit(cache=True, nogil=True)
def _in_turn(starts, value, first, limit, use, prices, order, room, taken):  # type: ignore[no-untyped-def]
    for i in order:
        most = 0.0
        for b in range(starts[i], starts[i + 1]):
            if value[b] > most and _fits(b, first, limit, use, room):
                worth = kept(b, value, first, limit, use, prices)
                if worth > most:
                    taken[i], most = b, worth
        _give(taken[i], first, limit, use, -1.0, room)


@njit(cache=True, nogil=True)
def _better(starts, value, first, limit, use, prices, taken, room, better, gain, rate):  # type: ignore[no-untyped-def]
    """Find each customer's change with the largest gain per further price, among those that fit now."""
    own = room.copy()
    for i in range(len(taken)):
        now = taken[i]
        has = value[now] if now >= 0 else 0.0
        paid = has - kept(now, value, first, limit, use, prices) if now >= 0 else 0.0
        if now >= 0:
            own[:] = room
            _give(now, first, limit, use, 1.0, own)
        for b in range(starts[i], starts[i + 1]):
            if value[b] <= has or not _fits(b, first, limit, use, own if now >= 0 else room):
                continue
            more = value[b] - has
            further = value[b] - kept(b, value, first, limit, use, prices) - paid
            per = more / further if further > 0 else np.inf
            if per > rate[i] or (per == rate[i] and more > gain[i]):
                better[i], gain[i], rate[i] = b, more, per


@njit(cache=True, nogil=True)
def _change(first, limit, use, turn, better, taken, room):  # type: ignore[no-untyped-def]
    """Make the changes that still fit when their turn comes; say how many."""
    own = room.copy()
    changed = 0
    for i in turn:
        own[:] = room
        _give(taken[i], first, limit, use, 1.0, own)
        if _fits(better[i], first, limit, use, own):
            _give(better[i], first, limit, use, -1.0, own)
            room[:] = own
            taken[i] = better[i]
            changed += 1
    return changed


@njit(cache=True, nogil=True)
def _short(starts, value, first, limit, use, prices, taken, room, by):  # type: ignore[no-untyped-def]
    own = np.zeros(len(room))
    for i in range(len(taken)):
        own[:] = 0.0
        _give(taken[i], first, limit, use, 1.0, own)
        has = value[taken[i]] if taken[i] >= 0 else 0.0
        for b in range(starts[i], starts[i + 1]):
            dearest, full = 0.0, -1
            for e in range(first[b], first[b + 1]):
                k = limit[e]
                price = prices[k] * (use[e] - own[k])
                if value[b] > has and price > dearest:
                    by[b], dearest = k, price
                if full < 0 and use[e] > room[k] + own[k]:
                    full = k
            if value[b] > has and by[b] < 0:
                by[b] = full
