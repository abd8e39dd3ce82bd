"""Answers as the reply's results: every key there, every null explained in `missing`."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np

from features.calendar import BusinessCalendar
from serving.answers import Answers
from serving.items import likely_categories
from serving.missing import LOYALTY, missing, warnings
from serving.policy.candidates import EVIDENCE
from serving.policy.decisions import Decisions
from serving.policy.guards import CODES, FAIL, NOT_CHECKED, STATES
from serving.policy.rules import Offer, Policy
from serving.reasons import Reason, reasons
from serving.recording import decision_id
from serving.words import GUARDS as GUARD_WORDS
from serving.words import ITEM_REASONS, Language, say
from serving.words import NOT_CHECKED as NOT_CHECKED_WORDS
from training.models.next_purchase import HORIZONS
from training.release import Release
from training.season import season_of

BLOCKS = (
    "churn", "second_order", "next_order", "replenishment", "clv", "at_risk_365d", "promo_share", "subscription",
    "recommendations", "action", "candidates", "send", "guards", "experiment", "reasons",
)  # fmt: skip
LISTS = ("replenishment", "recommendations", "candidates", "guards", "reasons")
ACTION = (
    "scenario", "kind", "incentive", "offer_id", "coupon_code", "channel", "topic", "template", "cost", "expires_at",
    "origin",
)  # fmt: skip
OWN_CATEGORY = "last_order_category"  # a topic of the policy that is each customer's own
REASONS_SHOWN = {"brief": 3, "full": 5}


@dataclass(frozen=True)
class Asked:
    """How results are wanted; the defaults are those of the contract."""

    explain: str = "none"
    lang: Language = "en"
    n_items: int = 10
    include: tuple[str, ...] = BLOCKS
    campaign_id: str | None = None


@dataclass(frozen=True)
class Around:
    """What surrounds the answers: the calendar, the night's lists, and which night they are of."""

    calendar: BusinessCalendar
    policy: Policy
    release: Release
    items: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)  # by customer, ranked
    due: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    popular: Sequence[Mapping[str, Any]] = ()  # for a customer the night did not know
    hidden: frozenset[str] = frozenset()  # products not to be shown
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)  # a merged person's other ids
    members: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)  # what the shop's list says
    listed: frozenset[str] = frozenset()  # the facts that list has a column for

    def foresees(self, day: int) -> bool:
        """Tell whether the release has learnt from the season to come; of one that does not say, none is denied."""
        found = season_of(self.release.facts, day, self.release.models.horizon_days, self.calendar, "en")
        return found is None or bool(found["seen"])


def results(answered: Answers, around: Around, asked: Asked) -> list[dict[str, Any]]:
    """Write one result per customer, in the order of ``answered``."""
    n = len(answered.customer_id)
    wanted = "reasons" in asked.include and asked.explain != "none"
    most = REASONS_SHOWN.get(asked.explain, 0)
    told: list[list[Reason]] = [[] for _ in range(n)]
    if wanted:
        told = reasons(answered, around.release, range(n), most, asked.lang, around.due, around.calendar)
    is_foreseen = around.foresees(answered.day)
    return [_result(answered, p, around, asked, is_foreseen, [vars(reason) for reason in told[p]]) for p in range(n)]


