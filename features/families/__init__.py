"""The feature families, one file each; their order is the order of CATALOG."""

from features.families import (
    basket,
    cadence,
    category,
    consent,
    discount,
    engagement,
    events,
    feedback,
    loyalty,
    novelty,
    recency,
    shipments,
    subscriptions,
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
    shipments.FEATURES,
    feedback.FEATURES,
    events.FEATURES,
    loyalty.FEATURES,
    subscriptions.FEATURES,
    consent.FEATURES,
)
