"""Blocks of a policy that contradict themselves or each other: control, budgets, tiers, channels, the calendar."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations

from serving.policy.examine.dead_ends import Dead
from serving.policy.examine.findings import Said, Setting, said
from serving.policy.examine.possible import impossible_lives
from serving.policy.examine.spoken import CHANNELS
from serving.policy.rules import Policy, Season
from serving.words import LIFECYCLES

ONLY_GIFTS: Said = ("特典がプレゼントではないため", "it is no gift")
OFFER_NO_EFFECT: Said = (
    "特典 {offer} の {key} は{because}、効果がありません",
    "{key} of the offer {offer} changes nothing: {because}",
)
NO_TREATMENT: Said = (
    "対照群の割合は合計{total:g}です。1以下にしてください",
    "the control shares come to {total:g}; together they must not exceed 1",
)
NOT_MEASURED: Said = (
    "販促が対照群の対象外のため、効果を測定できません",
    "marketing is exempt from control: what it brings cannot be measured",
)
ZERO_BUDGET: Said = (
    "予算 {name} が0です。費用のかかるものは何も送れません",
    "{name} is 0: nothing that costs anything goes out",
)
MONTH_SHORT: Said = (
    "月の予算({month:g})が1晩の予算({night:g})を下回ります",
    "the month's budget ({month:g}) is less than one night's ({night:g})",
)
OFFER_OVER_BUDGET: Said = (
    "特典 {offer} の予算({own:g})が月の予算({month:g})を上回ります",
    "the budget of {offer} ({own:g}) is more than the month's ({month:g})",
)
NO_LIFE: Said = ("顧客ステージ「{life}」になる顧客はいません", "by these edges no customer is ever {life}")
LOWEST_TIER: Said = (
    "最も低い会員ランク {tier} は{edge:g}からで、それ未満の顧客にはランクがありません",
    "the lowest tier {tier} begins at {edge:g}: who spends less has none",
)
LINE_NEEDS: Said = (
    "LINEに needs: line_user_id がなく、未連携の顧客にも送ろうとします",
    "line has no `needs: line_user_id`: it would be sent to who is not linked",
)
ODD_NEEDS: Said = ("{channel}に line_user_id は要りません", "{channel} does not need a line_user_id")
SEASON_OVER: Said = ("「{season}」は{until}に終わっています", "{season} ended on {until}")
SAME_SEASON: Said = ("「{season}」が重なる期間で2回あります", "{season} stands twice, and its days overlap")
SALE_WITHOUT_COUPONS: Said = (
    "「{one}」の全期間が「{other}」前のクーポン停止期間に入っています",
    "all of {one} lies in the days before {other} without coupons",
)
BLOCKS_ALL: Said = ("「{season}」はすべてのチャネルを停止します", "{season} blocks every channel")
BLOCKS_NONE: Said = (
    "「{season}」が停止する{channel}は、この方針にありません",
    "{season} blocks {channel}, which the policy does not have",
)


def contradictions(policy: Policy, setting: Setting) -> Iterator[Dead]:
    """List what the blocks around the scenarios say that is allowed and yet hardly meant."""
    yield from _control(policy)
    yield from _money(policy)
    yield from _people(policy)
    yield from _channels(policy)
    yield from _calendar(policy, setting)


def _control(policy: Policy) -> Iterator[Dead]:
    total = policy.control.global_share + policy.control.scenario_share
    if total > 1:
        yield "mistake", "control", "control_shares", said(NO_TREATMENT, total=total)
    if "marketing" in policy.control.exempt:
        yield "warning", "control.exempt", "not_measured", NOT_MEASURED


def _money(policy: Policy) -> Iterator[Dead]:
    budget = policy.budget
    for name in ("per_night", "per_month"):
        if getattr(budget, name) == 0:
            yield "mistake", f"budget.{name}", "zero_budget", said(ZERO_BUDGET, name=f"budget.{name}")
    if budget.per_night is not None and budget.per_month is not None and 0 < budget.per_month < budget.per_night:
        told = said(MONTH_SHORT, month=budget.per_month, night=budget.per_night)
        yield "warning", "budget.per_month", "month_short", told
    for name, own in budget.per_offer.items():
        if budget.per_month is not None and own > budget.per_month:
            told = said(OFFER_OVER_BUDGET, offer=name, own=own, month=budget.per_month)
            yield "warning", f"budget.per_offer.{name}", "offer_over_budget", told
    for name, offer in policy.offers.items():
        if offer.max_share_of_order is not None and offer.type != "gift":
            told = said(OFFER_NO_EFFECT, offer=name, key="max_share_of_order", because=ONLY_GIFTS)
            yield "warning", f"offers.{name}.max_share_of_order", "no_effect", told


def _people(policy: Policy) -> Iterator[Dead]:
    for life in impossible_lives(policy.lifecycle):
        yield "warning", "lifecycle", "no_life", said(NO_LIFE, life=LIFECYCLES[life])
    if policy.tiers is not None and policy.tiers.levels[0].from_ > 0:
        lowest = policy.tiers.levels[0]
        yield "warning", "tiers.levels.0", "lowest_tier", said(LOWEST_TIER, tier=lowest.id, edge=lowest.from_)


def _channels(policy: Policy) -> Iterator[Dead]:
    for name, channel in policy.channels.items():
        if name == "line" and channel.needs is None:
            yield "warning", "channels.line", "line_needs", LINE_NEEDS
        if name != "line" and channel.needs is not None:
            yield "warning", f"channels.{name}.needs", "odd_needs", said(ODD_NEEDS, channel=CHANNELS[name])


def _calendar(policy: Policy, setting: Setting) -> Iterator[Dead]:
    for n, season in enumerate(policy.calendar):
        at = f"calendar.{n}"
        if season.last < setting.as_of:
            yield "warning", at, "season_over", said(SEASON_OVER, season=season.name, until=season.last)
        if set(policy.channels) <= set(season.block):
            yield "warning", f"{at}.block", "blocks_all", said(BLOCKS_ALL, season=season.name)
        for name in season.block:
            if name not in policy.channels:
                told = said(BLOCKS_NONE, season=season.name, channel=CHANNELS[name])
                yield "warning", f"{at}.block", "blocks_none", told
    for (_, one), (n, other) in combinations(enumerate(policy.calendar), 2):
        yield from _two_seasons(one, other, f"calendar.{n}")


def _two_seasons(one: Season, other: Season, at: str) -> Iterator[Dead]:
    if one.name == other.name and one.first <= other.last and other.first <= one.last:
        yield "warning", at, "same_season", said(SAME_SEASON, season=one.name)
    for sale, later in ((one, other), (other, one)):
        rest = later.no_coupon_before
        if sale.no_coupon_before is None or rest is None:
            continue
        if later.first - timedelta(seconds=rest) <= sale.first and sale.last < later.first:
            yield "warning", at, "sale_without_coupons", said(SALE_WITHOUT_COUPONS, one=sale.name, other=later.name)
