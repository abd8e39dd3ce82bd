"""Parcels, feedback, page events, messages, points and subscriptions: two times, worked by hand, table by table."""

import pandas as pd
import pytest

from features import bots
from features.catalog import CATALOG
from features.families import basket
from features.frame import feature_frame
from tests.features.test_frame import ONE_OF_EACH, one_order
from tests.worlds import AS_OF, COLUMNS, at, number

SEEN, LATER = AS_OF[1], AS_OF[2]  # days 60 and 120
PLAIN = "plain"  # a customer with one order on day 5 and nothing else, as every case has


def late_rows(who):
    """Give one row of each table that happened before day 60, and a feature that it moves once it is known."""
    mine = {"customer_id": who}
    parcel = {"order_id": f"{who}5", "shipped_at": at(6), "promised_at": at(8), "delivered_at": at(9)}
    marketing = {"channel": "line", "purpose": "marketing", "granted": "true"}
    return {
        "order_lines": (one_order(who, 20), "n_orders"),
        "contacts": (mine | {"contact_id": who, "at": at(40)}, "contacts_28d"),
        "responses": (mine | {"kind": "click", "at": at(41)}, "clicks_91d"),
        "consents": (mine | marketing | {"at": at(5)}, "consent_marketing_line"),
        "shipments": (parcel, "parcels_365d"),
        "feedback": (mine | {"kind": "csat", "score": 2, "opened_at": at(12)}, "csat_last"),
        "events": (mine | {"kind": "cart", "at": at(50)}, "carts_left"),
        "loyalty_events": (mine | {"kind": "redeem", "points": -9, "at": at(50)}, "redemptions_90d"),
        "subscriptions": (mine | {"product_id": "p1", "started_at": at(7)}, "subscriptions_active"),
    }


def parcel(who, delivered, known):
    """Tell of a parcel promised for day 55, and perhaps a second time with its delivery."""
    first = {"order_id": f"{who}5", "shipped_at": at(52), "promised_at": at(55)}
    told = first | {"delivered_at": at(delivered or 0), "known_at": at(known) if known else ""}
    return {"shipments": [first] if delivered is None else [first, told]}


def ticket(who, closed):
    """Tell of a ticket opened on day 50, and perhaps a second time with its end."""
    first = {"customer_id": who, "kind": "ticket", "opened_at": at(50)}
    return {"feedback": [first] if closed is None else [first, first | {"closed_at": at(closed)}]}


def subscribed(who, *words):
    """Tell of a subscription begun on day 7; each word: paused, cancelled, known."""
    first = {"customer_id": who, "product_id": "p1", "started_at": at(7), "interval_days": 30}
    days = [dict(zip(("paused_at", "cancelled_at", "known_at"), word, strict=True)) for word in words]
    return {
        "subscriptions": [first | {name: at(day) for name, day in told.items() if day is not None} for told in days]
    }


def sends(who, day):
    """Tell when the next parcel of a subscription is sent: a date without an hour."""
    first = {"customer_id": who, "product_id": "p1", "started_at": at(7)}
    return {"subscriptions": [first | {"next_ship_on": at(day, 0)[:10]}]}


def answered(who, link, known):
    """Tell of an opening that names its message or decision, but no customer."""
    sent = {"contact_id": f"m{who}", "decision_id": f"d{who}", "customer_id": who, "at": at(40)}
    opened = {"kind": "open", "at": at(41), link: f"{link[0]}{who}" if link[0] == "d" else f"m{who}"}
    return {"contacts": [sent | ({"known_at": at(known)} if known else {})], "responses": [opened]}


def cart(who, ordered):
    """Fill a cart on day 40 and perhaps order on another day."""
    orders = [] if ordered is None else [one_order(who, ordered)]
    return {"events": [{"customer_id": who, "kind": "cart", "at": at(40)}], "order_lines": orders}


