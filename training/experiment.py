"""The flat table of a randomised experiment: what was known of each customer, their arm, and what they did after."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.door.mapping import nearest
from features.errors import BadInput

Matrix = NDArray[np.float64]

FEWEST_IN_ARM = 100  # customers; a share of .15 is then known to within .07
MOST_LEVELS = 20  # of a text column, the most common; the others count as none of them


@dataclass(frozen=True)
class Table:
    """What the columns of an experiment's file are; all others were known before the treatment."""

    path: Path
    treatment: str
    control: str  # the value of ``treatment`` that means none
    outcome: str
    ignored: tuple[str, ...] = ()  # known only after the treatment, or not to be learnt from


@dataclass(frozen=True)
class Experiment:
    """A row per customer: inputs, the arm's name (n,) and the outcome (n,)."""

    inputs: pd.DataFrame
    arm: NDArray[np.str_]
    outcome: Matrix
    control: str

    @property
    def arms(self) -> list[str]:
        """Name the arms besides the control, sorted."""
        return sorted(set(self.arm.tolist()) - {self.control})


def read_experiment(table: Table) -> Experiment:
    """Read an experiment from CSV or Parquet (by the file's ending).

    Raises
    ------
    BadInput
        If the file cannot be read, a column or the control is not in it, an outcome is not a number, an arm is
        unknown or smaller than ``FEWEST_IN_ARM``, or no column is left to learn from.
    """
    frame = _read(table)
    for column in (table.treatment, table.outcome, *table.ignored):
        if column not in frame.columns:
            raise BadInput(f"{table.path}: no column {column}{nearest(column, [str(name) for name in frame.columns])}")
    outcome, arm = _outcome(frame, table), _arm(frame, table)
    inputs = frame.drop(columns=list({table.treatment, table.outcome, *table.ignored}))
    if inputs.columns.empty:
        raise BadInput(f"{table.path}: no column is left to learn from; only {', '.join(frame.columns)}")
    return Experiment(inputs.reset_index(drop=True), arm, outcome, table.control)


def _read(table: Table) -> pd.DataFrame:
    """Read all columns; the arms of a CSV as they are written, for one may be called None or 0."""
    is_parquet = table.path.suffix == ".parquet"
    try:
        return pd.read_parquet(table.path) if is_parquet else pd.read_csv(table.path, converters={table.treatment: str})
    except (OSError, ValueError) as error:
        raise BadInput(f"{table.path}: cannot be read as {'Parquet' if is_parquet else 'CSV'}: {error}") from error


def _outcome(frame: pd.DataFrame, table: Table) -> Matrix:
    where, values = f"{table.path}: column {table.outcome}", frame[table.outcome]
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if wrong.size:
        shown = values.iloc[wrong[0]]
        raise BadInput(f"{where}: {wrong.size:,} values are not numbers, the first in row {wrong[0] + 1}: {shown}")
    return numbers


def _arm(frame: pd.DataFrame, table: Table) -> NDArray[np.str_]:
    where, values = f"{table.path}: column {table.treatment}", frame[table.treatment]
    is_missing = values.isna() | (values == "")
    if is_missing.any():
        raise BadInput(f"{where}: {is_missing.sum():,} customers have no arm")
    arm = values.astype(str).to_numpy(np.str_)
    sizes = pd.Series(arm).value_counts()
    if table.control not in sizes.index:
        raise BadInput(
            f"{where}: no value {table.control}{nearest(table.control, [str(name) for name in sizes.index])}"
        )
    if len(sizes) < 2:
        raise BadInput(f"{where}: everyone is {table.control}; nobody was treated")
    if sizes.iloc[-1] < FEWEST_IN_ARM:
        raise BadInput(
            f"{where}: {sizes.index[-1]} has {sizes.iloc[-1]} customers; at least {FEWEST_IN_ARM} are needed"
        )
    return arm


@dataclass(frozen=True)
class Coding:
    """How columns become numbers, learnt from some customers: numbers stay, text is one 0/1 column per level."""

    numbers: tuple[str, ...]
    levels: tuple[tuple[str, str], ...]  # column and level

    @classmethod
    def learn(cls, frame: pd.DataFrame) -> "Coding":
        """List the columns, and of each text column the most common levels, sorted."""
        numbers = tuple(str(name) for name in frame.columns if _is_number(frame[name]))
        levels: list[tuple[str, str]] = []
        for name in frame.columns:
            if name not in numbers:
                counts = frame[name].dropna().astype(str).value_counts().sort_index(kind="stable")
                most = counts.sort_values(ascending=False, kind="stable").index[:MOST_LEVELS]
                levels += [(str(name), level) for level in sorted(most)]
        return cls(numbers, tuple(levels))

    @property
    def names(self) -> tuple[str, ...]:
        """Name the columns of the matrix, a level as ``column = level``."""
        return (*self.numbers, *(f"{column} = {level}" for column, level in self.levels))

    def matrix(self, frame: pd.DataFrame) -> Matrix:
        """Give the numbers, (n, k), unknown ones NaN; a level not learnt is none of them."""
        numbers = [frame[name].to_numpy(np.float64, na_value=np.nan) for name in self.numbers]
        texts = {column: frame[column].astype(str).to_numpy() for column, _ in self.levels}
        flags = [(texts[column] == level).astype(np.float64) for column, level in self.levels]
        found = np.column_stack([*numbers, *flags]) if numbers or flags else np.empty((len(frame), 0))
        return np.where(np.isfinite(found), found, np.nan)


def _is_number(column: "pd.Series[Any]") -> bool:
    return pd.api.types.is_numeric_dtype(column.dtype)
