"""What happened next. The only module that may look past ``as_of``; imported by dataset and evaluation alone."""

from collections.abc import Sequence

import duckdb
import pandas as pd

from features.errors import Refused
from features.identity import persons, teach
from features.shop import Shop

NOBODY = pd.DataFrame({"as_of_day": pd.Series(dtype="int64"), "customer_id": pd.Series(dtype=object)})
VALUE_DAYS = 90  # the window of the value model; contracts.md: clv.predicted_90d


def labels(
    shop: Shop, days: Sequence[int], horizon_days: int, observed_until: int, subscribers: pd.DataFrame = NOBODY
) -> pd.DataFrame:
    """Tell for each customer known at a cut-off what they did afterwards, as known when its window closed.

    Parameters
    ----------
    days
        Cut-offs as business-day numbers; the future begins with that day.
    horizon_days
        H of churn: an order in [t, t + H), known before t + H.
    observed_until
        The business day at which observation ends (exclusive): now, or the lake's end in a backtest.
    subscribers
        ``as_of_day``, ``customer_id`` of who had a subscription running at a cut-off: of these only one-off
        orders count as orders, as in their features. Their revenue is all revenue.

    Returns
    -------
    DataFrame, one row per cut-off and customer with any row before it, sorted by both
        ``as_of_day``, ``customer_id``; ``future_order_days`` within H (float, NaN where H is not over);
        ``days_to_next`` (1 is an order on the cut-off day itself) and ``is_censored`` (no order seen until
        ``observed_until``, when ``days_to_next`` is the days observed); ``revenue_90d`` (net revenue in
        [t, t + 90), NaN where that window is not over).
    """
    parts = [str(path) for path in shop.parts("days")]
    with duckdb.connect() as con:
        teach(con, persons(shop, tuple(days)).merged)
        con.register("subscribers", subscribers)
        return con.execute(
            """
            WITH cutoffs AS (SELECT unnest($cutoffs)::BIGINT AS t),
            rows AS (FROM read_parquet($parts) WHERE known_on < $until),
            customers AS (
                SELECT DISTINCT t, person(t, customer_id) AS customer_id
                FROM rows JOIN cutoffs ON day < t AND known_on < t
            ),
            later AS (
                SELECT t, person(t, r.customer_id) AS customer_id, day, sum(wanted) AS orders_until_now,
                       sum(wanted) FILTER (known_on < t + $h AND day < t + $h) AS orders_in_h,
                       sum(revenue) FILTER (known_on < t + $v AND day < t + $v) AS revenue
                FROM (SELECT t, r.*, orders - CASE WHEN s.customer_id IS NULL THEN 0 ELSE orders_is_subscription END
                             AS wanted
                      FROM rows r JOIN cutoffs ON day >= t AND day < $until
                      LEFT JOIN subscribers s ON s.as_of_day = t AND s.customer_id = person(t, r.customer_id)) r
                GROUP BY ALL
            ), summed AS (
                SELECT t, customer_id, count(*) FILTER (orders_in_h > 0) AS future_order_days,
                       min(day - t + 1) FILTER (orders_until_now > 0) AS next, sum(revenue)::DOUBLE AS revenue
                FROM later GROUP BY ALL
            )
            SELECT c.t AS as_of_day, c.customer_id,
                   CASE WHEN c.t + $h <= $until THEN coalesce(future_order_days, 0)::DOUBLE END AS future_order_days,
                   coalesce(next, $until - c.t)::DOUBLE AS days_to_next, next IS NULL AS is_censored,
                   CASE WHEN c.t + $v <= $until THEN coalesce(revenue, 0) END AS revenue_90d
            FROM customers c LEFT JOIN summed USING (t, customer_id) ORDER BY as_of_day, customer_id
            """,
            {
                "cutoffs": list(days),
                "parts": parts,
                "until": observed_until,
                "h": horizon_days,
                "v": VALUE_DAYS,
            },
        ).df()


def known_customers(shop: Shop, days: Sequence[int]) -> pd.DataFrame:
    """List who was known at each cut-off: ``as_of_day`` and ``customer_id``, sorted."""
    with duckdb.connect() as con:
        teach(con, persons(shop, tuple(days)).merged)
        return con.execute(
            "SELECT DISTINCT t AS as_of_day, person(t, customer_id) AS customer_id"
            " FROM (SELECT unnest($cutoffs)::BIGINT AS t)"
            " JOIN read_parquet($parts) ON day < t AND known_on < t ORDER BY ALL",
            {"cutoffs": list(days), "parts": [str(path) for path in shop.parts("days")]},
        ).df()


