"""Reasons by hand: what the model raises or lowers, what the facts alone say, and that nobody pays for them unasked."""

from collections.abc import Callable, Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.home import Home
from serving.nightly import nightly
from serving.publication import Publication, current
from serving.reasons import SENTENCES, Reason, _months_running, reasons
from serving.words import REASONS, Language, say_date
from training.models.churn import Churn
from training.release import Release

from . import shop as told
from .conftest import Change, Score

Explain = Callable[..., list[Reason]]
NOTHING_LESS = {  # of the customer's own past: as long as usual since the last order, and no fall
    "days_since_last_order": 7.0, "gap_days_mean": 7.0, "gap_trend": 1.0, "order_days_91d": 13.0,
    "order_days_182d": 26.0, "revenue_91d": 500.0, "revenue_182d": 1000.0, "promo_share": 0.0, "returned_91d": 0.0,
    "days_since_feedback": np.nan, "delivered_91d": np.nan, "days_since_first_order": 365.0,
    **{f"days_since_order_{nth}": np.nan for nth in (2, 3, 4, 5, 8, 12, 20)},
    "active_weeks_8": 0.0, "active_weeks_12": 0.0, "active_weeks_26": 0.0,
}  # fmt: skip


@pytest.fixture
def explain() -> Explain:
    """Explain one customer whose figures, and whose contributions by input, are told."""

    def one(
        given: dict[str, float] | None,
        most: int = 5,
        lang: Language = "en",
        stage: str = "F3plus",
        due: Sequence[dict[str, Any]] = (),
        scored: bool = True,
        **facts: float,
    ) -> list[Reason]:
        inputs = list(given or {"days_since_last_order": 0.0})
        model = SimpleNamespace(contributions=lambda x: np.array([[(given or {})[name] for name in inputs]]))
        scores = SimpleNamespace(churn=model, inputs=SimpleNamespace(names=tuple(inputs)))
        release = SimpleNamespace(models=SimpleNamespace(scores=scores))
        answered = SimpleNamespace(
            customer_id=np.array(["someone"], object),
            day=told.D,
            features={name: np.array([value]) for name, value in (NOTHING_LESS | facts).items()},
            churn=np.array([np.nan if given is None else 0.5]),
            inputs=np.zeros((1, len(inputs))),
            scored=np.array([scored]),
            f_stage=np.array([stage], object),
        )
        calendar = SimpleNamespace(date=lambda day: date.fromordinal(day + date(1970, 1, 1).toordinal()))
        return reasons(answered, release, [0], most, lang, {"someone": due}, calendar)[0]  # type: ignore[arg-type]

    return one


def codes(found: Sequence[Reason]) -> list[str]:
    return [reason.code for reason in found]


LATE = {"days_since_last_order": 20.0}
LESS = {"order_days_91d": 4.0, "order_days_182d": 13.0}


def test_what_pushes_is_said_the_strongest_first_with_its_share(explain: Explain) -> None:
    found = explain({"days_since_last_order": 0.2, "orders_decayed_30d": 0.6, "weekend_share": -0.2}, **LATE, **LESS)
    assert [(reason.code, reason.strength, reason.direction) for reason in found] == [
        ("frequency_down", pytest.approx(0.6), "raises"),
        ("silent_long", pytest.approx(0.2), "raises"),
    ]
    assert found[0].text == "Orders in 90 days 9 to 4" and (found[0].value, found[0].typical) == (4, 9)
    assert codes(explain({"days_since_last_order": 0.2, "orders_decayed_30d": 0.6}, most=1, **LATE, **LESS)) == [
        "frequency_down"
    ]


def test_a_sentence_that_the_facts_do_not_bear_out_is_not_said(explain: Explain) -> None:
    assert explain({"days_since_last_order": 0.9}) == []


def test_where_nothing_raises_the_customers_own_past_speaks_without_a_strength(explain: Explain) -> None:
    """Against the average customer twenty days are few; for one who came every week they are not."""
    (found,) = explain({"days_since_last_order": -0.9}, **LATE, **LESS)
    assert (found.code, found.strength, found.direction) == ("silent_long", None, "raises")
    assert codes(explain({"days_since_last_order": -0.9}, **LESS)) == ["frequency_down"]
    assert codes(explain({"days_since_last_order": -0.9}, revenue_91d=100.0)) == ["spend_down"]


def test_promotions_never_speak_where_the_model_says_otherwise(explain: Explain) -> None:
    assert explain({"promo_share": -0.5}, promo_share=0.9) == []
    (found,) = explain({"promo_share": 0.5}, promo_share=0.9)
    assert (found.code, found.actionable) == ("promo_only", False)


def test_a_dormant_customer_is_told_by_the_silence_alone(explain: Explain) -> None:
    (found,) = explain(None, days_since_last_order=150.0, gap_days_mean=10.0)
    assert found.text == "150 days since last order; usually about 10" and found.strength is None
    assert explain(None) == []


def test_one_order_comes_first_and_the_model_may_add_to_it(explain: Explain) -> None:
    alone = {"gap_days_mean": np.nan, "days_since_first_order": 40.0, "days_since_last_order": 40.0} | LESS
    assert codes(explain(None, stage="F1", **alone)) == ["one_order_only"]
    found = explain({"promo_share": 0.5}, stage="F1", promo_share=1.0, **alone)
    assert codes(found) == ["one_order_only", "promo_only"]
    assert (found[0].text, found[0].strength) == ("40 days since first order, no second", None)


def test_nobody_without_a_score_of_their_own_is_explained(explain: Explain) -> None:
    """Prospects, and who refused to be personalised to."""
    assert explain(None, scored=False, **LATE) == []


DUE = {"product_id": "p1", "name": "緑茶", "due_day": told.D + 3, "basis": "own_interval"}


