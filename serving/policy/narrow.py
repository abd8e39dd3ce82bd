"""A policy narrowed to what a caller asks about: some of its offers and channels."""

from collections.abc import Collection

from serving.policy.rules import Policy, Scenario


def narrow(
    policy: Policy, scenario: Scenario, offers: Collection[str] | None, channels: Collection[str] | None
) -> Scenario | None:
    """Keep of a scenario the offers and channels asked for; ``None`` where nothing of it is left."""
    kept = _some_offers(scenario, offers)
    if kept is None or channels is None:
        return kept
    left = tuple(name for name in scenario.channels or policy.channels if name in channels)
    return kept.model_copy(update={"channels": left}) if left else None


def _some_offers(scenario: Scenario, offers: Collection[str] | None) -> Scenario | None:
    if offers is None:
        return scenario
    if not set(scenario.offer_ids) & set(offers):
        return None
    some = {name: tuple(o for o in getattr(scenario, name) if o in offers) for name in ("offers", "ladder")}
    by_tier = {tier: tuple(o for o in given if o in offers) for tier, given in scenario.offers_by_tier.items()}
    return scenario.model_copy(update=some | {"offers_by_tier": by_tier})
