"""What comes by itself: a customer's subscriptions (定期), running, paused and ended."""

from features.feature import derived, stored

TABLE = "subscriptions"

FEATURES = (
    stored("subscriptions_active", "subscriptions", "Subscriptions that run now", "subscription_states", lambda t: t.count(where=t.is_active), TABLE),
    stored("subscriptions_paused", "subscriptions", "Subscriptions that are paused now", "subscription_states", lambda t: t.count(where=t.is_paused), TABLE),
    stored("subscriptions_ever", "subscriptions", "Subscriptions ever begun", "subscription_states", lambda t: t.count(), TABLE),
    stored("subscriptions_cancelled", "subscriptions", "Subscriptions that have ended", "subscription_states", lambda t: t.cancelled.count(), TABLE),
    stored("last_subscription_start_day", "day", "Day on which a subscription last began", "subscription_states", lambda t: t.day.max(), TABLE),
    stored("last_subscription_cancel_day", "day", "Day on which a subscription last ended", "subscription_states", lambda t: t.cancelled.max(), TABLE),
    stored("subscription_interval_days", "days", "Shortest interval of the subscriptions that run now", "subscription_states", lambda t: t.interval_days.min(where=t.is_active), TABLE, when_none=None),
    stored("next_ship_day", "day", "Day of the next parcel of the subscriptions that run now, as last told", "subscription_states", lambda t: t.next_ship.min(where=t.is_active & (t.next_ship >= t.as_of_day)), TABLE),
    derived("days_since_subscription_start", "days", "Days since a subscription last began", "last_subscription_start_day", lambda day, last: day - last, TABLE),
    derived("days_since_subscription_cancel", "days", "Days since a subscription last ended", "last_subscription_cancel_day", lambda day, last: day - last, TABLE),
)  # fmt: skip
