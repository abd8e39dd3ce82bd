"""Addresses and telephone numbers where a mapping does not expect them (faults.md A38)."""

from collections.abc import Sequence

import duckdb
import numpy as np

from features.door.readers import Source
from features.door.tables import Column
from features.errors import BadInput
from features.sql import literal, quote

EMAIL = r"[^@\s]+@[^@\s]+[.][A-Za-z]{2,}"
PHONE = r"(\+[0-9]{1,3}[- ]?|0)[0-9]{1,4}[- ][0-9]{1,4}[- ][0-9]{3,4}"
# Without hyphens a number may be an id: only a whole column tells. Forms of Japan's numbering plan (Ministry of
# Internal Affairs, 2026-11-24) and of E.164; a spreadsheet may have put an apostrophe before it.
MOBILE = r"'?(0[5789]0[0-9]{8}|\+[0-9]{8,15})"
LANDLINE = r"'?0[1-9][1-9][0-9]{7}"
NEARLY_ALL, FEWEST = 0.9, 20  # values of a column; engineering choice, 2026-11-24
# Products and orders have ten-digit codes that begin with a zero, such as 0663713001; persons rarely do.
OF_PERSONS = ("customer_id", "alias", "member_no", "line_user_id")


def telephone(column: Column) -> str:
    """Give what a telephone number without hyphens looks like in a column, as a regular expression."""
    return f"{MOBILE}|{LANDLINE}" if column.kind == "text" or column.name in OF_PERSONS else MOBILE


def refuse_telephones(
    con: duckdb.DuckDBPyConnection, source: Source, columns: Sequence[Column], first_row: int
) -> None:
    """Refuse a file with a column of which nearly all values look like telephone numbers; a single one may be an id.

    The rows are those of `typed` from ``first_row``. Only a column most of whose values begin as numbers do, and are
    as long, is compared with their forms.

    Raises
    ------
    BadInput
        Naming the file, the column, how many values, and the first line.
    """
    rows = f"FROM typed WHERE rowid >= {first_row}"
    if not columns:
        return
    may_be = ", ".join(f"count({name}), count_if({_begins(name)})" for name in (quote(c.name) for c in columns))
    found = con.execute(f"SELECT {may_be} {rows}").fetchone() or ()
    for column, filled, begin in zip(columns, found[::2], found[1::2], strict=True):
        if filled < FEWEST or begin < NEARLY_ALL * filled:
            continue
        name = quote(column.name)
        looks = f"CASE WHEN ({_begins(name)}) THEN regexp_full_match({name}, {literal(telephone(column))}) END"
        n, row = con.execute(f"SELECT count(*), min(rowid) {rows} AND {looks}").fetchone() or (0, 0)
        if n >= NEARLY_ALL * filled:
            line = source.lines(np.array([row - first_row]))[0]
            raise BadInput(
                f"{source.name}: PERSONAL_DATA: {n} of {filled} values look like telephone numbers: column"
                f" {column.name}, first on line {line}; map it with `hmac:`, which keeps a pseudonym only, or name it"
                " in `personal_data` if they are ids"
            )


def _begins(name: str) -> str:
    """Write whether a value begins as a telephone number; one comparison decides most ids."""
    is_long = f"{name} >= '01' AND strlen({name}) BETWEEN 10 AND 11"
    is_marked = f"starts_with({name}, '+') OR starts_with({name}, '''')"  # both stand before the digits
    return f"CASE WHEN {name} < '1' THEN ({is_long}) OR {is_marked} ELSE false END"
