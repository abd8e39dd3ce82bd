"""The whole way: from a shop's orders to a release that answers, tracked in MLflow."""

import multiprocessing
import os
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from features import lake
from features.errors import Refused
from features.home import Home
from training import contents, registry
from training import train as training
from training.baselines import columns_of
from training.dataset import Past
from training.evaluation import evaluate
from training.fitting import FEWEST_CUSTOMERS
from training.ledger import list_releases
from training.models.next_purchase import HORIZONS
from training.release import champion, open_release
from training.rungs import fit_models, with_orders
from training.splits import STEP_DAYS

from .conftest import MLFLOW_WARNS, RESAMPLES, WHEN, WHO, ZERO, Line, MakeShop, Trained

pytestmark = MLFLOW_WARNS
fork = multiprocessing.get_context("fork")  # a warmed parent: importing Feast and MLflow anew takes 20 CPU-s

OURS_AND_BASELINES = {
    "churn": {"okaeri", "bg_nbd", "rfm_logistic", "recency_rule"},
    "next-purchase": {"okaeri", "bg_nbd", "own_gap"},
    "value": {"okaeri", "bg_nbd_gamma_gamma", "last_quarter"},
    "recommender": {"okaeri", "personal_frequency", "als", "popular"},
    "second-order": {"okaeri", "age_rates", "rfm_logistic"},
}
# Resampling draws customers twice, which flatters or spoils these: their interval may lie beside the value.
BIASED = {"ece", "ece_30d", "ece_60d", "ece_90d", "decile_mape", "pr_auc", "lift_at_10pct"}
SCORES = ["churn_probability", "clv_predicted_90d", "clv_predicted_365d", *(f"next_order_p_{h}d" for h in HORIZONS)]


def client(trained: Trained) -> mlflow.MlflowClient:
    registry.open_tracking(trained.home)
    return mlflow.MlflowClient()


def runs_of(home: Home) -> list[mlflow.entities.Run]:
    """The runs of a home, the newest first."""
    registry.open_tracking(home)
    experiment = mlflow.get_experiment_by_name(registry.EXPERIMENT)
    return mlflow.MlflowClient().search_runs([experiment.experiment_id])


def rows_of(trained: Trained) -> pd.DataFrame:
    """A recent training frame, as it may be given to MLflow's model."""
    return Past(trained.shop, trained.until).rows([trained.until - STEP_DAYS], trained.until)


# --- the report ---


def test_each_model_stands_beside_its_baselines(large):
    report = pd.DataFrame(large.told["report"])
    assert large.told["skipped"] == []
    assert {q: set(rows.method) for q, rows in report.groupby("question")} == OURS_AND_BASELINES
    for _, rows in report.groupby(["question", "metric"]):
        assert rows.n.nunique() == 1  # the same customers for all
        assert rows.cutoff.nunique() == 1
    assert not report.duplicated(["question", "method", "metric"]).any()


def test_each_value_lies_in_its_interval(large):
    report = pd.DataFrame(large.told["report"])
    assert report[["value", "low", "high"]].notna().all(axis=None)
    assert (report.low <= report.high).all()
    plain = report[~report.metric.isin(BIASED)]
    assert (plain.low <= plain.value).all() and (plain.value <= plain.high).all()


def test_a_rule_is_not_asked_for_probabilities(large):
    report = pd.DataFrame(large.told["report"])
    rule = report[(report.question == "churn") & (report.method == "recency_rule")]
    assert set(rule.metric) == {"auc", "pr_auc", "lift_at_10pct", "profit_at_budget"}


def test_in_a_world_of_rates_and_leavers_we_see_more_than_silence_shows(large):
    report = pd.DataFrame(large.told["report"]).set_index(["question", "method", "metric"]).value
    assert report["churn", "okaeri", "auc"] > report["churn", "recency_rule", "auc"] > 0.6
    assert report["next-purchase", "okaeri", "mae_days"] < report["next-purchase", "own_gap", "mae_days"]
    assert report["value", "okaeri", "ngini"] > 0.6


def test_the_newest_cut_off_whose_outcome_is_known_is_judged(large):
    report = pd.DataFrame(large.told["report"]).groupby("question").cutoff.first()
    days = {"churn": 28, "next-purchase": 28, "second-order": 98, "value": 98, "recommender": 30}
    assert report.to_dict() == {q: str(large.shop.calendar.date(large.until - d)) for q, d in days.items()}


# --- the ladder ---


def test_a_shop_with_enough_customers_gets_every_model(large):
    assert large.told["method"] == "full"
    scores = open_release(large.path).models.scores
    assert scores is not None and scores.value is not None


def test_a_small_shop_gets_a_light_model_and_is_told_so(small):
    told, release = small[-1].told, open_release(small[-1].path)
    assert told["method"] == "light" == release.facts["method"]
    assert release.models.scores is None
    assert release.facts["n"] == 60
    assert release.facts["why_light"] == f"60 customers with an order; the full models need {FEWEST_CUSTOMERS}"


