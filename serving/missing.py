"""What an answer lacks and why, and what to mind in it: no null goes unexplained."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from serving.answers import Answers
from serving.words import BOT_NOTE, CONSENT_NOTE, CONTROL_NOTE, LATE_NOTE, SEASON_NOTE, STALE_NOTE, Language, say

LOYALTY = ("tier", "to_next_tier", "tier_expires_on", "points", "points_expire_on", "membership")
# What may be lacking within a block that is there. A date of `next_order` that is null lies beyond a year.
WITHIN: Mapping[str, Mapping[str, Mapping[str, str | None]]] = {
    "clv": {
        name: {"why": "too_little_history", "needs": "customers and months enough for the model of value"}
        for name in ("low_365d", "high_365d")
    },
    "next_order": {"categories": {"why": "no_table", "needs": "products.category"}},
}
OF_TIERS = ("to_next_tier", "tier_expires_on")


def missing(
    a: Answers,
    p: int,
    about: Mapping[str, Any],
    blocks: Mapping[str, Any],
    listed: Collection[str],
    include: Collection[str],
    explain: str,
) -> list[dict[str, Any]]:
    """Explain every block of a customer's answer that is null or empty for want of something.

    ``listed`` are the facts of :data:`features.members.FACTS` that the shop's list has a column for;
    ``include`` are the blocks asked for.
    """
    lacking = [name for name, value in about.items() if value is None]
    asked = [name for name in blocks if name in include and (name != "reasons" or explain != "none")]
    lacking += [name for name in asked if blocks[name] in (None, [])]
    whole = [
        {"field": name, **(_why_no_member(name, listed) if name in LOYALTY else _why(a, p, name))} for name in lacking
    ]
    return whole + [
        {"field": f"{block}.{name}", **why}
        for block, names in WITHIN.items()
        if block in asked and blocks[block] is not None
        for name, why in names.items()
        if blocks[block][name] in (None, [])
    ]


def _why_no_member(name: str, listed: Collection[str]) -> dict[str, str | None]:
    if name in OF_TIERS and name not in listed:
        return {"why": "no_table", "needs": "tiers in the policy"}
    if name not in listed:
        return {"why": "no_table", "needs": f"customers.{name}"}
    return {"why": "not_applicable", "needs": None}


def _why(a: Answers, p: int, name: str) -> dict[str, str | None]:
    status = a.status[p]
    if status == "unknown_customer":
        return {"why": "not_applicable", "needs": "a customer of this shop"}
    if status == "opted_out":
        return {"why": "no_consent", "needs": "consent to personalise"}
    if name == "subscription":
        return {"why": "no_table", "needs": "subscriptions"}
    if status == "prior_only":
        return {"why": "too_little_history", "needs": "a first order"}
    if name in ("churn", "at_risk_365d", "reasons") and np.isnan(a.churn[p]):
        return {"why": "not_active", "needs": "recent orders"}
    return {"why": "not_applicable", "needs": None}


def warnings(a: Answers, p: int, foresees: bool, lang: Language) -> list[str]:
    """Say in a sentence each what to mind in an answer.

    ``foresees`` tells whether the season to come was learnt from.
    """
    notes = []
    if a.status[p] != "unknown_customer":
        if a.decisions.control[p] or a.decisions.choice.withheld[p]:
            notes.append(say(CONTROL_NOTE, lang))
        if "consents" not in a.decisions.case.around.tables:
            notes.append(say(CONSENT_NOTE, lang))
        if a.status[p] == "stale_features":
            notes.append(say(STALE_NOTE, lang))
        if a.scored[p] and not foresees:
            notes.append(say(SEASON_NOTE, lang))
        if a.bot[p]:
            notes.append(say(BOT_NOTE, lang))
        if a.late_tables:
            notes.append(say(LATE_NOTE, lang, tables=", ".join(a.late_tables)))
    return notes
