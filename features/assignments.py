"""Who was drawn to be written to and who to be left alone, as known at an instant: the arms of a shop's experiments."""

from collections.abc import Callable, Sequence

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.identity import persons, teach
from features.messages import contacts_sql
from features.shop import Shop

GLOBAL = "global"  # the experiment of all that is done against nothing
ARMS = ("treatment", "control")
COLUMNS = ("experiment", "customer_id", "arm", "at", "day", "is_ours", "cost")

IsControl = Callable[[Sequence[str]], NDArray[np.bool_]]


def assignments(shop: Shop, day: int, window_days: int, is_global_control: IsControl | None = None) -> pd.DataFrame:
    """List each customer's first decision in each experiment, contacted or not: what they were meant to get counts.

    An experiment is a scenario (a campaign, where the shop names no scenario) of which anything was withheld to
    measure it. What is sent to everybody is none.

    Parameters
    ----------
    day
        Contacts before it, and known before it, are seen (business day, exclusive).
    window_days
        After a first decision; what messages cost within it is the customer's cost.
    is_global_control
        Tells of ids which are withheld everything, by the policy's draw. They take no part in a scenario's own
        experiment; against them stands everyone else who was decided on, in the experiment ``global``. Only rows
        with a ``decision_id`` are decisions of this draw.

    Returns
    -------
    DataFrame, one row per experiment and customer, sorted by both
        ``experiment``, ``customer_id`` (the person's), ``arm`` (treatment, control), ``at`` (seconds since 1970, UTC,
        of the first decision), ``day`` (its business day), ``is_ours`` (it was decided by the policy's draw) and
        ``cost`` (of messages sent, currency).
    """
    if contacts_sql(shop) is None:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in zip(COLUMNS, "OOOdl?d", strict=True)})
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        _read(con, shop, day)
        con.register("left_alone", _left_alone(con, is_global_control))
        return con.execute(_FIRST, {"window": window_days, "decided": is_global_control is not None}).df()


def _read(con: duckdb.DuckDBPyConnection, shop: Shop, day: int) -> None:
    """Write `contacts`: what was decided and known before ``day``, by person and experiment."""
    con.execute(
        "CREATE TEMP TABLE contacts AS"
        f" SELECT coalesce(scenario, campaign_id) AS experiment, person({day}, customer_id) AS person, customer_id,"
        ' epoch("at") AS decided_at, day, contact_id, decision_id IS NOT NULL AS is_ours,'
        " coalesce(withheld, false) AS is_withheld, CASE WHEN withheld THEN 0 ELSE coalesce(cost, 0) END AS cost"
        f" FROM ({contacts_sql(shop)})"
        f" WHERE day < {day} AND known_on < {day} AND coalesce(scenario, campaign_id) IS NOT NULL"
    )


def _left_alone(con: duckdb.DuckDBPyConnection, is_global_control: IsControl | None) -> pd.DataFrame:
    """List the ids among our decisions that are withheld everything."""
    ids = con.execute("SELECT DISTINCT customer_id FROM contacts WHERE is_ours ORDER BY 1").df().customer_id
    drawn = np.zeros(len(ids), np.bool_) if is_global_control is None else is_global_control(list(ids))
    return pd.DataFrame({"left_alone": ids[drawn].astype(str)})


_FIRST = f"""
    WITH drawn AS (
        SELECT *, is_ours AND customer_id IN (SELECT left_alone FROM left_alone) AS is_left_alone FROM contacts
    ), tested AS (
        SELECT experiment, person, decided_at, day, contact_id, is_ours, is_withheld, cost FROM drawn
        WHERE NOT is_left_alone AND experiment IN (SELECT experiment FROM drawn WHERE is_withheld AND NOT is_left_alone)
        UNION ALL
        SELECT '{GLOBAL}', person, decided_at, day, contact_id, is_ours, is_left_alone, cost FROM drawn
        WHERE is_ours AND $decided AND experiment IN (SELECT experiment FROM drawn WHERE is_withheld)
    ), firsts AS (
        FROM tested QUALIFY row_number() OVER (PARTITION BY experiment, person ORDER BY decided_at, contact_id) = 1
    )
    SELECT f.experiment, f.person AS customer_id,
           CASE WHEN f.is_withheld THEN 'control' ELSE 'treatment' END AS arm,
           f.decided_at AS "at", f.day, f.is_ours, sum(t.cost)::DOUBLE AS cost
    FROM firsts f JOIN tested t ON t.experiment = f.experiment AND t.person = f.person
         AND t.decided_at >= f.decided_at AND t.day <= f.day + $window
    GROUP BY ALL ORDER BY ALL
"""
