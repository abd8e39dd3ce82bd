"""What becomes of each row: accepted, set aside, known already or quarantined with the reason.

Rows are numbered in the order of their files: ``n`` is the rowid of the temporary table ``typed``. What a row says for
itself stands in ``typed.aside`` and ``typed.fault``; what follows from other rows, in this load or before it, goes
into ``fates``. A row with neither is accepted.
"""

import duckdb

from features.calendar import BusinessCalendar
from features.door.mapping import TableMapping
from features.door.tables import STORED_AS, Table
from features.shop import Shop
from features.sql import quote, sql_paths, stands_twice

GOOD = "fault IS NULL AND aside IS NULL"
STANDING = f"{GOOD} AND typed.rowid NOT IN (SELECT n FROM fates)"
FAULT = 'STRUCT("column" VARCHAR, value VARCHAR, code VARCHAR)'
IS_CANCELLED = "coalesce(status = 'cancelled', false)"
# A return under its line's own number is a row of its own, and not another version of what it takes back.
IS_RETURN = f"quantity < 0 AND NOT {IS_CANCELLED}"
LATER = 1 << 48  # added to this load's row numbers: its rows come after all of the lake's

Connection = duckdb.DuckDBPyConnection


def judge(con: Connection, table: Table, how: TableMapping, before: Shop | None, calendar: BusinessCalendar) -> None:
    """Write `fates`, and for order lines `old` (the lake's lines of the same orders) and `reversals`.

    A reversal is the earlier version of a line that was corrected or cancelled, to be written with sign -1.
    """
    con.execute(f"CREATE TEMP TABLE fates (n BIGINT, fate VARCHAR, aside VARCHAR, fault {FAULT})")
    if table.happened is None:
        _last_words(con, table, before)
        return
    _recall(con, table, before)
    numbered = table.name == "order_lines" and "line_no" in how.columns
    key = ("order_id", "line_no" if numbered else "product_id") if table.name == "order_lines" else table.key
    _mark_alike(con, key or _content(con, table))
    dated = numbered and "known_at" in how.columns
    if dated:
        _drop_repeated_versions(con, table)
    undated = "(line_no IS NULL OR known_at <= ordered_at) AND " if dated else ""
    _drop_duplicates(con, table, how.repeats == "keep", key or _content(con, table), undated)
    if table.name == "order_lines":
        order = "known_at, rowid" if dated else "rowid"
        _follow_versions(con, table, numbered, how.corrections == "newest", order, calendar)
        _quarantine_orphans(con)
    elif key:
        _quarantine_conflicts(con, key)


def _content(con: Connection, table: Table) -> tuple[str, ...]:
    """Name the columns in which two rows are compared: those the mapping has, but when they became known."""
    typed = {row[0] for row in con.execute("DESCRIBE typed").fetchall()}
    return tuple(name for name in table.names if name != "known_at" and name in typed)


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(map(quote, columns))


def _recall(con: Connection, table: Table, before: Shop | None) -> None:
    """Write `old`: the lake's rows that this load may repeat or change, numbered ``nth`` in the order they came."""
    parts = before.parts(table.name) if before else []
    if not parts:
        columns = ", ".join(f"{quote(column.name)} {STORED_AS[column.kind]}" for column in table.columns)
        con.execute(f"CREATE TEMP TABLE old ({columns}, day BIGINT, known_on BIGINT, sign TINYINT, nth BIGINT)")
        return
    if table.name == "order_lines":
        orders = "SELECT coalesce(returns_order_id, order_id) FROM typed UNION SELECT order_id FROM typed"
        where = f"coalesce(returns_order_id, order_id) IN ({orders})"
    elif table.key:
        where = f"({_names(table.key)}) IN (SELECT ({_names(table.key)}) FROM typed)"
    else:
        names, happened = _names(_content(con, table)), quote(str(table.happened))
        limits = con.execute(f"SELECT min({happened}), max({happened}) FROM typed WHERE {GOOD}").fetchone() or (
            None,
            None,
        )
        con.execute("SET VARIABLE earliest = ?", [limits[0]])
        con.execute("SET VARIABLE latest = ?", [limits[1]])
        where = (
            f"{happened} BETWEEN getvariable('earliest') AND getvariable('latest')"
            f" AND hash({names}) IN (SELECT hash({names}) FROM typed WHERE {GOOD})"
        )
    con.execute(
        f"CREATE TEMP TABLE old AS SELECT * EXCLUDE (filename), row_number() OVER (ORDER BY filename) AS nth"
        f" FROM read_parquet({sql_paths(parts)}, union_by_name = true, filename = true) WHERE {where}"
    )