def products_bought(shop: Shop, day: int, horizon_days: int, observed_until: int) -> pd.DataFrame:
    """List what each customer bought in [day, day + horizon), as known when that window closed.

    Returns
    -------
    DataFrame, sorted: ``customer_id``, ``product_id``
    """
    expect_complete(shop, day, horizon_days, observed_until)
    with duckdb.connect() as con:
        teach(con, persons(shop, (day,)).merged)
        return con.execute(
            "SELECT person($t, customer_id) AS customer_id, product_id FROM read_parquet($parts) WHERE day >= $t"
            " AND day < $t + $h AND known_on < $t + $h GROUP BY ALL HAVING sum(orders) > 0 ORDER BY ALL",
            {"parts": [str(p) for p in shop.parts("product_days")], "t": day, "h": horizon_days},
        ).df()


def ordered_after(
    shop: Shop, contacts: pd.DataFrame, window_days: int, observed_until: int, subscribers: pd.DataFrame = NOBODY
) -> pd.DataFrame:
    """Tell of each contact whether a kept order came on its day or in the ``window_days`` after, as known by then.

    Parameters
    ----------
    contacts
        ``as_of_day`` (the contact's business day) and ``customer_id`` (the person as of then), each pair once.
    subscribers
        As for :func:`labels`: of these only one-off orders count.

    Returns
    -------
    DataFrame, sorted: ``as_of_day``, ``customer_id``, ``ordered`` (0 or 1), and the window's net ``revenue`` and
        ``discount`` of the days with a kept order; contacts whose window is not over are left out.
    """
    days = tuple(int(day) for day in sorted(contacts.as_of_day.unique()))
    with duckdb.connect() as con:
        teach(con, persons(shop, days).merged)
        con.register("contacts", contacts[["as_of_day", "customer_id"]])
        con.register("subscribers", subscribers)
        return con.execute(
            """
            WITH over AS (FROM contacts WHERE as_of_day + $w < $until),
            later AS (
                SELECT as_of_day, person(as_of_day, r.customer_id) AS customer_id, day, orders, orders_is_subscription,
                       revenue, discount
                FROM (SELECT DISTINCT as_of_day FROM over)
                JOIN read_parquet($parts) r ON day >= as_of_day AND day <= as_of_day + $w AND known_on <= as_of_day + $w
            ), kept AS (
                SELECT as_of_day, customer_id, sum(revenue) AS revenue, sum(discount) AS discount
                FROM later LEFT JOIN (SELECT *, true AS subscribes FROM subscribers) USING (as_of_day, customer_id)
                GROUP BY as_of_day, customer_id, day
                HAVING sum(orders - CASE WHEN subscribes THEN orders_is_subscription ELSE 0 END) > 0
            ), each AS (
                SELECT as_of_day, customer_id, sum(revenue)::DOUBLE AS revenue, sum(discount)::DOUBLE AS discount
                FROM kept GROUP BY ALL
            )
            SELECT as_of_day, customer_id, (each.revenue IS NOT NULL)::DOUBLE AS ordered,
                   coalesce(revenue, 0) AS revenue, coalesce(discount, 0) AS discount
            FROM over LEFT JOIN each USING (as_of_day, customer_id) ORDER BY ALL
            """,
            {"parts": [str(path) for path in shop.parts("days")], "w": window_days, "until": observed_until},
        ).df()


def expect_complete(shop: Shop, day: int, horizon_days: int, observed_until: int) -> None:
    """Refuse a cut-off whose outcome is not known yet.

    Raises
    ------
    Refused
        With the earliest date at which the window is over.
    """
    if day + horizon_days > observed_until:
        raise Refused(
            f"the outcome of {shop.calendar.date(day)} + {horizon_days} days is not known before"
            f" {shop.calendar.date(day + horizon_days)}; observation ends at {shop.calendar.date(observed_until)}"
        )


def last_day(shop: Shop) -> int:
    """Give the business day after the last one the lake knows of: where observation ends in a backtest."""
    with duckdb.connect() as con:
        row = con.execute(
            "SELECT max(greatest(day, known_on)) + 1 FROM read_parquet(?)",
            [[str(p) for p in shop.parts("days")]],
        ).fetchone()
    return int(row[0]) if row else 0


def first_order_day(shop: Shop) -> int:
    """Give the business day of the shop's first kept order."""
    with duckdb.connect() as con:
        row = con.execute(
            "SELECT min(day) FROM read_parquet(?) WHERE orders > 0", [[str(p) for p in shop.parts("days")]]
        ).fetchone()
    if not row or row[0] is None:
        raise Refused(f"{shop.name}: there are no kept orders at all; nothing can be learnt")
    return int(row[0])


