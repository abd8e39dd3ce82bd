"""What was decided for each customer, what was sent or withheld, and what came of it: one SQLite file per shop.

Several processes write at once: the service's workers, the command line, the night. A change is one transaction,
whole or absent, and on disk before anybody is told of it: what a mail tool was told, it sends.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import RLock, get_ident
from typing import Any

from features import lake
from features.errors import BadInput, Damaged, Refused
from features.home import Home

FORMAT = 1  # SQLite's user_version; raised when a table changes
BUSY_S = 5.0  # one transaction takes 6 ms with its fsync (2 cores, 2026-11-25): hundreds of writers' turns
UNIT = 10_000  # amounts are whole ten-thousandths, exact as the lake's DECIMAL(18,4)

# FULL: with NORMAL a power cut loses the last transactions, and a message that was sent would be decided, and sent,
# again. It costs 5.4 against 0.06 ms a transaction and .2 CPU-ms (ext4, 2026-11-25); asking again writes nothing.
# secure_delete: what was erased leaves no bytes behind in free pages.
SETTINGS = "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY;"

# A decision is a contact if something is to be sent, or withheld for the sake of an experiment. One that was withdrawn
# is none, unless its reactions prove that it was sent all the same; then it is known once they are.
SCHEMA = """
CREATE TABLE decisions (
    decision_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, campaign_id TEXT NOT NULL, day INTEGER NOT NULL,
    at INTEGER NOT NULL, is_contact INTEGER NOT NULL, arm TEXT NOT NULL, experiment TEXT NOT NULL, scenario TEXT,
    offer_id TEXT, incentive TEXT, channel TEXT, cost INTEGER NOT NULL, withheld INTEGER NOT NULL, why_withheld TEXT,
    coupon_code TEXT, expires_at INTEGER, policy TEXT NOT NULL, release TEXT NOT NULL, withdrawn_at INTEGER,
    withdrawn_why TEXT, result BLOB NOT NULL, UNIQUE (customer_id, campaign_id, day)
) STRICT;
CREATE INDEX decisions_at ON decisions (at);
CREATE TABLE outcomes (
    outcome_id TEXT PRIMARY KEY, content TEXT NOT NULL, message_id TEXT, campaign_id TEXT, customer_id TEXT,
    day INTEGER, kind TEXT NOT NULL, at INTEGER NOT NULL, order_id TEXT, amount INTEGER, known_at INTEGER NOT NULL,
    matched_to TEXT, whose TEXT, matched_at INTEGER
) STRICT;
CREATE INDEX outcomes_message ON outcomes (message_id);
CREATE INDEX outcomes_named ON outcomes (customer_id, campaign_id, day);
CREATE INDEX outcomes_matched ON outcomes (matched_to);
CREATE INDEX outcomes_at ON outcomes (at);
CREATE TABLE codes (
    pool TEXT NOT NULL, code TEXT NOT NULL, decision_id TEXT, PRIMARY KEY (pool, code), UNIQUE (pool, decision_id)
) STRICT;
CREATE VIEW contacts AS SELECT *, CASE WHEN withdrawn_at IS NULL THEN at ELSE max(at, proven_at) END AS known_at FROM (
    SELECT *, (SELECT min(matched_at) FROM outcomes WHERE matched_to = decision_id) AS proven_at FROM decisions
) WHERE is_contact AND (withdrawn_at IS NULL OR proven_at IS NOT NULL);
"""


class Journal:
    """A shop's journal, opened. Threads may share it: each change has its turn."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._turn = RLock()
        self._con = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._con.row_factory = sqlite3.Row
        with self._told():
            self._con.executescript(SETTINGS)

    @classmethod
    def open(cls, home: Home, shop: str) -> "Journal":
        """Open a shop's journal; the first to come creates it.

        Raises
        ------
        BadInput
            If it was written by a version whose format is unknown here.
        Damaged
            If the file is no journal of ours.
        """
        path = home.journal(shop)
        if not path.exists():
            _create(path)
        journal = cls(path)
        (found,) = journal.rows("PRAGMA user_version")[0]
        if found != FORMAT:
            journal.close()
            raise BadInput(f"{path}: format {found} is unknown here; this version reads {FORMAT}")
        return journal

    def close(self) -> None:
        self._con.close()

    @contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """Give the connection for one change, whole or absent; other processes wait for their turn.

        Raises
        ------
        Refused
            If another process kept its turn for seconds.
        """
        with self._turn, self._told():
            self._con.execute("BEGIN IMMEDIATE")
            try:
                yield self._con
                self._con.execute("COMMIT")
            except BaseException:
                if self._con.in_transaction:
                    self._con.execute("ROLLBACK")
                raise

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Read as the journal stands; nobody waits for a reader."""
        with self._turn, self._told():
            return self._con.execute(query, values).fetchall()

    def tidy(self) -> None:
        """Move all that was written into the file itself, so that no other file beside it holds a copy."""
        with self._turn, self._told():
            self._con.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell a busy journal from a broken one."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise Refused(f"{self.path}: another process is writing; try again shortly") from None
            raise
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorname in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
                raise Damaged(f"{self.path}: {error}; restore it from a backup") from None
            raise


def _create(path: Path) -> None:
    """Write an empty journal whole and aside; a link, unlike a rename, never replaces one that was first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staged = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.tmp")  # what lake.sweep takes for left over
    staged.unlink(missing_ok=True)
    os.close(os.open(staged, os.O_WRONLY | os.O_CREAT, 0o600))  # SQLite gives the files beside it the same rights
    try:
        with closing(sqlite3.connect(staged)) as con:
            con.execute("PRAGMA journal_mode = WAL")
            con.executescript(f"{SCHEMA} PRAGMA user_version = {FORMAT};")
        lake.sync(staged)
        with suppress(FileExistsError):
            os.link(staged, path)
    finally:
        staged.unlink(missing_ok=True)
    lake.sync(path.parent)


def in_units(amount: float) -> int:
    """Give an amount in whole ten-thousandths.

    >>> in_units(12.3), in_units(-0.00004)
    (123000, 0)
    """
    return round(amount * UNIT)
