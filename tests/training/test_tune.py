"""Settings are tried before the days anything is judged at, the same ones every time."""

import pytest
import yaml

from features.calendar import day_number
from features.errors import BadInput, Refused
from training.dataset import Past
from training.models.parameters import AS_FOUND, Parameters
from training.strict import read_strict
from training.tune import as_yaml, cutoffs, tune

from .conftest import MLFLOW_WARNS, ZERO, Trained

pytestmark = MLFLOW_WARNS


@pytest.fixture(scope="module")
def found(large: Trained):
    return tune(large.shop, large.until, "churn", 2)


def test_the_shipped_settings_are_tried_first_and_the_best_is_no_worse(found):
    assert found.best <= found.shipped
    assert found.aim == "log_loss" and set(found.settings) == set(AS_FOUND.churn.model_dump())


def test_the_outcomes_looked_at_are_over_before_the_held_back_cut_off(found, large):
    """28 days each: the held-back cut-off is day 337, so the last of three ends there, a step of 28 days apart."""
    assert found.cutoffs == tuple(str(large.shop.calendar.date(ZERO + day)) for day in (253, 281, 309))


def test_trying_twice_gives_the_same(large, monkeypatch):
    monkeypatch.setattr("training.tune.CUTOFFS", 1)
    one, other = (tune(large.shop, large.until, "churn", 3) for _ in range(2))
    assert one == other


def test_what_is_written_is_what_a_training_takes(found, tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text(as_yaml(found))
    read = read_strict(path, Parameters)
    assert read.churn.model_dump() == found.settings and read.value == AS_FOUND.value
    head = as_yaml(found).splitlines()[0]
    assert str(found.best) in head and found.cutoffs[0] in head


def test_the_untouched_cut_off_and_those_of_the_mapping_stay_untouched(large, monkeypatch):
    class Predict:
        cutoffs = (large.shop.calendar.date(ZERO + 330),)
        untouched_cutoff = large.shop.calendar.date(ZERO + 300)

    past = Past(large.shop, large.until)
    past.shop = type("S", (), {"mapping": type("M", (), {"predict": Predict}), "calendar": large.shop.calendar})
    monkeypatch.setattr("training.tune.too_small", lambda past, day: "")
    days = cutoffs(past, large.until, "churn")
    assert max(days) + 28 <= day_number(Predict.untouched_cutoff)
    assert days == (ZERO + 216, ZERO + 244, ZERO + 272)


def test_a_shop_too_young_is_refused_with_the_reason(small):
    with pytest.raises(Refused, match=r"toy: judging begins on 2024-06-21, too early for tuning before: "):
        tune(small[-1].shop, small[-1].until, "churn", 1)


def test_a_question_without_settings_is_answered_with_the_nearest(large):
    with pytest.raises(BadInput, match="churm: nothing to set; did you mean churn"):
        tune(large.shop, large.until, "churm", 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("churn: {tress: 2}", "churn.tress: unknown key; did you mean trees?"),
        ("churn: {trees: 151}", "churn.trees: Input should be less than or equal to 150"),
        ("chrun: {trees: 15}", "chrun: unknown key; did you mean churn?"),
        ("value: {penalty: 1}", "value.penalty: unknown key"),
    ],
)
def test_wrong_parameters_are_named_with_what_would_be_right(tmp_path, text, words):
    path = tmp_path / "parameters.yaml"
    path.write_text(text)
    with pytest.raises(BadInput) as refused:
        read_strict(path, Parameters)
    assert words in str(refused.value)


def test_no_parameters_are_the_shipped_ones(tmp_path):
    path = tmp_path / "parameters.yaml"
    path.write_text("# nothing\n")
    assert read_strict(path, Parameters) == AS_FOUND == Parameters.model_validate(yaml.safe_load("{}"))
