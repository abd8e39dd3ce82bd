"""What becomes of each row: typed, then accepted, set aside, known already or quarantined with the reason."""

from datetime import datetime, timedelta
from pathlib import Path

import duckdb

from features.door.columns import Typed, condition, literal, quote
from features.door.ledger import Ledger
from features.door.mapping import Mapping, TableMapping
from features.door.readers import FILE, LINE
from features.door.tables import STORED_AS, Table
from features.shop import Shop


def type_rows(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    how: TableMapping,
    typed: list[Typed],
    mapping: Mapping,
    now: datetime,
) -> None:
    """Write `typed`: each row's canonical values, its first fault and the reason it is set aside, if any."""
    values = {t.column.name: t.value for t in typed}
    absent = [c for c in table.columns if c.name not in values]
    columns = [f"{t.value} AS {quote(t.column.name)}" for t in typed]
    columns += [f"CAST(NULL AS {STORED_AS[c.kind]}) AS {quote(c.name)}" for c in absent]
    first = [
        f"WHEN ({t.code}) IS NOT NULL THEN {{'column': {literal(t.column.name)}, 'value': {t.text}, 'code': {t.code}}}"
        for t in typed
    ]
    if table.happened in values:
        limit = (now + timedelta(days=1)).isoformat()
        happened = next(t for t in typed if t.column.name == table.happened)
        fault = f"{{'column': '{table.happened}', 'value': {happened.text}, 'code': 'FUTURE'}}"
        first.append(f"WHEN {happened.value} > TIMESTAMPTZ '{limit}' THEN {fault}")
    aside = [f"WHEN {condition(rule.when)} THEN {literal(rule.reason)}" for rule in how.set_aside]
    if table.name == "order_lines":
        aside.append(f"WHEN {values['quantity']} = 0 THEN 'quantity_zero'")
    returned = condition(how.returns) if how.returns else "false"
    reason = f"CASE {' '.join(aside)} END" if aside else "CAST(NULL AS VARCHAR)"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE typed AS {_dated(table, mapping)} FROM"
        f" (SELECT {FILE}, {LINE}, {', '.join(columns)},"
        f" CASE {' '.join(first)} END AS fault, {reason} AS aside, {returned} AS is_return FROM raw)"
    )


def _dated(table: Table, mapping: Mapping) -> str:
    """Select typed rows with their business days; a return's quantity and revenue are negative."""
    if table.happened is None:
        return "SELECT *"
    happened = quote(table.happened)
    known = f"greatest(known_at, {happened})"  # greatest ignores NULL: without known_at a row is known as it happens
    signed = (
        "CASE WHEN is_return THEN -abs(quantity) ELSE quantity END AS quantity,"
        " CASE WHEN is_return THEN -abs(revenue) ELSE revenue END AS revenue, "
        if table.name == "order_lines"
        else ""
    )
    return (
        f"SELECT * REPLACE ({signed}{known} AS known_at),"
        f" {mapping.calendar.sql_day(happened)} AS day, {mapping.calendar.sql_day(known)} AS known_on"
    )


def judge(con: duckdb.DuckDBPyConnection, table: Table, how: TableMapping, before: Shop | None) -> None:
    """Write `judged`: the typed rows with what becomes of each: accepted, aside, duplicate or quarantined."""
    content = ", ".join(
        f"coalesce(CAST({quote(name)} AS VARCHAR), chr(0))" for name in table.names if name != "known_at"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE hashed AS SELECT *, CAST(md5(concat_ws(chr(31), {content})) AS UUID) AS row_key,"
        " CASE WHEN aside IS NOT NULL THEN 'aside' WHEN fault IS NOT NULL THEN 'quarantined' ELSE 'accepted' END"
        " AS fate FROM typed"
    )
    if table.happened is None:
        con.execute(_last_words(before, table))
        return
    con.execute(_repeated(how.repeats == "keep"))
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE judged AS SELECT h.* REPLACE (coalesce(r.row_key, h.row_key) AS row_key,"
        " CASE WHEN h.fate = 'accepted' AND (coalesce(r.is_duplicate, false) OR coalesce(r.row_key, h.row_key) IN"
        f" ({_known_keys(before, table)})) THEN 'duplicate' ELSE h.fate END AS fate)"
        f" FROM hashed h LEFT JOIN repeated r ON h.{FILE} = r.{FILE} AND h.{LINE} = r.{LINE}"
    )
    key = ("order_id", "line_no") if table.name == "order_lines" and "line_no" in how.columns else table.key
    if key:
        _settle_conflicts(con, table, key, before)


def _last_words(before: Shop | None, table: Table) -> str:
    """Judge facts: a key's last row stands; the others repeat it or are superseded, as it may repeat the lake's."""
    key, known = ", ".join(table.key), "SELECT CAST(NULL AS UUID) WHERE false"
    if parts := before.parts(table.name) if before else []:
        known = (
            f"SELECT row_key FROM read_parquet({[str(p) for p in parts]}, filename = true)"
            f" QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY filename DESC) = 1"
        )
    later = f"OVER (PARTITION BY fate = 'accepted', {key} ORDER BY {FILE} DESC, {LINE} DESC)"
    return (
        "CREATE OR REPLACE TEMP TABLE judged AS SELECT * EXCLUDE (standing, nth_last) REPLACE ("
        " CASE WHEN fate = 'accepted' AND row_key <> standing THEN 'superseded' ELSE aside END AS aside,"
        " CASE WHEN fate <> 'accepted' THEN fate WHEN row_key <> standing THEN 'aside'"
        f" WHEN nth_last > 1 OR row_key IN ({known}) THEN 'duplicate' ELSE fate END AS fate)"
        f" FROM (SELECT *, first_value(row_key) {later} AS standing, row_number() {later} AS nth_last FROM hashed)"
    )


