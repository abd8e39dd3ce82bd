"""What stands in a reply: every key, a reason for every gap, and sentences that are true."""

import dataclasses
import itertools
import json
import re
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.online import Online
from serving.publication import Publication
from serving.reasons import OWN_PAST
from serving.replenishment import ACTED_ON, replenishment_due
from serving.replies import Clv, ScoreReply, Why
from serving.results import BLOCKS, LISTS, LOYALTY, Around, Asked, results
from serving.schemas import Block, RecommendRequest, Refused, ScoreRequest
from serving.words import ITEM_REASONS, LANGUAGES, REASONS, Language, say
from tests.worlds import examples
from training.models.recommender import model
from training.models.recommender.candidates import SOURCES
from training.release import Release

from . import shop as told
from .conftest import Change, Score

POLICY = told.POLICY[0]
OF_EACH_KIND = (
    "weekly",
    "once",
    "twice",
    "dormant",
    "lapsed",
    "refuses_mail",
    "refuses_personal",
    told.GAVE_BACK,
    told.PROSPECT,
    "nobody",
)


def valid(reply: dict[str, Any]) -> ScoreReply:
    """Read a reply as its schema says; the request id is the edge's."""
    return ScoreReply.model_validate_json(json.dumps({"request_id": "r1", **reply}, allow_nan=False))


