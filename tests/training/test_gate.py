"""What the gate decides from what was found: every rule with a case whose answer is written down."""

import re

import pytest

from features.errors import BadInput
from training.gate import DEFAULT, Champion, Finding, decide, load_rules

RULES = load_rules()
DUE = RULES.refresh_after_days + 1


def against(figure="auc", low=-0.01, high=0.01, question="churn", slice="all", decides=True) -> Finding:
    """A paired gain over the champion; it passes unless it is significantly below zero."""
    value, passed = (low + high) / 2, (None if not decides else high >= 0)
    return Finding("champion", question, figure, slice, "champion", value, low, high, 500, passed, f"{figure} {slice}")


def check(passed: bool | None, says="calibration error .09") -> Finding:
    return Finding("calibration", "churn", "ece", "all", "", 0.09, None, None, 500, passed, says)


def champion(age_days=7, method="full") -> Champion:
    return Champion("c0ffee", method, age_days)


BETTER, WORSE, SAME = against(low=0.01, high=0.03), against(low=-0.03, high=-0.01), against()


@pytest.mark.parametrize(
    ("champ", "findings", "expected"),
    [
        pytest.param(None, [check(True)], ("promoted", "first"), id="nothing else could answer"),
        pytest.param(None, [check(False)], ("promoted", "first"), id="nor if a check failed"),
        pytest.param(champion(), [SAME], ("kept_champion", "no_gain"), id="B11 within noise"),
        pytest.param(champion(), [WORSE], ("kept_champion", "worse"), id="B11 worse"),
        pytest.param(champion(), [BETTER], ("promoted", "better"), id="significantly better"),
        pytest.param(
            champion(), [BETTER, against("ece", -0.03, -0.01)], ("kept_champion", "worse"), id="B12 calibration worse"
        ),
        pytest.param(
            champion(),
            [BETTER, against("auc", -0.2, -0.01, slice="subscribers")],
            ("kept_champion", "worse"),
            id="B12 a slice worse",
        ),
        pytest.param(champion(), [BETTER, check(False)], ("kept_champion", "failed_check"), id="better, but not right"),
        pytest.param(champion(), [BETTER, check(None)], ("promoted", "better"), id="what is only told decides nothing"),
        pytest.param(champion(), [against("ece", 0.01, 0.02)], ("kept_champion", "no_gain"), id="no figure that wins"),
        pytest.param(
            champion(), [against(low=0.01, high=0.1, slice="new")], ("kept_champion", "no_gain"), id="a slice is no win"
        ),
        pytest.param(
            champion(),
            [SAME, against("brier", -0.3, -0.2, decides=False)],
            ("kept_champion", "no_gain"),
            id="not asked",
        ),
        pytest.param(champion(DUE), [SAME], ("promoted", "refresh"), id="old enough to be replaced by its equal"),
        pytest.param(champion(DUE - 1), [SAME], ("kept_champion", "no_gain"), id="not a day earlier"),
        pytest.param(champion(DUE), [WORSE], ("kept_champion", "worse"), id="but not by a worse one"),
        pytest.param(
            Champion("c0ffee", "full", 0, was_rewritten=True),
            [SAME],
            ("promoted", "refresh"),
            id="it knew the forgotten",
        ),
        pytest.param(
            Champion("c0ffee", "full", 0, was_rewritten=True), [WORSE], ("kept_champion", "worse"), id="but is better"
        ),
        pytest.param(champion(DUE), [], ("promoted", "refresh"), id="nor does it stay for want of a comparison"),
        pytest.param(champion(), [], ("kept_champion", "no_gain"), id="nothing compared, nothing gained"),
        pytest.param(champion(method="prior"), [check(True)], ("promoted", "fuller"), id="the shop has grown"),
        pytest.param(
            champion(method="prior"), [check(False)], ("kept_champion", "failed_check"), id="grown, but not right"
        ),
    ],
)
def test_worked_by_hand(champ, findings, expected):
    verdict = decide(RULES, champ, "full", "", findings)
    assert (verdict.outcome, verdict.kind) == expected
    assert verdict.reasons and all(verdict.reasons)


@pytest.mark.parametrize("age", [7, DUE])
def test_a_lighter_rung_never_replaces_a_full_champion(age):
    """B1, B2: however old the champion is, and however good the products."""
    good = against("ndcg_at_10", 0.01, 0.02, question="recommender")
    verdict = decide(RULES, champion(age), "prior", "NO_POSITIVES: 0 customers of the rarer outcome", [good])
    assert (verdict.outcome, verdict.kind) == ("kept_champion", "lighter")
    assert "NO_POSITIVES" in verdict.reasons[0]


def test_a_first_release_with_failed_checks_says_so_loudly():
    verdict = decide(RULES, None, "full", "", [check(False), check(False, "coverage .5")])
    assert verdict.reasons[1:] == ("FAILED CHECK: calibration error .09", "FAILED CHECK: coverage .5")
    assert verdict.summary == "promoted (first, 2 failed checks)"


def test_every_reason_of_a_kept_champion_is_given():
    verdict = decide(RULES, champion(), "full", "", [SAME], ["value was not compared: why"])
    assert verdict.reasons[-1] == "value was not compared: why"
    assert "7 days older (a refresh is due after 28)" in verdict.reasons[0]
    told = verdict.as_dict()
    assert (told["verdict"], told["champion"], len(told["findings"])) == ("kept_champion", "c0ffee", 1)


# --- the rules as a person writes them ---


def test_every_threshold_that_ships_has_its_source_and_date_above_it():
    lines = DEFAULT.read_text("utf-8").splitlines()
    thresholds = [n for n, line in enumerate(lines) if re.match(r"\s*\w+: (\[?[\d{]|.*\d)", line) and "#" not in line]
    assert len(thresholds) >= 6
    for n in thresholds:
        above = n - 1
        while lines[above].strip() and not lines[above].lstrip().startswith("#"):
            above -= 1  # questions share one comment
        comment = []
        while lines[above].lstrip().startswith("#"):
            comment.append(lines[above])
            above -= 1
        assert "2026-" in " ".join(comment), lines[n]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ece_at_most", "ece_at_mots", "checks.ece_at_mots: unknown key; did you mean ece_at_most?"),
        ("wins_by: [spearman]", "wins_by: [speerman]", "questions.value: no figure speerman; did you mean spearman?"),
        ("  value:", "  valeu:", "valeu"),
        ("resamples: 400", "resamples: 3", "resamples: Input should be greater than or equal to 10"),
        ("same_score_at_most: 0.20", "same_score_at_most: 20", "checks.same_score_at_most"),
        ("checks:", "checks: [", "not YAML"),
    ],
)
def test_a_wrong_gate_is_named_with_what_would_be_right(tmp_path, old, new, words):
    path = tmp_path / "gate.yaml"
    path.write_text(DEFAULT.read_text("utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(BadInput, match=re.escape(words)):
        load_rules(path)


def test_a_gate_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"gate\.yaml: No such file"):
        load_rules(tmp_path / "gate.yaml")
