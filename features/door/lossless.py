"""Which types of a typed source a canonical column takes: those it loses nothing of (faults.md A29)."""

import duckdb

from features.door.mapping import TableMapping
from features.door.readers import Source
from features.door.tables import Column, Table
from features.errors import BadInput
from features.sql import quote

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
NUMBERS = (*INTEGERS, "FLOAT", "DOUBLE", "DECIMAL")
# Which source types each kind takes besides text; anything else would lose something or mean something else.
TAKES: dict[str, tuple[str, ...]] = {
    "id": (*INTEGERS, "FLOAT", "DOUBLE", "UUID", "ENUM"),
    "text": (*NUMBERS, "UUID", "ENUM", "BOOLEAN"),
    "word": (*INTEGERS, "ENUM", "BOOLEAN"),
    "instant": ("TIMESTAMP", "DATE", *INTEGERS),
    "day": ("TIMESTAMP", "DATE", *INTEGERS),
    "amount": NUMBERS,
    "quantity": NUMBERS,
    "integer": NUMBERS,
    "boolean": ("BOOLEAN", *INTEGERS, "ENUM"),
}


def expect_type(source: Source, name: str, kind: str, column: Column) -> None:
    """Check that a typed source column can become a canonical one without loss (faults.md A29).

    Raises
    ------
    BadInput
        Naming the column and both types.
    """
    if not kind.startswith(TAKES[column.kind]):
        taken = ", ".join(dict.fromkeys(("text", *(t.lower() for t in TAKES[column.kind]))))
        raise BadInput(
            f"{source.path}: column {name} is {kind}, {column.name} is {column.kind} and takes {taken}; cast it before"
        )


def expect_whole_ids(con: duckdb.DuckDBPyConnection, table: Table, how: TableMapping, source: Source) -> None:
    """Check that ids that came as floating-point numbers (pandas does that to columns with gaps) are whole.

    Raises
    ------
    BadInput
        Naming the column, both types and the first value that would be lost.
    """
    for name, column in how.columns.items():
        if not isinstance(column, str) or table.column(name).kind != "id":
            continue
        if source.types[column] in ("FLOAT", "DOUBLE"):
            wrong = con.execute(
                f"SELECT {quote(column)} FROM {source.relation} WHERE NOT isnan({quote(column)})"
                f" AND ({quote(column)} <> floor({quote(column)}) OR abs({quote(column)}) >= 9e15) LIMIT 1"
            ).fetchone()
            if wrong is not None:
                raise BadInput(
                    f"{source.path}: column {column} is {source.types[column]} and holds {wrong[0]!r}, which is no"
                    f" whole number; {name} is id: write the column as text"
                )
