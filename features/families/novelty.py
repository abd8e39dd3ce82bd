"""Whether a customer comes back to the same products or tries new ones."""

from features.feature import derived, stored

FEATURES = (
    stored("n_products", "products", "Products ever bought and kept", "customer_products", lambda t: t.count(where=t.purchases > 0)),
    stored("n_products_28d", "products", "Products bought in the last 28 days", "customer_products", lambda t: t.count(where=t.purchases_28d > 0)),
    stored("n_products_91d", "products", "Products bought in the last 91 days", "customer_products", lambda t: t.count(where=t.purchases_91d > 0)),
    stored("n_products_repeated", "products", "Products bought twice or more", "customer_products", lambda t: t.count(where=t.purchases >= 2)),
    stored("n_products_staple", "products", "Products bought five times or more", "customer_products", lambda t: t.count(where=t.purchases >= 5)),
    stored("n_products_new_28d", "products", "Products bought for the first time in the last 28 days", "customer_products", lambda t: t.count(where=(t.purchases_28d > 0) & (t.purchases_28d == t.purchases))),
    stored("n_products_new_91d", "products", "Products bought for the first time in the last 91 days", "customer_products", lambda t: t.count(where=(t.purchases_91d > 0) & (t.purchases_91d == t.purchases))),
    stored("product_purchases", "purchases", "Product and order pairs ever kept", "customer_products", lambda t: t.purchases.sum()),
    stored("product_favourite_purchases", "purchases", "Purchases of the most frequent product", "customer_products", lambda t: t.purchases.max()),
    derived("repeat_product_share", "share", "Products bought again, among all", "n_products_repeated n_products", lambda day, repeated, n: repeated / (n + 1e-9)),
    derived("new_product_share_28d", "share", "First-time products among those of the last 28 days", "n_products_new_28d n_products_28d", lambda day, new, n: new / (n + 1e-9)),
    derived("new_product_share_91d", "share", "First-time products among those of the last 91 days", "n_products_new_91d n_products_91d", lambda day, new, n: new / (n + 1e-9)),
    derived("purchases_per_product", "purchases", "How often a product is bought", "product_purchases n_products", lambda day, total, n: total / (n + 1e-9)),
    derived("favourite_per_order_day", "share", "Purchases of the favourite product per order day", "product_favourite_purchases n_order_days", lambda day, favourite, n: favourite / (n + 1e-9)),
)  # fmt: skip
