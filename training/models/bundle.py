"""All the models of a release together, as it fits them, seals them and answers with them."""

from dataclasses import dataclass

from training.models.churn import Churn
from training.models.inputs import Inputs
from training.models.next_purchase import NextPurchase
from training.models.prior import Prior
from training.models.recommender import Recommender
from training.models.value import Value


@dataclass(frozen=True)
class Scores:
    """The three scoring models over one set of inputs; ``value`` is ``None`` for a shop too young for it."""

    inputs: Inputs
    churn: Churn
    next_purchase: NextPurchase
    value: Value | None


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
