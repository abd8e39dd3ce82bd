"""A small shop that lives for months in memory: what happens to its customers, and what the policy sends them.

Each day the night decides from what was known at its start; what it chose goes out and is known the next day. Later in
the day some customers are asked about live, at the night's prices and with what it left.
"""

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from features.calendar import BusinessCalendar, day_number
from serving.policy.candidates import Worth, fixed_cost
from serving.policy.decisions import Decisions, Purse, decide
from serving.policy.limits import spent
from serving.policy.moment import Moment
from serving.policy.reading import parse_policy
from serving.policy.rules import Policy
from serving.policy.situation import Situation, situation

HOUR, DAY = 3_600.0, 86_400.0
NEVER = math.inf
nan = math.nan
HANANONE = Path(__file__).with_name("hananone.yaml")  # ../shared/policy-sample.yaml, as it stands
TABLES = frozenset(
    {"order_lines", "customers", "consents", "subscriptions", "shipments", "contacts", "responses", "feedback"}
)
RUNS_OUT = 45  # days after an order
LINES = ("at", "scenario", "offer_id", "channel", "withheld", "redeemed_at", "decision_id")


@dataclass(frozen=True)
class Order:
    """One order and its parcel; instants in seconds since the epoch."""

    order_id: str
    placed_at: float
    promised_at: float
    delivered_at: float  # NEVER for a lost one
    revenue: float
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Person:
    """One customer, and everything that will ever happen to them."""

    customer_id: str
    orders: tuple[Order, ...] = ()
    tickets: tuple[tuple[float, float], ...] = ()  # opened, closed
    returns: tuple[tuple[float, float], ...] = ()
    answers: tuple[tuple[float, float, str], ...] = ()  # at, score, order
    consents: tuple[tuple[float, str, bool], ...] = ()  # at, channel or `personalise`, granted
    friend: tuple[tuple[float, bool], ...] = ()  # at, linked to LINE or not
    left: tuple[tuple[float, str], ...] = ()  # at, channel unsubscribed from or blocked
    subscriptions: tuple[tuple[float, float], ...] = ()
    birthday: tuple[int, int] | None = None
    chance: float = 0.1  # of an order in the policy's window
    gap_days: float = 30.0
    promo_share: float = 0.2
    clv_grade: int = 3
    points: float = 0.0
    points_expire_on: int | None = None


@dataclass(frozen=True)
class World:
    """Customers of a shop somewhere, with a first business day."""

    people: tuple[Person, ...]
    calendar: BusinessCalendar
    first: int


@dataclass(frozen=True)
class Message:
    """One message of the log, as it was decided."""

    day: int
    decided_at: float
    at: float
    person: Person
    scenario: str
    kind: str
    purpose: str
    offer: str | None
    incentive: str
    channel: str
    cost: float
    p_without: float
    tier: str | None
    is_live: bool
    is_reminder: bool
    is_withheld: bool
    redeemed_at: float
    known_revenue: float  # mean of an order day, when it was decided


@dataclass
class Shop:
    """A world, its policy and everything sent so far."""

    world: World
    rules: dict[str, Any]  # the policy as written
    tables: frozenset[str] = TABLES
    late: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  # by business day
    log: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.policy: Policy = parse_policy(json.dumps(self.rules, ensure_ascii=False).encode(), "the policy")  # is YAML

    @property
    def calendar(self) -> BusinessCalendar:
        return self.world.calendar


def hananone(**changes: Any) -> dict[str, Any]:
    """Give the sample policy as plain data, sized for a shop of a few dozen customers; ``changes`` replace blocks."""
    rules = yaml.load(HANANONE.read_bytes(), _AsWritten)
    rules["margin_share"] = 0.6
    rules["budget"] = {"per_night": 700, "per_month": 6000, "per_offer": {"cpn_10pct": 900}}
    rules["channels"]["line"]["monthly_quota"] = 25
    rules["channels"]["phone"]["per_night"] = 1
    rules["offers"]["counselling"]["per_night"] = 1
    rules["offers"]["cpn_500"]["stock"] = 6
    rules["offers"]["sample_serum"]["stock"] = 2
    return rules | changes


class _AsWritten(yaml.SafeLoader):
    """YAML that leaves dates as they are written."""


