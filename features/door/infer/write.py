"""The text of a proposal: a commented ``shop.yaml`` in which what is sure is written, and what is not is asked."""

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from features.door.infer.columns import Seen
from features.door.infer.guess import Guess, sources
from features.door.infer.sample import Sample
from features.door.infer.words import NAMES, likeness
from features.door.mapping import TableMapping
from features.door.tables import TABLES

SIGNS = {"円": "JPY", "￥": "JPY", "¥": "JPY", "\\": "JPY", "€": "EUR", "£": "GBP", "$": "USD"}
RETURNS = ", returns with a minus, in a file that `source` fits (such as order*)"
ZONES = {"JPY": "Asia/Tokyo", "GBP": "Europe/London", "EUR": "Europe/Berlin", "USD": "America/New_York"}


@dataclass(frozen=True)
class Proposal:
    """A commented ``shop.yaml``, and what a person must decide before it can be used (nothing: it is complete)."""

    text: str
    todo: tuple[str, ...]


@dataclass(frozen=True)
class Ready:
    """A file that one of the ready mappings knows: the mapping's name, and its tables as they are read from it."""

    sample: Sample
    name: str
    document: dict[str, Any]


def write(
    ready: list[Ready],
    guesses: list[Guess],
    unknown: list[Sample],
    looks: dict[str, dict[str, Seen]],
    passed: list[str],
) -> Proposal:
    """Write the whole file: the shop, its tables, and what was left over."""
    todo: list[str] = []
    body: list[str] = []
    tables: set[str] = set()
    for found in ready:
        body += _ready_tables(found, tables)
    for g in guesses:
        body += _once(g.table, g.sample, tables) or _table(g, todo)
    if "order_lines" not in tables:
        todo.append("tables.order_lines: no file of order lines was recognised; a shop needs one")
    head = _head(ready, guesses, looks)
    asked = [f"# TODO {what}" for what in todo]
    left = [f"# {line}" for line in (*unknown_files(unknown, looks), *passed)]
    return Proposal("\n".join([*head, "tables:", *body, *left, *asked]) + "\n", tuple(todo))


def _head(ready: list[Ready], guesses: list[Guess], looks: dict[str, dict[str, Seen]]) -> list[str]:
    """Write what is the shop's, each with what speaks for it."""
    shops = [found.document for found in ready if "shop" in found.document]
    seen = [s for columns in looks.values() for s in columns.values()]
    japanese = bool(shops) or any(_is_japanese(text) for s in seen for text in (s.name, *s.words))
    currency, why = _currency(shops, guesses, seen, japanese)
    zone = "Asia/Tokyo" if japanese else "UTC"
    usual = f"; a shop in {currency} may be in {ZONES[currency]}" if currency in ZONES and not japanese else ""
    tax = shops[0]["tax"] if shops else "included" if japanese else "excluded"
    last = max((_last_day(g) for g in guesses if g.table == "order_lines"), default="")
    return [
        "# Proposed by `okaeri ingest --infer` from the files named below; nothing was taken in. Read it, decide what",
        "# says CHECK or TODO, then: okaeri ingest --shop THIS_FILE FILES",
        "shop: my_shop                  # CHECK: a name of your own, a-z, 0-9 and _",
        f"currency: {currency:<20} # CHECK: {why}",
        f"tax: {tax:<25} # CHECK: are the amounts with tax (included) or before it (excluded)?",
        f"language: {'ja' if japanese else 'en'}",
        f"timezone: {zone:<20} # CHECK: times without a zone are read in it{usual}",
        *([f"# clock: {last}            # the data ends here; uncomment for a shop of the past"] if last else []),
        "predict: {lookback_days: 365, min_order_days: 1}",
    ]


def _last_day(g: Guess) -> str:
    """Give the last day of the orders as YYYY-MM-DD where all rows were looked at and sort by day; else nothing."""
    seen = g.seen.get(str(g.columns.get("ordered_at")))
    sorts = seen is not None and (seen.kind == "instant" or all(f.startswith("%Y-%m-%d") for f in seen.formats or "-"))
    return seen.highest[:10] if seen is not None and sorts and g.sample.whole else ""


def _is_japanese(text: str) -> bool:
    return any("\u3040" <= c <= "\u30ff" or "\u4e00" <= c <= "\u9fff" for c in text)


