"""Who is who: merged ids are one person from the moment it was known, and two again when they are taken apart."""

import itertools

import duckdb
import ibis
import pandas as pd
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from features.catalog import CATALOG
from features.frame import feature_frame
from features.identity import MOST_SHARING, by_person, counted, persons, teach
from features.interactions import interactions
from features.known import Lake
from tests.features.test_frame import ONE_OF_EACH
from tests.worlds import AS_OF, COLUMNS, LINKS, Toy, at, examples, histories, instant, number
from training.labels import known_customers, labels, own_horizon, products_bought

TABLES = (*COLUMNS, *LINKS)


def order(customer, day=0, **more):
    line = {"order_id": f"{customer}-{day}", "customer_id": customer, "ordered_at": at(day), "product_id": "p1"}
    return line | {"quantity": 1, "revenue": 100} | more


def link(customer, alias, day=1, until=None, known=None, kind="email_hash"):
    """Write one link of the toy world."""
    return {
        "alias_type": kind,
        "alias": alias,
        "customer_id": customer,
        "linked_at": at(day),
        "unlinked_at": "" if until is None else at(until),
        "known_at": "" if known is None else at(known),
    }


def merged(shop, *days):
    """Give the ids that go by another one, by toy day."""
    found = persons(shop, tuple(map(number, days))).merged
    told = {day: {} for day in days}
    for row in found.itertuples():
        told[row.as_of_day - number(0)][row.customer_id] = row.person
    return told


def toy_of(new_toy, *loads, **more):
    """Give a shop whose loads bring these links."""
    toy = new_toy(TABLES)
    for n, links in enumerate(loads):
        toy.load({"order_lines": [order(c) for c in "abcdefg"] if n == 0 else [], "identities": links, **more})
    return toy.shop


@pytest.mark.parametrize(
    ("loads", "expected"),
    [
        pytest.param(
            [[link("b", "x", 3), link("a", "x", 5)]], {5: {}, 6: {"a": "b"}}, id="the first linked names them"
        ),
        pytest.param(
            [[link("b", "x", 3), link("a", "x", 3)]], {4: {"b": "a"}}, id="of two linked together the smaller"
        ),
        pytest.param(
            [[link("a", "x"), link("b", "x", 5, known=9)]], {9: {}, 10: {"b": "a"}}, id="not before it is known"
        ),
        pytest.param(
            [[link("a", "x"), link("b", "x", 5), link("b", "y", 7), link("c", "y", 7)]],
            {6: {"b": "a"}, 8: {"b": "a", "c": "a"}},
            id="over two aliases",
        ),
        pytest.param(
            [[link("a", "x"), link("b", "x", kind="device")], [link("a", "y"), link("b", "z")]],
            {99: {}},
            id="the same text of another type is another alias",
        ),
        pytest.param(
            [[link("a", "x"), link("b", "x", 5, until=20)]], {20: {"b": "a"}, 21: {}}, id="until it is unlinked"
        ),
        pytest.param(
            [[link("a", "x"), link("b", "x", 5, known=6)], [link("b", "x", 5, until=20, known=30)]],
            {6: {}, 7: {"b": "a"}, 21: {"b": "a"}, 30: {"b": "a"}, 31: {}},
            id="the unlinking counts from when it was known",
        ),
        pytest.param(
            [[link("a", "x"), link("b", "x", 5)], [link("b", "x", 5, until=20)]],
            {19: {"b": "a"}, 20: {"b": "a"}, 21: {}},
            id="a source without known_at is known as it happens",
        ),
        pytest.param(
            [[link("a", "x"), link("b", "x", 5, until=20), link("b", "x", 40)]],
            {21: {}, 40: {}, 41: {"b": "a"}},
            id="linked again",
        ),
    ],
)
def test_worked_by_hand(new_toy, loads, expected):
    assert merged(toy_of(new_toy, *loads), *expected) == expected


