"""Every feature once: its name, unit, meaning, the table it needs, and how it is computed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from features import lake

Columns = Mapping[str, Any]  # Ibis columns or NumPy arrays, by name


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


def _collect() -> dict[str, Feature]:
    from features.families import FAMILIES

    features = [feature for family in FAMILIES for feature in family]
    catalog = {feature.name: feature for feature in features}
    if len(catalog) != len(features):
        raise ValueError("two features share a name")
    return catalog


def available(tables: Iterable[str]) -> list[Feature]:
    """List the features a shop with these tables has, in catalogue order; the other families are absent."""
    have = set(tables)
    return [feature for feature in CATALOG.values() if feature.needs in have]


def absent(tables: Iterable[str]) -> dict[str, list[str]]:
    """Say which features a shop lacks, by the table it would need."""
    have = set(tables)
    lacking: dict[str, list[str]] = {}
    for feature in CATALOG.values():
        if feature.needs not in have:
            lacking.setdefault(feature.needs, []).append(feature.name)
    return lacking


def stored_names(tables: Iterable[str]) -> list[str]:
    """Name the stored features in the order of the packed online vector."""
    return [feature.name for feature in available(tables) if feature.kind == "stored"]


def model_inputs(tables: Iterable[str]) -> list[str]:
    """Name the features a model may read, in catalogue order."""
    return [feature.name for feature in available(tables) if feature.is_model_input]


def derive(columns: Columns, day: Any, tables: Iterable[str]) -> dict[str, Any]:
    """Compute the derived features from stored ones as of business day ``day`` (a number, array or Ibis column)."""
    return {
        feature.name: feature.compute(day, *(columns[name] for name in feature.inputs))
        for feature in available(tables)
        if feature.kind == "derived"
    }


def schema_hash(names: Iterable[str]) -> str:
    """Give a short hash of feature names in their order: two vectors with the same hash mean the same."""
    return lake.digest(list(names))[:16]


CATALOG: dict[str, Feature] = _collect()
