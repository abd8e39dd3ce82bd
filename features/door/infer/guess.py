"""What one file seems to be: its table, where each column comes from, and what a person must decide."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from features.door.infer.columns import Seen
from features.door.infer.sample import Sample
from features.door.infer.words import FILES
from features.door.tables import TABLES

SURE = 0.5  # below it a column is left to a person; engineering choice, 2026-11-22


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
    formats: list[str] = field(default_factory=list)  # of times made of two columns
    asides: list[str] = field(default_factory=list)  # comments below the columns
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
    told = (value for key, value in how.items() if key != "separator")
    return [name for value in told for name in (value if isinstance(value, list) else [value])]
