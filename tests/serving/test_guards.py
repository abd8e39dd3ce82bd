"""Each guard by hand: where it passes, where it fails, when it clears, and when nobody can say.

It is the night of 2026-11-25 in Tokyo; every instant is in hours from its start.
"""

from datetime import date, time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.calendar import BusinessCalendar, day_number
from serving.policy import guards
from serving.policy.decisions import Decisions
from serving.policy.guards import CODES, FAIL, GUARDS, NOT_CHECKED, PASS, STATES, blocking
from serving.policy.moment import Moment, speaking_hours
from tests.serving.months import when
from tests.serving.one_customer import ASK, REFILL, REVIEW, SORRY, START, WIN, Rules, decided, nan, rules_of
from tests.worlds import examples


def judged(found: Decisions, code: str) -> tuple[str, float | None]:
    """Say what a guard says of the only candidate, and in how many hours from the night's start it clears."""
    assert len(found.candidates) == 1, found.candidates
    column = CODES.index(code)
    clears = guards.clears(found.case)[0, column]
    return STATES[found.choice.states[0, column]], None if np.isnan(clears) else (clears - START) / 3600


DAYS = 24
MONEY = WIN | {"offers": ["pts"]}
COUPON = WIN | {"offers": ["cpn"]}
OPEN, SHUT = ("pass", None), ("fail", None)


def shut(hours: float) -> tuple[str, float]:
    return "fail", hours


