"""How much a customer depends on discounts and coupons."""

from features.feature import derived, stored

FEATURES = (
    stored("discount_91d", "currency", "Discount taken in the last 91 days", "customer_days", lambda t: t.discount.sum(where=t.age <= 91)),
    stored("discount_365d", "currency", "Discount taken in the last 365 days", "customer_days", lambda t: t.discount.sum(where=t.age <= 365)),
    stored("discount_orders", "orders", "Kept orders with a discount, ever", "order_days", lambda t: t.orders_has_discount.sum()),
    stored("discount_orders_91d", "orders", "Kept orders with a discount in the last 91 days", "order_days", lambda t: t.orders_has_discount.sum(where=t.age <= 91)),
    stored("coupon_orders", "orders", "Kept orders with a coupon, ever", "order_days", lambda t: t.orders_has_coupon.sum()),
    stored("coupon_orders_91d", "orders", "Kept orders with a coupon in the last 91 days", "order_days", lambda t: t.orders_has_coupon.sum(where=t.age <= 91)),
    stored("last_coupon_day", "day", "Day of the last order with a coupon", "order_days", lambda t: t.day.max(where=t.orders_has_coupon > 0)),
    derived("promo_share", "share", "Orders bought with a discount, among all", "discount_orders n_orders", lambda day, promo, n: promo / (n + 1e-9)),
    derived("coupon_share", "share", "Orders bought with a coupon, among all", "coupon_orders n_orders", lambda day, promo, n: promo / (n + 1e-9)),
    derived("discount_depth_91d", "share", "Discount over discount and gross revenue, last 91 days", "discount_91d revenue_91d returned_91d", lambda day, discount, net, back: discount / (discount + net + back + 0.01)),
    derived("discount_depth_365d", "share", "Discount over discount and gross revenue, last 365 days", "discount_365d revenue_365d returned_365d", lambda day, discount, net, back: discount / (discount + net + back + 0.01)),
    derived("days_since_coupon", "days", "Days since the last order with a coupon", "last_coupon_day", lambda day, last: day - last),
)  # fmt: skip
