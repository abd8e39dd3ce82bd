"""What happened to a customer that a message may follow or precede: worked by hand, by laws, and written again."""

import math
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from features.calendar import day_number
from features.occasions import EVENTS, occasions
from tests.features.test_frame import one_order
from tests.features.whole import Whole, rows_of
from tests.worlds import HEAD, at, instant, lake_rows, number

COLUMNS = ["customer_id", "event", "at", "order_id", "product_id", "promised_at", "delivered_at", "score"]
COLUMNS += ["open_ticket", "tags", "categories", "is_kept"]
FACTS = [
    {"product_id": "p1", "category": "tea > green", "tags": "trial;new"},
    {"product_id": "p2", "category": "cups", "tags": "new, gift"},
    {"product_id": "p3"},
]
DAY = 60


@pytest.fixture
def toy(tmp_path):
    return Whole(tmp_path)


def toy_day(second):
    """Give the toy day of an instant, with its hours as a fraction."""
    return None if second is None or math.isnan(second) else (second - instant(0).timestamp()) / 86400


def seen(toy, event, day=DAY, **window):
    """Give the rows of one event as dicts, instants as toy days."""
    found = occasions(toy.shop, number(day), **window)
    return in_toy_days(found[found.event == event])


def in_toy_days(found):
    """Give rows as dicts, instants as toy days."""
    rows = found.to_dict("records")
    return [r | {name: toy_day(r[name]) for name in ("at", "promised_at", "delivered_at")} for r in rows]


def days(toy, event, day=DAY, **window):
    return [row["at"] for row in seen(toy, event, day, **window)]


def parcel(order, sent, promised=None, delivered=None, **more):
    ends = {"promised_at": promised, "delivered_at": delivered}
    return {"order_id": order, "shipped_at": at(sent)} | {k: at(v) for k, v in ends.items() if v is not None} | more


def said(kind, day, who="a", **more):
    return {"customer_id": who, "kind": kind, "opened_at": at(day)} | more


# ---- orders

ORDERS = {  # the lines of a customer; (day, is kept) of each order; the day of the first
    "one order": ([one_order(day=40)], [(40.5, True)], [40.5]),
    "one of the day itself is not yet known": ([one_order(day=60)], [], []),
    "nor one told that day": ([one_order(day=40, known_at=at(60))], [], []),
    "an older one was the first": ([one_order(day=-1), one_order(day=40)], [(40.5, True)], []),
    "two": ([one_order(day=40), one_order(day=50)], [(40.5, True), (50.5, True)], [40.5]),
    "given back: placed, not kept": (
        [one_order(day=40), one_order(day=41, quantity=-1, returns_order_id="a40"), one_order(day=50)],
        [(40.5, False), (50.5, True)],
        [50.5],
    ),
    "cancelled": (
        [one_order(day=40, line_no=1), one_order(day=40, line_no=1, status="cancelled", known_at=at(45))],
        [],
        [],
    ),
    "not cancelled yet": (
        [one_order(day=40, line_no=1), one_order(day=40, line_no=1, status="cancelled", known_at=at(60))],
        [(40.5, True)],
        [40.5],
    ),
    "a subscription's parcel": ([one_order(day=40, order_type="subscription")], [], [40.5]),
    "a line added later": (
        [one_order(day=40, line_no=1), one_order(day=42, order_id="a40", line_no=2)],
        [(40.5, True)],
        [40.5],
    ),
    "a line added within the window to an older order": (
        [one_order(day=-2, order_id="x", line_no=1), one_order(day=1, order_id="x", line_no=2)],
        [],
        [],
    ),
}


@pytest.mark.parametrize("case", ORDERS)
def test_orders_are_occasions_as_they_are_known(together, case):
    _, placed, first = ORDERS[case]
    assert [(row["at"], row["is_kept"]) for row in together(case, "order.placed")] == placed
    assert [row["at"] for row in together(case, "order.first")] == first


