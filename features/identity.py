"""Which of the shop's customer ids were one person, as it was known at an instant.

Two ids that hold the same alias (an e-mail's hash, a device, a member number) at an instant are one person then,
and so are all that are joined over several aliases. The tables keep the ids the shop wrote; they are read as
persons, as of each day. So a merge or an un-merge replays history by itself, and before it was known nothing
changes. Guests have no id and are never joined.

A link is *in force* at the start of business day t if its newest word known before t says so: linked before t, not
unlinked before t. The same link sent again with ``unlinked_at`` is such a word. ``member_no`` and ``line_user_id``
of `customers` are links too, from the row's ``known_at``, else ``signed_up_at``, else ever, until a newer row of the
customer says another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from features.shop import Shop
from features.sql import sql_paths

# An alias that more ids than this hold at once is a shop's tablet or a test address, not a person
# (an engineering bound, 2026-11-22: a household's device has a few).
MOST_SHARING = 5
OWN_ALIASES = ("member_no", "line_user_id")  # columns of `customers` that are links
EVER = -(10**6)  # the business day of a link without a date


@dataclass(frozen=True)
class Persons:
    """Who is who at several days, and what could not be used."""

    merged: pd.DataFrame  # as_of_day, customer_id, person: only ids that go by another one
    n_crowded: int  # aliases held by too many, counted once a day


def persons(shop: Shop, days: tuple[int, ...]) -> Persons:
    """Find the ids that were merged into another at the start of each business day.

    A person goes by the id that was linked first, of two the smaller: an older account keeps its name when a
    newer one joins it.
    """
    return _persons(shop, tuple(sorted(set(days))))


@lru_cache(maxsize=64)  # a training asks for the same days many times
def _persons(shop: Shop, days: tuple[int, ...]) -> Persons:
    links = links_in_force(shop, days)
    held = links.groupby(["as_of_day", "alias_type", "alias"]).customer_id.transform("size")
    return Persons(_components(links[(held > 1) & (held <= MOST_SHARING)]), _count_aliases(links[held > MOST_SHARING]))


def _count_aliases(links: pd.DataFrame) -> int:
    return len(links[["as_of_day", "alias_type", "alias"]].drop_duplicates())


def _components(links: pd.DataFrame) -> pd.DataFrame:
    """Join ids over shared aliases, day by day; list the ids that are not their person's own."""
    if links.empty:
        return pd.DataFrame({"as_of_day": pd.Series(dtype="int64"), "customer_id": [], "person": []})
    ids = links.groupby(["as_of_day", "customer_id"]).ngroup().to_numpy()
    aliases = links.groupby(["as_of_day", "alias_type", "alias"]).ngroup().to_numpy() + ids.max() + 1
    size = int(aliases.max()) + 1
    component = connected_components(coo_matrix((np.ones(len(ids)), (ids, aliases)), (size, size)), directed=False)[1]
    found = links[["as_of_day", "customer_id", "since"]].assign(component=component[ids])
    found = found.groupby(["as_of_day", "component", "customer_id"]).agg({"since": "min"}).reset_index()
    found = found.sort_values(["component", "since", "customer_id"])
    found["person"] = found.groupby("component").customer_id.transform("first")
    others = found.loc[found.customer_id != found.person, ["as_of_day", "customer_id", "person"]]
    sorted_rows: pd.DataFrame = others.sort_values(["as_of_day", "customer_id"], ignore_index=True)
    return sorted_rows


@lru_cache(maxsize=8)
def shared_words(shop: Shop) -> pa.Table | None:
    """Read the words of every link to an alias that more than one customer ever held; ``None`` without any link.

    They are few, and all that a merge can come from: a million links are read once.
    """
    with duckdb.connect() as con:
        if not read_words(con, shop):
            return None
        con.execute(
            "CREATE TEMP TABLE shared AS SELECT alias_type, alias FROM words WHERE alias IS NOT NULL"
            " GROUP BY ALL HAVING count(DISTINCT customer_id) > 1"
        )
        return con.execute(f"FROM words WHERE {_linked_to('shared')} ORDER BY ALL").to_arrow_table()


def _linked_to(which: str) -> str:
    """Write which words are about links that ever led to one of some aliases: a newer word may end such a link."""
    return (
        f"link IN (SELECT w.link FROM words w SEMI JOIN {which} s ON w.alias_type = s.alias_type AND w.alias = s.alias)"
    )