@pytest.mark.parametrize(
    ("code", "scenario", "more", "expected"),
    [
        pytest.param("CONSENT_CHANNEL", WIN, {}, OPEN, id="agreed"),
        pytest.param("CONSENT_CHANNEL", WIN, {"facts": {"consent_marketing_email": 0.0}}, SHUT, id="refused"),
        pytest.param("CONSENT_CHANNEL", WIN, {"facts": {"consent_marketing_email": nan}}, SHUT, id="was never asked"),
        pytest.param("CONSENT_CHANNEL", WIN | {"channels": ["line"]}, {"facts": {"consent_marketing_email": 0.0}}, OPEN, id="refused another channel"),
        pytest.param("CONSENT_CHANNEL", WIN | {"channels": ["insert"]}, {"facts": {"consent_marketing_email": 0.0}}, OPEN, id="a parcel needs no consent"),
        pytest.param("CONSENT_CHANNEL", ASK, {"delivered": -50, "facts": {"consent_marketing_email": nan}}, OPEN, id="a survey needs no yes"),
        pytest.param("CONSENT_CHANNEL", ASK, {"delivered": -50, "facts": {"consent_marketing_email": 0.0}}, SHUT, id="a survey respects a no"),
        pytest.param("CONSENT_CHANNEL", SORRY, {"facts": {"consent_marketing_email": 0.0}}, OPEN, id="service needs neither"),
        pytest.param("CONSENT_CHANNEL", WIN, {"without": ["consents"]}, ("not_checked", None), id="no consents"),
        pytest.param("CONSENT_CHANNEL", WIN, {"late": ["consents"]}, ("not_checked", None), id="consents late"),
        pytest.param("CONSENT_CHANNEL", WIN, {"late": ["consents"], "facts": {"consent_marketing_email": 0.0}}, SHUT, id="late, and refused before"),
        pytest.param("CONSENT_PERSONALISE", WIN, {"facts": {"consent_personalise": nan}}, OPEN, id="personalising, never asked"),
        pytest.param("CONSENT_PERSONALISE", WIN, {"facts": {"consent_personalise": 0.0}}, SHUT, id="personalising refused"),
        pytest.param("CONSENT_PERSONALISE", ASK, {"delivered": -50, "facts": {"consent_personalise": 0.0}}, OPEN, id="a survey is not personal"),
        pytest.param("FREQUENCY_CAP", WIN, {"sent": [(-100, "ask", None, "email")]}, OPEN, id="one of two mails in a week"),
        pytest.param("FREQUENCY_CAP", WIN, {"sent": [(-100, "ask", None, "email"), (-30, "x", None, "email")]}, shut(68), id="two of two"),
        pytest.param("FREQUENCY_CAP", WIN, {"sent": [(-168, "ask", None, "email"), (-30, "x", None, "email")]}, OPEN, id="one a week ago to the second"),
        pytest.param("FREQUENCY_CAP", WIN, {"sent": [(-100, "x", None, "line"), (-30, "x", None, "line")]}, OPEN, id="over another channel"),
        pytest.param("FREQUENCY_CAP", WIN, {"sent": [(-700, "x", None, "email"), (-100, "x", None, "email"), (-30, "x", None, "email")]}, shut(68), id="three in a month, the first gone soon"),
        pytest.param("FREQUENCY_CAP", WIN, {"sent": [(-600, "x", None, "email"), (-100, "x", None, "email"), (-30, "x", None, "email")]}, shut(120), id="three in a month"),
        pytest.param("FREQUENCY_CAP", WIN, {"at": 12, "sent": [(9, "x", None, "insert")]}, shut(24), id="had something today"),
        pytest.param("FREQUENCY_CAP", SORRY, {"at": 12, "sent": [(9, "x", None, "email")] * 3}, OPEN, id="service is not capped"),
        pytest.param("FREQUENCY_CAP", WIN, {"late": ["contacts"]}, ("not_checked", None), id="contacts late"),
        pytest.param("QUIET_HOURS", WIN, {}, OPEN, id="the day has hours left"),
        pytest.param("QUIET_HOURS", WIN, {"at": 20.9}, OPEN, id="just before nine"),
        pytest.param("QUIET_HOURS", WIN, {"at": 21}, shut(32), id="from nine on"),
        pytest.param("QUIET_HOURS", WIN | {"channels": ["phone"]}, {"at": 18.5}, shut(34), id="nobody calls after six"),
        pytest.param("QUIET_HOURS", ASK, {"delivered": -27}, shut(32), id="its window opens at nine in the evening"),
        pytest.param("QUIET_HOURS", ASK | {"window": ["48h", "51h"]}, {"delivered": -26}, SHUT, id="its window lies in the night"),
        pytest.param("NOT_DELIVERED", ASK, {"delivered": -50}, OPEN, id="it came"),
        pytest.param("NOT_DELIVERED", WIN | {"purpose": "survey"}, {}, OPEN, id="about nothing, the last parcel came"),
        pytest.param("NOT_DELIVERED", WIN | {"purpose": "survey"}, {"standing": {"last_order_delivered_at": nan}}, SHUT, id="about nothing, one is under way"),
        pytest.param("NOT_DELIVERED", ASK, {"delivered": -50, "late": ["shipments"]}, ("not_checked", None), id="shipments late"),
        pytest.param("SURVEY_WINDOW", ASK, {"delivered": -50}, OPEN, id="two days after"),
        pytest.param("SURVEY_WINDOW", ASK | {"window": ["0h", "96h"]}, {"delivered": -40}, OPEN, id="in eight hours"),
        pytest.param("SURVEY_WINDOW", ASK | {"window": ["0h", "96h"]}, {"delivered": -10}, shut(38), id="tomorrow"),
        pytest.param("SURVEY_WINDOW", ASK | {"window": ["0h", "24h"]}, {"delivered": -10}, SHUT, id="its window closes before"),
        pytest.param("SURVEY_CAP", ASK, {"delivered": -50, "sent": [(-2159, "asked", None, "line")]}, shut(1), id="asked 90 days ago less an hour"),
        pytest.param("SURVEY_CAP", ASK, {"delivered": -50, "sent": [(-2160, "asked", None, "line")]}, OPEN, id="asked 90 days ago"),
        pytest.param("SURVEY_CAP", REVIEW, {"delivered": -15 * DAYS, "sent": [(-30, "asked", None, "line")]}, OPEN, id="asked another kind of thing"),
        pytest.param("OPEN_TICKET", WIN, {}, OPEN, id="no complaint"),
        pytest.param("OPEN_TICKET", WIN, {"standing": {"tickets_open": 1.0}}, SHUT, id="a complaint"),
        pytest.param("OPEN_TICKET", SORRY, {"standing": {"tickets_open": 1.0}}, OPEN, id="service answers it"),
        pytest.param("OPEN_TICKET", ASK, {"delivered": -50, "standing": {"tickets_open": 1.0}}, SHUT, id="nobody is asked meanwhile"),
        pytest.param("OPEN_TICKET", REVIEW, {"delivered": -15 * DAYS, "standing": {"last_ticket_closed_at": -13 * DAYS}}, shut(24), id="a review, 13 days after a ticket"),
        pytest.param("OPEN_TICKET", REVIEW, {"delivered": -15 * DAYS, "standing": {"last_ticket_closed_at": -13.9 * DAYS}}, OPEN, id="a review, 14 days after by the time it goes"),
        pytest.param("OPEN_TICKET", REVIEW, {"delivered": -15 * DAYS, "standing": {"last_ticket_closed_at": -1, "tickets_open": 1.0}}, SHUT, id="one closed, one open"),
        pytest.param("OPEN_TICKET", WIN, {"standing": {"last_ticket_closed_at": -1}}, OPEN, id="selling once it is closed"),
        pytest.param("OPEN_TICKET", WIN, {"without": ["feedback"]}, ("not_checked", None), id="no feedback"),
        pytest.param("OPEN_RETURN", WIN, {"standing": {"returns_open": 1.0}}, SHUT, id="a return"),
        pytest.param("OPEN_RETURN", SORRY, {"standing": {"returns_open": 1.0}}, OPEN, id="service about a return"),
        pytest.param("OPEN_RETURN", WIN, {"late": ["feedback"]}, ("not_checked", None), id="feedback late"),
        pytest.param("RECENT_ORDER", WIN, {"facts": {"days_since_last_order": 4.0}}, OPEN, id="four days after an order"),
        pytest.param("RECENT_ORDER", WIN, {"facts": {"days_since_last_order": 3.0}}, shut(24), id="three days after"),
        pytest.param("RECENT_ORDER", WIN, {"facts": {"days_since_last_order": 1.0}}, shut(72), id="the day after"),
        pytest.param("RECENT_ORDER", WIN, {"facts": {"days_since_last_order": nan}}, OPEN, id="never ordered"),
        pytest.param("RECENT_ORDER", WIN, {"late": ["order_lines"]}, ("not_checked", None), id="orders late"),
        pytest.param("SALES_PRESSURE", WIN, {"sent": [(-100, "other", None, "line"), (-50, "asked", None, "line")]}, OPEN, id="one of two sold"),
        pytest.param("SALES_PRESSURE", WIN, {"sent": [(-100, "other", None, "line"), (-50, "other", None, "insert")]}, shut(68), id="two of two sold"),
        pytest.param("SALES_PRESSURE", MONEY, {"sent": [(-300, "other", "old", "line")]}, SHUT, id="two of two with money"),
        pytest.param("SALES_PRESSURE", MONEY, {"sent": [(-300, "other", "old", "line"), (-290, "other", "tips", "line")]}, OPEN, id="two of three"),
        pytest.param("SALES_PRESSURE", MONEY, {"sent": [(-100, "other", "old", "line"), (-50, "other", "old", "line")]}, SHUT, id="too often and too much money: nobody knows until when"),
        pytest.param("DISCOUNT_CAP", COUPON, {}, OPEN, id="no coupon yet"),
        pytest.param("DISCOUNT_CAP", COUPON, {"sent": [(-2100, "other", "old", "line")]}, shut(60), id="a coupon within 90 days"),
        pytest.param("DISCOUNT_CAP", MONEY, {"sent": [(-2100, "other", "old", "line")]}, OPEN, id="points are no coupon"),
        pytest.param("DISCOUNT_CAP", COUPON, {"sent": [(-2100, "other", "a forgotten offer", "line")]}, shut(60), id="an offer that is no more counts as one"),
        pytest.param("DISCOUNT_CAP", COUPON, {"chance": 0.61}, SHUT, id="would buy anyway"),
        pytest.param("DISCOUNT_CAP", COUPON, {"chance": 0.6}, OPEN, id="might not"),
        pytest.param("DISCOUNT_CAP", COUPON, {"chance": 0.7, "sent": [(-2100, "other", "old", "line")]}, SHUT, id="both: nobody knows until when"),
        pytest.param("OFFER_STILL_OPEN", MONEY, {"sent": [(-100, "other", "old", "line")]}, shut(20), id="one lies unused"),
        pytest.param("OFFER_STILL_OPEN", MONEY, {"sent": [(-100, "other", "old", "line", -90)]}, OPEN, id="it was used"),
        pytest.param("OFFER_STILL_OPEN", MONEY, {"sent": [(-120, "other", "old", "line")]}, OPEN, id="it has expired"),
        pytest.param("OFFER_STILL_OPEN", WIN | {"offers": ["tips"]}, {"sent": [(-100, "other", "old", "line")]}, OPEN, id="tips are no money"),
        pytest.param("OFFER_STILL_OPEN", MONEY, {"sent": [(-100, "other", "old", "line")], "standing": {"last_order_at": -50.0}}, shut(20), id="an order did not use it"),
        pytest.param("OFFER_STILL_OPEN", MONEY, {"sent": [(-100, "other", "old", "line")], "standing": {"last_order_at": -50.0}, "without": ["responses"]}, OPEN, id="nobody tells what is used: an order does"),
        pytest.param("OFFER_STILL_OPEN", COUPON, {"sent": [(-400, "other", "cpn", "line", -390)]}, shut(80), id="the offer rests"),
        pytest.param("MARGIN_FLOOR", COUPON, {}, OPEN, id="10 % off 30 % leaves 22 %"),
        pytest.param("BLACKOUT", WIN | {"channels": ["phone"]}, {}, shut(72), id="days off, and more right after"),
        pytest.param("BLACKOUT", WIN, {}, OPEN, id="mail goes on days off"),
        pytest.param("BLACKOUT", COUPON, {}, shut(144), id="a coupon in the week before a sale"),
        pytest.param("BLACKOUT", COUPON, {"at": -25}, OPEN, id="a coupon the day before that week"),
        pytest.param("BLACKOUT", COUPON, {"at": 145}, OPEN, id="a coupon in the sale"),
        pytest.param("TIER", WIN | {"offers": ["ship"]}, {"tier": "gold"}, SHUT, id="they have it anyway"),
        pytest.param("TIER", WIN | {"offers": ["ship"]}, {"tier": "basic"}, OPEN, id="they have it not"),
        pytest.param("TIER", WIN | {"offers": ["advice"]}, {"tier": "gold"}, OPEN, id="a perk that is given each time"),
        pytest.param("TIER", WIN | {"offers_by_tier": {"gold": ["pts"]}}, {"tier": "gold"}, OPEN, id="their tier's"),
        pytest.param("TIER", WIN | {"offers_by_tier": {"gold": ["pts"]}}, {"tier": "basic"}, SHUT, id="another tier's"),
        pytest.param("TIER", WIN | {"offers_by_tier": {"gold": ["none"]}}, {"tier": "basic"}, SHUT, id="a mere message to another tier"),
        pytest.param("REVIEW_INCENTIVE", REVIEW, {"delivered": -15 * DAYS}, OPEN, id="everybody, the same, said openly"),
        pytest.param("REVIEW_INCENTIVE", REVIEW | {"disclose": False}, {"delivered": -15 * DAYS}, SHUT, id="not said openly"),
        pytest.param("REVIEW_INCENTIVE", REVIEW | {"same_reward_for_any_rating": False}, {"delivered": -15 * DAYS}, SHUT, id="by rating"),
        pytest.param("REVIEW_INCENTIVE", REVIEW | {"who": {"not": {"open_ticket": True}}}, {"delivered": -15 * DAYS}, SHUT, id="only the content"),
        pytest.param("REVIEW_INCENTIVE", REVIEW | {"offers": [], "disclose": False}, {"delivered": -15 * DAYS}, OPEN, id="without a reward"),
        pytest.param("ACTIVE_SUBSCRIPTION", REFILL, {}, OPEN, id="no subscription"),
        pytest.param("ACTIVE_SUBSCRIPTION", REFILL, {"facts": {"subscriptions_active": 1.0}}, SHUT, id="a subscription"),
        pytest.param("ACTIVE_SUBSCRIPTION", WIN, {"facts": {"subscriptions_active": 1.0}}, OPEN, id="something else for a subscriber"),
        pytest.param("ACTIVE_SUBSCRIPTION", REFILL, {"late": ["subscriptions"]}, ("not_checked", None), id="subscriptions late"),
        pytest.param("ACTIVE_SUBSCRIPTION", WIN, {"without": ["subscriptions"]}, OPEN, id="no subscriptions, and no refill"),
        pytest.param("CHANNEL_UNREACHABLE", WIN | {"channels": ["line"]}, {}, OPEN, id="a friend"),
        pytest.param("CHANNEL_UNREACHABLE", WIN | {"channels": ["line"]}, {"standing": {"is_line_friend": 0.0}}, SHUT, id="no friend"),
        pytest.param("CHANNEL_UNREACHABLE", WIN | {"channels": ["line"]}, {"without": ["customers"]}, SHUT, id="a shop that knows no friends"),
        pytest.param("CHANNEL_UNREACHABLE", SORRY | {"channels": ["line"]}, {"standing": {"left_line_at": -5.0}}, SHUT, id="who blocked LINE gets no service there"),
        pytest.param("CHANNEL_UNREACHABLE", WIN, {"standing": {"left_email_at": -5.0}}, SHUT, id="left the list"),
        pytest.param("CHANNEL_UNREACHABLE", SORRY, {"standing": {"left_email_at": -5.0}}, OPEN, id="a service mail all the same"),
        pytest.param("CHANNEL_UNREACHABLE", WIN, {"late": ["responses"]}, ("not_checked", None), id="responses late"),
        pytest.param("GIFT_LIMIT", WIN | {"offers": ["toy"]}, {"facts": {"mean_order_day_revenue": 1200.0}}, OPEN, id="180 of 1,200 is 15 %"),
        pytest.param("GIFT_LIMIT", WIN | {"offers": ["toy"]}, {"facts": {"mean_order_day_revenue": 1190.0}}, SHUT, id="180 of 1,190 is more"),
        pytest.param("GIFT_LIMIT", WIN | {"offers": ["toy"]}, {"facts": {"mean_order_day_revenue": 500.0}}, SHUT, id="a small order, by the policy's share"),
    ],
)  # fmt: skip
def test_a_guard_by_hand(code: str, scenario: Rules, more: Rules, expected: tuple[str, float | None]) -> None:
    assert judged(decided(rules_of(scenario), **more), code) == expected


