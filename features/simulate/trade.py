"""The export's tables of trade, in the shop's own words: order lines, products, subscriptions, shipments."""

import numpy as np
import pyarrow as pa

from features.simulate.baskets import NO_COUPON, PUBLIC, postage
from features.simulate.catalogue import CODED, OFFERS, PUBLIC_COUPON, Products
from features.simulate.people import Bools, Ints
from features.simulate.span import DAY, Span
from features.simulate.world import World, pick

Columns = dict[str, pa.Array]
SHOPS_BY = ("web", "app", "phone")
COUPONS = [*(CODED.get(offer, "") for offer in OFFERS), PUBLIC_COUPON]


def order_lines(world: World, rng: np.random.Generator) -> Columns:
    """One row per line of an order; a return is a row of its own, and so is the postage."""
    sold, back, sent = _sold(world), _returned(world), _postage(world)
    return {name: pa.concat_arrays([sold[name], back[name], sent[name]]) for name in sold}


def _sold(world: World) -> Columns:
    sales, lines = world.sales, world.lines
    order = lines.order
    n = len(order)
    coupon = sales.coupon[order]
    by_phone = world.people.shops_by[sales.who[order]] == SHOPS_BY.index("phone")
    tomorrow = (sales.day[order] + 1) * DAY + 9 * 3600  # orders by telephone are entered the next morning
    entered = np.where(by_phone & ~sales.is_subscription[order], tomorrow, sales.at[order])
    return {
        "受注番号": world.order(order),
        "行番号": pa.array(lines.nth),
        "顧客番号": world.customer(sales.who[order]),
        "受注日時": world.instants(sales.at[order]),
        "登録日時": world.instants(np.minimum(entered, world.span.end - 1)),
        "区分": pick(["受注", "キャンセル"], sales.is_cancelled[order].astype(np.int64)),
        "受注形態": pick(["通常", "定期"], sales.is_subscription[order].astype(np.int64)),
        "経路": pick(SHOPS_BY, world.people.shops_by[sales.who[order]]),
        "商品コード": world.product(lines.product),
        "数量": pa.array(lines.quantity),
        "定価": pa.array(world.products.price[lines.product]),
        "値引額": pa.array(lines.discount),
        "金額税込": pa.array(lines.revenue),
        "内消費税": pa.array(_tax(lines.revenue)),
        "原価": pa.array(world.products.cost[lines.product] * lines.quantity),
        "クーポン": pick(COUPONS, np.maximum(coupon, 0), (coupon != NO_COUPON) & _has_code(coupon)),
        "元受注番号": pa.nulls(n, pa.string()),
    }


def _has_code(coupon: Ints) -> Bools:
    coded = [list(OFFERS).index(name) for name in CODED]
    return np.isin(coupon, [*coded, PUBLIC])


def _tax(revenue: Ints) -> Ints:
    """Give the consumption tax of 10 % inside an amount."""
    return revenue // 11


def _returned(world: World) -> Columns:
    """Write what came back; amounts and pieces stand without a sign, as 区分 says that they are returns."""
    lines = world.lines
    rows = np.flatnonzero(lines.returned)
    order, pieces = lines.order[rows], lines.returned[rows]
    share = pieces / lines.quantity[rows]
    revenue = np.floor(lines.revenue[rows] * share).astype(np.int64)
    product, n = lines.product[rows], len(rows)
    return {
        "受注番号": pa.compute.binary_join_element_wise("R", world.order(order), ""),
        "行番号": pa.array(lines.nth[rows]),
        "顧客番号": world.customer(world.sales.who[order]),
        "受注日時": world.instants(lines.returned_at[rows]),
        "登録日時": world.instants(lines.registered_at[rows]),
        "区分": pick(["返品"], np.zeros(n, np.int64)),
        "受注形態": pick(["通常", "定期"], world.sales.is_subscription[order].astype(np.int64)),
        "経路": pick(SHOPS_BY, world.people.shops_by[world.sales.who[order]]),
        "商品コード": world.product(product),
        "数量": pa.array(pieces),
        "定価": pa.array(world.products.price[product]),
        "値引額": pa.array(np.zeros(n, np.int64)),
        "金額税込": pa.array(revenue),
        "内消費税": pa.array(_tax(revenue)),
        "原価": pa.array(world.products.cost[product] * pieces),
        "クーポン": pa.nulls(n, pa.string()),
        "元受注番号": world.order(order, lines.return_names_order[rows]),
    }


