"""The model card of a release: one page that needs nothing else, in the shop's language, always the same bytes."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from numpy.typing import NDArray

from features.shop import Shop
from training.card_words import METHODS_JA, WORDS, Language, words
from training.evaluation import Report
from training.gate import Finding, Verdict
from training.models.parameters import AS_FOUND
from training.release import Contents
from training.report import NAMES

Matrix = NDArray[np.float64]

BINS = 10
LEFT, RIGHT, TOP, BOTTOM = 60.0, 400.0, 20.0, 270.0  # of the drawing, in card.html's units


def card(shop: Shop, contents: Contents, verdict: Verdict, report: Report) -> str:
    """Write the card as HTML: what was learnt from, the figures beside their baselines, the gate, use and limits."""
    lang, models, facts = shop.mapping.language, contents.models, contents.facts
    return _template().render(
        lang=lang,
        w=words(lang),
        facts=facts,
        method=models.method,
        n=models.n,
        horizon_days=models.horizon_days,
        why_light=models.why_light,
        effects=models.effects.summary() if models.effects else None,
        why_no_effects=models.why_no_effects,
        n_features=len(models.scores.inputs.features) if models.scores else 0,
        older=[(part, shop.calendar.date(day)) for part, day in _older(facts)],
        changed=_changed(facts["parameters"]),
        figures=list(_figures(contents.report, lang)),
        skipped=report.skipped,
        curve=calibration_curve(*report.churn),
        verdict=verdict,
        findings=[_finding(finding, lang) for finding in verdict.findings],
    )


@cache
def _template() -> Template:
    source = Path(__file__).with_name("card.html").read_text("utf-8")
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(source)


def _older(facts: dict[str, Any]) -> list[tuple[str, int]]:
    return [(part, day) for part, day in facts["learnt_until"].items() if day != facts["trained_until"]]


def _changed(parameters: dict[str, dict[str, Any]]) -> list[tuple[str, Any]]:
    found = AS_FOUND.model_dump(mode="json")
    own = [(f"{block}.{name}", value) for block, some in parameters.items() for name, value in some.items()]
    return [(name, value) for name, value in own if found[name.split(".")[0]][name.split(".")[1]] != value]


def _figures(rows: Iterable[dict[str, Any]], lang: Language) -> Iterator[dict[str, Any]]:
    """Give a line per question, slice and figure: ours, and the baselines."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in ("question", "cutoff", "slice", "metric")), []).append(row)
    for (question, cutoff, part, metric), group in groups.items():
        by = {row["method"]: row for row in group}
        others = [f"{_name(method, lang)} {_number(row)}" for method, row in by.items() if method != "okaeri"]
        line = {"question": question, "cutoff": cutoff, "slice": part, "metric": metric, "n": group[0]["n"]}
        yield line | {"ours": _number(by["okaeri"]) if "okaeri" in by else "", "others": "; ".join(others)}


def _name(method: str, lang: Language) -> str:
    name = NAMES.get(method, method)
    return METHODS_JA.get(method, name) if lang == "ja" else name


def _number(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "-"
    interval = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{row['value']:.3f}{interval}"


def _finding(finding: Finding, lang: Language) -> dict[str, Any]:
    state = {True: "pass", False: "fail", None: "told"}[finding.passed]
    against = words(lang)[finding.against] if finding.against in WORDS else _name(finding.against, lang)
    shown = {"what": finding.what, "question": finding.question, "figure": finding.figure, "slice": finding.slice}
    return shown | {"against": against, "result": _result(finding), "state": state}


def _result(finding: Finding) -> str:
    if finding.value is None:
        return "-"
    if finding.low is None or finding.high is None:
        return f"{finding.value:.3f}"
    return f"{finding.value:+.3f} [{finding.low:+.3f}, {finding.high:+.3f}]"


def calibration_curve(truth: Matrix, predicted: Matrix) -> dict[str, Any] | None:
    """Place ten equal groups of customers on the drawing by what was predicted and what happened, if there are any."""
    if len(truth) < BINS:
        return None
    groups = np.array_split(np.argsort(predicted, kind="stable"), BINS)
    pairs = [(float(predicted[group].mean()), float(truth[group].mean())) for group in groups]
    top = max(max(pair) for pair in pairs) * 1.05 or 1.0
    dots = [_dot(said, happened, top) for said, happened in pairs]
    points = " ".join(f"{dot['x']},{dot['y']}" for dot in dots)
    return {"dots": dots, "points": points, "ticks": [_tick(share, top) for share in _rounded(top)]}


def _dot(said: float, happened: float, top: float) -> dict[str, str]:
    return {"x": _x(said / top), "y": _y(happened / top), "says": f"{said:.1%} / {happened:.1%}"}


def _rounded(top: float) -> Sequence[float]:
    """Give round shares from zero to below ``top``, about five of them.

    >>> _rounded(0.43)
    [0.0, 0.1, 0.2, 0.3, 0.4]
    """
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if top / step <= 6)
    return [round(step * n, 2) for n in range(int(top / step) + 1)]


def _tick(share: float, top: float) -> dict[str, str]:
    y = _y(share / top)
    return {"x": _x(share / top), "y": y, "y_text": f"{float(y) + 4:.1f}", "label": f"{share:.0%}"}


def _x(share: float) -> str:
    return f"{LEFT + share * (RIGHT - LEFT):.1f}"


def _y(share: float) -> str:
    return f"{BOTTOM - share * (BOTTOM - TOP):.1f}"
