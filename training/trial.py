"""A challenger examined on its held-back customers: by itself, beside its baselines, and against the champion."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from features import catalog
from training import metrics
from training.baselines import columns_of
from training.dataset import Past
from training.evaluation import Report
from training.evaluation.measures import measures
from training.evaluation.paired import gain, shown_gain
from training.evaluation.rows import EVERYONE, Matrix, Sample
from training.fitting import PRODUCT_DAYS, fit_recommender
from training.gate import Finding, Rules
from training.metrics import Interval
from training.release import Release
from training.season import COMING, learnt_span, unseen

PROMISED = 0.80  # of orders lie between p10 and p90
FEWEST_COVERED = 100  # customers whose dates are over: with fewer .10 off is chance (2 standard errors are .08)


def checks(rules: Rules, report: Report, past: Past) -> Iterator[Finding]:
    """Examine the judged models by themselves and beside their baselines."""
    for question, sample in report.samples.items():
        ours = sample.said["okaeri"]
        for says, values in ours.items():
            if not says.startswith("score"):  # a probability's other name
                yield _no_number(question, says, values)
        yield _same_score(rules, question, next(iter(ours.values())))
        yield from _beside_baselines(rules, question, sample)
    if (churn := report.samples.get("churn")) is not None:
        yield _calibration(rules, churn, past)
        for days in rules.checks.silence.days:
            yield _silence(rules, churn, past, days)
    if (order := report.samples.get("next-purchase")) is not None:
        yield _coverage(rules, order)


def _no_number(question: str, says: str, values: Matrix) -> Finding:
    n = int(np.isnan(values).sum())
    told = f"{question}: {n:,} of {len(values):,} customers without a {says}"
    return _checked("no_number", question, says, float(n), len(values), n == 0, told)


def _same_score(rules: Rules, question: str, values: Matrix) -> Finding:
    most, bound = float(np.unique(values, return_counts=True)[1].max() / len(values)), rules.checks.same_score_at_most
    told = f"{question}: the very same score for {most:.1%} of customers (at most {bound:.0%})"
    return _checked("same_score", question, "", most, len(values), most <= bound, told)


def _beside_baselines(rules: Rules, question: str, sample: Sample) -> Iterator[Finding]:
    compared = rules.questions.get(question)  # type: ignore[call-overload]
    if compared is None:
        return
    for what, asked in (("beats", compared.beats), ("never_below", compared.never_below)):
        for baseline, figures in asked.items():
            for figure in figures:
                found = _gain(rules, sample, figure, sample.said[baseline], EVERYONE)
                passed = found.low > 0 if what == "beats" else not found.high < 0
                yield _paired(what, sample, figure, EVERYONE, baseline, found, passed)


def _calibration(rules: Rules, sample: Sample, past: Past) -> Finding:
    """Compare the calibration error with the bound, and with what chance alone would make it."""
    (truth,) = measures("churn", sample.horizon_days)["ece"].outcome(sample.frame)
    said, bound = sample.said["okaeri"]["probability"], rules.checks.ece_at_most
    found = metrics.ece(truth, said)
    chance = max(bound, _ece_by_chance(said, rules.resamples))
    is_seen = _season_was_seen(past, sample.day)
    passed = True if found <= chance else (False if is_seen else None)
    season = "" if is_seen else "; the history has no window of this season a year before"
    told = f"churn: calibration error {found:.3f} (at most {chance:.3f}){season}"
    return _checked("calibration", "churn", "ece", found, len(said), passed, told)


def _ece_by_chance(said: Matrix, resamples: int) -> float:
    """Give the calibration error that a perfectly calibrated model stays below 95 times in 100."""
    draw = np.random.default_rng(0)
    return float(np.quantile([metrics.ece(draw.random(len(said)) < said, said) for _ in range(resamples)], 0.95))


def _season_was_seen(past: Past, day: int) -> bool:
    """Tell whether what is judged on ``day`` had learnt from the same season a year before."""
    return not unseen(learnt_span(past.shop, day, past.horizon), {COMING: (day, day + past.horizon)})


def _silence(rules: Rules, sample: Sample, past: Past, days: int) -> Finding:
    """Ask again some days later, nothing else having happened: the risk must not fall."""
    bounds, held = rules.checks.silence, sample.held
    assert held is not None  # as a report's samples have
    columns = columns_of(sample.frame, [feature.name for feature in catalog.available(past.shop.tables)])
    later = columns | catalog.derive(columns, float(sample.day + days), past.shop.tables)
    fell = sample.said["okaeri"]["probability"] - held.say(later)["probability"] > bounds.fall
    share = float(fell.mean())
    told = (
        f"churn: after {days} more days of silence the risk falls by more than {bounds.fall:.0%} points"
        f" for {share:.1%} of customers (at most {bounds.share_at_most:.0%})"
    ).replace("% points", " points")
    return _checked("silence", "churn", f"{days}d", share, len(fell), share <= bounds.share_at_most, told)


def _coverage(rules: Rules, sample: Sample) -> Finding:
    """Compare how many orders fall within the dates promised with what was promised, where both dates are over."""
    said, bound = sample.said["okaeri"], rules.checks.coverage_off_at_most
    over = said["high"] <= sample.observed_days
    found = metrics.coverage(sample.frame.days_to_next.to_numpy(), said["low"], said["high"], sample.observed_days)
    said_of = f"{found:.3f}" if over.any() else "of nobody is it over; the share"
    told = f"next-purchase: {said_of} of next orders within p10 to p90; {PROMISED} is right (at most {bound} off)"
    passed = abs(found - PROMISED) <= bound if over.sum() >= FEWEST_COVERED else None
    return _checked("coverage", "next-purchase", "coverage_p10_p90", found, int(over.sum()), passed, told)


def drifted(rules: Rules, facts: Mapping[str, Any]) -> Finding:
    """Tell how many inputs are spread otherwise among the newest customers than among those learnt from last.

    ``facts`` are those of :func:`training.contents.facts`: every input's reference, and the ``restless`` ones.
    """
    restless, inputs = facts["restless"], facts["references"]["features"]
    share, bound = len(restless) / len(inputs), rules.checks.drift_at_most
    furthest = max(restless, key=lambda name: restless[name], default="")
    told = (
        f"{share:.1%} of inputs are spread otherwise among the newest customers than among those learnt from last"
        f" (at most {bound:.0%})" + (f"; furthest {furthest}, index {restless[furthest]:.2f}" if furthest else "")
    )
    return _checked("drift", "inputs", "psi", share, len(inputs), share <= bound, told)


def against(rules: Rules, report: Report, champion: Release, past: Past) -> tuple[list[Finding], list[str]]:
    """Compare with the champion on the customers the challenger was judged on; and say what could not be, and why."""
    findings: list[Finding] = []
    why_not: list[str] = []
    for question, compared in rules.questions.items():
        sample = report.samples.get(question)
        if question == "recommender" or sample is None:
            continue
        theirs = _said_by(champion, sample, past)
        if isinstance(theirs, str):
            why_not.append(f"{question} was not compared: {theirs}")
            continue
        for part in sample.slices:
            for figure in dict.fromkeys((*compared.wins_by, *compared.never_worse)):
                found = _gain(rules, sample, figure, theirs, part)
                passed = None if figure not in compared.never_worse else not found.high < 0
                findings.append(_paired("champion", sample, figure, part, "champion", found, passed))
    return findings, why_not


def products_against(rules: Rules, champion: Release, past: Past, until: int) -> tuple[list[Finding], list[str]]:
    """Compare the products shown, where the champion's were learnt before the cut-off they are judged at."""
    day, learnt = until - PRODUCT_DAYS, champion.learnt_until("recommender")
    if "recommender" not in rules.questions:
        return [], []
    if learnt > day:
        date = past.shop.calendar.date
        return [], [f"recommender was not compared: the champion's learnt until {date(learnt)}, past {date(day)}"]
    ours = fit_recommender(past, day)
    found, n = shown_gain(past, day, until, ours, champion.models.recommender, rules.resamples)
    return [_finding("champion", "recommender", "ndcg_at_10", EVERYONE, "champion", found, n, not found.high < 0)], []


