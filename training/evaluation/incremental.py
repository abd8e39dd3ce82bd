"""Whether it worked: orders and profit of customers who were drawn to be written to, beside those left alone.

By intention to treat: everyone drawn counts in the arm they were drawn for, whether a message reached them or not, and
once per experiment, from the first decision on. A customer counts when the window after that decision is over and what
came back is settled; from then on their figures stand still, as reading the report every morning needs it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from features.assignments import ARMS, GLOBAL, IsControl, assignments
from features.shop import Shop
from training.evaluation.anytime import UNLIKELY_SPLIT, Arm, Bounds, anytime, arm_of, fixed, split_p_value
from training.evaluation.planning import plan
from training.labels import orders_after

Verdict = Literal["gain", "loss", "no_difference", "too_small"]

# Customers with an order in each arm, for a verdict: means of fewer are not normal yet. A message that drives away
# three quarters of the orders, skewed profits, a tenth control, 4,000 campaigns of 120 mornings: bounds that miss the
# truth on some morning from 20 buyers on 9.5 %, from 30 on 7.8 %, from 50 on 5.2 %; milder effects less (2026-11-25).
FEWEST_BUYERS = 50
# After the window, for lines entered late and what is sent back. Simulated shop: what is known at once has 3 % fewer of
# the control group's orders (entered the next morning); from 2 days on the margin moves by 1 % at most (2026-11-25).
SETTLE_DAYS = 7


@dataclass(frozen=True)
class Assumptions:
    """What a report goes by."""

    window_days: int  # an order within so many days after a decision counts
    margin_share: float  # of the price, for lines whose cost is not known
    lifts: Mapping[str, float] = field(default_factory=dict)  # share of those who would not order that it brings back
    own_shares: Mapping[str, float] = field(default_factory=dict)  # left alone by the policy's draw, by experiment
    control_shares: Mapping[str, float] = field(
        default_factory=dict
    )  # as planned by whoever drew; goes before the above
    settle_days: int = SETTLE_DAYS


@dataclass(frozen=True)
class Measure:
    """What customers of both arms did, and how much more those drawn to be written to did, each."""

    treatment: Arm
    control: Arm
    anytime: Bounds
    fixed: Bounds
    assumed: float | None  # difference per customer, for saying that there is none worth having
    verdict: Verdict


@dataclass(frozen=True)
class Judged:
    """What came of one experiment, as known at an instant."""

    experiment: str
    first_day: int  # business day of the first decision that counts; of any, where none does
    last_day: int
    assigned: Mapping[str, int]  # customers by arm, their window over or not
    counted: Mapping[str, int]  # whose window is over
    buyers: Mapping[str, int]  # of these, with an order
    orders: Measure  # per customer
    profit: Measure  # per customer, currency: margin less what the messages cost
    planned_share: float | None
    split_p_value: float | None
    plan: Mapping[str, Any]

    @property
    def verdict(self) -> Verdict:
        """Say whether it paid."""
        return self.profit.verdict

    @property
    def is_split_off(self) -> bool:
        """Tell that the arms are not as large as planned: something but the draw decides who is left alone."""
        return self.split_p_value is not None and self.split_p_value < UNLIKELY_SPLIT


def judge_experiments(
    shop: Shop, day: int, how: Assumptions, is_global_control: IsControl | None = None
) -> list[Judged]:
    """Judge every experiment of a shop as known at the start of business day ``day``, that of everything first."""
    drawn = assignments(shop, day, how.window_days, is_global_control)
    is_over = drawn.day + how.window_days + how.settle_days + 1 <= day
    over = drawn[is_over].reset_index(drop=True)
    came = orders_after(shop, over, how.window_days, how.settle_days, how.margin_share, day)
    counted = over.assign(n_orders=came.n_orders, margin=came.margin, profit=came.margin - over.cost)
    names = sorted(set(drawn.experiment), key=lambda name: (name != GLOBAL, name))
    return [judge(name, drawn[drawn.experiment == name], counted[counted.experiment == name], how) for name in names]


def judge(experiment: str, drawn: pd.DataFrame, counted: pd.DataFrame, how: Assumptions) -> Judged:
    """Judge one experiment.

    Parameters
    ----------
    drawn
        Every customer of it: ``arm``, ``day``, ``is_ours``.
    counted
        Those whose window is over: ``arm``, ``day``, ``n_orders``, ``margin`` and ``profit`` (margin less messages).
    """
    arms = {arm: counted[counted.arm == arm] for arm in ARMS}
    n = {arm: len(rows) for arm, rows in arms.items()}
    buyers = {arm: int((rows.n_orders > 0).sum()) for arm, rows in arms.items()}
    p = buyers["control"] / n["control"] if n["control"] else float("nan")
    lift = how.lifts.get(experiment)
    effect = None if lift is None or p != p else lift * (1 - p)
    per_order = _ratio(counted.margin.sum(), counted.n_orders.sum())
    worth = None if effect is None or per_order is None else effect * max(per_order, 0.0)
    orders, profit = (
        _measure(arms["treatment"][of], arms["control"][of], min(buyers.values()), assumed)
        for of, assumed in (("n_orders", effect), ("profit", worth))
    )
    assigned = {arm: int((drawn.arm == arm).sum()) for arm in ARMS}
    own = how.own_shares.get(experiment) if drawn.is_ours.all() else None
    planned = how.control_shares.get(experiment, own)
    share = _ratio(n["control"], sum(n.values()))
    spread = float(np.sqrt(profit.control.variance))
    return Judged(
        experiment,
        int((counted if len(counted) else drawn).day.min()),
        int((counted if len(counted) else drawn).day.max()),
        assigned,
        n,
        buyers,
        orders,
        profit,
        planned,
        None if planned is None else split_p_value(assigned["treatment"], assigned["control"], planned),
        {} if share is None or p != p else plan(sum(n.values()), share, p, effect, spread),
    )


def _measure(
    treated: "pd.Series[float]", left_alone: "pd.Series[float]", n_buyers: int, assumed: float | None
) -> Measure:
    arms = arm_of(treated.to_numpy()), arm_of(left_alone.to_numpy())
    bounds = anytime(*arms)
    return Measure(*arms, bounds, fixed(*arms), assumed, verdict(bounds, n_buyers, assumed))


def verdict(bounds: Bounds, n_buyers: int, assumed: float | None) -> Verdict:
    """Say what bounds of a difference show.

    Parameters
    ----------
    n_buyers
        Customers with an order, in the arm that has fewer.
    assumed
        A difference as small as this, either way, is none; ``None`` if nothing was assumed.

    >>> of = lambda low, high: Bounds(*map(np.array, ((low + high) / 2, low, high)))
    >>> [verdict(of(*ends), 100, 0.02) for ends in [(0.001, 0.05), (-0.05, -0.001), (-0.01, 0.015), (-0.01, 0.03)]]
    ['gain', 'loss', 'no_difference', 'too_small']
    >>> verdict(of(0.001, 0.05), FEWEST_BUYERS - 1, 0.02)
    'too_small'
    """
    low, high = float(bounds.low), float(bounds.high)
    if n_buyers < FEWEST_BUYERS or low != low:
        return "too_small"
    if low > 0 or high < 0:
        return "gain" if low > 0 else "loss"
    return "no_difference" if assumed is not None and -assumed <= low and high <= assumed else "too_small"


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
