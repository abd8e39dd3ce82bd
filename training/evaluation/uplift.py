"""Whom a contact moves, judged on a randomised experiment: every customer scored by models that had not seen them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.rows import EVERYONE, POOLED, Figure, Matrix, Row
from training.evaluation.uplift_metrics import auuc, qini, uplift_at_30pct
from training.experiment import Coding, Experiment
from training.models.uplift import CONSTANT, LEARNERS, RULE, Flags, Part, best_rule, choose, folds, learn, places

QUESTION, OURS, RANDOM = "uplift", "okaeri", "random"
METRICS = {"qini": qini, "auuc": auuc, "uplift_at_30pct": uplift_at_30pct}
GAIN = "uplift_at_30pct_gain_over_rule"
# Half of Hillstrom, women's mail, X and DR on linear models: uplift at 30 % moved by .007 from six repeats to six more;
# ten of four cost 46 CPU-s for 21,400 customers (2026-11-25).
REPEATS, FOLDS = 10, 4


@dataclass(frozen=True)
class Scored:
    """What was said of an experiment's customers, and how: by method their mean place (n,), and what was chosen."""

    said: Mapping[str, Matrix]
    chosen: tuple[str, ...]  # ours, by training part
    rules: tuple[str, ...]  # the best rule in words, by training part


def judge_uplift(experiment: Experiment, repeats: int = REPEATS) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Judge each arm against the control, then all arms as one; give the figures and what must be said of them.

    Parameters
    ----------
    repeats : int
        How often the customers are split into ``FOLDS``; a customer's place is the mean over them.
    """
    rows: list[Row] = []
    notes: list[str] = []
    arms = experiment.arms
    for arm in arms if len(arms) == 1 else [*arms, EVERYONE]:
        who = np.isin(experiment.arm, arms if arm == EVERYONE else [arm]) | (experiment.arm == experiment.control)
        found, note = _judge_arm(_only(experiment, who), arm, repeats)
        rows += found
        notes.append(note)
        if len(arms) == 1:
            rows += [Row(**{**vars(row), "slice": EVERYONE}) for row in found]
    return tuple(rows), tuple(notes)


def _only(experiment: Experiment, who: Flags) -> Experiment:
    inputs = experiment.inputs[who].reset_index(drop=True)
    return Experiment(inputs, experiment.arm[who], experiment.outcome[who], experiment.control)


def _judge_arm(experiment: Experiment, arm: str, repeats: int) -> tuple[list[Row], str]:
    scored, truth = cross_fitted(experiment, repeats), (experiment.outcome, experiment.arm != experiment.control)
    place = {name: _as_places(score) for name, score in scored.said.items()}
    customers = np.arange(len(experiment.outcome))
    figures = [
        Figure(QUESTION, method, POOLED, arm, name, metric, (*truth, place[method]), customers)
        for name, metric in METRICS.items()
        for method in place
    ]
    gain = Figure(QUESTION, OURS, POOLED, arm, GAIN, _gain, (*truth, place[OURS], place[RULE]), customers)
    rows = [figure.row() for figure in (*figures, gain)]
    return rows, _note(arm, rows, scored)


def _as_places(score: Matrix) -> NDArray[np.intp]:
    """Order the customers as whole numbers; means that differ by rounding alone are one."""
    return np.asarray(np.unique(np.round(score, 9), return_inverse=True)[1], np.intp)


def _gain(outcome: Matrix, treated: Flags, ours: NDArray[np.intp], rule: NDArray[np.intp]) -> float:
    return uplift_at_30pct(outcome, treated, ours) - uplift_at_30pct(outcome, treated, rule)


def cross_fitted(experiment: Experiment, repeats: int = REPEATS) -> Scored:
    """Score every customer by what was learnt from the other folds, the mean over repeated splits.

    A score is the place among all customers by the same model's scores: effects themselves, averaged over
    splits, would tell a customer's own outcome, since who did much lowers what the others are found to do.
    """
    said = {name: np.zeros(len(experiment.outcome)) for name in (OURS, RULE, CONSTANT, RANDOM, *LEARNERS)}
    treated, chosen, rules = experiment.arm != experiment.control, [], []
    for repeat in range(repeats):
        fold = folds(treated, FOLDS, seed=repeat)
        for nth in range(FOLDS):
            found = _one_split(experiment, treated, fold != nth, repeat)
            chosen.append(found.chosen[0])
            rules.append(found.rules[0])
            for name, place in found.said.items():
                said[name][fold == nth] += place[fold == nth] / repeats
    return Scored(said, tuple(chosen), tuple(rules))


def _one_split(experiment: Experiment, treated: Flags, seen: Flags, seed: int) -> Scored:
    """Learn from those seen; the places of all."""
    coding = Coding.learn(experiment.inputs[seen])
    everyone = Part(coding.matrix(experiment.inputs), treated, experiment.outcome)
    part, same = everyone.of(seen), np.full(len(treated), 0.5)
    rule, chosen = best_rule(part), choose(part, seed)
    said = {name: places(score(everyone.x)) for name, score in learn(part).items()}
    said |= {RULE: places(rule.score(everyone.x)) if rule else same, CONSTANT: same}
    said[RANDOM] = places(np.random.default_rng([seed, 1]).random(len(treated)))
    words = rule.words(coding.names) if rule else "none"
    return Scored({OURS: said[chosen], **said}, (chosen,), (words,))


def _note(arm: str, rows: list[Row], scored: Scored) -> str:
    """Say whether there is heterogeneity to act on, and whether it takes more than a rule."""
    found = {(row.method, row.metric): row for row in rows}
    ours, gain, effect = found[OURS, "qini"], found[OURS, GAIN], found[CONSTANT, "uplift_at_30pct"]
    something = tuple(name for name in scored.chosen if name != CONSTANT)
    n_found, n_parts = len(something), len(scored.chosen)
    how = f"in {n_found} of {n_parts} training parts something beat one effect for everyone"
    if 2 * n_found <= n_parts or not ours.low > 0:
        return f"{arm}: no reliable heterogeneity ({how}); do not choose by it: the mean effect is {_interval(effect)}"
    is_more = "reliably more" if gain.low > 0 else "not reliably more"
    return (
        f"{arm}: reliable heterogeneity ({how}: {_counted(something)}); at 30 % {is_more} than the best rule "
        f"({_counted(scored.rules)}): {_interval(gain, '+')}"
    )


def _interval(row: Row, sign: str = "") -> str:
    return f"{row.value:{sign}.3f} [{row.low:{sign}.3f}, {row.high:{sign}.3f}]"


def _counted(names: tuple[str, ...]) -> str:
    """Name the three most common with how often."""
    return ", ".join(f"{name} {n}" for name, n in Counter(names).most_common(3))
