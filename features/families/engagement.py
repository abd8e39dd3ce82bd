"""What the shop sent a customer and how they responded."""

from features.feature import derived, stored

FEATURES = (
    *(
        stored(
            f"contacts_{w}d", "messages", f"Messages sent in the last {w} days", "contact_days",
            lambda t, w=w: t.contacts.sum(where=t.age <= w), "contacts",
        )
        for w in (7, 28, 91, 365)
    ),
    stored("last_contact_day", "day", "Day of the last message", "contact_days", lambda t: t.day.max(), "contacts"),
    *(
        stored(
            f"{kind}s_365d", "responses", f"Responses of kind {kind} in the last 365 days", "response_days",
            lambda t, kind=kind: t[kind].sum(where=t.age <= 365), "responses",
        )
        for kind in ("open", "click", "redeem", "unsubscribe", "block", "complaint", "bounce")
    ),
    *(
        stored(
            f"{kind}s_91d", "responses", f"Responses of kind {kind} in the last 91 days", "response_days",
            lambda t, kind=kind: t[kind].sum(where=t.age <= 91), "responses",
        )
        for kind in ("open", "click")
    ),
    stored(
        "delivered_91d", "messages", "Messages reported delivered in the last 91 days, unknown if none", "response_days",
        lambda t: t.delivered.sum(where=t.age <= 91).nullif(0), "responses", when_none=None,
    ),
    stored("redeems_91d", "responses", "Coupons redeemed in the last 91 days", "response_days", lambda t: t.redeem.sum(where=t.age <= 91), "responses"),
    stored("last_redeem_day", "day", "Day of the last coupon redeemed", "response_days", lambda t: t.day.max(where=t.redeem > 0), "responses"),
    stored("last_leave_day", "day", "Day on which a channel was last unsubscribed from or blocked", "response_days", lambda t: t.day.max(where=t.unsubscribe + t.block > 0), "responses"),
    derived("open_rate_91d", "share", "Opens per message delivered, last 91 days", "opens_91d delivered_91d", lambda day, opens, n: opens / n, "responses"),
    derived("click_rate_91d", "share", "Clicks per message delivered, last 91 days", "clicks_91d delivered_91d", lambda day, clicks, n: clicks / n, "responses"),
    derived("days_since_leave", "days", "Days since a channel was last unsubscribed from or blocked", "last_leave_day", lambda day, last: day - last, "responses"),
    derived("days_since_contact", "days", "Days since the last message", "last_contact_day", lambda day, last: day - last, "contacts"),
    derived("days_since_redeem", "days", "Days since the last coupon redeemed", "last_redeem_day", lambda day, last: day - last, "responses"),
)  # fmt: skip
