"""How things stand between a customer and the shop: worked by hand, beside the features, and written again."""

import math
from collections import defaultdict
from datetime import date

import pandas as pd
import pytest

from features.calendar import day_number
from features.families.consent import CHANNELS
from features.frame import feature_frame
from features.standing import standing
from tests.features.test_frame import one_order
from tests.features.test_occasions import parcel, said, toy_day
from tests.features.whole import Whole, rows_of
from tests.worlds import at, instant, number

DAY = 60
ALWAYS = ["customer_id", "last_order_at"]


def line(day, **more):
    return {"order_lines": [one_order("WHO", day, line_no=1, **more)]}


def cancelled(day, known):
    return {"order_lines": [one_order("WHO", day, line_no=1, status="cancelled", known_at=at(known))]}


def sent(*parcels):
    return {"shipments": [parcel("WHO40", *days) for days in parcels]}


def words(kind, *ends):
    return {"feedback": [said(kind, 50 + n, "WHO", closed_at=at(end) if end else "") for n, end in enumerate(ends)]}


def answer(kind, day, channel=None, **more):
    """Give a reaction that names its message, where ``channel`` says over which it went."""
    name = f"{kind}{day}{channel}WHO"
    contact = {"contact_id": name, "customer_id": "WHO", "at": at(day), "channel": channel}
    reaction = {"kind": kind, "at": at(day)} | ({"contact_id": name} if channel else {"customer_id": "WHO"}) | more
    return {"contacts": [contact] if channel else [], "responses": [reaction]}


def consent(channel, day, granted="true", purpose="marketing"):
    word = {"customer_id": "WHO", "channel": channel, "purpose": purpose, "granted": granted, "at": at(day)}
    return {"consents": [word]}


def listed(line_id="WHO-line", **more):
    return {"customers": [{"customer_id": "WHO", "line_user_id": line_id} | more]}


def linked(line_id="WHO-line", until=None, known=None, day=5):
    more = {"unlinked_at": "" if until is None else at(until), "known_at": "" if known is None else at(known)}
    return {
        "identities": [
            {"alias_type": "line_user_id", "alias": line_id, "customer_id": "WHO", "linked_at": at(day)} | more
        ]
    }


