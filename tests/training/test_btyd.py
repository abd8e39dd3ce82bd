"""BG/NBD and Gamma-Gamma against the published tables, against ``lifetimes``, and against forced answers."""

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import roots_jacobi

from training.models.btyd import MAX_FIT_ROWS, MIN_RETURNING, BgNbd, Btyd, GammaGamma

with warnings.catch_warnings():  # newer setuptools scold lifetimes for pkg_resources
    warnings.filterwarnings("ignore", message="pkg_resources is deprecated")
    warnings.filterwarnings("ignore", message="Deprecated call to `pkg_resources")
    import lifetimes
    import lifetimes.datasets

Floats = NDArray[np.float64]
CDNOW = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)  # weeks; Fader, Hardie and Lee (2005), table 2
SPEND = GammaGamma(p=6.25, q=3.74, v=15.44)  # Fader and Hardie (2013), section 4
HORIZONS = (1, 7, 30, 90, 180, 365)

logs = st.floats(-3, 3).map(lambda power: float(np.exp(power)))
shops = st.builds(BgNbd, r=logs, alpha=logs.map(lambda days: 20 * days), a=logs, b=logs)


@st.composite
def pasts(draw: st.DrawFn) -> tuple[int, int, int]:
    """Histories that can be: at most one order day a day."""
    tenure = draw(st.integers(0, 1500))
    recency = draw(st.integers(0, tenure))
    return draw(st.integers(min(recency, 1), min(recency, 400))), recency, tenure


@pytest.fixture(scope="module")
def cdnow() -> tuple[Floats, Floats, Floats]:
    sample = lifetimes.datasets.load_cdnow_summary(index_col=0)
    return tuple(sample[name].to_numpy(dtype=np.float64) for name in ("frequency", "recency", "T"))


@pytest.fixture(scope="module")
def cdnow_spend() -> tuple[Floats, Floats]:
    sample = lifetimes.datasets.load_cdnow_summary_data_with_monetary_value()
    return tuple(sample[name].to_numpy(dtype=np.float64) for name in ("frequency", "monetary_value"))


def world(n: int, seed: int, shop: BgNbd = CDNOW, observed: float = 39.0) -> tuple[Floats, Floats, Floats]:
    """Live the model's own story ``n`` times: order, toss the coin, order, ..., leave."""
    rng = np.random.default_rng(seed)
    rate, p = rng.gamma(shop.r, 1 / shop.alpha, n), rng.beta(shop.a, shop.b, n)
    tenure = rng.uniform(observed * 0.7, observed, n)
    x, t_x, now, alive = np.zeros(n), np.zeros(n), np.zeros(n), np.ones(n, dtype=bool)
    while alive.any():
        now = now + rng.exponential(1 / np.maximum(rate, 1e-100))
        ordered = alive & (now < tenure)
        x[ordered] += 1
        t_x[ordered] = now[ordered]
        alive = ordered & (rng.random(n) > p)
    return x, t_x, tenure


def oracle(shop: BgNbd) -> lifetimes.BetaGeoFitter:
    fitter = lifetimes.BetaGeoFitter()
    fitter.params_ = pd.Series({"r": shop.r, "alpha": shop.alpha, "a": shop.a, "b": shop.b})
    return fitter


def history(rows: list[tuple[float, float, float, float]]) -> pd.DataFrame:
    columns = ["n_order_days", "days_first_to_last", "days_since_first", "mean_order_day_revenue"]
    return pd.DataFrame(rows, columns=columns, dtype=np.float64)


def shop_history(n: int, seed: int = 0) -> pd.DataFrame:
    x, t_x, tenure = world(n, seed)
    spend = np.random.default_rng(seed).gamma(6, 6, n)
    return history(list(zip(x + 1, 7 * t_x, 7 * tenure, spend, strict=True)))


# The published tables