def _currency(shops: list[dict[str, Any]], guesses: list[Guess], seen: list[Seen], japanese: bool) -> tuple[str, str]:
    """Name the currency and what speaks for it; XXX is ISO 4217's own code for none."""
    if shops:
        return shops[0]["currency"], f"as in the ready mapping {shops[0]['shop']}"
    for g in guesses:
        column = g.columns.get("currency")
        if isinstance(column, str) and g.seen[column].distinct == 1:
            return g.seen[column].words[0], f"{column} is always this"
    numbers = [s for s in seen if s.number is not None]
    signs = [sign for s in numbers for sign in (*s.symbols, *(sign for sign in SIGNS if sign in s.name))]
    if signs:
        return SIGNS[signs[0]], f"amounts are written with {signs[0]}"
    return ("JPY", "the files are in Japanese") if japanese else ("XXX", "nothing in the files names it")


def _once(table: str, sample: Sample, tables: set[str]) -> list[str]:
    """Remember a table as written; say so instead where another file has given it already."""
    if table in tables:
        return [f"  # CHECK: {sample.called} has {table} too, but a table comes from one source: left out"]
    tables.add(table)
    return []


def _ready_tables(found: Ready, tables: set[str]) -> list[str]:
    """Write the tables of a ready mapping as they are, but for the file's own name and encoding."""
    lines = [f"  # {found.sample.called}: as in the ready mapping {found.name}; its file says what each column means"]
    for table, how in found.document["tables"].items():
        if already := _once(table, found.sample, tables):
            lines += already
            continue
        block = {
            key: value
            for key, value in how.items()
            if key not in ("source", "sheet", "encoding", "delimiter", "header")
        }
        lines += [f"  {table}:", *_reading(found.sample)]
        lines += [f"    {line}" for line in _dump(block, flow=False).splitlines()]
    return lines


def _reading(sample: Sample) -> list[str]:
    """Write how a file is read: its name, sheet, encoding, delimiter and header."""
    encoding = [] if sample.encoding in (None, "utf-8") else [f"    encoding: {sample.encoding}"]
    delimiter = [] if sample.delimiter == "," else [f"    delimiter: {_dump(sample.delimiter)}"]
    sheet = [f"    sheet: {_dump(sample.sheet)}"] if sample.sheet else []
    header = [f"    header: {sample.header}             # the line it stands on"] if sample.header > 1 else []
    name = glob.escape(sample.path.name)
    later = re.sub(r"[0-9]+(?=.*[.])", "*", name)  # a date or number in the name will be another next time
    hint = f"   # {_dump(later)} would fit later files too" if later != name else ""
    return [f"    source: {_dump(name)}{hint}", *sheet, *encoding, *delimiter, *header]


def _table(g: Guess, todo: list[str]) -> list[str]:
    """Write one guessed table, and add what must be decided to ``todo``."""
    asked = list(g.todo)
    formats = _formats(g, asked)
    numbers = _numbers(g, asked)
    asked += [f"columns.{name}: no column was recognised; give one, or {_how(g, name)}" for name in g.missing]
    todo += [f"tables.{g.table}.{what}" for what in asked]
    size = f"{g.sample.rows:,} rows{'' if g.sample.whole else ' looked at, there are more'}"
    lines = [f"  # {g.sample.called}: {size}, {len(g.sample.columns)} columns", f"  {g.table}:", *_reading(g.sample)]
    if g.sample.ragged:
        lines.append(f"    # CHECK: {g.sample.ragged} rows have more or fewer cells than the header")
    lines += [*formats, *numbers, "    columns:"]
    order = [c.name for c in TABLES[g.table].columns if c.name in g.columns]
    for name in order:
        lines.append(f"      {name + ': ' + _dump(g.columns[name]):<44} # {_remark(g, name)}")
    lines += [f"      # TODO {name}: ..." for name in g.missing]
    lines += [f"    # {aside}" for aside in g.asides]
    if g.words:
        lines.append(f"    words: {_dump(g.words)}   # CHECK: the values seen; rows with others are quarantined")
    lines += [f"    {key}: {_dump(value)}" for key, value in g.keys.items()]
    return lines + list(_left(g))


def _remark(g: Guess, name: str) -> str:
    """Say how sure a column is and what it holds; of customers only how many."""
    how, parts = g.columns[name], [f"{g.sure[name]:.2f}"]
    if isinstance(how, str):
        seen = g.seen[how]
        n = f"{seen.distinct:,} different, {1 - seen.filled / max(1, seen.rows):.0%} empty"
        parts.append(n if name == "customer_id" else seen.told)
    return "; ".join([*parts, g.notes[name]] if name in g.notes else parts)


