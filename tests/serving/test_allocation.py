"""Who gets what under budgets: known answers, laws, and HiGHS and brute force beside our own."""

import itertools
import os
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.policy.allocation import Limit, allocate, prices
from serving.policy.allocation.bids import gather
from serving.policy.allocation.repair import wishes
from tests.serving.markets import ACTIONS, highs, market

TIMES = float(os.environ.get("OKAERI_EXAMPLES", "1"))
SHOPS = [(2_000, seed) for seed in range(round(4 * TIMES))] + [(20_000, seed) for seed in range(round(2 * TIMES))]
SMALL = settings(max_examples=round(150 * TIMES))


def night(pairs, limits=(), n=None):
    """A night from rows (customer, rank, due, value) and limits (left, uses of each pair), named by letters."""
    customer, rank, due, value = zip(*pairs, strict=True) if pairs else ((),) * 4
    named = [Limit("abcdef"[k], left, np.array(use, float)) for k, (left, use) in enumerate(limits)]
    n = max(customer, default=-1) + 1 if n is None else n
    return np.array(customer, int), np.array(rank, int), np.array(due, bool), np.array(value, float), named, n


SERVICE, SURVEY, MARKETING, LATER = 0, 1, 4, 5


@pytest.mark.parametrize(
    ("pairs", "limits", "chosen", "bound_by"),
    [
        pytest.param([], [], [], [], id="a shop without customers"),
        pytest.param([(1, MARKETING, False, 3)], [], [-1, 0, -1], [-1], id="customers without actions get nothing"),
        pytest.param([(0, MARKETING, False, -1), (0, MARKETING, False, 0)], [], [-1], [-1, -1], id="nothing pays"),
        pytest.param(
            [(0, MARKETING, False, 5), (0, LATER, False, 90)], [], [0], [-1, -1], id="a later rank does not compete"
        ),
        pytest.param(
            [(0, LATER, False, 90), (0, MARKETING, False, 5)], [], [1], [-1, -1], id="whatever stands first in the list"
        ),
        pytest.param(
            [(0, MARKETING, False, -5), (0, LATER, False, 2)], [], [1], [-1, -1], id="a rank that does not pay is none"
        ),
        pytest.param(
            [(0, MARKETING, False, 5), (0, LATER, False, 90)],
            [(0, [1, 0])],
            [-1],
            [0, -1],
            id="a class that is out of capacity is not left for the next",
        ),
        pytest.param(
            [(0, MARKETING, False, 7), (0, MARKETING, False, 7)], [], [0], [-1, -1], id="equal: the policy's first"
        ),
        pytest.param([(0, SERVICE, True, -30), (0, MARKETING, False, 90)], [], [0], [-1, -1], id="due though it costs"),
        pytest.param(
            [(0, SERVICE, True, 1), (0, SERVICE, True, 9)], [], [0], [-1, -1], id="due: the policy's order, not value"
        ),
        pytest.param(
            [(0, SURVEY, True, 9), (1, SERVICE, True, 1)],
            [(1, [1, 1])],
            [-1, 1],
            [0, -1],
            id="service before survey",
        ),
        pytest.param(
            [(0, SERVICE, True, 1), (1, SERVICE, True, 2), (1, SERVICE, True, 3), (2, SERVICE, True, 3)],
            [(2, [1, 1, 1, 1])],
            [-1, 1, 3],
            [0, -1, -1, -1],
            id="of one rank the best pair's value decides, then position",
        ),
        pytest.param(
            [(0, SERVICE, True, 0), (0, SERVICE, True, 0)],
            [(0, [1, 0]), (5, [0, 2])],
            [1],
            [0, -1],
            id="a full telephone: the mail instead",
        ),
        pytest.param(
            [(0, SERVICE, True, 0), (0, SURVEY, True, 0), (0, MARKETING, False, 4), (0, MARKETING, False, 6)],
            [(0, [1, 1, 0, 0])],
            [3],
            [0, 0, -1, -1],
            id="who cannot be served falls through to marketing",
        ),
        pytest.param(
            [(0, SERVICE, True, 0), (1, MARKETING, False, 50), (2, MARKETING, False, 60)],
            [(10, [4, 6, 7])],
            [0, 1, -1],
            [-1, -1, 0],
            id="what is due uses the budget first",
        ),
        pytest.param(
            [(0, MARKETING, False, 60), (1, MARKETING, False, 50), (2, MARKETING, False, 40)],
            [(2, [2, 1, 1])],
            [-1, 1, 2],
            [0, -1, -1],
            id="two that earn 90 before one that earns 60",
        ),
        pytest.param(
            [(0, MARKETING, False, 60), (0, MARKETING, False, 55), (1, MARKETING, False, 50)],
            [(1, [1, 0, 1])],
            [1, 2],
            [0, -1, -1],
            id="the second choice of one, so that the other is served",
        ),
        pytest.param(
            [(i, MARKETING, False, 5) for i in range(5)],
            [(2, [1] * 5)],
            [0, 1, -1, -1, -1],
            [-1, -1, 0, 0, 0],
            id="of equal customers the earlier",
        ),
        pytest.param(
            [(0, MARKETING, False, 5), (1, MARKETING, False, 4)],
            [(-3, [1, 0])],
            [-1, 1],
            [0, -1],
            id="an overdrawn budget is an empty one",
        ),
    ],
)
def test_worked_by_hand(pairs, limits, chosen, bound_by):
    result = allocate(*night(pairs, limits, n=len(chosen)))
    assert result.chosen.tolist() == chosen
    assert result.bound_by.tolist() == bound_by