def links_in_force(shop: Shop, days: tuple[int, ...], which: str | None = None) -> pd.DataFrame:
    """List the links in force at the start of each day, of the aliases that ``which`` (SQL) names.

    Returns
    -------
    DataFrame, sorted: ``as_of_day``, ``alias_type``, ``alias``, ``customer_id``, ``since`` (the business day by
        whose end the link had been made and was known)
        By default of aliases that more than one customer ever held.
    """
    with duckdb.connect() as con:
        words = shared_words(shop) if which is None else None
        if words is not None:
            con.register("words", words)
        elif which is None or not read_words(con, shop):
            return pd.DataFrame(columns=["as_of_day", "alias_type", "alias", "customer_id", "since"])
        told = "words" if which is None else f"words WHERE {_linked_to(which)}"
        return con.execute(f"{_in_force(told)} ORDER BY ALL", {"days": list(days)}).df()


def _in_force(told: str) -> str:
    """Select the links in force at the start of each of ``$days``, by the words that ``FROM told`` (SQL) gives."""
    return f"""
        WITH told AS (FROM {told}), newest AS (
            SELECT t, told.*, min(known_on) OVER link AS since, row_number() OVER (
                PARTITION BY t, link ORDER BY known_on DESC, load DESC, until_day DESC NULLS LAST) AS nth
            FROM told JOIN (SELECT unnest($days)::BIGINT AS t) ON known_on < t
            WINDOW link AS (PARTITION BY t, link)
        )
        SELECT t AS as_of_day, alias_type, alias, customer_id, min(since) AS since FROM newest
        WHERE nth = 1 AND alias IS NOT NULL AND (until_day IS NULL OR until_day >= t) GROUP BY ALL
    """


def read_words(con: duckdb.DuckDBPyConnection, shop: Shop) -> bool:
    """Write `words`: every statement that an id holds an alias; tell whether there is any.

    ``known_on`` is the business day on which a word is first of use: it was said and had begun.
    """
    con.execute("SET TimeZone = 'UTC'")
    day = shop.calendar.sql_day
    parts = {table: shop.parts(table) for table in ("identities", "customers")}
    said = []
    if parts["identities"]:
        said.append(
            "SELECT alias_type, alias, customer_id,"
            " concat_ws(chr(31), alias_type, alias, customer_id, epoch_us(linked_at)) AS link,"
            f" linked_at, unlinked_at, known_at, known_on, {day('unlinked_at')} AS until_day, filename AS load"
            f" FROM read_parquet({sql_paths(parts['identities'])}, filename = true) WHERE customer_id IS NOT NULL"
        )
    for kind in OWN_ALIASES if parts["customers"] else ():
        at = "coalesce(known_at, signed_up_at)"
        said.append(
            f"SELECT '{kind}' AS alias_type, {kind} AS alias, customer_id,"
            f" concat_ws(chr(31), '{kind}', customer_id) AS link,"
            f" {at} AS linked_at, CAST(NULL AS TIMESTAMPTZ) AS unlinked_at, {at} AS known_at,"
            f" coalesce({day(at)}, {EVER}) AS known_on, CAST(NULL AS BIGINT) AS until_day, filename AS load"
            f" FROM read_parquet({sql_paths(parts['customers'])}, filename = true) WHERE customer_id IS NOT NULL"
        )
    if not said:
        return False
    con.execute(f"CREATE TEMP VIEW words AS {' UNION ALL BY NAME '.join(said)}")
    return con.execute("SELECT 1 FROM words WHERE alias IS NOT NULL LIMIT 1").fetchone() is not None


def alias_holders(shop: Shop, days: tuple[int, ...], table: str) -> pd.DataFrame:
    """Find who held each alias that stands alone in a table's rows: ``as_of_day, alias_type, alias, holder``.

    Any of several ids will do: they are one person. An alias held by too many is nobody's.
    """
    parts = sql_paths(shop.parts(table))
    named = f"(SELECT alias_type, alias FROM read_parquet({parts}, union_by_name = true) WHERE customer_id IS NULL)"
    links = links_in_force(shop, tuple(sorted(set(days))), named)
    keys = ["as_of_day", "alias_type", "alias"]
    held = links.groupby(keys).customer_id.transform("size")
    found = links[held <= MOST_SHARING].groupby(keys).agg(holder=("customer_id", "min"))
    return found.reset_index()