def _result(
    a: Answers, p: int, around: Around, asked: Asked, is_foreseen: bool, told: list[dict[str, Any]]
) -> dict[str, Any]:
    customer = str(a.customer_id[p])
    blocks: dict[str, Any] = {
        "churn": _churn(a, p, around.release),
        "second_order": _second_order(a, p),
        "next_order": _next_order(a, p, around),
        "replenishment": [_due(row, around.calendar) for row in around.due.get(customer, ())] if a.scored[p] else [],
        "clv": _clv(a, p),
        "at_risk_365d": _number(a.at_risk[p]),
        "promo_share": _number(a.promo_share[p]),
        "subscription": _subscription(a, p, around.calendar),
        "recommendations": _items(a, p, around, asked) if a.status[p] != "opted_out" else [],
        "action": _action(a, p, around),
        "candidates": _candidates(a, p, asked.explain),
        "send": _send(a, p),
        "guards": _guards(a, p, asked),
        "experiment": _experiment(a, p),
        "reasons": told,
    }
    if a.status[p] == "unknown_customer":
        blocks |= {"action": None, "candidates": [], "send": None, "guards": [], "experiment": None}
    about = _about(a, p, around, asked)
    lacking = missing(a, p, about, blocks, around.listed, asked.include, asked.explain)
    blocks = {name: value if name in asked.include else [] if name in LISTS else None for name, value in blocks.items()}
    return about | blocks | {"missing": lacking, "warnings": warnings(a, p, is_foreseen, asked.lang)}


def _about(a: Answers, p: int, around: Around, asked: Asked) -> dict[str, Any]:
    """Write what stands before the blocks: who, how sure, as of when, and the stage of life."""
    calendar, known = around.calendar, a.status[p] != "unknown_customer"
    day = int(a.feature_day[p])
    customer = str(a.customer_id[p])
    method = around.release.models.method if a.scored[p] else "prior"
    date = calendar.date(a.day).isoformat()
    return {
        "customer_id": customer,
        "merged_from": list(around.others.get(customer, ())),
        "decision_id": decision_id(customer, asked.campaign_id, date, around.policy.hash) if known else None,
        "status": a.status[p],
        "served_from": "live" if a.scored[p] else "prior",
        "basis": {"method": method, "n": around.release.models.n} if known else None,
        "as_of": _instant(calendar.start(a.day)),
        "valid_until": _instant(calendar.start(a.day + 1)),
        "features": {
            "as_of": _instant(calendar.start(day)),
            "oldest_view_age_hours": _hours(calendar.start(a.day) - calendar.start(day)),
            "late_tables": list(a.late_tables),
        }
        if known
        else None,
        "order_count": None if np.isnan(a.order_count[p]) else int(a.order_count[p]),
        "f_stage": a.f_stage[p],
        "lifecycle": a.lifecycle[p],
        **dict.fromkeys(LOYALTY),
        **(_member(around.members.get(customer, ())) if known else {}),
    }


def _member(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Write what the shop's own list says of a customer; None where it does not."""
    told = {name: value for row in rows for name, value in row.items() if value is not None and value == value}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in told.items()}


def _subscription(a: Answers, p: int, calendar: BusinessCalendar) -> dict[str, Any] | None:
    """Say whether a subscription runs, and when it next sends; None where the shop has no such table."""
    if a.status[p] == "unknown_customer" or "subscriptions_active" not in a.features:
        return None
    ships = a.features["next_ship_day"][p]
    due = None if np.isnan(ships) or ships < a.day else calendar.date(int(ships)).isoformat()
    return {"active": bool(a.features["subscriptions_active"][p] > 0), "next_ship_on": due}


def _churn(a: Answers, p: int, release: Release) -> dict[str, Any] | None:
    if np.isnan(a.churn[p]):
        return None
    return {
        "probability": float(a.churn[p]),
        "horizon_days": release.models.horizon_days,
        "band": a.band[p],
        "percentile": float(a.percentile[p]),
        "change_7d": None,
        "silence_ratio": _number(a.silence_ratio[p]),
    }


def _second_order(a: Answers, p: int) -> dict[str, float] | None:
    if a.f_stage[p] != "F1" or not a.scored[p]:
        return None
    return {f"p_{h}d": float(a.next_order[p, HORIZONS.index(h)]) for h in (30, 60, 90)}


def _next_order(a: Answers, p: int, around: Around) -> dict[str, Any] | None:
    if not a.scored[p]:
        return None
    calendar = around.calendar

    def on(days: float) -> str | None:
        return None if np.isnan(days) else calendar.date(a.day + int(np.ceil(days)) - 1).isoformat()

    return {
        **{f"p_{h}d": float(a.next_order[p, index]) for index, h in enumerate(HORIZONS)},
        **dict(zip(("earliest_on", "expected_on", "latest_on"), map(on, a.next_days[p]), strict=True)),
        "overdue_days": _number(a.overdue_days[p]),
        "categories": likely_categories(around.items.get(str(a.customer_id[p]), ())),
    }