def test_an_alias_of_many_is_a_tablet_and_joins_nobody(new_toy):
    links = [link(customer, "tablet", kind="device") for customer in "abcdefg"]
    few, many = (toy_of(new_toy, links[:n]) for n in (MOST_SHARING, MOST_SHARING + 1))
    assert merged(few, 9) == {9: dict.fromkeys("bcde", "a")}
    assert merged(many, 9) == {9: {}}
    assert [counted(shop, number(9))["crowded_aliases"] for shop in (few, many)] == [0, 1]


def test_member_numbers_and_line_ids_of_customers_are_links_until_a_newer_row(new_toy):
    toy = new_toy(TABLES)
    rows = [
        {"customer_id": "a", "signed_up_at": at(2), "member_no": "7", "line_user_id": "U1"},
        {"customer_id": "b", "signed_up_at": at(5), "member_no": "7"},
        {"customer_id": "c", "line_user_id": "U1"},
        {"customer_id": "d", "member_no": "", "line_user_id": ""},
        {"customer_id": "e", "member_no": "", "line_user_id": ""},
    ]
    toy.load({"order_lines": [order("a")], "customers": rows})
    assert merged(toy.shop, 2, 3, 6) == {2: {}, 3: {"a": "c"}, 6: {"a": "c", "b": "c"}}
    toy.load({"customers": [rows[1] | {"member_no": "8"}]})
    assert merged(toy.shop, 6) == {6: {"a": "c"}}


def test_a_shop_without_links_pays_nothing(new_toy):
    toy = new_toy(TABLES)
    toy.load({"order_lines": [order("a")], "customers": [{"customer_id": "a"}]})
    rows = ibis.table({"as_of_day": "int64", "customer_id": "string"}, name="rows")
    assert by_person(rows, toy.shop, (number(5),), "days") is rows
    with duckdb.connect() as con:
        teach(con, persons(toy.shop, (number(5),)).merged)
        assert "JOIN" not in con.execute("EXPLAIN SELECT person(1, x) FROM (SELECT 'a' AS x)").fetchall()[0][1].upper()


# ---- history replays itself -------------------------------------------------------------------------------------

SECOND = "a'"  # the second account of a: rows that the split draws get this id


def of_two_accounts(history, flips):
    """Move some of a's rows to a second account: each order whole, other rows one by one."""
    second = {}
    for row in history["order_lines"]:
        root = row["order_id"].removesuffix("-back")
        second.setdefault(root, next(flips))

    def moved(table, row):
        if row.get("customer_id") != "a":
            return row
        is_second = second[row["order_id"].removesuffix("-back")] if table == "order_lines" else next(flips)
        return row | {"customer_id": SECOND} if is_second else row

    return {table: [moved(table, row) for row in rows] for table, rows in history.items()}


BASE = ONE_OF_EACH | {"order_lines": [order("a", -3), order(SECOND, -2)]}


def together(tables):
    """Write the same shop as if there had been one account from the start."""
    one = {"customer_id": "a"}
    return {
        table: [row | one if row.get("customer_id") == SECOND else row for row in rows]
        for table, rows in tables.items()
        if table != "identities"
    }


def shop_of(new_toy, tables):
    toy = new_toy(TABLES)
    toy.load(tables)
    return toy.shop


def at_days(frame, days):
    """Cut some days out of a frame, or of a look at one."""
    if "as_of" in frame:
        frame = frame.assign(as_of_day=frame.as_of.map({pd.Timestamp(instant(day)): number(day) for day in AS_OF}))
    chosen = frame[frame.as_of_day.isin([number(day) for day in days])]
    return chosen[["as_of_day", "customer_id", *CATALOG]].reset_index(drop=True)


