"""The additive table: orders kept, returned, cancelled and late, by hand; any split into loads comes to the same."""

import itertools
from datetime import date

import duckdb
import pandas as pd
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from features.interactions import interactions, purchases, summed
from tests.features.test_frame import ONE_OF_EACH, one_order
from tests.worlds import FIRST, at, examples, histories, instant, known_at, lake_rows, number


def line(order, day, quantity, revenue, **more):
    """Write one line of customer a's, of product p1 unless said otherwise."""
    return one_order("a", day, order_id=order, quantity=quantity, revenue=revenue, **more)


def as_known(shop, day, *columns):
    """Sum the additive table as known at the start of a day: ``(day, *columns)`` of customer a's days with anything."""
    sums = ", ".join(f"CAST(sum({name}) AS DOUBLE) AS {name}" for name in columns)
    with duckdb.connect() as con:
        rows = con.execute(
            f"SELECT day - ? AS day, {sums} FROM read_parquet(?) WHERE customer_id = 'a' AND day < ? AND known_on < ?"
            f" GROUP BY ALL HAVING {' OR '.join(f'sum({name}) <> 0' for name in columns)} ORDER BY day",
            [number(0), [str(path) for path in shop.parts("days")], number(day), number(day)],
        )
        return rows.fetchall()


@pytest.mark.parametrize(
    ("lines", "expected"),  # expected: {seen on day: [(day, orders, revenue)]}
    [
        pytest.param(
            [line("o", 0, 2, 100)],
            {0: [], 1: [(0, 1, 100)]},
            id="an order on the day itself is not yet known",
        ),
        pytest.param(
            [line("o", 0, 2, 100), line("back", 10, -2, -100, returns_order_id="o")],
            {10: [(0, 1, 100)], 11: [(0, 0, 100), (10, 0, -100)]},
            id="an order returned whole is kept before and not after",
        ),
        pytest.param(
            [line("o", 0, 2, 100), line("back", 10, -1, -50, returns_order_id="o")],
            {10: [(0, 1, 100)], 11: [(0, 1, 100), (10, 0, -50)]},
            id="an order returned in part stays kept and nets revenue",
        ),
        pytest.param(
            [line("o", 0, 2, 100), line("o", 10, -2, -100)],
            {10: [(0, 1, 100)], 11: [(0, 0, 100), (10, 0, -100)]},
            id="a return under the order's own number is a return of it",
        ),
        pytest.param(
            [line("o", 0, 2, 100), line("back", 10, -2, -100)],
            {10: [(0, 1, 100)], 11: [(0, 1, 100), (10, 0, -100)]},
            id="a return that names no order nets revenue only",
        ),
        pytest.param(
            [line("o", 0, 2, 100), line("back", 10, -2, -100, returns_order_id="o", known_at=at(20))],
            {20: [(0, 1, 100)], 21: [(0, 0, 100), (10, 0, -100)]},
            id="a return counts when it becomes known",
        ),
        pytest.param(
            [line("o", 0, 2, 100, known_at=at(20)), line("back", 3, -2, -100, returns_order_id="o")],
            {3: [], 4: [(3, 0, -100)], 21: [(0, 0, 100), (3, 0, -100)]},
            id="an order known only after its return was never kept",
        ),
        pytest.param(
            [
                line("o", 0, 1, 100),
                line("o", 5, -1, -100),
                line("o", 8, 1, 90, product_id="p2"),
            ],
            {5: [(0, 1, 100)], 6: [(0, 0, 100), (5, 0, -100)], 9: [(0, 1, 100), (5, 0, -100), (8, 0, 90)]},
            id="an order exchanged is kept again, on its first day",
        ),
        pytest.param(
            [line("o", 0, 1, 100, status="cancelled")],
            {1: []},
            id="a cancelled order counts for nothing",
        ),
        pytest.param(
            [line("o", 0, 1, 100, status="cancelled"), line("o", 0, 1, 30, product_id="p2", status="ok")],
            {1: [(0, 1, 30)]},
            id="a cancelled line counts for nothing, the rest of its order does",
        ),
        pytest.param(
            [line("o", 0, 1, 100), line("o", 0, 1, 30, product_id="p2", known_at=at(7))],
            {7: [(0, 1, 100)], 8: [(0, 1, 130)]},
            id="a late line adds revenue, not an order",
        ),
        pytest.param(
            [line("o", 0, 1, 100, known_at=at(7))],
            {7: [], 8: [(0, 1, 100)]},
            id="a late order is not known before",
        ),
        pytest.param(
            [line("o", 3, 1, 100, known_at=at(1))],
            {3: [], 4: [(3, 1, 100)]},
            id="nothing is known before it happens",
        ),
        pytest.param(
            [line("o", 0, 1, 100), line("o", 2, 1, 30, product_id="p2")],
            {1: [(0, 1, 100)], 3: [(0, 1, 100), (2, 0, 30)]},
            id="an order whose lines stand on two days is one order, of the first",
        ),
        pytest.param(
            [line("o", 0, 1, 100), line("x", 0, 1, 5)],
            {1: [(0, 2, 105)]},
            id="two orders on a day are two orders of one day",
        ),
        pytest.param(
            [line("o", 0, 1, 0)],
            {1: [(0, 1, 0)]},
            id="a gift is an order",
        ),
        pytest.param(
            [line("o", 0, 1, 100) | {"customer_id": ""}, line("x", 1, 1, 5)],
            {2: [(1, 1, 5)]},
            id="a guest is no customer",
        ),
    ],
)
def test_worked_by_hand(new_toy, lines, expected):
    toy = new_toy(["order_lines"])
    toy.load({"order_lines": lines})
    assert {day: as_known(toy.shop, day, "orders", "revenue") for day in expected} == expected


