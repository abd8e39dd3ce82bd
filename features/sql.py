"""Names, texts and file paths as they are written in SQL."""

from collections.abc import Iterable
from pathlib import Path


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
