"""From a shop's files to a load: accepted rows in canonical tables, the rest counted and kept with its reason."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from features import days, lake
from features.door.columns import Typed, condition, literal, quote, source_columns, typed_columns
from features.door.mapping import Mapping, TableMapping
from features.door.readers import FILE, LINE, Raw, expect_columns, locate, read
from features.door.tables import STORED_AS, TABLES, Table
from features.errors import BadInput
from features.home import Home
from features.shop import Load, Shop, open_shop

FUTURE_ROWS_REFUSED = 0.01  # faults.md A11: above 1 % of rows the whole file fails


@dataclass
class Ledger:
    """Where every row of a load went: rows_in = accepted + set_aside + duplicates + quarantined."""

    rows_in: int = 0
    accepted: int = 0
    set_aside: int = 0
    duplicates: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # of set_aside and quarantined rows
    notes: dict[str, int] = field(default_factory=dict)  # guests and returns among the accepted

    def balanced(self) -> bool:
        """Tell whether the ledger adds up."""
        return self.rows_in == self.accepted + self.set_aside + self.duplicates + self.quarantined

    def add(self, other: "Ledger", table: str) -> None:
        """Add one table's ledger; its reasons keep the table's name in front."""
        for name in ("rows_in", "accepted", "set_aside", "duplicates", "quarantined"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons |= {f"{table}.{reason}": n for reason, n in other.reasons.items()}
        self.notes |= {f"{table}.{note}": n for note, n in other.notes.items()}

    def as_dict(self) -> dict[str, Any]:
        """Give the ledger as `ingest --json` prints it."""
        return {
            "rows_in": self.rows_in,
            "accepted": self.accepted,
            "set_aside": self.set_aside,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined,
            "reasons": dict(sorted(self.reasons.items())),
            "notes": dict(sorted(self.notes.items())),
        }


def ingest(
    home: Home,
    mapping: Mapping,
    mapping_text: bytes,
    files: Sequence[Path],
    now: datetime,
    *,
    only_new: bool = False,
    allow_empty: bool = False,
) -> Ledger:
    """Take a shop's files in as one load: nothing is visible until all of it is.

    Parameters
    ----------
    home, mapping, mapping_text
        Where to, and the shop's mapping with its text as the user wrote it (kept in the load).
    files
        Files for the sources that are not packages.
    now
        The machine's clock, UTC: rows of the future are quarantined by it.
    only_new
        Skip files whose very bytes were taken in before, without counting their rows as duplicates.
    allow_empty
        Accept a file that has a header and no rows.

    Raises
    ------
    BadInput
        Naming the file, column or table that cannot be read, and what would be right.
    Refused
        If another ingest of this shop is running.
    """
    folder = home.lake(mapping.shop)
    with lake.locked(folder / ".lock", f"the lake of {mapping.shop}"):
        before = open_shop(home, mapping.shop) if (folder / "CURRENT.json").exists() else None
        work = _Work(mapping, before, now, allow_empty, files)
        sources = work.sources(only_new)
        ledger = Ledger()
        if not sources and before is not None:
            return ledger
        with lake.staging(folder / "loads" / "next") as staged, tempfile.TemporaryDirectory() as spill:
            with duckdb.connect(config={"temp_directory": spill}) as con:
                con.execute("SET TimeZone = 'UTC'")
                for table, paths in sources.items():
                    ledger.add(work.take_in(con, table, paths, staged), table)
                if not ledger.balanced():
                    raise AssertionError(f"the ledger does not add up: {ledger.as_dict()}")
                if ledger.accepted or ledger.quarantined or before is None:
                    days.write(con, staged, before, mapping.calendar)
                    lake.write_bytes(staged / "shop.yaml", mapping_text)
                    _publish(home, mapping.shop, before, staged, ledger, work.checksums)
    home.adopt(mapping.shop)
    return ledger


def _publish(
    home: Home, shop: str, before: Shop | None, staged: Path, ledger: Ledger, checksums: dict[str, str]
) -> None:
    """Name the finished load and point the lake at it, after all the loads before it."""
    number = len(before.loads) + 1 if before else 1
    sha256 = lake.seal(staged, ledger=ledger.as_dict(), sources=checksums)
    final = home.lake(shop) / "loads" / f"{number:06d}-{sha256[:12]}"
    lake.publish(staged, final)
    loads = [*(before.loads if before else ()), Load(final, sha256)]
    lake.point(
        home.lake(shop) / "CURRENT.json",
        final,
        loads=[{"path": f"loads/{x.path.name}", "sha256": x.sha256} for x in loads],
    )


@dataclass
class _Work:
    """What taking one load in needs to know throughout."""

    mapping: Mapping
    before: Shop | None
    now: datetime
    allow_empty: bool
    files: Sequence[Path]
    checksums: dict[str, str] = field(default_factory=dict)

    def sources(self, only_new: bool) -> dict[str, list[Path]]:
        """Match each mapped table with its files; the first load must bring order lines."""
        known = self.before.source_checksums() if self.before and only_new else set()
        found: dict[str, list[Path]] = {}
        for name, how in self.mapping.tables.items():
            for path in locate(how.source, self.files):
                if not path.is_file():
                    raise BadInput(f"{path}: no such file")
                key = f"{name}/{path.name}"
                if key in self.checksums:  # a row is known by its file's name and its line
                    raise BadInput(
                        f"{path}: another file given is called {path.name} too; rename one or ingest it after"
                    )
                self.checksums[key] = lake.sha256_file(path)
                if self.checksums[key] not in known:
                    found.setdefault(name, []).append(path)
        if self.before is None and "order_lines" not in found:
            wanted = self.mapping.tables["order_lines"].source
            raise BadInput(f"order_lines: no file given matches {wanted!r} of the mapping {self.mapping.shop}")
        return found

    def take_in(self, con: duckdb.DuckDBPyConnection, name: str, paths: list[Path], staged: Path) -> Ledger:
        """Take one table's files in and write its accepted and its quarantined rows."""
        table, how = TABLES[name], self.mapping.tables[name]
        raw = self._read(con, name, paths, how)
        typed = typed_columns(table, how, raw, self.mapping.timezone)
        _type_rows(con, table, how, typed, self.mapping, self.now)
        _judge(con, table, how, self.before)
        ledger = _count(con, table)
        if ledger.rows_in and ledger.reasons.get("FUTURE", 0) > FUTURE_ROWS_REFUSED * ledger.rows_in:
            n = ledger.reasons["FUTURE"]
            raise BadInput(f"{paths[0].name}: {n} of {ledger.rows_in} rows lie in the future of this machine's clock")
        _write(con, table, staged)
        return ledger

    def _read(self, con: duckdb.DuckDBPyConnection, name: str, paths: list[Path], how: TableMapping) -> Raw:
        raw = read(con, "raw", paths, how)
        if not self.allow_empty and con.execute("SELECT count(*) FROM raw").fetchone() == (0,):
            raise BadInput(f"{paths[0]}: a header and no rows; give --allow-empty if that is right")
        if how.join is not None:
            joined = locate(how.join.source, self.files)
            if not joined:
                raise BadInput(f"{name}: no file given matches {how.join.source!r}, which its mapping joins")
            other = read(con, "joined", joined, how)
            expect_columns(other, [how.join.key], joined)
            expect_columns(raw, [how.join.key], paths)
            twice = con.execute(
                f"SELECT {quote(how.join.key)} FROM joined GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
            ).fetchone()
            if twice is not None:
                raise BadInput(
                    f"{joined[0]}: {how.join.key} {twice[0]!r} stands more than once; a joined file has one row per key"
                )
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE raw AS SELECT r.*, j.* EXCLUDE ({quote(how.join.key)}, {FILE}, {LINE})"
                f" FROM raw r LEFT JOIN joined j USING ({quote(how.join.key)})"
            )
            raw = Raw("raw", {row[0]: row[1] for row in con.execute("DESCRIBE raw").fetchall()})
        expect_columns(raw, list(source_columns(how)), paths)
        return raw


