"""Which customers are meant: the one filter grammar of policy, audiences and service.

::

    {lifecycle: [at_risk, dormant], promo_share: {max: 0.8}}      every key must hold; a list is `in`
    {any: [{order_count: 1}, {not: {tier: gold}}]}                `all`, `any`, `not` nest
    {tier_expires_on: {min: 0d, max: 60d}}                        a duration counts from as_of; bounds are inclusive

What is not known of a customer (NaN, None, a column the shop has not) is neither true nor false, and neither is its
``not``: nobody is meant because of something nobody knows. ``{not: {tier: gold}}`` leaves out those without a tier.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.calendar import EPOCH, day_number
from features.door.mapping import nearest
from features.errors import BadInput
from serving.policy.columns import Column, Kind

GROUPS = ("all", "any", "not")
CONDITIONS = ("in", "min", "max", "between")
MAX_DEPTH = 8  # of groups in groups: a filter is read by people (2026-11-25)
DURATION = re.compile(r"[+-]?[0-9]{1,5}d")
SEPARATORS = re.compile("[,;]")  # between the words of one cell: codes of ours, attributes of the shop's
ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Bools = NDArray[np.bool_]
Columns = Mapping[str, NDArray[Any]]
Value = str | float | bool | date | timedelta  # a timedelta counts from as_of


@dataclass(frozen=True)
class Condition:
    """What one column must be: one of ``among`` (if given), at least ``low`` and at most ``high`` (if given)."""

    name: str
    column: Column
    among: tuple[Value, ...] | None = None
    low: Value | None = None
    high: Value | None = None


@dataclass(frozen=True)
class Every:
    """All parts must hold; without any part it is everyone."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True)
class Some:
    """At least one part must hold."""

    parts: "tuple[Filter, ...]"


@dataclass(frozen=True)
class Not:
    """The part must be known not to hold."""

    part: "Filter"


Filter = Condition | Every | Some | Not


class BadFilter(BadInput, ValueError):
    """A filter that cannot be read: every mistake with its path and what would be right, never what was written.

    It is a ``ValueError`` too, so that a pydantic validator may call :func:`parse`.
    """

    def __init__(self, mistakes: Sequence[tuple[str, str]]) -> None:
        super().__init__("\n".join(f"{path}: {message}" for path, message in mistakes))
        self.mistakes = tuple(mistakes)


def parse(content: object, known: Mapping[str, Column], path: str = "filter") -> Filter:
    """Read a filter as YAML or JSON give it; ``{}`` is everyone.

    Raises
    ------
    BadFilter
        Naming every mistake: its path below ``path``, and the nearest valid word.

    Examples
    --------
    >>> from serving.policy.columns import CUSTOMER
    >>> parse({"lifecycl": "at_risk", "order_count": {"max": "3"}}, CUSTOMER)
    Traceback (most recent call last):
    ...
    serving.policy.filters.BadFilter: filter.lifecycl: unknown field; did you mean lifecycle?
    filter.order_count.max: must be a number
    """
    if content == {}:
        return Every(())
    reader = _Reader(known)
    read = reader.group(content, path, 1)
    if reader.mistakes:
        raise BadFilter(reader.mistakes)
    return read


def names(read: Filter) -> frozenset[str]:
    """List the columns a filter reads."""
    match read:
        case Condition(name=name):
            return frozenset((name,))
        case Not(part=part):
            return names(part)
        case Every(parts=parts) | Some(parts=parts):
            return frozenset(name for part in parts for name in names(part))


def matches(read: Filter, columns: Columns, day: int) -> Bools:
    """Tell who is meant, shape (n_customers,).

    Parameters
    ----------
    columns
        Arrays of one length. Numbers may be of any numeric type; booleans also 0, 1 and NaN; dates ``datetime64``,
        ``date`` objects or day numbers; what is not known is NaN or None, or the column is not there.
    day
        The business day from which durations count, in days since 1970-01-01.

    Examples
    --------
    >>> from serving.policy.columns import CUSTOMER
    >>> who = parse({"not": {"tier": "gold"}}, CUSTOMER)
    >>> matches(who, {"tier": np.array(["gold", "silver", None], dtype=object)}, 0).tolist()
    [False, True, False]
    """
    return _judge(read, columns, day, len(next(iter(columns.values()))))[0]