@pytest.mark.parametrize(
    ("cost", "share", "revenue", "currency", "state"),
    [
        pytest.param(200, None, 500, "JPY", "pass", id="200 yen with a small order"),
        pytest.param(201, None, 999, "JPY", "fail", id="more with a small order"),
        pytest.param(200, None, 1000, "JPY", "pass", id="a fifth of 1,000"),
        pytest.param(201, None, 1000, "JPY", "fail", id="more than a fifth"),
        pytest.param(300, 0.5, 1000, "JPY", "fail", id="the law before the policy"),
        pytest.param(300, 0.5, 1000, "USD", "pass", id="another country, the policy's own"),
        pytest.param(9_000, None, 1000, "USD", "pass", id="another country, no limit said"),
        pytest.param(200, None, nan, "JPY", "pass", id="never ordered, as a small order"),
        pytest.param(200, 0.5, nan, "JPY", "fail", id="a share of nothing"),
    ],
)
def test_a_gift_by_hand(cost: float, share: float | None, revenue: float, currency: str, state: str) -> None:
    toy = {"type": "gift", "cost": cost} | ({"max_share_of_order": share} if share else {})
    policy = rules_of(WIN | {"offers": ["toy"]}, offers={"toy": toy})
    found = decided(policy, facts={"mean_order_day_revenue": revenue}, currency=currency)
    assert judged(found, "GIFT_LIMIT") == (state, None)


