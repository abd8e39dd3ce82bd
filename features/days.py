"""The additive table behind every feature: one row per customer, day it happened and day it became known.

A late line, a return or a cancellation is a new row, never an update. What was known at the start of
business day t is the sum of the rows with ``day < t`` and ``known_on < t``, so any past instant can be
seen again exactly as it was, and a new load costs what it brings.
"""

from collections.abc import Callable
from pathlib import Path

import duckdb

from features.calendar import BusinessCalendar
from features.sql import AS_PARQUET, literal, sql_paths, stands_twice

Sums = tuple[tuple[str, ...], dict[str, str], str]  # keys, sums with their types, the SQL of the rows

# Local hours at which the four parts of a day begin: night, morning, afternoon, evening.
DAYPARTS = {"night": 0, "morning": 6, "afternoon": 12, "evening": 18}


AFTER_LINES = 1 << 48  # more than any file has lines

FACTS = ("day", "hour", "no_discount", "no_coupon", "one_off")

# What a kept order counts for, over its facts.
ORDERS = {
    "orders": "1::BIGINT",
    "orders_has_discount": "(no_discount = 0)::BIGINT",
    "orders_has_coupon": "(no_coupon = 0)::BIGINT",
    "orders_is_subscription": "(one_off = 0)::BIGINT",
    **{
        f"orders_is_{part}": f"(hour >= {start} AND hour < {end})::BIGINT"
        for (part, start), end in zip(DAYPARTS.items(), [*DAYPARTS.values(), 24][1:], strict=True)
    },
}
# What lines add up to, with the types.
LINES = dict.fromkeys(("lines", "return_lines"), "BIGINT") | dict.fromkeys(
    ("quantity", "revenue", "returned", "discount"), "DECIMAL(18,4)"
)


def write(con: duckdb.DuckDBPyConnection, staged: Path, calendar: BusinessCalendar) -> None:
    """Write what a load adds: ``days.parquet`` (customer, day, known_on) and ``product_days.parquet``.

    Most orders are new, of one customer, known on one day and without returns: they are added up as they come.
    The others are rebuilt from all their lines (the lake's stand in the table `old`); the difference to what stood
    before is written, exactly, since every column is a sum of integers or decimals.
    """
    con.execute(f"CREATE TEMP TABLE old_lines AS {_lines('FROM old', calendar)}")
    new = f"FROM read_parquet({sql_paths([staged / 'order_lines.parquet'])}, file_row_number = true)"
    con.execute(f"CREATE TEMP VIEW new_lines AS {_lines(new, calendar, 'file_row_number')}")
    simple = _split(con)
    rebuilt = "FROM new_lines SEMI JOIN entangled USING (the_order)" if simple != "true" else "FROM new_lines LIMIT 0"
    con.execute(f"CREATE TEMP TABLE all_lines AS ({rebuilt}) UNION ALL FROM old_lines")
    _copy(con, staged / "days.parquet", _all_days(con, simple))
    _copy(con, staged / "product_days.parquet", _all_product_days(con, simple))


def _copy(con: duckdb.DuckDBPyConnection, path: Path, query: str) -> None:
    con.execute(f"COPY ({query}) TO {literal(str(path))} {AS_PARQUET}")


def _split(con: duckdb.DuckDBPyConnection) -> str:
    """Write `order_rows` (new lines by order) and `entangled`, the orders to rebuild; give what the others meet."""
    sums = {name: f"sum(net_{name})::{LINES[name]}" for name in ("quantity", "revenue", "discount")}
    least = {name: f"min({name})" for name in ("customer_id", "known_on", *FACTS)}
    con.execute(
        f"CREATE TEMP TABLE order_rows AS SELECT the_order, {_named(least | sums)}, count(*) AS lines,"
        " min(net_quantity) <= 0 OR min(customer_id) <> max(customer_id) OR min(day) <> max(day)"
        " OR min(known_on) <> max(known_on) AS is_mixed FROM new_lines GROUP BY the_order"
    )
    con.execute(
        "CREATE TEMP TABLE entangled AS SELECT the_order FROM old_lines"
        " UNION SELECT the_order FROM order_rows WHERE is_mixed"
    )
    any_is = con.execute("SELECT count(*) FROM entangled").fetchone() != (0,)
    return "the_order NOT IN (FROM entangled)" if any_is else "true"  # a scan saved


def _difference(build: Callable[[str], Sums]) -> str:
    """Select what the rebuilt orders add to what stood before."""
    keys, sums, after = build("all_lines")
    rows = f"SELECT 1 AS sign, * FROM ({after}) UNION ALL BY NAME SELECT -1 AS sign, * FROM ({build('old_lines')[2]})"
    grouped = ", ".join(keys)
    summed = {name: f"sum(sign * {name})::{kind}" for name, kind in sums.items()}
    return (
        f"SELECT {grouped}, {_named(summed)} FROM ({rows}) GROUP BY {grouped}"
        f" HAVING {' OR '.join(f'{total} <> 0' for total in summed.values())}"
    )


