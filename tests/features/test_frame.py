"""The feature frame: only what was known, whatever the order of rows, and the same as a second writing in SQL."""

import ast
import itertools
import random
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from features import catalog, families, known, signals
from features.catalog import CATALOG
from features.door.tables import TABLES
from features.errors import BadInput
from features.frame import feature_frame
from features.lake import sha256_file
from features.shop import Shop
from tests.worlds import (
    AS_OF,
    CATEGORIES,
    COLUMNS,
    PRODUCTS,
    Toy,
    at,
    examples,
    histories,
    instant,
    known_before,
    number,
)

SQL = (Path(__file__).parent / "oracle.sql").read_text()
STORED = [name for name, feature in CATALOG.items() if feature.kind == "stored"]
DERIVED = [name for name, feature in CATALOG.items() if feature.kind == "derived"]

ONE_OF_EACH = {  # z has no orders: with her rows every table is there, whatever was drawn
    "products": [{"product_id": product, "category": category} for product, category in CATEGORIES.items()],
    "contacts": [{"contact_id": "z", "customer_id": "z", "at": at(0)}],
    "responses": [{"customer_id": "z", "kind": "open", "at": at(0)}],
    "consents": [{"customer_id": "z", "channel": "line", "purpose": "train", "granted": "true", "at": at(0)}],
    "customers": [{"customer_id": "y", "signed_up_at": at(3)}],
    "shipments": [{"order_id": "z", "shipped_at": at(0)}],
    "feedback": [{"customer_id": "z", "kind": "ticket", "opened_at": at(0)}],
    "events": [{"customer_id": "z", "kind": "view", "at": at(0)}],
    "loyalty_events": [{"customer_id": "z", "kind": "redeem", "at": at(0)}],
    "subscriptions": [{"customer_id": "z", "product_id": "p1", "started_at": at(0)}],
}
HAPPENED = {
    "order_lines": "ordered_at",
    "contacts": "at",
    "responses": "at",
    "consents": "at",
    "shipments": "shipped_at",
    "feedback": "opened_at",
    "events": "at",
    "loyalty_events": "at",
    "subscriptions": "started_at",
}


def one_order(customer="a", day=0, **more):
    """Write one order line of one piece."""
    line = {"order_id": f"{customer}{day}", "customer_id": customer, "ordered_at": at(day), "product_id": "p1"}
    return line | {"quantity": 1, "revenue": 100} | more


# ---- a second implementation ------------------------------------------------------------------------------------


