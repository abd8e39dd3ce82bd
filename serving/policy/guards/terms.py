"""Guards of the offer itself: its margin, its limit as a gift, whose tier it is for, what a review may earn."""

import numpy as np

from serving.policy.due import who_of
from serving.policy.filters import names
from serving.policy.guards.case import Case, Verdict
from serving.policy.rules import GIFT_ORDER_FROM, GIFT_SHARE, GIFT_SMALL, Policy
from serving.policy.situation import Flags

STANDING = ("free_shipping", "early_access")  # a perk of this kind is had all the time; others are given each time


def margin_floor(case: Case) -> Verdict:
    """What is left of an order after the discount keeps the margin that the offer demands."""
    floor = case.by_offer(lambda offer: np.nan if offer.margin_floor is None else offer.margin_floor)
    revenue = case.theirs(np.nan_to_num(case.facts["mean_order_day_revenue"]))
    least = case.by_offer(lambda offer: offer.min_spend)
    percent, value = case.by_offer(lambda offer: offer.percent or 0.0), case.by_offer(lambda offer: offer.value or 0.0)
    revenue = np.fmax(revenue, least)
    off = revenue * percent / 100 + np.where(percent > 0, 0.0, value)
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = (revenue * case.margin_share - off) / (revenue - off)
    return Verdict(~np.isnan(floor) & ~((kept >= floor) & (revenue > off)))


def gift_limit(case: Case) -> Verdict:
    """A gift stays within a share of the order it goes with: the policy's own, and in Japan the premium limits."""
    gift = np.asarray(case.incentive == "gift", np.bool_)
    revenue = case.theirs(np.nan_to_num(case.facts["mean_order_day_revenue"]))
    own = case.by_offer(lambda offer: np.nan if offer.max_share_of_order is None else offer.max_share_of_order)
    if case.currency == "JPY":
        legal = np.where(revenue >= GIFT_ORDER_FROM, GIFT_SHARE * revenue, GIFT_SMALL)
    else:
        legal = np.full(len(case), np.inf)
    most = np.fmin(legal, own * revenue)
    worth = case.by_offer(lambda offer: offer.value if offer.value is not None else offer.cost or 0.0)
    return Verdict(gift & (worth > most))


def tier(case: Case) -> Verdict:
    """An offer made by tier goes to its tier; and nobody is offered what their tier gives them all the time."""
    theirs = case.around.words.get("tier", np.full(case.around.n, None, object))[case.c.customer]
    fails = case.none()
    perks = {level.id: set(level.perks) for level in (case.policy.tiers.levels if case.policy.tiers else ())}
    for place, option in enumerate(case.c.options):
        rows = case.c.option == place
        if option.scenario == "none" or not rows.any():
            continue
        by_tier, offer = case.policy.scenario(option.scenario).offers_by_tier, option.offer or "none"
        if by_tier and not option.is_reminder:
            fails |= rows & ~np.isin(theirs, [level for level, given in by_tier.items() if offer in given])
        elif option.incentive in STANDING:
            fails |= rows & np.isin(theirs, [level for level, has in perks.items() if offer in has])
    return Verdict(fails)


def review_incentive(case: Case) -> Verdict:
    """Whoever is asked for a review gets the same reward for any rating, and everyone is asked."""
    bad = {s.id for s in case.policy.scenarios if s.kind == "review_request" and _gates_reviews(case.policy, s.id)}
    wrong = np.array([option.scenario in bad for option in case.c.options] or [False], np.bool_)
    return Verdict(wrong[case.c.option])


def _gates_reviews(policy: Policy, scenario_id: str) -> bool:
    """Tell whether a scenario asks only some for a review, by how content they are, or does not pay all the same."""
    scenario = policy.scenario(scenario_id)
    pays = any(offer in policy.offers for offer in scenario.offer_ids)
    only_some = names(who_of(scenario)) & {"csat", "open_ticket"}
    same = scenario.same_reward_for_any_rating and scenario.disclose and len(scenario.offer_ids) == 1
    return bool(only_some) or (pays and not same)


def active_subscription(case: Case) -> Verdict:
    """Who gets it sent anyway is not told that it runs out."""
    running = case.facts.get("subscriptions_active")
    if running is None:
        return Verdict(case.none())
    return Verdict(is_refill(case) & (case.theirs(running) > 0))


def is_refill(case: Case) -> Flags:
    found = [
        option.kind == "replenishment"
        or (option.kind != "none" and case.policy.scenario(option.scenario).anchor == "replenishment.due_on")
        for option in case.c.options
    ]
    return np.array(found or [False], np.bool_)[case.c.option]
