"""A policy is examined before it is used: every mistake with its line, and what could never happen."""

import copy
import re
from collections.abc import Iterator
from datetime import date, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features.calendar import BusinessCalendar
from features.errors import BadInput
from serving.policy.columns import CUSTOMER
from serving.policy.examine.check import check, is_refused, report
from serving.policy.examine.findings import Finding, Setting
from serving.policy.examine.possible import is_possible
from serving.policy.examine.unspoken import channel_reasons
from serving.policy.filters import matches, parse
from serving.policy.reading import DEFAULT, load_policy, parse_policy
from serving.policy.rules import Policy
from serving.policy.text.mistakes import look
from serving.policy.text.vocabulary import known_words, references
from tests.worlds import examples

SAMPLE = Path(__file__).with_name("hananone_policy.yaml").read_text()
DAY = date(2026, 11, 21)
TOKYO = Setting(DAY, (BusinessCalendar("Asia/Tokyo", time(0)),), "JPY")
JAPANESE = re.compile("[ぁ-んァ-ン一-龯]")


def found(text: str, setting: Setting = TOKYO) -> list[Finding]:
    return check(text.encode(), setting)


def line(text: str, snippet: str) -> int:
    """Number the only line on which a snippet stands."""
    here = [n for n, row in enumerate(text.splitlines(), 1) if snippet in row]
    assert len(here) == 1, f"{snippet!r} stands on lines {here}"
    return here[0]


def changed(old: str, new: str, text: str = SAMPLE) -> str:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return text.replace(old, new)


def test_the_sample_has_no_mistake_and_only_what_is_true_of_it() -> None:
    told = found(SAMPLE)
    assert [(f.level, f.line, f.path, f.code) for f in told] == [
        # 30 % of revenue less 10 %: (.30 - .10) / .90 = .222 of an order is kept, and .35 is demanded
        ("warning", 42, "offers.cpn_10pct", "offer_dead"),
    ]
    assert not is_refused(told)


def test_the_policy_that_ships_has_nothing_to_be_said_of() -> None:
    assert found(DEFAULT.read_text()) == []


def test_an_offer_whose_days_are_over_is_told_from_the_day_after_them() -> None:
    last, after = (Setting(date(2026, 12, day), TOKYO.calendars) for day in (7, 8))
    assert "offer_dead" not in [f.code for f in found(SAMPLE, last) if f.path == "offers.early_access"]
    assert [f.code for f in found(SAMPLE, after) if f.path == "offers.early_access"] == ["offer_dead"]


