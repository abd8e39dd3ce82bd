"""What some customers bought of a catalogue, laid out as arrays: a row of facts for each of their products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

Ids = Sequence[str] | npt.NDArray[np.object_]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

# Columns of ``values``: order days halved in weight every 14, 60 and 120 days, their number, days since the last
# and the first, pieces in all.
VALUES = ("decayed_14d", "decayed", "decayed_120d", "n_order_days", "idle_days", "age_days", "quantity")
D14, D60, D120, N_DAYS, IDLE, AGE, QUANTITY = range(len(VALUES))

# Columns of ``customers``: the same of all they bought together, and how many products, once and more often.
CUSTOMERS = ("order_days", "decayed_14d", "decayed_60d", "idle_days", "age_days", "products", "repeated", "purchases")
C_DAYS, C_D14, C_D60, C_IDLE, C_AGE, C_PRODUCTS, C_REPEATED, C_PURCHASES = range(len(CUSTOMERS))


@dataclass(frozen=True)
class History:
    """Products by customer, ascending: cell ``ptr[u]`` to ``ptr[u + 1]`` are those of customer ``u``."""

    ptr: npt.NDArray[np.int64]  # (n_customers + 1,)
    items: Ints  # (n_cells,) positions in the catalogue
    values: Floats  # (n_cells, len(VALUES))
    customers: Floats  # (n_customers, len(CUSTOMERS)); zeros for a customer without purchases

    def __len__(self) -> int:
        return len(self.customers)

    def __getitem__(self, rows: slice) -> History:
        first, last, _ = rows.indices(len(self))
        cells = slice(int(self.ptr[first]), int(self.ptr[last]))
        ptr = self.ptr[first : last + 1] - self.ptr[first]
        return History(ptr, self.items[cells], self.values[cells], self.customers[rows])

    def take(self, rows: npt.NDArray[np.intp]) -> History:
        """Give some customers, in the order asked."""
        sizes = np.diff(self.ptr)[rows]
        ptr = np.append(0, np.cumsum(sizes)).astype(np.int64)
        cells = np.arange(ptr[-1]) + np.repeat(self.ptr[rows] - ptr[:-1], sizes)
        return History(ptr, self.items[cells], self.values[cells], self.customers[rows])

    def matrix(self, column: int, n_items: int) -> sparse.csr_matrix:
        """Give one column of ``values`` as a matrix (n_customers, n_items)."""
        return sparse.csr_matrix((self.values[:, column], self.items, self.ptr), shape=(len(self), n_items))


def lay_out(interactions: pd.DataFrame, as_of_day: int, customer_ids: Ids, product_ids: pd.Index[str]) -> History:
    """Lay out what these customers (distinct) bought, a row each; unknown products are left out.

    ``interactions`` are those of :func:`features.interactions.interactions`, in any order; rows of other customers
    change nothing.

    Raises
    ------
    ValueError
        If a purchase is dated after ``as_of_day``.
    """
    n = len(customer_ids)
    row = positions(interactions["customer_id"], pd.Index(np.asarray(customer_ids, dtype=object)))
    theirs = (row >= 0) & (interactions["n_order_days"].to_numpy() > 0)
    if not theirs.all():
        interactions, row = interactions[theirs], row[theirs]
    if (interactions["last_day"].to_numpy() > as_of_day).any():
        raise ValueError(f"a purchase is dated after as_of_day {as_of_day}")
    item = positions(interactions["product_id"], product_ids)
    customers = _customers(interactions, row, as_of_day, n)
    order = np.argsort(row * (len(product_ids) + 1) + item, kind="stable")
    order = order[item[order] >= 0]
    ptr = np.append(0, np.cumsum(np.bincount(row[order], minlength=n))).astype(np.int64)
    return History(ptr, item[order].astype(np.int32), _values(interactions, as_of_day)[order], customers)


def positions(ids: pd.Series[str], known: pd.Index[str]) -> npt.NDArray[np.intp]:
    """Find each id among the known; -1 where it is not there."""
    codes, distinct = pd.factorize(ids)
    return known.get_indexer(pd.Index(distinct))[codes] if len(distinct) else np.empty(0, np.intp)


def _values(rows: pd.DataFrame, as_of_day: int) -> Floats:
    days = {"idle_days": as_of_day - rows["last_day"], "age_days": as_of_day - rows["first_day"]}
    return np.column_stack([(days[v] if v in days else rows[v]).to_numpy(np.float32) for v in VALUES])


def _customers(rows: pd.DataFrame, row: npt.NDArray[np.intp], as_of_day: int, n: int) -> Floats:
    """Give each customer's own facts; the same stand in each of their rows."""
    out = np.zeros((n, len(CUSTOMERS)), np.float32)
    out[row, C_DAYS] = rows["customer_order_days"]
    out[row, C_D14] = rows["customer_decayed_14d"]
    out[row, C_D60] = rows["customer_decayed_60d"]
    out[row, C_IDLE] = as_of_day - rows["customer_last_day"]
    out[row, C_AGE] = as_of_day - rows["customer_first_day"]
    often = rows["n_order_days"].to_numpy(np.int64)
    for column, counted in ((C_PRODUCTS, np.ones_like(often)), (C_REPEATED, often > 1), (C_PURCHASES, often)):
        out[:, column] = np.bincount(row, counted, n)
    return out