def _lines(source: str, calendar: BusinessCalendar, number: str = "0") -> str:
    """Name each customer's lines by the order they count for; a cancelled line counts for nothing.

    A line taken back (sign -1) undoes what its first version added. ``number`` is the line's place in its file.
    """
    return f"""
        SELECT customer_id, coalesce(returns_order_id, order_id) AS the_order, product_id, day, known_on, sign,
               quantity, revenue, {number} AS nth,
               CASE WHEN status = 'cancelled' THEN 0 ELSE sign * quantity END AS net_quantity,
               CASE WHEN status = 'cancelled' THEN 0 ELSE sign * revenue END AS net_revenue,
               CASE WHEN status = 'cancelled' THEN 0 ELSE sign * coalesce(discount, 0) END AS net_discount,
               {calendar.sql_hour("ordered_at")} AS hour,
               (coalesce(discount, 0) <= 0)::BIGINT AS no_discount, (coupon_id IS NULL)::BIGINT AS no_coupon,
               (coalesce(order_type, 'one_off') = 'one_off')::BIGINT AS one_off
        {source} WHERE customer_id IS NOT NULL
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


def customer_days(lines: str) -> Sums:
    """Give the keys, the sums with their types, and the SQL of the rows of (customer, day, known_on).

    ``told`` counts the lines said, whatever became of them: who ordered and cancelled within a day had ordered.
    """
    sql = f"""
        SELECT customer_id, day, known_on, {_named({name: f"sum(change * ({how}))" for name, how in ORDERS.items()})},
               {_named(dict.fromkeys(LINES, "0"))}, 0 AS told
        FROM ({_kept(lines, FACTS)}) GROUP BY customer_id, day, known_on
        UNION ALL BY NAME
        SELECT customer_id, day, known_on, {_named(dict.fromkeys(ORDERS, "0"))},
               coalesce(sum(sign) FILTER (sign * net_quantity > 0), 0) AS lines,
               coalesce(sum(sign) FILTER (sign * net_quantity < 0), 0) AS return_lines,
               sum(net_quantity) AS quantity, sum(net_revenue) AS revenue, sum(net_discount) AS discount,
               coalesce(sum(-net_revenue) FILTER (sign * net_quantity < 0), 0) AS returned,
               count_if(sign > 0 AND net_quantity <> 0) AS told
        FROM {lines} GROUP BY customer_id, day, known_on
    """
    return ("customer_id", "day", "known_on"), dict.fromkeys(ORDERS, "BIGINT") | LINES | {"told": "BIGINT"}, sql


def _all_days(con: duckdb.DuckDBPyConnection, simple: str) -> str:
    """Select what the load adds to each customer and day; most order once a day, which needs no adding up."""
    grain, sums, _ = customer_days("all_lines")
    keys, named = ", ".join(grain), _named({name: f"sum({name})::{kind}" for name, kind in sums.items()})
    one = {
        name: f"({(ORDERS | {'return_lines': 0, 'returned': 0, 'told': 1}).get(name, name)})::{sums[name]}"
        for name in sums
    }
    rows = f"SELECT {keys}, {_named(one)} FROM order_rows WHERE {simple}"
    hashes = f"SELECT hash({keys}) FROM"
    stands_twice(con, "day_twice", f"{hashes} order_rows UNION ALL {hashes} all_lines UNION ALL {hashes} all_lines")
    is_twice = f"hash({keys}) IN (FROM day_twice)"  # also if only the hashes are equal
    return (
        f"SELECT * EXCLUDE (told) FROM ({rows} AND NOT {is_twice} UNION ALL SELECT {keys}, {named}"
        f" FROM ({rows} AND {is_twice} UNION ALL BY NAME {_difference(customer_days)}) GROUP BY {keys}"
        f" HAVING {' OR '.join(f'sum({name}) <> 0' for name in sums)}) ORDER BY {keys}"
    )


def _all_product_days(con: duckdb.DuckDBPyConnection, simple: str) -> str:
    """Select what the load adds to each customer, product and day: a row per line, in the order of the file.

    Of a product twice in an order there is one row; orders to rebuild come last.
    """
    columns = "customer_id, product_id, day, known_on, orders, quantity, revenue"
    plain = "SELECT customer_id, product_id, day, known_on, 1::BIGINT AS orders"
    twice = stands_twice(con, "product_twice", "SELECT hash(the_order, product_id) FROM new_lines")
    if simple == "true" and not twice:
        return f"{plain}, quantity, revenue FROM new_lines"
    is_twice = "hash(the_order, product_id) IN (FROM product_twice)"  # also if only the hashes are equal
    return (  # ordered by the lines' numbers, for a join leaves them in another order each time
        f"SELECT {columns} FROM ("
        f"{plain}, quantity, revenue, nth FROM new_lines WHERE {simple} AND NOT {is_twice} UNION ALL BY NAME"
        f" {plain}, sum(quantity) AS quantity, sum(revenue) AS revenue, min(nth) AS nth FROM new_lines WHERE {simple}"
        f" AND {is_twice} GROUP BY the_order, customer_id, product_id, day, known_on UNION ALL BY NAME"
        f" SELECT *, {AFTER_LINES} + row_number() OVER (ORDER BY {', '.join(product_days('all_lines')[0])}) AS nth"
        f" FROM ({_difference(product_days)})) ORDER BY nth"
    )


def product_days(lines: str) -> Sums:
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
