"""Forgetting a customer: the feature store's part, offline and online."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value

from feature_repo import registry
from features.errors import Refused
from features.home import Home

BUSY_MS = 30_000  # a night's chunk holds the database for 0.2 s (2026-11-21): longer means its holder is stuck


def found_in(home: Home, shop: str, ids: Sequence[str]) -> dict[str, int]:
    """Count a customer's rows in the snapshots and online."""
    folder = home.feast / shop
    offline = sum(
        pc.sum(pc.is_in(pq.read_table(path, columns=["customer_id"])["customer_id"], pa.array(ids))).as_py() or 0
        for path in folder.glob("offline/*/*.parquet")
    )
    online = 0
    for database in _online(folder):
        with closing(sqlite3.connect(database)) as con:
            for table in _tables(con):
                marks = ",".join("?" * len(ids))
                sql = f'SELECT count(DISTINCT entity_key) FROM "{table}" WHERE entity_key IN ({marks})'
                online += con.execute(sql, _keys(ids)).fetchone()[0]
    return {name: n for name, n in {"offline snapshots": offline, "online store": online}.items() if n}


def erase(home: Home, shop: str, ids: Sequence[str]) -> None:
    """Remove a customer from the online database, their bytes too, and drop the snapshots, which show another lake.

    Training takes a snapshot again where it misses one. Done twice it changes nothing.

    Raises
    ------
    Refused
        If the online store is no SQLite file, or somebody has been reading it for half a minute.
    """
    folder = home.feast / shop
    if not folder.exists():
        return
    with registry.turn(folder / ".offline.lock", f"the snapshots of {shop}"):
        for path in sorted(folder.glob("offline/*/*")):
            path.unlink()
    with registry.turn(folder / ".online.lock", f"the online store of {shop}"):
        for database in _online(folder):
            _erase_online(database, ids)


def _online(folder: Path) -> list[Path]:
    if folder.exists() and (folder / "registry.db").exists() and not (folder / "online.db").exists():
        raise Refused(
            f"{folder}: the online store is not the SQLite file online.db; erase there by its own means first"
        )
    return [path for path in (folder / "online.db",) if path.exists()]


def _erase_online(database: Path, ids: Sequence[str]) -> None:
    """Delete rows and write the file anew: SQLite leaves deleted bytes in free pages and in its write-ahead log."""
    with closing(sqlite3.connect(database, timeout=BUSY_MS / 1000, isolation_level=None)) as con:
        con.execute("PRAGMA secure_delete = ON")
        for table in _tables(con):
            con.execute(f'DELETE FROM "{table}" WHERE entity_key IN ({",".join("?" * len(ids))})', _keys(ids))
        con.execute("VACUUM")
        busy = con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise Refused(f"{database}: somebody is reading it, so its log still holds what was deleted; try again")


def _tables(con: sqlite3.Connection) -> Iterator[str]:
    for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall():
        if any(column[1] == "entity_key" for column in con.execute(f'PRAGMA table_info("{name}")')):
            yield name


def _keys(ids: Sequence[str]) -> list[bytes]:
    """Write ids as Feast keys them (``entity_key_serialization_version: 3``)."""
    keys = (EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=one)]) for one in ids)
    return [serialize_entity_key(key, entity_key_serialization_version=3) for key in keys]
