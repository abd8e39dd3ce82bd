"""Bounds that hold at every look, and what an experiment could show: known answers, simulation, a second way."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from tests.worlds import EXAMPLES, examples
from training.evaluation.anytime import Arm, Bounds, anytime, arm_of, critical, fixed, split_p_value
from training.evaluation.incremental import FEWEST_BUYERS, verdict
from training.evaluation.planning import (
    Design,
    control_share_for,
    control_share_for_amounts,
    plan,
    smallest_effect,
    smallest_effect_of_amounts,
)

CAMPAIGNS = round(1_500 * EXAMPLES)  # a long run: the same with OKAERI_EXAMPLES=20
MORNINGS = 120


def mornings(seed, per_day, share, p, effect, skew=None, n=CAMPAIGNS):
    """Draw campaigns morning by morning: each arm summed up so far, shape (n, MORNINGS), and its buyers."""
    rng = np.random.default_rng([seed, 2026])
    n_control = rng.binomial(per_day, share, (n, MORNINGS))
    found = []
    for size, chance in ((per_day - n_control, p + effect), (n_control, p)):
        orders = rng.binomial(size, chance)
        if skew is None:
            total = squares = orders.astype(float)
        else:  # profits of orders, lognormal with mean 1
            worth = rng.lognormal(-(skew**2) / 2, skew, orders.sum())
            row = np.repeat(np.arange(orders.size), orders.ravel())
            total, squares = (np.bincount(row, w, orders.size).reshape(orders.shape) for w in (worth, worth**2))
        size, total, squares, orders = (np.cumsum(x, axis=1) for x in (size, total, squares, orders))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = total / size
            variance = np.maximum((squares - size * mean**2) / (size - 1), 0)
        found.append((Arm(size, mean, variance), orders))
    (treated, orders), (control, orders_beside) = found
    return treated, control, np.minimum(orders, orders_beside)


def at_most(hits, n, bound):
    """Tell that a share is at most ``bound``, so surely that one in a thousand such tests would fail by chance."""
    return stats.binom.sf(hits - 1, n, bound) > 0.001


# ---- at every look


@pytest.mark.parametrize(
    ("per_day", "share", "p", "skew"),
    [(40, 0.2, 0.06, None), (120, 0.1, 0.05, 1.0), (200, 0.1, 0.05, 1.0), (200, 0.5, 0.02, 1.2), (600, 0.05, 0.1, 1.0)],
)
def test_daily_looks_at_campaigns_without_effect_raise_an_alarm_in_at_most_5_of_100(per_day, share, p, skew):
    treated, control, buyers = mornings(1, per_day, share, p, 0.0, skew)
    bounds, once = anytime(treated, control), fixed(treated, control)
    judged = buyers >= FEWEST_BUYERS
    alarms = (((bounds.low > 0) | (bounds.high < 0)) & judged).any(axis=1).sum()
    assert judged.any(axis=1).mean() > 0.5
    assert alarms / CAMPAIGNS <= 0.05 and stats.binom.cdf(alarms, CAMPAIGNS, 0.05) < 0.001  # conclusive
    if judged[:, -60:].all():  # what the usual interval would do, looked at every morning
        assert (((once.low > 0) | (once.high < 0)) & judged).any(axis=1).mean() > 0.10


@pytest.mark.parametrize(
    ("per_day", "share", "p", "effect", "skew"),
    [
        (100, 0.2, 0.06, 0.02, None),
        (200, 0.1, 0.05, 0.03, 1.0),
        (200, 0.1, 0.08, -0.02, 1.0),
        (300, 0.5, 0.05, 0.05, 1.0),
    ],
)
def test_the_true_effect_lies_within_the_bounds_of_every_morning_in_95_of_100(per_day, share, p, effect, skew):
    treated, control, buyers = mornings(2, per_day, share, p, effect, skew)
    bounds = anytime(treated, control)
    missed = ((bounds.low > effect) | (bounds.high < effect)) & (buyers >= FEWEST_BUYERS)
    assert at_most(missed.any(axis=1).sum(), CAMPAIGNS, 0.05)


def test_the_usual_interval_holds_at_one_look_in_95_of_100():
    treated, control, _ = mornings(3, 100, 0.3, 0.08, 0.01)
    bounds = fixed(treated, control)
    missed = int(((bounds.low > 0.01) | (bounds.high < 0.01))[:, -1].sum())
    assert stats.binomtest(missed, CAMPAIGNS, 0.05).pvalue > 0.001


@pytest.mark.parametrize("is_peeked", [True, False])
def test_an_effect_of_the_planned_size_is_found_as_often_as_planned(is_peeked):
    n, share, p = 100 * MORNINGS, 0.2, 0.06
    effect = smallest_effect(Design(n, share, is_peeked=is_peeked), p)
    treated, control, _ = mornings(4, 100, share, p, effect)
    low = (anytime if is_peeked else fixed)(treated, control).low
    last = float((low[:, -1] > 0).mean())
    assert last == pytest.approx(0.8, abs=0.04 if is_peeked else 0.035)
    if is_peeked:
        assert float((low > 0).any(axis=1).mean()) >= last > 0.75


def test_the_bounds_of_every_look_are_those_of_a_mixture_of_normal_likelihoods():
    """Second way: where the integral over effects of the likelihood ratio reaches 1 / alpha (Robbins 1970)."""
    n, tuned_for = 700, 5_000
    rho2 = (-2 * math.log(0.05) + math.log(1 - 2 * math.log(0.05))) / tuned_for
    total = float(critical(n)) * math.sqrt(n)  # the sum of n unit normals at the border

    def weighed(effect):
        return math.exp(effect * total - n * effect**2 / 2) * stats.norm.pdf(effect, scale=math.sqrt(rho2))

    mixed, _ = integrate.quad(weighed, -1, 1, points=[0, total / n])
    assert mixed == pytest.approx(1 / 0.05, rel=1e-6)


def test_the_usual_interval_is_that_of_welch():
    rng = np.random.default_rng(5)
    some, others = rng.gamma(1, 2, 40), rng.gamma(1, 3, 17)
    bounds, second = (
        fixed(arm_of(some), arm_of(others)),
        stats.ttest_ind(some, others, equal_var=False).confidence_interval(),
    )
    assert (float(bounds.low), float(bounds.high)) == pytest.approx((second.low, second.high))


amounts = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


@given(some=amounts, others=amounts)
@examples(60)
def test_arms_exchanged_turn_the_bounds_round_and_every_look_is_wider_than_one(some, others):
    arms = arm_of(some), arm_of(others)
    there, back, once = anytime(*arms), anytime(*arms[::-1]), fixed(*arms)
    assert np.allclose([there.low, there.value, there.high], [-back.high, -back.value, -back.low], equal_nan=True)
    if not np.isnan(there.low) and len(some) > 20 and len(others) > 20:
        assert there.low <= once.low <= once.high <= there.high


def test_arms_without_any_spread_bound_nothing():
    for arms in [([0, 0, 0], [0, 0]), ([1.0], [1.0, 2.0]), ([], [1.0, 2.0])]:
        bounds = anytime(*map(arm_of, arms))
        assert np.isnan(bounds.low) and np.isnan(bounds.high) and verdict(bounds, 1000, 0.5) == "too_small"
    assert np.isnan(fixed(arm_of([0, 0, 0]), arm_of([1, 0, 2])).low)


def test_bounds_of_all_customers_are_those_of_one_times_their_number():
    assert Bounds(*map(np.array, (0.01, -0.02, 0.04))).times(200) == pytest.approx((2, -4, 8))


# ---- the split


def test_a_split_far_from_the_planned_one_is_unlikely():
    assert split_p_value(4_000, 1_000, 0.2) == pytest.approx(1)
    assert split_p_value(4_100, 900, 0.2) < 0.001 < split_p_value(4_060, 940, 0.2)
    assert split_p_value(0, 0, 0.2) == 1


def test_the_split_agrees_with_sums_of_binomial_terms():
    n, share, seen = 60, 0.2, 21
    terms = [math.comb(n, k) * share**k * (1 - share) ** (n - k) for k in range(n + 1)]
    second = sum(t for t in terms if t <= terms[seen] * (1 + 1e-9))
    assert split_p_value(n - seen, seen, share) == pytest.approx(second)


# ---- before a campaign

designs = st.builds(Design, st.integers(50, 10**6), st.floats(0.01, 0.5), is_peeked=st.booleans())


def found(design, share, p, effect):
    """Second way: the chance that the estimate lies beyond the border, by the normal distribution."""
    n, n_control, q = design.n * (1 - share), design.n * share, p + effect
    variances = [q * (1 - q), p * (1 - p)]
    together = np.average(variances, weights=[n, n_control])
    read = [max(v, together) for v in variances] if design.is_peeked else variances
    error, border = (math.sqrt(v / n + w / n_control) for v, w in (variances, read))
    return stats.norm.sf((design.border * border - effect) / error)


@given(design=designs, p=st.floats(0.005, 0.6))
@examples(100)
def test_the_smallest_effect_is_found_with_the_planned_chance_and_no_smaller_one_is(design, p):
    effect = smallest_effect(design, p)
    if effect is None:
        assert found(design, design.control_share, p, 0.9999 * (1 - p)) < 0.81
    else:
        assert found(design, design.control_share, p, effect) == pytest.approx(0.8, abs=1e-6)
        assert found(design, design.control_share, p, 0.9 * effect) < 0.8


@given(design=designs, p=st.floats(0.005, 0.6), effect=st.floats(0.001, 0.3))
@examples(100)
def test_the_control_share_is_the_least_that_finds_the_effect(design, p, effect):
    """Second way: look at every share on a fine grid."""
    share = control_share_for(design, p, effect)
    finds = [k / 100 for k in range(1, 51) if found(design, k / 100, p, effect) >= 0.8 + 1e-9]
    if share is None:
        assert not finds
    else:
        assert 0 < share <= 0.5 and (not finds or (share <= finds[0] and finds[0] - share <= 1 / 100))
        assert design.n * share <= 1 or found(design, share, p, effect) == pytest.approx(0.8, abs=1e-6)


@given(n=st.integers(50, 10**6), p=st.floats(0.005, 0.6), effect=st.floats(0.001, 0.3))
@examples(100)
def test_for_one_look_the_share_is_the_root_of_a_quadratic(n, p, effect):
    """With c = n (effect / (z + z))^2 an effect is found if a / (1 - s) + b / s <= c."""
    a, b, c = (p + effect) * (1 - p - effect), p * (1 - p), n * (effect / 2.8015852) ** 2
    roots = np.roots([c, a - b - c, b])
    share = control_share_for(Design(n, 0.1, is_peeked=False), p, effect)
    if share is not None and n * share > 1.001:
        assert share == pytest.approx(roots.real.min(), rel=1e-5)
    elif share is None:
        assert np.abs(roots.imag).max() > 0 or not 0 < roots.real.min() < 0.5 - 1e-6


def test_a_thousand_a_side_find_a_rise_from_ten_to_fourteen_in_a_hundred():
    """The closed form of two proportions, by hand: (1.95996 + .84162)^2 (.1 .9 + .14 .86) / .04^2 = 1,032 a side."""
    a_side = (1.959964 + 0.841621) ** 2 * (0.1 * 0.9 + 0.14 * 0.86) / 0.04**2
    assert smallest_effect(Design(2 * a_side, 0.5, is_peeked=False), 0.1) == pytest.approx(0.04, abs=1e-7)


def test_amounts_by_hand():
    once = Design(10_000, 0.1, is_peeked=False)
    assert smallest_effect_of_amounts(once, 3_000) == pytest.approx(2.801585 * 3_000 / 30, rel=1e-6)
    assert control_share_for_amounts(once, 3_000, 280.1585) == pytest.approx(0.1, rel=1e-5)
    assert control_share_for_amounts(once, 3_000, 1.0) is None


def test_an_experiment_that_can_show_nothing_says_none():
    found = plan(20, 0.1, 0.05, assumed=0.01)
    assert found["anytime"]["control_share"] is None and found["fixed"]["control_share"] is None
    assert smallest_effect(Design(4, 0.25), 0.5) is None
    assert plan(0, 0.1, 0.05, None)["fixed"]["smallest_effect"] is None


def test_reading_every_morning_takes_a_larger_effect():
    found = plan(10_000, 0.1, 0.05, assumed=0.03, sd=900.0)
    for name in ("smallest_effect", "smallest_relative", "smallest_profit", "control_share"):
        assert found["anytime"][name] > found["fixed"][name]
