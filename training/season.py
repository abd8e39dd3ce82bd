"""Whether the weeks to come were ever learnt from a year before: a first year-end is unlike all that came before it."""

from collections.abc import Mapping
from typing import Any, Literal

from features.calendar import BusinessCalendar
from features.errors import Refused
from features.shop import Shop
from training.fitting import place

Span = tuple[int, int]  # a business day, and the first one that is no longer in it

YEAR_DAYS = 364  # whole weeks, so that the weekday is the same
SLACK_DAYS = 14  # half the four weeks between training cut-offs (training/splits.py, 2026-11-21)
COMING = "coming"  # the weeks that the chances of leaving are about

# Why, in Japanese and English: the model card and `okaeri train` say it.
SEEN = (
    "1年前の同じ時期({first}〜{last})を学習済み",
    "the same weeks a year before ({first} to {last}) were learnt from",
)
UNSEEN = (
    "1年前の同じ時期({first}〜{last})は、学習した期間({begins}〜{ends})に含まれていない",
    "the same weeks a year before ({first} to {last}) lie outside what was learnt from ({begins} to {ends})",
)


def learnt_span(shop: Shop, until: int, horizon_days: int) -> Span:
    """Give the days whose outcomes teach a model of ``until``: from the first cut-off to the end of the last window."""
    try:
        days = place(shop, until, horizon_days).all
    except Refused:  # a shop too young for the full models: its rates are of the last window
        return until - horizon_days, until
    return min(days), max(days) + horizon_days


def unseen(learnt: Span, spans: Mapping[str, Span]) -> list[str]:
    """Name the spans to come whose like of a year before, a fortnight either way, was not learnt from.

    >>> unseen((100, 400), {"coming": (500, 528), "sale": (440, 447), "year-end": (760, 790)})
    ['sale', 'year-end']
    """
    first, end = learnt[0] - SLACK_DAYS, learnt[1] + SLACK_DAYS
    return [name for name, (a, b) in spans.items() if not first <= a - YEAR_DAYS < b - YEAR_DAYS <= end]


def season_of(
    facts: Mapping[str, Any], day: int, horizon_days: int, calendar: BusinessCalendar, lang: Literal["ja", "en"]
) -> dict[str, Any] | None:
    """Tell it of a release by its ``release.json``; ``None`` of one that does not say what it learnt from."""
    if "learnt_span" not in facts:
        return None
    first, end = facts["learnt_span"]
    return season((first, end), day, horizon_days, calendar, lang)


def season(
    learnt: Span, day: int, horizon_days: int, calendar: BusinessCalendar, lang: Literal["ja", "en"]
) -> dict[str, Any]:
    """Tell whether the horizon from ``day`` on was seen a year before: ``seen``, and ``why`` in words."""
    coming = {COMING: (day, day + horizon_days)}
    is_seen = not unseen(learnt, coming)
    first, end = (at - YEAR_DAYS for at in coming[COMING])
    dates = {"first": first, "last": end - 1, "begins": learnt[0], "ends": learnt[1] - 1}
    words = (SEEN if is_seen else UNSEEN)[lang == "en"]
    return {"seen": is_seen, "why": words.format(**{name: calendar.date(at) for name, at in dates.items()})}
