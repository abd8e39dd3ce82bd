"""The shop's rules for talking to customers: strict YAML with a version of its own."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features import lake
from features.door.mapping import nearest
from features.errors import BadInput

DEFAULT = Path(__file__).with_name("default.yaml")

Share = Annotated[float, Field(ge=0, le=1)]
Lifecycle = Literal["prospect", "new", "active", "at_risk", "dormant", "lapsed", "reactivated"]


class Block(BaseModel):
    """A block whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Control(Block):
    """Customers to whom nothing is sent, so that effects can be measured."""

    global_share: Share
    salt: str


class LifecycleEdges(Block):
    """Where one stage of a customer's life ends and the next begins."""

    first_order_window_days: int = 90
    at_risk_silence_ratio: float = 1.5
    dormant_days: int = 120
    lapsed_dormant_times: float = 2
    reactivated_days: int = 90


class Bands(Block):
    """The lower edges of the churn bands."""

    watch: Share
    high: Share
    critical: Share


class Channel(Block):
    """What one message costs, in the shop's currency."""

    cost: float = Field(ge=0)


class Offer(Block):
    """What a customer would get, and the effect assumed of it."""

    type: Literal["none", "content", "coupon"]
    percent: float = Field(ge=0, le=100)
    lift: Share
    lift_low: Share
    lift_high: Share


class Scenario(Block):
    """When a message is due, to whom, with which offers over which channels."""

    id: str
    kind: Literal["win_back", "replenishment"]
    priority: int
    lifecycle: tuple[Lifecycle, ...] = ()
    due_within_days: int | None = None
    offers: tuple[str, ...]
    channels: tuple[str, ...]


class Policy(Block):
    """One version of a shop's rules."""

    version: int = Field(alias="policy")
    control: Control
    unknown_guard: Literal["block", "allow"] | None = None  # None: block where the table is late, not where none is
    recent_order_days: int
    window_days: Literal[7, 14, 30, 60, 90]
    margin_share: Share
    lifecycle: LifecycleEdges
    bands: Bands = Field(alias="churn_bands")
    channels: dict[str, Channel]
    offers: dict[str, Offer]
    scenarios: tuple[Scenario, ...]

    @model_validator(mode="after")
    def _holds_together(self) -> "Policy":
        if not self.bands.watch < self.bands.high < self.bands.critical:
            raise ValueError("churn_bands: watch, high and critical must rise")
        for name, offer in self.offers.items():
            if not offer.lift_low <= offer.lift <= offer.lift_high:
                raise ValueError(f"offers.{name}: lift must lie between lift_low and lift_high")
        ids = [scenario.id for scenario in self.scenarios]
        if twice := {name for name in ids if ids.count(name) > 1}:
            raise ValueError(f"scenarios: {min(twice)} stands more than once")
        for scenario in self.scenarios:
            for kind, named, known in (
                ("offer", scenario.offers, self.offers),
                ("channel", scenario.channels, self.channels),
            ):
                for name in named:
                    if name not in known:
                        raise ValueError(f"scenarios.{scenario.id}: unknown {kind} {name}{nearest(name, list(known))}")
        return self

    @property
    def hash(self) -> str:
        return lake.digest(self.model_dump(mode="json", by_alias=True))[:16]


BLOCKS: dict[str, type[Block]] = {
    "control": Control,
    "lifecycle": LifecycleEdges,
    "churn_bands": Bands,
    "channels": Channel,
    "offers": Offer,
    "scenarios": Scenario,
}


def load_policy(path: Path | None = None) -> Policy:
    """Read a policy file, or the one that ships with Okaeri.

    Raises
    ------
    BadInput
        Naming the file, the key and what would be right.
    """
    named = path or DEFAULT
    if not named.is_file():
        raise BadInput(f"{named}: no such policy file")
    try:
        return Policy.model_validate(yaml.safe_load(named.read_bytes()))
    except yaml.YAMLError as error:
        raise BadInput(f"{named}: not YAML: {error}") from None
    except ValidationError as error:
        raise BadInput("\n".join(f"{named}: {_explain(e)}" for e in error.errors(include_url=False))) from None


def _explain(error: Any) -> str:
    """Turn one pydantic error into a line that names the key and what would be right."""
    path = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        *above, key = map(str, error["loc"])
        block = BLOCKS[above[0]] if above else Policy
        known = [field.alias or name for name, field in block.model_fields.items()]
        return f"{path}: unknown key{nearest(key, known)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path}: {message}" if path else message
