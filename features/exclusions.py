"""What must not be shown: to a customer what they gave back or complained of, to anybody what is out of stock."""

from datetime import datetime

import duckdb
import pandas as pd

from features.identity import persons, teach
from features.shop import Shop

# Engineering choices, 2026-11-24: how long a product that was given back, or complained of, is not offered again.
RETURNED_DAYS, COMPLAINED_DAYS = 180, 365
LOW_SCORE = 2  # of 5; policy-sample.yaml: 3 and below asks first for an exchange, 2 is dislike


def unwanted(shop: Shop, as_of: datetime) -> pd.DataFrame:
    """List what each customer does not want again, as known at the start of ``as_of``'s business day.

    Given back in the last 180 days and not bought since; or reviewed with 2 or less, named in a ticket or in a
    request to return it, in the last 365 days.

    Returns
    -------
    DataFrame, sorted, each pair once: ``customer_id``, ``product_id``
    """
    day = shop.calendar.day(as_of)
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        con.execute("CREATE TEMP TABLE found (customer_id VARCHAR, product_id VARCHAR)")
        if parts := [str(path) for path in shop.parts("order_lines")]:
            con.execute(f"INSERT INTO found {_given_back(day)}", {"parts": parts, "day": day})
        if parts := [str(path) for path in shop.parts("feedback")]:
            con.execute(f"INSERT INTO found {_complained_of(day)}", {"parts": parts, "day": day})
        return con.execute("SELECT DISTINCT customer_id, product_id FROM found ORDER BY ALL").df()


def out_of_stock(facts: pd.DataFrame) -> frozenset[str]:
    """Name the products that the shop says it does not have, by what :func:`features.products.products` knows."""
    return frozenset(facts.product_id[facts.in_stock.astype(object).eq(False)])


def _given_back(day: int) -> str:
    """By the net of each day: a line that was corrected or cancelled is taken back on its own day, and none is left."""
    nets = (
        f"SELECT person({day}, customer_id) AS customer_id, product_id, day, sum(sign * quantity) AS net"
        " FROM read_parquet($parts) WHERE customer_id IS NOT NULL AND status IS DISTINCT FROM 'cancelled'"
        " AND day < $day AND known_on < $day GROUP BY ALL"
    )
    return (
        f"SELECT customer_id, product_id FROM ({nets}) GROUP BY ALL"
        f" HAVING max(day) FILTER (net < 0) >= $day - {RETURNED_DAYS}"
        " AND coalesce(max(day) FILTER (net > 0) <= max(day) FILTER (net < 0), true)"
    )


def _complained_of(day: int) -> str:
    return (
        f"SELECT person({day}, customer_id) AS customer_id, product_id FROM read_parquet($parts)"
        f" WHERE product_id IS NOT NULL AND day < $day AND known_on < $day AND day >= $day - {COMPLAINED_DAYS}"
        f" AND (kind IN ('ticket', 'return_request') OR kind IN ('review', 'csat') AND score <= {LOW_SCORE})"
    )
