"""The export's tables of traces: the names a customer goes by, and the pages they looked at."""

import numpy as np
import pyarrow as pa

from features.simulate.catalogue import CATEGORIES, N_CATEGORIES, N_VARIANTS
from features.simulate.people import Ints
from features.simulate.span import DAY
from features.simulate.world import Columns, Tables, World, pick

VIEWS_BEFORE_ORDER = 2.0  # on average, beside the one of what is bought
VISITS_PER_OWN_ORDER = 1.5  # of an alive customer, without an order
VIEW, CART, SEARCH, WISH = range(4)
PAGE_KINDS = ("閲覧", "カート", "検索", "お気に入り")
LINKED_LATER = 20 * DAY  # a second account is recognised so long after it was opened


def traces(world: World, rng: np.random.Generator) -> Tables:
    """Write identities and page events."""
    return {"identities": _identities(world), "events": _events(world, rng)}


def _identities(world: World) -> Columns:
    """One row per link of an alias: a second account is linked to the first one's e-mail hash some weeks later."""
    people, n = world.people, np.arange(len(world.people))
    friend, online = n[people.is_line_friend], n[people.shops_by < 2]
    second = n[(people.same_as >= 0) & (people.signed_up + LINKED_LATER < world.span.end)]
    who = [n, n, friend, online, second]
    alias = [world.member_numbers, world.mail_hashes, world.line_ids, world.devices, world.mail_hashes]
    holder = [n, n, friend, online, second - 1]
    at = np.concatenate([people.signed_up[w] for w in who])
    at[len(at) - len(second) :] += LINKED_LATER
    kinds = np.repeat([0, 1, 2, 3, 1], [len(w) for w in who])
    return {
        "識別種別": pick(["member_no", "email_hash", "line_user_id", "device"], kinds),
        "識別子": pa.concat_arrays([pick(names, h) for names, h in zip(alias, holder, strict=True)]),
        "顧客番号": world.customer(np.concatenate(who)),
        "紐付日時": world.instants(at),
    }


def _events(world: World, rng: np.random.Generator) -> Columns:
    """One row per page event of who shops online: around their orders, and visits that led to none."""
    parts = [_before_orders(world, rng), _into_carts(world), _visits(world, rng)]
    who, at, kind, product = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = np.flatnonzero((at >= 0) & (at < world.span.end) & (world.people.shops_by[who] < 2))
    kept = kept[np.lexsort((at[kept], who[kept]))]
    who, at, kind, product = who[kept], at[kept], kind[kept], product[kept]
    category = product // N_VARIANTS
    return {
        "顧客番号": world.customer(who),
        "日時": world.instants(at),
        "行動": pick(PAGE_KINDS, kind),
        "商品コード": world.product(product, kind != SEARCH),
        "検索語": pick([c[1] for c in CATEGORIES], category, kind == SEARCH),
    }


def _before_orders(world: World, rng: np.random.Generator) -> tuple[Ints, Ints, Ints, Ints]:
    """View what will be bought, and other things of one's taste, in the hours and days before an order."""
    sales, lines = world.sales, world.lines
    own = np.flatnonzero(~sales.is_subscription)
    extra = np.repeat(own, rng.poisson(VIEWS_BEFORE_ORDER, len(own)))
    bought = np.flatnonzero(~sales.is_subscription[lines.order])
    order = np.concatenate([extra, lines.order[bought]])
    product = np.concatenate([_by_taste(world, rng, sales.who[extra], sales.day[extra]), lines.product[bought]])
    ahead = 900 + (rng.exponential(0.4 * DAY, len(order))).astype(np.int64)
    return sales.who[order], sales.at[order] - ahead, np.full(len(order), VIEW), product


def _into_carts(world: World) -> tuple[Ints, Ints, Ints, Ints]:
    sales, lines = world.sales, world.lines
    rows = np.flatnonzero(~sales.is_subscription[lines.order])
    order = lines.order[rows]
    return sales.who[order], sales.at[order] - 60 * lines.nth[rows], np.full(len(rows), CART), lines.product[rows]


def _visits(world: World, rng: np.random.Generator) -> tuple[Ints, Ints, Ints, Ints]:
    """Look around while alive, the more often the higher one's rate; now and then a cart is left behind."""
    people, days = world.people, world.span.days
    start = np.minimum(people.first, days)
    alive = np.maximum(np.minimum(people.dropout, days) - start, 0)
    who = np.repeat(np.arange(len(people)), rng.poisson(VISITS_PER_OWN_ORDER * people.rate * alive))
    day = start[who] + (rng.random(len(who)) * alive[who]).astype(np.int64)
    at = day * DAY + rng.integers(9 * 3600, DAY, len(who))
    kind = rng.choice(4, len(who), p=[0.70, 0.08, 0.15, 0.07])
    return who, at, kind, _by_taste(world, rng, who, day)


def _by_taste(world: World, rng: np.random.Generator, who: Ints, day: Ints) -> Ints:
    """Draw a product that was on sale on the day, its category by taste."""
    category = (rng.random(len(who))[:, None] > world.people.taste[who].cumsum(axis=1)[:, :-1]).sum(axis=1)
    product = np.minimum(category, N_CATEGORIES - 1) * N_VARIANTS + rng.integers(0, N_VARIANTS, len(who))
    launched = world.products.launched[product] <= day
    result: Ints = np.where(launched, product, product - product % N_VARIANTS + 1)
    return result
