"""Whether there can be anybody a filter means: what its parts ask of one column, and what columns say of each other.

A filter is laid out as alternatives, each asking something of some columns; nobody is meant if in every alternative
some column is left without a value. Only what follows from the policy and from what columns mean is used, so an answer
of "nobody" is certain; "somebody" only says that no contradiction was found.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise
from math import ceil, floor, inf

from features.calendar import day_number
from serving.policy.filters import Condition, Every, Filter, Not, Some, Value
from serving.policy.rules import Lifecycle, Policy
from serving.policy.spans import DAY

MOST_ALTERNATIVES = 512  # beyond, nothing is claimed of a filter (2026-11-25)
WHOLE = ("order_count", "clv_grade", "days_since_last_order")
# What a number can be, by column; every other may be anything. A share lies between 0 and 1.
RANGES: dict[str, tuple[float, float]] = {
    "order_count": (0, inf), "churn_percentile": (0, 100), "silence_ratio": (0, inf), "clv_grade": (1, 5),
    "days_since_last_order": (0, inf), "usual_gap_days": (0, inf), "overdue_days": (0, inf), "points": (0, inf),
    "to_next_tier": (0, inf),
}  # fmt: skip
STAGES = {"F0": (0, 0), "F1": (1, 1), "F2": (2, 2), "F3plus": (3, inf)}
# Known only of who is active and neither dormant nor lapsed (contracts.md section 2: churn).
OF_ACTIVE = ("churn_probability", "churn_band", "churn_percentile", "at_risk_365d")
# Known only of who has ordered.
OF_BUYERS = (
    "silence_ratio", "days_since_last_order", "overdue_days", "usual_gap_days", "promo_share", "clv_historic",
    "clv_grade", "clv_predicted_90d", "clv_predicted_365d", "clv_low_365d", "clv_high_365d",
)  # fmt: skip


@dataclass(frozen=True)
class Room:
    """What one column may still be: between two ends, among some words or none of some, holding some words."""

    low: float = -inf
    high: float = inf
    is_low_open: bool = False
    is_high_open: bool = False
    among: frozenset[str | float] | None = None
    without: frozenset[str | float] = frozenset()
    holding: tuple[frozenset[str | float], ...] = ()  # of a set of words: one of each at least

    def within(self, low: float, high: float, is_low_open: bool = False, is_high_open: bool = False) -> "Room":
        new = self
        if low > self.low or (low == self.low and is_low_open):
            new = replace(new, low=low, is_low_open=is_low_open)
        if high < self.high or (high == self.high and is_high_open):
            new = replace(new, high=high, is_high_open=is_high_open)
        return new

    def one_of(self, values: frozenset[str | float]) -> "Room":
        return replace(self, among=values if self.among is None else self.among & values)

    def none_of(self, values: frozenset[str | float]) -> "Room":
        return replace(self, without=self.without | values)

    def is_empty(self, is_whole: bool) -> bool:
        """Tell whether nothing is left."""
        if any(words <= self.without for words in self.holding):
            return True
        if self.among is not None:
            return not any(self.takes(value) for value in self.among)
        low, high = self.low, self.high
        if is_whole:
            low = floor(low) + 1 if self.is_low_open and low == floor(low) else ceil(low) if low > -inf else low
            high = ceil(high) - 1 if self.is_high_open and high == ceil(high) else floor(high) if high < inf else high
            return low > high or (low == high and low in self.without)
        return low > high or (low == high and (self.is_low_open or self.is_high_open or low in self.without))

    def takes(self, value: str | float) -> bool:
        if value in self.without:
            return False
        if isinstance(value, str):
            return self.low == -inf and self.high == inf
        above = value > self.low or (value == self.low and not self.is_low_open)
        return above and (value < self.high or (value == self.high and not self.is_high_open))

    def left(self, words: Sequence[str]) -> tuple[str, ...]:
        """List which of a column's only words are left."""
        return tuple(w for w in words if (self.among is None or w in self.among) and w not in self.without)


Rooms = Mapping[str, Room]


