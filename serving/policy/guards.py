"""What forbids sending: each guard looks at every candidate. The only place guards are decided.

A guard gives where it fails, where it could not be checked (its table is absent or late) and when it clears. What is
owed to the customer (``service``) passes those that protect from being asked or sold to.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.families.consent import CHANNELS as CONSENTED
from serving.policy.candidates import SURVEY_AFTER, Candidates
from serving.policy.due import Due, Facts, who_of
from serving.policy.filters import names
from serving.policy.moment import Moment, coming_hours
from serving.policy.rules import (
    GIFT_ORDER_FROM,
    GIFT_SHARE,
    GIFT_SMALL,
    MONEY,
    SURVEYS,
    ChannelName,
    Offer,
    Policy,
    Season,
)
from serving.policy.situation import Flags, Matrix, Situation, nth_newest
from serving.policy.spans import DAY

PASS, FAIL, NOT_CHECKED = 0, 1, 2
NOBODY_KNOWS = np.inf  # among the times at which several reasons of one guard end
STATES = ("pass", "fail", "not_checked")
TICKET_REST = 14 * DAY  # before anybody is asked for a review: contracts.md section 5
STANDING = ("free_shipping", "early_access")  # a perk of this kind is had all the time; others are given each time
SALES_REASONS = ("marketing", "survey")  # purposes that an open complaint forbids

States = NDArray[np.int8]


class Verdict(NamedTuple):
    """What a guard says of each candidate: where it fails, and from when it would not (NaN or inf: unknown)."""

    fails: Flags
    clears: Matrix | None = None


@dataclass(frozen=True)
class Case:
    """Everything a guard may look at: the candidates and what stands around their customers."""

    policy: Policy
    c: Candidates
    due: Due
    facts: Facts
    around: Situation
    moment: Moment
    is_control: Flags  # per candidate: its customer is withheld from its scenario, or from everything
    currency: str
    margin_share: float

    def __len__(self) -> int:
        return len(self.c)

    @cached_property
    def purpose(self) -> NDArray[np.object_]:
        return self.c.of("purpose")

    @cached_property
    def incentive(self) -> NDArray[np.object_]:
        return self.c.of("incentive")

    @cached_property
    def is_marketing(self) -> Flags:
        return np.asarray(self.purpose == "marketing", np.bool_)

    @cached_property
    def is_service(self) -> Flags:
        return np.asarray(self.purpose == "service", np.bool_)

    @cached_property
    def is_money(self) -> Flags:
        return np.isin(self.incentive, MONEY)

    def none(self) -> Flags:
        return np.zeros(len(self), np.bool_)

    def over(self, channel: ChannelName) -> Flags:
        """Tell which candidates go over a channel."""
        if channel not in self.c.channels:
            return self.none()
        return np.asarray(self.c.channel == self.c.channels.index(channel), np.bool_)

    def theirs(self, per_customer: NDArray[Any]) -> NDArray[Any]:
        """Give each candidate its customer's value."""
        return per_customer[self.c.customer]

    def stands(self, name: str) -> Matrix | None:
        """Give a fact of the shop's tables per candidate; ``None`` where the table is absent."""
        found = self.around.standing.get(name)
        return None if found is None else self.theirs(found)

    def by_offer(self, worth: Callable[[Offer], float]) -> Matrix:
        """Give a number of each candidate's offer, NaN without one."""
        known = [self.policy.offers.get(option.offer or "") for option in self.c.options]
        values = np.array([np.nan if offer is None else worth(offer) for offer in known] or [np.nan])
        return values[self.c.option]

    @cached_property
    def sent_purpose(self) -> NDArray[np.object_]:
        """Name the purpose of each message sent before; of a scenario that is no more it is taken to be selling."""
        purposes = {s.id: s.purpose for s in self.policy.scenarios}
        return _looked_up(self.around.sent["scenario"], purposes, "marketing")

    @cached_property
    def sent_incentive(self) -> NDArray[np.object_]:
        """Name the incentive of each message sent before; an offer that is no more is taken to have cost money."""
        types = {name: offer.type for name, offer in self.policy.offers.items()} | {"none": "none"}
        return np.where(
            np.asarray(self.around.sent["offer_id"] == None, np.bool_),  # noqa: E711  elementwise
            "none",
            _looked_up(self.around.sent["offer_id"], types, "coupon"),
        )


def _looked_up(words: NDArray[Any], known: dict[Any, Any], otherwise: str) -> NDArray[np.object_]:
    return np.array([known.get(word, otherwise) for word in words], object)


# ---- who is withheld so that effects can be measured


