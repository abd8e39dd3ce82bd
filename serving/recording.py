"""What was decided is written down once: whoever asks again that day is told the same, and nobody is contacted twice.

A mail tool asks for each recipient, perhaps twice, perhaps from several processes. The day's first recorded contact
stands. It is withdrawn only if a guard fails later, and never by a guard that the contact itself trips.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
import pandas as pd

from features import lake
from features.door.forget import Trace
from features.journal import Journal
from features.journal.codes import Pool
from features.journal.decisions import CONTROL, Decision, Recorded, contacts_since, record, standing, withdraw
from features.journal.keeping import forget
from serving.words import NO_CODES_NOTE, WITHDRAWN_NOTE, Language, say

Result = dict[str, Any]
CostOf = Callable[[str | None, str], float]  # of an offer's id over a channel
PoolOf = Callable[[str], Pool | None]  # of an offer's id
Forbids = Callable[[Result, Recorded], list[str]]  # the answer of now, what was recorded; codes that now forbid it

HELD = "CONTROL_GROUP"
# Guards that a contact trips by having been made; whoever counts contacts counts this one among them.
BY_ITSELF = frozenset({
    "FREQUENCY_CAP", "SALES_PRESSURE", "DISCOUNT_CAP", "OFFER_STILL_OPEN", "SURVEY_CAP", "CHANNEL_QUOTA",
    "STAFF_CAPACITY", "BUDGET", "GIFT_LIMIT",
})  # fmt: skip
LATER = frozenset({"QUIET_HOURS"})  # postpones and forbids nothing


@dataclass(frozen=True)
class Occasion:
    """When and by what it was decided."""

    day: int  # the shop's business day
    at: int  # epoch seconds
    campaign_id: str | None
    policy: str  # its hash
    release: str
    cost_of: CostOf  # of a message: what it costs whether or not an order comes
    lang: Language = "en"


def decision_id(customer_id: str, campaign_id: str | None, date: str, policy: str) -> str:
    """Name a decision: asking again about a customer and campaign on a day, under the same policy, is the same one."""
    return lake.digest([customer_id, campaign_id, date, policy])[:32]


def failing(now: Result, before: Recorded) -> list[str]:
    """Name the guards that fail by now and forbid what was recorded, sorted.

    Who was withheld as a control stays comparable: what would withdraw a message withdraws its being withheld.
    """
    ignored = BY_ITSELF | LATER | {HELD}
    return sorted(set(_failed(now)) - ignored)


def recorded(
    results: Sequence[Result],
    occasion: Occasion,
    journal: Journal,
    *,
    withheld: Sequence[bool] | None = None,
    pool_of: PoolOf = lambda offer_id: None,
    forbids: Forbids = failing,
    is_forgotten: Callable[[str], bool] = lambda customer_id: False,
) -> list[Result]:
    """Write decisions down and give the results as they stand: what was recorded first is put back.

    Parameters
    ----------
    results
        Answers with all their blocks, as :func:`serving.results.results` writes them. Of unknown customers nothing is
        recorded.
    withheld
        Of each result whether it would have gone out but for a control group; default read off the result: nothing but
        ``CONTROL_GROUP`` fails.
    pool_of
        The codes of an offer that draws them from a pool. Without a code left nothing is sent.
    forbids
        What forbids a contact recorded earlier.
    is_forgotten
        Asked after writing: an erasure that ran meanwhile is made up for.

    Returns
    -------
    list of dict
        With the recorded ``decision_id``, ``action``, ``send`` and ``experiment``; scores, candidates and guards are
        those of now.
    """
    held = [_is_control(result) for result in results] if withheld is None else withheld
    known = [(result, bool(h)) for result, h in zip(results, held, strict=True) if result["decision_id"] is not None]
    before = standing(journal, [_decision(result, occasion, is_held) for result, is_held in known])
    drawn = [
        result if was and was.decision.is_contact else _with_code(result, pool_of, occasion.lang)
        for (result, _), was in zip(known, before, strict=True)
    ]
    stands = record(
        journal, [_decision(now, occasion, is_held) for now, (_, is_held) in zip(drawn, known, strict=True)]
    )
    out = {
        id(result): _as_it_stands(now, one, journal, occasion, forbids)
        for (result, _), now, one in zip(known, drawn, stands, strict=True)
    }
    _forget(journal, stands, is_forgotten)
    return [out.get(id(result), result) for result in results]


def _as_it_stands(now: Result, one: Recorded, journal: Journal, occasion: Occasion, forbids: Forbids) -> Result:
    if one.is_new or not one.decision.is_contact:
        return now
    told = orjson.loads(one.decision.result)
    decided = now | {name: told[name] for name in ("decision_id", "action", "send", "experiment")}
    if one.stands and not (why := forbids(now, one)):
        return _postponed(decided, now)
    if not one.stands or withdraw(journal, one.decision.decision_id, ",".join(why), occasion.at):
        return _withdrawn(decided, occasion.lang)
    return decided | {"send": told["send"] | {"allowed": False}}  # sent already, and not to be sent again


def _postponed(decided: Result, now: Result) -> Result:
    """Say when a contact may go out: at other hours than those of now, if its channel must be still."""
    waits = any(guard["code"] in LATER and guard["state"] == "fail" for guard in now["guards"])
    return decided | {"send": decided["send"] | {"allowed": False}} if waits else decided


def _withdrawn(decided: Result, lang: Language) -> Result:
    return _nothing(decided) | {"warnings": [*decided["warnings"], say(WITHDRAWN_NOTE, lang)]}


def _nothing(result: Result) -> Result:
    """Give a result whose action is to send nothing."""
    action = dict.fromkeys(result["action"]) | {"scenario": "none", "kind": "none", "incentive": "none", "cost": 0.0}
    return result | {
        "action": action | {"origin": result["action"]["origin"]},
        "send": result["send"] | {"allowed": False, "from": None, "until": None},
    }


def _with_code(result: Result, pool_of: PoolOf, lang: Language) -> Result:
    """Draw the code of a coupon; the same decision draws the same."""
    action = result["action"]
    pool = pool_of(action["offer_id"]) if action["offer_id"] and result["send"]["allowed"] else None
    if pool is None:
        return result
    code = pool.claim(result["decision_id"])
    if code is None:
        return _nothing(result) | {"warnings": [*result["warnings"], say(NO_CODES_NOTE, lang)]}
    return result | {"action": action | {"coupon_code": code}}


def _is_control(result: Result) -> bool:
    return result["decision_id"] is not None and result["experiment"]["arm"] == "control" and _failed(result) == [HELD]


def _failed(result: Result) -> list[str]:
    return [guard["code"] for guard in result["guards"] if guard["state"] == "fail"]


def _decision(result: Result, occasion: Occasion, is_withheld: bool) -> Decision:
    """Read a result as the journal keeps it: sent, withheld as a control, held back by guards, or nothing."""
    experiment, action = result["experiment"], result["action"]
    plain = Decision(
        result["decision_id"], result["customer_id"], occasion.campaign_id, occasion.day, occasion.at,
        experiment["arm"], experiment["group"], occasion.policy, occasion.release,
        orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY),
    )  # fmt: skip
    if action["kind"] != "none" and result["send"]["allowed"]:
        return replace(plain, **_planned(action, occasion), coupon_code=action["coupon_code"])
    failed, what = _failed(result), _held_back(result)
    if what is None or not failed:
        return plain
    why = CONTROL if is_withheld else ",".join(failed)
    return replace(plain, **_planned(what, occasion), withheld=True, why_withheld=why)


def _held_back(result: Result) -> Mapping[str, Any] | None:
    """Give what would have been sent: it stands first among the candidates."""
    sendable = (one for one in result["candidates"] if one["scenario"] not in (None, "none"))
    return next(sendable, None)


def _planned(what: Mapping[str, Any], occasion: Occasion) -> dict[str, Any]:
    expires = what.get("expires_at")
    return {
        "scenario": what["scenario"],
        "offer_id": what["offer_id"],
        "incentive": what["incentive"],
        "channel": what["channel"],
        "cost": occasion.cost_of(what["offer_id"], what["channel"]),
        "expires_at": None if expires is None else int(datetime.fromisoformat(expires).timestamp()),
    }


def _forget(journal: Journal, stands: Sequence[Recorded], is_forgotten: Callable[[str], bool]) -> None:
    """Remove what was written about somebody who was forgotten while it was being written."""
    gone = [one.decision for one in stands if is_forgotten(one.decision.customer_id)]
    if gone:
        ids = tuple(one.customer_id for one in gone)
        forget(journal, Trace(ids, (), (), tuple(one.decision_id for one in gone)))


def earlier(
    journal: Journal, since: int, customer_ids: Sequence[str], campaign_id: str | None, today: tuple[int, int]
) -> pd.DataFrame:
    """List some customers' contacts since an instant, but for those a question about a campaign would make again.

    ``today`` is the business day asked about, its first second and that of the next: what this campaign did on it is
    what is being decided, and counts against no cap of its own.
    """
    found = contacts_since(journal, since, customer_ids)
    campaign = found.campaign_id.where(found.campaign_id.notna(), None)
    is_itself = (campaign == campaign_id) if campaign_id is not None else campaign.isna()
    rest: pd.DataFrame = found[~(is_itself & found["at"].between(today[0], today[1] - 1))].reset_index(drop=True)
    return rest


def only(result: Result, include: Sequence[str], blocks: Sequence[str], lists: Sequence[str]) -> Result:
    """Cut a result to the blocks asked for, as if only these had been computed."""
    left_out = set(blocks) - set(include)
    missing = [one for one in result["missing"] if one["field"].partition(".")[0] not in left_out]
    empty: Result = {name: [] if name in lists else None for name in left_out}
    return result | empty | {"missing": missing}
