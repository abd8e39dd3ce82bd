"""The rules of talking to customers, written again in plain Python: a log of messages against the raw world.

Derived from contracts.md section 5 and the policy as a person wrote it; shares no code with ``serving.policy``. What a
rule asks of the world is what was known when the message was decided. ``broken`` names every rule that a log breaks.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.serving.months import DAY, HOUR, NEVER, RUNS_OUT, Message, Order, Person, Shop

MONEY = ("points", "free_shipping", "coupon", "gift")
WINDOWS = ("after", "around", "before")

Rule = Callable[[Shop, Message, list[Message]], bool]
RULES: dict[str, Rule] = {}


def rule(found: Rule) -> Rule:
    RULES[found.__name__] = found
    return found


def broken(shop: Shop) -> list[str]:
    """Name each message that breaks a rule, and each total that was exceeded."""
    found: list[str] = []
    before: dict[str, list[Message]] = {}
    for message in shop.log:
        earlier = before.setdefault(message.person.customer_id, [])
        if not message.is_withheld:
            if math.isnan(message.at):
                found.append(f"sent at no time: {message.person.customer_id} {message.scenario}")
                continue
            wrong = [name for name, holds in RULES.items() if not holds(shop, message, earlier)]
            found += [f"{name}: {told(shop, message)}" for name in wrong]
            earlier.append(message)
    return found + list(totals(shop)) + list(matched(shop)) + list(withheld(shop))


def told(shop: Shop, m: Message) -> str:
    local = datetime.fromtimestamp(m.decided_at if math.isnan(m.at) else m.at, shop.calendar.zone)
    what = f"{m.person.customer_id} {m.scenario} {m.offer} {m.channel}"
    return f"{what} on day {m.day - shop.world.first} at {local}{', live' if m.is_live else ''}"


def span(written: str) -> float:
    return float(written[:-1]) * (DAY if written[-1] == "d" else HOUR)


def scenario(shop: Shop, name: str) -> dict[str, Any]:
    return next(s for s in shop.rules["scenarios"] if s["id"] == name)


def is_selling(m: Message) -> bool:
    return m.purpose == "marketing"


def asks(m: Message) -> bool:
    return m.purpose == "survey" or m.kind in ("arrival_survey", "review_request")


def business_date(shop: Shop, m: Message) -> date:
    return date(1970, 1, 1) + timedelta(days=m.day)


def within(earlier: list[Message], m: Message, length: float) -> list[Message]:
    """Give the messages of the ``length`` seconds before one."""
    return [e for e in earlier if e.at > m.at - length]


def orders_known(m: Message) -> list[Order]:
    return [o for o in m.person.orders if o.placed_at < m.decided_at]


def arrivals(m: Message) -> list[float]:
    return [o.delivered_at for o in m.person.orders if o.delivered_at < m.decided_at]


def settled(spells: tuple[tuple[float, float], ...], at: float) -> list[float]:
    return [closed for _, closed in spells if closed < at]


def is_open(spells: tuple[tuple[float, float], ...], at: float) -> bool:
    return any(opened < at <= closed for opened, closed in spells)


# ---- when


@rule
def goes_out_on_its_day(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    start, end = (shop.calendar.start(m.day + k).timestamp() for k in (0, 1))
    return start <= m.decided_at <= m.at < end


@rule
def no_survey_before_delivery(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    return not asks(m) or any(came <= m.at for came in arrivals(m))


@rule
def arrival_survey_two_to_three_days_after(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if m.kind != "arrival_survey":
        return True
    latest = 72 * HOUR if as_usual(shop, m, "48h", "72h") else NEVER
    return any(48 * HOUR <= m.at - came < latest for came in arrivals(m))


@rule
def thanks_one_to_two_days_after(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if m.kind != "thanks" or not as_usual(shop, m, "24h", "48h"):
        return True
    return any(24 * HOUR <= m.at - o.placed_at < 48 * HOUR for o in orders_known(m))


def as_usual(shop: Shop, m: Message, opens: str, closes: str) -> bool:
    """Tell whether a scenario has its usual window; a policy may choose another."""
    return scenario(shop, m.scenario).get("window") == [opens, closes]


@rule
def review_two_weeks_to_a_month_after(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if m.kind != "review_request" or not as_usual(shop, m, "14d", "30d"):
        return True
    closed = max(settled(m.person.tickets, m.decided_at), default=-NEVER)
    shifted = m.at < closed + 30 * DAY  # a ticket shifts the window to 14 days after its close, as long as before
    return any(m.at - came >= 14 * DAY and (m.at - came < 30 * DAY or shifted) for came in arrivals(m))


@rule
def no_review_within_two_weeks_of_a_ticket(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if m.kind != "review_request":
        return True
    return all(m.at >= closed + 14 * DAY for closed in settled(m.person.tickets, m.decided_at))


@rule
def window_of_the_anchor(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    s = scenario(shop, m.scenario)
    anchor = next((s[word] for word in WINDOWS if word in s), None)
    if anchor is None or m.is_reminder or "after_ticket_closed" in s:
        return True
    opens, closes = (span(edge) for edge in s["window"])
    return any(opens <= m.at - at < closes for at in anchors(shop, m, anchor))


def anchors(shop: Shop, m: Message, name: str) -> list[float]:
    """Give each time that something happened to a customer, or will on a known date."""
    orders, start = orders_known(m), shop.calendar.start
    match name:
        case "order.placed":
            return [o.placed_at for o in orders]
        case "shipment.delivered_at":
            return arrivals(m)
        case "shipment.promised_at":
            return [o.promised_at for o in orders]
        case "feedback.csat":
            return [at for at, *_ in m.person.answers if at < m.decided_at]
        case "birthday":
            assert m.person.birthday is not None
            month, day = m.person.birthday
            years = (business_date(shop, m).year + k for k in (-1, 0, 1))
            return [start((date(year, month, day) - date(1970, 1, 1)).days).timestamp() for year in years]
        case "points.expire_on":
            assert m.person.points_expire_on is not None
            return [start(m.person.points_expire_on).timestamp()]
        case "replenishment.due_on":
            day = shop.calendar.day(datetime.fromtimestamp(orders[-1].placed_at, UTC))
            return [start(day + RUNS_OUT).timestamp()]
    raise AssertionError(name)


@rule
def quiet_hours_by_the_clock_on_the_wall(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    channel = shop.rules["channels"][m.channel]
    quiet, hours = channel.get("quiet"), channel.get("hours")
    if quiet is None and hours is None and m.channel in ("email", "line", "push", "sms", "phone"):
        quiet = "21:00-08:00"
    clock = datetime.fromtimestamp(m.at, shop.calendar.zone).strftime("%H:%M")
    return not (quiet and in_hours(clock, quiet)) and (hours is None or in_hours(clock, hours))


def in_hours(clock: str, written: str) -> bool:
    start, end = written.split("-")
    return start <= clock < end if start < end else clock >= start or clock < end


@rule
def calls_between_ten_and_six(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    return m.channel != "phone" or 10 <= datetime.fromtimestamp(m.at, shop.calendar.zone).hour < 18


@rule
def no_late_notice_for_what_came(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if m.kind != "delay_notice":
        return True
    usual = as_usual(shop, m, "0h", "24h")
    under_way = [o for o in orders_known(m) if o.delivered_at >= m.decided_at]
    return any(0 <= m.at - o.promised_at < DAY or not usual for o in under_way)


# ---- to whom


@rule
def an_open_complaint_is_neither_sold_to_nor_asked(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    spells = m.person.tickets + m.person.returns
    return not (is_selling(m) or asks(m)) or not is_open(spells, m.decided_at)


@rule
def consent_by_channel_and_purpose(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if (m.purpose == "service" and not asks(m)) or m.channel not in ("email", "line", "push", "sms", "postal", "phone"):
        return True
    word = said(m.person, m.channel, m.decided_at)
    return word is True if is_selling(m) else word is not False


@rule
def no_selling_to_who_refused_to_be_known(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    return not is_selling(m) or said(m.person, "personalise", m.decided_at) is not False


def said(person: Person, what: str, at: float) -> bool | None:
    answer = None
    for when, topic, word in sorted(person.consents):
        if topic == what and when < at:
            answer = word
    return answer


@rule
def line_only_to_friends_who_did_not_block(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if m.channel != "line":
        return True
    linked = [yes for at, yes in sorted(m.person.friend) if at < m.decided_at]
    return bool(linked) and linked[-1] and not has_left(m.person, "line", m.decided_at)


@rule
def no_mail_but_service_to_who_left_the_list(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    return m.channel != "email" or m.purpose == "service" or not has_left(m.person, "email", m.decided_at)


def has_left(person: Person, channel: str, at: float) -> bool:
    story = [(when, False) for when, gone in person.left if gone == channel]
    story += [(when, True) for when, what, yes in person.consents if what == channel and yes]
    known = [here for when, here in sorted(story) if when < at]
    left_once = any(when < at for when, gone in person.left if gone == channel)
    return left_once and not known[-1]


@rule
def no_refill_nudge_to_a_subscriber(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    runs = any(start < m.decided_at <= end for start, end in m.person.subscriptions)
    return not (m.kind == "replenishment" and runs)


@rule
def no_selling_so_soon_after_an_order(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    days = span(shop.rules["pressure"].get("recent_order", "3d")) / DAY
    start = shop.calendar.start(m.day).timestamp()
    newest = max((o.placed_at for o in m.person.orders if o.placed_at < start), default=None)
    if newest is None or not is_selling(m):
        return True
    return m.day - shop.calendar.day(datetime.fromtimestamp(newest, UTC)) > days


@rule
def control_gets_nothing_but_service(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    return m.purpose == "service" or not in_control(shop, m)


def in_control(shop: Shop, m: Message) -> bool:
    control = shop.rules["control"]
    lots = [(control["global_share"], f"{control['salt']}\x1f")]
    lots.append((control.get("scenario_share", 0), f"{control['salt']}\x1f{m.scenario}\x1f"))
    drawn = [
        (share, int.from_bytes(hashlib.sha256((salt + m.person.customer_id).encode()).digest()[:8], "big"))
        for share, salt in lots
    ]
    return any(lot < math.floor(share * 2**64) for share, lot in drawn)


@rule
def nothing_unknown_is_taken_for_a_yes(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    """Under ``unknown_guard: block``, and where it says nothing: a table that is late keeps back what needs it."""
    late = shop.late.get(m.day, ()) if shop.rules.get("unknown_guard") != "allow" else ()
    talks = is_selling(m) or asks(m)
    return not (
        (talks and {"feedback", "contacts", "consents"} & set(late))
        or (asks(m) and "shipments" in late)
        or (is_selling(m) and "order_lines" in late)
        or (m.kind == "replenishment" and "subscriptions" in late)
        or (talks and "responses" in late)
    )


# ---- how often


@rule
def one_action_a_customer_and_day(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    today = [e for e in earlier if e.day == m.day]
    if not m.is_live:
        return not today
    return m.purpose == "service" or not today


@rule
def channel_caps(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    caps = {} if m.purpose == "service" else shop.rules["channels"][m.channel].get("cap", {})
    return all(
        sum(e.channel == m.channel for e in within(earlier, m, span(length))) < most for length, most in caps.items()
    )


@rule
def selling_caps(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    caps = shop.rules["pressure"].get("selling", {}) if is_selling(m) else {}
    return all(sum(map(is_selling, within(earlier, m, span(length)))) < most for length, most in caps.items())


@rule
def survey_caps(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    caps = dict(shop.rules["pressure"].get("survey") or {}) if asks(m) else {}
    by_kind = caps.pop("per", "all") == "kind"
    asked = [e for e in earlier if asks(e) and (e.kind == m.kind or not by_kind)]
    return all(len(within(asked, m, span(length))) < most for length, most in caps.items())


@rule
def content_share(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    """To the nearest message: of so many that sell, at most so many have money in them, when one is added."""
    share = shop.rules["pressure"].get("content_share")
    if share is None or not is_selling(m) or m.incentive not in MONEY:
        return True
    sold = [e for e in within(earlier, m, span(share["over"])) if is_selling(e)] + [m]
    return sum(e.incentive in MONEY for e in sold) - (1 - share["min"]) * len(sold) <= 0.5 + 1e-9


@rule
def one_coupon_in_ninety_days(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    caps = shop.rules["pressure"].get("coupon", {"90d": 1}) if m.incentive == "coupon" else {}
    given = [e for e in earlier if e.incentive == "coupon"]
    return all(len(within(given, m, span(length))) < most for length, most in caps.items())


@rule
def offers_rest_between_two_times(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    rest = shop.rules["offers"][m.offer].get("cooldown") if m.offer else None
    return rest is None or not any(e.offer == m.offer for e in within(earlier, m, span(rest)))


@rule
def no_money_while_an_offer_is_open(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if m.incentive not in MONEY:
        return True
    return not any(
        e.incentive in MONEY
        and "expires" in shop.rules["offers"][e.offer]
        and e.at + span(shop.rules["offers"][e.offer]["expires"]) > m.decided_at
        and e.redeemed_at >= m.decided_at
        for e in earlier
    )


@rule
def once_per_customer(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if scenario(shop, m.scenario).get("once_per") != "customer":
        return True
    return all(e.scenario != m.scenario or e.is_reminder != m.is_reminder for e in earlier)


@rule
def an_order_stops_the_sequence(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    s = scenario(shop, m.scenario)
    if s.get("stop_on") != "order" or s.get("after") != "shipment.delivered_at":
        return True
    opens, closes = (span(edge) for edge in s["window"])
    orders = orders_known(m)
    return any(
        opens <= m.at - o.delivered_at < closes and not any(later.placed_at > o.placed_at for later in orders)
        for o in orders
        if o.delivered_at < m.decided_at
    )


@rule
def ladder_is_climbed_rung_by_rung(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    ladder = scenario(shop, m.scenario).get("ladder")
    if ladder is None or m.offer is None:
        return True
    newest = max((o.placed_at for o in orders_known(m)), default=-NEVER)
    return ladder.index(m.offer) <= sum(e.scenario == m.scenario and e.at > newest for e in earlier)


# ---- what


@rule
def no_coupon_before_a_sale(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    today = business_date(shop, m)
    for season in shop.rules.get("calendar", []):
        first = date.fromisoformat(season["from"])
        length = span(season.get("no_coupon_before", "0d"))
        if m.incentive == "coupon" and first - timedelta(seconds=length) <= today < first:
            return False
    return True


@rule
def channels_rest_on_days_off(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    today = business_date(shop, m).isoformat()
    return not any(
        m.channel in season.get("block", []) and season["from"] <= today <= season["until"]
        for season in shop.rules.get("calendar", [])
    )


@rule
def offers_are_given_on_their_days(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    valid = shop.rules["offers"][m.offer].get("valid") if m.offer else None
    return valid is None or valid["from"] <= business_date(shop, m).isoformat() <= valid["until"]


@rule
def no_coupon_for_who_would_buy_anyway(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    edge = (shop.rules["pressure"].get("would_buy_anyway") or {"p_order_without": 1})["p_order_without"]
    return m.incentive != "coupon" or not m.p_without > edge


@rule
def gifts_keep_the_premium_limits(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if m.incentive != "gift":
        return True
    offer = shop.rules["offers"][m.offer]
    worth, order = offer.get("value", offer.get("cost", 0)), 0 if math.isnan(m.known_revenue) else m.known_revenue
    own = offer.get("max_share_of_order", 1) * order if "max_share_of_order" in offer else NEVER
    return bool(worth <= min(0.2 * order if order >= 1000 else 200, own))


@rule
def margin_keeps_its_floor(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    offer = shop.rules["offers"][m.offer] if m.offer else {}
    if "margin_floor" not in offer:
        return True
    order = max(0 if math.isnan(m.known_revenue) else m.known_revenue, offer.get("min_spend", 0))
    off = order * offer["percent"] / 100 if "percent" in offer else offer["value"]
    left = order - off
    return bool(left > 0 and order * shop.rules.get("margin_share", 0.3) - off >= offer["margin_floor"] * left - 1e-9)


@rule
def offers_by_tier_go_to_their_tier(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    by_tier = scenario(shop, m.scenario).get("offers_by_tier")
    return by_tier is None or m.is_reminder or (m.offer or "none") in by_tier.get(m.tier, [])


@rule
def offers_of_the_scenario_over_its_channels(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    s = scenario(shop, m.scenario)
    by_tier = [offer for offers in s.get("offers_by_tier", {}).values() for offer in offers]
    named = [*s.get("offers", []), *s.get("ladder", []), *by_tier]
    own = shop.rules["offers"][m.offer].get("channel") if m.offer else None
    channels = [own] if own else s.get("channels", list(shop.rules["channels"]))
    return m.channel in channels and (m.is_reminder or (m.offer or "none") in (named or ["none"]))


@rule
def every_review_earns_the_same(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    s = scenario(shop, m.scenario)
    if m.kind != "review_request":
        return True
    asks_only_some = any(word in repr(s.get("who", {})) for word in ("'csat'", "'open_ticket'"))
    fair = s.get("same_reward_for_any_rating", False) and s.get("disclose", False)
    one_reward = len({*s.get("offers", []), *s.get("ladder", [])}) <= 1 and "offers_by_tier" not in s
    return not asks_only_some and one_reward and (m.offer is None or fair)


@rule
def the_unhappy_are_helped_and_no_one_else(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    if m.kind != "make_it_right":
        return True
    return any(at < m.decided_at and 0 <= m.at - at < DAY and score <= 3 for at, score, _ in m.person.answers)


@rule
def first_time_buyers_only(shop: Shop, m: Message, earlier: list[Message]) -> bool:
    """Of what is asked in ``who``, the part that can be read from the raw world."""
    wanted = scenario(shop, m.scenario).get("who", {})
    start = shop.calendar.start(m.day).timestamp()
    counts = {sum(o.placed_at < at for o in m.person.orders) for at in (start, m.decided_at)}
    return "order_count" not in wanted or m.is_reminder or wanted["order_count"] in counts


# ---- all messages together


def totals(shop: Shop) -> Iterator[str]:
    """Name each night, month or offer of which more was used than there is."""
    budget, all_sent = shop.rules.get("budget", {}), [m for m in shop.log if not m.is_withheld]
    nights, calls, quota, given, tonight = (Counter[Any]() for _ in range(5))
    for m in all_sent:
        nights[m.day] += m.cost
        calls[m.day, m.channel] += 1
        quota[month_of(shop, m), m.channel] += 1
        given[m.offer] += 1
        tonight[m.day, m.offer] += 1
    limits: list[tuple[str, Counter[Any], Callable[[Any], float | None]]] = [
        ("budget per night", nights, lambda _: budget.get("per_night")),
        ("calls a night", calls, lambda key: shop.rules["channels"][key[1]].get("per_night")),
        ("quota a month", quota, lambda key: shop.rules["channels"][key[1]].get("monthly_quota")),
        ("stock", given, lambda key: shop.rules["offers"].get(key, {}).get("stock")),
        ("offers a night", tonight, lambda key: shop.rules["offers"].get(key[1], {}).get("per_night")),
        ("codes", given, lambda key: 5 if "pool" in str(shop.rules["offers"].get(key, {}).get("code")) else None),
    ]
    for name, used, most in limits:
        for key, amount in used.items():
            limit = most(key)
            if limit is not None and amount > limit + 1e-6:
                yield f"{name}: {key} used {amount} of {limit}"
    yield from overspent(shop, "per month", budget.get("per_month"), all_sent)
    for offer, limit in budget.get("per_offer", {}).items():
        yield from overspent(shop, f"per month for {offer}", limit, [m for m in all_sent if m.offer == offer])


def overspent(shop: Shop, name: str, limit: float | None, messages: list[Message]) -> Iterator[str]:
    """Name each day on which more is planned than the month has left, by what is known of its messages by then."""
    for day in sorted({m.day for m in messages}) if limit is not None else ():
        now = shop.calendar.start(day).timestamp()
        planned = [m for m in messages if m.day == day]
        before = [m for m in messages if m.day < day and month_of(shop, m) == month_of(shop, planned[0])]
        amount = sum(m.cost for m in planned)
        total = amount + sum(known_cost(shop, m, now) for m in before)
        if amount > 0 and total > (limit or 0) + 1e-6:
            yield f"budget {name}: day {day - shop.world.first} brings it to {total} of {limit}"


def known_cost(shop: Shop, m: Message, now: float) -> float:
    """Give what sending cost, what was granted at once, and what a coupon took or may still take off an order."""
    offer = shop.rules["offers"][m.offer] if m.offer else {}
    share, value = offer.get("redemption", 1), offer.get("value", 0)
    if "percent" in offer:
        value = offer.get("min_spend", 0) * offer["percent"] / 100
    ends = m.at + span(offer["expires"]) if "expires" in offer else NEVER
    counts = offer.get("type") == "points" or m.redeemed_at < now or ends > now
    return float(shop.rules["channels"][m.channel].get("cost", 0) + offer.get("cost", 0) + value * share * counts)


def month_of(shop: Shop, m: Message) -> str:
    return business_date(shop, m).strftime("%Y-%m")


def matched(shop: Shop) -> Iterator[str]:
    """Name each message of a scenario with an anchor that came when its anchor had been spoken of already."""
    for s in shop.rules["scenarios"]:
        name = next((s[word] for word in WINDOWS if word in s), None)
        for person in shop.world.people if name else ():
            spoken_of: set[float] = set()
            mine = [m for m in sent_to(shop, person) if m.scenario == s["id"] and not m.is_reminder]
            for m in sorted(mine, key=lambda m: m.at):
                left = sorted(set(anchors(shop, m, name)) - spoken_of)
                about = next((at for at in left if could_be_about(s, m, at)), None)
                if about is None:
                    yield f"once for each time: {told(shop, m)}"
                else:
                    spoken_of.add(about)


def could_be_about(s: dict[str, Any], m: Message, came: float) -> bool:
    opens, closes = (span(edge) for edge in s["window"])
    shift = span(s["after_ticket_closed"]) if "after_ticket_closed" in s else -NEVER
    again = max((closed + shift for closed in settled(m.person.tickets, m.decided_at)), default=-NEVER)
    return came + opens <= m.at < max(came + closes, again + closes - opens)


def sent_to(shop: Shop, person: Person) -> list[Message]:
    return [m for m in shop.log if m.person.customer_id == person.customer_id and not m.is_withheld]


def withheld(shop: Shop) -> Iterator[str]:
    """Name each message withheld from somebody who is in no control group."""
    kept_back = (m for m in shop.log if m.is_withheld)
    yield from (f"withheld without reason: {told(shop, m)}" for m in kept_back if not in_control(shop, m))
