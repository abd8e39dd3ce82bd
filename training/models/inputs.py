"""What a model reads of a customer: the catalogue's features and the fitted BTYD expectations, in one order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.models.btyd import Btyd

HISTORY = ("n_order_days", "days_first_to_last", "days_since_first_order", "mean_order_day_revenue")


@dataclass(frozen=True)
class Inputs:
    """The columns of every model's matrix, in order, and the BTYD models some of them come from."""

    features: tuple[str, ...]
    btyd: Btyd

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.features, *Btyd.names)

    def matrix(self, columns: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Give the matrix, shape (n_customers, n_inputs), NaN where a value is unknown."""
        plain = np.column_stack([np.asarray(columns[name], np.float64) for name in self.features])
        return np.hstack([plain, self.btyd.inputs(history(columns))])


def history(columns: Mapping[str, NDArray[np.float64]]) -> pd.DataFrame:
    """Give the four columns BTYD models read, under the names they use."""
    n, first_to_last, since_first, revenue = (np.asarray(columns[name], np.float64) for name in HISTORY)
    none = n < 1
    return pd.DataFrame(
        {
            "n_order_days": np.where(none, np.nan, n),
            "days_first_to_last": first_to_last,
            "days_since_first": since_first,
            "mean_order_day_revenue": revenue,
        }
    )


def winsorised(
    columns: Mapping[str, NDArray[np.float64]], is_bot: NDArray[np.bool_], caps: Mapping[str, Sequence[float]]
) -> dict[str, NDArray[np.float64]]:
    """Bring what a bot does within what people do: each capped column into its (lowest, highest); others stay."""
    out = dict(columns)
    if is_bot.any():
        for name, (low, high) in caps.items():
            out[name] = np.where(is_bot, np.clip(columns[name], low, high), columns[name])
    return out
