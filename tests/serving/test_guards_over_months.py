"""Whatever happens in a shop over months, and whatever its policy says: no message breaks a rule."""

from collections import Counter
from collections.abc import Callable
from datetime import date, time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.calendar import BusinessCalendar, day_number
from serving.policy import guards
from serving.policy.decisions import Purse
from serving.policy.moment import Moment
from tests.serving.months import (
    DAY,
    HOUR,
    NEVER,
    Asked,
    Message,
    Order,
    Person,
    Shop,
    World,
    ask,
    hananone,
    known,
    live,
    when,
    world,
)
from tests.serving.rulebook import broken
from tests.worlds import EXAMPLES, examples

Rules = dict[str, Any]
TOKYO, NEW_YORK = "Asia/Tokyo", "America/New_York"
SEEDS = max(1, round(EXAMPLES))  # a long run is the same test with more worlds


def scenario(rules: Rules, name: str) -> Rules:
    return next(s for s in rules["scenarios"] if s["id"] == name)


def lived(seed: int, zone: str, starts: int, first: date, days: int, rules: Rules, n: int = 45, **more: Any) -> Shop:
    shop = Shop(world(seed, n, zone, time(starts), first, days), rules, **more)
    return live(shop, days, seed, visits=2)


# ---- the sample policy, over months


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize(
    ("zone", "starts", "first", "days"),
    [
        pytest.param(TOKYO, 0, date(2026, 11, 24), 50, id="Tokyo, over the winter sale"),
        pytest.param(TOKYO, 5, date(2026, 8, 1), 35, id="Tokyo, the day begins at five"),
        pytest.param(NEW_YORK, 5, date(2026, 10, 15), 35, id="New York, clocks go back"),
        pytest.param(NEW_YORK, 0, date(2027, 2, 25), 35, id="New York, clocks go forward"),
    ],
)
def test_no_message_of_the_sample_policy_breaks_a_rule(
    seed: int, zone: str, starts: int, first: date, days: int
) -> None:
    shop = lived(seed, zone, starts, first, days, hananone())
    assert broken(shop) == []
    expected = {"thanks", "delay_notice", "arrival_survey", "review_request", "win_back", "replenishment"}
    assert expected <= set(kinds(shop))


def test_no_total_is_exceeded_where_everything_is_scarce() -> None:
    rules = hananone(budget={"per_night": 60, "per_month": 500, "per_offer": {"pts_300": 500}})
    rules["channels"]["line"]["monthly_quota"] = 4
    rules["channels"]["email"]["per_night"] = 3
    rules["offers"]["care_tips"] |= {"per_night": 1, "stock": 20}
    shop = lived(3, TOKYO, 0, date(2026, 10, 10), 35, rules)
    assert broken(shop) == []
    assert max(Counter(m.day for m in shop.log if m.channel == "email" and not m.is_withheld).values()) == 3


LATE = ("feedback", "shipments", "contacts", "consents", "subscriptions", "order_lines", "responses")


@pytest.mark.parametrize("unknown_guard", ["block", None])
def test_what_is_not_known_holds_back_what_needs_it(unknown_guard: str | None) -> None:
    """Every third day one table is late: nothing goes out that needs it, and the days between are as always."""
    first = day_number(date(2026, 9, 1))
    late = {first + 3 * k: (LATE[k % len(LATE)],) for k in range(10)}
    shop = lived(5, TOKYO, 0, date(2026, 9, 1), 30, hananone(unknown_guard=unknown_guard), late=late)
    assert broken(shop) == []
    assert any(m.day in late for m in shop.log) and any(m.purpose != "service" and m.day not in late for m in shop.log)


# ---- policies at odds with the rules, or with themselves


def survey_too_early(rules: Rules) -> None:
    scenario(rules, "arrival_csat")["window"] = ["0h", "24h"]


def survey_early_and_long(rules: Rules) -> None:
    scenario(rules, "arrival_csat")["window"] = ["0h", "120h"]


def survey_before_the_parcel(rules: Rules) -> None:
    scenario(rules, "arrival_csat").update(after="order.placed", window=["0h", "200h"])


def review_before_the_parcel(rules: Rules) -> None:
    scenario(rules, "review").update(after="order.placed", window=["0h", "30d"])


def only_the_happy_are_asked(rules: Rules) -> None:
    scenario(rules, "review").update(after="feedback.csat", window=["1d", "30d"], who={"csat": {"min": 4}})


def reviews_earn_what_pays(rules: Rules) -> None:
    scenario(rules, "review")["offers"] = ["pts_300", "cpn_500"]


