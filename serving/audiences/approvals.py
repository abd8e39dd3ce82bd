"""Who approved which list: proposed, approved, exported, each change one line of a ledger that is only added to.

An approval names the bytes of the audience's file. Whoever edits the file has a proposal again, and editing it back
has the approval again: it is the same list.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from features import lake
from features.errors import BadInput, Refused
from features.home import Home
from serving.audiences.saved import Written, folder, names, parse_audience, read_audience

State = Literal["proposed", "approved", "exported"]
STATES: tuple[State, ...] = get_args(State)
STATE_WORDS: Mapping[str, tuple[str, str]] = {
    "proposed": ("提案", "Proposed"),
    "approved": ("承認済み", "Approved"),
    "exported": ("出力済み", "Exported"),
}
LEDGER = "ledger.jsonl"


@dataclass(frozen=True)
class Decision:
    """Who moves an audience, when (the machine's clock as text) and why."""

    who: str
    when: str
    why: str = ""


def entries(home: Home, name: str | None = None) -> list[dict[str, Any]]:
    """Read the ledger, oldest line first, of one audience or of all."""
    ledger = folder(home) / LEDGER
    lines = ledger.read_text("utf-8").splitlines() if ledger.exists() else []
    return [entry for line in lines if name in (None, (entry := json.loads(line))["audience"])]


def state(home: Home, written: Written) -> State:
    """Tell how far an audience has come as its file stands now."""
    told = [entry["state"] for entry in entries(home, written.name) if entry["sha256"] == written.sha256]
    found: State = told[-1] if told else "proposed"
    return found


def propose(home: Home, content: bytes, named: str, by: Decision) -> Written:
    """Save an audience under its name; one that was approved with these very bytes stays approved.

    Raises
    ------
    BadInput
        If the file is wrong.
    """
    written = parse_audience(content, named)
    with _locked(home):
        lake.write_bytes(folder(home) / f"{written.name}.yaml", content)
        if not any(entry["sha256"] == written.sha256 for entry in entries(home, written.name)):
            _append(home, written, "proposed", by)
    return written


def approve(home: Home, name: str, by: Decision, seen: str | None = None) -> Written:
    """Approve an audience as its file stands; approving it twice changes nothing.

    Parameters
    ----------
    seen
        sha256 (or how it begins) of the file that was looked at; ``None`` asks for none in particular.

    Raises
    ------
    BadInput
        If there is no such audience, or no reason is given.
    Refused
        If the file has become another meanwhile, or somebody else is deciding.
    """
    if not by.why.strip():
        raise BadInput("say why: the ledger keeps the reason of an approval")
    with _locked(home):
        written = read_audience(home, name)
        if seen is not None and not written.sha256.startswith(seen):
            raise Refused(f"{name} is {written.sha256[:12]} by now, not {seen}; look at it, then decide again")
        if state(home, written) == "proposed":
            _append(home, written, "approved", by)
    return written


def expect_approved(home: Home, written: Written) -> None:
    """Let an audience leave the house only if it was approved as it stands.

    Raises
    ------
    Refused
        Saying how to approve it.
    """
    if state(home, written) == "proposed":
        was = any(entry["state"] != "proposed" for entry in entries(home, written.name))
        why = "its file was changed since it was approved" if was else "it was not approved yet"
        raise Refused(f"{written.name}: {why}; see `okaeri audience show {written.name}`, then approve it")


def note_export(home: Home, written: Written, by: Decision, done: Mapping[str, Any]) -> None:
    """Write an export into the ledger once; the same list of the same night again is no news."""
    facts = {name: done[name] for name in ("score_date", "profile", "rows", "excluded", "files")}
    with _locked(home):
        before = [e for e in entries(home, written.name) if e["state"] == "exported"]
        if any(e["sha256"] == written.sha256 and all(e[k] == v for k, v in facts.items()) for e in before):
            return
        _append(home, written, "exported", by, **facts)


def listed(home: Home) -> list[tuple[Written, State]]:
    """List all saved audiences with their states; one whose file is wrong is refused by name."""
    found = [read_audience(home, name) for name in names(home)]
    return [(written, state(home, written)) for written in found]


def _locked(home: Home) -> Any:
    return lake.locked(folder(home) / ".lock", "the list of audiences")


def _append(home: Home, written: Written, into: State, by: Decision, **facts: object) -> None:
    entry = {"audience": written.name, "state": into, "sha256": written.sha256, "who": by.who, "when": by.when}
    line = json.dumps(entry | {"why": by.why} | facts, ensure_ascii=False, sort_keys=True).encode() + b"\n"
    ledger = folder(home) / LEDGER
    lake.write_bytes(ledger, (ledger.read_bytes() if ledger.exists() else b"") + line)
