"""What our own contacts do: a customer's chance of an order if left alone, and by how much each offer moves it.

One mean effect per offer, and one way in which all of them lean on customers: not at all, with the chance of an order
itself (who is lost for good is moved by nothing), or as trees learn it. Whatever is not sure beyond chance is left out.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import chi2
from sklearn.linear_model import LogisticRegression

from training.models.linear import Linear
from training.models.moved import Drawn, Estimate, Residual, channel_factors, folds, mean_effects, shared
from training.models.parameters import Trees
from training.models.trees import fit_trees, load_trees, raw_score, save_trees
from training.models.uplift import SMALL

Matrix = NDArray[np.float64]

ALIKE, WISH, TREES = "alike", "wish", "trees"
FOLDS = 4  # in which every contact's chances come from models that had not seen its customer
# Of the chance of an order: some five in a hundred of the silent order, so that trees must be few and small.
RESPONSE = Trees(trees=100, num_leaves=8, learning_rate=0.05, min_data_in_leaf=100, feature_fraction=0.4)
PENALTY = 0.003  # C of the logistic beside them; the simulated shop, 32,000 contacts, 2026-11-25
# A leaning must be as many standard errors from none. Two are looked at: 2.24 is .025 of either by the normal
# distribution; of 200 simulated draws of 3,000 contacts all moved alike 2.3 was passed by 4 % (2026-11-25).
SURE = 2.3
CHANNELS_DIFFER = 0.01  # chance with which channels that are alike may be told apart
FURTHEST = 3.0  # standard deviations of the leaning beyond which nothing was seen
Z = 1.959964  # of 95 %


class Moved(NamedTuple):
    """What is said of customers: alone (n,), and by arm (n, n_arms) the effect with its 95 % interval."""

    p_without: Matrix
    effect: Matrix
    low: Matrix
    high: Matrix


@dataclass(frozen=True)
class Arm:
    """One offer over one channel: what it does on average, and what that stands on."""

    offer: str
    channel: str
    evidence: str  # randomised or observed
    effect: float  # of those it could have been drawn for
    error: float  # its standard error
    size: float  # the effect in which leaning is counted; positive
    n: int  # contacts
    n_alone: int  # left alone beside them


@dataclass(frozen=True)
class Leaning:
    """How effects differ between customers: ``slope`` sizes per unit of the leaning, centred and scaled."""

    kind: str
    slope: float = 0.0
    error: float = 0.0
    centre: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Response:
    """The chance of an order within the window, from trees and a logistic that also read which offer was made."""

    trees: lgb.Booster
    logistic: Linear
    n_offers: int

    @classmethod
    def fit(cls, drawn: Drawn) -> "Response":
        names = [*drawn.names, *(f"offer {n}" for n in range(len(drawn.offers)))]
        rows = np.hstack([drawn.x, drawn.flags[:, 1:]])
        trees = fit_trees(rows, drawn.y, "binary", names, sized=RESPONSE)
        return cls(trees, Linear.logistic(rows, drawn.y, PENALTY), len(drawn.offers))

    def wish(self, x: Matrix) -> Matrix:
        """Give the log-odds of an order of who is left alone, (n,), but for a shift common to all."""
        rows = np.hstack([x, np.zeros((len(x), self.n_offers))])
        return (raw_score(self.trees, rows) + self.logistic.predict(rows)) / 2


@dataclass(frozen=True)
class Effects:
    """Mean effects by arm, their leaning, and the chance of who is left alone."""

    features: tuple[str, ...]
    arms_: tuple[Arm, ...]
    window_days: int
    response: Response
    alone: tuple[float, float]  # shift and slope from ``wish`` to log-odds
    leaning: Leaning
    trees: lgb.Booster | None = None  # of the leaning, where it is theirs

    @property
    def arms(self) -> tuple[tuple[str, str], ...]:
        """Name the columns of an answer: offer and channel."""
        return tuple((arm.offer, arm.channel) for arm in self.arms_)

    @property
    def evidence(self) -> tuple[str, ...]:
        """Tell of each arm whether its effect was randomised or only observed."""
        return tuple(arm.evidence for arm in self.arms_)

    def summary(self) -> dict[str, Any]:
        """Say what was found, as reports show it: the mean effect of each arm with its interval, and the leaning."""
        arms = [
            {"low": arm.effect - Z * arm.error, "high": arm.effect + Z * arm.error}
            | {name: getattr(arm, name) for name in ("offer", "channel", "evidence", "effect", "n", "n_alone")}
            for arm in self.arms_
        ]
        return {"window_days": self.window_days, "leaning": self.leaning.kind, "arms": arms}

    @classmethod
    def fit(cls, drawn: Drawn) -> "Effects":
        """Learn from contacts that were drawn; customers may stand in several."""
        fold, wish = folds(drawn.customer, FOLDS, 0), np.empty(len(drawn.y))
        for nth in range(FOLDS):
            wish[fold == nth] = Response.fit(drawn.of(fold != nth)).wish(drawn.x[fold == nth])
        alone, expected = _calibrated(wish, drawn)
        means = shared(mean_effects(drawn, expected))
        sizes = np.maximum(means.value, means.error)
        residual = Residual.of(drawn, expected, means.value, sizes)
        leaning, booster = _lean(drawn, residual, wish)
        factors = _channels(drawn, expected, means.value)
        arms = _arms(drawn, means, sizes, factors)
        return cls(drawn.names, arms, drawn.window_days, Response.fit(drawn), alone, leaning, booster)

    def predict(self, columns: Mapping[str, Matrix]) -> Moved:
        """Answer from the columns of ``features``."""
        x = np.column_stack([np.asarray(columns[name], np.float64) for name in self.features])
        wish = self.response.wish(x)
        p = expit(self.alone[0] + self.alone[1] * wish)
        lean = self._lean(x, wish)
        mean, error, size = (
            np.array([getattr(arm, name) for arm in self.arms_]) for name in ("effect", "error", "size")
        )
        effect = mean + size * (self.leaning.slope * lean)[:, None]
        half = Z * np.sqrt(error**2 + (size * (self.leaning.error * lean)[:, None]) ** 2)
        within = [np.clip(e, -p[:, None], 1 - p[:, None]) for e in (effect, effect - half, effect + half)]
        return Moved(p, *within)

    def _lean(self, x: Matrix, wish: Matrix) -> Matrix:
        if self.leaning.kind == ALIKE:
            return np.zeros(len(x))
        found = wish if self.trees is None else raw_score(self.trees, x)
        return np.clip((found - self.leaning.centre) / self.leaning.scale, -FURTHEST, FURTHEST)

    def save(self, folder: Path) -> None:
        save_trees(self.response.trees, folder / "effects_response.txt")
        self.response.logistic.save(folder / "effects_response.npz")
        if self.trees is not None:
            save_trees(self.trees, folder / "effects_leaning.txt")
        saved = {"features": list(self.features), "window_days": self.window_days, "alone": list(self.alone)}
        told: dict[str, Any] = {"arms": [asdict(arm) for arm in self.arms_], "leaning": asdict(self.leaning)}
        told |= {"n_offers": self.response.n_offers}
        (folder / "effects.json").write_text(json.dumps(saved | told, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Effects":
        saved = json.loads((folder / "effects.json").read_text(encoding="utf-8"))
        leaning = Leaning(**saved["leaning"])
        response = Response(
            load_trees(folder / "effects_response.txt"),
            Linear.load(folder / "effects_response.npz"),
            saved["n_offers"],
        )
        arms = tuple(Arm(**arm) for arm in saved["arms"])
        booster = load_trees(folder / "effects_leaning.txt") if leaning.kind == TREES else None
        shift, slope = saved["alone"]
        return cls(tuple(saved["features"]), arms, saved["window_days"], response, (shift, slope), leaning, booster)


def _calibrated(wish: Matrix, drawn: Drawn) -> tuple[tuple[float, float], Matrix]:
    """Fit the chance of an order by ``wish`` and offer; give shift and slope of who is left alone, and all chances."""
    model = LogisticRegression(C=1e3, max_iter=500, tol=1e-6)
    model.fit(np.column_stack([wish, drawn.flags[:, 1:]]), drawn.y)
    slope, *offers = model.coef_[0]
    shifts = float(model.intercept_[0]) + np.array([0.0, *offers])
    return (float(shifts[0]), float(slope)), np.asarray(expit(shifts + slope * wish[:, None]))


def _lean(drawn: Drawn, residual: Residual, wish: Matrix) -> tuple[Leaning, lgb.Booster | None]:
    """Choose how effects lean on customers: what follows them most surely on customers it had not seen, or nothing."""
    fold, said = folds(drawn.customer, FOLDS, 1), np.empty(len(wish))
    for nth in range(FOLDS):
        said[fold == nth] = raw_score(_leaning_trees(drawn, residual, fold != nth), drawn.x[fold == nth])
    found = {}
    for kind, lean in ((WISH, wish), (TREES, said)):
        centre, scale = float(lean.mean()), float(lean.std()) or 1.0
        slope, error = residual.leaning(np.clip((lean - centre) / scale, -FURTHEST, FURTHEST))
        found[kind] = Leaning(kind, slope, error, centre, scale)
    best = max(
        found.values(), key=lambda one: abs(one.slope) / one.error if one.kind == WISH else one.slope / one.error
    )
    if (sureness := abs(best.slope) / best.error) < SURE or (best.kind == TREES and best.slope < 0):
        return Leaning(ALIKE), None
    # What was chosen for being high is a little too high: the James-Stein share of it is kept.
    kept = Leaning(best.kind, best.slope * (1 - 1 / sureness**2), best.error, best.centre, best.scale)
    everyone = np.ones(len(wish), np.bool_)
    return kept, _leaning_trees(drawn, residual, everyone) if best.kind == TREES else None


def _leaning_trees(drawn: Drawn, residual: Residual, who: NDArray[np.bool_]) -> lgb.Booster:
    """Learn what a customer's effect is above the mean, in sizes, as trees see it."""
    who = who & (np.abs(residual.scale) > 1e-9)
    scale = residual.scale[who]
    weight = residual.weight[who] * scale**2
    target = residual.left[who] / scale
    return fit_trees(drawn.x[who], target, "regression", drawn.names, weight=weight / weight.mean(), sized=SMALL)


