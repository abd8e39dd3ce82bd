"""What was known about each customer at an instant: the one frame behind training, the night and the service."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from features import catalog
from features.errors import BadInput
from features.feature import Feature
from features.identity import by_person
from features.known import KEYS, Known, Lake
from features.relations import RELATIONS
from features.shop import Shop


def feature_frame(shop: Shop, as_of: datetime | Sequence[datetime]) -> pd.DataFrame:
    """Describe every customer as they were known at the start of ``as_of``'s business day.

    Rows that happened on that day or later, or became known only then, change nothing.

    Parameters
    ----------
    shop
        The lake as it stands.
    as_of
        One instant or several, with a time zone.

    Returns
    -------
    DataFrame, shape (n_instants x n_customers, 2 + n_features), sorted by ``as_of`` and ``customer_id``
        ``customer_id`` (text), ``as_of`` (start of the business day, UTC) and every available feature of
        CATALOG as float64 in catalogue order, NaN where unknown.

    Raises
    ------
    ValueError
        If an instant has no time zone.
    BadInput
        If the shop knew no customer yet at any of the instants.
    """
    instants = [as_of] if isinstance(as_of, datetime) else list(as_of)
    days = sorted({shop.calendar.day(instant) for instant in instants})
    con = ibis.duckdb.connect()
    try:
        con.raw_sql("SET TimeZone = 'UTC'")
        frame: pd.DataFrame = _expression(con, shop, days).to_pandas()
    finally:
        con.disconnect()
    if frame.empty:
        raise BadInput(f"{shop.name}: no customer is known before {shop.calendar.date(days[-1])}")
    starts = {day: shop.calendar.start(day) for day in days}
    frame.insert(1, "as_of", frame.pop("as_of_day").map(starts).astype("datetime64[us, UTC]"))
    return frame


def _expression(con: ibis.BaseBackend, shop: Shop, days: Sequence[int]) -> ir.Table:
    """Write the frame as one Ibis expression over the lake, ordered by its key."""
    features = [f for f in catalog.available(shop.tables) if f.kind == "stored"]
    as_of = ibis.memtable({"as_of_day": list(days)}, schema={"as_of_day": "int64"})
    lake = Lake(con, shop)

    @cache  # one table, one node of the expression: what several relations share is computed once
    def rows(name: str) -> ir.Table:
        seen = lake.table(name).cross_join(as_of)
        seen = seen.filter((seen.day < seen.as_of_day) & (seen.known_on < seen.as_of_day))
        return by_person(seen, shop, tuple(days), "events")

    known = Known(rows, frozenset(shop.tables), shop.mapping.predict.lookback_days)
    frame = _universe(known)
    for relation in dict.fromkeys(feature.relation for feature in features):
        aggregated = _aggregate(RELATIONS[relation](known), [f for f in features if f.relation == relation])
        frame = frame.left_join(aggregated, KEYS).drop("as_of_day_right", "customer_id_right")
    columns: dict[str, Any] = {f.name: _filled(frame[f.name], f) for f in features}
    columns |= catalog.derive(columns, frame.as_of_day.cast("float64"), shop.tables)
    ordered = {f.name: columns[f.name].cast("float64") for f in catalog.available(shop.tables)}
    return frame.select("customer_id", "as_of_day", **ordered).order_by(KEYS)


def _universe(known: Known) -> ir.Table:
    """List who was known: whoever had ordered, and whoever stood on the customer list."""
    who = known("days").select(*KEYS).distinct()
    return who.union(known("customers").select(*KEYS), distinct=True) if "customers" in known.tables else who


def _aggregate(rows: ir.Table, features: Sequence[Feature]) -> ir.Table:
    return rows.group_by(KEYS).aggregate(**{f.name: f.compute(rows).cast("float64") for f in features})


def _filled(column: Any, feature: Feature) -> Any:
    return column if feature.when_none is None else column.fill_null(feature.when_none)