def coupons_all_through_the_weeks_before_a_sale(rules: Rules) -> None:
    del scenario(rules, "win_back")["ladder"]
    scenario(rules, "win_back")["offers"] = ["cpn_500", "cpn_10pct"]
    rules["calendar"] = [{"name": "sale", "from": "2026-11-20", "until": "2026-11-25", "no_coupon_before": "60d"}]


def coupons_again_and_again(rules: Rules) -> None:
    rules["offers"]["cpn_500"] = {"type": "coupon", "value": 100, "margin_floor": 0.59, "lift": [0.8, 0.9, 1.0]}
    del scenario(rules, "win_back")["ladder"]
    scenario(rules, "win_back").update(offers=["cpn_500"], who={}, priority=0)
    rules["pressure"] |= {"content_share": None, "would_buy_anyway": {"p_order_without": 0.3}}
    rules["budget"] = {}


def refills_for_everybody(rules: Rules) -> None:
    scenario(rules, "refill").update(window=["-40d", "10d"], who={}, priority=0)


def mail_rests_all_day(rules: Rules) -> None:
    rules["channels"]["email"]["quiet"] = "00:00-23:59"


def calls_in_quiet_hours_only(rules: Rules) -> None:
    rules["channels"]["phone"]["quiet"] = "09:00-19:00"


def nobody_may_be_written_to(rules: Rules) -> None:
    for channel in ("line", "email"):
        rules["channels"][channel]["cap"] = {"1d": 5, "30d": 0}


def everybody_is_control(rules: Rules) -> None:
    rules["control"]["global_share"] = 1.0


def no_money_is_left(rules: Rules) -> None:
    rules["budget"] = {"per_night": 0, "per_month": 0}


def one_win_back_ever_with_a_reminder(rules: Rules) -> None:
    del scenario(rules, "win_back")["ladder"]
    scenario(rules, "win_back").update(once_per="customer", offers=["pts_300"], remind_unused="50d", who={})
    rules["offers"]["pts_300"]["lift"] = [0.3, 0.4, 0.5]


def one_question_of_any_kind(rules: Rules) -> None:
    rules["pressure"]["survey"] = {"90d": 1, "per": "all"}


def gifts_for_everybody(rules: Rules) -> None:
    rules["offers"]["sample_serum"] |= {"cost": 60, "channel": "email", "stock": 500, "max_share_of_order": 0.1}
    rules["offers"]["sample_serum"] |= {"lift": [0.3, 0.4, 0.5]}
    del scenario(rules, "win_back")["ladder"]
    scenario(rules, "win_back").update(offers=["sample_serum"], who={})


def sent(shop: Shop) -> list[Message]:
    return [m for m in shop.log if not m.is_withheld]


def kinds(shop: Shop) -> Counter[str]:
    return Counter(m.kind for m in sent(shop))


def only_service_is_written(shop: Shop) -> bool:
    return all(m.purpose == "service" or m.channel not in ("line", "email") for m in sent(shop))


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        (survey_too_early, lambda shop: not kinds(shop)["arrival_survey"]),
        (survey_early_and_long, lambda shop: kinds(shop)["arrival_survey"]),
        (survey_before_the_parcel, lambda shop: kinds(shop)["arrival_survey"]),
        (review_before_the_parcel, lambda shop: kinds(shop)["review_request"]),
        (only_the_happy_are_asked, lambda shop: not kinds(shop)["review_request"]),
        (reviews_earn_what_pays, lambda shop: not kinds(shop)["review_request"]),
        (coupons_all_through_the_weeks_before_a_sale, lambda shop: all(m.incentive != "coupon" for m in shop.log)),
        (coupons_again_and_again, lambda shop: any(m.incentive == "coupon" for m in sent(shop))),
        (refills_for_everybody, lambda shop: kinds(shop)["replenishment"]),
        (mail_rests_all_day, lambda shop: kinds(shop)["thanks"]),
        (calls_in_quiet_hours_only, lambda shop: all(m.channel != "phone" for m in shop.log)),
        (nobody_may_be_written_to, only_service_is_written),
        (everybody_is_control, lambda shop: {m.purpose for m in sent(shop)} == {"service"}),
        (no_money_is_left, lambda shop: all(m.cost == 0 for m in sent(shop))),
        (one_win_back_ever_with_a_reminder, lambda shop: any(m.is_reminder for m in sent(shop))),
        (one_question_of_any_kind, lambda shop: kinds(shop)["arrival_survey"]),
        (gifts_for_everybody, lambda shop: any(m.incentive == "gift" for m in sent(shop))),
    ],
    ids=lambda value: value.__name__,
)
def test_a_policy_at_odds_with_the_rules_breaks_none(
    change: Callable[[Rules], None], holds: Callable[[Shop], bool]
) -> None:
    rules = hananone()
    change(rules)
    shop = lived(11, TOKYO, 0, date(2026, 10, 1), 22, rules, n=24)
    assert broken(shop) == []
    assert holds(shop)