def by_person(rows: ir.Table, shop: Shop, days: tuple[int, ...], table: str) -> ir.Table:
    """Read rows of one of the lake's tables, with their ``as_of_day``, as rows of persons.

    Rows that name an alias alone are those of its holder; what nobody holds is left out. Where nobody is merged
    nothing is joined.
    """
    if "alias" in rows.columns:
        rows = _of_holders(rows, alias_holders(shop, days, table))
    merged = persons(shop, days).merged
    if merged.empty:
        return rows
    joined = rows.left_join(ibis.memtable(merged), ["as_of_day", "customer_id"])
    person: Any = ibis.coalesce(joined.person, joined.customer_id)
    return joined.mutate(customer_id=person).select(*rows.columns)


def _of_holders(rows: ir.Table, holders: pd.DataFrame) -> ir.Table:
    if not holders.empty:
        joined = rows.left_join(ibis.memtable(holders), ["as_of_day", "alias_type", "alias"])
        rows = joined.mutate(customer_id=ibis.coalesce(joined.customer_id, joined.holder)).select(*rows.columns)
    return rows.filter(rows.customer_id.notnull())


def teach(con: duckdb.DuckDBPyConnection, merged: pd.DataFrame) -> None:
    """Give a connection the SQL function ``person(as_of_day, customer_id)``; where nobody is merged it is free."""
    if merged.empty:
        con.execute("CREATE TEMP MACRO person(as_of, id) AS id")
        return
    con.register("merged", merged.set_axis(["merged_day", "merged_id", "merged_into"], axis=1))
    con.execute(
        "CREATE TEMP MACRO person(as_of, id) AS"
        " coalesce((SELECT merged_into FROM merged WHERE merged_day = as_of AND merged_id = id), id)"
    )


def counted(shop: Shop, day: int) -> dict[str, int]:
    """Count what is merged at the start of a business day, and what could not be used."""
    found = persons(shop, (day,))
    counts = {"merged_ids": len(found.merged), "crowded_aliases": found.n_crowded}
    if parts := [str(path) for path in shop.parts("events")]:
        holders = alias_holders(shop, (day,), "events")
        with duckdb.connect() as con:
            con.register("holders", holders)
            row = con.execute(
                "SELECT count(*) FROM read_parquet(?, union_by_name = true) e ANTI JOIN holders h"
                " ON e.alias_type = h.alias_type AND e.alias = h.alias WHERE customer_id IS NULL AND known_on < ?",
                [parts, day],
            ).fetchone()
        counts["events_of_nobody"] = row[0] if row else 0
    return counts


def aliases_of(shop: Shop, ids: tuple[str, ...]) -> list[tuple[str, str]]:
    """List the aliases (type, alias) that these ids ever held and no other did, sorted."""
    with duckdb.connect() as con:
        if not read_words(con, shop):
            return []
        return con.execute(
            "SELECT alias_type, alias FROM words WHERE alias IS NOT NULL GROUP BY ALL"
            " HAVING bool_and(customer_id IN (SELECT unnest(?))) ORDER BY ALL",
            [ids],
        ).fetchall()


def others_of(shop: Shop, day: int) -> dict[str, list[str]]:
    """List the other ids of every merged person at the start of a business day, by the id they go by, sorted."""
    merged = persons(shop, (day,)).merged
    return {str(person): sorted(rows.customer_id) for person, rows in merged.groupby("person")}


class Holders:
    """Who held every alias at the start of one business day, for look-ups: one alias, one person or nobody."""

    def __init__(self, shop: Shop, day: int) -> None:
        self._con = duckdb.connect()
        self._con.execute("CREATE TABLE holders (alias_type VARCHAR, alias VARCHAR, holder VARCHAR)")
        if read_words(self._con, shop):
            self._con.execute(
                "INSERT INTO holders SELECT alias_type, alias, min(customer_id)"
                f" FROM ({_in_force('words')}) GROUP BY ALL HAVING count(*) <= {MOST_SHARING}",
                {"days": [day]},
            )
            self._con.execute("DROP VIEW words")

    def find(self, aliases: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
        """Give the id behind each alias (type, alias) that somebody holds. Threads may ask at once."""
        kinds, values = [kind for kind, _ in aliases], [value for _, value in aliases]
        with self._con.cursor() as con:
            rows = con.execute(
                "SELECT alias_type, alias, holder FROM holders SEMI JOIN"
                " (SELECT unnest(?::VARCHAR[]) AS alias_type, unnest(?::VARCHAR[]) AS alias) USING (alias_type, alias)",
                [kinds, values],
            ).fetchall()
        return {(kind, alias): holder for kind, alias, holder in rows}
