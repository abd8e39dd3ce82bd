"""Decisions, of which some are contacts: the day's first stands, however often and from wherever it is asked."""

import json
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pandas as pd

from features.journal import UNIT, Journal, in_units
from features.journal.outcomes import match

Rows = Callable[[str, Sequence[Any]], list[sqlite3.Row]]

CONTROL = "control"
HISTORY = (
    "customer_id", "at", "campaign_id", "scenario", "offer_id", "channel", "cost", "withheld", "contact_id",
    "decision_id", "expires_at", "redeemed_at",
)  # fmt: skip


@dataclass(frozen=True)
class Decision:
    """What was decided for one customer in one campaign on one business day."""

    decision_id: str
    customer_id: str
    campaign_id: str | None
    day: int  # the shop's business day
    at: int  # epoch seconds
    arm: str  # treatment or control
    experiment: str  # global, or the campaign
    policy: str  # its hash
    release: str
    result: bytes  # the answer as it was given, kept to the byte
    scenario: str | None = None  # None: nothing was worth sending
    offer_id: str | None = None
    incentive: str | None = None
    channel: str | None = None
    cost: float = 0.0
    withheld: bool = False
    why_withheld: str | None = None  # "control", or the codes of the guards that failed
    coupon_code: str | None = None
    expires_at: int | None = None  # epoch seconds

    @property
    def is_contact(self) -> bool:
        """Tell whether something is to be sent, or withheld only so that its effect can be measured."""
        return self.scenario is not None and (not self.withheld or self.why_withheld == CONTROL)


@dataclass(frozen=True)
class Recorded:
    """A decision as it stands in the journal."""

    decision: Decision
    is_new: bool = False  # recorded by this very call
    withdrawn_at: int | None = None
    withdrawn_why: str | None = None

    @property
    def stands(self) -> bool:
        """Tell whether this is a contact that nobody withdrew."""
        return self.decision.is_contact and self.withdrawn_at is None


COLUMNS = tuple(field.name for field in fields(Decision))


def record(journal: Journal, decisions: Sequence[Decision]) -> list[Recorded]:
    """Write decisions down and give what stands: of one customer, campaign and day the first contact ever recorded.

    One that is no contact is replaced by a later one that is. Asking again writes nothing, also where the policy,
    and with it the decision's id, changed during the day.

    Raises
    ------
    Refused
        If another process kept the journal for seconds; nothing was written then.
    """
    found = [_standing(journal.rows, decision) for decision in decisions]
    if all(
        known and (known.decision.is_contact or not d.is_contact) for known, d in zip(found, decisions, strict=True)
    ):
        return [known for known in found if known]
    with journal.turn() as con:
        return [_record(con, decision) for decision in decisions]


def _record(con: sqlite3.Connection, decision: Decision) -> Recorded:
    def rows(query: str, given: Sequence[Any]) -> list[sqlite3.Row]:
        return con.execute(query, given).fetchall()

    if known := _kept(rows, decision):
        return known
    if blocked := _standing(rows, decision):
        con.execute("DELETE FROM decisions WHERE decision_id = ?", [blocked.decision.decision_id])
    values = {name: getattr(decision, name) for name in COLUMNS} | {
        "campaign_id": decision.campaign_id or "",
        "cost": in_units(decision.cost),
        "result": zlib.compress(decision.result),
        "is_contact": decision.is_contact,
    }
    names = ", ".join(values)
    con.execute(f"INSERT INTO decisions ({names}) VALUES ({', '.join(':' + name for name in values)})", values)
    if decision.is_contact:
        match(con, decision.decision_id)
    return Recorded(decision, is_new=True)


def _kept(rows: Rows, decision: Decision) -> Recorded | None:
    """Give what was recorded before, if this decision does not replace it."""
    known = _standing(rows, decision)
    return known if known and (known.decision.is_contact or not decision.is_contact) else None


def _standing(rows: Rows, decision: Decision) -> Recorded | None:
    found = rows(
        "SELECT * FROM decisions WHERE decision_id = ? OR (customer_id = ? AND campaign_id = ? AND day = ?)"
        " ORDER BY is_contact DESC, at LIMIT 1",
        [decision.decision_id, decision.customer_id, decision.campaign_id or "", decision.day],
    )
    return _read(found[0]) if found else None


def _read(row: sqlite3.Row) -> Recorded:
    values = {name: row[name] for name in COLUMNS} | {
        "campaign_id": row["campaign_id"] or None,
        "cost": row["cost"] / UNIT,
        "withheld": bool(row["withheld"]),
        "result": zlib.decompress(row["result"]),
    }
    return Recorded(Decision(**values), False, row["withdrawn_at"], row["withdrawn_why"])


def standing(journal: Journal, decisions: Sequence[Decision]) -> list[Recorded | None]:
    """Give what :func:`record` would find recorded before, without writing."""
    return [_standing(journal.rows, decision) for decision in decisions]


def decision(journal: Journal, decision_id: str) -> Recorded | None:
    """Give a recorded decision; ``None`` for an unknown id."""
    found = journal.rows("SELECT * FROM decisions WHERE decision_id = ?", [decision_id])
    return _read(found[0]) if found else None


def withdraw(journal: Journal, decision_id: str, why: str, at: int) -> bool:
    """Mark a planned or withheld contact as withdrawn because a guard failed later; tell whether it was.

    One that a reaction proves to have been sent stays: caps must go on counting it. Withdrawn, it stays withdrawn.
    """
    with journal.turn() as con:
        changed = con.execute(
            "UPDATE decisions SET withdrawn_at = ?, withdrawn_why = ? WHERE decision_id = ? AND is_contact"
            " AND withdrawn_at IS NULL AND NOT EXISTS (SELECT 1 FROM outcomes WHERE matched_to = decision_id)",
            [at, why, decision_id],
        )
        return changed.rowcount > 0


def contacts_since(journal: Journal, at: int, customer_ids: Sequence[str] | None = None) -> pd.DataFrame:
    """List the contacts from an instant on, sorted by customer, instant and id: what caps count on the live path.

    Parameters
    ----------
    at
        Epoch seconds, inclusive.
    customer_ids
        Whose; default everybody's.

    Returns
    -------
    DataFrame, columns :data:`HISTORY`
        ``at`` is int64 epoch seconds, ``expires_at`` and ``redeemed_at`` (the first redemption told) float64 with
        NaN, ``cost`` an amount, ``withheld`` bool. Contacts that were withdrawn are not in it.
    """
    query = (
        "SELECT customer_id, at, nullif(campaign_id, '') AS campaign_id, scenario, offer_id, channel,"
        f" cost / {UNIT}.0 AS cost, withheld, decision_id AS contact_id, decision_id, expires_at, (SELECT min(at)"
        " FROM outcomes WHERE matched_to = decision_id AND kind = 'redeem') AS redeemed_at FROM contacts WHERE at >= ?"
    )
    rows = (
        journal.rows(query, [at])
        if customer_ids is None
        else journal.rows(
            f"{query} AND customer_id IN (SELECT value FROM json_each(?))", [at, json.dumps(list(customer_ids))]
        )
    )
    frame = pd.DataFrame([tuple(row) for row in rows], columns=list(HISTORY))
    kinds = {"at": "int64", "cost": "float64", "withheld": "bool", "expires_at": "float64", "redeemed_at": "float64"}
    frame = frame.astype(kinds | dict.fromkeys(set(HISTORY) - set(kinds), object))
    return frame.sort_values(["customer_id", "at", "contact_id"], ignore_index=True)
