"""Who the simulated customers are: the truths that a model has to guess from what the shop sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.simulate.catalogue import CATEGORIES, CHANNELS, MONEY, N_CATEGORIES, N_VARIANTS, OFFERS, VARIANTS
from features.simulate.span import Span

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Chosen 2026-11-22 so that a default shop looks like the one of policy-sample.yaml: some 45 % of buyers have one order,
# 70 % are mail opt-ins and 26 % LINE friends.
PROSPECTS = 0.04  # signed up, never ordered
ONE_OFF_ONLY = 0.26  # of the buyers: never order again of their own accord
RATE_SHAPE, RATE_MEAN = 2.0, 1 / 60  # orders a day
LIFE_SHAPE, LIFE_MEAN_DAYS = 3.0, 420
ANNOYED = 0.08  # customers whom any campaign keeps from ordering
ANNOYED_EFFECT = -0.5
SECOND_ACCOUNTS = 0.006
TAKES_MAIL, LINE_FRIENDS = 0.72, 0.27
NEVER = 1 << 30


@dataclass
class People:
    """One chunk of customers; every array has one entry per customer."""

    number: Ints  # unique in the shop
    first: Ints  # day of the first order; NEVER for a prospect
    signed_up: Ints  # instant
    rate: Floats  # own orders a day, before season, service and supply
    dropout: Ints  # first day on which the customer is lost; NEVER for a prospect
    is_one_off_only: Bools
    supply_days: Floats  # how long the usual purchase lasts
    taste: Floats  # shape (n, N_CATEGORIES), rows sum to one
    favourite: Ints  # shape (n, N_CATEGORIES): product preferred in each category
    price_sensitivity: Floats  # 0-1
    effect: Floats  # shape (n, offers, channels): see features.simulate
    takes_mail: Bools
    is_line_friend: Bools
    same_as: Ints  # number of the same person's earlier account, or -1
    shops_by: Ints  # 0 web, 1 app, 2 phone

    def __len__(self) -> int:
        return len(self.number)

    @property
    def is_buyer(self) -> Bools:
        return self.first < NEVER


def draw_people(rng: np.random.Generator, numbers: Ints, span: Span) -> People:
    """Draw customers. They are acquired evenly over the span, and each truth is independent of the others."""
    n = len(numbers)
    first = rng.integers(0, span.days, n)
    prospect = rng.random(n) < PROSPECTS
    one_off = (rng.random(n) < ONE_OFF_ONLY) & ~prospect
    rate = rng.gamma(RATE_SHAPE, RATE_MEAN / RATE_SHAPE, n)
    # An exponential lifetime whose own rate is gamma-distributed (Pareto/NBD): its mean is LIFE_MEAN_DAYS.
    hazard = rng.gamma(LIFE_SHAPE, 1 / (LIFE_MEAN_DAYS * (LIFE_SHAPE - 1)), n)
    life = np.minimum(rng.exponential(1, n) / hazard, 36_500).astype(np.int64)
    taste = rng.dirichlet(np.full(N_CATEGORIES, 0.4), n)
    popularity = np.array([v[4] for v in VARIANTS[:-1]])
    variant = rng.choice(N_VARIANTS - 1, (n, N_CATEGORIES), p=popularity / popularity.sum())
    lasts = np.array([c[4] for c in CATEGORIES])[taste.argmax(axis=1)]
    sensitivity = rng.beta(2, 3, n)
    people = People(
        number=numbers,
        first=np.where(prospect, NEVER, first),
        signed_up=first * 86_400 + rng.integers(6 * 3600, 9 * 3600, n),
        rate=np.where(prospect, 0.0, rate),
        dropout=np.where(prospect, NEVER, first + 1 + np.where(one_off, 0, life)),
        is_one_off_only=one_off,
        supply_days=lasts * rng.uniform(0.8, 1.3, n),
        taste=taste,
        favourite=np.arange(N_CATEGORIES) * N_VARIANTS + variant,
        price_sensitivity=sensitivity,
        effect=_effects(rng, sensitivity),
        takes_mail=rng.random(n) < TAKES_MAIL,
        is_line_friend=rng.random(n) < LINE_FRIENDS,
        same_as=np.full(n, -1),
        shops_by=rng.choice(3, n, p=[0.6, 0.3, 0.1]),
    )
    _second_accounts(rng, people, span)
    return people


def _effects(rng: np.random.Generator, sensitivity: Floats) -> Floats:
    """Draw how each offer over each channel changes a customer's chance of an order."""
    n = len(sensitivity)
    lean = np.where(MONEY, 0.2 + 2 * sensitivity[:, None], 1.8 - 2 * sensitivity[:, None])
    strength = np.array(list(OFFERS.values())) * lean * rng.gamma(4, 1 / 4, (n, 1))
    effect: Floats = np.clip(strength[:, :, None] * np.array(list(CHANNELS.values())), 0, 0.6)
    effect[rng.random(n) < ANNOYED] = ANNOYED_EFFECT
    return effect


def _second_accounts(rng: np.random.Generator, people: People, span: Span) -> None:
    """Let a few customers open a second account: same person and tastes; the first account is dropped on that day."""
    later = 1 + np.flatnonzero(rng.random(max(len(people) - 1, 0)) < SECOND_ACCOUNTS)
    gap = rng.integers(30, 200, len(later))
    possible = people.is_buyer[later] & ~people.is_one_off_only[later]
    possible &= people.is_buyer[later - 1] & (people.first[later - 1] + gap < span.days)
    possible &= ~np.isin(later - 1, later)
    later, gap = later[possible], gap[possible]
    for array in (people.rate, people.taste, people.favourite, people.supply_days, people.price_sensitivity):
        array[later] = array[later - 1]
    people.same_as[later] = people.number[later - 1]
    lasting = people.dropout[later] - people.first[later]
    people.first[later] = people.first[later - 1] + gap
    people.dropout[later] = people.first[later] + lasting
    people.dropout[later - 1] = np.minimum(people.dropout[later - 1], people.first[later])
    people.signed_up[later] = people.first[later] * 86_400 + 7 * 3600
