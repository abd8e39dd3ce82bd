"""A source's rows brought into shape before they are typed: a second file joined, columns filled down."""

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType

from features.door.computed import Computed, place_in
from features.door.mapping import FillDown, JoinedFile, TableMapping
from features.door.readers import Source, expect_columns, locate, open_source
from features.errors import BadInput
from features.sql import quote

ROW = "okaeri_row"  # the number of a source's row, where its order has to be kept through a join


def shaped(
    con: duckdb.DuckDBPyConnection,
    table: str,
    path: Path,
    called: str,
    how: TableMapping,
    files: Sequence[Path],
    spill: Path,
) -> Source:
    """Open a table's source, ``called`` by some name, and give its rows as its mapping reads them, in the file's order.

    Raises
    ------
    BadInput
        Naming the joined file that is absent or ambiguous, or a column that is.
    """
    source = replace(open_source(con, path, how, spill), name=called)
    if how.join is not None:
        source = _joined(con, source, how, how.join, _joined_file(table, how.join, path, files), spill)
    if how.fill_down is not None:
        source = _filled(source, how.fill_down)
    for column in how.columns.values():
        if isinstance(column, Computed) and column.nth is not None and place_in(column.nth) not in source.types:
            source = _placed(source, column.nth)
    if how.ids.nfkc:
        _register_nfkc(con)
    return source


def _joined_file(table: str, join: JoinedFile, path: Path, files: Sequence[Path]) -> Path:
    """Find the file to join: of several the one beside the source."""
    found = locate(join.source, files)
    if not found:
        raise BadInput(f"{table}: no file given matches {join.source!r}, which its mapping joins")
    beside = [other for other in found if other.parent == path.parent] if len(found) > 1 else found
    if len(beside) != 1:
        raise BadInput(
            f"{table}: {len(beside) or len(found)} files match {join.source!r}, which its mapping joins to {path},"
            f" among them {found[0]} and {found[1]}; give one, or one beside each source in a folder of its own"
        )
    return beside[0]


def _joined(
    con: duckdb.DuckDBPyConnection, source: Source, how: TableMapping, join: JoinedFile, path: Path, spill: Path
) -> Source:
    other, key = open_source(con, path, how, spill), quote(join.key)
    expect_columns(other, [join.key])
    expect_columns(source, [join.key])
    twice = con.execute(
        f"SELECT {key} FROM {other.relation} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
    ).fetchone()
    if twice is not None:
        raise BadInput(f"{path}: {join.key} {twice[0]!r} stands more than once; a joined file has one row per key")
    added = {name: kind for name, kind in other.types.items() if name not in source.types}
    columns = "".join(f", j.{quote(name)}" for name in added)
    relation = (
        f"(SELECT r.* EXCLUDE ({ROW}){columns} FROM {_numbered(source)} r"
        f" LEFT JOIN {other.relation} j ON r.{key} = j.{key} ORDER BY {ROW})"
    )
    return replace(source, relation=relation, types=source.types | added)


def _filled(source: Source, fill: FillDown) -> Source:
    """Let an empty cell say what the first row of its group says."""
    expect_columns(source, [fill.by, *fill.columns])
    first = f"OVER (PARTITION BY {quote(fill.by)} ORDER BY {ROW})"
    columns = ", ".join(
        f"coalesce(nullif({quote(name)}, ''), first_value({quote(name)}) {first}) AS {quote(name)}"
        for name in fill.columns
    )
    return replace(
        source, relation=f"(SELECT * EXCLUDE ({ROW}) REPLACE ({columns}) FROM {_numbered(source)} ORDER BY {ROW})"
    )


def _placed(source: Source, column: str) -> Source:
    """Number the rows with the same value of a column from 1, in the file's order."""
    expect_columns(source, [column])
    place = f"row_number() OVER (PARTITION BY {quote(column)} ORDER BY {ROW}) AS {quote(place_in(column))}"
    relation = f"(SELECT * EXCLUDE ({ROW}), {place} FROM {_numbered(source)} ORDER BY {ROW})"
    return replace(source, relation=relation, types=source.types | {place_in(column): "BIGINT"})


def _numbered(source: Source) -> str:
    return f"(SELECT *, row_number() OVER () AS {ROW} FROM {source.relation})"


def _register_nfkc(con: duckdb.DuckDBPyConnection) -> None:
    """Give SQL the function ``nfkc``: full-width letters as ASCII, half-width kana as full (Unicode annex 15)."""

    def normalise(texts: pa.ChunkedArray) -> pa.Array:
        return pa.array(
            [None if t is None else unicodedata.normalize("NFKC", t) for t in texts.to_pylist()], pa.string()
        )

    if con.execute("SELECT count(*) FROM duckdb_functions() WHERE function_name = 'nfkc'").fetchone() == (0,):
        con.create_function("nfkc", normalise, ["VARCHAR"], "VARCHAR", type=PythonUDFType.ARROW)
