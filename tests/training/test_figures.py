"""Figures over customers and cut-offs, worked by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.errors import Refused
from training import metrics
from training.backtest import _asked
from training.dataset import Past
from training.evaluation.measures import figures, measures, profit_at_budget
from training.evaluation.own_rhythm import GAPS, LEAST_DAYS, MOST_DAYS, judge_own_rhythm
from training.evaluation.rows import Figure, Judged, Sample, pooled
from training.labels import expect_complete

N = 200
WHO = np.array([f"c{n}" for n in range(N)])


def figure(values, cutoff, who=WHO) -> Figure:
    return Figure("churn", "okaeri", cutoff, "all", "mean", lambda v: float(np.mean(v)), (np.asarray(values),), who)


def test_a_pooled_figure_is_the_mean_of_its_cut_offs_not_of_the_rows():
    """Ten customers with 1 at one cut-off, two hundred with 0 at the other: a half, whatever their numbers."""
    (row,) = pooled([figure(np.ones(10), "a", WHO[:10]), figure(np.zeros(N), "b")])
    assert (row.cutoff, row.value, row.n) == ("all", 0.5, 210)


def test_the_same_customers_at_two_cut_offs_are_not_twice_as_many():
    values = np.random.default_rng(0).normal(size=N)
    (once,) = pooled([figure(values, "a")])
    (twice,) = pooled([figure(values, "a"), figure(values, "b")])
    others = np.array([f"d{n}" for n in range(N)])
    (apart,) = pooled([figure(values, "a"), figure(values[::-1], "b", others)])
    assert twice.value == pytest.approx(once.value)
    assert (twice.high - twice.low) == pytest.approx(once.high - once.low, rel=0.25)
    assert (apart.high - apart.low) < 0.85 * (once.high - once.low)


def test_each_question_slice_and_method_is_pooled_by_itself():
    rows = pooled([figure(np.zeros(N), "a"), replace(figure(np.ones(N), "a"), method="rule")])
    assert {row.method: row.value for row in rows} == {"okaeri": 0.0, "rule": 1.0}


def sample(said) -> Sample:
    frame = pd.DataFrame({"customer_id": WHO, "future_order_days": np.arange(N) % 2, "revenue_91d": 1.0})
    first = np.arange(N) < 50
    return Sample("churn", 100, frame, 28, 28, {"all": np.ones(N, np.bool_), "first": first}, said)


def test_a_method_is_asked_only_for_what_it_says():
    found = figures(sample({"rule": {"score": np.arange(N) / N}}), "2024-01-01")
    assert {f.name for f in found} == {"auc", "pr_auc", "lift_at_10pct", "profit_at_budget"}
    assert {f.slice: len(f.customers) for f in found} == {"all": N, "first": 50}


def test_a_figure_is_worked_out_on_the_customers_of_its_slice():
    truth = (np.arange(N) % 2 == 0).astype(float)
    right_at_first = np.where(np.arange(N) < 50, truth, 1 - truth)
    rows = {f.slice: f.row() for f in figures(sample({"okaeri": {"score": right_at_first}}), "x") if f.name == "auc"}
    assert rows["first"].value == 1.0 and rows["all"].value == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("observed", "expected"), [(28, {"auc_7d", "auc_14d"}), (30, {"auc_7d", "auc_14d", "auc_30d"}), (7, {"auc_7d"})]
)
def test_a_chance_is_judged_once_its_days_are_over(observed, expected):
    assert {name for name in measures("next-purchase", 28, observed) if name.startswith("auc")} == expected


def test_errors_in_days_are_capped_at_thirty_where_as_many_were_watched():
    days, said = np.array([100.0]), np.array([20.0])
    assert measures("next-purchase", 28, 28)["mae_days"].metric(days, said) == 8
    assert measures("next-purchase", 28, 60)["mae_days"].metric(days, said) == 10
    assert measures("next-purchase", 91, 120)["mae_days"].metric(days, said) == 71


def test_a_budget_goes_to_who_has_most_at_stake():
    """Ten customers, one message. The leaver worth 100 is kept one time in ten: 10 less a hundredth of the mean 19."""
    silent, revenue = np.array([1.0] * 2 + [0.0] * 8), np.array([100.0] + [10.0] * 9)
    assert profit_at_budget(silent, revenue, np.full(10, 0.5)) == pytest.approx((10 - 0.19) / 10)
    only_small = np.array([0.0] + [1.0] * 9)
    assert profit_at_budget(silent, revenue, only_small) == pytest.approx((1 - 0.19) / 10)


def test_own_rhythm_judges_who_was_watched_for_the_whole_of_their_own_window(large):
    from training.dataset import Past
    from training.fitting import active_rows

    past = Past(large.shop, large.until)
    test = large.until - MOST_DAYS
    judged = judge_own_rhythm(past, test, large.until)
    frame = judged.sample.frame
    active = active_rows(past.rows([test], large.until), large.shop)
    window = np.ceil(np.maximum(GAPS * active.gap_days_mean, LEAST_DAYS))
    assert 0 < len(frame) == (window <= MOST_DAYS).sum() < len(active)
    lapsed = 1 - frame.future_order_days
    assert (lapsed == (frame.days_to_next > frame.own_days)).all() and 0 < lapsed.mean() < 1
    auc = {f.method: f.metric(*f.arrays) for f in judged.figures if (f.slice, f.name) == ("all", "auc")}
    assert set(auc) == {"okaeri", "bg_nbd", "p_alive", "silence_ratio"}
    assert auc["okaeri"] == metrics.auc(lapsed, judged.sample.said["okaeri"]["score"])


def test_a_cut_off_that_nobody_named_is_skipped_while_its_outcome_is_not_over(large):
    def judge(past, day, until):
        expect_complete(past.shop, day, 28, until)
        return Judged()

    past = Past(large.shop, large.until)
    assert "is not known before" in _asked(judge, past, large.until - 27, large.until, is_named=False).why_not
    assert _asked(judge, past, large.until - 28, large.until, is_named=False) == Judged()
    with pytest.raises(Refused, match="is not known before"):
        _asked(judge, past, large.until - 27, large.until, is_named=True)
