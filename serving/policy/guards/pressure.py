"""Guards of how much: caps over channels and scenarios, surveys, selling, coupons, offers still open."""

import numpy as np

from serving.policy.guards.case import NOBODY_KNOWS, Case, Verdict, capped, looked_up
from serving.policy.rules import MONEY
from serving.policy.situation import nth_newest


def frequency_cap(case: Case) -> Verdict:
    """Each channel has its caps, over all scenarios; and one message a day is enough, whatever it is about."""
    fails, clears = case.none(), np.full(len(case), np.nan)
    sent = case.around.sent
    for name in case.c.channels:
        here = case.over(name) & ~case.is_service
        over = np.asarray(sent["channel"] == name, np.bool_)
        for span, most in case.policy.channels[name].cap.items():
            capped(case, here, over, span, most, fails, clears)
    today = np.asarray(sent["at"], np.float64) >= case.moment.start
    latest = case.theirs(nth_newest(sent, today, 1, case.around.n))
    same_day = ~np.isnan(latest) & ~case.is_service
    return Verdict(fails | same_day, np.where(same_day, np.fmax(clears, case.moment.end), clears))


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
        same = asked if kind is None else asked & (looked_up(case.around.sent["scenario"], kinds, "") == kind)
        for span, most in cap.cap.items():
            capped(case, here, same, span, most, fails, clears)
    return Verdict(fails, clears)


def sales_pressure(case: Case) -> Verdict:
    """So many messages that sell within a span, over all channels; and a share of them without money in it."""
    fails, clears = case.none(), np.full(len(case), np.nan)
    sold = np.asarray(case.sent_purpose == "marketing", np.bool_)
    for span, most in case.policy.pressure.selling.items():
        capped(case, case.is_marketing, sold, span, most, fails, clears)
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
        capped(case, coupon, given, span, most, fails, clears)
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
            capped(case, case.c.of("offer") == name, mine, offer.cooldown, 1, fails, clears)
    return Verdict(fails, clears)
