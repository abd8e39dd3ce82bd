"""Where a customer last bought and what they mostly buy: traits to look at groups by, never for a model."""

from pathlib import Path

import duckdb
import pandas as pd

from features.identity import persons, teach
from features.shop import Shop

YEAR_DAYS = 365


def traits(shop: Shop, day: int) -> pd.DataFrame:
    """Describe customers as they were known at the start of business day ``day``.

    Returns
    -------
    DataFrame, sorted by ``customer_id``
        ``customer_id``, ``channel`` (of the newest order, as the shop names it) and ``category`` (the top category
        bought on most days of the last year; of several the first by name); ``None`` where nothing is known.
    """
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        channels = con.execute(
            "SELECT person($t, customer_id) AS customer_id, arg_max(channel, (ordered_at, order_id)) AS channel"
            " FROM read_parquet($parts, union_by_name = true)"
            " WHERE day < $t AND known_on < $t AND sign > 0 AND quantity > 0 AND channel IS NOT NULL"
            " AND customer_id IS NOT NULL GROUP BY 1",
            {"t": day, "parts": _paths(shop.parts("order_lines"))},
        ).df()
        found = channels.merge(_categories(con, shop, day), on="customer_id", how="outer")
    return found.sort_values("customer_id", ignore_index=True)


def _categories(con: duckdb.DuckDBPyConnection, shop: Shop, day: int) -> pd.DataFrame:
    """List each customer's top category of the last year; of several words on a product the newest load's stands."""
    if not shop.parts("products"):
        return pd.DataFrame({"customer_id": pd.Series(dtype=object), "category": pd.Series(dtype=object)})
    return con.execute(
        "WITH tops AS (SELECT product_id, split_part(category, ' > ', 1) AS category"
        " FROM read_parquet($products, union_by_name = true, filename = true) WHERE category IS NOT NULL"
        " QUALIFY row_number() OVER (PARTITION BY product_id ORDER BY filename DESC) = 1),"
        " bought AS (SELECT person($t, customer_id) AS customer_id, category, count(DISTINCT day) AS days"
        " FROM read_parquet($parts) JOIN tops USING (product_id)"
        " WHERE day < $t AND day >= $t - $year AND known_on < $t AND orders > 0 GROUP BY ALL)"
        " SELECT customer_id, category FROM bought"
        " QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY days DESC, category) = 1",
        {
            "t": day,
            "year": YEAR_DAYS,
            "parts": _paths(shop.parts("product_days")),
            "products": _paths(shop.parts("products")),
        },
    ).df()


def _paths(parts: list[Path]) -> list[str]:
    return [str(path) for path in parts]