def _said_by(champion: Release, sample: Sample, past: Past) -> dict[str, Matrix] | str:
    """Let the champion answer for the judged customers: with what it serves, or with its held-back twin; or why not."""
    question, day, date = sample.question, sample.day, past.shop.calendar.date
    held = champion.held(question, day)
    if held is None:
        learnt = date(champion.learnt_until(question))
        return f"the champion learnt until {learnt}, and keeps no model that had learnt until {date(day)} at most"
    if question == "churn" and champion.models.horizon_days != sample.horizon_days:
        return f"the champion's horizon is {champion.models.horizon_days} days, not {sample.horizon_days}"
    if lacking := [name for name in held.inputs.features if name not in sample.frame]:
        return f"the champion reads {lacking[0]}, which there is no longer"
    return held.say(columns_of(sample.frame, held.inputs.features))


def _gain(rules: Rules, sample: Sample, figure: str, theirs: object, part: str) -> Interval:
    return gain(sample, figure, sample.said["okaeri"], theirs, sample.slices[part], rules.resamples)  # type: ignore[arg-type]


def _checked(what: str, question: str, figure: str, value: float, n: int, passed: bool | None, told: str) -> Finding:
    known = None if value != value else value
    return Finding(what, question, figure, EVERYONE, "", known, None, None, n, passed, told)


def _paired(
    what: str, sample: Sample, figure: str, part: str, against: str, found: Interval, passed: bool | None
) -> Finding:
    return _finding(what, sample.question, figure, part, against, found, int(sample.slices[part].sum()), passed)


def _finding(
    what: str, question: str, figure: str, part: str, against: str, found: Interval, n: int, passed: bool | None
) -> Finding:
    value, low, high = (None if number != number else number for number in found)
    told = _told(question, figure, part, against, found)
    return Finding(what, question, figure, part, against, value, low, high, n, passed, told)


def _told(question: str, figure: str, part: str, against: str, found: Interval) -> str:
    who = "" if part == EVERYONE else f", {part}"
    better = f"{abs(found.value):.4f} {'better' if found.value >= 0 else 'worse'}"
    return f"{question} {figure}{who}: {better} than {against} [{found.low:+.4f}, {found.high:+.4f}]"
