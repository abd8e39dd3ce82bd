"""What a shop's own list says of its members today: facts for answers, never for a model."""

from collections.abc import Sequence

import duckdb
import pandas as pd

from features.identity import persons, teach
from features.shop import Shop

FACTS: Sequence[str] = ("tier", "points", "points_expire_on", "membership")
ASKED: Sequence[str] = ("region", "attributes")  # what audiences may ask about besides
ADDRESSES: Sequence[str] = (
    "line_user_id",
    "member_no",
)  # aliases: in lists that leave the house alone


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
        :data:`ASKED` (text), each empty where the list does not say; no rows for a shop without a customer list.
    """
    parts = [str(path) for path in shop.parts("customers")]
    if not parts:
        return pd.DataFrame(
            {name: pd.Series(dtype=float if name == "points" else object) for name in ("customer_id", *FACTS, *ASKED)}
        )
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        rows = con.execute(
            "SELECT person($day, customer_id) AS customer_id, tier, points::DOUBLE AS points, points_expire_on,"
            " membership, region, attributes FROM read_parquet($parts, filename = true)"
            " QUALIFY row_number() OVER (PARTITION BY person($day, customer_id)"
            " ORDER BY filename DESC, customer_id) = 1 ORDER BY 1",
            {"day": day, "parts": parts},
        ).arrow()
    table: pd.DataFrame = rows.read_all().to_pandas()
    return table


def addresses(shop: Shop, day: int) -> pd.DataFrame:
    """List what the customers of the shop's list are called elsewhere, by who is one person as of ``day``.

    Of each account the newest load's word stands; of several accounts of a person the newest that has one.

    Returns
    -------
    DataFrame, sorted by ``customer_id``
        ``customer_id`` and :data:`ADDRESSES` (text), each empty where there is none.
    """
    parts = [str(path) for path in shop.parts("customers")]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in ("customer_id", *ADDRESSES)})
    newest = ", ".join(
        f"first({name} ORDER BY filename DESC, customer_id) FILTER ({name} IS NOT NULL) AS {name}" for name in ADDRESSES
    )
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        rows = con.execute(
            "WITH told AS (FROM read_parquet($parts, filename = true)"
            " QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY filename DESC) = 1)"
            f" SELECT person($day, customer_id) AS customer_id, {newest} FROM told GROUP BY 1 ORDER BY 1",
            {"day": day, "parts": parts},
        ).arrow()
    table: pd.DataFrame = rows.read_all().to_pandas()
    return table
