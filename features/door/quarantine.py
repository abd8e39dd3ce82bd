"""Rows that cannot be taken in as they are: kept where a person can read, correct and send them again."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
import pandas as pd

from features.door.computed import Computed
from features.door.mapping import TableMapping
from features.door.personal import EMAIL, PHONE
from features.door.readers import Source
from features.door.secret import pseudonym
from features.door.tables import Table
from features.sql import literal, quote

# code -> what would be right
RIGHT = {
    "EMPTY": "a value",
    "BAD_ID": "1 to 64 characters without control characters, not only spaces",
    "EXCEL_MANGLED_ID": "the id in full: a spreadsheet shortened it; format the column as text and export again",
    "BAD_DATE": "one of the mapping's formats",
    "BAD_NUMBER": "plain digits with an optional sign and decimal point, or a form the mapping's `numbers` names",
    "BAD_WORD": "one of the words the table knows, or a `words` entry in the mapping",
    "RANGE": "an amount up to 1,000,000,000",
    "RANGE_DATE": "a day from 1990-01-01 to 2099-12-31",
    "FUTURE": "an instant not after tomorrow by this machine's clock",
    "CURRENCY": "the shop's currency, or one with a rate in the mapping's `rates`",
    "DUP_CONFLICT": "one row per key; `corrections: newest` in the mapping lets a later row correct an earlier one",
    "ORPHAN_RETURN": "an order known before the return, or no order at all",
    "PERSONAL_DATA": "no e-mail address or phone number; `hmac:` in the mapping keeps only its pseudonym",
    "BAD_ROW": "as many fields as the header has columns",
    "BROKEN_QUOTE": 'a field in quotes closed before the next comma, with quotes inside it doubled ("")',
    "NUL": "text without NUL bytes",
}


LEADING = ("table", "file", "line", "column", "value", "code", "expected")  # before the row's own columns
ROW = "okaeri_row"  # a row's number in its source, from 0


class Piece(NamedTuple):
    """One source of a table: its rows are those from ``first_row`` in `typed`."""

    source: Source
    first_row: int


def write(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    how: TableMapping,
    pieces: Sequence[Piece],
    key: bytes | None,
    staged: Path,
) -> None:
    """Write a table's quarantine as Parquet and CSV: where, what, why, what would be right, and the row as it came.

    Of the row the columns the mapping reads are kept, those of ``hmac`` only as their pseudonym.
    """
    names = how.source_columns()
    columns = "".join(f", {quote(kept_as(name))} VARCHAR" for name in names)
    con.execute(
        'CREATE OR REPLACE TEMP TABLE quarantine ("table" VARCHAR, file VARCHAR, line BIGINT, "column" VARCHAR,'
        f" value VARCHAR, code VARCHAR, expected VARCHAR{columns})"
    )
    con.execute(
        "CREATE TEMP TABLE refused AS SELECT rowid AS n, fault FROM typed WHERE fault IS NOT NULL AND aside IS NULL"
        " UNION ALL SELECT n, fault FROM fates WHERE fate = 'quarantined'"
    )
    right = " ".join(f"WHEN {literal(code)} THEN {literal(text)}" for code, text in RIGHT.items())
    hashed = [kept_as(source.hmac) for source in how.columns.values() if isinstance(source, Computed) and source.hmac]
    for piece in pieces:
        _add_broken(con, table.name, piece.source)
        rows = _rows_of(con, piece)
        if not len(rows):
            continue
        places = pd.DataFrame({"n": rows, "line": piece.source.lines(rows)})
        con.register("places", places)
        texts = "".join(f", {_text(piece.source, name)} AS {quote(kept_as(name))}" for name in names)
        kept = "".join(f", s.{quote(kept_as(name))}" for name in names)
        con.execute(
            f'INSERT INTO quarantine BY NAME SELECT {literal(table.name)} AS "table", {literal(piece.source.name)}'
            ' AS file, places.line, refused.fault.column AS "column", refused.fault.value AS value,'
            " refused.fault.code AS code,"
            f" CASE refused.fault.code {right} END AS expected{kept}"
            f" FROM (SELECT row_number() OVER () - 1 AS {ROW}{texts} FROM {piece.source.relation}) s"
            f" JOIN places ON s.{ROW} = places.n JOIN refused ON refused.n = places.n + {piece.first_row}"
        )
        con.unregister("places")
    _hide_personal_data(con, [kept_as(name) for name in names if kept_as(name) not in hashed], hashed, key)
    if con.execute("SELECT count(*) FROM quarantine").fetchone() != (0,):
        for ending, form in (("parquet", "FORMAT parquet"), ("csv", "FORMAT csv, HEADER")):
            path = staged / f"quarantine_{table.name}.{ending}"
            con.execute(f"COPY (FROM quarantine ORDER BY file, line) TO {literal(str(path))} ({form})")


def kept_as(name: str) -> str:
    """Give the name under which quarantine keeps a source's column.

    >>> kept_as("受注番号"), kept_as("line")
    ('受注番号', 'source_line')
    """
    lower = name.lower()  # SQL's names are the same in upper and lower case
    return f"source_{name}" if lower in (*LEADING, ROW) or lower.startswith("source_") else name


def _text(source: Source, name: str) -> str:
    """Write a source's column as text that can be read again: whole numbers of floating-point columns plainly."""
    text = f"CAST({quote(name)} AS VARCHAR)"
    if source.types[name] in ("FLOAT", "DOUBLE"):
        whole = f"{quote(name)} = floor({quote(name)}) AND abs({quote(name)}) < 9e15"
        return f"CASE WHEN {whole} THEN CAST(CAST({quote(name)} AS BIGINT) AS VARCHAR) ELSE {text} END"
    return text