def _mark_alike(con: Connection, key: tuple[str, ...]) -> None:
    """Write `alike`: the 64-bit hashes of keys that stand more than once. They pick candidates; columns decide."""
    hashed, in_lake = (f"SELECT hash({_names(key)}) AS h FROM {rows}" for rows in (f"typed WHERE {GOOD}", "old"))
    stands_twice(con, "alike", f"{hashed} UNION ALL {in_lake} UNION ALL {in_lake}")


def _drop_repeated_versions(con: Connection, table: Table) -> None:
    """Find numbered order lines that say what was last said of them, in the order in which it became known.

    A price that went up and came down again is three versions; an old file sent again repeats the version it told.
    Only a row with a ``known_at`` of its own says when it was said.
    """
    names = _names(_content(con, table))
    con.execute(
        f"INSERT INTO fates SELECT n, 'duplicate', NULL, NULL FROM (SELECT *, row({names}) IS NOT DISTINCT FROM"
        f" lag(row({names})) OVER (PARTITION BY order_id, line_no, {IS_RETURN} ORDER BY known_at, nth) AS is_repeated"
        f" FROM (SELECT rowid AS n, rowid + {LATER} AS nth, known_at, {names} FROM typed"
        f" WHERE {GOOD} AND line_no IS NOT NULL AND hash(order_id, line_no) IN (FROM alike)"
        f" UNION ALL BY NAME SELECT nth, known_at, {names} FROM old WHERE sign > 0 AND line_no IS NOT NULL))"
        " WHERE is_repeated AND n IS NOT NULL AND known_at > ordered_at"
    )


def _drop_duplicates(con: Connection, table: Table, keep: bool, key: tuple[str, ...], only: str) -> None:
    """Find rows told before, in every column but when they became known; the earliest word stands.

    Where repeats are kept, a row is a duplicate only if the lake holds as many of its kind (the same file again).
    ``only`` narrows the rows looked at (SQL that ends in AND).
    """
    content, names = _content(con, table), _names(_content(con, table))
    same = " AND ".join(f"c.{quote(name)} IS NOT DISTINCT FROM told.{quote(name)}" for name in content)
    first_told = "WHERE sign > 0" if table.name == "order_lines" else ""
    con.execute(
        "INSERT INTO fates SELECT n, 'duplicate', NULL, NULL FROM"
        f" (SELECT rowid AS n, {names}, row_number() OVER (PARTITION BY {names} ORDER BY known_at, rowid) AS nth"
        f" FROM typed WHERE {only}{GOOD} AND hash({_names(key)}) IN (FROM alike)) c"
        f" LEFT JOIN (SELECT {names}, count(*) AS times FROM old {first_told} GROUP BY ALL) told ON {same}"
        f" WHERE {'nth <= coalesce(times, 0)' if keep else 'nth > 1 OR times IS NOT NULL'}"
    )


