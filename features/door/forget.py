"""Forgetting a customer: the lake's part, and what keeps a later file from bringing them back.

Loads are immutable and sealed. So one that holds the customer is written again without them, under a new name; all
are pointed at in one rename, and the old ones are deleted last. Killed at any step, the lake is whole, and doing it
again finishes. Tombstones (pseudonyms by the shop's key) let the door set aside what a later file still holds.
"""

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features import lake
from features.door.secret import keyed, shop_key, sql_keyed
from features.door.tables import Table
from features.errors import Refused
from features.home import Home
from features.shop import Load, Shop
from features.sql import literal

TOMBSTONES = "forgotten.json"
SEPARATOR = "\x1f"  # the door refuses ids with control characters


@dataclass(frozen=True)
class Trace:
    """What to look for everywhere: all that names one person, or hangs on what names them."""

    customers: tuple[str, ...]
    aliases: tuple[str, ...]  # type, separator, alias; theirs alone
    orders: tuple[str, ...]
    contacts: tuple[str, ...]  # messages and decisions

    def by_kind(self) -> dict[str, tuple[str, ...]]:
        """Give the values by the kind of thing they name."""
        return {"customer": self.customers, "alias": self.aliases, "order": self.orders, "contact": self.contacts}

    def words(self) -> list[str]:
        """List every value as it would stand in a text."""
        plain = (alias.partition(SEPARATOR)[2] for alias in self.aliases)
        return sorted({*self.customers, *plain, *self.orders, *self.contacts})


# ---- tombstones -------------------------------------------------------------------------------------------------


def entomb(home: Home, shop: str, trace: Trace) -> None:
    """Remember by pseudonym whom later files must not bring back."""
    key, path = shop_key(home), home.lake(shop) / TOMBSTONES
    known = _tombstones(home, shop, key)
    new = {keyed(key, kind + SEPARATOR + value) for kind, values in trace.by_kind().items() for value in values}
    lake.write_json(path, {"key": keyed(key, TOMBSTONES), "pseudonyms": sorted(known | new)})


class Tombstones:
    """Who was forgotten, read again when the file changes: one look at its time per question."""

    def __init__(self, home: Home, shop: str) -> None:
        self._home, self._shop = home, shop
        self._read: tuple[int, bytes, set[str]] = (-1, b"", set())

    def now(self) -> Callable[[str], bool]:
        """Give the test whether a customer of some id was forgotten by now."""
        is_buried = self.buried()
        return lambda customer_id: is_buried("customer", customer_id)

    def buried(self) -> Callable[[str, str], bool]:
        """Give the test whether a thing of some kind (customer, alias, order, contact) was forgotten by now."""
        try:
            stamp = (self._home.lake(self._shop) / TOMBSTONES).stat().st_mtime_ns
        except FileNotFoundError:
            return lambda kind, value: False
        if stamp != self._read[0]:
            key = shop_key(self._home)
            self._read = stamp, key, _tombstones(self._home, self._shop, key)
        _, key, buried = self._read
        return lambda kind, value: keyed(key, kind + SEPARATOR + value) in buried


def _tombstones(home: Home, shop: str, key: bytes) -> set[str]:
    path = home.lake(shop) / TOMBSTONES
    if not path.exists():
        return set()
    facts = lake.read_json(path)
    if facts["key"] != keyed(key, TOMBSTONES):
        raise Refused(f"{path}: written with another shop key; restore that key, or forgotten customers would return")
    return set(facts["pseudonyms"])


def set_aside(con: duckdb.DuckDBPyConnection, table: Table, shop: Shop) -> None:
    """Set rows of forgotten customers aside before they are judged; the reason is counted, no id is kept."""
    if not (shop.home.lake(shop.name) / TOMBSTONES).exists():
        return
    key = shop_key(shop.home)
    found = sorted(_tombstones(shop.home, shop.name, key))
    con.execute("CREATE OR REPLACE TEMP TABLE forgotten AS SELECT unnest(?::VARCHAR[]) AS pseudonym", [found])

    def is_in(kind: str, value: str) -> str:
        return f"{sql_keyed(key, f'{literal(kind + SEPARATOR)} || {value}')} IN (FROM forgotten)"

    columns = [row[0] for row in con.execute("DESCRIBE typed").fetchall()]
    con.execute(f"UPDATE typed SET aside = 'forgotten' WHERE {_theirs(table.name, columns, is_in)}")


# ---- the lake ---------------------------------------------------------------------------------------------------


def _theirs(table: str, columns: Iterable[str], is_in: Callable[[str, str], str]) -> str:
    """Write which rows are the customer's as SQL that is never NULL.

    A row belongs to the customer it names; where it names none, to that of its order, message or alias. Lines of
    an order that name nobody are a guest's.
    """
    have, tests = set(columns), []
    if "customer_id" in have:
        tests.append(is_in("customer", "customer_id"))
    nobody = "customer_id IS NULL AND " if "customer_id" in have else ""
    if table != "order_lines":
        named = (("order", "order_id"), ("contact", "contact_id"), ("contact", "decision_id"))
        tests += [f"({nobody}{is_in(kind, column)})" for kind, column in named if column in have]
    if "alias" in have:
        tests.append(f"({nobody}{is_in('alias', f'alias_type || {literal(SEPARATOR)} || alias')})")
    return f"coalesce({' OR '.join(tests) or 'false'}, false)"