def in_control(customer_ids: Sequence[str], share: float, salt: str, scenario: str = "") -> Flags:
    """Tell who is in a control group: a salted hash, the same every day; of one scenario, or of everything."""
    edge = int(share * 2**64)
    start = f"{salt}\x1f{scenario}\x1f".encode() if scenario else f"{salt}\x1f".encode()
    drawn = (hashlib.sha256(start + one.encode("utf-8", "surrogatepass")).digest()[:8] for one in customer_ids)
    return np.fromiter((int.from_bytes(d, "big") < edge for d in drawn), np.bool_, len(customer_ids))


def withheld(policy: Policy, c: Candidates, ids: NDArray[np.object_], everywhere: Flags) -> Flags:
    """Tell which candidates the control group withholds: ``everywhere`` tells who is in the global one."""
    exempt = np.isin(c.of("purpose"), policy.control.exempt)
    found = everywhere[c.customer]
    if policy.control.scenario_share:
        scenario = c.of("scenario")
        for name in {option.scenario for option in c.options}:
            rows = np.flatnonzero((scenario == name) & ~exempt)
            who, place = np.unique(c.customer[rows], return_inverse=True)
            drawn = in_control(ids[who].tolist(), policy.control.scenario_share, policy.control.salt, name)
            found[rows] |= drawn[place]
    return np.asarray(found & ~exempt, np.bool_)


# ---- the guards


def consent_channel(case: Case) -> Verdict:
    """Advertising needs a yes for its channel, a survey that nobody said no; service needs neither."""
    fails = case.none()
    for name in case.c.channels:
        said = case.facts.get(f"consent_marketing_{name}")
        if name in CONSENTED and said is not None:
            word, here = case.theirs(said), case.over(name)
            fails |= here & ((case.is_marketing & ~(word == 1)) | (~case.is_service & (word == 0)))
    return Verdict(fails)


def consent_personalise(case: Case) -> Verdict:
    """Who refused to be personalised to is not chosen for advertising."""
    said = case.facts.get("consent_personalise")
    return Verdict(case.none() if said is None else case.is_marketing & (case.theirs(said) == 0))


def frequency_cap(case: Case) -> Verdict:
    """Each channel has its caps, over all scenarios; and one message a day is enough, whatever it is about."""
    fails, clears = case.none(), np.full(len(case), np.nan)
    sent = case.around.sent
    for name in case.c.channels:
        here = case.over(name) & ~case.is_service
        over = np.asarray(sent["channel"] == name, np.bool_)
        for span, most in case.policy.channels[name].cap.items():
            _capped(case, here, over, span, most, fails, clears)
    today = np.asarray(sent["at"], np.float64) >= case.moment.start
    latest = case.theirs(nth_newest(sent, today, 1, case.around.n))
    same_day = ~np.isnan(latest) & ~case.is_service
    return Verdict(fails | same_day, np.where(same_day, np.fmax(clears, case.moment.end), clears))


def _capped(case: Case, here: Flags, which: Flags, span: int, most: int, fails: Flags, clears: Matrix) -> None:
    """Mark the candidates whose customer has had ``most`` of some messages within a span, and until when."""
    if most == 0:
        fails |= here
        clears[here] = NOBODY_KNOWS
        return
    newest = case.theirs(nth_newest(case.around.sent, which, most, case.around.n))
    full = here & (newest > case.moment.at - span)
    fails |= full
    np.copyto(clears, np.fmax(clears, newest + span), where=full)


def quiet_hours(case: Case) -> Verdict:
    """No channel speaks in its quiet hours, nor outside the hours its people work."""
    opens, closes = np.fmax(case.due.opens[case.c.due], earliest_survey(case)), case.due.closes[case.c.due]
    fails = np.isnan(case.c.opens) & (opens < np.minimum(closes, case.moment.end))
    closes = np.where(
        np.isnan(case.due.anchor_at[case.c.due]), np.inf, closes
    )  # without an anchor it is due tomorrow too
    clears = np.full(len(case), np.nan)
    for name in case.c.channels:
        rows = np.flatnonzero(fails & case.over(name))
        for start, end in coming_hours(case.policy, name, case.moment) if len(rows) else ():
            begins = np.maximum(opens[rows], start)
            first = np.isnan(clears[rows]) & (begins < np.minimum(closes[rows], end))
            clears[rows[first]] = begins[first]
    return Verdict(fails, clears)


