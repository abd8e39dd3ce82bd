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
    value[:, -1] += 2_000 * liking[:, 0] * draw.uniform(0, 1, n)  # a call is dear and does much
    action = np.tile(np.arange(ACTIONS), n)
    coupon = (action == 4) | (action == 5)
    limits = [
        Limit("budget.per_night", 5.0 * n, cost.ravel()),
        Limit("offer.coupon.budget", 1.0 * n, np.where(coupon, cost.ravel(), 0.0)),
        Limit("channel.phone.per_night", np.floor(0.001 * n), (action == 7) * 1.0),
        Limit("channel.line.monthly_quota", np.floor(0.2 * n), ((action >= 1) & (action <= 3)) * 1.0),
    ]
    return customer, np.zeros(len(customer), np.intp), np.zeros(len(customer), np.bool_), value.ravel(), limits, n


def highs(customer, value, limits, n):
    """Let HiGHS find the bound: the most that actions taken in shares could earn, which no allocation exceeds.

    It is asked for the dual (what the limits and the customers' places are worth), the same number in 7 CPU-seconds
    for 20,000 customers against 37 for the primal (2026-11-25).
    """
    pays = np.flatnonzero(value > 0)
    finite = [limit for limit in limits if np.isfinite(limit.left)]
    place = sparse.csr_matrix((np.ones(len(pays)), (np.arange(len(pays)), customer[pays])), shape=(len(pays), n))
    uses = [sparse.csr_matrix(limit.use[pays]).T for limit in finite]
    return linprog(
        np.concatenate((np.ones(n), [limit.left for limit in finite])),
        A_ub=-sparse.hstack([place, *uses]),
        b_ub=-value[pays],
        bounds=(0, None),
        method="highs",
    ).fun
