"""How recently, how often and for how much a customer has bought."""

from features.feature import derived, stored

WINDOWS = (7, 14, 28, 56, 91, 182, 365)  # days before as_of, whole business days

FEATURES = (
    stored("n_order_days", "days", "Days with a kept order, ever", "order_days", lambda t: t.count()),
    stored("n_orders", "orders", "Kept orders, ever", "order_days", lambda t: t.orders.sum()),
    stored("first_order_day", "day", "Day of the first kept order", "order_days", lambda t: t.day.min()),
    stored("last_order_day", "day", "Day of the last kept order", "order_days", lambda t: t.day.max()),
    stored(
        "order_days_lookback", "days", "Days with a kept order in the shop's own look-back", "order_days",
        lambda t: t.count(where=t.is_in_lookback), is_model_input=False,
    ),
    stored(
        "order_days_all", "days", "Days with a kept order, ever, those of a running subscription too", "customer_days",
        lambda t: t.count(where=t.orders > 0), is_model_input=False,
    ),
    stored(
        "orders_all", "orders", "Kept orders, ever, those of a running subscription too", "customer_days",
        lambda t: t.orders.sum(), is_model_input=False,
    ),
    stored("revenue_total", "currency", "Net revenue, ever", "customer_days", lambda t: t.revenue.sum()),
    *(
        stored(
            f"order_days_{w}d", "days", f"Days with a kept order in the last {w} days", "order_days",
            lambda t, w=w: t.count(where=t.age <= w),
        )
        for w in WINDOWS
    ),
    *(
        stored(
            f"revenue_{w}d", "currency", f"Net revenue of the last {w} days", "customer_days",
            lambda t, w=w: t.revenue.sum(where=t.age <= w),
        )
        for w in WINDOWS
    ),
    derived(
        "days_since_last_order", "days", "Whole days since the last kept order", "last_order_day",
        lambda day, last: day - last,
    ),
    derived(
        "days_since_first_order", "days", "Whole days since the first kept order", "first_order_day",
        lambda day, first: day - first,
    ),
    derived(
        "days_first_to_last", "days", "Days between the first and the last kept order", "first_order_day last_order_day",
        lambda day, first, last: last - first,
    ),
    derived(
        "mean_order_day_revenue", "currency", "Net revenue per day with a kept order", "revenue_total order_days_all",
        lambda day, revenue, n: revenue / (n + 1e-9),
    ),
    derived(
        "order_days_per_week", "days", "Order days per week since the first order", "n_order_days first_order_day",
        lambda day, n, first: 7.0 * n / (day - first + 7.0),
    ),
    derived(
        "revenue_per_week", "currency", "Net revenue per week since the first order", "revenue_total first_order_day",
        lambda day, revenue, first: 7.0 * revenue / (day - first + 7.0),
    ),
)  # fmt: skip
