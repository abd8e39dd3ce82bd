"""What a customer will bring: BG/NBD with Gamma-Gamma, corrected by trees on the customer's own features."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from training.metrics import spearman
from training.models.parameters import TREES, Trees
from training.models.trees import fit_trees, load_trees, raw_score, save_trees

Matrix = NDArray[np.float64]

GROUPS = 5  # of customers by predicted value, for the interval
WEIGHTS = (0.25, 0.5, 0.75, 1.0)
POWER = 1.5  # of the Tweedie distribution: between counts (1) and amounts (2)
FLOOR = 0.01  # currency; keeps logarithms finite


@dataclass(frozen=True)
class Value:
    """Expected net revenue in 90 and 365 days, with an 80 % interval for the year."""

    trees: lgb.Booster
    weight: float  # share of the trees' correction that is used, 0-1
    scale: float  # makes the sum of predictions right on the later window
    edges: Matrix  # (GROUPS - 1,) of the 90-day prediction
    low: Matrix  # (GROUPS,) 10 % quantile of actual over predicted
    high: Matrix  # (GROUPS,) 90 %
    kept_ratio: float  # value over prediction of those who came back within the churn horizon
    lost_ratio: float  # and of those who did not

    @classmethod
    def fit(
        cls,
        x: Matrix,
        revenue: Matrix,
        names: Sequence[str],
        x_later: Matrix,
        revenue_later: Matrix,
        came_back: NDArray[np.bool_],
        sized: Trees = TREES,
    ) -> "Value":
        """Learn 90-day revenue on the training rows; scale, interval and the worth of coming back on a later window."""
        offset = np.log(_prior(x, names) + FLOOR)
        spent = np.maximum(revenue, 0.0)
        trees = fit_trees(x, spent, "tweedie", names, offset=offset, sized=sized, tweedie_variance_power=POWER)
        untried = cls(trees, 1.0, 1.0, np.zeros(GROUPS - 1), np.zeros(GROUPS), np.ones(GROUPS), 1.0, 1.0)
        weight = untried._weight(x_later, revenue_later, names)
        predicted = untried._corrected(x_later, names, weight)
        scale = float(revenue_later.sum() / max(predicted.sum(), FLOOR))
        predicted = predicted * scale
        edges = np.quantile(predicted, np.linspace(0, 1, GROUPS + 1)[1:-1])
        group = np.searchsorted(edges, predicted, side="right")
        ratio = revenue_later / np.maximum(predicted, FLOOR)
        low, high = (np.array([np.quantile(ratio[group == g], q) for g in range(GROUPS)]) for q in (0.1, 0.9))
        kept, lost = (
            float(revenue_later[who].sum() / max(predicted[who].sum(), FLOOR)) if who.any() else 1.0
            for who in (came_back, ~came_back)
        )
        return cls(trees, weight, scale, edges, np.maximum(low, 0.0), high, kept, min(lost, kept))

    def predict_90d(self, x: Matrix, names: Sequence[str]) -> Matrix:
        """Give the expected net revenue of the next 90 days, shape (n,)."""
        return self.scale * self._corrected(x, names, self.weight)

    def _corrected(self, x: Matrix, names: Sequence[str], weight: float) -> Matrix:
        """Give what BG/NBD expects, moved by a share of what the trees would correct."""
        return np.exp(np.log(_prior(x, names) + FLOOR) + weight * raw_score(self.trees, x))

    def _weight(self, x: Matrix, revenue: Matrix, names: Sequence[str]) -> float:
        """Choose the share of the correction that later customers bear out, the smaller where it makes no odds.

        A larger share must rank them no worse and lower the mean Tweedie deviance by more than its standard
        error (the one-standard-error rule): on a young shop the trees alone ranked worse than BG/NBD (2026-11-21).
        """
        chosen, uncorrected = 0.0, self._corrected(x, names, 0.0)
        best, rank = _deviance(revenue, _rescaled(uncorrected, revenue)), spearman(revenue, uncorrected)
        for weight in WEIGHTS:
            corrected = self._corrected(x, names, weight)
            tried = _deviance(revenue, _rescaled(corrected, revenue))
            gain = best - tried
            if gain.mean() > gain.std() / np.sqrt(len(gain)) and spearman(revenue, corrected) >= rank:
                chosen, best = weight, tried
        return chosen

    def predict(self, x: Matrix, names: Sequence[str]) -> Matrix:
        """Give (n, 4): the next 90 days, the next 365, and the year's 80 % interval.

        The year is the 90 days times what BG/NBD expects of a year against 90 days: a year of outcomes is
        rarely there to learn from. The interval's ratios are those seen over 90 days.
        """
        short = self.predict_90d(x, names)
        orders = [x[:, list(names).index(name)] for name in ("btyd_orders_90d", "btyd_orders_365d")]
        stretch = np.clip(orders[1] / np.maximum(orders[0], 1e-12), 1.0, 365 / 90)
        year = short * np.where(np.isnan(stretch), 365 / 90, stretch)
        group = np.searchsorted(self.edges, short, side="right")
        return np.column_stack([short, year, year * self.low[group], year * self.high[group]])

    def save(self, folder: Path) -> None:
        save_trees(self.trees, folder / "value.txt")
        np.savez(folder / "value.npz", edges=self.edges, low=self.low, high=self.high)
        numbers = {
            "weight": self.weight,
            "scale": self.scale,
            "kept_ratio": self.kept_ratio,
            "lost_ratio": self.lost_ratio,
        }
        (folder / "value.json").write_text(json.dumps(numbers, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Value":
        numbers = json.loads((folder / "value.json").read_text(encoding="utf-8"))
        with np.load(folder / "value.npz", allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in ("edges", "low", "high")}
        return cls(load_trees(folder / "value.txt"), **numbers, **arrays)


def _prior(x: Matrix, names: Sequence[str]) -> Matrix:
    """Give what BG/NBD and Gamma-Gamma expect of the next 90 days; 0 where they know nothing."""
    return np.nan_to_num(np.maximum(x[:, list(names).index("btyd_value_90d")], 0.0))


def _rescaled(predicted: Matrix, revenue: Matrix) -> Matrix:
    return predicted * float(revenue.sum() / max(predicted.sum(), FLOOR))


def _deviance(revenue: Matrix, predicted: Matrix) -> Matrix:
    """Give each customer's Tweedie deviance with power 1.5 (Jorgensen 1987); negative revenue counts as none."""
    y, mu = np.maximum(revenue, 0.0), np.maximum(predicted, FLOOR)
    deviance: Matrix = 4 * (y / np.sqrt(mu) + np.sqrt(mu) - 2 * np.sqrt(y))
    return deviance