def test_the_published_bgnbd_parameters_come_out(cdnow):
    shop = BgNbd.fit(*cdnow)
    assert (shop.r, shop.alpha) == (pytest.approx(0.243, abs=5e-4), pytest.approx(4.414, abs=1e-3))
    assert (shop.a, shop.b) == (pytest.approx(0.793, abs=1e-3), pytest.approx(2.426, abs=3e-3))
    assert shop.log_likelihood(*cdnow).sum() == pytest.approx(-9582.4, abs=0.05)


def test_the_published_gamma_gamma_parameters_come_out(cdnow_spend):
    shop = GammaGamma.fit(*cdnow_spend)
    assert (shop.p, shop.q, shop.v) == (
        pytest.approx(6.25, abs=0.01),
        pytest.approx(3.74, abs=0.01),
        pytest.approx(15.44, abs=0.02),
    )


def test_weeks_or_days_make_the_same_shop(cdnow):
    x, t_x, t = cdnow
    weeks, days = BgNbd.fit(x, t_x, t), BgNbd.fit(x, 7 * t_x, 7 * t)
    assert days.alpha == pytest.approx(7 * weeks.alpha, rel=1e-4)
    assert (days.r, days.a, days.b) == pytest.approx((weeks.r, weeks.a, weeks.b), rel=1e-4)


# The second implementation


def test_cdnow_answers_agree_with_lifetimes(cdnow):
    x, t_x, t = cdnow
    fitter = oracle(CDNOW)
    np.testing.assert_allclose(CDNOW.p_alive(*cdnow), fitter.conditional_probability_alive(*cdnow), rtol=1e-12)
    for horizon in (1, 10, 39, 52):
        theirs = fitter.conditional_expected_number_of_purchases_up_to_time(horizon, x, t_x, t)
        np.testing.assert_allclose(CDNOW.expected_orders(*cdnow, horizon), theirs, rtol=1e-9)


@given(shop=shops, past=pasts(), horizon=st.sampled_from(HORIZONS))
def test_any_shop_agrees_with_lifetimes_where_that_has_an_answer(shop, past, horizon):
    x, t_x, t = map(np.array, past)
    with np.errstate(all="ignore"):
        alive = oracle(shop).conditional_probability_alive(x, t_x, t)
        orders = oracle(shop).conditional_expected_number_of_purchases_up_to_time(horizon, x, t_x, t)
    np.testing.assert_allclose(shop.p_alive(x, t_x, t), alive[0], rtol=1e-9, atol=1e-300)
    at_most = (shop.r + x) * horizon / (shop.alpha + t)
    if abs(shop.a - 1) > 1e-3 and 1e-6 < orders <= at_most and x < 50:  # beyond, theirs cancels or overflows
        np.testing.assert_allclose(shop.expected_orders(x, t_x, t, horizon), orders, rtol=1e-6)


@given(shop=shops, past=pasts(), horizon=st.sampled_from(HORIZONS))
def test_expected_orders_are_the_integral_that_the_formula_solves(shop, past, horizon):
    """Given alive, p ~ Beta(a, b + x); at p they are (1 - (1 + p u)^-(r+x)) / p, u = H / (alpha + T)."""
    x, t_x, t = past
    nodes, weights = roots_jacobi(150, shop.b + x - 1, shop.a - 1)
    p = (nodes + 1) / 2
    at_p = -np.expm1(-(shop.r + x) * np.log1p(p * horizon / (shop.alpha + t))) / p
    by_hand = (weights @ at_p) / weights.sum() * shop.p_alive(x, t_x, t)
    np.testing.assert_allclose(shop.expected_orders(x, t_x, t, horizon), by_hand, rtol=1e-3, atol=1e-12)


def test_spend_agrees_with_lifetimes(cdnow_spend):
    x, z = (column[cdnow_spend[0] > 0] for column in cdnow_spend)
    fitter = lifetimes.GammaGammaFitter()
    fitter.params_ = pd.Series({"p": SPEND.p, "q": SPEND.q, "v": SPEND.v})
    theirs = fitter.conditional_expected_average_profit(x, z)
    np.testing.assert_allclose(SPEND.expected_spend(x, z), theirs, rtol=1e-12)