def _channels(drawn: Drawn, expected: Matrix, means: Matrix) -> dict[str, tuple[float, float]]:
    """Give by channel its factor on every offer's effect; one for all where they may well be alike."""
    residual = Residual.of(drawn, expected, np.zeros(len(means)), means)
    found = channel_factors(drawn.channel, residual)
    value, error = (np.array([pair[n] for pair in found.values()]) for n in range(2))
    if len(found) < 2 or (error <= 0).any():
        return {}
    weight = 1 / error**2
    beyond = (weight * (value - (weight * value).sum() / weight.sum()) ** 2).sum()
    if chi2.sf(beyond, len(found) - 1) > CHANNELS_DIFFER:
        return {}
    n = np.array([(drawn.channel == name).sum() for name in found])
    middle = (n * value).sum() / n.sum()
    return {name: (factor / middle, wrong / middle) for name, (factor, wrong) in found.items()} if middle > 0 else {}


def _arms(drawn: Drawn, means: Estimate, sizes: Matrix, factors: dict[str, tuple[float, float]]) -> tuple[Arm, ...]:
    arms = []
    for nth, offer in enumerate(drawn.offers):
        for channel in sorted(set(drawn.channel[drawn.arm == nth + 1].tolist())):
            factor, wrong = factors.get(channel, (1.0, 0.0))
            here = drawn.channel == channel
            could = here & (drawn.chance[:, nth + 1] > 0) & (drawn.arm == 0)
            value, error = float(means.value[nth]), float(means.error[nth])
            spread = float(np.hypot(error * factor, value * wrong))
            n, n_alone = int((here & (drawn.arm == nth + 1)).sum()), int(could.sum())
            size = float(sizes[nth] * max(factor, 0.0))
            arms.append(Arm(offer, channel, drawn.evidence[nth], value * factor, spread, size, n, n_alone))
    return tuple(arms)