def oracle(shop: Shop, day: int) -> pd.DataFrame:
    """Compute every feature again, by SQL of its own over the canonical tables."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'Asia/Tokyo'")
        con.execute("CREATE MACRO day_of(moment) AS datediff('day', DATE '1970-01-01', moment::DATE)")
        for table, happened in HAPPENED.items():
            con.execute(
                f'CREATE VIEW {table} AS SELECT * EXCLUDE (day), hour("{happened}") AS hour,'
                f' day_of("{happened}") AS day, day_of(known_at) AS known'
                f" FROM read_parquet({[str(path) for path in shop.parts(table)]})"
            )
        con.execute(f"CREATE VIEW customers AS FROM read_parquet({[str(path) for path in shop.parts('customers')]})")
        parts = [str(path) for path in shop.parts("products")]
        con.execute(
            f"CREATE VIEW products AS FROM read_parquet({parts}, filename = true)"
            " QUALIFY row_number() OVER (PARTITION BY product_id ORDER BY filename DESC) = 1"
        )
        return con.execute(SQL, {"d": day}).df()


def agree(seen: pd.DataFrame, shop: Shop, day: int) -> None:
    """Hold one day of the frame against the oracle: stored features exactly, derived ones to the last digits."""
    ours, theirs = seen[seen.as_of_day == day].reset_index(drop=True), oracle(shop, day)
    assert set(theirs.columns) == {"customer_id", *CATALOG}
    assert ours.customer_id.tolist() == theirs.customer_id.tolist()
    pd.testing.assert_frame_equal(ours[STORED], theirs[STORED].astype("float64"), check_exact=True)
    for name in DERIVED:
        np.testing.assert_allclose(ours[name], theirs[name].astype("float64"), rtol=1e-12, err_msg=name)


def test_every_window_ends_where_sql_ends_it(look, new_toy):
    """One customer for each age of an order up to a year and a week, and one who came on all of these days."""
    toy, orders, responses, contacts = new_toy(), [], [], []
    for age in range(1, 373):
        day, kind = AS_OF[-2] - age, ("redeem", "open", "click", "unsubscribe")[age % 4]
        for customer in (f"c{age}", "every day"):
            for n in range(1 + age % 11):
                more = {"order_type": "subscription"} if age % 5 == 0 else {"coupon_id": "spring", "discount": 3}
                orders.append(one_order(customer, day, product_id=f"p{n}", ordered_at=at(day, age % 24), **more))
            orders.append(one_order(customer, day, order_id="x", product_id="p7", quantity=-1, revenue=-age))
        contacts.append({"contact_id": age, "customer_id": f"c{age}", "at": at(day)})
        responses += [{"kind": k, "customer_id": f"c{age}", "at": at(day)} for k in ("redeem", kind)]
    toy.load(ONE_OF_EACH | {"order_lines": orders, "contacts": contacts, "responses": responses})
    agree(look(toy.shop), toy.shop, number(AS_OF[-2]))


@examples(5)
@given(
    history=histories(),
    moved=st.dictionaries(PRODUCTS, st.sampled_from(["tea > black", "cups", ""])),
    in_second_load=st.lists(st.booleans(), min_size=1, max_size=7),
    days=st.permutations(AS_OF).map(lambda days: days[:2]),
)
def test_every_feature_agrees_with_sql_written_again(look, new_toy, history, moved, in_second_load, days):
    toy, later = new_toy(), itertools.cycle(in_second_load)
    first = {table: [row for row in rows if not next(later)] for table, rows in history.items()}
    toy.load({table: [*ONE_OF_EACH.get(table, [one_order("b")]), *first[table]] for table in history})
    products = [{"product_id": product, "category": category} for product, category in moved.items()]
    toy.load(history | {"products": products})  # what came before comes again: exact duplicates
    seen = look(toy.shop)
    for day in map(number, days):
        agree(seen, toy.shop, day)


# ---- laws -------------------------------------------------------------------------------------------------------


@examples(5)
@given(history=histories(), day=st.sampled_from(AS_OF))
def test_what_happens_or_becomes_known_later_changes_nothing(look, new_toy, history, day):
    past = known_before(history, day)
    assume(past["order_lines"])
    before, after = new_toy(), new_toy()
    before.load({table: [*ONE_OF_EACH.get(table, ()), *past[table]] for table in history})
    after.load({table: [*ONE_OF_EACH.get(table, ()), *history[table]] for table in history})
    event("something comes later" if history != past else "nothing comes later")
    until = number(day)
    old, new = look(before.shop), look(after.shop)
    pd.testing.assert_frame_equal(
        *(f[f.as_of_day <= until].reset_index(drop=True) for f in (old, new)), check_exact=True
    )


@examples(3)
@given(history=histories(), seed=st.integers(0, 1000))
def test_the_order_of_rows_changes_neither_features_nor_the_bytes_of_days(look, new_toy, history, seed):
    chance = random.Random(seed)
    straight, shuffled = new_toy(), new_toy()
    whole = {table: [*ONE_OF_EACH.get(table, ()), *rows] for table, rows in history.items()} | {
        "products": ONE_OF_EACH["products"]
    }
    straight.load(whole)
    shuffled.load({table: chance.sample(rows, len(rows)) for table, rows in whole.items()})
    pd.testing.assert_frame_equal(look(straight.shop), look(shuffled.shop), check_exact=True)
    for table in ("days", "products", "customers"):  # the others keep the order of their files
        assert sha256_file(straight.shop.parts(table)[0]) == sha256_file(shuffled.shop.parts(table)[0]), table


def test_the_compiled_look_of_these_tests_is_the_frame_itself(look, new_toy):
    toy = new_toy()
    toy.load(ONE_OF_EACH | {"order_lines": [one_order("a", 3), one_order("b", 40)]})
    seen, frame = look(toy.shop), feature_frame(toy.shop, [instant(day) for day in AS_OF])
    pd.testing.assert_frame_equal(seen.drop(columns="as_of_day"), frame.drop(columns="as_of"), check_exact=True)


# ---- the frame's own promises ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A shop of every table, where c begins on day 50 and only order lines name no message or consent."""
    toy = Toy(tmp_path_factory.mktemp("toy"))
    days = {"a": (0, 9, 30, 44, 91), "b": (5, 6), "c": (50, 85)}
    orders = [one_order(c, day, revenue=10 * day) for c, bought in days.items() for day in bought]
    on_the_list = [{"customer_id": "a", "signed_up_at": at(0), "attributes": "vip"}]
    toy.load(ONE_OF_EACH | {"order_lines": orders, "customers": on_the_list})
    return toy.shop


@pytest.fixture(scope="module")
def together(shop):
    """Three instants in one call, two of them of one day."""
    return feature_frame(shop, [instant(60) + timedelta(hours=15), instant(60), instant(7)])


def test_several_instants_in_one_call_equal_single_calls(shop, together):
    apart = [feature_frame(shop, instant(day)) for day in (7, 60)]
    assert [len(frame) for frame in apart] == [2, 3]
    pd.testing.assert_frame_equal(together, pd.concat(apart, ignore_index=True), check_exact=True)


def test_the_frame_has_its_promised_shape(together):
    assert together.columns.tolist() == ["customer_id", "as_of", *CATALOG]
    assert together.dtypes["as_of"] == pd.DatetimeTZDtype("us", "UTC")
    assert set(together.dtypes[list(CATALOG)]) == {np.dtype("float64")}
    assert list(zip(together.as_of, together.customer_id, strict=True)) == [
        *((pd.Timestamp(instant(7)), c) for c in "ab"),
        *((pd.Timestamp(instant(60)), c) for c in "abc"),
    ]