# ---- when a guard says it will let go


WHEN_IT_GOES = ("QUIET_HOURS", "SURVEY_WINDOW", "OPEN_TICKET")  # they look at when the message would go out


class Clearing:
    """Watches answers, and asks again when a guard said it would let go, and an hour before."""

    def __init__(self, share: float, seed: int) -> None:
        self.share, self.draw = share, np.random.default_rng(seed)
        self.seen: Counter[str] = Counter()
        self.wrong: list[str] = []

    def __call__(self, shop: Shop, asked: Asked) -> None:
        case = asked.decisions.case
        clears, fails = guards.clears(case), guards.states(case) == guards.FAIL
        assert not (np.isfinite(clears) & ~fails).any() and not np.isinf(clears).any()
        by_guard = {column: np.flatnonzero(np.isfinite(clears[:, column])) for column in range(clears.shape[1])}
        for column, rows in by_guard.items():
            if len(rows) and self.draw.random() < self.share:
                self.check(shop, asked, int(self.draw.choice(rows)), column, clears)

    def check(self, shop: Shop, asked: Asked, row: int, column: int, clears: np.ndarray[Any, Any]) -> None:
        code, at = guards.CODES[column], float(clears[row, column])
        there, before = (found_again(shop, asked, row, t) for t in (at, at - HOUR))
        told = f"{code} of {asked.decisions.candidates.options[asked.decisions.candidates.option[row]]} clears {at}"
        if there is not None:
            self.seen[code] += 1
            if there[0][column] == guards.FAIL:
                self.wrong.append(f"{told}: it still fails")
        elif code in ("QUIET_HOURS", "SURVEY_WINDOW"):
            self.wrong.append(f"{told}: by then nothing is due")
        if before is None or at - HOUR < asked.moment.at or (code in WHEN_IT_GOES and not before[1] < at):
            return
        if before[0][column] != guards.FAIL:
            self.wrong.append(f"{told}: an hour before it is open already")


def found_again(shop: Shop, asked: Asked, row: int, at: float) -> tuple[np.ndarray[Any, Any], float] | None:
    """Ask about a candidate's customer at another instant, nothing else being known: its guards, and when it goes."""
    c = asked.decisions.candidates
    day = shop.calendar.day(when(at))
    told = known(shop, [asked.known.people[c.customer[row]]], asked.known.until, day)
    again = ask(shop, told, Moment(shop.calendar, day, day, at), Purse())
    like = c.options[c.option[row]], c.channel[row]
    for place, option in enumerate(again.candidates.option):
        if (again.candidates.options[option], again.candidates.channel[place]) == like:
            return guards.states(again.case)[place], float(again.candidates.opens[place])
    return None


@pytest.mark.parametrize(
    ("zone", "starts", "first"), [(TOKYO, 5, date(2026, 12, 9)), (NEW_YORK, 0, date(2026, 10, 15))]
)
def test_a_guard_lets_go_when_it_says_and_not_before(zone: str, starts: int, first: date) -> None:
    rules = hananone()
    scenario(rules, "arrival_csat")["window"] = ["0h", "96h"]
    scenario(rules, "win_back")["ladder"] = ["cpn_500", "pts_300", "ship_free"]
    scenario(rules, "win_back")["channels"] = ["line", "email", "phone"]
    rules["offers"]["cpn_500"] |= {"lift": [0.3, 0.4, 0.5]}
    del scenario(rules, "review")["after_ticket_closed"]
    rules["calendar"].append({"name": "after it", "from": "2027-01-05", "until": "2027-01-07", "block": ["phone"]})
    shop = Shop(world(21, 40, zone, time(starts), first, 28), rules)
    watch = Clearing(0.3, 7)
    live(shop, 28, 2, 2, watch)
    assert watch.wrong == []
    assert broken(shop) == []
    assert len(watch.seen) >= 8 and sum(watch.seen.values()) >= 35


# ---- any small world, any policy


INSTANT = st.integers(-40 * 24, 15 * 24).map(float)  # hours before and after the first night


LASTS = st.sampled_from([1.0, 30, 200, NEVER])  # hours
CHANNEL = st.sampled_from(["email", "line", "postal", "personalise"])
ORDER = st.tuples(INSTANT, st.sampled_from([20.0, 50, 90, 300, NEVER]), st.sampled_from([300.0, 900, 5000, 30_000]))


