"""Writing a mapping as SQL: each canonical column as text, as its exact type, and the code of what is wrong."""

from collections.abc import Iterator
from dataclasses import dataclass

from features.door.mapping import Computed, Condition, TableMapping, When
from features.door.readers import Raw
from features.door.tables import STORED_AS, Column, Table

# Engineering bounds, 2026-11-21: wider than any shop seen, narrower than what overflows DECIMAL(18,4).
LARGEST_AMOUNT = 1_000_000_000
EARLIEST, LATEST = "1990-01-01", "2100-01-01"
ID_LENGTH = 64
NUMERIC = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UBIGINT",
    "UINTEGER",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
)


@dataclass(frozen=True)
class Typed:
    """One canonical column in SQL: its ``text`` as the shop wrote it, its ``value`` and its fault ``code``."""

    column: Column
    text: str
    value: str
    code: str


def quote(name: str) -> str:
    """Quote a column's name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def source_columns(table: TableMapping) -> Iterator[str]:
    """List the source columns a table's mapping reads, in the order it names them."""
    for how in table.columns.values():
        if isinstance(how, str):
            yield how
        else:
            yield from (*(how.sum or ()), *(how.product or ()), *(how.join or ()), *(how.when or ()))
    for rule in table.set_aside:
        yield from rule.when
    yield from table.returns or ()


def condition(when: When) -> str:
    """Write a mapping's conditions as one SQL boolean that is never NULL."""
    tests = [test for name, c in when.items() for test in _tests(quote(name), c)]
    return f"coalesce({' AND '.join(tests)}, false)"


def _tests(column: str, c: Condition) -> Iterator[str]:
    text, number = f"coalesce(CAST({column} AS VARCHAR), '')", f"TRY_CAST({column} AS DOUBLE)"
    if c.is_in is not None:
        yield f"{text} IN ({', '.join(literal(v) for v in c.is_in)})"
    if c.matches is not None:
        yield f"regexp_matches({text}, {literal(c.matches)})"
    if c.not_matches is not None:
        yield f"NOT regexp_matches({text}, {literal(c.not_matches)})"
    if c.empty is not None:
        yield f"({text} = '') = {str(c.empty).lower()}"
    if c.min is not None:
        yield f"{number} >= {c.min!r}"
    if c.max is not None:
        yield f"{number} <= {c.max!r}"


def typed_columns(table: Table, how: TableMapping, raw: Raw, timezone: str) -> list[Typed]:
    """Write every mapped column of one canonical table as SQL over its raw source."""
    return [
        _typed(table.column(name), source, how, raw, how.zone or timezone)
        for name, source in sorted(how.columns.items(), key=lambda item: table.names.index(item[0]))
    ]


def _typed(column: Column, source: str | Computed, how: TableMapping, raw: Raw, zone: str) -> Typed:
    if isinstance(source, Computed):
        text = _computed(source)
        kind = "VARCHAR"
    else:
        text, kind = f"CAST({quote(source)} AS VARCHAR)", raw.types[source]
    text = f"nullif({text}, '')"
    value, wrong = _value(column, text, quote(source) if isinstance(source, str) else text, kind, how, zone)
    lacking = f"WHEN {text} IS NULL THEN 'EMPTY'" if column.required and _needed(column) else ""
    code = f"CASE {lacking} WHEN {text} IS NOT NULL AND {value} IS NULL THEN '{wrong}'{_range(column, value)} END"
    return Typed(column, text, value, code)


def _needed(column: Column) -> bool:
    return column.name != "customer_id"  # an empty one is a guest


def _computed(source: Computed) -> str:
    if source.constant is not None:
        return (
            f"CASE WHEN {condition(source.when or {})} THEN {literal(source.constant)} END"
            if source.when
            else literal(source.constant)
        )
    if source.join is not None:
        parts = ", ".join(f"nullif(CAST({quote(name)} AS VARCHAR), '')" for name in source.join)
        return f"concat_ws({literal(source.separator)}, {parts})"
    names, operator = (source.sum, " + ") if source.sum is not None else (source.product or [], " * ")
    exact = [f"TRY_CAST({quote(name)} AS {STORED_AS['amount']})" for name in names]
    return f"CAST({operator.join(exact)} AS VARCHAR)"


def _value(column: Column, text: str, source: str, kind: str, how: TableMapping, zone: str) -> tuple[str, str]:
    """Give the SQL of a column's typed value, NULL where the text is not acceptable, and the code for that."""
    match column.kind:
        case "id":
            if kind in ("FLOAT", "DOUBLE"):  # only where nothing is lost
                return (
                    f"CASE WHEN {source} = floor({source}) AND abs({source}) < 9e15"
                    f" THEN CAST(CAST({source} AS BIGINT) AS VARCHAR) END",
                    "BAD_ID",
                )
            return (
                f"CASE WHEN regexp_full_match({text}, '[^\\x00-\\x1f\\x7f]{{1,{ID_LENGTH}}}')"
                f" AND trim({text}) <> '' THEN {text} END",
                "BAD_ID",
            )
        case "text":
            return text, "BAD_TEXT"
        case "word":
            words = how.words.get(column.name, {})
            mapped = "".join(f" WHEN {literal(k)} THEN {literal(v)}" for k, v in words.items())
            said = f"CASE {text}{mapped} ELSE {text} END" if mapped else text
            return (
                f"CASE WHEN {said} IN ({', '.join(literal(w) for w in column.words)}) THEN {said} END",
                "BAD_WORD",
            )
        case "instant" | "day":
            return _instant(column, text, source, kind, how, zone), "BAD_DATE"
        case "boolean":
            return f"TRY_CAST({text} AS BOOLEAN)", "BAD_WORD"
        case "integer" | "amount" | "quantity":
            plain = kind.startswith(NUMERIC) or f"regexp_full_match({text}, '[+-]?[0-9]+([.][0-9]+)?')"
            number = f"TRY_CAST({text} AS DOUBLE)"
            checked = (
                f"TRY_CAST({text} AS {STORED_AS[column.kind]})"
                if kind == "VARCHAR"
                else f"TRY_CAST({source} AS {STORED_AS[column.kind]})"
            )
            kept = f"abs({number}) <= {LARGEST_AMOUNT}" + ("" if plain is True else f" AND {plain}")
            return f"CASE WHEN {kept} THEN {checked} END", "BAD_NUMBER"


def _instant(column: Column, text: str, source: str, kind: str, how: TableMapping, zone: str) -> str:
    if kind == "TIMESTAMP WITH TIME ZONE":
        local = source
    elif kind.startswith(("TIMESTAMP", "DATE")):
        local = f"timezone({literal(zone)}, CAST({source} AS TIMESTAMP))"
    else:
        formats = ", ".join(literal(f) for f in how.formats)
        local = f"timezone({literal(zone)}, try_strptime({text}, [{formats}]))"
    return f"CAST(timezone({literal(zone)}, {local}) AS DATE)" if column.kind == "day" else local


def _range(column: Column, value: str) -> str:
    """Add the code for an instant no shop can have."""
    if column.kind != "instant":
        return ""
    early, late = (f"TIMESTAMPTZ '{day} 00:00:00+00'" for day in (EARLIEST, LATEST))
    return f" WHEN {value} < {early} OR {value} >= {late} THEN 'RANGE_DATE'"
