"""Published nights written again without a customer: a new revision, then the older ones deleted."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import lake
from features.home import Home
from serving.publication import current_path, revisions


def found_in(home: Home, ids: Sequence[str]) -> dict[str, int]:
    """Count the rows of a customer in the tables of all nights, all revisions, by table."""
    counts: dict[str, int] = {}
    for revision in home.publications.glob("score_date=*/revision=*"):
        for name, n in _counts(revision, ids).items():
            counts[name] = counts.get(name, 0) + n
    return {name: n for name, n in sorted(counts.items()) if n}


def erase(home: Home, ids: Sequence[str]) -> None:
    """Publish each night that names a customer once more without them, and delete the revisions before.

    Call it under the night's lock. Killed at any step, a whole revision is current; done again, it finishes.
    """
    for date in sorted(home.publications.glob("score_date=*")):
        lake.sweep(date)
        holding = [path for path in date.glob("revision=*") if sum(_counts(path, ids).values())]
        if holding:
            _erase_night(home, date, ids)


def _erase_night(home: Home, date: Path, ids: Sequence[str]) -> None:
    newest = revisions(home, date.name.partition("=")[2])[-1]
    if sum(_counts(newest, ids).values()):
        newest = _write_without(newest, ids)
    now = current_path(home)
    if now is not None and now.parent == newest.parent and now != newest:
        lake.point(home.publications / "CURRENT.json", newest)
    for older in (path for path in date.glob("revision=*") if path != newest):
        out_of_sight = older.with_name(f".staging-{older.name}")  # a half-deleted night must not look finished
        older.rename(out_of_sight)
        shutil.rmtree(out_of_sight)
    lake.sync(date)


def _write_without(revision: Path, ids: Sequence[str]) -> Path:
    """Write the next revision: the same night but for the customer, its counts adding up."""
    manifest = lake.verify(revision)
    gone = set(_carriers(revision, ids))
    number = int(manifest["revision"]) + 1
    final = revision.with_name(f"revision={number}")
    counts, removed = dict(manifest["counts"]), _counts(revision, ids)
    with lake.staging(final) as staged:
        for name in manifest["files"]:
            if not name.endswith(".parquet"):
                shutil.copyfile(revision / name, staged / name)
                continue
            table = pq.read_table(revision / name)
            kept = table.filter(pc.invert(_is_theirs(table, sorted(gone)))) if removed.get(Path(name).stem) else table
            pq.write_table(kept, staged / name, compression="zstd")
        for name, n in removed.items():
            counts[name] = counts.get(name, 0) - n
        counts["eligible"] -= removed.get("customer_scores", 0)
        counts["scored"] -= removed.get("customer_scores", 0) - removed.get("rejects", 0)
        if "merged_ids" in counts:
            counts["merged_ids"] -= sum(len(others) for person, others in _merged_in(revision) if person in gone)
        facts: dict[str, Any] = {name: value for name, value in manifest.items() if name not in ("files", "counts")}
        erased = int(facts.get("erased_rows", 0)) + sum(removed.values())
        lake.seal(staged, **facts | {"counts": counts, "revision": number, "erased_rows": erased})
        lake.publish(staged, final)
    return final


def _counts(revision: Path, ids: Sequence[str]) -> dict[str, int]:
    gone = _carriers(revision, ids)
    tables = {path.stem: pq.read_table(path, columns=_key_of(path)) for path in sorted(revision.glob("*.parquet"))}
    counts = {name: int(pc.sum(_is_theirs(table, gone)).as_py() or 0) for name, table in tables.items()}
    return {name: n for name, n in counts.items() if n}


def _key_of(path: Path) -> list[str]:
    return [name for name in pq.read_schema(path).names if name == "customer_id"]


def _is_theirs(table: pa.Table, gone: Sequence[str]) -> pa.ChunkedArray:
    if "customer_id" not in table.column_names:
        return pa.chunked_array([pa.array([False] * len(table), pa.bool_())])
    return pc.fill_null(pc.is_in(table["customer_id"], pa.array(gone, pa.string())), False)


def _carriers(revision: Path, ids: Sequence[str]) -> list[str]:
    """List the ids, and those that this night took for the same person."""
    return sorted({*ids, *(person for person, others in _merged_in(revision) if others & set(ids))})


def _merged_in(revision: Path) -> list[tuple[str, set[str]]]:
    """List the persons that were merged that night with their other ids."""
    path = revision / "customer_scores.parquet"
    if not path.exists() or "merged_from" not in pq.read_schema(path).names:
        return []
    told = pq.read_table(path, columns=["customer_id", "merged_from"]).to_pylist()
    return [(row["customer_id"], set(row["merged_from"])) for row in told if row["merged_from"]]
