"""Whether a day is like its like: a file cut short, in another unit or numbered anew looks like customers leaving."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import duckdb

from features.errors import Refused
from features.identity import persons, teach
from features.shop import Shop

WEEKS = 8  # a day is compared with the same weekday of so many weeks before
FEWEST = 50  # lines a day; below it chance alone makes a fifth or six times as many
# faults.md A36: -80 % and +500 %. The revenue of a line lies well within: .56 to 3.57 times the usual on right days of
# three shops (2026-11-24), and 100 where amounts came in another unit.
LOW, HIGH = 0.2, 6.0
# First orders among a day's customers, beyond what is usual: .26 at most on right days of three shops (2026-11-24).
NEWCOMERS_BEYOND = 0.5
FEWEST_CUSTOMERS = 20  # a day; of fewer chance alone makes half as many newcomers more

Counts = dict[int, tuple[float, ...]]


@dataclass(frozen=True)
class Volume:
    """What one business day brought, and what is usual on its weekday: the median of the weeks before."""

    day: int
    lines: int
    usual_lines: float
    per_line: float  # net revenue of a line
    usual_per_line: float
    customers: int
    newcomers: float  # share of them whose first order it was
    usual_newcomers: float

    def unusual(self) -> tuple[str, str] | None:
        """Say what is not like other such days, and how it is there; ``None`` where all is, or there is too little."""
        if self.usual_lines >= FEWEST and not LOW * self.usual_lines <= self.lines <= HIGH * self.usual_lines:
            return f"{self.lines:,} order lines", f"{self.usual_lines:,.0f}"
        is_told = self.usual_per_line > 0 and min(self.lines, self.usual_lines) >= FEWEST
        if is_told and not LOW <= self.per_line / self.usual_per_line <= HIGH:
            return f"{self.per_line:,.2f} of revenue a line", f"{self.usual_per_line:,.2f}"
        if self.customers >= FEWEST_CUSTOMERS and self.newcomers > self.usual_newcomers + NEWCOMERS_BEYOND:
            return f"{self.newcomers:.0%} new customers", f"{self.usual_newcomers:.0%}"
        return None

    def told(self) -> dict[str, Any]:
        """Give the figures as a manifest keeps them."""
        return {
            "lines": self.lines,
            "usual": self.usual_lines,
            "ratio": round(self.lines / self.usual_lines, 4) if self.usual_lines else None,
            "revenue_per_line": round(self.per_line, 4),
            "usual_revenue_per_line": round(self.usual_per_line, 4),
            "newcomers": round(self.newcomers, 4),
            "usual_newcomers": round(self.usual_newcomers, 4),
        }


def volume(shop: Shop, day: int) -> Volume:
    """Count the last business day before ``day`` and the same weekday of the weeks before, as known at ``day``."""
    last = day - 1
    with duckdb.connect() as con:
        lines, customers = _lines(con, shop, last), _customers(con, shop, last)

    def usual(counts: Counts, of: Callable[..., float]) -> float:
        return statistics.median(of(*counts.get(last - 7 * week, (0, 0))) for week in range(1, WEEKS + 1))

    n, revenue = lines.get(last, (0, 0))
    who, new = customers.get(last, (0, 0))
    return Volume(
        last,
        int(n),
        usual(lines, lambda n, _: float(n)),
        _ratio(revenue, n),
        usual(lines, lambda n, revenue: _ratio(revenue, n)),
        int(who),
        _ratio(new, who),
        usual(customers, lambda n, new: _ratio(new, n)),
    )


def expect_usual_volume(shop: Shop, day: int) -> Volume:
    """Give the volume of the last business day before ``day``, if it is usual.

    Raises
    ------
    Refused
        With both figures: most often part of a file is missing, one was taken in twice under new numbers, amounts
        came in another unit, or customers under new numbers.
    """
    found = volume(shop, day)
    if what := found.unusual():
        raise Refused(
            f"{shop.name}: {what[0]} on {shop.calendar.date(found.day)}, where {what[1]} are usual on that weekday: is"
            " a file missing, doubled or made another way? Give --force if it is right"
        )
    return found


def _lines(con: duckdb.DuckDBPyConnection, shop: Shop, last: int) -> Counts:
    """Count lines and their net revenue by day."""
    return _by_day(
        con,
        "SELECT day, sum(sign), sum(sign * revenue)::DOUBLE FROM read_parquet($parts, union_by_name = true)"
        " WHERE day >= $first AND day <= $last AND known_on <= $last AND ($last - day) % 7 = 0 GROUP BY day",
        shop,
        "order_lines",
        last,
    )


def _customers(con: duckdb.DuckDBPyConnection, shop: Shop, last: int) -> Counts:
    """Count who ordered, and for whom it was the first time, by day."""
    teach(con, persons(shop, (last + 1,)).merged)
    return _by_day(
        con,
        "WITH rows AS (SELECT person($last + 1, customer_id) AS customer_id, day FROM read_parquet($parts)"
        " WHERE day <= $last AND known_on <= $last AND orders > 0),"
        " theirs AS (SELECT DISTINCT customer_id, day FROM rows WHERE day >= $first AND ($last - day) % 7 = 0),"
        " began AS (SELECT customer_id, min(day) AS first FROM rows SEMI JOIN theirs USING (customer_id) GROUP BY ALL)"
        " SELECT day, count(*), count(*) FILTER (day = first) FROM theirs JOIN began USING (customer_id) GROUP BY day",
        shop,
        "days",
        last,
    )


def _by_day(con: duckdb.DuckDBPyConnection, query: str, shop: Shop, table: str, last: int) -> Counts:
    parts = [str(path) for path in shop.parts(table)]
    rows = con.execute(query, {"parts": parts, "first": last - 7 * WEEKS, "last": last}).fetchall()
    return {day: tuple(map(float, counts)) for day, *counts in rows}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
