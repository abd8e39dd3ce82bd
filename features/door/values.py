"""One canonical column as SQL: what the source says, its exact value, and the codes of what can be wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from features.door import instants
from features.door.computed import Computed, Condition, When, place_in
from features.door.lossless import expect_type
from features.door.mapping import Mapping, TableMapping
from features.door.numerals import DIGITS, sql_plain
from features.door.personal import EMAIL, PHONE
from features.door.readers import Source
from features.door.records import AT, CONTROL, DASH, EVERY, LONG, PLUS, SPACE
from features.door.secret import sql_keyed
from features.door.tables import STORED_AS, Column, Table
from features.sql import literal, quote

# Engineering bounds, 2026-11-21: wider than any shop seen, narrower than what overflows DECIMAL(18,4).
LARGEST_AMOUNT = 1_000_000_000
EARLIEST, LATEST = "1990-01-01", "2100-01-01"
ID_LENGTH = 64
CONTROLS = r"[\x00-\x1f\x7f]"
MANGLED = r"[0-9]([.][0-9]+)?[eE][+][0-9]{1,3}"  # what a spreadsheet makes of a long number

Faults = tuple[tuple[str, str], ...]  # (condition, code) over the columns said_X and X


@dataclass(frozen=True)
class Typed:
    """One canonical column in SQL: what the source ``said``, its ``value`` of that, and its ``faults`` in order.

    ``suspect`` is true wherever a fault is, and quick: the faults themselves are only looked for there.
    """

    column: Column
    said: str
    value: str
    suspect: str
    faults: Faults
    local: str | None = None  # of a time: the local time it says, as a column ``local_X`` that ``value`` reads


def condition(when: When) -> str:
    """Write a mapping's conditions as one SQL boolean that is never NULL."""
    tests = [test for name, c in when.items() for test in _tests(quote(name), c)]
    return f"coalesce({' AND '.join(tests)}, false)"


def _tests(column: str, c: Condition) -> Iterator[str]:
    text, number = f"coalesce(CAST({column} AS VARCHAR), '')", f"TRY_CAST({column} AS DOUBLE)"
    if c.is_in is not None:
        yield f"{text} IN ({', '.join(literal(v) for v in c.is_in)})"
    if c.matches is not None:
        yield f"regexp_matches({text}, {literal(c.matches)})"
    if c.not_matches is not None:
        yield f"NOT regexp_matches({text}, {literal(c.not_matches)})"
    if c.empty is not None:
        yield f"({text} = '') = {str(c.empty).lower()}"
    if c.min is not None:
        yield f"{number} >= {c.min!r}"
    if c.max is not None:
        yield f"{number} <= {c.max!r}"


