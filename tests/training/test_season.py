"""Whether the weeks to come were learnt from a year before: every case counted on the calendar."""

from datetime import date

import pytest

from features.calendar import day_number
from training.backtest import seasons
from training.season import COMING, learnt_span, season, season_of, unseen

from .conftest import ZERO, Line

TODAY = day_number(date(2026, 12, 1))
LAST_YEAR = TODAY - 364  # 2025-12-02, the same weekday


@pytest.mark.parametrize(
    ("first", "end", "seen"),
    [
        pytest.param(LAST_YEAR, TODAY, True, id="the history begins on that day"),
        pytest.param(LAST_YEAR + 14, TODAY, True, id="or a fortnight later"),
        pytest.param(LAST_YEAR + 15, TODAY, False, id="but no day more"),
        pytest.param(LAST_YEAR - 300, LAST_YEAR + 28, True, id="the last window ended with that one"),
        pytest.param(LAST_YEAR - 300, LAST_YEAR + 14, True, id="or a fortnight before"),
        pytest.param(LAST_YEAR - 300, LAST_YEAR + 13, False, id="a release too old to know that year-end"),
    ],
)
def test_by_the_calendar(first, end, seen):
    assert (unseen((first, end), {COMING: (TODAY, TODAY + 28)}) == []) is seen


def test_each_span_is_judged_by_its_own_days():
    """A sale of three days in a history that began a year and a week ago, and one that came before it."""
    learnt = TODAY - 371, TODAY
    spans = {"sale": (TODAY + 1, TODAY + 4), "new year": (TODAY - 60, TODAY - 50)}
    assert unseen(learnt, spans) == ["new year"]


def test_it_is_said_in_both_languages_with_the_days(told):
    calendar = told([Line("1", "a", 0)]).calendar
    learnt = day_number(date(2026, 3, 1)), TODAY
    english, japanese = (season(learnt, TODAY, 28, calendar, lang) for lang in ("en", "ja"))
    assert english == {
        "seen": False,
        "why": "the same weeks a year before (2025-12-02 to 2025-12-29) lie outside what was learnt from"
        " (2026-03-01 to 2026-11-30)",
    }
    assert japanese["why"].startswith("1年前の同じ時期(2025-12-02〜2025-12-29)は")
    assert season((LAST_YEAR, TODAY), TODAY, 28, calendar, "en")["seen"]


def test_a_release_that_does_not_say_what_it_learnt_from_is_not_judged(told):
    calendar = told([Line("1", "a", 0)]).calendar
    assert season_of({}, TODAY, 28, calendar, "en") is None
    assert season_of({"learnt_span": [LAST_YEAR, TODAY]}, TODAY, 28, calendar, "en")["seen"]


def test_what_is_learnt_from_goes_from_the_first_cut_off_to_the_end_of_the_last_window(large, told):
    """A year of history, a look-back of 56 days: cut-offs every four weeks back from two horizons before the end."""
    cutoffs = range(365 - 56, 55, -28)
    assert learnt_span(large.shop, large.until, 28) == (large.until - 365 + min(cutoffs), large.until)
    young = told([Line("1", "a", 0)])
    assert learnt_span(young, ZERO + 60, 28) == (ZERO + 32, ZERO + 60)  # too young for a cut-off before the last


def test_a_backtest_says_it_of_every_cut_off(large):
    days = [large.until - 70, large.until - 35]
    found = seasons(large.shop, days)
    assert list(found) == [str(large.shop.calendar.date(day)) for day in days]
    assert not any(one["seen"] for one in found.values())  # one year of history holds no year before


def test_a_release_and_its_training_say_it(large):
    told = large.told["season"]
    assert told["seen"] is False and "(2024-01-02〜2024-01-29)は、学習した期間(2024-02-27〜2024-12-30)" in told["why"]
    assert told["why"] in (large.path / "card.html").read_text("utf-8")
