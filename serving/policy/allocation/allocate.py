"""Who gets what tonight: at most one action each, so that what budgets and capacities allow earns most.

Service and surveys are due: they are settled first and never weighed against money. What is left of the budgets goes
where it earns most, by a price for each limit (``prices``) and a repair of the few wishes that do not fit together
(``repair``). Pure arithmetic: equal arrays in, equal arrays out.

What depends on a customer's position: who of several due customers with equal best values comes first, and who of
several customers with exactly equal values and uses is served. Nothing else; totals change only by the former.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from serving.policy.allocation.bids import NO_RANK, Flags, Indices, Numbers, classes, gather
from serving.policy.allocation.owed import settle
from serving.policy.allocation.prices import search
from serving.policy.allocation.repair import fill_up, in_turn, short, wishes

# A price that keeps out what there is nothing left for lies this much above what would do: a sum may round.
ABOVE = 1 + 1e-9


@dataclass(frozen=True)
class Limit:
    """A budget or capacity: what may still be used tonight (below 0 counts as 0, inf as none), and what each pair uses.

    ``left`` and ``use`` (m,) are in the limit's own unit, an amount or a number of messages; uses are >= 0.
    """

    name: str
    left: float
    use: Numbers


@dataclass(frozen=True)
class Allocation:
    """A night's choice among pairs (customer, action), and what the limits cost.

    ``chosen`` (n,) the pair of each customer, or -1; ``moved`` (n,) customers whom the repair gave other than the
    prices alone would have; ``prices`` what one further unit of a limit would earn; ``value`` the sum over the chosen
    pairs that are not due, ``bound`` what no other choice of those could exceed; ``used`` of each limit, by all chosen
    pairs; ``bound_by`` (m,) for a pair better for its customer than the chosen one, the index of the limit it was not
    chosen for, else -1.
    """

    chosen: Indices
    moved: Flags
    prices: Mapping[str, float]
    value: float
    bound: float
    used: Mapping[str, float]
    bound_by: Indices


def allocate(
    customer: Indices, rank: Indices, due: Flags, value: Numbers, limits: Sequence[Limit], n: int
) -> Allocation:
    """Choose one action or nothing for each customer, within purpose and priority and within every limit.

    A customer's class is their first rank with a due pair or a pair of value > 0; no other pairs compete. Due pairs
    are settled by rank, then customers by the value of their best pair, then position; each gets the first pair,
    in their own order, that every limit still holds, and one for whom none does falls to their next class.
    The classes of all others are one optimisation.

    Parameters
    ----------
    customer : (m,)
        Position, 0 to n - 1, ascending; within a customer pairs stand in the policy's order, which breaks ties.
    rank : (m,)
        Purpose and priority as one number, the lower first.
    due : (m,)
        Sent whether or not it pays; ranks before all of the customer's pairs that are not due.
    value : (m,)
        Expected net value, finite; nothing is worth 0.
    limits
        Each with a name of its own.

    Returns
    -------
    Allocation
        Within every limit, to the rounding of a sum of doubles (exactly, where uses are whole numbers).

    Raises
    ------
    ValueError
        If the arrays do not belong together or are not as described.

    >>> calls = Limit("channel.phone.per_night", 1, np.array([1.0, 0, 1]))
    >>> pairs = np.array([0, 0, 1]), np.zeros(3, int), np.zeros(3, bool), np.array([90.0, 40, 60])
    >>> night = allocate(*pairs, [calls], 2)
    >>> night.chosen, night.value, night.bound_by
    (array([1, 2]), 100.0, array([ 0, -1, -1]))
    """
    _check(customer, rank, due, value, limits, n)
    uses = [np.ascontiguousarray(limit.use, np.float64) for limit in limits]
    room = np.array([max(limit.left, 0.0) for limit in limits], np.float64)
    chosen, bound_by = settle(customer, rank, due, value, uses, room, n)

    first = classes(np.searchsorted(customer, np.arange(n + 1)), rank, due, value)
    first[chosen >= 0] = NO_RANK
    competes = (rank == first[customer]) & ~due & (value > 0)
    too_large = _too_large(uses, room, len(customer))
    bids = gather(np.flatnonzero(competes & (too_large < 0)), customer, value, uses, room)
    left = room[bids.tight]
    tight_prices, bound = search(bids, left)
    wish, most, strength = wishes(bids, tight_prices)
    taken = in_turn(bids, tight_prices, strength, left)
    fill_up(bids, tight_prices, taken, left)
    earning = bids.pair[taken[taken >= 0]]
    chosen[customer[earning]] = earning

    kept_out = np.flatnonzero(competes & (too_large >= 0))
    has = np.where(chosen >= 0, np.append(value, 0.0)[chosen], 0.0)
    missed = kept_out[value[kept_out] > has[customer[kept_out]]]
    bound_by[missed] = too_large[missed]
    by = short(bids, tight_prices, taken, left)
    bound_by[bids.pair[by >= 0]] = bids.tight[by[by >= 0]]

    prices = np.zeros(len(limits))
    prices[bids.tight] = tight_prices
    keeps, moved = np.zeros(n), np.zeros(n, np.bool_)
    keeps[bids.customer], moved[bids.customer] = most, taken != wish
    _close(prices, kept_out, keeps[customer[kept_out]], value, uses, room, bids.pair)
    names, got, earned = [limit.name for limit in limits], chosen[chosen >= 0], math.fsum(value[earning])
    return Allocation(
        chosen=chosen,
        moved=moved,
        prices=dict(zip(names, prices.tolist(), strict=True)),
        value=earned,
        bound=max(bound, earned),
        used={name: math.fsum(use[got]) for name, use in zip(names, uses, strict=True)},
        bound_by=bound_by,
    )


def _check(customer: Indices, rank: Indices, due: Flags, value: Numbers, limits: Sequence[Limit], n: int) -> None:
    columns = {"rank": rank, "due": due, "value": value} | {f"use of {limit.name}": limit.use for limit in limits}
    for name, column in columns.items():
        if column.shape != (len(customer),):
            raise ValueError(f"{name} has shape {column.shape}, not one number for each of {len(customer)} pairs")
        if not np.isfinite(column).all():
            raise ValueError(f"{name} is not finite everywhere")
    if len(customer) and (customer[0] < 0 or customer[-1] >= n or (np.diff(customer) < 0).any()):
        raise ValueError(f"customers are not ascending positions from 0 to {n - 1}")
    if len({limit.name for limit in limits}) < len(limits):
        raise ValueError("two limits have one name")
    for limit in limits:
        if math.isnan(limit.left) or (limit.use < 0).any():
            raise ValueError(f"{limit.name}: what is left is not a number, or a use is below 0")


def _too_large(uses: Sequence[Numbers], room: Numbers, m: int) -> Indices:
    """Name the first limit that each pair alone exceeds, or -1."""
    by = np.full(m, -1, np.intp)
    for k in reversed(range(len(uses))):
        by[uses[k] > room[k]] = k
    return by


def _close(
    prices: Numbers,
    kept_out: Indices,
    keeps: Numbers,
    value: Numbers,
    uses: Sequence[Numbers],
    room: Numbers,
    competing: Indices,
) -> None:
    """Price the limits that hold nothing tonight, so that at the prices nobody wishes for them; in place.

    ``keeps`` is what the customer of each pair kept out has at the prices without it: what the pair would bring
    beyond that, per unit, is what a first unit would earn.
    """
    for k, use in enumerate(uses):
        over = use[kept_out] > room[k]
        if not over.any() or use[competing].any():
            continue
        pairs = kept_out[over]
        beyond = value[pairs] - keeps[over]
        for priced in np.flatnonzero(prices).tolist():
            beyond = beyond - prices[priced] * uses[priced][pairs]
        prices[k] = max(0.0, float((beyond / use[pairs]).max())) * ABOVE
