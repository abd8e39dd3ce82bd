"""A policy's tree, as YAML gives it, by paths of its own words."""

from typing import Any

from serving.policy.text.written import Path

BRANCHES = ("[key]", "str", "Pool")  # steps that pydantic adds to a path


def block_of(value: Any) -> dict[Any, Any]:
    return value if isinstance(value, dict) else {}


def blocks_of(value: Any) -> list[dict[Any, Any]]:
    """Give the entries of a list, an empty block for each that is none, so that places stay what they are."""
    return [block_of(entry) for entry in value] if isinstance(value, list) else []


def found_at(tree: Any, steps: Path) -> Any:
    """Give what stands at a path, ``None`` where there is nothing."""
    for step in steps:
        if isinstance(tree, dict):
            tree = next((value for key, value in tree.items() if str(key) == step), None)
        elif isinstance(tree, list) and step.isdigit() and int(step) < len(tree):
            tree = tree[int(step)]
        else:
            return None
    return tree


def take(block: Any, key: str) -> Any:
    if isinstance(block, list):
        return block.pop(int(key)) if key.isdigit() and int(key) < len(block) else None
    found = next((name for name in block if str(name) == key), None)
    return block.pop(found) if found is not None else None


def put(block: Any, key: str, value: Any) -> None:
    if isinstance(block, list):
        block[int(key)] = value
    else:
        block[key] = value


def drop_word(tree: Any, steps: Path, word: str) -> None:
    """Leave out of a mended tree a word that names nothing."""
    if steps[2:3] == ("who",):
        steps = steps[:3]  # a filter with a word less would mean other customers
    block = found_at(tree, steps[:-1])
    if isinstance(block, list):
        block[:] = [entry for entry in block if entry != word]
    elif isinstance(block, dict):
        take(block, steps[-1])


def place_of(location: tuple[Any, ...], tree: Any) -> Path:
    """Give an error's path in the file's own words, without the steps that only the models have."""
    steps: list[str] = []
    while location and location[-1] in BRANCHES and found_at(tree, tuple(map(str, location))) is None:
        location = location[:-1]
    for nth, step in enumerate(map(str, location)):
        if nth == len(location) - 1 or found_at(tree, (*steps, step)) is not None:
            steps.append(step)
    return tuple(steps)
