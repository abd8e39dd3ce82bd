"""Toy shops whose rows are drawn by Hypothesis or written by hand, and what is shared by the tests that use them."""

import csv
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from features.calendar import day_number
from features.door.ingest import Ledger, ingest
from features.door.mapping_file import parse_mapping
from features.home import Home
from features.shop import Shop, open_shop

EXAMPLES = float(os.environ.get("OKAERI_EXAMPLES", "1"))  # a long run is the same test with OKAERI_EXAMPLES=20
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = date(2024, 1, 1)  # a Monday; the day numbers of the toy worlds count from it

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]

COLUMNS = {
    "order_lines": (
        "order_id customer_id ordered_at product_id quantity revenue line_no returns_order_id discount coupon_id"
        " status order_type known_at"
    ),
    "products": "product_id category",
    "contacts": "contact_id decision_id customer_id at withheld known_at",
    "responses": "customer_id contact_id decision_id kind at known_at",
    "consents": "customer_id channel purpose granted at known_at",
    "customers": "customer_id signed_up_at member_no line_user_id attributes known_at",
    "shipments": "order_id shipped_at promised_at delivered_at known_at",
    "feedback": "customer_id kind source score order_id product_id opened_at closed_at known_at",
    "events": "customer_id alias_type alias at kind product_id known_at",
    "loyalty_events": "customer_id kind points at known_at",
    "subscriptions": "customer_id product_id started_at interval_days next_ship_on paused_at cancelled_at known_at",
}

LINKS = {  # who is who: only some toy shops have them
    "identities": "alias_type alias customer_id linked_at unlinked_at known_at",
}

HEAD = """
shop: toy
currency: JPY
tax: excluded
timezone: Asia/Tokyo
predict: {lookback_days: 56, min_order_days: 1}
tables:
"""


def examples(n: int) -> settings:
    """Run ``n`` examples, or ``n`` times ``OKAERI_EXAMPLES``."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    found = (Phase.explicit, Phase.reuse, Phase.generate)  # a history is read as it is: shrinking takes minutes
    return settings(max_examples=max(1, round(n * EXAMPLES)), deadline=None, suppress_health_check=slow, phases=found)


def mapping_text(tables: Iterable[str] = COLUMNS) -> bytes:
    """Write the mapping of a toy shop with these tables: every column is called as we call it."""
    blocks = []
    for table in tables:
        columns = ", ".join(f"{name}: {name}" for name in (COLUMNS | LINKS)[table].split())
        repeats = "    repeats: keep\n" if table in ("responses", "events", "loyalty_events") else ""
        blocks.append(f"  {table}:\n    source: {table}*.csv\n{repeats}    columns: {{{columns}}}\n")
    return (HEAD + "".join(blocks)).encode()


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> Path:
    """Write rows as CSV; a column that a row lacks is empty, a name that is no column is left out."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def at(day: int, hour: float = 12) -> str:
    """Write the local time of an hour of the toy world's day ``day``.

    >>> at(31, 9.5)
    '2024-02-01 09:30:00'
    """
    return str(datetime.combine(FIRST, time()) + timedelta(days=day, hours=hour))


def instant(day: int) -> datetime:
    """Give the first instant of the toy world's day ``day``, in Tokyo."""
    return datetime.combine(FIRST, time(), tzinfo=UTC) + timedelta(days=day, hours=-9)


def number(day: int) -> int:
    """Give the day number (since 1970) of the toy world's day ``day``."""
    return day_number(FIRST) + day


class Toy:
    """A home in a folder of its own with one toy shop, fed load by load."""

    def __init__(self, folder: Path, tables: Iterable[str] = COLUMNS, mapping: bytes | None = None) -> None:
        self.folder, self.tables = folder, tuple(tables)
        self.mapping = mapping or mapping_text(self.tables)
        self.home = Home.open(folder / "home")
        self.count = itertools.count()

    def files(self, rows: Tables) -> list[Path]:
        """Write one file for each table that has rows, in a folder of its own."""
        folder = self.folder / f"files-{next(self.count)}"
        folder.mkdir()
        named = [(t, list(rows.get(t, ()))) for t in self.tables]
        return [write_csv(folder / f"{t}.csv", (COLUMNS | LINKS)[t].split(), found) for t, found in named if found]

    def load(self, rows: Tables) -> Ledger:
        """Ingest rows as one load."""
        return self.take(self.files(rows))

    def take(self, files: Sequence[Path], **options: Any) -> Ledger:
        """Ingest files as one load."""
        mapping = parse_mapping(self.mapping, "shop.yaml")
        return ingest(self.home, mapping, self.mapping, files, options.pop("now", NOW), **options)

    @property
    def shop(self) -> Shop:
        return open_shop(self.home, "toy")


def lake_rows(shop: Shop, table: str, order: str) -> pd.DataFrame:
    """Read all rows of one of the lake's tables."""
    parts = [str(path) for path in shop.parts(table)]
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        return con.execute(f"SELECT * FROM read_parquet(?) ORDER BY {order}", [parts]).df()


