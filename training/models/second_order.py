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

from training.models.logistic import Logistic
from training.models.next_purchase import HORIZONS, LONGEST_DAYS, QUANTILES
from training.models.trees import fit_trees, load_trees, raw_score, save_trees

Matrix = NDArray[np.float64]

STARTS = (0, *HORIZONS[:-1])  # of the stretches, in days from the instant
AGE = "days_since_first_order"


@dataclass(frozen=True)
class SecondOrder:
    """Log-odds of an order within a stretch of days: the mean of trees and a logistic."""

    trees: lgb.Booster
    logistic: Logistic
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
        return cls(trees, Logistic.fit(stacked, came), age)

    def survival(self, x: Matrix) -> Matrix:
        """Give P(no order within each of HORIZONS), shape (n, len(HORIZONS)), falling."""
        chances = [1 / (1 + np.exp(-self._log_odds(_ahead(x, stretch, self.age)))) for stretch in range(len(STARTS))]
        survival: Matrix = np.cumprod(1 - np.column_stack(chances), axis=1, dtype=np.float64)
        return survival

    def predict(self, x: Matrix) -> Matrix:
        """Give P(a second order within h days) for each of HORIZONS, shape (n, len(HORIZONS)), monotone in h."""
        return 1 - self.survival(x)

    def quantiles(self, x: Matrix, levels: Sequence[float] = QUANTILES) -> Matrix:
        """Give the days by which the order comes with each probability, (n, levels); NaN beyond a year.

        Within a stretch, and after the last one, the chance of each day is the same.
        """
        survival = self.survival(x)
        logs = -np.log(np.column_stack([np.ones(len(x)), np.maximum(survival, 1e-12)]))
        knots = np.array([0, *HORIZONS], np.float64)
        rate = (logs[:, -1] - logs[:, -2]) / (HORIZONS[-1] - HORIZONS[-2])
        out = np.empty((len(x), len(levels)))
        for column, level in enumerate(levels):
            wanted = -np.log(1 - level)
            beyond = HORIZONS[-1] + (wanted - logs[:, -1]) / np.maximum(rate, 1e-12)
            within = np.array([np.interp(wanted, row, knots) for row in logs])
            out[:, column] = np.where(logs[:, -1] >= wanted, within, beyond)
        return np.where(out <= LONGEST_DAYS, np.maximum(out, 1e-9), np.nan)

    def _log_odds(self, x: Matrix) -> Matrix:
        return (raw_score(self.trees, x) + self.logistic.log_odds(x)) / 2

    def save(self, folder: Path) -> None:
        save_trees(self.trees, folder / "second_order.txt")
        self.logistic.save(folder / "second_order.npz")

    @classmethod
    def load(cls, folder: Path) -> "SecondOrder":
        trees = load_trees(folder / "second_order.txt")
        return cls(trees, Logistic.load(folder / "second_order.npz"), trees.feature_name().index(AGE))


def _ahead(x: Matrix, stretch: int, age: int) -> Matrix:
    """Add the stretch and how long ago the first order will be at its beginning."""
    return np.column_stack([x, np.full(len(x), stretch), x[:, age] + STARTS[stretch]])
