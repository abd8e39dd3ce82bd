"""What a line of an order brought in: which of the amounts it is, and whether it is what its name says."""

import duckdb

from features.door.infer.guess import SURE, Guess
from features.door.infer.words import UNIT_PRICE, likeness
from features.sql import quote


def is_per_order(con: duckdb.DuckDBPyConnection, g: Guess, amount: str) -> bool:
    """Whether an amount belongs to the order: one value on all the lines of nearly all orders of several products."""
    order, product = g.columns.get("order_id"), g.columns.get("product_id")
    if not isinstance(order, str) or not isinstance(product, str):
        return False
    value = f"nullif(CAST({quote(amount)} AS VARCHAR), '')"
    row = con.execute(
        f"SELECT count(*), count(*) FILTER (different = 1) FROM (SELECT count(DISTINCT {value}) AS different"
        f" FROM {g.sample.name} GROUP BY {quote(order)} HAVING count(DISTINCT {quote(product)}) > 1"
        f" AND bool_or(TRY_CAST({value} AS DOUBLE) IS DISTINCT FROM 0 AND {value} IS NOT NULL))"
    ).fetchone()
    several, same = row or (0, 0)
    return bool(several >= 3 and same > 0.9 * several)


def price_lines(con: duckdb.DuckDBPyConnection, g: Guess) -> None:
    """Where no column is what a line brought, take quantity times unit price; where both are there, compare them."""
    quantity = g.columns.get("quantity")
    scored = [
        (named if (named := likeness(s.name, UNIT_PRICE)) > 0.7 else 0.0, s.name)
        for s in g.seen.values()
        if s.number is not None and s.kind != "instant" and s.name not in g.used - {g.columns.get("revenue")}
    ]
    score, price = max(scored, default=(0.0, ""))
    if not isinstance(quantity, str) or score < SURE:
        return
    revenue = g.columns.get("revenue")
    if revenue is None or revenue == price:
        g.columns["revenue"] = {"product": [quantity, price]}
        g.sure["revenue"] = score * g.sure["quantity"]
        g.notes["revenue"] = "CHECK: quantity times unit price, before discounts; map it alone if it is a line's total"
    else:
        agree = _agreement(con, g.sample.name, str(revenue), quantity, price)
        g.notes["revenue"] = f"is {quantity} x {price} in {agree:.0%} of the rows"


def _agreement(con: duckdb.DuckDBPyConnection, table: str, total: str, quantity: str, price: str) -> float:
    a, b, c = (f"TRY_CAST({quote(name)} AS DECIMAL(18,4))" for name in (total, quantity, price))
    row = con.execute(f"SELECT coalesce(avg((abs({a} - {b} * {c}) < 0.011)::INT), 0) FROM {table}").fetchone()
    return float(row[0]) if row else 0.0
