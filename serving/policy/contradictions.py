"""What a policy says that is allowed and yet hardly meant: parts that contradict each other or change nothing."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import combinations

from serving.policy.dead_ends import Dead
from serving.policy.due import ranks
from serving.policy.findings import Said, Setting, named, place, said
from serving.policy.possible import impossible_lives
from serving.policy.rules import SURVEYS, Kind, Policy, Scenario, Season
from serving.policy.spans import HOUR
from serving.policy.spoken import ANCHORS, CHANNELS, PURPOSES, window
from serving.words import LIFECYCLES

# What a kind is about (contracts.md section 5): another anchor works and is seldom meant.
USUAL_ANCHORS: dict[Kind, tuple[str, ...]] = {
    "thanks": ("order.placed", "order.first"),
    "delay_notice": ("shipment.promised_at",),
    "arrival_survey": ("shipment.delivered_at",),
    "make_it_right": ("feedback.csat", "feedback.review", "feedback.ticket_closed"),
    "review_request": ("shipment.delivered_at",),
    "welcome": ("customer.signed_up_at", "order.first"),
    "replenishment": ("replenishment.due_on",),
    "birthday": ("birthday",),
    "anniversary": ("anniversary",),
    "points_expiring": ("points.expire_on",),
    "cart": ("event.cart",),
}
# Windows of Japanese practice (contracts.md section 5), hours after the anchor.
PRACTICE: dict[Kind, tuple[int, int]] = {"thanks": (24, 48), "arrival_survey": (48, 72)}
SELLING: tuple[Kind, ...] = ("second_order", "cart", "new_product", "win_back")
OWED: tuple[Kind, ...] = ("thanks", "delay_notice", "make_it_right")

AS_OWED: Said = (
    "{scenario}は販促ですが、目的が{purpose}のため許諾や配信上限の確認を受けません",
    "{scenario} sells, but as {purpose} it passes the guards of consent and caps",
)
ASKS_AS: Said = (
    "{scenario}は顧客に尋ねるものですが、目的が{purpose}です",
    "{scenario} asks something of the customer, but its purpose is {purpose}",
)
OWED_AS: Said = (
    "{scenario}は顧客への連絡ですが、目的が{purpose}のため許諾のない顧客には届きません",
    "{scenario} is owed to the customer, but as {purpose} it needs their consent",
)
MAYBE_SELLS: Said = (
    "{scenario}の目的が{purpose}です。特典や宣伝を含む場合は marketing にしてください",
    "the purpose of {scenario} is {purpose}; if it advertises, write marketing",
)
SIGN_BEFORE: Said = (
    "{scenario}の before は期間({window})が起点より後です。around または after と書いてください",
    "{scenario} says before, but its window ({window}) lies after; write around or after",
)
SIGN_AFTER: Said = (
    "{scenario}の after は期間({window})が起点より前です。around または before と書いてください",
    "{scenario} says after, but its window ({window}) begins before; write around or before",
)
NO_ANCHOR: Said = (
    "{scenario}に起点がなく、対象の顧客に毎日配信され得ます。ふつうは{usual}です",
    "{scenario} has no anchor and is due every day; the usual one is {usual}",
)
ODD_ANCHOR: Said = (
    "{scenario}の起点は{anchor}です。ふつうは{usual}です",
    "{scenario} is anchored to {anchor}; the usual anchor is {usual}",
)
OUTSIDE: Said = (
    "{scenario}の期間({window})は標準の{low}〜{high}時間と異なります",
    "the window of {scenario} ({window}) is not the usual {low}-{high} hours",
)
UNHAPPY_LEFT_OUT: Said = (
    "{scenario}に after_ticket_closed がないため、問い合わせが長引いた顧客には依頼されません",
    "{scenario} has no after_ticket_closed: whose ticket closes late is never asked",
)
NO_EFFECT: Said = ("{scenario}の {key} は{because}、効果がありません", "{key} of {scenario} changes nothing: {because}")
WITHOUT_ANCHOR: Said = ("起点がないため", "there is no anchor")
ONLY_REVIEWS: Said = ("レビュー依頼ではないため", "it is no review request")
NOTHING_EXPIRES: Said = ("期限のある特典がないため", "none of its offers expires")
ONLY_GIFTS: Said = ("特典がプレゼントではないため", "it is no gift")
OFFER_NO_EFFECT: Said = (
    "特典 {offer} の {key} は{because}、効果がありません",
    "{key} of the offer {offer} changes nothing: {because}",
)
TWICE: Said = ("{scenario}の {key} に {word} が2回あります", "{word} stands twice in {key} of {scenario}")
TIER_LEFT_OUT: Said = (
    "{scenario}の offers_by_tier に会員ランク {tier} がなく、その顧客には届きません",
    "offers_by_tier of {scenario} does not name the tier {tier}: its members get nothing",
)
OTHER_CHANNEL: Said = (
    "{scenario}の channels に{channel}はありませんが、特典 {offer} は{channel}で届きます",
    "{scenario} does not list {channel}, but its offer {offer} goes over {channel} alone",
)
NEVER_WINS: Said = (
    "{scenario}は、対象が同じで特典も多い{other}に必ず負けます",
    "{scenario} can never win: {other} goes to the same customers with all its offers and more",
)
SECOND_ONLY: Said = (
    "{scenario}は、対象と期間が同じ{other}を送った後にしか配信されません",
    "{scenario} goes out only after {other}, which has the same customers, window and offers",
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
LABELS_DISAGREE: Said = (
    "「{one}」と「{other}」は重なりますが、no_training_labels が異なります",
    "{one} and {other} overlap, but disagree on no_training_labels",
)
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
    """List what contradicts itself or changes nothing, scenarios first."""
    for scenario in policy.scenarios:
        at = place(policy, scenario)
        yield from _purpose(scenario, at)
        yield from _when(scenario, at)
        yield from _without_effect(policy, scenario, at)
        yield from _words(policy, scenario, at)
    yield from _never_win(policy)
    yield from _control(policy)
    yield from _money(policy)
    yield from _people(policy)
    yield from _channels(policy)
    yield from _calendar(policy, setting)


def _purpose(scenario: Scenario, at: str) -> Iterator[Dead]:
    """A kind that sells may not pass for a service: the guards would let it through."""
    told = {"scenario": named(scenario), "purpose": PURPOSES[scenario.purpose]}
    if scenario.purpose == "marketing":
        if scenario.kind in SURVEYS:
            yield "warning", f"{at}.purpose", "purpose", said(ASKS_AS, **told)
        elif scenario.kind in OWED:
            yield "warning", f"{at}.purpose", "purpose", said(OWED_AS, **told)
    elif scenario.kind in SELLING:
        yield "mistake", f"{at}.purpose", "sells_as_service", said(AS_OWED, **told)
    elif scenario.kind in SURVEYS and scenario.purpose == "service":
        yield "mistake", f"{at}.purpose", "asks_as_service", said(ASKS_AS, **told)
    elif scenario.kind in OWED and scenario.purpose == "survey":
        yield "warning", f"{at}.purpose", "purpose", said(OWED_AS, **told)
    elif scenario.kind not in (*OWED, *SURVEYS):
        yield "warning", f"{at}.purpose", "purpose", said(MAYBE_SELLS, **told)


def _when(scenario: Scenario, at: str) -> Iterator[Dead]:
    usual, name = USUAL_ANCHORS.get(scenario.kind, ()), named(scenario)
    words = ANCHORS[usual[0]] if usual else ("", "")
    if scenario.window is None:
        if usual:
            yield "warning", at, "no_anchor", said(NO_ANCHOR, scenario=name, usual=words)
        return
    opens, closes = scenario.window
    told = window(opens, closes)
    if scenario.before and closes > 0:
        yield "mistake", f"{at}.window", "sign", said(SIGN_BEFORE, scenario=name, window=told)
    if scenario.after and opens < 0:
        yield "mistake", f"{at}.window", "sign", said(SIGN_AFTER, scenario=name, window=told)
    if usual and scenario.anchor is not None and scenario.anchor not in usual:
        anchor = ANCHORS[scenario.anchor]
        yield "warning", at, "odd_anchor", said(ODD_ANCHOR, scenario=name, anchor=anchor, usual=words)
    elif scenario.kind in PRACTICE:
        low, high = PRACTICE[scenario.kind]
        if opens < low * HOUR or closes > high * HOUR:
            yield "warning", f"{at}.window", "practice", said(OUTSIDE, scenario=name, window=told, low=low, high=high)


def _without_effect(policy: Policy, scenario: Scenario, at: str) -> Iterator[Dead]:
    idle: list[tuple[str, Said]] = []
    if scenario.anchor is None:
        idle += [(key, WITHOUT_ANCHOR) for key in ("once_per", "stop_on") if getattr(scenario, key) is not None]
    if scenario.kind != "review_request":
        idle += [(key, ONLY_REVIEWS) for key in ("same_reward_for_any_rating", "disclose") if getattr(scenario, key)]
    elif scenario.after_ticket_closed is None:
        yield "warning", at, "unhappy_left_out", said(UNHAPPY_LEFT_OUT, scenario=named(scenario))
    offers = [policy.offers[name] for name in scenario.offer_ids if name in policy.offers]
    if scenario.remind_unused is not None and not any(offer.expires for offer in offers):
        idle.append(("remind_unused", NOTHING_EXPIRES))
    for key, because in idle:
        words = said(NO_EFFECT, scenario=named(scenario), key=key, because=because)
        yield "warning", f"{at}.{key}", "no_effect", words


def _words(policy: Policy, scenario: Scenario, at: str) -> Iterator[Dead]:
    lists = {key: getattr(scenario, key) for key in ("offers", "ladder", "channels")}
    lists |= {f"offers_by_tier.{tier}": given for tier, given in scenario.offers_by_tier.items()}
    for key, given in lists.items():
        for word in sorted({word for word in given if given.count(word) > 1}):
            yield "warning", f"{at}.{key}", "twice", said(TWICE, scenario=named(scenario), key=key, word=word)
    for level in policy.tiers.levels if policy.tiers and scenario.offers_by_tier else ():
        if not scenario.offers_by_tier.get(level.id):
            told = said(TIER_LEFT_OUT, scenario=named(scenario), tier=level.id)
            yield "warning", f"{at}.offers_by_tier", "tier_left_out", told
    for name in scenario.offer_ids if scenario.channels else ():
        own = policy.offers[name].channel if name in policy.offers else None
        if own is not None and own not in scenario.channels:
            told = said(OTHER_CHANNEL, scenario=named(scenario), channel=CHANNELS[own], offer=name)
            yield "warning", f"{at}.channels", "other_channel", told


def _never_win(policy: Policy) -> Iterator[Dead]:
    """Of two scenarios for the same customers the one that offers no more than the other never goes first."""
    rank, lost = ranks(policy), set()
    order = sorted(range(len(policy.scenarios)), key=lambda n: (rank[n], n))
    for first, later in combinations(order, 2):
        pairs = [(first, later), (later, first)] if rank[first] == rank[later] else [(first, later)]
        for winner, loser in pairs:
            best, other = policy.scenarios[winner], policy.scenarios[loser]
            if _covers(policy, best, other) and not lost & {winner, loser}:
                lost.add(loser)
                words = NEVER_WINS if other.anchor is None else SECOND_ONLY
                yield (
                    "warning",
                    place(policy, other),
                    "never_wins",
                    said(words, scenario=named(other), other=named(best)),
                )


def _covers(policy: Policy, winner: Scenario, loser: Scenario) -> bool:
    same = ("kind", "purpose", "after", "around", "before", "window", "who", "stop_on", "after_ticket_closed")
    if any(getattr(winner, key) != getattr(loser, key) for key in same) or winner.ladder or loser.ladder:
        return False
    if winner.offers_by_tier or loser.offers_by_tier:
        return False
    return _ways(policy, loser) <= _ways(policy, winner)


def _ways(policy: Policy, scenario: Scenario) -> set[tuple[str, str]]:
    return {(name, channel) for name in scenario.offer_ids for channel in policy.channels_of(scenario, name)}


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
    if one.first <= other.last and other.first <= one.last:
        if one.name == other.name:
            yield "warning", at, "same_season", said(SAME_SEASON, season=one.name)
        if one.no_training_labels != other.no_training_labels:
            yield "warning", at, "labels_disagree", said(LABELS_DISAGREE, one=one.name, other=other.name)
    for sale, later in ((one, other), (other, one)):
        rest = later.no_coupon_before
        if sale.no_coupon_before is None or rest is None:
            continue
        if later.first - timedelta(seconds=rest) <= sale.first and sale.last < later.first:
            yield "warning", at, "sale_without_coupons", said(SALE_WITHOUT_COUPONS, one=sale.name, other=later.name)
