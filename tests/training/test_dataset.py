"""Training rows: what was known then, beside what happened next. Nothing of the one is in the other."""

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from feature_repo.store import Store
from features import bots, catalog
from features.calendar import day_number
from features.door.ingest import ingest
from features.door.mapping_file import parse_mapping
from features.families import basket
from features.frame import feature_frame
from features.home import Home
from features.interactions import interactions
from features.shop import open_shop
from training import metrics
from training.dataset import (
    FEWEST_IN_SLICE,
    Past,
    horizon_days,
    is_active,
    is_subscriber,
    observation_end,
    slices,
    training_frame,
)
from training.fitting import fit_recommender
from training.labels import labels, last_day
from training.models.linear import Linear

from .conftest import FIRST, NOW, PREDICT, ZERO, Line, MakeShop, at, csv, order_lines, take_in

CUTOFFS, HORIZON, DAYS = (90, 120), 28, 190


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    return Home.open(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def shop(home):
    return take_in(home, "toy", order_lines(90, DAYS), PREDICT)


@pytest.fixture(scope="module")
def frame(shop):
    return training_frame([FIRST + timedelta(days=day) for day in CUTOFFS], shop)


def names(shop):
    return [feature.name for feature in catalog.available(shop.tables)]


def bits(frame, columns):
    matrix = frame[columns].to_numpy(np.float64)
    return np.where(np.isnan(matrix), np.nan, matrix).tobytes()


def test_a_training_row_is_the_feature_frame_of_its_instant_and_what_happened_next(shop, frame):
    days = [ZERO + day for day in CUTOFFS]
    known = feature_frame(shop, [shop.calendar.start(day) for day in days])
    assert len(known) == len(frame) > 100
    assert list(frame.customer_id) == list(known.customer_id)
    assert list(frame.as_of) == list(known.as_of)
    assert bits(frame, names(shop)) == bits(known, names(shop))
    later = labels(shop, days, HORIZON, last_day(shop))
    pd.testing.assert_frame_equal(frame[list(later.columns)], later)


def test_a_cut_off_is_named_by_its_date_or_its_business_day(shop, frame):
    pd.testing.assert_frame_equal(training_frame([ZERO + day for day in CUTOFFS], shop), frame)


def test_outcomes_end_where_observation_ends(shop, frame):
    early = training_frame([ZERO + day for day in CUTOFFS], shop, observed_until=ZERO + 130)
    assert bits(early, names(shop)) == bits(frame, names(shop))
    assert early.future_order_days.isna().tolist() == (early.as_of_day == ZERO + 120).tolist()
    assert (early.days_to_next <= np.minimum(frame.days_to_next, ZERO + 130 - frame.as_of_day)).all()


def test_the_past_is_asked_once_for_each_cut_off(shop, frame, monkeypatch):
    past = Past(shop, ZERO + DAYS)
    once = past.rows([ZERO + 90], ZERO + DAYS)
    monkeypatch.setattr(Store, "open", lambda *_: pytest.fail("asked Feast again"))
    pd.testing.assert_frame_equal(past.rows([ZERO + 90], ZERO + DAYS), once)


def test_a_planted_future_changes_no_feature_and_raises_no_auc(shop, frame, home):
    """B3: whoever will stay silent gets twenty orders after the window, and twenty old ones that are told late."""
    at = frame[frame.as_of_day == ZERO + 120]
    is_silent = (at.future_order_days == 0).to_numpy(np.float64)
    canary = [
        line
        for customer in at.customer_id[is_silent == 1]
        for n in range(20)
        for line in (
            Line(f"x{n}{customer}", customer, 150 + n, product="canary"),
            Line(f"y{n}{customer}", customer, 60 + n, known=150 + n, product="canary"),
        )
    ]
    planted = take_in(home, "toy", csv(canary), PREDICT)
    assert planted.version != shop.version
    again = training_frame([ZERO + day for day in CUTOFFS], planted)
    again_at = again[again.as_of_day == ZERO + 120]
    assert bits(again, names(shop)) == bits(frame, names(shop))
    assert again_at.future_order_days.tolist() == at.future_order_days.tolist()
    assert learnt_auc(again_at, is_silent, names(shop)) == learnt_auc(at, is_silent, names(shop)) < 0.97
    leaking = feature_frame(planted, planted.calendar.start(ZERO + 175))  # with the canary in sight it would show
    leaking = leaking[leaking.customer_id.isin(at.customer_id)]
    assert learnt_auc(leaking, is_silent, names(shop)) > 0.999


def learnt_auc(frame, outcome, names):
    x = frame[names].to_numpy(np.float64)
    return metrics.auc(outcome, Linear.logistic(x, outcome).predict(x))


@pytest.mark.parametrize(
    ("n_order_days", "within_lookback", "expected"),
    [(4, 1, True), (3, 3, False), (9, 0, False), (np.nan, np.nan, False)],
)
def test_active_is_enough_order_days_ever_and_one_of_late(n_order_days, within_lookback, expected):
    columns = {"n_order_days": np.array([n_order_days]), "order_days_lookback": np.array([within_lookback])}
    assert is_active(columns, 4).tolist() == [expected]


def test_the_horizon_is_the_mapping_s_or_else_the_shop_s_own(told: MakeShop):
    weekly = [Line(f"a{day}", "ann", day) for day in range(0, 70, 7)]
    shop = told(weekly, "horizon_days: 21, lookback_days: 56, min_order_days: 1")
    assert horizon_days(shop, ZERO + 100) == 21
    shop = told([Line("b", "ben", 1)], "lookback_days: 56, min_order_days: 1")
    assert horizon_days(shop, ZERO + 100) == 7


def test_observation_ends_with_the_lake_where_the_clock_is_the_system_s(shop, told: MakeShop):
    assert observation_end(shop) == last_day(shop) == ZERO + DAYS
    stopped = told([Line("a", "ann", 1)], clock="2024-02-01")
    assert observation_end(stopped) == day_number(stopped.mapping.clock) == ZERO + 31


def test_who_subscribes_is_asked_about_their_own_orders_only_while_it_runs(tmp_path):
    """Ann's subscription ends on day 95: at 90 its parcels are no orders, before or after; at 120 they are."""
    parcels = [Line(f"s{day}", "ann", day, kind="subscription") for day in (40, 70, 100, 130)]
    lines = [Line("a5", "ann", 5), Line("b5", "ben", 5), *parcels]
    told = f"ann,tea,{at(6)},{at(95)}\n"
    shop = take_in(Home.open(tmp_path), "told", csv(lines), PREDICT, subscriptions=told)
    frame = training_frame([ZERO + 90, ZERO + 120], shop, observed_until=ZERO + 160)
    ann = frame[frame.customer_id == "ann"]
    assert ann.subscriptions_active.tolist() == [1, 0] and is_subscriber(frame).sum() == 1
    assert ann.n_order_days.tolist() == [1, 4] and ann.order_days_all.tolist() == [3, 4]
    assert ann.future_order_days.tolist() == [0, 1] and ann.is_censored.tolist() == [True, False]


def test_subscribers_are_a_slice_of_their_own_where_there_are_enough():
    frame = pd.DataFrame({"subscriptions_active": [1.0] * FEWEST_IN_SLICE + [0.0] * 9})
    assert [(name, who.sum()) for name, who in slices(frame)] == [("all", 59), ("subscribers", 50)]
    assert [name for name, _ in slices(frame.iloc[1:])] == ["all"]
    assert [name for name, _ in slices(frame.drop(columns="subscriptions_active"))] == ["all"]


def test_a_bot_teaches_nothing(told: MakeShop, monkeypatch):
    """Ten lines are too many here: the bot is in the frame, flagged, and in no row that is learnt from."""
    for module in (bots, basket):
        monkeypatch.setattr(module, "BOT_LINES", 10)
    shop = told(
        [Line(f"{who}{n}", who, n, product=who) for who, most in (("ann", 9), ("bot", 12)) for n in range(most)]
    )
    frame = feature_frame(shop, shop.calendar.start(ZERO + 50)).set_index("customer_id")
    assert frame.is_bot.to_dict() == {"ann": 0, "bot": 1}
    rows = Past(shop, ZERO + 90).rows([ZERO + 50], ZERO + 90)
    assert rows.customer_id.tolist() == ["ann"]
    bought = interactions(shop, shop.calendar.start(ZERO + 50))
    assert set(bought.product_id) == {"ann", "bot"}, "a bot gets a list too"
    assert fit_recommender(Past(shop, ZERO + 90), ZERO + 50).product_ids.tolist() == ["ann"]


def test_prospects_are_no_training_rows(tmp_path):
    """Who only stands on the customer list is in the frame, and in nothing that is learnt or judged."""
    home, text = Home.open(tmp_path), csv([Line("a5", "ann", 5), Line("b9", "ben", 9)])
    alone = take_in(home, "told", text, PREDICT)
    rows = training_frame([ZERO + 60], alone, observed_until=ZERO + 100)
    (tmp_path / "customers.csv").write_text("c,t\n" + "".join(f"new{n},{at(1)}\n" for n in range(40)))
    mapping = (alone.loads[-1].path / "shop.yaml").read_bytes()
    mapping += b"  customers:\n    source: customers.csv\n    columns: {customer_id: c, signed_up_at: t}\n"
    ingest(home, parse_mapping(mapping, "told"), mapping, [tmp_path / "customers.csv"], NOW)
    shop = open_shop(home, "told")
    assert len(feature_frame(shop, shop.calendar.start(ZERO + 60))) == 42
    pd.testing.assert_frame_equal(training_frame([ZERO + 60], shop, observed_until=ZERO + 100), rows)


def test_the_readmes_notebook_runs_as_shown(shop, monkeypatch, capsys):
    """The same lines about this shop: a row per customer and cut-off, the columns shown, and who stays away."""
    notebook = re.compile(r"```python\n([^`]*training_frame[^`]*)```\n```text\n([^`]*)```")
    texts = [(Path(__file__).parents[2] / readme).read_text("utf-8") for readme in ("README.md", "README.ja.md")]
    ((block, shown),) = {notebook.search(text).groups() for text in texts}
    dates = ", ".join(f"date({FIRST + timedelta(day):%Y, %-m, %-d})" for day in CUTOFFS)
    monkeypatch.setenv("OKAERI_HOME", str(shop.home.root))
    exec(re.sub(r"\[date\(.*?\)\]", f"[{dates}]", block), {})
    printed = capsys.readouterr().out
    frame = training_frame([ZERO + day for day in CUTOFFS], shop)
    shape, head = printed.splitlines()[:2]
    assert shape == str(frame.shape) and head.split() == shown.splitlines()[1].split()
    stayed_away = [(frame[frame.as_of_day == ZERO + day].future_order_days == 0).mean() for day in CUTOFFS]
    told = [float(line.split()[1]) for line in printed.splitlines()[-2:]]
    assert told == pytest.approx(stayed_away, abs=5e-4) and min(told) > 0
