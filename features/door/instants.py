"""Local times as instants, in SQL: the formats a mapping names, one rule where a clock was set back or forward."""

from collections.abc import Sequence
from itertools import pairwise

from features.calendar import offsets, sql_step
from features.sql import literal

# Numbers that stand for instants: (what a text must look like, microseconds per unit)
EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000, "epoch_us": 1}
EXCEL_DAYS = 25_569  # from 1899-12-30, day 0 of spreadsheets, to 1970-01-01
DAY_US = 86_400_000_000


def sql_local(said: str, kind: str, formats: Sequence[str]) -> str:
    """Write a column's local time (``TIMESTAMP``) where it says one: NULL where no format fits."""
    return _first(_local(said, kind, formats), "TIMESTAMP")


def sql_instant(said: str, local: str, kind: str, formats: Sequence[str], zone: str) -> str:
    """Write a column's instant (``TIMESTAMPTZ``) over what it says and its local time."""
    return _first([*_exact(said, kind, formats), _sql_utc(local, zone)], "TIMESTAMPTZ")


def sql_day(said: str, local: str, kind: str, formats: Sequence[str], zone: str) -> str:
    """Write a column's local ``DATE``."""
    exact = [f"timezone({literal(zone)}, {x})" for x in _exact(said, kind, formats)]
    return f"CAST({_first([*exact, local], 'TIMESTAMP')} AS DATE)"


def sql_shifted(local: str, zone: str) -> str:
    """Write whether a local time came twice (``fold``) or never (``gap``), else NULL."""
    if len(offsets(zone)) == 1:
        return "CAST(NULL AS VARCHAR)"
    moves = [(at + min(old, new), at + max(old, new), new > old) for old, at, new in _moves(zone)]
    steps = [(0, 0), *(step for start, end, gap in moves for step in ((start, 1 if gap else 2), (end, 0)))]
    return f"CASE {sql_step(_second(local), steps)} WHEN 1 THEN 'gap' WHEN 2 THEN 'fold' END"


def _sql_utc(local: str, zone: str) -> str:
    """Write the instant of a local time in a zone.

    A new offset holds from the local time at which both clocks would have shown the later one: what was skipped
    counts by the old offset (so it is moved forward), what came twice by the old one too (so the first is meant).
    """
    starts = [offsets(zone)[0], *((at + max(old, new), new) for old, at, new in _moves(zone))]
    return f"make_timestamptz(epoch_us({local}) - 1000000::BIGINT * {sql_step(_second(local), starts)})"


def _moves(zone: str) -> list[tuple[int, int, int]]:
    """List when a zone's clock was moved: the offset before, the epoch second, the offset after."""
    return [(old, at, new) for (_, old), (at, new) in pairwise(offsets(zone))]


def _second(local: str) -> str:
    return f"(epoch_us({local}) // 1000000)"


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


def _first(expressions: Sequence[str], kind: str) -> str:
    if not expressions:
        return f"CAST(NULL AS {kind})"
    return expressions[0] if len(expressions) == 1 else f"coalesce({', '.join(expressions)})"
