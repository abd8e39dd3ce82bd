"""What a caller may ask, word for word, and how a refusal reads (contracts.md, section 2).

Everything is strict: no unknown field, no number as text, no ``null`` for a field that could be left out, no
NaN. A customer id is the one thing that is only data: whatever text it is, it is answered, if need be with
``unknown_customer``, so that one bad id never fails the others.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

MAX_IDS = 1_000  # ids per request; design.md, C2 of faults.md
MAX_ROWS = 10_000  # rows of an audience a page: some 4 MB of JSON
MAX_FULL = 20  # ids with every reason, candidate and guard: `pred_contrib` costs 265 scores (faults.md)

Language = Literal["ja", "en"]
Purpose = Literal["marketing", "survey", "service"]
Reaction = Literal["delivered", "open", "click", "redeem", "unsubscribe", "block", "bounce", "complaint"]
Explain = Literal["none", "brief", "full"]
ProfileName = Literal[
    "excel-ja", "generic", "line-audience", "klaviyo-profiles", "braze-attributes", "warehouse-insert"
]
Block = Literal[
    "churn", "second_order", "next_order", "replenishment", "clv", "at_risk_365d", "promo_share",
    "subscription", "recommendations", "action", "candidates", "send", "guards", "experiment", "reasons",
]  # fmt: skip

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class Refused(Exception):
    """A question without an answer: a status, a stable code, a sentence that never repeats what was sent."""

    def __init__(self, status: int, code: str, message: str, path: str | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.path = status, code, message, path

    @property
    def headers(self) -> dict[str, str]:
        """What a program should know beside the body: when to ask again, how to show a key."""
        told = {401: {"www-authenticate": "Bearer"}, 429: {"retry-after": "1"}, 503: {"retry-after": "1"}}
        return told.get(self.status, {})

    def body(self, request_id: str) -> dict[str, dict[str, str | None]]:
        """The one shape of every refusal.

        >>> Refused(404, "not_found", "no such route").body("r1")["error"]["code"]
        'not_found'
        """
        error = {"code": self.code, "message": self.message, "path": self.path, "request_id": request_id}
        return {"error": error}


def _not_null(value: object) -> object:
    """A field may be left out, which means its default; ``null`` would mean nobody knows what."""
    if value is None:
        raise PydanticCustomError("null", "must not be null; leave the field out instead")
    return value


def _instant(value: object) -> datetime:
    """Read an RFC 3339 instant; one without an offset could be any of 24 hours and is refused.

    >>> _instant("2026-11-21T09:00:00+09:00").isoformat()
    '2026-11-21T00:00:00+00:00'
    """
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise PydanticCustomError("instant", "must be an RFC 3339 instant with offset, as 2026-11-21T09:00:00+09:00")


def _day(value: object) -> date:
    """Read a calendar day.

    >>> _day("2026-11-21")
    datetime.date(2026, 11, 21)
    """
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise PydanticCustomError("day", "must be a day, as 2026-11-21")


T = TypeVar("T")
IfGiven = Annotated[T | None, BeforeValidator(_not_null)]
Instant = Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=datetime)]
Day = Annotated[date, BeforeValidator(_day, json_schema_input_type=date)]
Word = Annotated[str, Field(min_length=1, max_length=128)]
Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]  # as the door takes ids
Amount = Annotated[float, Field(ge=-1e12, le=1e12)]
CustomerIds = Annotated[list[str], Field(min_length=1, max_length=MAX_IDS)]
ProductIds = Annotated[list[str], Field(max_length=1_000)]
Basket = Annotated[list[str], Field(min_length=1, max_length=100)]
Words = Annotated[list[Word], Field(min_length=1, max_length=100)]
Blocks = Annotated[list[Block], Field(max_length=50)]


class Strict(BaseModel):
    """A part of a question in which every word counts."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Document what is accepted: a field that may be left out may still not be ``null``."""
        schema = handler(core)
        for described in handler.resolve_ref_schema(schema)["properties"].values():
            if described.get("default", "") is None:
                del described["default"]
                described.update(next(kind for kind in described.pop("anyOf") if kind != {"type": "null"}))
        return schema


class Identifier(Strict):
    """A customer known by something else than the shop's own id."""

    type: Word = Field(description="an alias_type of `identities`: email_hash, device, member_no, line_user_id, ...")
    value: str = Field(min_length=1, max_length=256, description="the alias; for an e-mail its HMAC-SHA256")


class Context(Strict):
    """What the customer is looking at now."""

    product_ids: IfGiven[Basket] = Field(default=None, description="products in view")
    category: IfGiven[Word] = Field(default=None, description="category in view")