UNDER_WAY = ("parcels_under_way", "parcel_overdue_days", "delivery_delay_last", "parcels_365d")
OPEN = ("tickets_open", "ticket_open_days", "tickets_28d")
STATE = ("subscriptions_active", "subscriptions_paused", "subscriptions_cancelled", "subscriptions_ever")
# What is told of a customer, and what is known of them at the start of day 60.
CASES = {
    "nothing more is told: the parcel is five days overdue": (parcel, (None, None), UNDER_WAY, (1, 5, None, 1)),
    "a second word brings the delivery": (parcel, (57, 58), UNDER_WAY, (0, 0, 2, 1)),
    "a parcel may be early": (parcel, (53, 58), UNDER_WAY, (0, 0, -2, 1)),
    "the second word was not known yet": (parcel, (57, 60), UNDER_WAY, (1, 5, None, 1)),
    "a delivery of the day itself has not come, whatever is told": (parcel, (60, None), UNDER_WAY, (1, 5, None, 1)),
    "a delivery of the day before has": (parcel, (59, None), UNDER_WAY, (0, 0, 4, 1)),
    "a ticket is open": (ticket, (None,), OPEN, (1, 10, 1)),
    "a ticket was closed": (ticket, (55,), OPEN, (0, 0, 1)),
    "a ticket was closed on the day before": (ticket, (59,), OPEN, (0, 0, 1)),
    "a ticket will be closed today": (ticket, (60,), OPEN, (1, 10, 1)),
    "it runs": (subscribed, ((None, None, 10),), STATE, (1, 0, 0, 1)),
    "a later word ended it": (subscribed, ((None, None, 10), (None, 40, 41)), STATE, (0, 0, 1, 1)),
    "that word was not known yet": (subscribed, ((None, None, 10), (None, 40, 60)), STATE, (1, 0, 0, 1)),
    "an end to come, in an export of another night": (subscribed, ((None, 60, 10),), STATE, (1, 0, 0, 1)),
    "an end on the day before": (subscribed, ((None, 59, 10),), STATE, (0, 0, 1, 1)),
    "paused": (subscribed, ((30, None, 31),), STATE, (0, 1, 0, 1)),
    "resumed: the newest word stands": (subscribed, ((30, None, 31), (None, None, 50)), STATE, (1, 0, 0, 1)),
    "paused, then ended": (subscribed, ((30, 45, 46),), STATE, (0, 0, 1, 1)),
    "told twice without a time the end stands": (subscribed, ((None,) * 3, (None, 40, None)), STATE, (0, 0, 1, 1)),
    "a date is the shop's own day": (sends, (70,), ("next_ship_day",), (number(70),)),
    "a parcel that has gone is not the next": (sends, (59,), ("next_ship_day",), (None,)),
    "a response is its message's customer's": (answered, ("contact_id", None), ("opens_91d",), (1,)),
    "a response is its decision's customer's": (answered, ("decision_id", None), ("opens_91d",), (1,)),
    "once the message is known": (answered, ("contact_id", 59), ("opens_91d",), (1,)),
    "and not before": (answered, ("contact_id", 60), ("opens_91d",), (0,)),
    "a cart is left behind": (cart, (None,), ("carts_left",), (1,)),
    "after an order of the day before it": (cart, (39,), ("carts_left",), (1,)),
    "not on the day of an order": (cart, (40,), ("carts_left",), (0,)),
    "not before one": (cart, (45,), ("carts_left",), (0,)),
    "one that comes later is not known": (cart, (61,), ("carts_left",), (1,)),
}  # fmt: skip
KNOWN = (59, 60, 70)


@pytest.fixture(scope="module")
def world(look, new_toy):
    """One shop in which every case is a customer; features by day and customer."""
    tables = {table: list(ONE_OF_EACH.get(table, ())) for table in COLUMNS}
    tables["order_lines"] += [one_order(who, 5) for who in (PLAIN, *names())]
    for number_, (told, given, _, _) in enumerate(CASES.values()):
        for table, rows in told(f"c{number_}", *given).items():
            tables[table] += rows
    for known in KNOWN:
        for table in late_rows("x"):
            row, _ = late_rows(f"{table}{known}")[table]
            tables[table].append(row | {"known_at": at(known)})
    toy = new_toy()
    toy.load(tables)
    return look(toy.shop).set_index(["as_of_day", "customer_id"])


def names():
    """Name the customers of all cases."""
    return [*(f"c{n}" for n in range(len(CASES))), *(f"{table}{known}" for table in late_rows("x") for known in KNOWN)]


def test_every_family_has_a_planted_late_row():
    assert {feature.needs for feature in CATALOG.values()} - {"products"} == {*late_rows("x")}


@pytest.mark.parametrize("table", late_rows("x"))
@pytest.mark.parametrize(("known", "counts"), [(59, True), (60, False), (70, False)])
def test_a_row_told_late_counts_from_the_day_after_it_was_known(world, table, known, counts):
    who, feature = f"{table}{known}", late_rows("x")[table][1]
    plain, told = (world.loc[(number(SEEN), name)] for name in (PLAIN, who))
    assert (not plain.equals(told)) == counts
    assert (not plain[[feature]].equals(told[[feature]])) == counts
    assert not world.loc[(number(LATER), PLAIN)].equals(world.loc[(number(LATER), who)])


