"""What stands around the customers asked about: who they are to the shop, what happened to them, what was sent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Words = NDArray[np.object_]
Flags = NDArray[np.bool_]
Places = NDArray[np.intp]

Kind = Literal["text", "number", "flag"]
Table = Mapping[str, NDArray[Any]]  # columns of one length, ``customer_id`` among them

OCCASIONS: dict[str, Kind] = {
    "event": "text", "at": "number", "order_id": "text", "promised_at": "number", "delivered_at": "number",
    "score": "number", "open_ticket": "flag", "tags": "text",
}  # fmt: skip
CONTACTS: dict[str, Kind] = {
    "at": "number", "scenario": "text", "offer_id": "text", "channel": "text", "withheld": "flag",
    "redeemed_at": "number", "decision_id": "text",
}  # fmt: skip


@dataclass(frozen=True)
class Events:
    """Rows of a table about the customers asked, sorted by customer: whose each is, and its columns."""

    customer: Places
    columns: Mapping[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.customer)

    def where(self, which: Flags | Places) -> "Events":
        return Events(self.customer[which], {name: values[which] for name, values in self.columns.items()})


def events(table: Table, ids: Words, names: Mapping[str, Kind]) -> Events:
    """Take the rows of the customers asked, in their order; a column the table lacks is empty."""
    place = _places(table, ids)
    order = np.argsort(place, kind="stable")
    order = order[place[order] >= 0]
    n = len(place)
    columns = {name: table[name][order] if name in table else _empty(kind, n)[order] for name, kind in names.items()}
    return Events(place[order], columns)


def _places(table: Table, ids: Words) -> Places:
    """Give each row's customer as a position among those asked, -1 for anybody else."""
    theirs = table.get("customer_id")
    if theirs is None or not len(theirs):
        return np.empty(0, np.intp)
    return np.asarray(pd.Index(ids).get_indexer(pd.Index(theirs)), np.intp)


def _empty(kind: Kind, n: int) -> NDArray[Any]:
    if kind == "text":
        return np.full(n, None, object)
    return np.zeros(n, np.bool_) if kind == "flag" else np.full(n, np.nan)


def columns_of(frame: pd.DataFrame) -> Table:
    """Give a table's columns as arrays: texts with ``None`` for none, dates as days since 1970, numbers as doubles."""
    return {str(name): _column(str(name), frame[name]) for name in frame.columns}


def _column(name: str, column: Any) -> NDArray[Any]:
    if column.dtype.kind == "b":
        return np.asarray(column, np.bool_)
    if column.dtype.kind in "fiu":
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan), np.float64)
    if name.endswith("_on"):
        found = pd.to_datetime(column, errors="coerce").to_numpy(dtype="datetime64[D]")
        return np.where(np.isnat(found), np.nan, found.astype(np.float64))
    return np.asarray(column.astype(object).where(column.notna(), None), object)


class Sorted:
    """A table's columns, sorted by customer, from which the rows of a few customers are cut."""

    def __init__(self, table: Table) -> None:
        self._columns, self.ids = table, table.get("customer_id", np.empty(0, object))

    def of(self, ids: Words) -> Table:
        """Give the rows of some customers."""
        starts, ends = np.searchsorted(self.ids, ids, "left"), np.searchsorted(self.ids, ids, "right")
        rows = np.concatenate([np.arange(a, b) for a, b in zip(starts, ends, strict=True)]) if len(ids) else starts
        return {name: values[rows] for name, values in self._columns.items()}


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
    occasions: Events = field(default_factory=lambda: events({}, np.empty(0, object), OCCASIONS))
    contacts: Events = field(default_factory=lambda: events({}, np.empty(0, object), CONTACTS))

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
    ids: Words, tables: Collection[str], occasions: Table, standing: Table, contacts: Table, members: Table
) -> Situation:
    """Gather what stands around customers from tables with a ``customer_id`` each; who is not in one is unknown there.

    ``standing`` and ``members`` have a row per customer; of members texts become ``words``, all else ``numbers``.
    """
    told = of_each(members, ids)
    return Situation(
        len(ids),
        frozenset(tables) | ({"contacts"} if len(contacts.get("customer_id", ())) else frozenset()),
        of_each(standing, ids),
        {name: values for name, values in told.items() if values.dtype == object},
        {name: values for name, values in told.items() if values.dtype != object},
        events(occasions, ids, OCCASIONS),
        events(contacts, ids, CONTACTS),
    )


def of_each(table: Table, ids: Words) -> dict[str, NDArray[Any]]:
    """Give the columns of a table with a row per customer, in the order asked."""
    place = _places(table, ids)
    known = place >= 0
    out = {}
    for name, values in table.items():
        if name != "customer_id":
            column = _empty("text" if values.dtype == object else "number", len(ids))
            column[place[known]] = values[known]
            out[name] = column
    return out


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
