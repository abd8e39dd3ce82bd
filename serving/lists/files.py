"""A finished list in a folder: the list, who was left out and why, and last a marker that says it is whole."""

import csv
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from features import lake
from serving.lists.cells import Field, to_csv
from serving.lists.profiles import Profile, written

EXCLUDED = (
    Field("customer_id", "customer_id", True),
    Field("reasons", "reasons"),
    Field("reason_texts", "reason_texts"),
)
EXCLUDED_JA = tuple(
    Field(header, field.source, field.is_id)
    for header, field in zip(("顧客番号", "除外理由コード", "除外理由"), EXCLUDED, strict=True)
)


@dataclass(frozen=True)
class List:
    """Who gets something, one row each, and who does not: ``customer_id``, ``reasons`` and ``reason_texts``."""

    name: str
    profile: Profile
    included: pd.DataFrame
    excluded: pd.DataFrame


def write_list(folder: Path, one: List, **facts: object) -> dict[str, Any]:
    """Write ``NAME.csv`` (or ``.txt``), ``NAME.excluded.csv`` and, last of all, ``NAME.done``; give what that says.

    The same list gives the same bytes. A reader who waits for ``.done`` and checks its sums never sees half a list:
    an older marker goes before anything under it changes.

    Raises
    ------
    BadInput
        If a cell cannot be written in the profile's encoding; nothing was written then.
    """
    content, rows = written(one.included, one.profile)
    header = EXCLUDED_JA if one.profile.dialect.guarded else EXCLUDED
    files = {
        f"{one.name}{one.profile.suffix}": content,
        f"{one.name}.excluded.csv": to_csv(one.excluded, header, one.profile.dialect),
    }
    done: dict[str, Any] = {"list": one.name, "profile": one.profile.name, "rows": rows, **facts}
    done |= {"excluded": len(one.excluded), "files": {name: _sha256(bytes_) for name, bytes_ in files.items()}}
    marker = folder / f"{one.name}.done"
    if _is_there(folder, marker, done):
        return done
    marker.unlink(missing_ok=True)
    for suffix in {".csv", ".txt"} - {one.profile.suffix}:  # of an earlier export with another profile
        (folder / f"{one.name}{suffix}").unlink(missing_ok=True)
    for name, bytes_ in files.items():
        lake.write_bytes(folder / name, bytes_)
    lake.write_json(marker, done)
    return done


def sums_again(folder: Path) -> None:
    """Make each marker tell of the files as they are now, after a customer was taken out of them."""
    for marker in sorted(folder.rglob("*.done")):
        said = lake.read_json(marker)
        present = {name: lake.sha256_file(marker.parent / name) for name in said["files"]}
        if present != said["files"]:
            kept = {name: _rows(marker.parent / name) for name in present}
            excluded = kept.pop(f"{said['list']}.excluded.csv")
            lake.write_json(marker, said | {"files": present, "rows": sum(kept.values()), "excluded": excluded})


def _rows(path: Path) -> int:
    """Count a list's rows, its header left out; no encoding of ours has a comma or quote inside another sign."""
    if path.suffix == ".txt":
        return len(path.read_bytes().splitlines())
    return sum(1 for _ in csv.reader(io.StringIO(path.read_bytes().decode("latin-1"), newline=""))) - 1


def _is_there(folder: Path, marker: Path, done: Mapping[str, Any]) -> bool:
    if not marker.exists() or lake.read_json(marker) != done:
        return False
    files: Mapping[str, str] = done["files"]
    return all((folder / name).exists() and lake.sha256_file(folder / name) == sha for name, sha in files.items())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
