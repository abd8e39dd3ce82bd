"""Whether a day brought about as many order lines as its like: an export cut short looks like customers leaving."""

import statistics

import duckdb

from features.errors import Refused
from features.shop import Shop

WEEKS = 8  # a day is compared with the same weekday of so many weeks before
FEWEST = 50  # lines a day; below it chance alone makes a fifth or six times as many
LOW, HIGH = 0.2, 6.0  # faults.md A36: -80 % and +500 %


def expect_usual_volume(shop: Shop, day: int) -> None:
    """Check the last business day before ``day`` against the same weekday of the weeks before, as known at ``day``.

    Raises
    ------
    Refused
        With both counts: most often part of a file is missing, or one was taken in twice under new numbers.
    """
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
    found = int(counts.get(last, 0))
    if usual >= FEWEST and not LOW * usual <= found <= HIGH * usual:
        raise Refused(
            f"{shop.name}: {found:,} order lines on {shop.calendar.date(last)}, where {usual:,.0f} are usual on that"
            " weekday: is a file missing or doubled? Give --force if it is right"
        )