def _follow_versions(
    con: Connection, table: Table, numbered: bool, newest: bool, order: str, calendar: BusinessCalendar
) -> None:
    """Follow order lines told again with other content: cancelled, or corrected where the mapping takes corrections.

    The later version stands from when it was known, and a row with sign -1 takes the earlier one back. Without
    ``line_no`` only a cancellation is recognised: the first line of the same order, product, quantity and revenue
    that is not cancelled yet. A cancellation follows its line even if it was told first. Whatever else comes twice
    under one number is quarantined: nobody says which is right. ``order`` is that of the rows within a load; a later
    load comes after, whatever it says.
    """
    names = _names(_content(con, table))
    cancelled = f"SELECT order_id FROM typed WHERE {STANDING} AND status = 'cancelled'"
    asked = (
        "line_no IS NOT NULL AND hash(order_id, line_no) IN (FROM alike)"
        if numbered
        else f"order_id IN ({cancelled} UNION SELECT order_id FROM old WHERE status = 'cancelled')"
    )
    con.execute(
        f"CREATE TEMP TABLE versions AS SELECT rowid AS n, row_number() OVER (ORDER BY {order}) + {LATER} AS nth,"
        f" {names}, known_at, day, false AS is_gone"
        f" FROM typed WHERE {STANDING} AND {asked} UNION ALL BY NAME"
        f" SELECT nth, {names}, known_at, day, k <= gone AS is_gone FROM (SELECT *,"
        f" row_number() OVER (PARTITION BY {names}, sign ORDER BY nth) AS k,"
        f" count(*) FILTER (sign < 0) OVER (PARTITION BY {names}) AS gone FROM old) WHERE sign > 0"
    )
    replaces = "true" if newest and numbered else IS_CANCELLED
    if numbered:  # what is cancelled with a minus is the line, or the return where no line is known
        of = f"quantity < 0 AND (NOT {IS_CANCELLED} OR NOT bool_or(quantity > 0) OVER (PARTITION BY order_id, line_no))"
        key = "order_id, line_no, of"
    else:
        same = "order_id, product_id, abs(quantity), abs(revenue)"
        of, key = f"row_number() OVER (PARTITION BY {same}, {replaces} ORDER BY nth)", f"{same}, of"
    con.execute(
        f"CREATE TEMP TABLE chain AS SELECT *, version > 1 AND NOT replaces AS conflicts FROM (SELECT *,"
        f" {replaces} AS replaces, row_number() OVER (PARTITION BY {key} ORDER BY {replaces}, nth) AS version"
        f" FROM (SELECT *, {of} AS of FROM versions))"
    )
    if numbered:
        con.execute(
            "INSERT INTO fates SELECT n, 'quarantined', NULL,"
            " {'column': 'order_id, line_no', 'value': order_id || ', ' || line_no, 'code': 'DUP_CONFLICT'}"
            " FROM chain WHERE conflicts AND n IS NOT NULL"
        )
    _take_back(con, key, names, calendar)


def _take_back(con: Connection, key: str, names: str, calendar: BusinessCalendar) -> None:
    """Date each later version by when it can have been known, and write the rows that take the earlier ones back.

    A version without a ``known_at`` of its own is known no earlier than the newest row of its file happened. An
    earlier version is taken back when both it and a later one are known.
    """
    con.execute(
        "CREATE TEMP TABLE dated AS SELECT *, max(told) OVER so_far AS known, lead(n) OVER so_far AS next_n FROM"
        " (SELECT chain.*, CASE WHEN n IS NULL OR version = 1 OR known_at > ordered_at THEN known_at"
        " ELSE greatest(known_at, newest) END AS told"
        " FROM chain LEFT JOIN files ON n >= first_row AND n < end_row WHERE NOT conflicts AND NOT is_gone)"
        f" WINDOW so_far AS (PARTITION BY {key} ORDER BY version ROWS UNBOUNDED PRECEDING)"
    )
    # a cancellation adds nothing: when it was told is kept, so that it is known again
    con.execute(
        "CREATE TEMP TABLE later AS SELECT n, CASE WHEN status = 'cancelled' THEN told ELSE known END AS known_at"
        " FROM dated WHERE version > 1 AND n IS NOT NULL"
    )
    con.execute(
        f"UPDATE typed SET known_at = later.known_at, known_on = {calendar.sql_day('later.known_at')}"
        " FROM later WHERE typed.rowid = later.n"
    )
    con.execute(
        f"CREATE TEMP TABLE reversals AS SELECT {names}, day, taken_back AS known_at,"
        f" {calendar.sql_day('taken_back')} AS known_on FROM (SELECT *, lead(known) OVER (PARTITION BY {key}"
        " ORDER BY version) AS taken_back FROM dated)"
        " WHERE taken_back IS NOT NULL AND (n IS NOT NULL OR next_n IS NOT NULL) ORDER BY nth"
    )


