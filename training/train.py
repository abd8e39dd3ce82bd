"""From a shop's history to a release: judged on held-back customers, tracked, sealed, promoted if the gate says so."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features import lake
from features.errors import BadInput, Damaged
from features.home import Home
from features.shop import Shop
from training import card, contents, registry
from training.dataset import Past
from training.evaluation import QUESTIONS, Report, evaluate
from training.gate import Champion, Rules, Verdict, decide, load_rules
from training.leaks import expect_no_leak
from training.ledger import aliases, answering, folders, promote, remember_challenger
from training.models.bundle import Models
from training.models.held import load_held
from training.models.parameters import AS_FOUND, Parameters
from training.plots import churn_plots
from training.release import Contents, Release, champion, open_release, write_release
from training.rungs import expect_same_inputs, fit_models, refit
from training.trial import against, checks, drifted, products_against

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Asked:
    """What a training may be asked beside the day: which questions' models, how they are set, by which gate."""

    parts: tuple[str, ...] = QUESTIONS
    parameters: Parameters = AS_FOUND
    rules: Rules | None = None  # None: the gate that ships

    @property
    def is_whole(self) -> bool:
        return set(self.parts) == set(QUESTIONS)


@dataclass(frozen=True)
class Trained:
    """One training's work before it is sealed."""

    contents: Contents
    report: Report
    verdict: Verdict


def train(
    home: Home,
    shop: Shop,
    until: int,
    who: str,
    when: str,
    say: Progress = lambda text: None,
    asked: Asked = Asked(),
) -> dict[str, Any]:
    """Train, judge, track and seal one release from what was known at ``until``; promote it if the gate says so.

    Parameters
    ----------
    until
        The business day from which on nothing is known.
    who, when
        For the ledger: the user, and the machine's clock (RFC 3339), read at the command's edge.
    say
        Told what is being done, a few words at a time.

    Returns
    -------
    dict
        ``release`` (id), ``method``, ``version`` (MLflow's), ``run_id``, ``verdict`` (promoted, kept_champion or
        unchanged), ``kind``, ``reasons``, ``champion`` (who answers now), ``season`` (whether the weeks to come were
        seen a year before), ``effects`` (of contacts, as :meth:`Effects.summary`; else ``None``, with
        ``why_no_effects``), ``report`` (rows) and ``skipped``.

    Raises
    ------
    Refused
        If another training runs, the history is too short for anything, or a feature knows the future.
    OkaeriError
        If MLflow's database cannot be written; a release that was sealed is logged by the next training.
    """
    with lake.locked(home.releases / ".training.lock", "training"), registry.explained(home):
        date = shop.calendar.date(until).isoformat()
        _log_what_was_left(home, say)
        before = answering(home)[0]
        tracked = {"shop": shop.name, "trained_until": date, "data_snapshot": shop.version} | _set(asked)
        with registry.run(home, f"train {shop.name} {date}", tracked) as run_id:
            done = _learn(home, shop, until, asked, say)
            say("sealing and registering")
            path = _seal(home, shop, done)
            version = _register(open_release(path))
        is_new = path.name != before
        if is_new and done.verdict.is_promoted:
            promote(home, path, who, when, f"trained on what was known before {date}", "train", expected=before)
        elif is_new:
            remember_challenger(home, path)
        registry.mirror(home, aliases(home))
    told = {"release": path.name, "method": done.contents.models.method, "version": version, "run_id": run_id}
    told |= {"season": done.contents.facts["season"]}
    return told | _told(done, is_new) | {"champion": answering(home)[0]}


def _seal(home: Home, shop: Shop, done: Trained) -> Path:
    """Write the release with what is said of it, and log its figures."""
    page = card.card(shop, done.contents, done.verdict, done.report)
    said = {"gate.json": lake.encode_json(done.verdict.as_dict()), "card.html": page.encode()}
    path = write_release(home, done.contents, said)
    registry.log_report(done.contents.report, churn_plots(*done.report.churn))
    return path


def _learn(home: Home, shop: Shop, until: int, asked: Asked, say: Progress) -> Trained:
    """Judge, fit, look for leaks, and let the gate decide."""
    rules, past, current = asked.rules or load_rules(), Past(shop, until, asked.parameters), _champion(home, say)
    if not asked.is_whole:
        if current is None:
            raise BadInput(f"{home.releases}: no champion to take the other models from; train all of them first")
        expect_same_inputs(past, current.models)
    say("judging on held-back customers")
    report = evaluate(past, until, asked.parts)
    say("fitting the release")
    if asked.is_whole or current is None:
        models = fit_models(past, until)
    else:
        models = refit(past, until, current.models, asked.parts)
    say("looking for leaks, and asking the gate")
    expect_no_leak(past, past.newest_before(until))
    made = _contents(past, until, models, report, asked, current)
    return Trained(made, report, _judge(rules, report, made, current, past, until, asked))


