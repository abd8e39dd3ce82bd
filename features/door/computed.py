"""A column that is not simply one of the source's, and the conditions under which a row is meant."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from features.door.notations import Name, Pattern


class Strict(BaseModel):
    """A block whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
            raise ValueError(f"says nothing; give a value, a list of them, or {', '.join(names_of(Condition))}")
        return self


def _condition(value: object) -> object:
    """A bare value is "equals", a list is ``in``."""
    if isinstance(value, list):
        return {"in": [str(v) for v in value]}
    return {"in": [str(value)]} if isinstance(value, str | int | float) and not isinstance(value, bool) else value


When = Annotated[dict[Name, Annotated[Condition, BeforeValidator(_condition)]], Field(min_length=1)]
SourceColumns = Annotated[list[Name], Field(min_length=1)]


def names_of(model: type[Strict]) -> list[str]:
    """List the keys a block may have, as they are written."""
    return [field.alias or name for name, field in model.model_fields.items()]


class Computed(Strict):
    """A canonical column that is not simply one source column. Exactly one way of computing it is given."""

    constant: str | None = None
    first: SourceColumns | None = None  # the first of these columns that is not empty
    hmac: Name | None = None  # personal data (e-mail, phone): only its HMAC by the shop's key is kept
    sum: SourceColumns | None = None
    product: SourceColumns | None = None
    less: SourceColumns | None = None  # with `sum` or `product`: what is taken off it; an empty one takes nothing off
    join: SourceColumns | None = None  # texts with `separator` between; empty parts are left out
    separator: str = " > "
    nth: Name | None = None  # the row's place, from 1, among its file's rows with the same value of this column
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
