"""What is in each order: products by taste, prices, discounts, cancellations and returns."""

from dataclasses import dataclass

import numpy as np

from features.simulate.catalogue import (
    CODED,
    FULL,
    N_VARIANTS,
    OFFERS,
    SALE_DISCOUNT,
    SUBSCRIPTION_DISCOUNT,
    TRIAL,
    VARIANTS,
    Products,
    is_sale,
)
from features.simulate.orders import FIRST, History
from features.simulate.people import NEVER, Bools, Ints, People
from features.simulate.span import DAY, Span

FIRST_IS_TRIAL = 0.5
BUYS_FAVOURITE = 0.65
COUPON_HUNTING = 0.35  # chance of the public coupon for the most price-sensitive
RETURNED, NAMES_ITS_ORDER = 0.03, 0.6
POSTAGE, FREE_POSTAGE_FROM = 550, 5_500  # yen
FIRST_HOUR, LAST_HOUR = 9, 24  # orders are made between them, mostly in the evening
NO_COUPON, PUBLIC = -1, len(OFFERS)  # else the index of an offer


@dataclass
class Sales:
    """All orders of a chunk, subscriptions' included, by customer and instant; one entry per order."""

    who: Ints
    at: Ints  # instant
    nth: Ints  # of the customer's orders, from 1
    why: Ints  # FIRST, OWN, PERSUADED; -1: a subscription's parcel
    delivered: Ints  # day
    contact: Ints
    is_cancelled: Bools
    coupon: Ints

    def __len__(self) -> int:
        return len(self.who)

    @property
    def day(self) -> Ints:
        return self.at // DAY

    @property
    def is_subscription(self) -> Bools:
        return self.why < 0


@dataclass
class Lines:
    """The lines of these orders; ``returned`` pieces came back at ``returned_at``, registered at ``registered_at``."""

    order: Ints  # row in Sales
    nth: Ints  # in its order, from 1
    product: Ints
    quantity: Ints
    gross: Ints  # yen, tax included, before the discount
    discount: Ints
    returned: Ints
    returned_at: Ints
    registered_at: Ints
    return_names_order: Bools

    @property
    def revenue(self) -> Ints:
        return self.gross - self.discount


def sell(rng: np.random.Generator, people: People, history: History, span: Span) -> Sales:
    """Put one-off orders and the parcels of subscriptions together, each with its time of day."""
    o, s = history.orders, history.subscribers
    parcel_who, parcel_day = _parcels(history, span)
    extra = np.full(len(parcel_who), -1)
    who, day = np.concatenate([o.who, parcel_who]), np.concatenate([o.day, parcel_day])
    hour = FIRST_HOUR + (LAST_HOUR - FIRST_HOUR) * rng.beta(2.5, 1.5, len(who))
    hour = np.where(np.arange(len(who)) >= len(o.who), FIRST_HOUR - 4, hour)  # parcels are made up before dawn
    at = day * DAY + np.minimum((hour * 3600).astype(np.int64), DAY - 1)
    order = np.lexsort((at, who))
    starts = np.searchsorted(who[order], np.arange(len(people)))
    why = np.concatenate([o.why, extra])[order]
    cancelled = np.concatenate([o.is_cancelled, extra > 0])
    sales = Sales(
        who=who[order],
        at=at[order],
        nth=np.arange(len(who)) - starts[who[order]] + 1,
        why=why,
        delivered=np.concatenate([o.delivered, parcel_day + 2])[order],
        contact=np.concatenate([o.contact, extra])[order],
        is_cancelled=cancelled[order],
        coupon=np.full(len(who), NO_COUPON),
    )
    assert (sales.nth[sales.why == FIRST] == 1).all() and (s.start[sales.who[sales.is_subscription]] < NEVER).all()
    _use_coupons(rng, people, history, sales, span)
    return sales


def _parcels(history: History, span: Span) -> tuple[Ints, Ints]:
    """List who gets a subscription's parcel on which day: every ``interval`` days after its start until its end."""
    s = history.subscribers
    who = np.flatnonzero(s.start < span.days)
    end = np.minimum(s.until[who], span.days)
    n = np.maximum(end - 1 - s.start[who], 0) // s.interval[who]
    of = np.repeat(who, n)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(n) - n, n) + 1
    return of, s.start[of] + nth * s.interval[of]