def test_an_order_says_what_was_in_it_and_how_it_came(toy):
    toy.load(
        {
            "order_lines": [one_order(day=40, product_id=p, line_no=p) for p in ("p1", "p2", "p3")],
            "products": FACTS,
            "shipments": [parcel("a40", 41, 43, 42), parcel("a40", 44, 46)],
            "feedback": [said("csat", 50, order_id="a40", score=s) for s in (5, 2)]
            + [said("csat", 48, order_id="a40")],
        }
    )
    (order,) = seen(toy, "order.placed")
    assert order == {
        "customer_id": "a", "event": "order.placed", "at": 40.5, "order_id": "a40", "product_id": None,
        "promised_at": 46.5, "delivered_at": None, "score": 2.0, "open_ticket": False, "tags": "gift|new|trial",
        "categories": "cups|tea > green", "is_kept": True,
    }  # fmt: skip


# ---- parcels

PARCELS = {  # sent, promised, delivered; (day of the promise, delivery) of each promise; the order's delivery
    "under way": ([(50, 53, None)], [(53.5, None)], []),
    "it came": ([(50, 53, 52)], [(53.5, 52.5)], [52.5]),
    "it comes today": ([(50, 53, 60)], [(53.5, None)], []),
    "a promise to come": ([(59, 62, None)], [(62.5, None)], []),
    "sent today": ([(60, 62, None)], [], []),
    "no promise": ([(50, None, 52)], [], [52.5]),
    "one of two came": ([(50, 53, 52), (51, 54, None)], [(53.5, 52.5), (54.5, None)], []),
    "two with one promise": ([(50, 53, 52), (51, 53, None)], [(53.5, None)], []),
    "both came": ([(50, 53, 52), (51, 54, 55)], [(53.5, 52.5), (54.5, 55.5)], [55.5]),
}


@pytest.mark.parametrize("case", PARCELS)
def test_parcels_promises_and_deliveries(together, case):
    parcels, promised, delivered = PARCELS[case]
    sent = sorted(day for day, _, _ in parcels if day < DAY)
    assert [row["at"] for row in together(case, "shipment.shipped_at")] == [day + 0.5 for day in sent]
    assert [(row["at"], row["delivered_at"]) for row in together(case, "shipment.promised_at")] == promised
    assert [row["at"] for row in together(case, "shipment.delivered_at")] == delivered


def test_a_parcel_of_an_old_order_knows_its_order(toy):
    toy.load({"order_lines": [one_order(day=1)], "products": FACTS, "shipments": [parcel("a1", 2, 50, 59)]})
    (row,) = seen(toy, "shipment.delivered_at", back_days=10)
    assert (row["at"], row["promised_at"], row["tags"], row["is_kept"]) == (59.5, 50.5, "new|trial", True)
    assert seen(toy, "order.placed", back_days=10) == seen(toy, "shipment.shipped_at", back_days=10) == []


def test_a_parcel_of_a_cancelled_order_is_not_kept_and_of_nobodys_is_none(toy):
    lines = [one_order(day=40, line_no=1), one_order(day=40, line_no=1, status="cancelled", known_at=at(45))]
    toy.load({"order_lines": lines, "shipments": [parcel("a40", 41, 43), parcel("nobody's", 41, 43)]})
    assert [(r["order_id"], r["is_kept"]) for r in seen(toy, "shipment.promised_at")] == [("a40", False)]


# ---- what was said


def test_answers_reviews_and_closed_tickets(toy):
    words = [
        said("csat", 50, order_id="a40", score=2),
        said("review", 51, order_id="a40", product_id="p2", score=4),
        said("review", 52, product_id="p2", score=1),
        said("ticket", 45, closed_at=at(55)),
        said("ticket", 46, closed_at=at(60)),
        said("nps", 50, score=9),
        said("csat", 60, score=1),
    ]
    toy.load({"order_lines": [one_order(day=40)], "products": FACTS, "feedback": words})
    told = {e: seen(toy, f"feedback.{e}") for e in ("csat", "review", "ticket_closed")}
    assert [(r["at"], r["order_id"], r["score"], r["tags"]) for r in told["csat"]] == [(50.5, "a40", 2, "new|trial")]
    assert [(r["at"], r["product_id"], r["score"], r["tags"]) for r in told["review"]] == [
        (51.5, "p2", 4, "new|trial"), (52.5, "p2", 1, "gift|new"),
    ]  # fmt: skip
    assert [(r["at"], r["order_id"]) for r in told["ticket_closed"]] == [(55.5, None)]


