"""A shop's files as sources that SQL can read, without guessing: nothing is typed, dropped or repaired here."""

import csv
import importlib.util
import io
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.door.decode import Decoded, decoded
from features.door.mapping import TableMapping, nearest
from features.door.names import composed, fits
from features.door.records import EVERY, LONGEST, Broken, Records, clean, scan
from features.door.workbook import sheet_rows
from features.errors import BadInput
from features.sql import literal, quote, sql_file

BATCH_ROWS = 131_072
BROKEN_ROWS_REFUSED = 0.01  # faults.md A25
LOOKED_AT = 20  # lines at the top among which a header is looked for
DELIMITED = (".csv", ".tsv", ".txt")


@dataclass(frozen=True)
class Source:
    """One file as SQL can read it, in the file's order.

    ``name`` is what people know the file by: its own, in a folder with the way to it. ``relation`` is a table function
    of DuckDB, ``types`` its columns with their DuckDB types. ``records`` is given for delimited text: where the rows
    stand in it and which are broken.
    """

    path: Path
    name: str
    relation: str
    types: dict[str, str]
    records: Records | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[Broken]:
        return self.records.broken if self.records else []

    def marks(self, column: str) -> int:
        """Give the marks that may be in a column (see ``records``); of typed and of joined ones nothing is known."""
        known, place = self.records.marks if self.records else (), list(self.types).index(column)
        return int(known[place]) if place < len(known) else EVERY

    def lines(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the line (of a table without lines, the row from 1) of rows numbered from 0."""
        return self.records.lines(rows) if self.records else rows + 1


def locate(source: str, files: Sequence[Path]) -> list[Path]:
    """Find the files of one mapped source: inside a package, or among the files given.

    Raises
    ------
    BadInput
        If the package is not installed. No matching file is no error here: the list is empty.
    """
    if not source.startswith("package:"):
        return [path for path in files if fits(path.name, source)]
    package, _, inside = source.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or spec.submodule_search_locations is None:
        raise BadInput(f"{source}: the package {package} is not installed; `pip install {package.replace('_', '-')}`")
    return [Path(spec.submodule_search_locations[0]) / inside]


def open_source(con: duckdb.DuckDBPyConnection, path: Path, how: TableMapping, spill: Path) -> Source:
    """Make one file readable; what has to be rewritten first goes to the folder ``spill``.

    Raises
    ------
    BadInput
        Naming the file that is missing, empty, damaged or of an unknown kind, and the place in it.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: EMPTY_FILE: it has no rows and no header")
    kind = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    try:
        if kind == ".parquet":
            return _parquet(con, path)
        if kind == ".xlsx":
            return _workbook(path, how, spill)
        if kind in DELIMITED:
            delimiter = how.delimiter or ("\t" if kind == ".tsv" else ",")
            return _delimited(decoded(path, how.encoding), delimiter, how, spill)
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise BadInput(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    raise BadInput(
        f"{path}: {kind or 'no ending'} is not read; .csv, .tsv, .txt (each also .gz), .xlsx and .parquet are"
    )


def _parquet(con: duckdb.DuckDBPyConnection, path: Path) -> Source:
    """Read every page once with pyarrow, which verifies checksums; DuckDB ignores them (silently wrong sums)."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        written = file.schema_arrow.names
        names = _distinct([composed(name) for name in written], [composed(name) for name in written], path)
        for _ in file.iter_batches(batch_size=BATCH_ROWS):
            pass
    relation = f"read_parquet({sql_file(path)}, hive_partitioning = false)"
    if names != written:
        renamed = (f"{quote(old)} AS {quote(new)}" for old, new in zip(written, names, strict=True))
        relation = f"(SELECT {', '.join(renamed)} FROM {relation})"
    types = {row[0]: row[1] for row in con.execute(f"DESCRIBE FROM {relation}").fetchall()}
    return Source(path, path.name, relation, types)


def _workbook(path: Path, how: TableMapping, spill: Path) -> Source:
    """Write one sheet of a workbook as text, line for line."""
    rows = sheet_rows(path, how.sheet)
    text = spill / f"sheet{len(list(spill.iterdir()))}.csv"
    with text.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return _delimited(Decoded(text, "utf-8", called=path), ",", how, spill)


def _delimited(text: Decoded, delimiter: str, how: TableMapping, spill: Path) -> Source:
    """Find the header and the records; DuckDB gets the file itself if it is plain, else its good records."""
    if len(delimiter) != 1 or not delimiter.isascii():
        raise BadInput(f"delimiter: {delimiter!r} is not one ASCII character")
    wanted = how.source_columns()
    header, first_line = _header(text, delimiter, how.header, wanted)
    header = _distinct(header, wanted, text.named)
    records = scan(_body(text, first_line), delimiter, len(header), first_line)
    _refuse_broken(text.named, records, len(header))
    readable, skip = text.path, first_line - 1
    if not (records.is_plain and text.is_utf8):
        readable, skip = spill / f"clean{len(list(spill.iterdir()))}.csv", 0
        with readable.open("wb") as file:
            file.writelines(clean(_body(text, first_line), delimiter, len(header)))
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    relation = (  # everything DuckDB would otherwise guess is said
        f"read_csv({sql_file(readable)}, auto_detect = false, header = false, skip = {skip},"
        f" columns = {{{columns}}}, delim = {literal(delimiter)},"
        f" quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = true,"
        f" strict_mode = true, null_padding = false, max_line_size = {2 * LONGEST})"
    )
    notes = [f"{text.named}: looks garbled: {text.garbled!r}; is its encoding right?"] if text.garbled else []
    return Source(text.named, text.named.name, relation, dict.fromkeys(header, "VARCHAR"), records, notes)


def _refuse_broken(path: Path, records: Records, width: int) -> None:
    """Refuse a file of which so much is broken that its structure is not what was expected."""
    broken, rows = [row for row in records.broken if row.code != "NUL"], records.good + len(records.broken)
    if len(broken) > BROKEN_ROWS_REFUSED * rows:
        first = broken[0]
        raise BadInput(
            f"{path}: {len(broken)} of {rows} rows are broken (more than 1 %); the first on line {first.line}:"
            f" {first.code}: {first.text[:80]!r}; the header has {width} columns"
        )


def _header(text: Decoded, delimiter: str, at: int, wanted: Sequence[str]) -> tuple[list[str], int]:
    """Read the header, which stands on line ``at``, and give the physical line after it."""
    head = b"".join(itertools.islice(text.chunks(), 1)).decode("utf-8", "ignore")
    lines = io.StringIO(head, newline="")
    above = sum(1 for _ in itertools.islice(lines, at - 1))
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = [composed(name) for name in next(reader, [])]
    except csv.Error as error:
        raise BadInput(f"{text.named}: its header cannot be read: {error}") from None
    if not set(wanted) <= set(header) and (better := _header_line(head, delimiter, wanted, len({*header} & {*wanted}))):
        raise BadInput(f"{text.named}: line {better} looks like the header, not line {at}: give `header: {better}`")
    if not any(header):
        raise BadInput(f"{text.named}: EMPTY_FILE: its line {at} is blank; a header is expected there")
    return [name or f"column{number}" for number, name in enumerate(header, 1)], above + reader.line_num + 1


def _header_line(head: str, delimiter: str, wanted: Sequence[str], least: int) -> int | None:
    """Find the line at a file's top that names the most columns, if those are more than ``least``."""
    lines = itertools.islice(io.StringIO(head, newline=""), LOOKED_AT)
    rows = (row for line in lines for row in csv.reader([line], delimiter=delimiter))
    named = [len({composed(cell) for cell in row} & {*wanted}) for row in rows]
    return named.index(max(named)) + 1 if max(named, default=0) > least else None


def _body(text: Decoded, first_line: int) -> Iterator[bytes]:
    """Give the bytes after the header."""
    skipped = first_line - 1
    for chunk in text.chunks():
        rest = chunk
        while skipped and rest:
            ends = [end for end in (rest.find(b"\n"), rest.find(b"\r")) if end >= 0]
            end = min(ends, default=len(rest) - 1)
            end += rest[end : end + 2] == b"\r\n"
            rest, skipped = rest[end + 1 :], skipped - 1
        if rest:
            yield rest


def _distinct(header: Sequence[str], wanted: Sequence[str], path: Path) -> list[str]:
    """Give each column a name of its own; which of two is meant is not guessed if the mapping reads that name."""
    names: list[str] = []
    for number, name in enumerate(header, 1):
        twice = name.lower() in (other.lower() for other in names)
        if twice and name.lower() in (column.lower() for column in wanted):
            raise BadInput(f"{path}: two columns are called {name!r}; rename one in the file")
        names.append(f"{name} (column {number})" if twice else name)
    return names


def expect_columns(source: Source, wanted: Sequence[str]) -> None:
    """Check that a source has every column its mapping names, and that each holds one value a row.

    Raises
    ------
    BadInput
        Listing the missing and the found columns, and the nearest name; or naming a nested column and its type.
    """
    found = list(source.types)
    missing = [name for name in dict.fromkeys(wanted) if name not in found]
    if missing:
        raise BadInput(
            f"{source.name}: no column {missing[0]}{nearest(missing[0], found)}\n"
            f"  missing: {', '.join(missing)}\n  found: {', '.join(found)}"
        )
    for name in wanted:
        kind = source.types[name]
        if kind.endswith(("]", ")")) and not kind.startswith(("DECIMAL", "ENUM")):
            raise BadInput(f"{source.path}: column {name} is {kind}; flatten it to one value a row before")
