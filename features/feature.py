"""What a feature is: a name with a unit and a meaning, and one definition for every engine and moment."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Feature:
    """One column of the feature frame.

    A **stored** feature is an Ibis aggregate over one relation (see :mod:`features.relations`), as of the
    start of a business day. A **derived** one is an operator-only function of stored columns and that day
    number: the same function object runs on Ibis columns at night and on NumPy arrays in the service.
    """

    name: str
    unit: str  # days, orders, currency, share, ...
    meaning: str
    relation: str  # the relation a stored feature aggregates; "" for a derived one
    needs: str  # the canonical table without which the feature is absent
    compute: Callable[..., Any]
    inputs: tuple[str, ...] = ()  # derived: the stored features it reads
    when_none: float | None = 0.0  # stored: the value where the relation has no row; None is "unknown" (NaN)
    is_model_input: bool = True  # False: a fact or day number for guards and answers that no model reads

    @property
    def kind(self) -> Literal["stored", "derived"]:
        return "stored" if self.relation else "derived"


def stored(
    name: str,
    unit: str,
    meaning: str,
    relation: str,
    compute: Callable[[Any], Any],
    needs: str = "order_lines",
    when_none: float | None = 0.0,
    is_model_input: bool = True,
) -> Feature:
    """Declare a feature that is an aggregate over ``relation``; a day that never was is unknown."""
    none = None if unit == "day" else when_none
    return Feature(name, unit, meaning, relation, needs, compute, (), none, is_model_input and unit != "day")


def derived(
    name: str, unit: str, meaning: str, inputs: str, compute: Callable[..., Any], needs: str = "order_lines"
) -> Feature:
    """Declare a feature computed from stored ones; ``compute(day, *inputs)``, denominators positive or null."""
    return Feature(name, unit, meaning, "", needs, compute, tuple(inputs.split()))