@pytest.mark.parametrize(
    ("ticket", "is_open"),  # for order a40, order a50, the birthday
    [
        pytest.param({"order_id": "a40"}, (True, False, True), id="of an order"),
        pytest.param({}, (True, True, True), id="of the customer"),
        pytest.param({"order_id": "a40", "closed_at": at(59)}, (False, False, False), id="closed"),
        pytest.param({"order_id": "a40", "closed_at": at(60)}, (True, False, True), id="to be closed today"),
        pytest.param({"known_at": at(60)}, (False, False, False), id="not known yet"),
    ],
)
def test_an_open_ticket_is_of_its_order_or_of_all(toy, ticket, is_open):
    people = [{"customer_id": "a", "birth_month_day": "03-01"}]  # toy day 60
    orders = [one_order(day=day) for day in (40, 50)]
    toy.load({"order_lines": orders, "customers": people, "feedback": [said("ticket", 55, **ticket)]})
    found = [row["open_ticket"] for event in ("order.placed", "birthday") for row in seen(toy, event)]
    assert found == list(is_open)


# ---- days of the calendar


BIRTHDAYS = {  # as the shop writes it; the days of the window
    "today": ("03-01", [60.0]),
    "a leap day in a leap year": ("02-29", [59.0]),
    "sixty days ago": ("01-01", [0.0]),
    "before the window": ("12-31", []),
    "45 days ahead": ("04-15", [105.0]),
    "beyond the window": ("04-16", []),
    "without zeros": ("3/1", [60.0]),
    "without anything between": ("0301", [60.0]),
    "in Japanese": ("3月1日", [60.0]),
    "with a year": ("1990-03-01", [60.0]),
    "no day at all": ("13-45", []),
}


@pytest.mark.parametrize("case", BIRTHDAYS)
def test_a_birthday_comes_every_year(together, case):
    assert [row["at"] for row in together(case, "birthday")] == BIRTHDAYS[case][1]


def test_the_29th_of_february_is_the_28th_in_common_years_and_a_long_window_holds_several(toy):
    toy.load({"order_lines": [one_order("a", 59)], "customers": [{"customer_id": "a", "birth_month_day": "02-29"}]})
    assert days(toy, "birthday", 400, back_days=400, ahead_days=400) == [59.0, 424.0, 789.0]
    assert days(toy, "anniversary", 400, back_days=400, ahead_days=400) == [424.0, 789.0]


def test_points_expire_and_memberships_begin(toy):
    people = [
        {"customer_id": "a", "signed_up_at": at(50), "points_expire_on": at(70, 0)[:10]},
        {"customer_id": "b", "signed_up_at": at(60), "points_expire_on": at(70, 0)[:10]},
        {"customer_id": "c", "points_expire_on": at(106, 0)[:10]},
    ]
    toy.load({"order_lines": [one_order()], "customers": people})
    assert days(toy, "points.expire_on") == [70.0]
    assert days(toy, "customer.signed_up_at") == [50.5]


@pytest.mark.parametrize(
    ("timezone", "starts", "month_day", "expected"),
    [
        ("America/New_York", "00:00", "03-10", "2024-03-10T05:00:00+00:00"),  # the day the clocks go forward
        ("America/New_York", "00:00", "03-11", "2024-03-11T04:00:00+00:00"),
        ("America/New_York", "05:00", "03-10", "2024-03-10T09:00:00+00:00"),
        ("America/New_York", "05:00", "03-09", "2024-03-09T10:00:00+00:00"),
        ("Asia/Tokyo", "05:00", "03-10", "2024-03-09T20:00:00+00:00"),
    ],
)
def test_a_day_of_the_calendar_begins_when_the_shops_day_does(tmp_path, timezone, starts, month_day, expected):
    head = HEAD.replace("Asia/Tokyo", f'{timezone}\nday_starts_at: "{starts}"')
    toy = Whole(tmp_path, head=head)
    toy.load({"order_lines": [one_order()], "customers": [{"customer_id": "a", "birth_month_day": month_day}]})
    found = occasions(toy.shop, number(DAY))
    (second,) = found["at"][found.event == "birthday"]
    assert datetime.fromtimestamp(second, UTC).isoformat() == expected


