"""How far tonight's customers are from those a release was made for: the population stability index.

Reference: Siddiqi (2006), "Credit Risk Scorecards", chapter 8: below .10 no change, above .25 a considerable one.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import catalog
from features.errors import Refused

Matrix = NDArray[np.float64]
Reference = Mapping[str, Sequence[float]]

BINS = 10
LEAST_SHARE = 1e-4  # an empty bin counts as a ten-thousandth, so that one customer in it is no alarm
CONSIDERABLE = 0.25
SAMPLE = 50_000  # customers compared at night, evenly spaced: of a million, 0.3 CPU-s for all inputs (2026-11-24)
LARGEST = 10  # inputs listed
# A publish is refused above this share of inputs that drifted considerably, those left out that always do (`restless`).
# Right nights of two shops have .022 within 90 days of a training, .036 after four months; what is caught of planted
# faults has .072 and more (ARCHITECTURE.md, 2026-11-24).
SHARE_AT_MOST = 0.05
# Share of customers alike in an input, at most, for it to have told them apart; where all are alike tonight, its column
# is gone. Only of order lines: that no message went out for a month is a plan, not a fault (2026-11-24).
ALIKE = 0.9
# With fewer customers nothing can be told from chance: of two draws of the same exponential law the index is above .25
# in 86 of 100 cases with 40 customers each, in 5 with 150, in .5 with 200, in none with 300 (2026-11-25).
FEWEST_COMPARED = 200


def reference(values: Matrix) -> dict[str, list[float]]:
    """Sum up one feature as shares of customers: below each of its deciles, and without a value.

    Returns
    -------
    dict
        ``edges`` (ascending, distinct, at most nine) and ``shares`` (one more than edges, then that of NaN; sum 1).

    >>> reference(np.array([1.0, 1.0, 2.0, np.nan]))
    {'edges': [1.0], 'shares': [0.5, 0.25, 0.25]}
    """
    known = values[~np.isnan(values)]
    quantiles = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1], method="lower") if len(known) else known
    edges = np.unique(quantiles[quantiles < known.max()]) if len(known) else known
    return {"edges": edges.tolist(), "shares": _shares(values, edges).tolist()}


def psi(before: Reference, values: Matrix) -> float:
    """Give the population stability index of a feature against its reference, >= 0.

    >>> told = reference(np.arange(100.0))
    >>> psi(told, np.arange(100.0)), psi(told, np.arange(100.0) + 1000) > 5
    (0.0, True)
    """
    expected = np.maximum(np.asarray(before["shares"], np.float64), LEAST_SHARE)
    found = np.maximum(_shares(values, np.asarray(before["edges"], np.float64)), LEAST_SHARE)
    return float(((found - expected) * np.log(found / expected)).sum())


def _shares(values: Matrix, edges: Matrix) -> Matrix:
    known = ~np.isnan(values)
    counts = np.bincount(np.searchsorted(edges, values[known], side="left"), minlength=len(edges) + 1)
    return np.append(counts, (~known).sum()) / max(1, len(values))


def moves(before: Mapping[str, Reference], columns: Mapping[str, Matrix]) -> dict[str, float]:
    """Give the population stability index of every input that there still is."""
    return {name: psi(one, columns[name]) for name, one in before.items() if name in columns}


def drift(
    before: Mapping[str, Reference],
    restless: Collection[str],
    columns: Mapping[str, Matrix],
    who: NDArray[np.intp],
) -> dict[str, Any]:
    """Compare tonight's customers with those of a release's reference, input by input.

    Parameters
    ----------
    before, restless
        The release's references by input, and the inputs that drift considerably whatever happens: a shop's
        oldest customers grow older every day.
    columns, who
        Tonight's features, and the positions of those to compare; of more than :data:`SAMPLE` as many are taken,
        evenly spaced.

    Returns
    -------
    dict
        ``n`` compared, ``inputs`` that settle, ``considerable`` (how many of them drifted), ``share``, ``gone``
        (told customers apart and no longer do) and ``largest`` (index by input, the ten largest).
    """
    chosen = who[np.linspace(0, max(0, len(who) - 1), min(len(who), SAMPLE)).astype(np.intp)]
    taken = {name: columns[name][chosen] for name in before if name in columns}
    found = {name: value for name, value in moves(before, taken).items() if name not in restless}
    far = sum(value > CONSIDERABLE for value in found.values())
    largest = sorted(found, key=lambda name: (-found[name], name))[:LARGEST]
    return {
        "n": len(chosen),
        "inputs": len(found),
        "considerable": far,
        "share": round(far / max(1, len(found)), 4),
        "gone": [name for name in found if _is_gone(name, before[name], taken[name])],
        "largest": {name: round(found[name], 4) for name in largest},
    }


def _is_gone(name: str, before: Reference, values: Matrix) -> bool:
    if catalog.CATALOG[name].needs != "order_lines" or max(before["shares"]) > ALIKE or not len(values):
        return False
    return bool(np.isnan(values).all() or (values == values[0]).all())


def expect_familiar(found: Mapping[str, Any]) -> None:
    """Stop where tonight's customers are hardly those the release was made for: most often a file is wrong.

    Below ``FEWEST_COMPARED`` customers it is told, not judged.

    Raises
    ------
    Refused
        With the inputs that are gone, or that drifted furthest.
    """
    if found["n"] < FEWEST_COMPARED:
        return
    ask = "Is a file short, doubled or in another unit? Look, train again, or give --force if it is right"
    if found["gone"]:
        raise Refused(
            f"the same for all customers now, and not when the release was trained: {_named(found['gone'])}. {ask}"
        )
    if found["share"] > SHARE_AT_MOST:
        far = _named([f"{name} ({value:.2f})" for name, value in found["largest"].items() if value > CONSIDERABLE])
        raise Refused(
            f"{found['considerable']} of {found['inputs']} inputs are spread otherwise than when the release was"
            f" trained ({found['share']:.2%}, at most {SHARE_AT_MOST:.0%}; stability index): {far}. {ask}"
        )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