@pytest.mark.parametrize(
    ("rows", "lang", "text", "direction", "value"),
    [
        ([DUE], "en", "緑茶 due to run out 2025-01-02", "lowers", 3),
        ([DUE], "ja", "緑茶を使い切る頃(2025年1月2日(木))", "lowers", 3),
        ([DUE | {"name": None}], "en", "p1 due to run out 2025-01-02", "lowers", 3),
        (
            [DUE, DUE | {"name": "{cups}", "due_day": told.D - 2}],
            "en",
            "{cups} due to run out 2024-12-28",
            "raises",
            -2,
        ),
    ],
)
def test_the_product_nearest_to_running_out_is_named_last(
    explain: Explain, rows: list[dict[str, Any]], lang: Language, text: str, direction: str, value: float
) -> None:
    found = explain({"days_since_last_order": 0.5}, lang=lang, due=rows, **LATE)
    assert codes(found) == ["silent_long", "runs_out"]
    last = found[-1]
    assert (last.text, last.direction, last.value, last.strength) == (text, direction, value, None) and last.actionable


def test_others_intervals_are_no_reason(explain: Explain) -> None:
    due = [DUE | {"basis": "category_interval"}]
    assert codes(explain({"days_since_last_order": 0.5}, lang="en", due=due, **LATE)) == ["silent_long"]


@pytest.mark.parametrize(
    ("ages", "months"),  # days since the last orders that are known
    [
        pytest.param([5, 40, 75], 3, id="one in each of three months"),
        pytest.param([30, 31, 60], 2, id="a month has thirty days"),
        pytest.param([5, 70], 0, id="none in the second: one month is no run"),
        pytest.param([31, 65, 95], 0, id="none in the newest"),
        pytest.param([5, 8, 12, 15, 40, 100], 2, id="many in one month are one month"),
    ],
)
def test_months_running_by_hand(ages: list[float], months: int) -> None:
    names = ["days_since_last_order", *(f"days_since_order_{nth}" for nth in (2, 3, 4, 5, 8, 12, 20))]
    facts = NOTHING_LESS | dict(zip(names, map(float, ages), strict=False))
    assert _months_running(facts) == months
    assert _months_running(facts | {"active_weeks_26": 26.0}) == 6


def test_who_orders_steadily_is_less_at_risk_for_it(explain: Explain) -> None:
    found = explain({"gap_days_mean": -0.4, "weekend_share": 0.1}, days_since_order_2=40.0, days_since_order_3=70.0)
    assert [(reason.text, reason.direction, reason.actionable) for reason in found] == [
        ("Ordered 3 months running", "lowers", False)
    ]
    assert found[0].strength == pytest.approx(0.8)


def test_every_sentence_of_the_glossary_can_be_said() -> None:
    assert set(REASONS) == {*SENTENCES, "one_order_only", "runs_out", "steady"}


@pytest.mark.parametrize(("day", "weekday"), [("2026-11-21", "土"), ("2026-11-22", "日"), ("2026-11-23", "月")])
def test_a_date_is_written_as_staff_read_it(day: str, weekday: str) -> None:
    written = say_date(date.fromisoformat(day), "ja")
    assert written == f"2026年11月{day[-2:]}日({weekday})"


# ---- only where asked


@pytest.fixture
def asked_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many customers' contributions each call asked for."""
    counted: list[int] = []
    real = Churn.contributions

    def contributions(self: Churn, x: Any) -> Any:
        counted.append(len(x))
        return real(self, x)

    monkeypatch.setattr(Churn, "contributions", contributions)
    return counted


def test_no_contributions_are_computed_unasked(score: Score, scores: pd.DataFrame, asked_of: list[int]) -> None:
    judged = scores.customer_id[scores.churn_probability.notna()].tolist()
    score(*judged[:300])
    score(judged[0], explain="none")
    score(judged[0], explain="full", include=["churn"])
    score("dormant", "once", "nobody", explain="full")
    assert asked_of == []
    score(judged[0])  # one id: brief
    score(*judged[:7], "dormant", "nobody", explain="brief")
    assert asked_of == [1, 7]


def test_the_night_explains_those_at_or_above_watch_alone(copied: Home, asked_of: list[int]) -> None:
    nightly(copied, told.D + 1, told.MACHINE_NOW, told.POLICY)
    night = current(copied)
    assert night is not None
    assert asked_of == [int(night.table("customer_scores").churn_band.isin(["watch", "high", "critical"]).sum())]


# ---- in the shop


def test_dormant_and_lapsed_are_explained_where_asked(score: Score) -> None:
    for name, days in (("dormant", 121), ("lapsed", 241)):
        result = score(name, explain="brief")["results"][0]
        assert result["reasons"][0]["text"] == f"{days} days since last order; usually about 10"
        assert result["churn"] is None and "reasons" not in [gap["field"] for gap in result["missing"]]


def test_what_runs_out_is_said_of_the_weekly_customer(score: Score, published: Publication) -> None:
    reason = score("weekly", explain="full")["results"][0]["reasons"][-1]
    assert (reason["code"], reason["text"], reason["value"]) == (
        "runs_out", "tea-of-week due to run out 2025-01-01", 2,
    )  # fmt: skip
    assert published.table("replenishment_due").name.isna().all()  # the shop has no list of products


def test_a_small_shop_is_explained_by_the_facts(changed: Change, release: Release, shop: Any) -> None:
    import dataclasses

    light = dataclasses.replace(release, models=dataclasses.replace(release.models, scores=None))
    answered = changed(release=light, days_since_last_order=[30.0], last_order_day=[told.D - 30.0])
    (found,) = reasons(answered, light, [0], 3, "en", {}, shop.calendar)
    assert codes(found) == ["silent_long"] and found[0].strength is None
