"""How right the answers about customers were: every number of a report, with its interval.

Pure functions of arrays with one row per customer (or per customer and cut-off, or per customer and item
list). ``truth`` comes first, the prediction second; both float, shape (n,), without NaN. Where a number has
no meaning (AUC of one class) it is NaN, never an error. Customers with the same prediction share their mean
truth, so row order changes nothing. Ranking metrics return one number per customer, so that customers can be
resampled.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, csr_matrix
from scipy.stats import rankdata

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Csr = csr_array | csr_matrix


def auc(truth: ArrayLike, score: ArrayLike) -> float:
    """Chance that a customer who did scores above one who did not: P(s+ > s-) + P(s+ = s-) / 2.

    Hanley and McNeil (1982), Radiology 143, 29-36. ``truth`` is 0 or 1; .5 is guessing.

    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    did, score = np.asarray(truth) > 0, np.asarray(score, dtype=np.float64)
    above, below = np.sort(score[did]), np.sort(score[~did])
    if not (above.size and below.size):
        return float("nan")
    wins = np.searchsorted(below, above, "left").sum() + np.searchsorted(below, above, "right").sum()
    return float(wins / (2 * above.size * below.size))


def pr_auc(truth: ArrayLike, score: ArrayLike) -> float:
    """Average precision while walking down the list: sum of (R_i - R_{i-1}) P_i over distinct scores.

    Davis and Goadrich (2006), ICML; the step rule of scikit-learn's ``average_precision_score``. Guessing
    gives the share of positives.

    >>> round(pr_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)  # 1/2 x 1/1 + 1/2 x 2/3
    0.8333
    """
    score = np.asarray(score, dtype=np.float64)
    order = np.argsort(-score)
    hits, last = np.cumsum(np.asarray(truth)[order] > 0), np.append(np.diff(score[order]) != 0, True)
    hits, taken = hits[last], np.flatnonzero(last) + 1
    if not hits.size or hits[-1] == 0:
        return float("nan")
    return float((np.diff(hits, prepend=0) * hits / taken).sum() / hits[-1])


def lift_at(truth: ArrayLike, score: ArrayLike, share: float = 0.10) -> float:
    """How many times more often the top ``share`` did it than everyone: mean truth of the top / mean truth.

    The top is round(share n) customers, at least one. 1 is guessing.

    >>> lift_at([1, 0, 0, 0, 1, 0, 0, 0, 0, 0], [9, 8, 7, 6, 5, 4, 3, 2, 1, 0], share=0.2)
    2.5
    """
    rising, _ = _by_prediction(truth, score)
    n_top = max(1, round(share * rising.size))
    return _ratio(rising[-n_top:].mean(), rising.mean())


def brier(truth: ArrayLike, probability: ArrayLike) -> float:
    """Mean squared distance of the probability from what happened: mean (p - y)^2.

    Brier (1950), Monthly Weather Review 78, 1-3.

    >>> round(brier([1, 0], [0.8, 0.4]), 4)
    0.1
    """
    return float(np.mean((np.asarray(probability) - np.asarray(truth)) ** 2))


def log_loss(truth: ArrayLike, probability: ArrayLike) -> float:
    """Mean surprise at what happened: -mean(y ln p + (1 - y) ln(1 - p)), p kept 1e-15 away from 0 and 1.

    Good (1952), JRSS B 14, 107-114.

    >>> round(log_loss([1, 0], [0.8, 0.4]), 4)
    0.367
    """
    p = np.clip(np.asarray(probability, dtype=np.float64), 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(np.asarray(truth) > 0, np.log(p), np.log1p(-p))))


def ece(truth: ArrayLike, probability: ArrayLike, n_bins: int = 10) -> float:
    """How far a stated probability is from the share that came true: sum of n_b/n |mean p - mean y|.

    Bins of equal mass, not width: Nixon et al. (2019), "Measuring Calibration in Deep Learning", CVPR
    workshops.

    >>> round(ece([0, 1, 1, 1], [0.1, 0.3, 0.8, 0.8], n_bins=2), 4)  # 1/2 |.2 - .5| + 1/2 |.8 - 1|
    0.25
    """
    y, p = _by_prediction(truth, probability)
    gaps = [abs(each.sum()) for each in np.array_split(p - y, n_bins)]
    return _ratio(sum(gaps), y.size)


