"""Reading a shop's files without guessing: each row keeps its file and line, each column its source type."""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from features.door.mapping import TableMapping, nearest
from features.errors import BadInput

FILE, LINE = "__file", "__line"
BATCH_ROWS = 131_072


@dataclass(frozen=True)
class Raw:
    """One source as it stands: a DuckDB table ``name`` and its columns with their DuckDB types."""

    name: str
    types: dict[str, str]


def locate(source: str, files: Sequence[Path]) -> list[Path]:
    """Find the files of one mapped source: inside a package, or among the files given.

    Raises
    ------
    BadInput
        If the package is not installed. No matching file is no error here: the list is empty.
    """
    if not source.startswith("package:"):
        return [path for path in files if fnmatch(path.name, source)]
    package, _, inside = source.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise BadInput(f"{source}: the package {package} is not installed; `pip install {package.replace('_', '-')}`")
    return [Path(spec.submodule_search_locations[0]) / inside]


def read(con: duckdb.DuckDBPyConnection, name: str, paths: Sequence[Path], how: TableMapping) -> Raw:
    """Load files as they stand into a temporary table, each row with its file and line.

    Raises
    ------
    BadInput
        Naming the file that is missing, empty, damaged or of an unknown kind.
    """
    for index, path in enumerate(paths):
        verb = f"CREATE OR REPLACE TEMP TABLE {name} AS" if index == 0 else f"INSERT INTO {name} BY NAME"
        if not path.is_file():
            raise BadInput(f"{path}: no such file")
        if path.stat().st_size == 0:
            raise BadInput(f"{path}: EMPTY_FILE: it has no rows and no header")
        _load(con, verb, path, how)
    described = con.execute(f"DESCRIBE {name}").fetchall()
    return Raw(name, {row[0]: row[1] for row in described})


def _load(con: duckdb.DuckDBPyConnection, verb: str, path: Path, how: TableMapping) -> None:
    suffix = path.suffix.lower()
    try:
        if suffix == ".parquet":
            # pyarrow verifies page checksums; DuckDB ignores them (one flipped bit gave wrong sums in silence)
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                batches = pa.RecordBatchReader.from_batches(_numbered(file.schema_arrow, path), _batches(file, path))
                con.register("__batches", batches)
                con.execute(f"{verb} SELECT * FROM __batches")
                con.unregister("__batches")
        elif suffix in (".csv", ".tsv", ".txt"):
            con.execute(
                f"{verb} SELECT *, ? AS {FILE}, row_number() OVER () + 1 AS {LINE} FROM read_csv(?, header = true,"
                " all_varchar = true, delim = ?, encoding = ?, strict_mode = true, null_padding = false, nullstr = '',"
                " allow_quoted_nulls = false, quote = '\"', escape = '\"', skip = 0)",  # DuckDB would guess these three
                [path.name, str(path), how.delimiter, how.encoding],
            )
        else:
            raise BadInput(f"{path}: {suffix or 'no ending'} is not read; .csv, .tsv, .txt and .parquet are")
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise BadInput(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


def _numbered(schema: pa.Schema, path: Path) -> pa.Schema:
    for name in (FILE, LINE):
        if name in schema.names:
            raise BadInput(f"{path}: a column is called {name}, which is kept for our own use")
    return schema.append(pa.field(FILE, pa.string())).append(pa.field(LINE, pa.int64()))


def _batches(file: pq.ParquetFile, path: Path) -> Iterator[pa.RecordBatch]:
    """Stream row groups with the row's number in the file, counted from 1."""
    schema, seen = _numbered(file.schema_arrow, path), 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS):
        lines = pa.array(range(seen + 1, seen + batch.num_rows + 1), pa.int64())
        names = pa.array([path.name] * batch.num_rows, pa.string())
        seen += batch.num_rows
        yield pa.RecordBatch.from_arrays([*batch.columns, names, lines], schema=schema)


def expect_columns(raw: Raw, wanted: Sequence[str], paths: Sequence[Path]) -> None:
    """Check that a source has every column its mapping names.

    Raises
    ------
    BadInput
        Listing the missing and the found columns, and the nearest name.
    """
    found = [name for name in raw.types if name not in (FILE, LINE)]
    missing = [name for name in dict.fromkeys(wanted) if name not in found]
    if missing:
        files = ", ".join(path.name for path in paths)
        raise BadInput(
            f"{files}: no column {missing[0]}{nearest(missing[0], found)}\n"
            f"  missing: {', '.join(missing)}\n  found: {', '.join(found)}"
        )
