"""What the lines of orders tell beyond their columns: returns, postage, cells left blank, lines without a number."""

import duckdb

from features.door.infer.guess import Guess
from features.door.infer.words import POSTAGE, TIME_OF_DAY, likeness
from features.sql import literal, quote

TIMES = {"%H:%M:%S": "[0-9]{1,2}:[0-9]{2}:[0-9]{2}", "%H:%M": "[0-9]{1,2}:[0-9]{2}", "%H%M%S": "[0-9]{6}"}
FEWEST = 2  # orders of several lines, for a column to count them
SAME = 0.99  # share of orders that must agree for something to be said of them; engineering choice, 2026-11-22


def add_time_of_day(con: duckdb.DuckDBPyConnection, g: Guess) -> None:
    """Where an order's day stands in one column and its hour in another, read both together."""
    date = g.columns.get("ordered_at")
    if not isinstance(date, str) or len(g.seen[date].formats) != 1 or "%H" in g.seen[date].formats[0]:
        return
    for source in g.seen.values():
        if source.name in g.used or not source.filled or likeness(source.name, TIME_OF_DAY) <= 0.7:
            continue
        told = f"nullif(CAST({quote(source.name)} AS VARCHAR), '')"
        for form, looks in TIMES.items():
            fits = f"coalesce(bool_and(regexp_full_match({told}, '{looks}')), false)"
            if con.execute(f"SELECT {fits} FROM {g.sample.name}").fetchone() == (True,):
                g.columns["ordered_at"] = {"join": [date, source.name], "separator": " "}
                g.notes["ordered_at"] = "the day and its hour together"
                day = g.seen[date].formats[0]
                g.formats = [f"{day} {form}", *([day] if source.filled < source.rows else [])]
                return


def tell_returns(con: duckdb.DuckDBPyConnection, g: Guess) -> None:
    """Returned lines: rows of their own are counted as negative; a mark on the order itself must be asked about."""
    status, quantity = g.columns.get("status"), g.columns.get("quantity")
    if not isinstance(status, str) or not isinstance(quantity, str):
        return
    returned = [v for v in g.seen[status].words if g.words.get("status", {}).get(v, v) == "returned"]
    if not returned:
        return
    listed = ", ".join(literal(v) for v in returned)
    original = g.columns.get("returns_order_id")
    named = f"count(nullif(CAST({quote(str(original))} AS VARCHAR), ''))" if original else "0"
    row = con.execute(
        f"SELECT count(*) FILTER (TRY_CAST({quote(quantity)} AS DOUBLE) < 0), {named} FROM {g.sample.name}"
        f" WHERE {quote(status)} IN ({listed})"
    ).fetchone()
    negative, named_orders = row or (0, 0)
    if negative:
        return
    if named_orders:
        g.keys["returns"] = {status: returned}
    else:
        g.todo.append(
            f"returns: rows with {status} {', '.join(returned)} have no sign. A row of its own for what came back:"
            f" `returns: {{{status}: {returned[0]}}}`. A mark on the order that came back: `words` cancelled instead"
        )


def tell_postage(con: duckdb.DuckDBPyConnection, g: Guess) -> None:
    """Set aside what is known to be postage; name the codes that may be no products."""
    product = g.columns.get("product_id")
    if not isinstance(product, str):
        return
    text = f"CAST({quote(product)} AS VARCHAR)"
    is_postage = f"regexp_matches(lower({text}), {literal(POSTAGE)})"
    found = con.execute(f"SELECT DISTINCT {text} FROM {g.sample.name} WHERE {is_postage} ORDER BY ALL").fetchall()
    if found:
        g.keys["set_aside"] = [{"reason": "postage", "when": {product: [row[0] for row in found]}}]
    odd = con.execute(
        f"SELECT {text}, count(*) OVER () FROM {g.sample.name} WHERE NOT regexp_matches({text}, '[0-9]')"
        f" AND {text} <> '' AND NOT {is_postage} GROUP BY {text} ORDER BY count(*) DESC, {text} LIMIT 8"
    ).fetchall()
    if odd and odd[0][1] < 0.05 * g.seen[product].distinct:
        shown = ", ".join(str(row[0]) for row in odd)
        g.notes["product_id"] = f"CHECK: {odd[0][1]} codes without a digit may be no products (set_aside): {shown}"


def tell_blanks(con: duckdb.DuckDBPyConnection, g: Guess) -> None:
    """Find columns that stand on an order's first line only."""
    order = g.columns.get("order_id")
    if not isinstance(order, str):
        return
    blank = []
    for source in sorted(g.used - {order}, key=list(g.seen).index):
        if g.seen[source].filled == g.sample.rows:
            continue
        value = f"nullif(CAST({quote(source)} AS VARCHAR), '')"
        row = con.execute(
            "SELECT count(*), count(*) FILTER (filled = 1 AND on_top IS NOT NULL)"
            f" FROM (SELECT count({value}) AS filled, first({value} ORDER BY nth_row) AS on_top"
            f" FROM (SELECT *, row_number() OVER () AS nth_row FROM {g.sample.name})"
            f" GROUP BY {quote(order)} HAVING count(*) > 1 AND count({value}) > 0)"
        ).fetchone()
        several, once = row or (0, 0)
        if several and once >= SAME * several:
            blank.append(source)
    if blank:
        g.keys["fill_down"] = {"by": order, "columns": blank}


def tell_numbers(con: duckdb.DuckDBPyConnection, g: Guess) -> None:
    """Find the column that counts each order's lines; where there is none, say what becomes of equal rows."""
    order = g.columns.get("order_id")
    if not isinstance(order, str) or "line_no" in g.columns:
        return
    for source in g.seen.values():
        if source.is_whole and source.name not in g.used and _counts_lines(con, g.sample.name, order, source.name):
            g.columns["line_no"], g.sure["line_no"] = source.name, 0.9
            g.notes["line_no"] = "CHECK: it counts each order's lines from 1"
            return
    used = ", ".join(map(quote, sorted(g.used)))
    row = con.execute(
        f"SELECT coalesce(sum(n - 1), 0)::BIGINT FROM (SELECT count(*) AS n FROM {g.sample.name} GROUP BY {used})"
    ).fetchone() or (0,)
    found = f"{row[0]:,} rows are the same as another of their order" if row[0] else "none is the same as another here"
    g.asides.append(
        f"repeats: keep   # CHECK: no column numbers an order's lines, and equal rows of an order are dropped as sent"
        f" twice ({found}); uncomment if a product may stand twice in an order: then each counts"
    )


def _counts_lines(con: duckdb.DuckDBPyConnection, table: str, order: str, column: str) -> bool:
    """Whether a column is 1, 2, ... within nearly every order, some of which have several lines."""
    value = f"TRY_CAST({quote(column)} AS BIGINT)"
    row = con.execute(
        "SELECT count(*), count(*) FILTER (n > 1), count(*) FILTER (least = 1 AND most = n AND different = n)"
        f" FROM (SELECT count(*) AS n, min({value}) AS least, max({value}) AS most,"
        f" count(DISTINCT {value}) AS different FROM {table} GROUP BY {quote(order)})"
    ).fetchone()
    orders, several, counted = row or (0, 0, 0)
    return bool(several >= FEWEST and counted >= SAME * orders)
