"""When a customer's products run out: by own intervals, by what the shop says of the product, by others' intervals."""

import numpy as np
import pandas as pd

from training.models.recommender import Recommender

FEWEST_ORDER_DAYS = 4  # three own gaps at least: with two, 7 % were bought within the window, with three 18 %
LEAST_AGAIN = 0.3  # of a product's buyers bought it on another day: a need that returns
PSEUDO_GAPS = 2.0  # how many of others' gaps an own interval of one or two begins with
WINDOW_SHARE = 0.25  # of the interval, either side
PER_CUSTOMER = 5
OVERDUE_INTERVALS = 1.5  # later than this the product was given up, not forgotten
# Best first: share bought within the window, and within 30 days (Complete Journey at 2017-10-09; the simulated shop's
# `product_days` at 2025-09-01): .18, .46; .02 to .09, .05 to .20; .05 to .08, .12 to .19 (2026-11-25).
BASES = ("own_interval", "product_days", "category_interval")
ACTED_ON = BASES[:2]  # a reminder because of others' intervals would be wrong for five in six


def replenishment_due(bought: pd.DataFrame, usual: pd.DataFrame, day: int, horizon_days: int = 14) -> pd.DataFrame:
    """List the products due within ``horizon_days`` of business day ``day``, or lately overdue.

    Parameters
    ----------
    bought
        As :func:`features.interactions.interactions` gives it.
    usual
        ``product_id``; ``cycle_days`` and ``again`` as the recommender knows them, ``lasts_days`` as the shop says;
        NaN where unknown.

    Returns
    -------
    DataFrame, sorted by ``customer_id``, ``due_day`` and ``product_id``, at most five a customer
        ``due_day`` (business day), ``window_days`` either side, ``basis`` (one of ``BASES``).
    """
    known = bought.merge(usual, on="product_id", how="left")
    gaps, span = known.n_order_days - 1, known.last_day - known.first_day
    shrunk = (span + PSEUDO_GAPS * known.cycle_days) / (gaps + PSEUDO_GAPS)
    pieces = np.maximum(known.quantity / known.n_order_days, 1.0)
    returns = (gaps >= 1) & (known.again >= LEAST_AGAIN)
    conditions = [gaps + 1 >= FEWEST_ORDER_DAYS, known.lasts_days.notna(), returns & shrunk.notna()]
    basis = np.select(conditions, range(len(BASES)), -1)
    interval = np.select(conditions, [span / gaps.clip(lower=1), known.lasts_days * pieces, shrunk], np.inf)
    due = known.last_day + np.rint(interval)
    late = (day - known.last_day) > OVERDUE_INTERVALS * interval
    table = pd.DataFrame(
        {
            "customer_id": known.customer_id,
            "product_id": known.product_id,
            "due_day": due,
            "window_days": np.maximum(1.0, np.rint(WINDOW_SHARE * interval)),
            "basis": basis,
            "n_order_days": known.n_order_days,
        }
    )[(basis >= 0) & ~late & (due <= day + horizon_days)]
    best = table.sort_values(
        ["customer_id", "basis", "n_order_days", "product_id"], ascending=[True, True, False, True]
    )
    kept: pd.DataFrame = best.groupby("customer_id").head(PER_CUSTOMER).drop(columns="n_order_days")
    kept = kept.assign(due_day=kept.due_day.astype("int64"), basis=np.array(BASES, dtype=object)[kept.basis])
    return kept.sort_values(["customer_id", "due_day", "product_id"], ignore_index=True)


def usual_intervals(recommender: Recommender, facts: pd.DataFrame) -> pd.DataFrame:
    """List what :func:`replenishment_due` reads of products; ``facts`` are :func:`features.products.products`."""
    lasts = facts[["product_id", "lasts_days"]].astype({"lasts_days": float})
    usual: pd.DataFrame = recommender.catalogue.cycles().merge(lasts, on="product_id", how="left")
    return usual
