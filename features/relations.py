"""What the families aggregate over: the lake's tables as they were known at one or several days.

Every relation has the grain its docstring states, an ``as_of_day`` and an ``age`` (whole days from the
row's day to ``as_of_day``, >= 1). Nothing on or after ``as_of_day``, and nothing known only then, is in it.
"""

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir

from features import signals
from features.known import KEYS, Known, aged

# Half-lives (days) of the decayed order counts; predictions.md: 30 and 90 alone almost match a full model.
HALF_LIVES = (14, 30, 90)
FIXED_POINT = 1 << 32
OLDEST_AGE = 7300  # 20 years: beyond it a decayed weight is zero in fixed point anyway


def decay_weights() -> ir.Table:
    """Give the fixed-point weight of an order by its age: integers, so that sums are exact in any order."""
    return ibis.memtable(
        {
            "age": list(range(OLDEST_AGE)),
            **{
                f"weight_{half_life}d": [round(FIXED_POINT * 2 ** (-age / half_life)) for age in range(OLDEST_AGE)]
                for half_life in HALF_LIVES
            },
        },
        schema={"age": "int64"} | {f"weight_{half_life}d": "int64" for half_life in HALF_LIVES},
    )


def customer_days(known: Known) -> ir.Table:
    """One row per as_of_day, customer and day with any line, order or return: sums as known."""
    rows = known("days")
    keys = [*KEYS, "day"]
    sums = {name: rows[name].sum() for name in rows.columns if name not in (*keys, "known_on")}
    return aged(rows.group_by(keys).aggregate(**sums))


def order_days(known: Known) -> ir.Table:
    """One row per as_of_day, customer and day with a kept order: the gap before it, its rank from the last,
    and whether it lies within the look-back of the shop's own definition of an active customer.

    Of who has a subscription running at as_of_day only the one-off orders count: parcels that come by
    themselves say nothing of the wish to come back.
    """
    rows = customer_days(known)
    if "subscriptions" in known.tables:
        rows = _one_off(rows, known)
    rows = rows.filter(rows.orders > 0)
    by_day: Any = ibis.window(group_by=KEYS, order_by="day")
    latest: Any = ibis.window(group_by=KEYS, order_by=ibis.desc("day"))
    rows = rows.mutate(gap=rows.day - rows.day.lag().over(by_day), nth_last=ibis.row_number().over(latest) + 1)
    rows = rows.mutate(is_in_lookback=rows.age <= known.lookback_days)
    return rows.left_join(decay_weights(), "age").drop("age_right")


def _one_off(rows: ir.Table, known: Known) -> ir.Table:
    """Take the subscription's orders out of the days of who has one running; no kind of order exceeds what is left."""
    states = signals.subscription_states(known)
    subscribers = states.filter(states.is_active).select(*KEYS).distinct()
    rows = rows.left_join(subscribers, KEYS).drop("as_of_day_right")
    by_itself = ibis.ifelse(rows.customer_id_right.notnull(), rows.orders_is_subscription, 0)
    rows = rows.mutate(orders=rows.orders - by_itself).drop("customer_id_right")
    kinds = [name for name in rows.columns if name.startswith("orders_")]
    return rows.mutate(**{name: ibis.least(rows[name], rows.orders) for name in kinds})


def customer_products(known: Known) -> ir.Table:
    """One row per as_of_day, customer and product: kept purchases, ever and in the last 28 and 91 days."""
    rows = aged(known("product_days"))
    return rows.group_by([*KEYS, "product_id"]).aggregate(
        purchases=rows.orders.sum(), **_purchases_within(rows, 28, 91)
    )


def customer_categories(known: Known) -> ir.Table:
    """One row per as_of_day, customer and top category: kept purchases in the last 28, 91 and 365 days."""
    rows = aged(known("category_days"))
    return rows.group_by([*KEYS, "category"]).aggregate(**_purchases_within(rows, 28, 91, 365))


def _purchases_within(rows: ir.Table, *windows: int) -> dict[str, Any]:
    return {f"purchases_{w}d": rows.orders.sum(where=rows.age <= w) for w in windows}


RELATIONS: dict[str, Callable[[Known], ir.Table]] = {
    "customer_days": customer_days,
    "order_days": order_days,
    "customer_products": customer_products,
    "customer_categories": customer_categories,
    "contact_days": signals.contact_days,
    "response_days": signals.response_days,
    "consent_states": signals.consent_states,
    "event_days": signals.event_days,
    "viewed_products": signals.viewed_products,
    "parcels": signals.parcels,
    "feedback": signals.feedback,
    "loyalty_days": signals.loyalty_days,
    "subscription_states": signals.subscription_states,
}
