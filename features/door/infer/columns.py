"""What a sampled column holds: dates, numbers, ids or personal data, and nothing of it that names a person."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import duckdb

from features.door.infer.sample import Sample
from features.door.lossless import NUMBERS
from features.door.personal import LANDLINE, MOBILE
from features.sql import literal, quote

_DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%Y年%m月%d日", "%Y%m%d")
_TIMES = (" %H:%M:%S", "T%H:%M:%S", " %H:%M", "T%H:%M", " %H:%M:%S.%f", "T%H:%M:%S.%f", "")
_ZONES = (" %z", "%z")
CERTAIN = (
    *(day + time + zone for day in ("%Y-%m-%d", "%Y/%m/%d") for time in _TIMES[:-1] for zone in _ZONES),
    *(day + time for time in _TIMES for day in _DAYS),
    *("%Y年%m月%d日 %H時%M分", "%Y%m%d%H%M%S", "%d %b %Y", "%b %d, %Y", "%d %b %Y %H:%M:%S"),
)
# Day first and month first, side by side: both may read every row, and then only a person knows.
EITHER = tuple(
    (f"%d{sep}%m{sep}{year}{time}", f"%m{sep}%d{sep}{year}{time}")
    for sep in ("/", "-")
    for year in ("%Y", "%y")
    for time in (" %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p", "")
)
EPOCHS = {10: "epoch_s", 13: "epoch_ms", 16: "epoch_us"}
FEW = 200  # values of which a format must read one to be tried on all
SERIALS = ("30000", "60000")  # what Excel calls the days from 1982 to 2064
EMAIL = r"[^@\s,]+@[^@\s,]+\.[^@\s,]+"
PHONE = rf"'?(\+[0-9]{{1,3}}|0)[0-9]*[ ()-][0-9 ()-]{{5,12}}|{MOBILE}|{LANDLINE}"
SYMBOLS = ("円", "¥", "￥", "\\", "$", "€", "£")  # a yen sign of cp932 is a backslash
PERSONAL = re.compile(
    r"name|address|street|phone|mobile|携帯|連絡先|fax|e-?mail|zip|postal|postcode|birth|氏|姓|名前|名字|苗字|お名|^名(\W|$)|"
    r"セイ|メイ|カナ|ふりがな|フリガナ|住所|電話|\btel\b|ship.?city|請求先|注文者|購入者|buyer|"
    r"郵便|メール|生年|誕生|宛名|届け先|送付先|company|会社|ip.?address|note|メモ|備考|comment",
    re.IGNORECASE,
)
NUMBER, WHOLE = r"[+-]?[0-9]+([.][0-9]+)?", r"[+-]?[0-9]+"
GROUPED = r"[+-]?[0-9]{1,3}(,[0-9]{3})+([.][0-9]+)?"
GERMAN = r"[+-]?([0-9]{1,3}([.][0-9]{3})+|[0-9]+)(,[0-9]+)?"
FULL, HALF = "０１２３４５６７８９，．－＋", "0123456789,.-+"


@dataclass(frozen=True)
class Seen:
    """What a column holds, over the sample's rows; shares are of the rows that are not empty."""

    name: str
    kind: str  # number, instant, boolean, text or other, as the file itself types it
    rows: int
    filled: int
    distinct: int
    lowest: str
    highest: str
    longest: int
    formats: tuple[str, ...] = ()  # these read every value
    either: tuple[str, str] | None = None  # day first or month first: both read every value
    number: dict[str, Any] | None = None  # how its numbers are written ({} is plain digits); None: no numbers
    is_whole: bool = False
    doubtful: bool = False  # 1,200 may be 1200 or 1.2
    symbols: tuple[str, ...] = ()
    emails: float = 0.0
    phones: float = 0.0
    mangled: int = 0
    zeros: int = 0
    words: tuple[str, ...] = ()  # all values, where there are at most 30

    @property
    def personal(self) -> bool:
        """Whether it names a person or may: such values are never shown."""
        number = self.is_whole and self.longest >= 9 and not (self.formats or self.kind == "instant")  # of a telephone?
        return self.emails > 0.01 or self.phones > 0.5 or number or bool(PERSONAL.search(self.name))

    @property
    def told(self) -> str:
        """Say what was seen, for a comment; no value of a person."""
        parts = [f"{1 - self.filled / max(1, self.rows):.0%} empty"] if self.filled < self.rows else []
        if not self.filled:
            return "always empty"
        if self.kind == "other":
            return ", ".join([*parts, "nested or binary: not looked at"])
        if self.emails > 0.01:
            return ", ".join([*parts, f"{self.emails:.0%} look like e-mail addresses: not shown"])
        if self.personal:
            return ", ".join([*parts, f"{self.distinct:,} different, perhaps personal: not shown"])
        if self.formats or self.either or self.kind == "instant" or self.number is not None:
            parts.append(f"{self.lowest} .. {self.highest}")
        elif self.words and self.longest <= 40 and 3 * self.distinct <= self.filled:  # a vocabulary, not names
            parts.append(" | ".join(self.words[:8]))
        parts.append(f"{self.distinct:,} different" if self.distinct > 1 else "always the same")
        if self.mangled:
            parts.append(f"{self.mangled} ids like 1.23E+15: a spreadsheet has rounded them; export again as text")
        if self.zeros:
            parts.append(f"{self.zeros:,} with leading zeros, which are kept")
        return ", ".join(parts)