def _postage(world: World) -> Columns:
    """Write postage as the shop does: a line of the order with a code that is no product."""
    sales, lines = world.sales, world.lines
    yen = postage(sales, lines)
    rows = np.flatnonzero((yen > 0) & ~sales.is_cancelled)
    n, zero = len(rows), pa.array(np.zeros(len(rows), np.int64))
    return {
        "受注番号": world.order(rows),
        "行番号": pa.array(np.full(n, 99)),
        "顧客番号": world.customer(sales.who[rows]),
        "受注日時": world.instants(sales.at[rows]),
        "登録日時": world.instants(sales.at[rows]),
        "区分": pick(["受注"], np.zeros(n, np.int64)),
        "受注形態": pick(["通常"], np.zeros(n, np.int64)),
        "経路": pick(SHOPS_BY, world.people.shops_by[sales.who[rows]]),
        "商品コード": pick(["SORYO"], np.zeros(n, np.int64)),
        "数量": pa.array(np.ones(n, np.int64)),
        "定価": pa.array(yen[rows]),
        "値引額": zero,
        "金額税込": pa.array(yen[rows]),
        "内消費税": pa.array(_tax(yen[rows])),
        "原価": zero,
        "クーポン": pa.nulls(n, pa.string()),
        "元受注番号": pa.nulls(n, pa.string()),
    }


def product_list(products: Products, span: Span) -> Columns:
    """One row per product on sale by the end of the span."""
    rows = np.flatnonzero(products.launched < span.days)
    launched = (products.launched[rows] + span.epoch_day).astype("datetime64[D]")
    tags = [products.tags[i] for i in rows]
    return {
        "商品コード": pa.array(products.id[rows].tolist()),
        "商品名": pa.array([products.name[i] for i in rows]),
        "分類": pa.array([products.path[i].split("/")[0] for i in rows]),
        "小分類": pa.array([products.path[i].split("/")[1] for i in rows]),
        "ブランド": pa.array(["花の音"] * len(rows)),
        "販売価格": pa.array(products.price[rows]),
        "仕入原価": pa.array(products.cost[rows]),
        "在庫あり": pa.array([True] * len(rows)),
        "発売日": pa.array(launched),
        "使用日数": pa.array(products.lasts_days[rows]),
        "シリーズ": pa.array([products.family[i] for i in rows]),
        "タグ": pa.array(tags),
    }


def subscriptions(world: World, rng: np.random.Generator) -> Columns:
    """One row per subscription (定期); most that ended were cancelled, some are paused."""
    s, days = world.history.subscribers, world.span.days
    who = np.flatnonzero(s.start < days)
    start, until, interval = s.start[who], s.until[who], s.interval[who]
    ended = until < days
    paused = ended & (rng.random(len(who)) < 0.15) & (world.people.dropout[who] > until)
    category = world.people.taste[who].argmax(axis=1)
    started = start * DAY + DAY - 1  # the order it began with is over
    ended_at = until * DAY + rng.integers(9 * 3600, 22 * 3600, len(who))
    next_ship = start + interval * ((days - 1 - start) // interval + 1)
    reasons = ["余っている", "肌に合わない", "価格が高い", "他社に切り替え"]
    return {
        "顧客番号": world.customer(who),
        "商品コード": world.product(world.people.favourite[who, category]),
        "開始日時": world.instants(started),
        "お届け間隔日数": pa.array(interval),
        "次回出荷日": world.dates(next_ship, ~ended),
        "休止日時": world.instants(ended_at, paused),
        "解約日時": world.instants(ended_at, ended & ~paused),
        "解約理由": pick(reasons, rng.integers(0, len(reasons), len(who)), ended & ~paused),
    }


def shipments(world: World, rng: np.random.Generator) -> Columns:
    """One row per parcel sent before the end; without a delivery if it is still under way."""
    sales, end = world.sales, world.span.end
    shipped = (sales.day + 1) * DAY + rng.integers(10 * 3600, 16 * 3600, len(sales))
    delivered = sales.delivered * DAY + rng.integers(9 * 3600, 20 * 3600, len(sales))
    rows = np.flatnonzero(~sales.is_cancelled & (shipped < end))
    promised = (sales.day[rows] + 3) * DAY + 21 * 3600
    return {
        "受注番号": world.order(rows),
        "出荷日時": world.instants(shipped[rows]),
        "お届け予定": world.instants(promised),
        "配達完了": world.instants(delivered[rows], delivered[rows] < end),
    }
