"""What one person left in a shop's tables: every id that names them now, and what hangs on it."""

import duckdb

from features.door.forget import SEPARATOR, Trace
from features.errors import BadInput
from features.identity import aliases_of, persons
from features.shop import Shop
from features.sql import sql_paths

NOW = 10**6  # a business day after every word: who is who by the newest of them


def ids_of(shop: Shop, customer_id: str) -> tuple[str, ...]:
    """List every id of the person who goes by ``customer_id``, by the newest words on who is who, sorted."""
    merged = persons(shop, (NOW,)).merged
    person = dict(zip(merged.customer_id, merged.person, strict=True))
    named = person.get(customer_id, customer_id)
    return tuple(sorted({named, *(one for one, other in person.items() if other == named)}))


def trace(shop: Shop, customer_id: str) -> Trace:
    """Find what to look for to forget a person.

    An alias that somebody else ever held, such as a shop's tablet, is not theirs alone and stays.

    Raises
    ------
    BadInput
        If no table of the shop knows the id.
    """
    ids = ids_of(shop, customer_id)
    with duckdb.connect() as con:
        if not any(_knows(con, shop, table, ids) for table in sorted(shop.tables)):
            raise BadInput(
                f"{shop.name}: no table knows a customer of that id; ids are exact, upper and lower case too"
            )
        orders = _values(con, shop, "order_lines", "order_id", ids)
        contacts = {
            value
            for table in ("contacts", "own_contacts")
            for name in ("contact_id", "decision_id")
            for value in _values(con, shop, table, name, ids)
        }
    aliases = (SEPARATOR.join(alias) for alias in aliases_of(shop, ids))
    return Trace(ids, tuple(sorted(aliases)), tuple(orders), tuple(sorted(contacts)))


def _knows(con: duckdb.DuckDBPyConnection, shop: Shop, table: str, ids: tuple[str, ...]) -> bool:
    source = f"read_parquet({sql_paths(shop.parts(table))}, union_by_name = true)"
    if "customer_id" not in {row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}:
        return False
    return (
        con.execute(f"SELECT 1 FROM {source} WHERE customer_id IN (SELECT unnest(?)) LIMIT 1", [ids]).fetchone()
        is not None
    )


def _values(con: duckdb.DuckDBPyConnection, shop: Shop, table: str, column: str, ids: tuple[str, ...]) -> list[str]:
    parts = [str(path) for path in shop.parts(table)]
    if not parts:
        return []
    rows = con.execute(
        f"SELECT DISTINCT {column} FROM read_parquet(?, union_by_name = true)"
        f" WHERE customer_id IN (SELECT unnest(?)) AND {column} IS NOT NULL ORDER BY 1",
        [parts, ids],
    ).fetchall()
    return [row[0] for row in rows]
