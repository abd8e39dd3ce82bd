"""What a release keeps beside its models: facts, distributions that answers refer to, and rows that prove it whole."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from features import catalog
from features.errors import Refused
from features.shop import Shop
from training import drift
from training.baselines import columns_of
from training.dataset import Past, is_active
from training.fitting import place
from training.models.bundle import Models
from training.models.inputs import HISTORY
from training.models.next_purchase import HORIZONS
from training.release import GOLDEN_ROWS
from training.rungs import having_ordered, with_orders
from training.season import learnt_span, season
from training.splits import YOUNG_STEP_DAYS

BESIDE = ("order_days_lookback", "orders_all")  # read beside the models' inputs
NEEDED = tuple(dict.fromkeys((*HISTORY, "days_since_last_order", *BESIDE)))


def facts(
    shop: Shop, models: Models, until: int, reference: pd.DataFrame, moved: Mapping[str, float]
) -> dict[str, Any]:
    """Give what ``release.json`` says: what was learnt from, what is read, and the frozen distributions.

    ``moved`` is how far each input went in the last horizon (:func:`moves`).
    """
    learnt, calendar = learnt_span(shop, until, models.horizon_days), shop.calendar
    return {
        "shop": shop.name,
        "currency": shop.mapping.currency,
        "trained_until": until,
        "trained_until_date": shop.calendar.date(until).isoformat(),
        "data_snapshot": shop.version,
        "min_order_days": shop.mapping.predict.min_order_days,
        "lookback_days": shop.mapping.predict.lookback_days,
        "inputs": inputs(models),
        "stored_features": catalog.stored_names(shop.tables),
        "tables": sorted(shop.tables & {f.needs for f in catalog.CATALOG.values()}),
        "references": _references(reference, shop, models) | {"features": _features(reference, shop)},
        "restless": {name: round(value, 4) for name, value in moved.items() if value > drift.CONSIDERABLE},
        "caps": _caps(reference, shop),
        "learnt_span": list(learnt),
        "season": season(learnt, until, models.horizon_days, calendar, shop.mapping.language),
    }


def inputs(models: Models) -> list[str]:
    """Name the columns `pyfunc` reads."""
    return list(dict.fromkeys((*(models.scores.inputs.features if models.scores else ()), *NEEDED)))


def outputs() -> list[str]:
    """Name the columns `pyfunc` gives."""
    value = ("clv_predicted_90d", "clv_predicted_365d")
    return ["churn_probability", *value, *(f"next_order_p_{h}d" for h in HORIZONS)]


def golden(shop: Shop, reference: pd.DataFrame) -> dict[str, Any]:
    """Take the feature values of a few customers without their ids: what the probe answers again."""
    chosen = reference.iloc[:: max(1, len(reference) // GOLDEN_ROWS)][:GOLDEN_ROWS]
    return {name: chosen[name].to_numpy() for name in (*catalog.model_inputs(shop.tables), *BESIDE)}


def reference_rows(past: Past, until: int) -> pd.DataFrame:
    """Describe the customers of a fortnight before, or of a younger shop's newest day.

    Percentiles, grades and the probe refer to them.
    """
    day = until - YOUNG_STEP_DAYS
    return with_orders(past, day if day > past.first_day else until)


def moves(past: Past, until: int, reference: pd.DataFrame) -> dict[str, float]:
    """Tell how far each input went from the rows learnt from last to the reference, as a stability index.

    Empty for a shop too young to have such rows.
    """
    try:
        earlier = past.rows(place(past.shop, until, past.horizon).calibrate, until)
    except Refused:
        return {}
    names = catalog.model_inputs(past.shop.tables)
    return drift.moves(_features(having_ordered(earlier), past.shop), columns_of(reference, names))


def _features(frame: pd.DataFrame, shop: Shop) -> dict[str, dict[str, list[float]]]:
    """Sum up every input of customers with an order."""
    columns = columns_of(frame, catalog.model_inputs(shop.tables))
    return {name: drift.reference(values) for name, values in columns.items()}


def _caps(frame: pd.DataFrame, shop: Shop) -> dict[str, list[float]]:
    """Give the lowest and highest of each stored feature among people: a bot's are brought within them."""
    names = [f.name for f in catalog.available(shop.tables) if f.kind == "stored" and f.is_model_input]
    return {name: [float(frame[name].min()), float(frame[name].max())] for name in names if frame[name].notna().any()}


def _references(frame: pd.DataFrame, shop: Shop, models: Models) -> dict[str, Any]:
    """Give the distributions that percentiles and grades refer to: frozen with the release, the same day and night."""
    columns = columns_of(frame, [*catalog.model_inputs(shop.tables), *BESIDE])
    active = is_active(columns, shop.mapping.predict.min_order_days)
    said = models.predict(columns)
    churn = said.churn[active] if active.any() else said.churn
    return {
        "churn": np.maximum.accumulate(np.quantile(churn, np.linspace(0, 1, 101))).tolist(),
        "clv_365d": np.quantile(said.clv[:, 1], [0.2, 0.4, 0.6, 0.8]).tolist(),
    }
