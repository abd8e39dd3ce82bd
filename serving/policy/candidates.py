"""What could be done for each customer tonight and what it would net: each offer of what is due, over each channel."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.policy.due import Due, ranks
from serving.policy.moment import Moment, speaking_hours
from serving.policy.rules import ASSUMED, ChannelName, Incentive, Kind, Offer, Policy, Purpose
from serving.policy.situation import Flags, Matrix, Places, Situation
from serving.policy.spans import HOUR

SURVEY_AFTER = 48 * HOUR  # the parcel came: contracts.md section 5, never earlier whatever the policy says
EVIDENCE = ("assumed", "observed", "randomised")


@dataclass(frozen=True)
class Option:
    """One scenario with one offer, or with a message alone (``offer`` is ``None``)."""

    scenario: str
    kind: Kind | Literal["none"]
    purpose: Purpose
    offer: str | None
    incentive: Incentive
    is_reminder: bool = False


class Worth(NamedTuple):
    """What is expected of the customers asked, one position each; NaN where it cannot be said."""

    p_without: Matrix  # chance of an order in the policy's window if nothing is sent
    revenue: Matrix  # of one order, net, in the shop's currency
    margin: Matrix  # of one order


class Lift(NamedTuple):
    """What an experiment has shown of one offer over one channel, one position per customer."""

    p_without: Matrix
    effect: Matrix  # on the chance of an order in the window
    low: Matrix
    high: Matrix
    evidence: str
    window_days: int


Lifts = Mapping[tuple[str, str, str], Lift]  # by scenario, offer and channel


@dataclass(frozen=True)
class Candidates:
    """Every candidate, a row each, by customer and then as the policy ranks them; amounts in the shop's currency."""

    options: tuple[Option, ...]
    channels: tuple[ChannelName, ...]
    customer: Places
    option: Places  # into options
    channel: Places  # into channels
    nth_channel: NDArray[np.int64]  # its place among the channels of the option
    due: Places  # into the rows of what is due
    rank: NDArray[np.int64]
    opens: Matrix  # when it may go out, seconds since the epoch; NaN where the channel is still all day
    closes: Matrix
    p_without: Matrix
    p_with: Matrix
    window_days: NDArray[np.int64]
    margin: Matrix
    cost: Matrix
    net_value: Matrix
    low: Matrix
    high: Matrix
    evidence: NDArray[np.int64]  # into EVIDENCE

    def __len__(self) -> int:
        return len(self.customer)

    def of(self, name: str) -> NDArray[np.object_]:
        """Give a fact of each row's option, such as ``purpose``."""
        known = np.array([getattr(option, name) for option in self.options], object)
        return known[self.option] if len(known) else np.empty(0, object)

    @property
    def must(self) -> Flags:
        """Tell which are owed to the customer, whether they pay or not: service and surveys."""
        return np.asarray(self.of("purpose") != "marketing", np.bool_)


def options_of(policy: Policy) -> tuple[Option, ...]:
    """List the policy's options in file order, a reminder after the offers it reminds of."""
    found = []
    for s in policy.scenarios:
        for offer in s.offer_ids:
            named = None if offer == "none" else offer
            incentive = policy.offers[offer].type if named else "none"
            found.append(Option(s.id, s.kind, s.purpose, named, incentive))
        if s.remind_unused is not None:
            found.append(Option(s.id, s.kind, s.purpose, None, "none", True))
    return tuple(found)


def candidates(policy: Policy, due: Due, around: Situation, worth: Worth, moment: Moment, lifts: Lifts) -> Candidates:
    """Lay out and reckon every candidate of what is due.

    Where no experiment has measured an offer, those who would not have ordered come with the assumed lift l:
    ``p_with = p + l (1 - p)``. An order earns its margin less what the offer takes off it, which those who would have
    come anyway take as well: ``net = p_with (margin - discount) - p margin - fixed costs``.
    """
    options, channels = options_of(policy), tuple(policy.channels)
    rows = [
        (row, place, channels.index(name), nth)
        for place, option in enumerate(options)
        for row in [_open_to(policy, option, due, around, moment)]
        for nth, name in enumerate(policy.channels_of(policy.scenario(option.scenario), option.offer or "none"))
    ]
    of_due = np.concatenate([row for row, *_ in rows]) if rows else np.empty(0, np.intp)
    sizes = [len(row) for row, *_ in rows]
    option, channel, nth = (np.repeat([entry[k] for entry in rows], sizes).astype(np.intp) for k in (1, 2, 3))
    customer, rank = due.customer[of_due], ranks(policy)[due.scenario[of_due]]
    order = np.lexsort((nth, option, rank, customer))
    of_due, option, channel, nth = (values[order] for values in (of_due, option, channel, nth))
    customer, rank = customer[order], rank[order]
    is_survey = np.array([o.kind == "arrival_survey" for o in options], np.bool_)[option] if options else option > 0
    earliest = np.where(is_survey, due.delivered_at[of_due] + SURVEY_AFTER, -np.inf)
    opening = np.fmax(due.opens[of_due], earliest)
    opens, closes = _windows(policy, channels, channel, opening, due.closes[of_due], moment)
    values = _reckoned(policy, options, channels, customer, option, channel, worth, lifts)
    return Candidates(options, channels, customer, option, channel, nth, of_due, rank, opens, closes, **values)


