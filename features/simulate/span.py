"""The days a simulated shop has behind it, and its chances: seeded by shop, chunk of customers and stage."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from features.calendar import day_number

DAY = 86_400  # seconds


@dataclass(frozen=True)
class Span:
    """``days`` days that end before ``until`` begins; an instant is local seconds since the first day's midnight.

    Examples
    --------
    >>> Span(date(2026, 11, 21), 730).first
    datetime.date(2024, 11, 21)
    """

    until: date
    days: int

    @property
    def first(self) -> date:
        return self.until - timedelta(self.days)

    @property
    def end(self) -> int:
        """Give the instant at which ``until`` begins: nothing happens at it or later."""
        return self.days * DAY

    @property
    def epoch_day(self) -> int:
        return day_number(self.first)


def chances(seed: int, chunk: int, stage: int) -> np.random.Generator:
    """Give one stage's own stream of chances, so that no stage or chunk shifts another's."""
    return np.random.default_rng([seed, chunk, stage])
