"""Whether a customer buys more or less than before: each window against the equal window before it."""

from features.feature import derived, stored

PAIRS = ((14, 28), (28, 56), (91, 182))

FEATURES = (
    *(
        derived(
            f"order_days_trend_{short}d", "difference", f"Order days of the last {short} days less those of the {short} before",
            f"order_days_{short}d order_days_{long}d",
            lambda day, recent, both: recent + recent - both,
        )
        for short, long in PAIRS
    ),
    *(
        derived(
            f"revenue_trend_{short}d", "currency", f"Revenue of the last {short} days less that of the {short} before, per order day",
            f"revenue_{short}d revenue_{long}d order_days_{long}d",
            lambda day, recent, both, n: (recent + recent - both) / (n + 1.0),
        )
        for short, long in PAIRS
    ),
    derived(
        "order_days_28d_share_of_182d", "share", "Order days of the last 28 days among those of the last 182",
        "order_days_28d order_days_182d", lambda day, recent, all_: recent / (all_ + 1.0),
    ),
    stored(
        "order_days_same_weeks_last_year", "days", "Order days in the 28 days that followed this day a year ago", "order_days",
        lambda t: t.count(where=(t.age <= 364) & (t.age > 336)),
    ),
)  # fmt: skip
