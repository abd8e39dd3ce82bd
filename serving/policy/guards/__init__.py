"""What forbids sending: each guard looks at every candidate. The only place guards are decided.

A guard gives where it fails, where it could not be checked (its table is absent or late) and when it clears. What is
owed to the customer (``service``) passes those that protect from being asked or sold to.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.policy.guards.care import open_return, open_ticket
from serving.policy.guards.case import Case, Verdict
from serving.policy.guards.control import control_group
from serving.policy.guards.permission import channel_unreachable, consent_channel, consent_personalise
from serving.policy.guards.pressure import discount_cap, frequency_cap, offer_still_open, sales_pressure, survey_cap
from serving.policy.guards.terms import active_subscription, gift_limit, is_refill, margin_floor, review_incentive, tier
from serving.policy.guards.timing import blackout, not_delivered, quiet_hours, recent_order, survey_window
from serving.policy.rules import Policy
from serving.policy.situation import Flags, Matrix

PASS, FAIL, NOT_CHECKED = 0, 1, 2
STATES = ("pass", "fail", "not_checked")

States = NDArray[np.int8]


def _never(case: Case) -> Verdict:
    """Decided with everybody together: :mod:`serving.policy.choice` marks what a limit has no room for."""
    return Verdict(case.none())


def _asks(case: Case) -> Flags:
    return np.asarray(case.purpose == "survey", np.bool_)


class Guard(NamedTuple):
    """One guard: what it looks at, the tables without which it cannot say, and which candidates it is about."""

    look: Callable[[Case], Verdict]
    reads: tuple[str, ...] = ()
    about: Callable[[Case], Flags] = lambda case: ~case.is_service


# In the order of contracts.md section 5.
GUARDS: dict[str, Guard] = {
    "CONSENT_CHANNEL": Guard(consent_channel, ("consents",)),
    "CONSENT_PERSONALISE": Guard(consent_personalise, ("consents",), lambda case: case.is_marketing),
    "FREQUENCY_CAP": Guard(frequency_cap, ("contacts",)),
    "QUIET_HOURS": Guard(quiet_hours),
    "NOT_DELIVERED": Guard(not_delivered, ("shipments",), _asks),
    "SURVEY_WINDOW": Guard(survey_window, ("shipments",), _asks),
    "SURVEY_CAP": Guard(survey_cap, ("contacts",), _asks),
    "OPEN_TICKET": Guard(open_ticket, ("feedback",)),
    "OPEN_RETURN": Guard(open_return, ("feedback",)),
    "RECENT_ORDER": Guard(recent_order, ("order_lines",), lambda case: case.is_marketing),
    "SALES_PRESSURE": Guard(sales_pressure, ("contacts",), lambda case: case.is_marketing),
    "DISCOUNT_CAP": Guard(discount_cap, ("contacts",), lambda case: case.incentive == "coupon"),
    "OFFER_STILL_OPEN": Guard(offer_still_open, ("contacts",), lambda case: case.is_money),
    "MARGIN_FLOOR": Guard(margin_floor),
    "BUDGET": Guard(_never),
    "TIER": Guard(tier),
    "CONTROL_GROUP": Guard(control_group),
    "REVIEW_INCENTIVE": Guard(review_incentive),
    "ACTIVE_SUBSCRIPTION": Guard(active_subscription, ("subscriptions",), is_refill),
    "CHANNEL_UNREACHABLE": Guard(channel_unreachable, ("responses",)),
    "CHANNEL_QUOTA": Guard(_never),
    "STAFF_CAPACITY": Guard(_never),
    "BLACKOUT": Guard(blackout),
    "GIFT_LIMIT": Guard(gift_limit),
}
CODES = tuple(GUARDS)
CONTROL = CODES.index("CONTROL_GROUP")


def states(case: Case, late_tables: Collection[str] = ()) -> States:
    """Check every guard for every candidate, shape (n_candidates, len(GUARDS)).

    A guard whose table is absent or late is not checked, unless what is there already forbids.
    """
    out = np.zeros((len(case), len(GUARDS)), np.int8)
    for column, guard in enumerate(GUARDS.values()):
        unknown = _lacks(case, guard, late_tables) & np.asarray(guard.about(case), np.bool_)
        out[:, column] = np.where(guard.look(case).fails, FAIL, np.where(unknown, NOT_CHECKED, PASS))
    return out


def _lacks(case: Case, guard: Guard, late_tables: Collection[str]) -> bool:
    return any(table not in case.around.tables or table in late_tables for table in guard.reads)


def clears(case: Case) -> Matrix:
    """Give when each guard would let each candidate go, (n_candidates, len(GUARDS)); NaN where nobody knows."""
    out = np.full((len(case), len(GUARDS)), np.nan)
    for column, guard in enumerate(GUARDS.values()):
        found = guard.look(case)
        if found.clears is not None:
            out[:, column] = np.where(found.fails & np.isfinite(found.clears), found.clears, np.nan)
    return out


def blocking(found: States, policy: Policy, late_tables: Collection[str] = ()) -> NDArray[np.bool_]:
    """Tell which guard blocks which candidate: it fails, or was not checked and the policy does not let that pass.

    Where the policy says nothing, one whose table is late blocks, and one whose table the shop never had does not.
    """
    strict = [
        policy.unknown_guard == "block" if policy.unknown_guard else any(t in late_tables for t in guard.reads)
        for guard in GUARDS.values()
    ]
    return np.asarray((found == FAIL) | ((found == NOT_CHECKED) & np.array(strict)), np.bool_)