# ---- what cannot be read: what is written, what to write instead, where


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pressure:", "presure:", "presure: unknown key; did you mean pressure?"),
        ("salt: hananone-2026", "salz: hananone-2026", "control.salz: unknown key; did you mean salt?"),
        ("salt: hananone-2026", "salt: 2026", "control.salt: Input should be a valid string"),
        ("postal:  {cost", "postl:  {cost", "channels.postl: must be one of"),
        ("{cost: 110", "{costs: 110", "channels.postal.costs: unknown key; did you mean cost?"),
        ("{cost: 110", "{cost: yes", "channels.postal.cost: must be a number, not true"),
        ("{cost: 110", "{cost: -1", "channels.postal.cost: Input should be greater than or equal to 0"),
        ("{cost: 110", "{cost: .inf", "channels.postal.cost: .inf is no plain number"),
        ("{cost: 110", "{cost: 0110", "channels.postal.cost: 0110 is no plain number"),
        ("{cost: 110", "{cost: 1:50", "channels.postal.cost: 1:50 is no plain number"),
        ("{cost: 110", "{cost: 110, cost: 90", "channels.postal.cost: key 'cost' stands twice"),
        ('quiet: "21:00-09:00"', "quiet: 21:00", "channels.line.quiet: 21:00 is no plain number"),
        ('quiet: "21:00-09:00"', 'quiet: "21-9"', "channels.line.quiet: '21-9' are no hours of a day"),
        ("needs: line_user_id", "needs: line_userid", "channels.line.needs: must be one of line_user_id"),
        ("per: kind}", "per: kinds}", "pressure.survey.per: must be one of kind, all; did you mean kind?"),
        ("content_share: {min: 0.4", "content_share: {min: 4", "pressure.content_share.min: Input should be less"),
        ("no_coupon_before: 14d", "no_coupon_before: 14", "calendar.0.no_coupon_before: 14 is no span of time"),
        ("from: 2026-12-26, until: 2027-01-05", "from: 2026-12-26, until: 2027-02-30", "calendar.0.until: Input"),
        ("from: 2026-12-26, until: 2027-01-05", "from: 2027-12-26, until: 2027-01-05", "calendar.0: until 2027-01-05"),
        ("block: [phone, postal]", "block: [phone, postel]", "calendar.1.block.1: must be one of"),
        ("first_order_window: 90d", "first_order_window: 90", "lifecycle.first_order_window: 90 is no span"),
        ("メイク: 150d", "メイク: 150", "lifecycle.dormant.by_category.メイク: 150 is no span"),
        ("high: 0.45", "high: 0.75", "churn_bands: watch, high and critical must rise"),
        ("perks: [pts_500_birthday]", "perks: [pts_50_birthday]", "perks.0: unknown word pts_50_birthday"),
        ("{type: service, cost: 700}", "{type: servise, cost: 700}", "offers.exchange.type: must be one of"),
        ("value: 550, min_spend", "val: 550, min_spend", "offers.ship_free.val: unknown key; did you mean value?"),
        ("{type: coupon, percent: 10,", "{type: coupon, percent: 10, value: 5,", "offers.cpn_10pct: a coupon has"),
        ("percent: 10,", "percent: 110,", "offers.cpn_10pct.percent: Input should be less than or equal to 100"),
        ("channel: insert", "channel: inser", "offers.sample_serum.channel: must be one of"),
        ("kind: birthday,", "kind: birtday,", "scenarios.8.kind: must be one of"),
        ("around: birthday,", "arround: birthday,", "scenarios.8.arround: unknown key; did you mean around?"),
        ("around: birthday, window: [-7d, 7d]", "around: birthday", "scenarios.8: window: stands with after"),
        ("around: birthday, window: [-7d, 7d]", "around: birthday, window: [7d, -7d]", "window: must open before"),
        ("around: birthday, window: [-7d, 7d]", "around: birthday, window: [-7, 7d]", "window.0: -7 is no span"),
        ("around: birthday,", "around: birthday, after: order.placed,", "scenarios.8: after and around: a scenario"),
        ("offers_by_tier: {regular:", "offers_by_tier: {reguler:", "offers_by_tier.reguler: unknown word reguler"),
        ("platinum: [sample_serum]", "platinum: [sampleserum]", "offers_by_tier.platinum.0: unknown word"),
        ("offers: [none, pts_300]", "offers: [none, pts_30]", "scenarios.7.offers.1: unknown word pts_30"),
        ("priority: 3, around", "priority: high, around", "scenarios.7.priority: Input should be a valid integer"),
        ("subscription_active: false", "subscriptoin: false", "who.subscriptoin: unknown field"),
        ("subscription_active: false", "subscription_active: no-one", "subscription_active: must be true or false"),
        ("to_next_tier: {max: 3000}", "to_next_tier: {maxi: 3000}", "to_next_tier.maxi: unknown condition"),
        ("to_next_tier: {max: 3000}", "to_next_tier: {max: 3000}, csat: 3", "who.csat: csat is asked of what"),
        ("tier: [platinum]", "tier: [platinium]", "who.tier.0: unknown word platinium; did you mean platinum?"),
        ("lifecycle: [at_risk, dormant]", "lifecycle: [atrisk, dormant]", "who.lifecycle.0: unknown word"),
        ("channels: [line, email, postal]", "channels: [line, sms, postal]", "11.channels.1: unknown word sms"),
        ("per_offer: {cpn_10pct:", "per_offer: {cpn_10pt:", "budget.per_offer.cpn_10pt: unknown word cpn_10pt"),
        ("budget: {per_night: 30000", "budget: {per_nigth: 30000", "budget.per_nigth: unknown key"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_what_would_be_right(old: str, new: str, said: str) -> None:
    text = changed(old, new)
    told = [f for f in found(text) if f.level == "mistake"]
    assert [f.line for f in told] == [line(text, new)]
    assert said in told[0].said[1]
    assert JAPANESE.search(told[0].said[0]), told[0].said
    with pytest.raises(BadInput, match=re.escape(f"rules.yaml:{line(text, new)}: ")):
        parse_policy(text.encode(), "rules.yaml")


def test_a_mistake_between_lines_is_told_of_the_block_or_of_the_later_line() -> None:
    told = [f for f in found(changed("from: 50000, perks", "from: 5000, perks")) if f.level == "mistake"]
    assert [(f.line, f.said[1]) for f in told] == [(27, "tiers: levels: each must begin above the one before")]
    text = changed("id: refill, kind", "id: review, kind")
    told = [f for f in found(text) if f.level == "mistake"]
    assert [(f.line, f.said[1]) for f in told] == [
        (54, "scenarios.7.id: review stands more than once; the first is on line 51")
    ]


def test_every_mistake_is_found_in_one_run() -> None:
    wrong = [
        ("salt: hananone-2026", "salz: hananone-2026"), ("{cost: 110", "{cost: yes"), ("per: kind}", "per: kinds}"),
        ("high: 0.45", "high: 0.75"), ("percent: 10,", "percent: 10, value: 5,"), ("kind: birthday,", "kind: birtday,"),
        ("priority: 3, around", "priority: high, after: order.placed, around"), ("tier: [platinum]", "tier: [platin]"),
        ("to_next_tier: {max: 3000}", "to_next_tier: {maxi: 3000}"), ("cpn_10pct: 150000", "cpn_10: 150000"),
        ("ladder: [care_tips,", "ladder: [care_tip,"), ("scenarios:\n", "scenarois:\n"), ("id: thanks,", "id: review,"),
    ]  # fmt: skip
    text = SAMPLE
    for old, new in wrong:
        text = changed(old, new, text)
    lines = {f.line for f in found(text) if f.level == "mistake"}
    assert lines >= {line(text, new.strip()) for old, new in wrong if "review" not in new}
    named = {f.path.split(".")[-1] for f in found(text)}
    assert {"salz", "cost", "per", "churn_bands", "cpn_10pct", "kind", "priority", "maxi", "cpn_10", "id"} <= named


@pytest.mark.parametrize(
    "text",
    ["policy: [", "", "- a", "a: &x 1\nb: *x", "\x00", "[" * 1100, "policy: !!python/object:os.system {}", "?: 1", "7"],
)
def test_what_is_no_policy_at_all_is_one_plain_mistake(text: str) -> None:
    told = found(text)
    assert is_refused(told)
    with pytest.raises(BadInput):
        parse_policy(text.encode(), "x")


def test_bytes_that_are_no_text_are_refused() -> None:
    assert is_refused(check("名前: 1".encode("cp932"), TOKYO))


# ---- what can never happen, and what is hardly meant


THANKS = "window: [24h, 48h], offers: [care_tips], channels: [email]"


@pytest.mark.parametrize(
    ("old", "new", "level", "code"),
    [
        ("due_on, window: [-7d, 3d]", "due_on, window: [0h, 2h]", "mistake",
         "never_fires:quiet_all_window"),
        ("due_on, window: [-7d, 3d]", "due_on, window: [0h, 10h]", "ok", ""),
        ("due_on, window: [-7d, 3d]", "due_on, window: [0h, 9h]", "warning",
         "channel_dead:quiet_all_window"),
        ('hours: "10:00-18:00"', 'hours: "10:00-12:00", quiet: "09:00-13:00"', "mistake", "never_fires:channel_silent"),
        ("who: {order_count: 1}", "who: {order_count: 0}", "mistake", "never_fires:who_against_anchor"),
        ("who: {order_count: 1}", "who: {all: [{order_count: {min: 3}}, {order_count: {max: 2}}]}", "mistake",
         "never_fires:who_contradicts"),
        ("who: {order_count: 1}", "who: {order_count: 1, f_stage: F2}", "mistake", "never_fires:who_contradicts"),
        ("who: {order_count: 1}", "who: {order_count: 1, lifecycle: prospect}", "mistake",
         "never_fires:who_contradicts"),
        ("who: {order_count: 1}", "who: {order_count: {between: [1.2, 1.8]}}", "mistake",
         "never_fires:who_contradicts"),
        ("who: {order_count: 1}", "who: {delivered: false}", "mistake", "never_fires:who_against_anchor"),
        ("who: {order_count: 1}", "who: {churn_band: low, churn_probability: {min: 0.5}}", "mistake",
         "never_fires:who_contradicts"),
        ("who: {order_count: 1}", "who: {action_scenario: refill}", "mistake", "never_fires:decided_later"),
        ("who: {order_count: 1}", "who: {any: [{order_count: 1}, {action_scenario: refill}]}", "ok", ""),
        ("lifecycle: [at_risk], clv_grade: 5", "lifecycle: [dormant], churn_band: high", "mistake",
         "never_fires:who_contradicts"),
        ("lifecycle: [at_risk], clv_grade: 5", "lifecycle: [dormant], days_since_last_order: {max: 60}", "mistake",
         "never_fires:who_contradicts"),
        ("lifecycle: [at_risk], clv_grade: 5", "to_next_tier: {max: 3000}", "mistake", "never_fires:who_contradicts"),
        ("dormant_times: 2", "dormant_times: 1", "warning", "no_life"),
        ("subscription_active: false", "subscription_active: true", "mistake", "never_fires:subscribers_only"),
        ("around: birthday, window: [-7d, 7d]", "around: birthday, window: [-7d, 7d], who: {tag: x}", "mistake",
         "never_fires:who_against_anchor"),
        ("around: birthday, window: [-7d, 7d]", "around: birthday, window: [-7d, 7d], who: {csat: 5}", "mistake",
         "never_fires:who_against_anchor"),
        ("window: [48h, 72h]", "window: [24h, 48h]", "mistake", "never_fires:survey_too_early"),
        ("window: [48h, 72h]", "window: [48h, 96h]", "warning", "practice"),
        (THANKS, THANKS.replace("24h, 48h", "0h, 24h"), "warning", "practice"),
        ("after_ticket_closed: 14d, offers", "after_ticket_closed: 14d, who: {csat: {min: 4}}, offers", "mistake",
         "never_fires:review_gating"),
        (", disclose: true", "", "mistake", "never_fires:review_reward"),
        (", after_ticket_closed: 14d", "", "warning", "unhappy_left_out"),
        ("window: [7d, 10d]", "window: [7d, 10d], disclose: true", "warning", "no_effect"),
        ("priority: 4, after: shipment.delivered_at, window: [7d, 10d]", "priority: 4, after: order.placed,"
         " window: [0h, 48h]", "mistake", "never_fires:recent_order"),
        ("{7d: 2, 30d: 6}\n  survey", "{7d: 0, 30d: 6}\n  survey", "mistake", "never_fires:no_selling"),
        ("survey: {90d: 1", "survey: {90d: 0", "mistake", "never_fires:no_surveys"),
        ("global_share: 0.05", "global_share: 1", "mistake", "never_fires:all_control"),
        ("global_share: 0.05, scenario_share: 0.10", "global_share: 0.6, scenario_share: 0.5", "mistake",
         "control_shares"),
        ("exempt: [service]", "exempt: [service, marketing]", "warning", "not_measured"),
        ("per_night: 30000", "per_night: 0", "mistake", "zero_budget"),
        ("per_night: 30000", "per_night: 500", "mistake", "never_fires:budget"),
        ("per_month: 600000", "per_month: 20000", "warning", "month_short"),
        ("{cpn_10pct: 150000}", "{sample_serum: 900000}", "warning", "offer_over_budget"),
        ("{cpn_10pct: 150000}", "{exchange: 500}", "warning", "offer_dead"),
        ("per_night: 15", "per_night: 0", "mistake", "never_fires:channel_per_night"),
        ("{cost: 0.3, quiet", "{cost: 0.3, monthly_quota: 0, quiet", "mistake", "never_fires:channel_quota"),
        ("stock: 400", "stock: 0", "warning", "offer_dead"),
        ("per_night: 5}", "per_night: 0}", "warning", "offer_dead"),
        ("max_share_of_order: 0.2, channel", "max_share_of_order: 0, value: 300, channel", "warning", "offer_dead"),
        ("max_share_of_order: 0.2, channel", "max_share_of_order: 0, channel", "ok", ""),
        ("exchange:       {type: service, cost: 700}", "exchange:       {type: service, max_share_of_order: 0.1}",
         "warning", "no_effect"),
        ("value: 550, min_spend: 3000", "value: 550, lift: [0, 0, 0.1]", "warning", "offer_dead"),
        ("coupon: {90d: 1}", "coupon: {90d: 0}", "warning", "offer_dead"),
        ("min: 0.4, over: 30d", "min: 1, over: 30d", "warning", "offer_dead"),
        ("exchange:       {type", "unloved:        {type: content}\n  exchange:       {type", "warning",
         "offer_unused"),
        ("  insert:  {cost: 25}", "  insert:  {cost: 25}\n  web:     {cost: 0}", "ok", ""),
        ("offers_by_tier: {regular: [care_tips], ", "offers_by_tier: {", "warning", "tier_left_out"),
        ("clv_grade: 5, tier: [platinum]}, offers: [counselling]", "tier: [gold]}, offers_by_tier: {silver:"
         " [counselling], gold: [], platinum: [], regular: []}", "mistake", "never_fires:no_tier"),
        ("offers: [exchange, counselling]", "offers: [exchange, exchange, counselling]", "warning", "twice"),
        ("offers: [care_tips, ship_free, cpn_500]", "offers: [care_tips, ship_free, cpn_500, sample_serum]", "warning",
         "other_channel"),
        ("kind: win_back,      purpose: marketing, priority: 4", "kind: win_back, purpose: service, priority: 4",
         "mistake", "sells_as_service"),
        ("kind: arrival_survey,  purpose: survey", "kind: arrival_survey, purpose: service", "mistake", "not_read"),
        ("kind: thanks,        purpose: service", "kind: thanks, purpose: marketing", "warning", "purpose"),
        ("window: [-14d, -3d]", "window: [3d, 14d]", "mistake", "sign"),
        ("after: order.placed, window: [24h, 48h]", "after: order.placed, window: [-24h, 48h]", "mistake", "sign"),
        ("before: points.expire_on, window: [-14d, -3d], ", "", "warning", "no_anchor"),
        ("after: shipment.promised_at", "after: order.placed", "warning", "odd_anchor"),
        ("who: {points: {min: 300}}", "stop_on: order, who: {points: {min: 300}}", "ok", ""),
        ("ladder: [care_tips, early", "once_per: customer, ladder: [care_tips, early", "warning", "no_effect"),
        ("value: 500, expires: 30d", "value: 500", "warning", "no_effect"),
        ("    - {id: regular}\n", "    - {id: regular, from: 100}\n", "warning", "lowest_tier"),
        (", needs: line_user_id", "", "warning", "line_needs"),
        ("insert:  {cost: 25}", "insert:  {cost: 25, needs: line_user_id}", "warning", "odd_needs"),
        ("from: 2026-12-26, until: 2027-01-05", "from: 2025-12-26, until: 2026-01-05", "warning", "season_over"),
        ("block: [phone, postal]", "block: [phone, postal, sms]", "warning", "blocks_none"),
        ("block: [phone, postal]", "block: [phone, postal, line, email, insert]", "warning", "blocks_all"),
        ("no_training_labels: false", "no_training_labels: true", "mistake", "not_read"),
        ("name: 年末年始休業", "name: 冬のセール", "warning", "same_season"),
        ("until: 2027-01-04, block: [phone, postal]", "until: 2028-03-01, block: [phone, postal]", "ok", ""),
        ("from: 2026-12-29, until: 2027-01-04, block: [phone, postal]", "from: 2026-11-01, until: 2028-03-01,"
         " block: [phone]", "mistake", "never_fires:blackout"),
        ("value: 500, min_spend", "value: 500, valid: {from: 2026-12-13, until: 2026-12-20}, min_spend", "warning",
         "offer_dead"),
    ],
)  # fmt: skip
def test_what_can_never_happen_or_is_hardly_meant_is_told_once(old: str, new: str, level: str, code: str) -> None:
    known = {(f.path, f.code) for f in found(SAMPLE)}
    told = [f for f in found(changed(old, new)) if (f.path, f.code) not in known]
    if level == "ok":
        assert told == []
        return
    assert (level, code) in [(f.level, f.code) for f in told], [(f.level, f.code, f.said) for f in told]
    assert all(JAPANESE.search(f.said[0]) and f.line > 0 for f in told)


@pytest.mark.parametrize(
    ("more", "code", "is_told"),
    [
        ("{id: again, kind: tier, purpose: marketing, priority: 7, who: {to_next_tier: {max: 3000}, tier_expires_on:"
         " {max: 60d}}, offers: [care_tips], channels: [email]}", "never_wins", True),
        ("{id: again, kind: tier, purpose: marketing, priority: 6, who: {to_next_tier: {max: 3000}, tier_expires_on:"
         " {max: 60d}}, offers: [care_tips], channels: [email]}", "never_wins", False),
        ("{id: again, kind: tier, purpose: marketing, priority: 8, who: {to_next_tier: {max: 3000}, tier_expires_on:"
         " {max: 60d}}, offers: [care_tips, pts_300], channels: [email]}", "never_wins", False),
        ("{id: again, kind: second_order, purpose: marketing, priority: 4, after: shipment.delivered_at, window: [7d,"
         " 10d], who: {order_count: 1}, offers: [care_tips], channels: [email]}", "never_wins", True),
    ],
)  # fmt: skip
def test_of_two_scenarios_for_the_same_customers_the_poorer_never_wins(more: str, code: str, is_told: bool) -> None:
    told = found(changed("budget: {per_night", f"  - {more}\nbudget: {{per_night"))
    assert (("scenarios.13", code) in [(f.path, f.code) for f in told]) == is_told


def test_a_sale_in_the_days_without_coupons_before_another_is_told() -> None:
    first = "  - {name: 秋, from: 2026-12-13, until: 2026-12-20, no_coupon_before: 3d}\n"
    told = found(changed("  - {name: 年末年始休業", first + "  - {name: 年末年始休業"))
    assert "sale_without_coupons" in [f.code for f in told]


def test_a_finding_says_its_line_how_grave_it_is_and_why() -> None:
    wrong = found(changed("offers: [counselling], channels: [phone]", "offers: [ship_free], channels: [phone]"))
    assert report(wrong, "hananone.yaml", "ja")[1] == (
        "hananone.yaml:59: 注意: 掘り起こし(休眠・離脱予兆)(vip_call)は一度も配信されません。"
        "対象の会員ランクが特典としてすでに持っています(TIER)"
    )
    assert report(wrong, "hananone.yaml", "en")[1] == (
        "hananone.yaml:59: warning: Win-back (vip_call) can never fire: every tier it goes to has it as a perk anyway"
        " (TIER)"
    )


# ---- nothing is accepted in silence


def keys_of(node: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """List a document's keys, those of a shop's own words (offers, tiers, categories, spans) left out."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield from keys_of(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from keys_of(value)


OWN_WORDS = {"スキンケア", "メイク"}
KEYS = [key for key in keys_of(yaml.compose(SAMPLE)) if key.value not in OWN_WORDS]
LETTERS = st.sampled_from("abcxyz_")


@examples(60)
@given(st.sampled_from(KEYS), st.data())
def test_no_key_that_is_misspelt_is_passed_over(key: yaml.ScalarNode, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(key.value) - 1))
    wrong = key.value[:at] + data.draw(LETTERS) + key.value[at + data.draw(st.integers(0, 1)) :]
    text = SAMPLE[: key.start_mark.index] + wrong + SAMPLE[key.end_mark.index :]
    said_same = wrong == key.value
    looked = look(text.encode())
    if said_same:
        assert not looked.mistakes
    elif not looked.mistakes:  # an offer's or tier's own name, misspelt where nothing else names it
        old, new = parse_policy(SAMPLE.encode(), "x"), looked.policy
        assert new is not None and new.hash != old.hash and (wrong in new.offers or wrong in str(new.tiers))
    else:
        assert key.start_mark.line + 1 in {m.line for m in looked.mistakes} or key.value in str(looked.mistakes)


WORDS = [
    "line_user_id", "kind: thanks", "purpose: service", "after: order.placed", "type: content", "review_on: monthly",
    "unknown_guard: block", "once_per: order", "stop_on: order", "lifecycle: [at_risk", "block: [phone",
    "channels: [phone", "ladder: [care_tips", "tier: [platinum", "perks: [ship_free", "per: kind", "channel: insert",
]  # fmt: skip


@examples(60)
@given(st.sampled_from(WORDS), st.data())
def test_no_word_that_is_misspelt_is_passed_over(words: str, data: st.DataObject) -> None:
    start = SAMPLE.index(words) + len(words) - len(re.split(r"[\[ ]", words)[-1])
    end = SAMPLE.index(words) + len(words)
    at = data.draw(st.integers(start, end - 1))
    text = SAMPLE[:at] + data.draw(LETTERS) + SAMPLE[at + data.draw(st.integers(0, 1)) :]
    if text == SAMPLE:
        return
    assert SAMPLE[:start].count("\n") + 1 in {m.line for m in look(text.encode()).mistakes}


def leaves(value: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*steps, key)
        yield from leaves(inner, (*steps, key))


TREE = yaml.safe_load(SAMPLE)
PLACES = list(leaves(TREE))


@examples(25)
@given(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3, unique=True), st.data())
def test_whatever_is_torn_out_or_replaced_the_reading_comes_to_an_end(places: list[Any], data: st.DataObject) -> None:
    tree = yaml.safe_load(SAMPLE)
    junk = st.sampled_from([None, True, -1, 1e9, "x", [], {}, [1], {"a": 1}, "90d"])
    for steps in places:
        block = tree
        try:
            for step in steps[:-1]:
                block = block[step]
            block[steps[-1]] = copy.deepcopy(data.draw(junk))
        except (KeyError, IndexError, TypeError):
            continue
    text = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)
    looked = look(text.encode())
    told = check(text.encode(), TOKYO)
    assert bool(looked.mistakes) == any(f.code == "not_read" for f in told)
    assert looked.policy is not None
    if not looked.mistakes:
        assert parse_policy(text.encode(), "x") == Policy.model_validate(tree)


def test_the_words_that_name_something_are_those_the_policy_lists() -> None:
    policy = parse_policy(SAMPLE.encode(), "x")
    own = {(word, known) for path, word, known in references(TREE, known_words(TREE)) if "perks" not in path}
    assert own == {(word, known) for _, word, known in policy.references()} | {("platinum", known_words(TREE)["tiers"])}


# ---- who could be meant, against customers made up one by one


POLICY = load_policy()
ASKED = ("order_count", "f_stage", "lifecycle", "days_since_last_order", "silence_ratio", "churn_band", "tier")


def customer(orders: int, silence: int, age: int, gap: float, last_gap: float, chance: float) -> dict[str, Any]:
    """Make up a customer by the edges of the policy that ships: 90 days new, 120 dormant, 240 lapsed, ratio 1.5."""
    ratio = silence / gap
    life = (
        "prospect" if orders == 0
        else "lapsed" if silence > 240
        else "dormant" if silence > 120
        else "at_risk" if ratio >= 1.5 and orders >= 3
        else "new" if age <= 90
        else "reactivated" if last_gap > 120 and silence <= 90
        else "at_risk" if ratio >= 1.5
        else "active"
    )  # fmt: skip
    bought, judged = orders > 0, orders > 0 and life not in ("dormant", "lapsed")
    band = "low" if chance < 0.25 else "watch" if chance < 0.45 else "high" if chance < 0.65 else "critical"
    return {
        "order_count": float(orders),
        "f_stage": ("F0", "F1", "F2", "F3plus")[min(orders, 3)],
        "lifecycle": life,
        "days_since_last_order": float(silence) if bought else np.nan,
        "silence_ratio": ratio if bought else np.nan,
        "churn_probability": chance if judged else np.nan,
        "churn_band": band if judged else None,
        "subscription_active": orders % 2 == 0,
    }


people = st.builds(
    lambda orders, silence, more, gap, last, chance: customer(orders, silence, silence + more, gap, last, chance),
    st.integers(0, 5), st.integers(1, 300), st.integers(0, 400), st.sampled_from([1.0, 7.0, 30.0, 90.0]),
    st.sampled_from([1.0, 30.0, 150.0]), st.sampled_from([0.0, 0.2, 0.25, 0.5, 0.65, 0.9]),
)  # fmt: skip


def conditions() -> st.SearchStrategy[dict[str, Any]]:
    def bounds(values: list[float]) -> st.SearchStrategy[Any]:
        ends = st.sampled_from(values)
        return st.one_of(ends, st.builds(lambda v: {"min": v}, ends), st.builds(lambda v: {"max": v}, ends))

    def words(values: list[str]) -> st.SearchStrategy[Any]:
        return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)

    columns = {
        "order_count": bounds([0, 1, 2, 3, 1.5]),
        "f_stage": words(["F0", "F1", "F2", "F3plus"]),
        "lifecycle": words(["prospect", "new", "active", "at_risk", "dormant", "lapsed", "reactivated"]),
        "days_since_last_order": bounds([0, 1, 90, 91, 120, 121, 240, 241]),
        "silence_ratio": bounds([0, 1.4, 1.5, 3]),
        "churn_probability": bounds([0.2, 0.25, 0.65, 0.9]),
        "churn_band": words(["low", "watch", "high", "critical"]),
        "subscription_active": st.booleans(),
    }
    one = st.sampled_from(sorted(columns)).flatmap(lambda name: columns[name].map(lambda value: {name: value}))
    return st.recursive(
        one,
        lambda inner: st.one_of(
            st.builds(lambda parts: {"all": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda parts: {"any": parts}, st.lists(inner, min_size=1, max_size=3)),
            st.builds(lambda part: {"not": part}, inner),
        ),
        max_leaves=5,
    )


@examples(150)
@given(conditions(), st.lists(people, min_size=20, max_size=20))
def test_a_filter_that_means_somebody_is_never_called_impossible(asked: dict[str, Any], some: list[Any]) -> None:
    who = parse(asked, CUSTOMER)
    columns = {name: np.array([one[name] for one in some], object) for name in some[0]}
    for name in ("order_count", "days_since_last_order", "silence_ratio", "churn_probability"):
        columns[name] = columns[name].astype(float)
    if matches(who, columns, 0).any():
        assert is_possible(who, POLICY, DAY)


@pytest.mark.parametrize(
    "asked",
    [
        {"order_count": 2, "f_stage": "F1"},
        {"lifecycle": "dormant", "not": {"days_since_last_order": {"min": 121}}, "order_count": {"min": 1}},
        {"not": {"any": [{"subscription_active": True}, {"subscription_active": False}]}},
        {"not": {"lifecycle": ["prospect", "new", "active", "at_risk", "dormant", "lapsed", "reactivated"]}},
        {"lifecycle": "active", "silence_ratio": {"min": 1.5}},
        {"points": {"max": -1}},
        {"promo_share": {"min": 1.2}},
        {"tier_expires_on": {"min": "60d"}, "all": [
            {"tier_expires_on": {"max": "2026-12-31"}}]},
        {"clv_grade": {"min": 4.1, "max": 4.9}},
        {"order_count": 0, "promo_share": {"max": 1}},
    ],
)  # fmt: skip
def test_a_filter_that_nobody_can_fit_is_called_so(asked: dict[str, Any]) -> None:
    assert not is_possible(parse(asked, CUSTOMER), POLICY, DAY)


# ---- when a channel may speak, quarter of an hour by quarter of an hour


@examples(60)
@given(st.integers(-30, 30), st.integers(1, 30), st.integers(0, 23), st.integers(0, 23), st.booleans())
def test_a_window_is_called_still_just_where_no_quarter_of_an_hour_in_it_may_speak(
    opens: int, length: int, start: int, end: int, is_quiet: bool
) -> None:
    if start == end:
        return
    key = "quiet" if is_quiet else "hours"
    text = changed("insert:  {cost: 25}", f'insert: {{cost: 25, {key}: "{start:02}:00-{end:02}:00"}}')
    text = changed(
        "around: birthday, window: [-7d, 7d]", f"around: birthday, window: [{opens}h, {opens + length}h]", text
    )
    policy = parse_policy(text.encode(), "x")
    inside = [start <= h < end if start < end else h >= start or h < end for h in range(24)]
    midnight = timedelta(0)
    quarters = (midnight + timedelta(hours=opens, minutes=15 * n) for n in range(length * 4))
    speaks = any(inside[int(q.total_seconds() // 3600) % 24] != is_quiet for q in quarters)
    reasons = [r.code for r in channel_reasons(policy, policy.scenario("birthday"), "insert", TOKYO)]
    assert ("quiet_all_window" in reasons) == (not speaks)
