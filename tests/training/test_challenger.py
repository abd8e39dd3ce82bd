"""A challenger beside a champion, in a copy of the shop's home: what is kept, what is taken over, what is logged."""

import shutil
import sqlite3

import mlflow
import pytest

from features import lake
from features.errors import BadInput, OkaeriError, Refused
from features.home import Home
from features.shop import open_shop
from training import registry
from training.evaluation import Report
from training.ledger import answering, challenger, entries
from training.models.parameters import AS_FOUND, Parameters
from training.release import open_release
from training.train import Asked, train

from .conftest import MLFLOW_WARNS, RESAMPLES, WHEN, WHO, Trained

pytestmark = MLFLOW_WARNS

# Every tree learns the last ones' noise by heart.
BY_HEART = {"num_leaves": 31, "learning_rate": 0.3, "min_data_in_leaf": 2, "lambda_l2": 1.0, "feature_fraction": 1.0}
POOR = Parameters.model_validate({"churn": BY_HEART})
NEARLY = Parameters.model_validate({"churn": {"lambda_l2": 10.5}})


@pytest.fixture(scope="module")
def home(large: Trained, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A copy of the home without MLflow's database, as a backup may be."""
    root = tmp_path_factory.mktemp("challenger") / "home"
    shutil.copytree(large.home.root, root, ignore=shutil.ignore_patterns("mlruns"))
    return Home.open(root)


@pytest.fixture
def again(home: Home, large: Trained, monkeypatch: pytest.MonkeyPatch):
    """Train again, with something asked otherwise."""
    monkeypatch.setattr("training.evaluation.rows.RESAMPLES", RESAMPLES)
    shop = open_shop(home)

    def run(*parts: str, parameters: Parameters = AS_FOUND, until: int = large.until):
        asked = Asked(parts, parameters) if parts else Asked(parameters=parameters)
        return train(home, shop, until, WHO, WHEN, asked=asked)

    return run


@pytest.fixture(scope="module")
def poor(home: Home, large: Trained):
    """The worse challenger's training; of churn alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.evaluation.rows.RESAMPLES", RESAMPLES)
        return train(home, open_shop(home), large.until, WHO, WHEN, asked=Asked(("churn",), POOR))


def versions(home: Home) -> dict[str, str]:
    """The release behind each alias of MLflow's."""
    registry.open_tracking(home)
    client = mlflow.MlflowClient()
    found = client.get_registered_model(registry.MODEL).aliases
    return {alias: client.get_model_version(registry.MODEL, v).tags["release"] for alias, v in found.items()}


def test_a_worse_challenger_is_kept_out_and_recorded_why(home, large, poor):
    """B11, both trained on the same day: the champion is judged by its twin of before the cut-off."""
    assert (poor["verdict"], poor["kind"], poor["champion"]) == ("kept_champion", "failed_check", large.path.name)
    assert any(why.startswith("failed check: churn auc: ") for why in poor["reasons"])
    assert any(why.startswith("significantly worse than the champion: churn auc: ") for why in poor["reasons"])
    assert answering(home) == (large.path.name, None) and len(entries(home)) == 1
    assert challenger(home) == poor["release"]
    release = open_release(home.releases / poor["release"])
    gate = release.gate()
    assert gate["summary"].startswith("kept_champion (failed_check, ")
    assert gate["champion"] == large.path.name and gate["reasons"] == list(poor["reasons"])
    auc = next(f for f in gate["findings"] if (f["against"], f["figure"]) == ("champion", "auc"))
    assert auc["high"] < 0 and auc["passed"] is False


def test_mlflow_knows_the_champion_of_a_copied_home_and_the_challenger(home, large, poor):
    """B18: the database was lost with the copy; the sealed release was logged again, then the challenger."""
    assert versions(home) == {"champion": large.path.name, "challenger": poor["release"]}
    run = mlflow.get_run(poor["run_id"])
    assert run.data.tags["okaeri.gate"].startswith("kept_champion (failed_check, ")
    assert run.data.params["okaeri.churn.learning_rate"] == "0.3" and run.data.params["okaeri.models"] == "churn"
    artifacts = {artifact.path for artifact in mlflow.MlflowClient().list_artifacts(poor["run_id"])}
    assert {"gate.json", "card.html", "report.json", "plots"} <= artifacts


def test_one_part_trained_again_leaves_the_others_as_they_were(home, large, poor):
    before, after = (lake.verify(path)["files"] for path in (large.path, home.releases / poor["release"]))
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {
        *("churn.json", "churn.txt", "release.json", "report.json", "golden.npz"),
        *("held_back/churn/churn.json", "held_back/churn/churn.txt"),
        *("gate.json", "card.html"),
    }
    release = open_release(home.releases / poor["release"])
    assert release.facts["parameters"]["churn"]["num_leaves"] == 31
    assert release.facts["parameters"]["value"]["num_leaves"] == 15
    questions = [row["question"] for row in release.report()]
    assert questions == [row["question"] for row in large.told["report"]]  # every question, each once, in order


def test_what_cannot_be_told_from_the_champion_is_kept_out_and_logged_though_mlflow_was_locked(
    home, large, again, monkeypatch
):
    """B11 within noise; B18: sealed, then MLflow could not be written, so the next training logs it first."""
    locked = mlflow.exceptions.MlflowException(
        "(raised as a result of autoflush)\n(sqlite3.OperationalError) locked\n[SQL]"
    )
    with monkeypatch.context() as patch:
        patch.setattr(registry, "register", lambda *_: (_ for _ in ()).throw(locked))
        with pytest.raises(OkaeriError, match=r"mlflow\.db: \(sqlite3\.OperationalError\) locked$") as failed:
            again("churn", parameters=NEARLY)
    assert failed.value.exit_code == 1
    assert answering(home)[0] == large.path.name
    sealed = {path.name for path in home.releases.glob("*") if (path / "gate.json").exists()}
    told = again("churn", parameters=NEARLY)
    assert (told["verdict"], told["kind"], told["release"] in sealed) == ("kept_champion", "no_gain", True)
    assert "no figure is significantly better, and the champion's data is 0 days older" in told["reasons"][0]
    assert versions(home)["challenger"] == told["release"]
    logged = mlflow.MlflowClient().search_model_versions(f"name='{registry.MODEL}'")
    assert [v.tags["release"] for v in logged].count(told["release"]) == 2  # left over, and now


def test_a_killed_trainings_run_is_marked_by_the_next(home, again, poor, monkeypatch):
    """B8. A run of somebody else's, and one that `mlflow run` has begun for us, stay as they are."""
    registry.open_tracking(home)
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(registry.EXPERIMENT).experiment_id
    killed, ours = (client.create_run(experiment, tags={registry.OURS: "train"}).info.run_id for _ in range(2))
    others = client.create_run(experiment).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", ours)
    with registry.run(home, "after a kill", {}) as run_id:
        assert run_id == ours
        states = {run: client.get_run(run).info.status for run in (killed, ours, others)}
    assert states == {killed: "KILLED", ours: "RUNNING", others: "RUNNING"}


def test_a_lighter_rung_never_replaces_the_champion(home, large, again, monkeypatch):
    """B1: as if everybody came back in the window the full models would be calibrated on."""
    why = "NO_POSITIVES: 0 customers of the rarer outcome at 2024-12-03; the full models need 50"
    monkeypatch.setattr("training.rungs.too_small", lambda past, until: why)
    monkeypatch.setattr("training.train.evaluate", lambda *_: Report((), ()))
    told = again()
    assert (told["verdict"], told["kind"], told["method"]) == ("kept_champion", "lighter", "light")
    assert "NO_POSITIVES" in told["reasons"][0]
    assert answering(home)[0] == large.path.name


def test_a_part_needs_a_champion_that_reads_the_same(large, again, monkeypatch, tmp_path):
    monkeypatch.setattr("training.rungs.catalog.model_inputs", lambda tables: ["n_order_days"])
    with pytest.raises(Refused, match=r"the champion reads other features than there are now \(.*\); train all models"):
        again("churn")


def test_a_part_needs_a_champion(large, tmp_path, monkeypatch):
    root = tmp_path / "home"
    shutil.copytree(large.home.root, root, ignore=shutil.ignore_patterns("mlruns", "releases"))
    home = Home.open(root)
    with pytest.raises(BadInput, match="no champion to take the other models from"):
        train(home, open_shop(home), large.until, WHO, WHEN, asked=Asked(("churn",)))


def test_a_database_of_another_version_is_named(tmp_path):
    """B18: MLflow's own words, in one line."""
    home = Home.open(tmp_path / "home")
    with sqlite3.connect(home.mlruns / "mlflow.db") as database:
        database.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        database.execute("INSERT INTO alembic_version VALUES ('ffffffffffff')")
    with pytest.raises(OkaeriError, match=r"mlflow\.db: .*ffffffffffff") as failed, registry.explained(home):
        registry.open_tracking(home)
    assert failed.value.exit_code == 1 and "\n" not in str(failed.value)
