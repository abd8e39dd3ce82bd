"""Scenarios that can never fire, and offers that nobody may get."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from serving.policy.examine.findings import Level, Reason, Said, Setting, joined, named, place, said
from serving.policy.examine.refusals import Aim, offer_cost, offer_reasons, scenario_reasons
from serving.policy.examine.spoken import CHANNELS
from serving.policy.examine.unspoken import budgets, channel_reasons
from serving.policy.rules import ChannelName, Policy, Scenario

NEVER_FIRES: Said = ("{scenario}は一度も配信されません。{why}", "{scenario} can never fire: {why}")
CHANNEL_STILL: Said = (
    "{scenario}は{channel}では配信されません。{why}",
    "{scenario} never goes out over {channel}: {why}",
)
OFFER_DEAD: Said = ("特典 {offer} を受け取れる顧客はいません。{why}", "nobody may ever get the offer {offer}: {why}")
OFFER_UNUSED: Said = ("特典 {offer} はどのシナリオでも使われていません", "the offer {offer} stands in no scenario")
OFFER_IN_DEAD: Said = (
    "特典 {offer} は配信されないシナリオ({scenarios})だけにあります",
    "the offer {offer} stands only in scenarios that never fire: {scenarios}",
)
CHANNEL_UNUSED: Said = ("{channel}を使うシナリオはありません", "no scenario goes over {channel}")
TOGETHER: Said = (
    "特典とチャネルを合わせると{cost:g}で、予算({budget})の{most:g}を超えます(BUDGET)",
    "offer and channel together cost {cost:g}, more than {budget} has ({most:g}) (BUDGET)",
)

STILL_ALL_WINDOW = "quiet_all_window"
Dead = tuple[Level, str, str, Said]  # level, path, code, words


@dataclass(frozen=True)
class Prospect:
    """What can become of one scenario: why it is due for nobody, and why each offer or channel never goes."""

    policy: Policy
    scenario: Scenario
    setting: Setting

    @cached_property
    def whole(self) -> tuple[Reason, ...]:
        return tuple(scenario_reasons(Aim(self.policy, self.scenario, self.setting)))

    @cached_property
    def offers(self) -> dict[str, tuple[Reason, ...]]:
        aim = Aim(self.policy, self.scenario, self.setting)
        return {name: tuple(offer_reasons(aim, name)) for name in self.scenario.offer_ids}

    @cached_property
    def channels(self) -> dict[ChannelName, tuple[Reason, ...]]:
        used = [c for name in self.scenario.offer_ids for c in self.policy.channels_of(self.scenario, name)]
        return {
            name: tuple(channel_reasons(self.policy, self.scenario, name, self.setting)) for name in dict.fromkeys(used)
        }

    def together(self, offer: str, channel: ChannelName) -> tuple[Reason, ...]:
        """Say why one offer never goes over one channel."""
        found = (*self.offers[offer], *self.channels[channel])
        known = self.policy.offers.get(offer)
        cost = self.policy.channels[channel].cost + (0.0 if known is None else offer_cost(known))
        if not found:
            for budget, most in budgets(self.policy):
                if cost > most:
                    found = (*found, Reason("budget", said(TOGETHER, cost=cost, budget=budget, most=most)))
        return found

    @cached_property
    def closed(self) -> dict[str, tuple[Reason, ...]]:
        """Give the reasons of each offer that goes over none of its channels."""
        found = {}
        for offer in self.scenario.offer_ids:
            ways = [self.together(offer, name) for name in self.policy.channels_of(self.scenario, offer)]
            if all(ways):
                found[offer] = tuple(dict.fromkeys(reason for way in ways for reason in way))
        return found

    @property
    def is_soft(self) -> bool:
        """Tell whether the scenario would fire but for what the shop may want."""
        ways = (self.together(o, c) for o in self.scenario.offer_ids for c in self.policy.channels_of(self.scenario, o))
        return not self.whole and any(all(reason.is_soft for reason in way) for way in ways)

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Say why the scenario never fires; nothing if it may."""
        if self.whole:
            return self.whole
        if set(self.closed) != set(self.scenario.offer_ids):
            return ()
        return tuple(dict.fromkeys(reason for reasons in self.closed.values() for reason in reasons))


def dead_ends(policy: Policy, setting: Setting) -> Iterator[Dead]:
    """List what can never happen: a scenario that never fires is a mistake, unless the shop may want what stops it."""
    prospects = [Prospect(policy, scenario, setting) for scenario in policy.scenarios]
    for one in prospects:
        if one.reasons:
            level: Level = "warning" if one.is_soft else "mistake"
            main = next((reason for reason in one.reasons if not reason.is_soft), one.reasons[0])
            why = joined(reason.said for reason in one.reasons)
            told = said(NEVER_FIRES, scenario=named(one.scenario), why=why)
            yield level, place(policy, one.scenario), "never_fires:" + main.code, told
        else:
            yield from _still_channels(one)
    yield from _dead_channels(policy, prospects)
    yield from _dead_offers(policy, prospects)
    yield from _unused_channels(policy)


def _still_channels(one: Prospect) -> Iterator[Dead]:
    """Tell a channel that is still during one scenario's window, though another may go."""
    for name, reasons in one.channels.items():
        if still := [reason for reason in reasons if reason.code == STILL_ALL_WINDOW]:
            told = said(CHANNEL_STILL, scenario=named(one.scenario), channel=CHANNELS[name], why=still[0].said)
            yield "warning", f"{place(one.policy, one.scenario)}.channels", "channel_dead:" + STILL_ALL_WINDOW, told


def _dead_channels(policy: Policy, prospects: Sequence[Prospect]) -> Iterator[Dead]:
    """Tell once of a channel why it never carries anything, or nothing that is not owed."""
    for name in policy.channels:
        reasons = dict.fromkeys(
            r for one in prospects for r in one.channels.get(name, ()) if r.code != STILL_ALL_WINDOW
        )
        for reason in reasons:
            yield "warning", f"channels.{name}", "channel_dead:" + reason.code, reason.said


def _dead_offers(policy: Policy, prospects: Sequence[Prospect]) -> Iterator[Dead]:
    perks = {perk for level in (policy.tiers.levels if policy.tiers else ()) for perk in level.perks}
    for name in policy.offers:
        using = [one for one in prospects if name in one.scenario.offer_ids]
        alive = [one for one in using if not one.reasons]
        path = f"offers.{name}"
        if not using and name not in perks:
            yield "warning", path, "offer_unused", said(OFFER_UNUSED, offer=name)
        elif using and all(name in one.closed for one in using):
            why = joined(reason.said for one in using for reason in one.closed[name])
            yield "warning", path, "offer_dead", said(OFFER_DEAD, offer=name, why=why)
        elif using and not any(name not in one.closed for one in alive):
            ids = ", ".join(one.scenario.id for one in using)
            yield "warning", path, "offer_in_dead", said(OFFER_IN_DEAD, offer=name, scenarios=ids)


def _unused_channels(policy: Policy) -> Iterator[Dead]:
    used = {c for s in policy.scenarios for offer in s.offer_ids for c in policy.channels_of(s, offer)}
    for name in policy.channels:
        if name not in used:
            yield "warning", f"channels.{name}", "channel_unused", said(CHANNEL_UNUSED, channel=CHANNELS[name])
