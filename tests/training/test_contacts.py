"""From a shop's contacts to what they do, on the simulated shop whose true effects are known.

A long run is the same with more customers and with the simulator's own effects: OKAERI_EFFECTS_CUSTOMERS=12000
OKAERI_EFFECTS_STRENGTH=1.
"""

import itertools
import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from features.door.ingest import ingest
from features.door.mapping_file import load_mapping, mapping_path
from features.errors import Refused
from features.home import Home
from features.shop import Shop, open_shop
from features.simulate import catalogue, simulate
from tests.worlds import Toy, at, number
from training import contacts
from training.contacts import OBSERVED, RANDOMISED, Found, find_contacts
from training.dataset import KEYS, Past, observation_end
from training.evaluation import contacts as judging
from training.evaluation.profit import best_within, choices
from training.labels import ordered_after
from training.models.effects import Effects, Moved
from training.models.parameters import Trees
from training.models.trees import fit_trees, raw_score

CUSTOMERS = int(os.environ.get("OKAERI_EFFECTS_CUSTOMERS", "4000"))
STRENGTH = float(os.environ.get("OKAERI_EFFECTS_STRENGTH", "4"))  # of the offers; 1 is the simulator's own
DAYS = int(os.environ.get("OKAERI_EFFECTS_DAYS", "470"))
CAMPAIGNS = 3  # at the end, of customers who are chosen among
MARGIN_SHARE = 0.6
VALUES = {"care_tips": 0.0, "pts_300": 300 * 0.55, "ship_free": 550 * 0.6, "cpn_500": 500.0}  # policy-sample.yaml


@dataclass(frozen=True)
class Simulated:
    """A simulated shop, its past contacts, and of each the true chances of an order."""

    shop: Shop
    past: Past
    found: Found  # all of whom the truth is known under their own id
    truth: pd.DataFrame

    @property
    def is_early(self) -> np.ndarray:
        """Tell the contacts whose window was over when the last campaigns began."""
        return (self.found.frame.as_of_day + 14 < self.first_last).to_numpy()

    @property
    def first_last(self) -> int:
        return int(sorted(self.found.frame.as_of_day.unique())[-CAMPAIGNS])

    @cached_property
    def effects(self) -> Effects:
        return Effects.fit(self.found.drawn.of(self.is_early))

    @cached_property
    def later(self) -> pd.DataFrame:
        """The customers of the last campaigns as known then, with their true chances."""
        return self.with_truth[self.with_truth.as_of_day >= self.first_last].reset_index(drop=True)

    @cached_property
    def with_truth(self) -> pd.DataFrame:
        return self.found.frame.merge(self.truth, on=["customer_id", "as_of_day"], validate="one_to_one")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    folder = tmp_path_factory.mktemp("effects")
    with pytest.MonkeyPatch.context() as patch:
        for name, effect in catalogue.OFFERS.items():
            patch.setitem(catalogue.OFFERS, name, effect * STRENGTH)
        simulate(folder / "shop", CUSTOMERS, 5, days=DAYS)
    path, home = mapping_path(Path("hananone")), Home.open(folder / "home")
    files = sorted((folder / "shop").glob("*.parquet"))
    ingest(home, load_mapping(path), path.read_bytes(), files, datetime(2026, 11, 22, tzinfo=UTC))
    shop = open_shop(home)
    past = Past(shop, observation_end(shop))
    with duckdb.connect() as con:
        ids = con.execute(
            "SELECT contact_id, customer_id, day AS as_of_day FROM read_parquet(?)",
            [[str(part) for part in shop.parts("contacts")]],
        ).df()
    truth = pd.read_parquet(folder / "shop" / "truth" / "contacts.parquet").merge(ids, on="contact_id")
    found = find_contacts(past, observation_end(shop))
    own = pd.MultiIndex.from_frame(found.frame[KEYS]).isin(
        pd.MultiIndex.from_frame(truth[["as_of_day", "customer_id"]])
    )
    found = replace(found, drawn=found.drawn.of(own), frame=found.frame[own].reset_index(drop=True))
    return Simulated(shop, past, found, truth)


