"""A policy's text as a tree with line numbers; what YAML would read otherwise than a person does is a mistake."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str, ...]
Lines = dict[Path, int]

PLAIN_NUMBER = re.compile(r"[-+]?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?")
MAX_DEPTH = 40  # of blocks in blocks: a filter has eight groups at most, two blocks each (2026-12-01)


@dataclass(frozen=True)
class Mistake:
    """What is wrong at one place of a policy; ``line`` from 1, 0 where nobody knows it."""

    line: int
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


@dataclass(frozen=True)
class Written:
    """What stands in a file: the tree YAML makes of it, the line of each key and entry, and what is unclear."""

    tree: Any
    lines: Lines = field(default_factory=dict)
    mistakes: tuple[Mistake, ...] = ()


def read(content: bytes) -> Written:
    """Read a policy's text; what is not YAML at all is one mistake and no tree."""
    try:
        if alias := _alias(content):
            return Written(None, {}, (alias,))
        loader = _Plain(content)
        root = loader.get_single_node()
        lines = dict(_lines(root))
        tree = None if root is None else loader.construct_document(root)
        return Written(tree, lines, tuple(_unclear(root)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Written(None, {}, (Mistake(mark.line + 1 if mark else 0, "", f"not YAML: {error.problem}"),))
    except yaml.YAMLError as error:
        return Written(None, {}, (Mistake(0, "", f"not YAML: {str(error).splitlines()[0]}"),))
    except RecursionError:
        return Written(None, {}, (Mistake(0, "", f"not YAML: nested deeper than {MAX_DEPTH}"),))


def _alias(content: bytes) -> Mistake | None:
    """Find a place that stands for another: a file is read by people, and a few lines of such could mean millions."""
    if b"*" not in content:
        return None
    found = next((event for event in yaml.parse(content) if isinstance(event, yaml.AliasEvent)), None)
    if found is None:
        return None
    line = found.start_mark.line + 1 if found.start_mark else 0
    return Mistake(line, "", f"*{found.anchor}: write out what is meant, without *")


class _Plain(yaml.SafeLoader):
    """YAML in which ``21:00-08:00`` stays what it is, and so does a date that no calendar has."""


def _date(loader: Any, node: yaml.ScalarNode) -> Any:
    try:
        return yaml.SafeLoader.construct_yaml_timestamp(loader, node)
    except ValueError:
        return loader.construct_scalar(node)


_Plain.add_constructor("tag:yaml.org,2002:timestamp", _date)


def _lines(node: yaml.Node | None, path: Path = ()) -> Iterator[tuple[Path, int]]:
    """Give the line, from 1, on which each key or entry of a document stands."""
    if node is None:
        return
    if len(path) > MAX_DEPTH:
        raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH}", problem_mark=node.start_mark)
    yield path, node.start_mark.line + 1
    for inner, at, value in _entries(node, path):
        yield from _lines(value, inner)
        yield inner, at


def _entries(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int, yaml.Node]]:
    """Give what stands in a block or list: its path, its line and its value."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            yield (*path, name), key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield (*path, str(index)), value.start_mark.line + 1, value


def _unclear(node: yaml.Node | None, path: Path = ()) -> Iterator[Mistake]:
    """Find keys that stand twice, and numbers that YAML reads otherwise than they look."""
    if node is None:
        return
    first: dict[Path, int] = {}
    for inner, line, value in _entries(node, path):
        if inner in first:
            message = f"key {inner[-1]!r} stands twice; the first is on line {first[inner]}"
            yield Mistake(line, ".".join(inner), message)
        first.setdefault(inner, line)
        yield from _unclear(value, inner)
    number = isinstance(node, yaml.ScalarNode) and node.tag.endswith((":int", ":float"))
    if number and not PLAIN_NUMBER.fullmatch(node.value):
        message = f"{node.value} is no plain number; write it in digits, or put it in quotes if it is a text"
        yield Mistake(node.start_mark.line + 1, ".".join(path), message)
