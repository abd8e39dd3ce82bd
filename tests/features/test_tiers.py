"""Tiers by spending: worked by hand, and against a review of every month written out."""

import math
from collections import defaultdict
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.calendar import EPOCH, day_number
from features.tiers import spend_tiers
from tests.features.test_frame import one_order
from tests.features.whole import rows_of
from tests.worlds import at, examples, number

LEVELS = [("regular", 0), ("silver", 200), ("gold", Decimal("500.5"))]
DAY = 100  # 2024-04-10: the last review was on 04-01, toy day 91


def order(day, revenue, **more):
    return one_order("WHO", day, revenue=revenue, line_no=1, **more)


def back(day, of, revenue, **more):
    return order(day, -revenue, order_id=f"back{of}", quantity=-1, returns_order_id=f"WHO{of}", **more)


def cancelled(day, revenue, known):
    return order(day, revenue, status="cancelled", known_at=at(known))


# What is told of a customer; their tier, what the next takes (None: nothing is next), and when it goes.
CASES = {  # window of 60 days: reviews see 31 to 90, today sees 40 to 99
    "nothing spent": ([order(0, 400)], "regular", 200, None),
    "a little": ([order(50, 150)], "regular", 50, None),
    "exactly enough": ([order(50, 200)], "silver", 300.5, "2024-05-01"),
    "on the first day a review sees": ([order(31, 200)], "silver", 500.5, "2024-05-01"),
    "a day before it": ([order(30, 200)], "regular", 200, None),
    "on its last day": ([order(90, 200)], "silver", 300.5, "2024-06-01"),
    "on the review's day": ([order(91, 200)], "regular", 0, None),
    "known on the review's day": ([order(90, 200, known_at=at(91))], "regular", 0, None),
    "the top": ([order(90, 600)], "gold", None, "2024-06-01"),
    "most of it leaves first": ([order(60, 400), order(90, 150)], "gold", None, "2024-05-01"),
    "the rest is enough for a while": ([order(60, 100), order(90, 250)], "silver", 150.5, "2024-06-01"),
    "spending since keeps it": ([order(60, 200), order(95, 250)], "silver", 50.5, "2024-07-01"),
    "cancelled": ([order(50, 300), cancelled(50, 300, 55)], "regular", 200, None),
    "cancelled since": ([order(50, 300), cancelled(50, 300, 95)], "silver", 500.5, "2024-05-01"),
    "given back in part": ([order(50, 300, quantity=2), back(70, 50, 150)], "regular", 50, None),
    "given back since": ([order(50, 300), back(95, 50, 300)], "silver", 500.5, "2024-05-01"),
    "an old one given back": ([order(20, 300), order(50, 250), back(70, 20, 300)], "silver", 250.5, "2024-05-01"),
}  # fmt: skip


@pytest.fixture(scope="module")
def tiers(new_whole):
    """One shop in which every case is a customer."""
    toy = new_whole()
    rows = []
    for n, (lines, *_) in enumerate(CASES.values()):
        rows += [{k: v.replace("WHO", f"c{n}") if isinstance(v, str) else v for k, v in row.items()} for row in lines]
    rows = [
        row | {"order_id": f"{row['customer_id']}-{row['order_id']}"} if "back" in row["order_id"] else row
        for row in rows
    ]
    toy.load({"order_lines": rows, "customers": [{"customer_id": "member", "signed_up_at": at(5)}]})
    return toy.shop


def facts(found):
    """Give tier, what the next takes and until when, by customer, with ``None`` for nothing."""
    rows = found.itertuples(index=False)
    return {
        r.customer_id: (r.tier, None if math.isnan(r.to_next_tier) else r.to_next_tier, r.tier_expires_on) for r in rows
    }


@pytest.mark.parametrize("case", CASES)
def test_worked_by_hand(tiers, case):
    _, tier, more, until = CASES[case]
    found = facts(spend_tiers(tiers, number(DAY), 60, LEVELS, "monthly"))
    assert found[f"c{list(CASES).index(case)}"] == (tier, more, date.fromisoformat(until) if until else None)


def test_every_customer_known_has_a_tier(tiers):
    found = spend_tiers(tiers, number(DAY), 60, LEVELS, "monthly")
    assert found.customer_id.tolist() == sorted(["member", *(f"c{n}" for n in range(len(CASES)))])
    assert facts(found)["member"] == ("regular", 200, None)


def test_a_daily_review_sees_yesterday_and_a_tier_goes_on_the_very_day(tiers):
    found = facts(spend_tiers(tiers, number(DAY), 60, LEVELS, "daily"))
    last = f"c{list(CASES).index('on its last day')}"
    assert found[last] == ("silver", 300.5, date(2024, 5, 31))  # day 90 is within 60 days of day 150 and not of 151
    assert found[f"c{list(CASES).index('given back since')}"] == ("regular", 200, None)