def is_possible(
    who: Filter,
    policy: Policy,
    as_of: date,
    given: Sequence[Condition] = (),
    never: Collection[tuple[str, bool]] = (),
) -> bool:
    """Tell whether anybody could be meant by a filter.

    ``given`` is what is known of everybody asked about; ``never`` names the columns of which no condition can be known
    to hold (``True``) or not to hold (``False``).

    >>> from serving.policy.columns import CUSTOMER
    >>> from serving.policy.filters import parse
    >>> from serving.policy.reading import load_policy
    >>> who = parse({"order_count": 0, "lifecycle": "at_risk"}, CUSTOMER)
    >>> is_possible(who, load_policy(), date(2026, 12, 1))
    False
    """
    whole = Every((who, *given))
    for n, alternative in enumerate(alternatives(whole)):
        if n >= MOST_ALTERNATIVES:
            return True
        is_open = all((condition.name, holds) not in never for condition, holds in alternative)
        if is_open and _fits(alternative, policy, as_of):
            return True
    return False


Literal = tuple[Condition, bool]  # a condition, and whether it must hold or must not


def alternatives(read: Filter, holds: bool = True) -> Iterator[tuple[Literal, ...]]:
    """Lay a filter out as alternatives of conditions that must all hold, or must be known not to."""
    match read:
        case Condition():
            yield ((read, holds),)
        case Not(part=part):
            yield from alternatives(part, not holds)
        case Every(parts=parts) | Some(parts=parts) if isinstance(read, Every) == holds:
            yield from _each_of(parts, holds)
        case Every(parts=parts) | Some(parts=parts):
            for part in parts:
                yield from alternatives(part, holds)


def _each_of(parts: Sequence[Filter], holds: bool) -> Iterator[tuple[Literal, ...]]:
    if not parts:
        yield ()
        return
    for first in alternatives(parts[0], holds):
        for rest in _each_of(parts[1:], holds):
            yield first + rest


def _fits(alternative: Sequence[Literal], policy: Policy, as_of: date) -> bool:
    """Tell whether one alternative leaves a value for every column; a range that must not hold leaves two."""
    rooms: list[dict[str, Room]] = [{}]
    for condition, holds in alternative:
        rooms = [
            room | {condition.name: found}
            for room in rooms
            for found in _narrowed(room.get(condition.name, _start(condition)), condition, holds, as_of)
        ]
        if len(rooms) > MOST_ALTERNATIVES:
            return True
    return any(not _is_void(_told(room, policy)) for room in rooms)


def _start(condition: Condition) -> Room:
    if condition.column.kind == "boolean":
        return Room(among=frozenset((0.0, 1.0)))
    low, high = RANGES.get(condition.name, (0.0, 1.0) if condition.column.unit == "share" else (-inf, inf))
    return Room(low, high)


def _narrowed(room: Room, condition: Condition, holds: bool, as_of: date) -> Iterator[Room]:
    values = frozenset(_value(value, as_of) for value in condition.among or ())
    low, high = (None if end is None else float(_value(end, as_of)) for end in (condition.low, condition.high))
    if holds:
        if condition.among is not None:
            is_set = condition.column.kind == "texts"
            room = replace(room, holding=(*room.holding, values)) if is_set else room.one_of(values)
        yield room.within(-inf if low is None else low, inf if high is None else high)
        return
    if condition.among is not None:
        yield room.none_of(values)
    if low is not None:
        yield room.within(-inf, low, is_high_open=True)
    if high is not None:
        yield room.within(high, inf, is_low_open=True)


def _value(value: Value, as_of: date) -> str | float:
    if isinstance(value, timedelta):
        return float(day_number(as_of) + value.days)
    return value if isinstance(value, str) else float(day_number(value)) if isinstance(value, date) else float(value)


def _is_void(rooms: Rooms) -> bool:
    return any(room.is_empty(name in WHOLE) for name, room in rooms.items())


# ---- what columns say of each other


def _told(rooms: dict[str, Room], policy: Policy) -> dict[str, Room]:
    """Add to each column what the others say of it."""
    told = dict(rooms)
    if {"order_count", "f_stage", "lifecycle"} & set(told) or set(OF_BUYERS) & set(told):
        _stages(told)
    if "churn_band" in told:
        _bands(told, policy)
    if "lifecycle" in told or set(OF_ACTIVE) & set(told):
        _lives(told, policy.lifecycle)
    if "to_next_tier" in told and policy.tiers is not None:
        told["tier"] = told.get("tier", Room()).none_of(frozenset((policy.tiers.levels[-1].id,)))
    if "tier" in told and policy.tiers is not None:
        told["tier"] = told["tier"].one_of(frozenset(level.id for level in policy.tiers.levels))
    return told


