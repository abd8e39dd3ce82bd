"""What is said of customers, whichever model says it; and dates from chances."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.models.next_purchase import LONGEST_DAYS, QUANTILES

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Predicted:
    """Answers for n customers; NaN where nothing can be said."""

    churn: Matrix  # (n,) P(no kept order within the horizon)
    next_order: Matrix  # (n, len(HORIZONS)) P(an order within so many days)
    next_days: Matrix  # (n, len(QUANTILES)) the days by which it comes
    clv: Matrix  # (n, 4) net revenue of 90 and of 365 days, the year's low and high


def without_interval(short: Matrix, year: Matrix) -> Matrix:
    """Give ``clv`` of a model that knows no interval."""
    unknown = np.full(len(short), np.nan)
    return np.column_stack([short, year, unknown, unknown])


def days_by(survival: Matrix, knots: Sequence[float], levels: Sequence[float] = QUANTILES) -> Matrix:
    """Give the days by which an order comes with each probability, (n, levels); NaN beyond a year.

    Parameters
    ----------
    survival
        (n, len(knots)) P(no order within so many days), falling. Between two knots, and after the last one, the
        chance of each day is the same.

    >>> days_by(np.array([[0.5, 0.25]]), (10, 20), (0.5, 0.9)).round(1).tolist()
    [[10.0, 33.2]]
    """
    logs = -np.log(np.column_stack([np.ones(len(survival)), np.maximum(survival, 1e-12)]))
    days = np.array([0, *knots], np.float64)
    rate = (logs[:, -1] - logs[:, -2]) / (days[-1] - days[-2])
    out = np.empty((len(survival), len(levels)))
    for column, level in enumerate(levels):
        wanted = -np.log(1 - level)
        beyond = days[-1] + (wanted - logs[:, -1]) / np.maximum(rate, 1e-12)
        within = np.array([np.interp(wanted, row, days) for row in logs])
        out[:, column] = np.where(logs[:, -1] >= wanted, within, beyond)
    return np.where(out <= LONGEST_DAYS, np.maximum(out, 1e-9), np.nan)
