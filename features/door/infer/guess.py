"""Guessing which table a file is and which column is which: by names, and by what the columns hold."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import duckdb

from features.door.infer.columns import Seen, plain
from features.door.infer.sample import Sample
from features.door.infer.words import FILES, NAMES, POSTAGE, PURCHASES, REVENUE, UNIT_PRICE, likeness, translate
from features.door.personal import NEARLY_ALL, OF_PERSONS
from features.door.tables import TABLES, Column
from features.sql import literal, quote

SURE = 0.5  # below it a column is left to a person; engineering choice, 2026-11-22
SAME = 0.99  # share of rows that must agree for two columns to be said to agree


@dataclass
class Guess:
    """What one file seems to be: its table, where each canonical column comes from, and what a person must decide."""

    sample: Sample
    seen: dict[str, Seen]
    table: str
    columns: dict[str, object] = field(default_factory=dict)  # as in the mapping
    sure: dict[str, float] = field(default_factory=dict)  # canonical column -> confidence, 0 to 1
    words: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)  # canonical column -> a remark beside it
    left: dict[str, str] = field(default_factory=dict)  # source column -> why it is not mapped though it looks like it
    keys: dict[str, object] = field(default_factory=dict)  # further keys of the table's mapping
    todo: list[str] = field(default_factory=list)  # what a person must decide first
    second: bool = False  # read from a file that is another table already

    @property
    def missing(self) -> list[str]:
        return [c.name for c in TABLES[self.table].columns if c.required and c.name not in self.columns]

    @property
    def used(self) -> set[str]:
        """Name the source columns that are mapped."""
        return {name for how in self.columns.values() for name in sources(how)}

    @property
    def worth(self) -> float:
        """Tell how well the table explains the file."""
        hint = any(word in self.sample.path.name.lower() for word in FILES[self.table].split("|"))
        return sum(self.sure.values()) - 0.25 * len(self.missing) + 0.5 * hint


def sources(how: object) -> Iterable[str]:
    """Name the source columns one column of a mapping reads."""
    if isinstance(how, str):
        return [how]
    assert isinstance(how, dict)
    return [name for value in how.values() for name in (value if isinstance(value, list) else [value])]


def guess(con: duckdb.DuckDBPyConnection, sample: Sample, seen: dict[str, Seen]) -> Guess | None:
    """Find the table that explains a file best; ``None`` if none has most of what it requires."""
    tried = [assign(con, sample, seen, table) for table in TABLES]
    likely = [g for g in tried if _is_likely(g)]
    return max(likely, key=lambda g: g.worth, default=None)


def _is_likely(g: Guess) -> bool:
    """Whether a table can be meant: all it requires is there and something else; of order lines any half of it."""
    if g.table == "order_lines":
        has_money = any(
            likeness(s.name, f"{UNIT_PRICE}|{REVENUE}") > 0.7 for s in g.seen.values() if s.number is not None
        )
        return "product_id" in g.columns and len(g.missing) <= 3 and (has_money or len(g.missing) <= 2)
    return not g.missing and (len(g.columns) > 1 or len(TABLES[g.table].columns) == 1)


def assign(con: duckdb.DuckDBPyConnection, sample: Sample, seen: dict[str, Seen], table: str) -> Guess:
    """Give each canonical column the source column that speaks for it most."""
    g = Guess(sample, seen, table)
    canonical = {c.name: c for c in TABLES[table].columns if c.name in NAMES[table]}
    pairs = sorted(
        (
            (c.kind == "amount", -_score(c, s, table), at, nth, c, s)
            for at, c in enumerate(canonical.values())
            for nth, s in enumerate(seen.values())
        ),
        key=lambda pair: pair[:4],  # amounts last: whether one is an order's or a line's is told by the ids
    )
    for _, score, _, _, column, source in pairs:
        if -score < SURE or column.name in g.columns or source.name in g.used:
            continue
        if table == "order_lines" and column.kind == "amount" and _per_order(con, g, source.name):
            g.left[source.name] = f"looks like {column.name}, but is one amount per order"
            continue
        _take(g, column, source, -score)
    _take_address(g)
    _take_only_time(g)
    if table == "order_lines":
        _price_lines(con, g)
        _tell_returns(con, g)
        _tell_postage(con, g)
        _tell_blanks(con, g)
    return g


def _take_only_time(g: Guess) -> None:
    """Where no column is called as the time of an order is, the only one that holds times is it."""
    if g.table == "order_lines" and "ordered_at" in g.missing:
        times = [s for s in g.seen.values() if s.formats or s.either or s.kind == "instant"]
        if len(times) == 1 and times[0].name not in g.used:
            g.columns["ordered_at"], g.sure["ordered_at"] = times[0].name, SURE
            g.notes["ordered_at"] = "CHECK: the only column that holds times"


def _score(column: Column, source: Seen, table: str) -> float:
    """Tell how far a source column speaks for a canonical one, 0 to 1; money only by a name known in full."""
    named = likeness(source.name, NAMES[table][column.name])
    return 0.0 if column.kind == "amount" and named <= 0.7 else named * _fits(column, source, table)


def _take(g: Guess, column: Column, source: Seen, score: float) -> None:
    """Map one column; a word's values are translated, and one nobody knows leaves the column out."""
    if column.words:
        words, unsure = translate(column.name, column.words, source.words)
        bought = [value for value in unsure if g.table == "events" and plain(value) in PURCHASES]
        if bought:  # orders come from the order file
            g.keys["set_aside"] = [{"reason": "purchase", "when": {source.name: bought}}]
            unsure = [value for value in unsure if value not in bought]
        if unsure:
            what = f"looks like {column.name}, but {', '.join(unsure[:5])} may be any of {', '.join(column.words)}"
            if not column.required:
                g.left[source.name] = what
                return
            g.todo.append(f"words.{column.name}: {what}; or set such rows aside")
        if words:
            g.words[column.name] = words
    if source.phones > SURE:
        g.notes[column.name] = "CHECK: these look like telephone numbers; are they ids?"
    if column.kind == "id" and source.emails > SURE:
        g.columns[column.name] = {"hmac": source.name}
        g.notes[column.name] = "an e-mail address: only its pseudonym is kept"
    elif column.name in OF_PERSONS and source.phones >= NEARLY_ALL:
        g.columns[column.name] = {"hmac": source.name}
        g.notes[column.name] = "CHECK: these look like telephone numbers: only their pseudonym is kept; are they ids?"
    else:
        g.columns[column.name] = source.name
    g.sure[column.name] = score