def c_index(days: ArrayLike, is_observed: ArrayLike, predicted_days: ArrayLike) -> float:
    """Chance that of two customers the one predicted to come back first does: Harrell's C, ties count half.

    A pair counts where it is known who came first: the earlier one's order was observed (at the same day,
    before one only censored then). Harrell, Lee and Mark (1996), Statistics in Medicine 15, 361-387. O(n
    log^2 n): bit by bit over the ranks of time, each pair is met once, at the highest bit in which its ranks
    differ.

    Parameters
    ----------
    days : shape (n,)
        Days until the next order, or until sight was lost.
    is_observed : shape (n,), bool
        False where sight was lost first.
    predicted_days : shape (n,)
        Anything that grows with the predicted wait.

    >>> round(c_index([5, 8, 30, 30], [True, True, False, False], [6, 20, 9, 40]), 4)  # 4 of 5 pairs
    0.8
    """
    observed = np.asarray(is_observed, dtype=bool)
    wait = np.unique(np.asarray(predicted_days), return_inverse=True)[1]
    rank = np.unique(2 * np.unique(np.asarray(days), return_inverse=True)[1] + ~observed, return_inverse=True)[1]
    size, agreeing, known = rank.size + 1, 0.0, 0
    for bit in range(int(rank.max(initial=0)).bit_length()):
        block, is_later = rank >> (bit + 1), (rank >> bit) & 1 == 1
        later = np.sort((block * size + wait)[is_later])
        block, wait_first = block[~is_later & observed], wait[~is_later & observed]
        start, end = np.searchsorted(later, block * size), np.searchsorted(later, (block + 1) * size)
        left = np.searchsorted(later, block * size + wait_first, "left")
        right = np.searchsorted(later, block * size + wait_first, "right")
        known += int((end - start).sum())
        agreeing += float((end - (left + right) / 2).sum())
    return _ratio(agreeing, known)


def mae_days(days: ArrayLike, predicted_days: ArrayLike, cap_days: float) -> float:
    """How many days off the next order was: mean |min(t, cap) - min(predicted, cap)|.

    Whoever did not order within the cap (``days`` beyond it, infinite or NaN) counts as the cap; leaving them
    out would flatter every early prediction.

    >>> mae_days([3, 10, np.inf], [5, 10, 24], cap_days=28)  # (2 + 0 + 4) / 3
    2.0
    """
    return float(np.mean(np.abs(_capped(days, cap_days) - _capped(predicted_days, cap_days))))


def coverage(days: ArrayLike, low: ArrayLike, high: ArrayLike, observed_days: float = np.inf) -> float:
    """Share of customers whose order fell within the promised dates, among those who were watched until the last.

    A p10-p90 interval should cover .8. Who was promised a date beyond ``observed_days`` cannot have broken it yet
    and is left out; by what was promised alone, so that nothing is chosen by its outcome. NaN if nobody is left.

    >>> coverage([3, 10, 40, np.inf], [1, 11, 5, 9], [5, 20, 60, 27], observed_days=28)  # of three
    0.3333333333333333
    """
    t, first, last = (np.nan_to_num(np.asarray(x, np.float64), nan=np.inf) for x in (days, low, high))
    over = last <= observed_days
    return float(np.mean(((first <= t) & (t <= last))[over])) if over.any() else float("nan")


def spearman(truth: ArrayLike, predicted: ArrayLike) -> float:
    """How alike two orderings of the customers are: Pearson correlation of average ranks, -1 to 1.

    Spearman (1904), American Journal of Psychology 15, 72-101.

    >>> spearman([1, 2, 3, 4], [10, 30, 20, 40])
    0.8
    """
    a, b = rankdata(np.asarray(truth)), rankdata(np.asarray(predicted))
    a, b = a - a.mean(), b - b.mean()
    return _ratio(a @ b, np.sqrt((a @ a) * (b @ b)))


def ngini(truth: ArrayLike, predicted: ArrayLike) -> float:
    """How much of the possible concentration of spend the ordering finds: Gini(predicted) / Gini(perfect).

    As covariances, cov(y, rank(predicted)) / cov(y, rank(y)): Lerman and Yitzhaki (1984), Economics Letters
    15, 363-368; ties by average rank. One whale can make it: winsorise ``truth`` before a decision.

    >>> round(ngini([0, 0, 10, 20], [1, 2, 4, 3]), 4)  # 25 / 35
    0.7143
    """
    y = np.asarray(truth, dtype=np.float64)
    y = y - y.mean()
    return _ratio(y @ rankdata(np.asarray(predicted)), y @ rankdata(y))