def test_an_instant_means_the_start_of_its_business_day_whatever_its_zone(shop):
    late = datetime(2024, 2, 29, 23, 59, tzinfo=ZoneInfo("Asia/Tokyo")).astimezone(ZoneInfo("America/New_York"))
    frame = feature_frame(shop, late)
    assert frame.as_of.unique().tolist() == [pd.Timestamp("2024-02-29", tz="Asia/Tokyo").tz_convert("UTC")]
    assert frame.set_index("customer_id").days_since_last_order.to_dict() == {"a": 15, "b": 53, "c": 9}


def test_an_instant_without_a_zone_is_refused(shop):
    with pytest.raises(ValueError, match="no time zone"):
        feature_frame(shop, datetime(2024, 3, 1))


def test_a_day_before_the_first_customer_is_refused_by_name(shop):
    with pytest.raises(BadInput, match="toy: no customer is known before 2024-01-01"):
        feature_frame(shop, instant(0))


@examples(3)
@given(history=histories())
def test_derived_features_on_arrays_equal_those_of_the_frame_bit_for_bit(look, new_toy, history):
    toy = new_toy()
    toy.load({table: [*ONE_OF_EACH.get(table, [one_order("b")]), *rows] for table, rows in history.items()})
    seen = look(toy.shop)
    stored = {name: seen[name].to_numpy() for name in STORED}
    derived = catalog.derive(stored, seen.as_of_day.to_numpy(dtype="float64"), toy.shop.tables)
    assert list(derived) == DERIVED
    for name, values in derived.items():
        np.testing.assert_array_equal(values, seen[name].to_numpy(), err_msg=name)


def test_a_family_whose_table_the_shop_lacks_is_absent_and_named(new_toy, shop):
    toy = new_toy(["order_lines", "responses"])
    toy.load({"order_lines": [one_order()], **ONE_OF_EACH})
    frame, lacking = feature_frame(toy.shop, instant(60)), catalog.absent(toy.shop.tables)
    assert set(lacking) == {table for table in COLUMNS if table not in ("order_lines", "responses", "customers")}
    assert lacking["contacts"] == [
        "contacts_7d",
        "contacts_28d",
        "contacts_91d",
        "contacts_365d",
        "last_contact_day",
        "days_since_contact",
    ]
    assert [name for name in CATALOG if name not in frame] == [
        name for name in CATALOG if name in itertools.chain(*lacking.values())
    ]
    assert frame.columns.tolist() == ["customer_id", "as_of", *(f.name for f in catalog.available(toy.shop.tables))]
    assert "redeems_91d" in frame and "promo_share" in frame
    assert catalog.absent(shop.tables) == {}


def test_attributes_of_customers_reach_no_feature(look, new_toy):
    toy = new_toy()
    toy.load(ONE_OF_EACH | {"order_lines": [one_order("a"), one_order("b", 5)]})
    before = look(toy.shop)
    vip = [{"customer_id": c, "signed_up_at": at(3), "attributes": "age 30-39; vip"} for c in "aby"]
    toy.load({"customers": vip})
    assert len(toy.shop.parts("customers")) == 2
    pd.testing.assert_frame_equal(look(toy.shop), before, check_exact=True)
    assert not any(feature.needs == "customers" for feature in CATALOG.values())


def test_no_text_of_any_table_reaches_a_feature():
    """What a shop may write freely (names, regions, search words, reasons) stands in no family and no relation."""
    free = {column.name for table in TABLES.values() for column in table.columns if column.kind == "text"}
    free -= {"category", "channel", "source"}  # grouped or compared, never carried
    free |= {"birth_month_day", "line_user_id", "member_no", "alias"}
    used = set()
    for path in (*Path(families.__file__).parent.glob("*.py"), Path(signals.__file__), Path(known.__file__)):
        used |= {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert "is_active" in used and "promised_day" in used, "the walk sees what relations read"
    assert not used & free


def test_at_least_eighty_features_vary_on_a_real_shop(complete_journey):
    shop = complete_journey.shop
    clock = datetime.combine(shop.mapping.clock, datetime.min.time(), tzinfo=shop.calendar.zone)
    frame = feature_frame(shop, clock).drop(columns=["customer_id", "as_of"])
    assert len(frame) > 2400
    brought = {"order_lines", "products", "contacts", "responses"}
    assert set(catalog.absent(shop.tables)) == {feature.needs for feature in CATALOG.values()} - brought
    varying = [name for name in catalog.model_inputs(shop.tables) if frame[name].nunique() > 1]
    assert len(varying) >= 80, sorted(set(catalog.model_inputs(shop.tables)) - set(varying))
    assert not np.isinf(frame.to_numpy()).any()
