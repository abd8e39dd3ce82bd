"""How likely each candidate is bought in the time to come: two LightGBM models, own and other products apart.

Each gives a log-odds, so both lists merge by it. A shop too small to learn from is answered by a formula, the rung
``formula`` of the ladder:

    own product   logit = REPEAT_BASE + DECAYED ln(decayed) + ORDER_DAYS ln(n_order_days)
                          + IDLE ln(1 + days since last bought) + KNOWN ln(reach)
    any other     logit = NEW_BASE + TASTE (customer factors . product factors) + REACH ln(1 + reach)

``reach`` is the product's popularity in units of the average product's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from training.models.recommender.history import Floats
from training.models.recommender.pairs import NEW_INPUTS, REPEAT_INPUTS
from training.models.trees import load_trees, save_trees

# Complete Journey, cut-offs 2017-08-14 and 2017-09-25 (2026-11-24), NDCG@10 of own products with 60 trees: 31 leaves
# .4705 and .4589, 15 leaves .4706 and .4574; 40 trees lost nothing significant, 150 gained .0005. Of new products,
# whose chances are small: 30 slow trees of 300 in a leaf .0657 and .0595, 40 faster ones .0640 and .0602; 150 trees of
# 31 leaves were worse. lambdarank was left out: the chances must compare over both lists.
PARAMETERS = {
    "objective": "binary",
    "num_leaves": 15,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 10.0,
    "seed": 0,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}
REPEAT = {"learning_rate": 0.1, "min_data_in_leaf": 100}
NEW = {"learning_rate": 0.06, "min_data_in_leaf": 300}
REPEAT_TREES, NEW_TREES = 40, 30
# The more the neighbours say for it the likelier: .0661 and .0590 with, .0657 and .0595 without.
RISING = ("similar", "similar_now")

# faults.md B2: below these the next lighter rung answers.
FEWEST_CUSTOMERS, FEWEST_POSITIVES = 500, 50

# Logistic regression of "bought again by 2017-11-07" on the 687,498 customer x product rows of Complete
# Journey known at 2017-10-09 (2026-11-21). The customer's own activity and the buying cycle gained nothing.
REPEAT_BASE, DECAYED, ORDER_DAYS, IDLE, KNOWN = -2.065, 0.129, 1.070, -0.325, 0.168

# The same cut-off and day. REACH 0-0.8 was tried beside TASTE, by NDCG@10 of products not in the history:
# with all of it (281 products) .0475 without and .0479 with; with one product of it left, .119 and .183
# (popular alone .182). NEW_BASE makes the chances of the first 50 new products right on average.
NEW_BASE, TASTE, REACH = -5.020, 6.0, 0.1

FILES = ("recommender_repeat.txt", "recommender_new.txt")


Lessons = tuple[Floats, npt.NDArray[np.float64]]  # described pairs, and 1.0 for those bought


@dataclass(frozen=True)
class Ranker:
    """A booster over ``REPEAT_INPUTS``, one over ``NEW_INPUTS``; ``None`` where too little was bought to learn it."""

    repeat: lgb.Booster | None
    new: lgb.Booster | None

    @classmethod
    def fit(cls, repeat: Lessons, new: Lessons, n_customers: int) -> Ranker:
        """Learn from described pairs and whether each was bought."""
        enough = [n_customers >= FEWEST_CUSTOMERS and y.sum() >= FEWEST_POSITIVES for _, y in (repeat, new)]
        return cls(
            _fit(*repeat, REPEAT_INPUTS, REPEAT, REPEAT_TREES) if enough[0] else None,
            _fit(*new, NEW_INPUTS, NEW, NEW_TREES) if enough[1] else None,
        )

    @property
    def method(self) -> str:
        """The rung: ``ranker``, ``formula``, or ``half`` where only one of the two could be learnt."""
        return ("formula", "half", "ranker")[(self.repeat is not None) + (self.new is not None)]

    def save(self, folder: Path) -> None:
        for booster, name in zip((self.repeat, self.new), FILES, strict=True):
            if booster is not None:
                save_trees(booster, folder / name)

    @classmethod
    def load(cls, folder: Path) -> Ranker:
        return cls(*(load_trees(folder / name) if (folder / name).exists() else None for name in FILES))


def formula_repeat(x: Floats, reach: npt.NDArray[np.float64]) -> Floats:
    """Give the formula's log-odds of own products, described as for the ranker."""
    decayed, days, idle = (x[:, REPEAT_INPUTS.index(name)] for name in ("decayed_60d", "n_order_days", "idle_days"))
    logit = REPEAT_BASE + DECAYED * np.log(decayed) + ORDER_DAYS * np.log(days) + IDLE * np.log1p(idle)
    return np.asarray(logit + KNOWN * np.log(reach), np.float32)


def formula_new(taste: Floats, reach: npt.NDArray[np.float64]) -> Floats:
    """Give the formula's log-odds of other products; ``taste`` is the product of the factors."""
    return np.asarray(NEW_BASE + TASTE * taste + REACH * np.log1p(reach), np.float32)


def _fit(
    x: Floats, y: npt.NDArray[np.float64], names: tuple[str, ...], more: dict[str, float], trees: int
) -> lgb.Booster:
    monotone = [1 if name in RISING else 0 for name in names]
    data = lgb.Dataset(x, y, feature_name=list(names), params={"verbosity": -1})
    return lgb.train(PARAMETERS | more | {"monotone_constraints": monotone}, data, trees)


def log_odds(booster: lgb.Booster, x: Floats) -> Floats:
    """Give a booster's log-odds of described pairs."""
    if not len(x):
        return np.empty(0, np.float32)
    return np.asarray(booster.predict(x, raw_score=True, num_threads=1), np.float32)
