"""Streaming a simulated shop to Parquet: one file per table, one row group per chunk of customers."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.errors import BadInput
from features.simulate.catalogue import CHANNEL_COST
from features.simulate.span import Span
from features.simulate.world import Columns, Tables, World

NEW_CUSTOMER_COST = {"search_ads": 2_400, "social_ads": 3_100, "affiliate": 2_800}  # yen for each new buyer


class Writer:
    """Parquet files of one folder, opened as their first rows come; ``counts`` says how many rows went where."""

    def __init__(self, folder: Path, open_files: ExitStack) -> None:
        self.folder, self.open_files = folder, open_files
        self.files: dict[str, pq.ParquetWriter] = {}
        self.counts: Counter[str] = Counter()

    def write(self, tables: Tables) -> None:
        """Append rows to each table's file."""
        for name, columns in tables.items():
            table = pa.table(columns)
            self.counts[name] += len(table)
            if not len(table):
                continue  # a table without any row has no file
            if name not in self.files:
                path = self.folder / f"{name}.parquet"
                # The door verifies page checksums, so they are written.
                file = pq.ParquetWriter(path, table.schema, compression="zstd", write_page_checksum=True)
                self.files[name] = self.open_files.enter_context(file)
            self.files[name].write_table(table, row_group_size=len(table))


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Give a folder to write in that becomes ``out`` only when all is written.

    Raises
    ------
    BadInput
        If ``out`` exists and is not an empty folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out}: exists already; give a new folder with --out")
    out.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        staged = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        stack.callback(shutil.rmtree, staged, ignore_errors=True)
        yield staged
        staged.replace(out)


class Costs:
    """What the shop spent month by month: sums of whole numbers, so that the chunks' order is no matter."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.new: Counter[date] = Counter()
        self.messages: Counter[date] = Counter()

    def add(self, world: World) -> None:
        """Count a chunk's new buyers and the tenths of yen its messages cost, by month."""
        people, contacts = world.people, world.history.contacts
        tenths = np.round(np.array(list(CHANNEL_COST.values())) * 10).astype(int)[contacts.channel]
        for day, n in zip(*np.unique(people.first[people.is_buyer], return_counts=True), strict=True):
            self.new[self._month(int(day))] += int(n)
        for day in np.unique(contacts.day):
            self.messages[self._month(int(day))] += int(tenths[(contacts.day == day) & (contacts.arm > 0)].sum())

    def _month(self, day: int) -> date:
        return (self.span.first + timedelta(day)).replace(day=1)

    def table(self) -> Columns:
        """One row per month and channel, dated its last day within the span."""
        rows: list[tuple[object, ...]] = []
        for month in sorted(self.new | self.messages):
            shares = _split(self.new[month], len(NEW_CUSTOMER_COST))
            for (channel, cost), n in zip(NEW_CUSTOMER_COST.items(), shares, strict=True):
                rows.append((self._last_day(month), "新規獲得", channel, float(cost * n), n))
            rows.append((self._last_day(month), "継続促進", "messages", self.messages[month] / 10, None))
        names = ("計上日", "費目", "媒体コード", "金額", "新規人数")
        types = (pa.date32(), pa.string(), pa.string(), pa.float64(), pa.int64())
        columns: Iterable[tuple[object, ...]] = zip(*rows, strict=True)
        return {name: pa.array(column, kind) for name, kind, column in zip(names, types, columns, strict=True)}

    def _last_day(self, month: date) -> date:
        next_month = (month + timedelta(31)).replace(day=1)
        return min(next_month, self.span.until) - timedelta(1)


def _split(n: int, parts: int) -> list[int]:
    """Split a count as evenly as it goes.

    >>> _split(8, 3)
    [3, 3, 2]
    """
    return [n // parts + (i < n % parts) for i in range(parts)]
