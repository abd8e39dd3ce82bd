"""The recommender's report: every method asks the same customers about the same products, and rules of thumb hold."""

import numpy as np
import pandas as pd
import pytest

from training.backtest import NEXT_BASKET, ROLLING, backtest
from training.evaluation.baskets import Baskets, tifu_knn, up_cf
from training.evaluation.panel import Panel, anybody
from training.evaluation.recommender import _left_out
from training.evaluation.rows import POOLED, as_rows
from training.models.recommender import Recommender

from .conftest import ZERO
from .recommender_worlds import AS_OF, bought

EVERY = {"okaeri", "personal_frequency", "als", "popular", "ease", "up_cf", "tifu_knn"}
ON_BASKETS = {"okaeri", "g_topfreq", "p_topfreq", "gp_topfreq", "up_cf", "tifu_knn"}
METRICS = {f"{name}_at_{k}{new}" for name in ("recall", "ndcg", "phr") for k in (10, 20) for new in ("", "_new")}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    from training.evaluation import rows

    monkeypatch.setattr(rows, "RESAMPLES", 15)


def judged(world, cutoffs, protocol=ROLLING):
    """Backtest the recommender; the figures of its cut-offs, of which there is one: pooled they are the same."""
    rows = pd.DataFrame(as_rows(backtest(world.home, world.shop, "recommender", cutoffs, protocol).rows))
    return rows[rows.cutoff != POOLED]


def test_a_backtest_gives_every_method_and_metric_for_the_bars_customers_and_for_all(large):
    report = judged(large, [large.until - 40])
    assert set(report.slice) == {"all", "whole_catalogue"}
    for _, part in report.groupby("slice"):
        assert set(part.method) == EVERY
        for _, rows in part.groupby("method"):
            assert set(rows.metric) == METRICS | {"catalogue_coverage", "personalised_share"}
        assert (part[part.metric == "recall_at_10"].n.nunique(), part.value.between(0, 1).all()) == (1, True)
    one = report[report.slice == "all"].set_index(["method", "metric"]).value
    assert one["popular", "personalised_share"] == 0
    assert one["okaeri", "ndcg_at_10"] > one["popular", "ndcg_at_10"]


def test_the_last_basket_is_left_out_and_judged_beside_the_classics(large):
    report = judged(large, None, NEXT_BASKET)
    assert (set(report.method), set(report.cutoff), set(report.slice)) == (ON_BASKETS, {"2024-12-31"}, {"all"})
    value = report.set_index(["method", "metric"]).value
    assert value["p_topfreq", "recall_at_10_new"] == 0
    assert value["okaeri", "ndcg_at_10"] > value["g_topfreq", "ndcg_at_10"]


def test_a_small_shop_is_judged_too(small):
    report = judged(small[-1], [ZERO + 150])
    assert set(report.method) == EVERY


DAYS = pd.DataFrame(
    [("a", "p", 10), ("a", "q", 10), ("a", "p", 17), ("a", "r", 20), ("b", "p", 3), ("b", "q", 5), ("b", "q", 9)],
    columns=["customer_id", "product_id", "day"],
)


@pytest.mark.parametrize(
    ("nth", "held", "before"),
    [
        (0, {"a": {"r"}, "b": {"q"}}, {("a", "p", 90), ("a", "q", 90), ("a", "p", 97), ("b", "p", 94), ("b", "q", 96)}),
        (1, {"a": {"p"}, "b": {"q"}}, {("a", "p", 93), ("a", "q", 93), ("b", "p", 98)}),
        (2, {"a": {"p", "q"}, "b": {"p"}}, set()),
    ],
)
def test_the_day_left_out_is_moved_to_one_day_for_all_and_what_came_before_keeps_its_distance(nth, held, before):
    found, last = _left_out(DAYS, 100, nth)
    assert last.groupby("customer_id").product_id.agg(set).to_dict() == held
    assert set(found.itertuples(index=False, name=None)) == before


@pytest.fixture
def panel():
    """Two who share all but one product each, and a stranger to both."""
    rows = [("a", "p"), ("a", "q"), ("b", "p"), ("b", "q"), ("b", "r"), ("c", "s")]
    known = bought(*((who, product, 1, 5) for who, product in rows))
    model = Recommender.fit(known, AS_OF, factors=2)
    truth = pd.DataFrame([("a", "r"), ("b", "p"), ("c", "s")], columns=["customer_id", "product_id"])
    return Panel.of(model, known, AS_OF, truth, anybody), known.assign(day=known.last_day)


@pytest.mark.parametrize("method", [tifu_knn, up_cf])
def test_neighbours_bring_up_what_the_most_similar_customer_bought_besides(panel, method):
    panel, days = panel
    baskets = Baskets.of(panel, days[["customer_id", "product_id", "day"]])
    new = panel.ranked(method(panel, baskets))[1]
    assert panel.model.product_ids[panel.columns][new[0, 0]] == "r"


def test_tifu_weighs_a_basket_by_its_group_and_place(panel):
    panel, _ = panel
    days = pd.DataFrame([("c", "s", day) for day in range(9)], columns=["customer_id", "product_id", "day"])
    score = tifu_knn(panel, Baskets.of(panel, days))(slice(2, 3))[0]
    own = (sum(0.9**k for k in range(7)) + 0.7 * (1 + 0.9)) / (7 * 2)
    assert score[panel.model.product_ids[panel.columns] == "s"] == pytest.approx(0.7 * own + 0.3 * own / 3, rel=1e-5)


def test_what_the_model_lists_is_judged_among_the_products_in_question(panel):
    panel, _ = panel
    every, new = panel.ours(AS_OF)
    assert (np.sort(every[:, :4], axis=1) == np.arange(4)).all()
    assert not ((new >= 0) & np.take_along_axis(panel.own.toarray() > 0, np.maximum(new, 0), axis=1)).any()
