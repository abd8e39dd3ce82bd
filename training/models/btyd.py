"""How often a customer buys until they quietly leave, and what they spend: "buy till you die".

Two small models of the whole customer base. BG/NBD: everyone orders at a rate of their own and may leave for
good after any order. Gamma-Gamma: everyone spends around a level of their own. Seven numbers describe a shop;
they are baselines in themselves and inputs of every other model.

References
----------
.. [1] Fader, Hardie and Lee (2005), "Counting Your Customers the Easy Way: An Alternative to the Pareto/NBD
   Model", Marketing Science 24(2), 275-284. Equation numbers in the code are its own.
.. [2] Fader and Hardie (2013), "The Gamma-Gamma Model of Monetary Value", brucehardie.com/notes/025.
.. [3] Fader and Hardie (2008), "Computing P(alive) Using the BG/NBD Model", brucehardie.com/notes/021.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeResult, minimize
from scipy.special import expit, gammaln, hyp2f1, psi

Floats = NDArray[np.float64]

# Parameters stand to 1-4 % at 50,000 customers and P(no order) to .0007 (simulated worlds with CDNOW's
# parameters, 2026-11-21): more rows would cost time and change no decision.
MAX_FIT_ROWS = 50_000
# Same worlds: from 20 returning customers P(no order in 28 days) is off by .027 on average, from 10 by .046;
# the best constant is off by .095.
MIN_RETURNING = 20
# Standard deviation of a normal prior on log-parameters (time in mean tenures, money in median spends). So
# faint that CDNOW's published digits stay; it picks a point where the likelihood is a flat ridge (all
# customers alike).
PRIOR_SD = 20.0
# Past e**10 customers are alike to four digits, and gammaln loses its own.
LOG_BOUND = 10.0


@dataclass(frozen=True)
class BgNbd:
    """When customers order and when they leave: four numbers for a shop.

    While alive a customer orders at a rate lambda ~ Gamma(r, rate alpha per day); after each order they leave
    for good with probability p ~ Beta(a, b). ``frequency`` is the number of repeat order days (>= 0),
    ``recency_days`` the days from first to last order, ``tenure_days`` the days from first order to now; all
    float, any one shape. NaN in, NaN out. (Any unit of time will do, if it is one unit throughout.)

    >>> cdnow = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)  # weeks; table 2 of [1]_
    >>> round(float(cdnow.expected_orders(2, 30.43, 38.86, 39)), 3)  # its worked example: 1.226
    1.226
    """

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, frequency: ArrayLike, recency_days: ArrayLike, tenure_days: ArrayLike) -> Self:
        """Learn the shop's rhythm from ALL its customers; the active alone would make everyone look alive.

        Maximum likelihood with a faint prior, deterministic and blind to the order of the rows. More than
        ``MAX_FIT_ROWS`` customers are thinned evenly.

        Raises
        ------
        ValueError
            If fewer than ``MIN_RETURNING`` customers came back, or no start converged.
        """
        x, t_x, t = _thinned(frequency, recency_days, tenure_days)
        _require("BG/NBD", int((x > 0).sum()), "customers with a second order day")
        days = float(t.mean())

        def objective(log_params: Floats) -> tuple[float, Floats]:
            model = cls(*np.exp(log_params).tolist())
            value = model.log_likelihood(x, t_x / days, t / days).mean()
            return float(value), model._gradient(x, t_x / days, t / days)

        starts = ([0.0, 0.0, 0.0, 0.0], [-1.0, -1.0, -1.0, 1.0], [1.0, 0.0, -2.0, 2.0])
        r, alpha, a, b = np.exp(_maximise(objective, starts, x.size)).tolist()
        return cls(r, alpha * days, a, b)

    def log_likelihood(self, frequency: ArrayLike, recency_days: ArrayLike, tenure_days: ArrayLike) -> Floats:
        """How likely each customer's history is in this shop: log of equation (6), one number a customer."""
        x, t_x, t = _floats(frequency, recency_days, tenure_days)
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        rate = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
        drop = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
        alive = -(r + x) * np.log(alpha + t)
        return np.asarray(rate + drop + alive + np.logaddexp(0, self._log_odds_left(x, t_x, t)))

    def p_alive(self, frequency: ArrayLike, recency_days: ArrayLike, tenure_days: ArrayLike) -> Floats:
        """Probability, in [0, 1], that the customer has not left for good [3]_.

        A customer who never came back is alive for certain, by the model's own assumption (one leaves only
        after a repeat order): ask another model about one-order customers.
        """
        return np.asarray(expit(-self._log_odds_left(*_floats(frequency, recency_days, tenure_days))))

    def p_no_order(
        self, frequency: ArrayLike, recency_days: ArrayLike, tenure_days: ArrayLike, horizon_days: float
    ) -> Floats:
        """Probability, in [0, 1], of not one order in the coming ``horizon_days``.

        Not 1 - P(alive): the living too may be silent. Given alive at T, lambda ~ Gamma(r + x, alpha + T),
        and leaving comes only after an order, so the next order is as far off as lambda says: P(none | alive)
        = E[exp(-lambda H)] = ((alpha + T) / (alpha + T + H)) ** (r + x). Those who left are silent for
        certain, hence 1 - P(alive) (1 - P(none | alive)).
        """
        x, t_x, t = _floats(frequency, recency_days, tenure_days)
        p_order = -np.expm1(-(self.r + x) * np.log1p(horizon_days / (self.alpha + t)))
        return np.asarray(1 - self.p_alive(x, t_x, t) * p_order)

    def expected_orders(
        self, frequency: ArrayLike, recency_days: ArrayLike, tenure_days: ArrayLike, horizon_days: float
    ) -> Floats:
        """Order days to expect of the customer in the coming ``horizon_days``: equation (10), finite.

        The paper's (1-z)^(r+x) F(r+x, b+x; a+b+x-1; z) overflows for busy customers; Euler's transformation
        turns it into (1-z)^(a-1) F(a-1, a+b-1-r; a+b+x-1; z), whose first arguments do not grow with x.
        """
        x, t_x, t = _floats(frequency, recency_days, tenure_days)
        # a = 1 and a + b = 1 are removable singularities: step aside by less than any fit can tell.
        a = self.a + 2e-6 * (abs(self.a - 1) < 1e-6)
        b = self.b + 2e-9 * (abs(a + self.b - 1) < 1e-9)
        growth = horizon_days / (self.alpha + t)
        with np.errstate(over="ignore", invalid="ignore"):  # answered by ``is_sane`` below
            hyp = hyp2f1(a - 1, a + b - 1 - self.r, a + b + x - 1, growth / (1 + growth))
            orders = (a + b + x - 1) / (a - 1) * (1 - np.exp((1 - a) * np.log1p(growth)) * hyp)
        at_most = (self.r + x) * growth  # nobody leaves any more
        is_sane = (orders >= 0) & (orders <= at_most * (1 + 1e-9))
        # hyp2f1 gives up only where a > 30, and there p hardly differs between customers: its mean is good to
        # 0.2 % (2026-11-21). And on histories that cannot be (400 orders at tenure 0), where finite will do.
        p = a / (a + b + x)
        at_mean_p = -np.expm1(-(self.r + x) * np.log1p(p * growth)) / p
        return np.asarray(np.where(is_sane, orders, at_mean_p) * self.p_alive(x, t_x, t))

    def _log_odds_left(self, x: Floats, t_x: Floats, t: Floats) -> Floats:
        """Log odds of having left after the last order: the second term of (6) over its first."""
        left = np.log(self.a / (self.b + np.maximum(x, 1) - 1))
        silence = (self.r + x) * (np.log(self.alpha + t) - np.log(self.alpha + t_x))
        return np.where(x == 0, -np.inf, left + silence)

    def _gradient(self, x: Floats, t_x: Floats, t: Floats) -> Floats:
        """Mean slope of the log-likelihood along the logs of (r, alpha, a, b), shape (4,)."""
        r, alpha, a, b = self.r, self.alpha, self.a, self.b
        alive = self.p_alive(x, t_x, t)
        left = 1 - alive
        log_time = alive * np.log(alpha + t) + left * np.log(alpha + t_x)
        both = psi(a + b) - psi(a + b + x)
        slopes = (
            r * (psi(r + x) - psi(r) + np.log(alpha) - log_time),
            r - alpha * (r + x) * (alive / (alpha + t) + left / (alpha + t_x)),
            a * both + left,
            b * (both + psi(b + x) - psi(b) - left / (b + np.maximum(x, 1) - 1)),
        )
        return np.array([slope.mean() for slope in slopes])


