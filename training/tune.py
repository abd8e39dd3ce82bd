"""How one model is best set: settings tried at rolling cut-offs before those by which anything is judged later."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import yaml

from features.calendar import day_number
from features.door.mapping import nearest
from features.errors import BadInput, Refused
from features.shop import Shop
from training import metrics
from training.baselines import columns_of
from training.dataset import Past
from training.evaluation.measures import measures
from training.fitting import (
    active_rows,
    fit_churn,
    fit_inputs,
    fit_next_purchase,
    fit_value,
    silent,
    too_small,
    window_days,
)
from training.models.held import Held
from training.models.inputs import Inputs
from training.models.parameters import AS_FOUND, Parameters, Trees
from training.splits import STEP_DAYS

Progress = Callable[[str], None]

CUTOFFS = 3  # contracts.md, section 6: a backtest is over at least three cut-offs
SEED = 0
BLOCKS = {"churn": "churn", "next-purchase": "next_purchase", "value": "value"}
FITS: dict[str, Callable[[Past, Inputs, int], Any]] = {
    "churn": fit_churn,
    "next-purchase": fit_next_purchase,
    "value": fit_value,
}
# What is made small: a proper score for churn (it sees calibration as well as order), days of error, and rank.
AIMS = {"churn": "log_loss", "next-purchase": "mae_days", "value": "spearman"}


@dataclass(frozen=True)
class Stage:
    """One cut-off: whom the settings are judged on, and what every model reads."""

    day: int
    frame: pd.DataFrame
    inputs: Inputs


@dataclass(frozen=True)
class Tuned:
    """The best settings found, beside the shipped ones, by the mean over the cut-offs; less is better throughout."""

    question: str
    cutoffs: tuple[str, ...]
    aim: str
    shipped: float
    best: float
    settings: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Give what is told."""
        told = {"cutoffs": ", ".join(self.cutoffs), "aim": self.aim, "shipped": self.shipped, "best": self.best}
        return told | {"settings": self.settings}


def tune(shop: Shop, until: int, question: str, trials: int, say: Progress = lambda text: None) -> Tuned:
    """Try ``trials`` settings, the shipped ones first, and give the best.

    The sampler is seeded and everything runs on one thread: the same shop gives the same settings.

    Raises
    ------
    BadInput
        If the question has no settings, or optuna is not installed.
    Refused
        If the history is too short for three cut-offs before the held-back ones.
    """
    if question not in BLOCKS:
        raise BadInput(f"{question}: nothing to set{nearest(question, list(BLOCKS))}")
    optuna = _optuna()
    past = Past(shop, until)
    days = cutoffs(past, until, question)
    dates = tuple(str(shop.calendar.date(day)) for day in days)
    say(f"judging at {', '.join(dates)}")
    found = getattr(AS_FOUND, BLOCKS[question])
    stages = [_stage(past, question, day) for day in days]
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=SEED))
    study.enqueue_trial(found.model_dump(mode="json"))

    def objective(trial: Any) -> float:
        settings = type(found)(**_suggested(trial, found))
        past.parameters = Parameters(**{BLOCKS[question]: settings})
        score = float(np.mean([_score(past, question, stage) for stage in stages]))
        say(f"{trial.number + 1} of {trials}: {AIMS[question]} {score:.5f}")
        return score

    study.optimize(objective, n_trials=trials, n_jobs=1)
    best = study.best_trial
    settings = type(found)(**best.params).model_dump(mode="json")
    return Tuned(question, dates, AIMS[question], round(study.trials[0].value, 6), round(best.value, 6), settings)


def as_yaml(found: Tuned) -> str:
    """Write the settings as ``okaeri train --parameters`` takes them."""
    figures = f"{found.aim} {found.best} against {found.shipped} as shipped"
    head = f"# {found.question}: {figures}; cut-offs {', '.join(found.cutoffs)}\n"
    return head + yaml.safe_dump({BLOCKS[found.question]: found.settings}, sort_keys=False)


def cutoffs(past: Past, until: int, question: str) -> tuple[int, ...]:
    """Place three cut-offs whose outcomes are known before the first day that anything is judged at later.

    Raises
    ------
    Refused
        If the history is too short.
    """
    predict, window = past.shop.mapping.predict, window_days(question, past.horizon)
    named = [*predict.cutoffs, *([predict.untouched_cutoff] if predict.untouched_cutoff else [])]
    end = min([until - window, *map(day_number, named)])
    days = tuple(end - window - STEP_DAYS * n for n in reversed(range(CUTOFFS)))
    if why := too_small(past, days[0]):
        date = past.shop.calendar.date
        raise Refused(f"{past.shop.name}: judging begins on {date(end)}, too early for tuning before: {why}")
    return days


def _stage(past: Past, question: str, day: int) -> Stage:
    """Gather what stays the same whatever is tried."""
    frame = past.rows([day], day + window_days(question, past.horizon))
    if question != "value":
        frame = active_rows(frame, past.shop)
    return Stage(day, frame, fit_inputs(past, day))


def _score(past: Past, question: str, stage: Stage) -> float:
    """Fit on what was known at the cut-off, and score what came."""
    held = Held(question, stage.day, stage.inputs, FITS[question](past, stage.inputs, stage.day))
    said = held.say(columns_of(stage.frame, stage.inputs.features))
    if question == "churn":
        return metrics.log_loss(silent(stage.frame), said["probability"])
    measure = measures(question, past.horizon)[AIMS[question]]
    value = measure.metric(*measure.outcome(stage.frame), *(said[word] for word in measure.says))
    return -value if measure.more_is_better else value


def _suggested(trial: Any, found: Trees) -> dict[str, Any]:
    """Draw settings around the shipped ones, within what may be served."""
    drawn = {
        "trees": trial.suggest_int("trees", 50, 150, step=10),
        "num_leaves": trial.suggest_int("num_leaves", 4, 31),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 20, 300, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.1, 1.0),
        "bagging_fraction": trial.suggest_float("bagging_fraction", 0.4, 1.0),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100.0, log=True),
    }
    if "penalty" in type(found).model_fields:
        drawn["penalty"] = trial.suggest_float("penalty", 1e-4, 1.0, log=True)
    return drawn


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise BadInput("optuna is not installed: pip install 'okaeri[tune]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
