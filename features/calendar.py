"""A shop's business days: whole numbers, so that later arithmetic needs no time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

EPOCH = date(1970, 1, 1)


@cache
def constant_offset(timezone: str) -> int | None:
    """Give a zone's offset from UTC in seconds if it never changes from 1990 to 2099, else ``None``.

    >>> constant_offset("Asia/Tokyo"), constant_offset("Europe/Berlin")
    (32400, None)
    """
    zone, months = ZoneInfo(timezone), 12 * 110
    first = (datetime(1990 + month // 12, month % 12 + 1, 1, tzinfo=zone) for month in range(months))
    offsets = {moment.utcoffset() for moment in first}
    only = offsets.pop()
    return None if offsets or only is None else int(only.total_seconds())


@dataclass(frozen=True)
class BusinessCalendar:
    """When a shop's day begins: a purchase at 00:30 may still belong to yesterday's evening.

    Examples
    --------
    >>> tokyo = BusinessCalendar("Asia/Tokyo", time(5))
    >>> tokyo.day(datetime(2026, 11, 20, 19, 0, tzinfo=UTC))  # 04:00 on the 21st: still the 20th
    20777
    >>> tokyo.date(20777), tokyo.start(20777).isoformat()
    (datetime.date(2026, 11, 20), '2026-11-19T20:00:00+00:00')
    """

    timezone: str
    day_starts_at: time = time(0)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def day(self, instant: datetime) -> int:
        """Number the business day that holds an instant, in days since 1970-01-01.

        Raises
        ------
        ValueError
            If ``instant`` has no time zone.
        """
        if instant.tzinfo is None:
            raise ValueError(f"{instant.isoformat()} has no time zone: an instant needs one")
        local = instant.astimezone(self.zone).replace(tzinfo=None)
        return (datetime.combine(local.date(), time()) - datetime(1970, 1, 1)).days - (
            local.time() < self.day_starts_at
        )

    def start(self, day: int) -> datetime:
        """Give the instant (UTC) at which business day ``day`` begins."""
        local = datetime.combine(self.date(day), self.day_starts_at, tzinfo=self.zone)
        return local.astimezone(UTC)

    def date(self, day: int) -> date:
        """Give the calendar date of business day ``day``."""
        return EPOCH + timedelta(days=day)

    def sql_day(self, instant: str) -> str:
        """Write :meth:`day` as DuckDB SQL over a ``TIMESTAMPTZ`` column."""
        starts = self.day_starts_at
        shift = starts.hour * 3600 + starts.minute * 60 + starts.second
        offset = constant_offset(self.timezone)
        if offset is not None:
            return f"CAST((epoch_us({instant}) // 1000000 + {offset - shift}) // 86400 AS BIGINT)"
        return f"CAST((epoch_us(timezone('{self.timezone}', {instant})) // 1000000 - {shift}) // 86400 AS BIGINT)"

    def sql_hour(self, instant: str) -> str:
        """Write the local hour (0-23) of an instant as DuckDB SQL."""
        offset = constant_offset(self.timezone)
        if offset is not None:
            return f"CAST((epoch_us({instant}) // 1000000 + {offset}) // 3600 % 24 AS BIGINT)"
        return f"CAST(extract(hour FROM timezone('{self.timezone}', {instant})) AS BIGINT)"


def day_number(value: date) -> int:
    """Number a calendar date in days since 1970-01-01.

    >>> day_number(date(2017, 12, 3))
    17503
    """
    return (value - EPOCH).days
