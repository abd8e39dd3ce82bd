"""How well an ordering of an experiment's customers finds those whom treatment moves.

Pure functions of arrays with one row per customer: ``outcome``, ``treated`` (bool) and ``score``, shape (n,), the
score either floats or whole places from 0. Customers with one score are taken together, so that row order changes
nothing: between two scores a curve is straight. NaN where an arm is empty.
"""

import numpy as np
from numpy.typing import NDArray

from training.models.uplift import Flags, Matrix

Scores = NDArray[np.generic]


def qini(outcome: Matrix, treated: Flags, score: Scores) -> float:
    """Area between the Qini curve and the straight line of a random order, in outcomes per treated customer.

    The curve after the k highest scored: (Y_t - Y_c N_t / N_c) / n_t, with outcomes and sizes of both arms among
    them and n_t treated in all; across, the share k / n. Radcliffe (2007), "Using control groups to target on
    predicted lift", Direct Marketing Analytics Journal. Random and constant give 0.

    >>> round(qini(np.array([1.0, 0, 0, 0]), np.array([True, False, True, False]), np.array([2, 2, 1, 1])), 4)
    0.125
    """
    taken = _from_the_top(outcome, treated, score)
    gained = taken.sum_treated - taken.sum_control * _over(taken.n_treated, taken.n_control)
    curve = gained / max(taken.n_treated[-1], 1)
    return _area(taken.share, curve) - float(curve[-1]) / 2 if taken.has_both else float("nan")


def auuc(outcome: Matrix, treated: Flags, score: Scores) -> float:
    """Area under the uplift curve, in outcomes per customer: the gain of treating the highest scored, over all k.

    The curve: (Y_t / N_t - Y_c / N_c) k / n; across, k / n. Gutierrez and Gerardy (2016), "Causal inference and
    uplift modelling: a review of the literature", PMLR 67. Random and constant give half the mean effect.

    >>> round(auuc(np.array([1.0, 0, 0, 0]), np.array([True, False, True, False]), np.array([2, 2, 1, 1])), 4)
    0.375
    """
    taken = _from_the_top(outcome, treated, score)
    effect = _over(taken.sum_treated, taken.n_treated) - _over(taken.sum_control, taken.n_control)
    return _area(taken.share, effect * taken.share) if taken.has_both else float("nan")


def uplift_at_30pct(outcome: Matrix, treated: Flags, score: Scores) -> float:
    """Mean outcome of the treated minus that of the control, among the 30 % highest scored.

    Of customers with one score at the border each counts by the share of them that still fits: a constant gives the
    mean effect.

    >>> uplift_at_30pct(np.array([1.0, 0, 0, 0]), np.array([True, False, True, False]), np.array([2, 2, 1, 1]))
    1.0
    """
    taken = _from_the_top(outcome, treated, score)
    parts = (taken.sum_treated, taken.n_treated, taken.sum_control, taken.n_control)
    y_treated, n_treated, y_control, n_control = (np.interp(0.3, taken.share, part) for part in parts)
    return float(y_treated / n_treated - y_control / n_control) if n_treated and n_control else float("nan")


class _Taken:
    """Outcomes and sizes of both arms among the k highest scored, for each k at which the score falls; 0 first."""

    def __init__(self, outcome: Matrix, treated: Flags, place: NDArray[np.integer]) -> None:
        def summed(arm: Flags, weights: Matrix | None) -> Matrix:
            per_place = np.bincount(place[arm], weights, n_places)
            return np.cumsum(per_place[::-1])

        n_places, control = int(place.max()) + 1, ~treated
        parts = np.zeros((4, n_places + 1))
        parts[0, 1:], parts[1, 1:] = summed(treated, outcome[treated]), summed(treated, None)
        parts[2, 1:], parts[3, 1:] = summed(control, outcome[control]), summed(control, None)
        self.sum_treated, self.n_treated, self.sum_control, self.n_control = parts
        self.share = (self.n_treated + self.n_control) / len(place)
        self.has_both = bool(self.n_treated[-1] and self.n_control[-1])


def _from_the_top(outcome: Matrix, treated: Flags, score: Scores) -> _Taken:
    is_place = np.issubdtype(score.dtype, np.integer)
    place = score if is_place else np.unique(score, return_inverse=True)[1]
    return _Taken(outcome, treated, np.asarray(place, np.intp))


def _over(part: Matrix, whole: Matrix) -> Matrix:
    """Divide; 0 where nobody of the arm is among them yet."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _area(share: Matrix, curve: Matrix) -> float:
    return float(np.trapezoid(curve, share))
