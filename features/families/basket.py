"""What a visit looks like: lines, pieces, money, and how much of it varies or comes back."""

from features.bots import BOT_LINES
from features.feature import derived, stored

FEATURES = (
    stored("lines_91d", "lines", "Lines bought in the last 91 days", "customer_days", lambda t: t.lines.sum(where=t.age <= 91)),
    stored("lines_365d", "lines", "Lines bought in the last 365 days", "customer_days", lambda t: t.lines.sum(where=t.age <= 365)),
    stored("orders_91d", "orders", "Kept orders in the last 91 days", "order_days", lambda t: t.orders.sum(where=t.age <= 91)),
    stored("orders_28d", "orders", "Kept orders in the last 28 days", "order_days", lambda t: t.orders.sum(where=t.age <= 28)),
    stored("quantity_91d", "pieces", "Net pieces of the last 91 days", "customer_days", lambda t: t.quantity.sum(where=t.age <= 91)),
    stored("order_day_revenue_max", "currency", "Largest revenue of an order day", "order_days", lambda t: t.revenue.max(), when_none=None),
    stored("order_day_revenue_min", "currency", "Smallest revenue of an order day", "order_days", lambda t: t.revenue.min(), when_none=None),
    stored("order_day_revenue_last", "currency", "Revenue of the last order day", "order_days", lambda t: t.revenue.max(where=t.nth_last == 1), when_none=None),
    stored("lines_last", "lines", "Lines of the last order day", "order_days", lambda t: t.lines.max(where=t.nth_last == 1)),
    stored("lines_max", "lines", "Most lines of an order day", "order_days", lambda t: t.lines.max()),
    stored("large_visits_91d", "days", "Order days with ten lines or more in the last 91 days", "order_days", lambda t: t.count(where=(t.age <= 91) & (t.lines >= 10))),
    stored("small_visits_91d", "days", "Order days with three lines or fewer in the last 91 days", "order_days", lambda t: t.count(where=(t.age <= 91) & (t.lines <= 3))),
    stored("return_lines_365d", "lines", "Lines returned in the last 365 days", "customer_days", lambda t: t.return_lines.sum(where=t.age <= 365)),
    stored("is_bot", "yes/no", "More than 50,000 lines ever: no person (1)", "customer_days", lambda t: (t.lines.sum() + t.return_lines.sum() > BOT_LINES).cast("int64"), is_model_input=False),
    stored("returned_91d", "currency", "Value returned in the last 91 days", "customer_days", lambda t: t.returned.sum(where=t.age <= 91)),
    stored("returned_365d", "currency", "Value returned in the last 365 days", "customer_days", lambda t: t.returned.sum(where=t.age <= 365)),
    derived("lines_per_order_day_91d", "lines", "Lines per order day in the last 91 days", "lines_91d order_days_91d", lambda day, lines, n: lines / (n + 1e-9)),
    derived("revenue_per_order_day_91d", "currency", "Revenue per order day in the last 91 days", "revenue_91d order_days_91d", lambda day, revenue, n: revenue / (n + 1e-9)),
    derived("revenue_per_line_91d", "currency", "Revenue per line in the last 91 days", "revenue_91d lines_91d", lambda day, revenue, n: revenue / (n + 1e-9)),
    derived("last_less_mean_revenue", "currency", "Revenue of the last order day less the mean one", "order_day_revenue_last revenue_total n_order_days", lambda day, last, total, n: last - total / (n + 1e-9)),
    derived("orders_per_order_day_91d", "orders", "Orders per order day in the last 91 days", "orders_91d order_days_91d", lambda day, orders, n: orders / (n + 1e-9)),
)  # fmt: skip
