"""What a line of an order brought in: which of the amounts it is, and whether it is what its name says."""

import duckdb

from features.door.infer.columns import bare, plain, sql_number
from features.door.infer.guess import SURE, Guess
from features.door.infer.words import UNIT_PRICE, likeness
from features.sql import quote

FEW_PIECES, MOSTLY = 20, 0.9  # pieces on nearly every line of a retail order; engineering choice, 2026-11-24
FEWEST = 3  # rows that must be able to tell


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
    score, price = _unit_price(g)
    if score < SURE:
        return
    revenue = g.columns.get("revenue")
    if "quantity" not in g.columns and isinstance(revenue, str) and revenue != price:
        _tell_pieces(con, g, revenue, price)
        return
    quantity = g.columns.get("quantity")
    if not isinstance(quantity, str):
        return
    if revenue is None or revenue == price:
        g.sure["revenue"] = score * g.sure["quantity"]
        if any(plain(name) == "amazonorderid" for name in g.seen):
            g.columns["revenue"], g.notes["revenue"] = price, "in Amazon's reports it is the line's total"
            return
        g.columns["revenue"] = {"product": [quantity, price]}
        g.notes["revenue"] = "CHECK: quantity times unit price, before discounts; map it alone if it is a line's total"
    else:
        g.notes["revenue"] = _compared(con, g, str(revenue), quantity, price)


def _unit_price(g: Guess) -> tuple[float, str]:
    """Name the column that is most of all called as the price of one piece."""
    scored = [
        (named if (named := likeness(s.name, UNIT_PRICE)) > 0.7 else 0.0, s.name)
        for s in g.seen.values()
        if s.number is not None and s.kind != "instant" and s.name not in g.used - {g.columns.get("revenue")}
    ]
    return max(scored, default=(0.0, ""))


def _tell_pieces(con: duckdb.DuckDBPyConnection, g: Guess, amount: str, price: str) -> None:
    """Ask whether what is called an amount is pieces: small whole numbers beside a price, and no quantity."""
    if not g.seen[amount].is_whole:
        return
    few = f"{_number(g, amount)} BETWEEN -{FEW_PIECES} AND {FEW_PIECES}"
    row = con.execute(f"SELECT coalesce(avg(({few})::INT), 0) FROM {g.sample.name}").fetchone() or (0.0,)
    if row[0] < MOSTLY:
        return
    g.columns |= {"quantity": amount, "revenue": {"product": [amount, price]}}
    g.sure["quantity"] = SURE
    g.notes["quantity"] = f"CHECK: whole numbers, {row[0]:.0%} of them up to {FEW_PIECES}: pieces, despite its name?"
    g.todo.append(
        f"columns.revenue: {amount} looks like pieces; is {price} the price of one (then {{product: [{amount},"
        f" {price}]}}) or what the line brought in (then {price})?"
    )


def _compared(con: duckdb.DuckDBPyConnection, g: Guess, revenue: str, quantity: str, price: str) -> str:
    """Say how often revenue is quantity times price; where another of the three is the product, ask."""
    agree, _ = _agreement(con, g, revenue, quantity, price)
    if agree >= 0.5:
        return f"is {quantity} x {price} in {agree:.0%} of the rows"
    for total, one, other in ((price, quantity, revenue), (quantity, revenue, price)):
        swapped, rows = _agreement(con, g, total, one, other)
        if swapped >= MOSTLY and rows >= FEWEST:
            return (
                f"CHECK: the names say otherwise, but {total} is {one} x {other} in {swapped:.0%} of the rows: which is"
                " the line's total?"
            )
    return f"CHECK: is {quantity} x {price} in only {agree:.0%} of the rows: discounts, or another thing than its name?"


def _agreement(con: duckdb.DuckDBPyConnection, g: Guess, total: str, one: str, other: str) -> tuple[float, int]:
    """Give the share of rows in which a column is the product of two, and how many rows could tell: no factor is 1."""
    a, b, c = (_number(g, name) for name in (total, one, other))
    row = con.execute(
        f"SELECT coalesce(avg((abs({a} - {b} * {c}) < 0.011)::INT), 0), count_if(abs({b}) <> 1 AND abs({c}) <> 1)"
        f" FROM {g.sample.name}"
    ).fetchone() or (0.0, 0)
    return float(row[0]), int(row[1])


def _number(g: Guess, name: str) -> str:
    seen = g.seen[name]
    return f"TRY_CAST({sql_number(bare(f'CAST({quote(name)} AS VARCHAR)'), seen.number or {})} AS DECIMAL(18,4))"