def _repeated(keep: bool) -> str:
    """Number the rows that stand more than once; where the mapping keeps repeats, each gets a key of its own."""
    nth = f"row_number() OVER (PARTITION BY row_key ORDER BY known_at, {FILE}, {LINE})"  # the earliest word stands
    again = (
        "CASE WHEN nth > 1 THEN CAST(md5(CAST(row_key AS VARCHAR) || nth) AS UUID) ELSE row_key END"
        if keep
        else "row_key"
    )
    return (
        f"CREATE OR REPLACE TEMP TABLE repeated AS SELECT {FILE}, {LINE}, {again} AS row_key,"
        f" {'false' if keep else 'nth > 1'} AS is_duplicate"
        f" FROM (SELECT {FILE}, {LINE}, row_key, {nth} AS nth FROM hashed"
        " WHERE fate = 'accepted' AND row_key IN (SELECT row_key FROM hashed WHERE fate = 'accepted'"
        " GROUP BY row_key HAVING count(*) > 1))"
    )


def _settle_conflicts(con: duckdb.DuckDBPyConnection, table: Table, key: tuple[str, ...], before: Shop | None) -> None:
    """Same key, other content: the row in the lake stands, else the first of the load; the others go to quarantine."""
    parts = before.parts(table.name) if before else []
    named = ", ".join(key)
    again = f"row_number() OVER (PARTITION BY {named} ORDER BY {FILE}, {LINE}) > 1"
    if parts:
        again += f" OR ({named}) IN (SELECT ({named}) FROM read_parquet({[str(p) for p in parts]}))"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE conflicts AS SELECT {FILE}, {LINE} FROM judged"
        f" WHERE fate = 'accepted' AND {' AND '.join(f'{name} IS NOT NULL' for name in key)} QUALIFY {again}"
    )
    fault = f"{{'column': '{named}', 'value': NULL, 'code': 'DUP_CONFLICT'}}"
    con.execute(
        f"UPDATE judged SET fate = 'quarantined', fault = {fault}"
        f" WHERE ({FILE}, {LINE}) IN (SELECT ({FILE}, {LINE}) FROM conflicts)"
    )


def _known_keys(before: Shop | None, table: Table) -> str:
    """Write the query for the keys of all rows accepted before."""
    parts = before.parts(table.name) if before else []
    return (
        f"SELECT row_key FROM read_parquet({[str(p) for p in parts]})"
        if parts
        else "SELECT CAST(NULL AS UUID) WHERE false"
    )


def count(con: duckdb.DuckDBPyConnection, table: Table) -> Ledger:
    """Count what became of one table's rows."""
    fates = dict(con.execute("SELECT fate, count(*) FROM judged GROUP BY fate").fetchall())
    reasons = con.execute(
        "SELECT coalesce(aside, fault.code) AS reason, count(*) FROM judged"
        " WHERE fate IN ('aside', 'quarantined') GROUP BY 1"
    ).fetchall()
    notes = {}
    if table.name == "order_lines":
        row = con.execute(
            "SELECT count(*) FILTER (customer_id IS NULL), count(*) FILTER (quantity < 0) FROM judged"
            " WHERE fate = 'accepted'"
        ).fetchone()
        notes = dict(zip(("guest_lines", "return_lines"), row or (), strict=True))
    return Ledger(
        sum(fates.values()),
        fates.get("accepted", 0),
        fates.get("aside", 0),
        fates.get("duplicate", 0),
        fates.get("quarantined", 0),
        dict(reasons),
        notes,
    )


RIGHT = {
    "EMPTY": "a value",
    "BAD_ID": "1 to 64 characters without control characters, not only spaces",
    "BAD_DATE": "one of the mapping's formats",
    "BAD_NUMBER": "plain digits with an optional sign and decimal point, up to 1,000,000,000",
    "BAD_WORD": "one of the words the table knows, or a `words` entry in the mapping",
    "RANGE_DATE": "a day from 1990-01-01 to 2099-12-31",
    "FUTURE": "an instant not after tomorrow by this machine's clock",
    "DUP_CONFLICT": "one row per key",
}


def write(con: duckdb.DuckDBPyConnection, table: Table, staged: Path) -> None:
    """Write the accepted rows in the order of their key, and the quarantine as Parquet and CSV."""
    names = [*table.names, *(("day", "known_on") if table.happened else ()), "row_key"]
    columns = ", ".join(map(quote, names))
    order = [c for c in ("customer_id", "day", "order_id", *table.key, "product_id") if c in names]
    con.execute(
        f"COPY (SELECT {columns} FROM judged WHERE fate = 'accepted' ORDER BY {', '.join([*order, 'row_key'])})"
        f" TO '{staged / table.name}.parquet' (FORMAT parquet, COMPRESSION zstd)"
    )
    right = " ".join(f"WHEN {literal(code)} THEN {literal(text)}" for code, text in RIGHT.items())
    con.execute(
        f'CREATE OR REPLACE TEMP TABLE kept_aside AS SELECT {literal(table.name)} AS "table", {FILE} AS file,'
        f' {LINE} AS line, fault.column AS "column", fault.value AS value, fault.code AS code,'
        f" CASE fault.code {right} END AS expected FROM judged WHERE fate = 'quarantined' ORDER BY file, line"
    )
    if con.execute("SELECT count(*) FROM kept_aside").fetchone() != (0,):
        for ending, how in (("parquet", "FORMAT parquet"), ("csv", "FORMAT csv, HEADER")):
            con.execute(f"COPY kept_aside TO '{staged / 'quarantine'}_{table.name}.{ending}' ({how})")