class OutcomeTold(Strict):
    """One reaction to one message; told twice it counts once."""

    contact_id: IfGiven[Id] = Field(default=None, description="the message; or else decision_id, or the three below")
    decision_id: IfGiven[Id] = Field(default=None, description="the decision that sent it, as /v1/score gave it")
    campaign_id: IfGiven[Word] = Field(default=None, description="with customer_id and day: the campaign's message")
    customer_id: IfGiven[Id] = Field(default=None, description="with campaign_id and day")
    day: IfGiven[Day] = Field(default=None, description="with campaign_id and customer_id: the shop's business day")
    kind: Reaction = Field(description="what happened")
    at: Instant = Field(description="when it happened; counted to the second")
    order_id: IfGiven[Id] = Field(default=None, description="the order that redeemed it")
    amount: IfGiven[Amount] = Field(default=None, description="amount in the shop's currency")
    outcome_id: IfGiven[Id] = Field(
        default=None,
        description="your own id; the same id with other content is refused. Without one the content counts",
    )

    @model_validator(mode="after")
    def _one_message(self) -> Self:
        by_day = (self.campaign_id, self.customer_id, self.day)
        ways = [self.contact_id is not None, self.decision_id is not None, any(part is not None for part in by_day)]
        if sum(ways) != 1 or (ways[2] and None in by_day):
            raise _at("contact_id", "give exactly one of contact_id, decision_id, or campaign_id, customer_id and day")
        return self


Identifiers = Annotated[list[Identifier], Field(min_length=1, max_length=MAX_IDS)]
Outcomes = Annotated[list[OutcomeTold], Field(min_length=1, max_length=MAX_IDS)]
_PARTS: dict[str, type[Strict]] = {"identifiers": Identifier, "context": Context, "outcomes": OutcomeTold}


class ScoreRequest(Strict):
    """Up to a thousand customers, asked about at one instant; once valid, `record` and `explain` are set."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_ids": ["C00042", "C00043"], "explain": "brief", "lang": "en"}]}
    )

    customer_ids: IfGiven[CustomerIds] = Field(
        default=None, description="the shop's ids, 1 to 1,000; answered in this order; or else `identifiers`"
    )
    identifiers: IfGiven[Identifiers] = Field(default=None, description="aliases instead of ids, 1 to 1,000")
    as_of: IfGiven[Instant] = Field(
        default=None,
        description="instant of the answer, from the features' instant to seven days ahead; the shop's now",
    )
    campaign_id: IfGiven[Word] = Field(default=None, description="a saved audience or a scenario of the policy")
    record: IfGiven[bool] = Field(
        default=None,
        description="write the planned or withheld contact once; true with a campaign_id, else false",
    )
    purpose: Purpose = Field(default="marketing", description="what the message would be for")
    channels: IfGiven[Words] = Field(default=None, description="channels to choose from; all")
    n_items: int = Field(default=10, ge=0, le=50, description="recommendations per customer")
    exclude_product_ids: IfGiven[ProductIds] = Field(
        default=None, description="products never to recommend, at most 1,000"
    )
    context: IfGiven[Context] = Field(default=None, description="the page or basket in view")
    offers: IfGiven[Words] = Field(default=None, description="offers to choose from; all")
    include: IfGiven[Blocks] = Field(default=None, description="blocks wanted; all")
    explain: IfGiven[Explain] = Field(
        default=None, description="brief for one id, none for more; full for at most 20 ids"
    )
    lang: IfGiven[Language] = Field(default=None, description="language of texts; the shop's")

    @property
    def n_ids(self) -> int:
        """How many customers are asked about."""
        return len(self.customer_ids or self.identifiers or ())

    @model_validator(mode="after")
    def _one_way_to_name_customers(self) -> Self:
        if (self.customer_ids is None) == (self.identifiers is None):
            raise _at("customer_ids", "give either customer_ids or identifiers")
        if self.explain == "full" and self.n_ids > MAX_FULL:
            raise _at("explain", f"full is for at most {MAX_FULL} ids; ask brief, or fewer ids")
        if self.explain is None:
            self.explain = "brief" if self.n_ids == 1 else "none"
        if self.record is None:
            self.record = self.campaign_id is not None
        return self


class RecommendRequest(Strict):
    """What one customer, a basket or a product's page would like beside it: exactly one of the three."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_id": "C00042", "n_items": 5}]})

    customer_id: IfGiven[str] = Field(default=None, description="the shop's id")
    product_id: IfGiven[str] = Field(default=None, description="the product in view")
    product_ids: IfGiven[Basket] = Field(default=None, description="the basket, 1 to 100")
    n_items: int = Field(default=10, ge=1, le=50, description="recommendations wanted")
    exclude_product_ids: IfGiven[ProductIds] = Field(
        default=None, description="products never to recommend, at most 1,000"
    )
    lang: IfGiven[Language] = Field(default=None, description="language of texts; the shop's")

    @model_validator(mode="after")
    def _one_question(self) -> Self:
        if sum(asked is not None for asked in (self.customer_id, self.product_id, self.product_ids)) != 1:
            raise _at("customer_id", "give exactly one of customer_id, product_id and product_ids")
        return self