def test_every_column_of_a_day_worked_by_hand(new_toy):
    toy = new_toy(["order_lines"])
    toy.load(
        {
            "order_lines": [
                line("o", 0, 3, 90, discount="9.5", coupon_id="spring", ordered_at=at(0, 5.5)),
                line("o", 0, 1, 10, product_id="p2", ordered_at=at(0, 5.5)),
                line("s", 0, 1, 50, order_type="subscription", ordered_at=at(0, 18)),
                line("o", 0, -1, -30, ordered_at=at(0, 20)),
                line("c", 0, 7, 700, status="cancelled", discount=5),
            ]
        }
    )
    [row] = lake_rows(toy.shop, "days", "customer_id").to_dict("records")
    assert row == {
        "customer_id": "a", "day": number(0), "known_on": number(0), "orders": 2,
        "orders_has_discount": 1, "orders_has_coupon": 1, "orders_is_subscription": 1,
        "orders_is_night": 1, "orders_is_morning": 0, "orders_is_afternoon": 0, "orders_is_evening": 1,
        "lines": 3, "return_lines": 1, "quantity": 4.0, "revenue": 120.0, "returned": 30.0, "discount": 9.5,
    }  # fmt: skip


def test_a_product_is_kept_or_not_by_itself(new_toy):
    toy = new_toy(["order_lines"])
    lines = [line("o", 0, 1, 10), line("o", 0, 2, 20, product_id="p2"), line("o", 4, -2, -20, product_id="p2")]
    toy.load({"order_lines": lines})
    rows = lake_rows(toy.shop, "product_days", "product_id, day, known_on")
    rows = [(r.product_id, r.day - number(0), r.known_on - number(0), r.orders, r.quantity) for r in rows.itertuples()]
    assert rows == [("p1", 0, 0, 1, 1), ("p2", 0, 0, 1, 2), ("p2", 0, 4, -1, 0), ("p2", 4, 4, 0, -2)]


def test_a_load_writes_only_what_it_changes(new_toy):
    toy = new_toy(["order_lines"])
    toy.load({"order_lines": [line("o", 0, 1, 100), line("x", 3, 1, 5)]})
    toy.load({"order_lines": [line("o", 9, -1, -100)]})
    with duckdb.connect() as con:
        rows = con.execute(
            "SELECT day, known_on, orders, revenue FROM read_parquet(?)", [str(toy.shop.parts("days")[1])]
        )
        assert sorted(rows.fetchall()) == [(number(0), number(9), -1, 0), (number(9), number(9), 0, -100)]


