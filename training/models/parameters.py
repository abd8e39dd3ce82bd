"""What may be set about the models; left alone it is what this project found best."""

from typing import Annotated

from pydantic import Field

from training.strict import Strict

Share = Annotated[float, Field(gt=0, le=1)]


class Trees(Strict):
    """A booster's size and how carefully it learns."""

    # design.md, 2026-11-21: served models have at most 150 trees x 31 leaves; 1,000 rows take 11 ms, 500 x 63 take 40.
    trees: int = Field(default=150, ge=1, le=150)
    num_leaves: int = Field(default=15, ge=2, le=31)  # smaller leaves won on Complete Journey, 2026-11-21
    learning_rate: float = Field(default=0.04, gt=0, le=1)
    min_data_in_leaf: int = Field(default=60, ge=1)
    feature_fraction: Share = 0.4
    bagging_fraction: Share = 0.7
    lambda_l2: float = Field(default=10.0, ge=0)


class ChurnParameters(Trees):
    """Churn is the mean of trees and of a logistic."""

    penalty: float = Field(default=0.01, gt=0)  # C of the logistic; Complete Journey, cut-offs before 2017-09


TREES, CHURN = Trees(), ChurnParameters()


class Parameters(Strict):
    """All that ``okaeri train --parameters FILE`` takes."""

    churn: ChurnParameters = CHURN
    next_purchase: Trees = TREES
    value: Trees = TREES


AS_FOUND = Parameters()
