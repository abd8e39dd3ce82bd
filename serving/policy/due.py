"""Which scenarios are due for whom: the anchor's window meets what is left of the day, and it is about such people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.policy.columns import ANCHOR, CUSTOMER
from serving.policy.filters import Filter, matches, names, parse
from serving.policy.moment import Moment
from serving.policy.rules import PURPOSES, Policy, Scenario
from serving.policy.situation import Events, Flags, Matrix, Places, Situation, nth_newest

Facts = Mapping[str, NDArray[Any]]  # what is said of each customer, by the names of customer_scores

WHO = CUSTOMER | ANCHOR


@dataclass(frozen=True)
class Due:
    """Scenarios that are due, a row each, by customer and then as the policy ranks them."""

    customer: Places
    scenario: Places  # into policy.scenarios
    opens: Matrix  # the window of the anchor, seconds since the epoch; at any time without an anchor
    closes: Matrix
    anchor_at: Matrix  # NaN without an anchor
    delivered_at: Matrix  # of the order it is about; NaN while it is under way, or where it is about none
    is_about_order: Flags
    tags: NDArray[np.object_]  # of the products it is about, joined by `|`; None where it is about none
    is_reminder: Flags  # that an offer given before lies unused


def ranks(policy: Policy) -> NDArray[np.int64]:
    """Number the scenarios by purpose, then priority: lower goes first, equal ones compete."""
    keys = [(PURPOSES.index(s.purpose), s.priority) for s in policy.scenarios]
    order = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.array([order[key] for key in keys], np.int64)


def who_of(scenario: Scenario, path: str = "who") -> Filter:
    """Read to whom a scenario goes.

    Raises
    ------
    BadFilter
        Naming each wrong word and the nearest valid one.
    """
    return parse(scenario.who, WHO, path)


def due(policy: Policy, facts: Facts, around: Situation, moment: Moment) -> Due:
    """Find what is due between ``moment.at`` and the end of its business day.

    A scenario with an anchor is due once for each time its anchor comes; ``stop_on: order`` ends it with the next
    order, an open ticket postpones it by ``after_ticket_closed`` from its close.
    """
    found = [_due(policy, place, facts, around, moment) for place in range(len(policy.scenarios))]
    found.append(_nobody())
    whole = {name: np.concatenate([vars(one)[name] for one in found]) for name in Due.__dataclass_fields__}
    rank = ranks(policy)[whole["scenario"]] if len(whole["scenario"]) else whole["scenario"]
    order = np.lexsort((whole["scenario"], rank, whole["customer"]))
    return Due(**{name: values[order] for name, values in whole.items()})


def _nobody() -> Due:
    places, times, flags = np.empty(0, np.intp), np.empty(0), np.empty(0, np.bool_)
    return Due(places, places, times, times, times, times, flags, np.empty(0, object), flags)


def _due(policy: Policy, place: int, facts: Facts, around: Situation, moment: Moment) -> Due:
    scenario = policy.scenarios[place]
    find = _due_any_day if scenario.anchor is None else _due_at_anchors
    found = find(scenario, place, facts, around, moment)
    return found if scenario.remind_unused is None else _with_reminders(found, policy, place, around, moment)


def _due_any_day(scenario: Scenario, place: int, facts: Facts, around: Situation, moment: Moment) -> Due:
    sent, ordered = _newest_of(around, scenario.id), _last_order(around)
    over = {"order": sent >= np.nan_to_num(ordered, nan=-np.inf), "customer": ~np.isnan(sent)}
    meant = _meant(scenario, facts, None, around, moment)
    who = np.flatnonzero(meant & ~over[scenario.once_per] if scenario.once_per else meant)
    n = len(who)
    nan, no = np.full(n, np.nan), np.zeros(n, np.bool_)
    whole_day = np.full(n, moment.start), np.full(n, moment.end)
    return Due(who, np.full(n, place), *whole_day, nan, nan, no, np.full(n, None, object), no)


def _due_at_anchors(scenario: Scenario, place: int, facts: Facts, around: Situation, moment: Moment) -> Due:
    rows = around.occasions.where(around.occasions["event"] == scenario.anchor)
    opens, closes = _window(scenario, rows, around)
    here = np.maximum(opens, moment.at) < np.minimum(closes, moment.end)
    here &= ~_is_over(scenario, rows, around)
    rows, opens, closes = rows.where(here), opens[here], closes[here]
    meant = _meant(scenario, facts, rows, around, moment)
    first = _first_to_close(rows.customer, closes, meant)
    rows = rows.where(first)
    about_order = np.array([order is not None for order in rows["order_id"]], np.bool_)
    n = len(rows)
    return Due(
        rows.customer, np.full(n, place), opens[first], closes[first], _floats(rows, "at"),
        _floats(rows, "delivered_at"), about_order, np.asarray(rows["tags"], object), np.zeros(n, np.bool_),
    )  # fmt: skip


def _floats(rows: Events, name: str) -> Matrix:
    return np.asarray(rows[name], np.float64)


def _window(scenario: Scenario, rows: Events, around: Situation) -> tuple[Matrix, Matrix]:
    """Give when a scenario's window opens and closes at each anchor, later where a ticket was closed meanwhile."""
    assert scenario.window is not None
    at = _floats(rows, "at")
    opens, closes = at + scenario.window[0], at + scenario.window[1]
    closed = around.standing.get("last_ticket_closed_at")
    if scenario.after_ticket_closed is None or closed is None:
        return opens, closes
    again = closed[rows.customer] + scenario.after_ticket_closed
    postponed = np.nan_to_num(again, nan=-np.inf) > opens
    length = scenario.window[1] - scenario.window[0]
    return np.where(postponed, again, opens), np.where(postponed, np.maximum(closes, again + length), closes)


