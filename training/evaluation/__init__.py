"""What the models are worth: each beside its baselines on later customers that no fit has seen, with intervals."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from training.dataset import Past
from training.evaluation.churn import judge_churn
from training.evaluation.measures import outcome
from training.evaluation.next_purchase import judge_next_purchase
from training.evaluation.recommender import judge_recommender
from training.evaluation.rows import Judged, Matrix, Row, Sample, as_rows
from training.evaluation.second_order import judge_second_order
from training.evaluation.value import judge_value
from training.fitting import PRODUCT_DAYS, window_days

QUESTIONS = ("churn", "next-purchase", "second-order", "value", "recommender")


@dataclass(frozen=True)
class Report:
    """All figures of one held-back evaluation, and who was judged."""

    rows: tuple[Row, ...]
    skipped: tuple[str, ...]  # questions the history is too short to judge, with the reason
    samples: dict[str, Sample] = field(default_factory=dict)  # by question

    @property
    def churn(self) -> tuple[Matrix, Matrix]:
        """Give who was silent and what was predicted, for the pictures; both empty where churn was not judged."""
        return outcome(self.samples.get("churn"))

    def as_list(self) -> list[dict[str, Any]]:
        """Give the rows as plain dictionaries, NaN as ``None``."""
        return as_rows(self.rows)

    def value(self, question: str, method: str, metric: str) -> Row | None:
        """Find one figure; ``None`` if it was not judged."""
        found = (r for r in self.rows if (r.question, r.method, r.metric) == (question, method, metric))
        return next(found, None)


def evaluate(past: Past, until: int, questions: Collection[str] = QUESTIONS) -> Report:
    """Judge models fitted on the past alone at the newest cut-offs whose outcomes are known at ``until``.

    Questions the history is too short for are left out and said so.
    """
    asked: dict[str, tuple[Callable[[Past, int, int], Judged], int]] = {
        "churn": (judge_churn, window_days("churn", past.horizon)),
        "next-purchase": (judge_next_purchase, window_days("next-purchase", past.horizon)),
        "second-order": (judge_second_order, window_days("second-order", past.horizon)),
        "value": (judge_value, window_days("value", past.horizon)),
        "recommender": (judge_recommender, PRODUCT_DAYS),
    }
    every = {name: judge(past, until - days, until) for name, (judge, days) in asked.items() if name in questions}
    return Report(
        tuple(row for judged in every.values() for row in judged.rows),
        tuple(dict.fromkeys(judged.why_not for judged in every.values() if judged.why_not)),
        {name: judged.sample for name, judged in every.items() if judged.sample is not None},
    )
