"""What each customer has bought and kept, product by product, as it was known at an instant."""

from datetime import datetime

import duckdb
import pandas as pd

from features.identity import persons, teach
from features.shop import Shop

HALF_LIFE_DAYS = 60  # personal frequency with a 60-day half-life; Complete Journey, cut-off 2017-10-09, 2026-11-21
# Beside it a short and a long memory, for the recommender. Complete Journey at 2017-08-14 and 2017-09-25, NDCG@10 of
# own products: with these .4700 and .4574, with 7 and 30 days as well .4706 and .4574 (2026-11-24).
SHORT_DAYS, LONG_DAYS = 14, 120
FIXED_POINT = 4294967296  # 2^32: a decayed count is a sum of integers, exact in any order


def interactions(shop: Shop, as_of: datetime) -> pd.DataFrame:
    """List each customer's products at the start of ``as_of``'s business day.

    Returns
    -------
    DataFrame, sorted by ``customer_id`` and ``product_id``
        ``n_order_days`` (days with a kept purchase, >= 1), ``quantity`` (pieces net of all returns),
        ``first_day`` and ``last_day`` (business days) and ``decayed`` (order days, halved in weight every
        60 days, > 0), likewise ``decayed_14d`` and ``decayed_120d``. Of the customer, the same in each of their
        rows: ``customer_order_days`` (days with any kept product), ``customer_first_day``, ``customer_last_day``,
        ``customer_decayed_14d`` and ``customer_decayed_60d``. Guests and orders that were given back entirely are
        not in it.
    """
    day = shop.calendar.day(as_of)
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        con.execute(
            f"CREATE TEMP TABLE bought AS SELECT person({day}, customer_id) AS customer_id, product_id, day,"
            " sum(orders) > 0 AS is_kept, sum(quantity) AS quantity"
            " FROM read_parquet(?) WHERE day < ? AND known_on < ? GROUP BY ALL",
            [[str(path) for path in shop.parts("product_days")], day, day],
        )
        return con.execute(_summed(day)).df()


def purchases(shop: Shop, as_of: datetime) -> pd.DataFrame:
    """List the days on which each customer bought and kept each product, as known at ``as_of``.

    Returns
    -------
    DataFrame, sorted: ``customer_id``, ``product_id``, ``day`` (business day before that of ``as_of``), each once
    """
    day = shop.calendar.day(as_of)
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        return con.execute(
            f"SELECT person({day}, customer_id) AS customer_id, product_id, day FROM read_parquet(?)"
            " WHERE day < ? AND known_on < ? GROUP BY ALL HAVING sum(orders) > 0 ORDER BY ALL",
            [[str(path) for path in shop.parts("product_days")], day, day],
        ).df()


def summed(bought: pd.DataFrame, day: int) -> pd.DataFrame:
    """Sum rows of :func:`purchases` up as :func:`interactions` does, at the start of business day ``day``.

    For histories that are cut short customer by customer; ``quantity`` counts one piece a day.
    """
    with duckdb.connect() as con:
        con.register("rows", bought)
        con.execute(
            "CREATE TEMP VIEW bought AS SELECT customer_id::VARCHAR AS customer_id, product_id::VARCHAR AS product_id,"
            " day::BIGINT AS day, true AS is_kept, 1 AS quantity FROM rows"
        )
        return con.execute(_summed(day)).df()


def _summed(day: int) -> str:
    """Write the sums of `bought` (customer, product, day, is_kept, quantity) by customer and product."""
    short, middle, long = (_decayed(day, days) for days in (SHORT_DAYS, HALF_LIFE_DAYS, LONG_DAYS))
    return f"""
        WITH customers AS (
            SELECT customer_id, count(*)::INTEGER AS customer_order_days,
                   min(day)::INTEGER AS customer_first_day, max(day)::INTEGER AS customer_last_day,
                   ({short})::FLOAT AS customer_decayed_14d, ({middle})::FLOAT AS customer_decayed_60d
            FROM (SELECT DISTINCT customer_id, day, is_kept FROM bought WHERE is_kept) GROUP BY ALL
        ), pairs AS (
            SELECT customer_id, product_id, count(*) FILTER (is_kept) AS n_order_days,
                   CAST(sum(quantity) AS DOUBLE) AS quantity,
                   min(day) FILTER (is_kept) AS first_day, max(day) FILTER (is_kept) AS last_day,
                   {middle} AS decayed, ({short})::FLOAT AS decayed_14d, ({long})::FLOAT AS decayed_120d
            FROM bought GROUP BY ALL HAVING count(*) FILTER (is_kept) > 0
        )
        SELECT pairs.*, customers.* EXCLUDE (customer_id) FROM pairs JOIN customers USING (customer_id)
        ORDER BY customer_id, product_id
    """


def _decayed(day: int, half_life_days: int) -> str:
    """Write the sum of kept days, each halved in weight every ``half_life_days`` of age, as exact SQL."""
    weight = f"CAST(round({FIXED_POINT} * pow(2, ({day} - day) / -{half_life_days}.0)) AS BIGINT)"
    return f"CAST(sum({weight}) FILTER (is_kept) AS DOUBLE) / {FIXED_POINT}"


def last_category(bought: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Name the category of each customer's last purchase: of several that day the one bought most over time.

    ``bought`` is :func:`interactions`, ``facts`` are :func:`features.products.products`. Columns ``customer_id`` and
    ``category`` (the whole path), sorted; nobody where the shop names no categories.
    """
    with duckdb.connect() as con:
        con.register("bought", bought[["customer_id", "product_id", "last_day", "decayed"]])
        con.register("facts", facts[["product_id", "category"]].astype(str).where(facts.category.notna(), None))
        rows = con.execute(
            "WITH named AS (SELECT customer_id, category, max(last_day) AS last_day,"
            f" sum(round(decayed * {FIXED_POINT})::HUGEINT) AS weight"
            " FROM bought JOIN facts USING (product_id) WHERE category IS NOT NULL GROUP BY ALL)"
            " SELECT customer_id, category FROM named QUALIFY row_number() OVER (PARTITION BY customer_id"
            " ORDER BY last_day DESC, weight DESC, category) = 1 ORDER BY customer_id"
        ).arrow()
        table: pd.DataFrame = rows.read_all().to_pandas()
    return table