def test_a_first_unit_of_what_has_run_out_is_worth_what_it_would_earn():
    """Customer 0 has 40 without a call and would have 90 with one; a call of customer 1 is worth 30."""
    pairs = [(0, MARKETING, False, 90), (0, MARKETING, False, 40), (1, MARKETING, False, 30)]
    result = allocate(*night(pairs, [(0, [1, 0, 1])]))
    assert result.prices["a"] == pytest.approx(50)
    assert (result.value, result.bound, result.used) == (40, 40, {"a": 0})


def test_what_suffices_has_no_price():
    result = allocate(*night([(0, MARKETING, False, 9), (1, SERVICE, True, 9)], [(np.inf, [1, 1]), (2, [1, 1])]))
    assert result.prices == {"a": 0, "b": 0}
    assert (result.value, result.bound, result.used) == (9, 9, {"a": 2, "b": 2})


amounts = st.sampled_from([0.0, 1.0, 2.0, 3.0]) | st.floats(1e-9, 1e9)
values = st.integers(-5, 9).map(float) | st.floats(-1e12, 1e12) | st.floats(-1e-9, 1e-9)
lefts = st.sampled_from([0.0, 1.0, 5.0, np.inf]) | st.floats(0, 1e10)


@st.composite
def nights(draw, most_customers=8, most_pairs=5, with_due=True):
    """Any night: ties, nothing left, no limits, huge and tiny numbers, due pairs with uses of their own."""
    n = draw(st.integers(0, most_customers))
    pairs = []
    for i in range(n):
        for _ in range(draw(st.integers(0, most_pairs))):
            rank = draw(st.integers(0 if with_due else 2, 3))
            pairs.append((i, rank, rank < 2, draw(values)))
    uses = st.lists(amounts, min_size=len(pairs), max_size=len(pairs))
    return night(pairs, draw(st.lists(st.tuples(lefts, uses), max_size=4)), n)


def totals(result):
    return result.prices, result.value, result.bound, result.used


def within(result, limits):
    got = result.chosen[result.chosen >= 0]
    return all(limit.use[got].sum() <= limit.left * (1 + 1e-9) for limit in limits)


def class_of(i, customer, rank, due, value):
    """The pairs of a customer that money is weighed between, in plain Python."""
    pays = [p for p in range(len(customer)) if customer[p] == i and not due[p] and value[p] > 0]
    return [p for p in pays if rank[p] == min(rank[q] for q in pays)]


@SMALL
@given(given=nights())
def test_any_night_is_within_its_limits_and_its_classes(given):
    customer, rank, due, value, limits, _ = given
    result = allocate(*given)
    assert within(result, limits)
    assert 0 <= result.value <= result.bound
    assert all(price >= 0 for price in result.prices.values())
    earning = []
    for i, p in enumerate(result.chosen):
        assert p == -1 or customer[p] == i
        if p >= 0 and due[p]:
            continue
        competing = class_of(i, customer, rank, due, value)
        assert p == -1 or p in competing
        earning.append(value[p] if p >= 0 else 0.0)
        for q in competing:  # whatever is better than what was got has its limit named, and nothing else has
            assert (result.bound_by[q] >= 0) == (value[q] > earning[-1])
    assert result.value == pytest.approx(sum(earning))
    named = result.bound_by >= 0
    assert all(limits[k].use[p] > 0 for p, k in zip(np.flatnonzero(named), result.bound_by[named], strict=True))


