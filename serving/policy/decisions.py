"""From what is known and said of customers to what each gets: what is due, candidates, guards, the choice."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serving.policy.allocation import NOTHING, Limit
from serving.policy.candidates import Candidates, Lifts, Option, Worth, candidates
from serving.policy.choice import Choice, Tonight, choose
from serving.policy.due import Due, Facts, due
from serving.policy.guards import States, blocking, clears, states
from serving.policy.guards.case import Case
from serving.policy.guards.control import in_control, withheld
from serving.policy.guards.permission import channel_unreachable, consent_channel
from serving.policy.limits import Spent, limits_of
from serving.policy.moment import Moment
from serving.policy.rules import MARGIN_SHARE, ChannelName, Policy
from serving.policy.situation import Flags, Matrix, Places, Situation

ANY = Option("none", "none", "marketing", None, "none")  # a message of any kind, to say what stands against one


@dataclass(frozen=True)
class Purse:
    """What limits the choice: what was spent before and, live, what the night has fixed.

    ``prices`` and ``left`` are the night's, by limit; ``None`` where everybody is chosen for together.
    """

    spent: Spent = field(default_factory=Spent)
    codes: Mapping[str, int] = field(default_factory=dict)  # left of each offer with a pool of codes
    prices: Mapping[str, float] | None = None
    left: Mapping[str, float] | None = None
    margin_share: float | None = None  # of revenue, as the shop's costs say

    def margin_of(self, policy: Policy) -> float:
        """Give the margin of revenue: the policy's word, else what the shop's costs say, else an assumption."""
        known = (share for share in (policy.margin_share, self.margin_share) if share is not None)
        return next(known, MARGIN_SHARE)


@dataclass(frozen=True)
class Night:
    """What the night has settled for each customer: (n,) scenario, offer and channel, and whether it was to go out.

    ``is_settled`` tells whom it knew; of the others nothing is settled. ``is_shown`` tells where there was something to
    send or to hold back, and not merely something that was not worth its cost.
    """

    is_settled: Flags
    scenario: NDArray[np.object_]
    offer: NDArray[np.object_]
    channel: NDArray[np.object_]
    is_sent: Flags
    is_shown: Flags


@dataclass(frozen=True)
class Decisions:
    """What each customer gets and why, one position each."""

    policy: Policy
    case: Case
    candidates: Candidates
    due: Due
    choice: Choice
    general: Case  # a message of any kind over the best channel that reaches the customer
    general_states: States  # (n, guards)
    reached: Mapping[ChannelName, Flags]  # per channel who may be advertised to over it
    control: Flags  # in the global control group
    late_tables: tuple[str, ...]
    limits: Sequence[Limit]
    worth: Worth
    is_settled: Flags  # by the night

    @cached_property
    def guards(self) -> States:
        """Give each customer's guards: of what they get or what was held back, else of any message; (n, guards)."""
        shown = self.choice.shown
        out = self.general_states.copy()
        out[shown >= 0] = self.choice.states[shown[shown >= 0]]
        return out

    @cached_property
    def cap_left(self) -> dict[ChannelName, NDArray[np.int64]]:
        """Count how many more messages each channel's caps leave each customer, (n,) per channel with a cap."""
        around, at = self.case.around, self.case.moment.at
        sent = around.sent
        found: dict[ChannelName, NDArray[np.int64]] = {}
        for name in self.candidates.channels:
            left = []
            for span, most in self.policy.channels[name].cap.items():
                recent = (sent["channel"] == name) & (sent["at"] > at - span)
                left.append(np.maximum(most - np.bincount(sent.customer[recent], minlength=around.n), 0))
            if left:
                found[name] = np.min(left, axis=0)
        return found

    @cached_property
    def clears(self) -> Matrix:
        """Give when each failing guard would let go, (n, guards); NaN where nobody knows."""
        shown = self.choice.shown
        out = clears(self.general)
        has = np.flatnonzero(shown >= 0)
        if len(has):
            some = replace(
                self.case, c=rows_of(self.candidates, shown[has]), is_control=self.case.is_control[shown[has]]
            )
            out[has] = clears(some)
        return out


def rows_of(c: Candidates, rows: Places) -> Candidates:
    """Keep some rows of the candidates."""
    kept = {f.name: getattr(c, f.name)[rows] for f in fields(c) if f.name not in ("options", "channels")}
    return Candidates(options=c.options, channels=c.channels, **kept)


