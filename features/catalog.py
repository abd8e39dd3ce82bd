"""Every feature once: CATALOG, in the order of every frame, vector and model."""

from collections.abc import Iterable, Mapping
from typing import Any

from features import lake
from features.families import FAMILIES
from features.feature import Feature

Columns = Mapping[str, Any]  # Ibis columns or NumPy arrays, by name


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


CATALOG: dict[str, Feature] = {feature.name: feature for family in FAMILIES for feature in family}