def not_delivered(case: Case) -> Verdict:
    """Nobody is asked about a parcel that has not come."""
    asks = np.asarray(case.purpose == "survey", np.bool_) | np.isin(case.c.of("kind"), SURVEYS)
    about, last = case.due.is_about_order[case.c.due], case.stands("last_order_delivered_at")
    came = case.due.delivered_at[case.c.due]
    if last is not None:
        came = np.where(about, came, last)
    goes = np.where(np.isnan(case.c.opens), case.moment.at, case.c.opens)
    return Verdict(asks & ~(came <= goes))


def survey_window(case: Case) -> Verdict:
    """A survey on what came is asked two days after it, and within its window."""
    asks, earliest = case.c.of("kind") == "arrival_survey", earliest_survey(case)
    closes = case.due.closes[case.c.due]
    too_late = ~(np.fmax(earliest, case.moment.at) < np.minimum(closes, case.moment.end))
    comes = (earliest > case.moment.at) & (earliest < closes)
    return Verdict(asks & too_late, np.where(comes, earliest, np.nan))


def earliest_survey(case: Case) -> Matrix:
    """Give when each candidate may first ask about what came; NaN where it does not ask, or nothing came."""
    asks = case.c.of("kind") == "arrival_survey"
    return np.where(asks, case.due.delivered_at[case.c.due] + SURVEY_AFTER, np.nan)


def survey_cap(case: Case) -> Verdict:
    """Few questions: so many within a span, of each kind or of all."""
    fails, clears = case.none(), np.full(len(case), np.nan)
    cap = case.policy.pressure.survey
    if cap is None:
        return Verdict(fails)
    asks, asked = np.asarray(case.purpose == "survey", np.bool_), case.sent_purpose == "survey"
    kinds = {s.id: s.kind for s in case.policy.scenarios}
    for kind in sorted({option.kind for option in case.c.options}) if cap.per == "kind" else [None]:
        here = asks if kind is None else asks & (case.c.of("kind") == kind)
        same = asked if kind is None else asked & (_looked_up(case.around.sent["scenario"], kinds, "") == kind)
        for span, most in cap.cap.items():
            _capped(case, here, same, span, most, fails, clears)
    return Verdict(fails, clears)


def open_ticket(case: Case) -> Verdict:
    """A complaint that is not settled blocks selling and asking; a review waits 14 days after it was."""
    still, closed = case.stands("tickets_open"), case.stands("last_ticket_closed_at")
    if still is None or closed is None:
        return Verdict(case.none())
    spans = {
        s.id: max(s.after_ticket_closed or 0, TICKET_REST if s.kind == "review_request" else 0)
        for s in case.policy.scenarios
    }
    rest = np.array([spans.get(option.scenario, 0) for option in case.c.options] or [0])[case.c.option]
    until = closed + rest
    goes = np.where(np.isnan(case.c.opens), case.moment.at, case.c.opens)
    fresh = (rest > 0) & (until > goes)
    blocked = np.isin(case.purpose, SALES_REASONS) & (still > 0)
    return Verdict(blocked | (fresh & ~case.is_service), np.where(blocked, np.nan, until))


def open_return(case: Case) -> Verdict:
    """Something that is being sent back or exchanged blocks selling and asking."""
    still = case.stands("returns_open")
    return Verdict(case.none() if still is None else np.isin(case.purpose, SALES_REASONS) & (still > 0))


def recent_order(case: Case) -> Verdict:
    """No selling so soon after an order."""
    days = case.policy.pressure.recent_order // DAY
    silent = case.theirs(case.facts["days_since_last_order"])
    fails = case.is_marketing & (silent <= days)
    return Verdict(fails, _day_starts(case, case.moment.day - silent + days + 1, fails))


def _day_starts(case: Case, days: Matrix, where: Flags) -> Matrix:
    """Give the instants at which business days begin, NaN elsewhere."""
    out = np.full(len(days), np.nan)
    for day in np.unique(days[where]):
        out[where & (days == day)] = case.moment.calendar.start(int(day)).timestamp()
    return out


def sales_pressure(case: Case) -> Verdict:
    """So many messages that sell within a span, over all channels; and a share of them without money in it."""
    fails, clears = case.none(), np.full(len(case), np.nan)
    sold = np.asarray(case.sent_purpose == "marketing", np.bool_)
    for span, most in case.policy.pressure.selling.items():
        _capped(case, case.is_marketing, sold, span, most, fails, clears)
    share = case.policy.pressure.content_share
    if share is not None:
        at, priced = np.asarray(case.around.sent["at"], np.float64), np.isin(case.sent_incentive, MONEY)
        # What has no money in it counts if it still does when the day ends, and the message has gone out.
        recent = sold & (at > np.where(priced, case.moment.at, case.moment.end) - share.over)
        customer, n = case.around.sent.customer, case.around.n
        total, money = (case.theirs(np.bincount(customer[which], minlength=n)) for which in (recent, recent & priced))
        allowed = np.floor((1 - share.min) * (total + 1) + 0.5)  # of the messages with this one, to the nearest whole
        too_much = case.is_marketing & case.is_money & (money + 1 > allowed)
        fails |= too_much
        clears[too_much] = NOBODY_KNOWS
    return Verdict(fails, clears)


