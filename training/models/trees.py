"""LightGBM as this project uses it: fixed seeds and threads, text as the only truth, arrays in."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from training.models.parameters import TREES, Trees

Matrix = NDArray[np.float64]

FIXED: dict[str, Any] = {
    "bagging_freq": 1,
    "seed": 0,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,  # 1,500 rows: .09 CPU-s; two threads on a busy machine spin for 2-24 (2026-11-21), same trees
    "verbosity": -1,
}


def fit_trees(
    x: Matrix,
    y: Matrix,
    objective: str | Callable[..., Any],
    names: Sequence[str],
    *,
    offset: Matrix | None = None,
    weight: Matrix | None = None,
    rising: Sequence[str] = (),
    sized: Trees = TREES,
    **more: Any,
) -> lgb.Booster:
    """Fit a booster; ``rising`` names inputs in which the prediction may only rise, ``offset`` its start.

    ``weight`` is what a row counts, shape (n,).
    """
    monotone = [1 if name in rising else 0 for name in names]
    size = {name: getattr(sized, name) for name in Trees.model_fields if name != "trees"}
    parameters = FIXED | size | {"objective": objective, "monotone_constraints": monotone} | more
    data = lgb.Dataset(x, y, weight=weight, init_score=offset, feature_name=list(names), params={"verbosity": -1})
    return lgb.train(parameters, data, sized.trees)


def raw_score(booster: lgb.Booster, x: Matrix) -> Matrix:
    """Give the booster's raw score, shape (n,), on one thread (two on a busy machine cost 60 ms a row)."""
    return np.asarray(booster.predict(x, raw_score=True, num_threads=1), np.float64)


def contributions(booster: lgb.Booster, x: Matrix) -> Matrix:
    """Give exact TreeSHAP contributions to the raw score, shape (n, k)."""
    return np.asarray(booster.predict(x, pred_contrib=True, num_threads=1), np.float64)[:, :-1]


def save_trees(booster: lgb.Booster, path: Path) -> None:
    """Write the booster as LightGBM text."""
    path.write_text(booster.model_to_string(num_iteration=-1), encoding="utf-8")


def load_trees(path: Path) -> lgb.Booster:
    """Read a booster. Only call it on a file whose checksum was verified: LightGBM dies on a damaged one."""
    return lgb.Booster(model_str=path.read_text(encoding="utf-8"))
