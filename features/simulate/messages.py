"""The export's tables of messages: campaign contacts, what came of them, and the consents they stand on."""

from datetime import timedelta

import numpy as np
import pyarrow as pa

from features.simulate.catalogue import CHANNEL_COST, CHANNELS, CODED, EMAIL, OFFERS
from features.simulate.people import NEVER
from features.simulate.span import DAY
from features.simulate.world import Columns, Tables, World, pick

SENT_AT = 11 * 3600  # of the day
OPENS = (0.25, 0.55)  # by channel
CLICKS_ALONE, CLICKS_BEFORE_ORDER = 0.04, 0.8
AGREES = {"personalise": 0.97, "train": 0.95}
WITHDRAWS = 0.02  # of who agreed to one of these


def messages(world: World, rng: np.random.Generator) -> Tables:
    """Write contacts, responses and consents."""
    return {
        "contacts": _contacts(world),
        "responses": _responses(world, rng),
        "consents": _consents(world, rng),
    }


def _campaigns(world: World) -> pa.Array:
    """Name each contact's campaign by its day: winback-20260515."""
    days, which = np.unique(world.history.contacts.day, return_inverse=True)
    named = [f"winback-{world.span.first + timedelta(int(day)):%Y%m%d}" for day in days]
    return pick(named, which)


def _contacts(world: World) -> Columns:
    """One row per customer of a campaign; the control arm's are withheld."""
    c = world.history.contacts
    cost = np.where(c.arm > 0, np.array(list(CHANNEL_COST.values()))[c.channel], 0.0)
    return {
        "配信番号": world.contact_ids,
        "顧客番号": world.customer(c.who),
        "施策番号": _campaigns(world),
        "シナリオ": pa.repeat(pa.scalar("win_back"), len(c.who)),
        "特典": pick(list(OFFERS), c.arm - 1, c.arm > 0),
        "媒体コード": pick(list(CHANNELS), c.channel),
        "配信日時": world.instants(c.day * DAY + SENT_AT),
        "費用": pa.array(cost),
        "対照群": pa.array(c.arm == 0),
    }


def _responses(world: World, rng: np.random.Generator) -> Columns:
    """One row per reaction to a message that was sent."""
    c, sales = world.history.contacts, world.sales
    sent, sent_at = np.flatnonzero(c.arm > 0), c.day * DAY + SENT_AT
    bought = np.full(len(c.who), -1)  # the order a contact led to
    answered = np.flatnonzero(sales.contact >= 0)
    bought[sales.contact[answered]] = answered
    clicks = rng.random(len(sent)) < np.where(bought[sent] >= 0, CLICKS_BEFORE_ORDER, CLICKS_ALONE)
    opens = clicks | c.left[sent] | (rng.random(len(sent)) < np.array(OPENS)[c.channel[sent]])
    opened_at = sent_at[sent] + rng.integers(120, 10 * 3600, len(sent))
    coded = [list(OFFERS).index(name) + 1 for name in CODED]
    redeems = np.flatnonzero((bought >= 0) & np.isin(c.arm, coded))
    redeems = redeems[~sales.is_cancelled[bought[redeems]]]
    left = np.flatnonzero(c.left[sent])
    leaves = np.where(c.channel[sent[left]] == EMAIL, 3, 4)
    contact = np.concatenate([sent, sent[opens], sent[clicks], sent[left], redeems])
    kind = np.concatenate([np.repeat([0, 1, 2], [len(sent), opens.sum(), clicks.sum()]), leaves, redeems * 0 + 5])
    at = [sent_at[sent] + 60, opened_at[opens], opened_at[clicks] + 30, opened_at[left] + 45, sales.at[bought[redeems]]]
    order = np.concatenate([np.full(len(contact) - len(redeems), -1), bought[redeems]])
    return {
        "配信番号": world.contact_ids.take(pa.array(contact)),
        "施策番号": _campaigns(world).take(pa.array(contact)),
        "顧客番号": world.customer(c.who[contact]),
        "反応": pick(["到達", "開封", "クリック", "配信停止", "ブロック", "利用"], kind),
        "反応日時": world.instants(np.concatenate(at)),
        "受注番号": world.order(np.maximum(order, 0), order >= 0) if len(sales) else pa.nulls(len(order), pa.string()),
        "金額税込": pa.array(world.total[np.maximum(order, 0)] if len(sales) else order, mask=order < 0),
    }


def _consents(world: World, rng: np.random.Generator) -> Columns:
    """One row per word given: at signing up for both channels and both uses, and later where it was withdrawn."""
    people, reach, end = world.people, world.history.reach, world.span.end
    n, everyone = len(people), np.arange(len(people))
    granted = [reach[:, channel] >= 0 for channel in range(len(CHANNELS))]
    granted += [rng.random(n) < share for share in AGREES.values()]
    withdrawn_at = [np.where(until >= 0, (until - 1) * DAY + SENT_AT + 11 * 3600, NEVER * DAY) for until in reach.T]
    for _ in AGREES:
        later = (people.signed_up + 120 + rng.random(n) * (end - people.signed_up)).astype(np.int64)
        withdrawn_at.append(np.where(rng.random(n) < WITHDRAWS, later, NEVER * DAY))
    who, what, says, at = [], [], [], []
    for number, (yes, until) in enumerate(zip(granted, withdrawn_at, strict=True)):
        gone = np.flatnonzero(yes & (until < end))
        who += [everyone, gone]
        what.append(np.full(n + len(gone), number))
        says += [yes, np.zeros(len(gone), bool)]
        at += [people.signed_up + 60, until[gone]]
    use = np.concatenate(what)
    return {
        "顧客番号": world.customer(np.concatenate(who)),
        "媒体コード": pick([*CHANNELS, "all", "all"], use),
        "目的": pick(["販促", "販促", "個別化", "学習"], use),
        "同意": pa.array(np.concatenate(says)),
        "同意日時": world.instants(np.concatenate(at)),
    }