# Worlds with a known answer


def test_the_shop_that_made_the_histories_is_found_again():
    shop = BgNbd.fit(*world(20_000, seed=1))
    assert (shop.r, shop.alpha) == (pytest.approx(CDNOW.r, rel=0.05), pytest.approx(CDNOW.alpha, rel=0.08))
    assert shop.a / (shop.a + shop.b) == pytest.approx(CDNOW.a / (CDNOW.a + CDNOW.b), rel=0.08)


def test_what_is_foretold_is_what_happens_next():
    """Watch 20,000 customers for 39 weeks, foretell the next 13, and look."""
    rng = np.random.default_rng(2)
    n = 20_000
    rate, p = rng.gamma(CDNOW.r, 1 / CDNOW.alpha, n), rng.beta(CDNOW.a, CDNOW.b, n)
    x, t_x, later, now, alive = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.ones(n, dtype=bool)
    while alive.any():
        now = now + rng.exponential(1 / np.maximum(rate, 1e-100))
        seen, coming = alive & (now < 39), alive & (now >= 39) & (now < 52)
        x[seen] += 1
        t_x[seen] = now[seen]
        later[coming] += 1
        alive = (seen | coming) & (rng.random(n) > p)
    past = (x, t_x, np.full(n, 39.0))
    for group in (x == 0, (x > 0) & (t_x < 20), (x > 0) & (t_x >= 20), x > 5):
        about = tuple(column[group] for column in past)
        assert CDNOW.expected_orders(*about, 13).mean() == pytest.approx(later[group].mean(), rel=0.1)
        assert CDNOW.p_no_order(*about, 13).mean() == pytest.approx((later[group] == 0).mean(), abs=0.02)


def test_twenty_returning_customers_are_enough_to_be_useful():
    """The source of MIN_RETURNING: half the error of saying the same of everybody."""
    x, t_x, t = world(5_000, seed=99)
    past = (x[x > 0], t_x[x > 0], t[x > 0])
    right = CDNOW.p_no_order(*past, 4)
    worlds = [world(50, seed) for seed in range(10)]
    errors = [
        np.abs(BgNbd.fit(*each).p_no_order(*past, 4) - right).mean()
        for each in worlds
        if (each[0] > 0).sum() >= MIN_RETURNING
    ]
    assert len(errors) >= 3
    assert np.mean(errors) < np.abs(right - right.mean()).mean() / 2


@pytest.mark.parametrize(
    ("row", "horizon", "orders"),
    [
        pytest.param((10, 270, 280, 50), 30, 30 / 31, id="one order a month goes on"),
        pytest.param((400, 399, 399, 5), 30, 30, id="one order a day goes on"),
    ],
)
def test_customers_all_alike_go_on_as_they_are(row, horizon, orders):
    btyd = Btyd.fit(history([row] * 60), horizon_days=28)
    answer = dict(zip(btyd.names, btyd.inputs(history([row]))[0], strict=True))
    assert answer["btyd_p_alive"] == pytest.approx(1, abs=0.01)
    assert answer["btyd_orders_30d"] == pytest.approx(orders, rel=0.05)
    assert answer["btyd_spend"] == pytest.approx(row[3], rel=1e-3)


def test_a_shop_that_everyone_left_after_one_week_is_empty():
    left = [(5.0, 10.0, 300.0, 5.0)] * 50 + [(1.0, 0.0, 300.0, 80.0)] * 50
    alive, none, *orders = Btyd.fit(history(left), 28).inputs(history(left[:1]))[0, :5]
    assert alive < 1e-4
    assert none > 0.999
    assert max(orders) < 1e-3


