"""What customers would get one by one, at the prices of a night that has settled for everybody together."""

from collections.abc import Mapping, Sequence

import numpy as np

from serving.policy.allocation.allocate import Limit
from serving.policy.allocation.bids import Flags, Indices, Numbers

NOTHING = -1


def priced_at(value: Numbers, limits: Sequence[Limit], prices: Mapping[str, float]) -> Numbers:
    """Give what each pair is worth beyond what it takes from others, (m,); the same sums as the night's."""
    out = value.copy()
    for limit in limits:
        if prices.get(limit.name):
            out = out - prices[limit.name] * limit.use
    return out


def best_at_prices(
    customer: Indices, rank: Indices, due: Flags, value: Numbers, priced: Numbers, free: Flags, n: int
) -> Indices:
    """Give each customer's best pair, (n,), or ``NOTHING``: the first of what is due, else what is worth most.

    By the rules of :func:`serving.policy.allocation.allocate`: who was not moved by the repair is told
    the same.

    Parameters
    ----------
    value, priced : (m,)
        What a pair brings, and what is left of it after the price of what it uses (:func:`priced_at`). A customer's
        class is decided before prices.
    free : (m,)
        Pairs that may be chosen at all.
    """
    out = np.full(n, NOTHING, np.intp)
    rows = np.flatnonzero(free & (due | (value > 0)))
    if not len(rows):
        return out
    key = np.where(due[rows], 0.0, -priced[rows])
    order = rows[np.lexsort((rows, key, rank[rows], customer[rows]))]
    first = order[np.r_[True, customer[order][1:] != customer[order][:-1]]]
    first = first[due[first] | (priced[first] > 0)]
    out[customer[first]] = first
    return out
