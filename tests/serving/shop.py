"""A generated shop for the floor of answers: 700 customers over a year, and nine whose story is told by hand.

Most have a rhythm of their own and leave some day; many never come back after one order. Two thirds agreed to
mail, some refused it, some refused to be personalised to, the others were never asked.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from features.calendar import day_number
from features.door.ingest import Ledger, ingest
from features.door.mapping_file import parse_mapping
from features.home import Home
from features.shop import Shop, open_shop
from serving.policy.reading import DEFAULT, load_policy

MACHINE_NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = date(2024, 1, 1)
NIGHT = 364  # days after FIRST: the shop's clock, and the night that is published
D = day_number(FIRST) + NIGHT
LAST = NIGHT + 6  # the files know six days more, for the nights that follow
N = 700
POLICY = (load_policy(), DEFAULT.read_bytes())

MAPPING = b"""
shop: cha
currency: JPY
tax: included
language: en
timezone: Asia/Tokyo
day_starts_at: "05:00"
clock: 2024-12-30
predict: {horizon_days: 28, lookback_days: 56, min_order_days: 2}
tables:
  order_lines:
    source: orders*.csv
    columns:
      {order_id: o, customer_id: c, ordered_at: t, product_id: p, quantity: q, revenue: r, discount: d,
       returns_order_id: b}
  customers:
    source: customers*.csv
    columns: {customer_id: c, region: region, tier: tier, points: points, points_expire_on: expire}
  consents:
    source: consents*.csv
    columns: {customer_id: c, channel: channel, purpose: purpose, granted: granted, at: t}
"""
ORDERS = "o,c,t,p,q,r,d,b\n"
CONSENTS = "c,channel,purpose,granted,t\n"

# Days before the published night on which the customers told by hand ordered a tea of their own.
TOLD = {
    "weekly": range(5, 190, 7),  # due for the next one in two days
    "once": [40],
    "twice": [60, 30],
    "thrice": [50, 30, 20],
    "dormant": [121, 131, 141, 151],
    "lapsed": [241, 251, 261, 271],
    "refuses_mail": range(35, 200, 7),
    "refuses_personal": range(36, 200, 7),
    "once_refuses_personal": [41],
}
GAVE_BACK = "gave_back"  # the only order went back whole: a customer without a kept order
PROSPECT = "prospect"  # on the shop's list and nowhere else
NEVER_ASKED = "never_asked"
LATE = "late"  # agreed to everything, at risk
TOLD |= {NEVER_ASKED: range(37, 200, 7), LATE: range(33, 200, 7)}


CALENDAR = parse_mapping(MAPPING, "shop.yaml").calendar


def start(day: int) -> float:
    """Give the second since 1970 at which a business day (since 1970) begins."""
    return CALENDAR.start(day).timestamp()


def at(day: int, minute: int = 720) -> str:
    """Write the local time of a minute of business day ``day`` (after FIRST), which begins at 05:00."""
    return f"{datetime(FIRST.year, FIRST.month, FIRST.day, 5) + timedelta(days=day, minutes=minute):%Y-%m-%d %H:%M:%S}"


def order_lines() -> Iterator[str]:
    """Write the order lines: everyone has a rate, a spend and a taste of their own; six in ten leave some day."""
    person = np.random.default_rng(1)
    rate = person.gamma(1.2, 1 / 22, N) + 1 / 150
    spend = person.gamma(4.0, 400.0, N)
    joins = person.integers(0, 300, N)
    leaves = np.where(person.random(N) < 0.6, joins + person.integers(1, 400, N), 10**6)
    leaves[person.random(N) < 0.12] = 0  # one order, no more
    for day in range(LAST):
        today = np.random.default_rng([1, day])
        buys = (today.random(N) < rate) & (joins < day) & (day < leaves) | (joins == day)
        minute, size = today.integers(0, 1440, N), today.integers(1, 4, N)
        worth, product, promo = today.gamma(3.0, 1 / 3, (N, 3)), today.integers(0, 40, (N, 3)), today.random(N) < 0.2
        for c in np.flatnonzero(buys):
            for k in range(size[c]):
                revenue, tea = spend[c] * worth[c, k], (product[c, k] // 4 + c) % 40
                discount = f"{revenue * 0.1:.0f}" if promo[c] else ""
                yield f"o{day}-{c},c{c:04d},{at(day, int(minute[c]))},p{tea:02d},{k + 1},{revenue:.0f},{discount},\n"
    for name, ago in TOLD.items():
        for days in ago:
            yield f"{name}-{days},{name},{at(NIGHT - days)},tea-of-{name[:4]},1,1000,,\n"
    yield f"g1,{GAVE_BACK},{at(NIGHT - 20)},p01,1,1000,,\n"
    yield f"g2,{GAVE_BACK},{at(NIGHT - 15)},p01,-1,-1000,,g1\n"


def consents() -> Iterator[str]:
    """Write who agreed to what before the files' first order."""
    drawn = np.random.default_rng(2).random((N, 2))
    for c in range(N):
        if drawn[c, 0] < 0.8:
            yield f"c{c:04d},email,marketing,{'true' if drawn[c, 0] < 0.66 else 'false'},{at(-1)}\n"
        if drawn[c, 1] < 0.5:
            yield f"c{c:04d},email,personalise,{'false' if drawn[c, 1] < 0.04 else 'true'},{at(-1)}\n"
    for name in (*TOLD, GAVE_BACK):
        if name != NEVER_ASKED:
            yield f"{name},email,marketing,{'false' if name == 'refuses_mail' else 'true'},{at(-1)}\n"
            yield f"{name},email,personalise,{'false' if 'refuses_personal' in name else 'true'},{at(-1)}\n"


def write_files(folder: Path) -> list[Path]:
    """Write the shop's three files as it would send them."""
    folder.mkdir(parents=True, exist_ok=True)
    customers = [f"c{c:04d},{'kanto' if c % 3 else 'kansai'},,,\n" for c in range(N)]
    customers += ["weekly,kanto,gold,1250.5,2025-03-31\n", f"{PROSPECT},kansai,regular,,\n"]
    for name, head, rows in (
        ("orders.csv", ORDERS, order_lines()),
        ("customers.csv", "c,region,tier,points,expire\n", customers),
        ("consents.csv", CONSENTS, consents()),
    ):
        (folder / name).write_text(head + "".join(rows), encoding="utf-8")
    (folder / "shop.yaml").write_bytes(MAPPING)
    return sorted(folder.glob("*.csv"))


def take_in(home: Home, files: list[Path]) -> Ledger:
    """Ingest files of the shop as one load."""
    return ingest(home, parse_mapping(MAPPING, "shop.yaml"), MAPPING, files, MACHINE_NOW)


def opened(home: Home) -> Shop:
    return open_shop(home, "cha")
