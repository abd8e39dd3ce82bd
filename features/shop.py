"""A shop as its lake stands at one moment: an immutable list of loads and the mapping of the newest."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from features import lake
from features.calendar import BusinessCalendar
from features.door.mapping import Mapping
from features.door.mapping_file import parse_mapping
from features.errors import BadInput
from features.home import Home


@dataclass(frozen=True)
class Load:
    """One immutable folder of the lake and the sha256 of its manifest."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Shop:
    """What features and labels read. Loads that arrive later are not seen by it."""

    home: Home
    name: str
    loads: tuple[Load, ...]

    @cached_property
    def mapping(self) -> Mapping:
        path = self.loads[-1].path / "shop.yaml"
        return parse_mapping(path.read_bytes(), str(path))

    @property
    def calendar(self) -> BusinessCalendar:
        return self.mapping.calendar

    @property
    def version(self) -> str:
        """Give the hash of all that is in the lake: the same loads, the same version."""
        return lake.digest([load.sha256 for load in self.loads])

    def grew_from(self, version: str) -> bool:
        """Tell whether the lake once stood at ``version`` and has only been added to since: no load was rewritten."""
        return any(lake.digest([load.sha256 for load in self.loads[:n]]) == version for n in range(len(self.loads) + 1))

    def parts(self, table: str) -> list[Path]:
        """List a table's Parquet files, oldest load first; empty if the shop lacks the table."""
        return [path for load in self.loads if (path := load.path / f"{table}.parquet").exists()]

    @cached_property
    def tables(self) -> frozenset[str]:
        """Name the canonical tables this shop has brought."""
        return frozenset(path.stem for load in self.loads for path in load.path.glob("*.parquet"))

    def source_checksums(self) -> set[str]:
        """Give the sha256 of every file taken in so far."""
        manifests = (lake.read_json(load.path / lake.MANIFEST) for load in self.loads)
        return {sha256 for manifest in manifests for sha256 in manifest["sources"].values()}


def open_shop(home: Home, name: str | None = None) -> Shop:
    """Open a shop's lake, every file checked against its checksum.

    Raises
    ------
    BadInput
        If the shop was never ingested.
    Damaged
        If a file of the lake has changed since it was written.
    """
    shop = name or home.default_shop()
    found = lake.pointed(home.lake(shop) / "CURRENT.json")
    if found is None:
        raise BadInput(f"{shop}: never ingested in {home.root}; begin with `okaeri ingest --shop {shop}.yaml`")
    loads = tuple(Load(home.lake(shop) / entry["path"], entry["sha256"]) for entry in found[1]["loads"])
    for load in loads:
        lake.verify(load.path, load.sha256)
    return Shop(home, shop, loads)
