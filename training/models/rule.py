"""The rule rung: a rate of one's own, begun with the shop's gap, where not even one horizon has passed."""

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

Matrix = NDArray[np.float64]

FIRST_GAP_DAYS = 90.0  # of a shop that knows none of its own: a quarter, an engineering choice (2026-11-25)


@dataclass(frozen=True)
class Rule:
    """Orders come at a customer's own constant rate, which starts as one order in the shop's gap.

    With the n order days of an age of T days the rate is Gamma-distributed, n over T and one gap [1]_; so the chance
    of none in h days is ((gap + T) / (gap + T + h)) ** n. Nothing is learnt from what happened next: there is no such
    time yet.

    References
    ----------
    .. [1] Ehrenberg (1959), "The Pattern of Consumer Purchases", Applied Statistics 8(1): the negative binomial.
    """

    method: ClassVar[str] = "rule"
    reads: ClassVar[tuple[str, ...]] = ("n_order_days", "days_since_first_order", "mean_order_day_revenue")

    gap_days: float
    spend: float  # net revenue of an order day, shop currency
    horizon_days: float

    @classmethod
    def fit(cls, frame: pd.DataFrame, horizon_days: float) -> "Rule":
        """Take the shop's gap and mean spend from a frame of everyone known, a row each.

        The gap is the days all were known over the orders that came back in them, begun with one in a quarter: so who
        did not come back counts.
        """
        orders = frame.n_order_days.sum()
        returned = orders - (frame.n_order_days >= 1).sum()
        gap = (frame.days_since_first_order.sum() + FIRST_GAP_DAYS) / (returned + 1)
        revenue = (frame.n_order_days * frame.mean_order_day_revenue).sum()
        return cls(float(gap), float(revenue / max(orders, 1.0)), horizon_days)

    def predict(self, columns: Mapping[str, Matrix]) -> Predicted:
        """Answer from the columns of ``reads``."""
        n, age, revenue = (np.asarray(columns[name], np.float64) for name in self.reads)
        n = np.maximum(np.nan_to_num(n), 1.0)
        start = self.gap_days + np.nan_to_num(age)

        def none(days: float) -> Matrix:
            return np.asarray((start / (start + days)) ** n)

        survival = np.column_stack([none(h) for h in HORIZONS])
        spend = (np.where(np.isnan(revenue), self.spend, revenue) * n + self.spend) / (n + 1)
        a_day = n / start * spend
        return Predicted(
            none(self.horizon_days),
            1 - survival,
            days_by(survival, HORIZONS),
            without_interval(a_day * 90, a_day * 365),
        )

    def save(self, folder: Path) -> None:
        (folder / "rule.json").write_text(json.dumps(asdict(self), sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Rule":
        return cls(**json.loads((folder / "rule.json").read_text(encoding="utf-8")))
