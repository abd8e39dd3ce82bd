"""What a customer looks at in the shop, as far as page events are theirs."""

from features.feature import derived, stored

TABLE = "events"

FEATURES = (
    *(
        stored(
            f"{kind}_{w}d", "events", f"Page events ({kind}) in the last {w} days", "event_days",
            lambda t, kind=kind, w=w: t[kind].sum(where=t.age <= w), TABLE,
        )
        for kind, windows in (("views", (7, 28)), ("carts", (7, 28)), ("searches", (28,)), ("wishlists", (28,)))
        for w in windows
    ),
    *(
        stored(
            f"visit_days_{w}d", "days", f"Days with a page event in the last {w} days", "event_days",
            lambda t, w=w: t.count(where=t.age <= w), TABLE,
        )
        for w in (7, 28)
    ),
    stored("carts_left", "events", "Carts filled in the last 28 days with no order on that day or later", "event_days", lambda t: t.carts_left.sum(), TABLE),
    stored("last_event_day", "day", "Day of the last page event", "event_days", lambda t: t.day.max(), TABLE),
    stored("last_cart_day", "day", "Day on which something was last put into the cart", "event_days", lambda t: t.day.max(where=t.carts > 0), TABLE),
    stored("products_viewed_28d", "products", "Products looked at in the last 28 days", "viewed_products", lambda t: t.count(), TABLE),
    derived("days_since_event", "days", "Days since the last page event", "last_event_day", lambda day, last: day - last, TABLE),
    derived("days_since_cart", "days", "Days since something was last put into the cart", "last_cart_day", lambda day, last: day - last, TABLE),
    derived("views_7d_share_of_28d", "share", "Views of the last 7 days among those of the last 28", "views_7d views_28d", lambda day, recent, all_: recent / (all_ + 1.0), TABLE),
)  # fmt: skip
