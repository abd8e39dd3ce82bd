"""Which messages a customer was sent or kept from, and what came of them, as it was known at a business day."""

from collections.abc import Sequence

import pandas as pd

from features.shop import Shop
from features.told import Connection, told

# A night looks back a year for caps and cooldowns, and a month more for what was only said later (policy-sample.yaml:
# the longest cap is 90 days; engineering choice, 2026-11-25).
BACK_DAYS = 400


def contact_history(shop: Shop, day: int, back_days: int = BACK_DAYS) -> pd.DataFrame:
    """List the messages of the last ``back_days`` as known at the start of business day ``day``, withheld ones too.

    Returns
    -------
    DataFrame, sorted by ``customer_id``, ``at`` and ``contact_id``, each contact once
        ``customer_id`` (the person's), ``at`` (seconds since 1970, UTC), ``contact_id``, ``decision_id``,
        ``campaign_id``, ``scenario``, ``offer_id``, ``channel`` (text, ``None`` where the shop does not say), ``cost``
        (shop currency, NaN likewise), ``withheld`` (bool), ``redeemed_at`` (seconds, the first time its offer was
        used, NaN if never), ``opened`` (bool: opened or clicked). No rows for a shop without contacts.
    """
    with told(shop, day, "contacts", "responses") as con:
        write_reactions(con, ("redeem", "open", "click"))
        rows = con.execute(
            "WITH came AS (SELECT contact_id, min(reactions.at) FILTER (kind = 'redeem') AS redeemed_at,"
            " bool_or(kind <> 'redeem') AS opened FROM reactions WHERE contact_id IS NOT NULL GROUP BY contact_id)"
            ' SELECT customer_id, epoch(sent.at) AS "at", contact_id, decision_id, campaign_id, scenario, offer_id,'
            " channel, cost::DOUBLE AS cost, coalesce(withheld, false) AS withheld, epoch(redeemed_at) AS redeemed_at,"
            " coalesce(opened, false) AS opened FROM sent LEFT JOIN came USING (contact_id)"
            " WHERE day >= $day - $back_days ORDER BY customer_id, 2, contact_id",
            {"day": day, "back_days": back_days},
        ).arrow()
        table: pd.DataFrame = rows.read_all().to_pandas()
    return table


def write_reactions(con: Connection, kinds: Sequence[str]) -> None:
    """Write `sent` and `reactions` from ``contacts`` and ``responses``: each reaction with the message it is to.

    It is to the contact it names; else to the newest one, of its day or before, of the decision it names; else of the
    campaign and customer. `reactions`: customer_id, kind, at, contact_id and channel (NULL where there is no contact).
    """
    con.execute(f"CREATE TEMP VIEW sent AS {_contacts()}")
    con.execute(
        "CREATE TEMP TABLE said AS SELECT row_number() OVER () AS n, contact_id, decision_id, campaign_id, customer_id,"
        " kind, responses.at, day FROM responses WHERE kind IN (SELECT unnest($kinds))",
        {"kinds": list(kinds)},
    )
    con.execute("CREATE TEMP TABLE whose AS SELECT n, contact_id FROM said JOIN sent USING (contact_id)")
    for keys in (("decision_id",), ("campaign_id", "customer_id")):
        con.execute(f"INSERT INTO whose {_newest_of(keys)}")
    con.execute(
        "CREATE TEMP TABLE reactions AS SELECT coalesce(said.customer_id, sent.customer_id) AS customer_id, kind,"
        " said.at, whose.contact_id, channel FROM said LEFT JOIN whose USING (n)"
        " LEFT JOIN sent ON sent.contact_id = whose.contact_id"
    )


def _contacts() -> str:
    """Read the messages planned, sent or withheld: those of the shop's files and of our own journal, each once."""
    return "FROM contacts"


def _newest_of(keys: Sequence[str]) -> str:
    """Select, for reactions that have no contact yet, the newest one of the same keys on their day or before."""
    named = ", ".join(keys)
    same = " AND ".join(f"lost.{key} = last.{key}" for key in keys)
    lost = "(FROM said WHERE n NOT IN (SELECT n FROM whose))"
    return (
        f"SELECT n, last.contact_id FROM {lost} lost ASOF JOIN"
        f" (SELECT {named}, day, max({{'at': sent.at, 'id': contact_id}})['id'] AS contact_id FROM sent"
        f" SEMI JOIN {lost} USING ({named}) GROUP BY {named}, day) last ON {same} AND lost.day >= last.day"
    )