def test_an_order_after_midnight_belongs_to_the_evening(tmp_path):
    toy = Whole(tmp_path, head=HEAD.replace("Asia/Tokyo", 'Asia/Tokyo\nday_starts_at: "05:00"'))
    toy.load({"order_lines": [one_order("a", ordered_at=at(60, 4.5)), one_order("b", ordered_at=at(60, 5))]})
    found = occasions(toy.shop, number(DAY))
    assert found.customer_id[found.event == "order.placed"].tolist() == ["a"]


# ---- carts

CARTS = {  # days of the carts; (day, product) of the orders; the day of the cart left
    "left": ([50], [], [50.5]),
    "the last time": ([50, 55], [], [55.5]),
    "today is not known": ([60], [], []),
    "ordered later": ([50], [(55, "p1")], []),
    "ordered that day": ([50], [(50, "p1")], []),
    "ordered before": ([50], [(49, "p1")], [50.5]),
    "another product": ([50], [(55, "p2")], [50.5]),
    "put in again": ([50, 57], [(55, "p1")], [57.5]),
}


@pytest.mark.parametrize("case", CARTS)
def test_a_cart_is_left_until_the_product_is_ordered(together, case):
    rows = together(case, "event.cart")
    assert [row["at"] for row in rows] == CARTS[case][2]
    assert all(row["product_id"] == "p1" and row["tags"] == "new|trial" for row in rows)


@pytest.fixture(scope="module")
def together(new_whole):
    """Ask of one shop in which each of the cases above is a customer: their rows of an event."""
    rows = defaultdict(list)
    for case, (lines, *_) in ORDERS.items():
        rows["order_lines"] += [renamed(line, case) for line in lines]
    for case, (parcels, *_) in PARCELS.items():
        rows["order_lines"].append(renamed(one_order(day=40), case))
        rows["shipments"] += [renamed(parcel("a40", *one), case) for one in parcels]
    for case, (word, _) in BIRTHDAYS.items():
        rows["customers"].append({"customer_id": case, "birth_month_day": word})
    for case, (carts, orders, _) in CARTS.items():
        rows["order_lines"] += [renamed(one_order("a", day, product_id=product), case) for day, product in orders]
        events = [("cart", day) for day in carts] + [("view", 58)]
        rows["events"] += [
            {"customer_id": case, "at": at(day), "kind": kind, "product_id": "p1"} for kind, day in events
        ]
    toy = new_whole()
    toy.load(rows | {"products": FACTS})
    found = occasions(toy.shop, number(DAY))
    return lambda case, event: in_toy_days(found[(found.customer_id == case) & (found.event == event)])


def renamed(row, case):
    """Give a row to a customer who is called as their case is, with orders of their own."""
    ids = {name: f"{case[:30]} {row[name]}" for name in ("order_id", "returns_order_id") if row.get(name)}
    return row | ids | ({"customer_id": case} if "customer_id" in row else {})


# ---- persons, absent tables, laws


def link(who, alias, day):
    return {"alias_type": "device", "alias": alias, "customer_id": who, "linked_at": at(day)}


def test_occasions_of_a_persons_ids_are_the_persons(toy):
    toy.load(
        {
            "order_lines": [one_order("a", 10), one_order("b", 20)],
            "customers": [{"customer_id": "b", "birth_month_day": "03-01", "signed_up_at": at(20)}],
            "shipments": [parcel("b20", 21, 23, 22)],
            "events": [{"alias_type": "device", "alias": "x", "at": at(30), "kind": "cart", "product_id": "p1"}],
            "identities": [link("a", "x", 1), link("b", "x", 40)],
        }
    )
    apart, merged = (occasions(toy.shop, number(day)) for day in (40, 41))
    assert apart.groupby("customer_id").event.agg(list).to_dict() == {
        "a": ["event.cart", "order.first", "order.placed"],
        "b": ["birthday", "customer.signed_up_at", "order.first", "order.placed", "shipment.delivered_at",
              "shipment.promised_at", "shipment.shipped_at"],
    }  # fmt: skip
    assert set(merged.customer_id) == {"a"}
    assert merged.order_id[merged.event == "order.first"].tolist() == ["a10"]
    assert merged.order_id[merged.event == "order.placed"].tolist() == ["a10", "b20"]
    assert sorted(merged.event) == sorted([*apart.event][:3] + [*apart.event][3:5] + [*apart.event][6:])