def _stages(told: dict[str, Room]) -> None:
    """Orders, the F stage and whether somebody is a prospect say the same."""
    orders = told.get("order_count", Room(0.0))
    buyers = [name for name in told if name in OF_BUYERS]
    if buyers:
        orders = orders.within(1, inf)
    stages = [
        word
        for word in told.get("f_stage", Room()).left(tuple(STAGES))
        if not orders.within(*STAGES[word]).is_empty(True)
    ]
    told["f_stage"] = Room(among=frozenset(stages))
    if stages:
        orders = orders.within(min(STAGES[w][0] for w in stages), max(STAGES[w][1] for w in stages))
    life = told.get("lifecycle", Room())
    if orders.low >= 1:
        life = life.none_of(frozenset(("prospect",)))
    if orders.high < 1 or life.among == frozenset(("prospect",)):
        life, orders = life.one_of(frozenset(("prospect",))), orders.within(0, 0)
    elif life.among is not None and "prospect" not in life.among:
        orders = orders.within(1, inf)
    told["order_count"], told["lifecycle"] = orders, life
    if not any(not orders.within(*STAGES[word]).is_empty(True) for word in stages):
        told["f_stage"] = Room(among=frozenset())


def _bands(told: dict[str, Room], policy: Policy) -> None:
    """A band is a range of the churn probability."""
    edges = [0.0, policy.bands.watch, policy.bands.high, policy.bands.critical, 1.0]
    words = told["churn_band"].left(("low", "watch", "high", "critical"))
    chance = told.get("churn_probability", Room(0.0, 1.0))
    ranges = dict(zip(("low", "watch", "high", "critical"), pairwise(edges), strict=True))
    left = [w for w in words if not chance.within(*ranges[w], is_high_open=w != "critical").is_empty(False)]
    told["churn_band"] = Room(among=frozenset(left))


def life_ranges(edges: Lifecycle) -> dict[str, Rooms]:
    """Give between which days of silence, and how far beyond the usual gap, each stage of life lies."""
    dormant = [span / DAY for span in (edges.dormant.default, *edges.dormant.by_category.values())]
    times, ratio = edges.lapsed.dormant_times, edges.at_risk.silence_ratio
    awake = Room(0.0, max(dormant))
    return {
        "prospect": {"days_since_last_order": Room(inf, -inf)},
        "lapsed": {"days_since_last_order": Room(min(dormant) * times, inf, is_low_open=True)},
        "dormant": {"days_since_last_order": Room(min(dormant), max(dormant) * times, is_low_open=True)},
        # Two order days lie a day apart at least, so the usual gap is a day or more.
        "at_risk": {"days_since_last_order": awake.within(ratio, inf), "silence_ratio": Room(ratio)},
        "new": {"days_since_last_order": awake.within(0, edges.first_order_window / DAY)},
        "reactivated": {"days_since_last_order": awake.within(0, edges.reactivated.for_ / DAY)},
        "active": {"days_since_last_order": awake, "silence_ratio": Room(0.0, ratio, is_high_open=True)},
    }


def impossible_lives(edges: Lifecycle) -> tuple[str, ...]:
    """List the stages of life that nobody can be in by the policy's edges; a night sees a day of silence at least."""
    found = [] if edges.lapsed.dormant_times > 1 else ["dormant"]
    for word, rooms in life_ranges(edges).items():
        days = rooms["days_since_last_order"].within(1, inf)
        if word not in ("prospect", *found) and days.is_empty(False):
            found.append(word)
    return tuple(found)


def _lives(told: dict[str, Room], edges: Lifecycle) -> None:
    """A stage of life is a range of silence; a churn probability is given in some of them only."""
    life = told.get("lifecycle", Room())
    if any(name in told for name in OF_ACTIVE):
        life = life.none_of(frozenset(("prospect", "dormant", "lapsed")))
    ranges, never = life_ranges(edges), impossible_lives(edges)
    left = []
    for word in life.left(tuple(ranges)):
        asked = {name: room for name, room in ranges[word].items() if name in told}
        if word not in never and not any(
            _both(told[name], room).is_empty(name in WHOLE) for name, room in asked.items()
        ):
            left.append(word)
    told["lifecycle"] = Room(among=frozenset(left))


def _both(one: Room, other: Room) -> Room:
    return one.within(other.low, other.high, other.is_low_open, other.is_high_open)
