"""All the models of a release together, as it fits them, seals them and answers with them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.models.churn import Churn
from training.models.effects import Effects
from training.models.inputs import Inputs
from training.models.light import Light
from training.models.next_purchase import NextPurchase
from training.models.predicted import Predicted
from training.models.prior import Prior
from training.models.recommender import Recommender
from training.models.rule import Rule
from training.models.second_order import SecondOrder
from training.models.value import Value

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Scores:
    """The scoring models over one set of inputs.

    ``second_order`` is ``None`` where few ordered once (the general model answers for them), ``value`` for a shop too
    young for it.
    """

    inputs: Inputs
    churn: Churn
    next_purchase: NextPurchase
    second_order: SecondOrder | None
    value: Value | None

    def next_order(self, x: Matrix, orders: Matrix) -> tuple[Matrix, Matrix]:
        """Give P(an order within HORIZONS) and the days by which it comes with QUANTILES, (n, 5) and (n, 3).

        Who has ordered exactly once (``orders``, as the feature ``orders_all`` counts) is asked of their own model.
        """
        chance, days = self.next_purchase.predict(x), self.next_purchase.quantiles(x)
        once = orders == 1
        if self.second_order is not None and once.any():
            chance[once], days[once] = self.second_order.predict(x[once]), self.second_order.quantiles(x[once])
        return chance, days


Rung = Light | Prior | Rule
# Each needs less of the shop than the one before.
RUNGS: dict[str, type[Rung]] = {rung.method: rung for rung in (Light, Prior, Rule)}


@dataclass(frozen=True)
class Models:
    """All that a release answers with. Without ``scores`` the shop is too small, and the rung below answers."""

    scores: Scores | None
    recommender: Recommender
    rung: Rung
    n: int  # customers with an order
    gap_days: float  # median of the customers' mean gaps: the expected interval where there is no own one
    horizon_days: int
    why_light: str = ""  # what the shop lacks for the full models
    effects: Effects | None = None  # of the shop's own contacts
    why_no_effects: str = ""  # what the contacts lack

    @property
    def method(self) -> str:
        return "full" if self.scores is not None else self.rung.method

    @property
    def kept_and_lost(self) -> tuple[float, float]:
        """Give the value, over what was predicted, of who comes back within the horizon, and of who does not."""
        value = self.scores.value if self.scores is not None else None
        return (value.kept_ratio, value.lost_ratio) if value is not None else (1.0, 0.0)

    def predict(self, columns: Mapping[str, Matrix], x: Matrix | None = None) -> Predicted:
        """Answer for customers with an order; ``x`` is :meth:`Inputs.matrix` of the same columns, where it is there.

        What a young shop has no model of its own for, the rung says.
        """
        if self.scores is None:
            return self.rung.predict(columns)
        scores, x = self.scores, self.scores.inputs.matrix(columns) if x is None else x
        chance, days = scores.next_order(x, np.asarray(columns["orders_all"]))
        if scores.value is not None:
            clv = scores.value.predict(x, scores.inputs.names)
        else:
            clv = self.rung.predict(columns).clv
        return Predicted(scores.churn.predict(x), chance, days, clv)