@pytest.mark.parametrize(
    ("offer", "revenue", "state"),
    [
        pytest.param({"percent": 12.5, "margin_floor": 0.2}, 5000, "pass", id="175 of 875 kept"),
        pytest.param({"percent": 13, "margin_floor": 0.2}, 5000, "fail", id="170 of 870"),
        pytest.param({"value": 500, "margin_floor": 0.2}, 4000, "pass", id="700 of 3,500"),
        pytest.param({"value": 500, "margin_floor": 0.2}, 3900, "fail", id="670 of 3,400"),
        pytest.param(
            {"value": 500, "margin_floor": 0.2, "min_spend": 4000}, 100, "pass", id="who uses it spends 4,000"
        ),
        pytest.param({"value": 500, "margin_floor": 0.0}, 500, "fail", id="nothing is left of the order"),
        pytest.param({"value": 500, "margin_floor": 0.0}, 300, "fail", id="more than the order"),
        pytest.param({"value": 500, "margin_floor": 0.0}, nan, "fail", id="nobody knows what they spend"),
        pytest.param({"value": 500}, nan, "pass", id="no floor"),
    ],
)
def test_a_margin_by_hand(offer: Rules, revenue: float, state: str) -> None:
    policy = rules_of(WIN | {"offers": ["cpn"]}, offers={"cpn": {"type": "coupon"} | offer})
    assert judged(decided(policy, facts={"mean_order_day_revenue": revenue}), "MARGIN_FLOOR") == (state, None)