def _open_to(policy: Policy, option: Option, due: Due, around: Situation, moment: Moment) -> Places:
    """Give the rows of what is due to which an option is open: in time, on its rung of the ladder, not excluded."""
    scenario = policy.scenario(option.scenario)
    mine = (due.scenario == policy.scenarios.index(scenario)) & (due.is_reminder == option.is_reminder)
    offer = policy.offers.get(option.offer or "")
    if offer is not None and offer.valid is not None:
        mine &= offer.valid.first <= moment.calendar.date(moment.day) <= offer.valid.last
    if scenario.ladder and option.offer is not None:
        mine &= _tried(scenario.id, around)[due.customer] >= scenario.ladder.index(option.offer)
    if offer is not None and offer.not_tags:
        mine &= np.array([not set(offer.not_tags) & set(str(tags or "").split("|")) for tags in due.tags], np.bool_)
    return np.flatnonzero(mine)


def _tried(scenario_id: str, around: Situation) -> NDArray[np.int64]:
    """Count what a scenario has sent each customer since their last order: how far up its ladder they are."""
    sent = around.sent
    last = around.standing.get("last_order_at", np.full(around.n, np.nan))[sent.customer]
    since = np.asarray(sent["scenario"] == scenario_id, np.bool_)
    since &= ~(np.asarray(sent["at"], np.float64) <= last)
    return np.bincount(sent.customer[since], minlength=around.n)


def _windows(
    policy: Policy, channels: Sequence[ChannelName], channel: Places, opens: Matrix, closes: Matrix, moment: Moment
) -> tuple[Matrix, Matrix]:
    """Give the first stretch of each window in which its channel may speak; NaN where there is none left today."""
    first, last = np.full(len(channel), np.nan), np.full(len(channel), np.nan)
    for place, name in enumerate(channels):
        for start, end in speaking_hours(policy, name, moment):
            low, high = np.maximum(opens, start), np.minimum(closes, end)
            free = (channel == place) & np.isnan(first) & (low < high)
            first[free], last[free] = low[free], high[free]
    return first, last


def _reckoned(
    policy: Policy, options: Sequence[Option], channels: Sequence[ChannelName], customer: Places, option: Places,
    channel: Places, worth: Worth, lifts: Lifts,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """Reckon chances, costs and net values; of what is owed to the customer the cost alone counts."""
    m = len(customer)
    p, revenue, margin = (values[customer] for values in worth)
    p = p.copy()
    chance, low, high, net, worst, best = (np.full(m, np.nan) for _ in range(6))
    cost, evidence = np.zeros(m), np.zeros(m, np.int64)
    window = np.full(m, policy.window_days, np.int64)
    for place, chosen in enumerate(options):
        offer = policy.offers.get(chosen.offer or "")
        for at, name in enumerate(channels):
            rows = np.flatnonzero((option == place) & (channel == at))
            if not len(rows):
                continue
            who = customer[rows]
            lift = lifts.get((chosen.scenario, chosen.offer or "none", name))
            if lift is not None and chosen.purpose == "marketing":
                p[rows], evidence[rows], window[rows] = (
                    lift.p_without[who], EVIDENCE.index(lift.evidence), lift.window_days,
                )  # fmt: skip
            low[rows], chance[rows], high[rows] = _chances(p[rows], who, offer, chosen, lift)
            fixed, off = fixed_cost(policy, chosen.offer, name), discount(offer, revenue[rows])
            cost[rows] = fixed + np.nan_to_num(chance[rows] * off)
            ends = [q[rows] * (margin[rows] - off) - p[rows] * margin[rows] - fixed for q in (low, chance, high)]
            net[rows] = ends[1]
            worst[rows], best[rows] = np.minimum(ends[0], ends[2]), np.maximum(ends[0], ends[2])
            if chosen.purpose != "marketing":
                chance[rows], cost[rows] = p[rows], fixed
                net[rows] = worst[rows] = best[rows] = -fixed
    return {
        "p_without": p, "p_with": chance, "window_days": window, "margin": margin, "cost": cost,
        "net_value": net, "low": worst, "high": best, "evidence": evidence,
    }  # fmt: skip


def _chances(
    p: Matrix, who: Places, offer: Offer | None, option: Option, lift: Lift | None
) -> tuple[Matrix, Matrix, Matrix]:
    """Give the chance of an order with the message: its low end, what is expected, its high end."""
    if lift is not None:
        found = (np.clip(p + effect[who], 0.0, 1.0) for effect in (lift.low, lift.effect, lift.high))
    else:
        found = (p + share * (1 - p) for share in (offer.lifts if offer else ASSUMED[option.incentive]))
    low, middle, high = found
    return low, middle, high


def fixed_cost(policy: Policy, offer_id: str | None, channel: ChannelName) -> float:
    """Give what a message costs whether or not an order comes: sending it, and what is granted at once."""
    offer = policy.offers.get(offer_id or "")
    return policy.channels[channel].cost + (0.0 if offer is None else _granted(offer))


def _granted(offer: Offer) -> float:
    """Give what an offer costs at once; of points some are never used."""
    points = (offer.value or 0.0) * offer.redemption if offer.type == "points" else 0.0
    return (offer.cost or 0.0) + points


def discount(offer: Offer | None, revenue: Matrix) -> Matrix:
    """Give what an offer takes off an order of so much revenue."""
    if offer is None or offer.type == "points":
        return np.zeros(len(revenue))
    per_order = np.full(len(revenue), offer.value or 0.0)
    if offer.percent is not None:
        per_order = np.maximum(np.nan_to_num(revenue), offer.min_spend) * offer.percent / 100
    return per_order * offer.redemption
