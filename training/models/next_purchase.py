"""When a customer will buy next: an accelerated failure time model whose distribution comes from later data."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from training.models.censored import log_beyond, lognormal
from training.models.linear import Linear
from training.models.parameters import TREES, Trees
from training.models.trees import fit_trees, load_trees, raw_score, save_trees

Matrix = NDArray[np.float64]

HORIZONS = (7, 14, 30, 60, 90)
QUANTILES = (0.10, 0.50, 0.90)
GROUPS = 5  # of customers by predicted time: regulars and rare buyers scatter differently
GRID = np.arange(-6.0, 6.0001, 0.05)  # of residuals in units of sigma
LONGEST_DAYS = 365.0


@dataclass(frozen=True)
class NextPurchase:
    """log(days to the next kept order) = location(x) + sigma * residual; residuals by Kaplan-Meier, in groups.

    The location is the mean of trees and a linear model. Being one distribution per customer, P(order within h) is
    monotone in h by construction.
    """

    trees: lgb.Booster
    linear: Linear
    start: float
    sigma: float
    edges: Matrix  # (GROUPS - 1,) of location
    cdf: Matrix  # (GROUPS, len(GRID)) P(residual <= grid)

    @classmethod
    def fit(
        cls,
        x: Matrix,
        days: Matrix,
        censored: NDArray[np.bool_],
        names: Sequence[str],
        later: tuple[Matrix, Matrix, NDArray[np.bool_]],
        sized: Trees = TREES,
    ) -> "NextPurchase":
        """Learn locations on the training rows, and the residuals' distribution on a ``later`` window.

        Parameters
        ----------
        x, days, censored
            (n, k) inputs; days to the next order (>= 1), or days observed without one where ``censored``.
        later
            The same three of a later window.
        """
        logs = np.log(np.maximum(days, 0.5))
        start, sigma = lognormal(logs, censored)
        trees = fit_trees(x, logs, _aft(censored, sigma), names, offset=np.full(len(logs), start), sized=sized)
        linear = Linear.censored(x, logs, censored, sigma)
        x_later, days_later, censored_later = later
        location = _location(trees, linear, start, x_later)
        residual = (np.log(np.maximum(days_later, 0.5)) - location) / sigma
        edges = np.quantile(location, np.linspace(0, 1, GROUPS + 1)[1:-1])
        group = np.searchsorted(edges, location, side="right")
        cdf = np.vstack([_kaplan_meier(residual[group == g], censored_later[group == g]) for g in range(GROUPS)])
        return cls(trees, linear, start, sigma, edges, cdf)

    def location(self, x: Matrix) -> Matrix:
        """Give the predicted log-days, shape (n,): the larger, the later."""
        return _location(self.trees, self.linear, self.start, x)

    def predict(self, x: Matrix, horizons: Sequence[float] = HORIZONS) -> Matrix:
        """Give P(a kept order within h days) for each horizon, shape (n, len(horizons)), monotone in h."""
        location = self.location(x)
        residual = (np.log(np.asarray(horizons, np.float64))[None, :] - location[:, None]) / self.sigma
        group = np.searchsorted(self.edges, location, side="right")
        out = np.empty_like(residual)
        for g in range(GROUPS):
            out[group == g] = np.interp(residual[group == g], GRID, self.cdf[g])
        return out

    def quantiles(self, x: Matrix, levels: Sequence[float] = QUANTILES) -> Matrix:
        """Give the days by which the next order comes with each probability, (n, levels); NaN beyond a year."""
        location = self.location(x)
        group = np.searchsorted(self.edges, location, side="right")
        residual = np.full((GROUPS, len(levels)), np.inf)
        for g in range(GROUPS):
            reached = np.searchsorted(self.cdf[g], levels, side="left")
            inside = reached < len(GRID)
            residual[g, inside] = GRID[reached[inside]]
        with np.errstate(over="ignore"):
            days = np.exp(location[:, None] + self.sigma * residual[group])
        return np.where(days <= LONGEST_DAYS, days, np.nan)

    def save(self, folder: Path) -> None:
        save_trees(self.trees, folder / "next_purchase.txt")
        self.linear.save(folder / "next_purchase_linear.npz")
        np.savez(folder / "next_purchase.npz", edges=self.edges, cdf=self.cdf)
        numbers = {"start": self.start, "sigma": self.sigma}
        (folder / "next_purchase.json").write_text(json.dumps(numbers, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "NextPurchase":
        numbers = json.loads((folder / "next_purchase.json").read_text(encoding="utf-8"))
        with np.load(folder / "next_purchase.npz", allow_pickle=False) as saved:
            return cls(
                load_trees(folder / "next_purchase.txt"),
                Linear.load(folder / "next_purchase_linear.npz"),
                numbers["start"],
                numbers["sigma"],
                saved["edges"],
                saved["cdf"],
            )


def _location(trees: lgb.Booster, linear: Linear, start: float, x: Matrix) -> Matrix:
    return (start + raw_score(trees, x) + linear.predict(x)) / 2


def _aft(censored: NDArray[np.bool_], sigma: float) -> Callable[[Matrix, Any], tuple[Matrix, Matrix]]:
    """Write the censored log-normal likelihood's gradient and curvature for LightGBM (Wei 1992, AFT)."""

    def objective(location: Matrix, data: Any) -> tuple[Matrix, Matrix]:
        z = (data.get_label() - location) / sigma
        hazard = log_beyond(z)
        gradient = np.where(censored, -hazard, -z) / sigma
        curvature = np.where(censored, hazard * (hazard - z), 1.0) / sigma**2
        return gradient, np.maximum(curvature, 1e-3)

    return objective


def _kaplan_meier(residual: Matrix, censored: NDArray[np.bool_]) -> Matrix:
    """Estimate P(residual <= grid), right-censored (Kaplan and Meier 1958)."""
    order = np.lexsort((censored, residual))
    at_risk = len(residual) - np.arange(len(residual))
    survival = np.cumprod(np.where(censored[order], 1.0, 1.0 - 1.0 / at_risk))
    position = np.searchsorted(residual[order], GRID, side="right")
    return 1.0 - np.concatenate([[1.0], survival])[position]
