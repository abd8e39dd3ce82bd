"""How far inputs have moved: indices worked by hand, and what stops a publish."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import Refused
from training import drift
from training.drift import FEWEST_COMPARED, SHARE_AT_MOST, expect_familiar, psi, reference

HUNDRED = np.arange(100.0)
INPUTS = ["n_orders", "n_order_days", "orders_28d", "orders_91d"]  # of order lines
EVERYONE = np.arange(100)


@pytest.mark.parametrize(
    ("before", "values", "expected"),
    [
        pytest.param(HUNDRED, HUNDRED[::-1], 0.0, id="row order changes nothing"),
        # Half below the one edge, half above; then a quarter and three quarters: .25 ln 1.5 - .25 ln .5.
        pytest.param(
            [0.0] * 2 + [1.0] * 2, [0.0, 1.0, 1.0, 1.0], 0.25 * np.log(1.5) - 0.25 * np.log(0.5), id="by hand"
        ),
        # A value nobody has any more, and one that is known of nobody: a ten-thousandth stands for none.
        pytest.param([1.0] * 4, [np.nan] * 4, 2 * (1 - 1e-4) * np.log(1e4), id="all unknown now"),
        pytest.param([np.nan] * 4, [np.nan] * 4, 0.0, id="unknown as ever"),
    ],
)
def test_the_index_by_hand(before, values, expected):
    assert psi(reference(np.array(before)), np.array(values)) == pytest.approx(expected)


@given(values=st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60))
def test_nothing_has_drifted_from_itself(values):
    told = reference(np.array(values))
    assert sum(told["shares"]) == pytest.approx(1) and len(told["shares"]) == len(told["edges"]) + 2
    assert psi(told, np.array(values)) == 0


def columns(**changed):
    """Four inputs of a hundred customers, each 0 to 99; some are told otherwise."""
    return dict.fromkeys(INPUTS, HUNDRED) | {name: np.asarray(values, float) for name, values in changed.items()}


BEFORE = {name: reference(HUNDRED) for name in INPUTS}


def test_inputs_that_moved_are_counted_and_named_the_furthest_first():
    found = drift.drift(BEFORE, (), columns(orders_28d=HUNDRED + 1000, orders_91d=HUNDRED + 10), EVERYONE)
    # All ten tenths fall into the last: .1 there and nothing in the others, each a ten-thousandth.
    by_hand = 0.9 * np.log(10) + 9 * (1e-4 - 0.1) * np.log(1e-4 / 0.1)
    assert found["largest"]["orders_28d"] == pytest.approx(by_hand, abs=1e-4)
    assert (found["n"], found["inputs"], found["considerable"], found["share"]) == (100, 4, 2, 0.5)
    assert next(iter(found["largest"])) == "orders_28d" and found["largest"]["n_orders"] == 0
    with pytest.raises(Refused, match=r"2 of 4 inputs .* \(50.00%, at most 5%.*orders_28d \(8.28"):
        expect_familiar(found | {"n": FEWEST_COMPARED})
    expect_familiar(found | {"n": FEWEST_COMPARED - 1})  # of so few, most moves are chance


def test_what_always_moves_is_not_counted():
    moved = columns(orders_28d=HUNDRED + 1000)
    found = drift.drift(BEFORE, ["orders_28d"], moved, EVERYONE)
    assert (found["inputs"], found["considerable"]) == (3, 0) and "orders_28d" not in found["largest"]
    expect_familiar(found)


def test_a_release_whose_input_is_no_longer_there_is_compared_by_the_others():
    there = {name: values for name, values in columns().items() if name != "orders_91d"}
    assert drift.drift(BEFORE, (), there, EVERYONE)["inputs"] == 3


@pytest.mark.parametrize(
    ("before", "now", "gone"),
    [
        pytest.param(HUNDRED, np.zeros(100), True, id="told apart, and no longer"),
        pytest.param(HUNDRED, np.full(100, np.nan), True, id="known of nobody now"),
        pytest.param(HUNDRED, np.append(np.zeros(99), 1), False, id="one customer is still told apart"),
        pytest.param(np.append(np.zeros(95), np.ones(5)), np.zeros(100), False, id="hardly anybody was told apart"),
    ],
)
def test_an_input_that_is_the_same_for_all_now_is_gone(before, now, gone):
    references = BEFORE | {"orders_28d": reference(before)}
    found = drift.drift(references, INPUTS[:2], columns(orders_28d=now), EVERYONE)
    assert found["gone"] == (["orders_28d"] if gone else [])
    if gone:
        with pytest.raises(Refused, match=r"the same for all customers now.*orders_28d"):
            expect_familiar(found | {"n": FEWEST_COMPARED})


def test_that_no_message_went_out_is_no_fault():
    references = {"contacts_28d": reference(HUNDRED)}
    assert drift.drift(references, (), {"contacts_28d": np.zeros(100)}, EVERYONE)["gone"] == []


def test_only_those_asked_for_are_compared_and_of_many_a_sample(monkeypatch):
    monkeypatch.setattr(drift, "SAMPLE", 10)
    odd = columns(orders_28d=np.where(HUNDRED % 2 == 1, HUNDRED, 1000.0))
    found = drift.drift(BEFORE, (), odd, np.flatnonzero(HUNDRED % 2 == 1))
    assert found["n"] == 10 and found["considerable"] == 0  # the first, the last and eight between


@pytest.mark.parametrize(("share", "passes"), [(SHARE_AT_MOST, True), (SHARE_AT_MOST + 1e-4, False)])
def test_the_bound_is_where_it_says(share, passes):
    found = {
        "n": FEWEST_COMPARED,
        "gone": [],
        "share": share,
        "considerable": 1,
        "inputs": 20,
        "largest": {"n_orders": 0.3},
    }
    if passes:
        expect_familiar(found)
    else:
        with pytest.raises(Refused, match="n_orders"):
            expect_familiar(found)


def test_nobody_scored_is_nobody_drifted():
    found = drift.drift(BEFORE, (), columns(), np.array([], np.intp))
    assert (found["n"], found["gone"]) == (0, [])
