"""A shop's tables in SQL as they had been told by the start of one business day, by who was one person then.

A row counts if it happened before that day and was known before it. An instant inside a row (delivered, closed) is a
fact of its own and counts by its own day, because an export carries the state of the night it was written. The views
have the canonical columns; a table that the shop lacks is an empty view, so that a query needs no second form.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from features.door.tables import STORED_AS, TABLES
from features.identity import alias_holders, persons
from features.known import ALWAYS
from features.messages import contacts_sql, responses_sql
from features.shop import Shop
from features.signals import TICKET_DAYS
from features.sql import sql_paths

Connection = duckdb.DuckDBPyConnection

BOTH = {"contacts": contacts_sql, "responses": responses_sql}


@contextmanager
def told(shop: Shop, day: int, *tables: str) -> Iterator[Connection]:
    """Open these tables, and the SQL function ``day_of(instant)``, as known at the start of business day ``day``.

    ``customers`` has one row per id, that of the newest load which is known; of the additive tables ``days`` may be
    asked for. In every view ``customer_id`` is the person's; page events of an alias alone are its holder's.
    """
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(f"CREATE TEMP MACRO day_of(moment) AS {shop.calendar.sql_day('moment')}")
        con.register("merged", persons(shop, (day,)).merged)
        con.execute(
            "CREATE TEMP TABLE persons AS SELECT customer_id::VARCHAR AS id, person::VARCHAR AS person FROM merged"
        )
        for table in tables:
            con.execute(f"CREATE TEMP VIEW {table} AS {_rows(con, shop, day, table)}")
        yield con


def _rows(con: Connection, shop: Shop, day: int, table: str) -> str:
    """Write one table's rows as known, with persons for ids."""
    rows = _source(shop, table)
    if rows is None:
        return _nothing(table)
    if table == "customers":
        return _newest(con, rows, day)
    known = f"WHERE t.day < {day} AND t.known_on < {day}"
    if table not in TABLES or "customer_id" in TABLES[table].names:
        if table == "events" and _is_any(con, f"{rows} WHERE customer_id IS NULL"):
            rows = _of_holders(con, rows, shop, day)
        return f"SELECT t.* EXCLUDE (filename) {_as_persons(con, rows, 't.customer_id')} {known}"
    return f"SELECT t.* EXCLUDE (filename) {rows} {known}"


def _source(shop: Shop, table: str) -> str | None:
    """Write where a table's rows come from: messages and reactions are the shop's and those of our own journal."""
    if table in BOTH:
        both = BOTH[table](shop)
        return None if both is None else f"FROM (SELECT *, NULL AS filename FROM ({both})) t"
    parts = shop.parts(table)
    return f"FROM read_parquet({sql_paths(parts)}, union_by_name = true, filename = true) t" if parts else None


def _nothing(table: str) -> str:
    columns = ", ".join(f"CAST(NULL AS {STORED_AS[c.kind]}) AS {c.name}" for c in TABLES[table].columns)
    if table == "customers":
        return f"SELECT {columns}, CAST(NULL AS VARCHAR) AS own_id WHERE false"
    return f"SELECT {columns}, CAST(NULL AS BIGINT) AS day, CAST(NULL AS BIGINT) AS known_on WHERE false"


def _as_persons(con: Connection, rows: str, given: str) -> str:
    """Go on from ``SELECT t.* EXCLUDE (...)``: the id that ``given`` (SQL) says, read as its person's."""
    if not _is_any(con, "FROM persons"):
        return f"REPLACE ({given} AS customer_id) {rows}"
    return f"REPLACE (coalesce(p.person, {given}) AS customer_id) {rows} LEFT JOIN persons p ON p.id = {given}"


def _is_any(con: Connection, rows: str) -> bool:
    return con.execute(f"SELECT 1 {rows} LIMIT 1").fetchone() is not None


def _of_holders(con: Connection, rows: str, shop: Shop, day: int) -> str:
    """Give events of an alias alone the id that holds it; what nobody holds is left out."""
    con.register("held", alias_holders(shop, (day,), "events"))
    con.execute(
        "CREATE TEMP TABLE holders AS SELECT alias_type::VARCHAR AS kind, alias::VARCHAR AS held_alias,"
        " holder::VARCHAR AS holder FROM held"
    )
    return (
        f"FROM (SELECT e.* REPLACE (coalesce(e.customer_id, h.holder) AS customer_id) {rows.replace(') t', ') e')}"
        " LEFT JOIN holders h ON e.customer_id IS NULL AND e.alias_type = h.kind AND e.alias = h.held_alias"
        " WHERE e.customer_id IS NOT NULL OR h.holder IS NOT NULL) t"
    )


def _newest(con: Connection, rows: str, day: int) -> str:
    """Select the customer list's newest known row of every id; ``own_id`` is the id as the shop writes it."""
    newest = (
        f"(SELECT *, customer_id AS own_id {rows} WHERE coalesce(day_of(coalesce(known_at, signed_up_at)), {ALWAYS})"
        f" < {day} QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY filename DESC) = 1) t"
    )
    return f"SELECT t.* {_as_persons(con, f'FROM {newest}', 't.customer_id')}"


