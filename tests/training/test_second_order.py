"""The second order's hazard: a world whose law is known, and what must hold whatever it learnt."""

import numpy as np
import pandas as pd
import pytest

from tests.contracts.model_contract import HORIZON, ModelContract, World, btyd_world, inputs, matrix
from training.models.next_purchase import HORIZONS, QUANTILES
from training.models.second_order import SecondOrder

NAMES = ["days_since_first_order", "keen"]


def world(n: int, seed: int, watched=(200.0,)):
    """Customers come back at a constant rate, the keen five times as fast; some are watched for a week alone."""
    chance = np.random.default_rng(seed)
    keen = chance.integers(0, 2, n).astype(float)
    rate = np.where(keen == 1, 1 / 40, 1 / 200)
    days, seen = np.ceil(chance.exponential(1 / rate)), chance.choice(watched, n)
    x = np.column_stack([chance.uniform(1, 300, n), keen])
    return x, np.minimum(days, seen), days > seen, seen, rate


def fitted(n=4000, watched=(200.0,)) -> SecondOrder:
    x, days, censored, seen, _ = world(n, 0, watched)
    return SecondOrder.fit(x, days, censored, seen, NAMES)


@pytest.mark.parametrize("watched", [(200.0,), (7.0, 30.0, 200.0)], ids=["everyone for long", "most for a while"])
def test_the_chances_are_those_of_the_law_however_long_one_was_watched(watched):
    x, *_, rate = world(500, 1)
    truth = 1 - np.exp(-rate[:, None] * np.array(HORIZONS))
    off = fitted(6000, watched).predict(x) - truth
    assert np.abs(off).mean() < 0.035
    assert np.abs(off.mean(axis=0)).max() < 0.025


def test_waiting_longer_never_lowers_the_chance_of_a_second_order():
    x = np.vstack([world(500, 2)[0], np.full((1, 2), np.nan)])
    chance = fitted().predict(x)
    assert (np.diff(chance, axis=1) >= 0).all() and chance.min() >= 0 and chance.max() <= 1


def test_by_the_day_of_a_quantile_the_second_order_has_just_that_chance():
    """Where the day lies on a horizon's end both answers meet; in between the chance of each day is the same."""
    model, x = fitted(), world(200, 3)[0]
    chance, days = model.predict(x), model.quantiles(x, [0.05, 0.2, 0.5])
    known = np.column_stack([np.zeros(len(x)), -np.log1p(-chance)])
    for column, level in enumerate([0.05, 0.2, 0.5]):
        within = days[:, column] <= HORIZONS[-1]
        assert within.any()
        logs = np.array([np.interp(d, [0, *HORIZONS], row) for d, row in zip(days[:, column], known, strict=True)])
        np.testing.assert_allclose(1 - np.exp(-logs[within]), level, atol=1e-9)
    assert (np.diff(days[~np.isnan(days).any(axis=1)], axis=1) > 0).all()


def test_a_date_more_than_a_year_away_is_not_named():
    days = fitted().quantiles(world(500, 4)[0])
    assert np.isnan(days[:, QUANTILES.index(0.9)]).any()  # a customer in no hurry: 460 days to nine in ten
    assert np.nanmax(days) <= 365


class TestSecondOrder(ModelContract):
    kind, answers = SecondOrder, "back_in_30d"
    closer = 0.75

    def fit(self, world: World) -> SecondOrder:
        frame = world[:]
        return SecondOrder.fit(*outcome(frame), inputs().names)

    def ask(self, model, rows: pd.DataFrame):
        chance, days = model.predict(matrix(rows)), model.quantiles(matrix(rows))
        return np.column_stack([chance[:, HORIZONS.index(30)], chance, np.nan_to_num(days, nan=-1.0)])


def outcome(frame: pd.DataFrame):
    days, censored = frame.days_to_next.to_numpy(), frame.is_censored.to_numpy(dtype=bool)
    return matrix(frame), days, censored, np.full(len(frame), 120.0)


def test_the_world_of_the_contract_is_watched_beyond_the_last_horizon():
    frame = btyd_world(1)[:]
    assert frame.days_to_next.max() == 120 > HORIZONS[-1] > HORIZON
