"""Which release answers, which did before, and who decided it when and why: one pointer, one list of lines."""

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from features import lake
from features.errors import BadInput, Refused
from features.home import Home
from training.release import probe

KEPT = 5  # design.md: the last five and the champion are kept
POINTER, CHALLENGER, LEDGER = "CURRENT.json", "CHALLENGER.json", "ledger.jsonl"

Kind = Literal["train", "promote", "rollback"]
Seen = str | None | Literal[False]


def promote(
    home: Home, path: Path, who: str, when: str, why: str, kind: Kind = "promote", expected: Seen = False
) -> str | None:
    """Make a verified release the champion in one rename and write the ledger; give the previous one's name.

    Promoting the champion changes nothing, but for a ledger that a kill left behind its pointer.

    Parameters
    ----------
    expected
        The champion (or ``None``) that the decision was made against; ``False`` asks for none in particular.

    Raises
    ------
    Refused
        If the pointer is locked, or another release has become the champion meanwhile.
    Damaged
        If the release does not pass its probe.
    """
    probe(path)
    pointer = home.releases / POINTER
    with lake.locked(home.releases / ".lock", "the release pointer"):
        found = lake.pointed(pointer)
        previous = found[0].name if found else None
        if expected is not False and previous not in (expected, path.name):
            raise Refused(f"the champion is {previous} by now, not {expected}; look at it, then decide again")
        if found is None or previous != path.name:
            lake.point(pointer, path, previous=previous)
        else:
            previous = found[1]["previous"]
        _append(home, {"release": path.name, "previous": previous, "who": who, "when": when, "why": why, "kind": kind})
        if challenger(home) == path.name:
            (home.releases / CHALLENGER).unlink()
    return previous


def _append(home: Home, entry: dict[str, Any]) -> None:
    ledger = home.releases / LEDGER
    lines = ledger.read_bytes() if ledger.exists() else b""
    if not lines or json.loads(lines.splitlines()[-1])["release"] != entry["release"]:
        lake.write_bytes(ledger, lines + json.dumps(entry, ensure_ascii=False, sort_keys=True).encode() + b"\n")


def rollback(home: Home, who: str, when: str, why: str) -> tuple[str, str]:
    """Go back to the champion before this one, verified first; give its name and the name of the one it replaced.

    One step: a second call undoes the first.

    Raises
    ------
    BadInput
        If there is no earlier champion, or it was pruned.
    """
    current, before = answering(home)
    if current is None or before is None:
        raise BadInput(f"{home.releases}: there is no champion before this one to go back to")
    if not (home.releases / before / lake.MANIFEST).exists():
        raise BadInput(f"{before}: was the champion before, but its folder is gone; promote another release")
    promote(home, home.releases / before, who, when, why, "rollback", expected=current)
    return before, current


def answering(home: Home) -> tuple[str | None, str | None]:
    """Name the champion and the one before it."""
    found = lake.pointed(home.releases / POINTER)
    return (found[0].name, found[1].get("previous")) if found else (None, None)


def challenger(home: Home) -> str | None:
    """Name the release that was trained last and not promoted."""
    found = lake.pointed(home.releases / CHALLENGER)
    return found[0].name if found else None


def remember_challenger(home: Home, path: Path) -> None:
    """Note which release waits for a decision."""
    lake.point(home.releases / CHALLENGER, path)


def aliases(home: Home) -> dict[str, str]:
    """Give the release each alias stands for: ``champion``, ``previous``, ``challenger``."""
    current, before = answering(home)
    named = {"champion": current, "previous": before, "challenger": challenger(home)}
    return {alias: name for alias, name in named.items() if name and (home.releases / name / lake.MANIFEST).exists()}


def entries(home: Home) -> list[dict[str, Any]]:
    """Read the ledger, oldest line first; a line of before there were kinds came from a training."""
    ledger = home.releases / LEDGER
    lines = ledger.read_text("utf-8").splitlines() if ledger.exists() else []
    return [{"kind": "train", **json.loads(line)} for line in lines]


def folders(home: Home) -> list[Path]:
    """List the finished releases, the oldest first."""
    found = (path for path in home.releases.glob("[!.]*") if path.is_dir() and (path / lake.MANIFEST).exists())
    return sorted(found, key=lambda path: ((path / lake.MANIFEST).stat().st_mtime_ns, path.name))


def list_releases(home: Home) -> list[dict[str, Any]]:
    """List the releases of a home, the oldest first: their aliases, the gate's word on them, and their facts."""
    named = aliases(home)
    current = named.get("champion")
    return [
        {
            "id": path.name,
            "champion": path.name == current,
            "aliases": [alias for alias, name in named.items() if name == path.name],
            **_listed(lake.read_json(path / "release.json")),
            "gate": _gate(path),
        }
        for path in folders(home)
    ]


def _listed(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("shop", "trained_until_date", "method", "n", "horizon_days")}


def _gate(path: Path) -> str | None:
    found = path / "gate.json"
    return str(lake.read_json(found)["summary"]) if found.exists() else None


def prune(home: Home, also: Collection[str] = ()) -> list[str]:
    """Remove all but the newest five releases, those an alias stands for, and ``also``; name the removed.

    Raises
    ------
    Refused
        If a training runs.
    """
    with lake.locked(home.releases / ".training.lock", "training"):
        found = folders(home)
        keep = {*(path.name for path in found[-KEPT:]), *aliases(home).values(), *also}
        gone = [path for path in found if path.name not in keep]
        for path in gone:
            doomed = path.with_name(f".staging-{path.name}-pruned")  # whole or gone: a sweep finishes a kill
            path.rename(doomed)
            shutil.rmtree(doomed)
        lake.sweep(home.releases)
    return [path.name for path in gone]
