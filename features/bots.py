"""Customers no person could be: a reseller's script, a test account, a scraper."""

from datetime import datetime

import duckdb

from features.shop import Shop

# More lines than this, ever, is no person: the busiest customers of two real shops have 5,710 (Online Retail,
# wholesalers among them) and 4,189 (Complete Journey, a year of groceries); 2026-11-22.
BOT_LINES = 50_000


def bots(shop: Shop, as_of: datetime) -> frozenset[str]:
    """Name the customers with more than 50,000 lines, bought or returned, at the start of ``as_of``'s business day."""
    day = shop.calendar.day(as_of)
    with duckdb.connect() as con:
        rows = con.execute(
            "SELECT customer_id FROM read_parquet(?) WHERE day < ? AND known_on < ?"
            " GROUP BY customer_id HAVING sum(lines + return_lines) > ?",
            [[str(path) for path in shop.parts("days")], day, day, BOT_LINES],
        ).fetchall()
    return frozenset(row[0] for row in rows)
