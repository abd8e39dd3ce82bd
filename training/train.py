"""From a shop's history to a release that answers: judged on held-back customers, tracked, sealed, promoted."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from features import catalog, lake
from features.home import Home
from features.shop import Shop
from training import registry
from training.baselines import columns_of
from training.dataset import Past, is_active
from training.evaluation import Report, evaluate
from training.fitting import fit_models
from training.models.bundle import Models
from training.models.inputs import HISTORY
from training.models.next_purchase import HORIZONS
from training.plots import churn_plots
from training.release import GOLDEN_ROWS, promote, write_release
from training.splits import YOUNG_STEP_DAYS

Progress = Callable[[str], None]

NEEDED = tuple(dict.fromkeys((*HISTORY, "days_since_last_order", "order_days_lookback")))


def train(home: Home, shop: Shop, until: int, who: str, when: str, say: Progress = lambda text: None) -> dict[str, Any]:
    """Train, judge, track and promote one release from what was known at business day ``until``.

    Parameters
    ----------
    until
        The day from which on nothing is known.
    who, when
        For the ledger: the user, and the machine's clock (RFC 3339), read at the command's edge.
    say
        Told what is being done, a few words at a time.

    Returns
    -------
    dict
        ``release`` (id), ``method``, ``version`` (MLflow's), ``run_id``, ``report`` (rows) and ``skipped``.

    Raises
    ------
    Refused
        If another training runs, or the history is too short for anything.
    """
    with lake.locked(home.releases / ".training.lock", "training"):
        date = shop.calendar.date(until).isoformat()
        parameters = {"shop": shop.name, "trained_until": date, "data_snapshot": shop.version}
        with registry.run(home, f"train {shop.name} {date}", parameters) as run_id:
            past = Past(shop, until)
            say("judging on held-back customers")
            report = evaluate(past, until)
            say("fitting the release")
            models = fit_models(past, until)
            say("sealing and registering")
            reference = past.rows([until - YOUNG_STEP_DAYS], until)  # percentiles, grades and the probe refer to it
            facts = _facts(shop, models, until)
            facts |= {"references": _references(reference, shop, models), "caps": _caps(reference, shop)}
            path = write_release(home, models, facts, report.as_list(), _golden(reference, shop))
            registry.log_report(report.as_list(), churn_plots(report.churn_truth, report.churn_predicted))
            version = registry.register(
                path, _inputs(models), _outputs(models), {"release": path.name, "shop": shop.name}
            )
        promote(home, path, who, when, f"trained on what was known before {date}")
        registry.mirror_champion(home, path.name)
    return {"release": path.name, "method": models.method, "version": version, "run_id": run_id} | _told(report)


def _told(report: Report) -> dict[str, Any]:
    return {"report": report.as_list(), "skipped": list(report.skipped)}


def _inputs(models: Models) -> list[str]:
    """Name the columns `pyfunc` reads."""
    return list(dict.fromkeys((*(models.scores.inputs.features if models.scores else ()), *NEEDED)))


def _outputs(models: Models) -> list[str]:
    value = ["clv_predicted_90d"]
    if models.scores is not None:
        value = ["clv_predicted_90d", "clv_predicted_365d"] if models.scores.value is not None else []
    return ["churn_probability", *value, *(f"next_order_p_{h}d" for h in HORIZONS)]


def _facts(shop: Shop, models: Models, until: int) -> dict[str, Any]:
    return {
        "shop": shop.name,
        "currency": shop.mapping.currency,
        "trained_until": until,
        "trained_until_date": shop.calendar.date(until).isoformat(),
        "data_snapshot": shop.version,
        "min_order_days": shop.mapping.predict.min_order_days,
        "lookback_days": shop.mapping.predict.lookback_days,
        "inputs": _inputs(models),
        "stored_features": catalog.stored_names(shop.tables),
        "tables": sorted(shop.tables & {f.needs for f in catalog.CATALOG.values()}),
    }


def _golden(frame: pd.DataFrame, shop: Shop) -> dict[str, Any]:
    """Take the feature values of a few customers without their ids: what the probe answers again."""
    chosen = frame.iloc[:: max(1, len(frame) // GOLDEN_ROWS)][:GOLDEN_ROWS]
    return {name: chosen[name].to_numpy() for name in (*catalog.model_inputs(shop.tables), "order_days_lookback")}


def _caps(frame: pd.DataFrame, shop: Shop) -> dict[str, list[float]]:
    """Give the lowest and highest of each stored feature among people: a bot's are brought within them."""
    names = [f.name for f in catalog.available(shop.tables) if f.kind == "stored" and f.is_model_input]
    return {name: [float(frame[name].min()), float(frame[name].max())] for name in names if frame[name].notna().any()}


def _references(frame: pd.DataFrame, shop: Shop, models: Models) -> dict[str, list[float]]:
    """Give the distributions that percentiles and grades refer to: frozen with the release, the same day and night."""
    columns = columns_of(frame, [*catalog.model_inputs(shop.tables), "order_days_lookback"])
    active = is_active(columns, shop.mapping.predict.min_order_days)
    churn, _, revenue = models.prior.predict(columns)
    year = revenue * 365 / 90
    if models.scores is not None:
        x, value = models.scores.inputs.matrix(columns), models.scores.value
        churn = models.scores.churn.predict(x)
        year = value.predict(x, models.scores.inputs.names)[:, 1] if value is not None else year
    churn = churn[active] if active.any() else churn
    return {
        "churn": np.maximum.accumulate(np.quantile(churn, np.linspace(0, 1, 101))).tolist(),
        "clv_365d": np.quantile(year, [0.2, 0.4, 0.6, 0.8]).tolist(),
    }
