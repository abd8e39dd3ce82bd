"""What happened to a customer, or will happen on a known date, that a message may follow or precede."""

from datetime import timedelta

import pandas as pd

from features.products import products
from features.shop import Shop
from features.told import Connection, told, write_orders, write_parcels, write_voices

# policy-sample.yaml: the longest window after an occasion is 40 days, before one 14; a tag or points may look further.
BACK_DAYS, AHEAD_DAYS = 60, 45
EVENTS = (
    "order.placed",
    "order.first",
    "shipment.shipped_at",
    "shipment.promised_at",
    "shipment.delivered_at",
    "feedback.csat",
    "feedback.review",
    "feedback.ticket_closed",
    "customer.signed_up_at",
    "birthday",
    "anniversary",
    "points.expire_on",
    "event.cart",
)
TABLES = ("order_lines", "days", "shipments", "feedback", "events", "customers")
SEPARATORS = "[;,|、，；\\s]+"  # between the tags of a product: hananone.yaml's export has ";"
BIRTHDAY = r"^(?:[0-9]{4}[^0-9])?([0-9]{1,2})[^0-9]?([0-9]{1,2})[^0-9]?$"  # 04-05, 4/5, 0405, 4月5日, 1990-04-05


def occasions(shop: Shop, day: int, back_days: int = BACK_DAYS, ahead_days: int = AHEAD_DAYS) -> pd.DataFrame:
    """List each customer's occasions around business day ``day``, as known at its start.

    Those of the last ``back_days`` days, and those on a known date from ``day`` to ``ahead_days`` later.

    - ``order.placed``: an order that was not cancelled; not a subscription's, which nobody placed that day.
      ``order.first``: the first order that the customer kept, of whatever kind.
    - ``shipment.shipped_at``: a parcel; ``shipment.promised_at``: the promise of an order's parcels, the coming ones
      too; ``shipment.delivered_at``: the last delivery of an order, once all its parcels that are known have come.
      Subscriptions' parcels are among them.
    - ``feedback.csat``, ``feedback.review``, ``feedback.ticket_closed``.
    - ``customer.signed_up_at``; ``birthday``; ``anniversary`` of the first kept order's day; ``points.expire_on``.
      They stand at the start of their business day; what fell on 02-29 falls on 02-28 in common years.
    - ``event.cart``: the last time a product was put in the cart, unless the customer ordered it that day or later.

    Returns
    -------
    DataFrame, sorted by ``customer_id``, ``event``, ``at``, ``order_id`` and ``product_id``
        Instants (``at``, ``promised_at``, ``delivered_at``) are seconds since 1970, UTC, NaN where there is none.
        ``order_id`` and ``product_id``: what it was about, ``None`` where it names none.
        ``promised_at``, ``delivered_at``: of the parcel for the first two of ``shipment``, of the order for all else;
        ``delivered_at`` is NaN while a parcel is under way.
        ``score``: of an answer or review its own, else that of the order's newest satisfaction answer.
        ``open_ticket``: a ticket of the order is open, or one of the customer that names no order; without an order,
        any of the customer's; false where the shop has no feedback.
        ``tags``, ``categories`` (paths): of the order's products, else of the product, sorted and joined by "|"; "" for
        none. ``is_kept``: false where the order was cancelled or given back whole.
    """
    with told(shop, day, *TABLES) as con:
        _write_day_starts(con, shop, day, back_days, ahead_days)
        _write_products(con, shop, day)
        write_voices(con, day)
        _write_asked(con, day - back_days, day + ahead_days)
        write_orders(con, "asked")
        write_parcels(con, day, "asked")
        _write_firsts(con)
        _write_people(con)
        first = day - back_days
        happened = " UNION ALL BY NAME ".join([*_of_orders(first), *_said(), *_of_customers(day), _carts(first)])
        con.execute(f"CREATE TEMP TABLE happened AS {happened}")
        con.execute(f"DELETE FROM happened WHERE NOT day_of(moment) BETWEEN {day - back_days} AND {day + ahead_days}")
        table: pd.DataFrame = con.execute(_described()).arrow().read_all().to_pandas()
    return table


def _write_day_starts(con: Connection, shop: Shop, day: int, back_days: int, ahead_days: int) -> None:
    """Write `day_starts`: every day of the window by its number, how a calendar calls it, and when it begins."""
    rows = []
    for number in range(day - back_days, day + ahead_days + 1):
        date, moment = shop.calendar.date(number), shop.calendar.start(number)
        rows.append((number, f"{date:%m-%d}", moment))
        if f"{date:%m-%d}" == "02-28" and (date + timedelta(1)).month == 3:
            rows.append((number, "02-29", moment))
    frame = pd.DataFrame(rows, columns=["number", "month_day", "moment"])
    con.register("window_days", frame)
    con.execute("CREATE TEMP TABLE day_starts AS FROM window_days")


