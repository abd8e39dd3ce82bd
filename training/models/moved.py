"""By how much contacts moved those they were drawn for: mean effects by offer, and how effects lean on customers.

Several offers were drawn among the same customers, some of whom were left alone. Rows are contacts; the same customer
may stand in several, so that every error is summed by customer first.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.intp]

LEAST_VARIANCE = 0.004  # of an outcome: a customer surely lost would else count without bound (2026-11-25)


@dataclass(frozen=True)
class Drawn:
    """Past contacts whose window is over, as what a draw assigned and what came of it.

    ``chance`` has a column for being left alone and one per offer: the chance with which each was drawn for that
    customer, 0 where it was not among what was drawn. ``arm`` is 0 for who was left alone, else 1 + the offer.
    """

    x: Matrix  # (n, k): inputs as known when the contact's day began, NaN where unknown
    names: tuple[str, ...]
    customer: Ints  # (n,): who; rows of one customer are not independent
    arm: Ints
    offers: tuple[str, ...]
    chance: Matrix  # (n, 1 + n_offers), rows sum to one
    channel: NDArray[np.str_]  # (n,): over which it went or would have gone; empty where nobody wrote it down
    y: Matrix  # (n,): 1.0 if an order came within the window
    evidence: tuple[str, ...]  # per offer: randomised or observed
    window_days: int

    def of(self, who: Flags) -> "Drawn":
        rows = {name: getattr(self, name)[who] for name in ("x", "customer", "arm", "chance", "channel", "y")}
        return Drawn(names=self.names, offers=self.offers, evidence=self.evidence, window_days=self.window_days, **rows)

    @property
    def flags(self) -> Matrix:
        """Give 1.0 in the column of what was drawn, shape (n, 1 + n_offers)."""
        return np.asarray(self.arm[:, None] == np.arange(1 + len(self.offers)), np.float64)


class Estimate(NamedTuple):
    """Numbers with their standard errors."""

    value: Matrix
    error: Matrix


def folds(customer: Ints, n_folds: int, seed: int) -> Ints:
    """Give each row a fold, from 0, by lot and by customer."""
    found, code = np.unique(customer, return_inverse=True)
    return np.asarray(np.random.default_rng(seed).permutation(len(found))[code] % n_folds, np.intp)


def mean_effects(drawn: Drawn, expected: Matrix) -> Estimate:
    """Give each offer's mean effect on those it could have been drawn for: doubly robust, shape (n_offers,).

    ``expected`` (n, 1 + n_offers) is the chance of an order under each, of models that had not seen the customer.
    """
    values, errors = [], []
    alone = (drawn.y - expected[:, 0]) * (drawn.arm == 0) / np.maximum(drawn.chance[:, 0], 1e-9)
    for offer in range(1, 1 + len(drawn.offers)):
        could = (drawn.chance[:, offer] > 0) & (drawn.chance[:, 0] > 0)
        moved = (drawn.y - expected[:, offer]) * (drawn.arm == offer) / np.maximum(drawn.chance[:, offer], 1e-9)
        effect = (expected[:, offer] - expected[:, 0] + moved - alone)[could]
        values.append(effect.mean())
        errors.append(np.sqrt((_by_customer(drawn.customer[could], effect - effect.mean()) ** 2).sum()) / len(effect))
    return Estimate(np.array(values), np.array(errors))


def shared(effects: Estimate) -> Estimate:
    """Let few and noisy offers borrow from each other: each is drawn to their mean by how little it is known.

    Empirical Bayes with the spread between offers by DerSimonian and Laird [1]_. The middle moves; the error stays
    that of the offer alone, so that what is borrowed never makes an interval narrower.

    References
    ----------
    .. [1] DerSimonian and Laird (1986), "Meta-analysis in clinical trials", Controlled Clinical Trials 7(3).

    >>> shared(Estimate(np.array([0.01, 0.03]), np.array([0.02, 0.02]))).value.round(3)  # less than an error apart
    array([0.02, 0.02])
    """
    value, weight = effects.value, 1 / effects.error**2
    middle = (weight * value).sum() / weight.sum()
    beyond = (weight * (value - middle) ** 2).sum() - (len(value) - 1)
    spread = max(0.0, beyond / max(weight.sum() - (weight**2).sum() / weight.sum(), 1e-12))
    own = spread / (spread + effects.error**2)
    return Estimate(middle + own * (value - middle), effects.error)


@dataclass(frozen=True)
class Residual:
    """What is left of outcomes once everyone's expectation and the mean effects are taken out [1]_.

    ``left`` = ``scale`` x (what a customer's effect is above the mean, in sizes) + chance; ``weight`` is one over the
    variance of that chance.

    References
    ----------
    .. [1] Nie and Wager (2021), "Quasi-oracle estimation of heterogeneous treatment effects", Biometrika 108(2).
    """

    left: Matrix
    scale: Matrix
    weight: Matrix
    customer: Ints

    @classmethod
    def of(cls, drawn: Drawn, expected: Matrix, effects: Matrix, sizes: Matrix) -> "Residual":
        """``effects`` (n_offers,) are the means, ``sizes`` what one unit of leaning is worth of each offer."""
        usual = (drawn.chance * expected).sum(axis=1)
        assigned = (drawn.flags - drawn.chance)[:, 1:]
        variance = np.maximum(usual * (1 - usual), LEAST_VARIANCE)
        weight = 1 / variance
        left = drawn.y - usual - assigned @ effects
        return cls(left, assigned @ sizes, weight / weight.mean(), drawn.customer)

    def leaning(self, lean: Matrix) -> tuple[float, float]:
        """Give by how much effects follow ``lean`` (n,) of models that had not seen the rows, and its standard error.

        The best linear predictor of [1]_: 1 if ``lean`` is right, 0 if it says nothing of effects.

        References
        ----------
        .. [1] Chernozhukov, Demirer, Duflo and Fernandez-Val (2025), "Generic machine learning inference on
           heterogeneous treatment effects in randomized experiments", Econometrica 93(4).
        """
        design = self.scale[:, None] * np.column_stack([np.ones(len(lean)), lean])
        weighted = design * self.weight[:, None]
        gram = weighted.T @ design
        if np.linalg.cond(gram) > 1e12:
            return 0.0, np.inf
        found = np.linalg.solve(gram, weighted.T @ self.left)
        scores = weighted * (self.left - design @ found)[:, None]
        summed = np.column_stack([_by_customer(self.customer, column) for column in scores.T])
        bread = np.linalg.inv(gram)
        return float(found[1]), float(np.sqrt((bread @ (summed.T @ summed) @ bread)[1, 1]))


def channel_factors(channel: NDArray[np.str_], residual: Residual) -> dict[str, tuple[float, float]]:
    """Give by channel how many mean effects a message over it is worth, with its standard error.

    ``residual`` is that of no effects at all, in sizes of the mean ones; rows of no channel are left out.
    """
    found = {}
    for name in sorted(set(channel.tolist()) - {""}):
        here = (channel == name) & (residual.scale != 0)
        scale, weight, left = residual.scale[here], residual.weight[here], residual.left[here]
        gram = (weight * scale**2).sum()
        if gram > 0:
            factor = (weight * scale * left).sum() / gram
            error = _by_customer(residual.customer[here], weight * scale * (left - factor * scale))
            found[name] = (float(factor), float(np.sqrt((error**2).sum()) / gram))
    return found


def _by_customer(customer: Ints, values: Matrix) -> Matrix:
    return np.asarray(np.bincount(np.unique(customer, return_inverse=True)[1], values), np.float64)
