"""The offline half of the store: one immutable file per instant, every feature a column of its own."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features import catalog, lake
from features.errors import BadInput, Refused
from features.home import Home
from features.shop import Shop

# Feast joins every snapshot inside it: 0.5 GB of memory with 8 days, 4 GB with years (2026-11-21).
TTL = timedelta(days=2)
NAMED = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True)
class Snapshots:
    """Each customer as they were known at each of several instants, from one state of the lake.

    Beside ``20171203T050000Z.parquet`` lies ``20171203T050000Z.json`` with its sha256 and the version of the
    lake it was taken from. The folder is named by the features' schema hash: files in it have equal columns.
    """

    folder: Path
    lake_version: str

    @classmethod
    def of(cls, home: Home, shop: Shop) -> "Snapshots":
        """Find the snapshots of a shop with the features it has today."""
        names = [feature.name for feature in catalog.available(shop.tables)]
        return cls(home.feast / shop.name / "offline" / catalog.schema_hash(names), shop.version)

    @property
    def glob(self) -> str:
        """Match every snapshot. Feast cannot read a bare folder."""
        return f"{self.folder}/*.parquet"

    def path(self, as_of: datetime) -> Path:
        """Name the file of an instant."""
        return self.folder / f"{as_of.astimezone(UTC).strftime(NAMED)}.parquet"

    def has(self, as_of: datetime) -> bool:
        """Tell whether ``as_of`` was written from this state of the lake and its file is still whole."""
        path = self.path(as_of)
        sidecar = path.with_suffix(".json")
        if not (path.exists() and sidecar.exists()):
            return False
        facts = lake.read_json(sidecar)
        return (facts["lake_version"], facts["sha256"]) == (self.lake_version, lake.sha256_file(path))

    def write(self, as_of: datetime, rows: pd.DataFrame) -> None:
        """Write an instant's rows (``customer_id`` and features, sorted): the same rows, the same bytes.

        A kill between the file and its sidecar leaves a pair that does not match, which counts as absent.
        """
        path = self.path(as_of)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lake.sweep(path.parent)
        stamped = rows.assign(event_timestamp=pd.Timestamp(as_of).tz_convert("UTC").as_unit("us"))
        table = pa.Table.from_pandas(stamped, preserve_index=False).replace_schema_metadata(None)
        staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            pq.write_table(table, staged, compression="zstd")
            staged.chmod(0o600)
            lake.sync(staged)
            sha256 = lake.sha256_file(staged)
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
        lake.sync(path.parent)
        facts = {"lake_version": self.lake_version, "rows": len(rows), "sha256": sha256}
        lake.write_json(path.with_suffix(".json"), facts)

    def taken(self) -> list[datetime]:
        """List the instants kept, oldest first."""
        stems = sorted(path.stem for path in self.folder.glob("*.parquet"))
        return [datetime.strptime(stem, NAMED).replace(tzinfo=UTC) for stem in stems]

    def expect(self, instants: list[datetime]) -> None:
        """Check that each instant can be recalled: the snapshot before it is recent, whole and of this lake.

        Raises
        ------
        BadInput
            If no snapshot was taken in the two days up to an instant.
        Refused
            If that snapshot is damaged or shows another state of the lake.
        """
        taken = self.taken()
        newest = set()
        for as_of in instants:
            before = [moment for moment in taken if as_of - TTL <= moment <= as_of]
            if not before:
                raise BadInput(f"{self.folder}: no snapshot within {TTL.days} days before {as_of}; write one first")
            newest.add(before[-1])
        for moment in sorted(newest):
            if not self.has(moment):
                raise Refused(f"{self.path(moment)}: damaged or of another state of the lake; write it again")