def discount_cap(case: Case) -> Verdict:
    """One coupon within a span; and none for who would buy anyway."""
    fails, clears = case.none(), np.full(len(case), np.nan)
    coupon = np.asarray(case.incentive == "coupon", np.bool_)
    given = np.asarray(case.sent_incentive == "coupon", np.bool_)
    for span, most in case.policy.pressure.coupon.items():
        _capped(case, coupon, given, span, most, fails, clears)
    anyway = case.policy.pressure.would_buy_anyway
    if anyway is not None:
        comes = coupon & (case.c.p_without > anyway.p_order_without)
        fails |= comes
        clears[comes] = NOBODY_KNOWS
    return Verdict(fails, clears)


def offer_still_open(case: Case) -> Verdict:
    """No second gift of money while an earlier one can still be used; and each offer rests between two times."""
    fails, clears = case.none(), np.full(len(case), np.nan)
    sent, offers = case.around.sent, case.policy.offers
    at, unused = np.asarray(sent["at"], np.float64), np.isnan(np.asarray(sent["redeemed_at"], np.float64))
    last = case.around.standing.get("last_order_at", np.full(case.around.n, np.nan))
    if "responses" not in case.around.tables:  # nobody tells what was used: an order since then counts as its use
        unused &= ~(last[sent.customer] > at)
    for name, offer in offers.items():
        mine = np.asarray(sent["offer_id"] == name, np.bool_)
        if offer.expires is not None and offer.type in MONEY:
            open_ = mine & unused & (at + offer.expires > case.moment.at)
            newest = case.theirs(nth_newest(sent, open_, 1, case.around.n))
            blocked = case.is_money & ~np.isnan(newest)
            fails |= blocked
            np.copyto(clears, np.fmax(clears, newest + offer.expires), where=blocked)
        if offer.cooldown is not None:
            _capped(case, case.c.of("offer") == name, mine, offer.cooldown, 1, fails, clears)
    return Verdict(fails, clears)


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


def control_group(case: Case) -> Verdict:
    """Some get nothing, so that what the messages bring can be measured."""
    return Verdict(case.is_control)


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
    return Verdict(_is_refill(case) & (case.theirs(running) > 0))


def _is_refill(case: Case) -> Flags:
    found = [
        option.kind == "replenishment"
        or (option.kind != "none" and case.policy.scenario(option.scenario).anchor == "replenishment.due_on")
        for option in case.c.options
    ]
    return np.array(found or [False], np.bool_)[case.c.option]


def channel_unreachable(case: Case) -> Verdict:
    """A channel reaches whom it is linked to and who has not left it; a service mail goes even to who left a list."""
    fails = case.none()
    friend = case.stands("is_line_friend")
    for name in case.c.channels:
        here = case.over(name)
        if name == "line" or case.policy.channels[name].needs == "line_user_id":
            fails |= here if friend is None else here & ~(friend == 1)  # a shop without a list of them knows no friend
        left = case.stands(f"left_{name}_at")
        if left is not None:
            fails |= here & ~np.isnan(left) & ~(case.is_service & (name == "email"))
    return Verdict(fails)


def blackout(case: Case) -> Verdict:
    """Days on which a channel rests, and days before a sale on which there is no coupon."""
    fails, clears = case.none(), np.full(len(case), np.nan)
    coupon = np.asarray(case.incentive == "coupon", np.bool_)
    for name in case.c.channels:
        for is_coupon in (False, True):
            ends = _free_again(case.policy, case.moment, name, is_coupon)
            if ends > case.moment.day:
                rows = case.over(name) & (coupon == is_coupon)
                fails |= rows
                clears[rows] = case.moment.calendar.start(ends).timestamp()
    return Verdict(fails, clears)


def _free_again(policy: Policy, moment: Moment, channel: ChannelName, is_coupon: bool) -> int:
    """Give the first business day, tonight's or later, on which the calendar lets a message go."""
    day = moment.day
    while any(_rests(season, replace(moment, day=day), channel, is_coupon) for season in policy.calendar):
        day += 1
    return day


