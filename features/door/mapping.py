"""A shop's mapping: which file and column means what. Strict: a misspelt key is named with the nearest right one."""

import difflib
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import duckdb
import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from features.calendar import BusinessCalendar
from features.door.tables import TABLES
from features.errors import BadInput

SHOPS = Path(__file__).resolve().parent.parent / "shops"
FRAGMENTS = ("ga4", "mailtool")  # tables for other shops' mappings to include; no shops of their own


TIME_WORDS = ("epoch_s", "epoch_ms", "epoch_us", "excel")  # formats that are numbers


class Strict(BaseModel):
    """A block whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _regex(text: str) -> str:
    """Check a regular expression by the engine that will run it (RE2: no look-around, no back references)."""
    try:
        duckdb.execute("SELECT regexp_matches('', ?)", [text])
    except duckdb.Error as error:
        raise ValueError(f"{text!r} is no regular expression (RE2): {_reason(error)}") from None
    return text


def _strptime(text: str) -> str:
    """Check one form of times; one without a place for anything would fit nothing."""
    if text in TIME_WORDS:
        return text
    try:
        duckdb.execute("SELECT try_strptime('', ?)", [text])
    except duckdb.Error as error:
        raise ValueError(f"{text!r} is no strptime format such as %Y/%m/%d %H:%M: {_reason(error)}") from None
    if "%" not in text:
        raise ValueError(f"{text!r} is no strptime format such as %Y/%m/%d %H:%M, nor {', '.join(TIME_WORDS)}")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no IANA time zone, such as Asia/Tokyo") from None
    return name


def _reason(error: duckdb.Error) -> str:
    return str(error).splitlines()[0].split(": ", 1)[-1]


Pattern = Annotated[str, AfterValidator(_regex)]
Zone = Annotated[str, AfterValidator(_zone)]


class Condition(Strict):
    """What a source value must be; all the given ones must hold. Compared as text but for ``min`` and ``max``."""

    is_in: list[str] | None = Field(default=None, alias="in")
    matches: Pattern | None = None  # a regular expression found anywhere in the value
    not_matches: Pattern | None = None
    empty: bool | None = None
    min: Annotated[float, Field(allow_inf_nan=False)] | None = None
    max: Annotated[float, Field(allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Condition":
        if not self.model_dump(exclude_none=True):
            raise ValueError(f"says nothing; give a value, a list of them, or {', '.join(_names(Condition))}")
        return self


def _condition(value: object) -> object:
    """A bare value is "equals", a list is ``in``."""
    if isinstance(value, list):
        return {"in": [str(v) for v in value]}
    return {"in": [str(value)]} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


When = Annotated[dict[str, Annotated[Condition, BeforeValidator(_condition)]], Field(min_length=1)]
SourceColumns = Annotated[list[str], Field(min_length=1)]


def _names(model: type[Strict]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


class Computed(Strict):
    """A canonical column that is not simply one source column. Exactly one way of computing it is given."""

    constant: str | None = None
    first: SourceColumns | None = None  # the first of these columns that is not empty
    hmac: str | None = None  # personal data (e-mail, phone): only its HMAC by the shop's key is kept
    sum: SourceColumns | None = None
    product: SourceColumns | None = None
    less: SourceColumns | None = None  # with `sum` or `product`: what is taken off it; an empty one takes nothing off
    join: SourceColumns | None = None  # texts with `separator` between; empty parts are left out
    separator: str = " > "
    nth: str | None = None  # the row's place, from 1, among its file's rows with the same value of this column
    when: When | None = None  # with `constant`: else the column is `otherwise`, or empty
    otherwise: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Computed":
        known = ("constant", "first", "hmac", "sum", "product", "join", "nth")
        ways = [way for way in known if getattr(self, way) is not None]
        if len(ways) != 1:
            raise ValueError(f"give exactly one of {', '.join(known)}; found {', '.join(ways) or 'none'}")
        if self.less is not None and ways[0] not in ("sum", "product"):
            raise ValueError("less goes with sum or product")
        if self.otherwise is not None and self.when is None:
            raise ValueError("otherwise goes with constant and when")
        return self

    def source_columns(self) -> list[str]:
        """List the source columns it is computed from."""
        lists = (self.sum, self.product, self.less, self.join, self.first, self.when, self.hmac and [self.hmac])
        return [name for names in lists for name in names or ()] + ([self.nth, place_in(self.nth)] if self.nth else [])


def place_in(column: str) -> str:
    """Name the column, added to the source's, that holds a row's place among those with the same value of one."""
    return f"nth {column}"


class SetAside(Strict):
    """Rows that are not product sales: kept apart, counted under ``reason``."""

    reason: str
    when: When


class JoinedFile(Strict):
    """A second file whose columns are added by a shared key (one row per key there)."""

    source: str
    key: str


class FillDown(Strict):
    """Columns an export gives only on the first row of a group, such as an order's first line."""

    by: str
    columns: list[str]


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
    # strptime formats, or epoch_s, epoch_ms, epoch_us, excel (days since 1899-12-30)
    formats: Annotated[list[Annotated[str, AfterValidator(_strptime)]], Field(min_length=1)] = Field(
        default=["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"]
    )
    numbers: Numbers = Numbers()
    ids: Ids = Ids()
    zone: Zone | None = None  # the zone of times written without one; default the shop's
    join: JoinedFile | None = None
    fill_down: FillDown | None = None
    columns: dict[str, str | Computed]
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
    if found.parent == SHOPS and found.stem in FRAGMENTS:
        raise BadInput(f"{found}: has tables only: take it into a shop's mapping with `include: [{found.stem}]`")
    return parse_mapping(found.read_bytes(), str(found))


