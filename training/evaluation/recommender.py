"""The products shown, judged by what was bought afterwards: all of them, and those new to the customer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from features.interactions import summed
from training import metrics
from training.dataset import Past
from training.evaluation.baskets import Baskets, personal_counts, tifu_knn, up_cf
from training.evaluation.panel import LISTED, Lists, Panel, Scores, active, anybody
from training.evaluation.rows import EVERYONE, Figure, Judged
from training.fitting import LESSONS, PRODUCT_DAYS, fit_recommender, people
from training.models.recommender import Lesson, Recommender
from training.models.recommender.history import D60
from training.models.recommender.taste import Taste

PER_CUSTOMER: dict[str, Callable[[Lists, sparse.csr_matrix, int], NDArray[np.float64]]] = {
    "recall": metrics.recall_at,
    "ndcg": metrics.ndcg_at,
    "phr": metrics.phr_at,
}
ALS_FACTORS = 64  # the baseline's: NDCG@10 .3304 against .3176 with 32 (Complete Journey, 2017-08-14; 2026-11-24)
FEWEST_BASKETS = 3  # next basket: one to predict, one to learn from, one to know them by

Both = Mapping[str, tuple[Lists, Lists]]


def judge_recommender(past: Past, test: int, until: int) -> Judged:
    """Judge the lists of ``test`` against what active customers bought in the 30 days after, beside few baselines."""
    found = _panel(past, test, until, is_whole=False)
    if isinstance(found, str):
        return Judged(why_not=found)
    return Judged(tuple(_figures(found, _few(found, test), str(past.shop.calendar.date(test)), EVERYONE, (10,))))


def backtest_recommender(past: Past, test: int, until: int) -> Judged:
    """Judge as :func:`judge_recommender`, beside every baseline; then every customer known and every product."""
    cutoff, figures, why = str(past.shop.calendar.date(test)), [], ""
    for part, is_whole in ((EVERYONE, False), ("whole_catalogue", True)):
        found = _panel(past, test, until, is_whole)
        if isinstance(found, str):
            why = why or found
            continue
        lists = _many(found, test, past.purchase_days(test))
        figures += _figures(found, lists, cutoff, part, (10, 20)) + _breadth(found, lists, cutoff, part)
    return Judged(tuple(figures), "" if figures else why)


def backtest_next_basket(past: Past, test: int, until: int) -> Judged:
    """Judge by leaving every customer's last shopping day before ``test`` out, and naming what it held.

    Histories are moved so that all last days fall on one: what is learnt from the days before them, and what is
    judged, are then pairs of one day and what was known at its start. Nothing from ``test`` on is looked at.
    """
    days = past.purchase_days(test)
    days = days[days.groupby("customer_id").day.transform("nunique") >= FEWEST_BASKETS]
    if days.empty:
        return Judged(why_not=f"next basket: nobody has {FEWEST_BASKETS} order days")
    facts = past.products(test)
    left_out = [_left_out(days, test, nth) for nth in range(LESSONS + 1)]
    lessons = [Lesson(summed(before, test), test, held, facts) for before, held in left_out[1:] if len(before)]
    before, held = left_out[0]
    known = summed(before, test)
    panel = Panel.of(Recommender.fit(known, test, facts, lessons), known, test, held, anybody)
    if not len(panel):
        return Judged(why_not="next basket: nobody bought a known product")
    lists, cutoff = _of_baskets(panel, test, before), str(past.shop.calendar.date(test))
    figures = _figures(panel, lists, cutoff, EVERYONE, (10, 20)) + _breadth(panel, lists, cutoff, EVERYONE)
    return Judged(tuple(figures))


def _of_baskets(panel: Panel, until: int, days: pd.DataFrame) -> Both:
    """List by every method that is compared on baskets."""
    baskets = Baskets.of(panel, days)
    own, everybody = personal_counts(panel, baskets), np.bincount(baskets.item, minlength=len(panel.columns))
    return {
        "okaeri": panel.ours(until),
        "g_topfreq": panel.ranked(_same(panel, everybody.astype(np.float64))),
        "p_topfreq": _without_others(panel.ranked(own), panel),
        "gp_topfreq": panel.ranked(own),
        "up_cf": panel.ranked(up_cf(panel, baskets)),
        "tifu_knn": panel.ranked(tifu_knn(panel, baskets)),
    }


def _panel(past: Past, test: int, until: int, is_whole: bool) -> Panel | str:
    """Put the question of a cut-off together; or say why it cannot be asked."""
    at = f"recommender at {past.shop.calendar.date(test)}"
    known = past.purchases(test)
    if known.empty:
        return f"{at}: nothing had been bought yet"
    predict = past.shop.mapping.predict
    who = anybody if is_whole else active(predict.min_order_days, predict.lookback_days)
    bought = past.bought_after(test, PRODUCT_DAYS, until)
    panel = Panel.of(fit_recommender(past, test), people(past, test), test, bought, who, is_whole)
    return panel if len(panel) else f"{at}: nobody known bought a known product"


def _few(panel: Panel, test: int) -> Both:
    return {
        "okaeri": panel.ours(test),
        "personal_frequency": panel.ranked(_personal(panel)),
        "als": panel.ranked(_als(panel, panel.model.taste)),
        "popular": panel.ranked(_same(panel, panel.popularity)),
    }


def _many(panel: Panel, test: int, days: pd.DataFrame) -> Both:
    baskets = Baskets.of(panel, days)
    taste = Taste.fit(panel.everyone, len(panel.model.product_ids), ALS_FACTORS)
    return {
        **_few(panel, test),
        "als": panel.ranked(_als(panel, taste)),
        "ease": panel.ranked(_ease(panel)),
        "up_cf": panel.ranked(up_cf(panel, baskets)),
        "tifu_knn": panel.ranked(tifu_knn(panel, baskets)),
    }


def _personal(panel: Panel) -> Callable[[slice], Scores]:
    """Score by how often each customer bought a product of late; ties, and all others, by popularity."""
    decayed = panel.history.matrix(D60, len(panel.model.product_ids))[:, panel.columns]
    return lambda block: decayed[block].toarray()


def _als(panel: Panel, taste: Taste) -> Callable[[slice], Scores]:
    """Score by the factors alone."""
    products = taste.factors[panel.columns]
    return lambda block: taste.of(panel.history[block]) @ products.T


def _ease(panel: Panel) -> Callable[[slice], Scores]:
    """Score by the neighbours alone; own products by them too."""
    near, place = panel.model.neighbours, np.full(len(panel.model.product_ids), -1)
    place[panel.columns] = np.arange(len(panel.columns))
    inside = place[near.target] >= 0
    owned = panel.history.matrix(D60, len(panel.model.product_ids))[:, near.target].tocsr()
    owned.data[:] = 1

    def scores(block: slice) -> Scores:
        out = np.full((owned[block].shape[0], len(panel.columns)), -1.0, np.float32)
        out[:, place[near.target][inside]] = (owned[block] @ near.weights[: len(near.target)])[:, inside]
        return out

    return scores


def _same(panel: Panel, score: NDArray[np.floating]) -> Callable[[slice], Scores]:
    return lambda block: np.tile(score.astype(np.float32), (len(panel.judged[block]), 1))


def _without_others(lists: tuple[Lists, Lists], panel: Panel) -> tuple[Lists, Lists]:
    """Cut lists off where a customer's own products end: P-TopFreq names no others."""
    n_own = np.diff(panel.own.indptr)
    return np.where(np.arange(LISTED) < n_own[:, None], lists[0], -1).astype(np.int32), np.full_like(lists[1], -1)


