"""One chunk of the simulated shop: its customers, all that happened to them, and the ids they go by."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.simulate.baskets import Lines, Sales, fill, sell
from features.simulate.catalogue import Products, products
from features.simulate.orders import History, live
from features.simulate.people import Bools, Ints, People, draw_people
from features.simulate.span import DAY, Span, chances

Columns = dict[str, pa.Array]
Tables = dict[str, Columns]

N_STAGES = 4  # of draw_world; the tables' own chances come after them


@dataclass(frozen=True)
class World:
    """Arrays of one chunk; nothing in it is yet in the words of the shop's export."""

    span: Span
    products: Products
    people: People
    history: History
    sales: Sales
    lines: Lines

    @cached_property
    def customer_ids(self) -> pa.Array:
        return pa.array([f"C{n:07d}" for n in self.people.number])

    @cached_property
    def member_numbers(self) -> list[str]:
        return [f"HN-{n:08d}" for n in self.people.number]

    @cached_property
    def mail_hashes(self) -> list[str]:
        return [hashlib.sha256(b"%d@hananone.example" % n).hexdigest() for n in self.people.number]

    @cached_property
    def line_ids(self) -> list[str]:
        return ["U" + hashlib.sha256(b"line %d" % n).hexdigest()[:32] for n in self.people.number]

    @cached_property
    def devices(self) -> list[str]:
        return [hashlib.sha256(b"device %d" % n).hexdigest()[:20] for n in self.people.number]

    @cached_property
    def order_ids(self) -> pa.Array:
        """Give the orders' numbers: the customer's and a count, so that they are unique in the shop."""
        return numbered("H", self.people.number[self.sales.who], self.sales.nth)

    @cached_property
    def contact_ids(self) -> pa.Array:
        contacts = self.history.contacts
        return numbered("M", self.people.number[contacts.who], contacts.day)

    @cached_property
    def total(self) -> Ints:
        """Give each order's revenue in yen; 0 if it was cancelled."""
        total = np.bincount(self.lines.order, self.lines.revenue, len(self.sales)).astype(np.int64)
        return np.where(self.sales.is_cancelled, 0, total)

    def customer(self, who: Ints) -> pa.Array:
        return self.customer_ids.take(pa.array(who))

    def product(self, which: Ints, known: Bools | None = None) -> pa.Array:
        return pick(self.products.id.tolist(), which, known)

    def order(self, rows: Ints, known: Bools | None = None) -> pa.Array:
        """Give order numbers by row of ``sales``."""
        return self.order_ids.take(pa.array(rows, mask=None if known is None else ~known))

    def instants(self, at: Ints, known: Bools | None = None) -> pa.Array:
        """Write instants as the shop does: local time, without a zone."""
        seconds = at + self.span.epoch_day * DAY
        return pa.array(seconds, pa.int64(), mask=None if known is None else ~known).cast(pa.timestamp("s"))

    def dates(self, day: Ints, known: Bools | None = None) -> pa.Array:
        days = (day + self.span.epoch_day).astype(np.int32)
        return pa.array(days, pa.int32(), mask=None if known is None else ~known).cast(pa.date32())


def pick(texts: Sequence[str], which: Ints, known: Bools | None = None) -> pa.Array:
    """Write numbers as words; null where ``known`` is false."""
    return pa.array(texts, pa.string()).take(pa.array(which, mask=None if known is None else ~known))


def numbered(letter: str, number: Ints, nth: Ints) -> pa.Array:
    """Write ids such as H0000123-004."""
    left = pc.utf8_lpad(pa.array(number).cast(pa.string()), width=7, padding="0")
    right = pc.utf8_lpad(pa.array(nth).cast(pa.string()), width=3, padding="0")
    return pc.binary_join_element_wise(pc.binary_join_element_wise(letter, left, ""), right, "-")


def by_customer(values: NDArray[np.int64], who: Ints, n: int) -> Ints:
    """Sum whole numbers by customer."""
    return np.bincount(who, values, n).astype(np.int64)


def draw_world(seed: int, chunk: int, numbers: Ints, span: Span) -> World:
    """Draw one chunk of customers and all that happens to them."""
    draws = [chances(seed, chunk, stage) for stage in range(N_STAGES)]
    people, shelf = draw_people(draws[0], numbers, span), products(span)
    history = live(draws[1], people, span)
    sales = sell(draws[2], people, history, span)
    return World(span, shelf, people, history, sales, fill(draws[3], people, sales, shelf, span))