def _use_coupons(rng: np.random.Generator, people: People, history: History, sales: Sales, span: Span) -> None:
    """Use a message's code if it has one, else perhaps the public coupon, but not in a sale."""
    offer = (
        np.where(sales.contact >= 0, history.contacts.arm[sales.contact] - 1, -1) if len(history.contacts.who) else -1
    )
    coded = np.isin(offer, [list(OFFERS).index(name) for name in CODED])
    hunts = rng.random(len(sales)) < COUPON_HUNTING * people.price_sensitivity[sales.who]
    hunts &= ~is_sale(span)[sales.day] & ~sales.is_subscription
    sales.coupon = np.where(coded, offer, np.where(hunts, PUBLIC, NO_COUPON))


def fill(rng: np.random.Generator, people: People, sales: Sales, products: Products, span: Span) -> Lines:
    """Fill the baskets and price them."""
    extra = np.where(sales.is_subscription, 0, np.minimum(rng.poisson(0.7, len(sales)), 4))
    order = np.repeat(np.arange(len(sales)), 1 + extra)
    nth = np.arange(len(order)) - np.repeat(np.cumsum(1 + extra) - 1 - extra, 1 + extra) + 1
    product = _choose(rng, people, sales, products, order, nth)
    luck = rng.random(len(order))
    quantity = np.where(sales.is_subscription[order], 1, 1 + (luck < 0.15) + (luck < 0.03))
    gross = products.price[product] * quantity
    discount = _discounts(sales, order, nth, gross, span)
    return Lines(order, nth, product, quantity, gross, discount, *_take_back(rng, sales, order, quantity, span))


def _choose(rng: np.random.Generator, people: People, sales: Sales, products: Products, order: Ints, nth: Ints) -> Ints:
    """Choose a category by taste, in it the favourite or what is popular; first orders often hold a trial size."""
    who, n = sales.who[order], len(order)
    category = (rng.random(n)[:, None] > people.taste[who].cumsum(axis=1)[:, :-1]).sum(axis=1)
    subscribed = sales.is_subscription[order]
    category = np.where(subscribed, people.taste[who].argmax(axis=1), category)
    favourite = people.favourite[who, category]
    popularity = np.array([v[4] for v in VARIANTS])
    other = category * N_VARIANTS + rng.choice(N_VARIANTS, n, p=popularity)
    other = np.where(products.launched[other] > sales.day[order], category * N_VARIANTS + FULL, other)
    chosen = np.where((rng.random(n) < BUYS_FAVOURITE) | subscribed, favourite, other)
    trial = (sales.why[order] == FIRST) & (nth == 1) & (rng.random(n) < FIRST_IS_TRIAL)
    result: Ints = np.where(trial, category * N_VARIANTS + TRIAL, chosen)
    return result


def _discounts(sales: Sales, order: Ints, nth: Ints, gross: Ints, span: Span) -> Ints:
    """Give each line's discount in yen: the sale's, the subscriber's or the coupon's 10 %, or 500 on line one."""
    subscribed, coupon = sales.is_subscription[order], sales.coupon[order]
    share = np.where(is_sale(span)[sales.day][order] & ~subscribed, SALE_DISCOUNT, 0.0)
    share = np.where(subscribed, SUBSCRIPTION_DISCOUNT, np.where(coupon == PUBLIC, 0.10, share))
    off = np.where((coupon == list(OFFERS).index("cpn_500")) & (nth == 1), 500, 0)
    discount: Ints = np.minimum(np.floor(gross * share).astype(np.int64) + off, gross)
    return discount


def _take_back(
    rng: np.random.Generator, sales: Sales, order: Ints, quantity: Ints, span: Span
) -> tuple[Ints, Ints, Ints, Bools]:
    """Take some lines back, whole or in part, 3 to 14 days after delivery and registered a day or two later."""
    n = len(order)
    at = (sales.delivered[order] + rng.integers(3, 15, n)) * DAY + rng.integers(10 * 3600, 17 * 3600, n)
    registered = at + rng.integers(1, 3, n) * DAY
    back = (rng.random(n) < RETURNED) & ~sales.is_cancelled[order] & (registered < span.end)
    returned = np.where(back, rng.integers(1, quantity + 1), 0)
    return returned, at, registered, rng.random(n) < NAMES_ITS_ORDER


def postage(sales: Sales, lines: Lines) -> Ints:
    """Give each order's postage in yen; 0 for subscriptions, large orders and who has the offer of free shipping."""
    total = np.bincount(lines.order, lines.revenue, len(sales))
    free = sales.is_subscription | (total >= FREE_POSTAGE_FROM) | (sales.coupon == list(OFFERS).index("ship_free"))
    result: Ints = np.where(free, 0, POSTAGE)
    return result
