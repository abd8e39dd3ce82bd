"""Channels over which a scenario can never go out: they never speak, have no room, or are still in all its window."""

from collections.abc import Iterator
from datetime import timedelta

from serving.policy.candidates import SURVEY_AFTER
from serving.policy.examine.findings import Reason, Setting, said
from serving.policy.examine.spoken import CHANNELS
from serving.policy.moment import Moment, speaking_hours
from serving.policy.rules import ChannelName, Policy, Scenario
from serving.policy.spans import DAY

# Anchors that stand at the start of a business day, not at an hour of their own (features.occasions).
BY_DAY = ("birthday", "anniversary", "points.expire_on", "replenishment.due_on")
SILENT = (
    "{channel}は使える時間と停止時間が重なり、一日中送れません",
    "{channel} may never speak: its hours lie within its quiet hours",
)
STILL = (
    "期間が終わるまで{channel}は一年を通して停止時間です",
    "{channel} is still during the whole window, on every day of a year",
)
NONE_A_NIGHT = ("{channel}の1晩の上限が0です", "{channel} may send 0 a night")
NO_QUOTA = ("{channel}の月間通数が0です", "{channel} has a monthly quota of 0")
NO_CAP = ("{channel}の配信回数の上限が0です", "{channel} has a cap of 0 messages")
TOO_DEAR = (
    "{channel}は1通{cost:g}で、予算({budget})の{most:g}を超えます",
    "one message over {channel} costs {cost:g}, more than {budget} has ({most:g})",
)
BLOCKED = ("{channel}は{until}まで配信停止期間です", "{channel} is blocked until {until}")
LONG = timedelta(days=365)  # a block as long as this is no holiday (2026-12-01)


def channel_reasons(policy: Policy, scenario: Scenario, name: ChannelName, setting: Setting) -> Iterator[Reason]:
    """Say why nothing of a scenario can ever go out over a channel; nothing if it can."""
    channel, word = policy.channels[name], CHANNELS[name]
    if not _speaks(policy, name, setting):
        yield Reason("channel_silent", said(SILENT, channel=word))
    elif not _meets(policy, scenario, name, setting):
        yield Reason("quiet_all_window", said(STILL, channel=word))
    if channel.per_night == 0:
        yield Reason("channel_per_night", said(NONE_A_NIGHT, channel=word))
    if channel.monthly_quota == 0:
        yield Reason("channel_quota", said(NO_QUOTA, channel=word))
    if 0 in channel.cap.values() and scenario.purpose != "service":
        yield Reason("channel_cap", said(NO_CAP, channel=word))
    for budget, most in budgets(policy):
        if channel.cost > most:
            yield Reason("budget", said(TOO_DEAR, channel=word, cost=channel.cost, budget=budget, most=most))
    if until := _blocked_until(policy, name, setting):
        yield Reason("blackout", said(BLOCKED, channel=word, until=until))


def budgets(policy: Policy) -> Iterator[tuple[str, float]]:
    """List the budgets that everything draws on."""
    for name in ("per_night", "per_month"):
        if (most := getattr(policy.budget, name)) is not None:
            yield f"budget.{name}", most


def _speaks(policy: Policy, name: ChannelName, setting: Setting) -> bool:
    return any(speaking_hours(policy, name, Moment.night(calendar, day)) for calendar, day in setting.days)


def _meets(policy: Policy, scenario: Scenario, name: ChannelName, setting: Setting) -> bool:
    """Tell whether on some day of a year a scenario's window holds an instant at which a channel speaks.

    What happens at an hour of its own may happen at any, so its window always meets some.
    """
    if scenario.window is None or scenario.anchor not in BY_DAY:
        return True
    opens, closes = scenario.window
    if scenario.kind == "arrival_survey":
        opens = max(opens, SURVEY_AFTER)
    if closes - opens >= 2 * DAY:
        return True
    for calendar, day in setting.days:
        at = calendar.start(day).timestamp()
        first, last = at + opens, at + closes
        for touched in range(day + opens // DAY - 1, day + closes // DAY + 2):
            stretches = speaking_hours(policy, name, Moment.night(calendar, touched))
            if any(max(first, start) < min(last, end) for start, end in stretches):
                return True
    return False


def _blocked_until(policy: Policy, name: ChannelName, setting: Setting) -> str | None:
    """Give until when a channel is blocked, if that is a year or more from now without a day between."""
    day = setting.as_of
    blocks = sorted((s.first, s.last) for s in policy.calendar if name in s.block)
    for first, last in blocks:
        if first <= day <= last:
            day = last + timedelta(days=1)
    return (day - timedelta(days=1)).isoformat() if day - setting.as_of >= LONG else None