# ---- histories: few customers, products and days, so that rows meet; days lie on and beside the edges of windows

AS_OF = (30, 60, 120, 200, 400, 520)  # the days at which drawn histories are looked at
EDGES = sorted(
    {a - w + e for a in AS_OF for w in (0, 1, 7, 14, 28, 56, 91, 182, 336, 364, 365) for e in (-1, 0, 1)}
    & {*range(520)}
)
DAYS = st.sampled_from(EDGES) | st.integers(0, 519)
DELAYS = st.sampled_from([None, None, None, 0, 1, 3, 30])  # days until known; None: the source does not say
CUSTOMERS = st.sampled_from(["a", "a", "b", "c", "d", "e", ""])  # "" is a guest
PRODUCTS = st.sampled_from(["p1", "p2", "p3", "p4", "p5"])
HOURS = st.sampled_from([0, 0.5, 5.9, 6, 11.9, 12, 18, 23.9])


def known_at(day: int, delay: int | None) -> str:
    return "" if delay is None else at(day + delay, 23.99)


@st.composite
def order_rows(draw: st.DrawFn, order: str) -> list[dict[str, Any]]:
    """Draw one order with its lines, and the returns that follow it, of which some name it."""
    customer, day, hour = draw(CUSTOMERS), draw(DAYS), draw(HOURS)
    order_type = draw(st.sampled_from(["", "", "one_off", "subscription"]))
    rows = []
    for n in range(draw(st.sampled_from([1, 1, 1, 2, 3, 4, 10]))):
        late = draw(st.sampled_from([0, 0, 0, 0, 1, 40]))  # a line added to the order on a later day
        rows.append(
            {
                "order_id": order,
                "customer_id": customer,
                "ordered_at": at(day + late, hour),
                "product_id": draw(PRODUCTS),
                "quantity": draw(st.sampled_from([1, 1, 2, 0.5])),
                "revenue": draw(st.sampled_from(["0", "0.1", "0.25", "9.9999", "120"])),
                "line_no": n,
                "discount": draw(st.sampled_from(["", "", "0", "0.5", "30.3"])),
                "coupon_id": draw(st.sampled_from(["", "", "spring"])),
                "status": draw(st.sampled_from(["", "ok", "ok", "cancelled", "returned"])),
                "order_type": order_type,
                "known_at": known_at(day + late, draw(DELAYS)),
            }
        )
    for n in range(draw(st.sampled_from([0, 0, 1, 1, 2]))):
        line, back = draw(st.sampled_from(rows)), day + draw(st.sampled_from([0, 1, 29, 91, 120]))
        rows.append(
            line
            | {
                "order_id": draw(st.sampled_from([order, f"{order}-back"])),
                "returns_order_id": draw(st.sampled_from([order, order, ""])),
                "ordered_at": at(back, hour),
                "quantity": -draw(st.sampled_from([0.5, 1, 2, 20])),
                "revenue": "-" + draw(st.sampled_from(["0.1", "0.25", "120"])),
                "line_no": f"r{n}",
                "discount": "",
                "known_at": known_at(back, draw(DELAYS)),
            }
        )
    return rows