def _rows_of(con: duckdb.DuckDBPyConnection, piece: Piece) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """List the quarantined rows of one source, numbered from its first."""
    found = con.execute(
        f"SELECT n - {piece.first_row} AS n FROM refused JOIN files ON n >= files.first_row AND n < end_row"
        f" WHERE files.first_row = {piece.first_row} ORDER BY n"
    ).fetchnumpy()
    return np.asarray(found["n"], np.int64)


def _add_broken(con: duckdb.DuckDBPyConnection, table: str, source: Source) -> None:
    """Add the records that could not be split into fields."""
    rows = [(table, source.name, b.line, None, b.text, b.code, RIGHT[b.code]) for b in source.broken]
    if rows:
        leading = ", ".join(map(quote, LEADING))
        con.executemany(f"INSERT INTO quarantine ({leading}) VALUES ({', '.join('?' * len(LEADING))})", rows)


def _hide_personal_data(
    con: duckdb.DuckDBPyConnection, columns: Sequence[str], hashed: Sequence[str], key: bytes | None
) -> None:
    """Keep addresses and telephone numbers only as pseudonyms where the mapping says so, and nowhere else."""
    for name in hashed:
        if key is None:
            raise ValueError("an hmac column needs the shop's key")
        said = con.execute(
            f"SELECT DISTINCT {quote(name)} FROM quarantine WHERE {quote(name)} <> ''"
            f" AND NOT regexp_full_match({quote(name)}, '[0-9a-f]{{64}}')"
        ).fetchall()
        if said:
            made = [(pseudonym(key, text), text) for (text,) in said]
            con.executemany(f"UPDATE quarantine SET {quote(name)} = ? WHERE {quote(name)} = ?", made)
    for name in ("value", *columns):
        for pattern in (EMAIL, PHONE):
            con.execute(
                f"UPDATE quarantine SET {quote(name)} = regexp_replace({quote(name)}, {literal(pattern)}, '***', 'g')"
                f" WHERE regexp_matches({quote(name)}, {literal(pattern)})"
            )
