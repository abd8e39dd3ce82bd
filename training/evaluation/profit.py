"""Whom to contact with what within a budget, by several ways of choosing."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Ints = NDArray[np.intp]

EVERYONE, RISKIEST, RESPONSE, RANDOM, OURS = "everyone", "highest_churn_first", "response_model", "random", "okaeri"
ROUNDS = 60  # of halving the price of money; the rest of the budget is then below any one contact's cost


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
    low, high = 0.0, float(np.max(net / np.maximum(cost, 1e-9))) + 1.0
    for _ in range(ROUNDS):
        price = (low + high) / 2
        low, high = (price, high) if spent(chosen(price)) > budget else (low, price)
    return chosen(high)


def first_within(order: Matrix, offer: int, cost: Matrix, budget: float) -> Ints:
    """Give one offer to the customers highest in ``order`` (n,) until the budget is spent."""
    rank = np.argsort(-order, kind="stable")
    within = np.cumsum(cost[rank, offer]) <= budget
    choice = np.zeros(len(order), np.intp)
    choice[rank[within]] = 1 + offer
    return choice


def choices(net: Matrix, cost: Matrix, p_without: Matrix, p_with: Matrix, budget: float) -> dict[str, Ints]:
    """Choose within a budget as each method does, by what is believed of customers: arrays (n,) and (n, n_offers).

    All but ours give the one offer that brings most on average: to whomever comes first by lot, to those least
    likely to order by themselves, to those most likely to order once contacted; ``random`` draws the offer as well.
    """
    lot = np.random.default_rng(0)
    best = int(net.mean(axis=0).argmax())
    anyone, any_offer = lot.random(len(net)), lot.integers(0, net.shape[1], len(net))
    rank = np.argsort(anyone, kind="stable")
    drawn = np.zeros(len(net), np.intp)
    within = np.cumsum(cost[rank, any_offer[rank]]) <= budget
    drawn[rank[within]] = 1 + any_offer[rank[within]]
    firsts: dict[str, Callable[[], Ints]] = {
        OURS: lambda: best_within(net, cost, budget),
        EVERYONE: lambda: first_within(anyone, best, cost, budget),
        RISKIEST: lambda: first_within(-p_without, best, cost, budget),
        RESPONSE: lambda: first_within(p_with[:, best], best, cost, budget),
        RANDOM: lambda: drawn,
    }
    return {name: choose() for name, choose in firsts.items()}


def _of(values: Matrix, choice: Ints) -> Matrix:
    """Give each customer's value of what was chosen, (n,); 0 of nothing."""
    return np.where(choice > 0, values[np.arange(len(choice)), np.maximum(choice - 1, 0)], 0.0)
