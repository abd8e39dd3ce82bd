"""Which orders are about to be shipped, as known at the start of a business day: what can still be put in."""

import duckdb
import pandas as pd

from features.identity import persons, teach
from features.shop import Shop

WAITS_DAYS = 14  # an order nobody shipped for longer was cancelled, picked up or lost (engineering choice, 2026-11-25)


def unshipped(shop: Shop, day: int) -> pd.DataFrame:
    """List the kept orders of the last days that no shipment names yet.

    Parameters
    ----------
    day
        The business day at whose start this is known, in days since 1970-01-01; orders of it or later do not count.

    Returns
    -------
    DataFrame, sorted by ``customer_id`` and ``order_id``
        ``customer_id`` (the person's) and ``order_id``; no rows for a shop without a shipments table, where nobody
        can tell what has left.
    """
    parts = {name: [str(path) for path in shop.parts(name)] for name in ("order_lines", "shipments")}
    if not parts["shipments"]:
        return pd.DataFrame({"customer_id": pd.Series(dtype=object), "order_id": pd.Series(dtype=object)})
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        rows = con.execute(
            "SELECT person($day, customer_id) AS customer_id, order_id FROM read_parquet($order_lines)"
            " WHERE customer_id IS NOT NULL AND day >= $day - $waits AND day < $day AND known_on < $day"
            " AND order_id NOT IN (SELECT order_id FROM read_parquet($shipments) WHERE known_on < $day)"
            " GROUP BY ALL HAVING sum(quantity) > 0 ORDER BY 1, 2",
            {"day": day, "waits": WAITS_DAYS, **parts},
        ).arrow()
    table: pd.DataFrame = rows.read_all().to_pandas()
    return table
