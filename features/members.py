"""What a shop's own list says of its members today: facts for answers, never for a model."""

from collections.abc import Sequence

import duckdb
import pandas as pd

from features.identity import persons, teach
from features.shop import Shop

FACTS: Sequence[str] = ("tier", "points", "points_expire_on", "membership")
LISTS: Sequence[str] = ("region", "attributes", "line_user_id", "member_no")  # what audiences filter and lists address


def listed(shop: Shop) -> frozenset[str]:
    """Name the facts that the shop's list has a column for."""
    table = shop.mapping.tables.get("customers")
    return frozenset(FACTS) & set(table.columns) if table else frozenset()


def members(shop: Shop, day: int) -> pd.DataFrame:
    """List the customers of the shop's list as its newest load tells of them, by who is one person as of ``day``.

    Returns
    -------
    DataFrame, sorted by ``customer_id``
        ``customer_id``, ``tier`` and ``membership`` (text), ``points`` (float), ``points_expire_on`` (date) and
        :data:`LISTS` (text), each empty where the list does not say; no rows for a shop without a customer list.
    """
    parts = [str(path) for path in shop.parts("customers")]
    if not parts:
        return pd.DataFrame(
            {name: pd.Series(dtype=float if name == "points" else object) for name in ("customer_id", *FACTS, *LISTS)}
        )
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        rows = con.execute(
            "SELECT person($day, customer_id) AS customer_id, tier, points::DOUBLE AS points, points_expire_on,"
            " membership, region, attributes, line_user_id, member_no FROM read_parquet($parts, filename = true)"
            " QUALIFY row_number() OVER (PARTITION BY person($day, customer_id)"
            " ORDER BY filename DESC, customer_id) = 1 ORDER BY 1",
            {"day": day, "parts": parts},
        ).arrow()
    table: pd.DataFrame = rows.read_all().to_pandas()
    return table