def decide(
    policy: Policy,
    facts: Facts,
    around: Situation,
    worth: Worth,
    ids: NDArray[np.object_],
    moment: Moment,
    currency: str,
    purse: Purse,
    lifts: Lifts,
    late_tables: Collection[str] = (),
    night: Night | None = None,
) -> Decisions:
    """Decide for everybody asked about: at night together, live at the night's prices.

    Parameters
    ----------
    facts
        What is said of each customer by the names of ``customer_scores``, and the features guards read.
    night
        What was settled for them already: it stands, unless a guard forbids it by now.
    """
    n = len(ids)
    everywhere = in_control(ids.tolist(), policy.control.global_share, policy.control.salt)
    what = due(policy, facts, around, moment)
    c = candidates(policy, what, around, worth, moment, lifts)
    case = Case(
        policy, c, what, facts, around, moment, withheld(policy, c, ids, everywhere), currency, purse.margin_of(policy)
    )
    found = states(case, late_tables)
    limits = limits_of(policy, c, purse.spent, purse.codes, purse.left)
    month = f"{moment.calendar.date(moment.day):%Y-%m}"
    blocked = blocking(found, policy, late_tables)
    choice = choose(c, found, blocked, policy, ids, month, Tonight(limits, purse.prices))
    if night is not None:
        choice = _as_settled(choice, c, found, blocked, night)
    reached, general = _any_message(case, n, everywhere, late_tables)
    return Decisions(
        policy,
        case,
        c,
        what,
        choice,
        general,
        states(general, late_tables),
        reached,
        everywhere,
        tuple(late_tables),
        limits,
        worth,
        np.zeros(n, np.bool_) if night is None else night.is_settled,
    )


def _as_settled(choice: Choice, c: Candidates, found: States, blocked: NDArray[np.bool_], night: Night) -> Choice:
    """Put what the night has settled in place of what would be chosen now, where no guard forbids it.

    What goes out has its share of the budgets already: no limit is asked about it again.
    """
    scenario, offer = c.of("scenario"), c.of("offer")
    channel = np.array(c.channels, object)[c.channel]
    same = (scenario == night.scenario[c.customer]) & (offer == night.offer[c.customer])
    same &= channel == night.channel[c.customer]
    rows = np.flatnonzero(same & night.is_settled[c.customer])
    settled = np.full(len(night.is_settled), NOTHING, np.intp)
    settled[c.customer[rows]] = rows
    goes = np.zeros(len(settled), np.bool_)
    has = settled >= 0
    goes[has] = night.is_sent[has] & ~blocked[settled[has]].any(axis=1)
    states = choice.states.copy()
    sent = settled[has & night.is_sent]
    states[sent] = found[sent]
    keep = night.is_settled
    return replace(
        choice,
        chosen=np.where(keep, np.where(goes, settled, NOTHING), choice.chosen),
        shown=np.where(keep & has, np.where(night.is_shown, settled, NOTHING), choice.shown),
        states=states,
    )


def _any_message(
    case: Case, n: int, everywhere: Flags, late_tables: Collection[str]
) -> tuple[dict[ChannelName, Flags], Case]:
    """Tell over which channels each customer may be advertised to, and lay out a message of any kind over the first."""
    names = case.c.channels
    reached = {}
    for place, name in enumerate(names):
        one = replace(case, c=_plain(case, n, np.full(n, place)), is_control=everywhere, due=_no_occasion(case, n))
        reached[name] = ~_unreachable(one)
    best = np.argmax(np.column_stack(list(reached.values())), axis=1) if n else np.empty(0, np.intp)
    general = replace(case, c=_plain(case, n, best), is_control=everywhere, due=_no_occasion(case, n))
    return reached, general


def _unreachable(case: Case) -> Flags:
    return np.asarray(consent_channel(case).fails | channel_unreachable(case).fails, np.bool_)


def _no_occasion(case: Case, n: int) -> Due:
    nan, no = np.full(n, np.nan), np.zeros(n, np.bool_)
    everyone = np.arange(n)
    opens, closes = np.full(n, case.moment.start), np.full(n, case.moment.end)
    return Due(everyone, np.zeros(n, np.intp), opens, closes, nan, nan, no, np.full(n, None, object), no)


def _plain(case: Case, n: int, channel: Places) -> Candidates:
    """Lay out one message of any kind a customer, worth nothing."""
    zero, nan, count = np.zeros(n), np.full(n, np.nan), np.zeros(n, np.int64)
    everyone, first = np.arange(n), np.zeros(n, np.intp)
    opens = np.full(n, case.moment.at)  # whether the channel is still now is a question of what is sent
    return Candidates(
        (ANY,), case.c.channels, everyone, first, channel, count, everyone, count, opens, opens, nan, nan, count,
        nan, zero, zero, zero, zero, count,
    )  # fmt: skip
