"""How a policy writes time: ``90d``, ``-14d``, ``48h``, hours of a day as ``21:00-08:00``."""

import re
from datetime import time
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, ValidationInfo

HOUR, DAY = 3_600, 86_400
AS_WRITTEN = {"as_written": True}  # the context in which a file is read: a bare number is no span there

_SPAN = re.compile(r"(-?\d{1,5})(d|h)")
_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def seconds_of(value: object) -> int:
    """Read a span such as ``90d`` or ``48h`` as seconds.

    >>> seconds_of("48h"), seconds_of("-7d")
    (172800, -604800)
    """
    found = _SPAN.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} is no span of time; write days or hours, such as 90d or 48h")
    return int(found[1]) * (DAY if found[2] == "d" else HOUR)


def span_words(seconds: float) -> str:
    """Write a span as a policy does.

    >>> span_words(172800), span_words(3600 * 5)
    ('2d', '5h')
    """
    return f"{int(seconds // DAY)}d" if seconds % DAY == 0 else f"{int(seconds // HOUR)}h"


class Hours(NamedTuple):
    """A stretch of a day, local time, the end exclusive; it may run past midnight."""

    start: time
    end: time


def hours_of(value: object) -> Hours:
    """Read hours of a day.

    >>> hours_of("21:00-08:00").end
    datetime.time(8, 0)
    """
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f"{value!r} are no hours of a day; write them as 21:00-08:00")
    start, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
    if start == end:
        raise ValueError(f"{value!r} begins when it ends; leave it out, or write another end")
    return Hours(start, end)


def _positive(seconds: int) -> int:
    if seconds <= 0:
        raise ValueError("must be longer than nothing, such as 90d")
    return seconds


def _read(value: object, info: ValidationInfo) -> int:
    in_seconds = isinstance(value, int) and not isinstance(value, bool) and not (info.context or {}).get("as_written")
    return value if in_seconds and isinstance(value, int) else seconds_of(value)


def _read_positive(value: object, info: ValidationInfo) -> int:
    return _positive(_read(value, info))


def _read_hours(value: object) -> Hours:
    return value if isinstance(value, Hours) else hours_of(value)


Offset = Annotated[int, BeforeValidator(_read)]  # seconds, before (negative) or after something
Span = Annotated[int, BeforeValidator(_read_positive)]  # seconds, above zero
HoursOfDay = Annotated[Hours, BeforeValidator(_read_hours)]