LAST, CAME, ON_WAY = "last_order_at", "last_order_delivered_at", "parcels_under_way"
TICKETS, TICKET_END = "tickets_open", "last_ticket_closed_at"
FRIEND, MAIL, LINE = "is_line_friend", "left_email_at", "left_line_at"
# What is told of a customer, and what stands at the start of day 60; instants as toy days.
CASES = {
    "an order": ([line(40)], {LAST: 40.5, CAME: None, ON_WAY: 0, TICKETS: 0, FRIEND: False, MAIL: None}),
    "today's order is not known": ([line(40), line(60)], {LAST: 40.5}),
    "a subscription's order is one": ([line(40, order_type="subscription")], {LAST: 40.5}),
    "nothing but a cancelled order": ([line(40), cancelled(40, 45)], {LAST: None}),
    "a cancellation that is not known": ([line(40), cancelled(40, 60)], {LAST: 40.5}),
    "a cancelled one after another": ([line(30), line(40), cancelled(40, 45)], {LAST: 30.5}),
    "an order given back was one": (
        [line(40), {"order_lines": [one_order("WHO", 45, line_no=2, quantity=-1, returns_order_id="WHO40")]}],
        {LAST: 40.5},
    ),
    "under way": ([line(40), sent((41, 43))], {CAME: None, ON_WAY: 1}),
    "it came": ([line(40), sent((41, 43, 42))], {CAME: 42.5, ON_WAY: 0}),
    "it comes today": ([line(40), sent((41, 43, 60))], {CAME: None, ON_WAY: 1}),
    "one of two came": ([line(40), sent((41, 43, 42), (42, 44))], {CAME: None, ON_WAY: 1}),
    "both came": ([line(40), sent((41, 43, 42), (42, 44, 45))], {CAME: 45.5, ON_WAY: 0}),
    "the last order was not sent yet": ([line(40), sent((41, 43, 42)), line(50)], {CAME: None, ON_WAY: 0}),
    "a ticket": ([line(40), words("ticket", None)], {TICKETS: 1, TICKET_END: None, "returns_open": 0}),
    "closed": ([line(40), words("ticket", 55, 58)], {TICKETS: 0, TICKET_END: 58.5}),
    "one open, one closed": ([line(40), words("ticket", 55, None)], {TICKETS: 1, TICKET_END: 55.5}),
    "to be closed today": ([line(40), words("ticket", 60)], {TICKETS: 1, TICKET_END: None}),
    "a return": ([line(40), words("return_request", None)], {TICKETS: 0, "returns_open": 1}),
    "a return closed": ([line(40), words("return_request", 55)], {"returns_open": 0, "last_return_closed_at": 55.5}),
    "a friend by the list": ([listed()], {FRIEND: True, LAST: None}),
    "not on the list": ([listed("")], {FRIEND: False}),
    "a friend by a link": ([line(40), linked()], {FRIEND: True}),
    "unlinked": ([line(40), linked(until=50)], {FRIEND: False}),
    "unlinked today": ([line(40), linked(until=60)], {FRIEND: True}),
    "an unlinking not known yet": ([line(40), linked(), linked(until=50, known=60)], {FRIEND: True}),
    "linked again": ([line(40), linked(until=50), linked(day=55)], {FRIEND: True}),
    "listed, and unlinked since": ([listed(signed_up_at=at(3)), linked(until=50)], {FRIEND: False}),
    "unlinked, and listed since": ([listed(known_at=at(55)), linked(until=50)], {FRIEND: True}),
    "another id was unlinked": ([listed(), linked("WHO-other", until=50)], {FRIEND: True}),
    "unsubscribed, nobody says from what": ([line(40), answer("unsubscribe", 50)], {MAIL: 50.5, LINE: None}),
    "blocked, nobody says what": ([line(40), answer("block", 50)], {MAIL: None, LINE: 50.5}),
    "unsubscribed from LINE": ([line(40), answer("unsubscribe", 50, "line")], {MAIL: None, LINE: 50.5}),
    "complained of a text": ([line(40), answer("complaint", 50, "sms")], {"left_sms_at": 50.5, MAIL: None}),
    "a push that bounced": ([line(40), answer("bounce", 50, "push")], {"left_push_at": 50.5}),
    "the last time": ([line(40), answer("unsubscribe", 45), answer("unsubscribe", 50)], {MAIL: 50.5}),
    "opening is not leaving": ([line(40), answer("open", 50, "email")], {MAIL: None}),
    "not known yet": ([line(40), answer("unsubscribe", 50, known_at=at(60))], {MAIL: None}),
    "granted since": ([line(40), answer("unsubscribe", 50), consent("email", 55)], {MAIL: None}),
    "granted before": ([line(40), answer("unsubscribe", 50), consent("email", 45)], {MAIL: 50.5}),
    "granted today": ([line(40), answer("unsubscribe", 50), consent("email", 60)], {MAIL: 50.5}),
    "granted for another channel": ([line(40), answer("unsubscribe", 50), consent("line", 55)], {MAIL: 50.5}),
    "refused since": ([line(40), answer("unsubscribe", 50), consent("email", 55, "false")], {MAIL: 50.5}),
    "agreed to training": ([line(40), answer("unsubscribe", 50), consent("email", 55, "true", "train")], {MAIL: 50.5}),
}  # fmt: skip


def joined(*tables):
    """Put the rows of several tables together."""
    found = defaultdict(list)
    for given in tables:
        for table, rows in given.items():
            found[table] += rows
    return found


def named(rows, who):
    """Put a customer's name in the place of WHO."""
    return {
        table: [{k: v.replace("WHO", who) if isinstance(v, str) else v for k, v in row.items()} for row in found]
        for table, found in rows.items()
    }


@pytest.fixture(scope="module")
def stands(new_whole):
    """One shop in which every case is a customer."""
    toy = new_whole()
    toy.load(joined(*(named(joined(*told), f"c{n}") for n, (told, _) in enumerate(CASES.values()))))
    return standing(toy.shop, number(DAY)).set_index("customer_id")


@pytest.mark.parametrize("case", CASES)
def test_worked_by_hand(stands, case):
    row = stands.loc[f"c{list(CASES).index(case)}"]
    expected = CASES[case][1]
    found = {name: toy_day(row[name]) if name.endswith("_at") else row[name] for name in expected}
    assert found == expected


def test_a_shop_of_order_lines_alone_has_no_columns_of_other_tables(new_whole):
    toy = new_whole(("order_lines",))
    toy.load({"order_lines": [one_order(day=40), one_order("", 41), one_order("b", 60)]})
    found = standing(toy.shop, number(DAY))
    assert found.columns.tolist() == ALWAYS
    assert found.customer_id.tolist() == ["a"]


@pytest.mark.parametrize(
    ("tables", "column"),
    [
        (("customers",), "is_line_friend"),
        (("shipments",), "parcels_under_way"),
        (("feedback",), "tickets_open"),
        (("responses",), "left_postal_at"),
    ],
)
def test_a_table_brings_its_columns(new_whole, tables, column):
    toy = new_whole(("order_lines", *tables))
    rows = joined(line(40), listed(), sent((41,)), words("ticket", None), answer("block", 50))
    toy.load(named(rows, "a"))
    found = standing(toy.shop, number(DAY))
    assert set(found.columns) >= {*ALWAYS, column}
    assert len(found) == 1


