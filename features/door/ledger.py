"""Where every row of a load went: nothing is lost in silence."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np

from features.door.readers import Source
from features.door.tables import Table
from features.errors import BadInput

# Share of a file's rows above which it is refused whole (faults.md A11, A13, A38): something is wrong with all of it.
REFUSED_ABOVE = {"FUTURE": 0.01, "EXCEL_MANGLED_ID": 0.001, "PERSONAL_DATA": 0.01}
FEWEST_LINES, UNKNOWN_ABOVE = 100, 0.8  # of lines with products never seen before
WHY_REFUSED = {
    "FUTURE": "lie in the future of this machine's clock",
    "EXCEL_MANGLED_ID": "hold an id a spreadsheet has shortened, such as 1.23E+15; export again with ids as text",
    "PERSONAL_DATA": "hold an e-mail address or telephone number; map the column with `hmac:`, which keeps a pseudonym"
    " only, or name it in `personal_data`",
}


@dataclass
class Ledger:
    """Where every row of a load went: rows_in = accepted + set_aside + duplicates + quarantined."""

    rows_in: int = 0
    accepted: int = 0
    set_aside: int = 0
    duplicates: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # of set_aside and quarantined rows
    notes: dict[str, int] = field(default_factory=dict)  # guests, returns and the like among the accepted
    warnings: list[str] = field(default_factory=list)  # what a person should look at

    def balanced(self) -> bool:
        """Tell whether the ledger adds up."""
        return self.rows_in == self.accepted + self.set_aside + self.duplicates + self.quarantined

    def add(self, other: "Ledger", table: str, again: bool) -> None:
        """Add one table's ledger; its reasons keep the table's name in front.

        Rows read ``again`` for a second table (products named in order lines) were counted once already:
        only how many were accepted is noted.
        """
        self.warnings += [warning for warning in other.warnings if warning not in self.warnings]
        if again:
            self.notes[f"{table}.accepted"] = other.accepted
            return
        for name in ("rows_in", "accepted", "set_aside", "duplicates", "quarantined"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons |= {f"{table}.{reason}": n for reason, n in other.reasons.items()}
        self.notes |= {f"{table}.{note}": n for note, n in other.notes.items()}

    def noted(self, name: str) -> int:
        """Sum a note over the tables."""
        return sum(n for note, n in self.notes.items() if note.endswith(f".{name}"))

    def as_dict(self) -> dict[str, Any]:
        """Give the ledger as `ingest --json` prints it."""
        return {
            "rows_in": self.rows_in,
            "accepted": self.accepted,
            "set_aside": self.set_aside,
            "duplicates": self.duplicates,
            "quarantined": self.quarantined,
            "reasons": dict(sorted(self.reasons.items())),
            "notes": dict(sorted(self.notes.items())),
            "warnings": self.warnings,
        }


def refuse_spoilt(con: duckdb.DuckDBPyConnection, source: Source, first_row: int) -> None:
    """Refuse a file so many of whose rows have one fault that the file itself is wrong.

    Raises
    ------
    BadInput
        Naming the file, the column, how many rows, and the first line.
    """
    found = con.execute(
        'SELECT fault.code, fault."column", count(*), min(rowid), (SELECT count(*) FROM typed WHERE rowid >= $first)'
        " FROM typed WHERE rowid >= $first AND fault IS NOT NULL GROUP BY ALL ORDER BY 4",
        {"first": first_row},
    ).fetchall()
    for code, column, n, row, rows in found:
        if code in REFUSED_ABOVE and n > REFUSED_ABOVE[code] * rows:
            line = source.lines(np.array([row - first_row]))[0]
            where = f"column {column}, first on line {line}"
            raise BadInput(f"{source.name}: {code}: {n} of {rows} rows {WHY_REFUSED[code]}: {where}")


def count(con: duckdb.DuckDBPyConnection, table: Table, sources: Sequence[Source]) -> Ledger:
    """Count what became of one table's rows, those that could not be split into fields among them."""
    broken = [record.code for source in sources for record in source.broken]
    rows = con.execute("SELECT count(*) FROM typed").fetchone() or (0,)
    fates = con.execute(
        "SELECT CASE WHEN aside IS NULL THEN 'quarantined' ELSE 'aside' END, coalesce(aside, fault.code), count(*)"
        " FROM typed WHERE aside IS NOT NULL OR fault IS NOT NULL GROUP BY ALL"
        " UNION ALL SELECT fate, coalesce(aside, fault.code), count(*) FROM fates GROUP BY ALL"
    ).fetchall()
    of = {fate: sum(n for f, _, n in fates if f == fate) for fate in ("aside", "duplicate", "quarantined")}
    reasons: dict[str, int] = {}
    for reason, n in [(reason, n) for _, reason, n in fates if reason] + [(code, 1) for code in broken]:
        reasons[reason] = reasons.get(reason, 0) + n
    accepted = rows[0] - sum(of.values())
    return Ledger(
        rows[0] + len(broken),
        accepted,
        of["aside"],
        of["duplicate"],
        of["quarantined"] + len(broken),
        reasons,
        _notes(con, table),
        [note for source in sources for note in source.notes],
    )


def unknown_products(con: duckdb.DuckDBPyConnection, parts: Sequence[str]) -> list[str]:
    """Warn if most order lines are of products the lake has never seen: their ids may have changed (faults.md A37)."""
    if not parts:
        return []
    lines, new = con.execute(
        "SELECT count(*), count(*) FILTER (product_id NOT IN"
        " (SELECT DISTINCT product_id FROM read_parquet($parts, union_by_name = true))) FROM accepted",
        {"parts": parts},
    ).fetchone() or (0, 0)
    if lines < FEWEST_LINES or new <= UNKNOWN_ABOVE * lines:
        return []
    return [
        f"order_lines: {new:,} of {lines:,} lines are of products never seen before: were product ids renamed?"
        " Recommendations know them only after the next training"
    ]


def _notes(con: duckdb.DuckDBPyConnection, table: Table) -> dict[str, int]:
    """Count what is accepted but worth knowing."""
    counted = {}
    if table.happened is not None:
        counted["clock_set_back"] = (
            "count(*) FILTER (shifted = 'fold')"  # local times that came twice: the first is meant
        )
        counted["clock_set_forward"] = "count(*) FILTER (shifted = 'gap')"  # local times that never were: moved forward
    if table.name == "order_lines":
        counted |= {
            "guest_lines": "count(*) FILTER (customer_id IS NULL)",
            "return_lines": "count(*) FILTER (quantity < 0)",
            "returns_without_order": "count(*) FILTER (quantity < 0 AND returns_order_id IS NULL)",
            "ids_equal_but_for_zeros": "(SELECT count(DISTINCT a.customer_id) FROM accepted a JOIN"
            " (SELECT DISTINCT customer_id FROM accepted) b ON ltrim(a.customer_id, '0') = b.customer_id"
            " WHERE starts_with(a.customer_id, '0'))",
            "lines_taken_back": "(SELECT count(*) FROM reversals)",
        }
    if not counted:
        return {}
    values = con.execute(f"SELECT {', '.join(counted.values())} FROM accepted").fetchone() or ()
    always = ("guest_lines", "return_lines")
    return {name: n for name, n in zip(counted, values, strict=True) if n or name in always}
