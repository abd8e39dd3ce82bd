"""A policy's file: read strictly, every mistake named with its line and the nearest valid word."""

from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from features.door.mapping import nearest
from features.errors import BadInput
from serving.policy.rules import Policy

DEFAULT = Path(__file__).with_name("default.yaml")

Lines = dict[tuple[str, ...], int]


def load_policy(path: Path | None = None) -> Policy:
    """Read a policy file, or the one that ships with Okaeri.

    Raises
    ------
    BadInput
        A line per mistake: the file, the line, the key and what would be right.
    """
    named = path or DEFAULT
    if not named.is_file():
        raise BadInput(f"{named}: no such policy file")
    return parse_policy(named.read_bytes(), str(named))


def parse_policy(content: bytes, named: str) -> Policy:
    """Read a policy's text; ``named`` is what errors call it."""
    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
        lines = line_numbers(root)
        return Policy.model_validate(yaml.load(content, _Yaml))
    except yaml.YAMLError as error:
        raise BadInput(f"{named}: not YAML: {error}") from None
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
        raise BadInput("\n".join(f"{named}{_at(e, lines)}: {_explain(e)}" for e in mistakes)) from None


class _Yaml(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, and ``21:00-08:00`` or ``2026-12-26`` stay what they are."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def line_numbers(node: yaml.Node | None, path: tuple[str, ...] = ()) -> Lines:
    """Give the line, from 1, on which each key or entry of a document stands."""
    if node is None:
        return {}
    found: Lines = {path: node.start_mark.line + 1}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            found |= line_numbers(value, inner) | {inner: key.start_mark.line + 1}
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            found |= line_numbers(value, (*path, str(index)))
    return found


def _path(error: Any) -> tuple[str, ...]:
    """Give an error's path in the file's own words, a path in its message included; pydantic's branches left out."""
    steps = tuple(str(step) for step in error["loc"] if str(step) not in ("[key]", "str", "Pool"))
    if not steps and error["type"] == "value_error":
        steps = tuple(error["msg"].removeprefix("Value error, ").partition(":")[0].split("."))
    return steps


def _at(error: Any, lines: Lines) -> str:
    """Name the line an error stands on: that of the nearest block that is there."""
    steps = _path(error)
    while steps and steps not in lines:
        steps = steps[:-1]
    return f":{lines[steps]}" if steps in lines else ""


def _explain(error: Any) -> str:
    """Turn one pydantic error into a line that names the key and what would be right."""
    steps = [str(step) for step in error["loc"] if str(step) not in ("[key]", "str", "Pool")]
    path = ".".join(steps)
    if error["type"] == "extra_forbidden":
        return f"{path}: unknown key{nearest(steps[-1], keys_at(steps[:-1]))}"
    if error["type"] == "literal_error":
        words = [word.strip("'") for word in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]
        return f"{path}: must be one of {', '.join(words)}{nearest(str(error['input']), words)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{path}: {message}" if path else message


def keys_at(steps: list[str]) -> list[str]:
    """List the keys a block of a policy may have, by walking the models along a path."""
    kind: Any = Policy
    for step in steps:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = {f.alias or name: f for name, f in kind.model_fields.items()}.get(step)
            kind = _unwrapped(field.annotation) if field else None
        else:
            kind = _model_in(kind)  # an entry of a list or a mapping
    block = _model_in(kind)
    return [f.alias or name for name, f in block.model_fields.items()] if block else []


def _unwrapped(annotation: Any) -> Any:
    """Leave out the ``None`` of what may be absent."""
    inner = [kind for kind in get_args(annotation) if kind is not type(None)]
    return inner[0] if type(None) in get_args(annotation) and len(inner) == 1 else annotation


def _model_in(annotation: Any) -> Any:
    """Find the block an annotation holds, however deep: of ``dict[str, Offer]`` it is ``Offer``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
