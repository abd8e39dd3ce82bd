"""The additive table behind every feature: one row per customer, day it happened and day it became known.

A late line, a return or a cancellation is a new row, never an update. What was known at the start of
business day t is the sum of the rows with ``day < t`` and ``known_on < t``, so any past instant can be
seen again exactly as it was, and a new load costs what it brings.
"""

from pathlib import Path

import duckdb

from features.calendar import BusinessCalendar
from features.shop import Shop

# Local hours at which the four parts of a day begin: night, morning, afternoon, evening.
DAYPARTS = {"night": 0, "morning": 6, "afternoon": 12, "evening": 18}


FACTS = ("day", "hour", "no_discount", "no_coupon", "one_off")


def write(con: duckdb.DuckDBPyConnection, staged: Path, before: Shop | None, calendar: BusinessCalendar) -> None:
    """Write what a load adds: ``days.parquet`` (customer, day, known_on) and ``product_days.parquet``.

    Orders the load touches again are rebuilt from all their lines; the difference to what stood before
    is what is written, exactly, since every column is a sum of integers or decimals.
    """
    new = staged / "order_lines.parquet"
    if not new.exists():
        return
    old = before.parts("order_lines") if before else []
    con.execute(f"CREATE OR REPLACE TEMP TABLE old_lines AS {_lines(_touched(old, new), calendar)}")
    every = _lines(f"FROM '{new}'", calendar)
    con.execute(f"CREATE OR REPLACE TEMP TABLE all_lines AS {every}")
    con.execute("INSERT INTO all_lines FROM old_lines")
    for name, build in (("days", customer_days), ("product_days", product_days)):
        keys, sums, after = build("all_lines")
        rows = f"SELECT 1 AS sign, * FROM ({after})"
        if old:
            rows += f" UNION ALL BY NAME SELECT -1 AS sign, * FROM ({build('old_lines')[2]})"
        grouped = ", ".join(keys)
        con.execute(
            f"COPY (SELECT {grouped}, {', '.join(f'sum(sign * {s})::{kind} AS {s}' for s, kind in sums.items())}"
            f" FROM ({rows}) GROUP BY {grouped}"
            f" HAVING {' OR '.join(f'sum(sign * {s}) <> 0' for s in sums)} ORDER BY {grouped})"
            f" TO '{staged / name}.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )


def _touched(old: list[Path], new: Path) -> str:
    """Select the lines known before that belong to orders the new lines name."""
    if not old:
        return f"FROM '{new}' WHERE false"
    return (
        f"FROM read_parquet({[str(path) for path in old]}) WHERE coalesce(returns_order_id, order_id) IN"
        f" (SELECT coalesce(returns_order_id, order_id) FROM '{new}')"
    )


def _lines(source: str, calendar: BusinessCalendar) -> str:
    """Name each customer's lines by the order they count for; a cancelled line counts for nothing."""
    return f"""
        SELECT customer_id, coalesce(returns_order_id, order_id) AS the_order, product_id, day, known_on, quantity,
               CASE WHEN status = 'cancelled' THEN 0 ELSE quantity END AS net_quantity,
               CASE WHEN status = 'cancelled' THEN 0 ELSE revenue END AS net_revenue,
               CASE WHEN status = 'cancelled' THEN 0 ELSE coalesce(discount, 0) END AS net_discount,
               {calendar.sql_hour("ordered_at")} AS hour,
               (coalesce(discount, 0) <= 0)::BIGINT AS no_discount, (coupon_id IS NULL)::BIGINT AS no_coupon,
               (coalesce(order_type, 'one_off') = 'one_off')::BIGINT AS one_off
        {source} {"AND" if "WHERE" in source else "WHERE"} customer_id IS NOT NULL
    """


def _kept(lines: str, facts: tuple[str, ...], *grain: str) -> str:
    """Follow each order (or order and product): the days on which it became kept (+1) or ceased to be (-1).

    An order is kept while its net quantity, as known, is above zero. Its day, hour and other facts stay
    those of the moment it was first known. Most orders became known on one day and need no window.
    """
    grouped = ", ".join(("customer_id", "the_order", *grain))
    purchase = {fact: f"min({fact}) FILTER (quantity > 0)" for fact in facts}
    first = {fact: f"first_value({how} IGNORE NULLS) OVER known" for fact, how in purchase.items()}
    return f"""
        WITH known_once AS (
            SELECT {grouped}, min(known_on) AS known_on, max(known_on) AS last_known_on,
                   (sum(net_quantity) > 0)::BIGINT AS change, {_named(purchase)}
            FROM {lines} GROUP BY {grouped}
        ), known_often AS (
            SELECT {grouped}, known_on, (sum(sum(net_quantity)) OVER known > 0)::BIGINT AS kept, {_named(first)}
            FROM {lines} SEMI JOIN (FROM known_once WHERE known_on < last_known_on) USING ({grouped})
            GROUP BY {grouped}, known_on WINDOW known AS (PARTITION BY {grouped} ORDER BY known_on)
        )
        SELECT * EXCLUDE (last_known_on) FROM known_once WHERE known_on = last_known_on AND change <> 0
        UNION ALL BY NAME
        SELECT * EXCLUDE (kept), kept - coalesce(lag(kept) OVER (PARTITION BY {grouped} ORDER BY known_on), 0) AS change
        FROM known_often WHERE day IS NOT NULL
    """


def _named(expressions: dict[str, str]) -> str:
    return ", ".join(f"{how} AS {name}" for name, how in expressions.items())


def customer_days(lines: str) -> tuple[tuple[str, ...], dict[str, str], str]:
    """Give the keys, the sums with their types, and the SQL of the rows of (customer, day, known_on)."""
    starts = [*DAYPARTS.values(), 24]
    parts = {
        f"is_{part}": f"hour >= {a} AND hour < {b}" for part, a, b in zip(DAYPARTS, starts, starts[1:], strict=False)
    }
    facts = {
        "has_discount": "no_discount = 0",
        "has_coupon": "no_coupon = 0",
        "is_subscription": "one_off = 0",
    }
    orders = {f"orders_{name}": f"sum(change * ({test})::BIGINT)" for name, test in (facts | parts).items()}
    decimals = ("quantity", "revenue", "returned", "discount")
    counts = ("orders", *orders, "lines", "return_lines")
    sql = f"""
        SELECT customer_id, day, known_on, sum(change) AS orders, {_named(orders)},
               {_named(dict.fromkeys(("lines", "return_lines", *decimals), "0"))}
        FROM ({_kept(lines, FACTS)}) GROUP BY customer_id, day, known_on
        UNION ALL BY NAME
        SELECT customer_id, day, known_on, {_named(dict.fromkeys(("orders", *orders), "0"))},
               count(*) FILTER (net_quantity > 0) AS lines, count(*) FILTER (net_quantity < 0) AS return_lines,
               sum(net_quantity) AS quantity, sum(net_revenue) AS revenue,
               coalesce(sum(-net_revenue) FILTER (net_quantity < 0), 0) AS returned, sum(net_discount) AS discount
        FROM {lines} GROUP BY customer_id, day, known_on
    """
    sums = dict.fromkeys(counts, "BIGINT") | dict.fromkeys(decimals, "DECIMAL(18,4)")
    return ("customer_id", "day", "known_on"), sums, sql


def product_days(lines: str) -> tuple[tuple[str, ...], dict[str, str], str]:
    """Give the keys, sums and SQL of (customer, product, day, known_on): kept purchases and net quantity."""
    sql = f"""
        SELECT customer_id, product_id, day, known_on, sum(change) AS orders, 0 AS quantity, 0 AS revenue
        FROM ({_kept(lines, ("day",), "product_id")}) GROUP BY customer_id, product_id, day, known_on
        UNION ALL BY NAME
        SELECT customer_id, product_id, day, known_on, 0 AS orders, sum(net_quantity) AS quantity,
               sum(net_revenue) AS revenue
        FROM {lines} GROUP BY customer_id, product_id, day, known_on
    """
    sums = {"orders": "BIGINT", "quantity": "DECIMAL(18,4)", "revenue": "DECIMAL(18,4)"}
    return ("customer_id", "product_id", "day", "known_on"), sums, sql
