"""What a mapping may write as text and must mean something: names, regular expressions, forms of times, time zones."""

from typing import Annotated
from zoneinfo import ZoneInfo

import duckdb
from pydantic import AfterValidator

from features.door.names import composed

TIME_WORDS = ("epoch_s", "epoch_ms", "epoch_us", "excel")  # formats that are numbers


def _regex(text: str) -> str:
    """Check a regular expression by the engine that will run it (RE2: no look-around, no back references)."""
    try:
        duckdb.execute("SELECT regexp_matches('', ?)", [text])
    except duckdb.Error as error:
        raise ValueError(f"{text!r} is no regular expression (RE2): {_reason(error)}") from None
    return text


def _strptime(text: str) -> str:
    """Check one form of times; one without a place for anything would fit nothing."""
    if text in TIME_WORDS:
        return text
    try:
        duckdb.execute("SELECT try_strptime('', ?)", [text])
    except duckdb.Error as error:
        raise ValueError(f"{text!r} is no strptime format such as %Y/%m/%d %H:%M: {_reason(error)}") from None
    if "%" not in text:
        raise ValueError(f"{text!r} is no strptime format such as %Y/%m/%d %H:%M, nor {', '.join(TIME_WORDS)}")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone, such as Asia/Tokyo") from None
    return name


def _reason(error: duckdb.Error) -> str:
    return str(error).splitlines()[0].split(": ", 1)[-1]


Name = Annotated[str, AfterValidator(composed)]  # of a source's column
Pattern = Annotated[str, AfterValidator(_regex)]
TimeFormat = Annotated[str, AfterValidator(_strptime)]
Zone = Annotated[str, AfterValidator(_zone)]