# ---- things that several rows tell of: each function writes a temporary table -----------------------------------


def write_orders(con: Connection, asked: str | None = None, known_before: int | None = None) -> None:
    """Write `net_lines` and `orders` from ``order_lines``; of the orders in the table ``asked`` (order_id) alone.

    ``known_before``: as they were known at the start of an earlier day.

    `net_lines`: the lines that count (a cancelled line does not, nor does one that was taken back), ``order_id`` that
    of the order they count for, ``quantity`` and ``revenue`` negative for a return.
    `orders`: customer_id, order_id; ``placed_at`` (its first line's instant, NULL where nothing is placed any more),
    ``placed_day``; ``is_subscription``; ``is_kept`` (net quantity above zero); ``revenue`` net of its returns.
    """
    of = "coalesce(returns_order_id, order_id)"
    where = f"WHERE {of} IN (SELECT order_id FROM {asked})" if asked else "WHERE true"
    if known_before is not None:
        where += f" AND day < {known_before} AND known_on < {known_before}"
    facts = "customer_id, order_id, product_id, day, ordered_at, is_subscription, is_purchase"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE said_lines AS SELECT customer_id, {of} AS order_id, product_id, day,"
        " ordered_at, sign, coalesce(order_type, 'one_off') <> 'one_off' AS is_subscription,"
        " quantity > 0 AS is_purchase, quantity, revenue, status IS NOT DISTINCT FROM 'cancelled' AS is_cancelled"
        f" FROM (FROM order_lines WHERE customer_id IS NOT NULL) {where}"
    )
    con.execute("CREATE OR REPLACE TEMP TABLE taken_back AS SELECT DISTINCT order_id FROM said_lines WHERE sign < 0")
    con.execute(
        f"CREATE OR REPLACE TEMP VIEW net_lines AS SELECT {facts}, quantity, revenue FROM said_lines"
        " WHERE NOT is_cancelled AND order_id NOT IN (FROM taken_back)"
        f" UNION ALL SELECT {facts}, sum(sign * quantity) AS quantity, sum(sign * revenue) AS revenue FROM said_lines"
        " WHERE NOT is_cancelled AND order_id IN (FROM taken_back) GROUP BY ALL HAVING sum(sign * quantity) <> 0"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE orders AS SELECT customer_id, order_id,"
        " min(ordered_at) FILTER (is_purchase) AS placed_at, min(day) FILTER (is_purchase) AS placed_day,"
        " coalesce(bool_or(is_subscription) FILTER (is_purchase), false) AS is_subscription,"
        " sum(quantity) > 0 AS is_kept, sum(revenue) AS revenue FROM net_lines GROUP BY customer_id, order_id"
    )


def write_parcels(con: Connection, day: int, asked: str) -> None:
    """Write `parcels` of the orders in ``asked`` (order_id), and `deliveries`, what they mean for each order.

    `parcels`: customer_id (the order's), order_id, shipped_at, promised_at, delivered_at (NULL while under way); of
    several words the latest instants stand. `deliveries`: customer_id, order_id; ``promised_at`` the last promise,
    ``delivered_at`` the last delivery once every parcel known has come.
    """
    con.execute(
        "CREATE TEMP TABLE parcels AS SELECT o.customer_id, order_id, shipped_at, max(promised_at) AS promised_at,"
        f" max(delivered_at) FILTER (day_of(delivered_at) < {day}) AS delivered_at FROM shipments JOIN"
        " (SELECT order_id, min(customer_id) AS customer_id FROM order_lines WHERE customer_id IS NOT NULL"
        f" AND order_id IN (SELECT order_id FROM {asked}) GROUP BY order_id) o USING (order_id) GROUP BY ALL"
    )
    con.execute(
        "CREATE TEMP TABLE deliveries AS SELECT customer_id, order_id, max(promised_at) AS promised_at,"
        " CASE WHEN count(*) = count(delivered_at) THEN max(delivered_at) END AS delivered_at"
        " FROM parcels GROUP BY ALL"
    )


def write_voices(con: Connection, day: int) -> None:
    """Write `voices`: each review, answer, ticket and request once; told twice with two scores, the lower stands.

    customer_id, kind, order_id, product_id, day, opened_at, score, closed_at (NULL while it is open), ``is_open``: a
    ticket or request of the last 90 days without an end; what has had none for longer is not open any more.
    """
    con.execute(
        "CREATE TEMP TABLE voices AS SELECT *, closed_at IS NULL AND kind IN ('ticket', 'return_request')"
        f" AND day >= {day - TICKET_DAYS} AS is_open FROM (SELECT customer_id, kind, order_id, product_id, opened_at,"
        " min(day) AS day, min(score) AS score,"
        f" max(closed_at) FILTER (day_of(closed_at) < {day}) AS closed_at"
        " FROM feedback GROUP BY customer_id, kind, source, order_id, product_id, opened_at)"
    )
