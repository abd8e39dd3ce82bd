"""The lake's tables as they were known at one or several days: what the relations are made of.

A row counts at the start of business day t if it happened before t and was known before t. An instant inside
a row (delivered, closed, cancelled) is a fact of its own: its day stands beside it, and a relation lets it
count only once that day is over, because an export carries the state of the night it was written.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from features.messages import contacts_sql, responses_sql
from features.shop import Shop
from features.sql import sql_paths

KEYS = ["as_of_day", "customer_id"]
RESPONSE_KINDS = ("delivered", "open", "click", "redeem", "unsubscribe", "block", "bounce", "complaint")
WHOSE = ("customer_id", "alias_type", "alias")  # a page event may name an alias alone; the frame finds its holder
EVENT_COUNTS = {"view": "views", "cart": "carts", "search": "searches", "wishlist": "wishlists"}
ALWAYS = -(1 << 20)  # a day before all others: of a customer whose list does not say since when


@dataclass(frozen=True)
class Known:
    """A shop's tables at each ``as_of_day``; calling it with a name gives that table's rows with ``as_of_day``."""

    table: Callable[[str], ir.Table]
    tables: frozenset[str]  # the canonical tables the shop has brought
    lookback_days: int

    def __call__(self, name: str) -> ir.Table:
        return self.table(name)


def aged(table: ir.Table) -> ir.Table:
    """Add ``age``: whole days from the row's day to ``as_of_day``, >= 1."""
    return table.mutate(age=table.as_of_day - table.day)


@dataclass(frozen=True)
class Lake:
    """A shop's Parquet files as Ibis reads them."""

    con: ibis.BaseBackend
    shop: Shop

    def read(self, table: str, **days: str) -> ir.Table:
        """Read a canonical or additive table; each of ``days`` names an instant (SQL) whose business day is added."""
        added = "".join(f", {self.shop.calendar.sql_day(instant)} AS {name}" for name, instant in days.items())
        paths = sql_paths(self.shop.parts(table))
        view = "_".join(("lake", table, *days))
        self.con.raw_sql(
            f"CREATE OR REPLACE TEMP VIEW {view} AS SELECT *{added} FROM read_parquet({paths}, filename = true,"
            " union_by_name = true)"
        )
        return self.con.table(view)

    def selected(self, name: str, sql: str | None) -> ir.Table:
        """Give the rows of a query over the shop's files."""
        view = f"lake_all_{name}"
        self.con.raw_sql(f"CREATE OR REPLACE TEMP VIEW {view} AS {sql}")
        return self.con.table(view)

    def table(self, name: str) -> ir.Table:
        """Give the rows behind a relation, with their ``customer_id``, ``day`` and ``known_on``."""
        return TABLES[name](self) if name in TABLES else self.read(name).drop("filename")


def category_days(lake: Lake) -> ir.Table:
    """Product days with the product's top category; of several words on a product the newest load's stands."""
    products = lake.read("products")  # the folders of loads sort by their number
    newest: Any = ibis.window(group_by="product_id", order_by=ibis.desc("filename"))
    products = products.mutate(nth_last=ibis.row_number().over(newest), category=products.category.split(" > ")[0])
    top = products.filter(products.nth_last == 0)[["product_id", "category"]]
    return lake.table("product_days").inner_join(top.filter(top.category.notnull()), "product_id")


def contact_days(lake: Lake) -> ir.Table:
    """Messages that were sent, not withheld."""
    contacts = lake.selected("contacts", contacts_sql(lake.shop))
    contacts = contacts.filter(~contacts.withheld.fill_null(False))
    return contacts.group_by(["customer_id", "day", "known_on"]).aggregate(contacts=contacts.count())


def response_days(lake: Lake) -> ir.Table:
    """Reactions by kind. One without a customer is that of the message it names, known once both are."""
    rows = lake.selected("responses", responses_sql(lake.shop))
    if sent := contacts_sql(lake.shop):
        for link in ("contact_id", "decision_id"):
            rows = _to_customer(rows, lake.selected("contacts", sent), link)
    rows = rows.filter(rows.customer_id.notnull())
    counts = {kind: (rows.kind == kind).sum() for kind in RESPONSE_KINDS}
    return rows.group_by(["customer_id", "day", "known_on"]).aggregate(**counts)


