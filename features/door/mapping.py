"""A shop's mapping: which file and column means what. Strict: a misspelt key is named with the nearest right one."""

import difflib
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from features.calendar import BusinessCalendar
from features.door.tables import TABLES
from features.errors import BadInput

SHOPS = Path(__file__).resolve().parent.parent / "shops"


class Strict(BaseModel):
    """A block whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Condition(Strict):
    """What a source value must be; all the given ones must hold. Compared as text but for ``min`` and ``max``."""

    is_in: list[str] | None = Field(default=None, alias="in")
    matches: str | None = None  # a regular expression found anywhere in the value
    not_matches: str | None = None
    empty: bool | None = None
    min: float | None = None
    max: float | None = None


def _condition(value: object) -> object:
    """A bare value is "equals", a list is ``in``."""
    if isinstance(value, list):
        return {"in": [str(v) for v in value]}
    return {"in": [str(value)]} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


When = dict[str, Annotated[Condition, BeforeValidator(_condition)]]


class Computed(Strict):
    """A canonical column that is not simply one source column. Exactly one way of computing it is given."""

    constant: str | None = None
    sum: list[str] | None = None
    product: list[str] | None = None
    join: list[str] | None = None  # texts with `separator` between; empty parts are left out
    separator: str = " > "
    when: When | None = None  # with `constant`: else the column is empty

    @model_validator(mode="after")
    def _one_way(self) -> "Computed":
        ways = [w for w in ("constant", "sum", "product", "join") if getattr(self, w) is not None]
        if len(ways) != 1:
            raise ValueError(f"give exactly one of constant, sum, product, join; found {', '.join(ways) or 'none'}")
        return self


class SetAside(Strict):
    """Rows that are not product sales: kept apart, counted under ``reason``."""

    reason: str
    when: When


class JoinedFile(Strict):
    """A second file whose columns are added by a shared key (one row per key there)."""

    source: str
    key: str


class Expect(Strict):
    """When a table should be there, so that a late one is known to be late."""

    every: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,2}[dh]$")]  # 1d, 7d, 6h
    by: time  # on the shop's wall clock


class TableMapping(Strict):
    """Where one canonical table comes from and how it is read."""

    source: str  # `package:NAME/PATH`, or a file name or glob looked for in the files given
    encoding: str = "utf-8"
    delimiter: str = ","
    formats: list[str] = Field(default=["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"])
    zone: str | None = None  # the zone of times written without one; default the shop's
    join: JoinedFile | None = None
    columns: dict[str, str | Computed]
    words: dict[str, dict[str, str]] = Field(default_factory=dict)  # canonical column -> {source value: our word}
    set_aside: list[SetAside] = Field(default_factory=list)
    returns: When | None = None  # order lines that are returns or cancellations: their quantity is negative
    repeats: Literal["drop", "keep"] = "drop"
    expect: Expect | None = None


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
    timezone: str = "Asia/Tokyo"
    day_starts_at: time = time(0)
    clock: Literal["system"] | date = "system"
    notice: str | None = None  # what its licence asks to be shown
    predict: Predict
    tables: dict[str, TableMapping]

    @model_validator(mode="after")
    def _known_names(self) -> "Mapping":
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"timezone: {self.timezone!r} is no IANA time zone, such as Asia/Tokyo") from None
        if "order_lines" not in self.tables:
            raise ValueError("tables: order_lines is required")
        for name, table in self.tables.items():
            _expect_known(name, list(TABLES), f"tables.{name}")
            known = TABLES[name]
            for column in (*table.columns, *table.words):
                _expect_known(column, list(known.names), f"tables.{name}.columns.{column}")
            lacking = [c.name for c in known.columns if c.required and c.name not in table.columns]
            if lacking:
                raise ValueError(f"tables.{name}.columns: {lacking[0]} is required")
        return self

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


def mapping_path(path: Path) -> Path:
    """Find a ``shop.yaml``; a bare name stands for one of the ready mappings in ``features/shops``.

    Raises
    ------
    BadInput
        Naming the ready ones.
    """
    ready = SHOPS / f"{path.name.removesuffix('.yaml')}.yaml"
    if path.is_file():
        return path
    if path.parent == Path() and ready.is_file():
        return ready
    known = ", ".join(sorted(p.stem for p in SHOPS.glob("*.yaml")))
    raise BadInput(f"{path}: no such mapping; ready ones are {known}")


def load_mapping(path: Path) -> Mapping:
    """Read a mapping, or a ready one by its name.

    Raises
    ------
    BadInput
        Naming the file, the key and the nearest right one.
    """
    found = mapping_path(path)
    return parse_mapping(found.read_bytes(), str(found))


def parse_mapping(content: bytes, named: str) -> Mapping:
    """Read a mapping's text; ``named`` is what errors call it."""
    try:
        return Mapping.model_validate(yaml.safe_load(content))
    except yaml.YAMLError as error:
        raise BadInput(f"{named}: not YAML: {error}") from None
    except ValidationError as error:
        raise BadInput("\n".join(f"{named}: {_explain(e)}" for e in error.errors(include_url=False))) from None


def _explain(error: Any) -> str:
    """Turn one pydantic error into a line that names the key and what would be right."""
    path = ".".join(str(part) for part in error["loc"] if part not in ("str", "Computed", "function-after"))
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key{nearest(str(error['loc'][-1]), _keys_at(error['loc'][:-1]))}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path}: {message}" if path else message


def _keys_at(location: tuple[Any, ...]) -> list[str]:
    """List the keys a block of the mapping may have, by walking the models along an error's path."""
    blocks: dict[str, type[Strict]] = {
        "predict": Predict,
        "join": JoinedFile,
        "expect": Expect,
        "set_aside": SetAside,
        "Computed": Computed,
        "when": Condition,
        "returns": Condition,
    }
    model: type[Strict] = Mapping
    for index, part in enumerate(location):
        if part in blocks:
            model = blocks[part]
        elif index > 0 and location[index - 1] == "tables":
            model = TableMapping
    return [field.alias or name for name, field in model.model_fields.items()]