@st.composite
def dated(draw: st.DrawFn, **columns: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Draw one row with a customer, a time and perhaps the time it became known."""
    day, hour = draw(DAYS), draw(HOURS)
    row = {name: draw(column) for name, column in columns.items()}
    return {
        "customer_id": draw(CUSTOMERS.filter(bool)),
        "at": at(day, hour),
        "known_at": known_at(day, draw(DELAYS)),
        **row,
    }


KINDS = st.sampled_from(
    ["delivered", "open", "click", "redeem", "redeem", "unsubscribe", "block", "bounce", "complaint"]
)
CHANNELS = st.sampled_from(["email", "line", "push", "sms", "postal", "phone", "web"])
PURPOSES = st.sampled_from(["marketing", "marketing", "personalise", "train"])
PAGE_KINDS = st.sampled_from(["view", "view", "cart", "search", "wishlist"])
SAID = st.sampled_from(["csat", "csat", "nps", "review", "ticket", "ticket", "return_request"])
POINTS = st.sampled_from(
    ["earn_order", "earn_review", "earn_referral", "redeem", "redeem", "expire", "tier_up", "tier_down"]
)
CATEGORIES = {"p1": "tea > green", "p2": "tea", "p3": "cups > glass > small", "p4": "", "p5": "cups"}


def content(row: Row) -> tuple[Any, ...]:
    """Give what makes two rows the same row: all but when it became known."""
    return tuple(value for name, value in row.items() if name != "known_at")


@st.composite
def told(draw: st.DrawFn, row: dict[str, Any], began: int, **ends: st.SearchStrategy[Any]) -> list[dict[str, Any]]:
    """Tell of a thing that began on a day once or twice: the second word may bring its end, and be late or not."""
    words = []
    for _ in range(draw(st.sampled_from([1, 2, 2]))):
        after = {name: draw(days) for name, days in ends.items()}
        ended = {name: "" if days is None else at(began + days, 15) for name, days in after.items()}
        words.append({**row, **ended, "known_at": known_at(began, draw(DELAYS))})
    return list({content(word): word for word in words}.values())


ENDS = st.sampled_from([None, None, 1, 3, 10, 40])  # days after a thing began


@st.composite
def parcel_rows(draw: st.DrawFn, orders: Sequence[str]) -> list[dict[str, Any]]:
    """Draw what is told of one parcel: promised or not, delivered early, late or never; of an order or of none."""
    day = draw(DAYS)
    promised = draw(st.sampled_from([None, 2, 3, 3]))
    row = {
        "order_id": draw(st.sampled_from([*orders, "nobody's"])),
        "shipped_at": at(day, 10),
        "promised_at": "" if promised is None else at(day + promised, 21),
    }
    return draw(told(row, day, delivered_at=ENDS))


@st.composite
def said_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw what is told of one review, answer, ticket or request."""
    day, score = draw(DAYS), draw(st.sampled_from(["", "1", "3", "5"]))
    row = {"customer_id": draw(CUSTOMERS.filter(bool)), "kind": draw(SAID), "score": score, "opened_at": at(day, 11)}
    return draw(told(row, day, closed_at=ENDS))


@st.composite
def subscription_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw what is told of one subscription: paused, ended, neither or both."""
    day = draw(DAYS)
    row = {
        "customer_id": draw(CUSTOMERS.filter(bool)),
        "product_id": draw(PRODUCTS),
        "started_at": at(day, 8),
        "interval_days": draw(st.sampled_from(["", 30, 60])),
        "next_ship_on": draw(st.sampled_from(["", at(day + 30, 0)[:10], at(day + 400, 0)[:10]])),
    }
    return draw(told(row, day, paused_at=ENDS, cancelled_at=ENDS))


@st.composite
def histories(draw: st.DrawFn, most: int = 24) -> dict[str, list[dict[str, Any]]]:
    """Draw a whole shop: orders with returns, guests and late rows; and something of every other table."""
    orders = draw(st.integers(1, most))
    links = {"decision_id": st.sampled_from(["", "d1", "d2"])}
    contacts = draw(st.lists(dated(withheld=st.sampled_from(["", "", "false", "true"]), **links), max_size=6))
    messages = st.sampled_from(["", "", *(f"m{n}" for n in range(6))])
    responses = draw(st.lists(dated(kind=KINDS, contact_id=messages, **links), max_size=6, unique_by=content))
    for row in responses:
        if draw(st.booleans()) and (row["contact_id"] or row["decision_id"]):
            row["customer_id"] = ""
    words = dated(channel=CHANNELS, purpose=PURPOSES, granted=st.sampled_from(["true", "false"]))
    lines = [row for n in range(orders) for row in draw(order_rows(f"o{n}"))]
    pages = dated(kind=PAGE_KINDS, product_id=PRODUCTS | st.just(""))
    points = dated(kind=POINTS, points=st.sampled_from(["", "10", "-10", "2.5"]))
    signed_up = {c: draw(DAYS) for c in "abz"}

    def things(rows: st.SearchStrategy[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        found = [row for one in draw(st.lists(rows, max_size=4)) for row in one]
        return list({content(row): row for row in found}.values())

    return {
        "order_lines": lines,
        "products": [{"product_id": p, "category": c} for p, c in CATEGORIES.items()],
        "contacts": [{"contact_id": f"m{n}", **row} for n, row in enumerate(contacts)],
        "responses": responses,
        "consents": draw(st.lists(words, max_size=8, unique_by=content)),
        "customers": [
            {"customer_id": c, "signed_up_at": at(day), "attributes": "likes tea"} for c, day in signed_up.items()
        ],
        "shipments": things(parcel_rows([f"o{n}" for n in range(orders)])),
        "feedback": things(said_rows()),
        "events": draw(st.lists(pages, max_size=10, unique_by=content)),
        "loyalty_events": draw(st.lists(points, max_size=8, unique_by=content)),
        "subscriptions": things(subscription_rows()),
    }


HAPPENED = ("ordered_at", "at", "signed_up_at", "shipped_at", "opened_at", "started_at")


def known_before(rows: Tables, day: int) -> dict[str, list[Row]]:
    """Keep the rows that happened and were known before the toy world's day ``day``; facts without a time stay."""
    limit = at(day, 0)

    def is_known(row: Row) -> bool:
        happened = next((str(row[name]) for name in HAPPENED if row.get(name)), "")
        return max(happened, str(row.get("known_at") or "")) < limit

    return {table: [row for row in found if is_known(row)] for table, found in rows.items()}
