"""Rules about a list as a whole: room for products not bought before, and which own ones run out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from training.models.recommender.catalogue import F_CYCLE, F_KIND_AGAIN, Catalogue
from training.models.recommender.history import AGE, IDLE, N_DAYS, Floats, History

# A regular's fifty likeliest products are all own ones. Behind the first 20 places a list of 50 keeps 15 for others,
# which campaigns may want alone (engineering choice, 2026-11-24).
FIRST, OTHERS_SHARE = 20, 0.3
# Nobody has bought what was just launched, so its chance is the smallest of all; two of the customer's kinds are in
# every long list all the same (engineering choice, 2026-11-24).
NEW_PLACES = 2

# An own product is called due while its interval is nearly over or not long past: the customer's own from so many
# order days on, else the product's. It must be of a kind that is bought again (engineering choices, 2026-11-24;
# serving/replenishment.py: later than 1.5 intervals it was given up).
OWN_INTERVAL_DAYS, DUE_FROM, DUE_UNTIL, CONSUMABLE_AGAIN = 4, 0.8, 1.5, 0.1


def leave_room(own: Floats, n_others: npt.NDArray[np.intp], n: int) -> None:
    """Take the least likely own products (log-odds, a row per customer) out of lists of ``n``, for the others' sake."""
    room = np.minimum(max(0, min(int(OTHERS_SHARE * n), n - FIRST)), n_others)
    rank = np.argsort(np.argsort(-own, axis=1, kind="stable"), axis=1, kind="stable")
    own[rank >= (n - room)[:, None]] = -np.inf


def keep_new(score: Floats, is_new: npt.NDArray[np.bool_], n: int) -> None:
    """Take the least likely of all others out of long lists, so that newly launched products find a place."""
    places = np.minimum(NEW_PLACES if n > FIRST else 0, is_new.sum(axis=1))
    others = np.where(is_new, -np.inf, score)
    rank = np.argsort(np.argsort(-others, axis=1, kind="stable"), axis=1, kind="stable")
    score[~is_new & (rank >= (n - places)[:, None])] = -np.inf


def is_due(catalogue: Catalogue, history: History, cells: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Tell which own products (cells of the history) run out about now."""
    facts = catalogue.facts[history.items[cells]]
    days, idle = history.values[cells, N_DAYS], history.values[cells, IDLE]
    own = (history.values[cells, AGE] - idle) / np.maximum(days - 1, 1)
    interval = np.where(days >= OWN_INTERVAL_DAYS, own, facts[:, F_CYCLE])
    within = (idle >= DUE_FROM * interval) & (idle <= DUE_UNTIL * interval)
    return np.asarray(within & (facts[:, F_KIND_AGAIN] >= CONSUMABLE_AGAIN))
