"""The instant of an answer and what is left of its business day: when a channel may speak."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from features.calendar import BusinessCalendar
from serving.policy.rules import ChannelName, Policy, Season
from serving.policy.spans import Hours

Stretch = tuple[float, float]  # seconds since the epoch, the end exclusive
Pick = Callable[[Sequence[float]], float]


@dataclass(frozen=True)
class Moment:
    """When it is asked: business day ``day`` from the instant ``at`` on, in seconds since the epoch.

    ``now_day`` is the day on which it is asked, never later than ``day``.
    """

    calendar: BusinessCalendar
    day: int
    now_day: int
    at: float

    @classmethod
    def night(cls, calendar: BusinessCalendar, day: int) -> "Moment":
        """Give the moment a night answers for: the start of its business day."""
        return cls(calendar, day, day, calendar.start(day).timestamp())

    @property
    def start(self) -> float:
        return self.calendar.start(self.day).timestamp()

    @property
    def end(self) -> float:
        return self.calendar.start(self.day + 1).timestamp()

    def day_of(self, value: datetime) -> int:
        return self.calendar.day(value)

    def is_in(self, season: Season) -> bool:
        """Tell whether the business day lies in a stretch of the calendar, both days included."""
        return season.first <= self.calendar.date(self.day) <= season.last

    def is_before(self, season: Season, span: int) -> bool:
        """Tell whether the business day lies within a span before a stretch of the calendar, or in it."""
        today = self.calendar.date(self.day)
        return season.first - timedelta(seconds=span) <= today <= season.last


def speaking_hours(policy: Policy, channel: ChannelName, moment: Moment) -> list[Stretch]:
    """List when a channel may speak between ``moment.at`` and the end of its business day, earliest first.

    Local hours are those of the shop's zone. An edge that the clocks pass twice, or not at all, when they change is
    taken at whichever time leaves less to speak in.
    """
    found = [(max(moment.at, moment.start), moment.end)]
    if (hours := policy.channels[channel].hours) is not None:
        found = [part for whole in found for part in _within(whole, _daily(hours, moment, max, min))]
    if (quiet := policy.quiet(channel)) is not None:
        found = _without(found, _daily(quiet, moment, min, max))
    return found


def _daily(hours: Hours, moment: Moment, opens: Pick, closes: Pick) -> list[Stretch]:
    """Give hours of a day as instants, for the dates that a business day touches and the one before."""
    zone, first = moment.calendar.zone, moment.calendar.date(moment.day) - timedelta(days=1)
    found = []
    for date in (first + timedelta(days=n) for n in range(3)):
        ends_on = date + timedelta(days=int(hours.end <= hours.start))
        starts, ends = (datetime.combine(*edge, zone) for edge in ((date, hours.start), (ends_on, hours.end)))
        found.append((opens(_instants(starts)), closes(_instants(ends))))
    return found


def _instants(local: datetime) -> list[float]:
    """Give both instants a local time may mean, the same one twice on nearly every day."""
    return [local.replace(fold=fold).astimezone(UTC).timestamp() for fold in (0, 1)]


def _within(whole: Stretch, parts: Sequence[Stretch]) -> list[Stretch]:
    cut = ((max(whole[0], start), min(whole[1], end)) for start, end in parts)
    return [(start, end) for start, end in cut if start < end]


def _without(stretches: Sequence[Stretch], quiet: Sequence[Stretch]) -> list[Stretch]:
    left = list(stretches)
    for start, end in quiet:
        left = [
            part
            for opens, closes in left
            for part in ((opens, min(closes, start)), (max(opens, end), closes))
            if part[0] < part[1]
        ]
    return sorted(left)


def coming_hours(policy: Policy, channel: ChannelName, moment: Moment) -> list[Stretch]:
    """List when a channel may speak from ``moment`` on, on its business day and the two after it."""
    found = []
    for ahead in range(3):
        at = moment.at if ahead == 0 else moment.calendar.start(moment.day + ahead).timestamp()
        found += speaking_hours(policy, channel, Moment(moment.calendar, moment.day + ahead, moment.now_day, at))
    return found
