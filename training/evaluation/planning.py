"""What an experiment could show before it begins: the smallest effect that would be found, the control group it takes.

An effect is found if its estimate lies beyond a border of so many standard errors, and it does with the chance
``power`` if it is z(power) standard errors larger than that. The standard error is that of two independent arms, each
with its own variance: Chow, Shao, Wang and Lokhnygina (2017), "Sample Size Calculations in Clinical Research", 3rd
ed., sections 3.2 (means) and 4.2 (proportions). For one look the border is z(1 - alpha / 2).

A report read every morning takes more. Its border is that of :func:`training.evaluation.anytime.anytime` at the final
number of customers, no arm's variance being less than that of all together; the effect is then found on some morning
up to the last with at least the chance ``power``.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize_scalar
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
    def border(self) -> float:
        """Give the standard errors beyond which an estimate is taken for an effect."""
        return float(critical(max(self.n, 1), self.alpha) if self.is_peeked else norm.ppf(1 - self.alpha / 2))

    def to_spare(self, effect: float, variance: float, variance_beside: float, share: float) -> float:
        """Give by how much an effect is larger than it must be, with a share left alone; variances of one customer."""
        n, n_beside = self.n * (1 - share), self.n * share
        least = (1 - share) * variance + share * variance_beside if self.is_peeked else 0.0
        read = np.sqrt(max(variance, least) / n + max(variance_beside, least) / n_beside)
        true = np.sqrt(variance / n + variance_beside / n_beside)
        return float(effect - self.border * read - norm.ppf(self.power) * true)


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

    def to_spare(effect: float) -> float:
        return design.to_spare(effect, _variance(p + effect), _variance(p), design.control_share)

    if not _is_sound(design) or to_spare(1 - p) < 0:
        return None
    return float(brentq(to_spare, 0, 1 - p, xtol=1e-12))


def _variance(p: float) -> float:
    return p * (1 - p)


def _is_sound(design: Design) -> bool:
    return 0 < design.control_share < 1 and design.n > 0


def smallest_effect_of_amounts(design: Design, sd: float) -> float | None:
    """How much a message must earn per customer to be found, in the unit of ``sd``: that of one customer's profit.

    >>> round(smallest_effect_of_amounts(Design(2_000, 0.1, is_peeked=False), sd=900.0), 1)  # 2.802 * 900 / sqrt(180)
    187.9
    """
    return -design.to_spare(0.0, sd**2, sd**2, design.control_share) if _is_sound(design) and sd >= 0 else None


def control_share_for(design: Design, p: float, effect: float) -> float | None:
    """Which share must be left alone, at the least, to find an effect; ``None`` if no share up to a half does.

    >>> round(control_share_for(Design(10_000, 0.1, is_peeked=False), p=0.05, effect=0.02), 4)
    0.1088
    """
    return _share_for(design, effect, _variance(p + effect), _variance(p)) if 0 < p + effect < 1 else None


def control_share_for_amounts(design: Design, sd: float, effect: float) -> float | None:
    """Which share must be left alone, at the least, to find an effect on an amount; ``None`` if no share does."""
    return _share_for(design, effect, sd**2, sd**2)


def _share_for(design: Design, effect: float, variance: float, variance_beside: float) -> float | None:
    """Find the least share at which the effect is as large as it must be: what is to spare rises to one best share."""

    def lacking(share: float) -> float:
        return -design.to_spare(effect, variance, variance_beside, share)

    if design.n <= 0:
        return None
    best = float(minimize_scalar(lacking, bounds=(0, MOST_CONTROL), method="bounded", options={"xatol": 1e-9}).x)
    best = min((best, MOST_CONTROL), key=lacking)
    least = min(1 / design.n, best / 2)
    if lacking(best) > 0:
        return None
    return float(brentq(lacking, least, best, xtol=1e-12)) if lacking(least) > 0 else least


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