def refusal(score: Score, *customer_ids: str, **more: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        score(*customer_ids, **more)
    return refused.value


# ---- every key, and why not


@pytest.mark.parametrize("explain", ["none", "brief", "full"])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_reply_is_as_documented(score: Score, explain: str, lang: str) -> None:
    reply = valid(score(*OF_EACH_KIND, explain=explain, lang=lang))
    assert [result.customer_id for result in reply.results] == list(OF_EACH_KIND)
    assert (reply.currency, reply.release.policy) == ("JPY", 2)
    assert {result.status for result in reply.results} == {"ok", "opted_out", "prior_only", "unknown_customer"}


def test_every_customer_of_the_shop_has_a_valid_reply(score: Score, scores: pd.DataFrame) -> None:
    valid(score(*scores.customer_id))


@pytest.mark.parametrize("name", OF_EACH_KIND)
@pytest.mark.parametrize("explain", ["brief", "full"])
def test_every_gap_is_explained_once(score: Score, name: str, explain: str) -> None:
    result = score(name, explain=explain)["results"][0]
    told_of = [missing["field"] for missing in result["missing"]]
    empty = {key for key, value in result.items() if value in (None, [])} - {"missing", "warnings", "merged_from"}
    within = [("clv", "low_365d"), ("clv", "high_365d"), ("next_order", "categories")]
    empty |= {f"{block}.{name}" for block, name in within if result[block] and result[block][name] in (None, [])}
    assert sorted(told_of) == sorted(empty)
    assert {missing["why"] for missing in result["missing"]} <= set(get_args(Why))


@pytest.mark.parametrize(
    ("name", "field", "why"),
    [
        ("nobody", "clv", "not_applicable"),
        ("nobody", "lifecycle", "not_applicable"),
        ("refuses_personal", "churn", "no_consent"),
        ("refuses_personal", "recommendations", "no_consent"),
        (told.GAVE_BACK, "next_order", "too_little_history"),
        ("once", "churn", "not_active"),
        ("dormant", "churn", "not_active"),
        ("lapsed", "at_risk_365d", "not_active"),
        ("weekly", "second_order", "not_applicable"),
        ("weekly", "subscription", "no_table"),
        ("weekly", "to_next_tier", "no_table"),
        ("weekly", "membership", "no_table"),
        ("once", "tier", "not_applicable"),
        (told.PROSPECT, "churn", "too_little_history"),
        (told.PROSPECT, "points", "not_applicable"),
    ],
)
def test_a_gap_has_the_right_reason(score: Score, name: str, field: str, why: str) -> None:
    missing = {one["field"]: one["why"] for one in score(name)["results"][0]["missing"]}
    assert missing[field] == why


def test_a_small_shops_reply_is_as_documented(
    online: Online, frame: pd.DataFrame, release: Release, changed: Change
) -> None:
    """Where a rung below the full models answers, the year has no interval."""
    light = dataclasses.replace(release, models=dataclasses.replace(release.models, scores=None))
    answered = changed(release=light, ids=["someone"])
    around = Around(online.shop.calendar, POLICY, light)
    result = results(answered, around, Asked("full"))[0]
    release_said = {"id": "x", "models": {}, "policy": 1}
    valid({"scored_at": "2024-12-30T00:00:00+00:00", "currency": "JPY", "release": release_said, "results": [result]})
    assert result["basis"] == {"method": "light", "n": release.models.n}
    assert Clv.model_validate(result["clv"]).low_365d is None
    assert result["next_order"]["earliest_on"] is not None
    assert {"clv.low_365d", "clv.high_365d"} <= {one["field"] for one in result["missing"]}


# ---- what was asked for


@given(include=st.sets(st.sampled_from(BLOCKS)))
@examples(15)
def test_only_the_blocks_asked_for_are_given(score: Score, include: set[str]) -> None:
    whole = score("weekly", explain="brief")["results"][0]
    part = score("weekly", explain="brief", include=sorted(include))["results"][0]
    for block in BLOCKS:
        assert part[block] == (whole[block] if block in include else [] if block in LISTS else None)
    assert {one["field"].partition(".")[0] for one in part["missing"]} - set(LOYALTY) <= include
    assert {key: part[key] for key in whole if key not in (*BLOCKS, "missing")} == {
        key: value for key, value in whole.items() if key not in (*BLOCKS, "missing")
    }


def test_the_blocks_are_those_of_the_contract() -> None:
    assert set(BLOCKS) == set(get_args(Block)) and set(LISTS) < set(BLOCKS)


@pytest.mark.parametrize("n", [0, 1, 7, 40])
def test_as_many_products_as_asked(score: Score, n: int) -> None:
    for result in score("weekly", "nobody", n_items=n)["results"]:
        items = result["recommendations"]
        assert [item["rank"] for item in items] == list(range(1, n + 1))
        assert len({item["product_id"] for item in items}) == n
        assert (np.diff([item["score"] for item in items]) <= 0).all()


def test_products_are_left_out_and_the_next_move_up(score: Score) -> None:
    for name in ("weekly", "nobody"):
        first = [item["product_id"] for item in score(name, n_items=20)["results"][0]["recommendations"]]
        without = score(name, n_items=10, exclude_product_ids=first[0:20:2])["results"][0]["recommendations"]
        assert [item["product_id"] for item in without] == first[1:20:2]
        assert [item["rank"] for item in without] == list(range(1, 11))


def test_who_is_asked_about_twice_is_answered_twice_alike(score: Score) -> None:
    reply = score("weekly", "nobody", "weekly", "once", "nobody")["results"]
    assert [result["customer_id"] for result in reply] == ["weekly", "nobody", "weekly", "once", "nobody"]
    assert reply[0] == reply[2] and reply[1] == reply[4]


def test_a_thousand_at_once(score: Score) -> None:
    names = [f"c{n:04d}" for n in range(1000)]
    reply = valid(score(*names))
    assert [result.customer_id for result in reply.results] == names
    assert {result.status for result in reply.results[700:]} == {"unknown_customer"}
    assert all(result.reasons == [] for result in reply.results)


def test_the_decision_has_one_name_however_often_asked(score: Score) -> None:
    def decision(name: str, **more: Any) -> str:
        return str(score(name, **more)["results"][0]["decision_id"])

    same = {decision("weekly"), decision("weekly", lang="ja", explain="full", n_items=3)}
    others = {
        decision("once"),
        decision("weekly", campaign_id="win_back", record=False),
        decision("weekly", as_of="2024-12-31T12:00:00+09:00"),
    }
    assert len(same) == 1 and len(others) == 3 and not same & others


def test_an_alias_is_no_id(online: Online) -> None:
    request = ScoreRequest.model_validate({"identifiers": [{"type": "member_no", "value": "weekly"}]})
    result = online.score(request)["results"][0]
    assert (result["customer_id"], result["status"]) == ("weekly", "unknown_customer")


@pytest.mark.parametrize(
    ("asked", "path", "message"),
    [
        ({"campaign_id": "winback"}, "campaign_id", "did you mean win_back?"),
        ({"offers": ["coupon_10", "coupon_15"]}, "offers", "did you mean coupon_10?"),
        ({"channels": ["e-mail"]}, "channels", "did you mean email?"),
        ({"campaign_id": "zzz"}, "campaign_id", "known are win_back, replenishment"),
    ],
)
def test_an_unknown_word_of_the_policy_is_refused_with_the_nearest(
    score: Score, asked: dict[str, Any], path: str, message: str
) -> None:
    refused = refusal(score, "weekly", **asked)
    assert (refused.status, refused.path) == (422, path)
    assert message in refused.message


@pytest.mark.parametrize(
    ("as_of", "is_in_range"),
    [
        pytest.param("2024-12-30T05:00:00+09:00", True, id="the features' instant"),
        pytest.param("2024-12-30T04:59:59+09:00", False, id="a second before it"),
        pytest.param("2025-01-06T05:00:00+09:00", True, id="seven days ahead"),
        pytest.param("2025-01-06T05:00:01+09:00", False, id="a second later"),
        pytest.param("9999-12-31T23:59:59+00:00", False, id="the end of time"),
    ],
)
def test_as_of_lies_within_a_week(score: Score, as_of: str, is_in_range: bool) -> None:
    if is_in_range:
        assert score("weekly", as_of=as_of)["results"][0]["status"] in ("ok", "stale_features")
    else:
        refused = refusal(score, "weekly", as_of=as_of)
        assert (refused.status, refused.path) == (422, "as_of")
        assert "2024-12-29T20:00:00+00:00 to 2025-01-05T20:00:00+00:00" in refused.message


# ---- what could be done


def offered(score: Score, name: str, **more: Any) -> list[tuple[str, str | None]]:
    result = score(name, explain="full", **more)["results"][0]
    return [(one["scenario"], one["offer_id"]) for one in result["candidates"]]


def test_doing_nothing_is_always_a_candidate(score: Score, scores: pd.DataFrame) -> None:
    for result in score(*scores.customer_id)["results"]:
        options = [one["scenario"] for one in result["candidates"]]
        assert options.count("none") == (0 if result["status"] in ("opted_out", "prior_only") else 1)
        assert len(options) <= 2
        nothing = [one for one in result["candidates"] if one["scenario"] == "none"]
        assert all((one["net_value"], one["cost"], one["uplift"]) == (0, 0, 0) for one in nothing)


def test_the_campaign_narrows_what_is_offered(score: Score) -> None:
    late = ("win_back", "care_tips"), ("win_back", "coupon_10"), ("none", None)
    assert offered(score, told.LATE) == list(late)
    assert offered(score, told.LATE, campaign_id="win_back", record=False) == list(late)
    assert offered(score, told.LATE, campaign_id="replenishment", record=False) == [late[2]]
    assert offered(score, told.LATE, offers=["coupon_10"]) == [late[1], late[2]]
    assert offered(score, told.LATE, channels=["email"]) == list(late)
    assert offered(score, told.LATE, purpose="survey") == [late[2]]
    assert offered(score, "weekly") == [("replenishment", None), late[2]]


def test_a_narrowed_answer_is_live_and_the_nights_own_is_the_nights(score: Score) -> None:
    def origin(**more: Any) -> str:
        return str(score(told.LATE, **more)["results"][0]["action"]["origin"])

    assert origin() == "night"
    assert origin(offers=["care_tips"]) == origin(as_of="2024-12-31T12:00:00+09:00") == "live"


def test_net_values_by_hand(score: Score, frame: pd.DataFrame) -> None:
    """An order of 10,000 yen leaves 30 %. The coupon costs 10 % of it, also from who would have come anyway."""
    result = score(told.LATE, explain="full")["results"][0]
    revenue = float(frame.set_index("customer_id").loc[told.LATE, "mean_order_day_revenue"])
    p = result["next_order"]["p_30d"]
    options = {one["offer_id"]: one for one in result["candidates"]}
    margin = 0.30 * revenue
    assert revenue == pytest.approx(1000, rel=1e-6)

    tips, coupon = options["care_tips"], options["coupon_10"]
    for one, percent, lifts in ((tips, 0.0, (0.01, 0.0, 0.02)), (coupon, 0.10, (0.05, 0.01, 0.10))):
        expected = []
        for lift in lifts:
            comes = p + lift * (1 - p)
            expected.append(comes * (margin - percent * revenue) - p * margin - 0.01)
        assert [one["net_value"], one["low"], one["high"]] == pytest.approx(expected)
        comes = p + lifts[0] * (1 - p)
        assert one["p_order_with"] == pytest.approx(comes) and one["p_order_without"] == p
        assert one["uplift"] == pytest.approx(lifts[0] * (1 - p))
        assert one["cost"] == pytest.approx(comes * percent * revenue + 0.01)
        assert (one["margin_per_order"], one["window_days"]) == (pytest.approx(margin), 30)
        assert one["evidence"] == "assumed" and one["low"] <= one["net_value"] <= one["high"]
    best = max(result["candidates"], key=lambda one: one["net_value"])
    assert result["action"]["offer_id"] == best["offer_id"]
    assert result["action"]["cost"] == best["cost"]


def test_brief_shows_the_best_offer_and_nothing(score: Score) -> None:
    full, brief = (score(told.LATE, explain=how)["results"][0]["candidates"] for how in ("full", "brief"))
    assert brief == [max(full[:-1], key=lambda one: one["net_value"]), full[-1]]


def test_guards_say_when_they_clear(changed: Change, online: Online, release: Release) -> None:
    """Ordered on the 28th: three days later, on the 31st, it is still too soon; it clears on the 1st at 05:00."""
    answered = changed(last_order_day=[told.D - 2.0, told.D - 3.0, told.D - 4.0])
    around = Around(online.shop.calendar, POLICY, release)
    by_code = [{g["code"]: g for g in one["guards"]} for one in results(answered, around, Asked("full"))]
    recent = [guards["RECENT_ORDER"] for guards in by_code]
    assert [guard["state"] for guard in recent] == ["fail", "fail", "pass"]
    assert [guard["clears_at"] for guard in recent] == ["2024-12-31T20:00:00+00:00", "2024-12-30T20:00:00+00:00", None]
    brief = [[g["code"] for g in one["guards"]] for one in results(answered, around, Asked("brief"))]
    never = ["FREQUENCY_CAP", "OPEN_TICKET", "OPEN_RETURN", "SALES_PRESSURE", "CHANNEL_UNREACHABLE"]  # no such tables
    assert [[code for code in found if code not in never] for found in brief] == [
        ["RECENT_ORDER"],
        ["RECENT_ORDER"],
        [],
    ]
    assert all(set(never) <= set(found) for found in brief)


# ---- sentences


@pytest.fixture(scope="module")
def explained(score: Score, scores: pd.DataFrame) -> list[dict[str, Any]]:
    judged = scores.customer_id[scores.churn_probability.notna() | (scores.f_stage == "F1")].tolist()
    asked = (judged[at : at + 20] for at in range(0, len(judged), 20))
    return [result for names in asked for result in score(*names, explain="full", lang="en")["results"]]


def test_every_sentence_is_borne_out_by_the_customers_own_figures(
    explained: list[dict[str, Any]], frame: pd.DataFrame, published: Publication
) -> None:
    facts, seen = frame.set_index("customer_id"), set()
    due = published.table("replenishment_due")
    due = due[due.basis.isin(ACTED_ON)]
    due = due.assign(off=(due.due_day - told.D).abs()).sort_values(["customer_id", "off", "product_id"])
    due = due.drop_duplicates("customer_id").set_index("customer_id")
    for result in explained:
        f = facts.loc[result["customer_id"]]
        for reason in result["reasons"]:
            numbers = [int(n) for n in re.findall(r"\d+", reason["text"])]
            code = reason["code"]
            seen.add(code)
            if code == "silent_long":
                assert numbers == [f.days_since_last_order, round(f.gap_days_mean)]
                assert f.days_since_last_order > f.gap_days_mean
            elif code == "interval_growing":
                assert numbers[1] > numbers[0] == round(f.gap_days_mean)
                assert numbers[1] == round((f.last_order_day - f.order_day_last_4) / 3)
            elif code == "frequency_down":
                before = f.order_days_182d - f.order_days_91d
                assert numbers == [90, before, f.order_days_91d] and before > f.order_days_91d
            elif code == "spend_down":
                before = f.revenue_182d - f.revenue_91d
                assert numbers == [round(100 * (1 - f.revenue_91d / before))] and numbers[0] >= 10
            elif code == "promo_only":
                assert numbers == [round(100 * f.discount_orders / f.n_orders)] and numbers[0] > 50
            elif code == "bad_experience":
                assert f.returned_91d > 0  # the shop has neither tickets nor surveys
            elif code == "one_order_only":
                assert numbers == [f.days_since_first_order] and f.n_orders == 1
            elif code == "runs_out":
                assert reason["strength"] is None and reason["text"].startswith(due.product_id[result["customer_id"]])
            else:
                assert code == "steady" and numbers[0] >= 2
                for month in range(1, numbers[0]):  # an order in each: of the last 56 days, of the last 91
                    assert f[{1: "order_days_56d", 2: "order_days_91d"}.get(month, "order_days_182d")] > month
    assert seen >= {"silent_long", "interval_growing", "frequency_down", "spend_down", "one_order_only"}


def test_the_strongest_reasons_come_first_and_are_few(explained: list[dict[str, Any]], score: Score) -> None:
    for result in explained:
        codes = [reason["code"] for reason in result["reasons"]]
        of_model = [reason for reason in result["reasons"] if reason["strength"] is not None]
        strengths = [reason["strength"] for reason in of_model]
        assert strengths == sorted(strengths, reverse=True) and all(0 < strength <= 1 for strength in strengths)
        assert len(set(codes)) == len(codes) <= 5
        alone = [reason["code"] for reason in result["reasons"] if reason["strength"] is None]
        assert set(alone) <= {"one_order_only", "runs_out", *OWN_PAST} and sum(code in OWN_PAST for code in alone) <= 1
        assert "one_order_only" not in codes[1:] and "runs_out" not in codes[:-1]
    longest = max(explained, key=lambda result: len(result["reasons"]))
    brief = score(longest["customer_id"], explain="brief")["results"][0]["reasons"]
    assert [one["code"] for one in brief] == [one["code"] for one in longest["reasons"][:3]]
    assert score("weekly", "once")["results"][0]["reasons"] == []  # none for more than one, unless asked


def test_in_japanese_the_same_is_said(explained: list[dict[str, Any]], score: Score) -> None:
    names = [result["customer_id"] for result in explained if result["reasons"]][:20]
    by_name = {result["customer_id"]: result for result in explained}
    for result in score(*names, explain="full", lang="ja")["results"]:
        english = by_name[result["customer_id"]]["reasons"]
        assert [one | {"text": ""} for one in result["reasons"]] == [one | {"text": ""} for one in english]
        for one, other in zip(result["reasons"], english, strict=True):
            assert re.search("[ぁ-ん一-龥]", one["text"]) and not re.search("[ぁ-ん一-龥]", other["text"])
            said = one["text"].replace("2回目", "")  # the second order is a number in Japanese alone
            numbers, others = ([int(n) for n in re.findall(r"\d+", text)] for text in (said, other["text"]))
            assert numbers == others


def test_reasons_stand_in_the_nights_table_for_those_at_risk(scores: pd.DataFrame, score: Score) -> None:
    watched = scores.churn_band.isin(["watch", "high", "critical"])
    assert (scores.reason_codes[~watched] == "").all()
    assert (scores.reason_codes[watched] != "").mean() > 0.7  # the sentences there are do not fit everybody
    row = scores[watched & (scores.reason_codes != "")].iloc[0]
    live = score(row.customer_id, explain="brief")["results"][0]["reasons"]
    assert ",".join(one["code"] for one in live) == row.reason_codes
    assert " / ".join(one["text"] for one in live) == row.reason_texts


# What a customer is never told of: what is thought of them, how it was reckoned, that their absence was noticed.
FORBIDDEN = re.compile(
    r"scor|probab|chance|likel|risk|churn|leav|lost|silen|quiet|absen|inactiv|dormant|lapsed|missed|miss you|welcome|"
    r"segment|cluster|group|grade|decile|rank|tier|model|predict|algorithm|profile|track|value|margin|lately|recent|"
    r"days|since|while|often|usual|スコア|確率|可能性|リスク|離脱|休眠|失効|予測|推定|分析|モデル|ランク|等級|セグメント|区分|"
    r"対照|顧客|優良|粗利|無沙汰|久しぶり|最近|日前|日ぶり|間隔|頻度|来店|沈黙|価値|履歴|追跡|\d",
    re.IGNORECASE,
)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("source", sorted(ITEM_REASONS))
def test_what_a_customer_may_see_names_no_score_no_silence_no_segment(source: str, lang: Language) -> None:
    words = say(ITEM_REASONS[source], lang)
    assert not FORBIDDEN.search(words)
    assert (re.search("[ぁ-ん一-龥]", words) is not None) == (lang == "ja")
    assert lang == "en" or words.endswith("です")  # polite


def test_the_words_of_staff_would_be_caught() -> None:
    """Nearly every sentence for staff trips the test: it is no formality."""
    filled = dict.fromkeys(("days", "typical", "a", "b", "pct", "n", "months"), 3) | {
        "product": "tea",
        "date": "now",
    }
    caught = [bool(FORBIDDEN.search(say(both, lang, **filled))) for both in REASONS.values() for lang in LANGUAGES]
    assert np.mean(caught) > 0.8
    for words in (
        "Recommended by your risk score",
        "休眠のお客様へ",
        "お久しぶりです",
        "We missed you",
        "優良顧客の方に",
    ):
        assert FORBIDDEN.search(words)


def test_a_reply_shows_a_customer_no_other_words(score: Score) -> None:
    shown = {say(both, lang) for both in ITEM_REASONS.values() for lang in LANGUAGES}
    for lang in LANGUAGES:
        for result in score(*OF_EACH_KIND, lang=lang)["results"]:
            assert {item["reason"]["text"] for item in result["recommendations"]} <= shown


def test_every_product_shown_says_its_source(score: Score, published: Any) -> None:
    items = published.table("recommendations")
    assert {"repeat", "similar", "als", "popular"} <= set(items.source) <= {*SOURCES}
    assert set(items.reason) <= set(model.REASONS) == set(ITEM_REASONS) - {"similar"}
    code = items[items.customer_id == "weekly"].reason.tolist()
    for lang, result in itertools.product(LANGUAGES, ("weekly", "nobody")):
        for item in score(result, lang=lang)["results"][0]["recommendations"]:
            why = code[item["rank"] - 1] if result == "weekly" else "popular"
            assert item["reason"] == {"code": why, "text": say(ITEM_REASONS[why], lang)}
            assert item["repurchase"] == (item["source"] == "repeat")


# ---- products beside products, and the view of one customer


def test_beside_a_product_stand_others(online: Online) -> None:
    reply = online.recommend(RecommendRequest(product_id="p01", n_items=5))["recommendations"]
    assert len(reply) == 5 and "p01" not in [item["product_id"] for item in reply]
    assert {item["source"] for item in reply} == {"similar"}
    basket = online.recommend(RecommendRequest(product_ids=["p01", "p02"], n_items=5))["recommendations"]
    assert not {"p01", "p02"} & {item["product_id"] for item in basket}


def test_beside_an_unknown_product_stands_what_is_popular(online: Online) -> None:
    reply = online.recommend(RecommendRequest(product_id="zzz", n_items=5))["recommendations"]
    assert [item["source"] for item in reply] == ["popular"] * 5


def test_a_view_of_one_customer_shows_the_orders_as_the_shop_wrote_them(online: Online) -> None:
    view = online.customer("thrice")
    assert view is not None
    assert [order["order_id"] for order in view["orders"]] == ["thrice-20", "thrice-30", "thrice-50"]
    assert view["orders"][0] == {
        "order_id": "thrice-20",
        "ordered_at": "2024-12-10T08:00:00+00:00",
        "quantity": 1.0,
        "revenue": 1000.0,
        "lines": 1,
    }
    assert view["result"]["customer_id"] == "thrice" and len(view["result"]["guards"]) == 24
    assert online.customer("nobody") is None


def test_no_order_of_the_day_itself_or_later_is_shown(online: Online, files: Any) -> None:
    """The files know six days more than the night."""
    lines = pd.read_csv(files / "orders.csv", dtype=str, keep_default_na=False)
    later = lines[(lines.t >= "2024-12-30 05:00:00") & lines.c.str.startswith("c")].c.iloc[0]
    view = online.customer(later)
    assert view is None or all(order["ordered_at"] < "2024-12-29T20:00:00" for order in view["orders"])


def test_nothing_due_breaks_nothing(changed: Change) -> None:
    """A shop where no product has a rhythm yet."""
    assert replenishment_due(bought_on([3]), USUAL, told.D).empty
    assert changed().decisions.choice.chosen.tolist() == [-1]


USUAL = pd.DataFrame({"product_id": ["p"], "cycle_days": [12.0], "again": [0.25], "lasts_days": [np.nan]})


def bought_on(days: list[int], quantity: int | None = None) -> pd.DataFrame:
    """One customer who bought one product so many days before the night, one piece each time."""
    row = {"customer_id": "a", "product_id": "p", "n_order_days": len(days), "quantity": quantity or len(days)}
    return pd.DataFrame([row | {"first_day": told.D - max(days), "last_day": told.D - min(days)}])


@pytest.mark.parametrize(
    ("days", "expected"),  # days before the night on which the same product was bought
    [
        pytest.param([5, 12, 19], None, id="two own gaps are no interval yet"),
        pytest.param([5, 12, 19, 26], (2, 2.0), id="bought weekly, five days ago: due in two"),
        pytest.param([10, 17, 24, 31], (-3, 2.0), id="three days overdue"),
        pytest.param([11, 18, 25, 32], None, id="beyond one interval and a half it was given up"),
        pytest.param([1, 21, 41, 61], None, id="due in 19 days is too far ahead"),
        pytest.param([1, 2, 3, 4], (0, 1.0), id="daily"),
    ],
)
def test_when_a_product_runs_out_by_hand(days: list[int], expected: tuple[int, float] | None) -> None:
    due = replenishment_due(bought_on(days), USUAL, told.D)
    found = [(int(row.due_day) - told.D, row.window_days, row.basis) for row in due.itertuples()]
    assert found == ([] if expected is None else [(*expected, "own_interval")])


@pytest.mark.parametrize(
    ("days", "quantity", "usual", "expected"),
    [
        pytest.param([5, 11], None, {"again": 0.3}, (5, 2.0, "category_interval"), id="(6 + 2 x 12) / 3 = 10 after"),
        pytest.param([5, 11], None, {}, None, id="hardly anybody needs it again"),
        pytest.param([5], None, {"again": 0.9}, None, id="bought once tells too little"),
        pytest.param([5], None, {"lasts_days": 10.0}, (5, 2.0, "product_days"), id="the label says ten days"),
        pytest.param([5], 2, {"lasts_days": 8.0}, (11, 4.0, "product_days"), id="two of eight days each"),
        pytest.param([5, 12, 19, 26], None, {"lasts_days": 30.0}, (2, 2.0, "own_interval"), id="own habit goes first"),
    ],
)
def test_others_intervals_and_labels_by_hand(
    days: list[int], quantity: int | None, usual: dict[str, float], expected: tuple[int, float, str] | None
) -> None:
    due = replenishment_due(bought_on(days, quantity), USUAL.assign(**usual), told.D)
    found = [(int(row.due_day) - told.D, row.window_days, row.basis) for row in due.itertuples()]
    assert found == ([] if expected is None else [expected])
