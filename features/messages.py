"""Every message to a customer once, and every reaction once: those of the shop's files and those of our own journal.

What the journal gave back lies in tables of its own, ``own_contacts`` and ``own_responses``: a shop that brings no
``contacts`` gets no features of contacts by recording some, so that its champion still fits. Where a shop's file tells
of a message of ours too, ours counts: it was known first.
"""

from features.shop import Shop
from features.sql import quote, sql_paths

CONTACT = (
    "contact_id", "decision_id", "customer_id", "at", "campaign_id", "scenario", "offer_id", "channel", "cost",
    "withheld", "known_at", "day", "known_on",
)  # fmt: skip
RESPONSE = (
    "kind", "at", "contact_id", "decision_id", "campaign_id", "customer_id", "order_id", "amount", "known_at", "day",
    "known_on",
)  # fmt: skip
OWN_ALONE = {  # of own_contacts, with how they are stored; of the shop's rows NULL
    "arm": "VARCHAR", "experiment": "VARCHAR", "incentive": "VARCHAR", "expires_at": "TIMESTAMPTZ", "policy": "VARCHAR",
}  # fmt: skip


def contacts_sql(shop: Shop, extra: bool = False) -> str | None:
    """Write the query of all contacts, columns :data:`CONTACT`, and :data:`OWN_ALONE` if ``extra``.

    ``None`` if there were never any. Withheld ones are among them; a row counts once its ``known_on`` is over.
    """
    told = "contact_id NOT IN (SELECT contact_id FROM own)"
    decided = "coalesce(decision_id NOT IN (SELECT contact_id FROM own), true)"
    more = tuple(OWN_ALONE) if extra else ()
    return _both(shop, "contacts", CONTACT, f"{told} AND {decided}", more)


def responses_sql(shop: Shop) -> str | None:
    """Write the query of all reactions, columns :data:`RESPONSE`; ``None`` if there were never any.

    Ours name contact and customer; the shop's name what its file names.
    """
    is_ours = '(coalesce(contact_id, decision_id), kind, "at") IN (SELECT (contact_id, kind, "at") FROM own)'
    return _both(shop, "responses", RESPONSE, f"coalesce(NOT {is_ours}, true)", ())


def _both(shop: Shop, table: str, columns: tuple[str, ...], not_ours: str, more: tuple[str, ...]) -> str | None:
    theirs, own = (sql_paths(parts) if (parts := shop.parts(name)) else None for name in (table, f"own_{table}"))
    plain, names = ", ".join(map(quote, columns)), ", ".join(map(quote, (*columns, *more)))
    absent = "".join(f", CAST(NULL AS {OWN_ALONE[name]}) AS {quote(name)}" for name in more)
    if own is None and theirs is None:
        return None
    if own is None:
        return f"SELECT {plain}{absent} FROM read_parquet({theirs}, union_by_name = true)"
    ours = f"SELECT {names} FROM read_parquet({own}, union_by_name = true)"
    if theirs is None:
        return ours
    rest = f"SELECT {plain}{absent} FROM read_parquet({theirs}, union_by_name = true) WHERE {not_ours}"
    keys = "contact_id" if table == "contacts" else 'contact_id, kind, "at"'
    return f"WITH own AS (SELECT {keys} FROM read_parquet({own}, union_by_name = true)) {ours} UNION ALL {rest}"
