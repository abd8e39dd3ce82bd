"""A release as MLflow sees it: models from code, loaded from the release's own folder. No pickle.

``mlflow.pyfunc.load_model("models:/okaeri@champion").predict(features)`` takes a frame with the stored
features of the snapshot (or of ``training_frame``) and gives the model columns of ``customer_scores``.
"""

from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import set_model

from training.models.next_purchase import HORIZONS
from training.release import open_release


class Okaeri(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """The three scores of a release for the rows of a feature frame."""

    def load_context(self, context: Any) -> None:
        self.release = open_release(Path(context.artifacts["release"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        columns = {name: model_input[name].to_numpy(dtype=np.float64) for name in self.release.facts["inputs"]}
        said = self.release.models.predict(columns)
        out = {"churn_probability": said.churn}
        out |= {f"clv_predicted_{days}d": said.clv[:, column] for column, days in enumerate((90, 365))}
        out |= {f"next_order_p_{h}d": said.next_order[:, index] for index, h in enumerate(HORIZONS)}
        return pd.DataFrame(out, index=model_input.index)


set_model(Okaeri())
