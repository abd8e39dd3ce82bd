"""Guards of when: the parcel has come, the channel may speak, no order was just made, the calendar lets it."""

from dataclasses import replace

import numpy as np

from serving.policy.candidates import SURVEY_AFTER
from serving.policy.guards.case import Case, Verdict
from serving.policy.moment import Moment, coming_hours
from serving.policy.rules import SURVEYS, ChannelName, Policy, Season
from serving.policy.situation import Flags, Matrix
from serving.policy.spans import DAY


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
