"""Our own contacts and what came of them, taken from the journal into the lake as one load of its own."""

from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from features import lake
from features.calendar import BusinessCalendar
from features.door.forget import Tombstones
from features.door.ingest import publish_load
from features.door.ledger import Ledger
from features.door.tables import STORED_AS, TABLES
from features.home import Home
from features.journal import UNIT, Journal
from features.journal.outcomes import adopt
from features.messages import OWN_ALONE
from features.shop import Shop, open_shop
from features.sql import AS_PARQUET, literal, quote

Rows = dict[str, list[tuple[Any, ...]]]

CONTACTS = (
    "SELECT decision_id AS contact_id, decision_id, customer_id, at, nullif(campaign_id, '') AS campaign_id, scenario,"
    f" offer_id, channel, cost / {UNIT}.0 AS cost, withheld, known_at, arm, experiment, incentive, expires_at, policy"
    " FROM contacts WHERE at < ?1 AND known_at < ?1 ORDER BY at, contact_id"
)
RESPONSES = (
    "SELECT kind, at, matched_to AS contact_id, nullif(campaign_id, '') AS campaign_id, whose AS customer_id, order_id,"
    f" amount / {UNIT}.0 AS amount, matched_at AS known_at, outcome_id FROM outcomes"
    " WHERE matched_to IS NOT NULL AND at < ?1 AND matched_at < ?1 ORDER BY at, outcome_id"
)
KEYS = {"own_contacts": "contact_id", "own_responses": "outcome_id"}
INSTANTS = ("at", "known_at", "expires_at")


def take_in_own(home: Home, shop: Shop, day: int) -> Shop:
    """Take in what the journal knew before the start of a business day and the lake does not hold yet.

    What is in the lake already is known by its id, so doing it again takes nothing; killed, the load is there whole or
    not at all. Give the shop with its new load, or as it was.

    Raises
    ------
    Refused
        If an ingest of this shop is running.
    """
    if not home.journal(shop.name).exists():
        return shop
    journal = Journal.open(home, shop.name)
    try:
        with lake.locked(home.lake(shop.name) / ".lock", f"the lake of {shop.name}"):
            before = open_shop(home, shop.name)
            if named := _named_by_files(journal, before, day):
                adopt(journal, named)
            until = _epoch(before.calendar.start(day))
            new = {
                "own_contacts": _new(journal, CONTACTS, until, before, "own_contacts"),
                "own_responses": _new(journal, RESPONSES, until, before, "own_responses"),
            }
            if not any(map(len, new.values())):
                return before
            _publish(home, before, new)
            return open_shop(home, shop.name)
    finally:
        journal.close()


def _epoch(instant: datetime) -> int:
    return int(instant.timestamp())


def _new(journal: Journal, query: str, until: int, shop: Shop, table: str) -> pd.DataFrame:
    """Give the journal's rows that the lake does not hold, without those of whoever was forgotten meanwhile."""
    found = journal.rows(query, [until])
    rows = pd.DataFrame([tuple(row) for row in found], columns=list(found[0].keys()) if found else [KEYS[table]])
    if not len(rows):
        return rows
    is_forgotten, known = Tombstones(shop.home, shop.name).now(), _ids(shop, table)
    keys = zip(rows[KEYS[table]], rows.customer_id, strict=True)
    return rows[[key not in known and not is_forgotten(whose) for key, whose in keys]]


def _ids(shop: Shop, table: str) -> set[str]:
    if not (parts := [str(path) for path in shop.parts(table)]):
        return set()
    with duckdb.connect() as con:
        return {row[0] for row in con.execute(f"SELECT {KEYS[table]} FROM read_parquet(?)", [parts]).fetchall()}


def _named_by_files(journal: Journal, shop: Shop, day: int) -> list[tuple[str, str, str, int]]:
    """Find the contacts of the shop's own files that outcomes kept aside name, known before ``day``."""
    aside = journal.rows(
        "SELECT outcome_id, message_id, campaign_id, customer_id, day FROM outcomes WHERE matched_to IS NULL"
    )
    if not aside or not (parts := [str(path) for path in shop.parts("contacts")]):
        return []
    with duckdb.connect() as con:
        con.register("aside", pd.DataFrame([tuple(row) for row in aside], columns=list(aside[0].keys()), dtype=object))
        rows = con.execute(
            "WITH told AS (SELECT * FROM read_parquet($parts, union_by_name = true)"
            " WHERE day < $day AND known_on < $day)"
            " SELECT outcome_id, contact_id, told.customer_id, epoch(told.known_at)::BIGINT FROM aside JOIN told"
            " ON aside.message_id = told.contact_id OR aside.message_id = told.decision_id"
            " OR (aside.message_id IS NULL AND aside.customer_id = told.customer_id"
            " AND aside.campaign_id = told.campaign_id AND aside.day::BIGINT = told.day)"
            " QUALIFY row_number() OVER (PARTITION BY outcome_id ORDER BY told.known_at, contact_id) = 1",
            {"parts": parts, "day": day},
        ).fetchall()
    return [(str(outcome), str(contact), str(whose), int(known)) for outcome, contact, whose, known in rows]


def _publish(home: Home, shop: Shop, new: dict[str, pd.DataFrame]) -> None:
    """Write the load and name it, after all the loads before it."""
    ledger = Ledger()
    with lake.staging(home.lake(shop.name) / "loads" / "next") as staged:
        for table, rows in new.items():
            if len(rows):
                _write(rows, table, shop.calendar, staged / f"{table}.parquet")
                one = Ledger(rows_in=len(rows), accepted=len(rows))
                ledger.add(one, table, again=False)
        lake.write_bytes(staged / "shop.yaml", (shop.loads[-1].path / "shop.yaml").read_bytes())
        publish_load(home, shop.name, shop, staged, ledger, {})


def _write(rows: pd.DataFrame, table: str, calendar: BusinessCalendar, path: Path) -> None:
    """Write rows with the columns of the canonical table, our own beside them, and their business days."""
    canonical = TABLES[table.removeprefix("own_")]
    kinds: dict[str, str] = {column.name: STORED_AS[column.kind] for column in canonical.columns}
    kinds |= OWN_ALONE if table == "own_contacts" else {"outcome_id": "VARCHAR"}
    columns = ", ".join(
        f"CAST({_value(name) if name in rows else 'NULL'} AS {kind}) AS {quote(name)}" for name, kind in kinds.items()
    )
    days = f"{calendar.sql_day(quote('at'))} AS day, {calendar.sql_day('known_at')} AS known_on"
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("rows", rows)
        query = f'SELECT *, {days} FROM (SELECT {columns} FROM rows) ORDER BY "at", {KEYS[table]}'
        con.execute(f"COPY ({query}) TO {literal(str(path))} {AS_PARQUET}")


def _value(name: str) -> str:
    return f"to_timestamp({quote(name)})" if name in INSTANTS else quote(name)
