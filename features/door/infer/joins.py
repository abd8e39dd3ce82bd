"""Order lines in two files: what belongs to the order in one, its lines in the other."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import duckdb

from features.door.infer.assign import assign
from features.door.infer.columns import look
from features.door.infer.guess import Guess
from features.door.infer.sample import Sample
from features.door.infer.words import ORDER, likeness
from features.sql import quote


def join_lines(con: duckdb.DuckDBPyConnection, samples: Sequence[Sample]) -> tuple[Guess, str] | None:
    """Find two files that are order lines only together; gives the guess and the name of the order file's sample."""
    best: tuple[Guess, str] | None = None
    for lines, orders in permutations(samples, 2):
        key = _key(con, lines, orders)
        if key is None:
            continue
        alone = assign(con, lines, look(con, lines), "order_lines")
        joined = replace(lines, name=f"{lines.name}_joined", columns=(*lines.columns, *(set(orders.columns) - {key})))
        con.execute(
            f"CREATE OR REPLACE TEMP VIEW {joined.name} AS SELECT a.*, b.* EXCLUDE ({quote(key)})"
            f" FROM {lines.name} a LEFT JOIN {orders.name} b USING ({quote(key)})"
        )
        together = assign(con, joined, look(con, joined), "order_lines")
        together.keys["join"] = {"source": orders.path.name, "key": key}
        gained = set(alone.missing) - set(together.missing)
        if gained and len(together.missing) <= 1 and (best is None or together.worth > best[0].worth):
            best = together, orders.name
    return best


def _key(con: duckdb.DuckDBPyConnection, lines: Sample, orders: Sample) -> str | None:
    """Name the order number both files have, once per order in one; both must be written alike to be read as one."""
    shared = set(lines.columns) & set(orders.columns)
    read = [(s.encoding, s.delimiter, s.header, s.sheet) for s in (lines, orders)]
    if len(shared) != 1 or read[0] != read[1] or lines.path == orders.path:
        return None
    key = shared.pop()
    row = con.execute(f"SELECT count(*) = count(DISTINCT {quote(key)}) FROM {orders.name}").fetchone()
    return key if likeness(key, ORDER) > 0 and row == (True,) else None
