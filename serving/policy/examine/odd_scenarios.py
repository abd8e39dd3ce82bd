"""Scenarios that contradict themselves or each other, or say what changes nothing."""

from collections.abc import Iterator
from itertools import combinations

from serving.policy.due import ranks
from serving.policy.examine.dead_ends import Dead
from serving.policy.examine.findings import Said, named, place, said
from serving.policy.examine.spoken import ANCHORS, CHANNELS, PURPOSES, window
from serving.policy.rules import SURVEYS, Kind, Policy, Scenario
from serving.policy.spans import HOUR

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


def odd_scenarios(policy: Policy) -> Iterator[Dead]:
    """List what a scenario says that is allowed and yet hardly meant, in file order."""
    for scenario in policy.scenarios:
        at = place(policy, scenario)
        yield from _purpose(scenario, at)
        yield from _when(scenario, at)
        yield from _without_effect(policy, scenario, at)
        yield from _words(policy, scenario, at)
    yield from _never_win(policy)


def _purpose(scenario: Scenario, at: str) -> Iterator[Dead]:
    """A kind that sells may not pass for a service: the guards would let it through."""
    told = {"scenario": named(scenario), "purpose": PURPOSES[scenario.purpose]}
    if scenario.purpose == "marketing":
        if scenario.kind in OWED:
            yield "warning", f"{at}.purpose", "purpose", said(OWED_AS, **told)
    elif scenario.kind in SELLING:
        yield "mistake", f"{at}.purpose", "sells_as_service", said(AS_OWED, **told)
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
    rank = ranks(policy)
    lost: set[int] = set()
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