@pytest.mark.parametrize(("share", "state"), [(0.0, "pass"), (1.0, "fail")])
def test_control_is_withheld_from_all_but_service(share: float, state: str) -> None:
    control = {"global_share": share, "salt": "x"}
    assert judged(decided(rules_of(WIN, control=control)), "CONTROL_GROUP") == (state, None)
    assert judged(decided(rules_of(SORRY, control=control)), "CONTROL_GROUP") == ("pass", None)
    by_scenario = {"global_share": 0.0, "scenario_share": share, "salt": "x"}
    assert judged(decided(rules_of(WIN, control=by_scenario)), "CONTROL_GROUP") == (state, None)


@pytest.mark.parametrize(
    ("blocks", "code"),
    [
        ({"budget": {"per_night": 5}}, "BUDGET"),
        ({"budget": {"per_offer": {"pts": 5}}}, "BUDGET"),
        ({"offers": {"pts": {"type": "points", "value": 100, "stock": 0}}}, "BUDGET"),
        ({"offers": {"pts": {"type": "points", "value": 100, "per_night": 0}}}, "STAFF_CAPACITY"),
        ({"channels": {"email": {"per_night": 0}}}, "STAFF_CAPACITY"),
        ({"channels": {"email": {"monthly_quota": 0}}}, "CHANNEL_QUOTA"),
    ],
)
def test_what_a_limit_has_no_room_for_fails_its_guard(blocks: Rules, code: str) -> None:
    pays = WIN | {"offers": ["pts"]}
    offers = {"pts": {"type": "points", "value": 100, "lift": [0.3, 0.4, 0.5]}} | blocks.get("offers", {})
    offers["pts"]["lift"] = [0.3, 0.4, 0.5]
    found = decided(rules_of(pays, **blocks | {"offers": offers}))
    assert judged(found, code) == SHUT and found.choice.chosen.tolist() == [-1]
    unlimited = decided(rules_of(pays, offers={"pts": {"type": "points", "value": 100, "lift": [0.3, 0.4, 0.5]}}))
    assert judged(unlimited, code) == OPEN and unlimited.choice.chosen.tolist() == [0]


