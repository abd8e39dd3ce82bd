"""Business days: the same number in Python, in SQL and by the wall clock, also where the clock is moved."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.calendar import BusinessCalendar, day_number
from tests.worlds import examples

ZONES = ["America/New_York", "Europe/London", "Asia/Tokyo", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo"]
MOVED = [  # the clock goes forward or back in New York and London
    datetime(2024, 3, 10, 7, tzinfo=UTC),
    datetime(2024, 11, 3, 6, tzinfo=UTC),
    datetime(2024, 3, 31, 1, tzinfo=UTC),
    datetime(2024, 10, 27, 1, tzinfo=UTC),
]

anywhen = st.datetimes(datetime(1990, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC))
near_a_move = st.builds(
    lambda moved, seconds: moved + timedelta(seconds=seconds), st.sampled_from(MOVED), st.integers(-90_000, 90_000)
)
instants = anywhen | near_a_move
starts = st.times(max_value=time(12)).map(lambda t: t.replace(microsecond=0)) | st.sampled_from(
    [time(0), time(2), time(5)]
)
calendars = st.builds(BusinessCalendar, st.sampled_from(ZONES), starts)


@st.composite
def days_and_moments(draw):
    """Draw a calendar and moments, of which some lie within a minute of a day's start."""
    calendar = draw(calendars)
    begins = st.integers(7305, 24800).map(calendar.start)
    near_a_start = st.builds(lambda begin, s: begin + timedelta(seconds=s), begins, st.integers(-60, 60))
    return calendar, draw(st.lists(instants | near_a_start, min_size=1, max_size=20))


def by_the_wall_clock(instant: datetime, zone: str, starts_at: time) -> int:
    """Number a business day from the offset alone: what the clock shows less the hour the day begins."""
    shown = instant.replace(tzinfo=None) + ZoneInfo(zone).fromutc(instant.replace(tzinfo=ZoneInfo(zone))).utcoffset()
    begun = shown - timedelta(hours=starts_at.hour, minutes=starts_at.minute, seconds=starts_at.second)
    return begun.date().toordinal() - date(1970, 1, 1).toordinal()


@examples(60)
@given(drawn=days_and_moments())
def test_a_day_is_what_the_wall_clock_says(drawn):
    calendar, moments = drawn
    for moment in moments:
        assert calendar.day(moment) == by_the_wall_clock(moment, calendar.timezone, calendar.day_starts_at)


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        yield con


@examples(60)
@given(drawn=days_and_moments())
def test_sql_gives_the_same_day_and_hour(con, drawn):
    calendar, moments = drawn
    said = con.execute(
        f"SELECT {calendar.sql_day('moment')}, {calendar.sql_hour('moment')}"
        " FROM (SELECT unnest(?::TIMESTAMPTZ[]) AS moment)",
        [moments],
    ).fetchall()
    assert said == [(calendar.day(m), m.astimezone(calendar.zone).hour) for m in moments]


@examples(100)
@given(calendar=calendars, day=st.integers(7305, 24800))
def test_a_day_begins_on_itself_and_is_named_by_its_date(calendar, day):
    assert calendar.day(calendar.start(day)) == day
    assert day_number(calendar.date(day)) == day


@pytest.mark.parametrize("hour", [0, 2, 3, 5])
@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London"])
def test_days_of_a_year_follow_each_other_without_gap(zone, hour):
    calendar = BusinessCalendar(zone, time(hour))
    for day in range(day_number(date(2024, 1, 1)), day_number(date(2025, 1, 1))):
        first = calendar.start(day)
        assert (calendar.day(first - timedelta(microseconds=1)), calendar.day(first)) == (day - 1, day)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("America/New_York", date(2024, 3, 10), 23),
        ("America/New_York", date(2024, 11, 3), 25),
        ("America/New_York", date(2024, 11, 4), 24),
        ("Europe/London", date(2024, 3, 31), 23),
        ("Europe/London", date(2024, 10, 27), 25),
        ("Asia/Tokyo", date(2024, 3, 31), 24),
    ],
)
def test_a_day_on_which_the_clock_is_moved_is_shorter_or_longer(zone, day, hours):
    calendar, number = BusinessCalendar(zone), day_number(day)
    assert calendar.start(number + 1) - calendar.start(number) == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("local", "belongs_to"),
    [
        ("2024-02-01 00:30", date(2024, 1, 31)),
        ("2024-02-01 04:59:59", date(2024, 1, 31)),
        ("2024-02-01 05:00", date(2024, 2, 1)),
        ("2024-03-01 00:30", date(2024, 2, 29)),
    ],
)
def test_a_purchase_after_midnight_may_belong_to_the_evening_before(local, belongs_to):
    calendar = BusinessCalendar("Asia/Tokyo", time(5))
    instant = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Asia/Tokyo"))
    assert calendar.date(calendar.day(instant)) == belongs_to


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="2024-01-01T00:00:00 has no time zone"):
        BusinessCalendar("Asia/Tokyo").day(datetime(2024, 1, 1))