def test_the_first_order_day_counts_in_the_mean_it_is_part_of():
    """A shop whose every order day is drawn: found again only with the right number of days."""
    rng = np.random.default_rng(4)
    rows = shop_history(20_000)
    n_days = rows["n_order_days"].to_numpy()
    level = rng.gamma(SPEND.q, 1 / SPEND.v, len(rows))
    rows["mean_order_day_revenue"] = rng.gamma(SPEND.p * n_days) / (n_days * level)
    btyd = Btyd.fit(rows, 28)
    assert btyd.gamma_gamma.p == pytest.approx(SPEND.p, rel=0.1)
    assert btyd.gamma_gamma.q == pytest.approx(SPEND.q, rel=0.05)
    np.testing.assert_array_equal(
        btyd.inputs(rows)[:, btyd.names.index("btyd_spend")],
        btyd.gamma_gamma.expected_spend(n_days, rows["mean_order_day_revenue"]),
    )


def test_a_customer_without_revenue_spends_what_the_shop_does():
    mean = SPEND.p * SPEND.v / (SPEND.q - 1)
    np.testing.assert_allclose(SPEND.expected_spend([0, 3, 3, 3], [50, np.nan, 0, -9]), mean)


def test_spend_lies_between_the_customers_own_and_the_shops():
    spend = SPEND.expected_spend([1, 2, 10, 400], 100)
    assert 35.22 < spend[0] < spend[1] < spend[2] < spend[3] < 100


# Laws


@given(shop=shops, past=pasts(), more=st.integers(0, 1000), horizon=st.sampled_from(HORIZONS))
def test_silence_never_raises_hope(shop, past, more, horizon):
    x, t_x, t = past
    if x > 0:
        assert shop.p_alive(x, t_x, t + more) <= shop.p_alive(x, t_x, t) + 1e-12
    assert 0 <= shop.p_alive(x, t_x, t) <= 1
    assert 1 - shop.p_alive(x, t_x, t) - 1e-12 <= shop.p_no_order(x, t_x, t, horizon) <= 1


@given(shop=shops, past=pasts())
def test_a_longer_wait_sees_more(shop, past):
    none = [float(shop.p_no_order(*past, horizon)) for horizon in HORIZONS]
    orders = [float(shop.expected_orders(*past, horizon)) for horizon in HORIZONS]
    assert none == sorted(none, reverse=True)
    assert all(later >= sooner * (1 - 1e-9) for sooner, later in pairwise(orders))
    for chance, expected in zip(none, orders, strict=True):
        assert 1 - chance <= expected * (1 + 1e-6) + 1e-12  # one order at least, or none


@given(shop=shops, x=st.integers(0, 1))
def test_nobody_is_expected_to_order_in_no_time(shop, x):
    assert shop.p_no_order(x, 0, 30, 0) == pytest.approx(1)
    assert shop.expected_orders(x, 0, 30, 0) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("a", [1e-4, 0.5, 1 - 1e-9, 1.0, 1 + 1e-9, 2.0, 40.0, 2e4])
@pytest.mark.parametrize("b", [1e-4, 0.5, 1.0, 3.0, 2e4])
@pytest.mark.parametrize("r", [1e-4, 0.243, 1.0, 2e4])
def test_every_history_has_a_finite_answer(r, a, b):
    x, t, share = (grid.ravel() for grid in np.meshgrid([0, 1, 2, 40, 400], [0, 1, 30, 400, 4000], [0, 0.5, 1]))
    for alpha in (1e-2, 30.0, 1e5):
        shop = BgNbd(r, alpha, a, b)
        for horizon in HORIZONS:
            orders = shop.expected_orders(x, share * t, t, horizon)
            assert np.isfinite(orders).all()
            assert (orders >= 0).all()
            assert (orders <= (r + x) * horizon / (alpha + t) * (1 + 1e-6)).all()


@pytest.mark.parametrize("b", [0.5, 2.0])
def test_expected_orders_pass_smoothly_through_the_pole_at_one(b):
    around = [float(BgNbd(0.5, 30, a, b).expected_orders(3, 50, 60, 90)) for a in (1 - 1e-4, 1, 1 + 1e-4)]
    assert around[1] == pytest.approx((around[0] + around[2]) / 2, rel=1e-5)


@settings(max_examples=20)  # each fits twice
@given(st.permutations(range(60)))
def test_row_order_changes_nothing(order):
    rows = shop_history(60)
    assert Btyd.fit(rows.iloc[order], 28) == Btyd.fit(rows, 28)