@SMALL
@given(given=nights())
def test_due_pairs_are_settled_as_told_in_plain_words(given):
    customer, rank, due, value, limits, n = given
    room, got, turned_away = [limit.left for limit in limits], {}, {}
    for r in sorted(set(rank[due])):
        asking = {
            i: [p for p in range(len(customer)) if (customer[p], rank[p], due[p]) == (i, r, True)] for i in range(n)
        }
        for i in sorted((i for i in asking if asking[i]), key=lambda i: (-max(value[asking[i]]), i)):
            for p in asking[i]:
                full = [k for k, limit in enumerate(limits) if limit.use[p] > room[k]]
                if i not in got and full:
                    turned_away[p] = full[0]
                elif i not in got:
                    got[i] = p
                    room = [left - limit.use[p] for left, limit in zip(room, limits, strict=True)]
    result = allocate(*given)
    assert {i: p for i, p in enumerate(result.chosen) if p >= 0 and due[p]} == got
    assert {p: k for p, k in enumerate(result.bound_by) if due[p] and k >= 0} == turned_away


@SMALL
@given(given=nights(most_customers=5, most_pairs=3, with_due=False))
def test_nothing_possible_earns_more_than_the_bound(given):
    customer, rank, due, value, limits, n = given
    choices = [[-1, *class_of(i, customer, rank, due, value)] for i in range(n)]
    best = 0.0
    for tried in itertools.product(*choices):
        got = np.array([p for p in tried if p >= 0], int)
        if all(limit.use[got].sum() <= limit.left for limit in limits):
            best = max(best, value[got].sum())
    result = allocate(*given)
    assert result.value <= best * (1 + 1e-9)
    assert best <= result.bound * (1 + 1e-9)


@SMALL
@given(given=nights(with_due=False))
def test_the_bound_is_that_of_the_linear_programme(given):
    """Where every pair fits alone, has one rank and is of a common size: else ours is below, or HiGHS imprecise."""
    customer, rank, due, value, limits, n = given
    value, limits = np.clip(np.round(value), -9, 9), [replace(limit, use=np.minimum(limit.use, 9)) for limit in limits]
    limits = [replace(limit, left=max(limit.left, limit.use.max(initial=0))) for limit in limits]
    pays = value > 0
    linear = highs(customer, value, limits, n) if pays.any() else 0.0
    assert allocate(customer, np.zeros_like(rank), due, value, limits, n).bound == pytest.approx(linear, rel=1e-6)


@pytest.mark.parametrize(("n", "seed"), SHOPS)
def test_a_shop_of_some_size_is_within_a_hundredth_of_the_bound(n, seed):
    """Issue 5 asks for a hundredth with 20,000 customers; a thousandth is what ours loses at most."""
    customer, rank, due, value, limits, n = market(n, seed)
    result = allocate(customer, rank, due, value, limits, n)
    linear = highs(customer, value, limits, n)
    assert within(result, limits)
    assert result.bound == pytest.approx(linear, rel=1e-6)
    assert result.value >= 0.999 * linear
    assert all(price > 0 for price in result.prices.values())