def look(con: duckdb.DuckDBPyConnection, sample: Sample) -> dict[str, Seen]:
    """Look at every column of a sample."""
    types = {row[0]: row[1] for row in con.execute(f"DESCRIBE {sample.name}").fetchall()}
    return {column: _look(con, sample, column, types[column]) for column in sample.columns}


def _kind(type_: str) -> str:
    if type_.startswith(("TIMESTAMP", "DATE")) and not type_.endswith("]"):
        return "instant"
    if type_.startswith(NUMBERS) and not type_.endswith("]"):
        return "number"
    return {"BOOLEAN": "boolean", "VARCHAR": "text"}.get(type_, "other")


def _look(con: duckdb.DuckDBPyConnection, sample: Sample, column: str, type_: str) -> Seen:
    kind, text = _kind(type_), f"CAST({quote(column)} AS VARCHAR)"
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE found AS FROM (SELECT {text} AS v, count(*) AS n,"
        f" {quote(column)} AS raw, {bare(text)} AS bare FROM {sample.name} WHERE nullif({text}, '') IS NOT NULL"
        " GROUP BY ALL) ORDER BY hash(v), v"  # the same few come first every time, from everywhere in the file
    )
    tests = {
        "plain": _every("bare", NUMBER), "whole": _every("bare", WHOLE), "german": _every("bare", GERMAN),
        "grouped": _every("bare", f"{GROUPED}|{NUMBER}"), "comma": _any("bare", "[0-9],[0-9]"),
        "dot": _any("bare", "[0-9][.][0-9]"),
        "commas3": _every("bare", rf"{WHOLE}|[+-]?[0-9]{{1,3}}(,[0-9]{{3}})"),
        "dots3": _every("bare", rf"{WHOLE}|[+-]?[0-9]{{1,3}}([.][0-9]{{3}})"),
        "full": _any("v", f"[{FULL}]"), "emails": _share(EMAIL), "phones": _share(PHONE),
        "mangled": "coalesce(sum(n) FILTER (regexp_full_match(v, '[0-9]([.,][0-9]+)?[eE][+][0-9]+')), 0)",
        "zeros": "coalesce(sum(n) FILTER (regexp_full_match(v, '0[0-9]+')), 0)",
        **{f"symbol {s}": f"coalesce(bool_or(contains(v, {literal(s)})), false)" for s in SYMBOLS},
    }  # fmt: skip
    asked = ", ".join(["coalesce(sum(n), 0)", "count(*)", "min(raw)", "max(raw)", "max(length(v))", *tests.values()])
    row = con.execute(f"SELECT {asked} FROM found").fetchone() or ()
    filled, distinct, lowest, highest, longest, *results = row
    is_true = dict(zip(tests, results, strict=True))
    number = _number_form(is_true) if kind == "text" and filled else {} if kind == "number" else None
    formats, either = _formats(con, column) if kind == "text" and filled else ((), None)
    if kind == "number" and (epoch := _epoch(con, column)):
        formats = (epoch,)
    few = distinct <= 30
    if key := _sorts_by(number, formats, kind):
        lowest, highest = con.execute(f"SELECT arg_min(v, {key}), arg_max(v, {key}) FROM found").fetchone() or ("", "")
    return Seen(
        column, kind, sample.rows, int(filled), distinct, str(lowest), str(highest), longest or 0,
        formats, either, number, bool(is_true["whole"]), _doubtful(is_true, sample),
        tuple(s for s in SYMBOLS if is_true[f"symbol {s}"]),
        float(is_true["emails"] or 0), float(is_true["phones"] or 0), int(is_true["mangled"]), int(is_true["zeros"]),
        tuple(str(r[0]) for r in con.execute("SELECT v FROM found ORDER BY n DESC, v").fetchall()) if few else (),
    )  # fmt: skip


