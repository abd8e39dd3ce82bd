"""From a shop's files to a load: accepted rows in canonical tables, the rest counted and kept with its reason."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from features import arrivals, days, lake
from features.door import forget, quarantine
from features.door.columns import Writer
from features.door.computed import Computed
from features.door.folders import Gathered, gather
from features.door.judge import LATER, STANDING, judge
from features.door.ledger import Ledger, count, refuse_spoilt, unknown_products
from features.door.lossless import expect_whole_ids
from features.door.mapping import Mapping
from features.door.personal import refuse_telephones
from features.door.quarantine import Piece
from features.door.readers import expect_columns, locate
from features.door.requeue import requeue_mapping
from features.door.secret import shop_key
from features.door.shaping import shaped
from features.door.tables import STORED_AS, TABLES, Table
from features.door.values import Values
from features.errors import BadInput
from features.home import Home
from features.shop import Load, Shop, open_shop
from features.sql import AS_PARQUET, literal, quote

MEMORY = "2200MB"  # of DuckDB, which spills what is more; with Python and its libraries well under 4 GB


def ingest(
    home: Home,
    mapping: Mapping,
    mapping_text: bytes,
    files: Sequence[Path],
    now: datetime,
    *,
    only_new: bool = False,
    allow_empty: bool = False,
    requeue: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Ledger:
    """Take a shop's files in as one load: nothing is visible until all of it is.

    Parameters
    ----------
    home, mapping, mapping_text
        Where to, and the shop's mapping with its text as the user wrote it (kept in the load).
    files
        Files for the sources that are not packages, and folders of them. Of a folder only files never taken in
        before are read (see :func:`features.door.folders.gather`).
    now
        The machine's clock, UTC: rows of the future are quarantined by it.
    only_new
        Skip files whose very bytes were taken in before, without counting their rows as duplicates.
    allow_empty
        Accept a file that has a header and no rows.
    requeue
        The files are quarantines of this shop whose rows were corrected by hand.
    say
        Told what is being done.

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
        if requeue:
            mapping = requeue_mapping(open_shop(home, mapping.shop).mapping, files)
        gathered = gather(files, mapping.sources(), now)
        work = _Work(mapping, before, now, allow_empty, gathered, _key(home, mapping), say)
        sources = work.sources(only_new)
        ledger = Ledger(warnings=gathered.notes)
        if not sources and before is not None:
            home.adopt(mapping.shop)  # a run killed before its last step left that to this one
            return ledger
        with lake.staging(folder / "loads" / "next") as staged:
            seen: set[tuple[Path, str | None]] = set()  # a file and, of a workbook, its sheet
            for table, paths in sources.items():
                read = {(path, mapping.tables[table].sheet) for path in paths}
                ledger.add(work.take_in(table, paths, staged), table, again=seen >= read)
                seen |= read
            if not ledger.balanced():
                raise AssertionError(f"the ledger does not add up: {ledger.as_dict()}")
            has_news = ledger.accepted or ledger.noted("accepted") or (ledger.quarantined and work.has_new_files())
            if has_news or before is None:
                lake.write_bytes(staged / "shop.yaml", mapping_text)
                publish_load(home, mapping.shop, before, staged, ledger, work.checksums)
        if not requeue:
            arrivals.record(home, mapping.shop, sources, now)
    home.adopt(mapping.shop)
    return ledger


def _key(home: Home, mapping: Mapping) -> bytes | None:
    """Read the shop's key if a column of the mapping is kept as its HMAC."""
    columns = [column for how in mapping.tables.values() for column in how.columns.values()]
    return shop_key(home) if any(isinstance(column, Computed) and column.hmac for column in columns) else None


