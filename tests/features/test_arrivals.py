"""Late tables: when each came, and what the shop's mapping expects; the clock is on the wall of the shop."""

from datetime import UTC, datetime, time, timedelta

import pytest

from features import arrivals
from features.arrivals import late_tables
from features.door.mapping_file import parse_mapping
from features.errors import BadInput
from tests.features.test_frame import ONE_OF_EACH, one_order
from tests.worlds import NOW, at, mapping_text


def expecting(every, by, clock="system", zone="Asia/Tokyo"):
    """Write the toy mapping with an expectation of its consents."""
    text = mapping_text(["order_lines", "consents", "contacts"]).decode()
    text = text.replace("timezone: Asia/Tokyo", f"timezone: {zone}\nclock: {clock}")
    expected = f'    expect: {{every: {every}, by: "{by}"}}\n'
    return text.replace("    source: consents*.csv\n", f"    source: consents*.csv\n{expected}").encode()


def tokyo(day, hour, minute=0):
    """Give an instant of June 2026 in Tokyo."""
    return datetime(2026, 6, day, hour, minute, tzinfo=UTC) - timedelta(hours=9)


@pytest.mark.parametrize(
    ("every", "came", "now", "is_late"),
    [
        pytest.param("1d", None, tokyo(10, 3), True, id="it never came"),
        pytest.param("1d", tokyo(10, 1, 30), tokyo(10, 3), False, id="it came before it was due"),
        pytest.param("1d", tokyo(9, 1, 30), tokyo(10, 1, 59), False, id="it is not due yet"),
        pytest.param("1d", tokyo(9, 1, 30), tokyo(10, 2), True, id="it was due this minute"),
        pytest.param("1d", tokyo(10, 5), tokyo(10, 6), False, id="it came late, but it came"),
        pytest.param("1d", tokyo(8, 1), tokyo(10, 1), True, id="yesterday's never came"),
        pytest.param("7d", tokyo(3, 3), tokyo(10, 1), False, id="a weekly one after six days"),
        pytest.param("7d", tokyo(3, 1), tokyo(10, 3), True, id="a weekly one after seven"),
        pytest.param("6h", tokyo(10, 3), tokyo(10, 13), False, id="due at 2 and 8, it came between"),
        pytest.param("6h", tokyo(10, 1), tokyo(10, 9), True, id="due at 2 and 8, it came before"),
        pytest.param("6h", tokyo(9, 23), tokyo(10, 1), False, id="due at 20, it came after"),
    ],
)
def test_worked_by_hand(every, came, now, is_late):
    mapping = parse_mapping(expecting(every, "02:00"), "shop.yaml")
    arrived = {} if came is None else {"consents": came}
    assert late_tables(mapping, arrived, now) == (["consents"] if is_late else [])


def test_a_table_without_an_expectation_is_never_late():
    assert late_tables(parse_mapping(mapping_text(), "shop.yaml"), {}, NOW) == []


def test_a_shop_whose_clock_stands_still_has_no_late_tables():
    mapping = parse_mapping(expecting("1d", "02:00", clock="2024-06-01"), "shop.yaml")
    assert late_tables(mapping, {}, NOW) == []


def test_the_wall_clock_goes_on_when_the_hour_changes():
    """In New York 02:30 of 2026-03-08 does not exist; due times stay a calendar day apart."""
    mapping = parse_mapping(expecting("1d", "02:30", zone="America/New_York"), "shop.yaml")
    due = [datetime(2026, 3, 7, 7, 30, tzinfo=UTC), datetime(2026, 3, 9, 6, 30, tzinfo=UTC)]
    for moment in due:
        came = {"consents": moment - timedelta(hours=20)}
        assert late_tables(mapping, came, moment) == []
        assert late_tables(mapping, came, moment + timedelta(days=1)) == ["consents"]


def test_an_expectation_that_means_nothing_is_refused_by_its_key():
    for every in ("daily", "0d", "1w"):
        with pytest.raises(BadInput, match=r"tables\.consents\.expect\.every"):
            parse_mapping(expecting(every, "02:00"), "shop.yaml")


def test_ingest_notes_what_came_even_if_all_of_it_was_known(new_toy):
    toy = new_toy()
    rows = {"order_lines": [one_order()], "consents": ONE_OF_EACH["consents"]}
    files = toy.files(rows)
    toy.take(files, now=NOW)
    assert arrivals.arrivals(toy.home, "toy") == {"order_lines": NOW, "consents": NOW}
    loads, later = len(toy.shop.loads), NOW + timedelta(days=1)
    toy.take([path for path in files if "consents" in path.name], now=later)
    assert arrivals.arrivals(toy.home, "toy") == {"order_lines": NOW, "consents": later}
    assert len(toy.shop.loads) == loads, "all of it was a duplicate"
    toy.take(files, now=later + timedelta(days=1), only_new=True)  # what still lies there did not come again
    assert arrivals.arrivals(toy.home, "toy") == {"order_lines": NOW, "consents": later}


def test_when_it_came_changes_no_byte_of_a_load(new_toy):
    early, late = new_toy(), new_toy()
    for toy, now in ((early, NOW), (late, NOW + timedelta(days=9))):
        toy.take(toy.files({"order_lines": [one_order(known_at=at(1))]}), now=now)
    assert early.shop.version == late.shop.version


def test_by_is_a_time_of_day():
    mapping = parse_mapping(expecting("1d", "02:00"), "shop.yaml")
    expected = mapping.tables["consents"].expect
    assert expected is not None and expected.by == time(2) and arrivals.period(expected) == timedelta(days=1)
