"""The export's tables of care: what customers say, their points, and the customer list that shows both."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.simulate.catalogue import CHANNELS, EMAIL, LINE
from features.simulate.people import Bools, Floats, Ints
from features.simulate.span import DAY
from features.simulate.world import Columns, Tables, World, by_customer, pick

CSAT, NPS, REVIEW, TICKET, RETURN = range(5)
KINDS = ("満足度調査", "推奨度調査", "レビュー", "問い合わせ", "返品申請")
ASKED_FOR = {CSAT: 0.12, NPS: 0.04, REVIEW: 0.05}  # chance an order is followed by one
TICKET_AFTER_LATE, TICKET_ELSE = 0.35, 0.02
POINTS_PER_YEN, REVIEW_POINTS, REDEEMS, EXPIRE_DAYS = 0.01, 50, 0.12, 365
TIERS = ((0, "regular"), (20_000, "silver"), (50_000, "gold"), (100_000, "platinum"))  # policy-sample.yaml
PREFECTURES = ("東京都", "神奈川県", "大阪府", "愛知県", "埼玉県", "福岡県", "北海道", "京都府")
SKIN = ("乾燥肌", "脂性肌", "混合肌", "敏感肌", "普通肌")


@dataclass
class Feedback:
    """Rows of feedback by order; ``score`` is NaN and ``line`` -1 where there is none."""

    kind: Ints
    order: Ints
    line: Ints
    score: Floats
    opened: Ints
    closed: Ints  # at or beyond the span's end: still open


def care(world: World, rng: np.random.Generator) -> Tables:
    """Write feedback, points and the customers as the shop sees them on the last day."""
    said = _listen(world, rng)
    loyalty, points = _loyalty(world, rng, said)
    return {"feedback": _feedback(world, said), "loyalty_events": loyalty, "customers": _customers(world, rng, points)}


def _listen(world: World, rng: np.random.Generator) -> Feedback:
    """Ask after parcels that arrived; who waited too long is unhappy and often writes in."""
    sales, end = world.sales, world.span.end
    came = np.flatnonzero(~sales.is_cancelled & ~sales.is_subscription)
    late = sales.delivered[came] > sales.day[came] + 3
    first_line = np.searchsorted(world.lines.order, came)
    parts = [
        _answers(rng, CSAT, came, late, first_line, world, 2, 4),
        _answers(rng, NPS, came, late, first_line, world, 14, 21),
        _answers(rng, REVIEW, came, late, first_line, world, 14, 30),
        _tickets(rng, came, late, world),
        _return_requests(world),
    ]
    fields = [np.concatenate([getattr(part, name) for part in parts]) for name in Feedback.__annotations__]
    kept = fields[4] < end
    return Feedback(*(values[kept] for values in fields))


def _answers(
    rng: np.random.Generator, kind: int, came: Ints, late: Bools, line: Ints, world: World, soonest: int, latest: int
) -> Feedback:
    """Draw answers to a survey, or reviews, some days after delivery."""
    replied = rng.random(len(came)) < ASKED_FOR[kind]
    order, late, line = came[replied], late[replied], line[replied]
    n = len(order)
    at = (world.sales.delivered[order] + rng.integers(soonest, latest, n)) * DAY + rng.integers(9 * 3600, 23 * 3600, n)
    best = 10 if kind == NPS else 5
    lost = rng.binomial(4, np.where(late, 0.65, 0.15)) * (2 if kind == NPS else 1)
    return Feedback(np.full(n, kind), order, np.where(kind == REVIEW, line, -1), (best - lost).astype(float), at, at)


def _tickets(rng: np.random.Generator, came: Ints, late: Bools, world: World) -> Feedback:
    asks = rng.random(len(came)) < np.where(late, TICKET_AFTER_LATE, TICKET_ELSE)
    order = came[asks]
    n = len(order)
    opened = (world.sales.day[order] + 3 + rng.integers(1, 3, n)) * DAY + rng.integers(9 * 3600, 20 * 3600, n)
    closed = opened + (rng.gamma(2, 0.8, n) * DAY).astype(np.int64) + 1800
    return Feedback(np.full(n, TICKET), order, np.full(n, -1), np.full(n, np.nan), opened, closed)


def _return_requests(world: World) -> Feedback:
    lines = world.lines
    rows = np.flatnonzero(lines.returned)
    opened, none = lines.returned_at[rows] - 2 * DAY, np.full(len(rows), np.nan)
    return Feedback(np.full(len(rows), RETURN), lines.order[rows], rows, none, opened, lines.registered_at[rows])


def _feedback(world: World, said: Feedback) -> Columns:
    """One row per review, survey answer, ticket or request to return something."""
    who = world.sales.who[said.order]
    source = np.where(world.people.is_line_friend[who], LINE, EMAIL)
    product = world.lines.product[np.maximum(said.line, 0)] if len(world.lines.order) else said.line
    is_answer = said.kind <= REVIEW
    return {
        "顧客番号": world.customer(who),
        "種別": pick(KINDS, said.kind),
        "媒体コード": pick(list(CHANNELS), source),
        "評点": pa.array(np.where(is_answer, said.score, 0).astype(np.int64), mask=~is_answer),
        "受注番号": world.order(said.order),
        "商品コード": world.product(product, said.line >= 0),
        "受付日時": world.instants(said.opened),
        "完了日時": world.instants(said.closed, ~is_answer & (said.closed < world.span.end)),
    }


def _loyalty(world: World, rng: np.random.Generator, said: Feedback) -> tuple[Columns, Ints]:
    """One row per movement of points, and the balance they leave: a customer redeems all that orders have earned."""
    sales, n = world.sales, len(world.people)
    earned = (world.total * POINTS_PER_YEN).astype(np.int64)
    before = np.cumsum(earned) - earned
    before -= before[np.searchsorted(sales.who, sales.who)]  # earned by the customer's earlier orders
    redeems = np.flatnonzero((rng.random(len(sales)) < REDEEMS) & ~sales.is_cancelled & ~sales.is_subscription)
    who = sales.who[redeems]
    again = np.r_[False, who[1:] == who[:-1]] if len(who) else who > 0
    spent = before[redeems] - np.where(again, np.r_[0, before[redeems][:-1]], 0) if len(who) else who
    redeems, who, spent = redeems[spent > 0], who[spent > 0], spent[spent > 0]
    earns, reviews = np.flatnonzero(earned), said.order[said.kind == REVIEW]
    rows = np.concatenate([earns, redeems, reviews])
    kind = np.repeat([0, 1, 2], [len(earns), len(redeems), len(reviews)])
    points = np.concatenate([earned[earns], -spent, np.full(len(reviews), REVIEW_POINTS)])
    at = np.concatenate([sales.at[earns] + 1, sales.at[redeems], said.opened[said.kind == REVIEW] + 1])
    kept = at < world.span.end
    rows, kind, points, at = rows[kept], kind[kept], points[kept], at[kept]
    table = {
        "顧客番号": world.customer(sales.who[rows]),
        "内容": pick(["購入付与", "利用", "レビュー付与"], kind),
        "ポイント": pa.array(points),
        "発生日時": world.instants(at),
    }
    return table, by_customer(points, sales.who[rows], n)


def _customers(world: World, rng: np.random.Generator, points: Ints) -> Columns:
    """One row per member, prospects included, as the shop's list stands at the end."""
    people, sales, span = world.people, world.sales, world.span
    n = len(people)
    recent = np.where(sales.day >= span.days - 365, world.total, 0)
    tier = np.searchsorted([edge for edge, _ in TIERS], by_customer(recent, sales.who, n), side="right") - 1
    last = np.full(n, -1)
    np.maximum.at(last, sales.who, sales.day)
    birth_month, birth_day = rng.integers(1, 13, n), rng.integers(1, 29, n)
    skin, age = rng.integers(0, len(SKIN), n), rng.choice([20, 30, 40, 50, 60], n, p=[0.2, 0.3, 0.28, 0.15, 0.07])
    attributes = [f"{SKIN[s]}; {a}代" for s, a in zip(skin.tolist(), age.tolist(), strict=True)]
    birthdays = [f"{m:02d}-{d:02d}" for m, d in zip(birth_month.tolist(), birth_day.tolist(), strict=True)]
    return {
        "顧客番号": world.customer_ids,
        "会員登録日時": world.instants(people.signed_up),
        "誕生日": pa.array(birthdays),
        "都道府県": pick(PREFECTURES, rng.integers(0, len(PREFECTURES), n)),
        "会員ランク": pick([name for _, name in TIERS], tier),
        "保有ポイント": pa.array(points),
        "ポイント期限": world.dates(last + EXPIRE_DAYS, (points > 0) & (last >= 0)),
        "LINE_ID": pick(world.line_ids, np.arange(n), people.is_line_friend),
        "会員番号": pa.array(world.member_numbers),
        "属性": pa.array(attributes),
    }