def _due(row: Mapping[str, Any], calendar: BusinessCalendar) -> dict[str, Any]:
    return {
        "product_id": row["product_id"],
        "due_on": calendar.date(int(row["due_day"])).isoformat(),
        "window_days": float(row["window_days"]),
        "basis": row["basis"],
    }


def _clv(a: Answers, p: int) -> dict[str, Any] | None:
    if not a.scored[p]:
        return None
    short, year, low, high = (_number(value) for value in a.clv[p])
    return {
        "predicted_90d": short,
        "predicted_365d": year,
        "low_365d": low,
        "high_365d": high,
        "historic": _number(a.historic[p]),
        "grade": int(a.grade[p]),
        "basis": "revenue",
    }


def _items(a: Answers, p: int, around: Around, asked: Asked) -> list[dict[str, Any]]:
    ranked = around.items.get(str(a.customer_id[p])) or around.popular
    return items_shown(ranked, around.hidden, asked.n_items, asked.lang)


def items_shown(
    ranked: Sequence[Mapping[str, Any]], hidden: Container[str], most: int, lang: Language
) -> list[dict[str, Any]]:
    """Show the first of a ranked list of products, without the hidden ones, in words a customer may see."""
    shown = [row for row in ranked if row["product_id"] not in hidden]
    return [
        {
            "rank": rank,
            "product_id": row["product_id"],
            "score": float(row["score"]),
            "source": row["source"],
            "reason": {"code": _why(row), "text": say(ITEM_REASONS[_why(row)], lang)},
            "repurchase": bool(row["repurchase"]),
        }
        for rank, row in enumerate(shown[:most], start=1)
    ]


def _why(row: Mapping[str, Any]) -> str:
    """Give the code of the sentence beside a product; nights before it was kept say the source."""
    return str(row.get("reason") or row["source"])


def _action(a: Answers, p: int, around: Around) -> dict[str, Any]:
    """Say what the customer gets; ``none`` is a real answer."""
    d = a.decisions
    row = int(d.choice.chosen[p])
    if row < 0:
        return dict.fromkeys(ACTION) | {
            "scenario": "none",
            "kind": "none",
            "incentive": "none",
            "cost": 0.0,
            "origin": _origin(a, p),
        }
    c, option = d.candidates, d.candidates.options[d.candidates.option[row]]
    offer = around.policy.offers.get(option.offer or "")
    expires = None if offer is None or offer.expires is None else _at(c.opens[row] + offer.expires)
    return {
        "scenario": option.scenario,
        "kind": option.kind,
        "incentive": option.incentive,
        "offer_id": option.offer,
        "coupon_code": offer.code if offer is not None and isinstance(offer.code, str) else None,
        "channel": c.channels[c.channel[row]],
        "topic": _topic(offer, a, p),
        "template": offer.template if offer is not None else None,
        "cost": float(c.cost[row]),
        "expires_at": expires,
        "origin": _origin(a, p),
    }


def _origin(a: Answers, p: int) -> str:
    """Tell whether the night has settled this, or it was decided now."""
    return "night" if a.decisions.is_settled[p] else "live"


def _topic(offer: Offer | None, a: Answers, p: int) -> str | None:
    """Give what content is about: a category where the policy names the customer's own, else its word."""
    if offer is None or offer.topic != OWN_CATEGORY:
        return None if offer is None else offer.topic
    category = a.facts.get("category")
    return None if category is None else category[p]