def _judge(read: Filter, columns: Columns, day: int, n: int) -> tuple[Bools, Bools]:
    """Tell for whom a filter is known to hold, and for whom it is known not to."""
    match read:
        case Condition():
            if read.name not in columns:
                return np.zeros(n, np.bool_), np.zeros(n, np.bool_)
            known, hold = _test(read, columns[read.name], day)
            return known & hold, known & ~hold
        case Not(part=part):
            held, failed = _judge(part, columns, day, n)
            return failed, held
    if not read.parts:
        return np.ones(n, np.bool_), np.zeros(n, np.bool_)
    judged = [_judge(part, columns, day, n) for part in read.parts]
    yes, no = [hold for hold, _ in judged], [fail for _, fail in judged]
    if isinstance(read, Every):
        return np.logical_and.reduce(yes), np.logical_or.reduce(no)
    return np.logical_or.reduce(yes), np.logical_and.reduce(no)


def _test(read: Condition, values: NDArray[Any], day: int) -> tuple[Bools, Bools]:
    """Tell of whom a column is known, and for whom the test holds (anything where it is not known)."""
    if read.column.kind in ("text", "texts"):
        return _text(read, values)
    numbers = days_of(values) if read.column.kind == "date" else _numbers(values)
    holds = np.ones(len(numbers), np.bool_)
    if read.among is not None:
        holds &= np.isin(numbers, [_number(value, day) for value in read.among])
    if read.low is not None:
        holds &= numbers >= _number(read.low, day)
    if read.high is not None:
        holds &= numbers <= _number(read.high, day)
    return ~np.isnan(numbers), holds


def _text(read: Condition, values: NDArray[Any]) -> tuple[Bools, Bools]:
    wanted, n = set(read.among or ()), len(values)
    if read.column.kind == "text":
        cells = values.tolist()
        known = np.fromiter((isinstance(cell, str) for cell in cells), np.bool_, n)
        return known, np.fromiter((cell in wanted for cell in cells), np.bool_, n)
    sets = [_words_in(cell) for cell in values]
    known = np.fromiter((cell is not None for cell in sets), np.bool_, n)
    return known, np.fromiter((bool(cell and not wanted.isdisjoint(cell)) for cell in sets), np.bool_, n)


def _words_in(cell: object) -> set[str] | None:
    """Read a cell that holds several words; an empty one is known to hold none."""
    if isinstance(cell, str):
        return {word.strip() for word in SEPARATORS.split(cell)} - {""}
    return set(cell) if isinstance(cell, list | tuple | set | frozenset | np.ndarray) else None


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype == object:
        return np.array([np.nan if value is None else value for value in values.tolist()], np.float64)
    return values.astype(np.float64)


def days_of(values: NDArray[Any]) -> NDArray[np.float64]:
    """Number dates in days since 1970-01-01, NaN where there is none; day numbers stay as they are.

    >>> days_of(np.array([date(1970, 1, 3), None], dtype=object)).tolist()
    [2.0, nan]
    """
    if values.dtype.kind == "M":
        days = values.astype("datetime64[D]")
        return np.where(np.isnat(days), np.nan, days.astype(np.int64).astype(np.float64))
    if values.dtype == object:
        cells = values.tolist()
        return np.array([_day(cell) for cell in cells], np.float64)
    return values.astype(np.float64)


def _day(cell: Any) -> float:
    if cell is None or cell != cell:  # NaN and NaT differ from themselves
        return np.nan
    return float(cell) if isinstance(cell, int | float) else float((date(cell.year, cell.month, cell.day) - EPOCH).days)


def _number(value: Value, day: int) -> float:
    if isinstance(value, timedelta):
        return float(day + value.days)
    return float(day_number(value)) if isinstance(value, date) else float(value)


