"""The export's tables of trade, in the shop's own words: order lines, products, subscriptions, shipments."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.simulate.baskets import postage
from features.simulate.catalogue import CODED, OFFERS, PUBLIC_COUPON, Products
from features.simulate.people import Ints
from features.simulate.span import DAY, Span
from features.simulate.world import Columns, Tables, World, pick

SHOPS_BY = ("web", "app", "phone")
COUPONS = [*(CODED.get(offer, "") for offer in OFFERS), PUBLIC_COUPON]
HAVE_CODE = [i for i, code in enumerate(COUPONS) if code]


def trade(world: World, rng: np.random.Generator) -> Tables:
    """Write what was ordered, what came back, what is subscribed to and what was sent."""
    parts = [_sold(world), _returned(world), _postage(world)]
    return {
        "order_lines": {name: pa.concat_arrays([part[name] for part in parts]) for name in parts[0]},
        "subscriptions": _subscriptions(world, rng),
        "shipments": _shipments(world, rng),
    }


def _sold(world: World) -> Columns:
    """One row per line of an order."""
    sales, lines = world.sales, world.lines
    order = lines.order
    coupon = sales.coupon[order]
    by_phone = world.people.shops_by[sales.who[order]] == SHOPS_BY.index("phone")
    tomorrow = (sales.day[order] + 1) * DAY + 9 * 3600  # orders by telephone are entered the next morning
    entered = np.where(by_phone & ~sales.is_subscription[order], tomorrow, sales.at[order])
    return {
        "受注番号": world.order(order),
        "行番号": pa.array(lines.nth),
        **_customer(world, order),
        "受注日時": world.instants(sales.at[order]),
        "登録日時": world.instants(np.minimum(entered, world.span.end - 1)),
        "区分": pick(["受注", "キャンセル"], sales.is_cancelled[order].astype(np.int64)),
        "商品コード": world.product(lines.product),
        "数量": pa.array(lines.quantity),
        "定価": pa.array(world.products.price[lines.product]),
        "値引額": pa.array(lines.discount),
        **_amount(lines.revenue),
        "原価": pa.array(world.products.cost[lines.product] * lines.quantity),
        "クーポン": pick(COUPONS, np.maximum(coupon, 0), np.isin(coupon, HAVE_CODE)),
        "元受注番号": pa.nulls(len(order), pa.string()),
    }


def _returned(world: World) -> Columns:
    """One row per line that came back; amounts and pieces bear no sign, as 区分 says that they are returns."""
    lines = world.lines
    rows = np.flatnonzero(lines.returned)
    order, pieces, product = lines.order[rows], lines.returned[rows], lines.product[rows]
    return {
        "受注番号": pc.binary_join_element_wise("R", world.order(order), ""),
        "行番号": pa.array(lines.nth[rows]),
        **_customer(world, order),
        "受注日時": world.instants(lines.returned_at[rows]),
        "登録日時": world.instants(lines.registered_at[rows]),
        "区分": _always("返品", len(rows)),
        "商品コード": world.product(product),
        "数量": pa.array(pieces),
        "定価": pa.array(world.products.price[product]),
        "値引額": _always(0, len(rows)),
        **_amount(lines.revenue[rows] * pieces // lines.quantity[rows]),
        "原価": pa.array(world.products.cost[product] * pieces),
        "クーポン": pa.nulls(len(rows), pa.string()),
        "元受注番号": world.order(order, lines.return_names_order[rows]),
    }


def _postage(world: World) -> Columns:
    """One row per order that paid postage: the shop writes it as a line whose code is no product."""
    yen = postage(world.sales, world.lines)
    order = np.flatnonzero((yen > 0) & ~world.sales.is_cancelled)
    n, at = len(order), world.instants(world.sales.at[order])
    return {
        "受注番号": world.order(order),
        "行番号": _always(99, n),
        **_customer(world, order),
        "受注日時": at,
        "登録日時": at,
        "区分": _always("受注", n),
        "商品コード": _always("SORYO", n),
        "数量": _always(1, n),
        "定価": pa.array(yen[order]),
        "値引額": _always(0, n),
        **_amount(yen[order]),
        "原価": _always(0, n),
        "クーポン": pa.nulls(n, pa.string()),
        "元受注番号": pa.nulls(n, pa.string()),
    }


def _customer(world: World, order: Ints) -> Columns:
    """Write whose order it is and how it came."""
    who = world.sales.who[order]
    return {
        "顧客番号": world.customer(who),
        "受注形態": pick(["通常", "定期"], world.sales.is_subscription[order].astype(np.int64)),
        "経路": pick(SHOPS_BY, world.people.shops_by[who]),
    }


def _amount(yen: Ints) -> Columns:
    """Write an amount with the consumption tax of 10 % inside it."""
    return {"金額税込": pa.array(yen), "内消費税": pa.array(yen // 11)}


def _always(value: str | int, n: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string() if isinstance(value, str) else pa.int64()), n)


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


def _subscriptions(world: World, rng: np.random.Generator) -> Columns:
    """One row per subscription (定期); most that ended were cancelled, some are paused."""
    s, days = world.history.subscribers, world.span.days
    who = np.flatnonzero(s.start < days)
    start, until, interval = s.start[who], s.until[who], s.interval[who]
    ended = until < days
    paused = ended & (rng.random(len(who)) < 0.15) & (world.people.dropout[who] > until)
    category = world.people.taste[who].argmax(axis=1)
    started = start * DAY + DAY - 60  # after the order it began with
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


def _shipments(world: World, rng: np.random.Generator) -> Columns:
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
