"""What the policy looks at beside features: gathered from the lake at night, kept with the night, read live from it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd

from features.contact_history import contact_history
from features.interactions import last_category
from features.members import ASKED, members
from features.occasions import occasions
from features.shop import Shop
from features.standing import standing
from features.tiers import spend_tiers
from serving.policy.decisions import Night
from serving.policy.rules import Policy
from serving.policy.situation import Situation, Sorted, Table, Words, columns_of, of_each, situation
from serving.policy.spans import DAY
from serving.publication import Publication
from serving.replenishment import ACTED_ON

DUE = "replenishment.due_on"
# Tables of a night that its live answers read again, by the name of the file.
KEPT = ("occasions", "standing", "contacts")
SETTLED = ("scenario", "offer_id", "channel", "state", "send_from")
NUMBERS = ("to_next_tier", "points")
MEMBER = (
    "tier", "to_next_tier", "tier_expires_on", "points", "points_expire_on", "membership", *ASKED, "category",
)  # fmt: skip


@dataclass(frozen=True)
class Surroundings:
    """Tables about customers, sorted by ``customer_id``: what happened, their standing, what was sent, who they are."""

    occasions: pd.DataFrame
    standing: pd.DataFrame
    contacts: pd.DataFrame
    members: pd.DataFrame  # with the columns of MEMBER

    def of(self, ids: Words, tables: Collection[str]) -> Situation:
        """Give what stands around customers."""
        found = (self.occasions, self.standing, self.contacts, self.members)
        return situation(ids, tables, *map(columns_of, found))

    @property
    def kept(self) -> dict[str, pd.DataFrame]:
        """Give the tables that are published beside the night's."""
        return {name: getattr(self, name) for name in KEPT}


def look_around(
    shop: Shop, day: int, policy: Policy, due: pd.DataFrame, bought: pd.DataFrame, facts: pd.DataFrame
) -> Surroundings:
    """Gather everything as known at the start of business day ``day``.

    ``due`` is what runs out, ``bought`` and ``facts`` are :func:`features.interactions.interactions` and
    :func:`features.products.products`.
    """
    happened = occasions(shop, day, policy.longest_look, policy.longest_look)
    runs_out = due[due.basis.isin(ACTED_ON)]
    starts = {d: shop.calendar.start(int(d)).timestamp() for d in runs_out.due_day.unique()}
    extra = pd.DataFrame(
        {
            "customer_id": runs_out.customer_id,
            "event": DUE,
            "at": runs_out.due_day.map(starts).astype(float),
            "product_id": runs_out.product_id,
        }
    )
    both = pd.concat([happened, extra.reindex(columns=happened.columns)], ignore_index=True) if len(extra) else happened
    both = both.assign(open_ticket=both.open_ticket.astype("boolean").fillna(False).astype(bool))
    both = both.sort_values(["customer_id", "event", "at", "order_id", "product_id"], ignore_index=True)
    return Surroundings(
        both, standing(shop, day), contact_history(shop, day), _members(shop, day, policy, bought, facts)
    )


def _members(shop: Shop, day: int, policy: Policy, bought: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """Give what is known of members: the shop's list, the policy's tiers in place of the list's, their category."""
    told = members(shop, day).merge(last_category(bought, facts), on="customer_id", how="outer")
    if policy.tiers is not None:
        levels = [(level.id, Decimal(str(level.from_))) for level in policy.tiers.levels]
        ranked = spend_tiers(shop, day, policy.tiers.window // DAY, levels, policy.tiers.review_on)
        told = told.drop(columns="tier").merge(ranked, on="customer_id", how="outer")
    for name in MEMBER:
        if name not in NUMBERS:
            column = told[name].astype(object) if name in told else pd.Series(None, told.index, object)
            told[name] = column.where(column.notna(), None)
        elif name not in told:
            told[name] = np.nan
    result: pd.DataFrame = told[["customer_id", *MEMBER]].sort_values("customer_id", ignore_index=True)
    return result


class Kept:
    """A published night's surroundings, cut for a few customers at a time."""

    def __init__(self, night: Publication, tables: Collection[str]) -> None:
        self._tables = frozenset(tables)
        self._found: Mapping[str, Sorted] = {name: Sorted(columns_of(night.table(name))) for name in KEPT}
        scores = night.table("customer_scores")
        self._members = Sorted(columns_of(scores[["customer_id", *MEMBER]]))

    def of(self, ids: Words, since: Table | None = None) -> Situation:
        """Give what stands around customers; ``since`` are contacts made after the night."""
        cut = {name: rows.of(np.unique(ids)) for name, rows in self._found.items()}
        contacts = cut["contacts"] if since is None else _with(cut["contacts"], since)
        return situation(
            ids, self._tables, cut["occasions"], cut["standing"], contacts, self._members.of(np.unique(ids))
        )


class Settled:
    """What a published night has settled for each customer it knew."""

    def __init__(self, night: Publication) -> None:
        known, given = night.table("customer_scores"), night.table("offer_allocations")
        table = known[["customer_id"]].merge(given, on="customer_id", how="left")
        self._rows = Sorted(columns_of(table[["customer_id", *SETTLED]]))

    def of(self, ids: Words, scenarios: Collection[str] | None = None) -> Night:
        """Give what was settled for some customers; of some scenarios alone, where these are named."""
        found = of_each(self._rows.of(np.unique(ids)), ids)
        is_known = np.isin(ids, self._rows.ids)
        if scenarios is not None:
            is_known &= np.isin(found["scenario"], list(scenarios)) & (found["state"] != "not_worth_it")
        is_sent = found["state"] == "send"
        is_shown = is_sent | (found["state"] == "withheld")
        return Night(is_known, found["scenario"], found["offer_id"], found["channel"], is_sent, is_shown)

    def planned(self, ids: Words, besides: Collection[str]) -> Table:
        """List as contacts what goes out tonight by other scenarios than some."""
        rows = self._rows.of(np.unique(ids))
        which = (rows["state"] == "send") & ~np.isin(rows["scenario"], list(besides))
        n = int(which.sum())
        return {
            "customer_id": rows["customer_id"][which], "at": rows["send_from"][which],
            **{name: rows[name][which] for name in ("scenario", "offer_id", "channel")},
            "withheld": np.zeros(n, np.bool_), "redeemed_at": np.full(n, np.nan),
            "decision_id": np.full(n, None, object),
        }  # fmt: skip


def joined(tables: Sequence[Table]) -> Table | None:
    """Put tables under one another, with the columns that all of them have; ``None`` where there are none."""
    if not tables:
        return None
    names = [name for name in tables[0] if all(name in table for table in tables)]
    return {name: np.concatenate([table[name] for table in tables]) for name in names}


def _with(before: Table, since: Table) -> Table:
    """Put later contacts behind earlier ones, still sorted by customer and time."""
    both = joined([before, since])
    assert both is not None
    order = np.lexsort((both["at"].astype(float), pd.factorize(both["customer_id"], sort=True)[0]))
    return {name: values[order] for name, values in both.items()}
