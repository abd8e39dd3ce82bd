"""YAML that a person wrote for the training: strict, a misspelt key is named with the nearest right one."""

from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from features.door.mapping import nearest
from features.errors import BadInput


class Strict(BaseModel):
    """A block whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Strict)


def read_strict(path: Path, kind: type[S]) -> S:
    """Read a YAML file as ``kind``.

    Raises
    ------
    BadInput
        Naming the file, the key and what would be right.
    """
    try:
        return kind.model_validate(yaml.safe_load(path.read_bytes()) or {})
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        raise BadInput("\n".join(f"{path}: {_explain(kind, e)}" for e in error.errors(include_url=False))) from None


def _explain(kind: type[Strict], error: Any) -> str:
    place = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key{nearest(str(error['loc'][-1]), _keys(kind, error['loc'][:-1]))}"
    return f"{place}: {error['msg'].removeprefix('Value error, ')}" if place else str(error["msg"])


def _keys(kind: type[Strict], path: tuple[Any, ...]) -> list[str]:
    """List the keys a block may have, by walking the models along an error's path."""
    found: Any = kind
    for part in path:
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = found.model_fields[part].annotation
        else:  # a dictionary's value
            found = get_args(found)[-1]
    return list(found.model_fields)
