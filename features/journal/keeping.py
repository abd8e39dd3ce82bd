"""How long the journal remembers, and whom it must not: erasure and retention."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from features.door.forget import Trace
from features.home import Home
from features.journal import Journal

KEPT_DAYS = 400  # faults.md, decision 9: scores, publications, quarantine, decisions and logs

KINDS = ("customer", "contact", "order")
THEIRS = {
    "decisions": "customer_id IN their_customer",
    "outcomes": "whose IN their_customer OR customer_id IN their_customer OR matched_to IN their_contact"
    " OR message_id IN their_contact OR (whose IS NULL AND order_id IN their_order)",
    "codes": "decision_id IN their_contact",
}


def decisions_of(home: Home, shop: str, customer_ids: Sequence[str]) -> tuple[str, ...]:
    """List the ids of all decisions about these customers, sorted."""
    if not home.journal(shop).exists():
        return ()
    with _opened(home, shop) as journal:
        query = "SELECT decision_id FROM decisions WHERE customer_id = ?"
        return tuple(sorted(row[0] for one in customer_ids for row in journal.rows(query, [one])))


def found_in(home: Home, shop: str, trace: Trace) -> dict[str, int]:
    """Count the rows of the journal that are a customer's, by table."""
    if not home.journal(shop).exists():
        return {}
    with _opened(home, shop) as journal, _looking_for(journal, trace) as con:
        counts = {
            name: con.execute(f"SELECT count(*) FROM {name} WHERE {w}").fetchone()[0] for name, w in THEIRS.items()
        }
    return {table: n for table, n in counts.items() if n}


def erase(home: Home, shop: str, trace: Trace) -> None:
    """Remove a customer; done twice it changes nothing. A code they were given stays given, to nobody."""
    if not home.journal(shop).exists():
        return
    with _opened(home, shop) as journal:
        forget(journal, trace)


def forget(journal: Journal, trace: Trace) -> None:
    """Remove a customer from an open journal, and every copy of their bytes beside it."""
    with _looking_for(journal, trace) as con:
        con.execute(f"UPDATE codes SET decision_id = NULL WHERE {THEIRS['codes']}")
        for table in ("outcomes", "decisions"):
            con.execute(f"DELETE FROM {table} WHERE {THEIRS[table]}")
    journal.tidy()


def prune(home: Home, shop: str, before: datetime) -> None:
    """Remove decisions and outcomes of before an instant; codes given away stay so."""
    if not home.journal(shop).exists():
        return
    with _opened(home, shop) as journal, journal.turn() as con:
        for table in ("outcomes", "decisions"):
            con.execute(f"DELETE FROM {table} WHERE at < ?", [int(before.timestamp())])


@contextmanager
def _opened(home: Home, shop: str) -> Iterator[Journal]:
    journal = Journal.open(home, shop)
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def _looking_for(journal: Journal, trace: Trace) -> Iterator[sqlite3.Connection]:
    """Take a turn in which the names to look for lie in memory."""
    named = trace.by_kind()
    with journal.turn() as con:
        for kind in KINDS:
            con.execute(f"CREATE TEMP TABLE their_{kind} (name TEXT PRIMARY KEY)")
            con.executemany(f"INSERT OR IGNORE INTO their_{kind} VALUES (?)", [(name,) for name in named[kind]])
        yield con
        for kind in KINDS:
            con.execute(f"DROP TABLE their_{kind}")