@pytest.mark.parametrize("case", CASES)
def test_worked_by_hand(world, case):
    row = world.loc[(number(SEEN), f"c{list(CASES).index(case)}")]
    *_, features, expected = CASES[case]
    assert [None if pd.isna(row[name]) else row[name] for name in features] == list(expected)


def test_a_ticket_that_nobody_closed_is_not_open_for_ever(world):
    who = f"c{list(CASES).index('a ticket is open')}"
    assert [world.loc[(number(day), who)].tickets_open for day in (60, 120, 200)] == [1, 1, 0]  # 10, 70, 150 days


# ---- whose a parcel is, who is known, and whose orders count


def shop_of(toy, **more):
    """Load customer a with one order on day 5, one row of each table for z, and more."""
    every = {table: ONE_OF_EACH.get(table, [one_order("a", 5)]) for table in COLUMNS}
    toy.load({table: [*rows, *more.get(table, ())] for table, rows in every.items()})
    return toy.shop


def test_a_parcel_of_a_guest_or_of_an_unknown_order_is_nobodys(look, new_toy):
    lines = [one_order("", 50, order_id="guest"), one_order("a", 50, order_id="late", known_at=at(61))]
    sent = [{"order_id": order, "shipped_at": at(52)} for order in ("guest", "late", "never heard of")]
    seen = look(shop_of(new_toy(), order_lines=lines, shipments=sent)).set_index(["as_of_day", "customer_id"])
    assert seen.parcels_365d[number(SEEN), "a"] == 0
    assert seen.parcels_365d[number(LATER), "a"] == 1  # its order became known


def test_a_prospect_is_known_from_the_day_after_signing_up(look, new_toy):
    listed = [
        {"customer_id": "p", "signed_up_at": at(59)},
        {"customer_id": "q", "signed_up_at": at(60)},
        {"customer_id": "k", "signed_up_at": at(5), "known_at": at(60)},
        {"customer_id": "always"},
    ]
    seen = look(shop_of(new_toy(), customers=listed))
    assert set(seen[seen.as_of_day == number(SEEN)].customer_id) == {"a", "y", "p", "always"}
    assert set(seen[seen.as_of_day == number(LATER)].customer_id) == {"a", "y", "p", "always", "q", "k"}
    row = seen.set_index(["as_of_day", "customer_id"]).loc[(number(SEEN), "p")]
    assert (row.n_orders, row.orders_all, row.revenue_total) == (0, 0, 0) and pd.isna(row.days_since_last_order)


def test_of_a_subscriber_the_one_off_orders_count(look, new_toy):
    """Ordered on days 5 and 30; the subscription's parcels on 10, 30 and 40. On day 61 it ends."""
    parcels = [one_order("a", day, order_id=f"s{day}", order_type="subscription", discount=3) for day in (10, 30, 40)]
    runs = {"customer_id": "a", "product_id": "p1", "started_at": at(7)}
    words = [runs, runs | {"cancelled_at": at(61), "known_at": at(61)}]
    shop = shop_of(new_toy(), order_lines=[one_order("a", 30), *parcels], subscriptions=words)
    seen = look(shop).set_index(["as_of_day", "customer_id"])
    row, over = (seen.loc[(number(day), "a")] for day in (SEEN, LATER))
    assert (row.n_order_days, row.n_orders, row.days_since_last_order, row.gap_days_sum) == (2, 2, 30, 25)
    assert (row.order_days_all, row.orders_all, row.subscription_orders) == (4, 5, 3)
    assert row.revenue_total == 500 and row.mean_order_day_revenue == pytest.approx(125)
    assert row.promo_share == pytest.approx(1 / 2)  # of the day with both kinds at most as many as count
    assert (over.n_order_days, over.n_orders, over.days_since_last_order) == (4, 5, 80)


# ---- bots


def test_a_bot_is_whoever_has_more_lines_than_the_bound(new_toy, monkeypatch):
    assert bots.BOT_LINES == 50_000
    for module in (bots, basket):
        monkeypatch.setattr(module, "BOT_LINES", 50)
    toy, sold = new_toy(["order_lines"]), {"person": 49, "bot": 50}
    lines = [one_order(who, 20, order_id=f"{who}{k}") for who, n in sold.items() for k in range(n)]
    lines += [one_order(who, 21, quantity=-1, revenue=-100) for who in sold]  # a return is a line too
    toy.load({"order_lines": lines})
    start = toy.shop.calendar.start(number(SEEN))
    frame = feature_frame(toy.shop, start).set_index("customer_id")
    assert frame.is_bot.to_dict() == {"bot": 1.0, "person": 0.0}
    assert bots.bots(toy.shop, start) == {"bot"}
    assert bots.bots(toy.shop, toy.shop.calendar.start(number(21))) == frozenset()
