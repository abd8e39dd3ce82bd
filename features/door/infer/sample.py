"""A bounded sample of a file nobody has described yet: its encoding, its delimiter, its header and its first rows."""

import codecs
import csv
import gzip
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.door.names import composed
from features.door.workbook import sheet_names, sheet_rows
from features.errors import BadInput

ROWS, BYTES = 100_000, 64 * 2**20  # what is looked at of each file
TOP = 20  # rows among which its header is looked for
BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
DELIMITERS = (",", ";", "\t", "|")
LATIN = frozenset("àâäáãåæçèéêëìíîïñòóôöõøùúûüýÿßÀÂÄÁÃÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÖÕØÙÚÛÜœŒ€£§°–’“”„")


@dataclass(frozen=True)
class Sample:
    """The first rows of one file as the DuckDB table ``name``; what was found out about how it is written."""

    path: Path
    name: str
    columns: tuple[str, ...]
    rows: int
    encoding: str | None = None  # None: not text
    delimiter: str = ","
    whole: bool = True  # False: there is more than was looked at
    ragged: int = 0  # rows with more or fewer cells than the header
    twice: tuple[str, ...] = ()  # names that stand more than once; their first column is looked at
    header: int = 1  # the line it stands on
    sheet: str | None = None  # of a workbook with several
    seems: str = ""  # the table it would be, if another file were not that already

    @property
    def called(self) -> str:
        """Give the file's name, and of a workbook with several sheets the sheet's."""
        return f"{self.path.name}, sheet {self.sheet}" if self.sheet else self.path.name


def sheets_of(path: Path) -> list[str | None]:
    """List what is looked at of a file: the sheets of a workbook with several, else the file itself."""
    names = sheet_names(path) if path.is_file() and path.suffix.lower() == ".xlsx" else []
    return list(names) if len(names) > 1 else [None]


def take_sample(con: duckdb.DuckDBPyConnection, path: Path, name: str, sheet: str | None = None) -> Sample:
    """Read the first rows of a file, or of one sheet of a workbook, into the table ``name``.

    Raises
    ------
    BadInput
        Naming the file that is missing, empty, of an unknown kind or encoding, or without a header.
    """
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise BadInput(f"{path}: EMPTY_FILE: it has no rows and no header")
    ending = Path(path.name.removesuffix(".gz")).suffix.lower()
    if ending == ".parquet":
        return _parquet(con, path, name)
    if ending in (".csv", ".tsv", ".txt"):
        return _text(con, path, name)
    if ending == ".xlsx":
        return _table(con, Sample(path, name, (), 0, sheet=sheet), enumerate(sheet_rows(path, sheet), 1))
    raise BadInput(
        f"{path}: {ending or 'no ending'} is not looked at; .csv, .tsv, .txt (also .gz), .xlsx and .parquet are"
    )


