"""What a check of a policy tells: at which line, how grave, and in plain words, Japanese and English."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, time
from functools import cached_property
from typing import Any, Literal

from features.calendar import BusinessCalendar
from serving.policy.rules import MARGIN_SHARE, Policy, Scenario
from serving.words import LANGUAGES, SCENARIOS, Language

Level = Literal["mistake", "warning"]
Said = tuple[str, str]  # Japanese, English

# Where no shop says how its days run: its own country's, and zones whose clocks change (2026-11-25).
ZONES = ("Asia/Tokyo", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe")
LEVELS: dict[Level, Said] = {"mistake": ("誤り", "mistake"), "warning": ("注意", "warning")}


@dataclass(frozen=True)
class Finding:
    """One thing a check has to say of a policy; ``line`` from 1, 0 where it is about no line."""

    level: Level
    line: int
    path: str
    code: str
    said: Said

    def text(self, lang: Language) -> str:
        return self.said[LANGUAGES.index(lang)]


@dataclass(frozen=True)
class Reason:
    """Why something can never go out; a soft one may be what the shop wants, and warns only."""

    code: str
    said: Said
    is_soft: bool = False


@dataclass(frozen=True)
class Setting:
    """What is known of a shop beside its policy: its day, how its days run, its currency."""

    as_of: date
    calendars: tuple[BusinessCalendar, ...] = tuple(BusinessCalendar(zone, time(0)) for zone in ZONES)
    currency: str | None = None
    margin_share: float = MARGIN_SHARE  # of revenue, where the policy does not say
    codes: Mapping[str, tuple[str, ...]] | None = None  # of the policy's pools; None: not looked at

    @cached_property
    def days(self) -> tuple[tuple[BusinessCalendar, int], ...]:
        """List the days of a year from ``as_of`` that differ: one as any other, and those around a change of clocks."""
        found = []
        for calendar in self.calendars:
            first = (self.as_of - date(1970, 1, 1)).days
            lengths = [calendar.start(day + 1) - calendar.start(day) for day in range(first, first + 366)]
            odd = {first + n for n, length in enumerate(lengths) if length != lengths[0]}
            around = {day + n for day in odd for n in (-2, -1, 0, 1)} if odd else set()
            found += [(calendar, day) for day in sorted({first, *around})]
        return tuple(found)


def said(words: Said, **values: Any) -> Said:
    """Fill the places of a phrase; a value may itself be a pair of words."""
    told = [{k: v[n] if isinstance(v, tuple) else v for k, v in values.items()} for n in range(2)]
    return words[0].format(**told[0]), words[1].format(**told[1])


def joined(parts: Iterable[Said]) -> Said:
    """Join phrases, each once."""
    kept = list(dict.fromkeys(parts))
    return "。".join(p[0] for p in kept), "; ".join(p[1] for p in kept)


def named(scenario: Scenario) -> Said:
    """Name a scenario: what it is, and its id."""
    ja, en = SCENARIOS[scenario.kind]
    return f"{ja}({scenario.id})", f"{en} ({scenario.id})"


def place(policy: Policy, scenario: Scenario) -> str:
    return f"scenarios.{policy.scenarios.index(scenario)}"