def _left_out(days: pd.DataFrame, until: int, nth: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leave out each customer's last order day but ``nth``: the days before it, and what it held.

    Days are moved so that the one left out is ``until``.
    """
    visits = days[["customer_id", "day"]].drop_duplicates().sort_values(["customer_id", "day"])
    visits["nth"] = visits.groupby("customer_id").cumcount(ascending=False)
    out = visits[visits.nth == nth].set_index("customer_id").day
    moved = days.assign(out=days.customer_id.map(out)).dropna(subset=["out"])
    held = moved.loc[moved.day == moved.out, ["customer_id", "product_id"]]
    before = moved[moved.day < moved.out]
    return before.assign(day=(before.day + until - before.out).astype("int64")).drop(columns="out"), held


def _figures(panel: Panel, lists: Both, cutoff: str, part: str, sizes: tuple[int, ...]) -> list[Figure]:
    """Measure every method for all products and for new ones; of the latter, on who bought any."""
    figures = []
    for method, both in lists.items():
        for suffix, ranked, truth in zip(("", "_new"), both, (panel.truth, panel.new_truth), strict=True):
            asked = np.diff(truth.indptr) > 0
            for size, name in itertools.product(sizes if asked.any() else (), PER_CUSTOMER):
                each = PER_CUSTOMER[name](ranked, truth, size)[asked]
                of = ("recommender", method, cutoff, part, f"{name}_at_{size}{suffix}", _mean)
                figures.append(Figure(*of, arrays=(each,), customers=panel.customers[asked]))
    return figures


def _breadth(panel: Panel, lists: Both, cutoff: str, part: str) -> list[Figure]:
    """Measure how much of the catalogue the first ten show, and which share is not what is most popular."""
    popular = lists["popular" if "popular" in lists else "g_topfreq"][0][:, :10]
    figures = []
    for method, (ranked, _) in lists.items():
        first = ranked[:, :10]
        other = ~(first[:, :, None] == popular[:, None, :]).any(axis=2) & (first >= 0)
        each = other.sum(axis=1) / np.maximum((first >= 0).sum(axis=1), 1)
        of = ("recommender", method, cutoff, part)
        figures.append(Figure(*of, "personalised_share", _mean, arrays=(each,), customers=panel.customers))
        covered = partial(_covered, n_products=len(panel.columns))
        figures.append(Figure(*of, "catalogue_coverage", covered, (first,), panel.customers, has_interval=False))
    return figures


def _covered(shown: Lists, n_products: int) -> float:
    return len(np.unique(shown[shown >= 0])) / n_products


def _mean(values: NDArray[np.float64]) -> float:
    return float(np.mean(values))
