"""Linear models on log features: a law that is known, half of it not watched to the end."""

import numpy as np

from training.models.censored import log_beyond, lognormal
from training.models.linear import Linear, signed_log


def test_days_of_whom_half_were_not_seen_to_the_end_are_told_right():
    """log-days = 3 + 0.8 z with a scatter of .6; watched for as long as one in two waits."""
    chance = np.random.default_rng(0)
    x = np.exp(np.abs(chance.normal(size=(4000, 2))))
    z = (signed_log(x)[:, 0] - signed_log(x)[:, 0].mean()) / signed_log(x)[:, 0].std()
    logs = 3 + 0.8 * z + chance.normal(0, 0.6, 4000)
    watched = chance.choice([2.0, 3.0, 6.0], 4000)
    censored, seen = logs > watched, np.minimum(logs, watched)
    assert 0.4 < censored.mean() < 0.6
    model = Linear.censored(x, seen, censored, 0.6)
    assert abs(model.intercept - 3) < 0.06
    whole = Linear.censored(x, logs, np.zeros(4000, np.bool_), 0.6)  # had everyone been watched to the end
    assert np.abs(model.weights - whole.weights).max() < 0.1 and whole.weights[0] > 0.7
    naive = Linear.censored(x, seen, np.zeros(4000, np.bool_), 0.6)  # as if what was seen were all
    assert naive.intercept < 2.6


def test_everyone_together_is_a_log_normal_whatever_was_not_seen():
    chance = np.random.default_rng(1)
    logs = chance.normal(2.0, 0.5, 20_000)
    mean, sigma = lognormal(np.minimum(logs, 2.0), logs > 2.0)
    assert abs(mean - 2.0) < 0.02 and abs(sigma - 0.5) < 0.02


def test_beyond_far_out_a_normal_is_hardly_further():
    assert log_beyond(np.array([-10.0]))[0] < 1e-20
    assert 10 < log_beyond(np.array([10.0]))[0] < 10.1