def _sorts_by(number: dict[str, Any] | None, formats: tuple[str, ...], kind: str) -> str:
    """Write in SQL what puts a text column's values in their own order; empty: they are in it as text."""
    if kind != "text":
        return ""
    if formats and formats[0].startswith("%"):
        return f"try_strptime(v, [{', '.join(literal(fmt) for fmt in formats)}])"
    if number is None:
        return ""
    return sql_number("bare", number)


def sql_number(bare: str, form: dict[str, Any]) -> str:
    """Write in SQL the number that a bare text says in a form, as :attr:`Seen.number` has it."""
    thousands, decimal = (literal(form.get(key, usual)) for key, usual in (("thousands", ","), ("decimal", ".")))
    return f"TRY_CAST(replace(replace({bare}, {thousands}, ''), {decimal}, '.') AS DOUBLE)"


def bare(text: str) -> str:
    """Write a number's text in SQL without what may surround it."""
    stripped = "".join(SYMBOLS).replace("\\", "\\\\")
    return f"trim(regexp_replace(translate({text}, {literal(FULL)}, {literal(HALF)}), '[{stripped}]', '', 'g'))"


def _every(value: str, pattern: str) -> str:
    return f"coalesce(bool_and(regexp_full_match({value}, {literal(pattern)})), false)"


def _any(value: str, pattern: str) -> str:
    return f"coalesce(bool_or(regexp_matches({value}, {literal(pattern)})), false)"


def _share(pattern: str) -> str:
    return f"sum(n) FILTER (regexp_full_match(trim(v), {literal(pattern)})) / sum(n)"


def _number_form(is_true: dict[str, Any]) -> dict[str, Any] | None:
    """Say how numbers are written, as the mapping's ``numbers``; None where some value is no number."""
    around: dict[str, Any] = {"strip": found} if (found := [s for s in SYMBOLS if is_true[f"symbol {s}"]]) else {}
    if is_true["full"]:
        around["full_width"] = True
    if is_true["plain"]:
        return around
    if is_true["grouped"]:
        return {"thousands": ",", **around}
    return {"thousands": ".", "decimal": ",", **around} if is_true["german"] else None


