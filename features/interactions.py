"""What each customer has bought and kept, product by product, as it was known at an instant."""

from datetime import datetime

import duckdb
import pandas as pd

from features.identity import persons, teach
from features.shop import Shop

HALF_LIFE_DAYS = 60  # personal frequency with a 60-day half-life; Complete Journey, cut-off 2017-10-09, 2026-11-21


def interactions(shop: Shop, as_of: datetime) -> pd.DataFrame:
    """List each customer's products at the start of ``as_of``'s business day.

    Returns
    -------
    DataFrame, sorted by ``customer_id`` and ``product_id``
        ``n_order_days`` (days with a kept purchase, >= 1), ``quantity`` (pieces net of all returns),
        ``first_day`` and ``last_day`` (business days) and ``decayed`` (order days, halved in weight every
        60 days, > 0). Guests and orders that were given back entirely are not in it.
    """
    day = shop.calendar.day(as_of)
    weight = f"CAST(round(4294967296 * pow(2, ({day} - day) / -{HALF_LIFE_DAYS}.0)) AS BIGINT)"
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        return con.execute(
            f"""
            SELECT customer_id, product_id, count(*) FILTER (orders > 0) AS n_order_days,
                   CAST(sum(quantity) AS DOUBLE) AS quantity,
                   min(day) FILTER (orders > 0) AS first_day, max(day) FILTER (orders > 0) AS last_day,
                   CAST(sum({weight}) FILTER (orders > 0) AS DOUBLE) / 4294967296 AS decayed
            FROM (
                SELECT person({day}, customer_id) AS customer_id, product_id, day, sum(orders) AS orders,
                       sum(quantity) AS quantity
                FROM read_parquet(?) WHERE day < ? AND known_on < ? GROUP BY ALL
            ) GROUP BY ALL HAVING count(*) FILTER (orders > 0) > 0 ORDER BY customer_id, product_id
            """,
            [[str(path) for path in shop.parts("product_days")], day, day],
        ).df()
