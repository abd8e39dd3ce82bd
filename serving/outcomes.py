"""What callers tell of messages, written down once; and recorded decisions, told again as they were."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from features.calendar import day_number
from features.journal import Journal
from features.journal.decisions import CONTROL, Recorded, decision
from features.journal.outcomes import Conflict, Outcome, Taken, take
from serving.schemas import OutcomesRequest, OutcomeTold, Refused

Reply = dict[str, Any]
AHEAD = timedelta(days=1)  # as the door takes files: faults.md, A11


def told(
    request: OutcomesRequest,
    journal: Journal,
    known_at: int,
    now: datetime,
    person: Callable[[str], str],
    is_buried: Callable[[str, str], bool],
) -> Reply:
    """Write outcomes down, all of a call or none: accepted + duplicates + unmatched is how many were told.

    Parameters
    ----------
    known_at
        The shop's now, epoch seconds; an outcome is known no earlier.
    now
        The machine's clock: what lies more than a day ahead of it is refused.
    person
        Names the person behind a customer's id.
    is_buried
        Tells whether a thing of some kind (customer, contact, order) belonged to somebody forgotten: such an outcome
        counts as unmatched and is not kept.

    Raises
    ------
    Refused
        422 for the future, 409 where an ``outcome_id`` came before with other content; nothing is kept then.
    """
    for position, one in enumerate(request.outcomes):
        if one.at > now + AHEAD:
            raise Refused(422, "invalid", "lies in the future of this machine's clock", f"outcomes.{position}.at")
    outcomes = [_outcome(one, person) for one in request.outcomes]
    kept = [position for position, one in enumerate(outcomes) if not _is_theirs(one, is_buried)]
    try:
        taken = take(journal, [outcomes[position] for position in kept], known_at)
    except Conflict as conflict:
        path = f"outcomes.{kept[conflict.position]}.outcome_id"
        raise Refused(409, "conflict", "this outcome_id came before with other content", path) from None
    became = dict(zip(kept, taken, strict=True))
    said = [became.get(position, Taken("", "unmatched")) for position in range(len(outcomes))]
    states = [one.state for one in said]
    return {
        "accepted": states.count("accepted"),
        "duplicates": states.count("duplicate"),
        "unmatched": states.count("unmatched"),
        "outcomes": [{"outcome_id": one.outcome_id or None, "state": one.state} for one in said],
    }


def _outcome(told: OutcomeTold, person: Callable[[str], str]) -> Outcome:
    return Outcome(
        told.kind,
        int(told.at.timestamp()),
        told.contact_id or told.decision_id,
        told.campaign_id,
        None if told.customer_id is None else person(told.customer_id),
        None if told.day is None else day_number(told.day),
        told.order_id,
        told.amount,
        told.outcome_id,
    )


def _is_theirs(one: Outcome, is_buried: Callable[[str, str], bool]) -> bool:
    named = (("customer", one.customer_id), ("contact", one.message_id), ("order", one.order_id))
    return any(value is not None and is_buried(kind, value) for kind, value in named)


def replay(journal: Journal, decision_id: str) -> Reply | None:
    """Give a recorded decision, its result to the byte; ``None`` for an unknown id."""
    found = decision(journal, decision_id)
    if found is None:
        return None
    was = found.decision
    return {
        "decision_id": was.decision_id,
        "campaign_id": was.campaign_id,
        "recorded_at": _instant(was.at),
        "state": _state(found),
        "why": [] if was.why_withheld is None else was.why_withheld.split(","),
        "withdrawn_at": None if found.withdrawn_at is None else _instant(found.withdrawn_at),
        "withdrawn_why": [] if found.withdrawn_why is None else found.withdrawn_why.split(","),
        "release": {"id": was.release, "policy": was.policy},
        "result": orjson.Fragment(was.result),
    }


def _state(found: Recorded) -> str:
    """Name what a decision came to."""
    was = found.decision
    if found.withdrawn_at is not None:
        return "withdrawn"
    if was.withheld:
        return "withheld" if was.why_withheld == CONTROL else "held_back"
    return "planned" if was.is_contact else "nothing"


def _instant(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()
