"""What stands around the customers asked about: who they are to the shop, what happened to them, what was sent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Words = NDArray[np.object_]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]

OCCASIONS = {
    "customer_id": object, "event": object, "at": float, "order_id": object, "promised_at": float,
    "delivered_at": float, "score": float, "open_ticket": bool, "tags": object, "product_id": object,
}  # fmt: skip
CONTACTS = {
    "customer_id": object, "at": float, "scenario": object, "offer_id": object, "channel": object,
    "withheld": bool, "redeemed_at": float, "decision_id": object,
}  # fmt: skip


@dataclass(frozen=True)
class Events:
    """Rows of a table about the customers asked, sorted by customer: whose each is, and its columns."""

    customer: Places
    columns: Mapping[str, NDArray[np.generic]]

    def __getitem__(self, name: str) -> NDArray[np.generic]:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.customer)

    def where(self, which: Flags) -> "Events":
        return Events(self.customer[which], {name: values[which] for name, values in self.columns.items()})


def events(table: pd.DataFrame, ids: Words, names: Mapping[str, type]) -> Events:
    """Take the rows of the customers asked, in their order; a column the table lacks is empty."""
    place = pd.Index(ids).get_indexer(pd.Index(table["customer_id"])) if len(table) else np.empty(0, np.intp)
    order = np.argsort(place, kind="stable")
    order = order[place[order] >= 0]
    columns = {name: _column(table, name, kind)[order] for name, kind in names.items() if name != "customer_id"}
    return Events(place[order], columns)


def _column(table: pd.DataFrame, name: str, kind: type) -> NDArray[np.generic]:
    if name in table.columns:
        values = table[name].astype(object).where(table[name].notna(), None) if kind is object else table[name]
        return np.asarray(values.fillna(False) if kind is bool else values, dtype=kind)
    empty = {object: None, float: np.nan, bool: False}[kind]
    return np.full(len(table), empty, dtype=kind)


@dataclass(frozen=True)
class Situation:
    """Everything the policy reads beside features and scores, one position per customer.

    ``standing`` are the columns of :func:`features.standing.standing` that the shop has; ``words`` and ``numbers`` what
    the shop's list or the policy says of a member (``tier``, ``category``; ``points``, ``to_next_tier``, ...), days as
    numbers since 1970.
    """

    n: int
    tables: frozenset[str] = frozenset()
    standing: Mapping[str, Matrix] = field(default_factory=dict)
    words: Mapping[str, Words] = field(default_factory=dict)
    numbers: Mapping[str, Matrix] = field(default_factory=dict)
    occasions: Events = field(default_factory=lambda: events(pd.DataFrame(), np.empty(0, object), OCCASIONS))
    contacts: Events = field(default_factory=lambda: events(pd.DataFrame(), np.empty(0, object), CONTACTS))

    def some(self, at: Places) -> "Situation":
        """Keep the customers at some positions, without what happened to them or was sent."""
        return Situation(
            len(at),
            self.tables,
            {name: values[at] for name, values in self.standing.items()},
            {name: values[at] for name, values in self.words.items()},
            {name: values[at] for name, values in self.numbers.items()},
        )

    @cached_property
    def sent(self) -> Events:
        """The contacts that went out or are planned."""
        return self.contacts.where(~self.contacts["withheld"].astype(bool))


def situation(
    ids: Words,
    tables: Collection[str],
    *,
    occasions: pd.DataFrame,
    standing: pd.DataFrame,
    contacts: pd.DataFrame,
    members: pd.DataFrame,
) -> Situation:
    """Gather what stands around customers from tables with a ``customer_id`` each; who is not in one is unknown there.

    ``members`` has a row per customer: text columns become ``words``, dates and numbers ``numbers``.
    """
    facts = _numbers(standing, ids)
    told = members.drop_duplicates("customer_id").set_index("customer_id").reindex(ids) if len(members) else members
    words, numbers = {}, {}
    for name in [n for n in told.columns if n != "customer_id"]:
        column = told[name]
        if column.dtype.kind in "fiub":
            numbers[str(name)] = column.to_numpy(dtype=np.float64)
        elif str(name).endswith("_on"):
            numbers[str(name)] = _days(column)
        else:
            words[str(name)] = column.astype(object).where(column.notna(), None).to_numpy()
    return Situation(
        len(ids), frozenset(tables), facts, words, numbers,
        events(occasions, ids, OCCASIONS), events(contacts, ids, CONTACTS),
    )  # fmt: skip


def _numbers(table: pd.DataFrame, ids: Words) -> dict[str, Matrix]:
    if not len(table.columns):
        return {}
    told = table.set_index("customer_id").reindex(ids)
    return {str(name): told[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in told.columns}


def _days(column: "pd.Series[object]") -> Matrix:
    """Number dates in days since 1970, NaN where there is none."""
    found = pd.to_datetime(column, errors="coerce").to_numpy(dtype="datetime64[D]")
    return np.where(np.isnat(found), np.nan, found.astype(np.float64))


def nth_newest(sent: Events, which: Flags, nth: int, n: int) -> Matrix:
    """Give per customer the instant of the ``nth`` newest of some contacts, NaN where there are fewer; (n,).

    Contacts are sorted by customer, and within one by time.

    >>> sent = Events(np.array([0, 0, 2]), {"at": np.array([1.0, 5.0, 3.0])})
    >>> nth_newest(sent, np.ones(3, bool), 2, 3).tolist()
    [1.0, nan, nan]
    """
    customer, at = sent.customer[which], np.asarray(sent["at"][which], np.float64)
    counts = np.bincount(customer, minlength=n)
    last = np.cumsum(counts) - nth
    out = np.full(n, np.nan)
    enough = counts >= nth
    out[enough] = at[last[enough]]
    return out
