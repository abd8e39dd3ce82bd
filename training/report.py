"""A report as people read it: each figure of ours beside its baselines."""

from collections.abc import Sequence
from typing import Any

NAMES = {
    "okaeri": "Okaeri",
    "bg_nbd": "BG/NBD",
    "rfm_logistic": "RFM logistic",
    "recency_rule": "recency rule",
    "own_gap": "own mean gap",
    "p_alive": "P(alive)",
    "silence_ratio": "silence over own gap",
    "age_rates": "rates by age",
    "bg_nbd_gamma_gamma": "BG/NBD + Gamma-Gamma",
    "last_quarter": "last 91 days again",
    "personal_frequency": "personal frequency",
    "als": "ALS alone",
    "popular": "most popular",
    "ease": "EASE",
    "up_cf": "UP-CF",
    "tifu_knn": "TIFU-KNN",
    "g_topfreq": "G-TopFreq",
    "p_topfreq": "P-TopFreq",
    "gp_topfreq": "GP-TopFreq",
    "everyone": "everyone",
    "highest_churn_first": "highest churn first",
    "response_model": "response model",
    "best_rule": "best rule of one column",
    "constant": "one effect for everyone",
    "s_trees": "S-learner, trees",
    "t_trees": "T-learner, trees",
    "x_trees": "X-learner, trees",
    "dr_trees": "DR-learner, trees",
    "xdr_trees": "X and DR, trees",
    "s_linear": "S-learner, linear",
    "t_linear": "T-learner, linear",
    "x_linear": "X-learner, linear",
    "dr_linear": "DR-learner, linear",
    "xdr_linear": "X and DR, linear",
}

LEANINGS = {
    "alike": "no reliable heterogeneity; one effect for everyone",
    "wish": "they change with the chance of an order without a message",
    "trees": "they differ between customers by what is known of them",
}


def shown(rows: Sequence[dict[str, Any]], skipped: Sequence[str]) -> str:
    """Write a report as text: a line per question and figure, ours first, 95 % intervals in brackets."""
    lines = []
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in ("question", "cutoff", "slice", "metric")), []).append(row)
    for (question, cutoff, part, metric), group in groups.items():
        figures = "; ".join(_figure(row) for row in group)
        who = "" if part == "all" else f", {part}"
        lines.append(f"{question} {cutoff} {metric:<16} {figures}  (n {group[0]['n']:,}{who})")
    return "\n".join([*lines, *(f"not judged: {reason}" for reason in skipped)])


def shown_effects(effects: dict[str, Any] | None, why_not: str) -> str:
    """Write what contacts do as text: a line per offer and channel, in points of the chance of an order."""
    if effects is None:
        return f"effects of contacts: none learnt: {why_not}"
    lines = [
        f"effect {arm['offer']} {arm['channel']}: {100 * arm['effect']:+.1f} points"
        f" [{100 * arm['low']:+.1f}, {100 * arm['high']:+.1f}] within {effects['window_days']} days"
        f"  ({arm['evidence']}; {arm['n']:,} sent, {arm['n_alone']:,} left alone)"
        for arm in effects["arms"]
    ]
    return "\n".join([*lines, f"effects of contacts: {LEANINGS[effects['leaning']]}"])


def _figure(row: dict[str, Any]) -> str:
    name = NAMES.get(row["method"], row["method"])
    if row["value"] is None:
        return f"{name} -"
    interval = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
    return f"{name} {row['value']:.3f}{interval if row['method'] == 'okaeri' else ''}"
