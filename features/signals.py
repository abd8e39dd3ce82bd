"""What a shop knows of a customer beside their orders: parcels, feedback, page events, messages, points, subscriptions.

Every relation has the grain its docstring states, an ``as_of_day`` and an ``age`` (whole days from the row's
day to ``as_of_day``, >= 1). A thing told of several times (a parcel under way, then delivered) is one row.
"""

from typing import Any

import ibis
import ibis.expr.types as ir

from features.known import EVENT_COUNTS, KEYS, RESPONSE_KINDS, Known, aged

# After these days without another word a thing is no longer under way: the export lost its end (engineering
# choice, 2026-11-22; the simulated shop's parcels take at most 11 days, its tickets at most 10).
PARCEL_DAYS, TICKET_DAYS = 60, 90
CART_DAYS = 28


def _before(day: Any, as_of_day: Any) -> Any:
    """Give a day that is over at ``as_of_day``; null for one still to come."""
    return ibis.ifelse(day < as_of_day, day, ibis.null("int64"))


def contact_days(known: Known) -> ir.Table:
    """One row per as_of_day, customer and day with a message sent: how many."""
    rows = known("contact_days")
    return aged(rows.group_by([*KEYS, "day"]).aggregate(contacts=rows.contacts.sum()))


def response_days(known: Known) -> ir.Table:
    """One row per as_of_day, customer and day with a reaction: how many of each kind."""
    rows = known("response_days")
    return aged(rows.group_by([*KEYS, "day"]).aggregate(**{kind: rows[kind].sum() for kind in RESPONSE_KINDS}))


def consent_states(known: Known) -> ir.Table:
    """One row per as_of_day, customer, channel and purpose: the newest word, as its instant (us) x 2 + refused.

    Of two words at the same instant the refusal stands.
    """
    rows = known("consents")
    seconds = rows["at"].truncate("s").epoch_seconds().cast("int64")
    instant = seconds * 1_000_000 + rows["at"].microsecond().cast("int64")
    return rows.group_by([*KEYS, "channel", "purpose"]).aggregate(
        newest=(instant * 2 + (~rows.granted).cast("int64")).max()
    )


def event_days(known: Known) -> ir.Table:
    """One row per as_of_day, customer and day with a page event: how many of each kind, and the carts left behind.

    A cart is left behind if no order was kept on its day or later, for four weeks.
    """
    rows = known("event_days")
    days = aged(rows.group_by([*KEYS, "day"]).aggregate(**{name: rows[name].sum() for name in EVENT_COUNTS.values()}))
    orders = known("days")
    orders = orders.group_by([*KEYS, "day"]).having(orders.orders.sum() > 0).aggregate(orders=orders.orders.sum())
    last = orders.group_by(KEYS).aggregate(ordered_day=orders.day.max())
    days = days.left_join(last, KEYS).drop("as_of_day_right", "customer_id_right")
    is_left = (days.age <= CART_DAYS) & (days.ordered_day.isnull() | (days.day > days.ordered_day))
    return days.mutate(carts_left=ibis.ifelse(is_left, days.carts, 0))


def viewed_products(known: Known) -> ir.Table:
    """One row per as_of_day, customer and product looked at in the last 28 days."""
    rows = aged(known("viewed_products"))
    return rows.filter(rows.age <= 28).group_by([*KEYS, "product_id"]).aggregate(age=rows.age.min())


def parcels(known: Known) -> ir.Table:
    """One row per as_of_day, customer and parcel: when it was promised, came or is overdue, and its rank from the last.

    ``delay`` is in days against the promise, negative if early; ``is_under_way`` if it was sent in the last
    60 days and has not come. Of several words the latest day stands.
    """
    rows = known("parcels")
    rows = rows.group_by([*KEYS, "order_id", "shipped_at"]).aggregate(
        day=rows.day.min(),
        promised=rows.promised_day.max(),
        delivered=_before(rows.delivered_day, rows.as_of_day).max(),
    )
    rows = aged(rows).mutate(delay=rows.delivered - rows.promised, delivered_age=rows.as_of_day - rows.delivered)
    is_under_way = rows.delivered.isnull() & (rows.age <= PARCEL_DAYS)
    overdue = ibis.ifelse(is_under_way & (rows.promised < rows.as_of_day), rows.as_of_day - rows.promised, 0)
    latest: Any = ibis.window(
        group_by=KEYS,
        order_by=[ibis.desc("delivered", nulls_first=False), ibis.desc("delay", nulls_first=False)],
    )
    return rows.mutate(
        is_under_way=is_under_way, overdue_days=overdue.fill_null(0), nth_last=ibis.row_number().over(latest) + 1
    )


def feedback(known: Known) -> ir.Table:
    """One row per as_of_day, customer and review, answer, ticket or request: open or not, and its rank of its kind.

    Told twice with two scores, the lower stands; what has had no end for 90 days is not open any more.
    """
    rows = known("feedback")
    rows = rows.group_by([*KEYS, "kind", "source", "order_id", "product_id", "opened_at"]).aggregate(
        day=rows.day.min(), score=rows.score.min(), closed=_before(rows.closed_day, rows.as_of_day).max()
    )
    rows = aged(rows)
    latest: Any = ibis.window(
        group_by=[*KEYS, "kind"], order_by=[ibis.desc("opened_at"), ibis.asc("score", nulls_first=False)]
    )
    may_be_open = rows.kind.isin(("ticket", "return_request")) & (rows.age <= TICKET_DAYS)
    return rows.mutate(is_open=may_be_open & rows.closed.isnull(), nth_last=ibis.row_number().over(latest) + 1)


def loyalty_days(known: Known) -> ir.Table:
    """One row per as_of_day, customer and day with a movement of points or tier: points and counts."""
    rows = known("loyalty_days")
    keys = [*KEYS, "day"]
    sums = {name: rows[name].sum() for name in rows.columns if name not in (*keys, "known_on")}
    return aged(rows.group_by(keys).aggregate(**sums))


def subscription_states(known: Known) -> ir.Table:
    """One row per as_of_day, customer and subscription: its state then, as the newest word known tells it.

    Words that became known on one day count together, the latest of their days. A pause or an end that lies
    on ``as_of_day`` or later has not come yet.
    """
    rows = known("subscriptions")
    one: Any = [*KEYS, "product_id", "started_at"]
    rows = rows.filter(rows.known_on == rows.known_on.max().over(group_by=one))
    rows = aged(
        rows.group_by(one).aggregate(
            day=rows.day.min(),
            cancelled=_before(rows.cancelled_day, rows.as_of_day).max(),
            paused=_before(rows.paused_day, rows.as_of_day).max(),
            next_ship=rows.next_ship_day.max(),
            interval_days=rows.interval_days.max(),
        )
    )
    runs = rows.cancelled.isnull()
    return rows.mutate(is_active=runs & rows.paused.isnull(), is_paused=runs & rows.paused.notnull())
