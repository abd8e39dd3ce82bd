"""Every metric against scikit-learn, against a count of all pairs by hand, and on worlds with one answer."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.sparse import csr_array, csr_matrix
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, brier_score_loss, ndcg_score, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from training import metrics as m

# Few distinct values, so that ties are the rule
scores = st.integers(0, 12).map(lambda step: step / 12)


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Truth 0/1 with both classes, and a score in [0, 1] with ties."""
    n = draw(st.integers(2, 40))
    truth = draw(hnp.arrays(np.int64, n, elements=st.integers(0, 1)))
    assume(0 < truth.sum() < n)
    return truth, draw(hnp.arrays(np.float64, n, elements=scores))


@st.composite
def waits(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = draw(st.integers(0, 25))
    days = draw(hnp.arrays(np.int64, n, elements=st.integers(0, 9)))
    return days, draw(hnp.arrays(np.bool_, n)), draw(hnp.arrays(np.int64, n, elements=st.integers(0, 9)))


# Yes or no


@given(judged())
def test_the_classification_metrics_agree_with_scikit_learn(case):
    truth, score = case
    assert m.auc(truth, score) == pytest.approx(roc_auc_score(truth, score))
    assert m.pr_auc(truth, score) == pytest.approx(average_precision_score(truth, score))
    assert m.brier(truth, score) == pytest.approx(brier_score_loss(truth, score))
    inside = np.clip(score, 1e-9, 1 - 1e-9)
    assert m.log_loss(truth, inside) == pytest.approx(sklearn_log_loss(truth, inside))


@given(judged(), st.randoms(use_true_random=False))
def test_row_order_changes_nothing(case, shuffler):
    order = list(range(len(case[0])))
    shuffler.shuffle(order)
    for metric in (m.auc, m.pr_auc, m.lift_at, m.brier, m.ece, m.spearman, m.ngini, m.decile_mape, m.bias):
        expected = pytest.approx(metric(*case), nan_ok=True)
        assert metric(*(column[order] for column in case)) == expected, metric.__name__


@pytest.mark.parametrize("metric", [m.auc, m.pr_auc, m.lift_at])
def test_one_class_has_no_answer(metric):
    assert np.isnan(metric([0, 0, 0], [0.1, 0.2, 0.3]))


def test_log_loss_forgives_nobody_but_stays_finite():
    assert m.log_loss([1.0], [0.0]) == pytest.approx(34.54, abs=0.01)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        pytest.param([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], 5.0, id="both buyers on top"),
        pytest.param([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], 0.0, id="both at the bottom"),
        pytest.param([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], 2.5, id="tied with two others"),
        pytest.param([1] * 10, 1.0, id="no opinion"),
    ],
)
def test_lift_worked_by_hand(score, expected):
    assert m.lift_at([1, 1, 0, 0, 0, 0, 0, 0, 0, 0], score, share=0.2) == pytest.approx(expected)


def test_the_top_share_of_a_small_shop_is_one_customer():
    assert m.lift_at([0, 1, 0], [0.1, 0.9, 0.2], share=0.1) == 3


def test_a_calibrated_coin_has_no_calibration_error():
    assert m.ece([0, 1] * 50, [0.5] * 100) == 0
    assert m.ece([0, 1] * 50, [0.8] * 100) == pytest.approx(0.3)


def test_calibration_error_worked_by_hand():
    truth, probability = np.repeat([0, 1], 10), np.linspace(0.025, 0.975, 20)
    by_bin = np.abs(probability.reshape(10, 2).mean(axis=1) - truth.reshape(10, 2).mean(axis=1))
    assert m.ece(truth, probability) == pytest.approx(by_bin.mean())


# When


@given(waits())
def test_the_c_index_agrees_with_a_count_of_all_pairs(case):
    days, observed, predicted = case
    known, agreeing = 0, 0.0
    for i in range(len(days)):
        for j in range(len(days)):
            if observed[i] and (days[i] < days[j] or (days[i] == days[j] and not observed[j])):
                known += 1
                agreeing += 1.0 if predicted[i] < predicted[j] else 0.5 * (predicted[i] == predicted[j])
    expected = agreeing / known if known else float("nan")
    assert m.c_index(*case) == pytest.approx(expected, nan_ok=True)


def test_the_c_index_without_censoring_or_ties_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    days = rng.permutation(300)
    predicted = days + rng.normal(0, 80, 300)
    in_order = np.triu(predicted[np.argsort(days)][:, None] < predicted[np.argsort(days)][None, :], 1).sum()
    assert m.c_index(days, np.ones(300, dtype=bool), predicted) == pytest.approx(in_order / (300 * 299 / 2))