# The pair


def test_batch_equals_single():
    rows = shop_history(60)
    btyd = Btyd.fit(rows, 28)
    one_by_one = np.vstack([btyd.inputs(rows.iloc[[i]]) for i in range(len(rows))])
    np.testing.assert_allclose(btyd.inputs(rows), one_by_one, rtol=1e-13)


def test_what_is_loaded_equals_what_was_saved(tmp_path):
    btyd = Btyd.fit(shop_history(200), horizon_days=28)
    btyd.save(tmp_path)
    before = (tmp_path / "btyd.json").read_bytes()
    assert Btyd.load(tmp_path) == btyd
    Btyd.load(tmp_path).save(tmp_path)
    assert (tmp_path / "btyd.json").read_bytes() == before


def test_the_columns_are_the_models_answers_in_their_order():
    rows = shop_history(200)
    btyd = Btyd.fit(rows, horizon_days=28)
    answer = dict(zip(btyd.names, btyd.inputs(rows).T, strict=True))
    past = (rows["n_order_days"] - 1, rows["days_first_to_last"], rows["days_since_first"])
    np.testing.assert_array_equal(answer["btyd_p_no_order"], btyd.bgnbd.p_no_order(*past, 28))
    np.testing.assert_array_equal(answer["btyd_orders_90d"], btyd.bgnbd.expected_orders(*past, 90))
    np.testing.assert_array_equal(answer["btyd_value_365d"], answer["btyd_orders_365d"] * answer["btyd_spend"])


def test_a_customer_without_orders_is_unknown():
    nan = float("nan")
    btyd = Btyd.fit(shop_history(200), 28)
    rows = btyd.inputs(history([(nan, nan, nan, nan), (0, nan, nan, nan), (0, 0, 0, nan), (1, 0, 9, nan)]))
    assert np.isnan(rows[:3]).all()
    assert np.isfinite(rows[3]).all()


def test_customers_without_orders_do_not_change_the_fit():
    rows, nobody = shop_history(200), history([(float("nan"),) * 4] * 5)
    assert Btyd.fit(pd.concat([nobody, rows]), 28) == Btyd.fit(rows, 28)


def test_active_customers_alone_make_everyone_look_alive():
    """Trap 1: fitted on the active only, BG/NBD has never seen anyone leave."""
    rows = shop_history(3_000)
    silent_days = rows["days_since_first"] - rows["days_first_to_last"]
    active = rows[(silent_days < 28) & (rows["n_order_days"] > 1)]
    on_all, on_active = (Btyd.fit(part, 28).inputs(active)[:, 0].mean() for part in (rows, active))
    assert on_active > on_all + 0.05


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        pytest.param([(3, 20, 30, 5)] * 3, "BG/NBD needs at least 20 .* second order day, got 3", id="three"),
        pytest.param([(1, 0, 30, 5)] * 99, "BG/NBD needs at least 20 .*, got 0", id="nobody came back"),
        pytest.param([(2, 9, 30, -5)] * 99, "Gamma-Gamma needs .* with revenue, got 0", id="refunds only"),
        pytest.param([], "BG/NBD needs", id="an empty shop"),
    ],
)
def test_too_few_customers_are_refused_with_what_is_needed(rows, reason):
    with pytest.raises(ValueError, match=reason):
        Btyd.fit(history(rows), 28)


def test_a_large_shop_is_fitted_on_an_even_sample():
    rows = shop_history(MAX_FIT_ROWS * 2 + 1, seed=3)
    thinned, part = Btyd.fit(rows, 28), Btyd.fit(rows.iloc[:MAX_FIT_ROWS], 28)
    assert thinned.bgnbd.r == pytest.approx(part.bgnbd.r, rel=0.1)
    assert thinned.bgnbd.p_no_order(3, 100, 120, 28) == pytest.approx(part.bgnbd.p_no_order(3, 100, 120, 28), abs=0.005)
