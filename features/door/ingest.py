"""From a shop's files to a load: accepted rows in canonical tables, the rest counted and kept with its reason."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from features import arrivals, days, lake
from features.door.columns import quote, source_columns, typed_columns
from features.door.judge import count, judge, type_rows, write
from features.door.ledger import Ledger
from features.door.mapping import Mapping, TableMapping
from features.door.readers import FILE, LINE, Raw, expect_columns, locate, read
from features.door.tables import TABLES
from features.errors import BadInput
from features.home import Home
from features.shop import Load, Shop, open_shop

FUTURE_ROWS_REFUSED = 0.01  # faults.md A11: above 1 % of rows the whole file fails


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
            home.adopt(mapping.shop)  # a run killed before its last step left that to this one
            return ledger
        with (
            lake.staging(folder / "loads" / "next") as staged,
            tempfile.TemporaryDirectory() as spill,
            duckdb.connect(config={"temp_directory": spill}) as con,
        ):
            con.execute("SET TimeZone = 'UTC'")
            seen: set[Path] = set()
            for table, paths in sources.items():
                ledger.add(work.take_in(con, table, paths, staged), table, again=seen >= set(paths))
                seen |= set(paths)
            if not ledger.balanced():
                raise AssertionError(f"the ledger does not add up: {ledger.as_dict()}")
            if ledger.accepted or ledger.quarantined or ledger.noted("accepted") or before is None:
                days.write(con, staged, before, mapping.calendar)
                lake.write_bytes(staged / "shop.yaml", mapping_text)
                _publish(home, mapping.shop, before, staged, ledger, work.checksums)
        arrivals.record(home, mapping.shop, sources, now)
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
        type_rows(con, table, how, typed, self.mapping, self.now)
        judge(con, table, how, self.before)
        ledger = count(con, table)
        if ledger.rows_in and ledger.reasons.get("FUTURE", 0) > FUTURE_ROWS_REFUSED * ledger.rows_in:
            n = ledger.reasons["FUTURE"]
            raise BadInput(f"{paths[0].name}: {n} of {ledger.rows_in} rows lie in the future of this machine's clock")
        write(con, table, staged)
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