def test_whoever_never_ordered_counts_as_the_cap():
    assert m.mae_days([np.nan, np.inf, 99], [28, 28, 500], cap_days=28) == 0
    assert m.mae_days([np.nan], [8], cap_days=28) == 20


def test_an_interval_that_reaches_the_cap_covers_whoever_never_ordered():
    assert m.coverage([np.inf, np.inf, 9], [5, 5, 5], [20, 60, 20], observed_days=28) == 0.5  # of two
    assert np.isnan(m.coverage([3], [1], [60], observed_days=28))
    assert m.coverage([5, 20, 21], [5, 5, 5], [20, 20, 20]) == pytest.approx(2 / 3)


# How much


@given(judged())
def test_spearman_agrees_with_scipy(case):
    truth, score = case
    assume(len(set(score)) > 1)
    assert m.spearman(truth, score) == pytest.approx(spearmanr(truth, score).statistic)


@pytest.mark.parametrize("metric", [m.spearman, m.ngini])
def test_an_order_of_equals_has_no_answer(metric):
    assert np.isnan(metric([5.0, 5.0, 5.0], [1, 2, 3]))
    assert metric([1.0, 2.0, 3.0], [1, 1, 1]) == pytest.approx(0, abs=1e-12) or np.isnan(metric([1, 2, 3], [1, 1, 1]))


@given(hnp.arrays(np.float64, st.integers(2, 30), elements=st.integers(0, 50).map(float)), st.integers(0, 2**31))
def test_ngini_agrees_with_the_area_under_the_lorenz_curve(truth, seed):
    assume(len(set(truth)) > 1)
    predicted = np.random.default_rng(seed).permutation(len(truth))

    def gini(order):
        lorenz = np.cumsum(truth[order]) / truth.sum()
        return 0.5 - (lorenz.sum() - 0.5) / len(truth)

    assert m.ngini(truth, predicted) == pytest.approx(gini(np.argsort(predicted)) / gini(np.argsort(truth)))


def test_a_perfect_order_finds_all_concentration_and_a_reversed_one_none():
    spend = np.array([0.0, 0.0, 5.0, 90.0])
    assert m.ngini(spend, spend) == pytest.approx(1)
    assert m.ngini(spend, -spend) == pytest.approx(-1)


def test_deciles_worked_by_hand():
    truth = np.repeat(np.arange(10.0), 2)  # the lowest decile spent nothing and is left out
    assert m.decile_mape(truth, truth) == 0
    assert m.decile_mape(truth, truth * 1.2) == pytest.approx(0.2)
    assert np.isnan(m.decile_mape(np.zeros(20), truth))


def test_bias_says_what_share_too_much_was_promised():
    assert m.bias([100.0, 0.0], [60.0, 15.0]) == pytest.approx(-0.25)
    assert np.isnan(m.bias([0.0], [1.0]))


# Which