def few(what: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(what, max_size=most)


# Customers by hours from the first night on; `placed` puts them into a calendar.
PEOPLE = st.fixed_dictionaries(
    {
        "orders": few(ORDER, 4).map(sorted),
        "tickets": few(st.tuples(INSTANT, LASTS), 2),
        "returns": few(st.tuples(INSTANT, LASTS), 1),
        "scores": few(st.tuples(INSTANT, st.sampled_from([1.0, 3, 5])), 2),
        "consents": few(st.tuples(INSTANT, CHANNEL, st.booleans()), 4),
        "agrees": st.booleans(),
        "friend": few(st.tuples(INSTANT, st.booleans()), 2),
        "left": few(st.tuples(INSTANT, st.sampled_from(["email", "line"])), 1),
        "runs": few(st.tuples(INSTANT, st.just(400.0)), 1),
        "birthday": st.sampled_from([None, (11, 3), (10, 28), (3, 14)]),
        "chance": st.sampled_from([0.01, 0.2, 0.9]),
        "gap_days": st.sampled_from([3.0, 40]),
    }
)


def placed(k: int, told: Rules, start: float) -> Person:
    def at(hours: float) -> float:
        return start + hours * HOUR + k  # no two things of two customers at one instant

    orders = tuple(
        Order(f"p{k}-{i}", at(hour), at(hour + 48), at(hour + took), paid, ("トライアル",) if i == 0 else ())
        for i, (hour, took, paid) in enumerate(told["orders"])
    )
    agreed = tuple((start - 90 * DAY, what, True) for what in ("email", "line", "postal") if told["agrees"])
    return Person(
        f"p{k}",
        orders,
        tuple((at(a), at(a + length)) for a, length in told["tickets"]),
        tuple((at(a), at(a + length)) for a, length in told["returns"]),
        tuple((at(a), score, orders[0].order_id if orders else "") for a, score in told["scores"]),
        agreed + tuple((at(a), what, yes) for a, what, yes in told["consents"]),
        tuple((at(a), yes) for a, yes in told["friend"]),
        tuple((at(a), channel) for a, channel in told["left"]),
        tuple((at(a), at(a + length)) for a, length in told["runs"]),
        told["birthday"],
        chance=told["chance"],
        gap_days=told["gap_days"],
    )


HOURS = st.sampled_from(["21:00-08:00", "00:00-23:30", "01:30-02:30", "02:30-01:30", "12:00-13:00", "23:00-09:00"])
WINDOW = st.sampled_from([["0h", "24h"], ["-3d", "2d"], ["24h", "48h"], ["47h", "49h"], ["2d", "9d"], ["13d", "15d"]])


CAP = st.sampled_from([{}, {"1d": 1}, {"30d": 2}, {"7d": 0}])


@st.composite
def policies(draw: st.DrawFn) -> Rules:
    """Draw a policy by giving some of the sample's scenarios other windows, some channels other hours and caps."""
    rules = hananone()
    for s in rules["scenarios"]:
        if "window" in s and draw(st.booleans()):
            s["window"] = draw(WINDOW)
        if draw(st.integers(0, 4)) == 0:
            s["channels"] = draw(st.permutations(list(rules["channels"])))[: draw(st.integers(1, 3))]
        if draw(st.integers(0, 5)) == 0:
            s["once_per"] = draw(st.sampled_from(["order", "customer"]))
    for name in ("email", "line"):
        rules["channels"][name] |= {"quiet": draw(HOURS), "cap": draw(CAP)}
    rules["channels"]["phone"]["hours"] = draw(st.sampled_from(["10:00-18:00", "10:30-17:30"]))
    rules["control"] = {"global_share": 0.1, "scenario_share": 0.2, "salt": draw(st.sampled_from("abc"))}
    rules["pressure"]["survey"] = draw(st.sampled_from([{"90d": 1, "per": "kind"}, {"30d": 1}, {"5d": 0, "90d": 1}]))
    rules["pressure"]["recent_order"] = draw(st.sampled_from(["1d", "3d", "10d"]))
    return rules


@given(
    told=st.lists(PEOPLE, min_size=1, max_size=4),
    rules=policies(),
    zone=st.sampled_from([TOKYO, NEW_YORK, "America/Havana", "Australia/Lord_Howe"]),
    starts=st.sampled_from([0, 5]),
    first=st.sampled_from([date(2026, 10, 26), date(2027, 3, 8), date(2027, 3, 30), date(2026, 12, 10)]),
)
@examples(12)
def test_no_message_breaks_a_rule_in_any_small_world(
    told: list[Rules], rules: Rules, zone: str, starts: int, first: date
) -> None:
    calendar = BusinessCalendar(zone, time(starts))
    start = calendar.start(day_number(first)).timestamp()
    shop = Shop(World(tuple(placed(k, one, start) for k, one in enumerate(told)), calendar, day_number(first)), rules)
    live(shop, 12, 1, visits=1)
    assert broken(shop) == []
