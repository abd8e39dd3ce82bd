"""How things stand between a customer and the shop at the start of a business day: what guards ask before a message."""

from dataclasses import dataclass

import pandas as pd

from features.contact_history import write_reactions
from features.families.consent import CHANNELS
from features.identity import read_words
from features.shop import Shop
from features.signals import PARCEL_DAYS
from features.told import Connection, told, write_orders, write_parcels, write_voices

TABLES = ("order_lines", "days", "shipments", "feedback", "contacts", "responses", "consents", "customers")
LEAVING = ("unsubscribe", "block", "complaint", "bounce")  # a bounce is a hard one: the tables know no other word
LINE = "line_user_id"


def standing(shop: Shop, day: int) -> pd.DataFrame:
    """Tell of every customer known at the start of business day ``day`` what is open, under way or ended.

    Returns
    -------
    DataFrame, sorted by ``customer_id``, one row for whoever had ordered or stood on the shop's list
        Instants are seconds since 1970, UTC, NaN where there is none; the columns of a table the shop lacks are absent.

        - ``last_order_at``: of the last order that was not cancelled, of whatever kind.
        - `shipments`: ``last_order_delivered_at`` (NaN until every parcel of it that is known has come, or if none
          is), ``parcels_under_way`` (sent in the last 60 days and not come).
        - `feedback`: ``tickets_open`` and ``returns_open`` (of the last 90 days and not closed),
          ``last_ticket_closed_at``, ``last_return_closed_at``.
        - `customers` with a LINE id, or LINE ids among `identities`: ``is_line_friend`` (a LINE id is known and was not
          unlinked since).
        - `responses`: ``left_<channel>_at``, when they last unsubscribed, blocked, complained or bounced over email,
          line, push, sms, postal or phone; NaN where a later consent to marketing over that channel undid it. Where
          the message's channel is not known, a block is LINE's and anything else e-mail's.
    """
    with told(shop, day, *TABLES) as con:
        con.execute("CREATE TEMP TABLE known AS SELECT customer_id FROM days UNION SELECT customer_id FROM customers")
        write_orders(con)
        parts = [_last_orders(con)]
        if shop.parts("shipments"):
            parts += _deliveries(con, day)
        if shop.parts("feedback"):
            parts.append(_voices(con, day))
        if _knows_line_ids(con, shop, day):
            parts.append(_friends(con, day))
        if shop.parts("responses"):
            parts.append(_leavings(con))
        columns = ", ".join(part.columns for part in parts)
        joined = " ".join(f"LEFT JOIN {part.table} USING (customer_id)" for part in parts)
        rows = con.execute(f"SELECT customer_id, {columns} FROM known {joined} ORDER BY customer_id").arrow()
        table: pd.DataFrame = rows.read_all().to_pandas()
    return table


@dataclass(frozen=True)
class Part:
    """A temporary table with one row per customer, and the columns (SQL) it adds to the standing."""

    table: str
    columns: str


def _last_orders(con: Connection) -> Part:
    """Write `last_orders`; of two orders at one instant the greater id is the last."""
    con.execute(
        "CREATE TEMP TABLE last_orders AS SELECT customer_id, latest['at'] AS placed_at, latest['id'] AS order_id FROM"
        " (SELECT customer_id, max({'at': placed_at, 'id': order_id}) AS latest FROM orders WHERE placed_at IS NOT NULL"
        " GROUP BY customer_id)"
    )
    return Part("last_orders", "epoch(placed_at) AS last_order_at")


def _deliveries(con: Connection, day: int) -> list[Part]:
    con.execute(
        f"CREATE TEMP TABLE asked AS SELECT order_id FROM shipments WHERE day >= {day - PARCEL_DAYS}"
        " UNION SELECT order_id FROM last_orders"
    )
    write_parcels(con, day, "asked")
    con.execute(
        "CREATE TEMP TABLE last_deliveries AS SELECT customer_id, delivered_at FROM deliveries"
        " JOIN last_orders USING (customer_id, order_id)"
    )
    con.execute(
        "CREATE TEMP TABLE under_way AS SELECT customer_id, count(*) AS n FROM parcels"
        f" WHERE delivered_at IS NULL AND day_of(shipped_at) >= {day - PARCEL_DAYS} GROUP BY customer_id"
    )
    return [
        Part("last_deliveries", "epoch(last_deliveries.delivered_at) AS last_order_delivered_at"),
        Part("under_way", "coalesce(under_way.n, 0) AS parcels_under_way"),
    ]


