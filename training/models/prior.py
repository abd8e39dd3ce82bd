"""The prior rung: shop-wide rates by order count and silence, where too few came back for a model."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.models.next_purchase import HORIZONS
from training.models.predicted import Predicted, days_by, without_interval
from training.models.rule import Rule

Matrix = NDArray[np.float64]

ORDER_EDGES = (2.0, 4.0)  # 1, 2-3, 4 and more order days
SILENCE_EDGES = (7.0, 14.0, 28.0, 56.0, 91.0, 182.0)  # days since the last order
PSEUDO_CUSTOMERS = 20.0  # how many average customers each cell starts with
SHAPE = (len(ORDER_EDGES) + 1, len(SILENCE_EDGES) + 1)


@dataclass(frozen=True)
class Prior:
    """Shrunken rates per cell, for every customer with an order; NaN where no window is over yet: the rule answers."""

    method: ClassVar[str] = "prior"
    reads: ClassVar[tuple[str, ...]] = (*Rule.reads, "days_since_last_order")

    rule: Rule
    churn: Matrix  # SHAPE: share of active customers without an order in H
    next_order: Matrix  # SHAPE + (len(HORIZONS),): share with an order within h days
    revenue_90d: Matrix  # SHAPE: mean net revenue of the next 90 days

    @classmethod
    def fit(cls, frame: pd.DataFrame, rule: Rule) -> "Prior":
        """Count over past cut-offs: ``frame`` has the features and the labels of each customer and cut-off."""
        cell = _cell(frame["n_order_days"].to_numpy(), frame["days_since_last_order"].to_numpy())
        silent = np.where(frame.future_order_days.isna(), np.nan, frame.future_order_days == 0)
        # Where h is over, that is known of everyone at that cut-off: dropping only the silent would flatter the rest.
        days, observed_days = frame.days_to_next, frame.groupby("as_of_day").days_to_next.transform("max")
        horizons = [np.where(observed_days < h, np.nan, (days <= h) & ~frame.is_censored) for h in HORIZONS]
        rates = np.stack([_shrunken(cell, outcome) for outcome in horizons], axis=-1)
        return cls(
            rule,
            _shrunken(cell, silent),
            np.maximum.accumulate(rates, axis=-1),
            _shrunken(cell, frame["revenue_90d"].to_numpy(dtype=np.float64)),
        )

    def predict(self, columns: Mapping[str, Matrix]) -> Predicted:
        """Answer from the columns of ``reads``."""
        cell = _cell(np.asarray(columns["n_order_days"]), np.asarray(columns["days_since_last_order"]))
        ruled = self.rule.predict(columns)
        chance = _or(self.next_order.reshape(-1, len(HORIZONS))[cell], ruled.next_order)
        chance = np.maximum.accumulate(chance, axis=1)
        revenue = self.revenue_90d.ravel()[cell]
        clv = _or(without_interval(revenue, revenue * 365 / 90), ruled.clv)
        return Predicted(_or(self.churn.ravel()[cell], ruled.churn), chance, days_by(1 - chance, HORIZONS), clv)

    def save(self, folder: Path) -> None:
        saved = {
            "churn": self.churn.tolist(),
            "next_order": self.next_order.tolist(),
            "revenue_90d": self.revenue_90d.tolist(),
            "rule": asdict(self.rule),
        }
        (folder / "prior.json").write_text(json.dumps(saved, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Prior":
        saved = json.loads((folder / "prior.json").read_text(encoding="utf-8"))
        rule = Rule(**saved.pop("rule"))
        return cls(rule, **{name: np.array(rates) for name, rates in saved.items()})


def _cell(orders: Matrix, silence: Matrix) -> NDArray[np.intp]:
    row = np.searchsorted(ORDER_EDGES, np.nan_to_num(orders), side="right")
    column = np.searchsorted(SILENCE_EDGES, np.nan_to_num(silence, nan=1e9), side="left")
    return row * SHAPE[1] + column


def _or(said: Matrix, otherwise: Matrix) -> Matrix:
    return np.where(np.isnan(said), otherwise, said)


def _shrunken(cell: NDArray[np.intp], outcome: Matrix) -> Matrix:
    """Give the mean outcome per cell, each cell begun with twenty average customers; unknown outcomes are left out."""
    known = ~np.isnan(outcome)
    overall = float(outcome[known].mean()) if known.any() else float("nan")
    total = np.bincount(cell[known], outcome[known], SHAPE[0] * SHAPE[1])
    count = np.bincount(cell[known], minlength=SHAPE[0] * SHAPE[1])
    return ((total + PSEUDO_CUSTOMERS * overall) / (count + PSEUDO_CUSTOMERS)).reshape(SHAPE)
