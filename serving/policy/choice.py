"""Who gets what: of what no guard blocks, the candidate that earns most within purpose, priority and limits."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from serving.policy.allocation import NOTHING, Limit, allocate, best_at_prices, priced_at
from serving.policy.candidates import Candidates
from serving.policy.guards import CODES, CONTROL, FAIL, States
from serving.policy.limits import guard_of
from serving.policy.rules import Policy
from serving.policy.situation import Flags, Matrix, Places


@dataclass(frozen=True)
class Choice:
    """What each customer gets, as rows of the candidates; ``NOTHING`` where there is none."""

    chosen: Places  # (n,)
    shown: Places  # (n,) what the guards are told of: the chosen row, or what was held back
    withheld: Flags  # (n,) it would have gone out but for the control group
    explored: Flags  # (n,) drawn by lot to try what no experiment has measured
    states: States  # (n_candidates, guards), those of limits included
    prices: Mapping[str, float]  # what one further unit of each limit would earn
    used: Mapping[str, float]
    bound: float  # what no other choice of marketing could exceed
    earned: float


@dataclass(frozen=True)
class Tonight:
    """How limits are dealt with: all customers together, or one at the prices of the night before them."""

    limits: Sequence[Limit]
    prices: Mapping[str, float] | None = None  # None: find them, everybody competes


def choose(
    c: Candidates, found: States, blocked: Flags, policy: Policy, ids: np.ndarray, month: str, tonight: Tonight
) -> Choice:
    """Choose for everybody.

    Parameters
    ----------
    found, blocked
        The guards' states (n_candidates, guards), and which of them block.
    ids
        (n,) customer ids, by which lots are drawn.
    month
        For how long a lot counts, such as ``2026-11``.
    """
    n, pays = len(ids), _pays(c, policy)
    others = blocked.copy()
    others[:, CONTROL] = False
    free = _first_channel(c, pays & ~others.any(axis=1))
    explored = _explored(c, free & ~blocked[:, CONTROL], policy, ids, month)
    free &= ~np.isin(c.customer, c.customer[explored]) | explored
    value = np.where(explored, np.fmax(c.net_value, np.finfo(np.float64).tiny), c.net_value)
    best = _best(c, free, value, value, n)
    is_held = np.zeros(n, np.bool_)
    is_held[best >= 0] = blocked[best[best >= 0], CONTROL]
    open_ = free & ~blocked[:, CONTROL] & ~is_held[c.customer]
    if tonight.prices is None:
        rows = np.flatnonzero(open_)
        chosen, prices, used, bound, earned, short = _allocated(c, rows, value, tonight.limits, n)
    else:
        prices, used, bound, earned = dict(tonight.prices), {}, 0.0, 0.0
        short = _no_room(tonight.limits, len(c))
        fits = np.where(short < 0, priced_at(value, tonight.limits, prices), -np.inf)
        chosen = _best(c, open_ & ((short < 0) | ~c.must), value, fits, n)
        short = np.where(
            open_ & (short < 0) & _too_dear(c, value, tonight.limits, prices),
            _dearest(tonight.limits, prices, len(c)),
            short,
        )
    states = _with_limits(found, short, tonight.limits, open_)
    would = _best(c, free & is_held[c.customer], value, priced_at(value, tonight.limits, prices), n)
    shown = np.where(chosen >= 0, chosen, would)
    withheld = (chosen < 0) & (would >= 0)
    rest = _best(c, _first_channel(c, _least_blocked(c, pays, blocked, n)), value, value, n)
    shown = np.where(shown >= 0, shown, np.where(is_held, best, rest))
    is_explored = np.zeros(n, np.bool_)
    is_explored[chosen >= 0] = explored[chosen[chosen >= 0]]
    return Choice(chosen, shown, withheld, is_explored, states, prices, used, bound, earned)


def _pays(c: Candidates, policy: Policy) -> Flags:
    """Tell which candidates are worth sending at all: owed, or above nothing and what their channel asks for."""
    least = np.array([policy.channels[name].min_net_value or 0.0 for name in c.channels])[c.channel]
    return c.must | (~np.isnan(c.net_value) & (c.net_value >= least))


def _least_blocked(c: Candidates, pays: Flags, blocked: Flags, n: int) -> Flags:
    """Keep each customer's candidates with the fewest guards against them: what came closest to going out."""
    against = blocked.sum(axis=1)
    fewest = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(fewest, c.customer[pays], against[pays])
    return np.asarray(pays & (against == fewest[c.customer]), np.bool_)