def _voices(con: Connection, day: int) -> Part:
    write_voices(con, day)
    ticket, request = "kind = 'ticket'", "kind = 'return_request'"
    con.execute(
        f"CREATE TEMP TABLE open_words AS SELECT customer_id, count(*) FILTER ({ticket} AND is_open) AS tickets,"
        f" max(closed_at) FILTER ({ticket}) AS ticket_closed_at, count(*) FILTER ({request} AND is_open) AS requests,"
        f" max(closed_at) FILTER ({request}) AS return_closed_at FROM voices GROUP BY customer_id"
    )
    return Part(
        "open_words",
        "coalesce(tickets, 0) AS tickets_open, epoch(ticket_closed_at) AS last_ticket_closed_at,"
        " coalesce(requests, 0) AS returns_open, epoch(return_closed_at) AS last_return_closed_at",
    )


def _knows_line_ids(con: Connection, shop: Shop, day: int) -> bool:
    """Write `words`, what was said of aliases, and tell whether the shop says of any customer that LINE knows them."""
    listed = shop.mapping.tables.get("customers")
    is_listed = listed is not None and LINE in listed.columns
    said = f"SELECT 1 FROM words WHERE alias_type = '{LINE}' AND known_on < {day} LIMIT 1"
    return read_words(con, shop) and (is_listed or con.execute(said).fetchone() is not None)


def _friends(con: Connection, day: int) -> Part:
    """Write `friends`. Of one LINE id the list and `identities` may both speak: an end stands until a newer list."""
    con.execute(
        f"""
        CREATE TEMP TABLE friends AS WITH newest AS (
            SELECT *, link = concat_ws(chr(31), alias_type, customer_id) AS is_listed FROM words
            WHERE alias_type = '{LINE}' AND known_on < {day} QUALIFY row_number() OVER
            (PARTITION BY link ORDER BY known_on DESC, load DESC, until_day DESC NULLS LAST) = 1
        ), ended AS (
            SELECT customer_id, alias, max(until_day) AS ended_on FROM newest WHERE until_day < {day} GROUP BY ALL
        )
        SELECT DISTINCT coalesce(person, customer_id) AS customer_id, true AS is_friend
        FROM newest LEFT JOIN ended USING (customer_id, alias) LEFT JOIN persons ON id = customer_id
        WHERE alias IS NOT NULL AND (until_day IS NULL OR until_day >= {day})
        AND (NOT is_listed OR ended_on IS NULL OR ended_on < known_on)
        """
    )
    return Part("friends", "coalesce(is_friend, false) AS is_line_friend")


def _leavings(con: Connection) -> Part:
    """Write `leavings`: the last word against each channel, unless a newer consent undid it."""
    write_reactions(con, LEAVING)
    last = ", ".join(f"max(left_at) FILTER (channel = '{channel}') AS left_{channel}" for channel in CHANNELS)
    con.execute(
        f"""
        CREATE TEMP TABLE leavings AS WITH gone AS (
            SELECT customer_id, coalesce(channel, CASE kind WHEN 'block' THEN 'line' ELSE 'email' END) AS channel,
                   max(reactions.at) AS left_at
            FROM reactions WHERE customer_id IS NOT NULL GROUP BY ALL
        ), granted AS (
            SELECT customer_id, channel, max(consents.at) AS granted_at FROM consents
            WHERE purpose = 'marketing' AND granted GROUP BY ALL
        )
        SELECT customer_id, {last} FROM gone LEFT JOIN granted USING (customer_id, channel)
        WHERE granted_at IS NULL OR granted_at <= left_at GROUP BY customer_id
        """
    )
    return Part("leavings", ", ".join(f"epoch(left_{channel}) AS left_{channel}_at" for channel in CHANNELS))
