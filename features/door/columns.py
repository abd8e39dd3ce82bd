"""Writing a table's mapping as one SQL query: each row with its values, its first fault and its business days.

The query has five layers, each a projection of the one below: what the source *said* (text, or a typed Parquet column
as it is), the *local* times among it, the canonical *values*, the first *fault* of each row, and the days.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from features.door import instants
from features.door.mapping import TableMapping
from features.door.tables import STORED_AS
from features.door.values import Typed, Values, condition
from features.sql import literal, quote

CONVERTED = {"revenue", "tax", "list_price", "discount", "cost"}  # of order lines, by the shop's rates
# Canonical columns that are looked at whether or not the mapping has them; of the others only those it has are typed.
ALWAYS = ("customer_id", "returns_order_id", "status", "known_at")


@dataclass(frozen=True)
class Writer:
    """Writes one table's mapping over one source."""

    values: Values

    @property
    def how(self) -> TableMapping:
        return self.values.how

    def query(self, now: datetime) -> str:
        """Select the canonical columns, ``day``, ``known_on``, ``aside``, ``fault`` and ``shifted`` of each row."""
        columns = self.values.columns()
        given = [typed.column.name for typed in columns]
        said = ", ".join(f"{typed.said} AS {quote('said_' + typed.column.name)}" for typed in columns)
        rules = " ".join(f"WHEN {condition(rule.when)} THEN {literal(rule.reason)}" for rule in self.how.set_aside)
        returned = condition(self.how.returns) if self.how.returns else "false"
        values = ", ".join(f"{typed.value} AS {quote(typed.column.name)}" for typed in columns)
        kept = ", ".join(quote(name) for name in given)
        absent = "".join(
            f", CAST(NULL AS {STORED_AS[column.kind]}) AS {quote(column.name)}"
            for column in self.values.table.columns
            if column.name not in given and column.name in ALWAYS
        )
        zero = "WHEN quantity = 0 THEN 'quantity_zero'" if self.values.table.name == "order_lines" else ""
        asides = f"CASE WHEN rule IS NOT NULL THEN rule {zero} END"
        faults, suspects = list(self._faults(columns, now)), list(self._suspects(columns, now))
        fault = f"CASE WHEN {' OR '.join(suspects)} THEN CASE {' '.join(faults)} END END"
        layers = (
            f"SELECT {said}, {f'CASE {rules} END' if rules else 'CAST(NULL AS VARCHAR)'} AS rule,"
            f" {returned} AS is_return FROM {self.values.source.relation}",
            "".join(["SELECT *", *(f", {t.local} AS {quote(f'local_{t.column.name}')}" for t in columns if t.local)]),
            f"SELECT *, {values}",
            f"SELECT {kept}{absent}, is_return, {asides} AS aside,"
            f' CAST({fault} AS STRUCT("column" VARCHAR, value VARCHAR, code VARCHAR)) AS fault,'
            f" {self._shifted(given)} AS shifted",
            self._dated(),
        )
        query = layers[0]
        for layer in layers[1:]:
            query = f"{layer} FROM ({query})"
        return query

    def _faults(self, columns: list[Typed], now: datetime) -> Iterator[str]:
        for typed in columns:
            said = f"CAST({quote('said_' + typed.column.name)} AS VARCHAR)"
            for test, code in typed.faults:
                value = "'***'" if code == "PERSONAL_DATA" else said
                yield _fault(test, typed.column.name, value, code)
        given = [typed.column.name for typed in columns]
        if "currency" in given:
            known = ", ".join(literal(c) for c in (self.values.mapping.currency, *self.values.mapping.rates))
            yield _fault(f"currency NOT IN ({known})", "currency", "currency", "CURRENCY")
        limit = (now + timedelta(days=1)).isoformat()
        for name in dict.fromkeys((self.values.table.happened, "known_at")):
            if name in given:
                said = f"CAST({quote(f'said_{name}')} AS VARCHAR)"
                yield _fault(f"{quote(str(name))} > TIMESTAMPTZ '{limit}'", str(name), said, "FUTURE")

    def _suspects(self, columns: list[Typed], now: datetime) -> Iterator[str]:
        """Write where any fault may be, in a few quick tests a column."""
        given = [typed.column.name for typed in columns]
        yield from (f"coalesce({typed.suspect}, false)" for typed in columns)
        if "currency" in given:
            yield f"coalesce(currency <> {literal(self.values.mapping.currency)}, false)"
        limit = (now + timedelta(days=1)).isoformat()
        for name in dict.fromkeys((self.values.table.happened, "known_at")):
            if name in given:
                yield f"coalesce({quote(str(name))} > TIMESTAMPTZ '{limit}', false)"

    def _shifted(self, given: list[str]) -> str:
        """Write whether the clock was set back or forward at the local time said: fold, gap or NULL."""
        happened = self.values.table.happened
        source = self.how.columns.get(happened) if happened in given else None
        if not isinstance(source, str) or self.values.source.types[source] not in ("VARCHAR", "TIMESTAMP"):
            return "CAST(NULL AS VARCHAR)"
        return instants.sql_shifted(quote(f"local_{happened}"), self.how.zone or self.values.mapping.timezone)

    def _dated(self) -> str:
        """Select the rows with their business days; a return's quantity and revenue are negative."""
        happened, calendar = self.values.table.happened, self.values.mapping.calendar
        if happened is None:
            return "SELECT * EXCLUDE (is_return)"
        name, replaced = quote(happened), {"known_at": f"greatest(known_at, {quote(happened)})"}
        if self.values.table.name == "order_lines":
            rate = self._rate()
            for column in CONVERTED & self.how.columns.keys() if rate else ():
                replaced[column] = f"CAST({column} * {rate} AS {STORED_AS['amount']})"
            if rate:
                replaced["currency"] = literal(self.values.mapping.currency)
            back = "is_return OR coalesce(status = 'returned', false)"
            replaced["quantity"] = f"CASE WHEN {back} THEN -abs(quantity) ELSE quantity END"
            revenue = replaced.get("revenue", "revenue")
            replaced["revenue"] = f"CASE WHEN {back} OR quantity < 0 THEN -abs({revenue}) ELSE {revenue} END"
        day = calendar.sql_day(name)
        known = f"CASE WHEN known_at > {name} THEN {calendar.sql_day('known_at')} ELSE {day} END"  # greatest skips NULL
        return (
            "SELECT * EXCLUDE (is_return) REPLACE ("
            + ", ".join(f"{how} AS {quote(column)}" for column, how in replaced.items())
            + f"), {day} AS day, {known} AS known_on"
        )

    def _rate(self) -> str:
        if not self.values.mapping.rates or "currency" not in self.how.columns:
            return ""
        known = " ".join(f"WHEN {literal(code)} THEN {rate}" for code, rate in self.values.mapping.rates.items())
        return f"CASE currency {known} ELSE 1 END"


def _fault(test: str, column: str, value: str, code: str) -> str:
    return f"WHEN {test} THEN {{'column': {literal(column)}, 'value': {value}, 'code': {literal(code)}}}"