def _take_address(g: Guess) -> None:
    """Where nothing else names the customer, an e-mail address does: its pseudonym."""
    if "customer_id" in g.missing:
        addresses = [s for s in g.seen.values() if s.emails > SURE and s.name not in g.used]
        if addresses:
            source = max(addresses, key=lambda s: s.filled)
            g.columns["customer_id"], g.sure["customer_id"] = {"hmac": source.name}, 0.8
            g.notes["customer_id"] = "an e-mail address: only its pseudonym is kept"


def _fits(column: Column, source: Seen, table: str) -> float:
    """Tell how far what a column holds can be what the canonical one wants; 0 is impossible."""
    if not source.filled or source.kind == "other":
        return 0.0
    is_time = bool(source.formats or source.either or source.kind == "instant")
    match column.kind:
        case "id":
            if table in ("products", "customers") and column.required and source.distinct < 0.9 * source.filled:
                return 0.0  # one row per product, per customer
            if source.emails and column.name != "customer_id":
                return 0.0
            if source.kind == "instant" or (source.kind == "number" and not source.is_whole):
                return 0.0
            return 1.0 if source.longest <= 64 or source.emails else 0.0
        case "instant" | "day":
            return 1.0 if is_time else 0.0
        case "amount" | "quantity" | "integer":
            return 1.0 if source.number is not None and source.kind != "instant" and not source.zeros else 0.0
        case "boolean":
            known = {"true", "false", "0", "1", "t", "f", "yes", "no", "y", "n"}
            return 1.0 if source.words and {w.lower() for w in source.words} <= known else 0.0
        case "word":
            allowed = translate(column.name, column.words, source.words) if source.words else ({}, ["-"])
            return 1.0 if not allowed[1] else 0.6 if len(allowed[1]) < len(source.words) else 0.0
    is_person = source.personal and column.name not in ("name", "region")
    return 0.0 if is_time or is_person or source.emails else 1.0


def _per_order(con: duckdb.DuckDBPyConnection, g: Guess, amount: str) -> bool:
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


def _price_lines(con: duckdb.DuckDBPyConnection, g: Guess) -> None:
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


def _tell_returns(con: duckdb.DuckDBPyConnection, g: Guess) -> None:
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


def _tell_postage(con: duckdb.DuckDBPyConnection, g: Guess) -> None:
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


def _tell_blanks(con: duckdb.DuckDBPyConnection, g: Guess) -> None:
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
