"""Who of the active customers will not come back within the horizon: trees and a logistic, blended and calibrated."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from training.models.linear import Linear
from training.models.parameters import CHURN, ChurnParameters
from training.models.trees import contributions, fit_trees, load_trees, raw_score, save_trees

Matrix = NDArray[np.float64]

# More silence must not lower risk: the trees may only rise in these.
RISING = ("days_since_last_order", "silence_ratio", "silence_to_longest_gap", "btyd_p_no_order")


@dataclass(frozen=True)
class Churn:
    """P(no kept order within H) for active customers."""

    trees: lgb.Booster
    logistic: Linear
    slope: float
    intercept: float

    @classmethod
    def fit(
        cls,
        x: Matrix,
        y: Matrix,
        names: Sequence[str],
        x_later: Matrix,
        y_later: Matrix,
        sized: ChurnParameters = CHURN,
    ) -> "Churn":
        """Learn on the training cut-offs ``x`` (n, k), ``y`` in {0, 1}, calibrate on a later window.

        Calibration is Platt's: two numbers, which two thousand customers can carry [1]_.

        References
        ----------
        .. [1] Platt (1999), "Probabilistic outputs for support vector machines".
        """
        trees = fit_trees(x, y, "binary", names, rising=RISING, sized=sized)
        raw = cls(trees, Linear.logistic(x, y, sized.penalty), 1.0, 0.0)
        platt = LogisticRegression(C=1e6).fit(raw.log_odds(x_later)[:, None], y_later)
        return cls(trees, raw.logistic, max(0.05, float(platt.coef_[0, 0])), float(platt.intercept_[0]))

    def log_odds(self, x: Matrix) -> Matrix:
        """Give the uncalibrated log-odds: the mean of the two models'."""
        return (raw_score(self.trees, x) + self.logistic.predict(x)) / 2

    def predict(self, x: Matrix) -> Matrix:
        """Give the calibrated probability, shape (n,)."""
        return 1 / (1 + np.exp(-(self.slope * self.log_odds(x) + self.intercept)))

    def contributions(self, x: Matrix) -> Matrix:
        """Give what each input adds to the calibrated log-odds, shape (n, k)."""
        return self.slope * (contributions(self.trees, x) + self.logistic.contributions(x)) / 2

    def save(self, folder: Path) -> None:
        save_trees(self.trees, folder / "churn.txt")
        self.logistic.save(folder / "churn.npz")
        calibration = {"slope": self.slope, "intercept": self.intercept}
        (folder / "churn.json").write_text(json.dumps(calibration, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Churn":
        calibration = json.loads((folder / "churn.json").read_text(encoding="utf-8"))
        return cls(load_trees(folder / "churn.txt"), Linear.load(folder / "churn.npz"), **calibration)
