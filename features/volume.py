"""Whether a day brought about as many order lines as its like: an export cut short looks like customers leaving."""

import statistics
from dataclasses import dataclass

import duckdb

from features.errors import Refused
from features.shop import Shop

WEEKS = 8  # a day is compared with the same weekday of so many weeks before
FEWEST = 50  # lines a day; below it chance alone makes a fifth or six times as many
LOW, HIGH = 0.2, 6.0  # faults.md A36: -80 % and +500 %


@dataclass(frozen=True)
class Volume:
    """How many order lines one business day brought, and how many are usual on its weekday."""

    day: int
    lines: int
    usual: float

    @property
    def ratio(self) -> float | None:
        """Give the lines over what is usual; ``None`` where nothing is."""
        return round(self.lines / self.usual, 4) if self.usual else None

    @property
    def is_usual(self) -> bool:
        """Tell whether the day is like its like, or brings too little to tell."""
        return self.usual < FEWEST or LOW * self.usual <= self.lines <= HIGH * self.usual


def volume(shop: Shop, day: int) -> Volume:
    """Count the last business day before ``day`` and the same weekday of the weeks before, as known at ``day``."""
    last = day - 1
    with duckdb.connect() as con:
        counts = dict(
            con.execute(
                "SELECT day, sum(sign) FROM read_parquet($parts, union_by_name = true) WHERE day >= $first"
                " AND day <= $last AND known_on < $day AND ($last - day) % 7 = 0 GROUP BY day",
                {
                    "parts": [str(path) for path in shop.parts("order_lines")],
                    "first": last - 7 * WEEKS,
                    "last": last,
                    "day": day,
                },
            ).fetchall()
        )
    usual = statistics.median(float(counts.get(last - 7 * week, 0)) for week in range(1, WEEKS + 1))
    return Volume(last, int(counts.get(last, 0)), usual)


def expect_usual_volume(shop: Shop, day: int) -> Volume:
    """Give the volume of the last business day before ``day``, if it is usual.

    Raises
    ------
    Refused
        With both counts: most often part of a file is missing, or one was taken in twice under new numbers.
    """
    found = volume(shop, day)
    if not found.is_usual:
        raise Refused(
            f"{shop.name}: {found.lines:,} order lines on {shop.calendar.date(found.day)}, where {found.usual:,.0f} are"
            " usual on that weekday: is a file missing or doubled? Give --force if it is right"
        )
    return found