@pytest.mark.parametrize(
    ("orders", "expected"),  # day ordered, quantity, day known; whether a kept order followed the contact of day 40
    [
        pytest.param([(40, 1, 40)], 1, id="on the day itself"),
        pytest.param([(54, 1, 54)], 1, id="on the fourteenth day after"),
        pytest.param([(55, 1, 55)], 0, id="a day too late"),
        pytest.param([(39, 1, 39)], 0, id="the day before"),
        pytest.param([(50, 1, 55)], 0, id="known only when the window was over"),
        pytest.param([], 0, id="none"),
    ],
)
def test_an_order_follows_a_contact_worked_by_hand(tmp_path, orders, expected):
    toy = Toy(tmp_path, ("order_lines",))
    first = [("first", 3, 1, 3)]
    rows = [
        {"order_id": name, "customer_id": "a", "ordered_at": at(day), "product_id": "p", "quantity": quantity,
         "revenue": 10, "line_no": 1, "known_at": at(known, 13)}
        for name, day, quantity, known in first + [(f"o{n}", *order) for n, order in enumerate(orders)]
    ]  # fmt: skip
    toy.load({"order_lines": rows})
    asked = pd.DataFrame({"as_of_day": [number(40)], "customer_id": ["a"]})
    found = ordered_after(toy.shop, asked, 14, number(55))
    assert found[["ordered", "revenue"]].to_numpy().tolist() == [[expected, 10 * expected]]
    assert ordered_after(toy.shop, asked, 14, number(54)).empty  # the window is not over


def test_a_contact_is_described_as_known_when_its_day_began(simulated):
    day, frame = simulated.first_last, simulated.found.frame
    names = list(simulated.found.drawn.names)
    there = frame[frame.as_of_day == day].set_index("customer_id")[names].sort_index()
    known = simulated.past.known(day).set_index("customer_id")[names].reindex(there.index).dropna(how="all")
    assert len(known) > 0.99 * len(there)  # but for who has only ever cancelled
    pd.testing.assert_frame_equal(there.loc[known.index], known, check_names=False)


def test_the_chances_are_the_even_draw_of_the_simulator(simulated):
    drawn = simulated.found.drawn
    assert drawn.offers == tuple(sorted(VALUES))
    assert drawn.evidence == (RANDOMISED,) * 4
    np.testing.assert_allclose(drawn.chance.mean(axis=0), 0.2, atol=0.03)


def test_mean_effects_are_the_true_ones_within_their_errors(simulated):
    for arm in simulated.effects.arms_:
        early = simulated.with_truth[simulated.is_early]
        true = (early[f"p_order_{arm.offer}"] - early.p_order_without).mean()
        assert abs(arm.effect - true) < 3 * arm.error


@dataclass(frozen=True)
class Earned:
    """What each way of choosing earns by the true effects."""

    ours: float
    others: dict[str, float]
    known: float  # the best choice of who knows the true effects of customers like these, by what is known of them
    told: float  # the best choice of who knows every single customer's true effect, luck of their nature included


def earned(simulated: Simulated, budget_share: float) -> Earned:
    """Value choices among the last campaigns' customers by their true effects, within the same budget."""
    later, offers = simulated.later, simulated.found.drawn.offers
    margin = np.nan_to_num(later.mean_order_day_revenue.to_numpy())[:, None] * MARGIN_SHARE
    message = np.where(later.channel == "line", 3.0, 0.3)[:, None]
    value = np.array([VALUES[offer] for offer in offers])
    alone, chances = later.p_order_without.to_numpy(), later[[f"p_order_{offer}" for offer in offers]].to_numpy()

    def net(p: np.ndarray, p_with: np.ndarray) -> np.ndarray:
        return p_with * (margin - value) - p[:, None] * margin - message

    true, budget = net(alone, chances), budget_share * len(later) * (message + chances * value).mean()

    def worth(p: np.ndarray, p_with: np.ndarray) -> dict[str, float]:
        made = choices(net(p, p_with), message + p_with * value, p, p_with, budget)
        at = np.arange(len(later))
        return {name: float(np.where(c > 0, true[at, c - 1], 0).sum()) for name, c in made.items()}

    said = by_channel(simulated.effects, simulated.effects.predict(columns(simulated, later)), later, offers)
    ours = worth(*said)
    return Earned(
        ours.pop("okaeri"), ours, worth(*knowable(simulated, offers))["okaeri"], worth(alone, chances)["okaeri"]
    )


def columns(simulated: Simulated, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: frame[name].to_numpy() for name in simulated.effects.features}


def by_channel(effects: Effects, said: Moved, frame: pd.DataFrame, offers: tuple[str, ...]):
    at = np.array([[effects.arms.index((offer, channel)) for offer in offers] for channel in frame.channel])
    return said.p_without, said.p_without[:, None] + np.take_along_axis(said.effect, at, axis=1)


