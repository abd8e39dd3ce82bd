"""What is usual for a customer like this one: shop-wide rates by order count and silence, where no model is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.models.next_purchase import HORIZONS

Matrix = NDArray[np.float64]

ORDER_EDGES = (2.0, 4.0)  # 1, 2-3, 4 and more order days
SILENCE_EDGES = (7.0, 14.0, 28.0, 56.0, 91.0, 182.0)  # days since the last order
PSEUDO_CUSTOMERS = 20.0  # how many average customers each cell starts with
SHAPE = (len(ORDER_EDGES) + 1, len(SILENCE_EDGES) + 1)


@dataclass(frozen=True)
class Prior:
    """Shrunken rates per cell, for every customer with an order; the shop's medians for the rest."""

    n: int
    churn: Matrix  # SHAPE: share of active customers without an order in H
    next_order: Matrix  # SHAPE + (len(HORIZONS),): share with an order within h days
    revenue_90d: Matrix  # SHAPE: mean net revenue of the next 90 days
    gap_days: float  # median of the customers' mean gaps: the expected interval where there is no own one

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> "Prior":
        """Count over past cut-offs: ``frame`` has the features and the labels of each customer and cut-off."""
        cell = _cell(frame["n_order_days"].to_numpy(), frame["days_since_last_order"].to_numpy())
        silent = np.where(frame.future_order_days.isna(), np.nan, frame.future_order_days == 0)
        # Where h is over, that is known of everyone at that cut-off: dropping only the silent would flatter the rest.
        days, observed_days = frame.days_to_next, frame.groupby("as_of_day").days_to_next.transform("max")
        horizons = [np.where(observed_days < h, np.nan, (days <= h) & ~frame.is_censored) for h in HORIZONS]
        rates = np.stack([_shrunken(cell, outcome) for outcome in horizons], axis=-1)
        gaps = frame["gap_days_mean"].dropna()
        return cls(
            frame.customer_id.nunique(),
            _shrunken(cell, silent),
            np.maximum.accumulate(rates, axis=-1),
            _shrunken(cell, frame["revenue_90d"].to_numpy(dtype=np.float64)),
            float(gaps.median()) if len(gaps) else 90.0,
        )

    def predict(self, columns: Mapping[str, Matrix]) -> tuple[Matrix, Matrix, Matrix]:
        """Give churn (n,), P(order within h) (n, len(HORIZONS)) and the next 90 days' revenue (n,)."""
        cell = _cell(np.asarray(columns["n_order_days"]), np.asarray(columns["days_since_last_order"]))
        return (
            self.churn.ravel()[cell],
            self.next_order.reshape(-1, len(HORIZONS))[cell],
            self.revenue_90d.ravel()[cell],
        )

    def save(self, folder: Path) -> None:
        saved = {
            "churn": self.churn.tolist(),
            "gap_days": self.gap_days,
            "n": self.n,
            "next_order": self.next_order.tolist(),
            "revenue_90d": self.revenue_90d.tolist(),
        }
        (folder / "prior.json").write_text(json.dumps(saved, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Prior":
        saved = json.loads((folder / "prior.json").read_text(encoding="utf-8"))
        arrays = {name: np.array(saved[name]) for name in ("churn", "next_order", "revenue_90d")}
        return cls(n=saved["n"], gap_days=saved["gap_days"], **arrays)


def _cell(orders: Matrix, silence: Matrix) -> NDArray[np.intp]:
    row = np.searchsorted(ORDER_EDGES, np.nan_to_num(orders), side="right")
    column = np.searchsorted(SILENCE_EDGES, np.nan_to_num(silence, nan=1e9), side="left")
    return row * SHAPE[1] + column


def _shrunken(cell: NDArray[np.intp], outcome: Matrix) -> Matrix:
    """Give the mean outcome per cell, each cell begun with twenty average customers; unknown outcomes are left out."""
    known = ~np.isnan(outcome)
    overall = float(outcome[known].mean()) if known.any() else 0.0
    total = np.bincount(cell[known], outcome[known], SHAPE[0] * SHAPE[1])
    count = np.bincount(cell[known], minlength=SHAPE[0] * SHAPE[1])
    return ((total + PSEUDO_CUSTOMERS * overall) / (count + PSEUDO_CUSTOMERS)).reshape(SHAPE)
