"""What each model must beat: rules and classic models, on the same customers."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training.models.btyd import Btyd
from training.models.inputs import history
from training.models.linear import Linear

Matrix = NDArray[np.float64]

RFM = ("days_since_last_order", "n_order_days", "mean_order_day_revenue", "days_since_first_order")


def recency_rule(columns: Mapping[str, Matrix]) -> Matrix:
    """Score churn by silence alone: the days since the last order."""
    return np.asarray(columns["days_since_last_order"], np.float64)


def rfm_logistic(train: pd.DataFrame, silent: Matrix, test: pd.DataFrame) -> Matrix:
    """Give P(churn) of a logistic regression on recency, frequency, money and tenure."""
    model = Linear.logistic(_rfm(train), silent)
    return 1 / (1 + np.exp(-model.predict(_rfm(test))))


def bg_nbd_no_order(btyd: Btyd, columns: Mapping[str, Matrix], horizon_days: float) -> Matrix:
    """Give BG/NBD's P(no order within the horizon), which is not P(alive)."""
    h = history(columns)
    return btyd.bgnbd.p_no_order(h.n_order_days - 1, h.days_first_to_last, h.days_since_first, horizon_days)


def bg_nbd_days(btyd: Btyd, columns: Mapping[str, Matrix], cap_days: int) -> Matrix:
    """Give BG/NBD's median days to the next order, at most ``cap_days``."""
    reached = np.column_stack([bg_nbd_no_order(btyd, columns, h) for h in range(1, cap_days + 1)]) <= 0.5
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, float(cap_days))


def own_gap_days(columns: Mapping[str, Matrix], cap_days: float) -> Matrix:
    """Expect the next order one own mean gap after the last, or today if that is past; ``cap_days`` without one."""
    gap, silence = (np.asarray(columns[name], np.float64) for name in ("gap_days_mean", "days_since_last_order"))
    return np.clip(np.nan_to_num(gap - silence, nan=cap_days), 1.0, cap_days)


def last_quarter_revenue(columns: Mapping[str, Matrix]) -> Matrix:
    """Expect the next 90 days to bring what the last 91 did."""
    return np.asarray(columns["revenue_91d"], np.float64)


def columns_of(frame: pd.DataFrame, names: Sequence[str]) -> dict[str, Matrix]:
    """Give a frame's columns as arrays by name."""
    return {name: frame[name].to_numpy(dtype=np.float64) for name in names}


def _rfm(frame: pd.DataFrame) -> Matrix:
    return frame[list(RFM)].to_numpy(dtype=np.float64)
