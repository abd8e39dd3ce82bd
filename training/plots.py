"""The three pictures of a churn model: is it calibrated, how much better than chance, how much it finds."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

BINS = 10
INK, GUIDE = "#1f4e79", "#767676"  # readable in print and by the colour-blind


def churn_plots(truth: Matrix, predicted: Matrix) -> dict[str, Figure]:
    """Draw calibration, lift and gain of held-back predictions; nothing where nothing was judged."""
    if not len(truth):
        return {}
    order = np.argsort(-predicted, kind="stable")
    found = np.cumsum(truth[order]) / max(truth.sum(), 1.0)
    share = np.arange(1, len(truth) + 1) / len(truth)
    return {
        "calibration": _calibration(truth, predicted),
        "gain": _curve(
            share, found, share, "Customers written to, highest risk first", "Share of leavers found", "Gain"
        ),
        "lift": _curve(
            share,
            found / share,
            np.ones_like(share),
            "Customers written to, highest risk first",
            "Times the average",
            "Lift",
        ),
    }


def _calibration(truth: Matrix, predicted: Matrix) -> Figure:
    groups = np.array_split(np.argsort(predicted, kind="stable"), BINS)
    said = [predicted[g].mean() for g in groups if len(g)]
    happened = [truth[g].mean() for g in groups if len(g)]
    figure, axes = _canvas("Predicted probability", "Share that did not come back", "Calibration, ten equal groups")
    top = max(*said, *happened) * 1.05
    axes.plot([0, top], [0, top], color=GUIDE, linestyle="--", label="perfect")
    axes.plot(said, happened, color=INK, marker="o", label="okaeri")
    axes.legend(frameon=False)
    return figure


def _curve(x: Matrix, y: Matrix, guide: Matrix, x_label: str, y_label: str, title: str) -> Figure:
    figure, axes = _canvas(x_label, y_label, title)
    axes.plot(x, guide, color=GUIDE, linestyle="--", label="by chance")
    axes.plot(x, y, color=INK, label="okaeri")
    axes.legend(frameon=False)
    return figure


def _canvas(x_label: str, y_label: str, title: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(5, 4), layout="tight")
    axes = figure.subplots()
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