def own_horizon(shop: Shop, observed_until: int, unseen: frozenset[str] = frozenset()) -> int:
    """Give the shop's own horizon: the 90th percentile of its gaps between order days, in whole weeks.

    Customers in ``unseen`` are left out.
    """
    with duckdb.connect() as con:
        teach(con, persons(shop, (observed_until,)).merged)
        row = con.execute(
            "SELECT quantile_disc(gap, 0.9) FROM"
            " (SELECT day - lag(day) OVER (PARTITION BY customer_id ORDER BY day) AS gap"
            " FROM (SELECT person(?, customer_id) AS customer_id, day FROM read_parquet(?)"
            " WHERE day < ? AND known_on < ? AND customer_id NOT IN (SELECT unnest(?::VARCHAR[])) GROUP BY ALL"
            " HAVING sum(orders) > 0)) WHERE gap IS NOT NULL",
            [observed_until, [str(p) for p in shop.parts("days")], observed_until, observed_until, sorted(unseen)],
        ).fetchone()
    days = int(row[0]) if row and row[0] is not None else 28
    return min(364, max(7, 7 * -(-days // 7)))


def orders_after(
    shop: Shop, decisions: pd.DataFrame, window_days: int, settle_days: int, margin_share: float, observed_until: int
) -> pd.DataFrame:
    """Tell what each customer ordered after a decision and kept, and what the shop earned by it.

    An order counts if it was placed after the instant of the decision and by the end of the ``window_days`` business
    days after that of the decision. It counts as known ``settle_days`` later: what comes back until then is taken off,
    and nothing that is told afterwards changes the figure again.

    Parameters
    ----------
    decisions
        ``customer_id`` (of persons as of ``observed_until``), ``at`` (seconds since 1970, UTC), ``day`` (business day).
    margin_share
        Of the price before discounts, for lines whose cost is not known.

    Returns
    -------
    DataFrame, a row for each of ``decisions``, in their order
        ``n_orders`` (kept), ``revenue`` (currency, after discounts and without tax where the lines tell the tax) and
        ``margin`` (the revenue less what was sold cost; less discounts where a share of the price stands for it).

    Raises
    ------
    Refused
        If the window of any decision is not over.
    """
    if len(decisions):
        expect_complete(shop, int(decisions.day.max()), window_days + settle_days + 1, observed_until)
    tax = "coalesce(tax, 0)" if shop.mapping.tax == "included" else "0"
    with duckdb.connect() as con:
        teach(con, persons(shop, (observed_until,)).merged)
        con.register(
            "decisions", decisions[["customer_id", "day"]].assign(decided_at=decisions["at"], nth=range(len(decisions)))
        )
        return con.execute(
            f"""
            WITH lines AS (
                SELECT person($until, customer_id) AS customer_id, coalesce(returns_order_id, order_id) AS the_order,
                       epoch(ordered_at) AS placed_at, day, known_on, returns_order_id IS NULL AS is_itself,
                       CASE WHEN status = 'cancelled' THEN 0 ELSE sign END AS counts, quantity,
                       revenue - sign(quantity) * abs({tax}) AS revenue, sign(quantity) * abs(cost) AS cost,
                       sign(quantity) * abs(coalesce(discount, 0)) AS discount
                FROM read_parquet($parts, union_by_name = true)
            ), orders AS (
                SELECT nth, the_order, sum(counts * quantity) > 0 AS is_kept, sum(counts * l.revenue) AS revenue,
                       sum(counts * cost) AS cost, sum(counts * l.revenue) FILTER (cost IS NULL) AS uncosted,
                       sum(counts * discount) FILTER (cost IS NULL) AS discount
                FROM decisions d JOIN lines l ON l.customer_id = d.customer_id AND l.day >= d.day
                     AND greatest(l.day, l.known_on) <= d.day + $window + $settle
                GROUP BY nth, the_order, d.decided_at, d.day
                HAVING bool_or(is_itself) AND min(placed_at) > decided_at AND min(l.day) <= d.day + $window
            ), summed AS (
                SELECT nth, count(*) FILTER (is_kept) AS n_orders, sum(revenue)::DOUBLE AS revenue,
                       sum(cost)::DOUBLE AS cost, sum(uncosted)::DOUBLE AS uncosted, sum(discount)::DOUBLE AS discount
                FROM orders GROUP BY nth
            )
            SELECT coalesce(n_orders, 0)::BIGINT AS n_orders, coalesce(revenue, 0) AS revenue,
                   coalesce(revenue, 0) - coalesce(cost, 0) - coalesce(uncosted, 0)
                   + $share * (coalesce(uncosted, 0) + coalesce(discount, 0)) - coalesce(discount, 0) AS margin
            FROM decisions LEFT JOIN summed USING (nth) ORDER BY nth
            """,
            {
                "until": observed_until,
                "parts": [str(path) for path in shop.parts("order_lines")],
                "window": window_days,
                "settle": settle_days,
                "share": margin_share,
            },
        ).df()