@dataclass(frozen=True)
class GammaGamma:
    """What an order day is worth, customer by customer: three numbers for a shop [2]_.

    A day's spend ~ Gamma(p, rate nu) around a level of the customer's own, nu ~ Gamma(q, rate v); the shop's
    mean is p v / (q - 1). ``frequency`` counts the order days that ``monetary`` (shop currency) is the mean
    of.

    >>> cdnow = GammaGamma(p=6.25, q=3.74, v=15.44)  # dollars; [2]_, section 4
    >>> round(float(cdnow.expected_spend(0, np.nan)), 2), round(float(cdnow.expected_spend(100, 80)), 2)
    (35.22, 79.8)
    """

    p: float
    q: float
    v: float

    @classmethod
    def fit(cls, frequency: ArrayLike, monetary: ArrayLike) -> Self:
        """Learn the shop's spending from the customers with any: ``frequency > 0`` and ``monetary > 0``.

        q stays above 1, or the shop would have no mean. Otherwise as ``BgNbd.fit``, errors included.
        """
        x, z = _floats(frequency, monetary)
        is_spender = (x > 0) & (z > 0)
        _require("Gamma-Gamma", int(is_spender.sum()), "customers with revenue")
        x, z = _thinned(x[is_spender], z[is_spender])
        money = float(np.median(z))

        def objective(log_params: Floats) -> tuple[float, Floats]:
            p, q_above_one, v = np.exp(log_params).tolist()
            model = cls(p, 1 + q_above_one, v)
            slope = model._gradient(x, z / money)
            return float(model.log_likelihood(x, z / money).mean()), slope * [p, q_above_one, v]

        starts = ([0.0, 0.0, 0.0], [1.5, 1.0, 1.0], [-1.0, 1.0, 2.0])
        p, q_above_one, v = np.exp(_maximise(objective, starts, x.size)).tolist()
        return cls(p, 1 + q_above_one, v * money)

    def log_likelihood(self, frequency: ArrayLike, monetary: ArrayLike) -> Floats:
        """How likely each customer's mean spend is in this shop: log of equation (1a) of [2]_."""
        x, z = _floats(frequency, monetary)
        p, q, v = self.p, self.q, self.v
        gammas = gammaln(p * x + q) - gammaln(p * x) - gammaln(q)
        return np.asarray(gammas + q * np.log(v) - np.log(z) + p * x * np.log(z * x) - (p * x + q) * np.log(x * z + v))

    def expected_spend(self, frequency: ArrayLike, monetary: ArrayLike) -> Floats:
        """Mean revenue of a customer's next order days: equation (5), between their own mean and the shop's.

        The shop's mean where there is nothing to learn from (no orders, or ``monetary`` NaN or <= 0).
        """
        x, z = _floats(frequency, monetary)
        is_spender = z > 0
        x, z = np.where(is_spender, x, 0 * x), np.where(is_spender, z, 0)
        return np.asarray(self.p * (self.v + x * z) / (self.p * x + self.q - 1))

    def _gradient(self, x: Floats, z: Floats) -> Floats:
        """Mean slope of the log-likelihood along (p, q, v), shape (3,)."""
        p, q, v = self.p, self.q, self.v
        joint, total = psi(p * x + q), np.log(x * z + v)
        slopes = (
            x * (joint - psi(p * x) + np.log(x * z) - total),
            joint - psi(q) + np.log(v) - total,
            q / v - (p * x + q) / (x * z + v),
        )
        return np.array([slope.mean() for slope in slopes])


