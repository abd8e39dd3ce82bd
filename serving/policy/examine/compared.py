"""What another policy would do to tonight's list: who gets something else, and what it costs and brings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from serving.policy.examine import spoken
from serving.policy.examine.findings import Said, said
from serving.words import GUARDS, LANGUAGES, Language

GETS = ("scenario", "offer_id", "channel")
KEPT_MOVES = 12  # lines of moves for people; JSON has them all
NOTHING: Said = ("なし", "nothing")

TOTALS: Said = (
    "配信 {before:,}件→{after:,}件、費用 {cost_before}→{cost_after}、見込み純増利益 {net_before}→{net_after}",
    "Messages {before:,} -> {after:,}, cost {cost_before} -> {cost_after}, expected gain {net_before} -> {net_after}",
)
WHO: Said = (
    "内容が変わる顧客 {changed:,}人(新たに届く {gains:,}人、届かなくなる {loses:,}人、別の内容になる {others:,}人)",
    "{changed:,} customers get something else: {gains:,} newly, {loses:,} no longer, {others:,} another message",
)
SAME: Said = ("今夜の配信は変わりません", "Tonight's list stays as it is")
CHANNEL: Said = ("{channel}: {before:,}件→{after:,}件", "{channel}: {before:,} -> {after:,}")
MOVE: Said = ("{old} → {new}: {n:,}人", "{old} -> {new}: {n:,}")
GUARD: Said = ("届かなくなる理由 {guard}: {n:,}人", "No longer, because: {guard}: {n:,}")
NOT_WORTH: Said = ("送っても利益が見込めない", "not worth it")
NOT_DUE: Said = ("対象のシナリオがない", "nothing is due")


@dataclass(frozen=True)
class Totals:
    """What one list comes to: messages that go out, what they cost and should bring, and how many over each channel."""

    messages: int
    cost: float
    net_value: float
    channels: Mapping[str, int]


@dataclass(frozen=True)
class Comparison:
    """Two lists of one night side by side.

    ``moves``: from, to and how many customers, the largest first; ``None`` for nothing. ``blocked``: of those who get
    nothing any more, how many each guard keeps it from; ``not_worth_it`` and ``not_due`` count those no guard does.
    """

    before: Totals
    after: Totals
    gains: int
    loses: int
    others: int
    moves: tuple[tuple[str | None, str | None, int], ...]
    blocked: Mapping[str, int]
    not_worth_it: int
    not_due: int

    @property
    def changed(self) -> int:
        return self.gains + self.loses + self.others

    def as_dict(self) -> dict[str, Any]:
        sides = {name: vars(getattr(self, name)) | {} for name in ("before", "after")}
        moves = [{"from": old, "to": new, "customers": n} for old, new, n in self.moves]
        counts = {name: getattr(self, name) for name in ("changed", "gains", "loses", "others")}
        rest = {"blocked": dict(self.blocked), "not_worth_it": self.not_worth_it, "not_due": self.not_due}
        return sides | counts | {"moves": moves} | rest


def compare(before: pd.DataFrame, after: pd.DataFrame) -> Comparison:
    """Compare two tables of allocations of the same customers and night, whatever the order of their rows.

    A customer gets something if ``state`` is ``send``: a scenario with an offer over a channel.

    Parameters
    ----------
    before, after
        ``customer_id`` (once each), ``scenario``, ``offer_id``, ``channel``, ``cost``, ``net_value``, ``state`` and
        ``guards_failed``, as in ``offer_allocations``.
    """
    both = _sent(before).merge(_sent(after), on="customer_id", how="outer", suffixes=("_old", "_new"))
    now = after[["customer_id", "state", "guards_failed"]].astype({"customer_id": object})
    both = both.merge(now, on="customer_id", how="left")
    old, new = (both[f"gets_{side}"].where(both[f"gets_{side}"].notna(), None) for side in ("old", "new"))
    had, has = old.notna().to_numpy(), new.notna().to_numpy()
    differs = (had != has) | (had & has & (old != new).to_numpy())
    moved = pd.DataFrame({"old": old, "new": new})[differs].astype(object)
    counts = moved.fillna("").groupby(["old", "new"]).size()
    moves = sorted(((o or None, n or None, int(c)) for (o, n), c in counts.items()), key=_largest_first)
    lost = both[had & ~has]
    codes = lost.guards_failed.fillna("").astype(str).str.split(",").explode()
    blocked = {str(k): int(v) for k, v in codes[codes != ""].value_counts().sort_index().items()}
    unguarded = lost.guards_failed.fillna("").astype(str) == ""
    return Comparison(
        _totals(before), _totals(after), int((~had & has).sum()), int((had & ~has).sum()),
        int((had & has & differs).sum()),
        tuple(moves), dict(sorted(blocked.items(), key=lambda one: (-one[1], one[0]))),
        int((unguarded & (lost.state == "not_worth_it")).sum()), int((unguarded & lost.state.isna()).sum()),
    )  # fmt: skip


def _largest_first(move: tuple[str | None, str | None, int]) -> tuple[int, str, str]:
    return -move[2], move[0] or "", move[1] or ""


def _sent(table: pd.DataFrame) -> pd.DataFrame:
    """Name what each customer gets: scenario, offer and channel."""
    sent = table[table.state == "send"]
    words = [sent[name].fillna("none").astype(str) for name in GETS]
    gets = words[0] + " / " + words[1] + " / " + words[2]
    return pd.DataFrame({"customer_id": sent.customer_id.astype(object), "gets": gets.astype(object)})


def _totals(table: pd.DataFrame) -> Totals:
    sent = table[table.state == "send"].sort_values("customer_id")
    channels = {str(name): int(n) for name, n in sent.channel.value_counts().sort_index().items()}
    cost, net = (float(np.nansum(sent[name].astype(float))) for name in ("cost", "net_value"))
    return Totals(len(sent), round(cost, 4), round(net, 4), channels)


def told(c: Comparison, lang: Language, currency: str | None = None) -> list[str]:
    """Say a comparison in plain words, a line each, the most important first."""
    place = LANGUAGES.index(lang)
    if not c.changed and c.before == c.after:
        return [SAME[place]]
    sums = {
        f"{name}_{side}": spoken.amount(round(getattr(totals, field)), currency)
        for side, totals in (("before", c.before), ("after", c.after))
        for name, field in (("cost", "cost"), ("net", "net_value"))
    }
    lines = [
        said(TOTALS, before=c.before.messages, after=c.after.messages, **sums),
        said(WHO, changed=c.changed, gains=c.gains, loses=c.loses, others=c.others),
    ]
    for name in sorted({*c.before.channels, *c.after.channels}):
        ends = c.before.channels.get(name, 0), c.after.channels.get(name, 0)
        if ends[0] != ends[1]:
            channel = spoken.CHANNELS.get(name, (name, name))
            lines.append(said(CHANNEL, channel=channel, before=ends[0], after=ends[1]))
    lines += [said(MOVE, old=o or NOTHING, new=n or NOTHING, n=count) for o, n, count in c.moves[:KEPT_MOVES]]
    reasons = [(GUARDS.get(code, (code, code)), n) for code, n in c.blocked.items()]
    reasons += [(NOT_WORTH, c.not_worth_it), (NOT_DUE, c.not_due)]
    lines += [said(GUARD, guard=guard, n=n) for guard, n in reasons if n]
    return [line[place] for line in lines]
