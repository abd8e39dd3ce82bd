"""Whom to contact with what within a budget, by several ways of choosing."""

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Ints = NDArray[np.intp]

EVERYONE, RISKIEST, RESPONSE, RANDOM, OURS = "everyone", "highest_churn_first", "response_model", "random", "okaeri"
ROUNDS = 60  # of halving the price of money: then it stands still


def best_within(net: Matrix, cost: Matrix, budget: float) -> Ints:
    """Choose for each customer nothing (0) or one offer (1 + its column) so that the sum of ``net`` is highest.

    Both have shape (n, n_offers). The dual of the linear programme: every yen spent must bring at least the same, so
    that what is left of the budget is less than the cost of one more contact.

    >>> best_within(np.array([[5.0, 6.0], [3.0, 9.0]]), np.array([[1.0, 4.0], [1.0, 4.0]]), 5.0)
    array([1, 2])
    """

    def chosen(price: float) -> Ints:
        gain = net - price * cost
        return np.where(gain.max(axis=1) > 0, 1 + gain.argmax(axis=1), 0)

    def spent(choice: Ints) -> float:
        return float(_of(cost, choice).sum())

    if spent(chosen(0.0)) <= budget:
        return chosen(0.0)
    low, high = 0.0, float((net / np.maximum(cost, 1e-9)).max()) + 1.0
    for _ in range(ROUNDS):
        price = (low + high) / 2
        low, high = (price, high) if spent(chosen(price)) > budget else (low, price)
    within, beyond = chosen(high), chosen(low)  # they differ where customers are at the very border
    extra = _of(cost, beyond) - _of(cost, within)
    border = np.flatnonzero(within != beyond)
    border = border[np.cumsum(extra[border]) <= budget - spent(within)]
    within[border] = beyond[border]
    return within


def first_within(rank: Ints, offer: Ints, cost: Matrix, budget: float) -> Ints:
    """Give the customers in ``rank`` their ``offer`` (a column, by customer) one after another until nothing is left.

    >>> first_within(np.array([2, 0]), np.array([0, 0, 1]), np.ones((3, 2)), 1.0)
    array([0, 0, 2])
    """
    within = rank[np.cumsum(cost[rank, offer[rank]]) <= budget]
    choice = np.zeros(len(cost), np.intp)
    choice[within] = 1 + offer[within]
    return choice


def choices(net: Matrix, cost: Matrix, p_without: Matrix, p_with: Matrix, budget: float) -> dict[str, Ints]:
    """Choose within a budget as each method does, by what is believed of customers: arrays (n,) and (n, n_offers).

    ``net`` is infinitely low where an offer is none of a customer's. All but ours give the one offer that brings most
    on average: to whomever comes first by lot, to those least likely to order by themselves, to those most likely to
    order once contacted; ``random`` draws the offer as well.
    """
    lot, is_open = np.random.default_rng(0), np.isfinite(net)
    mean = np.where(is_open, net, 0.0).sum(axis=0) / np.maximum(is_open.sum(axis=0), 1)
    best = np.full(len(net), int(mean.argmax()))
    anyone, drawn = lot.random(len(net)), np.where(is_open, lot.random(net.shape), -1.0).argmax(axis=1)

    def first(order: Matrix, offer: Ints) -> Ints:
        rank = np.argsort(-order, kind="stable")
        return first_within(rank[is_open[rank, offer[rank]]], offer, cost, budget)

    return {
        OURS: best_within(net, cost, budget),
        EVERYONE: first(anyone, best),
        RISKIEST: first(-p_without, best),
        RESPONSE: first(p_with[:, best[0]], best),
        RANDOM: first(anyone, drawn),
    }


def _of(values: Matrix, choice: Ints) -> Matrix:
    """Give each customer's value of what was chosen, (n,); 0 of nothing."""
    return np.where(choice > 0, values[np.arange(len(choice)), np.maximum(choice - 1, 0)], 0.0)