def _type_rows(
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
        first.append(
            f"WHEN {happened.value} > TIMESTAMPTZ '{limit}' THEN {{'column': '{table.happened}', 'value': {happened.text}, 'code': 'FUTURE'}}"
        )
    aside = [f"WHEN {condition(rule.when)} THEN {literal(rule.reason)}" for rule in how.set_aside]
    if table.name == "order_lines":
        aside.append(f"WHEN {values['quantity']} = 0 THEN 'quantity_zero'")
    returned = condition(how.returns) if how.returns else "false"
    reason = f"CASE {' '.join(aside)} END" if aside else "CAST(NULL AS VARCHAR)"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE typed AS {_dated(table, mapping)} FROM (SELECT {FILE}, {LINE}, {', '.join(columns)},"
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


def _judge(con: duckdb.DuckDBPyConnection, table: Table, how: TableMapping, before: Shop | None) -> None:
    """Write `judged`: the typed rows with what becomes of each: accepted, aside, duplicate or quarantined."""
    content = ", ".join(
        f"coalesce(CAST({quote(name)} AS VARCHAR), chr(0))" for name in table.names if name != "known_at"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE hashed AS SELECT *, CAST(md5(concat_ws(chr(31), {content})) AS UUID) AS row_key,"
        " CASE WHEN aside IS NOT NULL THEN 'aside' WHEN fault IS NOT NULL THEN 'quarantined' ELSE 'accepted' END AS fate"
        " FROM typed"
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
        f" {'false' if keep else 'nth > 1'} AS is_duplicate FROM (SELECT {FILE}, {LINE}, row_key, {nth} AS nth FROM hashed"
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


def _count(con: duckdb.DuckDBPyConnection, table: Table) -> Ledger:
    fates = dict(con.execute("SELECT fate, count(*) FROM judged GROUP BY fate").fetchall())
    reasons = con.execute(
        "SELECT coalesce(aside, fault.code) AS reason, count(*) FROM judged WHERE fate IN ('aside', 'quarantined') GROUP BY 1"
    ).fetchall()
    notes = {}
    if table.name == "order_lines":
        row = con.execute(
            "SELECT count(*) FILTER (customer_id IS NULL), count(*) FILTER (quantity < 0) FROM judged WHERE fate = 'accepted'"
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


def _write(con: duckdb.DuckDBPyConnection, table: Table, staged: Path) -> None:
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
