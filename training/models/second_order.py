"""Whether and when who ordered once orders again: a discrete-time hazard of their own, since BTYD calls them all alive.

The chance of an order in each stretch of days, given none before it [1]_, from what is known of the customer and how
long ago the first order will be by then. One model for all stretches, learnt from each customer's stretches as far
as they were observed, so that who was watched for a week only teaches about that week.

References
----------
.. [1] Singer and Willett (1993), "It's About Time: Using Discrete-Time Survival Analysis to Study Duration and the
   Timing of Events", Journal of Educational Statistics 18(2).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from training.models.linear import Linear
from training.models.next_purchase import HORIZONS, QUANTILES
from training.models.predicted import days_by
from training.models.trees import fit_trees, load_trees, raw_score, save_trees

Matrix = NDArray[np.float64]

STARTS = (0, *HORIZONS[:-1])  # of the stretches, in days from the instant
AGE = "days_since_first_order"


@dataclass(frozen=True)
class SecondOrder:
    """Log-odds of an order within a stretch of days: the mean of trees and a logistic."""

    trees: lgb.Booster
    logistic: Linear
    age: int  # the column of days since the first order

    @classmethod
    def fit(
        cls, x: Matrix, days: Matrix, censored: NDArray[np.bool_], observed: Matrix, names: Sequence[str]
    ) -> "SecondOrder":
        """Learn from customers with one order day.

        Parameters
        ----------
        x, days, censored
            (n, k) inputs; days to the next order (>= 1), or days observed without one where ``censored``.
        observed
            (n,) how many days each was watched.
        """
        age = list(names).index(AGE)
        rows, outcomes = [], []
        for stretch, (start, end) in enumerate(zip(STARTS, HORIZONS, strict=True)):
            asked = (observed >= end) & (days > start)
            rows.append(_ahead(x[asked], stretch, age))
            outcomes.append((~censored & (days <= end))[asked].astype(np.float64))
        stacked, came = np.vstack(rows), np.concatenate(outcomes)
        trees = fit_trees(stacked, came, "binary", [*names, "stretch", "age_by_then"])
        return cls(trees, Linear.logistic(stacked, came), age)

    def survival(self, x: Matrix) -> Matrix:
        """Give P(no order within each of HORIZONS), shape (n, len(HORIZONS)), falling."""
        odds = np.column_stack([self._log_odds(_ahead(x, stretch, self.age)) for stretch in range(len(STARTS))])
        survival: Matrix = np.cumprod(expit(-odds), axis=1, dtype=np.float64)
        return survival

    def predict(self, x: Matrix) -> Matrix:
        """Give P(a second order within h days) for each of HORIZONS, shape (n, len(HORIZONS)), monotone in h."""
        return 1 - self.survival(x)

    def quantiles(self, x: Matrix, levels: Sequence[float] = QUANTILES) -> Matrix:
        """Give the days by which the order comes with each probability, (n, levels); NaN beyond a year."""
        return days_by(self.survival(x), HORIZONS, levels)

    def _log_odds(self, x: Matrix) -> Matrix:
        return (raw_score(self.trees, x) + self.logistic.predict(x)) / 2

    def save(self, folder: Path) -> None:
        save_trees(self.trees, folder / "second_order.txt")
        self.logistic.save(folder / "second_order.npz")

    @classmethod
    def load(cls, folder: Path) -> "SecondOrder":
        trees = load_trees(folder / "second_order.txt")
        return cls(trees, Linear.load(folder / "second_order.npz"), trees.feature_name().index(AGE))


def _ahead(x: Matrix, stretch: int, age: int) -> Matrix:
    """Add the stretch and how long ago the first order will be at its beginning."""
    return np.column_stack([x, np.full(len(x), stretch), x[:, age] + STARTS[stretch]])