def _doubtful(is_true: dict[str, Any], sample: Sample) -> bool:
    """Whether every separator stands before exactly three digits, where either reading makes sense."""
    in_yen = any(is_true[f"symbol {sign}"] for sign in ("円", "¥", "￥", "\\"))  # which has no decimals
    if sample.delimiter != ";" or in_yen:  # who separates cells by a comma does not write decimals with it
        return False
    return bool((is_true["comma"] and is_true["commas3"]) or (is_true["dot"] and is_true["dots3"]))


def _formats(con: duckdb.DuckDBPyConnection, column: str) -> tuple[tuple[str, ...], tuple[str, str] | None]:
    """Find the formats that together read every value, and where day and month could be either way, both."""
    every = [*CERTAIN, *(fmt for pair in EITHER for fmt in pair)]
    some = [fmt for fmt, n in _reads(con, every, f"(FROM found LIMIT {FEW})").items() if n]  # a format is dear to try
    read = _reads(con, some, "found")
    total = (con.execute("SELECT count(*) FROM found").fetchone() or (0,))[0]
    whole = [fmt for fmt in some if read[fmt] == total]
    for day, month in EITHER:
        if day in whole and month in whole:
            return (), (day, month)
    if epoch := _epoch(con, column):
        return (epoch,), None
    if _is_only_digits(con):  # an id as well as a day: the column's name says which
        return (whole[0],) if whole and re.search(r"date|day|日", column, re.IGNORECASE) else (), None
    return (whole[0],) if whole else _together(con, [fmt for fmt in some if fmt in CERTAIN], total), None


def _reads(con: duckdb.DuckDBPyConnection, formats: list[str], of: str) -> dict[str, int]:
    """Count the values each format reads."""
    counts = ", ".join(["count(*)", *(f"count(try_strptime(v, {literal(fmt)}))" for fmt in formats)])
    row = con.execute(f"SELECT {counts} FROM {of}").fetchone() or (0,)
    return dict(zip(formats, row[1:], strict=True))


def _together(con: duckdb.DuckDBPyConnection, some: list[str], total: int) -> tuple[str, ...]:
    """Take the formats one by one, each for what the earlier ones do not read, until all is read; at most three."""
    taken: list[str] = []
    for fmt in some:
        before = ", ".join(literal(f) for f in taken)
        rest = f"WHERE try_strptime(v, [{before}]) IS NULL" if taken else ""
        new = con.execute(f"SELECT count(try_strptime(v, {literal(fmt)})) FROM found {rest}").fetchone()
        taken += [fmt] if new != (0,) else []
    if not 0 < len(taken) <= 3:
        return ()
    every = ", ".join(literal(f) for f in taken)
    read = con.execute(f"SELECT count(try_strptime(v, [{every}])) FROM found").fetchone()
    return tuple(taken) if read == (total,) else ()


def _is_only_digits(con: duckdb.DuckDBPyConnection) -> bool:
    return con.execute(f"SELECT {_every('v', '[0-9]+')} FROM found").fetchone() == (True,)


def _epoch(con: duckdb.DuckDBPyConnection, column: str) -> str | None:
    """Name the unit of numbers that count from 1970, or Excel's days, where the column's name speaks of time."""
    if not re.search(r"time|date|_at$|_ts$|^ts$|日時|日付|epoch", column, re.IGNORECASE):
        return None
    row = con.execute(
        f"SELECT min(length(v)), max(length(v)), {_every('v', '[0-9]+')},"
        f" {_every('v', '[0-9]{5}([.][0-9]+)?')} AND min(v) >= '{SERIALS[0]}' AND max(v) < '{SERIALS[1]}' FROM found"
    ).fetchone()
    shortest, longest, digits, serial = row or (0, 0, False, False)
    if serial:
        return "excel"
    return EPOCHS.get(longest) if digits and shortest == longest else None


def plain(name: str) -> str:
    """Give a column's name as it is compared: no case, width or separators.

    >>> plain("Customer ID"), plain("customerId"), plain("お客様（番号）")
    ('customerid', 'customerid', 'お客様番号')
    """
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).lower())
