"""What an audience could prove before it goes out: the smallest effect it would show, and the control it would take."""

from typing import Any

import numpy as np

from serving.audiences.members import Members
from serving.policy.rules import Policy
from training.evaluation.planning import plan


def prospects(found: Members, policy: Policy) -> dict[str, Any] | None:
    """Say what sending to an audience could show beside its control group; ``None`` where nobody is drawn.

    The chances are those the night gave; nobody's outcome is looked at.
    """
    held = int((found.excluded.reasons == "CONTROL_GROUP").sum())
    n = len(found.included) + held
    chances = found.included.reindex(columns=["p_without", "p_with"]).to_numpy(np.float64)
    if not n or not np.isfinite(chances).any():
        return None
    without, with_it = np.nanmean(chances, axis=0)
    share = held / n or max(policy.control.global_share, policy.control.scenario_share)
    return plan(n, share, float(without), float(with_it - without))
