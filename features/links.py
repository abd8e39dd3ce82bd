"""Why a person is one: the links behind them, and every merge and un-merge with its cause."""

from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from features.identity import persons, read_words, shared_words
from features.shop import Shop

SHOWN = 3  # characters of an alias: enough to tell two apart, too few to be one
EVER_JOINED = """
    WITH RECURSIVE met AS (
        SELECT $id AS id UNION SELECT b.customer_id
        FROM met JOIN words a ON a.customer_id = met.id
        JOIN words b ON a.alias_type = b.alias_type AND a.alias = b.alias
    )
    SELECT * FROM words WHERE known_on < $day AND customer_id IN (FROM met) ORDER BY ALL
"""
NONE = pd.DataFrame(columns=["link", "known_on", "until_day", "alias", "load"])
Told = list[dict[str, Any]]


def masked(alias: str) -> str:
    """Show the end of an alias only.

    >>> masked("U4af4980629"), masked("1234")
    ('…629', '…')
    """
    return "…" + (alias[-SHOWN:] if len(alias) > 2 * SHOWN else "")


def links_of(shop: Shop, ids: list[str], day: int) -> Told:
    """List the links that some ids have or had, as known at the start of a business day, oldest first.

    Each tells ``alias_type``, ``alias`` (masked), ``customer_id``, ``since`` and ``until`` (``None``: in force).
    """
    told = _of(shop, ids, day)
    if told.empty:
        return []
    newest = told.sort_values(["known_on", "load", "until_day"]).drop_duplicates("link", keep="last")
    newest = newest[newest.alias.notna()].sort_values(["known_on", "alias_type", "alias", "customer_id"])
    newest = newest.drop_duplicates(["alias_type", "alias", "customer_id", "linked_at", "unlinked_at"])
    return [
        {
            "alias_type": row.alias_type,
            "alias": masked(str(row.alias)),
            "customer_id": row.customer_id,
            "since": _instant(row.linked_at),
            "until": _instant(row.unlinked_at),
        }
        for row in newest.itertuples()
    ]


def changes_of(shop: Shop, customer_id: str, day: int) -> Told:
    """List every merge and un-merge of the person behind an id, up to the start of a business day, oldest first.

    Each tells ``on`` (the first business day that knew it), ``joined`` and ``left`` (ids) and ``because``: the words
    that came into force or ended then, with when they happened, when they became known and the load that brought
    them.
    """
    told = _ever_joined(shop, customer_id, day)
    if told.empty:
        return []
    begins = told.known_on + 1
    ends = told[["known_on", "until_day"]].max(axis=1).where(told.until_day.notna()) + 1
    days = sorted({int(d) for d in (*begins, *ends.dropna()) if 0 <= d <= day})
    merged = persons(shop, tuple(days)).merged
    before, changes = {customer_id}, []
    for first in days:
        now = _person(merged[merged.as_of_day == first], customer_id)
        if now != before:
            causes = _between(told[(begins == first) | (ends == first)], told, now | before)
            changes.append(
                {
                    "on": shop.calendar.date(first).isoformat(),
                    "joined": sorted(now - before),
                    "left": sorted(before - now),
                    "because": [_told(row) for row in causes.itertuples()],
                }
            )
        before = now
    return changes


def _between(words: pd.DataFrame, told: pd.DataFrame, ids: set[str]) -> pd.DataFrame:
    """Keep the words about links that two of these ids ever had in common."""
    theirs = told[told.customer_id.isin(ids)]
    common = theirs.groupby(["alias_type", "alias"]).filter(lambda held: held.customer_id.nunique() > 1)
    return words[words.link.isin(common.link)]


def _person(merged: pd.DataFrame, customer_id: str) -> set[str]:
    named = dict(zip(merged.customer_id, merged.person, strict=True))
    person = named.get(customer_id, customer_id)
    return {customer_id, person, *(one for one, other in named.items() if other == person)}


def _of(shop: Shop, ids: list[str], day: int) -> pd.DataFrame:
    """Read the words about some ids that were known before a business day."""
    with duckdb.connect() as con:
        if not read_words(con, shop):
            return NONE
        return con.execute(
            "SELECT * FROM words WHERE known_on < ? AND customer_id IN (SELECT unnest(?)) ORDER BY ALL", [day, ids]
        ).df()


def _ever_joined(shop: Shop, customer_id: str, day: int) -> pd.DataFrame:
    """Read the words, known before a business day, of all whom an alias ever joined to an id, if over others."""
    words = shared_words(shop)
    if words is None:
        return NONE
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("words", words)
        return con.execute(EVER_JOINED, {"day": day, "id": customer_id}).df()


def _told(row: Any) -> dict[str, Any]:
    return {
        "alias_type": row.alias_type,
        "alias": masked(row.alias or ""),
        "customer_id": row.customer_id,
        "linked_at": _instant(row.linked_at),
        "unlinked_at": _instant(row.unlinked_at),
        "known_at": _instant(row.known_at),
        "load": Path(row.load).parent.name,
    }


def _instant(value: Any) -> str | None:
    return None if pd.isna(value) else pd.Timestamp(value).tz_convert("UTC").isoformat()
