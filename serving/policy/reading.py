"""A policy's file: read strictly, every mistake named with its line and the nearest valid word."""

from pathlib import Path

from features.errors import BadInput
from serving.policy.rules import Policy
from serving.policy.text.mistakes import look

DEFAULT = Path(__file__).with_name("default.yaml")


def load_policy(path: Path | None = None) -> Policy:
    """Read a policy file, or the one that ships with Okaeri.

    Raises
    ------
    BadInput
        A line per mistake: the file, the line, the key and what would be right.
    """
    named = path or DEFAULT
    return parse_policy(policy_bytes(named), str(named))


def policy_bytes(path: Path) -> bytes:
    """Give the bytes of a policy file, so that a missing one is a plain refusal."""
    if not path.is_file():
        raise BadInput(f"{path}: no such policy file")
    return path.read_bytes()


def parse_policy(content: bytes, named: str) -> Policy:
    """Read a policy's text; ``named`` is what errors call it."""
    looked = look(content)
    if looked.mistakes or looked.policy is None:
        raise BadInput("\n".join(f"{named}{f':{m.line}' if m.line else ''}: {m}" for m in looked.mistakes))
    return looked.policy
