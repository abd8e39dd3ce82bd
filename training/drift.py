"""How far tonight's customers are from those a release was made for: the population stability index.

Reference: Siddiqi (2006), "Credit Risk Scorecards", chapter 8: below .10 no change, above .25 a considerable one.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

BINS = 10
LEAST_SHARE = 1e-4  # an empty bin counts as a ten-thousandth, so that one customer in it is no alarm
CONSIDERABLE = 0.25


def reference(values: Matrix) -> dict[str, list[float]]:
    """Sum up one feature as shares of customers: below each of its deciles, and without a value.

    Returns
    -------
    dict
        ``edges`` (ascending, distinct, at most nine) and ``shares`` (one more than edges, then that of NaN; sum 1).

    >>> reference(np.array([1.0, 1.0, 2.0, np.nan]))
    {'edges': [1.0], 'shares': [0.5, 0.25, 0.25]}
    """
    known = values[~np.isnan(values)]
    quantiles = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower") if len(known) else known
    edges = np.unique(quantiles[quantiles < known.max()]) if len(known) else known
    return {"edges": edges.tolist(), "shares": _shares(values, edges).tolist()}


def psi(before: Mapping[str, Sequence[float]], values: Matrix) -> float:
    """Give the population stability index of a feature against its reference, >= 0.

    >>> told = reference(np.arange(100.0))
    >>> psi(told, np.arange(100.0)), psi(told, np.arange(100.0) + 1000) > 5
    (0.0, True)
    """
    expected = np.maximum(np.asarray(before["shares"], np.float64), LEAST_SHARE)
    found = np.maximum(_shares(values, np.asarray(before["edges"], np.float64)), LEAST_SHARE)
    return float(((found - expected) * np.log(found / expected)).sum())


def _shares(values: Matrix, edges: Matrix) -> Matrix:
    known = ~np.isnan(values)
    counts = np.bincount(np.searchsorted(edges, values[known], side="left"), minlength=len(edges) + 1)
    return np.append(counts, (~known).sum()) / max(1, len(values))