_AsWritten.yaml_implicit_resolvers = {
    key: [(tag, found) for tag, found in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for key, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


# ---- a world by chance


def world(seed: int, n: int, zone: str, day_starts_at: time, first: date, days: int) -> World:
    """Draw a world: customers with a history of half a year and ``days`` to come."""
    calendar, draw = BusinessCalendar(zone, day_starts_at), random.Random(seed)
    start, stop = (calendar.start(day_number(first) + d).timestamp() for d in (0, days))
    people = tuple(_person(f"c{k:03d}", draw, start, stop) for k in range(n))
    return World(people, calendar, day_number(first))


def _person(name: str, draw: random.Random, start: float, stop: float) -> Person:
    orders = tuple(_orders(name, draw, start, stop))
    tickets = tuple(_spells(orders, draw, 0.25, 12))
    answers = tuple(
        (o.delivered_at + draw.uniform(1, 4) * DAY, float(draw.choice([1, 2, 3, 4, 5, 5])), o.order_id)
        for o in orders
        if o.delivered_at < NEVER and draw.random() < 0.35
    )
    day = draw.randint(1, 365)
    born = date(2023, 1, 1) + timedelta(days=day)
    return Person(
        name,
        orders,
        tickets,
        tuple(_spells(orders, draw, 0.1, 20)),
        answers,
        tuple(sorted(_consents(draw, start, stop))),
        tuple(_flips(draw, start, stop)) if draw.random() < 0.6 else (),
        tuple((draw.uniform(start, stop), draw.choice(["line", "email"])) for _ in range(draw.random() < 0.3)),
        tuple((at, at + draw.uniform(20, 90) * DAY) for at in [draw.uniform(start, stop)] if draw.random() < 0.3),
        (born.month, born.day) if draw.random() < 0.8 else None,
        chance=draw.choice([0.01, 0.05, 0.1, 0.3, 0.5, 0.8]),
        gap_days=draw.uniform(8, 60),
        promo_share=draw.random(),
        clv_grade=draw.randint(1, 5),
        points=draw.choice([0.0, 250.0, 400.0, 2000.0]),
        points_expire_on=int(draw.uniform(start, stop) // DAY) if draw.random() < 0.6 else None,
    )


def _orders(name: str, draw: random.Random, start: float, stop: float) -> Iterator[Order]:
    """Draw orders at a customer's own pace; some parcels are late, some never come."""
    pace, size = draw.choice([12, 30, 70, 400]) * DAY, draw.choice([600, 2500, 6000, 20_000])
    at = start - draw.uniform(-60, 180) * DAY
    for k in range(40):
        if at >= stop:
            return
        promised = at + draw.choice([1.5, 3, 4]) * DAY
        late = draw.choice([-1.2, -0.5, -0.2, 0.1, 2.5, 9, NEVER]) * DAY
        tags = ("トライアル",) if k == 0 else tuple(draw.sample(["定期", "限定", "ミニ"], draw.randint(0, 2)))
        yield Order(f"{name}-{k}", at, promised, promised + late, size * draw.uniform(0.5, 1.5), tags)
        at += draw.expovariate(1 / pace) + HOUR


def _spells(orders: Sequence[Order], draw: random.Random, share: float, days: float) -> Iterator[tuple[float, float]]:
    for order in orders:
        if draw.random() < share:
            opened = order.placed_at + draw.uniform(0, 25) * DAY
            yield opened, NEVER if draw.random() < 0.1 else opened + draw.uniform(0.1, days) * DAY


def _consents(draw: random.Random, start: float, stop: float) -> Iterator[tuple[float, str, bool]]:
    for what, yes in (("email", 0.8), ("line", 0.9), ("postal", 0.5), ("phone", 0.6), ("personalise", 0.95)):
        if draw.random() < 0.9:
            yield start - draw.uniform(100, 200) * DAY, what, draw.random() < yes
        if draw.random() < 0.2:
            yield draw.uniform(start, stop), what, draw.random() < 0.4


def _flips(draw: random.Random, start: float, stop: float) -> Iterator[tuple[float, bool]]:
    yield start - draw.uniform(-20, 200) * DAY, True
    if draw.random() < 0.2:
        yield draw.uniform(start + 21 * DAY, stop), False


# ---- what is known at an instant


def last(pairs: Sequence[tuple[Any, ...]], until: float) -> tuple[Any, ...] | None:
    """Give the newest of some dated facts known before an instant."""
    return max((pair for pair in pairs if pair[0] < until), key=lambda pair: pair[0], default=None)


def spend_tier(rules: Mapping[str, Any], person: Person, until: float) -> tuple[str | None, float]:
    """Name a customer's tier by what they spent within a year, and what is missing to the next."""
    levels = (rules.get("tiers") or {}).get("levels", [])
    paid = sum(o.revenue for o in person.orders if until - 365 * DAY <= o.placed_at < until)
    reached = [level["id"] for level in levels if level.get("from", 0) <= paid]
    above = [level["from"] - paid for level in levels if level.get("from", 0) > paid]
    return (reached[-1] if reached else None), (min(above) if above else nan)


def _lifecycle(person: Person, known: Sequence[Order], silent: float) -> str:
    if not known:
        return "prospect"
    if silent > 120:
        return "dormant" if silent <= 240 else "lapsed"
    return "at_risk" if silent / person.gap_days >= 1.5 else "new" if len(known) == 1 else "active"


def facts_of(shop: Shop, people: Sequence[Person], until: float, day: int) -> dict[str, np.ndarray[Any, Any]]:
    """Give what is said of customers, by the names of customer_scores and features."""
    rows = [_facts(shop, person, until, day) for person in people]
    return {
        name: np.array([row[name] for row in rows], object if isinstance(rows[0][name], str) else float)
        for name in rows[0]
    }


def _facts(shop: Shop, person: Person, until: float, day: int) -> dict[str, Any]:
    calendar = shop.calendar
    known = [o for o in person.orders if o.placed_at < until]
    silent = float(day - calendar.day(when(known[-1].placed_at))) if known else nan
    days: dict[int, float] = {}
    for order in known:
        on = calendar.day(when(order.placed_at))
        days[on] = days.get(on, 0.0) + order.revenue
    running = sum(start < until <= end for start, end in person.subscriptions)
    said = {what: last([s for s in person.consents if s[1] == what], until) for what in _SAID}
    return {
        "order_count": float(len(known)),
        "lifecycle": _lifecycle(person, known, silent),
        "promo_share": person.promo_share,
        "clv_grade": float(person.clv_grade),
        "days_since_last_order": silent,
        "mean_order_day_revenue": float(np.mean(list(days.values()))) if days else nan,
        "subscriptions_active": float(running),
        "subscription_active": float(running > 0),
        **{
            f"consent_{'' if what == 'personalise' else 'marketing_'}{what}": nan if word is None else float(word[2])
            for what, word in said.items()
        },
    }


_SAID = ("email", "line", "postal", "phone", "personalise")


def when(instant: float) -> datetime:
    return datetime.fromtimestamp(instant, UTC)


def occasions_of(shop: Shop, people: Sequence[Person], until: float, day: int) -> dict[str, Any]:
    """Give what happened to customers as known before an instant, or will on a known date."""
    rows: list[tuple[Any, ...]] = []
    for person in people:
        ticket = any(opened < until <= closed for opened, closed in person.tickets)
        for order in (o for o in person.orders if until - 120 * DAY <= o.placed_at < until):
            came = order.delivered_at if order.delivered_at < until else nan
            about = (order.order_id, order.promised_at, came, nan, ticket, "|".join(order.tags))
            rows.append((person.customer_id, "order.placed", order.placed_at, *about))
            rows.append((person.customer_id, "shipment.promised_at", order.promised_at, *about))
            if came == came:
                rows.append((person.customer_id, "shipment.delivered_at", came, *about))
        rows += [
            (person.customer_id, "feedback.csat", at, order, nan, nan, score, ticket, None)
            for at, score, order in person.answers
            if at < until
        ]
        dates = _dates(shop, person, until, day)
        rows += [(person.customer_id, event, at, None, nan, nan, nan, ticket, None) for event, at in dates]
    names = ("customer_id", "event", "at", "order_id", "promised_at", "delivered_at", "score", "open_ticket", "tags")
    kinds = (object, object, float, object, float, float, float, bool, object)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return {name: np.array(values, kind) for name, values, kind in zip(names, columns, kinds, strict=True)}


def _dates(shop: Shop, person: Person, until: float, day: int) -> Iterator[tuple[str, float]]:
    """Give the days of the calendar that concern a customer: birthday, points, what runs out."""
    start = shop.calendar.start
    if person.birthday is not None:
        for year in {shop.calendar.date(day + d).year for d in (-60, 45)}:
            on = day_number(date(year, *person.birthday))
            if day - 60 <= on <= day + 45:
                yield "birthday", start(on).timestamp()
    if person.points_expire_on is not None and abs(person.points_expire_on - day) <= 50:
        yield "points.expire_on", start(person.points_expire_on).timestamp()
    if known := [o for o in person.orders if o.placed_at < until]:
        yield "replenishment.due_on", start(shop.calendar.day(when(known[-1].placed_at)) + RUNS_OUT).timestamp()


def standing_of(people: Sequence[Person], until: float) -> dict[str, Any]:
    """Give how customers stand with the shop as known before an instant."""
    rows = [_standing(person, until) for person in people]
    columns = {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    return columns | {"customer_id": np.array([p.customer_id for p in people], object)}


def _standing(person: Person, until: float) -> dict[str, float]:
    known = [o for o in person.orders if o.placed_at < until]
    newest = known[-1] if known else None
    friend = last(person.friend, until)
    return {
        "last_order_at": newest.placed_at if newest else nan,
        "last_order_delivered_at": newest.delivered_at if newest and newest.delivered_at < until else nan,
        "parcels_under_way": float(sum(o.delivered_at >= until for o in known)),
        "tickets_open": float(sum(a < until <= b for a, b in person.tickets)),
        "last_ticket_closed_at": max((b for _, b in person.tickets if b < until), default=nan),
        "returns_open": float(sum(a < until <= b for a, b in person.returns)),
        "last_return_closed_at": max((b for _, b in person.returns if b < until), default=nan),
        "is_line_friend": float(friend is not None and friend[1]),
        **{f"left_{channel}_at": _left(person, channel, until) for channel in ("email", "line")},
    }


def _left(person: Person, channel: str, until: float) -> float:
    gone = last([pair for pair in person.left if pair[1] == channel], until)
    again = [at for at, what, yes in person.consents if what == channel and yes and at < until]
    return nan if gone is None or any(at > gone[0] for at in again) else gone[0]


def contacts_of(shop: Shop, people: Sequence[Person], until: float) -> dict[str, Any]:
    """Give what was sent or withheld; that an offer was used is known once it was."""
    asked = {person.customer_id for person in people}
    rows = sorted((m for m in shop.log if m.person.customer_id in asked), key=lambda m: (m.person.customer_id, m.at))
    columns: dict[str, Any] = {
        "customer_id": np.array([m.person.customer_id for m in rows], object),
        "at": np.array([m.at for m in rows], float),
        "scenario": np.array([m.scenario for m in rows], object),
        "offer_id": np.array([m.offer for m in rows], object),
        "channel": np.array([m.channel for m in rows], object),
        "withheld": np.array([m.is_withheld for m in rows], bool),
        "redeemed_at": np.array([m.redeemed_at if m.redeemed_at < until else nan for m in rows], float),
        "decision_id": np.array([f"d{k}" for k in range(len(rows))], object),
    }
    return columns


@dataclass(frozen=True)
class Known:
    """Everything a decision starts from."""

    people: tuple[Person, ...]
    ids: np.ndarray[Any, Any]
    facts: dict[str, np.ndarray[Any, Any]]
    around: Situation
    worth: Worth
    until: float  # what happened from then on is not known

    @property
    def revenue(self) -> np.ndarray[Any, Any]:
        return self.worth.revenue


def known(shop: Shop, people: Sequence[Person], until: float, day: int) -> Known:
    """Gather what is known of some customers before the instant ``until``, for a decision on business day ``day``."""
    ids = np.array([person.customer_id for person in people], object)
    tiers = [spend_tier(shop.rules, person, until) for person in people]
    members = {
        "customer_id": ids,
        "tier": np.array([name for name, _ in tiers], object),
        "to_next_tier": np.array([more for _, more in tiers], float),
        "tier_expires_on": np.array([day + 20 + 10 * len(p.orders) for p in people], float),
        "points": np.array([p.points for p in people], float),
        "points_expire_on": np.array([nan if p.points_expire_on is None else p.points_expire_on for p in people]),
    }
    around = situation(
        ids, shop.tables, occasions_of(shop, people, until, day), standing_of(people, until),
        contacts_of(shop, people, until), members,
    )  # fmt: skip
    facts = facts_of(shop, people, until, day) | around.numbers | around.words
    revenue = facts["mean_order_day_revenue"]
    chance = np.where(np.isnan(revenue), nan, np.array([p.chance for p in people]))
    worth = Worth(chance, revenue, np.nan_to_num(revenue) * shop.policy.margin_share)
    return Known(tuple(people), ids, facts, around, worth, until)


# ---- its nights and days


@dataclass(frozen=True)
class Asked:
    """One question put to the policy and what it decided."""

    moment: Moment
    known: Known
    decisions: Decisions
    is_live: bool


def ask(shop: Shop, told: Known, moment: Moment, purse: Purse, late: Sequence[str] = ()) -> Decisions:
    return decide(
        shop.policy, told.facts, told.around, told.worth, told.ids, moment, "JPY", purse, {}, late,
    )  # fmt: skip


def purse_of(shop: Shop, day: int) -> Purse:
    """Add up what is spent before a night from the log."""
    now, policy = shop.calendar.start(day).timestamp(), shop.policy
    rows = [
        (
            m.at, fixed_cost(policy, m.offer, m.channel), m.offer, m.channel, m.is_withheld,
            m.redeemed_at if m.redeemed_at < now else nan,
        )
        for m in shop.log
    ]  # fmt: skip
    names = ["at", "cost", "offer_id", "channel", "withheld", "redeemed_at"]
    kinds = dict(zip(names, (float, float, object, object, bool, float), strict=True))
    frame = pd.DataFrame(rows, columns=names).astype(kinds)
    pools = {name: 5 - sum(m.offer == name and not m.is_withheld for m in shop.log) for name in policy.offers}
    return Purse(spent(frame, policy, shop.calendar, day), pools)


def live(
    shop: Shop, days: int, seed: int = 0, visits: int = 3, watch: Callable[[Shop, Asked], None] | None = None
) -> Shop:
    """Let ``days`` nights pass, with ``visits`` live questions a day; ``watch`` sees every answer."""
    draw = random.Random(seed)
    people = shop.world.people
    for day in range(shop.world.first, shop.world.first + days):
        late, moment = shop.late.get(day, ()), Moment.night(shop.calendar, day)
        told = known(shop, people, moment.at, day)
        purse = purse_of(shop, day)
        night = ask(shop, told, moment, purse, late)
        if watch:
            watch(shop, Asked(moment, told, night, False))
        shop.log += sent_by(night, told, moment, False, draw)
        left = {limit.name: limit.left - night.choice.used[limit.name] for limit in night.limits}
        for at in sorted(draw.uniform(moment.start, moment.end - 1) for _ in range(visits)):
            later = Moment(shop.calendar, day, day, at)
            one = [draw.choice(people)]
            fresh = known(shop, one, at if draw.random() < 0.5 else moment.at, day)
            purse = replace(purse, prices=night.choice.prices, left=left)
            found = ask(shop, fresh, later, purse, late)
            if watch:
                watch(shop, Asked(later, fresh, found, True))
            chosen = found.choice.chosen[found.choice.chosen >= 0]
            for limit in found.limits:
                left[limit.name] -= float(limit.use[chosen].sum())
            shop.log += sent_by(found, fresh, later, True, draw)
    return shop


def sent_by(found: Decisions, told: Known, moment: Moment, is_live: bool, draw: random.Random) -> list[Message]:
    """Write down what goes out, and what the control group withholds, as messages."""
    c, out = found.candidates, []
    for place, person in enumerate(told.people):
        chosen = int(found.choice.chosen[place])
        row = chosen if chosen >= 0 else int(found.choice.shown[place]) if found.choice.withheld[place] else -1
        if row < 0:
            continue
        option = c.options[c.option[row]]
        at = float(c.opens[row])
        tier = told.around.words["tier"][place]
        out.append(
            Message(
                moment.day, moment.at, at, person, option.scenario, option.kind, option.purpose, option.offer,
                option.incentive, c.channels[c.channel[row]], float(c.cost[row]), float(c.p_without[row]), tier,
                is_live, option.is_reminder, chosen < 0,
                at + draw.uniform(1, 40) * DAY if draw.random() < 0.3 else NEVER,
                float(told.revenue[place]),
            )
        )  # fmt: skip
    return out
