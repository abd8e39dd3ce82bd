"""When a customer's own products run out, from the customer's own intervals."""

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.shop import Shop

FEWEST_ORDER_DAYS = 4  # three own gaps at least
WINDOW_SHARE = 0.25  # of the interval, either side
PER_CUSTOMER = 5
OVERDUE_INTERVALS = 1.5  # later than this the product was given up, not forgotten


def replenishment_due(bought: pd.DataFrame, day: int, horizon_days: int = 14) -> pd.DataFrame:
    """List the products due within ``horizon_days`` of business day ``day``, or lately overdue.

    Parameters
    ----------
    bought
        As :func:`features.interactions.interactions` gives it.

    Returns
    -------
    DataFrame, sorted by ``customer_id``, ``due_day`` and ``product_id``, at most five a customer
        ``due_day`` (business day), ``window_days`` either side, ``basis`` (``own_interval``).
    """
    regular = bought[bought.n_order_days >= FEWEST_ORDER_DAYS]
    interval = (regular.last_day - regular.first_day) / (regular.n_order_days - 1)
    due = (regular.last_day + np.rint(interval)).astype("int64")
    late = (day - regular.last_day) > OVERDUE_INTERVALS * interval
    table = pd.DataFrame(
        {
            "customer_id": regular.customer_id,
            "product_id": regular.product_id,
            "due_day": due,
            "window_days": np.maximum(1.0, np.rint(WINDOW_SHARE * interval)),
            "basis": "own_interval",
            "n_order_days": regular.n_order_days,
        }
    )[~late & (due <= day + horizon_days)]
    best = table.sort_values(["customer_id", "n_order_days", "product_id"], ascending=[True, False, True])
    kept = best.groupby("customer_id").head(PER_CUSTOMER).drop(columns="n_order_days")
    return kept.sort_values(["customer_id", "due_day", "product_id"], ignore_index=True)


def due_in_days(due: pd.DataFrame, customer_ids: NDArray[np.object_], day: int) -> NDArray[np.float64]:
    """Give per customer the days until the nearest product is due (negative: overdue), NaN where none is."""
    offset = due.due_day - day
    nearest = offset.loc[offset.abs().groupby(due.customer_id).idxmin()]
    by_customer = pd.Series(nearest.to_numpy(dtype=np.float64), index=due.customer_id.loc[nearest.index])
    return by_customer.reindex(customer_ids).to_numpy()


def named(due: pd.DataFrame, shop: Shop) -> pd.DataFrame:
    """Add each product's ``name`` as the newest load of the shop's list tells it; ``None`` where it does not."""
    parts = [str(path) for path in shop.parts("products")]
    if not parts:
        return due.assign(name=None)
    with duckdb.connect() as con:
        con.register("due", due[["product_id"]].drop_duplicates())
        told = con.execute(
            "SELECT product_id, name FROM read_parquet($parts, filename = true, union_by_name = true)"
            " SEMI JOIN due USING (product_id)"
            " QUALIFY row_number() OVER (PARTITION BY product_id ORDER BY filename DESC, name) = 1",
            {"parts": parts},
        ).df()
    names = told.set_index("product_id").name
    return due.assign(name=due.product_id.map(names).astype(object).where(lambda name: name.notna(), None))
