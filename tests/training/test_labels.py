"""What happened next, worked by hand: at day 50, with a horizon of 10 days."""

import ast
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import training
from features.errors import Refused
from training.labels import (
    expect_complete,
    first_order_day,
    known_customers,
    labels,
    last_day,
    own_horizon,
    products_bought,
)

from .conftest import ZERO, Line, MakeShop

CUTOFF, HORIZON = 50, 10
PAST = Line("a1", "ann", 5)
LONG = CUTOFF + 200
nan = float("nan")


def outcome(shop, until=LONG, cutoff=CUTOFF, horizon=HORIZON, customer="ann"):
    """future_order_days, days_to_next, is_censored, revenue_90d of one customer."""
    table = labels(shop, [ZERO + cutoff], horizon, ZERO + until).set_index("customer_id")
    assert table.as_of_day.eq(ZERO + cutoff).all()
    row = table.loc[customer]
    return [row.future_order_days, row.days_to_next, bool(row.is_censored), row.revenue_90d]


def bought_and_returned(bought, returned):
    """An order of 100 that goes back whole."""
    return [Line("a2", "ann", bought), Line("r2", "ann", returned, quantity=-1, revenue=-100, returns="a2")]


@pytest.mark.parametrize(
    ("later", "expected"),  # future_order_days, days_to_next, is_censored, revenue_90d
    [
        pytest.param([], [0, 200, True, 0], id="silence is censored at the last day observed"),
        pytest.param([Line("a2", "ann", 50)], [1, 1, False, 100], id="an order on the cut-off day is the future"),
        pytest.param([Line("a2", "ann", 49)], [0, 200, True, 0], id="an order on the day before is the past"),
        pytest.param([Line("a2", "ann", 59)], [1, 10, False, 100], id="the horizon's last day counts"),
        pytest.param([Line("a2", "ann", 60)], [0, 11, False, 100], id="the day after the horizon does not"),
        pytest.param(
            [Line("a2", "ann", 53), Line("a3", "ann", 53), Line("a4", "ann", 57)],
            [2, 4, False, 300],
            id="two orders in a day are one order day",
        ),
        pytest.param(bought_and_returned(52, 55), [0, 200, True, 0], id="a return within the horizon un-keeps"),
        pytest.param(
            bought_and_returned(52, 63), [1, 200, True, 0], id="a return after the horizon was not known when it closed"
        ),
        pytest.param(
            bought_and_returned(52, 145), [1, 200, True, 100], id="a return after 90 days does not touch their revenue"
        ),
        pytest.param(
            [Line("a2", "ann", 52, known=59)], [1, 3, False, 100], id="a line known late but in time counts on its day"
        ),
        pytest.param(
            [Line("a2", "ann", 52, known=60)], [0, 3, False, 100], id="a line known after the horizon is late"
        ),
        pytest.param(
            [Line("r1", "ann", 52, quantity=-1, revenue=-100, returns="a1")],
            [0, 200, True, -100],
            id="a return of an old order is negative revenue and no order",
        ),
        pytest.param([Line("a2", "ann", 139)], [0, 90, False, 100], id="revenue on the 90th day counts"),
        pytest.param([Line("a2", "ann", 140)], [0, 91, False, 0], id="revenue after 90 days does not"),
    ],
)
def test_worked_by_hand(told: MakeShop, later, expected):
    assert outcome(told([PAST, Line("b1", "ben", 0), *later])) == expected


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        pytest.param(59, [nan, 9, True, nan], id="horizon not over"),
        pytest.param(60, [0, 10, True, nan], id="horizon just over"),
        pytest.param(139, [0, 89, True, nan], id="90 days not over"),
        pytest.param(140, [0, 90, True, 0], id="90 days just over"),
    ],
)
def test_a_window_that_is_not_over_has_no_outcome(told: MakeShop, until, expected):
    np.testing.assert_equal(outcome(told([PAST]), until=until), expected)


def test_an_order_after_the_observation_ends_is_not_seen(told: MakeShop):
    assert outcome(told([PAST, Line("a2", "ann", 70)]), until=70) == pytest.approx([0, 20, True, nan], nan_ok=True)
    assert outcome(told([Line("b1", "ben", 1)]), until=71)[1:3] == [21, False]


def test_a_line_that_becomes_known_after_the_observation_ends_is_not_seen(told: MakeShop):
    assert outcome(told([PAST, Line("a2", "ann", 55, known=70)]), until=70)[1:3] == [20, True]


def test_of_a_subscriber_only_one_off_orders_are_orders_and_all_revenue_is_revenue(told: MakeShop):
    """Parcels of the subscription on days 51 and 58, an order of her own on day 55; ben has none running."""
    later = [
        Line(f"{c}{d}", c, d, kind="subscription" if d != 55 else "") for c in ("ann", "ben") for d in (51, 55, 58)
    ]
    shop = told([PAST, Line("b1", "ben", 5), *later])
    runs = pd.DataFrame({"as_of_day": [ZERO + CUTOFF, ZERO + 40], "customer_id": ["ann", "ben"]})
    found = labels(shop, [ZERO + CUTOFF], HORIZON, ZERO + LONG, runs).set_index("customer_id")
    assert found.future_order_days.to_dict() == {"ann": 1, "ben": 3}
    assert found.days_to_next.to_dict() == {"ann": 6, "ben": 2}
    assert found.revenue_90d.to_dict() == {"ann": 300, "ben": 300}


