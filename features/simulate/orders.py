"""Day after day: who orders, whose parcel is late, who subscribes, and who is written to."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.simulate.catalogue import EMAIL, LINE, OFFERS, is_sale, season
from features.simulate.people import NEVER, Bools, Floats, Ints, People
from features.simulate.span import Span

WINDOW_DAYS = 14  # how long a message works
CAMPAIGN_EVERY_DAYS, FIRST_CAMPAIGN_DAY = 28, 84
SILENT_DAYS = (60, 240)  # whom win-back addresses
AFTER_DROPOUT = 0.25  # of an offer's effect is left
CANCELLED = 0.015
LATE, LATE_IN_SALE = 0.06, 0.15
LATE_FACTOR, LEAST_SERVICE = 0.75, 0.4
SUBSCRIBES, INTERVALS = 0.05, (30, 60, 90)
LEAVES = 0.006  # of a treated contact: unsubscribes or blocks the channel
OWN, FIRST, PERSUADED = 0, 1, 2  # why an order was made


def phase(share: Floats) -> Floats:
    """Give the factor on the order rate by the share of the last purchase's supply that is used up.

    >>> phase(np.array([0.2, 0.6, 1.1, 2.0])).tolist()
    [0.6, 1.0, 1.6, 1.0]
    """
    return np.select([share < 0.5, share < 0.8, share < 1.3], [0.6, 1.0, 1.6], 1.0)


@dataclass
class Orders:
    """One-off orders in the order of their days; ``contact`` is the row of the contact that was answered, or -1."""

    who: Ints
    day: Ints
    why: Ints
    delivered: Ints  # day; promised is day + 3
    contact: Ints
    is_cancelled: Bools  # placed and cancelled before anything was sent


@dataclass
class Contacts:
    """Randomised win-back messages, sent or withheld; ``arm`` 0 is control, else offer ``arm - 1``."""

    who: Ints
    day: Ints
    arm: Ints
    channel: Ints  # index into CHANNELS
    p_without: Floats  # chance of an own order within WINDOW_DAYS
    p_with: Floats  # shape (n, offers)
    left: Bools  # unsubscribed or blocked at it


@dataclass
class Subscribers:
    """At most one subscription a customer; ``start`` is NEVER for who has none."""

    start: Ints
    until: Ints  # day it ends; may lie beyond the span
    interval: Ints


@dataclass
class History:
    """What happened to one chunk of customers, and what was to be expected."""

    orders: Orders
    contacts: Contacts
    subscribers: Subscribers
    expected: Floats  # own orders after the first, summed day by day
    exposure: Floats  # rate x exposure = expected, but for the one-order-a-day limit
    service: Floats  # factor left by late deliveries at the end
    reach: Ints  # shape (n, channels): day from which consent is no more; NEVER while it stands, -1 if never given


def live(rng: np.random.Generator, people: People, span: Span) -> History:
    """Let a chunk of customers live through the span."""
    run = _Run(rng, people, span)
    for day in range(span.days):
        run.deliver(day)
        run.order(day)
        if day >= FIRST_CAMPAIGN_DAY and (day - FIRST_CAMPAIGN_DAY) % CAMPAIGN_EVERY_DAYS == 0:
            run.campaign(day)
    return run.history()


@dataclass
class _Run:
    """The customers' state on one day."""

    rng: np.random.Generator
    people: People
    span: Span
    arrivals: dict[int, list[Ints]] = field(default_factory=dict)  # late parcels by day of delivery
    n_contacts: int = 0

    def __post_init__(self) -> None:
        n, none = len(self.people), np.zeros(0, np.int64)
        self.orders: list[tuple[NDArray[Any], ...]] = [(none,) * 5 + (none == 0,)]
        self.contacts: list[tuple[NDArray[Any], ...]] = [
            (none,) * 4 + (np.zeros(0), np.zeros((0, len(OFFERS))), none == 0)
        ]
        self.season, self.sale = season(self.span, WINDOW_DAYS), is_sale(self.span)
        self.last = np.full(n, -NEVER)
        self.service, self.expected, self.exposure = np.ones(n), np.zeros(n), np.zeros(n)
        self.persuaded = np.full(n, -1)  # day of the order a message brings
        self.quiet_until = np.full(n, -1)  # an annoyed customer does not order of own accord up to this day
        self.open_contact, self.open_until = np.full(n, -1), np.full(n, -1)
        self.subscribers = Subscribers(np.full(n, NEVER), np.full(n, NEVER), np.zeros(n, np.int64))
        consents = np.column_stack([self.people.takes_mail, self.people.is_line_friend])
        self.reach = np.where(consents, NEVER, -1)

    def deliver(self, day: int) -> None:
        """Let late parcels of the day disappoint their customers."""
        for who in self.arrivals.pop(day, []):
            self.service[who] = np.maximum(self.service[who] * LATE_FACTOR, LEAST_SERVICE)

    def modulation(self, who: Ints, day: int) -> Floats:
        """Give the factor on the rate of customers who are alive and not quiet."""
        share = (day - self.last[who]) / self.people.supply_days[who]
        factor: Floats = self.season[day] * self.service[who] * phase(share)
        return factor

    def order(self, day: int) -> None:
        """Let customers order: each at most once a day."""
        p = self.people
        able = np.flatnonzero((p.first < day) & (day < p.dropout) & (self.quiet_until < day))
        factor = self.modulation(able, day)
        chance = -np.expm1(-p.rate[able] * factor)
        self.expected[able] += chance
        self.exposure[able] += factor
        why = np.full(len(p), -1)
        why[able[self.rng.random(len(able)) < chance]] = OWN
        why[(self.persuaded == day) & (why < 0)] = PERSUADED
        why[p.first == day] = FIRST
        who = np.flatnonzero(why >= 0)
        if not len(who):
            return
        cancelled = self.rng.random(len(who)) < CANCELLED
        late = ~cancelled & (self.rng.random(len(who)) < (LATE_IN_SALE if self.sale[day] else LATE))
        delivered = day + np.where(late, self.rng.integers(5, 12, len(who)), self.rng.integers(2, 4, len(who)))
        for arrival in np.unique(delivered[late]):
            self.arrivals.setdefault(int(arrival), []).append(who[late & (delivered == arrival)])
        contact = np.where(self.open_until[who] >= day, self.open_contact[who], -1)
        self.orders.append((who, np.full(len(who), day), why[who], delivered, contact, cancelled))
        self.last[who], self.open_until[who] = day, -1
        self._subscribe(who[~cancelled], day)

    def _subscribe(self, who: Ints, day: int) -> None:
        """Let some who order begin a subscription: its end is drawn with it, and dropping out ends it too."""
        s, p = self.subscribers, self.people
        may = (s.start[who] == NEVER) & ~p.is_one_off_only[who] & (p.dropout[who] > day)
        begins = who[may & (self.rng.random(len(who)) < SUBSCRIBES)]
        s.start[begins] = day
        s.interval[begins] = self.rng.choice(INTERVALS, len(begins), p=[0.5, 0.35, 0.15])
        parcels = 1 + self.rng.geometric(0.15, len(begins))
        s.until[begins] = np.minimum(day + s.interval[begins] * parcels - 5, p.dropout[begins])

    def campaign(self, day: int) -> None:
        """Draw an arm for every silent customer who may be written to, and what the message will change."""
        silent = day - self.last
        s = self.subscribers
        subscribed = (s.start <= day) & (day < s.until)
        may = (self.reach > day).any(axis=1) & (silent >= SILENT_DAYS[0]) & (silent <= SILENT_DAYS[1]) & ~subscribed
        who = np.flatnonzero(may)
        channel = np.where(self.reach[who, LINE] > day, LINE, EMAIL)  # LINE before mail
        arm = self.rng.integers(0, len(OFFERS) + 1, len(who))
        effect = self.people.effect[who, :, channel]
        effect = effect * np.where(self.people.dropout[who] > day, 1.0, AFTER_DROPOUT)[:, None]
        without = self._p_order(who, day)
        with_offer = without[:, None] + np.where(
            effect >= 0, effect * (1 - without[:, None]), effect * without[:, None]
        )
        left = self._send(who, day, arm, channel, effect)
        self.contacts.append((who, np.full(len(who), day), arm, channel, without, with_offer, left))
        self.n_contacts += len(who)

    def _send(self, who: Ints, day: int, arm: Ints, channel: Ints, effect: Floats) -> Bools:
        """Send to the treated: some will order, some be kept from it, a few leave the channel (told by the result)."""
        treated = arm > 0
        own_effect = effect[np.arange(len(who)), np.maximum(arm, 1) - 1]
        luck, after = self.rng.random(len(who)), self.rng.integers(1, WINDOW_DAYS + 1, len(who))
        persuaded = treated & (luck < own_effect)
        self.persuaded[who[persuaded]] = day + after[persuaded]
        self.quiet_until[who[treated & (luck < -own_effect)]] = day + WINDOW_DAYS
        self.open_contact[who[treated]] = self.n_contacts + np.flatnonzero(treated)
        self.open_until[who[treated]] = day + WINDOW_DAYS
        left: Bools = treated & (self.rng.random(len(who)) < LEAVES)
        self.reach[who[left], channel[left]] = day + 1
        return left

    def _p_order(self, who: Ints, day: int) -> Floats:
        """Give the chance of an own order within WINDOW_DAYS after ``day``: exact, as nothing else moves the rate."""
        hazard = np.zeros(len(who))
        for later in range(day + 1, day + 1 + WINDOW_DAYS):
            alive = self.people.dropout[who] > later
            hazard += np.where(alive, self.people.rate[who] * self.modulation(who, later), 0.0)
        return -np.expm1(-hazard)

    def history(self) -> History:
        """Gather what happened."""
        orders, contacts = (
            [np.concatenate(column) for column in zip(*days, strict=True)] for days in (self.orders, self.contacts)
        )
        states = (self.subscribers, self.expected, self.exposure, self.service, self.reach)
        return History(Orders(*orders), Contacts(*contacts), *states)