@pytest.mark.parametrize(
    ("unknown_guard", "late", "without", "goes"),
    [
        pytest.param(None, ["feedback"], [], False, id="late blocks"),
        pytest.param("allow", ["feedback"], [], True, id="late, but allowed"),
        pytest.param("block", ["feedback"], [], False, id="late, blocked"),
        pytest.param(None, [], ["feedback"], True, id="a shop without feedback sends"),
        pytest.param("block", [], ["feedback"], False, id="unless its policy blocks"),
        pytest.param(None, ["products"], [], True, id="no guard reads products"),
        pytest.param("block", [], ["subscriptions"], True, id="what is no refill needs no subscriptions"),
    ],
)
def test_a_guard_that_could_not_be_checked_counts_as_the_policy_says(
    unknown_guard: str | None, late: list[str], without: list[str], goes: bool
) -> None:
    policy = rules_of(WIN, unknown_guard=unknown_guard)
    found = decided(policy, late=late, without=without)
    assert (found.choice.chosen[0] >= 0) == goes
    assert (decided(policy, {"consent_marketing_email": 0.0}, late=late, without=without).choice.chosen < 0).all()


GRID = st.lists(
    st.lists(st.sampled_from([PASS, FAIL, NOT_CHECKED]), min_size=len(GUARDS), max_size=len(GUARDS)), max_size=3
)


