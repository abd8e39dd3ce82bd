"""Quarantined rows that a person has corrected, read again by the mapping that refused them."""

import csv
from collections.abc import Sequence
from pathlib import Path

from features.door.computed import place_in
from features.door.mapping import Mapping, TableMapping, nearest
from features.door.quarantine import LEADING, kept_as
from features.errors import BadInput

# How SQL writes the instants of typed columns, beside the mapping's own formats.
WRITTEN = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M:%S.%f%z", "%Y-%m-%d"]


def requeue_mapping(mapping: Mapping, files: Sequence[Path]) -> Mapping:
    """Give the mapping that reads corrected quarantine files, one per table.

    Raises
    ------
    BadInput
        If a file is no quarantine of this shop, or two hold rows of one table.
    """
    tables: dict[str, TableMapping] = {}
    if not files:
        raise BadInput("--requeue takes quarantine files in again: name them")
    for path in files:
        table, how = _requeued(mapping, path)
        if table in tables:
            raise BadInput(f"{path}: {tables[table].source} holds rows of {table} too; requeue one after the other")
        tables[table] = how
    return mapping.model_copy(update={"tables": tables})


def _requeued(mapping: Mapping, path: Path) -> tuple[str, TableMapping]:
    """Find the table of a quarantine file and how its mapping reads it: as UTF-8 CSV, its columns as they were kept.

    Raises
    ------
    BadInput
        If the file is no quarantine of this shop.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not set(LEADING) <= set(reader.fieldnames or ()):
                raise BadInput(
                    f"{path}: no quarantine file; expected the columns {', '.join(LEADING)} and the row's own"
                )
            tables = {row["table"] for row in reader}
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not UTF-8 at byte {error.start}; save it as CSV UTF-8") from None
    except (OSError, csv.Error) as error:
        raise BadInput(f"{path}: cannot be read as CSV: {error}") from None
    if len(tables) != 1:
        raise BadInput(f"{path}: rows of {len(tables)} tables; expected those of one")
    [table] = tables
    if table not in mapping.tables:
        raise BadInput(f"{path}: table {table!r} is not in the mapping{nearest(table, list(mapping.tables))}")
    how = mapping.tables[table]
    renamed = {name: kept_as(name) for name in how.source_columns()}
    return table, _renamed(how, renamed).model_copy(
        update={
            "source": path.name,
            "encoding": "utf-8",
            "delimiter": ",",
            "header": 1,
            "formats": list(dict.fromkeys([*how.formats, *WRITTEN])),
            "join": None,
            "fill_down": None,
        }
    )


def _renamed(how: TableMapping, names: dict[str, str]) -> TableMapping:
    """Give a mapping that reads the same columns under other names."""

    def rename(value: object) -> object:
        if isinstance(value, str):
            return names.get(value, value)
        return [names.get(name, name) for name in value] if isinstance(value, list) else value

    columns = {
        name: rename(source)
        if isinstance(source, str)
        else rename(place_in(source.nth))
        if source.nth is not None
        else source.model_copy(
            update={way: rename(getattr(source, way)) for way in ("sum", "product", "less", "join", "first", "hmac")}
            | {"when": {names.get(k, k): v for k, v in source.when.items()} if source.when else None}
        )
        for name, source in how.columns.items()
    }
    aside = [
        rule.model_copy(update={"when": {names.get(k, k): v for k, v in rule.when.items()}}) for rule in how.set_aside
    ]
    returns = {names.get(k, k): v for k, v in how.returns.items()} if how.returns else None
    return how.model_copy(update={"columns": columns, "set_aside": aside, "returns": returns})
