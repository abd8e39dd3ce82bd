"""A report's figures: each a metric of one method at one cut-off, with its interval over customers."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training import metrics
from training.models.held import Held

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]

RESAMPLES = int(os.environ.get("OKAERI_RESAMPLES", "200"))  # a long run is the same report with a larger N
EVERYONE = "all"  # the slice of all customers
POOLED = "all"  # the cut-off of a figure's mean over all of them


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
class Figure:
    """One figure not yet worked out: the metric and, a position per customer, what it is a metric of."""

    question: str
    method: str
    cutoff: str
    slice: str
    name: str
    metric: Callable[..., float]
    arrays: tuple[NDArray[np.generic], ...]
    customers: NDArray[np.generic]
    has_interval: bool = True  # not where resampled customers would mean something else

    def row(self) -> Row:
        """Work it out with its interval."""
        if self.has_interval:
            value, low, high = metrics.bootstrap(self.metric, *self.arrays, n=RESAMPLES)
        else:
            value, low, high = self.metric(*self.arrays), float("nan"), float("nan")
        return Row(
            self.question, self.method, self.cutoff, self.slice, self.name, value, low, high, len(self.customers)
        )


def pooled(figures: Sequence[Figure]) -> list[Row]:
    """Average each figure over the cut-offs it was judged at; the interval is over customers, not rows.

    Of a customer drawn, the rows at every cut-off are drawn: what one person does at two of them is not two facts.
    """
    groups: dict[tuple[str, ...], list[Figure]] = {}
    for figure in figures:
        groups.setdefault((figure.question, figure.method, figure.slice, figure.name), []).append(figure)
    return [_mean(group) for group in groups.values()]


def _mean(group: Sequence[Figure]) -> Row:
    cut = np.repeat(np.arange(len(group)), [len(figure.customers) for figure in group])
    arrays = [np.concatenate(parts) for parts in zip(*(figure.arrays for figure in group), strict=True)]

    def mean(cut: NDArray[np.generic], *arrays: NDArray[np.generic]) -> float:
        each = (figure.metric(*(a[cut == nth] for a in arrays)) for nth, figure in enumerate(group))
        return float(np.mean(list(each)))

    whole = Figure(
        *(group[0].question, group[0].method, POOLED, group[0].slice, group[0].name, mean),
        arrays=(cut, *arrays),
        customers=np.concatenate([figure.customers for figure in group]),
        has_interval=group[0].has_interval,
    )
    if not whole.has_interval:
        return whole.row()
    value, low, high = metrics.bootstrap(mean, *whole.arrays, groups=whole.customers, n=RESAMPLES)
    return replace(replace(whole, has_interval=False).row(), value=value, low=low, high=high)


@dataclass(frozen=True)
class Sample:
    """The customers judged at one cut-off, and what every method said of them: what methods are compared on."""

    question: str
    day: int
    frame: pd.DataFrame  # features and outcomes, a row per customer
    horizon_days: int
    observed_days: int  # how long every customer was watched after the cut-off
    slices: Mapping[str, Flags]
    said: Mapping[str, Mapping[str, Matrix]]  # by method, then as `Held.say` names it
    held: Held | None = None  # ours, fitted on the past of that day alone, where a release keeps it


@dataclass(frozen=True)
class Judged:
    """One question at one cut-off: its figures and whom they are of, or why it cannot be judged."""

    figures: tuple[Figure, ...] = ()
    why_not: str = ""
    sample: Sample | None = None

    @property
    def rows(self) -> tuple[Row, ...]:
        return tuple(figure.row() for figure in self.figures)