@dataclass(frozen=True)
class Btyd:
    """The two models together, as the other models of a release use them. One JSON file of text."""

    bgnbd: BgNbd
    gamma_gamma: GammaGamma
    horizon_days: float

    names: ClassVar[tuple[str, ...]] = (
        "btyd_p_alive",
        "btyd_p_no_order",  # in horizon_days
        "btyd_orders_30d",
        "btyd_orders_90d",
        "btyd_orders_365d",
        "btyd_spend",  # of an order day, shop currency
        "btyd_value_90d",  # orders x spend, undiscounted
        "btyd_value_365d",
    )

    @classmethod
    def fit(cls, history: pd.DataFrame, horizon_days: float) -> Self:
        """Learn both from every customer the shop ever had, the silent ones above all (see ``BgNbd.fit``).

        Parameters
        ----------
        history : DataFrame, shape (n_customers, 4 or more), one row per customer, float
            ``n_order_days`` (>= 1), ``days_first_to_last``, ``days_since_first`` and
            ``mean_order_day_revenue`` (over all order days; shop currency; may be NaN or <= 0). A row without
            orders (NaN) is left out.
        horizon_days : float
            Horizon of ``btyd_p_no_order``.

        Raises
        ------
        ValueError
            If too few customers came back, or have revenue.
        """
        n_days, first_to_last, since_first, revenue = _columns(history)
        has_order = n_days >= 1
        bgnbd = BgNbd.fit(n_days[has_order] - 1, first_to_last[has_order], since_first[has_order])
        # The mean is over all order days, the first included, so that is how many it is the mean of.
        return cls(bgnbd, GammaGamma.fit(n_days[has_order], revenue[has_order]), horizon_days)

    def inputs(self, history: pd.DataFrame) -> Floats:
        """What the two models say of each customer, shape (n_customers, 8), columns as in ``names``.

        A customer without orders (NaN, or no order day) is unknown here: a row of NaN.
        """
        n_days, first_to_last, since_first, revenue = _columns(history)
        x = np.where(n_days >= 1, n_days - 1, np.nan)
        past = (x, first_to_last, since_first)
        spend = self.gamma_gamma.expected_spend(x + 1, revenue)
        in_30d, in_90d, in_365d = (self.bgnbd.expected_orders(*past, days) for days in (30, 90, 365))
        alive, none = self.bgnbd.p_alive(*past), self.bgnbd.p_no_order(*past, self.horizon_days)
        return np.column_stack([alive, none, in_30d, in_90d, in_365d, spend, in_90d * spend, in_365d * spend])

    def save(self, folder: Path, name: str = "btyd.json") -> None:
        """Write one file (same model, same bytes) into an existing ``folder``."""
        (folder / name).write_text(json.dumps(asdict(self), sort_keys=True, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path, name: str = "btyd.json") -> Self:
        """Read back what ``save`` wrote; equal to the last bit."""
        kept = json.loads((folder / name).read_text())
        return cls(BgNbd(**kept["bgnbd"]), GammaGamma(**kept["gamma_gamma"]), kept["horizon_days"])


def _maximise(
    objective: Callable[[Floats], tuple[float, Floats]], starts: Sequence[Sequence[float]], n_rows: int
) -> Floats:
    """Log-parameters at the highest of the peaks that the starts climb to; the prior counts once per fit."""

    def loss(log_params: Floats) -> tuple[float, Floats]:
        value, slope = objective(log_params)
        prior = log_params / PRIOR_SD**2 / n_rows
        return float(prior @ log_params) / 2 - value, prior - slope

    def climb(start: Sequence[float]) -> OptimizeResult:
        bounds = [(-LOG_BOUND, LOG_BOUND)] * len(start)
        return minimize(
            loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1000, "ftol": 1e-13}
        )

    tries = [climb(start) for start in starts]
    found = [each for each in tries if each.success]
    if not found:
        raise ValueError(f"no start converged on {n_rows} customers: {tries[0].message}; more history is needed")
    return np.asarray(min(found, key=lambda each: float(each.fun)).x)


def _require(model: str, n: int, needed: str) -> None:
    if n < MIN_RETURNING:
        raise ValueError(f"{model} needs at least {MIN_RETURNING} {needed}, got {n}")


def _floats(*columns: ArrayLike) -> tuple[Floats, ...]:
    return tuple(np.asarray(column, dtype=np.float64) for column in columns)


def _columns(history: pd.DataFrame) -> tuple[Floats, ...]:
    names = ("n_order_days", "days_first_to_last", "days_since_first", "mean_order_day_revenue")
    return _floats(*(history[name] for name in names))


def _thinned(*columns: ArrayLike) -> tuple[Floats, ...]:
    """Every n-th row of the sorted rows: an even sample that row order and customer ids cannot change."""
    rows = np.column_stack(_floats(*columns))
    order = np.lexsort(rows.T[::-1])[:: -(-len(rows) // MAX_FIT_ROWS) or 1]
    return tuple(rows[order].T.copy())
