"""`okaeri forget`: a customer removed from every place of a home, and a receipt of what was searched and what stays.

What was found is written to a journal before anything is removed, so that a run that was killed is finished by the
next, with the same receipt. The journal names the customer and is the last thing deleted.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features import lake
from features.door import forget as door
from features.door.forget import SEPARATOR, Trace
from features.door.secret import keyed, shop_key
from features.errors import BadInput
from features.home import Home
from features.journal import keeping as journal
from features.shop import open_shop
from features.trace import trace
from serving import republish, shadow
from serving.lists.files import sums_again

JOURNAL = ".forget.json"
# Rooms that have a part of their own, hold no ids (tests/serving/test_forget.py looks), or are the shop's own files.
OWN_PART = ("lake", "feast", "publications", "releases", "mlruns", "receipts", "drop", "journal", JOURNAL)
LINES = (".jsonl", ".log", ".txt")
Progress = Callable[[str], None]
Receipt = dict[str, Any]


def forget(
    home: Home, customer_id: str, when: datetime, shop: str | None = None, say: Progress = lambda text: None
) -> Receipt:
    """Remove a customer, every id merged with them and their aliases; give the receipt, which is kept too.

    Parameters
    ----------
    when
        The machine's clock, for the receipt.
    shop
        A shop of the home; default the first one.

    Raises
    ------
    BadInput
        If the shop does not know the id and never forgot it.
    Refused
        If an ingest, a night or a training runs.
    """
    name = shop or home.default_shop()
    with ExitStack() as held:
        for path, what in (
            (home.root / ".night.lock", "the night"),
            (home.releases / ".training.lock", "training"),
            (home.lake(name) / ".lock", f"the lake of {name}"),
        ):
            held.enter_context(lake.locked(path, what))
        left = _finish_what_was_killed(home, say)
        if left is not None and left["customer"] == _pseudonym(home, customer_id):
            return left
        say("searching")
        found = _search(home, name, customer_id, when)
        lake.write_json(home.root / JOURNAL, found)
        return _finish(home, found, say)


def _finish_what_was_killed(home: Home, say: Progress) -> Receipt | None:
    if not (home.root / JOURNAL).exists():
        return None
    say("finishing what an earlier run began")
    return _finish(home, lake.read_json(home.root / JOURNAL), say)


def _pseudonym(home: Home, customer_id: str) -> str:
    return keyed(shop_key(home), f"customer{SEPARATOR}{customer_id}")


def _search(home: Home, name: str, customer_id: str, when: datetime) -> dict[str, Any]:
    """Find all that is to go, count it place by place, and bury the names so that no later file brings them back."""
    opened = open_shop(home, name)
    try:
        theirs = trace(opened, customer_id)
    except BadInput:
        if not door.Tombstones(home, name).now()(customer_id):
            raise
        theirs = Trace((customer_id,), (), (), ())  # once more over every place: nothing should be there
    decided = journal.decisions_of(home, name, theirs.customers)
    theirs = replace(theirs, contacts=tuple(sorted({*theirs.contacts, *decided})))
    door.entomb(home, name, theirs)
    from feature_repo import forget as features  # five CPU-seconds to import

    is_default = name == home.default_shop()
    places = {
        "lake": door.found_in(opened, theirs),
        "journal": journal.found_in(home, name, theirs),
        "feature store": features.found_in(home, name, theirs.customers),
        "publications": republish.found_in(home, theirs.customers) if is_default else {},
        "shadow reports": shadow.found_in(home, theirs.customers) if is_default else {},
        "other files": _found_in_files(home, named_in_files(theirs)) if is_default else {},
    }
    return {
        "shop": name,
        "customer": _pseudonym(home, customer_id),
        "asked_at": when.isoformat(),
        "rows_removed": places,
        "lake_before": opened.version,
        "trace": asdict(theirs),
    }


def _finish(home: Home, found: dict[str, Any], say: Progress) -> Receipt:
    """Remove what was found, place by place, each of which can be done again; then the receipt, then the journal."""
    from feature_repo import forget as features

    theirs = Trace(**{name: tuple(values) for name, values in found["trace"].items()})
    journal.erase(home, found["shop"], theirs)
    say("rewriting the lake")
    door.erase(open_shop(home, found["shop"]), theirs)
    say("clearing the feature store")
    features.erase(home, found["shop"], theirs.customers)
    if found["shop"] == home.default_shop():
        say("publishing the nights again")
        republish.erase(home, theirs.customers)
        shadow.erase(home, theirs.customers)
        _erase_files(home, named_in_files(theirs))
        sums_again(home.root / "exports")
    receipt = _receipt(home, found, theirs)
    stamp = re.sub(r"[^0-9]", "", found["asked_at"])[:14]
    lake.write_json(home.root / "receipts" / f"{stamp}-{found['customer'][:16]}.json", receipt)
    for folder in (home.root, home.lake(found["shop"]), home.publications, home.root / "receipts"):
        lake.sweep(folder)
    (home.root / JOURNAL).unlink()
    lake.sync(home.root)
    return receipt


def _receipt(home: Home, found: dict[str, Any], theirs: Trace) -> Receipt:
    """Say what was searched, what was removed, and what stays and why; the customer by pseudonym alone."""
    champion = lake.pointed(home.releases / "CURRENT.json")
    stays = [
        {"what": "tombstones (pseudonyms by the shop's key)", "why": "so that a later file does not bring them back"},
        {"what": "ledgers' counts and the checksums of files", "why": "they name nobody"},
        {"what": "lines of orders that name no customer", "why": "a guest's: nothing joins them to anybody"},
        {"what": "coupon codes given away, to nobody", "why": "so that none is given twice"},
        {"what": "copies of this home", "why": "out of reach of this command"},
    ]
    if champion is not None:
        why = "models and their runs hold no ids, but learnt from these rows too: run `okaeri train`"
        stays.append({"what": f"release {champion[0].name} and mlruns", "why": why})
    for path in _own_files(home, found["shop"], theirs):
        why = "the shop's own file; its rows would be set aside if it came again"
        stays.append({"what": f"drop/{found['shop']}/{path.name}", "why": why})
    for path in _unread(home, named_in_files(theirs)):
        why = "holds the id but is no kind of file this command rewrites; remove it by hand"
        stays.append({"what": str(path.relative_to(home.root)), "why": why})
    counted = {f"n_{name}": len(values) for name, values in asdict(theirs).items()}
    return {
        **{name: found[name] for name in ("shop", "customer", "asked_at", "rows_removed", "lake_before")},
        **counted,
        "lake_after": open_shop(home, found["shop"]).version,
        "stays": stays,
    }


def _own_files(home: Home, shop: str, theirs: Trace) -> list[Path]:
    files = (path for path in sorted((home.root / "drop" / shop).glob("*")) if path.is_file())
    return [path for path in files if _names(path.read_bytes(), theirs.customers)]


# ---- files that no floor has a part for: exports, ledgers, logs ---------------------------------------------------


def named_in_files(theirs: Trace) -> tuple[str, ...]:
    """List what names them in a file: their ids, and their LINE user ids, which are all that a LINE audience holds."""
    aliases = (alias.split(SEPARATOR, 1) for alias in theirs.aliases)
    return (*theirs.customers, *(value for kind, value in aliases if kind == "line_user_id"))


def _files(home: Home) -> Iterator[Path]:
    for top in sorted(home.root.iterdir()):
        if top.name not in OWN_PART:
            yield from sorted(path for path in (top.rglob("*") if top.is_dir() else (top,)) if path.is_file())
    yield from sorted(path for path in home.publications.glob("*") if path.is_file())


def _found_in_files(home: Home, ids: Sequence[str]) -> dict[str, int]:
    counts = {str(path.relative_to(home.root)): _without(path, ids)[0] for path in _files(home)}
    return {name: n for name, n in counts.items() if n}


def _erase_files(home: Home, ids: Sequence[str]) -> None:
    for path in list(_files(home)):
        lake.sweep(path.parent)
        n, rest = _without(path, ids) if path.exists() else (0, b"")
        if n:
            lake.write_bytes(path, rest)


def _unread(home: Home, ids: Sequence[str]) -> list[Path]:
    known = (".parquet", ".csv", ".tsv", *LINES)
    return [path for path in _files(home) if path.suffix not in known and _names(path.read_bytes(), ids)]


def _without(path: Path, ids: Sequence[str]) -> tuple[int, bytes]:
    """Count the rows of a file that are the customer's, and give its bytes without them."""
    if path.suffix == ".parquet":
        return _without_rows(path, ids)
    if path.suffix not in (".csv", ".tsv", *LINES):
        return 0, b""
    content = path.read_bytes()
    if not _names(content, ids):
        return 0, b""
    lines = content.splitlines(keepends=True)
    gone = set(_rows_of(content, path.suffix, ids) if path.suffix in (".csv", ".tsv") else _lines_of(lines, path, ids))
    return len(gone), b"".join(line for n, line in enumerate(lines) if n not in {m for row in gone for m in row})