@examples(4)
@given(
    history=histories(12),
    flips=st.lists(st.booleans(), min_size=1, max_size=7),
    span=st.sampled_from([(30, 200), (60, 400), (120, None)]),
    late=st.booleans(),
)
def test_merging_and_taking_apart_replay_history(look, new_toy, history, flips, span, late):
    """At each instant the merged shop is the shop of one account, and before and after it is that of two."""
    since, until = span
    split = of_two_accounts(history, itertools.cycle(flips))
    split = {table: [*BASE.get(table, ()), *rows] for table, rows in split.items()}
    split["products"] = history["products"]
    split["responses"] = [row for n, row in enumerate(split["responses"]) if row not in split["responses"][:n]]
    known = since if late else None
    links = [link("a", "x", 1), link(SECOND, "x", 5, known=known), link("z", "own", 1)]
    if until is not None:
        links.append(link(SECOND, "x", 5, until=until - 1, known=until))
    shop = shop_of(new_toy, split | {"identities": links})
    one, two = look(shop_of(new_toy, together(split))), look(shop_of(new_toy, split))
    begins = since if late else 5
    inside = [day for day in AS_OF if begins < day <= (until or 10**6)]
    event(f"{len(inside)} of {len(AS_OF)} days merged")
    frame = feature_frame(shop, [instant(day) for day in AS_OF])
    pd.testing.assert_frame_equal(at_days(frame, inside), at_days(one, inside), check_exact=True)
    outside = [day for day in AS_OF if day not in inside]
    pd.testing.assert_frame_equal(at_days(frame, outside), at_days(two, outside), check_exact=True)


def test_labels_and_purchases_are_those_of_one_person(new_toy):
    tables = BASE | {
        "order_lines": [
            *BASE["order_lines"],
            *(order("a", day) for day in (4, 40)),
            *(order(SECOND, day) for day in (9, 33, 61)),
            *(order("b", day, product_id="p2") for day in (8, 35)),
        ]
    }
    parted, joined = new_toy(TABLES), new_toy(TABLES)
    parted.load(tables | {"identities": [link("a", "x", 1), link(SECOND, "x", 5)]})
    joined.load(together(tables))
    day, until = number(30), number(200)
    for ask in (
        lambda shop: labels(shop, [day, number(50)], 28, until),
        lambda shop: known_customers(shop, [day, number(50)]),
        lambda shop: products_bought(shop, day, 28, until),
        lambda shop: interactions(shop, instant(30)),
    ):
        pd.testing.assert_frame_equal(ask(parted.shop), ask(joined.shop), check_exact=True)
    assert own_horizon(parted.shop, until) == own_horizon(joined.shop, until)
    assert set(labels(parted.shop, [number(2)], 28, until).customer_id) == {"a", SECOND}, "not known yet"


# ---- page events of an alias ------------------------------------------------------------------------------------


def test_events_of_an_alias_are_those_of_whoever_held_it_then(new_toy):
    toy = new_toy(TABLES)
    view = {"alias_type": "device", "kind": "view"}
    events = [
        *({**view, "alias": "d1", "at": at(day)} for day in (2, 3, 4)),
        {**view, "alias": "lost", "at": at(3)},
        {"customer_id": "b", "at": at(3), "kind": "cart"},
    ]
    links = [link("a", "d1", 5, until=20, kind="device"), link("b", "m", 8), link("a", "m", 2)]
    toy.load({"order_lines": [order("a"), order("b")], "identities": links, "events": events})
    shop, con = toy.shop, ibis.duckdb.connect()

    def views(day):
        rows = Lake(con, shop).table("event_days").mutate(as_of_day=ibis.literal(number(day), "int64"))
        found = by_person(rows, shop, (number(day),), "events").to_pandas()
        return found.groupby("customer_id")[["views", "carts"]].sum().sum(axis=1).to_dict()

    assert views(5) == {"b": 1}, "the device is nobody's yet"
    assert views(6) == {"a": 3, "b": 1}
    assert views(9) == {"a": 4}, "b is a by now"
    assert views(21) == {"a": 1}, "the device was given back"
    con.disconnect()
    assert counted(shop, number(9)) == {"merged_ids": 1, "crowded_aliases": 0, "events_of_nobody": 1}


@pytest.fixture(scope="module")
def new_toy(tmp_path_factory):
    """Give toy shops that may have links and events."""
    return lambda *args: Toy(tmp_path_factory.mktemp("toy"), *args)