@given(grid=GRID.filter(bool), unknown_guard=st.sampled_from(["block", "allow", None]), late=st.booleans())
@examples(100)
def test_nothing_goes_out_where_a_guard_fails(grid: list[list[int]], unknown_guard: str | None, late: bool) -> None:
    tables = ["feedback"] if late else []
    found = blocking(np.array(grid, np.int8), rules_of(WIN, unknown_guard=unknown_guard), tables)
    for row, blocked in zip(grid, found.tolist(), strict=True):
        for state, blocks, guard in zip(row, blocked, GUARDS.values(), strict=True):
            unknown = unknown_guard == "block" if unknown_guard else bool(set(tables) & set(guard.reads))
            assert blocks == (state == FAIL or (state == NOT_CHECKED and unknown))


@pytest.mark.parametrize("starts", [0, 5])
@pytest.mark.parametrize("zone", ["America/New_York", "America/Havana", "Australia/Lord_Howe", "Asia/Tokyo"])
@given(
    edges=st.tuples(st.integers(0, 47), st.integers(0, 47)).filter(lambda pair: pair[0] != pair[1]),
    is_quiet=st.booleans(),
    first=st.sampled_from([date(2026, 10, 31), date(2027, 3, 13), date(2027, 4, 3), date(2026, 10, 3)]),
)
@examples(15)
def test_channels_speak_by_the_clock_on_the_wall(
    zone: str, starts: int, edges: tuple[int, int], is_quiet: bool, first: date
) -> None:
    """Every five minutes of three days around a change of the clocks; no more than an hour is lost to it."""
    start, end = (time(half // 2, half % 2 * 30) for half in edges)
    written = {"quiet" if is_quiet else "hours": f"{start:%H:%M}-{end:%H:%M}"}
    policy, calendar = rules_of(WIN, channels={"email": written}), BusinessCalendar(zone, time(starts))
    missed = 0
    for day in range(day_number(first), day_number(first) + 3):
        moment = Moment.night(calendar, day)
        free = speaking_hours(policy, "email", moment)
        assert free == sorted(free) and all(moment.start <= a < b <= moment.end for a, b in free)
        for at in np.arange(moment.start, moment.end, 300):
            clock = when(at).astimezone(calendar.zone)
            inside = start <= clock.time() < end if start < end else not end <= clock.time() < start
            speaks = any(a <= at < b for a, b in free)
            assert not (speaks and inside == is_quiet)
            missed += not speaks and inside != is_quiet
    assert missed <= 24
