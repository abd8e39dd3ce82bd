"""Who is withheld so that effects can be measured: from everything, or from one scenario."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from serving.policy.candidates import Candidates
from serving.policy.guards.case import Case, Verdict
from serving.policy.rules import Policy
from serving.policy.situation import Flags


def in_control(customer_ids: Sequence[str], share: float, salt: str, scenario: str = "") -> Flags:
    """Tell who is in a control group: a salted hash, the same every day; of one scenario, or of everything."""
    edge = int(share * 2**64)
    start = f"{salt}\x1f{scenario}\x1f".encode() if scenario else f"{salt}\x1f".encode()
    drawn = (hashlib.sha256(start + one.encode("utf-8", "surrogatepass")).digest()[:8] for one in customer_ids)
    return np.fromiter((int.from_bytes(d, "big") < edge for d in drawn), np.bool_, len(customer_ids))


def withheld(policy: Policy, c: Candidates, ids: NDArray[np.object_], everywhere: Flags) -> Flags:
    """Tell which candidates the control group withholds: ``everywhere`` tells who is in the global one."""
    exempt = np.isin(c.of("purpose"), policy.control.exempt)
    found = everywhere[c.customer]
    if policy.control.scenario_share:
        scenario = c.of("scenario")
        for name in {option.scenario for option in c.options}:
            rows = np.flatnonzero((scenario == name) & ~exempt)
            who, place = np.unique(c.customer[rows], return_inverse=True)
            drawn = in_control(ids[who].tolist(), policy.control.scenario_share, policy.control.salt, name)
            found[rows] |= drawn[place]
    return np.asarray(found & ~exempt, np.bool_)


def control_group(case: Case) -> Verdict:
    """Some get nothing, so that what the messages bring can be measured."""
    return Verdict(case.is_control)