def test_of_one_level_everybody_is_and_nothing_ends(tiers):
    found = spend_tiers(tiers, number(DAY), 60, LEVELS[:1], "monthly")
    assert set(facts(found).values()) == {("regular", None, None)}


def test_a_window_longer_than_the_search_has_no_end(tiers):
    found = facts(spend_tiers(tiers, number(DAY), 900, LEVELS, "monthly"))
    assert found[f"c{list(CASES).index('the top')}"] == ("gold", None, None)


# ---- a second implementation: every review written out


def written_again(shop, day, window, levels, review):
    """Give the tiers by summing orders anew at every review."""
    rows = [r for r in rows_of(shop, day, "order_lines") if r["day"] < day and r["known_on"] < day and r["customer_id"]]
    people = {r["customer_id"] for r in rows}
    if shop.parts("customers"):
        members = rows_of(shop, day, "customers")
        people |= {r["customer_id"] for r in members if shop.calendar.day(r["signed_up_at"]) < day}
    today = shop.calendar.date(day)
    last = day if review == "daily" else day_number(today.replace(day=1))
    at_review = by_order([r for r in rows if r["day"] < last and r["known_on"] < last])
    now = by_order(rows)
    days = [day + n for n in range(1, 800)]
    days = [n for n in days if (d := EPOCH.fromordinal(EPOCH.toordinal() + n)) and (review == "daily" or d.day == 1)]
    ends = [n for n in days if n <= day_number(today.replace(year=today.year + 2, day=1))]
    found = {}
    for who in people:
        place = place_of(spent(at_review[who], last, window), levels)
        lost = [n for n in ends if place_of(spent(now[who], n, window), levels) < place]
        more = max(0, levels[place + 1][1] - spent(now[who], day, window)) if place + 1 < len(levels) else None
        until = EPOCH.fromordinal(EPOCH.toordinal() + lost[0]) if lost else None
        found[who] = levels[place][0], None if more is None else float(more), until
    return found


def by_order(rows):
    """Give (day, net revenue) of the orders that each customer kept."""
    orders = defaultdict(list)
    for row in rows:
        if row["status"] != "cancelled":
            orders[row["customer_id"], row["returns_order_id"] or row["order_id"]].append(row)
    found = defaultdict(list)
    for (who, _), lines in orders.items():
        still = defaultdict(int)
        for row in lines:
            if row["quantity"] > 0:
                still[row["day"], row["product_id"], row["ordered_at"], row["order_type"]] += (
                    row["sign"] * row["quantity"]
                )
        placed = [key[0] for key, quantity in still.items() if quantity > 0]
        if placed and sum(row["sign"] * row["quantity"] for row in lines) > 0:
            found[who].append((min(placed), sum(row["sign"] * Decimal(str(row["revenue"])) for row in lines)))
    return found


def spent(orders, day, window):
    return sum(revenue for placed, revenue in orders if day - window <= placed < day)


def place_of(amount, levels):
    return max(n for n, (_, least) in enumerate(levels) if n == 0 or amount >= least)


@pytest.mark.parametrize(("ago", "window", "review"), [(0, 365, "monthly"), (19, 90, "daily"), (100, 180, "monthly")])
def test_it_agrees_with_every_review_written_out(hananone, ago, window, review):
    day = day_number(date(2026, 11, 21)) - ago
    levels = [("regular", 0), ("silver", 8000), ("gold", 20000), ("platinum", 50000)]
    found = facts(spend_tiers(hananone, day, window, levels, review))
    assert len({tier for tier, _, _ in found.values()}) >= 3
    assert found == written_again(hananone, day, window, levels, review)


AMOUNTS = st.sampled_from(["-60", "0.5", "100", "199.5", "200", "350"])
ORDERS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 119), AMOUNTS), min_size=1, max_size=40)


@examples(4)
@given(orders=ORDERS, window=st.integers(5, 80), review=st.sampled_from(["monthly", "daily"]))
def test_any_spending_agrees_even_what_is_below_nothing(new_whole, orders, window, review):
    toy = new_whole(("order_lines",))
    lines = [one_order(who, day, order_id=f"o{n}", revenue=sum_) for n, (who, day, sum_) in enumerate(orders)]
    toy.load({"order_lines": [one_order("z"), *lines]})
    for day in (60, 91, 120):
        found = facts(spend_tiers(toy.shop, number(day), window, LEVELS, review))
        assert found == written_again(toy.shop, number(day), window, LEVELS, review)