def _candidates(a: Answers, p: int, explain: str) -> list[dict[str, Any]]:
    """List what was chosen or held back, and doing nothing; with ``full``, every candidate, best first."""
    d = a.decisions
    c, shown = d.candidates, int(d.choice.shown[p])
    first, last = np.searchsorted(c.customer, [p, p + 1])
    rows = [shown] if shown >= 0 else []
    if explain == "full":
        others = [row for row in range(first, last) if row != shown]
        rows += sorted(others, key=lambda row: (int(c.rank[row]), -np.nan_to_num(c.net_value[row], nan=-np.inf), row))
    elif not rows and last > first and not np.isnan(c.net_value[first:last]).all():
        rows = [first + int(np.nanargmax(c.net_value[first:last]))]
    return [_candidate(d, row) for row in rows] + ([_nothing(a, p)] if a.scored[p] else [])


def _candidate(d: Decisions, row: int) -> dict[str, Any]:
    c = d.candidates
    option = c.options[c.option[row]]
    without, with_it = _number(c.p_without[row]), _number(c.p_with[row])
    return {
        "scenario": option.scenario,
        "incentive": option.incentive,
        "offer_id": option.offer,
        "channel": c.channels[c.channel[row]],
        "p_order_without": without,
        "p_order_with": with_it,
        "uplift": None if without is None or with_it is None else with_it - without,
        "window_days": int(c.window_days[row]),
        "margin_per_order": _number(c.margin[row]),
        "cost": float(c.cost[row]),
        "net_value": _number(c.net_value[row]),
        "low": _number(c.low[row]),
        "high": _number(c.high[row]),
        "evidence": EVIDENCE[c.evidence[row]],
    }


def _nothing(a: Answers, p: int) -> dict[str, Any]:
    """Write doing nothing as a candidate: it costs nothing and brings what comes anyway."""
    worth = a.decisions.worth
    chance = _number(worth.p_without[p])
    return {
        "scenario": "none", "incentive": "none", "offer_id": None, "channel": None,
        "p_order_without": chance, "p_order_with": chance, "uplift": 0.0, "window_days": a.decisions.policy.window_days,
        "margin_per_order": _number(worth.margin[p]), "cost": 0.0, "net_value": 0.0, "low": 0.0, "high": 0.0,
        "evidence": "assumed",
    }  # fmt: skip


def _send(a: Answers, p: int) -> dict[str, Any]:
    """Say whether the chosen action may go out, and when: while its channel may speak and its window is open."""
    d = a.decisions
    row = int(d.choice.chosen[p])
    return {
        "allowed": row >= 0,
        "from": _at(d.candidates.opens[row]) if row >= 0 else None,
        "until": _at(d.candidates.closes[row]) if row >= 0 else None,
        "best_hour": None,
        "best_hour_basis": None,
        "channels": [name for name, who in d.reached.items() if who[p]],
        "cap_left": {name: int(left[p]) for name, left in d.cap_left.items()},
    }


def _guards(a: Answers, p: int, asked: Asked) -> list[dict[str, Any]]:
    """List the guards that fail or were not checked; with ``full``, all of them."""
    d, out = a.decisions, []
    states = d.guards[p]
    for column, code in enumerate(CODES):
        state = int(states[column])
        if state in (FAIL, NOT_CHECKED) or asked.explain == "full":
            words = NOT_CHECKED_WORDS if state == NOT_CHECKED else GUARD_WORDS[code]
            clears = d.clears[p, column]
            out.append(
                {
                    "code": code,
                    "state": STATES[state],
                    "detail": say(words, asked.lang) if state else None,
                    "clears_at": _at(clears) if state == FAIL and not np.isnan(clears) else None,
                }
            )
    return out


def _experiment(a: Answers, p: int) -> dict[str, str]:
    """Name the arm: withheld from everything, or from the campaign whose message was due."""
    d = a.decisions
    held = bool(d.control[p] or d.choice.withheld[p])
    group = "campaign" if d.choice.withheld[p] and not d.control[p] else "global"
    return {"arm": "control" if held else "treatment", "group": group}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(float(seconds), UTC).isoformat()


def _instant(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat()


def _hours(span: timedelta) -> float:
    return span.total_seconds() / 3600