def test_a_shop_of_order_lines_alone_has_the_occasions_they_give(tmp_path):
    toy = Whole(tmp_path, ("order_lines",))
    toy.load({"order_lines": [one_order(day=40)]})
    found = occasions(toy.shop, number(DAY))
    assert found.columns.tolist() == COLUMNS
    assert found.event.tolist() == ["order.first", "order.placed"]
    assert occasions(toy.shop, number(10)).dtypes.equals(found.dtypes)


# ---- a second implementation: row by row, in Python, over the lake's tables


def written_again(shop, day, back, ahead):
    """List the occasions row by row, of a shop whose customers all say their birthday."""
    calendar = shop.calendar
    known = {
        table: [r for r in rows_of(shop, day, table) if r["day"] < day and r["known_on"] < day]
        for table in ("order_lines", "shipments", "feedback", "events")
    }

    def over(moment):
        return None if moment is None or pd.isna(moment) or calendar.day(moment) >= day else moment

    facts = {
        r["product_id"]: (set(str(r["tags"] or "").replace(",", ";").split(";")) - {""}, r["category"])
        for r in lake_rows(shop, "products", "ALL").to_dict("records")
    }
    lines = defaultdict(list)
    for row in known["order_lines"]:
        if row["customer_id"] is not None:
            lines[row["returns_order_id"] or row["order_id"]].append(row)
    orders = {}
    for order_id, rows in lines.items():
        net = defaultdict(float)
        for row in rows:
            if row["status"] != "cancelled":
                key = (row["ordered_at"], row["product_id"], row["order_type"], row["quantity"] > 0)
                net[key] += row["sign"] * float(row["quantity"])
        placed = [key for key, quantity in net.items() if key[3] and quantity > 0]
        products = {key[1] for key in placed}
        orders[order_id] = {
            "who": rows[0]["customer_id"],
            "placed": min((key[0] for key in placed), default=None),
            "kept": sum(net.values()) > 0,
            "subscribed": any(key[2] == "subscription" for key in placed),
            "tags": "|".join(sorted(set().union(*(facts[p][0] for p in products)))),
            "categories": "|".join(sorted({facts[p][1] for p in products})),
        }
    parcels = defaultdict(dict)
    for row in known["shipments"]:
        if row["order_id"] in orders:
            promised, delivered = parcels[row["order_id"]].get(row["shipped_at"], (None, None))
            told = latest(promised, row["promised_at"]), latest(delivered, over(row["delivered_at"]))
            parcels[row["order_id"]][row["shipped_at"]] = told
    voices = {}
    for row in known["feedback"]:
        key = (row["customer_id"], row["kind"], row["source"], row["order_id"], row["product_id"], row["opened_at"])
        score, closed = voices.get(key, (None, None))
        scores = [s for s in (score, row["score"]) if s is not None and not pd.isna(s)]
        ends = [t for t in (closed, over(row["closed_at"])) if t is not None]
        voices[key] = (min(scores, default=None), max(ends, default=None))
    tickets = {
        (key[0], key[3])
        for key, (_, closed) in voices.items()
        if key[1] == "ticket" and closed is None and calendar.day(key[5]) >= day - 90
    }
    answers = {}
    for key, (score, _) in sorted(voices.items(), key=lambda item: (item[0][5], -float(item[1][0] or 0))):
        if key[1] == "csat" and score is not None:
            answers[key[0], key[3]] = float(score)
    out = []

    def add(who, event, moment, order=None, product=None, promised=math.nan, delivered=math.nan, score=math.nan):
        if moment is None or pd.isna(moment) or not day - back <= calendar.day(moment) <= day + ahead:
            return
        o = orders.get(order)
        if promised is math.nan and order in parcels:
            promised = max((p for p, _ in parcels[order].values() if p is not None), default=None)
            come = [d for _, d in parcels[order].values()]
            delivered = max(come) if all(come) else None
        tags, category = facts.get(product, (set(), ""))
        is_open = (who, order) in tickets or (who, None) in tickets
        is_open |= order is None and any(ticket[0] == who for ticket in tickets)
        instants = [t.timestamp() if isinstance(t, datetime) else math.nan for t in (moment, promised, delivered)]
        score = answers.get((who, order), math.nan) if math.isnan(score) else score
        described = (o["tags"], o["categories"], o["kept"]) if o else ("|".join(sorted(tags)), category, order is None)
        out.append((who, event, instants[0], order, product, *instants[1:], score, is_open, *described))

    kept = defaultdict(list)
    for order_id, order in orders.items():
        if order["kept"]:
            kept[order["who"]].append((order["placed"], order_id))
        if not order["subscribed"]:
            add(order["who"], "order.placed", order["placed"], order_id)
        for sent, (promised, delivered) in parcels[order_id].items() if order_id in parcels else ():
            add(order["who"], "shipment.shipped_at", sent, order_id, None, promised, delivered)
        come = list(parcels[order_id].values()) if order_id in parcels else []
        for promised in {p for p, _ in come if p is not None}:
            ends = [d for p, d in come if p == promised]
            end = max(ends) if all(ends) else None
            add(order["who"], "shipment.promised_at", promised, order_id, None, promised, end)
        if come and all(d for _, d in come):
            add(order["who"], "shipment.delivered_at", max(d for _, d in come), order_id)
    window = [(calendar.date(n), calendar.start(n)) for n in range(day - back, day + ahead + 1)]
    for who, found in kept.items():
        moment, order_id = min(found)
        add(who, "order.first", moment, order_id)
        first = calendar.date(calendar.day(moment))
        for date, start in window:
            if date > first and is_day_of(date, f"{first:%m-%d}"):
                add(who, "anniversary", start)
    for key, (score, closed) in voices.items():
        if key[1] in ("csat", "review"):
            own = math.nan if score is None else float(score)
            add(key[0], f"feedback.{key[1]}", key[5], key[3], key[4], score=own)
        elif key[1] == "ticket":
            add(key[0], "feedback.ticket_closed", closed, key[3], key[4])
    people = [row for row in rows_of(shop, day, "customers") if calendar.day(row["signed_up_at"]) < day]
    for row in people:
        if row["own_id"] == row["customer_id"]:
            same = [other["signed_up_at"] for other in people if other["customer_id"] == row["customer_id"]]
            add(row["customer_id"], "customer.signed_up_at", min(same))
            for date, start in window:
                if is_day_of(date, row["birth_month_day"]):
                    add(row["customer_id"], "birthday", start)
                if not pd.isna(row["points_expire_on"]) and date == row["points_expire_on"].date():
                    add(row["customer_id"], "points.expire_on", start)
    carts, ordered = {}, defaultdict(int)
    for row in known["events"]:
        if row["kind"] == "cart" and row["product_id"] is not None:
            key = (row["customer_id"], row["product_id"])
            carts[key] = max(carts.get(key, row["at"]), row["at"])
    for row in known["order_lines"]:
        if row["quantity"] > 0 and row["sign"] > 0:
            key = (row["customer_id"], row["product_id"])
            ordered[key] = max(ordered[key], row["day"])
    for (who, product), moment in carts.items():
        if ordered[who, product] < calendar.day(moment):
            add(who, "event.cart", moment, None, product)
    return pd.DataFrame(out, columns=COLUMNS)


def latest(*instants):
    return max((t for t in instants if t is not None and not pd.isna(t)), default=None)


def is_day_of(date, month_day):
    is_last_of_february = f"{date:%m-%d}" == "02-28" and (date + timedelta(1)).month == 3
    return f"{date:%m-%d}" == month_day or (is_last_of_february and month_day == "02-29")


@pytest.mark.parametrize("ago", [0, 100])
def test_they_agree_with_the_same_written_row_by_row(hananone, ago):
    day = day_number(datetime(2026, 11, 21).date()) - ago
    ours = occasions(hananone, day)
    theirs = written_again(hananone, day, 60, 45)
    keys = ["customer_id", "event", "at", "order_id", "product_id", "score"]
    ours, theirs = (found.fillna({"order_id": "", "product_id": ""}) for found in (ours, theirs))
    ours, theirs = (found.sort_values(keys, ignore_index=True)[COLUMNS] for found in (ours, theirs))
    assert set(theirs.event) == set(EVENTS)
    pd.testing.assert_frame_equal(ours, theirs)
