"""A published night: an immutable folder of tables, found through one pointer, checked before it is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from features import lake
from features.home import Home
from serving.policy.reading import load_policy
from serving.policy.rules import Policy

POLICY = "policy.yaml"
CODES = "offer_codes"


@dataclass(frozen=True)
class Publication:
    """One night's tables."""

    path: Path
    manifest: Mapping[str, Any]

    @property
    def day(self) -> int:
        return int(self.manifest["day"])

    @property
    def policy(self) -> Policy:
        return load_policy(self.path / POLICY)

    def codes(self) -> dict[str, tuple[str, ...]]:
        """Read the coupon codes of the policy's pools, each in the order of its file."""
        table = self.table(CODES)
        return {str(offer): tuple(some.code) for offer, some in table.groupby("offer_id", sort=True)}

    def table(self, name: str) -> pd.DataFrame:
        """Read one table."""
        frame: pd.DataFrame = pq.read_table(self.path / f"{name}.parquet").to_pandas()
        return frame

    def others(self) -> dict[str, list[str]]:
        """List the other ids of every person that was merged that night, by the id they go by."""
        path = self.path / "customer_scores.parquet"
        if "merged_from" not in pq.read_schema(path).names:  # a night of a first version
            return {}
        rows = pq.read_table(path, columns=["customer_id", "merged_from"]).to_pylist()
        return {row["customer_id"]: row["merged_from"] for row in rows if row["merged_from"]}

    def by_customer(self, name: str, columns: Sequence[str] | None = None) -> "ByCustomer":
        """Read one table, or some columns of it, for look-ups by customer; its rows are sorted by customer."""
        table = self.table(name)
        return ByCustomer(table if columns is None else table[["customer_id", *columns]])


class ByCustomer(Mapping[str, Sequence[Mapping[str, Any]]]):
    """A table's rows per customer, kept as columns with one range per customer."""

    def __init__(self, table: pd.DataFrame) -> None:
        self._columns = {name: table[name].to_numpy() for name in table.columns if name != "customer_id"}
        ids = table["customer_id"].to_numpy()
        starts = [0, *(i for i in range(1, len(ids)) if ids[i] != ids[i - 1])] if len(ids) else []
        ends = [*starts[1:], len(ids)]
        self._ranges = {ids[start]: (start, end) for start, end in zip(starts, ends, strict=False)}

    def __getitem__(self, customer_id: str) -> Sequence[Mapping[str, Any]]:
        start, end = self._ranges[customer_id]
        columns = {name: values[start:end].tolist() for name, values in self._columns.items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)


def current(home: Home) -> Publication | None:
    """Open the newest published night, every file checked; ``None`` if there is none yet.

    Raises
    ------
    Damaged
        If a file is not the one its manifest lists.
    """
    path = current_path(home)
    return None if path is None else open_publication(path)


def current_path(home: Home) -> Path | None:
    """Name the newest published night's folder, unchecked; ``None`` if there is none yet."""
    found = lake.pointed(home.publications / "CURRENT.json")
    return None if found is None else found[0]


def score_date(path: Path) -> str:
    """Read the date of a night off its folder's name.

    >>> score_date(Path("publications/score_date=2017-12-03/revision=2"))
    '2017-12-03'
    """
    return path.parent.name.partition("=")[2]


def previous(home: Home, date: str) -> Publication | None:
    """Open the newest revision of the last night before a date, every file checked; ``None`` if there is none.

    Raises
    ------
    Damaged
        If a file is not the one its manifest lists.
    """
    earlier = sorted(d for path in home.publications.glob("score_date=*/revision=*") if (d := score_date(path)) < date)
    done = next((found for d in reversed(earlier) if (found := revisions(home, d))), None)
    return None if done is None else open_publication(done[-1])


def open_publication(path: Path) -> Publication:
    """Open one night's folder, every file checked."""
    return Publication(path, lake.verify(path))


def revisions(home: Home, score_date: str) -> list[Path]:
    """List the finished revisions of one date, oldest first."""
    folder = home.publications / f"score_date={score_date}"
    found = (path for path in folder.glob("revision=*") if (path / lake.MANIFEST).exists())
    return sorted(found, key=lambda path: int(path.name.partition("=")[2]))