def test_what_is_too_short_to_judge_is_skipped_with_the_reason(small):
    assert {row["question"] for row in small[-1].told["report"]} == {"recommender"}
    churn, next_purchase, second_order, value = small[-1].told["skipped"]
    assert churn.startswith("churn at 2024-06-21: ") and f"need {FEWEST_CUSTOMERS}" in churn
    assert next_purchase.startswith("next purchase at 2024-06-21: ") and f"need {FEWEST_CUSTOMERS}" in next_purchase
    assert second_order.startswith("second order at 2024-04-12: ")
    assert value.startswith("value at 2024-04-12: the history is too short")


YOUNG = [Line(f"{customer}{day}", customer, day) for customer in ("ann", "ben", "cat") for day in (0, 3)]
TAKEN_BACK = [Line("a", "ann", 1), Line("r", "ann", 2, quantity=-1, revenue=-100, returns="a")]


@pytest.mark.parametrize(
    ("customers", "days", "method"),
    [(40, 90, "light"), (12, 90, "prior"), (3, 29, "prior"), (3, 28, "rule"), (1, 2, "rule")],
)
def test_however_small_or_young_a_shop_is_it_is_answered_in_full(told: MakeShop, customers, days, method):
    """Half of the customers come back, every nine days; the horizon is 28 days."""
    lines = [Line(f"{c}-{day}", f"c{c}", day) for c in range(customers) for day in range(0, days, 9 if c % 2 else days)]
    shop = told(lines)
    assert training.train(shop.home, shop, ZERO + days, WHO, WHEN)["method"] == method
    models = open_release(champion(shop.home)).models
    known = with_orders(Past(shop, ZERO + days), ZERO + days)
    said = models.predict(columns_of(known, contents.NEEDED))
    assert len(known) == customers == models.n
    assert np.isfinite(np.column_stack([said.churn, said.next_order, said.clv[:, :2]])).all()
    assert (np.diff(said.next_order, axis=1) >= 0).all() and (said.clv[:, 0] > 0).all()


@pytest.mark.parametrize(
    ("lines", "days", "why"),
    [
        pytest.param(TAKEN_BACK, 50, "told: no order was kept", id="its only order went back"),
        pytest.param(YOUNG, 0, "told: no order was kept", id="before its first order"),
    ],
)
def test_a_shop_that_nothing_can_be_learnt_from_is_refused(told: MakeShop, lines, days, why):
    past = Past(told(lines), ZERO + days)
    report = evaluate(past, ZERO + days)
    assert report.rows == ()
    every = ["churn", "next purchase", "second order", "value", "recommender"]
    assert [line.split(" at ")[0] for line in report.skipped] == every
    with pytest.raises(Refused, match=why):
        fit_models(past, ZERO + days)


# --- MLflow ---


