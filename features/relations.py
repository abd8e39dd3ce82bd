"""What the families aggregate over: the lake's additive tables as they were known at one or several days.

Every relation has the grain its docstring states, an ``as_of_day`` and an ``age`` (whole days from the
row's day to ``as_of_day``, >= 1). Nothing on or after ``as_of_day``, and nothing known only then, is in it.
"""

from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir

from features.shop import Shop

Known = Callable[[str], ir.Table]  # a lake table's rows known at each as_of_day, with `as_of_day` added

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


def _aged(table: ir.Table) -> ir.Table:
    return table.mutate(age=table.as_of_day - table.day)


def customer_days(known: Known, lookback_days: int = 0) -> ir.Table:
    """One row per as_of_day, customer and day with any line, order or return: sums as known."""
    rows = known("days")
    keys = ["as_of_day", "customer_id", "day"]
    sums = {name: rows[name].sum() for name in rows.columns if name not in (*keys, "known_on")}
    return _aged(rows.group_by(keys).aggregate(**sums))


def order_days(known: Known, lookback_days: int) -> ir.Table:
    """One row per as_of_day, customer and day with a kept order: the gap before it, its rank from the last,
    and whether it lies within the look-back of the shop's own definition of an active customer."""
    rows = customer_days(known).filter(lambda t: t.orders > 0)
    by_day: Any = ibis.window(group_by=["as_of_day", "customer_id"], order_by="day")
    latest: Any = ibis.window(group_by=["as_of_day", "customer_id"], order_by=ibis.desc("day"))
    rows = rows.mutate(gap=rows.day - rows.day.lag().over(by_day), nth_last=ibis.row_number().over(latest) + 1)
    rows = rows.mutate(is_in_lookback=rows.age <= lookback_days)
    return rows.left_join(decay_weights(), "age").drop("age_right")


def customer_products(known: Known, lookback_days: int = 0) -> ir.Table:
    """One row per as_of_day, customer and product: kept purchases, ever and in the last 28 and 91 days."""
    rows = _aged(known("product_days"))
    return rows.group_by(["as_of_day", "customer_id", "product_id"]).aggregate(
        purchases=rows.orders.sum(), **_purchases_within(rows, 28, 91)
    )


def customer_categories(known: Known, lookback_days: int = 0) -> ir.Table:
    """One row per as_of_day, customer and top category: kept purchases in the last 28, 91 and 365 days."""
    rows = _aged(known("category_days"))
    return rows.group_by(["as_of_day", "customer_id", "category"]).aggregate(**_purchases_within(rows, 28, 91, 365))


def _purchases_within(rows: ir.Table, *windows: int) -> dict[str, Any]:
    return {f"purchases_{w}d": rows.orders.sum(where=rows.age <= w) for w in windows}


def contact_days(known: Known, lookback_days: int = 0) -> ir.Table:
    """One row per as_of_day, customer and day with a message sent: how many."""
    rows = known("contact_days")
    return _aged(rows.group_by(["as_of_day", "customer_id", "day"]).aggregate(contacts=rows.contacts.sum()))


def response_days(known: Known, lookback_days: int = 0) -> ir.Table:
    """One row per as_of_day, customer and day with a reaction: how many of each kind."""
    rows = known("response_days")
    sums = {kind: rows[kind].sum() for kind in RESPONSE_KINDS}
    return _aged(rows.group_by(["as_of_day", "customer_id", "day"]).aggregate(**sums))


def consent_states(known: Known, lookback_days: int = 0) -> ir.Table:
    """One row per as_of_day, customer, channel and purpose: the newest word, as its instant (us) x 2 + refused.

    Of two words at the same instant the refusal stands.
    """
    rows = known("consents")
    seconds = rows["at"].truncate("s").epoch_seconds().cast("int64")
    instant = seconds * 1_000_000 + rows["at"].microsecond().cast("int64")
    return rows.group_by(["as_of_day", "customer_id", "channel", "purpose"]).aggregate(
        newest=(instant * 2 + (~rows.granted).cast("int64")).max()
    )


RESPONSE_KINDS = ("open", "click", "redeem", "unsubscribe")

RELATIONS: dict[str, Callable[[Known, int], ir.Table]] = {
    "customer_days": customer_days,
    "order_days": order_days,
    "customer_products": customer_products,
    "customer_categories": customer_categories,
    "contact_days": contact_days,
    "response_days": response_days,
    "consent_states": consent_states,
}


def lake_table(con: ibis.BaseBackend, shop: Shop, name: str) -> ir.Table:
    """Read one of the lake's tables with its ``customer_id``, ``day`` and ``known_on``."""

    def part(table: str, **options: Any) -> ir.Table:
        return con.read_parquet([str(path) for path in shop.parts(table)], **options)

    if name == "category_days":
        products = part("products", filename=True)  # the folders of loads sort by their number: the newest word stands
        newest: Any = ibis.window(group_by="product_id", order_by=ibis.desc("filename"))
        products = products.mutate(nth_last=ibis.row_number().over(newest), category=products.category.split(" > ")[0])
        top = products.filter(products.nth_last == 0)[["product_id", "category"]]
        return part("product_days").inner_join(top.filter(top.category.notnull()), "product_id")
    if name == "contact_days":
        contacts = part("contacts")
        contacts = contacts.filter(~contacts.withheld.fill_null(False))
        return contacts.mutate(contacts=ibis.literal(1, "int64"))
    if name == "response_days":
        responses = part("responses")
        responses = responses.filter(responses.customer_id.notnull())
        return responses.mutate(**{kind: (responses.kind == kind).cast("int64") for kind in RESPONSE_KINDS})
    if name == "events":
        return part("events", union_by_name=True)  # the loads of a first version name no alias
    return part(name)