def decile_mape(truth: ArrayLike, predicted: ArrayLike) -> float:
    """How far off the money of each predicted decile is: mean over deciles of |sum p - sum y| / |sum y|.

    Wang, Liu and Miao (2019), arXiv:1912.07753. A decile that spent nothing has no percentage and is left
    out.

    >>> round(decile_mape([10.0] * 10, [9, 9, 9, 9, 9, 10, 10, 10, 10, 10]), 4)
    0.05
    """
    y, p = _by_prediction(truth, predicted)
    parts = [
        (y_part.sum(), p_part.sum()) for y_part, p_part in zip(*(np.array_split(v, 10) for v in (y, p)), strict=True)
    ]
    errors = [abs(p_sum - y_sum) / abs(y_sum) for y_sum, p_sum in parts if y_sum]
    return float(np.mean(errors)) if errors else float("nan")


def bias(truth: ArrayLike, predicted: ArrayLike) -> float:
    """How much too much was promised in all: sum(predicted) / sum(truth) - 1.

    >>> round(bias([10, 30], [20, 24]), 4)
    0.1
    """
    return _ratio(np.sum(predicted), np.sum(truth)) - 1


def recall_at(ranked: NDArray[np.integer], truth: Csr, k: int) -> Floats:
    """Share of what each customer bought that their first ``k`` items held: |top k and bought| / |bought|.

    Parameters
    ----------
    ranked : shape (n_customers, N >= k), int
        Item indices, best first, each item once; -1 is padding.
    truth : CSR, shape (n_customers, n_items)
        Above zero where bought.

    Returns
    -------
    shape (n_customers,), NaN for a customer who bought nothing: average the others. Likewise
    in all ranking metrics.

    >>> bought = csr_array([[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    >>> recall_at(np.array([[2, 1], [0, -1], [0, 1]]), bought, k=2)
    array([0.5, 0. , nan])
    """
    hits, n_bought = _hits(ranked, truth, k)
    return _per_buyer(hits.sum(axis=1), n_bought)


def ndcg_at(ranked: NDArray[np.integer], truth: Csr, k: int) -> Floats:
    """As recall, but a hit higher up counts more: sum of hit_i / log2(i + 1) over the best possible sum.

    Jarvelin and Kekalainen (2002), ACM TOIS 20, 422-446, binary gains; the best is min(k, bought) hits on
    top.

    >>> bought = csr_array([[1, 0, 1, 0], [0, 0, 0, 1]])
    >>> ndcg_at(np.array([[2, 1], [0, 3]]), bought, k=2).round(4)  # 1 / (1 + .6309) and .6309 / 1
    array([0.6131, 0.6309])
    """
    hits, n_bought = _hits(ranked, truth, k)
    discount = 1 / np.log2(np.arange(2, k + 2))
    best = np.append(0, np.cumsum(discount))[np.minimum(n_bought, k)]
    return _per_buyer(hits @ discount[: hits.shape[1]], best)


def phr_at(ranked: NDArray[np.integer], truth: Csr, k: int) -> Floats:
    """Whether anything among each customer's first ``k`` items was bought, 0 or 1: the personal hit ratio.

    Li et al. (2023), "A Next Basket Recommendation Reality Check", ACM TOIS 41(4).

    >>> phr_at(np.array([[2, 1], [0, 3]]), csr_array([[1, 0, 1, 0], [0, 1, 0, 0]]), k=2)
    array([1., 0.])
    """
    hits, n_bought = _hits(ranked, truth, k)
    return _per_buyer(hits.sum(axis=1) > 0, n_bought > 0)


class Interval(NamedTuple):
    """A number and where it would lie, 95 times in 100, had other customers of the same kind come."""

    value: float
    low: float
    high: float


def bootstrap(
    statistic: Callable[..., float],
    *arrays: NDArray[np.generic],
    groups: NDArray[np.generic] | None = None,
    n: int = 1000,
    seed: int = 0,
) -> Interval:
    """A statistic of the customers with its 95 % percentile interval.

    Customers are resampled, not rows: give ``groups`` (customer of each row) where one has several rows, or
    the interval is too narrow. A resample without an answer (NaN) is left out. Efron (1979), Annals of
    Statistics 7.

    >>> bootstrap(np.mean, np.array([1.0, 1.0, 1.0]))
    Interval(value=1.0, low=1.0, high=1.0)
    """
    columns = [np.asarray(array) for array in arrays]
    draws = (statistic(*(column[rows] for column in columns)) for rows in _resamples(columns[0], groups, n, seed))
    return _interval(float(statistic(*columns)), np.fromiter(draws, dtype=np.float64, count=n))


