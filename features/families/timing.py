"""When in the day and week a customer buys, and through which kind of order."""

from features.days import DAYPARTS
from features.feature import derived, stored

FEATURES = (
    *(
        stored(
            f"orders_{part}", "orders", f"Kept orders placed in the {part} (local time)", "order_days",
            lambda t, part=part: t[f"orders_is_{part}"].sum(),
        )
        for part in DAYPARTS
    ),
    stored(
        "weekend_order_days", "days", "Order days on a Saturday or Sunday", "order_days",
        lambda t: t.count(where=(t.day + 3) % 7 >= 5),
    ),
    stored(
        "weekend_order_days_91d", "days", "Order days on a Saturday or Sunday in the last 91 days", "order_days",
        lambda t: t.count(where=((t.day + 3) % 7 >= 5) & (t.age <= 91)),
    ),
    stored(
        "subscription_orders", "orders", "Kept orders that a subscription placed", "customer_days",
        lambda t: t.orders_is_subscription.sum(),
    ),
    *(
        derived(
            f"{part}_share", "share", f"Orders placed in the {part}, among all", f"orders_{part} n_orders",
            lambda day, some, n: some / (n + 1e-9),
        )
        for part in DAYPARTS
    ),
    derived(
        "weekend_share", "share", "Order days at the weekend, among all", "weekend_order_days n_order_days",
        lambda day, some, n: some / (n + 1e-9),
    ),
    derived("weekday", "day of week", "Day of the week of as_of (Monday 0)", "n_order_days", lambda day, n: (day + 3.0) % 7.0 + 0.0 * n),
)  # fmt: skip
