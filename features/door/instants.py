"""Local times as instants, in SQL: the formats a mapping names, one rule where a clock was set back or forward."""

from collections.abc import Sequence

from features.calendar import constant_offset
from features.sql import literal

# Numbers that stand for instants: (what a text must look like, microseconds per unit)
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
EXCEL_DAYS = 25_569  # from 1899-12-30, day 0 of spreadsheets, to 1970-01-01
DAY_US = 86_400_000_000


def sql_instant(said: str, kind: str, formats: Sequence[str], zone: str, as_day: bool) -> str:
    """Write a column's instant (``TIMESTAMPTZ``), or its local ``DATE``; NULL where no format fits.

    A local time that a clock set forward skipped is moved forward by the same hour; of one that came twice the
    first is meant.
    """
    if as_day:
        locals_ = [f"timezone({literal(zone)}, {x})" for x in _exact(said, kind, formats)] + _local(said, kind, formats)
        return f"CAST({_first(locals_)} AS DATE)"
    return _first([*_exact(said, kind, formats), *(sql_utc(local, zone) for local in _local(said, kind, formats))])


def sql_utc(local: str, zone: str) -> str:
    """Write the instant of a local time (``TIMESTAMP``) in a zone."""
    offset = constant_offset(zone)
    if offset is not None:  # ten times faster than asking ICU
        return f"make_timestamptz(epoch_us({local}) - {offset * 1_000_000})"
    later = f"timezone({literal(zone)}, {local})"
    earlier = f"{later} - INTERVAL 1 HOUR"
    return f"CASE WHEN timezone({literal(zone)}, {earlier}) = {local} THEN {earlier} ELSE {later} END"


def sql_shifted(said: str, kind: str, formats: Sequence[str], zone: str, instant: str) -> str:
    """Write whether a local time came twice (``fold``) or never (``gap``), else NULL."""
    if constant_offset(zone) is not None:
        return "CAST(NULL AS VARCHAR)"
    local = _first(_local(said, kind, formats))
    named = literal(zone)
    return (
        f"CASE WHEN timezone({named}, {instant}) <> {local} THEN 'gap'"
        f" WHEN timezone({named}, {instant} + INTERVAL 1 HOUR) = {local} THEN 'fold' END"
    )


def _exact(said: str, kind: str, formats: Sequence[str]) -> list[str]:
    """Write the instants that need no zone: typed ones, formats with an offset, counted seconds."""
    if kind == "TIMESTAMP WITH TIME ZONE":
        return [said]
    if kind.startswith(("TIMESTAMP", "DATE")):
        return []
    text = said if kind == "VARCHAR" else f"CAST({said} AS VARCHAR)"
    offset = [name for name in formats if "%z" in name]
    utc = f"CASE WHEN ends_with({text}, 'Z') THEN left({text}, -1) || '+00:00' ELSE {text} END"  # ISO 8601
    exact = [f"try_strptime({utc}, [{', '.join(map(literal, offset))}])"] if offset else []
    for name, microseconds in EPOCHS.items():
        if name in formats:
            exact.append(
                f"CASE WHEN regexp_full_match({text}, '[0-9]{{1,17}}')"
                f" THEN make_timestamptz(TRY_CAST({text} AS BIGINT) * {microseconds}) END"
            )
    return exact


def _local(said: str, kind: str, formats: Sequence[str]) -> list[str]:
    """Write the local times (``TIMESTAMP``): typed ones, formats without an offset, a spreadsheet's days."""
    if kind.startswith(("TIMESTAMP", "DATE")):
        return [] if kind == "TIMESTAMP WITH TIME ZONE" else [f"CAST({said} AS TIMESTAMP)"]
    text = said if kind == "VARCHAR" else f"CAST({said} AS VARCHAR)"
    plain = [name for name in formats if "%z" not in name and name not in (*EPOCHS, "excel")]
    local = [f"try_strptime({text}, [{', '.join(map(literal, plain))}])"] if plain else []
    if "excel" in formats:
        days = f"CAST({text} AS DECIMAL(28,9)) - {EXCEL_DAYS}"
        seconds = f"CAST(round(({days}) * 86400) AS BIGINT)"  # a spreadsheet's fraction of a day is whole seconds
        local.append(
            f"CASE WHEN regexp_full_match({text}, '[0-9]{{4,6}}([.][0-9]+)?')"
            f" THEN make_timestamp({seconds} * 1000000) END"
        )
    return local


def _first(expressions: Sequence[str]) -> str:
    if not expressions:
        return "CAST(NULL AS TIMESTAMPTZ)"
    return expressions[0] if len(expressions) == 1 else f"coalesce({', '.join(expressions)})"
