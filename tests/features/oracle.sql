-- Every feature of CATALOG a second time, as it was known at the start of business day $d (days since 1970).
-- Shares no code with features/. Reads the canonical tables alone: `products` (newest word of each), `customers`, and
-- the others with `day` and `known` (days on which a row happened and became known). `day_of` numbers an instant's day.
WITH
-- ---- what was known -------------------------------------------------------------------------------------------
line AS (
    SELECT *, coalesce(returns_order_id, order_id) AS the_order, coalesce(status = 'cancelled', false) AS is_cancelled
    FROM order_lines WHERE day < $d AND known < $d AND customer_id IS NOT NULL
),
customer AS (
    SELECT customer_id FROM line WHERE NOT is_cancelled
    UNION SELECT customer_id FROM customers GROUP BY 1
    HAVING min(coalesce(day_of(coalesce(known_at, signed_up_at)), -1e9)) < $d
),
-- ---- subscriptions: the words of the newest day, and what had come to pass before today --------------------------
subscription AS (
    SELECT customer_id, product_id, started_at, any_value(day) AS started,
           max(day_of(cancelled_at)) FILTER (day_of(cancelled_at) < $d) AS ended,
           max(day_of(paused_at)) FILTER (day_of(paused_at) < $d) AS rests,
           max(datediff('day', DATE '1970-01-01', next_ship_on)) AS ships, max(interval_days) AS every_days
    FROM (FROM subscriptions WHERE day < $d AND known < $d
          QUALIFY rank() OVER (PARTITION BY customer_id, product_id, started_at ORDER BY known DESC) = 1)
    GROUP BY 1, 2, 3
),
subscriber AS (SELECT DISTINCT customer_id FROM subscription WHERE ended IS NULL AND rests IS NULL),
of_subscriptions AS (
    SELECT customer_id, count(*) FILTER (ended IS NULL AND rests IS NULL) AS subscriptions_active,
        count(*) FILTER (ended IS NULL AND rests IS NOT NULL) AS subscriptions_paused, count(*) AS subscriptions_ever,
        count(*) FILTER (ended IS NOT NULL) AS subscriptions_cancelled, max(started) AS last_subscription_start_day,
        max(ended) AS last_subscription_cancel_day,
        min(every_days) FILTER (ended IS NULL AND rests IS NULL) AS subscription_interval_days,
        min(ships) FILTER (ended IS NULL AND rests IS NULL AND ships >= $d) AS next_ship_day
    FROM subscription GROUP BY 1
),
-- ---- kept orders: net quantity above zero; their facts are those of the moment a purchase line was first known --
purchase AS (
    SELECT *, min(known) OVER (PARTITION BY customer_id, the_order) AS first_known FROM line WHERE quantity > 0
),
first_word AS (
    SELECT customer_id, the_order, min(day) AS day, min(hour) AS hour,
           bool_or(coalesce(discount, 0) > 0) AS has_discount, bool_or(coupon_id IS NOT NULL) AS has_coupon,
           bool_or(coalesce(order_type, '') = 'subscription') AS is_subscription
    FROM purchase WHERE known = first_known GROUP BY ALL
),
kept_order AS (
    SELECT f.* FROM first_word f JOIN line USING (customer_id, the_order)
    GROUP BY ALL HAVING sum(quantity) FILTER (NOT is_cancelled) > 0
),
-- ---- one row per customer and day ------------------------------------------------------------------------------
day_line AS (
    SELECT customer_id, day, $d - day AS age,
           count(*) FILTER (quantity > 0) AS lines, count(*) FILTER (quantity < 0) AS return_lines,
           sum(quantity) AS quantity, sum(revenue) AS revenue, sum(coalesce(discount, 0)) AS discount,
           -coalesce(sum(revenue) FILTER (quantity < 0), 0) AS returned
    FROM line WHERE NOT is_cancelled GROUP BY ALL
),
counted_order AS (  -- of subscribers the one-off orders; a day's orders of a kind are never more than its orders
    FROM kept_order WHERE NOT (is_subscription AND customer_id IN (FROM subscriber))
),
every_day_order AS (
    SELECT customer_id, day, count(*) AS every_order, count(*) FILTER (is_subscription) AS every_subscription,
           count(*) FILTER (has_discount) AS with_discount,
           count(*) FILTER (has_coupon) AS with_coupon,
           count(*) FILTER (hour < 6) AS at_night, count(*) FILTER (hour BETWEEN 6 AND 11) AS in_the_morning,
           count(*) FILTER (hour BETWEEN 12 AND 17) AS in_the_afternoon, count(*) FILTER (hour >= 18) AS in_the_evening
    FROM kept_order GROUP BY ALL
),
day_order AS (
    SELECT customer_id, day, orders, least(orders, COLUMNS('^(with|at|in)_'))
    FROM (SELECT customer_id, day, count(*) AS orders FROM counted_order GROUP BY ALL)
    JOIN every_day_order USING (customer_id, day)
),
of_all_orders AS (
    SELECT customer_id, count(*) AS order_days_all, sum(every_order) AS orders_all,
           sum(every_subscription) AS subscription_orders
    FROM every_day_order GROUP BY 1
),
visit AS (
    SELECT o.*, $d - o.day AS age, coalesce(l.lines, 0) AS lines, coalesce(l.revenue, 0) AS revenue,
           o.day - lag(o.day) OVER (PARTITION BY o.customer_id ORDER BY o.day) AS gap,
           row_number() OVER (PARTITION BY o.customer_id ORDER BY o.day DESC) AS nth_last,
           isodow(DATE '1970-01-01' + CAST(o.day AS INTEGER)) >= 6 AS is_weekend
    FROM day_order o LEFT JOIN day_line l USING (customer_id, day)
),
of_visits AS (
    SELECT customer_id,
        count(*) AS n_order_days, sum(orders) AS n_orders, min(day) AS first_order_day, max(day) AS last_order_day,
        count(*) FILTER (age <= 56) AS order_days_lookback,  -- the toy shop's own look-back
        count(*) FILTER (age <= 7) AS order_days_7d, count(*) FILTER (age <= 14) AS order_days_14d,
        count(*) FILTER (age <= 28) AS order_days_28d, count(*) FILTER (age <= 56) AS order_days_56d,
        count(*) FILTER (age <= 91) AS order_days_91d, count(*) FILTER (age <= 182) AS order_days_182d,
        count(*) FILTER (age <= 365) AS order_days_365d,
        count(*) FILTER (age BETWEEN 337 AND 364) AS order_days_same_weeks_last_year,
        sum(gap) AS gap_days_sum, sum(gap ** 2) AS gap_days_squared_sum, max(gap) AS gap_days_longest,
        min(gap) AS gap_days_shortest, any_value(gap) FILTER (nth_last = 1) AS gap_days_last,
        any_value(day) FILTER (nth_last = 2) AS order_day_last_2, any_value(day) FILTER (nth_last = 3) AS order_day_last_3,
        any_value(day) FILTER (nth_last = 4) AS order_day_last_4, any_value(day) FILTER (nth_last = 5) AS order_day_last_5,
        any_value(day) FILTER (nth_last = 8) AS order_day_last_8, any_value(day) FILTER (nth_last = 12) AS order_day_last_12,
        any_value(day) FILTER (nth_last = 20) AS order_day_last_20,
        -- weights in 2^-32: exact sums whatever the order
        sum(round(2 ** 32 * 0.5 ** (age / 14))::HUGEINT)::DOUBLE / 2 ** 32 AS orders_decayed_14d,
        sum(round(2 ** 32 * 0.5 ** (age / 30))::HUGEINT)::DOUBLE / 2 ** 32 AS orders_decayed_30d,
        sum(round(2 ** 32 * 0.5 ** (age / 90))::HUGEINT)::DOUBLE / 2 ** 32 AS orders_decayed_90d,
        count(DISTINCT (age + 6) // 7) FILTER (age <= 56) AS active_weeks_8,
        count(DISTINCT (age + 6) // 7) FILTER (age <= 84) AS active_weeks_12,
        count(DISTINCT (age + 6) // 7) FILTER (age <= 182) AS active_weeks_26,
        sum(orders) FILTER (age <= 91) AS orders_91d, sum(orders) FILTER (age <= 28) AS orders_28d,
        max(revenue) AS order_day_revenue_max, min(revenue) AS order_day_revenue_min,
        any_value(revenue) FILTER (nth_last = 1) AS order_day_revenue_last,
        any_value(lines) FILTER (nth_last = 1) AS lines_last, max(lines) AS lines_max,
        count(*) FILTER (age <= 91 AND lines >= 10) AS large_visits_91d,
        count(*) FILTER (age <= 91 AND lines <= 3) AS small_visits_91d,
        sum(with_discount) AS discount_orders, sum(with_discount) FILTER (age <= 91) AS discount_orders_91d,
        sum(with_coupon) AS coupon_orders, sum(with_coupon) FILTER (age <= 91) AS coupon_orders_91d,
        max(day) FILTER (with_coupon > 0) AS last_coupon_day,
        sum(at_night) AS orders_night, sum(in_the_morning) AS orders_morning,
        sum(in_the_afternoon) AS orders_afternoon, sum(in_the_evening) AS orders_evening,
        count(*) FILTER (is_weekend) AS weekend_order_days,
        count(*) FILTER (is_weekend AND age <= 91) AS weekend_order_days_91d
    FROM visit GROUP BY customer_id
),
of_days AS (
    SELECT customer_id, sum(revenue) AS revenue_total,
        sum(revenue) FILTER (age <= 7) AS revenue_7d, sum(revenue) FILTER (age <= 14) AS revenue_14d,
        sum(revenue) FILTER (age <= 28) AS revenue_28d, sum(revenue) FILTER (age <= 56) AS revenue_56d,
        sum(revenue) FILTER (age <= 91) AS revenue_91d, sum(revenue) FILTER (age <= 182) AS revenue_182d,
        sum(revenue) FILTER (age <= 365) AS revenue_365d,
        sum(lines) FILTER (age <= 91) AS lines_91d, sum(lines) FILTER (age <= 365) AS lines_365d,
        sum(quantity) FILTER (age <= 91) AS quantity_91d, sum(return_lines) FILTER (age <= 365) AS return_lines_365d,
        sum(returned) FILTER (age <= 91) AS returned_91d, sum(returned) FILTER (age <= 365) AS returned_365d,
        (sum(lines) + sum(return_lines) > 50000)::INTEGER AS is_bot, sum(discount) FILTER (age <= 91) AS discount_91d, sum(discount) FILTER (age <= 365) AS discount_365d
    FROM day_line GROUP BY customer_id
),
-- ---- the same idea of "kept" for each product of an order -------------------------------------------------------
kept_product AS (
    SELECT customer_id, the_order, product_id, min(day) FILTER (quantity > 0 AND known = first_known) AS day
    FROM (SELECT *, min(known) FILTER (quantity > 0) OVER (PARTITION BY customer_id, the_order, product_id) AS first_known
          FROM line)
    GROUP BY ALL HAVING sum(quantity) FILTER (NOT is_cancelled) > 0
),
product AS (
    SELECT customer_id, product_id, count(*) AS ever, count(*) FILTER ($d - day <= 28) AS within_28,
           count(*) FILTER ($d - day <= 91) AS within_91
    FROM kept_product GROUP BY ALL
),
of_products AS (
    SELECT customer_id, count(*) AS n_products, count(*) FILTER (within_28 > 0) AS n_products_28d,
        count(*) FILTER (within_91 > 0) AS n_products_91d, count(*) FILTER (ever >= 2) AS n_products_repeated,
        count(*) FILTER (ever >= 5) AS n_products_staple,
        count(*) FILTER (within_28 > 0 AND within_28 = ever) AS n_products_new_28d,
        count(*) FILTER (within_91 > 0 AND within_91 = ever) AS n_products_new_91d,
        sum(ever) AS product_purchases, max(ever) AS product_favourite_purchases
    FROM product GROUP BY customer_id
),
category AS (
    SELECT customer_id, regexp_extract(category, '^(.*?)( > |$)', 1) AS top, count(*) FILTER ($d - day <= 28) AS within_28,
           count(*) FILTER ($d - day <= 91) AS within_91, count(*) FILTER ($d - day <= 365) AS within_365
    FROM kept_product JOIN products USING (product_id) WHERE category IS NOT NULL GROUP BY ALL
),
of_categories AS (
    SELECT customer_id, count(*) FILTER (within_28 > 0) AS n_categories_28d,
        count(*) FILTER (within_91 > 0) AS n_categories_91d, count(*) FILTER (within_365 > 0) AS n_categories_365d,
        sum(within_91) AS category_purchases_91d, sum(within_365) AS category_purchases_365d,
        max(within_91) AS category_purchases_top_91d, max(within_365) AS category_purchases_top_365d
    FROM category GROUP BY customer_id
),
-- ---- messages, reactions, consents ------------------------------------------------------------------------------
of_contacts AS (
    SELECT customer_id, count(*) FILTER ($d - day <= 7) AS contacts_7d,
        count(*) FILTER ($d - day <= 28) AS contacts_28d, count(*) FILTER ($d - day <= 91) AS contacts_91d,
        count(*) FILTER ($d - day <= 365) AS contacts_365d, max(day) AS last_contact_day
    FROM contacts WHERE day < $d AND known < $d AND coalesce(withheld, false) = false GROUP BY customer_id
),
named_response AS (  -- a response is its own customer's, else its message's, else its decision's; known with that
    SELECT kind, r.day, coalesce(r.customer_id, m.customer_id, n.customer_id) AS customer_id,
        greatest(r.known, CASE WHEN r.customer_id IS NULL THEN CASE WHEN m.customer_id IS NOT NULL THEN m.known
                                                                    ELSE n.known END END) AS known
    FROM responses r LEFT JOIN contacts m USING (contact_id)
    LEFT JOIN (SELECT decision_id, min(customer_id) AS customer_id, min(known) AS known
               FROM contacts WHERE decision_id IS NOT NULL GROUP BY 1) n ON n.decision_id = r.decision_id
),
of_responses AS (
    SELECT customer_id, count(*) FILTER (kind = 'open' AND $d - day <= 365) AS opens_365d,
        count(*) FILTER (kind = 'click' AND $d - day <= 365) AS clicks_365d,
        count(*) FILTER (kind = 'redeem' AND $d - day <= 365) AS redeems_365d,
        count(*) FILTER (kind = 'unsubscribe' AND $d - day <= 365) AS unsubscribes_365d,
        count(*) FILTER (kind = 'block' AND $d - day <= 365) AS blocks_365d,
        count(*) FILTER (kind = 'complaint' AND $d - day <= 365) AS complaints_365d,
        count(*) FILTER (kind = 'bounce' AND $d - day <= 365) AS bounces_365d,
        count(*) FILTER (kind = 'redeem' AND $d - day <= 91) AS redeems_91d,
        count(*) FILTER (kind = 'open' AND $d - day <= 91) AS opens_91d,
        count(*) FILTER (kind = 'click' AND $d - day <= 91) AS clicks_91d,
        nullif(count(*) FILTER (kind = 'delivered' AND $d - day <= 91), 0) AS delivered_91d,
        max(day) FILTER (kind = 'redeem') AS last_redeem_day,
        max(day) FILTER (kind IN ('unsubscribe', 'block')) AS last_leave_day
    FROM named_response WHERE day < $d AND known < $d AND customer_id IS NOT NULL GROUP BY customer_id
),
-- ---- parcels: of the customer of the order's lines; several words on one parcel, the latest day of each ------------
parcel AS (
    SELECT customer_id, $d - min(s.day) AS age, max(day_of(promised_at)) AS promised,
           max(day_of(delivered_at)) FILTER (day_of(delivered_at) < $d) AS delivered, delivered - promised AS delay,
           delivered IS NULL AND age <= 60 AS under_way, under_way AND promised < $d AS overdue
    FROM shipments s JOIN (SELECT order_id, min(customer_id) AS customer_id, min(known) AS ordered FROM order_lines
                           WHERE customer_id IS NOT NULL GROUP BY 1) USING (order_id)
    WHERE s.day < $d AND s.known < $d AND ordered < $d GROUP BY customer_id, order_id, shipped_at
),
recent_parcel AS (
    SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY delivered DESC, delay DESC NULLS LAST) AS nth
    FROM parcel WHERE delivered IS NOT NULL QUALIFY nth <= 3
),
of_parcels AS (
    SELECT customer_id, count(*) FILTER (age <= 365) AS parcels_365d, count(*) FILTER (under_way) AS parcels_under_way,
        count(*) FILTER (overdue) AS parcels_overdue,
        coalesce(max($d - promised) FILTER (overdue), 0) AS parcel_overdue_days, max(delivered) AS last_delivered_day,
        max(delivered) FILTER (delay > 0) AS last_late_delivery_day,
        count(*) FILTER (delay > 0 AND $d - delivered <= 91) AS late_deliveries_91d,
        count(*) FILTER (delay > 0 AND $d - delivered <= 365) AS late_deliveries_365d,
        count(*) FILTER ($d - delivered <= 365) AS deliveries_365d
    FROM parcel GROUP BY 1
),
of_recent_parcels AS (
    SELECT customer_id, any_value(delay) FILTER (nth = 1) AS delivery_delay_last,
        sum(delay) AS delivery_delay_sum_3, count(delay) AS delivery_delay_n_3, max(delay) AS delivery_delay_max_3
    FROM recent_parcel GROUP BY 1
),
-- ---- what customers said -------------------------------------------------------------------------------------------
said AS (
    SELECT customer_id, kind, opened_at, min(day) AS day, min(score) AS score,
           max(day_of(closed_at)) FILTER (day_of(closed_at) < $d) AS closed,
           closed IS NULL AND $d - min(day) <= 90 AS may_be_open
    FROM feedback WHERE day < $d AND known < $d GROUP BY customer_id, kind, opened_at, source, order_id, product_id
),
last_said AS (
    FROM said QUALIFY row_number() OVER (PARTITION BY customer_id, kind ORDER BY opened_at DESC, score NULLS LAST) = 1
),
of_last_said AS (
    SELECT customer_id, max(score) FILTER (kind = 'csat') AS csat_last, max(score) FILTER (kind = 'nps') AS nps_last,
        max(score) FILTER (kind = 'review') AS review_last FROM last_said GROUP BY 1
),
of_said AS (
    SELECT customer_id, sum(score) FILTER (kind = 'csat' AND $d - day <= 365) AS csat_sum_365d,
        count(score) FILTER (kind = 'csat' AND $d - day <= 365) AS csat_answers_365d,
        count(*) FILTER (kind = 'review' AND $d - day <= 365) AS reviews_365d,
        count(*) FILTER (kind = 'ticket' AND $d - day <= 28) AS tickets_28d,
        count(*) FILTER (kind = 'ticket' AND $d - day <= 91) AS tickets_91d,
        count(*) FILTER (kind = 'ticket' AND $d - day <= 365) AS tickets_365d,
        count(*) FILTER (kind = 'ticket' AND may_be_open) AS tickets_open,
        coalesce(max($d - day) FILTER (kind = 'ticket' AND may_be_open), 0) AS ticket_open_days,
        max(day) FILTER (kind = 'ticket') AS last_ticket_day, max(closed) FILTER (kind = 'ticket') AS last_ticket_closed_day,
        count(*) FILTER (kind = 'return_request' AND $d - day <= 91) AS return_requests_91d,
        count(*) FILTER (kind = 'return_request' AND may_be_open) AS return_requests_open, max(day) AS last_feedback_day
    FROM said GROUP BY 1
),
-- ---- page events, points -------------------------------------------------------------------------------------------
page AS (
    SELECT e.*, $d - e.day AS age, e.day > coalesce(last, -1e9) AS is_after_orders
    FROM events e LEFT JOIN (SELECT customer_id, max(day) AS last FROM kept_order GROUP BY 1) USING (customer_id)
    WHERE e.day < $d AND e.known < $d AND customer_id IS NOT NULL
),
of_pages AS (
    SELECT customer_id, count(*) FILTER (kind = 'view' AND age <= 7) AS views_7d,
        count(*) FILTER (kind = 'view' AND age <= 28) AS views_28d,
        count(*) FILTER (kind = 'cart' AND age <= 7) AS carts_7d, count(*) FILTER (kind = 'cart' AND age <= 28) AS carts_28d,
        count(*) FILTER (kind = 'search' AND age <= 28) AS searches_28d,
        count(*) FILTER (kind = 'wishlist' AND age <= 28) AS wishlists_28d,
        count(DISTINCT day) FILTER (age <= 7) AS visit_days_7d, count(DISTINCT day) FILTER (age <= 28) AS visit_days_28d,
        count(*) FILTER (kind = 'cart' AND age <= 28 AND is_after_orders) AS carts_left,
        max(day) AS last_event_day, max(day) FILTER (kind = 'cart') AS last_cart_day,
        count(DISTINCT product_id) FILTER (kind = 'view' AND age <= 28) AS products_viewed_28d
    FROM page GROUP BY 1
),
move AS (
    SELECT customer_id, kind, day, $d - day AS age, coalesce(points, 0) AS points, kind LIKE 'earn%' AS earns,
           earns AND kind <> 'earn_order' AS earns_otherwise
    FROM loyalty_events WHERE day < $d AND known < $d
),
of_moves AS (
    SELECT customer_id, sum(points) FILTER (earns AND age <= 365) AS points_earned_365d,
        sum(abs(points)) FILTER (kind = 'redeem' AND age <= 365) AS points_used_365d,
        sum(abs(points)) FILTER (kind = 'expire' AND age <= 365) AS points_expired_365d,
        sum(CASE WHEN earns THEN points WHEN kind IN ('redeem', 'expire') THEN -abs(points) ELSE 0 END) AS points_balance,
        count(*) FILTER (earns_otherwise AND age <= 90) AS other_earnings_90d,
        count(*) FILTER (kind = 'redeem' AND age <= 90) AS redemptions_90d,
        count(*) FILTER (kind = 'redeem' AND age <= 365) AS redemptions_365d,
        count(*) FILTER (kind = 'tier_up' AND age <= 365) AS tier_ups_365d,
        count(*) FILTER (kind = 'tier_down' AND age <= 365) AS tier_downs_365d,
        max(day) FILTER (kind = 'redeem') AS last_redemption_day,
        max(day) FILTER (earns_otherwise) AS last_other_earning_day
    FROM move GROUP BY 1
),
word AS (  -- the newest word of each channel and purpose; of two at one instant the refusal
    SELECT customer_id, channel, purpose, "at", granted::INTEGER AS granted
    FROM consents WHERE day < $d AND known < $d
),
newest_of_channel AS (
    SELECT * FROM word WHERE purpose = 'marketing'
    QUALIFY row_number() OVER (PARTITION BY customer_id, channel ORDER BY "at" DESC, granted) = 1
),
newest_of_purpose AS (
    SELECT * FROM word QUALIFY row_number() OVER (PARTITION BY customer_id, purpose ORDER BY "at" DESC, granted) = 1
),
of_consents AS (
    SELECT customer_id, max(granted) FILTER (channel = 'email') AS consent_marketing_email,
        max(granted) FILTER (channel = 'line') AS consent_marketing_line,
        max(granted) FILTER (channel = 'push') AS consent_marketing_push,
        max(granted) FILTER (channel = 'sms') AS consent_marketing_sms,
        max(granted) FILTER (channel = 'postal') AS consent_marketing_postal,
        max(granted) FILTER (channel = 'phone') AS consent_marketing_phone
    FROM newest_of_channel GROUP BY customer_id
),
of_purposes AS (
    SELECT customer_id, max(granted) FILTER (purpose = 'personalise') AS consent_personalise,
        max(granted) FILTER (purpose = 'train') AS consent_train
    FROM newest_of_purpose GROUP BY customer_id
),
-- ---- all of them; what never happened is zero, what is unknown stays NULL ----------------------------------------
stored AS (
    SELECT customer_id,
        coalesce(COLUMNS(c -> c <> 'customer_id' AND NOT regexp_matches(c, '^(consent_.*|order_day_last_.*|.*_day|gap_days_.*|order_day_revenue_.*|delivery_delay_(last|sum_3|max_3)|.*(csat|nps|review)_last|csat_sum_365d|delivered_91d|subscription_interval_days)$'))::DOUBLE, 0) AS "\0",
        COLUMNS(c -> regexp_matches(c, '^(consent_.*|order_day_last_.*|.*_day|gap_days_.*|order_day_revenue_.*|delivery_delay_(last|sum_3|max_3)|.*(csat|nps|review)_last|csat_sum_365d|delivered_91d|subscription_interval_days)$'))::DOUBLE
    FROM customer
    LEFT JOIN of_visits USING (customer_id) LEFT JOIN of_days USING (customer_id)
    LEFT JOIN of_all_orders USING (customer_id)
    LEFT JOIN of_products USING (customer_id) LEFT JOIN of_categories USING (customer_id)
    LEFT JOIN of_contacts USING (customer_id) LEFT JOIN of_responses USING (customer_id)
    LEFT JOIN of_consents USING (customer_id) LEFT JOIN of_purposes USING (customer_id)
    LEFT JOIN of_parcels USING (customer_id) LEFT JOIN of_recent_parcels USING (customer_id)
    LEFT JOIN of_said USING (customer_id) LEFT JOIN of_last_said USING (customer_id)
    LEFT JOIN of_pages USING (customer_id) LEFT JOIN of_moves USING (customer_id)
    LEFT JOIN of_subscriptions USING (customer_id)
)
SELECT *,
    $d - last_order_day AS days_since_last_order, $d - first_order_day AS days_since_first_order,
    last_order_day - first_order_day AS days_first_to_last,
    revenue_total / (order_days_all + 1e-9::DOUBLE) AS mean_order_day_revenue,
    n_order_days * 7 / ($d + 7 - first_order_day) AS order_days_per_week,
    revenue_total * 7 / ($d + 7 - first_order_day) AS revenue_per_week,
    -- cadence
    gap_days_sum / (n_order_days - 1 + 1e-9::DOUBLE) AS gap_days_mean,
    gap_days_squared_sum / (n_order_days - 1 + 1e-9::DOUBLE)
        - (gap_days_sum / (n_order_days - 1 + 1e-9::DOUBLE)) ** 2 AS gap_days_variance,
    ($d - last_order_day) / (gap_days_sum / (n_order_days - 1)) AS silence_ratio,
    ($d - last_order_day) / gap_days_longest AS silence_to_longest_gap,
    ((last_order_day - order_day_last_4) / 3) / (gap_days_sum / (n_order_days - 1)) AS gap_trend,
    gap_days_last / (gap_days_sum / (n_order_days - 1)) AS last_gap_to_mean,
    $d - order_day_last_2 AS days_since_order_2, $d - order_day_last_3 AS days_since_order_3,
    $d - order_day_last_4 AS days_since_order_4, $d - order_day_last_5 AS days_since_order_5,
    $d - order_day_last_8 AS days_since_order_8, $d - order_day_last_12 AS days_since_order_12,
    $d - order_day_last_20 AS days_since_order_20,
    -- trend: this window less the one before it
    order_days_14d - (order_days_28d - order_days_14d) AS order_days_trend_14d,
    order_days_28d - (order_days_56d - order_days_28d) AS order_days_trend_28d,
    order_days_91d - (order_days_182d - order_days_91d) AS order_days_trend_91d,
    (2 * revenue_14d - revenue_28d) / (order_days_28d + 1) AS revenue_trend_14d,
    (2 * revenue_28d - revenue_56d) / (order_days_56d + 1) AS revenue_trend_28d,
    (2 * revenue_91d - revenue_182d) / (order_days_182d + 1) AS revenue_trend_91d,
    order_days_28d / (1 + order_days_182d) AS order_days_28d_share_of_182d,
    -- basket
    lines_91d / (order_days_91d + 1e-9::DOUBLE) AS lines_per_order_day_91d,
    revenue_91d / (order_days_91d + 1e-9::DOUBLE) AS revenue_per_order_day_91d,
    revenue_91d / (lines_91d + 1e-9::DOUBLE) AS revenue_per_line_91d,
    order_day_revenue_last - revenue_total / (n_order_days + 1e-9::DOUBLE) AS last_less_mean_revenue,
    orders_91d / (order_days_91d + 1e-9::DOUBLE) AS orders_per_order_day_91d,
    -- category
    category_purchases_top_91d / (category_purchases_91d + 1e-9::DOUBLE) AS category_top_share_91d,
    category_purchases_top_365d / (category_purchases_365d + 1e-9::DOUBLE) AS category_top_share_365d,
    n_categories_365d - n_categories_91d AS categories_lapsed,
    -- discount; gross revenue is net revenue and what was given back
    discount_orders / (n_orders + 1e-9::DOUBLE) AS promo_share, coupon_orders / (n_orders + 1e-9::DOUBLE) AS coupon_share,
    discount_91d / (0.01::DOUBLE + discount_91d + (revenue_91d + returned_91d)) AS discount_depth_91d,
    discount_365d / (0.01::DOUBLE + discount_365d + (revenue_365d + returned_365d)) AS discount_depth_365d,
    $d - last_coupon_day AS days_since_coupon,
    -- novelty
    n_products_repeated / (n_products + 1e-9::DOUBLE) AS repeat_product_share,
    n_products_new_28d / (n_products_28d + 1e-9::DOUBLE) AS new_product_share_28d,
    n_products_new_91d / (n_products_91d + 1e-9::DOUBLE) AS new_product_share_91d,
    product_purchases / (n_products + 1e-9::DOUBLE) AS purchases_per_product,
    product_favourite_purchases / (n_order_days + 1e-9::DOUBLE) AS favourite_per_order_day,
    -- timing
    orders_night / (n_orders + 1e-9::DOUBLE) AS night_share, orders_morning / (n_orders + 1e-9::DOUBLE) AS morning_share,
    orders_afternoon / (n_orders + 1e-9::DOUBLE) AS afternoon_share, orders_evening / (n_orders + 1e-9::DOUBLE) AS evening_share,
    weekend_order_days / (n_order_days + 1e-9::DOUBLE) AS weekend_share,
    isodow(DATE '1970-01-01' + CAST($d AS INTEGER)) - 1 AS weekday,
    -- engagement
    $d - last_contact_day AS days_since_contact, $d - last_redeem_day AS days_since_redeem,
    $d - last_leave_day AS days_since_leave, opens_91d / delivered_91d AS open_rate_91d,
    clicks_91d / delivered_91d AS click_rate_91d,
    -- parcels, feedback, page events, points, subscriptions
    delivery_delay_sum_3 / (delivery_delay_n_3 + 1e-9::DOUBLE) AS delivery_delay_mean_3,
    late_deliveries_365d / (deliveries_365d + 1e-9::DOUBLE) AS late_delivery_share_365d,
    $d - last_delivered_day AS days_since_delivery, $d - last_late_delivery_day AS days_since_late_delivery,
    csat_sum_365d / (csat_answers_365d + 1e-9::DOUBLE) AS csat_mean_365d, $d - last_ticket_day AS days_since_ticket,
    $d - last_feedback_day AS days_since_feedback, $d - last_event_day AS days_since_event,
    $d - last_cart_day AS days_since_cart, views_7d / (views_28d + 1) AS views_7d_share_of_28d,
    points_used_365d / (points_earned_365d + 1) AS points_used_share_365d,
    $d - last_redemption_day AS days_since_redemption, $d - last_other_earning_day AS days_since_other_earning,
    $d - last_subscription_start_day AS days_since_subscription_start,
    $d - last_subscription_cancel_day AS days_since_subscription_cancel
FROM stored ORDER BY customer_id
