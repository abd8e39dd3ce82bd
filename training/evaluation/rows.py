"""A report's figures: each a metric of one method at one cut-off, with its interval over customers."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training import metrics
from training.models.held import Held

Matrix = NDArray[np.float64]

RESAMPLES = int(os.environ.get("OKAERI_RESAMPLES", "200"))  # a long run is the same report with a larger N


@dataclass(frozen=True)
class Row:
    """One figure of a report: ours is called ``okaeri``; the interval is 95 %, over customers."""

    question: str
    method: str
    cutoff: str
    slice: str
    metric: str
    value: float
    low: float
    high: float
    n: int


def as_rows(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """Give rows as plain dictionaries, NaN as ``None``."""
    return [{k: None if v != v else v for k, v in asdict(row).items()} for row in rows]


@dataclass(frozen=True)
class Sample:
    """The customers judged at one cut-off, and what every method said of them: what methods are compared on."""

    held: Held  # ours, fitted on the past of that day alone
    frame: pd.DataFrame  # features and outcomes, a row per customer
    horizon_days: int
    slices: Mapping[str, NDArray[np.bool_]]
    said: Mapping[str, Mapping[str, Matrix]]  # by method, then as `Held.say` names it


@dataclass(frozen=True)
class Judged:
    """One question at one cut-off: its rows, or why it cannot be judged; for churn what the plots need."""

    rows: tuple[Row, ...] = ()
    why_not: str = ""
    truth: Matrix = field(default_factory=lambda: np.empty(0))
    predicted: Matrix = field(default_factory=lambda: np.empty(0))
    sample: Sample | None = None


def measured(
    question: str,
    method: str,
    cutoff: str,
    name: str,
    metric: Callable[..., float],
    *arrays: Matrix,
    slice: str = "all",
) -> Row:
    """Measure one method; ``arrays`` have a position per customer."""
    interval = metrics.bootstrap(metric, *arrays, n=RESAMPLES)
    return Row(question, method, cutoff, slice, name, *interval, n=len(arrays[0]))
