"""What came of a contact, told once or twice, early or late, for contacts known or not yet known."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from features import lake
from features.journal import Journal, in_units

State = Literal["accepted", "duplicate", "unmatched"]
NAMED = ("message_id", "campaign_id", "customer_id", "day", "kind", "at", "order_id", "amount")


class Conflict(Exception):
    """An outcome's id came before with other content; ``position`` is its place among those told."""

    def __init__(self, position: int) -> None:
        super().__init__(f"outcome {position}: its id came before with other content")
        self.position = position


@dataclass(frozen=True)
class Outcome:
    """One reaction: to the message it names, or to the campaign's message to a customer on a day."""

    kind: str
    at: int  # epoch seconds
    message_id: str | None = None  # contact or decision
    campaign_id: str | None = None
    customer_id: str | None = None
    day: int | None = None
    order_id: str | None = None
    amount: float | None = None
    outcome_id: str | None = None  # the caller's own; else the hash of the content


@dataclass(frozen=True)
class Taken:
    """What became of an outcome told: accepted and matched, known before, or kept aside for a contact to come."""

    outcome_id: str
    state: State


def take(journal: Journal, outcomes: Sequence[Outcome], known_at: int) -> list[Taken]:
    """Write outcomes down in one transaction, each once however often it is told.

    Two reactions of one kind to one message in the same second are one, unless the caller gives them ids.

    Parameters
    ----------
    known_at
        Epoch seconds at which they became known here.

    Raises
    ------
    Conflict
        If an id came before with other content; nothing is written then.
    """
    with journal.turn() as con:
        return [_take(con, position, outcome, known_at) for position, outcome in enumerate(outcomes)]


def _take(con: sqlite3.Connection, position: int, outcome: Outcome, known_at: int) -> Taken:
    amount = None if outcome.amount is None else in_units(outcome.amount)
    told = {name: getattr(outcome, name) for name in NAMED} | {"amount": amount}
    content = lake.digest(told)
    outcome_id = outcome.outcome_id or content
    before = con.execute("SELECT content FROM outcomes WHERE outcome_id = ?", [outcome_id]).fetchone()
    if before is not None and before["content"] != content:
        raise Conflict(position)
    if before is not None:
        return Taken(outcome_id, "duplicate")
    told |= {"outcome_id": outcome_id, "content": content, "known_at": known_at}
    con.execute(f"INSERT INTO outcomes ({', '.join(told)}) VALUES ({', '.join(':' + name for name in told)})", told)
    contact = _contact_of(con, outcome)
    if contact is None:
        return Taken(outcome_id, "unmatched")
    match(con, contact)
    return Taken(outcome_id, "accepted")


def _contact_of(con: sqlite3.Connection, outcome: Outcome) -> str | None:
    row = con.execute(
        "SELECT decision_id FROM decisions WHERE is_contact AND (decision_id = ?"
        " OR (customer_id = ? AND campaign_id = ? AND day = ?))",
        [outcome.message_id, outcome.customer_id, outcome.campaign_id, outcome.day],
    ).fetchone()
    return None if row is None else str(row["decision_id"])


def match(con: sqlite3.Connection, decision_id: str) -> None:
    """Give a contact the outcomes that name it and were kept aside; they are known once both are."""
    con.execute(
        "UPDATE outcomes SET matched_to = d.decision_id, whose = d.customer_id, matched_at = max(known_at, d.at)"
        " FROM decisions d WHERE d.decision_id = ? AND matched_to IS NULL AND (message_id = d.decision_id"
        " OR (outcomes.customer_id = d.customer_id AND outcomes.campaign_id = d.campaign_id AND outcomes.day = d.day))",
        [decision_id],
    )


def adopt(journal: Journal, found: Sequence[tuple[str, str, str, int]]) -> None:
    """Match outcomes with contacts of the shop's own files: (outcome id, contact id, customer, known_at of it)."""
    with journal.turn() as con:
        con.executemany(
            "UPDATE outcomes SET matched_to = ?2, whose = ?3, matched_at = max(known_at, ?4)"
            " WHERE outcome_id = ?1 AND matched_to IS NULL",
            found,
        )