def _rests(season: Season, moment: Moment, channel: ChannelName, is_coupon: bool) -> bool:
    if moment.is_in(season):
        return channel in season.block
    before = season.no_coupon_before
    return is_coupon and before is not None and moment.is_before(season, before)


def _never(case: Case) -> Verdict:
    """Decided with everybody together: :mod:`serving.policy.choice` marks what a limit has no room for."""
    return Verdict(case.none())


def _asks(case: Case) -> Flags:
    return np.asarray(case.purpose == "survey", np.bool_)


class Guard(NamedTuple):
    """One guard: what it looks at, the tables without which it cannot say, and which candidates it is about."""

    look: Callable[[Case], Verdict]
    reads: tuple[str, ...] = ()
    about: Callable[[Case], Flags] = lambda case: ~case.is_service


# In the order of contracts.md section 5.
GUARDS: dict[str, Guard] = {
    "CONSENT_CHANNEL": Guard(consent_channel, ("consents",)),
    "CONSENT_PERSONALISE": Guard(consent_personalise, ("consents",), lambda case: case.is_marketing),
    "FREQUENCY_CAP": Guard(frequency_cap, ("contacts",)),
    "QUIET_HOURS": Guard(quiet_hours),
    "NOT_DELIVERED": Guard(not_delivered, ("shipments",), _asks),
    "SURVEY_WINDOW": Guard(survey_window, ("shipments",), _asks),
    "SURVEY_CAP": Guard(survey_cap, ("contacts",), _asks),
    "OPEN_TICKET": Guard(open_ticket, ("feedback",)),
    "OPEN_RETURN": Guard(open_return, ("feedback",)),
    "RECENT_ORDER": Guard(recent_order, ("order_lines",), lambda case: case.is_marketing),
    "SALES_PRESSURE": Guard(sales_pressure, ("contacts",), lambda case: case.is_marketing),
    "DISCOUNT_CAP": Guard(discount_cap, ("contacts",), lambda case: case.incentive == "coupon"),
    "OFFER_STILL_OPEN": Guard(offer_still_open, ("contacts",), lambda case: case.is_money),
    "MARGIN_FLOOR": Guard(margin_floor),
    "BUDGET": Guard(_never),
    "TIER": Guard(tier),
    "CONTROL_GROUP": Guard(control_group),
    "REVIEW_INCENTIVE": Guard(review_incentive),
    "ACTIVE_SUBSCRIPTION": Guard(active_subscription, ("subscriptions",), _is_refill),
    "CHANNEL_UNREACHABLE": Guard(channel_unreachable, ("responses",)),
    "CHANNEL_QUOTA": Guard(_never),
    "STAFF_CAPACITY": Guard(_never),
    "BLACKOUT": Guard(blackout),
    "GIFT_LIMIT": Guard(gift_limit),
}
CODES = tuple(GUARDS)
CONTROL = CODES.index("CONTROL_GROUP")


def states(case: Case, late_tables: Collection[str] = ()) -> States:
    """Check every guard for every candidate, shape (n_candidates, len(GUARDS)).

    A guard whose table is absent or late is not checked, unless what is there already forbids.
    """
    out = np.zeros((len(case), len(GUARDS)), np.int8)
    for column, guard in enumerate(GUARDS.values()):
        unknown = _lacks(case, guard, late_tables) & np.asarray(guard.about(case), np.bool_)
        out[:, column] = np.where(guard.look(case).fails, FAIL, np.where(unknown, NOT_CHECKED, PASS))
    return out


def _lacks(case: Case, guard: Guard, late_tables: Collection[str]) -> bool:
    return any(table not in case.around.tables or table in late_tables for table in guard.reads)


def clears(case: Case) -> Matrix:
    """Give when each guard would let each candidate go, (n_candidates, len(GUARDS)); NaN where nobody knows."""
    out = np.full((len(case), len(GUARDS)), np.nan)
    for column, guard in enumerate(GUARDS.values()):
        found = guard.look(case)
        if found.clears is not None:
            out[:, column] = np.where(found.fails & np.isfinite(found.clears), found.clears, np.nan)
    return out


def blocking(found: States, policy: Policy, late_tables: Collection[str] = ()) -> NDArray[np.bool_]:
    """Tell which guard blocks which candidate: it fails, or was not checked and the policy does not let that pass.

    Where the policy says nothing, one whose table is late blocks, and one whose table the shop never had does not.
    """
    strict = [
        policy.unknown_guard == "block" if policy.unknown_guard else any(t in late_tables for t in guard.reads)
        for guard in GUARDS.values()
    ]
    return np.asarray((found == FAIL) | ((found == NOT_CHECKED) & np.array(strict)), np.bool_)
