"""The file a mapping stands in: found by its path or name, with the mappings it includes, its mistakes named."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from features.door.computed import Computed, Condition, Strict, names_of
from features.door.mapping import (
    Expect,
    FillDown,
    Ids,
    JoinedFile,
    Mapping,
    Numbers,
    Predict,
    SetAside,
    TableMapping,
    nearest,
)
from features.errors import BadInput

SHOPS = Path(__file__).resolve().parent.parent / "shops"
FRAGMENTS = ("ga4", "mailtool")  # tables for other shops' mappings to include; no shops of their own


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
    return names_of(model)
