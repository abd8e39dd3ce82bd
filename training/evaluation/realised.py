"""What came of a published night once its horizon is over: were its chances right, did writing bring anyone back."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from features.shop import Shop
from training import metrics
from training.labels import labels
from training.metrics import Interval

# Fixed, whatever a report takes: the same night gives the same bytes.
RESAMPLES = 200
# Customers that the figures with resampled intervals are of, evenly spaced: 0.5 CPU-s at most (2026-11-24).
SAMPLE = 20_000
# In each arm, for a verdict; below it only a difference of a fifth or more could show (faults.md B2, 2026-11-21).
FEWEST = 50
BANDS = ("low", "watch", "high", "critical")
TOO_SMALL = "too small to tell"
MEASURES: Mapping[str, Callable[..., float]] = {"ece": metrics.ece, "auc": metrics.auc}


def realised(
    shop: Shop, day: int, horizon_days: int, scores: pd.DataFrame, offers: pd.DataFrame, until: int
) -> dict[str, Any]:
    """Judge what was said of each customer on business day ``day`` by what they did in the horizon after it.

    Parameters
    ----------
    scores
        The night's ``customer_scores``: ``customer_id``, ``churn_probability``, ``churn_band`` and
        ``subscription_active``.
    offers
        The night's ``offer_allocations``: ``customer_id``, ``state``, ``arm``, ``guards_failed``, ``net_value``.
    until
        The business day as of whose start it is judged, at the earliest ``day`` + ``horizon_days``; what became
        known once the horizon was over changes nothing.

    Returns
    -------
    dict
        ``n``, ``predicted`` and ``observed`` (shares without an order), ``ece`` and ``auc``, ``by_band``; and
        ``lift``, of orders within the horizon among those who could be written to and among the control group.
        Observed figures are ``value, low, high`` with 95 % intervals, ``None`` where there is no answer.
    """
    subscribers = scores.customer_id[scores.subscription_active].to_frame().assign(as_of_day=day)
    known = labels(shop, [day], horizon_days, until, subscribers)
    came = known.set_index("customer_id").future_order_days > 0
    judged = scores[scores.churn_probability.notna() & scores.customer_id.isin(came.index)]
    left = ~came.reindex(judged.customer_id).to_numpy(dtype=bool)
    p = judged.churn_probability.to_numpy(dtype=np.float64)
    some = np.unique(np.linspace(0, len(p) - 1, min(len(p), SAMPLE)).astype(np.intp))
    measured = {name: metrics.bootstrap(of, left[some], p[some], n=RESAMPLES) for name, of in MEASURES.items()}
    return {
        **_share(left, p),
        **{name: _told(found) for name, found in measured.items()},
        "by_band": {
            band: _share(left[at], p[at]) for band in BANDS if (at := (judged.churn_band == band).to_numpy()).any()
        },
        "lift": _lift(offers, came),
    }


def _share(left: Any, p: Any) -> dict[str, Any]:
    predicted = round(float(p.mean()), 4) if len(p) else None
    return {"n": len(p), "predicted": predicted, "observed": _told(metrics.wilson(int(left.sum()), len(p)))}


def _lift(offers: pd.DataFrame, came: "pd.Series[bool]") -> dict[str, Any]:
    """Compare who came back among those an offer might go out to, and among those it was withheld from to measure.

    Both would have been written to but for the draw: an offer open to them, worth its cost, and no other guard.
    Whether a message went out is not known here.
    """
    if "state" not in offers:
        offers = pd.DataFrame(columns=["customer_id", "state", "arm", "guards_failed", "net_value"])
    is_control = (offers.arm == "control") & (offers.guards_failed == "CONTROL_GROUP") & (offers.net_value > 0)
    arms = (came.reindex(offers.customer_id[who]).dropna() for who in (offers.state == "send", is_control))
    (hits, n), (hits_beside, n_beside) = ((int(arm.sum()), len(arm)) for arm in arms)
    difference = metrics.newcombe(hits, n, hits_beside, n_beside)
    return {
        "treated": {"n": n, **_told(metrics.wilson(hits, n))},
        "control": {"n": n_beside, **_told(metrics.wilson(hits_beside, n_beside))},
        "difference": _told(difference),
        "verdict": TOO_SMALL if min(n, n_beside) < FEWEST else _verdict(difference),
    }


def _verdict(difference: Interval) -> str:
    if difference.low > 0:
        return "came back more often"
    return "came back less often" if difference.high < 0 else "no difference shown"


def _told(found: Interval) -> Mapping[str, float | None]:
    return {name: None if value != value else round(value, 4) for name, value in found._asdict().items()}
