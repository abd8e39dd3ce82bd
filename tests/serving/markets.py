"""Nights in which a budget, an offer's budget and two capacities do not suffice, and the bound of HiGHS on them."""

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from serving.policy.allocation import Limit

ACTIONS = 8  # mail, three over LINE, two coupons by post, a gift, a call
COSTS = np.array([0.3, 3, 3, 50, 110, 200, 300, 600])  # of policy-sample.yaml, in yen


def market(n, seed):
    """A shop of ``n`` customers with eight actions each, in the form that ``allocate`` takes; nearly all would pay."""
    draw = np.random.default_rng(seed)
    customer = np.repeat(np.arange(n), ACTIONS)
    cost = COSTS * draw.uniform(0.8, 1.2, (n, ACTIONS))
    liking = draw.gamma(2, 0.5, (n, 1))  # some customers are worth more whatever is done
    value = draw.gamma(1.2, 100, (n, ACTIONS)) * liking - 60 + cost * draw.uniform(0, 1, (n, ACTIONS))
    action = np.tile(np.arange(ACTIONS), n)
    coupon = (action == 4) | (action == 5)
    limits = [
        Limit("budget.per_night", 5.0 * n, cost.ravel()),
        Limit("offer.coupon.budget", 1.0 * n, np.where(coupon, cost.ravel(), 0.0)),
        Limit("channel.phone.per_night", np.floor(0.001 * n), (action == 7) * 1.0),
        Limit("channel.line.monthly_quota", np.floor(0.2 * n), ((action >= 1) & (action <= 3)) * 1.0),
    ]
    return customer, np.zeros(len(customer), np.intp), np.zeros(len(customer), np.bool_), value.ravel(), limits, n


def highs(customer, value, limits, n, method="highs"):
    """Let HiGHS solve the relaxation, a customer's action taken in shares: ``-fun`` bounds every allocation."""
    pays = np.flatnonzero(value > 0)
    one_each = sparse.csr_matrix((np.ones(len(pays)), (customer[pays], np.arange(len(pays)))), shape=(n, len(pays)))
    finite = [limit for limit in limits if np.isfinite(limit.left)]
    rows = [sparse.csr_matrix(limit.use[pays]) for limit in finite]
    return linprog(
        -value[pays],
        A_ub=sparse.vstack([one_each, *rows]),
        b_ub=np.concatenate((np.ones(n), [limit.left for limit in finite])),
        bounds=(0, None),
        method=method,
    )