@st.composite
def lists(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Ranked lists of up to five of eight items, padded with -1, and what was bought."""
    bought = draw(hnp.arrays(np.int64, (draw(st.integers(1, 6)), 8), elements=st.integers(0, 1)))
    rows = [draw(st.permutations(range(8)))[: draw(st.integers(0, 5))] for _ in bought]
    return np.array([list(row) + [-1] * (5 - len(row)) for row in rows]), bought


@given(lists(), st.integers(1, 5))
def test_the_ranking_metrics_agree_with_sets(case, k):
    ranked, bought = case
    truth = csr_array(bought)
    recall, ndcg, phr = (metric(ranked, truth, k) for metric in (m.recall_at, m.ndcg_at, m.phr_at))
    for row, wanted in enumerate(bought):
        items, top = set(np.flatnonzero(wanted)), [item for item in ranked[row, :k] if item >= 0]
        if not items:
            assert np.isnan([recall[row], ndcg[row], phr[row]]).all()
            continue
        gains = [(item in items) / np.log2(place + 2) for place, item in enumerate(top)]
        ideal = sum(1 / np.log2(place + 2) for place in range(min(k, len(items))))
        assert recall[row] == pytest.approx(len(items & set(top)) / len(items))
        assert ndcg[row] == pytest.approx(sum(gains) / ideal)
        assert phr[row] == float(bool(items & set(top)))


def test_ndcg_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    bought = (rng.random((50, 30)) < 0.2).astype(int)
    bought[:, 0] = 1
    score = rng.permuted(np.tile(np.arange(30), (50, 1)), axis=1)
    ours = m.ndcg_at(np.argsort(-score, axis=1), csr_matrix(bought), 10)
    assert ours.mean() == pytest.approx(ndcg_score(bought, score, k=10))


def test_counts_and_stored_zeros_in_the_truth_mean_bought_and_not_bought():
    truth = csr_array(([3.0, 0.0], ([0, 0], [1, 2])), shape=(1, 4))
    assert m.recall_at(np.array([[1, 2]]), truth, 2).tolist() == [1.0]


def test_a_list_shorter_than_k_is_judged_on_what_it_has():
    truth = csr_array([[1, 1, 0]])
    ranked = np.array([[0]])
    assert m.recall_at(ranked, truth, 10).tolist() == [0.5]
    assert m.ndcg_at(ranked, truth, 10)[0] == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_padding_is_never_a_hit():
    truth = csr_array([[0, 0, 1], [1, 0, 0]])  # the last item of row 0 is where -1 of row 1 would land
    assert m.phr_at(np.array([[0, -1], [-1, -1]]), truth, 2).tolist() == [0.0, 0.0]


# How sure


def test_the_interval_of_a_mean_is_the_one_of_the_textbook():
    sample = np.random.default_rng(0).normal(10, 2, 400)
    value, low, high = m.bootstrap(np.mean, sample)
    half = 1.96 * sample.std() / 20
    assert value == pytest.approx(sample.mean())
    assert (low, high) == (pytest.approx(value - half, abs=0.03), pytest.approx(value + half, abs=0.03))


def test_the_same_seed_gives_the_same_interval():
    sample = np.random.default_rng(0).normal(size=100)
    assert m.bootstrap(np.mean, sample, seed=3) == m.bootstrap(np.mean, sample, seed=3)
    assert m.bootstrap(np.mean, sample, seed=3) != m.bootstrap(np.mean, sample, seed=4)


def test_customers_repeated_in_four_rows_do_not_look_like_four_customers():
    sample = np.random.default_rng(0).normal(size=200)
    once = m.bootstrap(np.mean, sample)
    customer = np.tile(np.arange(200), 4)
    grouped = m.bootstrap(np.mean, np.tile(sample, 4), groups=customer)
    naive = m.bootstrap(np.mean, np.tile(sample, 4))
    assert grouped.high - grouped.low == pytest.approx(once.high - once.low, rel=0.1)
    assert naive.high - naive.low < 0.6 * (once.high - once.low)


@given(hnp.arrays(np.int64, st.integers(1, 30), elements=st.integers(0, 5)))
def test_a_group_is_drawn_whole_or_not_at_all(groups):
    def is_whole(rows: np.ndarray) -> float:
        times = np.bincount(rows, minlength=len(groups))
        return float(all(len(set(times[groups == group])) == 1 for group in groups))

    assert m.bootstrap(is_whole, np.arange(len(groups)), groups=groups, n=5) == (1, 1, 1)


def test_resamples_without_an_answer_are_left_out():
    value, low, high = m.bootstrap(m.auc, np.array([0, 1]), np.array([0.2, 0.8]))
    assert (value, low, high) == (1, 1, 1)
    assert np.isnan(m.bootstrap(m.auc, np.zeros(3), np.zeros(3))).all()


def test_pairing_sees_a_difference_that_two_intervals_hide():
    rng = np.random.default_rng(0)
    truth = (rng.random(2_200) < 0.25).astype(int)
    theirs = truth + rng.normal(0, 1.2, 2_200)
    ours = theirs + 0.2 * truth
    gain = m.paired_bootstrap(m.auc, truth, ours, theirs)
    assert gain.value == pytest.approx(m.auc(truth, ours) - m.auc(truth, theirs))
    assert gain.low > 0
    assert m.bootstrap(m.auc, truth, theirs).high > m.bootstrap(m.auc, truth, ours).low


def test_a_model_is_no_better_than_itself():
    rng = np.random.default_rng(0)
    days, observed, wait = rng.integers(1, 30, 100), rng.random(100) < 0.7, rng.random(100)
    assert m.paired_bootstrap(m.c_index, (days, observed), wait, wait, n=20) == (0, 0, 0)


def test_a_thousand_resamples_take_less_than_two_seconds():
    rng = np.random.default_rng(0)
    truth, score = rng.random(2_500) < 0.3, rng.random(2_500)
    for metric in (m.auc, m.pr_auc, m.ece):
        started = time.process_time()
        m.bootstrap(metric, truth, score)
        assert time.process_time() - started < 2


def test_wider_shares_of_a_good_list_lift_less():
    rng = np.random.default_rng(0)
    score = rng.random(5_000)
    truth = rng.random(5_000) < score**3
    lifts = [m.lift_at(truth, score, share) for share in (0.05, 0.1, 0.2, 0.5, 1.0)]
    assert all(wider < narrower for narrower, wider in pairwise(lifts))
    assert lifts[-1] == 1
