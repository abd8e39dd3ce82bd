"""Rows as CSV that reads back as it was: for machines as RFC 4180 has it, for Excel so that no cell is a formula."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import pandas as pd

from features.errors import BadInput

# What a spreadsheet takes for a formula, and their full-width twins, which Japanese Excel takes too.
# OWASP, "CSV Injection" (read 2026-11-25); a quote mark itself is marked as well, so that a reader may take one off.
FORMULA = tuple("=+-@\t\r\n＝＋－＠'")
BLANKS = " \u3000\xa0"  # may stand before them
# Signs that Macs and Linux write and cp932 has another of; the first thing a Japanese shop trips over.
TWINS = {"〜": "～", "−": "－", "—": "―", "‖": "∥", "¢": "￠", "£": "￡", "¬": "￢"}


@dataclass(frozen=True)
class Dialect:
    """How cells are written. ``guarded``: ids, and text that could be a formula, get a leading quote mark."""

    encoding: str
    guarded: bool
    quoting: Literal[0, 2]  # csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC
    yes: str = "true"
    no: str = "false"


GENERIC = Dialect("utf-8", False, csv.QUOTE_MINIMAL)
EXCEL_JA = Dialect("cp932", True, csv.QUOTE_NONNUMERIC, "TRUE", "FALSE")


@dataclass(frozen=True)
class Field:
    """One column of a list: its header there, the column of ours it comes from, and whether that is an id."""

    header: str
    source: str
    is_id: bool = False


def to_csv(table: pd.DataFrame, fields: Sequence[Field], dialect: Dialect) -> bytes:
    """Write a table's columns as CSV with CRLF; a column the table has not is empty throughout.

    Numbers are written as numbers, so that reading them gives the same number; what is not known is empty, and
    so is an empty text.

    Raises
    ------
    BadInput
        Naming the row, the column and the character that the encoding has not.
    """
    columns = [_cells(table, field, dialect) for field in fields]
    rows = [tuple(row) for row in zip(*columns, strict=True)]
    text = _text([tuple(field.header for field in fields), *rows], dialect)
    content = _encoded(text, dialect.encoding)
    if content is None:
        raise BadInput(_unencodable(rows, fields, dialect))
    return content


def _encoded(text: str, encoding: str) -> bytes | None:
    """Encode a text so that it reads back equal; Python's cp932 would write 〜 as ～ without a word."""
    try:
        content = text.encode(encoding)
    except UnicodeEncodeError:
        return None
    return content if content.decode(encoding) == text else None


def _text(rows: Iterable[tuple[Any, ...]], dialect: Dialect) -> str:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=dialect.quoting, lineterminator="\r\n").writerows(rows)
    return out.getvalue()


def _cells(table: pd.DataFrame, field: Field, dialect: Dialect) -> Iterator[Any]:
    if field.source not in table.columns:
        return iter([None] * len(table))
    return (_cell(value, field.is_id, dialect) for value in table[field.source].tolist())


def _cell(value: Any, is_id: bool, dialect: Dialect) -> Any:
    """Give a value as the CSV writer takes it: a text, a number, or ``None`` for what is not known."""
    if value is None or value != value:  # NaN and NaT differ from themselves
        return None
    if isinstance(value, bool):
        return dialect.yes if value else dialect.no
    if isinstance(value, int | float):
        return value
    text = value.isoformat() if isinstance(value, datetime | date) else str(value)
    return guarded(text, is_id) if dialect.guarded else text


def guarded(text: str, is_id: bool = False) -> str:
    """Put a quote mark before an id, and before what a spreadsheet would run; a reader takes one off.

    >>> guarded("=1+1"), guarded("soap"), guarded("00042", is_id=True)
    ("'=1+1", 'soap', "'00042")
    """
    is_formula = text.lstrip(BLANKS).startswith(FORMULA) or text.startswith(FORMULA)
    return "'" + text if text and (is_id or is_formula) else text


def _unencodable(rows: Sequence[tuple[Any, ...]], fields: Sequence[Field], dialect: Dialect) -> str:
    """Find the first cell that cannot be written, and say which and what would be right."""
    for number, row in enumerate(rows, start=1):
        for field, cell in zip(fields, row, strict=True):
            sign = next((sign for sign in str(cell) if _encoded(sign, dialect.encoding) is None), None)
            if sign is not None:
                twin = f"; {dialect.encoding} has {TWINS[sign]} (U+{ord(TWINS[sign]):04X})" if sign in TWINS else ""
                shown = sign if sign.isprintable() else "a sign"
                return (
                    f"row {number}, column {field.header}: {shown} (U+{ord(sign):04X}) cannot be written in"
                    f" {dialect.encoding}{twin}; correct it, or take a profile in UTF-8"
                )
    raise AssertionError("every cell can be written")
