"""When each table last came, and which are late: kept beside the sealed loads, whose bytes know no clock."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from features import lake
from features.calendar import BusinessCalendar
from features.door.mapping import Expect
from features.door.mapping import Mapping as ShopMapping
from features.home import Home

ARRIVALS = "arrivals.json"


def record(home: Home, shop: str, tables: Iterable[str], now: datetime) -> None:
    """Note that these tables came at ``now``, in one step; call it under the lock of the shop's lake."""
    known = {table: instant.isoformat() for table, instant in arrivals(home, shop).items()}
    come = dict.fromkeys(tables, now.astimezone(UTC).isoformat())
    if come:
        lake.write_json(home.lake(shop) / ARRIVALS, known | come)


def arrivals(home: Home, shop: str) -> dict[str, datetime]:
    """Tell when each table of a shop last came (UTC); a table that never came is not in it."""
    path = home.lake(shop) / ARRIVALS
    noted = lake.read_json(path) if path.exists() else {}
    return {table: datetime.fromisoformat(instant) for table, instant in noted.items()}


def late_tables(mapping: ShopMapping, arrived: Mapping[str, datetime], now: datetime) -> list[str]:
    """Name the tables that should have come by ``now`` and have not, sorted.

    A table is late if it has not come in the whole period that its last due time ended. One without
    ``expect`` is never late, and nothing is in a shop whose clock stands still.
    """
    if mapping.clock != "system":
        return []
    long_ago = datetime.min.replace(tzinfo=UTC)
    return sorted(
        name
        for name, table in mapping.tables.items()
        if table.expect
        and arrived.get(name, long_ago) <= _last_due(table.expect, mapping.calendar, now) - period(table.expect)
    )


def period(expect: Expect) -> timedelta:
    """Give how often a table is expected.

    >>> period(Expect(every="12h", by="02:00"))
    datetime.timedelta(seconds=43200)
    """
    number, unit = int(expect.every[:-1]), expect.every[-1]
    return timedelta(days=number) if unit == "d" else timedelta(hours=number)


def _last_due(expect: Expect, calendar: BusinessCalendar, now: datetime) -> datetime:
    """Find the last due time: ``by`` on the shop's wall clock, and in steps of a period shorter than a day from it."""
    here = now.astimezone(calendar.zone)
    due = here.replace(hour=expect.by.hour, minute=expect.by.minute, second=expect.by.second, microsecond=0, fold=0)
    if due > here:
        due = (due - timedelta(days=1)).replace(fold=0)
    due = due.astimezone(UTC)
    step = period(expect)
    return due + (now - due) // step * step if step < timedelta(days=1) else due
