"""Cut-offs that never see each other's outcomes, wherever the machine puts the shop in time."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import Refused
from training.splits import (
    FEWEST_TRAINING_CUTOFFS,
    LEAST_HISTORY_DAYS,
    STEP_DAYS,
    YOUNG_STEP_DAYS,
    origins_before,
    origins_for_test,
)

horizons = st.integers(1, 400)
lookbacks = st.integers(7, 730)
first_days = st.integers(-1000, 30_000)
spare_days = st.integers(0, 1500)  # history beyond the least that is enough


@given(horizons, lookbacks, first_days, spare_days)
def test_each_group_is_over_before_the_next_begins(horizon, lookback, first, spare):
    until = first + LEAST_HISTORY_DAYS + 2 * horizon + spare
    origins = origins_before(until, horizon, first, lookback)
    (calibrate,) = origins.calibrate
    assert calibrate + horizon == until
    assert all(train + horizon <= calibrate for train in origins.train)
    assert max(origins.train) + horizon == calibrate
    assert origins.test == ()


@given(horizons, lookbacks, first_days, spare_days)
def test_all_that_is_learnt_is_over_before_the_test_begins(horizon, lookback, first, spare):
    test = first + LEAST_HISTORY_DAYS + 2 * horizon + spare
    origins = origins_for_test(test, horizon, first, lookback)
    assert origins.test == (test,)
    assert all(cutoff + horizon <= test for cutoff in (*origins.train, *origins.calibrate))
    assert origins.all == tuple(sorted(set(origins.all)))


@given(horizons, lookbacks, first_days, spare_days)
def test_training_cut_offs_step_back_as_far_as_the_look_back_allows(horizon, lookback, first, spare):
    until = first + LEAST_HISTORY_DAYS + 2 * horizon + spare
    train = origins_before(until, horizon, first, lookback).train
    latest = until - 2 * horizon
    seasoned = max(0, (latest - first - lookback) // STEP_DAYS + 1)
    if seasoned >= FEWEST_TRAINING_CUTOFFS:
        assert {b - a for a, b in pairwise(train)} == {STEP_DAYS}
        assert first + lookback <= train[0] < first + lookback + STEP_DAYS
    else:  # a young shop: a few with less history, but never with next to none
        possible = (latest - first - LEAST_HISTORY_DAYS) // YOUNG_STEP_DAYS + 1
        assert {b - a for a, b in pairwise(train)} <= {YOUNG_STEP_DAYS}
        assert len(train) == min(FEWEST_TRAINING_CUTOFFS, possible)
        assert train[0] >= first + LEAST_HISTORY_DAYS


@given(horizons, lookbacks, first_days, st.integers(1, 2000))
def test_too_young_a_shop_is_told_the_first_day_on_which_it_can_learn(horizon, lookback, first, lacking):
    until = first + LEAST_HISTORY_DAYS + 2 * horizon - lacking
    with pytest.raises(Refused) as refused:
        origins_before(until, horizon, first, lookback)
    days = int(re.search(r"possible (\d+) days later", str(refused.value))[1])
    assert days == lacking
    assert origins_before(until + days, horizon, first, lookback).train
