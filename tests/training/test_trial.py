"""What is measured for the gate, on customers whose answers are known without running it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from training import metrics, trial
from training.baselines import columns_of
from training.dataset import Past
from training.evaluation import Report
from training.evaluation.paired import gain, shown_gain
from training.evaluation.rows import Sample
from training.fitting import active_rows, silent
from training.gate import load_rules
from training.release import open_release
from training.trial import against, checks, drifted, products_against

RULES = load_rules().model_copy(update={"resamples": 40})
N = 1000
EVERYONE = {"all": np.ones(N, np.bool_)}


def sample(question, said, frame, slices=EVERYONE, later=None, horizon=28) -> Sample:
    """What some methods said of N customers; ``later`` is what ours says once only time has passed."""
    held = SimpleNamespace(say=lambda columns: later)
    return Sample(question, 100, frame, horizon, horizon, slices, said, held)


def churn_sample(ours, truth, later=None, **others) -> Sample:
    frame = pd.DataFrame({"future_order_days": np.where(truth, 0.0, 1.0)})
    beside = dict.fromkeys(("bg_nbd", "rfm_logistic", "recency_rule", "okaeri"), ours) | others
    said = {name: {"probability": p, "score": p} for name, p in beside.items()}
    return sample("churn", said, frame, later={"probability": ours if later is None else later})


def order_sample(low, high, days, window=10_000) -> Sample:
    frame = pd.DataFrame({"days_to_next": days, "is_censored": False})
    ours = {"location": np.log(days), "low": low, "middle": days, "high": high}
    rules = {name: {"middle": days, "location": days} for name in ("own_gap", "bg_nbd")}
    return sample("next-purchase", {"okaeri": ours} | rules, frame, horizon=window)


@pytest.fixture
def past(monkeypatch):
    """A shop without features, of whose seasons one is told."""
    monkeypatch.setattr(trial, "_season_was_seen", lambda past, day: past.season_seen)
    return SimpleNamespace(shop=SimpleNamespace(tables=frozenset()), season_seen=True)


def found(past, one, what, figure=None, against=None):
    """The one finding of a kind."""
    report = Report((), (), {one.question: one})
    every = [f for f in checks(RULES, report, past) if f.what == what]
    (finding,) = [f for f in every if figure in (None, f.figure) and against in (None, f.against)]
    return finding


def spread(least=0.02, most=0.6):
    return np.linspace(least, most, N)


def as_said(probability):
    """Outcomes in the very share that was said, in each stretch of the list."""
    return np.diff(np.floor(np.cumsum(np.append(0, probability)))) > 0


# --- by itself ---


def test_what_is_said_and_comes_true_is_calibrated(past):
    p = spread()
    finding = found(past, churn_sample(p, as_said(p)), "calibration")
    assert finding.passed and finding.value < 0.01


@pytest.mark.parametrize(("seen", "expected"), [(True, False), (False, None)])
def test_half_as_many_leavers_as_said_are_refused_unless_the_season_is_new(past, seen, expected):
    """Said .31 on average, came true .155: the error is .155."""
    p, past.season_seen = spread(), seen
    finding = found(past, churn_sample(p, as_said(p / 2)), "calibration")
    assert finding.passed is expected
    assert finding.value == pytest.approx(p.mean() / 2, abs=0.01)
    assert ("no window of this season" in finding.says) is not seen


def test_of_few_customers_chance_alone_is_let_pass(past):
    """Forty customers of whom each was right to expect .3: an error above .05 is what chance makes of it."""
    p = np.full(40, 0.3) + np.arange(40) / 1e4
    truth = np.random.default_rng(1).random(40) < 0.3
    one = churn_sample(p, truth)
    one = replace(one, slices={"all": np.ones(40, np.bool_)})
    finding = found(past, one, "calibration")
    assert finding.value > RULES.checks.ece_at_most and finding.passed


@pytest.mark.parametrize(("n_falling", "passes"), [(0, True), (20, True), (21, False)])
def test_more_silence_may_lower_the_risk_of_one_in_fifty_at_most(past, n_falling, passes):
    p = spread()
    later = p + 0.01
    later[:n_falling] = p[:n_falling] - 0.011
    finding = found(past, churn_sample(p, as_said(p), later), "silence", "14d")
    assert (finding.value, finding.passed) == (n_falling / N, passes)


def test_a_fall_within_a_point_is_no_fall(past):
    p = spread()
    assert found(past, churn_sample(p, as_said(p), p - 0.009), "silence", "7d").value == 0


@pytest.mark.parametrize(("inside", "passes"), [(650, False), (701, True), (800, True), (899, True), (950, False)])
def test_of_five_orders_four_fall_within_the_dates_promised(past, inside, passes):
    days = np.arange(1.0, N + 1)
    low = np.where(np.arange(N) < inside, days - 1, days + 1)
    finding = found(past, order_sample(low, days + 2, days), "coverage")
    assert (finding.value, finding.passed) == (inside / N, passes)


def test_who_was_promised_a_date_beyond_the_window_is_not_asked(past):
    """Nobody comes back in the 28 days seen: half were promised an order by then and misled; the others, who knows."""
    days, promised = np.full(N, 28.0), np.arange(N) < N // 2
    finding = found(past, order_sample(np.full(N, 3.0), np.where(promised, 20.0, 90.0), days, window=28), "coverage")
    assert (finding.value, finding.n, finding.passed) == (0.0, N // 2, False)
    few = order_sample(np.full(N, 3.0), np.where(np.arange(N) < 99, 20.0, 90.0), days, window=28)
    assert found(past, few, "coverage").passed is None  # too few to tell
    nobody = found(past, order_sample(np.full(N, 3.0), np.full(N, 90.0), days, window=28), "coverage")
    assert (nobody.value, nobody.n, nobody.passed) == (None, 0, None) and "nan" not in nobody.says


def test_a_score_that_is_no_number_is_refused_and_counted(past):
    p = spread()
    truth = as_said(p)
    p[[3, 5]] = np.nan
    finding = found(past, churn_sample(p, truth), "no_number")
    assert (finding.value, finding.passed) == (2, False)
    assert finding.says == "churn: 2 of 1,000 customers without a probability"


@pytest.mark.parametrize(("n_same", "passes"), [(200, True), (201, False), (N, False)])
def test_the_same_score_for_more_than_a_fifth_is_refused(past, n_same, passes):
    p = spread()
    p[:n_same] = 0.5001
    assert found(past, churn_sample(p, as_said(spread())), "same_score").passed is passes


@pytest.mark.parametrize(("n_restless", "passes"), [(0, True), (15, True), (16, False)])
def test_inputs_spread_otherwise_are_told_and_refused_above_the_bound(n_restless, passes):
    names = [f"input_{n}" for n in range(100)]
    facts = {
        "restless": {name: 0.3 + n / 100 for n, name in enumerate(names[:n_restless])},
        "references": {"features": dict.fromkeys(names)},
    }
    finding = drifted(RULES, facts)
    assert (finding.value, finding.passed, finding.question) == (n_restless / 100, passes, "inputs")
    assert n_restless == 0 or f"furthest {names[n_restless - 1]}, index 0.{29 + n_restless}" in finding.says


# --- beside the baselines ---


def test_a_rule_is_beaten_only_significantly(past):
    truth = as_said(spread())
    ours, guess = truth + np.random.default_rng(0).normal(0, 1, N), np.random.default_rng(1).random(N)
    one = churn_sample(1 / (1 + np.exp(-ours)), truth, recency_rule=guess)
    assert found(past, one, "beats", "auc", "recency_rule").passed
    same = churn_sample(one.said["okaeri"]["probability"], truth)
    finding = found(past, same, "beats", "auc", "recency_rule")
    assert not finding.passed and (finding.value, finding.low, finding.high) == (0, 0, 0)
    assert found(past, same, "never_below", "auc", "bg_nbd").passed  # not better, but not below


def test_below_a_baseline_is_refused(past):
    truth = as_said(spread())
    good = truth + np.random.default_rng(0).normal(0, 0.5, N)
    finding = found(past, churn_sample(spread(), truth[::-1], bg_nbd=good[::-1]), "never_below", "auc", "bg_nbd")
    assert finding.high < 0 and not finding.passed
    assert "worse than bg_nbd" in finding.says


def test_less_is_better_where_it_is_an_error():
    """Ours is right to the day, theirs a day off for everyone: one day better, whoever is drawn."""
    days = np.arange(1.0, N + 1) % 20 + 1
    one = order_sample(days, days, days)
    theirs = {"middle": days + 1, "location": days}
    assert gain(one, "mae_days", one.said["okaeri"], theirs, EVERYONE["all"], 20) == (1, 1, 1)
    assert gain(one, "mae_days", theirs, one.said["okaeri"], EVERYONE["all"], 20) == (-1, -1, -1)


# --- against the champion ---


def test_the_champion_is_asked_with_what_had_not_learnt_the_day(large):
    release = open_release(large.path)
    until = large.until
    assert release.held("churn", until).model is release.models.scores.churn  # what answers now
    for question, days in (("churn", 28), ("next-purchase", 28), ("value", 98)):
        twin = release.held(question, until - 1)
        assert twin.day == until - days, question  # its twin, of the report
        assert release.held(question, until - days).day == until - days
        assert release.held(question, until - days - 1) is None
    assert release.held("churn", until + 40).day == until


def test_a_twin_says_what_the_report_says(large):
    """The figures of the report are those of the models that were sealed beside it, to the last bit."""
    active = active_rows(Past(large.shop, large.until).rows([large.until - 28], large.until), large.shop)
    twin = open_release(large.path).held("churn", large.until - 28)
    said = twin.say(columns_of(active, twin.inputs.features))["probability"]
    told = {row["metric"]: row["value"] for row in large.told["report"] if row["method"] == "okaeri"}
    assert metrics.auc(silent(active), said) == told["auc"]
    assert metrics.brier(silent(active), said) == told["brier"]


def champion_of(**changed):
    """A champion that has a twin only if it is given."""
    told = {"id": "c0ffee", "learnt_until": lambda question: 120, "held": lambda question, day: None}
    return SimpleNamespace(**told | {"models": SimpleNamespace(horizon_days=28)} | changed)


def held(probability, features=()):
    return SimpleNamespace(
        inputs=SimpleNamespace(features=features),
        say=lambda columns: {"probability": probability, "score": probability},
    )


@pytest.mark.parametrize(
    ("champion", "why"),
    [
        (champion_of(), "learnt until day 120, and keeps no model that had learnt until day 100 at most"),
        (
            champion_of(held=lambda q, d: held(spread()), models=SimpleNamespace(horizon_days=56)),
            "the champion's horizon is 56 days, not 28",
        ),
        (champion_of(held=lambda q, d: held(spread(), ("gone",))), "the champion reads gone, which there is no longer"),
    ],
)
def test_what_cannot_be_compared_is_said_and_why(champion, why):
    p = spread()
    past = SimpleNamespace(shop=SimpleNamespace(calendar=SimpleNamespace(date=lambda day: f"day {day}")))
    report = Report((), (), {"churn": churn_sample(p, as_said(p))})
    findings, why_not = against(RULES, report, champion, past)
    assert findings == [] and len(why_not) == 1
    assert why_not[0].startswith("churn was not compared: ") and why in why_not[0]


def test_every_slice_is_compared_on_its_own_customers():
    """Ours is perfect among the first half and upside down among the second; the champion is the other way round."""
    truth = np.arange(N) % 2 == 1
    first = np.arange(N) < N // 2
    right = np.where(truth, 0.9, 0.1) + np.arange(N) / 1e6
    ours, theirs = np.where(first, right, 1 - right), np.where(first, 1 - right, right)
    one = churn_sample(ours, truth)
    one = replace(one, slices=EVERYONE | {"first": first, "second": ~first})
    past = SimpleNamespace(shop=SimpleNamespace(calendar=SimpleNamespace(date=str)))
    report = Report((), (), {"churn": one})
    findings, _ = against(RULES, report, champion_of(held=lambda q, d: held(theirs)), past)
    auc = {f.slice: (f.value, f.passed, f.n) for f in findings if f.figure == "auc"}
    assert auc["first"] == (1.0, True, 500) and auc["second"] == (-1.0, False, 500)
    assert auc["all"][0] == pytest.approx(0, abs=0.01)


# --- products ---


def showing(*products):
    """A recommender that shows everyone the same products in the same order."""

    def recommend(known, day, customers, n):
        rows = [(who, product, rank) for who in customers for rank, product in enumerate(products[:n], 1)]
        return pd.DataFrame(rows, columns=["customer_id", "product_id", "rank"])

    return SimpleNamespace(recommend=recommend)


def past_of(bought):
    """Ann and Ben had bought tea and cups before; then what is told."""
    known = pd.DataFrame({"customer_id": ["ann", "ben"], "product_id": ["tea", "cup"]})
    after = pd.DataFrame(bought, columns=["customer_id", "product_id"])
    calendar = SimpleNamespace(date=lambda day: f"day {day}")
    shop = SimpleNamespace(calendar=calendar)
    return SimpleNamespace(shop=shop, purchases=lambda day: known, bought_after=lambda day, n, until: after)


def test_the_right_product_first_is_worth_more_than_second():
    """Both come back for tea: first it scores 1, second 1 / log2(3); a stranger and a new product do not count."""
    past = past_of([("ann", "tea"), ("ben", "tea"), ("cat", "tea"), ("ann", "never sold before")])
    found, n = shown_gain(past, 100, 130, showing("tea", "cup"), showing("cup", "tea"), 20)
    assert n == 2 and found.value == pytest.approx(1 - 1 / np.log2(3)) == pytest.approx(found.low)


def test_a_recommender_that_had_learnt_the_cut_off_is_not_compared():
    findings, why = products_against(RULES, champion_of(), past_of([("ann", "tea")]), 130)
    assert findings == []
    assert why == ["recommender was not compared: the champion's learnt until day 120, past day 100"]


def test_products_are_compared_with_a_champion_of_before_the_cut_off(monkeypatch):
    monkeypatch.setattr(trial, "fit_recommender", lambda past, day: showing("cup", "tea"))
    older = champion_of(learnt_until=lambda question: 100, models=SimpleNamespace(recommender=showing("tea", "cup")))
    (finding,), why = products_against(RULES, older, past_of([("ann", "tea"), ("ben", "tea")]), 130)
    assert why == [] and finding.passed is False and finding.n == 2
    assert finding.says.startswith("recommender ndcg_at_10: 0.3691 worse than champion")