def _how(g: Guess, name: str) -> str:
    """Suggest what can stand for a column that a file of order lines lacks."""
    customer, ordered = g.columns.get("customer_id"), g.columns.get("ordered_at")
    if name == "quantity":
        return 'a constant, if each row is one piece: {constant: "1"}'
    if name == "order_id" and isinstance(customer, str) and isinstance(ordered, str):
        return f"what a customer bought at one time: {_dump({'join': [customer, ordered], 'separator': '-'})}"
    if name == "revenue":
        return "say what a line brought in, after discounts: a column, or {product: [quantity, unit price]}"
    return "say where it comes from"


def _formats(g: Guess, asked: list[str]) -> list[str]:
    """Write the formats of the mapped times; day or month first is never guessed."""
    formats = list(g.formats)
    for name in g.used:
        seen = g.seen[name]
        if seen.either:
            day, month = seen.either
            asked.append(
                f"formats: {name} such as {seen.lowest}: day first is [{_dump(day)}], month first is [{_dump(month)}];"
                " every row can be read both ways"
            )
            return [f"    formats: TODO             # [{_dump(day)}] or [{_dump(month)}]"]
        times = {c.name for c in TABLES[g.table].columns if c.kind in ("instant", "day")}
        if any(how == name and column in times for column, how in g.columns.items()):
            formats += [fmt for fmt in seen.formats if fmt not in formats]
    usual = TableMapping.model_fields["formats"].default
    return [f"    formats: {_dump(sorted(formats))}"] if set(formats) - set(usual) else []


def _numbers(g: Guess, asked: list[str]) -> list[str]:
    """Write the forms of the mapped numbers, where they are not plain digits everywhere."""
    together: dict[str, Any] = {}
    numeric = {c.name for c in TABLES[g.table].columns if c.kind in ("amount", "quantity", "integer")}
    read = {s for column, how in g.columns.items() if column in numeric for s in sources(how)}
    for name in sorted(read, key=list(g.seen).index):
        seen = g.seen[name]
        if seen.doubtful and not any(g.seen[s].number and not g.seen[s].doubtful for s in read):
            asked.append(f"numbers: {name} such as {seen.highest}: is the separator for thousands or for decimals?")
            return ['    numbers: TODO             # {thousands: ".", decimal: ","} or {thousands: ","}']
        for key, value in (seen.number or {}).items():
            known = together.get(key, value)
            together[key] = sorted({*known, *value}) if key == "strip" else value
    return [f"    numbers: {_dump(together)}"] if together else []


def _left(g: Guess) -> Iterator[str]:
    """Tell of each column that is not mapped what was seen, never a person's data."""
    for name, seen in g.seen.items():
        if name not in g.used and not g.second:
            why = f" [{g.left[name]}]" if name in g.left else ""
            personal = " [looks personal: left out; {hmac: ...} would keep a pseudonym]" if seen.emails > 0.5 else ""
            yield f"    # not mapped: {name}: {seen.told}{why}{personal}"
    for name in g.sample.twice:
        yield f"    # CHECK: {name} stands more than once in the header; the first is meant"


def unknown_files(samples: list[Sample], looks: dict[str, dict[str, Seen]]) -> Iterator[str]:
    """Tell what was seen of files that are no table known here."""
    for sample in samples:
        if sample.seems:
            yield (
                f"CHECK: {sample.called} looks like {sample.seems} too, but a table comes from files with the same"
                f" columns: write its rows like the other's{RETURNS if sample.seems == 'order_lines' else ''}"
            )
        yield f"{sample.called}: not recognised; {sample.rows:,} rows, {sample.encoding or sample.path.suffix[1:]}"
        for seen in looks[sample.name].values():
            yield f"  {seen.name}: {seen.told}{_nearest(seen.name)}"


def _nearest(name: str) -> str:
    """Name the canonical column a source column's name is near to, if there is one."""
    near = [
        (likeness(name, how), f"{table}.{column}") for table, known in NAMES.items() for column, how in known.items()
    ]
    best, path = max(near, key=lambda pair: pair[0])
    return f" (perhaps {path})" if best >= 0.7 else ""


def _dump(value: object, flow: bool = True) -> str:
    """Write a value as YAML, in one line if ``flow``."""
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow, sort_keys=False, width=10_000)
    return text.removesuffix("...\n").strip() if flow else text.rstrip()