def test_the_same_night_twice_is_the_same():
    first, second = allocate(*market(2_000, 1)), allocate(*market(2_000, 1))
    for name in ("chosen", "moved", "bound_by"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert totals(first) == totals(second)


def permuted(given, order):
    """The same night with customer ``order[i]`` at position i."""
    customer, rank, due, value, limits, n = given
    pairs = np.concatenate([np.flatnonzero(customer == i) for i in order] or [np.empty(0, int)]).astype(int)
    moved = [replace(limit, use=limit.use[pairs]) for limit in limits]
    return (np.argsort(order)[customer[pairs]], rank[pairs], due[pairs], value[pairs], moved, n), pairs


def with_surveys(given):
    """One customer in fifty is due a survey, over either of the first two actions."""
    customer, _, _, value, limits, n = given
    due = (customer % 50 == 0) & (np.arange(len(customer)) % ACTIONS < 2)
    return customer, np.where(due, SURVEY, MARKETING), due, value, limits, n


def test_other_positions_give_everyone_the_same_to_the_last_bit():
    given = with_surveys(market(3_000, 2))
    order = np.random.default_rng(0).permutation(3_000)
    there, pairs = permuted(given, order)
    one, other = allocate(*given), allocate(*there)
    assert totals(one) == totals(other)
    np.testing.assert_array_equal(np.where(other.chosen >= 0, pairs[other.chosen], -1), one.chosen[order])
    np.testing.assert_array_equal(one.bound_by[pairs], other.bound_by)


@SMALL
@given(given=nights(with_due=False), data=st.data())
def test_other_positions_change_no_total(given, data):
    there, _ = permuted(given, np.array(data.draw(st.permutations(range(given[-1]))), int))
    one, other = allocate(*given), allocate(*there)
    assert totals(one) == totals(other)


@pytest.mark.parametrize("k", range(4))
def test_a_price_is_what_a_further_unit_earns(k):
    """A hundredth more and less of a budget, two calls of ten more and fewer: the gain is that times the price."""
    given = market(10_000, 4)
    limits = given[4]
    step = max(0.01 * limits[k].left, 2.0)

    def with_left(left):
        return allocate(*given[:4], [*limits[:k], replace(limits[k], left=left), *limits[k + 1 :]], given[5])

    more, less = with_left(limits[k].left + step), with_left(limits[k].left - step)
    price = allocate(*given).prices[limits[k].name]
    assert price > 0
    assert (more.bound - less.bound) / (2 * step) == pytest.approx(price, rel=0.05)
    assert (more.value - less.value) / (2 * step) == pytest.approx(price, rel=0.1)


def test_without_an_answer_of_the_solver_the_night_is_still_within_its_limits():
    given = market(500, 8)
    with mock.patch.object(prices, "_corner", return_value=None):
        result = allocate(*given)
    assert within(result, given[4])
    assert 0 < result.value < result.bound


def test_wishes_agree_with_numpy():
    customer, _, _, value, limits, n = market(3_000, 5)
    uses, asked = [limit.use for limit in limits], np.array([4.0, 1.2, 30.0, 100.0])
    bids = gather(np.arange(len(customer)), customer, value, uses, np.array([limit.left for limit in limits]))
    wish, most, _ = wishes(bids, asked[bids.tight])
    worth = value - sum(price * use for k, (price, use) in enumerate(zip(asked, uses, strict=True)) if k in bids.tight)
    worth = worth.reshape(n, ACTIONS)
    expected = np.where(worth.max(axis=1) > 0, worth.argmax(axis=1), -1)
    np.testing.assert_array_equal(np.where(wish >= 0, bids.pair[wish] % ACTIONS, -1), expected[bids.customer])
    np.testing.assert_allclose(most, np.maximum(worth.max(axis=1), 0)[bids.customer], atol=1e-9)


def test_no_prices_are_lower_than_those_found():
    """The dual, written again with whole matrices, is nowhere below the bound around the prices found."""
    customer, _, _, value, limits, n = market(2_000, 6)
    uses, left = np.array([limit.use for limit in limits]), np.array([limit.left for limit in limits])
    bids = gather(np.arange(len(customer)), customer, value, list(uses), left)
    assert (bids.tight == np.arange(4)).all()
    found, bound = prices.search(bids, left)
    draw = np.random.default_rng(0)

    def dual(asked):
        return asked @ left + np.maximum((value - asked @ uses).reshape(n, ACTIONS).max(axis=1), 0).sum()

    assert dual(found) == pytest.approx(bound)
    for spread in (1e-4, 1e-2, 1):
        assert all(dual(found * np.exp(draw.normal(0, spread, 4))) >= bound * (1 - 1e-6) for _ in range(50))


def test_asked_live_at_the_nights_prices_everyone_gets_what_the_night_gave():
    """All of 5,000 customers but those whom the repair moved; a few have a survey due, and no call is left."""
    customer, rank, due, value, limits, n = with_surveys(market(5_000, 7))
    limits[2] = replace(limits[2], left=0.0)
    result = allocate(customer, rank, due, value, limits, n)
    priced, free = priced_at(value, limits, result.prices), np.ones(len(value), np.bool_)
    live = best_at_prices(customer, rank, due, value, priced, free, n)
    np.testing.assert_array_equal(live[~result.moved], result.chosen[~result.moved])
    assert result.moved.mean() < 0.01
    assert result.prices[limits[2].name] > 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({0: np.array([1, 0])}, "ascending positions from 0 to 1", id="customers out of order"),
        pytest.param({0: np.array([0, 2])}, "ascending positions from 0 to 1", id="a customer who is not there"),
        pytest.param({3: np.array([1, np.nan])}, "value is not finite", id="a value that is no number"),
        pytest.param({1: np.array([1])}, "rank has shape", id="a rank too few"),
        pytest.param(
            {0: np.array([0, 0]), 2: np.array([False, True])}, "customer 0: a due pair", id="due after others"
        ),
        pytest.param({4: [Limit("a", 1, np.array([1.0, -1]))]}, "a: .* below 0", id="a use below 0"),
        pytest.param({4: [Limit("a", np.nan, np.ones(2))]}, "a: .* not a number", id="nothing known of a limit"),
        pytest.param({4: [Limit("a", 1, np.ones(2))] * 2}, "one name", id="two limits of one name"),
    ],
)
def test_what_is_not_as_described_is_refused(change, words):
    given = list(night([(0, 1, False, 1.0), (1, 1, False, 2.0)]))
    for place, column in change.items():
        given[place] = column
    with pytest.raises(ValueError, match=words):
        allocate(*given)
