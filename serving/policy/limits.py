"""What may still be spent and sent: budgets, stocks, quotas and people, as limits that every choice draws on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from features.calendar import BusinessCalendar
from serving.policy.allocation import Limit
from serving.policy.candidates import Candidates, discount
from serving.policy.rules import Policy, Pool
from serving.policy.situation import Flags


@dataclass(frozen=True)
class Spent:
    """What messages have cost this month and how many went out, before tonight; offers ever given."""

    cost: float = 0.0
    by_offer: Mapping[str, float] = field(default_factory=dict)
    by_channel: Mapping[str, int] = field(default_factory=dict)
    given: Mapping[str, int] = field(default_factory=dict)


def spent(contacts: pd.DataFrame, policy: Policy, calendar: BusinessCalendar, day: int) -> Spent:
    """Add up what went out in the calendar month of business day ``day``, before it; withheld ones cost nothing.

    A coupon counts in full once it is used, and until it expires as if it would be; then no more.
    """
    sent = contacts[~contacts.withheld.astype(bool)]
    today, now = calendar.date(day), calendar.start(day).timestamp()
    first = calendar.start(day - today.day + 1).timestamp()
    month = sent[sent["at"] >= first]
    cost = month.cost.fillna(0.0) + _reserved(month, policy, now)
    return Spent(
        float(cost.sum()),
        {str(name): float(value) for name, value in cost.groupby(month.offer_id).sum().items()},
        {str(name): int(n) for name, n in month.channel.value_counts().sort_index().items()},
        {str(name): int(n) for name, n in sent.offer_id.value_counts().sort_index().items()},
    )


def _reserved(sent: pd.DataFrame, policy: Policy, now: float) -> pd.Series:
    """Give what each message's offer may still take off an order, or has taken."""
    off = {name: float(discount(offer, np.zeros(1))[0]) for name, offer in policy.offers.items()}
    lasts = {name: float(offer.expires or np.inf) for name, offer in policy.offers.items()}
    is_open = sent.redeemed_at.notna() | (sent["at"] + sent.offer_id.map(lasts).astype(float) > now)
    reserved: pd.Series = sent.offer_id.map(off).astype(float).fillna(0.0).where(is_open, 0.0)
    return reserved


def limits_of(
    policy: Policy, c: Candidates, before: Spent, codes: Mapping[str, int], left_now: Mapping[str, float] | None = None
) -> list[Limit]:
    """List what tonight's choices draw on.

    Parameters
    ----------
    codes
        The codes left of each offer with a pool of them.
    left_now
        What is left of each limit, where that is known better than by what was spent before.
    """
    known = left_now or {}
    one, offer, channel = np.ones(len(c)), c.of("offer"), np.array(c.channels, object)[c.channel]
    budget = policy.budget
    found = []

    def limit(name: str, left: float | None, use: np.ndarray, where: Flags | None = None) -> None:
        if left is not None:
            room = max(float(known.get(name, left)), 0.0)
            found.append(Limit(name, room, np.where(True if where is None else where, use, 0.0)))

    limit("budget.per_night", budget.per_night, c.cost)
    limit("budget.per_month", None if budget.per_month is None else budget.per_month - before.cost, c.cost)
    for name, most in budget.per_offer.items():
        limit(f"budget.per_offer.{name}", most - before.by_offer.get(name, 0.0), c.cost, offer == name)
    for name, what in policy.offers.items():
        limit(f"offers.{name}.per_night", what.per_night, one, offer == name)
        stock = None if what.stock is None else what.stock - before.given.get(name, 0)
        limit(f"offers.{name}.stock", stock, one, offer == name)
        if isinstance(what.code, Pool):
            limit(f"offers.{name}.code", codes.get(name, 0), one, offer == name)
    for name, how in policy.channels.items():
        quota = None if how.monthly_quota is None else how.monthly_quota - before.by_channel.get(name, 0)
        limit(f"channels.{name}.monthly_quota", quota, one, channel == name)
        limit(f"channels.{name}.per_night", how.per_night, one, channel == name)
    return found


def guard_of(limit: str) -> str:
    """Name the guard that speaks for a limit.

    >>> guard_of("channels.line.monthly_quota"), guard_of("offers.counselling.per_night"), guard_of("budget.per_night")
    ('CHANNEL_QUOTA', 'STAFF_CAPACITY', 'BUDGET')
    """
    if limit.endswith("monthly_quota"):
        return "CHANNEL_QUOTA"
    return "STAFF_CAPACITY" if limit.endswith("per_night") and not limit.startswith("budget") else "BUDGET"
