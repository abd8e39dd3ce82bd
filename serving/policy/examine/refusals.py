"""Why a scenario is due for nobody, and why an offer of it can never be given: what the guards would say every time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

from serving.policy.candidates import SURVEY_AFTER
from serving.policy.columns import ANCHOR
from serving.policy.due import WHO, who_of
from serving.policy.examine import refusal_words as why
from serving.policy.examine.findings import Reason, Setting, said
from serving.policy.examine.possible import impossible_lives, is_possible
from serving.policy.examine.unspoken import budgets
from serving.policy.filters import Condition, Filter, names
from serving.policy.guards.terms import STANDING
from serving.policy.rules import GIFT_SMALL, MONEY, Lifecycle, Offer, Policy, Scenario
from serving.policy.spans import DAY
from serving.words import LIFECYCLES

# Decided of a customer after the scenarios are due: a scenario that asks for it waits for its own answer.
DECIDED = (
    "action_scenario", "action_offer_id", "action_channel", "action_net_value", "arm", "send_allowed", "guards_failed",
    "reason_codes",
)  # fmt: skip
# Anchors of which the customer has ordered, and those that are about no order (features.occasions).
OF_BUYERS = (
    "order.placed", "order.first", "shipment.shipped_at", "shipment.promised_at", "shipment.delivered_at",
    "replenishment.due_on", "anniversary",
)  # fmt: skip
OF_NO_ORDER = ("customer.signed_up_at", "birthday", "anniversary", "points.expire_on")
CONTENT = ("csat", "open_ticket")


@dataclass(frozen=True)
class Aim:
    """A scenario as a check looks at it: its filter, and what is known of whoever its anchor is about."""

    policy: Policy
    scenario: Scenario
    setting: Setting

    @property
    def margin(self) -> float:
        """Give the margin of revenue that offers are reckoned with."""
        said = self.policy.margin_share
        return self.setting.margin_share if said is None else said

    @cached_property
    def who(self) -> Filter:
        return who_of(self.scenario)

    @cached_property
    def given(self) -> tuple[Condition, ...]:
        """What is known of everybody a scenario's anchor is about."""
        anchor, found = self.scenario.anchor, []
        if anchor in OF_BUYERS:
            found.append(Condition("order_count", WHO["order_count"], low=1.0))
        if anchor in OF_NO_ORDER or anchor == "event.cart":
            found.append(Condition("delivered", ANCHOR["delivered"], among=(False,)))
        opens = self.scenario.window[0] if self.scenario.window else 0
        if anchor == "shipment.delivered_at" and opens >= 0:
            found.append(Condition("delivered", ANCHOR["delivered"], among=(True,)))
        if anchor in ("order.placed", "order.first"):
            found.append(Condition("order_after_due", ANCHOR["order_after_due"], among=(True,)))
        return tuple(found)

    @cached_property
    def never(self) -> frozenset[tuple[str, bool]]:
        """What can never be said of whoever an anchor is about: an answer without an order, a tag of no product."""
        found = {(name, holds) for name in DECIDED for holds in (True, False)}
        if self.scenario.anchor in (*OF_NO_ORDER, "event.cart", "replenishment.due_on"):
            found |= {("csat", True), ("csat", False)}
        if self.scenario.anchor in OF_NO_ORDER:
            found.add(("tag", True))
        return frozenset(found)

    def reaches(self, *further: Condition) -> bool:
        """Tell whether the scenario could be about anybody of whom something further holds."""
        return is_possible(self.who, self.policy, self.setting.as_of, (*self.given, *further), self.never)

    @cached_property
    def tiers(self) -> tuple[str, ...]:
        """List the policy's tiers whose members the scenario lets in."""
        levels = self.policy.tiers.levels if self.policy.tiers else ()
        return tuple(lv.id for lv in levels if self.reaches(Condition("tier", WHO["tier"], among=(lv.id,))))

    @cached_property
    def needs_tier(self) -> bool:
        never = self.never | {("tier", True), ("tier", False)}
        return not is_possible(self.who, self.policy, self.setting.as_of, self.given, never)


# ---- the scenario as a whole


