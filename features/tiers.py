"""Which rank a customer's spending has earned them, what the next one still takes, and when theirs would be lost."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Literal

import pandas as pd

from features.calendar import day_number
from features.shop import Shop
from features.sql import literal
from features.told import Connection, told, write_orders

Levels = Sequence[tuple[str, int | Decimal]]

NEVER = 1 << 30  # a day after all others
MOST_MONTHS = 24  # how far ahead the end of a tier is looked for: twice the longest usual window (2026-11-25)


def spend_tiers(
    shop: Shop,
    day: int,
    window_days: int,
    levels: Levels,
    review: Literal["monthly", "daily"],
) -> pd.DataFrame:
    """Tell each customer's tier at the start of business day ``day``, by what they spent in ``window_days``.

    Spent is the revenue of kept orders, net of their returns, by the day of the order. A tier is given at the last
    review up to ``day`` (the first of the month, or every day), by what was known then, and stands until the next.

    Parameters
    ----------
    levels
        Id and least amount of each, from the lowest up; the lowest is everybody's.

    Returns
    -------
    DataFrame, sorted by ``customer_id``, one row for every customer known
        ``tier`` (id); ``to_next_tier`` (shop currency: the next level's amount less what was spent in the
        ``window_days`` before ``day``, never below 0, NaN at the top); ``tier_expires_on`` (date of the first review
        after ``day`` at which, without another order, the tier would be lower; ``None`` at the lowest, and where no
        review of the next 24 months is).
    """
    last, coming = _reviews(shop.calendar.date(day), review)
    with told(shop, day, "order_lines", "days", "customers") as con:
        con.execute(
            f"CREATE TEMP TABLE asked AS SELECT DISTINCT coalesce(returns_order_id, order_id) AS order_id"
            f" FROM order_lines WHERE day >= {last - window_days} AND quantity > 0"
        )
        _write_ranks(con, last, window_days, levels)
        write_orders(con, "asked")
        con.register("coming", pd.DataFrame({"review_day": coming}))
        rows = con.execute(_tiers(day, window_days, levels)).arrow()
        table: pd.DataFrame = rows.read_all().to_pandas()
    return table


def _reviews(today: date, review: str) -> tuple[int, list[int]]:
    """Give the day of the last review up to today, and those to come within 24 months, as business days."""
    months = [today.year * 12 + today.month - 1 + n for n in range(MOST_MONTHS + 1)]
    first, *firsts = (day_number(date(month // 12, month % 12 + 1, 1)) for month in months)
    if review == "monthly":
        return first, firsts
    return day_number(today), list(range(day_number(today) + 1, firsts[-1] + 1))


def _write_ranks(con: Connection, review_day: int, window_days: int, levels: Levels) -> None:
    """Write `ranks`: the place of each customer's tier among the levels, 0 the lowest, as a review saw it."""
    write_orders(con, "asked", known_before=review_day)
    place = " + ".join(f"(spent >= {_amount(least)})::INTEGER" for _, least in levels[1:]) or "0"
    con.execute(
        f"CREATE TEMP TABLE ranks AS SELECT customer_id, coalesce({place}, 0) AS place FROM"
        " (SELECT customer_id FROM days UNION SELECT customer_id FROM customers) LEFT JOIN"
        f" (SELECT customer_id, sum(revenue) AS spent FROM orders WHERE is_kept"
        f" AND placed_day >= {review_day - window_days} AND placed_day < {review_day} GROUP BY customer_id)"
        " USING (customer_id)"
    )


def _tiers(day: int, window_days: int, levels: Levels) -> str:
    """Select the tiers. What is spent within the window falls in steps as orders leave it; a review sees one step."""
    ids = ", ".join(literal(level) for level, _ in levels)
    least = ", ".join(_amount(amount) for _, amount in levels)
    return f"""
    WITH mine AS (
        SELECT customer_id, placed_day, revenue FROM orders
        WHERE is_kept AND placed_day >= {day - window_days} AND placed_day < {day}
    ), now AS (
        SELECT customer_id, sum(revenue) AS spent FROM mine GROUP BY customer_id
    ), steps AS (
        SELECT customer_id, lag(placed_day) OVER by_day AS after_day, placed_day AS until_day,
               sum(sum(revenue)) OVER (by_day ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS spent
        FROM (FROM mine UNION ALL SELECT customer_id, {NEVER}, 0 FROM ranks) SEMI JOIN
             (FROM ranks WHERE place > 0) USING (customer_id)
        GROUP BY customer_id, placed_day WINDOW by_day AS (PARTITION BY customer_id ORDER BY placed_day)
    ), below AS (
        SELECT customer_id, coalesce(after_day, -{NEVER}) + {window_days} AS after_day,
               until_day + {window_days} AS until_day
        FROM steps JOIN ranks USING (customer_id) WHERE spent < [{least}][place + 1]
    ), lost AS (
        SELECT customer_id, min(review_day) AS review_day FROM below ASOF JOIN coming ON after_day < review_day
        WHERE review_day <= until_day GROUP BY customer_id
    )
    SELECT customer_id, [{ids}][place + 1] AS tier,
           CASE WHEN place + 1 < {len(levels)} THEN greatest(0, [{least}][place + 2] - coalesce(spent, 0)) END::DOUBLE
           AS to_next_tier,
           DATE '1970-01-01' + review_day::INTEGER AS tier_expires_on
    FROM ranks LEFT JOIN now USING (customer_id) LEFT JOIN lost USING (customer_id) ORDER BY customer_id
    """


def _amount(amount: int | Decimal) -> str:
    return f"{amount}::DECIMAL(18,4)"