def paired_bootstrap(
    metric: Callable[..., float],
    truth: NDArray[np.generic] | tuple[NDArray[np.generic], ...],
    ours: NDArray[np.generic],
    theirs: NDArray[np.generic],
    groups: NDArray[np.generic] | None = None,
    n: int = 1000,
    seed: int = 0,
) -> Interval:
    """How much better ours is than theirs on the same customers: the difference of a metric, 95 % interval.

    ``truth`` may be a tuple of arrays, for a metric with more than one (``c_index``: days, is_observed).

    >>> truth = np.array([0, 1] * 50)
    >>> paired_bootstrap(auc, truth, ours=truth, theirs=1 - truth)
    Interval(value=1.0, low=1.0, high=1.0)
    """

    def difference(ours: NDArray[np.generic], theirs: NDArray[np.generic], *truth: NDArray[np.generic]) -> float:
        return metric(*truth, ours) - metric(*truth, theirs)

    truths = truth if isinstance(truth, tuple) else (truth,)
    return bootstrap(difference, ours, theirs, *truths, groups=groups, n=n, seed=seed)


def _resamples(like: NDArray[np.generic], groups: NDArray[np.generic] | None, n: int, seed: int) -> Iterator[Rows]:
    """Row indices of ``n`` resamples; with ``groups``, all rows of each group drawn."""
    rng = np.random.default_rng(seed)
    if groups is None:
        for _ in range(n):
            yield rng.integers(len(like), size=len(like))
        return
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    rows, starts = np.argsort(group, kind="stable"), np.cumsum(sizes) - sizes
    for _ in range(n):
        drawn = rng.integers(sizes.size, size=sizes.size)
        size = sizes[drawn]
        within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        yield rows[np.repeat(starts[drawn], size) + within]


def _interval(value: float, draws: Floats) -> Interval:
    answered = draws[~np.isnan(draws)]
    if not answered.size:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(answered, [0.025, 0.975]).tolist()
    return Interval(value, low, high)


def _by_prediction(truth: ArrayLike, predicted: ArrayLike) -> tuple[Floats, Floats]:
    """Truth and prediction, rising by prediction; equal predictions share their mean truth."""
    p, tie, n_tied = np.unique(np.asarray(predicted, dtype=np.float64), return_inverse=True, return_counts=True)
    y = np.bincount(tie, weights=np.asarray(truth, dtype=np.float64), minlength=p.size) / n_tied
    return np.repeat(y, n_tied), np.repeat(p, n_tied)


def _capped(days: ArrayLike, cap_days: float) -> Floats:
    return np.fmin(np.asarray(days, dtype=np.float64), cap_days)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _per_buyer(score: ArrayLike, best: ArrayLike) -> Floats:
    whole = np.asarray(best, dtype=np.float64)
    return np.asarray(score, dtype=np.float64) / np.where(whole > 0, whole, np.nan)


def _hits(ranked: NDArray[np.integer], truth: Csr, k: int) -> tuple[NDArray[np.bool_], Rows]:
    """Which of each customer's first k items were bought, (n_customers, k); how many items each bought."""
    top, (n_customers, n_items) = np.asarray(ranked)[:, :k].astype(np.int64), truth.shape
    rows, items = truth.nonzero()
    bought = np.sort(rows.astype(np.int64) * n_items + items)
    wanted = np.arange(n_customers)[:, None] * n_items + top
    hits = (top >= 0) & np.isin(wanted, bought)
    return hits, np.bincount(rows, minlength=n_customers)


def wilson(hits: int, n: int) -> Interval:
    """Share of customers who did something, with the 95 % score interval, which also a share of 0 or 1 has.

    Wilson (1927), JASA 22, 209-212. NaN of nobody.

    >>> [round(number, 4) for number in wilson(81, 263)]  # Newcombe (1998), Statistics in Medicine 17, 857-872
    [0.308, 0.2553, 0.3662]
    """
    if not n:
        return Interval(float("nan"), float("nan"), float("nan"))
    p, z = hits / n, 1.959964
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return Interval(p, max(0.0, float(low)), min(1.0, float(high)))


def newcombe(hits: int, n: int, hits_beside: int, n_beside: int) -> Interval:
    """How much larger one share of customers is than another's, other customers', with its 95 % interval.

    Newcombe (1998), Statistics in Medicine 17, 873-890, method 10: from the two score intervals.

    >>> [round(number, 4) for number in newcombe(56, 70, 48, 80)]  # the paper's first example
    [0.2, 0.0524, 0.3339]
    """
    (p, low, high), (q, low_beside, high_beside) = wilson(hits, n), wilson(hits_beside, n_beside)
    below, above = np.hypot(p - low, high_beside - q), np.hypot(high - p, q - low_beside)
    return Interval(p - q, float(p - q - below), float(p - q + above))
