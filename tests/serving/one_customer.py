"""One customer and a policy with one scenario, decided on the night of 2026-11-25 in Tokyo.

Every instant is in hours from the start of that night.
"""

import copy
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import yaml

from features.calendar import BusinessCalendar, day_number
from serving.policy.candidates import Worth
from serving.policy.decisions import Decisions, Purse, decide
from serving.policy.moment import Moment
from serving.policy.reading import parse_policy
from serving.policy.rules import Policy
from serving.policy.situation import situation
from tests.serving.months import TABLES, when

nan = float("nan")
Rules = dict[str, Any]
NIGHT = date(2026, 11, 25)
TOKYO = BusinessCalendar("Asia/Tokyo")
START = TOKYO.start(day_number(NIGHT)).timestamp()

POLICY = """
policy: 1
control: {global_share: 0.0, salt: x}
churn_bands: {watch: 0.2, high: 0.4, critical: 0.6}
channels:
  email: {quiet: "21:00-08:00", cap: {7d: 2, 30d: 3}}
  line: {quiet: "21:00-09:00"}
  phone: {hours: "10:00-18:00"}
  insert: {}
pressure:
  selling: {7d: 2}
  survey: {90d: 1, per: kind}
  content_share: {min: 0.4, over: 30d}
  would_buy_anyway: {p_order_without: 0.6}
calendar:
  - {name: sale, from: 2026-12-01, until: 2026-12-03, no_coupon_before: 7d}
  - {name: days off, from: 2026-11-24, until: 2026-11-26, block: [phone]}
  - {name: more days off, from: 2026-11-27, until: 2026-11-27, block: [phone]}
tiers: {window: 365d, levels: [{id: basic}, {id: gold, from: 9, perks: [ship, advice]}]}
offers:
  tips: {type: content}
  pts: {type: points, value: 100, expires: 30d}
  ship: {type: free_shipping, value: 300}
  cpn: {type: coupon, percent: 10, min_spend: 1000, margin_floor: 0.2, cooldown: 20d}
  old: {type: coupon, value: 500, expires: 5d}
  toy: {type: gift, value: 180, max_share_of_order: 0.15}
  advice: {type: experience}
scenarios: []
"""
WIN: Rules = {"id": "win", "kind": "win_back", "purpose": "marketing", "priority": 1, "channels": ["email"]}
ASK: Rules = {
    "id": "ask", "kind": "arrival_survey", "purpose": "survey", "priority": 1, "channels": ["email"],
    "after": "shipment.delivered_at", "window": ["48h", "72h"],
}  # fmt: skip
REVIEW: Rules = ASK | {
    "id": "review", "kind": "review_request", "window": ["14d", "30d"], "offers": ["pts"],
    "same_reward_for_any_rating": True, "disclose": True,
}  # fmt: skip
REFILL: Rules = WIN | {"id": "refill", "kind": "replenishment"}
SORRY: Rules = WIN | {"id": "sorry", "kind": "make_it_right", "purpose": "service"}
FACTS = {
    "order_count": 1.0, "days_since_last_order": 10.0, "mean_order_day_revenue": 5000.0, "subscriptions_active": 0.0,
    "consent_personalise": 1.0, **{f"consent_marketing_{name}": 1.0 for name in ("email", "line", "phone")},
}  # fmt: skip
STANDING = {
    "last_order_at": -240.0, "last_order_delivered_at": -200.0, "tickets_open": 0.0, "last_ticket_closed_at": nan,
    "returns_open": 0.0, "is_line_friend": 1.0, "left_email_at": nan, "left_line_at": nan,
}  # fmt: skip


OF_TABLE = {"feedback": ("tickets", "returns", "last_ticket"), "customers": ("is_line_friend",)}


def rules_of(scenario: Rules, **blocks: Any) -> Policy:
    """Make the policy with one scenario; a block is laid over the one that is there."""
    rules = yaml.safe_load(POLICY)
    others = [WIN | {"id": "other"}, ASK | {"id": "asked"}]  # so that what was sent before has a purpose and a kind
    silent = [s | {"who": {"order_count": 99}} for s in others if s["id"] != scenario["id"]]
    rules["scenarios"] = [copy.deepcopy(scenario), *silent]
    for name, block in blocks.items():
        rules[name] = rules[name] | block if isinstance(rules.get(name), dict) and isinstance(block, dict) else block
    return parse_policy(yaml.safe_dump(rules, allow_unicode=True).encode(), "the policy")


def decided(
    policy: Policy,
    facts: Mapping[str, float] | None = None,
    standing: Mapping[str, float] | None = None,
    delivered: float | None = None,
    sent: Sequence[tuple[Any, ...]] = (),  # at, scenario, offer, channel, redeemed at
    tier: str = "basic",
    chance: float = 0.1,
    at: float = 0.0,
    without: Sequence[str] = (),
    late: Sequence[str] = (),
    customer: str = "c",
    currency: str = "JPY",
) -> Decisions:
    """Decide for one customer."""
    ids = np.array([customer], object)
    known, stands = FACTS | (facts or {}), STANDING | (standing or {})
    happened: Rules = {}
    if delivered is not None:
        came = START + delivered * 3600
        happened = {
            "customer_id": ids, "event": np.array(["shipment.delivered_at"], object), "at": np.array([came]),
            "order_id": np.array(["o"], object), "delivered_at": np.array([came]),
        }  # fmt: skip
    names = ("at", "scenario", "offer_id", "channel", "redeemed_at")
    columns = list(zip(*(row + (nan,) * (5 - len(row)) for row in sent), strict=True)) or [()] * 5
    contacts = {
        name: START + np.array(values, float) * 3600
        if name.endswith("_at") or name == "at"
        else np.array(values, object)
        for name, values in zip(names, columns, strict=True)
    }
    contacts["customer_id"] = np.full(len(sent), customer, object)
    around = situation(
        ids, TABLES - set(without), happened,
        {name: np.array([START + x * 3600 if name.endswith("_at") else x]) for name, x in stands.items()
         if not any(name.startswith(OF_TABLE.get(table, ())) for table in without)}
        | {"customer_id": ids},
        contacts, {"customer_id": ids, "tier": np.array([tier], object)},
    )  # fmt: skip
    told = {
        name: np.array([x]) for name, x in known.items() if not (name.startswith("consent") and "consents" in without)
    }
    told["tier"] = np.array([tier], object)
    revenue = told["mean_order_day_revenue"]
    worth = Worth(np.array([chance]), revenue, revenue * Purse().margin_of(policy))
    instant = START + at * 3600
    day = TOKYO.day(when(instant))
    return decide(policy, told, around, worth, ids, Moment(TOKYO, day, day, instant), currency, Purse(), {}, late)