def parse_mapping(content: bytes, named: str) -> Mapping:
    """Read a mapping's text; ``named`` is what errors call it."""
    try:
        return Mapping.model_validate(_with_included(yaml.load(content, _Yaml), named))
    except yaml.YAMLError as error:
        raise BadInput(f"{named}: not YAML: {error}") from None
    except ValidationError as error:
        found = error.errors(include_url=False)
        # of a column that is a block, that it is no text either need not be said
        told = [e for e in found if not (e["type"] == "string_type" and isinstance(e["input"], dict))] or found
        raise BadInput("\n".join(f"{named}: {_explain(e)}" for e in told)) from None


class _Yaml(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: which of the two is meant is not guessed."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _with_included(document: Any, named: str) -> Any:
    """Add the tables of the ready mappings a mapping includes; a table of its own takes their place."""
    names = document.get("include") if isinstance(document, dict) else None
    own = (document.get("tables") or {}) if isinstance(names, list) else {}
    if not isinstance(names, list) or not isinstance(own, dict):
        return document  # the schema says what is wrong
    ready = sorted(path.stem for path in SHOPS.glob("*.yaml"))
    given: dict[str, str] = {}
    tables: dict[str, Any] = {}
    for name in names:
        if name not in ready:
            raise BadInput(f"{named}: include: no ready mapping is called {name}{nearest(str(name), ready)}")
        for table, how in yaml.safe_load((SHOPS / f"{name}.yaml").read_bytes())["tables"].items():
            if table not in own and table in given:
                raise BadInput(f"{named}: include: both {given[table]} and {name} bring {table}; write tables.{table}")
            given[table], tables[table] = name, how
    return document | {"tables": tables | own}


def _explain(error: Any) -> str:
    """Turn one pydantic error into a line that names the key and what would be right."""
    models = ("str", "Computed")
    path = ".".join(str(x) for x in error["loc"] if x not in models and not str(x).startswith("function-after"))
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
        "fill_down": FillDown,
        "numbers": Numbers,
        "ids": Ids,
        "when": Condition,
        "returns": Condition,
    }
    model: type[Strict] = Mapping
    for index, part in enumerate(location):
        if part in blocks or str(part).endswith("Computed]"):
            model = blocks.get(part, Computed)
        elif index > 0 and location[index - 1] == "tables":
            model = TableMapping
    return _names(model)