class _Reader:
    """Reads a filter to its end and keeps every mistake on the way."""

    def __init__(self, known: Mapping[str, Column]) -> None:
        self.known = known
        self.mistakes: list[tuple[str, str]] = []

    def wrong(self, path: str, message: str) -> Every:
        self.mistakes.append((path, message))
        return Every(())

    def group(self, content: object, path: str, depth: int) -> Filter:
        if not isinstance(content, Mapping) or not content:
            return self.wrong(path, f"must be fields with their conditions, or {', '.join(GROUPS)}")
        if depth > MAX_DEPTH:
            return self.wrong(path, f"nested deeper than {MAX_DEPTH}")
        parts = tuple(self.entry(key, inner, f"{path}.{key}", depth) for key, inner in content.items())
        return parts[0] if len(parts) == 1 else Every(parts)

    def entry(self, key: object, content: object, path: str, depth: int) -> Filter:
        if key == "not":
            return Not(self.group(content, path, depth + 1))
        if key in ("all", "any"):
            if not isinstance(content, list) or not content:
                return self.wrong(path, "must be a list of filters")
            parts = tuple(self.group(part, f"{path}.{i}", depth + 1) for i, part in enumerate(content))
            return Every(parts) if key == "all" else Some(parts)
        if not isinstance(key, str) or key not in self.known:
            return self.wrong(path, "unknown field" + nearest(str(key), [*self.known, *GROUPS]))
        return self.test(key, content, path)

    def test(self, name: str, content: object, path: str) -> Filter:
        column = self.known[name]
        if isinstance(content, list):
            return Condition(name, column, among=self.values(content, column, path))
        if not isinstance(content, Mapping):
            return Condition(name, column, among=(self.value(content, column, path),))
        if not content:
            return self.wrong(path, f"says nothing; give a value, a list, or {', '.join(CONDITIONS)}")
        if "between" in content and {"min", "max"} & set(content):
            return self.wrong(path, "between already says min and max")
        found: dict[str, Any] = {}
        for key, given in content.items():
            found |= dict(self.condition(key, given, column, f"{path}.{key}"))
        low, high = found.get("low"), found.get("high")
        if type(low) is type(high) and low is not None and low > high:
            return self.wrong(path, "its lower end lies above its upper end")
        return Condition(name, column, **found)

    def condition(self, key: object, given: object, column: Column, path: str) -> Iterator[tuple[str, Any]]:
        if key == "in":
            yield "among", self.values(given, column, path)
        elif key not in CONDITIONS:
            self.wrong(path, "unknown condition" + nearest(str(key), list(CONDITIONS)))
        elif column.kind not in ("number", "date"):
            self.wrong(path, f"goes with numbers and dates; {_a(column.kind)} is compared by a value or a list")
        elif key == "between":
            if not isinstance(given, list) or len(given) != 2:
                self.wrong(path, "must be a list of two values, both included")
            else:
                yield "low", self.value(given[0], column, f"{path}.0")
                yield "high", self.value(given[1], column, f"{path}.1")
        else:
            yield ("low" if key == "min" else "high"), self.value(given, column, path)

    def values(self, given: object, column: Column, path: str) -> tuple[Value, ...]:
        if not isinstance(given, list) or not given:
            self.wrong(path, "must be a list of values")
            return ()
        return tuple(self.value(one, column, f"{path}.{place}") for place, one in enumerate(given))

    def value(self, given: object, column: Column, path: str) -> Value:
        """Read one value as its column's kind; the value of a mistake is never used."""
        read: Value | None = None
        match column.kind:
            case "number" if isinstance(given, int | float) and not isinstance(given, bool) and abs(given) < 1e300:
                read = float(given)
            case "boolean" if isinstance(given, bool):
                read = given
            case "date":
                read = _date(given)
            case "text" | "texts" if isinstance(given, str) and given:
                read = given
                if column.among and given not in column.among:
                    self.wrong(path, "unknown word" + nearest(given, list(column.among)))
        if read is None:
            self.wrong(path, f"must be {_a(column.kind)}{_hint(given, column.kind)}")
        return 0.0 if read is None else read


def _date(given: object) -> Value | None:
    """Read a date, as YAML or as ISO text, or a duration from as_of."""
    if type(given) is date:
        return given
    if not isinstance(given, str):
        return None
    if DURATION.fullmatch(given):
        return timedelta(days=int(given[:-1]))
    try:
        return date.fromisoformat(given) if ISO_DATE.fullmatch(given) else None
    except ValueError:
        return None


def _a(kind: Kind) -> str:
    return {
        "number": "a number",
        "text": "a text",
        "texts": "a text",
        "boolean": "true or false",
        "date": "a date such as 2026-12-31, or a duration from as_of such as 60d",
    }[kind]


def _hint(given: object, kind: Kind) -> str:
    if given is None:
        return "; what is not known is never meant"
    if kind in ("text", "texts") and isinstance(given, bool | int | float | date):
        return ": put it in quotes"
    return "; days are written without the d" if isinstance(given, str) and DURATION.fullmatch(given) else ""