def publish_load(
    home: Home, shop: str, before: Shop | None, staged: Path, ledger: Ledger, checksums: dict[str, str]
) -> None:
    """Name the finished load and point the lake at it, after all the loads before it."""
    number = len(before.loads) + 1 if before else 1
    counts = {name: value for name, value in ledger.as_dict().items() if name != "warnings"}  # they hold paths and ids
    sha256 = lake.seal(staged, ledger=counts, sources=checksums)
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
    gathered: Gathered
    key: bytes | None
    say: Callable[[str], None]
    checksums: dict[str, str] = field(default_factory=dict)

    def sources(self, only_new: bool) -> dict[str, list[Path]]:
        """Match each mapped table with its files; the first load must bring order lines."""
        known = self._known()
        found: dict[str, list[Path]] = {}
        for name, how in self.mapping.tables.items():
            for path in locate(how.source, self.gathered.files):
                if not path.is_file():
                    raise BadInput(f"{path}: no such file")
                if path in self.gathered.dropped and path.stat().st_size == 0:
                    self.gathered.notes.append(f"{path}: skipped: empty")
                    continue
                called = self.gathered.name(path)
                key = f"{name}/{called}"
                if key in self.checksums:  # a row is known by its file's name and its line
                    raise BadInput(
                        f"{path}: another file given is called {called} too; rename one, ingest it after,"
                        " or give one folder that holds both"
                    )
                self.checksums[key] = lake.sha256_file(path)
                if self.checksums[key] not in known or not (only_new or path in self.gathered.dropped):
                    found.setdefault(name, []).append(path)
        if self.before is None and "order_lines" not in found:
            wanted = self.mapping.tables["order_lines"].source
            raise BadInput(f"order_lines: no file given matches {wanted!r} of the mapping {self.mapping.shop}")
        return found

    def has_new_files(self) -> bool:
        """Tell whether any file's bytes were never taken in before."""
        return not set(self.checksums.values()) <= self._known()

    def _known(self) -> set[str]:
        return self.before.source_checksums() if self.before else set()

    def take_in(self, name: str, paths: list[Path], staged: Path) -> Ledger:
        """Take one table's files in and write its accepted and its quarantined rows."""
        table, how = TABLES[name], self.mapping.tables[name]
        with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
            spill = Path(folder) / "text"
            spill.mkdir()
            con.execute(f"SET memory_limit = '{MEMORY}'")
            con.execute(f"SET temp_directory = {literal(f'{folder}/spilled')}")
            con.execute("SET TimeZone = 'UTC'")
            con.execute("CREATE TEMP TABLE files (first_row BIGINT, end_row BIGINT, newest TIMESTAMPTZ)")
            pieces = [self._type_rows(con, table, path, spill) for path in paths]
            self.say(f"{name}: {_single(con, 'SELECT count(*) FROM typed'):,} rows read; judging them")
            if self.before is not None:
                forget.set_aside(con, table, self.before)
            judge(con, table, how, self.before, self.mapping.calendar)
            _view_accepted(con, table)
            ledger = count(con, table, [piece.source for piece in pieces])
            self.say(f"{name}: writing {ledger.accepted:,} rows")
            _write(con, table, staged)
            if ledger.quarantined:
                quarantine.write(con, table, how, pieces, self.key, staged)
            if name == "order_lines":
                old = [str(path) for path in self.before.parts(name)] if self.before else []
                ledger.warnings += unknown_products(con, old)
                con.execute("DROP VIEW accepted; DROP TABLE typed")  # what is written is read again from there
                days.write(con, staged, self.mapping.calendar)
        return ledger

    def _type_rows(self, con: duckdb.DuckDBPyConnection, table: Table, path: Path, spill: Path) -> Piece:
        """Add one file's rows to `typed`, and the numbers of its rows to `files`."""
        how = self.mapping.tables[table.name]
        called = self.gathered.name(path)
        self.say(f"{table.name}: reading {called}")
        source = shaped(con, table.name, path, called, how, self.gathered.files, spill)
        expect_columns(source, how.source_columns())
        expect_whole_ids(con, table, how, source)
        values = Values(table, how, self.mapping, source, self.key)
        query = Writer(values).query(self.now)
        source.notes.extend(values.collisions(con))
        is_first = con.execute("SELECT count(*) FROM files").fetchone() == (0,)
        first_row = 0 if is_first else _single(con, "SELECT count(*) FROM typed")
        try:
            con.execute(f"{'CREATE TEMP TABLE typed AS' if is_first else 'INSERT INTO typed BY NAME'} {query}")
        except (duckdb.DataError, duckdb.InvalidInputException) as error:  # text in Parquet that is no UTF-8
            raise BadInput(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
        newest = f"max({quote(table.happened)}) FILTER (fault IS NULL)" if table.happened else "NULL"
        con.execute(
            f"INSERT INTO files SELECT $first, $first + count(*), {newest} FROM typed WHERE rowid >= $first",
            {"first": first_row},
        )
        if (
            not (self.allow_empty or path in self.gathered.dropped)
            and _single(con, "SELECT count(*) FROM typed") == first_row
            and not source.broken
        ):
            raise BadInput(f"{path}: a header and no rows; give --allow-empty if that is right")
        refuse_spoilt(con, source, first_row)
        refuse_telephones(con, source, values.unexpecting(), first_row)
        return Piece(source, first_row)


def _single(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0


def _view_accepted(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Make `accepted` and `taken_back` have every column of the canonical table, and ``nth``, their order."""
    _complete(con, table, "accepted", f"SELECT *, rowid AS nth FROM typed WHERE {STANDING}")
    if table.name == "order_lines":
        order = ", ".join(map(quote, _columns_of(con, "FROM reversals")))
        rows = f"SELECT *, {LATER} + row_number() OVER (ORDER BY {order}) AS nth FROM reversals"
        _complete(con, table, "taken_back", rows)


def _complete(con: duckdb.DuckDBPyConnection, table: Table, name: str, rows: str) -> None:
    have = set(_columns_of(con, rows))
    lacking = "".join(
        f", CAST(NULL AS {STORED_AS[column.kind]}) AS {quote(column.name)}"
        for column in table.columns
        if column.name not in have
    )
    con.execute(f"CREATE TEMP VIEW {name} AS SELECT *{lacking} FROM ({rows})")


def _columns_of(con: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return [row[0] for row in con.execute(f"DESCRIBE {query}").fetchall()]


def _write(con: duckdb.DuckDBPyConnection, table: Table, staged: Path) -> None:
    """Write the accepted rows in the order of their files; facts, few and looked up by key, in its order.

    The order is said, or two threads would make other groups of the same rows each time: other bytes, another load.
    """
    columns = ", ".join(map(quote, [*table.names, *(("day", "known_on") if table.happened else ())]))
    order = "nth" if table.happened else ", ".join(table.key)
    query = f"SELECT {columns} FROM accepted ORDER BY {order}"
    if table.name == "order_lines":
        rows = f"SELECT {columns}, nth, %s::TINYINT AS sign FROM %s"
        both = f"{rows % ('1', 'accepted')} UNION ALL {rows % ('-1', 'taken_back')}"
        query = f"SELECT * EXCLUDE (nth) FROM ({both}) ORDER BY nth"
    con.execute(f"COPY ({query}) TO {literal(f'{staged / table.name}.parquet')} {AS_PARQUET}")