def _judge(
    rules: Rules, report: Report, made: Contents, current: Release | None, past: Past, until: int, asked: Asked
) -> Verdict:
    models, findings = made.models, list(checks(rules, report, past))
    if models.scores is not None:
        findings.append(drifted(rules, made.facts))
    if current is None:
        return decide(rules, None, models.method, models.why_light, findings)
    compared, why_not = against(rules, report, current, past)
    if "recommender" in asked.parts:
        products, why = products_against(rules, current, past, until)
        compared, why_not = [*compared, *products], [*why_not, *why]
    age = until - max(current.learnt_until(part) for part in asked.parts)
    was_rewritten = not past.shop.grew_from(current.facts["data_snapshot"])
    seen = Champion(current.id, current.models.method, age, was_rewritten)
    return decide(rules, seen, models.method, models.why_light, [*findings, *compared], why_not)


def _champion(home: Home, say: Progress) -> Release | None:
    """Open the release that answers now; one that is damaged answers nothing and counts as none."""
    if answering(home)[0] is None:
        return None
    try:
        return open_release(champion(home))
    except Damaged as error:
        say(f"the champion cannot be compared with: {error}")
        return None


def _contents(
    past: Past, until: int, models: Models, report: Report, asked: Asked, current: Release | None
) -> Contents:
    """Put together what is sealed; a question that was not asked for keeps the champion's rows and twin."""
    rows, twins = report.as_list(), {}
    learnt, parameters = dict.fromkeys(QUESTIONS, until), asked.parameters.model_dump(mode="json")
    if models.scores is not None:
        twins = {question: sample.held for question, sample in report.samples.items() if sample.held}
    if current is not None and not asked.is_whole:
        kept = [question for question in QUESTIONS if question not in asked.parts]
        rows = [row for row in current.report() if row["question"] in kept] + rows
        rows.sort(key=lambda row: QUESTIONS.index(row["question"]))
        twins |= {name: held for name in kept if (held := load_held(current.path, name)) is not None}
        learnt |= {question: current.learnt_until(question) for question in kept}
        theirs = current.facts.get("parameters", AS_FOUND.model_dump(mode="json"))
        parameters |= {block: theirs[block] for question in kept if (block := question.replace("-", "_")) in theirs}
    reference = contents.reference_rows(past, until)
    facts = contents.facts(past.shop, models, until, reference, contents.moves(past, until, reference))
    facts |= {"learnt_until": learnt, "parameters": parameters}
    return Contents(models, facts, rows, contents.golden(past.shop, reference), twins)


def _set(asked: Asked) -> dict[str, str]:
    """Name what was set otherwise than found best, and the parts if not all, as a run's parameters."""
    told = {} if asked.is_whole else {"models": ",".join(asked.parts)}
    for block in Parameters.model_fields:
        own, found = getattr(asked.parameters, block), getattr(AS_FOUND, block)
        changed = {name: value for name, value in own.model_dump().items() if value != getattr(found, name)}
        told |= {f"{block}.{name}": str(value) for name, value in changed.items()}
    return told


def _register(opened: Release) -> str:
    """Log a sealed release with its verdict and card as a version of the model."""
    registry.log_verdict(opened.gate(), (opened.path / "card.html").read_text("utf-8"))
    tags = {registry.RELEASE: opened.id, "shop": opened.facts["shop"], "gate": opened.gate()["summary"]}
    return registry.register(opened.path, opened.facts["inputs"], contents.outputs(), tags)


def _log_what_was_left(home: Home, say: Progress) -> None:
    """Log the sealed releases that MLflow does not know: it could not be written when they were trained."""
    registry.open_tracking(home)
    for path in registry.unlogged(folders(home)):
        try:
            opened = open_release(path)
        except Damaged as error:
            say(f"not logged: {error}")
            continue
        if opened.gate():
            say(f"logging {path.name}, which MLflow does not know")
            facts = {name: opened.facts[name] for name in ("shop", "data_snapshot")}
            tracked = facts | {"trained_until": opened.facts["trained_until_date"]}
            with registry.run(home, f"log {path.name}", tracked):
                registry.log_report(opened.report(), {})
                _register(opened)


def _told(done: Trained, is_new: bool) -> dict[str, Any]:
    unchanged = "trained again on the same data with the same settings: it is the champion already"
    verdict = done.verdict
    told: dict[str, Any] = {"verdict": verdict.outcome, "kind": verdict.kind, "reasons": list(verdict.reasons)}
    if not is_new:
        told = {"verdict": "unchanged", "kind": "", "reasons": [unchanged]}
    models = done.contents.models
    told |= {"effects": models.effects.summary() if models.effects else None, "why_no_effects": models.why_no_effects}
    return told | {"report": done.contents.report, "skipped": list(done.report.skipped)}
