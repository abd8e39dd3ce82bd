"""The mix of categories a customer buys (the first level of the product's category path)."""

from features.feature import derived, stored

FEATURES = (
    *(
        stored(
            f"n_categories_{w}d", "categories", f"Categories bought in the last {w} days", "customer_categories",
            lambda t, w=w: t.count(where=t[f"purchases_{w}d"] > 0), "products",
        )
        for w in (28, 91, 365)
    ),
    *(
        stored(
            f"category_purchases_{w}d", "purchases", f"Purchases in known categories, last {w} days", "customer_categories",
            lambda t, w=w: t[f"purchases_{w}d"].sum(), "products",
        )
        for w in (91, 365)
    ),
    *(
        stored(
            f"category_purchases_top_{w}d", "purchases", f"Purchases in the largest category, last {w} days", "customer_categories",
            lambda t, w=w: t[f"purchases_{w}d"].max(), "products",
        )
        for w in (91, 365)
    ),
    *(
        derived(
            f"category_top_share_{w}d", "share", f"Share of the largest category, last {w} days",
            f"category_purchases_top_{w}d category_purchases_{w}d", lambda day, top, total: top / (total + 1e-9), "products",
        )
        for w in (91, 365)
    ),
    derived(
        "categories_lapsed", "categories", "Categories bought in 365 days but not in the last 91",
        "n_categories_365d n_categories_91d", lambda day, all_, recent: all_ - recent, "products",
    ),
)  # fmt: skip