@pytest.mark.parametrize("loads", [(0, 0), (0, 1), (1, 0)])
def test_who_ordered_and_cancelled_within_a_day_had_ordered(new_toy, loads):
    toy = new_toy(["order_lines"])
    said = [line("o", 3, 1, 100, line_no=1), line("o", 3, 1, 100, line_no=1, status="cancelled", known_at=at(3, 20))]
    for nth in (0, 1):
        if rows := [row for row, load in zip(said, loads, strict=True) if load == nth]:
            toy.load({"order_lines": rows})
    days = lake_rows(toy.shop, "days", "customer_id")
    assert (set(days.customer_id), days.orders.sum(), days.revenue.sum()) == ({"a"}, 0, 0)


# ---- laws -------------------------------------------------------------------------------------------------------


def total(shop, table):
    """Sum an additive table over all loads, exactly; what sums to nothing is left out."""
    keys = ["customer_id", *(["product_id"] if table == "product_days" else []), "day", "known_on"]
    with duckdb.connect() as con:
        rows = f"FROM read_parquet({[str(path) for path in shop.parts(table)]})"
        sums = [c for c, *_ in con.execute(f"DESCRIBE {rows}").fetchall() if c not in keys]
        return con.execute(
            f"SELECT {', '.join([*keys, *(f'sum({c})::VARCHAR AS {c}' for c in sums)])} {rows} GROUP BY ALL"
            f" HAVING {' OR '.join(f'sum({c}) <> 0' for c in sums)} ORDER BY {', '.join(keys)}"
        ).df()


@st.composite
def undone_histories(draw):
    """Draw a shop some of whose lines are told again under their own number: cancelled, or a return of them."""
    history = draw(histories())
    for row in [row for row in history["order_lines"] if row["status"] in ("", "ok") and row["quantity"] > 0]:
        day, delay = (date.fromisoformat(row["ordered_at"][:10]) - FIRST).days, draw(st.sampled_from([0, 1, 30]))
        again = {
            "cancelled": {"status": "cancelled", "known_at": known_at(day, delay)},
            "with a minus": {"status": "cancelled", "known_at": known_at(day, delay), "quantity": -row["quantity"]},
            "returned": {"ordered_at": at(day + 1 + delay), "quantity": -row["quantity"], "known_at": ""},
        }
        how = draw(st.sampled_from([None, None, *again]))
        history["order_lines"] += [row | again[how]] if how else []
    return history