@dataclass(frozen=True)
class Values:
    """Writes the columns of one table's mapping over one source."""

    table: Table
    how: TableMapping
    mapping: Mapping
    source: Source
    key: bytes | None  # the shop's, where a column is kept as its HMAC

    def columns(self) -> list[Typed]:
        """Write every mapped column, in the order of the canonical table."""
        return [self._typed(self.table.column(name)) for name in self.table.names if name in self.how.columns]

    def unexpecting(self) -> list[Column]:
        """List the columns of text in which the mapping expects neither addresses nor telephone numbers."""
        named = [self.table.column(name) for name in self.how.columns]
        return [c for c in named if c.kind in ("id", "text") and self._is_unexpecting(c, self._said(c)[1])]

    def _is_unexpecting(self, column: Column, kind: str) -> bool:
        source = self.how.columns[column.name]
        is_made = isinstance(source, Computed) and (source.hmac is not None or source.constant is not None)
        return kind == "VARCHAR" and not is_made and column.name not in self.how.personal_data

    def collisions(self, con: duckdb.DuckDBPyConnection) -> list[str]:
        """List ids that are written differently and become one by the mapping's `ids` (faults.md A17)."""
        told = []
        for name, column in self.how.columns.items():
            kind = self.source.types.get(column) if isinstance(column, str) else None
            if (self.how.ids.trim or self.how.ids.nfkc) and kind == "VARCHAR" and self.table.column(name).kind == "id":
                value, _, _ = self._id(self.table.column(name), quote(str(column)), "VARCHAR")
                same = con.execute(
                    f"SELECT list(DISTINCT {quote(str(column))} ORDER BY {quote(str(column))}) AS written"
                    f" FROM {self.source.relation} WHERE {quote(str(column))} <> '' GROUP BY {value}"
                    " HAVING len(written) > 1 ORDER BY written LIMIT 20"
                ).fetchall()
                told += [f"{self.source.name}: {name}: made one by `ids`: {', '.join(map(repr, w))}" for (w,) in same]
        return told

    def _typed(self, column: Column) -> Typed:
        said, kind = self._said(column)
        name, text = quote(column.name), quote(f"said_{column.name}")
        value, suspect, faults = self._value(column, text, kind)
        if column.required and column.name != "customer_id":  # an empty one is a guest
            suspect, faults = f"{name} IS NULL OR {suspect}", ((f"{text} IS NULL", "EMPTY"), *faults)
        elif column.kind not in ("id", "text", "word"):  # those are there whenever something was said
            suspect = f"({name} IS NULL) <> ({text} IS NULL) OR {suspect}"
        is_time = column.kind in ("instant", "day")
        local = instants.sql_local(text, kind, self.how.formats) if is_time else None
        return Typed(column, said, value, suspect, faults, local)

    def _said(self, column: Column) -> tuple[str, str]:
        """Write what the source says: its own type where it has one, else text without the empty one."""
        source = self.how.columns[column.name]
        if isinstance(source, Computed):
            return f"nullif({self._computed(source)}, '')", "VARCHAR"
        kind = self.source.types[source]
        words = self.how.words.get(column.name)
        if kind != "VARCHAR" and not words:
            expect_type(self.source, source, kind, column)
            # pandas writes NaN where nothing is
            return (
                (f"CASE WHEN NOT isnan({quote(source)}) THEN {quote(source)} END", kind)
                if kind in ("FLOAT", "DOUBLE")
                else (quote(source), kind)
            )
        said = _nonempty(source)
        if words:
            mapped = "".join(f" WHEN {literal(word)} THEN {literal(ours)}" for word, ours in words.items())
            said = f"CASE {said}{mapped} ELSE {said} END"
        return said, "VARCHAR"

    def _computed(self, source: Computed) -> str:
        if source.constant is not None:
            constant = literal(source.constant)
            other = f" ELSE {literal(source.otherwise)}" if source.otherwise is not None else ""
            return f"CASE WHEN {condition(source.when)} THEN {constant}{other} END" if source.when else constant
        if source.nth is not None:
            return f"CAST({quote(place_in(source.nth))} AS VARCHAR)"
        if source.hmac is not None:
            text = f"lower(trim(CAST({quote(source.hmac)} AS VARCHAR)))"
            if self.key is None:
                raise ValueError("an hmac column needs the shop's key")
            made = f"regexp_full_match({text}, '[0-9a-f]{{64}}') THEN {text}"  # it is one already
            return f"CASE WHEN {made} WHEN {text} <> '' THEN {sql_keyed(self.key, text)} END"
        if source.first is not None:
            return f"coalesce({', '.join(_nonempty(name) for name in source.first)})"
        if source.join is not None:
            return f"concat_ws({literal(source.separator)}, {', '.join(_nonempty(name) for name in source.join)})"
        names, operator = (source.sum, " + ") if source.sum is not None else (source.product or [], " * ")
        texts = [f"CAST({quote(name)} AS VARCHAR)" for name in (*names, *(source.less or ()))]
        exact = [f"TRY_CAST({sql_plain(text, self.how.numbers)} AS {STORED_AS['amount']})" for text in texts]
        off = "".join(f" - coalesce({number}, 0)" for number in exact[len(names) :])
        # a part that is no number is shown as it stands, so that the row is quarantined with it
        wrong = " ".join(
            f"WHEN {number} IS NULL AND coalesce({text}, '') <> '' THEN {text}"
            for number, text in zip(exact, texts, strict=True)
        )
        return f"CASE {wrong} ELSE CAST({operator.join(exact[: len(names)])}{off} AS VARCHAR) END"

    def _value(self, column: Column, said: str, kind: str) -> tuple[str, str, Faults]:
        """Write a column's value over what was said, where it is suspect, and its faults."""
        name, text = quote(column.name), said if kind == "VARCHAR" else f"CAST({said} AS VARCHAR)"
        time = said, quote(f"local_{column.name}"), kind, self.how.formats, self.how.zone or self.mapping.timezone
        match column.kind:
            case "id":
                return self._id(column, said, kind)
            case "text":
                personal = self._personal(column, kind)
                return text, personal[0][0] if personal else "false", personal
            case "word":
                unknown = f"{name} NOT IN ({', '.join(literal(word) for word in column.words)})"
                return text, unknown, ((unknown, "BAD_WORD"),)
            case "instant":
                early, late = (f"TIMESTAMPTZ '{day} 00:00:00+00'" for day in (EARLIEST, LATEST))
                beyond = f"{name} < {early} OR {name} >= {late}"
                return instants.sql_instant(*time), beyond, (*_unread(column, "BAD_DATE"), (beyond, "RANGE_DATE"))
            case "day":
                return instants.sql_day(*time), "false", _unread(column, "BAD_DATE")
            case "boolean":
                return f"TRY_CAST({said} AS BOOLEAN)", "false", _unread(column, "BAD_WORD")
            case "integer" | "amount" | "quantity":
                return self._number(column, said, kind)

    def _id(self, column: Column, said: str, kind: str) -> tuple[str, str, Faults]:
        name = quote(column.name)
        if kind in ("FLOAT", "DOUBLE"):
            return f"CAST(CAST({said} AS BIGINT) AS VARCHAR)", "false", ()
        if kind != "VARCHAR":
            return f"CAST({said} AS VARCHAR)", "false", ()
        text = said
        if self.how.ids.nfkc:
            text = f"CASE WHEN length({text}) = strlen({text}) THEN {text} ELSE nfkc({text}) END"
        if self.how.ids.trim:
            text = f"trim({text}, ' 　\t')"
        blank = f"{name} = '' OR ((starts_with({name}, ' ') OR starts_with({name}, '　')) AND trim({name}, ' 　') = '')"
        bad = f"length({name}) > {ID_LENGTH} OR {blank} OR regexp_matches({name}, '{CONTROLS}')"
        faults = ((bad, "BAD_ID"), (f"regexp_full_match({name}, '{MANGLED}')", "EXCEL_MANGLED_ID"))
        personal, marks = self._personal(column, kind), self._marks(column)
        tests = {
            f"{name} < '!' OR starts_with({name}, '　')": SPACE | CONTROL,  # empty, or a space before anything else
            f"strlen({name}) > {ID_LENGTH}": LONG,
            f"regexp_matches({name}, '{CONTROLS}')": CONTROL,
            f"contains({name}, 'E+') OR contains({name}, 'e+')": PLUS,
        }
        suspects = [test for test, needs in tests.items() if marks & needs] + [test for test, _ in personal]
        return text, " OR ".join(suspects) or "false", (*faults, *personal)

    def _marks(self, column: Column) -> int:
        """Give the marks that may be in a canonical column; what is made of several may have any."""
        source = self.how.columns[column.name]
        is_made = self.how.ids.nfkc or column.name in self.how.words or isinstance(source, Computed)
        return EVERY if is_made else self.source.marks(str(source))

    def _personal(self, column: Column, kind: str) -> Faults:
        """Write the test for e-mail addresses and telephone numbers where the mapping does not expect them."""
        name = quote(column.name)
        if not self._is_unexpecting(column, kind):
            return ()
        marks = self._marks(column)
        plus = f" OR starts_with({name}, '+')" if marks & PLUS else ""
        phone = f"WHEN starts_with({name}, '0'){plus} THEN regexp_full_match({name}, '{PHONE}')"
        email = f"WHEN contains({name}, '@') THEN regexp_full_match({name}, '{EMAIL}')"
        cases = [case for case, needs in ((phone, SPACE | DASH), (email, AT)) if marks & needs]
        # a CASE looks at a pattern only where its first character is right; AND looks at both everywhere
        return ((f"CASE {' '.join(cases)} ELSE false END", "PERSONAL_DATA"),) if cases else ()

    def _number(self, column: Column, said: str, kind: str) -> tuple[str, str, Faults]:
        name, wide, stored = quote(column.name), f"TRY_CAST({said} AS DOUBLE)", STORED_AS[column.kind]
        beyond = f"abs({name}) > {LARGEST_AMOUNT}"
        huge = f"{name} IS NULL AND isfinite({wide}) AND abs({wide}) > {LARGEST_AMOUNT}"
        faults = ((huge, "RANGE"), *_unread(column, "BAD_NUMBER"), (beyond, "RANGE"))
        if kind != "VARCHAR":
            return f"TRY_CAST({said} AS {stored})", beyond, faults
        plain = sql_plain(said, self.how.numbers)
        number = f"CASE WHEN regexp_full_match({plain}, '{DIGITS}') THEN TRY_CAST({plain} AS {stored}) END"
        return number, beyond, faults


def _nonempty(name: str) -> str:
    return f"nullif(CAST({quote(name)} AS VARCHAR), '')"


def _unread(column: Column, code: str) -> tuple[tuple[str, str], ...]:
    """Write the test for a text that was there and gave no value."""
    return ((f"{quote(column.name)} IS NULL AND {quote('said_' + column.name)} IS NOT NULL", code),)
