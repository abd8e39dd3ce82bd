"""An L2 logistic regression on log features: the challenger that ties LightGBM on every churn set we measured."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from training.models.parameters import CHURN

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Logistic:
    """Standardised signed logs of the inputs, their weights, and the value an unknown input takes."""

    mean: Matrix
    scale: Matrix
    weights: Matrix
    intercept: float

    @classmethod
    def fit(cls, x: Matrix, y: Matrix, penalty: float = CHURN.penalty) -> "Logistic":
        """Fit to rows ``x`` (n, k) and outcomes ``y`` in {0, 1}; an unknown input takes the mean of the known."""
        logs = signed_log(x)
        known = ~np.isnan(logs)
        n = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, logs, 0.0).sum(axis=0) / n
        scale = np.sqrt((np.where(known, logs - mean, 0.0) ** 2).sum(axis=0) / n)
        scale[scale < 1e-9] = 1.0
        model = LogisticRegression(C=penalty, max_iter=500, tol=1e-5)
        model.fit(np.nan_to_num((logs - mean) / scale), y)
        return cls(mean, scale, model.coef_[0], float(model.intercept_[0]))

    def contributions(self, x: Matrix) -> Matrix:
        """Give what each input adds to the log-odds, shape (n, k), against the average customer."""
        return np.nan_to_num((signed_log(x) - self.mean) / self.scale) * self.weights

    def log_odds(self, x: Matrix) -> Matrix:
        """Give the log-odds, shape (n,); rows are summed one by one, so a batch equals its single rows."""
        total: Matrix = self.contributions(x).sum(axis=1) + self.intercept
        return total

    def save(self, path: Path) -> None:
        np.savez(path, mean=self.mean, scale=self.scale, weights=self.weights, intercept=np.array(self.intercept))

    @classmethod
    def load(cls, path: Path) -> "Logistic":
        with np.load(path, allow_pickle=False) as saved:
            return cls(saved["mean"], saved["scale"], saved["weights"], float(saved["intercept"]))


def signed_log(x: Matrix) -> Matrix:
    """Compress long tails and keep the sign: sign(x) log(1 + |x|)."""
    return np.sign(x) * np.log1p(np.abs(x))
