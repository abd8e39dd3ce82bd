"""The figures of each question: what of the outcome they look at, and what of a method's words."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from training import metrics
from training.evaluation.rows import Figure, Judged, Matrix, Sample
from training.fitting import silent
from training.models.next_purchase import HORIZONS

Outcome = tuple[NDArray[np.generic], ...]

ORDER_DAYS = 30  # the longest of the short horizons; errors in days are capped at it where it was observed
SECOND_ORDER_DAYS = (30, 60, 90)  # contracts.md: second_order
# profit_at_budget: a message to a tenth of the customers saves a tenth of the leavers among them, and costs a
# hundredth of the average customer's revenue of 91 days. Assumptions for comparing methods, 2026-11-24.
BUDGET_SHARE, SAVED_SHARE, COST_SHARE = 0.10, 0.10, 0.01


@dataclass(frozen=True)
class Measure:
    """One figure: what it takes of the outcomes, what of the method's words, and whether more is better."""

    outcome: Callable[[pd.DataFrame], Outcome]
    says: tuple[str, ...]
    metric: Callable[..., float]
    more_is_better: bool = True


def measures(question: str, horizon_days: int, observed_days: int | None = None) -> dict[str, Measure]:
    """Give a question's figures by name, those whose outcome is known after ``observed_days`` (default the horizon)."""
    observed = horizon_days if observed_days is None else observed_days
    if question == "churn":
        return _churn()
    if question == "next-purchase":
        return _next_purchase(horizon_days, observed)
    if question == "second-order":
        return _second_order(observed)
    return _value()


def figures(sample: Sample, cutoff: str) -> tuple[Figure, ...]:
    """Write down every figure of every method in every slice of a sample."""
    found = measures(sample.question, sample.horizon_days, sample.observed_days)
    customers, out = sample.frame.customer_id.to_numpy(), []
    outcomes = {name: measure.outcome(sample.frame) for name, measure in found.items()}
    for part, who in sample.slices.items():
        for method, said in sample.said.items():
            for name, measure in found.items():
                if all(word in said for word in measure.says):
                    arrays = (*outcomes[name], *(said[word] for word in measure.says))
                    arrays = tuple(array[who] for array in arrays)
                    out.append(
                        Figure(sample.question, method, cutoff, part, name, measure.metric, arrays, customers[who])
                    )
    return tuple(out)


def judged(sample: Sample, cutoff: str) -> Judged:
    """Judge a sample by its figures."""
    return Judged(figures(sample, cutoff), sample=sample)


def _churn() -> dict[str, Measure]:
    return {
        "auc": Measure(_silent, ("score",), metrics.auc),
        "pr_auc": Measure(_silent, ("score",), metrics.pr_auc),
        "lift_at_10pct": Measure(_silent, ("score",), metrics.lift_at),
        "profit_at_budget": Measure(_silent_and_revenue, ("score",), profit_at_budget),
        "brier": Measure(_silent, ("probability",), metrics.brier, more_is_better=False),
        "ece": Measure(_silent, ("probability",), metrics.ece, more_is_better=False),
    }


def profit_at_budget(silent: Matrix, revenue: Matrix, score: Matrix) -> float:
    """Give what writing to a tenth of the customers nets per customer asked about, in the shop's currency.

    Written to are those with the most at stake: score times revenue of 91 days; of equals the earlier row. Each
    leaver written to is kept with a chance of SAVED_SHARE and then brings that revenue again.

    >>> round(profit_at_budget(np.array([1.0] + [0.0] * 9), np.full(10, 50.0), np.arange(10.0)[::-1]), 3)
    0.45
    """
    n = max(1, round(BUDGET_SHARE * len(score)))
    chosen = np.argsort(-score * np.maximum(revenue, 0.0), kind="stable")[:n]
    saved = SAVED_SHARE * (silent * np.maximum(revenue, 0.0))[chosen].sum()
    return float(saved - COST_SHARE * n * max(float(revenue.mean()), 0.0)) / len(score)


def _next_purchase(horizon_days: int, observed: int) -> dict[str, Measure]:
    cap = min(observed, max(horizon_days, ORDER_DAYS))

    def capped(days: Matrix, predicted: Matrix) -> float:
        return metrics.mae_days(days, predicted, cap)

    def covered(days: Matrix, low: Matrix, high: Matrix) -> float:
        return metrics.coverage(days, low, high, observed)

    chances = {
        f"auc_{h}d": Measure(_came_within(h), (f"p_{h}d",), metrics.auc)
        for h in HORIZONS
        if h <= min(ORDER_DAYS, observed)
    }
    return chances | {
        "mae_days": Measure(_days, ("middle",), capped, more_is_better=False),
        "c_index": Measure(_days_and_seen, ("location",), metrics.c_index),
        "coverage_p10_p90": Measure(_days, ("low", "high"), covered),
    }


def _second_order(observed: int) -> dict[str, Measure]:
    out = {}
    for h in SECOND_ORDER_DAYS:
        if h <= observed:
            out[f"auc_{h}d"] = Measure(_came_within(h), (f"score_{h}d",), metrics.auc)
            out[f"ece_{h}d"] = Measure(_came_within(h), (f"p_{h}d",), metrics.ece, more_is_better=False)
    return out


def _value() -> dict[str, Measure]:
    return {
        "spearman": Measure(_revenue, ("revenue",), metrics.spearman),
        "ngini": Measure(_revenue, ("revenue",), metrics.ngini),
        "decile_mape": Measure(_revenue, ("revenue",), metrics.decile_mape, more_is_better=False),
        "bias": Measure(_revenue, ("revenue",), metrics.bias, more_is_better=False),
    }


def _silent(frame: pd.DataFrame) -> Outcome:
    return (silent(frame),)


def _silent_and_revenue(frame: pd.DataFrame) -> Outcome:
    return silent(frame), frame.revenue_91d.to_numpy()


def _days(frame: pd.DataFrame) -> Outcome:
    return (frame.days_to_next.to_numpy(),)


def _days_and_seen(frame: pd.DataFrame) -> Outcome:
    return frame.days_to_next.to_numpy(), ~frame.is_censored.to_numpy(dtype=bool)


def _revenue(frame: pd.DataFrame) -> Outcome:
    return (frame.revenue_90d.to_numpy(),)


def _came_within(days: int) -> Callable[[pd.DataFrame], Outcome]:
    return lambda frame: (
        ((frame.days_to_next <= days) & ~frame.is_censored.astype(bool)).to_numpy().astype(np.float64),
    )


def outcome(churn: Sample | None) -> tuple[Matrix, Matrix]:
    """Give who of a churn sample was silent and what ours predicted."""
    if churn is None:
        return np.empty(0), np.empty(0)
    return silent(churn.frame), np.asarray(churn.said["okaeri"]["probability"], np.float64)