def _write_products(con: Connection, shop: Shop, day: int) -> None:
    """Write `product_tags` and `product_categories`: one row per product and word, as known."""
    con.register("product_facts", products(shop, shop.calendar.start(day))[["product_id", "category", "tags"]])
    con.execute(
        "CREATE TEMP TABLE product_tags AS SELECT DISTINCT product_id, word FROM (SELECT product_id::VARCHAR AS"
        " product_id, unnest(regexp_split_to_array(tags::VARCHAR, $separators)) AS word FROM product_facts)"
        " WHERE word <> ''",
        {"separators": SEPARATORS},
    )
    con.execute(
        "CREATE TEMP TABLE product_categories AS SELECT product_id::VARCHAR AS product_id, category::VARCHAR AS word"
        " FROM product_facts WHERE category::VARCHAR <> ''"
    )


def _write_asked(con: Connection, first: int, last: int) -> None:
    """Write `asked`: the orders that anything within the window is about."""
    window = f"BETWEEN {first} AND {last}"
    con.execute(
        "CREATE TEMP TABLE asked AS"
        f" SELECT coalesce(returns_order_id, order_id) AS order_id FROM order_lines WHERE day >= {first}"
        f" UNION SELECT order_id FROM shipments WHERE day {window} OR day_of(promised_at) {window}"
        f" OR day_of(delivered_at) {window}"
        f" UNION SELECT order_id FROM voices WHERE day {window} OR day_of(closed_at) {window}"
    )


def _write_firsts(con: Connection) -> None:
    """Write `firsts`: each customer's first day with a kept order."""
    con.execute(
        "CREATE TEMP TABLE firsts AS SELECT customer_id, min(day) AS day FROM"
        " (SELECT customer_id, day FROM days GROUP BY ALL HAVING sum(orders) > 0) GROUP BY customer_id"
    )


def _of_orders(first: int) -> list[str]:
    """Select orders, parcels and deliveries; the first order of those customers who had kept none before ``first``."""
    return [
        "SELECT customer_id, 'order.placed' AS event, placed_at AS moment, order_id FROM orders"
        " WHERE placed_at IS NOT NULL AND NOT is_subscription",
        "SELECT customer_id, 'order.first' AS event, placed_at AS moment, order_id FROM orders SEMI JOIN"
        f" (FROM firsts WHERE day >= {first}) USING (customer_id) WHERE is_kept AND placed_at IS NOT NULL QUALIFY"
        " row_number() OVER (PARTITION BY customer_id ORDER BY placed_at, order_id) = 1",
        "SELECT customer_id, 'shipment.shipped_at' AS event, shipped_at AS moment, order_id, promised_at AS promise,"
        " delivered_at AS delivery, true AS is_parcel FROM parcels",
        "SELECT customer_id, 'shipment.promised_at' AS event, promised_at AS moment, order_id, promised_at AS promise,"
        " CASE WHEN count(*) = count(delivered_at) THEN max(delivered_at) END AS delivery, true AS is_parcel"
        " FROM parcels WHERE promised_at IS NOT NULL GROUP BY customer_id, order_id, promised_at",
        "SELECT customer_id, 'shipment.delivered_at' AS event, delivered_at AS moment, order_id FROM deliveries"
        " WHERE delivered_at IS NOT NULL",
    ]


def _said() -> list[str]:
    """Select answers, reviews and the ends of tickets."""
    said = "customer_id, order_id, product_id"
    return [
        f"SELECT {said}, 'feedback.' || kind AS event, opened_at AS moment, score AS said FROM voices"
        " WHERE kind IN ('csat', 'review')",
        f"SELECT {said}, 'feedback.ticket_closed' AS event, closed_at AS moment FROM voices"
        " WHERE kind = 'ticket' AND closed_at IS NOT NULL",
    ]


def _write_people(con: Connection) -> None:
    """Write `people`, by person, of several ids the own one first; and `birthdays`, what their words for one mean."""
    first = "ORDER BY own_id = customer_id DESC, own_id"
    con.execute(
        "CREATE TEMP TABLE people AS SELECT customer_id, min(signed_up_at) AS signed_up_at,"
        f" first(birth_month_day {first}) FILTER (birth_month_day IS NOT NULL) AS born,"
        f" first(points_expire_on {first}) FILTER (points_expire_on IS NOT NULL) AS expires"
        " FROM customers GROUP BY customer_id"
    )
    month, date = (f"lpad(regexp_extract(born, '{BIRTHDAY}', {n}), 2, '0')" for n in (1, 2))
    con.execute(
        f"CREATE TEMP TABLE birthdays AS SELECT born, {month} || '-' || {date} AS month_day"
        " FROM (SELECT DISTINCT born FROM people WHERE born IS NOT NULL)"
    )


