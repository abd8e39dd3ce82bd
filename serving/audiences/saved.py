"""A saved audience: who is meant, what for, over what, at what cost and for which tool. Strict YAML, one file each."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from features.door.mapping import nearest
from features.errors import BadInput
from features.home import Home
from serving.lists.profiles import PROFILES
from serving.policy.columns import CUSTOMER
from serving.policy.filters import Filter, parse

# contracts.md, section 5 (2026-11-21)
CHANNELS = ("email", "line", "push", "sms", "web", "insert", "postal", "phone", "store")


class SavedAudience(BaseModel):
    """What one file of ``audiences/`` says."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    audience: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    filter: dict[Any, Any]
    scenario: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    budget: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None  # what the list may cost, shop's currency
    channel: str | None = None  # None: any; the list may then hold several
    profile: str = "generic"
    note: Annotated[str, StringConstraints(max_length=200)] | None = None

    @field_validator("filter")
    @classmethod
    def _can_be_read(cls, given: dict[Any, Any]) -> dict[Any, Any]:
        parse(given, CUSTOMER)
        return given

    @field_validator("channel")
    @classmethod
    def _known_channel(cls, given: str | None) -> str | None:
        if given is not None and given not in CHANNELS:
            raise ValueError(f"channel: unknown{nearest(given, list(CHANNELS))}")
        return given

    @field_validator("profile")
    @classmethod
    def _known_profile(cls, given: str) -> str:
        if given not in PROFILES:
            raise ValueError(f"profile: unknown{nearest(given, list(PROFILES))}")
        return given

    @model_validator(mode="after")
    def _goes_where_the_profile_leads(self) -> "SavedAudience":
        only = PROFILES[self.profile].channel
        if only is not None and self.channel not in (None, only):
            raise ValueError(f"channel: must be {only}, which is where the profile {self.profile} leads")
        return self

    @property
    def who(self) -> Filter:
        return parse(self.filter, CUSTOMER)


@dataclass(frozen=True)
class Written:
    """A saved audience with the file it stands in; its approval names the file's bytes."""

    saved: SavedAudience
    content: bytes

    @property
    def name(self) -> str:
        return self.saved.audience

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def parse_audience(content: bytes, named: str) -> Written:
    """Read an audience's text; ``named`` is what errors call it.

    Raises
    ------
    BadInput
        A line per mistake: the file, the key and what would be right.
    """
    try:
        return Written(SavedAudience.model_validate(yaml.load(content, _Yaml)), content)
    except (yaml.YAMLError, RecursionError) as error:
        raise BadInput(f"{named}: not YAML: {error}") from None
    except ValidationError as error:
        told = [line for e in error.errors(include_url=False) for line in _explain(e)]
        raise BadInput("\n".join(f"{named}: {line}" for line in told)) from None
    except ValueError as error:  # a date such as 2026-02-30; pydantic's own errors came before
        raise BadInput(f"{named}: not YAML: {error}") from None


def folder(home: Home) -> Path:
    """Name the folder of a home's saved audiences."""
    return home.root / "audiences"


def read_audience(home: Home, name: str) -> Written:
    """Read one saved audience.

    Raises
    ------
    BadInput
        If there is none of that name (the nearest is named), or its file is wrong.
    """
    path = folder(home) / f"{name}.yaml"
    known = names(home)
    if name not in known:
        raise BadInput(f"{name}: no such audience{nearest(name, known) if known else '; there is none yet'}")
    found = parse_audience(path.read_bytes(), str(path))
    if found.name != name:
        raise BadInput(f"{path}: audience: must be {name}, as its file is called")
    return found


def names(home: Home) -> list[str]:
    """List the saved audiences of a home by name."""
    return sorted(path.stem for path in folder(home).glob("*.yaml") if not path.name.startswith("."))


class _Yaml(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error: which of the two is meant is not guessed."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _explain(error: Any) -> list[str]:
    """Turn one pydantic error into lines that name the key and what would be right."""
    path = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return [f"{path}: unknown key{nearest(path, list(SavedAudience.model_fields))}"]
    if error["type"] == "value_error":  # says its own path
        return str(error["ctx"]["error"]).split("\n")
    return [f"{path}: {error['msg']}" if path else "must be keys with their values, as `audience: NAME`"]
