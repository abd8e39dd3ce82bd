"""A shop's mapping: which file and column means what. Strict: a misspelt key is named with the nearest right one."""

import difflib
from datetime import date, time
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from features.calendar import BusinessCalendar
from features.door.computed import Computed, Strict, When
from features.door.notations import Name, TimeFormat, Zone
from features.door.tables import TABLES


class SetAside(Strict):
    """Rows that are not product sales: kept apart, counted under ``reason``."""

    reason: str
    when: When


class JoinedFile(Strict):
    """A second file whose columns are added by a shared key (one row per key there)."""

    source: str
    key: Name


class FillDown(Strict):
    """Columns an export gives only on the first row of a group, such as an order's first line."""

    by: Name
    columns: list[Name]


class Numbers(Strict):
    """Forms of numbers that are right here besides plain digits; nothing else is read as a number."""

    thousands: Literal[",", ".", " ", "'"] | None = None
    decimal: Literal[".", ","] = "."
    strip: list[str] = Field(default_factory=list)  # currency signs and units around a number
    full_width: bool = False  # １，２００ as 1,200

    @model_validator(mode="after")
    def _apart(self) -> "Numbers":
        if self.thousands == self.decimal:
            raise ValueError(f"thousands and decimal are both {self.decimal!r}")
        return self


class Ids(Strict):
    """How identifiers are made equal. Off by default: ids are kept as they are written."""

    trim: bool = False
    nfkc: bool = False  # full-width letters as ASCII, half-width kana as full; ① and 1 become the same


class Expect(Strict):
    """When a table should be there, so that a late one is known to be late."""

    every: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}[dh]$")]  # 1d, 7d, 6h
    by: time  # on the shop's wall clock


class TableMapping(Strict):
    """Where one canonical table comes from and how it is read."""

    source: str  # `package:NAME/PATH`, or a file name or glob looked for in the files given
    encoding: str = "utf-8"  # a byte order mark in the file wins
    delimiter: str | None = None  # default a comma, in .tsv a tab
    sheet: str | None = None  # of a workbook; default its first
    header: Annotated[int, Field(ge=1, le=1000)] = 1  # the line it stands on; what is above it is not read
    # strptime formats, or epoch_s, epoch_ms, epoch_us, excel (days since 1899-12-30)
    formats: Annotated[list[TimeFormat], Field(min_length=1)] = Field(
        default=["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]
    )
    numbers: Numbers = Numbers()
    ids: Ids = Ids()
    zone: Zone | None = None  # the zone of times written without one; default the shop's
    join: JoinedFile | None = None
    fill_down: FillDown | None = None
    columns: dict[str, Name | Computed]
    words: dict[str, dict[str, str]] = Field(default_factory=dict)  # canonical column -> {source value: our word}
    set_aside: list[SetAside] = Field(default_factory=list)
    returns: When | None = None  # order lines that are returns or cancellations: their quantity is negative
    repeats: Literal["drop", "keep"] = "drop"
    corrections: Literal["quarantine", "newest"] = "quarantine"  # the same key with other content, in a later row
    personal_data: list[str] = Field(default_factory=list)  # canonical columns that may hold e-mail or phone
    expect: Expect | None = None

    def source_columns(self) -> list[str]:
        """List the source columns that are read, in the order the mapping names them."""
        computed = [column for column in self.columns.values() if isinstance(column, Computed)]
        fill = self.fill_down
        names = [
            *(column for column in self.columns.values() if isinstance(column, str)),
            *(name for column in computed for name in column.source_columns()),
            *(name for rule in self.set_aside for name in rule.when),
            *(self.returns or ()),
            *((fill.by, *fill.columns) if fill else ()),
        ]
        return list(dict.fromkeys(names))


class Predict(Strict):
    """What churn means here; see design.md. ``None``: taken from the shop's own gaps."""

    horizon_days: int | None = Field(default=None, ge=7, le=365)
    lookback_days: int = Field(ge=7, le=730)
    min_order_days: int = Field(ge=1, le=100)
    cutoffs: list[date] = Field(default_factory=list)
    untouched_cutoff: date | None = None


class Mapping(Strict):
    """One shop."""

    shop: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    tax: Literal["included", "excluded"]
    language: Literal["ja", "en"] = "ja"
    timezone: Zone = "Asia/Tokyo"
    day_starts_at: time = time(0)
    clock: Literal["system"] | date = "system"
    rates: dict[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], Annotated[Decimal, Field(gt=0, lt=100_000)]] = Field(
        default_factory=dict
    )  # what one unit of another currency is worth; without it rows in it are quarantined
    notice: str | None = None  # what its licence asks to be shown
    # A refusal of the purpose `train` always holds; under opt_in silence is one too.
    train_consent: Literal["opt_out", "opt_in"] = "opt_out"
    predict: Predict
    include: list[str] = Field(default_factory=list)  # ready mappings whose tables are taken over; ours stand before
    tables: dict[str, TableMapping]

    @model_validator(mode="after")
    def _known_names(self) -> "Mapping":
        if "order_lines" not in self.tables:
            raise ValueError("tables: order_lines is required")
        for name, table in self.tables.items():
            _expect_known(name, list(TABLES), f"tables.{name}")
            known = TABLES[name]
            for column in (*table.columns, *table.words, *table.personal_data):
                _expect_known(column, list(known.names), f"tables.{name}.columns.{column}")
            lacking = [c.name for c in known.columns if c.required and c.name not in table.columns]
            if lacking:
                raise ValueError(f"tables.{name}.columns: {lacking[0]} is required")
        return self

    def sources(self) -> list[str]:
        """List the sources of its tables and of what they join."""
        tables = self.tables.values()
        return [how.source for how in tables] + [how.join.source for how in tables if how.join]

    @property
    def calendar(self) -> BusinessCalendar:
        return BusinessCalendar(self.timezone, self.day_starts_at)


def nearest(word: str, known: list[str]) -> str:
    """Name the known word nearest to a misspelt one, as ``; did you mean X?``, or the first few of them.

    >>> nearest("custmer_id", ["customer_id", "order_id"])
    '; did you mean customer_id?'
    """
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known[:12])}"


def _expect_known(word: str, known: list[str], path: str) -> None:
    if word not in known:
        raise ValueError(f"{path}: unknown{nearest(word, known)}")
