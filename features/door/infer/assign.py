"""Guessing which table a file is and which column is which: by names, and by what the columns hold."""

import duckdb

from features.door.infer.columns import Seen, plain
from features.door.infer.guess import SURE, Guess
from features.door.infer.lines import add_time_of_day, tell_blanks, tell_numbers, tell_postage, tell_returns
from features.door.infer.money import is_per_order, price_lines
from features.door.infer.sample import Sample
from features.door.infer.words import NAMES, PURCHASES, REVENUE, UNIT_PRICE, likeness, translate
from features.door.personal import NEARLY_ALL, OF_PERSONS
from features.door.tables import TABLES, Column


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
        if table == "order_lines" and column.kind == "amount" and is_per_order(con, g, source.name):
            g.left[source.name] = f"looks like {column.name}, but is one amount per order"
            continue
        _take(g, column, source, -score)
    _take_address(g)
    _take_member(g)
    _take_only_time(g)
    if table == "order_lines":
        add_time_of_day(con, g)
        price_lines(con, g)
        tell_returns(con, g)
        tell_postage(con, g)
        tell_blanks(con, g)
        tell_numbers(con, g)
        _ask_for_words(g)
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
            if not column.required and column.name != "status":
                g.left[source.name] = what
                return
            g.todo.append(f"words.{column.name}: {source.name} {what}; or set such rows aside")
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


def _ask_for_words(g: Guess) -> None:
    """Ask about a column that is called as a status is, and none of whose words is known."""
    found = [
        (named, s)
        for s in g.seen.values()
        if (named := likeness(s.name, NAMES["order_lines"]["status"])) and s.words and s.number is None
        if s.name not in g.used and not s.personal and not plain(s.name).endswith("state")
    ]
    if "status" not in g.columns and found:
        _, source = max(found, key=lambda pair: pair[0])
        _, unsure = translate("status", TABLES["order_lines"].column("status").words, source.words)
        g.todo.append(
            f"columns.status: {source.name} looks like status, but nobody can tell what {', '.join(unsure[:8])} may"
            " mean: map it and give `words`, or leave it out"
        )
        g.left[source.name] = "see TODO columns.status"


def _take_address(g: Guess) -> None:
    """Where nothing else names the customer, an e-mail address does: its pseudonym."""
    if "customer_id" in g.missing:
        addresses = [s for s in g.seen.values() if s.emails > SURE and s.name not in g.used]
        if addresses:
            source = max(addresses, key=lambda s: s.filled)
            g.columns["customer_id"], g.sure["customer_id"] = {"hmac": source.name}, 0.8
            g.notes["customer_id"] = "an e-mail address: only its pseudonym is kept"


def _take_member(g: Guess) -> None:
    """On a list of customers where nothing else names them, their member number does."""
    if g.table == "customers" and "customer_id" in g.missing and "member_no" in g.columns:
        g.columns["customer_id"], g.sure["customer_id"] = g.columns.pop("member_no"), g.sure.pop("member_no")


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
