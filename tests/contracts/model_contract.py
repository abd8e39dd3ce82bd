"""The examination every model passes. A model says how it is fitted and asked, and inherits the rest.

The customers come from a world whose law is known: a BG/NBD and Gamma-Gamma shop of given parameters. So the
true chance of silence, and the true expected revenue, of every history can be written down, and a model is
marked by its distance from the truth, not from one draw of the outcomes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from training.models.btyd import BgNbd, Btyd, GammaGamma
from training.models.inputs import HISTORY, Inputs, history

Matrix = NDArray[np.float64]

LAW, SPENDING = BgNbd(r=1.0, alpha=15.0, a=1.0, b=5.0), GammaGamma(p=4.0, q=4.0, v=30.0)
HORIZON, OBSERVED = 28, 120  # days of churn's window, and until observation ends
FEATURES = (*HISTORY, "days_since_last_order", "silence_ratio", "gap_days_mean")


@dataclass(frozen=True)
class World:
    """Customers as a training frame describes them, and what is truly to be expected of each."""

    frame: pd.DataFrame
    truth: dict[str, Matrix]  # by the name of what is asked

    def __getitem__(self, rows: Any) -> pd.DataFrame:
        return self.frame.iloc[rows]


@cache
def btyd_world(seed: int, n: int = 1500) -> World:
    """Let ``n`` customers live by the law: each orders at a rate of their own until they leave after an order."""
    chance = np.random.default_rng(seed)
    tenure = chance.uniform(40, 300, n)
    rate = chance.gamma(LAW.r, 1 / LAW.alpha, n)
    lives = chance.geometric(chance.beta(LAW.a, LAW.b, n))  # repeat orders until they leave
    at = np.hstack([np.zeros((n, 1)), chance.exponential(1 / rate[:, None], (n, 250)).cumsum(axis=1)])
    at[np.arange(251) > lives[:, None]] = np.inf
    spend = chance.gamma(SPENDING.p, 1 / chance.gamma(SPENDING.q, 1 / SPENDING.v, (n, 1)), at.shape)

    def within(days: float) -> NDArray[np.bool_]:
        return (at > tenure[:, None]) & (at <= tenure[:, None] + days)

    past = at <= tenure[:, None]
    orders = past.sum(axis=1).astype(np.float64)
    last = np.where(past, at, 0.0).max(axis=1)
    to_next = np.where(past, np.inf, at).min(axis=1) - tenure
    gap = np.divide(last, orders - 1, out=np.full(n, np.nan), where=orders > 1)
    mean_spend = np.where(past, spend, 0).sum(axis=1) / orders
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{c}" for c in range(n)],
            "as_of_day": 0,
            "n_order_days": orders,
            "days_first_to_last": last,
            "days_since_first_order": tenure,
            "mean_order_day_revenue": mean_spend,
            "days_since_last_order": tenure - last,
            "silence_ratio": (tenure - last) / gap,
            "gap_days_mean": gap,
            "future_order_days": within(HORIZON).sum(axis=1).astype(np.float64),
            "days_to_next": np.minimum(to_next, OBSERVED),
            "is_censored": to_next > OBSERVED,
            "revenue_90d": np.where(within(90), spend, 0).sum(axis=1),
        }
    )
    repeats = orders - 1
    value = LAW.expected_orders(repeats, last, tenure, 90) * SPENDING.expected_spend(orders, mean_spend)
    truth = {
        "silent": LAW.p_no_order(repeats, last, tenure, HORIZON),
        "back_in_30d": 1 - LAW.p_no_order(repeats, last, tenure, 30),
        "value_90d": value,
    }
    return World(frame, truth)


@cache
def inputs() -> Inputs:
    """What models read in this world: a few features, and the expectations of a BTYD model fitted to it."""
    learnt = btyd_world(1)
    return Inputs(FEATURES, Btyd.fit(history(columns(learnt.frame)), HORIZON))


def columns(frame: pd.DataFrame) -> dict[str, Matrix]:
    return {name: frame[name].to_numpy(np.float64) for name in FEATURES}


def matrix(frame: pd.DataFrame) -> Matrix:
    return inputs().matrix(columns(frame))


def nobody(frame: pd.DataFrame) -> pd.DataFrame:
    """A customer of whom nothing is known: every number is NaN."""
    unknown = frame.iloc[[0]].copy()
    unknown[unknown.select_dtypes("number").columns] = np.nan
    return unknown.assign(customer_id="nobody")


class ModelContract:
    """Fit, ask, batch equals single, save and load equal, no pickle, unknown customer, determinism, baseline."""

    kind: ClassVar[Any]
    answers: ClassVar[str]  # what the first column of an answer says, by its name in ``World.truth``
    closer: ClassVar[float] = 0.6  # its distance from the truth, at most, in distances of the best constant

    learnt: ClassVar[Callable[[], Any]] = staticmethod(lambda: btyd_world(1))
    asked: ClassVar[Callable[[], Any]] = staticmethod(lambda: btyd_world(2, 400))

    def fit(self, world: Any) -> Any:
        raise NotImplementedError

    def ask(self, model: Any, rows: pd.DataFrame) -> Matrix:
        """Give the answers about some customers, shape (n, k)."""
        raise NotImplementedError

    def save(self, model: Any, folder: Path) -> Path:
        folder.mkdir()
        model.save(folder)
        return folder

    def load(self, folder: Path) -> Any:
        return self.kind.load(folder)

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls) -> Any:
        return cls().fit(cls.learnt())

    def test_a_batch_equals_its_single_rows(self, model: Any) -> None:
        rows = self.asked()[:40]
        batch = self.ask(model, rows)
        single = np.vstack([self.ask(model, rows.iloc[[row]]) for row in range(len(rows))])
        assert batch.tobytes() == single.tobytes()

    def test_asking_in_another_order_gives_the_same(self, model: Any) -> None:
        rows = self.asked()[:]
        turned = self.ask(model, rows.iloc[::-1])[::-1]
        assert turned.tobytes() == self.ask(model, rows).tobytes()

    def test_what_was_saved_and_loaded_answers_the_same(self, model: Any, tmp_path: Path) -> None:
        loaded = self.load(self.save(model, tmp_path / "saved"))
        assert self.ask(loaded, self.asked()[:]).tobytes() == self.ask(model, self.asked()[:]).tobytes()

    def test_loaded_and_saved_again_are_the_same_bytes(self, model: Any, tmp_path: Path) -> None:
        one = self.save(model, tmp_path / "one")
        assert contents(self.save(self.load(one), tmp_path / "two")) == contents(one)

    def test_learning_twice_gives_the_same_bytes(self, model: Any, tmp_path: Path) -> None:
        again = self.save(self.fit(self.learnt()), tmp_path / "again")
        assert contents(again) == contents(self.save(model, tmp_path / "once"))

    def test_what_is_saved_is_text_and_plain_numbers(self, model: Any, tmp_path: Path) -> None:
        assert_no_pickle(self.save(model, tmp_path / "saved"))

    def test_of_an_unknown_customer_the_answer_is_finite(self, model: Any) -> None:
        assert np.isfinite(self.ask(model, nobody(self.asked()[:]))).all()

    def test_nothing_about_a_neighbour_changes_an_answer(self, model: Any) -> None:
        rows = self.asked()[:5]
        beside_nobody = pd.concat([rows, nobody(rows)], ignore_index=True)
        assert self.ask(model, beside_nobody)[:5].tobytes() == self.ask(model, rows).tobytes()

    def test_it_comes_closer_to_the_truth_than_the_best_constant(self, model: Any) -> None:
        truth = self.asked().truth[self.answers]
        found = np.abs(self.ask(model, self.asked()[:])[:, 0] - truth).mean()
        assert found < self.closer * np.abs(np.median(truth) - truth).mean()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_no_pickle(folder: Path) -> None:
    """Read every file of a folder as what it may be: UTF-8 text, or arrays without objects."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                assert all(arrays[name].dtype.kind in "fiU" for name in arrays.files), path
        else:
            assert path.suffix in (".json", ".txt", ".jsonl", ".html"), path
            path.read_text("utf-8")
