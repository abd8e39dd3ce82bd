"""Does anything that is learnt from know the future? The features again, from a lake in which it never happened."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import numpy as np
import pandas as pd

from features import catalog
from features.errors import Refused
from features.frame import feature_frame
from features.shop import Shop
from training.dataset import Past

TIMES = {"day", "known_on"}
NAMED = 3  # of the features found leaking


@dataclass(frozen=True)
class ShopUntil(Shop):
    """A shop as its lake would stand had nothing happened, and nothing been told, on business day ``day`` or later."""

    day: int
    folder: Path

    def parts(self, table: str) -> list[Path]:
        """List a table's files without its later rows; a table whose rows have no day is as it is."""
        return [self._shortened(path, f"{number}-{table}") for number, path in enumerate(super().parts(table))]

    def _shortened(self, path: Path, name: str) -> Path:
        short = self.folder / f"{name}.parquet"
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            columns = {row[0] for row in con.execute("DESCRIBE FROM read_parquet(?)", [str(path)]).fetchall()}
            if not columns >= TIMES:
                return path
            if not short.exists():
                rows = con.sql(
                    "FROM read_parquet(?) WHERE day < ? AND known_on < ?", params=[str(path), *[self.day] * 2]
                )
                rows.write_parquet(str(short), compression="uncompressed")
        return short


@contextmanager
def shop_until(shop: Shop, day: int) -> Iterator[ShopUntil]:
    """Give the shop without what came on business day ``day`` or later, for as long as the block runs."""
    with TemporaryDirectory(prefix="okaeri-") as folder:
        yield ShopUntil(shop.home, shop.name, shop.loads, day, Path(folder))


def expect_no_leak(past: Past, day: int) -> None:
    """Compare what training reads of business day ``day`` with the same features of a lake that ends before it.

    They must be equal to the bit: whatever differs was computed from that day or a later one.

    Raises
    ------
    Refused
        Naming the features, and for how many customers they differ.
    """
    known = past.known(day)
    with shop_until(past.shop, day) as before:
        again = feature_frame(before, past.shop.calendar.start(day))
    date = past.shop.calendar.date(day)
    again = known[["customer_id"]].merge(again, on="customer_id", how="left", indicator="where")
    if len(unknown := again[again["where"] == "left_only"]):
        raise Refused(
            f"LEAK: {len(unknown):,} customers of {date} were not known before it; nothing is learnt from that"
        )
    differs = _differing(known, again, [feature.name for feature in catalog.available(past.shop.tables)])
    if differs:
        told = "; ".join(f"{name} ({n:,} of {len(known):,} customers)" for name, n in list(differs.items())[:NAMED])
        more = f" and {len(differs) - NAMED} more" if len(differs) > NAMED else ""
        raise Refused(f"LEAK: what came on {date} or later changes {told}{more}; a feature must not know the future")


def _differing(one: pd.DataFrame, other: pd.DataFrame, names: list[str]) -> dict[str, int]:
    """Count the rows in which two frames' features differ, the most first."""
    a, b = (frame[names].to_numpy(np.float64) for frame in (one, other))
    counts = (~((a == b) | (np.isnan(a) & np.isnan(b)))).sum(axis=0)
    found = sorted(zip(names, counts.tolist(), strict=True), key=lambda named: -named[1])
    return {name: n for name, n in found if n}