def _parquet(con: duckdb.DuckDBPyConnection, path: Path, name: str) -> Sample:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            batches, seen = [], 0
            for batch in file.iter_batches(batch_size=min(ROWS, 16_384)):
                batches.append(batch)
                seen += batch.nbytes
                if len(batches) * 16_384 >= ROWS or seen > BYTES:
                    break
            table = pa.Table.from_batches(batches, file.schema_arrow).slice(0, ROWS)
            whole = len(table) == file.metadata.num_rows
    except (pa.ArrowException, OSError) as error:
        raise BadInput(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    table = table.rename_columns([composed(column) for column in table.column_names])
    con.register(name, table)
    return Sample(path, name, tuple(table.column_names), len(table), whole=whole)


def _text(con: duckdb.DuckDBPyConnection, path: Path, name: str) -> Sample:
    try:
        with _opened(path) as file:
            raw = file.read(BYTES + 1)
    except (OSError, EOFError) as error:
        raise BadInput(f"{path}: cannot be read: {error}") from None
    whole, raw = len(raw) <= BYTES, raw[:BYTES]
    encoding = encoding_of(raw, whole)
    if encoding is None:
        raise BadInput(f"{path}: not utf-8, utf-16 with a byte order mark, cp932, euc_jp or cp1252; save it as UTF-8")
    text = _decode(raw, encoding, whole) or ""
    delimiter = delimiter_of(text)
    found = Sample(path, name, (), 0, encoding, delimiter, whole)
    return _table(con, found, _numbered(_rows(text, delimiter)))


def _numbered(rows: Any) -> Iterator[tuple[int, list[str]]]:
    """Give each row of a CSV reader with the line it begins on."""
    line = 1
    for row in rows:
        yield line, row
        line = rows.line_num + 1


def _table(con: duckdb.DuckDBPyConnection, found: Sample, rows: Iterator[tuple[int, list[str]]]) -> Sample:
    """Write the rows below the header to the sample's table, and tell what was found."""
    top = list(itertools.islice(rows, TOP))
    at = header_of([row for _, row in top])
    if at is None:
        raise BadInput(
            f"{found.path}: its first line is no header: of its {len(top[0][1]) if top else 0} cells some are numbers,"
            " or most are empty; nor is one of the next lines"
        )
    line, cells = top[at]
    header = [composed(cell) for cell in cells]
    kept: list[list[str]] = []
    ragged = 0
    for _, row in itertools.chain(top[at + 1 :], rows):
        if len(kept) > ROWS:
            break
        if len(row) == len(header):
            kept.append(row)
        else:
            ragged += bool(row)
    whole = found.whole and len(kept) <= ROWS
    kept = kept if whole else kept[:-1]  # the last row may be cut
    first = {column: index for index, column in reversed(list(enumerate(header)))}
    names = tuple(sorted((column for column in first if column.strip()), key=lambda column: first[column]))
    con.register(found.name, pa.table({c: pa.array([row[first[c]] for row in kept], pa.string()) for c in names}))
    twice = tuple(column for column, n in Counter(header).items() if n > 1 and column.strip())
    return replace(found, columns=names, rows=len(kept), whole=whole, ragged=ragged, twice=twice, header=line)


def _opened(path: Path) -> gzip.GzipFile | BinaryIO:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _decode(raw: bytes, encoding: str, whole: bool) -> str | None:
    """Decode strictly; a character cut off at the sample's end is no error."""
    try:
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        return codecs.getincrementaldecoder(codec)().decode(raw, final=whole)
    except UnicodeDecodeError:
        return None


def encoding_of(raw: bytes, whole: bool = True) -> str | None:
    """Tell a text's encoding: by its byte order mark, else utf-8 where that fits, else what reads most plausibly.

    Strict decoding alone cannot tell: EUC-JP reads as cp932 full of half-width kana, German in cp1252 as rare kanji.

    >>> encoding_of("㈱花の音,①,髙橋".encode("cp932")), encoding_of("花の音,石鹸".encode("euc_jp"))
    ('cp932', 'euc_jp')
    >>> encoding_of("Käse;Größe;Müller".encode("cp1252"))
    'cp1252'
    """
    for bom, name in BOMS.items():
        if raw.startswith(bom):
            return name
    if _decode(raw, "utf-8", whole) is not None:
        return "utf-8"
    best, found = 0.0, None
    for name in ("cp932", "euc_jp", "cp1252"):
        text = _decode(raw[: 2**20], name, whole and len(raw) <= 2**20)
        if text is not None and (score := _plausible(text, name)) > best and _decode(raw, name, whole) is not None:
            best, found = score, name
    return found


def _plausible(text: str, encoding: str) -> float:
    """Give the share of a text's letters beyond ASCII that are usual in what is written in an encoding."""
    beyond = Counter(c for c in text if ord(c) > 127)
    usual = sum(n for c, n in beyond.items() if (c in LATIN if encoding == "cp1252" else _usual_japanese(c)))
    return usual / max(1, beyond.total())


def _usual_japanese(c: str) -> bool:
    """Kana, full-width forms, punctuation, and kanji of JIS level 1, which all text but names is written in."""
    if "\u3000" <= c <= "\u30ff" or "\uff01" <= c <= "\uff5e":
        return True
    try:
        return 0x81 <= c.encode("cp932")[0] <= 0x97 and not "\ue000" <= c <= "\uf8ff"
    except UnicodeEncodeError:
        return False


def delimiter_of(text: str) -> str:
    """Tell the delimiter: the one that cuts the first lines into the same number of cells, and into most of them.

    >>> delimiter_of('name;price\\n"Seife, grün";1,20\\nCreme;3,50\\n')
    ';'
    """

    def score(delimiter: str) -> tuple[float, int]:
        cells = Counter(len(row) for _, row in zip(range(200), _rows(text, delimiter), strict=False) if row)
        if not cells:
            return 0.0, 0
        width = max(cells, key=lambda n: (cells[n], n))  # a title above the header may be narrower
        return (cells[width] / cells.total() if width > 1 else 0.0), width

    return max(DELIMITERS, key=score)


def _rows(text: str, delimiter: str) -> Any:
    csv.field_size_limit(BYTES)
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def header_of(rows: list[list[str]]) -> int | None:
    """Find the header among a file's first rows: as wide and nearly as full as they are, without numbers.

    >>> header_of([["Sales", "", ""], ["since", "2024-01-01", ""], [], ["no", "day", "sum"], ["1", "2024-01-02", "5"]])
    3
    """
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    widths = Counter(len(row) for row in rows if row)
    width = max(widths, key=lambda n: (widths[n], n), default=0)
    for at, row in enumerate(rows):
        if len(row) == width and filled[at] >= 0.75 * max(filled) and _is_header(row):
            return at
    return 0 if rows and _is_header(rows[0]) else None


def _is_header(cells: list[str]) -> bool:
    """Whether cells name columns; an unnamed one among them is a row number some tools write, and is passed over."""
    named = [cell.strip() for cell in cells if cell.strip()]
    return 2 * len(named) > len(cells) and not any(re.fullmatch(r"[\d\W]*\d[\d\W]*", cell) for cell in named)
