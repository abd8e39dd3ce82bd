"""What forbids sending: each guard a column of pass, fail or not checked. The only place guards are decided."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from serving.policy.rules import Policy

PASS, FAIL, NOT_CHECKED = 0, 1, 2
STATES = ("pass", "fail", "not_checked")
GUARDS = ("CONSENT_CHANNEL", "CONSENT_PERSONALISE", "RECENT_ORDER", "CONTROL_GROUP")

States = NDArray[np.int8]
Matrix = NDArray[np.float64]


def in_control(customer_ids: Sequence[str], policy: Policy) -> NDArray[np.bool_]:
    """Tell who is in the global control group: a salted hash, the same every day."""
    edge = int(policy.control.global_share * 2**64)
    salt = policy.control.salt.encode() + b"\x1f"
    drawn = (
        hashlib.sha256(salt + customer_id.encode("utf-8", "surrogatepass")).digest()[:8] for customer_id in customer_ids
    )
    return np.fromiter((int.from_bytes(d, "big") < edge for d in drawn), np.bool_, len(customer_ids))


def guard_states(
    columns: Mapping[str, Matrix], silence_days: Matrix, control: NDArray[np.bool_], policy: Policy
) -> States:
    """Check every guard for every customer, shape (n_customers, len(GUARDS)).

    ``columns`` are the features and consent facts; where the shop has no consents table they are absent and
    the guard is not checked. Where there is a table, a customer who never said yes has not agreed.
    """
    channels = [f"consent_marketing_{name}" for name in policy.channels]
    reachable = [columns[name] == 1 for name in channels if name in columns]
    personalise = columns.get("consent_personalise")
    n = len(silence_days)
    return np.column_stack(
        [
            np.where(np.any(reachable, axis=0), PASS, FAIL) if reachable else np.full(n, NOT_CHECKED),
            np.where(personalise == 0, FAIL, PASS) if personalise is not None else np.full(n, NOT_CHECKED),
            np.where(silence_days <= policy.recent_order_days, FAIL, PASS),
            np.where(control, FAIL, PASS),
        ]
    ).astype(np.int8)


def sending_allowed(states: States, policy: Policy) -> NDArray[np.bool_]:
    """Tell to whom something may be sent: no guard fails, and an unchecked one counts as the policy says."""
    blocked = states == FAIL
    if policy.unknown_guard == "block":
        blocked |= states == NOT_CHECKED
    allowed: NDArray[np.bool_] = ~blocked.any(axis=1)
    return allowed
