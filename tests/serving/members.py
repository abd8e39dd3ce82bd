"""More of the generated shop: two accounts of one person, their traces in every table, and files nobody mapped."""

import json
from pathlib import Path

import pandas as pd

from features.door.ingest import Ledger, ingest
from features.door.mapping_file import parse_mapping
from features.home import Home
from features.journal import Journal
from features.journal.decisions import Decision, record
from features.journal.outcomes import Outcome, take
from serving.lists.files import List, write_list
from serving.lists.profiles import PROFILES

from . import shop as told
from .shop import NIGHT, at

PERSON, SECOND, MEMBER = "weekly", "weekly-on-the-phone", "M0071717"
LINE_ID, DEVICE, TABLET = "U4af4980629aa", "dev-weekly-9", "tablet-of-the-shop"
ALIASES = {LINE_ID, DEVICE, MEMBER}
MAPPING = told.MAPPING.replace(
    b"columns: {customer_id: c, region: region,",
    b"columns: {line_user_id: line, member_no: member, signed_up_at: t, customer_id: c, region: region,",
) + (
    b"""
  identities:
    source: identities*.csv
    columns: {alias_type: kind, alias: alias, customer_id: c, linked_at: t, unlinked_at: u}
  shipments:
    source: shipments*.csv
    columns: {order_id: o, shipped_at: t}
  events:
    source: events*.csv
    repeats: keep
    columns: {customer_id: c, alias_type: kind, alias: alias, at: t, kind: what}
  contacts:
    source: contacts*.csv
    columns: {contact_id: m, customer_id: c, at: t}
  responses:
    source: responses*.csv
    columns: {contact_id: m, kind: what, at: t, order_id: o}
  feedback:
    source: feedback*.csv
    columns: {customer_id: c, kind: what, opened_at: t, order_id: o}
"""
)
ORDERS = [f"{SECOND}-{n}" for n in (3, 17)]
FILES = {
    "orders_2.csv": [
        "o,c,t,p,q,r,d,b",
        *(f"{order},{SECOND},{at(NIGHT - int(order.rpartition('-')[2]))},p01,1,500,," for order in ORDERS),
        f"o-bad,c0001,{at(NIGHT - 9)},p01,{SECOND},500,,",  # quarantined, its quantity kept as it was written
        f"o-bad,c0001,{at(NIGHT - 9)},p01,much,500,,",
        f"guest-9,,{at(NIGHT - 9)},p01,1,500,,",
    ],
    "customers_2.csv": [
        "c,region,line,member,t,tier,points,expire",
        f"{PERSON},kanto,{LINE_ID},{MEMBER},{at(NIGHT - 200)},gold,1250.5,2025-03-31",
        f"c0001,kanto,U0000000000001,M0000001,{at(NIGHT - 200)},,,",
    ],
    "identities_2.csv": [
        "kind,alias,c,t,u",
        f"member_no,{MEMBER},{SECOND},{at(NIGHT - 18)},",
        f"device,{DEVICE},{SECOND},{at(NIGHT - 18)},",
        *(f"device,{TABLET},{who},{at(NIGHT - 18)}," for who in (SECOND, *(f"c000{n}" for n in range(1, 7)))),
    ],
    "shipments_2.csv": ["o,t", *(f"{order},{at(NIGHT - 1)}" for order in (*ORDERS, "weekly-5", "twice-30"))],
    "events_2.csv": [
        "c,kind,alias,t,what",
        f",device,{DEVICE},{at(NIGHT - 2)},view",
        f",device,{TABLET},{at(NIGHT - 2)},view",
        f"{PERSON},,,{at(NIGHT - 2)},cart",
        f"c0001,,,{at(NIGHT - 2)},cart",
    ],
    "contacts_2.csv": ["m,c,t", f"msg-w-1,{SECOND},{at(NIGHT - 6)}", f"msg-c-1,c0001,{at(NIGHT - 6)}"],
    "responses_2.csv": [
        "m,what,t,o",
        f"msg-w-1,open,{at(NIGHT - 5)},",
        f",redeem,{at(NIGHT - 3)},{ORDERS[0]}",
        f"msg-c-1,open,{at(NIGHT - 5)},",
    ],
    "feedback_2.csv": ["c,what,t,o", f"{SECOND},review,{at(NIGHT - 4)},{ORDERS[0]}", f"c0001,review,{at(NIGHT - 4)},"],
}
# What no file of a home may hold once the person is forgotten.
TRACES = [PERSON, SECOND, *ALIASES, *ORDERS, "msg-w-1", "decided-w-1"]


def write_files(folder: Path) -> list[Path]:
    """Write the second load's files."""
    folder.mkdir()
    for name, lines in FILES.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sorted(folder.glob("*.csv"))


def take_in(home: Home, files: list[Path]) -> Ledger:
    """Ingest them with the mapping that knows more tables."""
    return ingest(home, parse_mapping(MAPPING, "shop.yaml"), MAPPING, files, told.MACHINE_NOW)


def decide(home: Home) -> None:
    """Write down a decision about each of two customers, and what came of both."""
    journal = Journal.open(home, "cha")
    for one, who, order in (("decided-w-1", SECOND, ORDERS[0]), ("decided-c-1", "c0001", None)):
        made = Decision(one, who, "spring", told.D, 0, "treatment", "global", "p", "r", who.encode(), "spring")
        record(journal, [made])
        take(journal, [Outcome("open", 0, one), Outcome("redeem", 0, one, order_id=order)], 0)
    journal.close()


def leave_files(home: Home) -> None:
    """Leave files in the home as exports, ledgers and logs do."""
    folder = home.root / "exports"
    folder.mkdir()
    (folder / "audience.csv").write_bytes(
        f"顧客番号,名前\r\n'{PERSON},\"二行の\r\n名前\"\r\n'c0001,花\r\n'weekly-2,別人\r\n".encode("cp932")
    )
    decisions = [{"customer_id": "c0001", "n": 1}, {"to": [{"customer_id": SECOND}]}, {"customer_id": "weekly-2"}]
    (folder / "decisions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in decisions))
    lists = folder / "2024-12-31"
    included = pd.DataFrame({"customer_id": ["c0001", PERSON], "line_user_id": ["U0000000000001", LINE_ID]})
    excluded = pd.DataFrame({"customer_id": [SECOND], "reasons": ["BUDGET"], "reason_texts": ["予算上限"]})
    for profile in ("line-audience", "excel-ja", "klaviyo-profiles"):
        write_list(lists, List(profile, PROFILES[profile], included, excluded))
    (folder / "send.log").write_text(f"sent to c0001\nsent to {PERSON}\n")