def scenario_reasons(aim: Aim) -> Iterator[Reason]:
    """Say why a scenario can never go out, whatever its offers and channels."""
    scenario, pressure, control = aim.scenario, aim.policy.pressure, aim.policy.control
    yield from _nobody(aim)
    if _closes_too_early(scenario):
        yield Reason("survey_too_early", why.TOO_EARLY)
    if scenario.kind == "review_request":
        yield from _reviews(aim)
    if scenario.purpose == "marketing":
        if _within_recent_order(aim):
            yield Reason("recent_order", said(why.JUST_ORDERED, days=pressure.recent_order // DAY))
        if 0 in pressure.selling.values():
            yield Reason("no_selling", why.NO_SELLING)
    if scenario.purpose == "survey" and pressure.survey is not None and 0 in pressure.survey.cap.values():
        yield Reason("no_surveys", why.NO_SURVEYS)
    if scenario.purpose not in control.exempt and 1.0 in (control.global_share, control.scenario_share):
        yield Reason("all_control", why.ALL_CONTROL)


def _nobody(aim: Aim) -> Iterator[Reason]:
    """Say why nobody can be meant, most particular first."""
    scenario, policy, day = aim.scenario, aim.policy, aim.setting.as_of
    asked, later = names(aim.who), frozenset((name, holds) for name in DECIDED for holds in (True, False))
    if not is_possible(aim.who, policy, day):
        edges = policy.model_copy(update={"lifecycle": Lifecycle()})
        lives = impossible_lives(policy.lifecycle)
        if "lifecycle" in asked and lives and is_possible(aim.who, edges, day):
            told = tuple("・".join(LIFECYCLES[life][n] for life in lives) for n in range(2))
            yield Reason("no_such_life", said(why.NO_SUCH_LIFE, lives=told))
        else:
            yield Reason("who_contradicts", why.CONTRADICTS)
    elif not is_possible(aim.who, policy, day, never=later):
        yield Reason("decided_later", said(why.DECIDED_LATER, fields=", ".join(sorted(asked & set(DECIDED)))))
    elif not aim.reaches():
        yield Reason("who_against_anchor", said(why.AGAINST_ANCHOR, anchor=scenario.anchor))
    elif scenario.kind == "replenishment" and not aim.reaches(
        Condition("subscription_active", WHO["subscription_active"], among=(False,))
    ):
        yield Reason("subscribers_only", why.SUBSCRIBERS)


def _closes_too_early(scenario: Scenario) -> bool:
    about_parcel = scenario.kind == "arrival_survey" and scenario.anchor == "shipment.delivered_at"
    return about_parcel and scenario.window is not None and scenario.window[1] <= SURVEY_AFTER


def _reviews(aim: Aim) -> Iterator[Reason]:
    scenario = aim.scenario
    if names(aim.who) & set(CONTENT):
        yield Reason("review_gating", why.GATED)
    pays = any(offer in aim.policy.offers for offer in scenario.offer_ids)
    if pays and not (scenario.same_reward_for_any_rating and scenario.disclose):
        yield Reason("review_reward", why.UNEQUAL)


def _within_recent_order(aim: Aim) -> bool:
    """Tell whether a window closes before an order is old enough to sell again, at whatever hour it was placed."""
    scenario, rest = aim.scenario, aim.policy.pressure.recent_order // DAY
    if scenario.window is None or scenario.anchor not in ("order.placed", "order.first"):
        return False
    latest = (
        calendar.day(calendar.start(day + 1) + timedelta(seconds=scenario.window[1] - 2)) - day
        for calendar, day in aim.setting.days
    )
    return max(latest) <= rest


# ---- one offer of it


def offer_reasons(aim: Aim, name: str) -> Iterator[Reason]:
    """Say why a scenario can never give an offer; ``none`` is a message alone."""
    offer = aim.policy.offers.get(name)
    yield from () if offer is None else _own_reasons(aim, name, offer)
    yield from () if offer is None else _tier_reasons(aim, name)
    if aim.scenario.purpose == "marketing":
        yield from _pressure_reasons(aim, offer)


def _own_reasons(aim: Aim, name: str, offer: Offer) -> Iterator[Reason]:
    if offer.valid is not None and offer.valid.last < aim.setting.as_of:
        yield Reason("offer_over", said(why.OVER, until=offer.valid.last))
    if season := _all_before_a_sale(aim.policy, offer):
        yield Reason("coupon_rest", said(why.COUPON_REST, season=season))
    if offer.stock == 0:
        yield Reason("no_stock", why.NO_STOCK)
    if offer.per_night == 0:
        yield Reason("offer_per_night", why.NONE_A_NIGHT)
    least = offer_cost(offer)
    own = aim.policy.budget.per_offer.get(name)
    for budget, most in (*budgets(aim.policy), *([] if own is None else [(f"budget.per_offer.{name}", own)])):
        if least > most or (most == 0 and budget.endswith(name)):
            yield Reason("budget", said(why.NO_BUDGET, budget=budget, most=most))
    if _too_thin(offer, aim.margin):
        yield Reason("margin_floor", said(why.THIN, margin=aim.margin, floor=offer.margin_floor), is_soft=True)
    if offer.type == "gift" and offer.max_share_of_order == 0 and _gift_worth(offer) > _free_gift(aim.setting.currency):
        yield Reason("gift_limit", why.GIFT)


def offer_cost(offer: Offer) -> float:
    """Give what an offer costs at the least, whether or not an order comes."""
    granted = (offer.value or 0.0) * offer.redemption if offer.type == "points" else 0.0
    return (offer.cost or 0.0) + granted


def _gift_worth(offer: Offer) -> float:
    return offer.value if offer.value is not None else offer.cost or 0.0


def _free_gift(currency: str | None) -> float:
    """Give what a gift with a small order may be worth whatever the policy says."""
    return 0.0 if currency not in ("JPY", None) else GIFT_SMALL


def _too_thin(offer: Offer, margin: float) -> bool:
    """Tell whether no order keeps the margin an offer demands: of a percentage the order's size does not matter."""
    if offer.margin_floor is None:
        return False
    if offer.percent is not None:
        off = offer.percent / 100
        return off >= 1 or (margin - off) / (1 - off) < offer.margin_floor
    takes = bool(offer.value)
    return margin < offer.margin_floor or (takes and margin == offer.margin_floor and margin < 1)


def _all_before_a_sale(policy: Policy, offer: Offer) -> str | None:
    """Name the season before which there is no coupon, if an offer is valid then only."""
    if offer.type != "coupon" or offer.valid is None:
        return None
    for season in policy.calendar:
        rest = season.no_coupon_before
        begins = None if rest is None else season.first - timedelta(seconds=rest)
        if begins is not None and begins <= offer.valid.first and offer.valid.last < season.first:
            return season.name
    return None


def _tier_reasons(aim: Aim, name: str) -> Iterator[Reason]:
    given = {tier for tier, offers in aim.scenario.offers_by_tier.items() if name in offers}
    if aim.scenario.offers_by_tier:
        if not given & set(aim.tiers):
            yield Reason("no_tier", why.NO_TIER)
    elif _is_had_anyway(aim, name):
        yield Reason("perk_anyway", why.PERK, is_soft=True)


def _is_had_anyway(aim: Aim, name: str) -> bool:
    """Tell whether every tier a scenario goes to has an offer all the time."""
    levels = aim.policy.tiers.levels if aim.policy.tiers else ()
    mine = [level for level in levels if level.id in aim.tiers]
    is_standing = aim.policy.offers[name].type in STANDING
    return bool(is_standing and mine and aim.needs_tier and all(name in level.perks for level in mine))


def _pressure_reasons(aim: Aim, offer: Offer | None) -> Iterator[Reason]:
    pressure, kind = aim.policy.pressure, "none" if offer is None else offer.type
    anyway = pressure.would_buy_anyway
    if kind == "coupon" and (0 in pressure.coupon.values() or (anyway is not None and anyway.p_order_without == 0)):
        yield Reason("no_coupons", why.NO_COUPONS)
    if kind in MONEY and pressure.content_share is not None and pressure.content_share.min == 1:
        yield Reason("content_only", why.CONTENT_ONLY)
    if offer is not None and _never_pays(offer, aim.margin):
        yield Reason("never_pays", said(why.NEVER_PAYS, margin=aim.margin, lift=offer.lifts[1]), is_soft=True)


def _never_pays(offer: Offer, margin: float) -> bool:
    """Tell whether an offer earns nothing of anybody: it brings nobody back, or takes off all that an order earns."""
    off = 0.0 if offer.percent is None or offer.type == "points" else offer.percent / 100 * offer.redemption
    costs = off > 0 or bool(offer.value) or bool(offer.cost)
    return costs and (offer.lifts[1] <= 0 or off >= margin)
