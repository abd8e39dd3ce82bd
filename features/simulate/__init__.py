"""A shop that does not exist, with truths that are known: Hana no Ne, the skincare shop of the sample policy.

`okaeri simulate` writes the shop's own export (Japanese column names; ``features/shops/hananone.yaml`` reads it) and,
in a folder ``truth`` that the mapping never reads, what no shop knows. Each day d after the first order and before
``dropout_day``, a customer orders of their own accord with the chance

    p(d) = 1 - exp(-h(d)),    h(d) = rate x season(d) x service(d) x phase((d - last order) / supply_days)

- ``rate_per_day`` ~ Gamma(shape 2, mean 1/60); prospects have none and never order.
- ``dropout_day`` = first order + 1 + an exponential lifetime whose rate is Gamma(shape 3): a mean of 420 days
  (Pareto/NBD). Of the buyers 26 % are ``is_one_off_only``: lost from the day after the first order.
- ``season``: 1.8 in the winter sale, 1.3 in the summer sale, else 1; times 1.15 at weekends.
- ``service``: 1, times 0.75 at each late delivery, never below 0.4.
- ``phase``: 0.6 before half of the usual supply is used up, 1.6 from 0.8 to 1.3 of it, else 1.
- ``expected_own_orders`` = the sum of p(d) over the days the customer was alive (and not put off by a message, see
  below); ``own_orders``, those of their own accord after the first, minus it has mean zero. ``exposure_days`` = the sum
  of h(d) / rate over these days, so that own_orders / exposure_days estimates ``rate_per_day``.

Every 28 days those silent for 60 to 240 days, reachable and without a running subscription are drawn evenly into a
control arm (withheld) or one of four offers. An offer over a channel has the customer's own effect e
(``effect_<offer>_<channel>``; a quarter of it once lost), and within the 14 days after the contact's day

    P(order | withheld) = p,    P(order | offer) = p + e (1 - p) if e >= 0, else p (1 + e)

both exact and given for each contact in ``truth/contacts.parquet`` (``p_order_without``, ``p_order_<offer>``). One
customer in 12 is annoyed by any message: e = -0.5, half of them put off ordering for the window. "Order" means placed,
not kept: 1.5 % are cancelled. Subscription parcels are regular and not counted among own orders. ``taste`` is the
chance of each category (in the catalogue's order) for a basket line; ``same_person_as`` names the earlier account of
the same person.

Chance is seeded by (seed, chunk of customers, stage): the same arguments give the same bytes, and a larger shop begins
with the same full chunks as a smaller one. Only one chunk is in memory at a time.
"""

from contextlib import ExitStack
from datetime import date
from pathlib import Path

import numpy as np

from features.errors import BadInput
from features.simulate.care import care
from features.simulate.messages import messages
from features.simulate.span import Span, chances
from features.simulate.traces import traces
from features.simulate.trade import product_list, trade
from features.simulate.truth import truth
from features.simulate.world import N_STAGES, draw_world
from features.simulate.write import Costs, Writer, whole_folder

UNTIL = date(2026, 11, 21)
DAYS = 730
CHUNK = 20_000  # customers; some 300 MB
LEAST_DAYS = 30
WRITTEN = (trade, care, messages, traces)


def simulate(
    out: Path, customers: int, seed: int, *, until: date = UNTIL, days: int = DAYS, chunk: int = CHUNK
) -> dict[str, int]:
    """Write a shop and its truths; nothing in it happens on ``until`` or later.

    Parameters
    ----------
    out
        A new folder: ``{table}.parquet``, ``truth/customers.parquet`` and ``truth/contacts.parquet``.
    customers
        How many, some 4 % of them without an order.
    seed
        Another seed is another shop with the same laws and products.
    until, days
        The span: ``days`` days before ``until`` begins.
    chunk
        Customers drawn together; part of what the result depends on.

    Returns the rows written by table.

    Raises
    ------
    BadInput
        If an argument is out of its range, or ``out`` is not new.
    """
    _expect_at_least(customers=(customers, 1), seed=(seed, 0), days=(days, LEAST_DAYS))
    span = Span(until, days)
    costs = Costs(span)
    with whole_folder(out) as staged, ExitStack() as files:
        shop = Writer(staged, files)
        (staged / "truth").mkdir()
        known = Writer(staged / "truth", files)
        for number, start in enumerate(range(0, customers, chunk)):
            world = draw_world(seed, number, np.arange(start, min(start + chunk, customers)), span)
            for stage, write in enumerate(WRITTEN, N_STAGES):
                shop.write(write(world, chances(seed, number, stage)))
            known.write(truth(world))
            costs.add(world)
        shop.write({"products": product_list(world.products, span), "costs": costs.table()})
    return {**dict(sorted(shop.counts.items())), **{f"truth/{n}": rows for n, rows in sorted(known.counts.items())}}


def _expect_at_least(**arguments: tuple[int, int]) -> None:
    for name, (value, least) in arguments.items():
        if value < least:
            raise BadInput(f"{name}: {value} is less than {least}")
