"""Every mistake of a policy in one reading: each is noted and mended in a copy, until the copy is a policy.

What is mended lets the reading go on; the copy is never used to decide anything, only to look for further mistakes.
"""

import copy
import difflib
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from features.door.mapping import nearest
from serving.policy.columns import ANCHOR
from serving.policy.due import WHO
from serving.policy.filters import BadFilter, parse
from serving.policy.rules import Policy
from serving.policy.spans import AS_WRITTEN
from serving.policy.text.tree import block_of, blocks_of, drop_word, found_at, place_of, put, take
from serving.policy.text.vocabulary import (
    declared,
    explain,
    fields_of,
    keys_at,
    known_words,
    literal_words,
    references,
    required_at,
)
from serving.policy.text.written import Lines, Mistake, Path, read

ROUNDS = 60  # each mends at least one place; a file with more mistakes than this is told of the first ones
ANCHORS = ("after", "around", "before", "window")
# What stands in for a required value that cannot be read, by its key.
MENDED: dict[str, Any] = {
    "policy": 1, "control": {"global_share": 0, "salt": "x"}, "global_share": 0, "salt": "x",
    "channels": {"email": {}}, "churn_bands": {"watch": 0.1, "high": 0.2, "critical": 0.3}, "watch": 0.01,
    "high": 0.5, "critical": 0.99, "scenarios": [], "kind": "thanks", "purpose": "service", "priority": 0,
    "type": "content", "name": "?", "from": "2000-01-01", "until": "2099-12-31", "window": "365d",
    "levels": [{"id": "?"}], "pool": "?", "tag": "?", "min": 0, "over": "1d", "p_order_without": 1, "cap": {"1d": 1},
}  # fmt: skip


@dataclass(frozen=True)
class Looked:
    """What a reading found: the mistakes by line, and the policy as far as it could be read.

    ``mended`` are the blocks that are not what the file says, such as ``("scenarios", "3")``.
    """

    mistakes: tuple[Mistake, ...]
    policy: Policy | None
    lines: Lines
    mended: frozenset[Path] = frozenset()

    def line(self, path: str) -> int:
        """Give the line of a path, or of the nearest block around it that is there."""
        return line_of(tuple(path.split(".")) if path else (), self.lines)


def line_of(steps: Path, lines: Lines) -> int:
    while steps and steps not in lines:
        steps = steps[:-1]
    return lines.get(steps, 0)


def look(content: bytes) -> Looked:
    """Read a policy's text to its end, whatever is wrong with it."""
    written = read(content)
    if written.tree is None and written.mistakes:
        return Looked(written.mistakes, None, written.lines)
    if not isinstance(written.tree, dict):
        message = "must be the blocks of a policy, such as `policy: 1`"
        return Looked((Mistake(line_of((), written.lines), "", message),), None, written.lines)
    mender = _Mender(written.tree, dict(written.lines))
    mender.wrong_flags(mender.tree, ())
    policy = mender.policy()
    unclear = {(m.line, m.path) for m in written.mistakes}
    found = {*written.mistakes, *(m for m in mender.found if (m.line, m.path) not in unclear)}
    return Looked(
        tuple(sorted(found, key=lambda m: (m.line, m.path, m.message))), policy, mender.lines, frozenset(mender.mended)
    )


