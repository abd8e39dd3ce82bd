"""What the shop says of its products, as it was known at an instant."""

from datetime import datetime

import duckdb
import pandas as pd

from features.shop import Shop

COLUMNS = ("product_id", "name", "category", "brand", "family_id", "in_stock", "lasts_days", "launched_day", "tags")


def products(shop: Shop, as_of: datetime) -> pd.DataFrame:
    """List the shop's products at the start of ``as_of``'s business day; of several words the newest load's stands.

    A row whose ``known_at`` lies on that day or later is not known yet; one without it always was.

    Returns
    -------
    DataFrame, sorted by ``product_id``
        ``name``, ``category`` (a path, "A > B > C"), ``brand``, ``family_id``, ``in_stock`` (bool), ``lasts_days``
        (float), ``launched_day`` (business day, float) and ``tags`` (as the shop writes them), each empty where the
        shop does not say; no rows for a shop without the table.
    """
    parts = [str(path) for path in shop.parts("products")]
    if not parts:
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    day = shop.calendar.day(as_of)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        return con.execute(
            "SELECT product_id, name, category, brand, family_id, in_stock, lasts_days::DOUBLE AS lasts_days,"
            f" ({shop.calendar.sql_day('launched_at')})::DOUBLE AS launched_day, tags"
            " FROM read_parquet($parts, filename = true, union_by_name = true)"
            f" WHERE known_at IS NULL OR {shop.calendar.sql_day('known_at')} < $day"
            " QUALIFY row_number() OVER (PARTITION BY product_id ORDER BY filename DESC) = 1 ORDER BY product_id",
            {"parts": parts, "day": day},
        ).df()


def said_of(product_ids: pd.Series, facts: pd.DataFrame, column: str) -> pd.Series:
    """Give what ``facts``, of :func:`products`, say of each product in one column; ``None`` where they do not."""
    said: pd.Series = product_ids.map(facts.set_index("product_id")[column]).astype(object)
    return said.where(said.notna(), None)
