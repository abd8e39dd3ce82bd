"""Log-normal times of which some are only known to be longer than what was watched."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

Matrix = NDArray[np.float64]


def log_beyond(z: Matrix) -> Matrix:
    """Give the mean of a standard normal beyond ``z`` (inverse Mills ratio), which is also its hazard there.

    >>> log_beyond(np.array([0.0])).round(4)
    array([0.7979])
    """
    return np.asarray(np.exp(-0.5 * z * z - 0.5 * np.log(2 * np.pi) - log_ndtr(-z)), np.float64)


def lognormal(logs: Matrix, censored: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit one censored log-normal to everyone by EM: the mean of the logs and their scale."""
    mean, sigma = float(logs.mean()), max(0.3, float(logs.std()))
    for _ in range(50):
        hazard = log_beyond((logs - mean) / sigma)
        first = np.where(censored, mean + sigma * hazard, logs)
        second = np.where(censored, mean**2 + sigma**2 + sigma * (logs + mean) * hazard, logs**2)
        mean = float(first.mean())
        sigma = float(np.sqrt(max(second.mean() - mean**2, 0.05)))
    return mean, sigma
