"""What a member earns and spends in the loyalty programme, beside buying."""

from features.feature import derived, stored

TABLE = "loyalty_events"

FEATURES = (
    stored("points_earned_365d", "points", "Points earned in the last 365 days", "loyalty_days", lambda t: t.earned.sum(where=t.age <= 365), TABLE),
    stored("points_used_365d", "points", "Points used in the last 365 days", "loyalty_days", lambda t: t.used.sum(where=t.age <= 365), TABLE),
    stored("points_expired_365d", "points", "Points that expired in the last 365 days", "loyalty_days", lambda t: t.expired.sum(where=t.age <= 365), TABLE),
    stored("points_balance", "points", "Points earned less used and expired, ever", "loyalty_days", lambda t: t.earned.sum() - t.used.sum() - t.expired.sum(), TABLE),
    stored("other_earnings_90d", "movements", "Points earned for something other than buying, last 90 days", "loyalty_days", lambda t: t.other_earnings.sum(where=t.age <= 90), TABLE),
    stored("redemptions_90d", "movements", "Points used in the last 90 days, times", "loyalty_days", lambda t: t.redemptions.sum(where=t.age <= 90), TABLE),
    stored("redemptions_365d", "movements", "Points used in the last 365 days, times", "loyalty_days", lambda t: t.redemptions.sum(where=t.age <= 365), TABLE),
    stored("tier_ups_365d", "moves", "Moves to a higher tier in the last 365 days", "loyalty_days", lambda t: t.tier_ups.sum(where=t.age <= 365), TABLE),
    stored("tier_downs_365d", "moves", "Moves to a lower tier in the last 365 days", "loyalty_days", lambda t: t.tier_downs.sum(where=t.age <= 365), TABLE),
    stored("last_redemption_day", "day", "Day on which points were last used", "loyalty_days", lambda t: t.day.max(where=t.redemptions > 0), TABLE),
    stored("last_other_earning_day", "day", "Day on which points were last earned for something other than buying", "loyalty_days", lambda t: t.day.max(where=t.other_earnings > 0), TABLE),
    derived("points_used_share_365d", "share", "Points used over points earned, last 365 days", "points_used_365d points_earned_365d", lambda day, used, earned: used / (earned + 1.0), TABLE),
    derived("days_since_redemption", "days", "Days since points were last used", "last_redemption_day", lambda day, last: day - last, TABLE),
    derived("days_since_other_earning", "days", "Days since points were last earned for something other than buying", "last_other_earning_day", lambda day, last: day - last, TABLE),
)  # fmt: skip
