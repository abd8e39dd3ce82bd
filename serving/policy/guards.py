"""What forbids sending: each guard a column of pass, fail or not checked. The only place guards are decided."""

import hashlib
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from serving.policy.rules import Policy

PASS, FAIL, NOT_CHECKED = 0, 1, 2
STATES = ("pass", "fail", "not_checked")
READS = {  # the table whose rows decide a guard; None: no table does
    "CONSENT_CHANNEL": "consents",
    "CONSENT_PERSONALISE": "consents",
    "RECENT_ORDER": "order_lines",
    "CONTROL_GROUP": None,
}
GUARDS = tuple(READS)

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


def reachable(columns: Mapping[str, Matrix], policy: Policy) -> dict[str, NDArray[np.bool_]] | None:
    """Tell per channel whose marketing consent covers it; ``None`` for a shop without a consents table.

    Where there is a table, a customer who never said yes has not agreed.
    """
    facts = {name: columns.get(f"consent_marketing_{name}") for name in policy.channels}
    if all(fact is None for fact in facts.values()):
        return None
    n = len(next(iter(columns.values())))
    return {name: np.zeros(n, np.bool_) if fact is None else fact == 1 for name, fact in facts.items()}


def guard_states(
    columns: Mapping[str, Matrix],
    silence_days: Matrix,
    control: NDArray[np.bool_],
    policy: Policy,
    late_tables: Collection[str] = (),
) -> States:
    """Check every guard for every customer, shape (n_customers, len(GUARDS)).

    ``columns`` are the features and consent facts; where the shop has no consents table they are absent and
    the guard is not checked. Nor is one whose table is late, unless what came before already forbids.
    """
    reached = reachable(columns, policy)
    personalise = columns.get("consent_personalise")
    n = len(silence_days)
    states = np.column_stack(
        [
            np.full(n, NOT_CHECKED)
            if reached is None
            else np.where(np.any(list(reached.values()), axis=0), PASS, FAIL),
            np.where(personalise == 0, FAIL, PASS) if personalise is not None else np.full(n, NOT_CHECKED),
            np.where(silence_days <= policy.recent_order_days, FAIL, PASS),
            np.where(control, FAIL, PASS),
        ]
    ).astype(np.int8)
    states[(states == PASS) & _is_late(late_tables)] = NOT_CHECKED
    return states


def _is_late(late_tables: Collection[str]) -> NDArray[np.bool_]:
    """Tell which guards read a late table, shape (len(GUARDS),)."""
    return np.array([table in late_tables for table in READS.values()])


def sending_allowed(states: States, policy: Policy, late_tables: Collection[str] = ()) -> NDArray[np.bool_]:
    """Tell to whom something may be sent: no guard fails, and an unchecked one counts as the policy says.

    Where it says nothing, one whose table is late blocks, and one whose table the shop never had does not.
    """
    blocks = (
        _is_late(late_tables) if policy.unknown_guard is None else np.full(len(GUARDS), policy.unknown_guard == "block")
    )
    blocked = (states == FAIL) | ((states == NOT_CHECKED) & blocks)
    allowed: NDArray[np.bool_] = ~blocked.any(axis=1)
    return allowed
