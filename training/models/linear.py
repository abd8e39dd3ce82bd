"""Linear models on log features: what ties LightGBM on every shop we measured, and steadies it on small ones."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from sklearn.linear_model import LogisticRegression

from training.models.censored import log_beyond
from training.models.parameters import CHURN

Matrix = NDArray[np.float64]

# Share of the inputs' variance added to each (ridge). C-index alone with .003, .01, .03 and .1: on the gift shop .608,
# .655, .677 and .680, on Complete Journey .715, .715, .715 and .714 (2026-11-24).
RIDGE = 0.1
ROUNDS = 30  # of expectation and maximisation; the weights stand still after some ten


@dataclass(frozen=True)
class Linear:
    """Standardised signed logs of the inputs, their weights, and the value an unknown input takes."""

    mean: Matrix
    scale: Matrix
    weights: Matrix
    intercept: float

    @classmethod
    def logistic(cls, x: Matrix, y: Matrix, penalty: float = CHURN.penalty) -> "Linear":
        """Fit the log-odds of outcomes ``y`` in {0, 1} to rows ``x`` (n, k); an unknown input takes the known mean."""
        mean, scale = _moments(signed_log(x))
        model = LogisticRegression(C=penalty, max_iter=500, tol=1e-5)
        model.fit(_standardised(x, mean, scale), y)
        return cls(mean, scale, model.coef_[0], float(model.intercept_[0]))

    @classmethod
    def censored(cls, x: Matrix, logs: Matrix, censored: NDArray[np.bool_], sigma: float) -> "Linear":
        """Fit the mean of log-days, normal with ``sigma``, of which some are only known to be longer [1]_.

        References
        ----------
        .. [1] Aitkin (1981), "A Note on the Regression Analysis of Censored Data", Technometrics 23(2).
        """
        mean, scale = _moments(signed_log(x))
        z = np.column_stack([_standardised(x, mean, scale), np.ones(len(x))])
        ridge = RIDGE * len(x) * np.eye(z.shape[1])
        ridge[-1, -1] = 0.0
        gram, said = cho_factor(z.T @ z + ridge), logs
        for _ in range(ROUNDS):
            location = z @ (weights := cho_solve(gram, z.T @ said))
            said = np.where(censored, location + sigma * log_beyond((logs - location) / sigma), logs)
        return cls(mean, scale, weights[:-1], float(weights[-1]))

    @classmethod
    def ridge(cls, x: Matrix, y: Matrix) -> "Linear":
        """Fit the mean of ``y`` (n,) by least squares, the weights shrunk by ``RIDGE``."""
        mean, scale = _moments(signed_log(x))
        z = _standardised(x, mean, scale)
        middle = z.mean(axis=0)
        gram = (z - middle).T @ (z - middle) + RIDGE * len(x) * np.eye(z.shape[1])
        weights = cho_solve(cho_factor(gram), (z - middle).T @ (y - y.mean()))
        return cls(mean, scale, weights, float(y.mean() - middle @ weights))

    def contributions(self, x: Matrix) -> Matrix:
        """Give what each input adds, shape (n, k), against the average customer."""
        added: Matrix = _standardised(x, self.mean, self.scale) * self.weights
        return added

    def predict(self, x: Matrix) -> Matrix:
        """Give the log-odds or the log-days, shape (n,); row by row: a batch equals its single rows."""
        total: Matrix = self.contributions(x).sum(axis=1) + self.intercept
        return total

    def save(self, path: Path) -> None:
        np.savez(path, mean=self.mean, scale=self.scale, weights=self.weights, intercept=np.array(self.intercept))

    @classmethod
    def load(cls, path: Path) -> "Linear":
        with np.load(path, allow_pickle=False) as saved:
            return cls(saved["mean"], saved["scale"], saved["weights"], float(saved["intercept"]))


def signed_log(x: Matrix) -> Matrix:
    """Compress long tails and keep the sign: sign(x) log(1 + |x|)."""
    return np.sign(x) * np.log1p(np.abs(x))


def _moments(logs: Matrix) -> tuple[Matrix, Matrix]:
    known = ~np.isnan(logs)
    n = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, logs, 0.0).sum(axis=0) / n
    scale = np.sqrt((np.where(known, logs - mean, 0.0) ** 2).sum(axis=0) / n)
    scale[scale < 1e-9] = 1.0
    return mean, scale


def _standardised(x: Matrix, mean: Matrix, scale: Matrix) -> Matrix:
    return np.nan_to_num((signed_log(x) - mean) / scale)
