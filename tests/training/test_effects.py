"""What our own contacts do, where the effect is known because it was put there."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.contracts.model_contract import ModelContract
from training.models.effects import ALIKE, TREES, WISH, Effects
from training.models.moved import Drawn, Estimate, folds, mean_effects, shared

NAMES = ("wish", "taste", "noise")
OFFERS = ("coupon", "tips")


def world(seed: int, n: int, effect, chance=(0.3, 0.4, 0.3), per_customer: int = 2):
    """Draw contacts; ``effect(columns, channel)`` gives each offer's true effect, (n, 2), on a chance of .02 to .4."""
    drawn = np.random.default_rng(seed)
    columns = {name: drawn.normal(size=n) for name in NAMES}
    alone = 0.02 + 0.38 / (1 + np.exp(-2 * columns["wish"]))
    channel = np.where(drawn.random(n) < 0.5, "line", "email")
    moved = effect(columns, channel)
    share = chance(columns) if callable(chance) else np.tile(chance, (n, 1))
    arm = (drawn.random((n, 1)) > share.cumsum(axis=1)).sum(axis=1)
    p = alone + np.column_stack([np.zeros(n), moved])[np.arange(n), arm]
    x = np.column_stack([*columns.values()])
    y = (drawn.random(n) < p).astype(np.float64)
    evidence = ("randomised", "randomised")
    customer = drawn.integers(0, n // per_customer, n)
    found = Drawn(x, NAMES, customer, arm, OFFERS, share, channel, y, evidence, 14)
    frame = pd.DataFrame(columns).assign(customer_id=[f"c{c}" for c in customer])
    return SimpleNamespace(drawn=found, alone=alone, moved=moved, frame=frame)


def alike(columns, channel):
    return np.tile([0.08, 0.03], (len(channel), 1))


def by_taste(columns, channel):
    """The coupon works on some and puts others off."""
    return np.column_stack([np.where(columns["taste"] > 0, 0.35, -0.02), np.full(len(channel), 0.05)])


def by_wish(columns, channel):
    wish = 1 / (1 + np.exp(-2 * columns["wish"]))
    return np.column_stack([0.3 * wish, 0.1 * wish])


def columns(frame):
    return {name: frame[name].to_numpy(np.float64) for name in NAMES}


class Customers(SimpleNamespace):
    def __getitem__(self, rows):
        return self.frame.iloc[rows]


@cache
def customers(seed: int, n: int) -> Customers:
    drawn = world(seed, n, by_taste)
    return Customers(**vars(drawn), truth={"effect of the coupon": drawn.moved[:, 0]})


class TestEffects(ModelContract):
    kind, answers = Effects, "effect of the coupon"
    learnt = staticmethod(lambda: customers(1, 6000))
    asked = staticmethod(lambda: customers(2, 300))

    def fit(self, world):
        return Effects.fit(world.drawn)

    def ask(self, model, rows):
        said = model.predict(columns(rows))
        first = model.arms.index(("coupon", "email"))
        return np.column_stack([said.effect[:, first], said.effect, said.low, said.high, said.p_without])

    def test_it_says_what_it_stands_on(self, model):
        assert model.arms == (("coupon", "email"), ("coupon", "line"), ("tips", "email"), ("tips", "line"))
        assert model.evidence == ("randomised",) * 4
        assert model.window_days == 14
        assert model.leaning.kind == TREES

    def test_the_chance_of_who_is_left_alone_is_right(self, model):
        later = world(5, 3000, by_taste)
        said = model.predict(columns(later.frame)).p_without
        assert said.mean() == pytest.approx(later.alone.mean(), abs=0.03)
        assert np.corrcoef(said, later.alone)[0, 1] > 0.85

    def test_no_chance_leaves_its_bounds(self, model):
        said = model.predict({name: np.array([-50.0, 50.0, np.nan]) for name in NAMES})
        for effect in said[1:]:
            assert ((said.p_without[:, None] + effect >= 0) & (said.p_without[:, None] + effect <= 1)).all()
        assert ((said.low <= said.effect) & (said.effect <= said.high)).all()


def test_where_all_are_moved_alike_one_effect_is_told_of_everyone():
    kinds = [Effects.fit(world(seed, 1500, alike).drawn).leaning.kind for seed in range(6)]
    assert kinds.count(ALIKE) >= 5


def test_an_effect_that_grows_with_the_wish_to_buy_is_found():
    model = Effects.fit(world(3, 6000, by_wish).drawn)
    later = world(4, 1000, by_wish)
    assert model.leaning.kind == WISH
    found = model.predict(columns(later.frame)).effect[:, 0]
    assert np.corrcoef(found, later.moved[:, 0])[0, 1] > 0.9
    assert np.abs(found - later.moved[:, 0]).mean() < 0.5 * np.abs(later.moved[:, 0] - later.moved[:, 0].mean()).mean()


def test_an_offer_that_puts_customers_off_has_a_negative_effect():
    model = Effects.fit(world(7, 4000, lambda c, channel: np.tile([-0.1, 0.05], (len(channel), 1))).drawn)
    said = model.predict({name: np.zeros(1) for name in NAMES})
    assert said.high[0, 0] < 0 < said.effect[0, 2]


def test_channels_are_told_apart_only_where_they_differ():
    def effect(columns, channel):
        return np.column_stack([np.where(channel == "line", 0.25, 0.05), np.where(channel == "line", 0.12, 0.024)])

    said = Effects.fit(world(8, 6000, effect).drawn).predict({name: np.zeros(1) for name in NAMES})
    assert said.effect[0, 1] > 3 * said.effect[0, 0] > 0
    assert said.low[0, 1] > said.high[0, 0]
    same = Effects.fit(world(8, 3000, alike).drawn).predict({name: np.zeros(1) for name in NAMES})
    assert same.effect[0, 0] == same.effect[0, 1]


def test_a_mean_effect_lies_in_its_interval_as_often_as_it_says():
    """Also where those who would have bought anyway were contacted more often, with chances that are known."""

    def chance(columns):
        often = 0.2 + 0.5 / (1 + np.exp(-columns["wish"]))
        return np.column_stack([1 - often, often / 2, often / 2])

    inside, naive = [], []
    for seed in range(40):
        drawn = world(seed, 2000, alike, chance).drawn
        expected = np.full((2000, 3), drawn.y.mean())
        found = mean_effects(drawn, expected)
        inside.append(np.abs(found.value - [0.08, 0.03]) < 1.96 * found.error)
        naive.append(drawn.y[drawn.arm == 1].mean() - drawn.y[drawn.arm == 0].mean() - 0.08)
    assert 0.88 <= np.mean(inside) <= 1
    assert np.mean(naive) > 0.03  # what comparing them as they are would have added


def test_offers_that_were_never_drawn_together_borrow_nothing_they_should_not():
    apart = Estimate(np.array([0.0, 0.1]), np.array([0.001, 0.001]))
    np.testing.assert_allclose(shared(apart).value, apart.value, atol=1e-4)
    close = shared(Estimate(np.array([0.03, 0.05]), np.array([0.001, 0.03])))
    assert close.value[1] < 0.05
    assert close.error.tolist() == [0.001, 0.03]


def test_a_customer_is_in_one_fold_alone():
    customer = np.array([5, 1, 5, 2, 1, 9, 5])
    fold = folds(customer, 3, 0)
    assert all(len(set(fold[customer == who])) == 1 for who in set(customer.tolist()))