def test_only_customers_known_before_the_cut_off_are_asked_about(told: MakeShop):
    shop = told(
        [PAST, Line("b1", "ben", 49), Line("c1", "cat", 50), Line("d1", "dan", 40, known=50), Line("e1", "eve", 70)]
    )
    asked = labels(shop, [ZERO + 60, ZERO + 50], HORIZON, ZERO + LONG)
    assert [(t - ZERO, c) for t, c in zip(asked.as_of_day, asked.customer_id, strict=True)] == [
        (50, "ann"),
        (50, "ben"),
        (60, "ann"),
        (60, "ben"),
        (60, "cat"),
        (60, "dan"),
    ]
    known = known_customers(shop, [ZERO + 60, ZERO + 50])
    assert known.to_numpy().tolist() == asked[["as_of_day", "customer_id"]].to_numpy().tolist()


def test_a_late_load_tells_the_same_as_one_that_brought_all_at_once(told: MakeShop):
    lines = [PAST, *bought_and_returned(52, 55), Line("a3", "ann", 57)]
    told(lines[:2])
    assert outcome(told(lines[2:])) == [1, 8, False, 100]


def test_a_basket_holds_what_was_kept_when_its_window_closed(told: MakeShop):
    shop = told(
        [
            PAST,
            Line("a2", "ann", 50, product="cup"),
            Line("a3", "ann", 52, product="pot"),
            Line("r3", "ann", 55, quantity=-1, revenue=-100, returns="a3", product="pot"),
            Line("a4", "ann", 59, product="jar"),
            Line("a5", "ann", 60, product="lid"),
        ]
    )
    bought = products_bought(shop, ZERO + CUTOFF, HORIZON, ZERO + LONG)
    assert bought.to_numpy().tolist() == [["ann", "cup"], ["ann", "jar"]]


def test_an_open_window_is_refused_with_the_earliest_date(told: MakeShop):
    shop = told([PAST])
    expect_complete(shop, ZERO + CUTOFF, HORIZON, ZERO + 60)
    with pytest.raises(Refused, match=r"2024-02-20 \+ 10 days is not known before 2024-03-01; .* ends at 2024-02-29"):
        expect_complete(shop, ZERO + CUTOFF, HORIZON, ZERO + 59)
    with pytest.raises(Refused, match="not known before 2024-03-01"):
        products_bought(shop, ZERO + CUTOFF, HORIZON, ZERO + 59)


def test_the_lake_ends_the_day_after_the_last_thing_it_knows(told: MakeShop):
    shop = told([PAST, Line("a2", "ann", 20, known=33)])
    assert (last_day(shop), first_order_day(shop)) == (ZERO + 34, ZERO + 5)


def test_a_shop_that_kept_no_order_cannot_be_learnt_from(told: MakeShop):
    with pytest.raises(Refused, match="told: there are no kept orders at all"):
        first_order_day(told(bought_and_returned(5, 5)))


@pytest.mark.parametrize(
    ("days", "weeks"),
    [
        pytest.param([0], 4, id="no gap yet: four weeks"),
        pytest.param([0, 3], 1, id="a week at least"),
        pytest.param([0, 14], 2, id="whole weeks stay"),
        pytest.param([0, 15], 3, id="others round up"),
        pytest.param([*range(0, 100, 10), 190], 2, id="nine gaps of ten days, one of a hundred"),
        pytest.param([0, 400], 52, id="a year at most"),
    ],
)
def test_the_own_horizon_is_the_90th_percentile_of_the_gaps_in_whole_weeks(told: MakeShop, days, weeks):
    shop = told([Line(f"a{day}", "ann", day) for day in days])
    assert own_horizon(shop, ZERO + 500) == 7 * weeks


def test_the_own_horizon_knows_nothing_of_later_gaps(told: MakeShop):
    shop = told([Line(f"a{day}", "ann", day) for day in (0, 7, 14, 100)])
    assert (own_horizon(shop, ZERO + 100), own_horizon(shop, ZERO + 101)) == (7, 91)


def test_only_those_who_learn_and_judge_look_into_the_future():
    floors = Path(training.__file__).parents[1]
    sources = [p for f in ("features", "feature_repo", "training", "serving") for p in (floors / f).rglob("*.py")]
    seeing = [p.relative_to(floors) for p in sources if "labels" in p.read_text("utf-8") and _imports_labels(p)]
    importers = {Path(*p.parts[1:2]).stem if p.parts[0] == "training" else str(p) for p in seeing}
    # design.md names dataset and evaluation; fitting is half of dataset, and a backtest observes to the lake's end.
    assert importers <= {"dataset", "fitting", "evaluation", "backtest"}
    assert {"dataset", "fitting", "evaluation"} <= importers


def _imports_labels(path: Path) -> bool:
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return any(name == "training.labels" or name.startswith("training.labels.") for name in names)
