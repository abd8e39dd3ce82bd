"""A model with the day it had learnt until: what may be asked honestly about that day and later ones."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.models.btyd import Btyd
from training.models.churn import Churn
from training.models.inputs import Inputs
from training.models.next_purchase import HORIZONS, NextPurchase
from training.models.second_order import SecondOrder
from training.models.value import Value

Matrix = NDArray[np.float64]

KINDS: dict[str, Any] = {
    "churn": Churn,
    "next-purchase": NextPurchase,
    "second-order": SecondOrder,
    "value": Value,
}
FOLDER = "held_back"


@dataclass(frozen=True)
class Held:
    """One question's model, what it reads, and the business day from which on nothing was known to it."""

    question: str
    day: int
    inputs: Inputs
    model: Churn | NextPurchase | SecondOrder | Value

    def say(self, columns: Mapping[str, Matrix]) -> dict[str, Matrix]:
        """Say of each customer what the question's figures are made of, each of shape (n,).

        Churn: ``probability``, also as its ``score``. Orders: ``p_7d`` to ``p_90d``. Next purchase: besides
        ``location`` (log-days), ``low``, ``middle`` and ``high``, the days reached with 10, 50 and 90 %, infinite
        beyond a year. Second order: besides ``score_30d`` to ``score_90d``. Value: ``revenue`` of the next 90 days.
        """
        x = self.inputs.matrix(columns)
        if isinstance(self.model, Churn):
            risk = self.model.predict(x)
            return {"probability": risk, "score": risk}
        if isinstance(self.model, Value):
            return {"revenue": self.model.predict_90d(x, self.inputs.names)}
        chances = {f"p_{h}d": p for h, p in zip(HORIZONS, self.model.predict(x).T, strict=True)}
        if isinstance(self.model, SecondOrder):
            return chances | {name.replace("p_", "score_"): p for name, p in chances.items()}
        low, middle, high = np.nan_to_num(self.model.quantiles(x), nan=np.inf).T
        return {"location": self.model.location(x), "low": low, "middle": middle, "high": high} | chances


def save_held(twins: Mapping[str, Held], folder: Path) -> None:
    """Write the models a report was made with, each with its day, beside those that answer."""
    for question, held in sorted(twins.items()):
        own = folder / FOLDER / question
        own.parent.mkdir(exist_ok=True, mode=0o700)
        own.mkdir(mode=0o700)
        held.model.save(own)
        held.inputs.btyd.save(own)
        facts = {"day": held.day, "features": list(held.inputs.features)}
        (own / "held.json").write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")


def load_held(folder: Path, question: str) -> Held | None:
    """Read one of them from a verified release; ``None`` if it has none for this question."""
    own = folder / FOLDER / question
    if not own.is_dir():
        return None
    facts = json.loads((own / "held.json").read_text(encoding="utf-8"))
    inputs = Inputs(tuple(facts["features"]), Btyd.load(own))
    return Held(question, facts["day"], inputs, KINDS[question].load(own))
