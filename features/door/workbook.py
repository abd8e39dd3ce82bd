"""The sheets of a workbook as rows of text: numbers plainly, days as ISO."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path

import python_calamine as calamine

from features.door.mapping import nearest
from features.door.names import composed
from features.errors import BadInput

RATIO = 200  # a workbook that grows more than this when unpacked is no table


def sheet_names(path: Path) -> list[str]:
    """List a workbook's sheets in their order."""
    with _opened(path) as book:
        return [composed(name) for name in book.sheet_names]


def sheet_rows(path: Path, sheet: str | None) -> list[list[str]]:
    """Give all rows of one sheet, by default the first, each as wide as the widest.

    Raises
    ------
    BadInput
        Naming the workbook that is damaged or no table, or the sheet that is not there or empty.
    """
    with _opened(path) as book:
        sheets = {composed(name): name for name in book.sheet_names}
        name = composed(sheet or book.sheet_names[0])
        if name not in sheets:
            raise BadInput(f"{path}: no sheet {name!r}{nearest(name, list(sheets))}")
        rows = book.get_sheet_by_name(sheets[name]).to_python(skip_empty_area=False)
    if not rows:
        raise BadInput(f"{path}: EMPTY_FILE: sheet {name!r} has no rows and no header")
    return [[_cell(value) for value in row] for row in rows]


@contextmanager
def _opened(path: Path) -> Iterator[calamine.CalamineWorkbook]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > RATIO * path.stat().st_size:
                raise BadInput(f"{path}: grows more than {RATIO} times when unpacked; that is no table")
        with calamine.CalamineWorkbook.from_path(path) as book:
            yield book
    except (calamine.CalamineError, zipfile.BadZipFile, OSError) as error:
        raise BadInput(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None


def _cell(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    return value.isoformat() if isinstance(value, date) else str(value).replace("\r", " ").replace("\n", " ")