def _first_channel(c: Candidates, free: Flags) -> Flags:
    """Keep of each offer the first channel in the policy's order that is free."""
    rows = np.flatnonzero(free)
    if not len(rows):
        return free
    order = rows[np.lexsort((c.nth_channel[rows], c.option[rows], c.customer[rows]))]
    same = (c.option[order][1:] == c.option[order][:-1]) & (c.customer[order][1:] == c.customer[order][:-1])
    out = np.zeros(len(c), np.bool_)
    out[order[np.r_[True, ~same]]] = True
    return out


def _best(c: Candidates, free: Flags, value: Matrix, priced: Matrix, n: int) -> Places:
    return best_at_prices(c.customer, c.rank, c.must, value, priced, free, n)


def _allocated(
    c: Candidates, rows: Places, value: Matrix, limits: Sequence[Limit], n: int
) -> tuple[Places, dict[str, float], dict[str, float], float, float, Places]:
    """Let everybody compete for what there is; give also which limit kept each row out, or -1."""
    mine = [replace(limit, use=limit.use[rows]) for limit in limits]
    night = allocate(c.customer[rows], c.rank[rows], c.must[rows], np.nan_to_num(value[rows]), mine, n)
    chosen = np.where(night.chosen >= 0, rows[night.chosen], NOTHING) if len(rows) else night.chosen
    short = np.full(len(c), -1, np.intp)
    short[rows] = night.bound_by
    return chosen, dict(night.prices), dict(night.used), night.bound, night.value, short


def _no_room(limits: Sequence[Limit], m: int) -> Places:
    """Name the first limit that has no room for a candidate, or -1."""
    out = np.full(m, -1, np.intp)
    for place in reversed(range(len(limits))):
        out[limits[place].use > limits[place].left] = place
    return out


def _too_dear(c: Candidates, value: Matrix, limits: Sequence[Limit], prices: Mapping[str, float]) -> Flags:
    return np.asarray(~c.must & (value > 0) & (priced_at(value, limits, prices) <= 0), np.bool_)


def _dearest(limits: Sequence[Limit], prices: Mapping[str, float], m: int) -> Places:
    """Name the limit that costs each candidate most."""
    if not limits:
        return np.full(m, -1, np.intp)
    costs = np.array([prices.get(limit.name, 0.0) * limit.use for limit in limits])
    return np.asarray(costs.argmax(axis=0), np.intp)


def _with_limits(found: States, short: Places, limits: Sequence[Limit], where: Flags) -> States:
    """Let the guards of budgets, quotas and people fail where their limit had no room."""
    out = found.copy()
    for place, limit in enumerate(limits):
        out[where & (short == place), CODES.index(guard_of(limit.name))] = FAIL
    return out


def _explored(c: Candidates, free: Flags, policy: Policy, ids: np.ndarray, month: str) -> Flags:
    """Draw who tries an offer that no experiment has measured, and which: by lot, the same all month."""
    out = np.zeros(len(c), np.bool_)
    untried = free & ~c.must & (c.evidence == 0) & ~np.isnan(c.net_value)
    untried &= ~np.isin(c.customer, c.customer[free & c.must])
    if not policy.explore.share or not untried.any():
        return out
    rows = np.flatnonzero(untried)
    who, starts, sizes = np.unique(c.customer[rows], return_index=True, return_counts=True)
    for customer, start, size in zip(who.tolist(), starts.tolist(), sizes.tolist(), strict=True):
        draw, which = _lots(policy.control.salt, ids[customer], month)
        if draw < policy.explore.share:
            out[rows[start + int(which * size)]] = True
    return out


def _lots(salt: str, customer_id: str, month: str) -> tuple[float, float]:
    drawn = hashlib.sha256(f"{salt}\x1fexplore\x1f{month}\x1f{customer_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(drawn[:8], "big") / 2**64, int.from_bytes(drawn[8:16], "big") / 2**64
