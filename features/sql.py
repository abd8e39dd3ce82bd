"""Names, texts and file paths as they are written in SQL."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

# How a load's tables are written. A dictionary of many ids costs a quarter of the time and is larger than the ids
# themselves: Complete Journey's 1.5 million lines, 2026-11-24.
AS_PARQUET = "(FORMAT parquet, COMPRESSION zstd, DICTIONARY_SIZE_LIMIT 1000)"


def quote(name: str) -> str:
    """Quote a column's name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def sql_paths(paths: Iterable[Path]) -> str:
    """Write files as a list of SQL.

    >>> sql_paths([Path("o'brien/a.parquet")])
    "['o''brien/a.parquet']"
    """
    return f"[{', '.join(literal(str(path)) for path in paths)}]"


def sql_file(path: Path) -> str:
    """Write one file whoever named it: what DuckDB would take for a pattern stands for itself.

    >>> sql_file(Path("sales*.csv"))
    "'sales[*].csv'"
    """
    return literal("".join(f"[{c}]" if c in "*?[" else c for c in str(path)))


def stands_twice(con: duckdb.DuckDBPyConnection, name: str, hashes: str) -> int:
    """Write the 64-bit hashes that a query gives more than once to the temporary table ``name (h)``; give how many.

    Sorted by NumPy, which takes a third of the time of SQL's GROUP BY.
    """
    (found,) = con.execute(hashes).fetchnumpy().values()
    ordered = np.sort(np.asarray(found, np.uint64))
    twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    con.register("found_twice", pa.table({"h": twice}))
    con.execute(f"CREATE TEMP TABLE {name} AS FROM found_twice")
    con.unregister("found_twice")
    return len(twice)