@examples(4)
@given(history=undone_histories(), cuts=st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_any_split_into_loads_comes_to_the_same(look, new_toy, history, cuts):
    whole = {table: [*ONE_OF_EACH.get(table, [one_order("b")]), *rows] for table, rows in history.items()}
    loads = [{table: rows[:1] for table, rows in whole.items()} | {"products": ONE_OF_EACH["products"]}, {}, {}, {}]
    bring = itertools.cycle(cuts)
    for table, row in ((table, row) for table, rows in whole.items() for row in rows[1:]):
        load = next(bring)  # a return that names its order comes with it or after: before, it would be an orphan
        loads[3 if row.get("returns_order_id") else load].setdefault(table, []).append(row)
    at_once, split = new_toy(), new_toy()
    at_once.load(whole)
    for load in loads:
        split.load(load)
    event(f"{len(split.shop.loads)} loads")
    for table in ("days", "product_days"):
        pd.testing.assert_frame_equal(total(at_once.shop, table), total(split.shop, table))
    pd.testing.assert_frame_equal(look(at_once.shop), look(split.shop), check_exact=True)


@examples(4)
@given(history=histories(), day=st.sampled_from([60, 200, 520]))
def test_the_recommender_sees_each_product_a_customer_keeps(new_toy, history, day):
    toy = new_toy(["order_lines"])
    toy.load({"order_lines": history["order_lines"]})
    seen = interactions(toy.shop, instant(day))
    expected = by_reading_the_lines(lake_rows(toy.shop, "order_lines", "order_id"), number(day))
    assert {
        (r.customer_id, r.product_id): (r.quantity, {r.first_day, r.last_day}, r.n_order_days)
        for r in seen.itertuples()
    } == {key: (quantity, {min(days), max(days)}, len(days)) for key, (quantity, days) in expected.items()}
    assert seen[["customer_id", "product_id"]].apply(tuple, axis=1).tolist() == sorted(expected)
    for name, half_life, close in (("decayed", 60, 1e-9), ("decayed_14d", 14, 1e-6), ("decayed_120d", 120, 1e-6)):
        weights = [sum(0.5 ** ((number(day) - d) / half_life) for d in expected[key][1]) for key in sorted(expected)]
        assert seen[name].tolist() == pytest.approx(weights, abs=close)
    for customer, rows in seen.groupby("customer_id"):
        days = sorted({d for (who, _), (_, days) in expected.items() if who == customer for d in days})
        [same] = rows.filter(regex="^customer_(?!id)").drop_duplicates().to_dict("records")
        assert (same["customer_order_days"], same["customer_first_day"]) == (len(days), days[0])
        assert same["customer_last_day"] == days[-1]
        for half_life in (14, 60):
            decayed = sum(0.5 ** ((number(day) - d) / half_life) for d in days)
            assert same[f"customer_decayed_{half_life}d"] == pytest.approx(decayed, abs=1e-5)


@examples(4)
@given(history=histories(), day=st.sampled_from([60, 200, 520]))
def test_days_listed_one_by_one_sum_up_to_the_same(new_toy, history, day):
    toy = new_toy(["order_lines"])
    toy.load({"order_lines": history["order_lines"]})
    by_day, seen = purchases(toy.shop, instant(day)), interactions(toy.shop, instant(day))
    assert not by_day.duplicated().any() and (by_day.day < number(day)).all()
    pd.testing.assert_frame_equal(summed(by_day, number(day)).drop(columns="quantity"), seen.drop(columns="quantity"))


def test_a_product_given_back_whole_is_not_seen_and_pieces_are_net(new_toy):
    toy = new_toy(["order_lines"])
    lines = [
        line("o", 0, 1, 10), line("o", 2, -1, -10),
        line("x", 5, 7, 70), line("x", 8, -3, -30), line("named no order", 9, -1, -10),
        line("y", 6, 1, 5, product_id="p2"), line("y", 7, -1, -5, product_id="p2"),
    ]  # fmt: skip
    toy.load({"order_lines": lines})
    [row] = interactions(toy.shop, instant(65)).filter(regex="^(?!decayed|customer_(?!id))").to_dict("records")
    there = {"customer_id": "a", "product_id": "p1", "n_order_days": 1}
    assert row == there | {"quantity": 3, "first_day": number(5), "last_day": number(5)}
    assert interactions(toy.shop, instant(65)).decayed.tolist() == [0.5]


def by_reading_the_lines(lines, day):
    """Follow each product of each order in plain Python: net pieces and the days of the orders that keep it."""
    bought, pieces = {}, {}
    for r in lines[(lines.known_on < day) & lines.customer_id.notna()].itertuples():
        order = r.order_id if pd.isna(r.returns_order_id) else r.returns_order_id
        bought.setdefault((r.customer_id, r.product_id), {}).setdefault(order, []).append(r)
        counted = 0 if r.status == "cancelled" else r.quantity
        pieces[r.customer_id, r.product_id] = pieces.get((r.customer_id, r.product_id), 0) + counted
    kept = {}
    for key, orders in bought.items():
        for rows in orders.values():
            if sum(r.quantity for r in rows if r.status != "cancelled") > 0:
                first = min(r.known_on for r in rows if r.quantity > 0)
                kept.setdefault(key, set()).add(min(r.day for r in rows if r.quantity > 0 and r.known_on == first))
    return {key: (pieces[key], days) for key, days in kept.items()}
