"""Whether what a customer ordered came when it was promised. A parcel is its order's customer's."""

from features.feature import derived, stored

TABLE = "shipments"

FEATURES = (
    stored("parcels_365d", "parcels", "Parcels sent in the last 365 days", "parcels", lambda t: t.count(where=t.age <= 365), TABLE),
    stored("parcels_under_way", "parcels", "Parcels sent in the last 60 days that have not come", "parcels", lambda t: t.count(where=t.is_under_way), TABLE, is_model_input=False),
    stored("parcels_overdue", "parcels", "Of the parcels under way, those past their promise", "parcels", lambda t: t.count(where=t.overdue_days > 0), TABLE),
    stored("parcel_overdue_days", "days", "Days past its promise of the most overdue parcel under way", "parcels", lambda t: t.overdue_days.max(), TABLE),
    stored("last_delivered_day", "day", "Day of the last delivery", "parcels", lambda t: t.delivered.max(), TABLE),
    stored("last_late_delivery_day", "day", "Day of the last delivery after its promise", "parcels", lambda t: t.delivered.max(where=t.delay > 0), TABLE),
    stored("delivery_delay_last", "days", "Days late of the last parcel (negative: early)", "parcels", lambda t: t.delay.max(where=t.nth_last == 1), TABLE, when_none=None),
    stored("delivery_delay_sum_3", "days", "Days late of the last three parcels, summed", "parcels", lambda t: t.delay.sum(where=t.nth_last <= 3), TABLE, when_none=None),
    stored("delivery_delay_n_3", "parcels", "Of the last three parcels, those with a promise and a delivery", "parcels", lambda t: t.delay.count(where=t.nth_last <= 3), TABLE),
    stored("delivery_delay_max_3", "days", "Days late of the latest of the last three parcels", "parcels", lambda t: t.delay.max(where=t.nth_last <= 3), TABLE, when_none=None),
    stored("late_deliveries_91d", "parcels", "Deliveries after their promise in the last 91 days", "parcels", lambda t: t.count(where=(t.delay > 0) & (t.delivered_age <= 91)), TABLE),
    stored("late_deliveries_365d", "parcels", "Deliveries after their promise in the last 365 days", "parcels", lambda t: t.count(where=(t.delay > 0) & (t.delivered_age <= 365)), TABLE),
    stored("deliveries_365d", "parcels", "Deliveries in the last 365 days", "parcels", lambda t: t.count(where=t.delivered_age <= 365), TABLE),
    derived("delivery_delay_mean_3", "days", "Mean days late of the last three parcels", "delivery_delay_sum_3 delivery_delay_n_3", lambda day, total, n: total / (n + 1e-9), TABLE),
    derived("late_delivery_share_365d", "share", "Deliveries after their promise, among those of 365 days", "late_deliveries_365d deliveries_365d", lambda day, late, n: late / (n + 1e-9), TABLE),
    derived("days_since_delivery", "days", "Days since the last delivery", "last_delivered_day", lambda day, last: day - last, TABLE),
    derived("days_since_late_delivery", "days", "Days since the last delivery after its promise", "last_late_delivery_day", lambda day, last: day - last, TABLE),
)  # fmt: skip