class _Mender:
    """A policy's tree, its mistakes noted while they are mended; ``kept`` has its keys mended and nothing else."""

    def __init__(self, tree: dict[Any, Any], lines: Lines) -> None:
        self.tree, self.kept, self.lines = copy.deepcopy(tree), copy.deepcopy(tree), lines
        self.found: list[Mistake] = []
        self.mended: set[Path] = set()
        self.replaced: set[Path] = set()

    def note(self, steps: Path, message: str, block: Path | None = None) -> None:
        self.found.append(Mistake(line_of(steps, self.lines), ".".join(steps), message))
        self.mended.add((steps if block is None else block)[:2])

    def policy(self) -> Policy | None:
        """Mend until what is left is a policy; then look at the words that name something, and at filters."""
        noted: set[tuple[Path, str]] = set()
        for _ in range(ROUNDS):
            errors, before = self._errors(), copy.deepcopy(self.tree)
            wrong_keys = [e for e in errors if e["type"] == "extra_forbidden" or e["loc"][-1:] == ("[key]",)]
            for error in wrong_keys or errors:  # a key that is missing may only be misspelt
                steps = place_of(error["loc"], self.tree)
                message = explain(error, steps)
                if steps and (steps, message) not in noted and not self.follows(steps, message):
                    noted.add((steps, message))
                    self.note(steps, message)
                self.mend(steps, error)
            if self.tree == before:
                for error in errors:
                    self.replace(place_of(error["loc"], self.tree)[:1])
            if not any(error["loc"] for error in errors):
                break
        self.words()
        return None if self._errors() else Policy.model_validate(self.tree, context=AS_WRITTEN)

    def _errors(self) -> list[Any]:
        try:
            Policy.model_validate(self.tree, context=AS_WRITTEN)
        except ValidationError as error:
            return error.errors(include_url=False)
        return []

    def follows(self, steps: Path, message: str) -> bool:
        """Tell whether a mistake is only about a value that was a mistake itself and is not there any more."""
        return any(one[:-1] == steps and one[-1] in message for one in self.replaced)

    # ---- one mistake at a time

    def mend(self, steps: Path, error: Any) -> None:
        if not steps or found_at(self.tree, steps[:-1]) is None:
            return
        block, key = found_at(self.tree, steps[:-1]), steps[-1]
        if error["type"] == "extra_forbidden":
            self.rename(steps, keys_at(list(steps[:-1])))
        elif error["type"] == "literal_error":
            words = literal_words(error)
            if error["loc"][-1] == "[key]":
                self.rename(steps, words)
            else:
                close = difflib.get_close_matches(str(error["input"]), words, 1) or words
                put(block, key, close[0])
        elif error["type"] == "value_error" and isinstance(found_at(self.tree, steps), dict):
            self.simplify(steps, error["msg"].removeprefix("Value error, "))
        else:
            self.replace(steps)

    def rename(self, steps: Path, known: list[str]) -> None:
        """Take a key for the one that it nearly is, if that is not there; else leave it out."""
        *above, key = steps
        here = found_at(self.tree, tuple(above))
        close = [word for word in difflib.get_close_matches(key, known, 1) if word not in here]
        for tree in (self.tree, self.kept):
            block = found_at(tree, tuple(above))
            if isinstance(block, dict):
                value = take(block, key)
                if close:
                    block[close[0]] = copy.deepcopy(value)
        if close:
            there = (*above, close[0])
            moved = {(*there, *p[len(steps) :]): n for p, n in self.lines.items() if p[: len(steps)] == steps}
            self.lines.update(moved)

    def simplify(self, steps: Path, message: str) -> None:
        """Leave out of a block what contradicts itself: the keys a message begins with, or the whole block."""
        block = found_at(self.tree, steps)
        named = [key for key in message.partition(":")[0].split(" and ") if key in block]
        if message.startswith("window"):
            named = [key for key in ANCHORS if key in block]
        elif ":" in message and len(named) > 1:
            named = named[1:]
        if ":" not in message or not named or set(named) & set(required_at(list(steps))):
            self.replace(steps)
            return
        for key in named:
            block.pop(key, None)

    def replace(self, steps: Path) -> None:
        """Leave a value out, or put something in its place where the block needs one."""
        if not steps:
            return
        self.replaced.add(steps)
        block, key = found_at(self.tree, steps[:-1]), steps[-1]
        if isinstance(block, list) and len(steps) == 2 and steps[0] == "scenarios":
            block[int(key)] = {"id": f"?{key}", "kind": "thanks", "purpose": "service", "priority": 0}
        elif key == "id" or steps[-2:-1] == ("levels",):
            put(block, key, f"?{steps[-2]}" if key == "id" else {"id": "?", "from": 1e12 + int(key)})
        elif "window" in steps[2:] and steps[0] == "scenarios":
            found_at(self.tree, steps[:2])["window"] = ["0h", "24h"]
        elif steps == ("scenarios",):
            self.tree["scenarios"] = []
        else:
            take(block, key)
            if isinstance(block, dict) and key in MENDED and key in required_at(list(steps[:-1])):
                block[key] = copy.deepcopy(MENDED[key])

    # ---- what the models do not see

    def wrong_flags(self, value: Any, steps: Path) -> None:
        """Note yes and no where a number is meant: Python would take them for one and nothing."""
        if steps[:1] == ("scenarios",) and steps[2:3] == ("who",):
            return
        entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, inner in list(entries):
            at = (*steps, str(key))
            if isinstance(inner, bool) and declared(list(at)) in (int, float):
                self.note(at, f"must be a number, not {str(inner).lower()}")
                self.replace(at)
            else:
                self.wrong_flags(inner, at)

    def words(self) -> None:
        """Note words that name nothing, ids that stand twice, and filters that cannot be read."""
        self.ids()
        for steps, word, known in list(references(self.kept, known_words(self.kept))):
            if word not in known:
                if not any(".".join(steps) == mistake.path for mistake in self.found):
                    self.note(steps, f"unknown word {word}{nearest(word, list(known))}")
                drop_word(self.tree, steps, word)
                self.mended.add(steps[:2])
        for i, scenario in enumerate(blocks_of(self.kept.get("scenarios"))):
            if who := block_of(scenario.get("who")):
                self.filter(who, ("scenarios", str(i)), scenario)
        for steps, word, known in list(references(self.tree, known_words(self.tree))):
            if word not in known:  # what it names was left out above
                drop_word(self.tree, steps, word)
                self.mended.add(steps[:2])

    def ids(self) -> None:
        seen: dict[str, int] = {}
        for i, scenario in enumerate(blocks_of(self.kept.get("scenarios"))):
            name = scenario.get("id")
            if isinstance(name, str) and name in seen:
                first = line_of(("scenarios", str(seen[name])), self.lines)
                self.note(("scenarios", str(i), "id"), f"{name} stands more than once; the first is on line {first}")
                found_at(self.tree, ("scenarios", str(i)))["id"] = f"?{i}"
            seen.setdefault(str(name), i)

    def filter(self, who: dict[Any, Any], steps: Path, scenario: dict[Any, Any]) -> None:
        at = (*steps, "who")
        try:
            parse(who, WHO, ".".join(at))
        except BadFilter as error:
            for path, message in error.mistakes:
                self.note(tuple(path.split(".")), message, steps)
            found_at(self.tree, steps).pop("who", None)
            return
        if not any(scenario.get(name) for name in ANCHORS[:3]):
            for place, name in fields_of(who, at):
                if name in ANCHOR:
                    self.note(place, f"{name} is asked of what a scenario is anchored to; give after, around or before")