def _to_customer(rows: ir.Table, contacts: ir.Table, link: str) -> ir.Table:
    named = contacts.filter(contacts[link].notnull()).group_by(link)
    named = named.aggregate(of=contacts.customer_id.min(), told_on=contacts.known_on.min())
    joined = rows.left_join(named, link)
    known_on = ibis.ifelse(joined.customer_id.isnull() & joined.of.notnull(), joined.told_on, joined.known_on)
    joined = joined.mutate(
        customer_id=ibis.coalesce(joined.customer_id, joined.of), known_on=ibis.greatest(joined.known_on, known_on)
    )
    return joined.select(*rows.columns)


def event_days(lake: Lake) -> ir.Table:
    """Page events by kind."""
    events = lake.read("events")
    counts = {name: (events.kind == kind).sum() for kind, name in EVENT_COUNTS.items()}
    return events.group_by([*WHOSE, "day", "known_on"]).aggregate(**counts)


def viewed_products(lake: Lake) -> ir.Table:
    """Which products were looked at."""
    events = lake.read("events")
    events = events.filter(events.product_id.notnull() & (events.kind == "view"))
    return events[[*WHOSE, "product_id", "day", "known_on"]].distinct()


def parcels(lake: Lake) -> ir.Table:
    """Words on parcels. A parcel belongs to the customer of its order's lines, and is known once both are."""
    words = lake.read("shipments", promised_day="promised_at", delivered_day="delivered_at")
    lines = lake.read("order_lines")
    lines = lines.filter(lines.customer_id.notnull())
    orders = lines.group_by("order_id").aggregate(customer_id=lines.customer_id.min(), ordered_on=lines.known_on.min())
    words = words.inner_join(orders, "order_id")
    return words.mutate(known_on=ibis.greatest(words.known_on, words.ordered_on))


def feedback(lake: Lake) -> ir.Table:
    """Words on reviews, survey answers, tickets and requests to return something."""
    return lake.read("feedback", closed_day="closed_at").drop("filename")


def loyalty_days(lake: Lake) -> ir.Table:
    """Points and tier moves; what is used or expires counts as points whatever its sign."""
    rows = lake.read("loyalty_events")
    points = rows.points.fill_null(0)
    is_earned = rows.kind.startswith("earn_")
    is_other = is_earned & (rows.kind != "earn_order")
    return rows.group_by(["customer_id", "day", "known_on"]).aggregate(
        earned=points.sum(where=is_earned).fill_null(0),
        used=points.abs().sum(where=rows.kind == "redeem").fill_null(0),
        expired=points.abs().sum(where=rows.kind == "expire").fill_null(0),
        other_earnings=is_other.sum(),
        redemptions=(rows.kind == "redeem").sum(),
        tier_ups=(rows.kind == "tier_up").sum(),
        tier_downs=(rows.kind == "tier_down").sum(),
    )


def subscriptions(lake: Lake) -> ir.Table:
    """Words on subscriptions, their days beside them."""
    words = lake.read("subscriptions", paused_day="paused_at", cancelled_day="cancelled_at")
    return words.mutate(next_ship_day=words.next_ship_on.epoch_days()).drop("filename")


def customers(lake: Lake) -> ir.Table:
    """The customer list: who is on it, and since when as far as it says."""
    rows = lake.read("customers", since="coalesce(known_at, signed_up_at)")
    since = rows.group_by("customer_id").aggregate(day=rows.since.fill_null(ALWAYS).min())
    return since.mutate(known_on=since.day)


TABLES: dict[str, Callable[[Lake], ir.Table]] = {
    "category_days": category_days,
    "contact_days": contact_days,
    "response_days": response_days,
    "event_days": event_days,
    "viewed_products": viewed_products,
    "parcels": parcels,
    "feedback": feedback,
    "loyalty_days": loyalty_days,
    "subscriptions": subscriptions,
    "customers": customers,
}
