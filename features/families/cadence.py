"""A customer's own rhythm: the gaps between order days, and how the present silence compares with them."""

from features.feature import derived, stored
from features.relations import FIXED_POINT, HALF_LIVES

KTH = (2, 3, 4, 5, 8, 12, 20)

FEATURES = (
    stored("gap_days_sum", "days", "Sum of the gaps between order days", "order_days", lambda t: t.gap.sum(), when_none=None),
    stored(
        "gap_days_squared_sum", "days2", "Sum of the squared gaps", "order_days", lambda t: (t.gap * t.gap).sum(), when_none=None,
    ),
    stored("gap_days_longest", "days", "Longest gap between order days", "order_days", lambda t: t.gap.max(), when_none=None),
    stored("gap_days_shortest", "days", "Shortest gap between order days", "order_days", lambda t: t.gap.min(), when_none=None),
    stored(
        "gap_days_last", "days", "Gap before the last order day", "order_days", lambda t: t.gap.max(where=t.nth_last == 1),
        when_none=None,
    ),
    *(
        stored(
            f"order_day_last_{k}", "day", f"Day of the {k}th last order day", "order_days",
            lambda t, k=k: t.day.max(where=t.nth_last == k),
        )
        for k in KTH
    ),
    *(
        stored(
            f"orders_decayed_{h}d", "orders", f"Order days, halved in weight every {h} days", "order_days",
            lambda t, h=h: t[f"weight_{h}d"].sum().cast("float64") / FIXED_POINT,
        )
        for h in HALF_LIVES
    ),
    *(
        stored(
            f"active_weeks_{w}", "weeks", f"Of the last {w} weeks, those with a kept order", "order_days",
            lambda t, w=w: ((t.age - 1) // 7).nunique(where=t.age <= 7 * w),
        )
        for w in (8, 12, 26)
    ),
    derived(
        "gap_days_mean", "days", "Mean gap between order days", "gap_days_sum n_order_days",
        lambda day, total, n: total / (n - 1.0 + 1e-9),
    ),
    derived(
        "gap_days_variance", "days2", "Variance of the gaps", "gap_days_squared_sum gap_days_sum n_order_days",
        lambda day, squares, total, n: squares / (n - 1.0 + 1e-9) - (total / (n - 1.0 + 1e-9)) * (total / (n - 1.0 + 1e-9)),
    ),
    derived(
        "silence_ratio", "ratio", "Days silent over the customer's own mean gap", "last_order_day gap_days_sum n_order_days",
        lambda day, last, total, n: (day - last) * (n - 1.0) / total,
    ),
    derived(
        "silence_to_longest_gap", "ratio", "Days silent over the customer's longest gap", "last_order_day gap_days_longest",
        lambda day, last, longest: (day - last) / longest,
    ),
    derived(
        "gap_trend", "ratio", "Mean of the last three gaps over the mean gap",
        "last_order_day order_day_last_4 gap_days_sum n_order_days",
        lambda day, last, fourth, total, n: (last - fourth) / 3.0 * (n - 1.0) / total,
    ),
    derived(
        "last_gap_to_mean", "ratio", "Gap before the last order day over the mean gap", "gap_days_last gap_days_sum n_order_days",
        lambda day, gap, total, n: gap * (n - 1.0) / total,
    ),
    *(
        derived(
            f"days_since_order_{k}", "days", f"Days since the {k}th last order day", f"order_day_last_{k}",
            lambda day, last: day - last,
        )
        for k in KTH
    ),
)  # fmt: skip
