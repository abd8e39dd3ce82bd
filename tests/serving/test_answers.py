"""One function answers at night and live. What it says is checked by hand, and along every path it takes."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feature_repo.store import Store
from features import catalog
from features.home import Home
from features.shop import Shop
from serving.answers import Answers, Rows, answers
from serving.online import Online
from serving.policy.guards import CODES, FAIL
from serving.policy.guards.control import in_control as drawn
from serving.policy.moment import Moment
from serving.policy.rules import Control, Policy
from serving.publication import Publication
from serving.surroundings import Kept
from serving.tables import candidates_at
from serving.words import SEASON_NOTE, STALE_NOTE, say
from training.models.next_purchase import HORIZONS
from training.release import Release

from . import shop as told
from .conftest import Change, Score, copy_of

POLICY = told.POLICY[0]
TONIGHT = Moment.night(told.CALENDAR, told.D)
nan = float("nan")


def asked_about(frame: pd.DataFrame, published: Publication, shop: Shop, release: Release) -> Answers:
    """Answer for the customers of a feature frame, in its order, as the night does."""
    who = frame.customer_id.to_numpy(dtype=object)
    columns = {name: frame[name].to_numpy(dtype=np.float64) for name in catalog.stored_names(shop.tables)}
    around = Kept(published, shop.tables).of(who)
    rows = Rows(who, np.ones(len(who), np.bool_), np.full(len(who), told.D, np.int64), columns, around)
    return answers(rows, release, POLICY, TONIGHT)


@pytest.fixture(scope="module")
def everyone(frame: pd.DataFrame, published: Publication, shop: Shop, release: Release) -> Answers:
    return asked_about(frame, published, shop, release)


def one_to_one(answered: Answers) -> dict[str, np.ndarray]:
    """Every column of the answers that has a position per customer."""
    parts = {field.name: getattr(answered, field.name) for field in dataclasses.fields(answered)}
    decided = parts.pop("decisions")
    parts |= {f"shown.{name}": value for name, value in candidates_at(decided, decided.choice.shown).items()}
    parts |= {f"chosen.{name}": value for name, value in candidates_at(decided, decided.choice.chosen).items()}
    parts |= {"guards": decided.guards, "clears": decided.clears, "control": decided.control}
    parts |= {f"facts.{name}": value for name, value in parts.pop("facts").items()}
    parts |= {f"features.{name}": value for name, value in parts.pop("features").items()}
    inputs = parts.pop("inputs")
    spread = np.full((len(answered.scored), inputs.shape[1]), nan)
    spread[answered.scored] = inputs
    return {name: value for name, value in parts.items() if isinstance(value, np.ndarray)} | {"inputs": spread}


def expect_equal(one: Answers, other: Answers) -> None:
    """Compare two answers bit for bit."""
    for (name, a), b in zip(one_to_one(one).items(), one_to_one(other).values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


# ---- one path


def test_four_ways_to_the_features_agree_bit_for_bit(
    home: Home, shop: Shop, frame: pd.DataFrame, online: Online, release: Release
) -> None:
    """The frame, Feast's past, Feast's present with what is derived from it, and what the service answered from."""
    who, start = frame.customer_id.tolist(), shop.calendar.start(told.D)
    store = Store.open(home, shop)
    past = store.history(pd.DataFrame({"customer_id": who, "as_of": pd.Timestamp(start)}))
    latest = store.latest(who)
    present = latest.columns | catalog.derive(latest.columns, float(told.D), release.facts["tables"])
    service = online._answers(who, online.policy, TONIGHT).features
    names = [feature.name for feature in catalog.available(shop.tables)]
    assert set(service) == set(present) == set(names)
    assert past.customer_id.tolist() == who
    for name in names:
        expected = frame[name].to_numpy().tobytes()
        assert past[name].to_numpy().tobytes() == expected, name
        assert np.asarray(present[name], np.float64).tobytes() == expected, name
        assert np.asarray(service[name], np.float64).tobytes() == expected, name


def test_the_service_scores_everybody_as_the_night_did(scores: pd.DataFrame, score: Score) -> None:
    def number(value: float | None) -> float:
        return nan if value is None else value

    for result in score(*scores.customer_id, explain="brief")["results"]:
        night = scores.loc[result["customer_id"]]
        churn, order, clv = (result[name] or {} for name in ("churn", "next_order", "clv"))
        live = {
            "status": result["status"],
            "order_count": number(result["order_count"]),
            "f_stage": result["f_stage"],
            "lifecycle": result["lifecycle"],
            "churn_probability": number(churn.get("probability")),
            "churn_band": churn.get("band"),
            "churn_percentile": number(churn.get("percentile")),
            **{f"next_order_p_{h}d": number(order.get(f"p_{h}d")) for h in HORIZONS},
            "overdue_days": number(order.get("overdue_days")),
            **{f"clv_{name}_365d": number(clv.get(f"{name}_365d")) for name in ("predicted", "low", "high")},
            "clv_grade": number(clv.get("grade")),
            "at_risk_365d": number(result["at_risk_365d"]),
            "action_scenario": result["action"]["scenario"],
            "action_offer_id": result["action"]["offer_id"],
            "arm": result["experiment"]["arm"],
            "send_allowed": result["send"]["allowed"],
        }
        pd.testing.assert_series_equal(pd.Series(live, dtype=object), night[list(live)], check_names=False)
        dates = [str(night[f"next_order_{name}"]) for name in ("earliest", "expected", "latest")] if order else []
        assert [str(order[f"{name}_on"]) for name in ("earliest", "expected", "latest") if order] == dates
        assert result["action"]["origin"] == "night"
        failed = [guard["code"] for guard in result["guards"] if guard["state"] == "fail"]
        assert failed == [code for code in night.guards_failed.split(",") if code]


def test_the_service_shows_the_nights_lists(score: Score, published: Publication) -> None:
    items = published.table("recommendations")
    for result in score("weekly", "once", n_items=50)["results"]:
        own = items[items.customer_id == result["customer_id"]]
        assert [item["product_id"] for item in result["recommendations"]] == own.product_id.tolist()
        assert [item["score"] for item in result["recommendations"]] == own.score.tolist()


def test_one_at_a_time_is_the_same_as_all_at_once(
    everyone: Answers, frame: pd.DataFrame, published: Publication, shop: Shop, release: Release
) -> None:
    together = one_to_one(everyone)
    for position in range(0, len(frame), 37):
        alone = one_to_one(asked_about(frame.iloc[[position]], published, shop, release))
        for name, values in alone.items():
            np.testing.assert_array_equal(values[0], together[name][position], err_msg=name)


def test_the_order_of_the_rows_changes_nothing(
    everyone: Answers, frame: pd.DataFrame, published: Publication, shop: Shop, release: Release
) -> None:
    order = np.random.default_rng(0).permutation(len(frame))
    shuffled = one_to_one(asked_about(frame.iloc[order], published, shop, release))
    for name, values in one_to_one(everyone).items():
        np.testing.assert_array_equal(shuffled[name], values[order], err_msg=name)


# ---- who is told what


DAYS = ("first_order_day", "last_order_day")


def lived(changed: Change, *stories: tuple[int, float, float, float, float]) -> Answers:
    """Answer for customers with (order days, days since first and last order, sum of gaps, last gap)."""
    n, age, silence, gaps, last = (list(map(float, values)) for values in zip(*stories, strict=True))
    return changed(
        n_order_days=n,
        n_orders=n,
        order_days_all=n,
        orders_all=n,
        first_order_day=[told.D - days for days in age],
        last_order_day=[told.D - days for days in silence],
        gap_days_sum=gaps,
        gap_days_last=last,
        order_days_lookback=[1.0 if days <= 56 else 0.0 for days in silence],
    )


@pytest.mark.parametrize(
    ("story", "stage"),  # order days, days since first, days since last, sum of gaps, last gap
    [
        pytest.param((0, nan, nan, nan, nan), "prospect", id="no kept order"),
        pytest.param((2, 90, 1, 89, 89), "new", id="first order 90 days ago is new"),
        pytest.param((2, 91, 1, 90, 90), "active", id="91 days ago is not"),
        pytest.param((11, 229, 29, 200, 20), "active", id="silent 1.45 times the own gap of 20 days"),
        pytest.param((11, 230, 30, 200, 20), "at_risk", id="silent 1.5 times"),
        pytest.param((3, 70, 30, 40, 20), "at_risk", id="a new customer with a rhythm, broken, is at risk"),
        pytest.param((2, 40, 39, 1, 1), "new", id="two order days are no rhythm yet"),
        pytest.param((11, 320, 120, 200, 20), "at_risk", id="silent 120 days is not dormant"),
        pytest.param((11, 321, 121, 200, 20), "dormant", id="121 days is"),
        pytest.param((11, 440, 240, 200, 20), "dormant", id="240 days is not lapsed"),
        pytest.param((11, 441, 241, 200, 20), "lapsed", id="241 days is"),
        pytest.param((1, 300, 300, nan, nan), "lapsed", id="one order long ago"),
        pytest.param((4, 400, 10, 390, 121), "reactivated", id="back after 121 days"),
        pytest.param((4, 400, 10, 390, 120), "active", id="back after 120 days was never dormant"),
        pytest.param((4, 490, 90, 400, 300), "reactivated", id="back for 90 days"),
        pytest.param((4, 491, 91, 400, 300), "active", id="back for 91 days is as any other"),
    ],
)  # fmt: skip
def test_the_stage_of_life_by_hand(changed: Change, story: tuple[int, float, float, float, float], stage: str) -> None:
    assert lived(changed, story).lifecycle.tolist() == [stage]


def test_a_customer_without_a_rhythm_is_at_risk_by_the_shops_gap(changed: Change, release: Release) -> None:
    """Not new any more, two order days: what is usual in the shop is what is expected of them."""
    edge = int(np.ceil(1.5 * release.models.gap_days))
    assert edge < 90, "else the case tells nothing"
    answered = lived(changed, (2, 200, edge - 1, 150, 90), (2, 200, edge, 150, 90))
    assert answered.lifecycle.tolist() == ["active", "at_risk"]
    np.testing.assert_allclose(answered.silence_ratio, np.array([edge - 1, edge]) / release.models.gap_days)


def test_silence_is_measured_in_own_intervals(changed: Change) -> None:
    answered = lived(changed, (11, 230, 30, 200, 20), (11, 215, 15, 200, 20))
    np.testing.assert_allclose(answered.silence_ratio, [1.5, 0.75], rtol=1e-9)
    np.testing.assert_allclose(answered.overdue_days, [10.0, 0.0], rtol=1e-7)


@pytest.mark.parametrize(
    ("story", "is_judged"),
    [
        pytest.param((2, 90, 56, 34, 34), True, id="two order days, the last within the look-back of 56 days"),
        pytest.param((2, 90, 57, 34, 34), False, id="the last beyond the look-back"),
        pytest.param((1, 20, 20, nan, nan), False, id="one order day is too few for this shop"),
        pytest.param((9, 400, 130, 270, 20), False, id="dormant"),
        pytest.param((9, 600, 250, 350, 20), False, id="lapsed"),
    ],
)
def test_only_the_active_are_told_to_be_leaving(
    changed: Change, story: tuple[int, float, float, float, float], is_judged: bool
) -> None:
    answered = lived(changed, story)
    for values in (answered.churn, answered.percentile, answered.at_risk):
        assert np.isnan(values).tolist() == [not is_judged]
    assert (answered.band[0] is not None) == is_judged
    assert answered.scored.all() and not np.isnan(answered.next_order).any()  # the rest is answered all the same


def test_neither_the_dormant_nor_the_lapsed_are_judged_even_where_the_look_back_reaches_them(
    changed: Change,
) -> None:
    silent = [told.D - 100.0, told.D - 121.0, told.D - 241.0]
    answered = changed(last_order_day=silent, first_order_day=[told.D - 400.0] * 3, order_days_lookback=[1.0] * 3)
    assert answered.active.all()
    assert np.isnan(answered.churn).tolist() == [False, True, True]


def test_in_the_shop_churn_is_told_of_exactly_the_active(everyone: Answers, frame: pd.DataFrame) -> None:
    active = (frame.n_order_days >= 2) & (frame.order_days_lookback >= 1)
    expected = active & ~np.isin(everyone.lifecycle, ("dormant", "lapsed")) & (frame.consent_personalise != 0)
    assert ((~np.isnan(everyone.churn)) == expected.to_numpy()).all()
    assert expected.sum() > 100


def test_bands_follow_the_policys_edges(everyone: Answers) -> None:
    for chance, band in zip(everyone.churn, everyone.band, strict=True):
        edges = [("low", 0.25), ("watch", 0.45), ("high", 0.65), ("critical", 1.1)]
        assert band == (None if np.isnan(chance) else next(name for name, top in edges if chance < top))


def test_an_order_is_never_less_likely_within_a_longer_time(everyone: Answers) -> None:
    chances = everyone.next_order[everyone.scored]
    assert (np.diff(chances, axis=1) >= 0).all()
    assert ((chances >= 0) & (chances <= 1)).all()
    days = everyone.next_days[everyone.scored]
    assert (np.diff(days, axis=1)[~np.isnan(days).any(axis=1)] >= 0).all()


def test_percentile_and_grade_rise_with_what_they_rank(everyone: Answers) -> None:
    judged = ~np.isnan(everyone.churn)
    by_risk = np.argsort(everyone.churn[judged])
    assert (np.diff(everyone.percentile[judged][by_risk]) >= 0).all()
    by_value = np.argsort(everyone.clv[everyone.scored, 1])
    grades = everyone.grade[everyone.scored][by_value]
    assert (np.diff(grades) >= 0).all() and set(grades) == {1, 2, 3, 4, 5}


def test_a_year_is_worth_more_than_a_quarter(everyone: Answers) -> None:
    quarter, year, low, high = everyone.clv[everyone.scored].T
    assert (quarter >= 0).all() and (quarter <= year).all()
    assert (low >= 0).all() and (low <= high).all()  # of few who buy much, the mean may lie above nine in ten


def test_who_refused_to_be_personalised_to_has_no_scores(score: Score, scores: pd.DataFrame) -> None:
    for result in score("refuses_personal", "once_refuses_personal", explain="full")["results"]:
        assert result["status"] == "opted_out"
        for block in ("churn", "second_order", "next_order", "clv", "at_risk_365d", "promo_share"):
            assert result[block] is None, block
        for block in ("replenishment", "recommendations", "candidates", "reasons"):
            assert result[block] == [], block
        assert result["action"]["scenario"] == "none" and not result["send"]["allowed"]
        states = {guard["code"]: guard["state"] for guard in result["guards"]}
        assert states["CONSENT_PERSONALISE"] == "fail" and states["CONSENT_CHANNEL"] == "pass"
    night = scores.loc[["refuses_personal", "once_refuses_personal"]]
    numbers = night.filter(regex=r"^(churn|next_order|clv|at_risk|silence)")
    assert numbers.isna().all(axis=None) and (night.reason_codes == "").all()


def test_nothing_personal_is_recommended_to_who_refused_it(online: Online, published: Publication) -> None:
    from serving.schemas import RecommendRequest

    table = published.table("recommendations")
    assert not table.customer_id.isin(["refuses_personal", "once_refuses_personal"]).any()
    reply = online.recommend(RecommendRequest(customer_id="refuses_personal"))
    assert {item["source"] for item in reply["recommendations"]} == {"popular"}


def test_who_was_never_asked_is_scored_but_not_written_to(score: Score) -> None:
    result = score("never_asked", explain="full")["results"][0]
    assert result["status"] == "ok" and result["churn"] is not None
    states = {guard["code"]: guard["state"] for guard in result["guards"]}
    assert (states["CONSENT_CHANNEL"], states["CONSENT_PERSONALISE"]) == ("fail", "pass")
    assert result["send"] == result["send"] | {"allowed": False, "channels": []}


def test_a_stranger_is_shown_what_everybody_buys_and_nothing_else(score: Score) -> None:
    known, stranger = score("weekly", "nobody-of-this-name")["results"]
    assert stranger["status"] == "unknown_customer" and known["status"] == "ok"
    assert {item["source"] for item in stranger["recommendations"]} == {"popular"}
    filled = {name for name, value in stranger.items() if value not in (None, [])}
    assert filled == {
        "customer_id", "status", "served_from", "as_of", "valid_until", "recommendations", "missing",
    }  # fmt: skip
    assert [item["rank"] for item in stranger["recommendations"]] == list(range(1, 11))


@pytest.mark.parametrize(
    "name", ["\x1f__okaeri__", "", " weekly", "WEEKLY", "weekly\n", "../weekly", "' OR 1=1 --", "x" * 999]
)
def test_no_spelling_of_a_name_is_answered_with_anothers_scores(score: Score, name: str) -> None:
    result = score(name)["results"][0]
    assert (result["status"], result["customer_id"], result["order_count"]) == ("unknown_customer", name, None)


def test_who_gave_everything_back_is_a_prospect(score: Score) -> None:
    result = score(told.GAVE_BACK)["results"][0]
    assert (result["status"], result["lifecycle"], result["f_stage"], result["order_count"]) == (
        "prior_only",
        "prospect",
        "F0",
        0,
    )
    assert result["clv"] is None and result["churn"] is None and result["served_from"] == "prior"


@pytest.mark.parametrize(
    ("name", "stage"), [("once", "F1"), ("twice", "F2"), ("thrice", "F3plus"), ("weekly", "F3plus")]
)
def test_a_second_order_is_told_of_who_ordered_once(score: Score, name: str, stage: str) -> None:
    result = score(name)["results"][0]
    assert result["f_stage"] == stage
    if stage == "F1":
        second, order = result["second_order"], result["next_order"]
        assert second == {f"p_{h}d": order[f"p_{h}d"] for h in (30, 60, 90)}
        assert 0 < second["p_30d"] <= second["p_60d"] <= second["p_90d"] < 1
    else:
        assert result["second_order"] is None


def test_features_of_an_earlier_day_are_told_to_be_late(changed: Change) -> None:
    assert changed(now_day=told.D + 1).status.tolist() == ["ok"]
    assert changed(now_day=told.D + 2).status.tolist() == ["stale_features"]


def test_a_service_that_the_night_forgot_says_so(home: Home, tmp_path: Path, online: Online) -> None:
    """Two days after the last night; the clock of the shop is a knob of its mapping."""
    mapping = online.shop.mapping.model_copy(update={"clock": online.shop.calendar.date(told.D + 2)})
    late = Online(online.shop, online._release, online.publication, online.store, online.now)
    object.__setattr__(late, "shop", dataclasses.replace(online.shop))
    late.shop.__dict__["mapping"] = mapping
    from serving.schemas import ScoreRequest

    result = late.score(ScoreRequest(customer_ids=["weekly"]))["results"][0]
    assert result["status"] == "stale_features" and result["features"]["oldest_view_age_hours"] == 48
    assert result["churn"] is not None
    assert result["warnings"] == [say(STALE_NOTE, "en"), say(SEASON_NOTE, "en")]


def test_asking_for_a_later_day_recomputes_for_it(score: Score, scores: pd.DataFrame) -> None:
    in_a_week = score("weekly", "twice", as_of="2025-01-02T09:00:00+09:00")["results"]
    assert in_a_week[0]["as_of"] == "2025-01-01T20:00:00+00:00"  # 05:00 in Tokyo, where the day begins
    for result in in_a_week:
        night = scores.loc[result["customer_id"]]
        assert result["churn"]["silence_ratio"] > night.silence_ratio
        assert result["next_order"]["overdue_days"] >= night.overdue_days
        assert result["features"]["as_of"] == "2024-12-29T20:00:00+00:00"


# ---- the control group


def in_control(ids: list[str], policy: Policy) -> np.ndarray:
    return drawn(ids, policy.control.global_share, policy.control.salt)


def test_one_in_twenty_is_control_for_ever() -> None:
    ids = [f"customer-{n}" for n in range(20_000)]
    first = in_control(ids, POLICY)
    assert abs(first.mean() - 0.05) < 0.005  # three standard errors of a share of 5 % are 0.0046
    assert (in_control(ids[::-1], POLICY)[::-1] == first).all()  # by the id alone, whoever stands beside it
    grown = in_control(ids, POLICY.model_copy(update={"control": Control(global_share=0.1, salt=POLICY.control.salt)}))
    assert (grown[first]).all() and abs(grown.mean() - 0.10) < 0.0065
    other = in_control(ids, POLICY.model_copy(update={"control": Control(global_share=0.05, salt="another")}))
    assert (other != first).mean() > 0.05


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (1.0, 100)])
def test_nobody_or_everybody_may_be_control(share: float, expected: int) -> None:
    policy = POLICY.model_copy(update={"control": Control(global_share=share, salt="x")})
    assert in_control([f"{n}" for n in range(100)], policy).sum() == expected


def test_nothing_is_sent_to_who_is_control(score: Score, scores: pd.DataFrame) -> None:
    control = scores[(scores.arm == "control")]
    assert 0.02 < len(control) / len(scores) < 0.09
    assert (control.action_scenario == "none").all() and not control.send_allowed.any()
    for result in score(*control.customer_id[:20], explain="full")["results"]:
        assert result["experiment"] == {"arm": "control", "group": "global"}
        assert result["action"]["scenario"] == "none" and not result["send"]["allowed"]
        assert {"CONTROL_GROUP": "fail"}.items() <= {g["code"]: g["state"] for g in result["guards"]}.items()


def test_what_a_control_customer_would_have_got_stands_in_candidates(changed: Change) -> None:
    policy = POLICY.model_copy(update={"control": Control(global_share=1.0, salt="x")})
    kept, sent = changed(policy, due=[0.0]).decisions, changed(due=[0.0], ids=["treated"]).decisions
    assert sent.choice.chosen[0] >= 0 > kept.choice.chosen[0] and kept.choice.withheld[0]
    assert kept.guards[0, CODES.index("CONTROL_GROUP")] == FAIL
    held, got = candidates_at(kept, kept.choice.shown), candidates_at(sent, sent.choice.chosen)
    assert held["net_value"][0] == got["net_value"][0] > 0


# ---- the ladder's lower rung


def test_a_small_shop_is_answered_by_a_lower_rung(
    frame: pd.DataFrame, published: Publication, shop: Shop, release: Release
) -> None:
    light = dataclasses.replace(release, models=dataclasses.replace(release.models, scores=None))
    answered = asked_about(frame, published, shop, light)
    full = asked_about(frame, published, shop, release)
    np.testing.assert_array_equal(np.isnan(answered.churn), np.isnan(full.churn))
    assert (np.diff(answered.next_order[answered.scored], axis=1) >= 0).all()
    assert answered.inputs is None and np.isnan(answered.clv[:, 2:]).all()
    assert (
        np.isfinite(answered.next_days[answered.scored, 0]).any()
        and np.isnan(answered.next_days[~answered.scored]).all()
    )
    assert (answered.clv[answered.scored, 1] >= answered.clv[answered.scored, 0]).all()


def test_a_home_that_was_moved_answers_as_before(home: Home, tmp_path: Path, scores: pd.DataFrame) -> None:
    moved = copy_of(home, tmp_path / "moved")
    shop = told.opened(moved)
    latest = Store.open(moved, shop).latest(["weekly"])
    assert latest.found.all() and latest.columns["n_order_days"][0] == scores.loc["weekly", "order_count"]
