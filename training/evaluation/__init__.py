"""What the models are worth: each beside its baselines on later customers that no fit has seen, with intervals."""

from dataclasses import dataclass
from typing import Any

from training.dataset import Past
from training.evaluation.churn import judge_churn
from training.evaluation.next_purchase import judge_next_purchase
from training.evaluation.recommender import judge_recommender
from training.evaluation.rows import Matrix, Row, as_rows
from training.evaluation.value import judge_value
from training.fitting import PRODUCT_DAYS, in_steps
from training.labels import VALUE_DAYS


@dataclass(frozen=True)
class Report:
    """All figures of one held-back evaluation, and the churn predictions its plots are drawn from."""

    rows: tuple[Row, ...]
    churn_truth: Matrix
    churn_predicted: Matrix
    skipped: tuple[str, ...]  # questions the history is too short to judge, with the reason

    def as_list(self) -> list[dict[str, Any]]:
        """Give the rows as plain dictionaries, NaN as ``None``."""
        return as_rows(self.rows)

    def value(self, question: str, method: str, metric: str) -> Row | None:
        """Find one figure; ``None`` if it was not judged."""
        found = (r for r in self.rows if (r.question, r.method, r.metric) == (question, method, metric))
        return next(found, None)


def evaluate(past: Past, until: int) -> Report:
    """Judge models fitted on the past alone at the newest cut-offs whose outcomes are known at ``until``.

    Questions the history is too short for are left out and said so.
    """
    horizon = in_steps(past.horizon)
    churn = judge_churn(past, until - horizon, until)
    others = (
        judge_next_purchase(past, until - horizon, until),
        judge_value(past, until - in_steps(VALUE_DAYS), until),
        judge_recommender(past, until - PRODUCT_DAYS, until),
    )
    every = (churn, *others)
    skipped = tuple(dict.fromkeys(judged.why_not for judged in every if judged.why_not))
    return Report(tuple(row for judged in every for row in judged.rows), churn.truth, churn.predicted, skipped)