def knowable(simulated: Simulated, offers: tuple[str, ...]):
    """Learn the true chances themselves, free of noise, from what was known of earlier campaigns' customers."""
    early, later, names = simulated.with_truth[simulated.is_early], simulated.later, simulated.found.drawn.names
    sized = Trees(trees=150, num_leaves=15, learning_rate=0.05, min_data_in_leaf=60, feature_fraction=0.4)

    def inputs(frame: pd.DataFrame) -> np.ndarray:
        return np.column_stack([frame[list(names)], frame.channel == "line"]).astype(np.float64)

    said = [
        raw_score(
            fit_trees(inputs(early), target.to_numpy(), "regression", [*names, "line"], sized=sized), inputs(later)
        )
        for target in (early.p_order_without, *(early[f"p_order_{o}"] - early.p_order_without for o in offers))
    ]
    return said[0], said[0][:, None] + np.column_stack(said[1:])


@pytest.mark.parametrize("budget_share", [0.3, 10.0])
def test_learned_effects_earn_nine_tenths_of_what_true_ones_allow(simulated, budget_share):
    found = earned(simulated, budget_share)
    assert found.ours >= 0.9 * found.known
    assert all(found.ours > other for other in found.others.values())


def test_who_was_chosen_by_what_was_known_is_no_draw(simulated, monkeypatch):
    """Half of the contacted, those who waited least, are not contacted after all."""
    frame = simulated.found.frame
    rest = frame[frame.withheld | (frame.days_since_last_order > frame.days_since_last_order.median())]
    found = contacts._drawn(rest.reset_index(drop=True), *_offers_and_names(simulated), 14)
    assert set(found.drawn.evidence) == {OBSERVED}
    assert all(not one.is_drawn for one in found.balance if one.n > 400)
    assert (found.drawn.chance[:, 1:].sum(axis=1) < 1).all()


def _offers_and_names(simulated: Simulated):
    return simulated.found.drawn.offers, simulated.found.drawn.names


def test_nothing_is_learnt_without_a_control_group(simulated, monkeypatch):
    real = contacts.contacted
    monkeypatch.setattr(contacts, "contacted", lambda *a: real(*a).assign(withheld=False))
    found = find_contacts(simulated.past, observation_end(simulated.shop))
    assert (found.drawn, found.why_not) == (None, "no campaign withheld its message from anybody")


def test_judged_on_its_own_draws_the_learned_choice_earns_most(simulated, monkeypatch):
    """By doubly robust values, without any truth, and about what the truth says of it."""
    monkeypatch.setattr(judging, "RESAMPLES", 10)
    monkeypatch.setattr(judging, "FOLDS", 2)
    rows, notes = judging.judge_contacts(simulated.found, MARGIN_SHARE)
    profit = {row.method: row for row in rows if row.metric == "profit_at_budget"}
    assert set(profit) == {"okaeri", "everyone", "highest_churn_first", "response_model", "random"}
    assert all(profit["okaeri"].value > row.value for name, row in profit.items() if name != "okaeri")
    assert profit["okaeri"].low > 0
    arms = {row.slice for row in rows if row.metric == "qini"}
    assert arms == set(VALUES)
    means = {row.slice: row.value for row in rows if (row.method, row.metric) == ("constant", "uplift_at_30pct")}
    for offer in VALUES:
        true = (simulated.with_truth[f"p_order_{offer}"] - simulated.with_truth.p_order_without).mean()
        assert means[offer] == pytest.approx(true, abs=0.035)
    assert "heterogeneity" in notes[0] and "0.60" in notes[1] and "fair draw" in notes[2]


def test_a_shop_without_a_draw_is_not_judged():
    with pytest.raises(Refused, match="uplift: no contacts are known"):
        judging.judge_contacts(Found(None, "no contacts are known"), 1.0)


@given(
    net=arrays(np.float64, (5, 3), elements=st.integers(-5, 20)),
    cost=arrays(np.float64, (5, 3), elements=st.integers(1, 9)),
    budget=st.integers(0, 30),
)
def test_a_choice_stays_within_the_budget_and_misses_the_best_by_one_contact_at_most(net, cost, budget):
    chosen = best_within(net, cost, budget)
    spent = sum(cost[at, c - 1] for at, c in enumerate(chosen) if c)
    earned = sum(net[at, c - 1] for at, c in enumerate(chosen) if c)
    every = itertools.product(range(4), repeat=5)
    totals = [[sum(m[at, c - 1] for at, c in enumerate(one) if c) for m in (net, cost)] for one in every]
    best = max(value for value, paid in totals if paid <= budget)
    assert spent <= budget
    assert earned >= best - max(net.max(), 0)
