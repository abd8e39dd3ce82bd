"""Worlds for the recommender whose right answer is known: a checkerboard of tastes, and regulars who run out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.models.recommender import Lesson

AS_OF = 17_500
FACTS = ["product_id", "category", "brand", "family_id", "in_stock", "lasts_days", "launched_day"]


def bought(*rows, day=AS_OF):
    """(customer, product, order days, days since the last[, days since the first]), as ``interactions`` gives it."""
    cells = [(*row, row[3])[:5] for row in rows]
    frame = pd.DataFrame(cells, columns=["customer_id", "product_id", "n_order_days", "idle", "age"])
    frame = frame.astype({"n_order_days": "int64", "idle": "int64", "age": "int64"})
    out = frame[["customer_id", "product_id", "n_order_days"]].assign(
        quantity=frame.n_order_days.astype(float), first_day=day - frame.age, last_day=day - frame.idle
    )
    for name, half_life in (("decayed", 60), ("decayed_14d", 14), ("decayed_120d", 120)):
        out[name] = frame.n_order_days * 2.0 ** (-frame.idle / half_life)
    theirs = out.groupby("customer_id")
    return out.assign(
        customer_order_days=theirs.n_order_days.transform("max"),
        customer_first_day=theirs.first_day.transform("min"),
        customer_last_day=theirs.last_day.transform("max"),
        customer_decayed_14d=theirs.decayed_14d.transform("max"),
        customer_decayed_60d=theirs.decayed.transform("max"),
    )


def products(*rows):
    """(product, category path, family, lasts days, launched day), empty where ``None``."""
    told = pd.DataFrame(rows, columns=["product_id", "category", "family_id", "lasts_days", "launched_day"])
    told = told.astype({"lasts_days": float, "launched_day": float})
    return told.assign(brand=None, in_stock=None)[FACTS]


def left_out(c, n_products=20):
    return (c + 2 * (c // n_products)) % n_products


def checkerboard(n_customers=40, n_products=20):
    """Even customers buy even products, odd ones odd products; everyone has left one out."""
    return bought(
        *(
            (f"c{c:02}", f"p{p:02}", 2, 10, 20)
            for c in range(n_customers)
            for p in range(n_products)
            if c % 2 == p % 2 and p != left_out(c, n_products)
        )
    )


def some_shop(seed=0, n_customers=60, n_products=300, n_rows=900):
    draw = np.random.default_rng(seed)
    product = np.minimum(draw.exponential(40, n_rows).astype(int), n_products - 1)
    cells = pd.DataFrame({"c": draw.integers(0, n_customers, n_rows), "p": product}).drop_duplicates()
    days, idle = draw.integers(1, 9, len(cells)), draw.integers(1, 300, len(cells))
    return bought(
        *((f"客{c}", f"品{p:03}", d, i, i + 10 * d) for c, p, d, i in zip(cells.c, cells.p, days, idle, strict=True))
    )


CYCLE, REGULARS = 30, 600


def regulars(day):
    """Everyone buys four products of their colour, each every 30 days, every one on a day of the month of its own.

    A third of them have met a fifth product, once.
    """
    rows = []
    for c in range(REGULARS):
        for k in range(4):
            idle = 1 + (day - AS_OF + 7 * k + c) % CYCLE
            rows.append((f"c{c:03}", f"p{colour_of(c, k):02}", 5, idle, idle + 4 * CYCLE))
        if c % 3 == 1:
            rows.append((f"c{c:03}", f"p{colour_of(c, 4):02}", 1, 40, 40))
    return bought(*rows, day=day)


def colour_of(c, k):
    """Name the k-th product of a customer's colour: 0-19 for the even, 20-39 for the odd."""
    return 20 * (c % 2) + (5 * k + k // 4 + c // 2) % 20


def next_week(day):
    """What the regulars buy in the next seven days: what runs out, and another third of them the fifth product."""
    rows = [
        (f"c{c:03}", f"p{colour_of(c, k):02}")
        for c in range(REGULARS)
        for k in range(5)
        if (k < 4 and 1 + (day - AS_OF + 7 * k + c) % CYCLE > CYCLE - 7) or (k == 4 and c % 3 == 0)
    ]
    return pd.DataFrame(rows, columns=["customer_id", "product_id"])


def lessons(*days):
    return [Lesson(regulars(day), day, next_week(day)) for day in days]
