"""Uplift on experiments whose effect is known, because it was put there."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from features.errors import BadInput
from features.home import Home
from training import backtest as backtests
from training.evaluation.rows import Row
from training.evaluation.uplift import GAIN, cross_fitted, judge_uplift
from training.evaluation.uplift_metrics import auuc, qini, uplift_at_30pct
from training.experiment import Coding, Experiment, Table, read_experiment
from training.models.uplift import CONSTANT, LEARNERS, RULE, Part, Rule, best_rule, choose, folds, learn, places

Floats = NDArray[np.float64]

EFFECT = 0.3  # of customers with `likes` above .6, two fifths; nobody else is moved


def experiment(seed: int, effect: float, n: int = 2000, arms: tuple[str, ...] = ("mail",)) -> Experiment:
    """Draw an experiment: one in five comes anyway, more where `visits` is high."""
    rng = np.random.default_rng([seed, 2026])
    inputs = pd.DataFrame({"likes": rng.random(n), "visits": rng.poisson(2, n), "town": rng.choice(["a", "b"], n)})
    arm = rng.choice(["none", *arms], n)
    p = 0.15 + 0.03 * inputs.visits.clip(upper=3) + np.where((arm == "mail") & (inputs.likes > 0.6), effect, 0)
    return Experiment(inputs, arm.astype(np.str_), (rng.random(n) < p).astype(np.float64), "none")


def row(rows: tuple[Row, ...], method: str, metric: str, part: str = "all") -> Row:
    (found,) = [r for r in rows if (r.method, r.metric, r.slice) == (method, metric, part)]
    return found


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.rows.RESAMPLES", 60)


# ---- the numbers


def slow_curves(y: Floats, treated: NDArray[np.bool_], score: Floats) -> tuple[float, float, float]:
    """Walk down the list one score at a time: Qini, AUUC and uplift at 30 %, written again with plain sums."""
    n, points = len(y), [(0.0, 0.0, 0.0)]
    for cut in sorted(set(score.tolist()), reverse=True):
        top = [i for i in range(n) if score[i] >= cut]
        t, c = [i for i in top if treated[i]], [i for i in top if not treated[i]]
        sum_t, sum_c = sum(y[i] for i in t), sum(y[i] for i in c)
        q = (sum_t - (sum_c * len(t) / len(c) if c else 0)) / treated.sum()
        u = ((sum_t / len(t) if t else 0) - (sum_c / len(c) if c else 0)) * len(top) / n
        points.append((len(top) / n, q, u))
    areas = [0.0, 0.0]
    for (x0, *y0), (x1, *y1) in itertools.pairwise(points):
        for which in range(2):
            areas[which] += (x1 - x0) * (y0[which] + y1[which]) / 2
    border = sorted(score, reverse=True)[int(np.ceil(0.3 * n)) - 1]
    fits = (0.3 * n - (score > border).sum()) / (score == border).sum()
    weight = np.where(score > border, 1.0, np.where(score == border, fits, 0.0))
    means = [np.average(y[arm], weights=weight[arm]) for arm in (treated, ~treated)]
    return areas[0] - points[-1][1] / 2, areas[1], float(means[0] - means[1])


@pytest.mark.parametrize("levels", [3, 12, 1000])
def test_the_metrics_agree_with_a_second_way_of_counting(levels: int) -> None:
    rng = np.random.default_rng(levels)
    for _ in range(10):
        n = 120
        y, treated = rng.integers(0, 3, n).astype(float), rng.random(n) < 0.4
        score = rng.integers(0, levels, n).astype(float)
        found = [metric(y, treated, score) for metric in (qini, auuc, uplift_at_30pct)]
        assert found == pytest.approx(slow_curves(y, treated, score))
        as_places = np.unique(score, return_inverse=True)[1]
        order = rng.permutation(n)
        for metric, value in zip((qini, auuc, uplift_at_30pct), found, strict=True):
            assert metric(y, treated, as_places) == pytest.approx(value)
            assert metric(y[order], treated[order], score[order]) == pytest.approx(value)


def test_a_constant_finds_the_mean_effect_and_nothing_more() -> None:
    y, treated, same = np.array([1.0, 1, 0, 1, 0, 0]), np.array([True] * 3 + [False] * 3), np.zeros(6)
    assert uplift_at_30pct(y, treated, same) == pytest.approx(1 / 3)
    assert (qini(y, treated, same), auuc(y, treated, same)) == pytest.approx((0, 1 / 6))


@pytest.mark.parametrize("metric", [qini, auuc, uplift_at_30pct])
def test_without_a_control_there_is_no_number(metric: Callable[..., float]) -> None:
    assert np.isnan(metric(np.ones(4), np.ones(4, bool), np.arange(4)))


# ---- the learners


def part(seed: int, effect: float, n: int = 4000) -> Part:
    drawn = experiment(seed, effect, n)
    return Part(Coding.learn(drawn.inputs).matrix(drawn.inputs), drawn.arm != "none", drawn.outcome)


def test_every_learner_finds_whom_the_mail_moves() -> None:
    learnt, unseen = learn(part(0, EFFECT)), part(1, EFFECT)
    assert set(learnt) == set(LEARNERS)
    moved = unseen.x[:, 0] > 0.6
    for name, score in learnt.items():
        said = score(unseen.x)
        assert said[moved].mean() - said[~moved].mean() > 0.1, name
        assert uplift_at_30pct(unseen.y, unseen.treated, said) > EFFECT - 0.1, name


def test_the_best_rule_is_the_cut_that_was_put_there() -> None:
    rule = best_rule(part(0, EFFECT))
    assert rule is not None and (rule.column, rule.is_above) == (0, True)
    assert rule.cut == pytest.approx(0.6, abs=0.03)
    assert rule.words(["likes", "visits"]).startswith("likes > 0.")
    assert Rule(0, 0.5, False).score(np.array([[0.4], [0.6], [np.nan]])).tolist() == [1, 0, 1]


def test_where_nothing_can_be_cut_there_is_no_rule() -> None:
    drawn = part(0, EFFECT, 300)
    assert best_rule(Part(np.ones((300, 2)), drawn.treated, drawn.y)) is None
    assert best_rule(Part(np.full((300, 1), np.nan), drawn.treated, drawn.y)) is None


def test_an_amount_is_learnt_as_well_as_a_yes_or_no() -> None:
    drawn = part(0, EFFECT)
    amounts = Part(drawn.x, drawn.treated, drawn.y * 20.0)
    unseen = part(1, EFFECT)
    for name, score in learn(amounts).items():
        assert uplift_at_30pct(unseen.y, unseen.treated, score(unseen.x)) > EFFECT - 0.1, name


@pytest.mark.parametrize("seed", range(4))
def test_the_choice_is_the_constant_where_everyone_is_moved_alike(seed: int) -> None:
    drawn = part(seed, 0.0, 2000)
    assert choose(drawn, 0) == CONSTANT


def test_the_choice_is_not_the_constant_where_some_are_moved() -> None:
    assert choose(part(0, EFFECT, 2000), 0) != CONSTANT


def test_folds_are_even_in_both_arms() -> None:
    treated = np.arange(103) % 4 == 0
    fold = folds(treated, 5, 1)
    for arm in (treated, ~treated):
        counts = np.bincount(fold[arm], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert (fold == folds(treated, 5, 1)).all() and (fold != folds(treated, 5, 2)).any()


def test_equal_scores_share_their_place() -> None:
    assert places(np.array([3.0, 1.0, 1.0, 9.0])).tolist() == [0.625, 0.25, 0.25, 0.875]


# ---- the judgement


def test_an_effect_that_is_there_is_found_and_said() -> None:
    rows, (note,) = judge_uplift(experiment(0, EFFECT, 3000), repeats=2)
    assert row(rows, "okaeri", "qini").low > 0
    assert row(rows, "okaeri", "uplift_at_30pct").value == pytest.approx(EFFECT, abs=0.07)
    assert row(rows, "okaeri", "qini").value > row(rows, "random", "qini").high
    assert row(rows, CONSTANT, "uplift_at_30pct").value == pytest.approx(0.4 * EFFECT, abs=0.05)
    assert note.startswith("mail: reliable heterogeneity (in 8 of 8 training parts")
    assert "not reliably more than the best rule (likes > " in note  # the effect is a rule of one column
    ours, rule, gain = (
        row(rows, m, n).value for m, n in (("okaeri", "uplift_at_30pct"), (RULE, "uplift_at_30pct"), ("okaeri", GAIN))
    )
    assert gain == pytest.approx(ours - rule)


@pytest.mark.parametrize("seed", range(3))
def test_an_effect_that_is_not_there_is_not_found_and_said(seed: int) -> None:
    rows, (note,) = judge_uplift(experiment(seed, 0.0), repeats=1)
    assert "mail: no reliable heterogeneity" in note
    assert row(rows, "okaeri", "qini").low <= 0


def test_each_arm_is_a_slice_and_all_pools_them() -> None:
    drawn = experiment(0, EFFECT, 1500, arms=("mail", "call"))
    rows, notes = judge_uplift(drawn, repeats=1)
    assert {r.slice for r in rows} == {"mail", "call", "all"}
    assert [note.partition(":")[0] for note in notes] == ["call", "mail", "all"]
    keys = [(r.method, r.slice, r.metric) for r in rows]
    assert len(keys) == len(set(keys))
    assert {(r.question, r.cutoff) for r in rows} == {("uplift", "all")}
    for part_of, arms in (("mail", ["mail"]), ("call", ["call"]), ("all", ["mail", "call"])):
        means = [drawn.outcome[np.isin(drawn.arm, who)].mean() for who in (arms, ["none"])]
        constant = row(rows, CONSTANT, "uplift_at_30pct", part_of)
        assert constant.value == pytest.approx(means[0] - means[1])
        assert constant.n == np.isin(drawn.arm, [*arms, "none"]).sum()


def test_one_arm_alone_is_all_of_them() -> None:
    rows, notes = judge_uplift(experiment(0, 0.0, 600), repeats=1)
    assert len(notes) == 1
    mail, everyone = ([r.value for r in rows if r.slice == part_of] for part_of in ("mail", "all"))
    assert mail == everyone


def test_twice_judged_is_judged_alike() -> None:
    drawn = experiment(3, EFFECT, 800)
    assert judge_uplift(drawn, repeats=1) == judge_uplift(drawn, repeats=1)


def test_what_a_customer_did_never_moves_their_own_score() -> None:
    drawn = experiment(0, EFFECT, 800)
    before = cross_fitted(drawn, repeats=1)
    who = 17
    outcome = drawn.outcome.copy()
    outcome[who] = 1 - outcome[who]
    after = cross_fitted(Experiment(drawn.inputs, drawn.arm, outcome, "none"), repeats=1)
    assert {name: said[who] for name, said in before.said.items()} == {n: said[who] for n, said in after.said.items()}
    assert any((before.said[name] != after.said[name]).any() for name in LEARNERS)  # others' scores are moved


# ---- the table


def written(folder: Path, frame: pd.DataFrame, name: str = "mail.csv") -> Path:
    path = folder / name
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


def flat(n: int = 400) -> pd.DataFrame:
    drawn = experiment(0, EFFECT, n)
    return drawn.inputs.assign(segment=drawn.arm, visit=drawn.outcome, spend=drawn.outcome * 20)


@pytest.mark.parametrize("name", ["mail.csv", "mail.parquet"])
def test_a_table_is_read_from_csv_and_parquet(tmp_path: Path, name: str) -> None:
    frame = flat()
    found = read_experiment(Table(written(tmp_path, frame, name), "segment", "none", "visit", ("spend",)))
    assert list(found.inputs) == ["likes", "visits", "town"]
    assert found.arms == ["mail"]
    assert (found.outcome == frame.visit).all()


@pytest.mark.parametrize(("control", "treated"), [("None", "mail"), (0, 1)])
@pytest.mark.parametrize("name", ["mail.csv", "mail.parquet"])
def test_an_arm_may_be_called_none_or_nought(tmp_path: Path, name: str, control: object, treated: object) -> None:
    frame = flat()
    frame["segment"] = [control if arm == "none" else treated for arm in frame.segment]
    found = read_experiment(Table(written(tmp_path, frame, name), "segment", str(control), "visit", ("spend",)))
    assert found.arms == [str(treated)]


@pytest.mark.parametrize(
    ("change", "asked", "words"),
    [
        ({}, {"treatment": "segmnt"}, ("no column segmnt", "did you mean segment?")),
        ({}, {"outcome": "visti"}, ("no column visti", "did you mean visit?")),
        ({}, {"ignored": ("spendd",)}, ("no column spendd", "did you mean spend?")),
        ({}, {"control": "nome"}, ("column segment: no value nome", "did you mean none?")),
        ({}, {"outcome": "town"}, ("column town: 400 values are not numbers", "row 1")),
        ({"visit": [np.nan] + [1.0] * 399}, {}, ("column visit: 1 values are not numbers, the first in row 1",)),
        ({"segment": [None] + ["none", "mail", "mail"] * 133}, {}, ("column segment: 1 customers have no arm",)),
        ({"segment": ["none"] * 301 + ["mail"] * 99}, {}, ("mail has 99 customers; at least 100",)),
        ({"segment": "none"}, {}, ("nobody was treated",)),
        ({}, {"ignored": ("spend", "likes", "visits", "town")}, ("no column is left to learn from",)),
    ],
)
def test_a_table_that_cannot_be_used_says_why(
    tmp_path: Path, change: dict[str, object], asked: dict[str, object], words: tuple[str, ...]
) -> None:
    path = written(tmp_path, flat().assign(**change))
    told = {"treatment": "segment", "control": "none", "outcome": "visit", "ignored": ("spend",)} | asked
    with pytest.raises(BadInput) as refused:
        read_experiment(Table(path, **told))  # type: ignore[arg-type]
    for word in (str(path), *words):
        assert word in str(refused.value)


def test_a_file_that_is_not_there_or_not_a_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"not at all")
    for name in ("absent.csv", "broken.parquet"):
        with pytest.raises(BadInput, match=name):
            read_experiment(Table(tmp_path / name, "segment", "none", "visit"))


def test_text_becomes_levels_and_an_unknown_level_is_none_of_them() -> None:
    coding = Coding.learn(
        pd.DataFrame({"town": ["b", "a", None, "a"], "age": [1, 2, 3, 4], "is_new": [True, False] * 2})
    )
    assert coding.names == ("age", "is_new", "town = a", "town = b")
    found = coding.matrix(pd.DataFrame({"age": [9, None], "town": ["c", "b"], "is_new": [True, False]}))
    assert np.array_equal(found, [[9, 1, 0, 0], [np.nan, 0, 0, 1]], equal_nan=True)


def test_a_backtest_of_a_table_is_tracked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import mlflow

    monkeypatch.setattr(backtests, "judge_uplift", lambda drawn: judge_uplift(drawn, repeats=1))
    home = Home.open(tmp_path / "home")
    frame = flat(600).replace({"segment": {"mail": "mail & letter"}})
    found = backtests.backtest_table(home, Table(written(tmp_path, frame), "segment", "none", "visit", ("spend",)))
    (run,) = mlflow.MlflowClient().search_runs([mlflow.get_experiment_by_name("okaeri").experiment_id])
    assert run.data.params["okaeri.table"] == "mail.csv"
    ours = row(found.rows, "okaeri", "uplift_at_30pct")
    assert run.data.metrics["uplift.okaeri.uplift_at_30pct"] == pytest.approx(ours.value)
    assert "uplift.okaeri.qini.mail _ letter" in run.data.metrics