def _quarantine_orphans(con: Connection) -> None:
    """Find returns that name an order nobody knows, or one made after them."""
    named = f"SELECT returns_order_id FROM typed WHERE {STANDING}"
    con.execute(
        "INSERT INTO fates WITH orders AS (SELECT order_id, min(ordered_at) AS ordered_at FROM"
        f" (SELECT order_id, ordered_at FROM typed WHERE {STANDING} AND quantity > 0 AND order_id IN ({named})"
        "  UNION ALL SELECT order_id, ordered_at FROM old WHERE quantity > 0) GROUP BY order_id)"
        " SELECT typed.rowid, 'quarantined', NULL,"
        " {'column': 'returns_order_id', 'value': returns_order_id, 'code': 'ORPHAN_RETURN'}"
        " FROM typed LEFT JOIN orders ON returns_order_id = orders.order_id"
        f" WHERE {STANDING} AND returns_order_id IS NOT NULL"
        " AND (orders.order_id IS NULL OR orders.ordered_at > typed.ordered_at)"
    )


def _quarantine_conflicts(con: Connection, key: tuple[str, ...]) -> None:
    """Same key, other content: the row in the lake stands, else the first of the load; the others go to quarantine."""
    names = _names(key)
    con.execute(
        "INSERT INTO fates SELECT n, 'quarantined', NULL,"
        f" {{'column': '{', '.join(key)}', 'value': concat_ws(', ', {names}), 'code': 'DUP_CONFLICT'}}"
        f" FROM (SELECT rowid AS n, {names}, row_number() OVER (PARTITION BY {names} ORDER BY rowid) AS nth"
        f" FROM typed WHERE {STANDING} AND hash({names}) IN (FROM alike))"
        f" WHERE nth > 1 OR ({names}) IN (SELECT ({names}) FROM old)"
    )


def _last_words(con: Connection, table: Table, before: Shop | None) -> None:
    """Judge facts: a key's last row stands; the others repeat it or are superseded, as it may repeat the lake's."""
    key, names = _names(table.key), _names(_content(con, table))
    parts = before.parts(table.name) if before else []
    standing = (
        f"SELECT hash({names}) AS h, {key} FROM read_parquet({sql_paths(parts)}, union_by_name = true, filename = true)"
        f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY filename DESC) = 1"
        if parts
        else f"SELECT 0::UBIGINT AS h, {key} FROM typed LIMIT 0"
    )
    last = f"OVER (PARTITION BY {key} ORDER BY rowid DESC)"
    con.execute(
        "INSERT INTO fates SELECT n, CASE WHEN c.h <> last_h THEN 'aside' ELSE 'duplicate' END,"
        " CASE WHEN c.h <> last_h THEN 'superseded' END, NULL FROM"
        f" (SELECT rowid AS n, {key}, hash({names}) AS h, first_value(hash({names})) {last} AS last_h,"
        f" row_number() {last} AS nth_last FROM typed WHERE {GOOD}) c LEFT JOIN ({standing}) old USING ({key})"
        " WHERE c.h <> last_h OR nth_last > 1 OR c.h = old.h"
    )