def test_a_run_says_from_which_data_it_learnt(large):
    run = client(large).get_run(large.told["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "okaeri.shop": "toy",
        "okaeri.trained_until": "2024-12-31",
        "okaeri.data_snapshot": large.shop.version,
    }


def test_a_run_keeps_every_figure_and_the_plots(large):
    tracked, run_id = client(large), large.told["run_id"]
    metrics = tracked.get_run(run_id).data.metrics
    expected = {f"{r['question']}.{r['method']}.{r['metric']}": r["value"] for r in large.told["report"]}
    assert {r["slice"] for r in large.told["report"]} == {"all"}
    assert metrics == pytest.approx(expected)
    plots = {artifact.path for artifact in tracked.list_artifacts(run_id, "plots")}
    assert plots == {"plots/calibration.png", "plots/gain.png", "plots/lift.png"}
    assert "report.json" in {artifact.path for artifact in tracked.list_artifacts(run_id)}


def test_a_shop_that_was_not_judged_has_no_plots(small):
    assert client(small[-1]).list_artifacts(small[-1].told["run_id"], "plots") == []


def test_the_champion_of_mlflow_answers_as_the_release_itself(large):
    registry.open_tracking(large.home)
    rows = rows_of(large)
    answers = mlflow.pyfunc.load_model("models:/okaeri@champion").predict(rows)
    scores = open_release(large.path).models.scores
    x = scores.inputs.matrix({name: rows[name].to_numpy() for name in scores.inputs.features})
    value = scores.value.predict(x, scores.inputs.names)
    own = np.column_stack(
        [scores.churn.predict(x), value[:, :2], scores.next_order(x, rows["orders_all"].to_numpy())[0]]
    )
    assert list(answers.columns) == SCORES
    assert answers.to_numpy().tobytes() == own.tobytes()
    assert list(answers.index) == list(rows.index)


def test_the_champion_of_a_small_shop_answers_with_its_rung(small):
    registry.open_tracking(small[-1].home)
    rows = rows_of(small[-1])
    answers = mlflow.pyfunc.load_model("models:/okaeri@champion").predict(rows)
    assert list(answers.columns) == SCORES
    said = open_release(small[-1].path).models.rung.predict(columns_of(rows, contents.NEEDED))
    own = np.column_stack([said.churn, said.clv[:, :2], said.next_order])
    assert answers.to_numpy().tobytes() == own.tobytes()


def test_a_later_training_is_the_champion_and_the_earlier_one_the_previous(small):
    earlier, later = small
    tracked = client(later)
    assert (earlier.told["kind"], later.told["kind"]) == ("first", "refresh")
    assert (earlier.told["version"], later.told["version"]) == ("1", "2")
    for alias, release in (("champion", later), ("previous", earlier)):
        version = tracked.get_model_version_by_alias("okaeri", alias)
        assert str(version.version) == release.told["version"]
        assert version.tags["release"] == release.told["release"]
    assert champion(later.home) == later.path
    assert [r["id"] for r in list_releases(later.home) if r["champion"]] == [later.told["release"]]


def test_training_again_on_the_same_data_is_the_same_release(large, monkeypatch):
    """B16. Judging, fitting, sealing: every byte but for what is said of it is the champion's."""
    tracked = client(large)
    before = tracked.get_registered_model("okaeri").aliases
    monkeypatch.setattr("training.evaluation.rows.RESAMPLES", RESAMPLES)
    told = training.train(large.home, large.shop, large.until, WHO, WHEN)
    assert told["release"] == large.told["release"]
    assert (told["verdict"], told["champion"]) == ("unchanged", large.told["release"])
    assert champion(large.home) == large.path
    assert not (large.home.releases / "CHALLENGER.json").exists()
    after = tracked.get_registered_model("okaeri").aliases
    assert str(after["champion"]) == told["version"]
    assert after.get("previous") == before.get("previous")  # a twin of the champion is nothing to go back to


# --- one at a time ---


def test_a_second_training_is_refused_and_names_the_first(small):
    home, shop = small[-1].home, small[-1].shop
    ready, done = fork.Event(), fork.Event()

    def hold():
        with lake.locked(home.releases / ".training.lock", "training"):
            ready.set()
            done.wait(60)

    holder = fork.Process(target=hold)
    holder.start()
    try:
        assert ready.wait(60)
        with pytest.raises(Refused, match=f"training is locked by pid {holder.pid} on ") as refused:
            training.train(home, shop, small[-1].until, WHO, WHEN)
    finally:
        done.set()
        holder.join()
    assert refused.value.exit_code == 4
    assert champion(home) == small[-1].path


def test_a_killed_training_leaves_no_lock(small):
    home = small[-1].home
    ready = fork.Event()

    def hold():
        with lake.locked(home.releases / ".training.lock", "training"):
            ready.set()
            fork.Event().wait(60)

    holder = fork.Process(target=hold)
    holder.start()
    assert ready.wait(60)
    holder.kill()
    holder.join()
    with lake.locked(home.releases / ".training.lock", "training"):
        pass


def test_four_processes_on_a_new_database_do_not_break_it(tmp_path: Path):
    home = Home.open(tmp_path / "home")
    gate, ends = fork.Barrier(4), fork.Queue()

    def start():
        gate.wait(60)
        try:
            with registry.run(home, "at once", {"pid": os.getpid()}):
                ends.put("ok")
        except Refused as refused:
            ends.put(str(refused))
        except BaseException as error:
            ends.put(f"broken: {error!r}")

    processes = [fork.Process(target=start) for _ in range(4)]
    for process in processes:
        process.start()
    told = [ends.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert told.count("ok") >= 1
    assert all(end == "ok" or "MLflow's database is locked by" in end for end in told), told
    assert [run.info.status for run in runs_of(home)] == ["FINISHED"] * told.count("ok")


def test_a_run_id_of_another_database_is_dropped_and_noted(small, monkeypatch):
    foreign = "0123456789abcdef0123456789abcdef"
    monkeypatch.setenv("MLFLOW_RUN_ID", foreign)
    with registry.run(small[-1].home, "inside mlflow run", {"shop": "toy"}) as run_id:
        assert run_id != foreign
    assert client(small[-1]).get_run(run_id).data.tags["outer_run"] == foreign


def test_a_run_that_mlflow_began_in_this_database_is_continued(small, monkeypatch):
    tracked = client(small[-1])
    begun = tracked.create_run(mlflow.get_experiment_by_name(registry.EXPERIMENT).experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", begun)
    with registry.run(small[-1].home, "inside mlflow run", {"shop": "toy"}) as run_id:
        assert run_id == begun
    assert "outer_run" not in tracked.get_run(begun).data.tags


def test_a_training_that_fails_is_marked_failed_and_the_champion_stays(small, monkeypatch):
    def out_of_memory(*_):
        raise MemoryError

    monkeypatch.setattr(training, "fit_models", out_of_memory)
    with pytest.raises(MemoryError):
        training.train(small[-1].home, small[-1].shop, small[-1].until, WHO, WHEN)
    assert runs_of(small[-1].home)[0].info.status == "FAILED"
    assert champion(small[-1].home) == small[-1].path
    assert not list(small[-1].home.releases.glob(".staging-*"))