class OutcomesRequest(Strict):
    """Up to a thousand reactions, in any order; those of messages not known yet are kept for them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "outcomes": [
                        {"decision_id": "5f0c", "kind": "redeem", "at": "2026-11-21T09:00:00+09:00", "order_id": "o1"}
                    ]
                }
            ]
        }
    )

    outcomes: Outcomes = Field(description="1 to 1,000 reactions; all are kept or none")


class AudienceRequest(Strict):
    """Whom a filter means tonight, who of them gets a scenario's offer within a budget, and who does not and why.

    The night has decided; this picks from what it decided and records nothing.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"filter": {"lifecycle": ["at_risk", "dormant"], "promo_share": {"max": 0.8}}, "scenario": "win_back"}
            ]
        }
    )

    filter: dict[str, Any] = Field(
        description="columns of customer_scores with a value, a list, or in, min, max, between; all, any, not nest;"
        " a duration such as 60d counts from the night; {} is everyone"
    )
    scenario: Word = Field(description="a scenario of the policy")
    budget: IfGiven[Annotated[float, Field(ge=0)]] = Field(
        default=None, description="what the list may cost, in the shop's currency; no limit"
    )
    channel: IfGiven[Word] = Field(default=None, description="only whose action goes over it; any")
    profile: IfGiven[ProfileName] = Field(
        default=None, description="the whole list as this tool's CSV or text, instead of JSON"
    )
    limit: int = Field(default=1_000, ge=1, le=MAX_ROWS, description="rows of each table in a JSON reply")
    offset: int = Field(default=0, ge=0, le=10**9, description="rows to skip: next_offset of the reply before")
    lang: IfGiven[Language] = Field(default=None, description="language of texts; the shop's")


def _at(path: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("together", "{reason}", {"reason": message, "path": path})


def refusal(model: type[Strict], invalid: ValidationError) -> Refused:
    """Say where a question broke its contract and which word was probably meant, never what it said.

    An unknown field comes first: it explains the field that is missing. A key that is no plain word stands as
    ``?`` in the path: it may be anybody's data.
    """
    error = min(invalid.errors(include_url=False), key=lambda error: error["type"] != "extra_forbidden")
    context, steps, message = error.get("ctx", {}), error["loc"], error["msg"]
    path = plain_path(steps)
    if error["type"] == "extra_forbidden":
        part = _PARTS.get(str(steps[0]), model) if len(steps) > 1 else model
        message = "unknown field" + _nearest(steps[-1], tuple(part.model_fields))
    elif error["type"] == "literal_error":
        inner = _PARTS.get(str(steps[0]))
        words = _choices(model, str(steps[0])) if inner is None else _choices(inner, str(steps[-1]))
        message = f"must be one of {', '.join(words)}" + _nearest(error["input"], words)
    elif error["type"] == "model_type":
        message = "must be a JSON object"
    return Refused(422, "invalid", message, ".".join(filter(None, (path, context.get("path")))) or None)


def plain_path(steps: Iterable[object]) -> str:
    """Join a path's steps; one that is no plain word is not repeated.

    >>> plain_path(["customer_ids", 3, "a b"])
    'customer_ids.3.?'
    """
    return ".".join(step if _PLAIN_WORD.fullmatch(step) else "?" for step in map(str, steps))


def _choices(model: type[Strict], field: str) -> tuple[str, ...]:
    """The words a field accepts, wherever its annotation holds them."""
    found: list[Any] = [model.model_fields[field].annotation]
    while found and not all(isinstance(word, str) for word in found):
        found = [inner for kind in found for inner in get_args(kind)]
    return tuple(found)


def _nearest(word: object, known: tuple[str, ...]) -> str:
    """Name the valid word that was probably meant.

    >>> _nearest("custmer_ids", ("customer_ids", "as_of"))
    '; did you mean customer_ids?'
    """
    match = get_close_matches(str(word)[:64], known, n=1)
    return f"; did you mean {match[0]}?" if match else ""
