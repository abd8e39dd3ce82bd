-- Every feature of CATALOG a second time, as it was known at the start of business day $d (days since 1970).
-- Shares no code with features/. Reads the canonical tables alone: `order_lines`, `products` (newest word of each),
-- `contacts`, `responses`, `consents`, each with `day` and `known` (days on which a row happened and became known).
WITH
-- ---- what was known -------------------------------------------------------------------------------------------
line AS (
    SELECT *, coalesce(returns_order_id, order_id) AS the_order, coalesce(status = 'cancelled', false) AS is_cancelled
    FROM order_lines WHERE day < $d AND known < $d AND customer_id IS NOT NULL
),
customer AS (SELECT DISTINCT customer_id FROM line WHERE NOT is_cancelled),
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
day_order AS (
    SELECT customer_id, day, count(*) AS orders, count(*) FILTER (has_discount) AS with_discount,
           count(*) FILTER (has_coupon) AS with_coupon, count(*) FILTER (is_subscription) AS of_subscription,
           count(*) FILTER (hour < 6) AS at_night, count(*) FILTER (hour BETWEEN 6 AND 11) AS in_the_morning,
           count(*) FILTER (hour BETWEEN 12 AND 17) AS in_the_afternoon, count(*) FILTER (hour >= 18) AS in_the_evening
    FROM kept_order GROUP BY ALL
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
        max(day) FILTER (with_coupon > 0) AS last_coupon_day, sum(of_subscription) AS subscription_orders,
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
        sum(discount) FILTER (age <= 91) AS discount_91d, sum(discount) FILTER (age <= 365) AS discount_365d
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
    SELECT customer_id, count(*) FILTER ($d - day <= 28) AS contacts_28d, count(*) FILTER ($d - day <= 91) AS contacts_91d,
        count(*) FILTER ($d - day <= 365) AS contacts_365d, max(day) AS last_contact_day
    FROM contacts WHERE day < $d AND known < $d AND coalesce(withheld, false) = false GROUP BY customer_id
),
of_responses AS (
    SELECT customer_id, count(*) FILTER (kind = 'open' AND $d - day <= 365) AS opens_365d,
        count(*) FILTER (kind = 'click' AND $d - day <= 365) AS clicks_365d,
        count(*) FILTER (kind = 'redeem' AND $d - day <= 365) AS redeems_365d,
        count(*) FILTER (kind = 'unsubscribe' AND $d - day <= 365) AS unsubscribes_365d,
        count(*) FILTER (kind = 'redeem' AND $d - day <= 91) AS redeems_91d,
        max(day) FILTER (kind = 'redeem') AS last_redeem_day
    FROM responses WHERE day < $d AND known < $d GROUP BY customer_id
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
        coalesce(COLUMNS(c -> c NOT IN (
            'customer_id', 'first_order_day', 'last_order_day', 'gap_days_sum', 'gap_days_squared_sum', 'gap_days_longest',
            'gap_days_shortest', 'gap_days_last', 'order_day_revenue_max', 'order_day_revenue_min',
            'order_day_revenue_last', 'last_coupon_day', 'last_contact_day', 'last_redeem_day')
            AND NOT regexp_matches(c, '^(order_day_last_|consent_)'))::DOUBLE, 0) AS "\0",
        first_order_day::DOUBLE AS first_order_day, last_order_day::DOUBLE AS last_order_day,
        gap_days_sum::DOUBLE AS gap_days_sum, gap_days_squared_sum::DOUBLE AS gap_days_squared_sum,
        gap_days_longest::DOUBLE AS gap_days_longest, gap_days_shortest::DOUBLE AS gap_days_shortest,
        gap_days_last::DOUBLE AS gap_days_last, order_day_revenue_max::DOUBLE AS order_day_revenue_max,
        order_day_revenue_min::DOUBLE AS order_day_revenue_min, order_day_revenue_last::DOUBLE AS order_day_revenue_last,
        last_coupon_day::DOUBLE AS last_coupon_day, last_contact_day::DOUBLE AS last_contact_day,
        last_redeem_day::DOUBLE AS last_redeem_day, COLUMNS('^(order_day_last_|consent_)')::DOUBLE
    FROM customer
    LEFT JOIN of_visits USING (customer_id) LEFT JOIN of_days USING (customer_id)
    LEFT JOIN of_products USING (customer_id) LEFT JOIN of_categories USING (customer_id)
    LEFT JOIN of_contacts USING (customer_id) LEFT JOIN of_responses USING (customer_id)
    LEFT JOIN of_consents USING (customer_id) LEFT JOIN of_purposes USING (customer_id)
)
SELECT *,
    $d - last_order_day AS days_since_last_order, $d - first_order_day AS days_since_first_order,
    last_order_day - first_order_day AS days_first_to_last,
    revenue_total / (n_order_days + 1e-9::DOUBLE) AS mean_order_day_revenue,
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
    $d - last_contact_day AS days_since_contact, $d - last_redeem_day AS days_since_redeem
FROM stored ORDER BY customer_id