def mentions(words: Iterable[str]) -> str:
    """Write a regular expression that finds any of these words where they stand alone in a text."""
    return f"(?:^|[^0-9A-Za-z_-])(?:{'|'.join(map(re.escape, words))})(?:[^0-9A-Za-z_-]|$)"


class _Looking:
    """A connection that knows what to look for, and how many rows of a file are the customer's."""

    def __init__(self, con: duckdb.DuckDBPyConnection, trace: Trace) -> None:
        self.con, self.pattern = con, literal(mentions(trace.words()))
        con.execute("SET TimeZone = 'UTC'")
        for kind, values in trace.by_kind().items():
            con.execute(f'CREATE TEMP TABLE "{kind}s" AS SELECT unnest(?::VARCHAR[]) AS named', [list(values)])

    def rows(self, path: Path) -> tuple[str, str]:
        """Give the SQL that reads a file and the SQL of the rows that are the customer's."""
        options = ", header = true, all_varchar = true" if path.suffix == ".csv" else ""
        source = f"read_{'csv' if path.suffix == '.csv' else 'parquet'}({literal(str(path))}{options})"
        columns = {row[0]: row[1] for row in self.con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
        if path.name.startswith("quarantine"):  # a refused value may hold any of the words
            texts = (f'regexp_matches("{name}", {self.pattern})' for name, kind in columns.items() if kind == "VARCHAR")
            return source, f"coalesce({' OR '.join(texts)}, false)"
        return source, _theirs(path.stem, columns, lambda kind, value: f'{value} IN (FROM "{kind}s")')

    def count(self, path: Path) -> int:
        source, theirs = self.rows(path)
        row = self.con.execute(f"SELECT count(*) FROM {source} WHERE {theirs}").fetchone()
        return int(row[0]) if row else 0

    def write_others(self, path: Path, to: Path) -> None:
        """Write a file's other rows, in their order."""
        source, theirs = self.rows(path)
        how = "csv, HEADER" if path.suffix == ".csv" else "parquet, COMPRESSION zstd"
        self.con.execute(f"COPY (SELECT * FROM {source} WHERE NOT {theirs}) TO {literal(str(to))} (FORMAT {how})")


@contextmanager
def _looking_for(trace: Trace) -> Iterator[_Looking]:
    with duckdb.connect() as con:
        yield _Looking(con, trace)


def _tables_of(load: Load) -> list[Path]:
    return sorted(path for path in load.path.rglob("*") if path.suffix in (".parquet", ".csv"))


def found_in(shop: Shop, trace: Trace) -> dict[str, int]:
    """Count the customer's rows in the lake by file name, over all loads."""
    counts: dict[str, int] = {}
    with _looking_for(trace) as looking:
        for path in (path for load in shop.loads for path in _tables_of(load)):
            counts[path.name] = counts.get(path.name, 0) + looking.count(path)
    return {name: n for name, n in sorted(counts.items()) if n}


def erase(shop: Shop, trace: Trace) -> None:
    """Remove the customer from every load. Call it under the lake's lock; done twice it changes nothing."""
    with _looking_for(trace) as looking:
        loads = [_without(load, looking) for load in shop.loads]
    pointer = shop.home.lake(shop.name) / "CURRENT.json"
    if loads != list(shop.loads):
        facts = {name: value for name, value in lake.read_json(pointer).items() if name not in ("path", "loads")}
        listed = [{"path": f"loads/{load.path.name}", "sha256": load.sha256} for load in loads]
        lake.point(pointer, loads[-1].path, loads=listed, **facts)
    kept = {load.path.name for load in loads}
    for left in (path for path in loads[0].path.parent.iterdir() if path.name not in kept):
        shutil.rmtree(left)
    lake.sync(loads[0].path.parent)


def _without(load: Load, looking: _Looking) -> Load:
    """Write a load again without the customer, whole and sealed; one that never held them stays as it is."""
    counts = {path: n for path in _tables_of(load) if (n := looking.count(path))}
    if not counts:
        return load
    manifest = lake.verify(load.path, load.sha256)
    with lake.staging(load.path.with_name("forgetting")) as staged:
        for name in manifest["files"]:
            (staged / name).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if load.path / name in counts:
                looking.write_others(load.path / name, staged / name)
            else:
                shutil.copyfile(load.path / name, staged / name)
        facts = {name: value for name, value in manifest.items() if name != "files"}
        erased = sum(counts.values()) + int(facts.pop("erased_rows", 0))  # beside the ledger of what came in
        sha256 = lake.seal(staged, **facts, erased_rows=erased)
        final = load.path.with_name(f"{load.path.name.partition('-')[0]}-{sha256[:12]}")
        lake.publish(staged, final)
    return Load(final, sha256)
