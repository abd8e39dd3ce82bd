"""Coupon codes of a pool: each given away at most once, and a decision that asks again gets its own again."""

from collections.abc import Sequence

from features.journal import Journal


class Pool:
    """The codes of one pool in the order of its file, given out in that order by every process together."""

    def __init__(self, journal: Journal, name: str, codes: Sequence[str]) -> None:
        self._journal, self.name, self._codes = journal, name, codes
        self._next = 0  # all before it were given away: nothing is ever put back

    def claim(self, decision_id: str) -> str | None:
        """Give a decision its code; ``None`` if the pool is empty."""
        if self._next == 0:
            self._skip_used()
        with self._journal.turn() as con:
            own = con.execute("SELECT code FROM codes WHERE pool = ? AND decision_id = ?", [self.name, decision_id])
            if row := own.fetchone():
                return str(row["code"])
            while self._next < len(self._codes):
                code = self._codes[self._next]
                self._next += 1
                taken = con.execute("INSERT OR IGNORE INTO codes VALUES (?, ?, ?)", [self.name, code, decision_id])
                if taken.rowcount:
                    return code
        return None

    def left(self) -> int:
        """Count the codes not given away yet."""
        return len(set(self._codes) - self._used())

    def _used(self) -> set[str]:
        return {row["code"] for row in self._journal.rows("SELECT code FROM codes WHERE pool = ?", [self.name])}

    def _skip_used(self) -> None:
        used = self._used()
        while self._next < len(self._codes) and self._codes[self._next] in used:
            self._next += 1