def _of_customers(day: int) -> list[str]:
    """Select a membership's beginning, and the days of the calendar that are a customer's own."""
    return [
        "SELECT customer_id, 'customer.signed_up_at' AS event, signed_up_at AS moment FROM people"
        f" WHERE day_of(signed_up_at) < {day}",
        "SELECT customer_id, 'birthday' AS event, moment FROM people JOIN birthdays USING (born)"
        " JOIN day_starts USING (month_day)",
        "SELECT customer_id, 'anniversary' AS event, moment FROM firsts JOIN day_starts ON month_day ="
        " strftime(DATE '1970-01-01' + firsts.day::INTEGER, '%m-%d') AND number > firsts.day",
        "SELECT customer_id, 'points.expire_on' AS event, moment FROM people JOIN"
        " (SELECT DISTINCT number, moment FROM day_starts) ON number = expires - DATE '1970-01-01'",
    ]


def _carts(first: int) -> str:
    """Select what was left in the cart; an order of the product that day is one after it, for some have no hour."""
    return (
        "SELECT customer_id, 'event.cart' AS event, c.moment, product_id FROM (SELECT customer_id, product_id,"
        f" max(events.at) AS moment, max(day) AS day FROM events WHERE kind = 'cart' AND day >= {first}"
        " AND product_id IS NOT NULL GROUP BY customer_id, product_id) c"
        " ANTI JOIN (SELECT customer_id, product_id, day FROM order_lines WHERE sign > 0 AND quantity > 0"
        f" AND day >= {first}) o ON c.customer_id = o.customer_id AND c.product_id = o.product_id AND c.day <= o.day"
    )


def _described() -> str:
    """Select `happened` with what is known of the order or product behind it."""
    return """
    WITH answers AS (
        SELECT customer_id, order_id, score FROM voices WHERE kind = 'csat' AND score IS NOT NULL QUALIFY
        row_number() OVER (PARTITION BY customer_id, order_id ORDER BY opened_at DESC, score) = 1
    ), tickets AS (
        SELECT DISTINCT customer_id, order_id FROM voices WHERE is_open AND kind = 'ticket'
    ), baskets AS (
        SELECT customer_id, order_id, list_sort(list(DISTINCT product_id)) AS basket
        FROM net_lines WHERE is_purchase GROUP BY ALL
    ), single AS (
        SELECT DISTINCT [product_id] AS basket FROM happened WHERE product_id IS NOT NULL
    ), contents AS (
        SELECT basket, unnest(basket) AS product_id FROM (SELECT DISTINCT basket FROM baskets UNION FROM single)
    ), tags AS (
        SELECT basket, string_agg(DISTINCT word, '|' ORDER BY word) AS words
        FROM contents JOIN product_tags USING (product_id) GROUP BY basket
    ), categories AS (
        SELECT basket, string_agg(DISTINCT word, '|' ORDER BY word) AS words
        FROM contents JOIN product_categories USING (product_id) GROUP BY basket
    ), joined AS (
        SELECT h.*, coalesce(b.basket, [h.product_id]) AS basket,
               o.is_kept, a.score, d.promised_at, d.delivered_at
        FROM happened h
        LEFT JOIN orders o ON o.customer_id = h.customer_id AND o.order_id = h.order_id
        LEFT JOIN baskets b ON b.customer_id = h.customer_id AND b.order_id = h.order_id
        LEFT JOIN deliveries d ON d.customer_id = h.customer_id AND d.order_id = h.order_id
        LEFT JOIN answers a ON a.customer_id = h.customer_id AND a.order_id = h.order_id
    )
    SELECT customer_id, event, epoch(moment) AS "at", order_id, product_id,
           epoch(CASE WHEN is_parcel THEN promise ELSE promised_at END) AS promised_at,
           epoch(CASE WHEN is_parcel THEN delivery ELSE delivered_at END) AS delivered_at,
           coalesce(said, score)::DOUBLE AS score,
           coalesce((customer_id, order_id) IN (FROM tickets WHERE order_id IS NOT NULL), false)
           OR customer_id IN (SELECT customer_id FROM tickets WHERE order_id IS NULL)
           OR order_id IS NULL AND customer_id IN (SELECT customer_id FROM tickets) AS open_ticket,
           coalesce(t.words, '') AS tags, coalesce(c.words, '') AS categories,
           coalesce(is_kept, order_id IS NULL) AS is_kept
    FROM joined LEFT JOIN tags t USING (basket) LEFT JOIN categories c USING (basket)
    ORDER BY customer_id, event, 3, order_id, product_id, 8
    """