def test_a_persons_ids_stand_together(new_whole):
    toy = new_whole()
    mine = joined(line(40), answer("unsubscribe", 50), words("ticket", None), listed())
    links = [
        {"alias_type": "device", "alias": "x", "customer_id": who, "linked_at": at(day)}
        for who, day in (("a", 1), ("b", 58))
    ]
    toy.load(joined(named(line(30), "a"), named(mine, "b"), {"identities": links}))
    apart, merged = (standing(toy.shop, number(day)) for day in (58, 59))
    assert apart.customer_id.tolist() == ["a", "b"]
    (row,) = merged.to_dict("records")
    told = row["customer_id"], toy_day(row[LAST]), row[TICKETS], row[FRIEND], toy_day(row[MAIL])
    assert told == ("a", 40.5, 1, True, 50.5)


def test_what_stands_is_what_the_features_count(hananone):
    day = day_number(date(2026, 11, 21))
    ours, frame = standing(hananone, day), feature_frame(hananone, hananone.calendar.start(day))
    assert ours.customer_id.tolist() == frame.customer_id.tolist()
    pairs = {ON_WAY: ON_WAY, TICKETS: TICKETS, "returns_open": "return_requests_open"}
    for column, feature in pairs.items():
        assert ours[column].tolist() == frame[feature].tolist(), column
    closed = [math.nan if math.isnan(s) else s // 86400 for s in ours[TICKET_END] + 9 * 3600]
    pd.testing.assert_series_equal(pd.Series(closed), frame.last_ticket_closed_day, check_names=False)


@pytest.mark.parametrize("ago", [0, 100])
def test_it_agrees_with_the_same_written_row_by_row(hananone, ago):
    day = day_number(date(2026, 11, 21)) - ago
    known = {
        table: [row for row in rows_of(hananone, day, table) if row["day"] < day and row["known_on"] < day]
        for table in ("order_lines", "shipments", "contacts", "responses", "consents")
    }
    ours = standing(hananone, day).set_index("customer_id")
    assert ours[LAST].dropna().to_dict() == {who: at.timestamp() for who, (at, _) in last_orders(known).items()}
    assert ours[CAME].dropna().to_dict() == deliveries(known, hananone.calendar, day)
    left = ours[[f"left_{channel}_at" for channel in CHANNELS]].stack().to_dict()
    assert left
    assert left == leavings(known)


def last_orders(known):
    """Give (instant, order) of each customer's last order that was not cancelled."""
    gone = {row["order_id"] for row in known["order_lines"] if row["status"] == "cancelled"}
    last = {}
    for row in known["order_lines"]:
        if row["quantity"] > 0 and row["customer_id"] is not None and row["order_id"] not in gone:
            mine = row["ordered_at"], row["order_id"]
            last[row["customer_id"]] = max(last.get(row["customer_id"], mine), mine)
    return last


def deliveries(known, calendar, day):
    """Give when all parcels of each customer's last order had come."""
    came = defaultdict(list)
    for row in known["shipments"]:
        delivered = row["delivered_at"]
        is_over = not pd.isna(delivered) and calendar.day(delivered) < day
        came[row["order_id"]].append(delivered.timestamp() if is_over else None)
    found = {who: came[order] for who, (_, order) in last_orders(known).items()}
    return {who: max(ends) for who, ends in found.items() if ends and None not in ends}


def leavings(known):
    """Give when each customer last left a channel, unless they came back to it."""
    channels = {row["contact_id"]: row["channel"] for row in known["contacts"]}
    back, left = defaultdict(float), {}
    for row in known["consents"]:
        if row["granted"] and row["purpose"] == "marketing":
            key = row["customer_id"], f"left_{row['channel']}_at"
            back[key] = max(back[key], row["at"].timestamp())
    for row in known["responses"]:
        if row["kind"] in ("unsubscribe", "block", "complaint", "bounce"):
            key = row["customer_id"], f"left_{channels[row['contact_id']]}_at"
            left[key] = max(left.get(key, 0), row["at"].timestamp())
    return {key: moment for key, moment in left.items() if moment >= back[key]}


def test_days_are_the_shops(new_whole):
    """An order at half past four belongs to the evening before where the day begins at five."""
    head = Whole.__init__.__defaults__[1].replace("Asia/Tokyo", 'Asia/Tokyo\nday_starts_at: "05:00"')
    toy = new_whole(head=head)
    toy.load({"order_lines": [one_order("a", ordered_at=at(60, 4.5)), one_order("b", ordered_at=at(60, 5))]})
    found = standing(toy.shop, number(DAY))
    assert found.customer_id.tolist() == ["a"]
    assert found[LAST].tolist() == [instant(60).timestamp() + 4.5 * 3600]
