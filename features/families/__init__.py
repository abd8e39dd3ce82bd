"""The feature families, one file each; their order is the order of CATALOG."""

from features.families import (
    basket,
    cadence,
    category,
    consent,
    discount,
    engagement,
    novelty,
    recency,
    timing,
    trend,
)

FAMILIES = (
    recency.FEATURES,
    cadence.FEATURES,
    trend.FEATURES,
    basket.FEATURES,
    category.FEATURES,
    discount.FEATURES,
    novelty.FEATURES,
    timing.FEATURES,
    engagement.FEATURES,
    consent.FEATURES,
)
