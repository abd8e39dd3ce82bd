"""What may stand where in a policy: the keys of its blocks, and the words that must name something in it."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel

from features.door.mapping import nearest
from serving.policy.rules import Policy
from serving.policy.text.tree import block_of, blocks_of, found_at
from serving.policy.text.written import Path


def references(tree: dict[Any, Any], known: dict[str, tuple[str, ...]]) -> Iterator[tuple[Path, str, tuple[str, ...]]]:
    """List every word of a tree that names something elsewhere in it: where it stands, the word, what there is."""
    offers, channels, tiers = ("none", *known["offers"]), known["channels"], known["tiers"]
    for i, scenario in enumerate(blocks_of(tree.get("scenarios"))):
        at: Path = ("scenarios", str(i))
        for key, there in (("offers", offers), ("ladder", offers), ("channels", channels)):
            yield from ((step, word, there) for step, word in _words(scenario.get(key), (*at, key)))
        for tier, given in block_of(scenario.get("offers_by_tier")).items():
            yield (*at, "offers_by_tier", str(tier)), str(tier), tiers
            yield from ((s, word, offers) for s, word in _words(given, (*at, "offers_by_tier", str(tier))))
        if tiers:
            for step, name in fields_of(block_of(scenario.get("who")), (*at, "who")):
                if name == "tier":
                    yield from ((s, word, tiers) for s, word in _words(found_at(tree, step), step))
    for offer in block_of(block_of(tree.get("budget")).get("per_offer")):
        yield ("budget", "per_offer", str(offer)), str(offer), known["offers"]
    for name, offer in block_of(tree.get("offers")).items():
        if isinstance(word := block_of(offer).get("channel"), str):
            yield ("offers", str(name), "channel"), word, channels
    for n, level in enumerate(blocks_of(block_of(tree.get("tiers")).get("levels"))):
        yield from (
            (s, word, known["offers"]) for s, word in _words(level.get("perks"), ("tiers", "levels", str(n), "perks"))
        )


def known_words(tree: dict[Any, Any]) -> dict[str, tuple[str, ...]]:
    """List what a policy has under names: offers, channels, tiers."""
    levels = blocks_of(block_of(tree.get("tiers")).get("levels"))
    return {
        "offers": tuple(map(str, block_of(tree.get("offers")))),
        "channels": tuple(map(str, block_of(tree.get("channels")))),
        "tiers": tuple(str(level.get("id")) for level in levels),
    }


def fields_of(who: Any, steps: Path) -> Iterator[tuple[Path, str]]:
    """List the fields a filter names, each with its path."""
    for key, inner in who.items() if isinstance(who, dict) else ():
        at = (*steps, str(key))
        if key in ("all", "any"):
            for i, part in enumerate(inner if isinstance(inner, list) else ()):
                yield from fields_of(part, (*at, str(i)))
        elif key == "not":
            yield from fields_of(inner, at)
        else:
            yield at, str(key)


def _words(value: Any, steps: Path) -> Iterator[tuple[Path, str]]:
    """List the texts that stand at a place: one, some in a list, or those of ``in``."""
    if isinstance(value, str):
        yield steps, value
    elif isinstance(value, list):
        yield from (((*steps, str(i)), word) for i, word in enumerate(value) if isinstance(word, str))
    elif isinstance(value, dict):
        yield from _words(value.get("in"), (*steps, "in"))


def explain(error: Any, steps: Path) -> str:
    """Say what is wrong at a place, and what would be right."""
    if error["type"] == "extra_forbidden":
        return f"unknown key{nearest(steps[-1], keys_at(list(steps[:-1])))}"
    if error["type"] == "literal_error":
        words = literal_words(error)
        return f"must be one of {', '.join(words)}{nearest(str(error['input']), words)}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return {"missing": "is missing"}.get(error["type"], message)


def literal_words(error: Any) -> list[str]:
    """List the words of which an error says that one was expected."""
    return [word.strip("'") for word in error["ctx"]["expected"].replace(" or ", ", ").split(", ")]


def keys_at(steps: list[str]) -> list[str]:
    """List the keys a block of a policy may have, by walking the models along a path."""
    block = _model_in(_kind_at(steps))
    return [f.alias or name for name, f in block.model_fields.items()] if block else []


def required_at(steps: list[str]) -> list[str]:
    block = _model_in(_kind_at(steps))
    return [f.alias or name for name, f in block.model_fields.items() if f.is_required()] if block else []


def declared(steps: list[str]) -> Any:
    """Give the kind of a value that stands alone, such as ``int``; ``None`` for a block or a list."""
    kind = _kind_at(steps)
    while get_args(kind) and not isinstance(kind, type):
        kind = next((inner for inner in get_args(kind) if inner is not type(None)), None)
    return kind if kind in (int, float, str, bool) else None


def _kind_at(steps: list[str]) -> Any:
    kind: Any = Policy
    for step in steps:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = {f.alias or name: f for name, f in kind.model_fields.items()}.get(step)
            kind = _unwrapped(field.annotation) if field else None
        else:
            kind = _model_in(kind) or _value_in(kind)  # an entry of a list or a mapping
    return kind


def _value_in(annotation: Any) -> Any:
    """Give the kind of a list's entries or of a mapping's values."""
    inner = [kind for kind in get_args(annotation) if kind is not Ellipsis]
    return inner[-1] if inner else None


def _unwrapped(annotation: Any) -> Any:
    """Leave out the ``None`` of what may be absent."""
    inner = [kind for kind in get_args(annotation) if kind is not type(None)]
    return inner[0] if type(None) in get_args(annotation) and len(inner) == 1 else annotation


def _model_in(annotation: Any) -> Any:
    """Find the block an annotation holds, however deep: of ``dict[str, Offer]`` it is ``Offer``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
