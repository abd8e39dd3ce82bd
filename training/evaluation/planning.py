"""What an experiment could show before it begins: the smallest effect that would be found, the control group it takes.

Sizes are those of a two-sided test at ``alpha`` that finds the effect with the chance ``power``. An effect is found if
it exceeds ``errors`` standard errors, and it does so by chance ``power`` if it is ``errors`` + z(power) of them large;
the standard error is that of two independent arms, each with its own variance: Chow, Shao, Wang and Lokhnygina (2017),
"Sample Size Calculations in Clinical Research", 3rd ed., sections 3.2 (means) and 4.2 (proportions).

A report read every morning takes more: ``errors`` is then :func:`training.evaluation.anytime.critical` of the final
number of customers, and the effect is found on some morning up to the last with at least the chance ``power``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from training.evaluation.anytime import ALPHA, critical

POWER = 0.8
MOST_CONTROL = 0.5  # a larger control group learns less than half and half, and sends less


@dataclass(frozen=True)
class Design:
    """How many customers are decided on, the share of them left alone, and how the report will be read."""

    n: float
    control_share: float
    alpha: float = ALPHA
    power: float = POWER
    is_peeked: bool = True  # read every morning, else once at the end

    @property
    def errors(self) -> float:
        """Give the standard errors an effect must measure to be found with the wanted chance."""
        once = norm.ppf(1 - self.alpha / 2)
        needed = float(critical(max(self.n, 1), self.alpha)) if self.is_peeked else once
        return float(needed + norm.ppf(self.power))


def smallest_effect(design: Design, p: float) -> float | None:
    """How much a message must raise the chance of an order to be found; ``None`` if even certainty would not be.

    Parameters
    ----------
    p
        The chance of an order without a message, 0-1.

    >>> once = Design(2_000, 0.5, is_peeked=False)
    >>> round(smallest_effect(once, 0.10), 4)  # 2.8016 sqrt(.1 * .9 / 1000 + .1407 * .8593 / 1000)
    0.0407
    """

    def beyond(effect: float) -> float:
        return effect - design.errors * float(np.sqrt(_variance(design, p, effect)))

    if not 0 < design.control_share < 1 or design.n <= 0 or beyond(1 - p) < 0:
        return None
    return float(brentq(beyond, 0, 1 - p, xtol=1e-12))


def _variance(design: Design, p: float, effect: float) -> float:
    """Give the variance of the difference of two shares."""
    with_message = p + effect
    return (with_message * (1 - with_message) / (1 - design.control_share) + p * (1 - p) / design.control_share) / (
        design.n
    )


def smallest_effect_of_amounts(design: Design, sd: float) -> float | None:
    """How much a message must earn per customer to be found, in the unit of ``sd``: that of one customer's profit.

    >>> round(smallest_effect_of_amounts(Design(2_000, 0.1, is_peeked=False), sd=900.0), 1)  # 2.802 * 900 / sqrt(180)
    187.9
    """
    if not 0 < design.control_share < 1 or design.n <= 0 or not sd >= 0:
        return None
    return float(design.errors * sd / np.sqrt(design.n * design.control_share * (1 - design.control_share)))


def control_share_for(design: Design, p: float, effect: float) -> float | None:
    """Which share must be left alone, at the least, to find an effect; ``None`` if no share up to a half does.

    With a and b the variances of one customer with and without a message and c = n (effect / errors)^2, an effect is
    found if a / (1 - s) + b / s <= c: s is the smaller root of c s^2 + (a - b - c) s + b.

    >>> round(control_share_for(Design(10_000, 0.1, is_peeked=False), p=0.05, effect=0.02), 4)
    0.1088
    """
    return _share_for(design, (p + effect) * (1 - p - effect), p * (1 - p), effect) if 0 < p + effect < 1 else None


def control_share_for_amounts(design: Design, sd: float, effect: float) -> float | None:
    """Which share must be left alone, at the least, to find an effect on an amount; ``None`` if no share does."""
    return _share_for(design, sd**2, sd**2, effect)


def _share_for(design: Design, a: float, b: float, effect: float) -> float | None:
    c = design.n * (effect / design.errors) ** 2
    half = (a - b - c) / 2
    if half >= 0 or half**2 < c * b or not c:
        return None
    share = float(b / (-half + np.sqrt(half**2 - c * b)))  # the smaller root, without cancellation
    return share if 0 < share <= MOST_CONTROL else None


def plan(n: int, control_share: float, p: float, assumed: float | None, sd: float | None = None) -> dict[str, Any]:
    """Say what an experiment of ``n`` customers can show, read every morning or once.

    Parameters
    ----------
    p
        The chance of an order within the window without a message.
    assumed
        By how much a message is assumed to raise it; ``None`` if nothing is assumed.
    sd
        Of one customer's profit, currency; ``None`` if it is not known.

    Returns
    -------
    dict
        ``n``, ``control_share``, ``p_order_without``, ``assumed_effect``; and for ``anytime`` and ``fixed`` each
        ``smallest_effect`` (of the chance), ``smallest_relative`` (to ``p``), ``smallest_profit`` (per customer) and
        ``control_share`` that finds the assumed effect. ``None`` where nothing would.
    """
    told: dict[str, Any] = {
        "n": n, "control_share": control_share, "p_order_without": p, "assumed_effect": assumed,
    }  # fmt: skip
    for reading, is_peeked in (("anytime", True), ("fixed", False)):
        design = Design(n, control_share, is_peeked=is_peeked)
        smallest = smallest_effect(design, p)
        told[reading] = {
            "smallest_effect": smallest,
            "smallest_relative": smallest / p if smallest is not None and p > 0 else None,
            "smallest_profit": None if sd is None else smallest_effect_of_amounts(design, sd),
            "control_share": control_share_for(design, p, assumed) if assumed and n else None,
        }
    return told
