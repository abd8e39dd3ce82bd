"""All the models of a release together, as it fits them, seals them and answers with them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.models.churn import Churn
from training.models.inputs import Inputs
from training.models.next_purchase import NextPurchase
from training.models.prior import Prior
from training.models.recommender import Recommender
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


@dataclass(frozen=True)
class Models:
    """All that a release answers with. Without ``scores`` the shop is too small: the prior answers."""

    scores: Scores | None
    recommender: Recommender
    prior: Prior
    horizon_days: int
    why_light: str = ""  # what the shop lacks for the full models

    @property
    def method(self) -> str:
        return "full" if self.scores is not None else "prior"