def _without_rows(path: Path, ids: Sequence[str]) -> tuple[int, bytes]:
    table = pq.read_table(path)
    if "customer_id" not in table.column_names:
        return 0, b""
    theirs = pc.fill_null(pc.is_in(table["customer_id"].cast(pa.string()), pa.array(ids, pa.string())), False)
    out = io.BytesIO()
    pq.write_table(table.filter(pc.invert(theirs)), out, compression="zstd")
    return int(pc.sum(theirs).as_py() or 0), out.getvalue()


def _lines_of(lines: list[bytes], path: Path, ids: Sequence[str]) -> Iterator[range]:
    """Find the lines that name the customer: a JSON line by one of its values, another by a word of it."""
    for n, line in enumerate(lines):
        if _names(line, ids) and (path.suffix != ".jsonl" or _holds(json.loads(line), set(ids))):
            yield range(n, n + 1)


def _rows_of(content: bytes, suffix: str, ids: Sequence[str]) -> Iterator[range]:
    """Find the lines of the records with a cell that is an id; bytes are kept, whatever the encoding."""
    rows = csv.reader(io.StringIO(content.decode("latin-1"), newline=""), delimiter="\t" if suffix == ".tsv" else ",")
    cells = {spelled.decode("latin-1") for one in ids for spelled in _spellings(one)}
    begun = 0
    for row in rows:
        if cells & {cell.removeprefix("'") for cell in row}:  # the mark of the profile excel-ja
            yield range(begun, rows.line_num)
        begun = rows.line_num


def _holds(value: Any, ids: set[str]) -> bool:
    if isinstance(value, dict):
        return any(_holds(inner, ids) for inner in (*value.keys(), *value.values()))
    return any(_holds(inner, ids) for inner in value) if isinstance(value, list) else value in ids


def _spellings(one: str) -> set[bytes]:
    """Write an id in the encodings that exports have."""
    return {one.encode(), one.encode("cp932", "ignore")} - {b""}


def _names(content: bytes, ids: Sequence[str]) -> bool:
    """Tell whether bytes hold an id that stands alone."""
    words = b"|".join(re.escape(spelled) for one in ids for spelled in sorted(_spellings(one)))
    return re.search(rb"(?<![0-9A-Za-z_-])(?:" + words + rb")(?![0-9A-Za-z_-])", content) is not None
