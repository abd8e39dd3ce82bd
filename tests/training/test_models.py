"""Every model before the same examination, and the laws of their own."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from tests.contracts.model_contract import (
    HORIZON,
    ModelContract,
    World,
    btyd_world,
    columns,
    inputs,
    matrix,
    nobody,
)
from training import metrics
from training.models.btyd import Btyd
from training.models.churn import RISING, Churn
from training.models.inputs import history
from training.models.light import Light
from training.models.linear import Linear
from training.models.next_purchase import GRID, HORIZONS, QUANTILES, NextPurchase
from training.models.prior import Prior
from training.models.recommender import Recommender
from training.models.rule import Rule
from training.models.trees import raw_score
from training.models.value import Value

from .recommender_worlds import AS_OF, checkerboard

HELD_BACK = 3  # the seed of the later window


def silent(frame: pd.DataFrame) -> np.ndarray:
    return (frame.future_order_days == 0).to_numpy(np.float64)


def times(frame: pd.DataFrame):
    return matrix(frame), frame.days_to_next.to_numpy(), frame.is_censored.to_numpy()


class TestChurn(ModelContract):
    kind, answers = Churn, "silent"

    def fit(self, world: World) -> Churn:
        later = btyd_world(HELD_BACK)[:]
        return Churn.fit(matrix(world[:]), silent(world[:]), inputs().names, matrix(later), silent(later))

    def ask(self, model, rows):
        return np.column_stack([model.predict(matrix(rows)), model.log_odds(matrix(rows))])

    def test_it_orders_customers_better_than_silence_alone(self, model):
        frame = btyd_world(4)[:]
        ours, rule = model.predict(matrix(frame)), frame.days_since_last_order.to_numpy()
        assert metrics.paired_bootstrap(metrics.auc, silent(frame), ours, rule, n=100).low > 0

    @pytest.mark.parametrize("name", [n for n in RISING if n in inputs().names])
    def test_more_silence_never_lowers_the_risk_the_trees_see(self, model, name):
        x = matrix(btyd_world(4)[:200])
        place = inputs().names.index(name)
        risks = []
        for value in np.linspace(0, 2 * np.nanmax(x[:, place]), 40):
            x[:, place] = value
            risks.append(raw_score(model.trees, x))
        assert (np.diff(risks, axis=0) >= 0).all()
        assert np.ptp(risks) > 0

    def test_what_the_inputs_add_sums_to_the_differences_between_customers(self, model):
        x = matrix(btyd_world(4)[:50])
        odds = np.log(model.predict(x) / (1 - model.predict(x)))
        rest = odds - model.contributions(x).sum(axis=1)
        np.testing.assert_allclose(rest, rest[0], atol=1e-9)

    def test_of_a_hundred_told_thirty_percent_thirty_leave(self, model):
        frame = btyd_world(4)[:]
        assert metrics.ece(silent(frame), model.predict(matrix(frame))) < 0.05


class TestLogistic(ModelContract):
    kind, answers, closer = Linear, "silent", 0.7

    def fit(self, world: World) -> Linear:
        return Linear.logistic(matrix(world[:]), silent(world[:]))

    def ask(self, model, rows):
        return 1 / (1 + np.exp(-model.predict(matrix(rows))))[:, None]

    def save(self, model, folder):
        folder.mkdir()
        model.save(folder / "logistic.npz")
        return folder

    def load(self, folder):
        return Linear.load(folder / "logistic.npz")


class TestNextPurchase(ModelContract):
    kind, answers = NextPurchase, "back_in_30d"

    def fit(self, world: World) -> NextPurchase:
        return NextPurchase.fit(*times(world[:]), inputs().names, times(btyd_world(HELD_BACK)[:]))

    def ask(self, model, rows):
        x = matrix(rows)
        chances, days = model.predict(x), model.quantiles(x)
        return np.column_stack([chances[:, HORIZONS.index(30)], chances, np.nan_to_num(days, nan=-1.0)])

    def test_waiting_longer_never_lowers_the_chance_of_an_order(self, model):
        frame = btyd_world(4)[:]
        chance = model.predict(matrix(pd.concat([frame, nobody(frame)])), np.geomspace(0.01, 10_000, 200))
        assert (np.diff(chance, axis=1) >= 0).all()
        assert chance.min() >= 0 and chance.max() <= 1

    def test_by_the_day_of_a_quantile_an_order_has_just_that_chance(self, model):
        x = matrix(btyd_world(4)[:300])
        days = model.quantiles(x)
        assert (np.diff(days[~np.isnan(days).any(axis=1)], axis=1) >= 0).all()
        step = np.exp(model.sigma * (GRID[1] - GRID[0]))
        assert not np.isnan(days[:, :2]).all(axis=0).any()
        for column, level in enumerate(QUANTILES):
            for row in np.flatnonzero(~np.isnan(days[:, column])):
                before, then = model.predict(x[[row]], [days[row, column] / step * 0.999, days[row, column] * 1.001])[0]
                assert before <= level <= then + 1e-9

    def test_a_date_more_than_a_year_away_is_not_named(self, model):
        days = model.quantiles(matrix(btyd_world(4)[:]))
        assert np.isnan(days).any()
        assert np.nanmax(days) <= 365

    def test_four_of_five_orders_fall_between_the_tenth_and_the_ninetieth_percentile(self, model):
        frame = btyd_world(4)[:]
        days = np.where(frame.is_censored, np.inf, frame.days_to_next)
        low, _, high = np.nan_to_num(model.quantiles(matrix(frame)), nan=np.inf).T
        assert 0.75 < np.mean((low <= days) & (days <= high)) < 0.97

    def test_heavy_censoring_does_not_bend_the_chances(self):
        """Log-normal days whose law is known; more than half the customers are not watched long enough to see one."""
        chance = np.random.default_rng(0)

        def world(n):
            x = chance.normal(size=(n, 2))
            days = np.exp(chance.normal(3.2 + 0.7 * x[:, 0], 0.8))
            watched = chance.choice([6.0, 14.0, 100.0], n, p=[0.45, 0.35, 0.2])
            return x, np.minimum(days, watched), days > watched

        fitted, later, asked = world(3000), world(3000), world(500)[0]
        assert fitted[2].mean() > 0.55
        horizons = (7, 14, 30, 60)
        truth = norm.cdf((np.log(horizons)[None, :] - 3.2 - 0.7 * asked[:, :1]) / 0.8)

        def distance(one, other):
            found = NextPurchase.fit(*one, ["x", "noise"], other).predict(asked, horizons)
            return np.abs((found - truth).mean(axis=0)), np.abs(found - truth).mean()

        bias, error = distance(fitted, later)
        assert bias.max() < 0.03
        assert error < 0.05
        seen = [tuple(part[~some[2]] for part in some) for some in (fitted, later)]
        naive_bias, _ = distance(*seen)  # as if the censored had never been customers
        assert naive_bias.max() > 0.15


class TestValue(ModelContract):
    kind, answers = Value, "value_90d"

    def fit(self, world: World) -> Value:
        frame, later = world[:], btyd_world(HELD_BACK)[:]
        revenue, revenue_later = frame.revenue_90d.to_numpy(), later.revenue_90d.to_numpy()
        came_back = (later.future_order_days > 0).to_numpy()
        return Value.fit(matrix(frame), revenue, inputs().names, matrix(later), revenue_later, came_back)

    def ask(self, model, rows):
        return model.predict(matrix(rows), inputs().names)

    def test_the_year_brings_at_least_its_first_quarter_and_lies_in_its_interval(self, model):
        short, year, low, high = self.ask(model, btyd_world(4)[:]).T
        assert (short >= 0).all() and (short <= year).all() and (year <= 365 / 90 * short + 1e-9).all()
        assert (low >= 0).all() and (low <= high).all()

    def test_the_sum_over_all_customers_is_right(self, model):
        frame = btyd_world(4)[:]
        assert self.ask(model, frame)[:, 0].sum() == pytest.approx(frame.revenue_90d.sum(), rel=0.15)

    def test_who_came_back_is_worth_more_than_who_did_not(self, model):
        assert model.lost_ratio < 1 < model.kept_ratio


def everything(said) -> np.ndarray:
    """Give all that a rung says; a date or an interval it does not know is -1."""
    return np.nan_to_num(np.column_stack([*vars(said).values()]), nan=-1.0)


class TestPrior(ModelContract):
    kind, answers, closer = Prior, "silent", 0.8

    def fit(self, world: World) -> Prior:
        return Prior.fit(world[:], Rule.fit(world[:], HORIZON))

    def ask(self, model, rows):
        return everything(model.predict(columns(rows)))

    def test_waiting_longer_never_lowers_the_chance_of_an_order(self, model):
        assert (np.diff(model.next_order, axis=-1) >= 0).all()

    def test_a_cut_off_whose_window_is_not_over_does_not_bend_the_chances(self):
        """Everyone orders at one rate: 1 in 40 days. Most cut-offs are young, so few of their orders are seen."""
        chance, parts = np.random.default_rng(0), []
        for day, watched in ((0, 120.0), (50, 70.0), (80, 40.0), (90, 30.0), (100, 20.0)):
            days = np.ceil(chance.exponential(40, 2000))
            parts.append(
                pd.DataFrame(
                    {
                        "customer_id": [f"c{c}" for c in range(2000)],
                        "as_of_day": day,
                        "n_order_days": 1.0,
                        "days_since_last_order": 3.0,
                        "gap_days_mean": np.nan,
                        "future_order_days": np.where(watched >= HORIZON, days <= HORIZON, np.nan),
                        "days_to_next": np.minimum(days, watched),
                        "is_censored": days > watched,
                        "revenue_90d": np.nan,
                    }
                )
            )
        prior = Prior.fit(pd.concat(parts, ignore_index=True), Rule(30.0, 1.0, HORIZON))
        found = prior.predict({name: np.array([3.0 if "days_since" in name else 1.0]) for name in Prior.reads})
        np.testing.assert_allclose(found.next_order[0], 1 - np.exp(-np.array(HORIZONS) / 40), atol=0.03)

    def test_a_shop_without_any_outcome_yet_has_numbers_all_the_same(self):
        frame = btyd_world(1)[:5].assign(
            future_order_days=np.nan, days_to_next=1.0, is_censored=True, revenue_90d=np.nan
        )
        said = Prior.fit(frame, Rule(30.0, 1.0, HORIZON)).predict(columns(frame))
        assert np.isfinite(np.column_stack([said.churn, said.next_order, said.clv[:, :2]])).all()


class TestLight(ModelContract):
    kind, answers = Light, "silent"

    def fit(self, world: World) -> Light:
        return Light.fit(world[:], HORIZON)

    def ask(self, model, rows):
        return everything(model.predict(columns(rows)))

    def test_a_shop_to_which_hardly_anybody_came_back_has_none(self):
        frame = btyd_world(1)[:].assign(n_order_days=1.0, days_first_to_last=0.0)
        with pytest.raises(ValueError, match="at least 20 customers"):
            Light.fit(frame, HORIZON)


class TestRule(ModelContract):
    kind, answers = Rule, "silent"

    def fit(self, world: World) -> Rule:
        return Rule.fit(world[:], HORIZON)

    def ask(self, model, rows):
        return everything(model.predict(columns(rows)))

    def test_it_comes_closer_to_the_truth_than_the_best_constant(self, model):
        """It knows no outcome, so its level may be off where customers leave for good; its order is not."""
        truth = self.asked().truth[self.answers]
        assert metrics.spearman(truth, self.ask(model, self.asked()[:])[:, 0]) > 0.4

    def test_worked_by_hand(self):
        """Two order days within 20, a usual gap of 40: two orders in 60 days, and 300 for each."""
        said = Rule(40.0, 300.0, 28.0).predict(
            {name: np.array([value]) for name, value in zip(Rule.reads, (2.0, 20.0, 300.0), strict=True)}
        )
        assert said.churn[0] == pytest.approx((60 / 88) ** 2)
        assert said.next_order[0] == pytest.approx(1 - (60 / (60 + np.array(HORIZONS))) ** 2)
        assert said.clv[0, :2] == pytest.approx([2 / 60 * 300 * 90, 2 / 60 * 300 * 365])
        assert said.next_days[0, 1] == pytest.approx(60 * (2**0.5 - 1), rel=0.05)


class TestBtyd(ModelContract):
    kind, answers = Btyd, "silent"

    def fit(self, world: World) -> Btyd:
        return Btyd.fit(history(columns(world[:])), HORIZON)

    def ask(self, model, rows):
        found = model.inputs(history(columns(rows)))
        return found[:, [Btyd.names.index("btyd_p_no_order"), *range(len(Btyd.names))]]

    def test_of_an_unknown_customer_the_answer_is_finite(self, model):
        """Its answer is NaN by name (``Btyd.inputs``): the models that read it know what to do with one."""
        assert np.isnan(self.ask(model, nobody(btyd_world(1)[:]))).all()


class Board:
    """Even customers buy even products, odd ones odd products; everyone has one of theirs left to find."""

    day = AS_OF

    def __init__(self) -> None:
        self.bought = checkerboard()
        self.customers = pd.DataFrame({"customer_id": sorted(self.bought.customer_id.unique()), "seen": 1.0})
        self.left = {f"c{c:02d}": f"p{(c + 2 * (c // 20)) % 20:02d}" for c in range(40)}

    def __getitem__(self, rows):
        return self.customers.iloc[rows]


BOARD = Board()


class TestRecommender(ModelContract):
    kind = Recommender
    learnt = asked = staticmethod(lambda: BOARD)

    def fit(self, world):
        return Recommender.fit(world.bought, world.day, factors=8)

    def ask(self, model, rows):
        shown = model.recommend(BOARD.bought, BOARD.day, list(rows.customer_id), 12)
        assert len(shown) == 12 * len(rows)
        items = np.searchsorted(model.product_ids, shown.product_id.to_numpy(str)).reshape(-1, 12)
        return np.hstack([items.astype(np.float64), shown.score.to_numpy().reshape(-1, 12)])

    def test_it_comes_closer_to_the_truth_than_the_best_constant(self, model):
        """The truth: after a customer's own nine products the first new one is the tenth of their colour."""
        shown = model.recommend(BOARD.bought, BOARD.day, list(BOARD.left), 10, exclude=BOARD.bought)
        first = shown[shown["rank"] == 1].set_index("customer_id").product_id.to_dict()
        assert first == BOARD.left
        popular = model.popular(1).product_id[0]
        assert np.mean(np.array(list(BOARD.left.values())) == popular) < 0.2
