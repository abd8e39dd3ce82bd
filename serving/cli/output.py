"""What every command shares: the clock, saying what happens on stderr, results on stdout."""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import typer

from features.calendar import day_number


def now() -> datetime:
    """Read the machine's clock: here at the command's edge, and nowhere below."""
    return datetime.now(UTC)  # noqa: TID251


def day_of(text: str | None) -> int | None:
    """Number the business day of a date option; ``None`` where it is left out or says ``now``.

    Raises
    ------
    typer.BadParameter
        If it is not YYYY-MM-DD.
    """
    try:
        return None if text in (None, "now") else day_number(date.fromisoformat(text))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no date such as 2017-12-03, nor now") from None


def say_on_stderr(as_json: bool) -> Callable[[str], None]:
    """Give a function that tells what is being done, with the seconds since the start."""
    started = time.monotonic()

    def say(text: str) -> None:
        if not as_json:
            print(f"[{time.monotonic() - started:6.1f} s] {text}", file=sys.stderr, flush=True)  # noqa: T201

    return say


def show(result: dict[str, Any], as_json: bool) -> None:
    """Print a result: one JSON line, or a line per key for people."""
    if as_json:
        print(json.dumps(result, ensure_ascii=False, allow_nan=False, default=str))  # noqa: T201
        return
    for key, value in result.items():
        if isinstance(value, dict):
            print(f"{key}:")  # noqa: T201
            for name, inner in value.items():
                print(f"  {name:<44} {inner}")  # noqa: T201
        else:
            print(f"{key:<16} {value}")  # noqa: T201
