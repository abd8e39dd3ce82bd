"""Where every row of a load went: nothing is lost in silence."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Ledger:
    """Where every row of a load went: rows_in = accepted + set_aside + duplicates + quarantined."""

    rows_in: int = 0
    accepted: int = 0
    set_aside: int = 0
    duplicates: int = 0
    quarantined: int = 0
    reasons: dict[str, int] = field(default_factory=dict)  # of set_aside and quarantined rows
    notes: dict[str, int] = field(default_factory=dict)  # guests and returns among the accepted

    def balanced(self) -> bool:
        """Tell whether the ledger adds up."""
        return self.rows_in == self.accepted + self.set_aside + self.duplicates + self.quarantined

    def add(self, other: "Ledger", table: str, again: bool) -> None:
        """Add one table's ledger; its reasons keep the table's name in front.

        Rows read ``again`` for a second table (products named in order lines) were counted once already:
        only how many were accepted is noted.
        """
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
        }
