"""From files to a proposal: ready mappings where a file is known, guesses where it is not."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import yaml

from features.door.infer.assign import guess
from features.door.infer.columns import Seen, look
from features.door.infer.guess import Guess
from features.door.infer.joins import join_lines
from features.door.infer.sample import Sample, sheets_of, take_sample
from features.door.infer.words import NAMES, likeness
from features.door.infer.write import Proposal, Ready, unknown_files, write
from features.door.mapping_file import SHOPS
from features.door.tables import TABLES
from features.errors import BadInput

EXPORTS = ("shopify", "eccube", "rakuten", "ga4", "mailtool")  # ready mappings of systems many shops use


def infer(paths: Sequence[Path]) -> Proposal:
    """Propose a mapping for files nobody has described; nothing is taken in.

    Raises
    ------
    BadInput
        If a file cannot be read, or none could be recognised; then it says what was seen.
    """
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        samples, passed = _samples(con, paths)
        ready = [found for sample in samples if (found := _ready(sample)) is not None]
        named = {found.sample.name for found in ready}
        looks = {s.name: look(con, s) for s in samples if s.name not in named}
        guesses, unknown = _guesses(con, [s for s in samples if s.name not in named], looks)
        if not ready and not guesses:
            raise BadInput("\n".join(["no file could be recognised as a table", *unknown_files(unknown, looks)]))
        return write(ready, guesses, unknown, looks, passed)


def _samples(con: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> tuple[list[Sample], list[str]]:
    """Sample each file; of a workbook with several sheets each that is a table, the others with what they lack."""
    samples: list[Sample] = []
    passed: list[str] = []
    for path in paths:
        sheets = sheets_of(path)
        for sheet in sheets:
            try:
                samples.append(take_sample(con, path, f"s{len(samples)}", sheet))
            except BadInput as error:
                if len(sheets) == 1:
                    raise
                passed.append(f"sheet {sheet}: {error}")
    return samples, passed


def _ready(sample: Sample) -> Ready | None:
    """Find the ready mapping whose every column a file has; of several the one that names the most."""
    found: list[tuple[int, Ready]] = []
    for name in EXPORTS:
        document = yaml.safe_load((SHOPS / f"{name}.yaml").read_bytes())
        tables = {table: how for table, how in document["tables"].items() if _wanted(how) <= set(sample.columns)}
        if tables:
            n = len(set.union(*(_wanted(how) for how in tables.values())))
            found.append((n, Ready(sample, name, {**document, "tables": tables})))
    return max(found, key=lambda pair: pair[0])[1] if found and max(n for n, _ in found) >= 5 else None


def _wanted(how: dict[str, Any]) -> set[str]:
    """Name the source columns a table's mapping reads, from its text (its keys may be newer than this reader)."""
    wanted: set[str] = set(how.get("fill_down", {}).get("columns", ()))
    for column in how["columns"].values():
        if isinstance(column, str):
            wanted.add(column)
            continue
        for way, value in column.items():
            if way in ("sum", "product", "less", "join", "first", "when"):
                wanted |= set(value)
            elif way in ("hmac", "nth"):
                wanted.add(value)
    return wanted | {name for rule in how.get("set_aside", ()) for name in rule["when"]}


def _guesses(
    con: duckdb.DuckDBPyConnection, samples: list[Sample], looks: dict[str, dict[str, Seen]]
) -> tuple[list[Guess], list[Sample]]:
    """Guess each file's table; a table has one file, the one it explains best. The others are told as unknown."""
    best: dict[str, Guess] = {}
    unknown: list[Sample] = []
    if joined := join_lines(con, samples):
        best["order_lines"], other = joined
        samples = [s for s in samples if s.name not in (other, best["order_lines"].sample.name.removesuffix("_joined"))]
    for sample in samples:
        g = guess(con, sample, looks[sample.name])
        if g is None or (g.table in best and best[g.table].worth >= g.worth):
            unknown.append(replace(sample, seems=g.table if g else ""))
            continue
        if g.table in best:
            unknown.append(replace(best[g.table].sample, seems=g.table))
        best[g.table] = g
    lines = best.get("order_lines")
    if lines and "products" not in best and "join" not in lines.keys and (products := _products(lines)):
        best["products"] = products
    return [best[name] for name in TABLES if name in best], unknown


def _products(lines: Guess) -> Guess | None:
    """Read products from the order lines where these name them and no file of products is given."""
    product, names = lines.columns.get("product_id"), NAMES["products"]
    if not isinstance(product, str):
        return None
    sure = {"product_id": lines.sure["product_id"]}
    g = Guess(lines.sample, lines.seen, "products", {"product_id": product}, sure, second=True)
    for column, how in (("name", "text"), ("category", "text"), ("brand", "text"), ("price", "amount")):
        score, source = max((likeness(s.name, names[column]), s.name) for s in lines.seen.values() if s.filled)
        is_number = lines.seen[source].number is not None
        is_total = source == lines.columns.get("revenue")
        is_free = source not in lines.used or (column == "price" and not is_total)
        if score > 0.9 and is_number == (how == "amount") and is_free:
            g.columns[column], g.sure[column] = source, score
    return g if "name" in g.columns else None