def _is_over(scenario: Scenario, rows: Events, around: Situation) -> Flags:
    """Tell where a scenario has done its work already, or an order has ended it."""
    assert scenario.window is not None
    at = _floats(rows, "at")
    once = {"order": at, "customer": np.full(len(rows), -np.inf)}
    over: Flags = _newest_of(around, scenario.id)[rows.customer] >= once.get(
        scenario.once_per or "", at + scenario.window[0]
    )
    if scenario.stop_on == "order":
        over = over | (_last_order(around)[rows.customer] > _placed_at(rows, around))
    return over


def _placed_at(rows: Events, around: Situation) -> Matrix:
    """Give when the order that each anchor is about was placed; the anchor's own time where nobody knows."""
    orders = around.occasions.where(around.occasions["event"] == "order.placed")
    placed = dict(zip(orders["order_id"].tolist(), orders["at"].tolist(), strict=True))
    own = zip(rows["order_id"].tolist(), rows["at"].tolist(), strict=True)
    return np.array([placed.get(order, at) for order, at in own], np.float64)


def _newest_of(around: Situation, scenario_id: str) -> Matrix:
    """Give when each customer was last sent something by a scenario."""
    sent = around.sent
    return nth_newest(sent, np.asarray(sent["scenario"] == scenario_id, np.bool_), 1, around.n)


def _last_order(around: Situation) -> Matrix:
    return around.standing.get("last_order_at", np.full(around.n, np.nan))


def _meant(scenario: Scenario, facts: Facts, rows: Events | None, around: Situation, moment: Moment) -> Flags:
    """Tell which rows (customers, where there is no anchor) a scenario is about."""
    who = who_of(scenario)
    place = slice(None) if rows is None else rows.customer
    columns = {name: facts[name][place] for name in names(who) if name in facts}
    columns["_"] = np.zeros(around.n if rows is None else len(rows))  # so that there is a column to count rows by
    if rows is not None:
        columns |= _anchor_facts(rows, around, moment)
    return matches(who, columns, moment.day)


def _anchor_facts(rows: Events, around: Situation, moment: Moment) -> dict[str, NDArray[Any]]:
    """Give what may be asked of an anchor beside what is known of the customer."""
    tags = [None if cell is None else [tag for tag in str(cell).split("|") if tag] for cell in rows["tags"]]
    tagged = np.empty(len(rows), object)
    tagged[:] = tags
    return {
        "delivered": _floats(rows, "delivered_at") <= moment.at,
        "csat": _floats(rows, "score"),
        "open_ticket": np.asarray(rows["open_ticket"], np.bool_),
        "tag": tagged,
        "order_after_due": _last_order(around)[rows.customer] >= _floats(rows, "at"),
    }


def _first_to_close(customer: Places, closes: Matrix, meant: Flags) -> Places:
    """Keep one anchor a customer: the one whose window closes first."""
    rows = np.flatnonzero(meant)
    order = rows[np.lexsort((closes[rows], customer[rows]))]
    return order[np.r_[True, customer[order][1:] != customer[order][:-1]]] if len(order) else order


def _with_reminders(found: Due, policy: Policy, place: int, around: Situation, moment: Moment) -> Due:
    """Add who was given this scenario's offer, has not used it, and will lose it soon; each is reminded once."""
    scenario, sent = policy.scenarios[place], around.sent
    assert scenario.remind_unused is not None
    expires = np.array([_expiry(policy, offer) for offer in sent["offer_id"]], np.float64)
    at = _floats(sent, "at")
    mine = np.asarray(sent["scenario"] == scenario.id, np.bool_)
    ends = at + expires
    soon = mine & np.isnan(_floats(sent, "redeemed_at")) & (ends - scenario.remind_unused < moment.end)
    soon &= ends > moment.at
    last = _newest_of(around, scenario.id)
    rows = np.flatnonzero(soon & (at == last[sent.customer]))
    rows = rows[~np.isin(sent.customer[rows], found.customer)]
    n, nan = len(rows), np.full(len(rows), np.nan)
    extra = Due(
        sent.customer[rows], np.full(n, place), ends[rows] - scenario.remind_unused, ends[rows], at[rows], nan,
        np.zeros(n, np.bool_), np.full(n, None, object), np.ones(n, np.bool_),
    )  # fmt: skip
    return Due(**{name: np.concatenate([vars(found)[name], vars(extra)[name]]) for name in vars(found)})


def _expiry(policy: Policy, offer: object) -> float:
    """Give how long an offer is good for, NaN where it is none of the policy's or has no end."""
    known = policy.offers.get(str(offer))
    return np.nan if known is None or known.expires is None else float(known.expires)
