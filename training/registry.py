"""MLflow, and nothing else in this project: runs, figures, plots, and releases under one registered name."""

import logging
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import pandas as pd
from alembic.util.exc import CommandError  # MLflow's migrations and connections, whose errors it lets through
from matplotlib.figure import Figure
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from sqlalchemy.exc import SQLAlchemyError

from features import lake
from features.errors import OkaeriError
from features.home import Home

MODEL = "okaeri"
EXPERIMENT = "okaeri"
PYFUNC = Path(__file__).with_name("pyfunc.py")

RELEASE = "release"  # the tag of a model version
OURS = "okaeri.command"  # the tag of a run: nobody else's is ever marked killed

logging.getLogger("mlflow").setLevel(logging.ERROR)
logging.getLogger("mlflow.store.db").setLevel(logging.CRITICAL)  # its tracebacks; what happened is told by `explained`
logging.getLogger("alembic").setLevel(logging.ERROR)


@contextmanager
def explained(home: Home) -> Iterator[None]:
    """Say in one line what is wrong with MLflow's database: locked for its 20 s of patience, or of another version.

    Raises
    ------
    OkaeriError
        Naming the database.
    """
    try:
        yield
    except (mlflow.exceptions.MlflowException, CommandError, SQLAlchemyError) as error:
        told = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = next((line for line in told if line.startswith("(sqlite3.")), told[0] if told else "no reason given")
        raise OkaeriError(f"{home.mlruns / 'mlflow.db'}: {why}") from error


def open_tracking(home: Home) -> None:
    """Point MLflow at the home's database, making it once under a lock: four at a time would break it."""
    uri = f"sqlite:///{home.mlruns / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    with lake.locked(home.mlruns / ".lock", "MLflow's database"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The ``noload`` loader strategy")  # of its own mappers
        client = mlflow.MlflowClient()
        if client.get_experiment_by_name(EXPERIMENT) is None:
            client.create_experiment(EXPERIMENT, artifact_location=(home.mlruns / "artifacts").as_uri())


@contextmanager
def run(home: Home, name: str, parameters: Mapping[str, Any], command: str = "train") -> Iterator[str]:
    """Track a command. There is one training at a time: what another left running was killed, and is marked so.

    A run id that `mlflow run` made in another database is kept as the tag ``outer_run``.
    """
    outer = os.environ.pop("MLFLOW_RUN_ID", None)
    open_tracking(home)
    experiment = mlflow.get_experiment_by_name(EXPERIMENT)
    if command == "train":
        _mark_killed(experiment.experiment_id, outer)
    known = outer is not None and _exists(outer)
    with mlflow.start_run(
        run_id=outer if known else None,
        experiment_id=None if known else experiment.experiment_id,
        run_name=None if known else name,
    ) as active:
        if outer and not known:
            mlflow.set_tag("outer_run", outer)
        mlflow.set_tag(OURS, command)
        mlflow.log_params({f"okaeri.{key}": value for key, value in parameters.items()})
        yield active.info.run_id


def _mark_killed(experiment_id: str, outer: str | None) -> None:
    client = mlflow.MlflowClient()
    left = client.search_runs([experiment_id], f"attributes.status = 'RUNNING' and tags.`{OURS}` = 'train'")
    for one in left:
        if one.info.run_id != outer:
            client.set_terminated(one.info.run_id, status="KILLED")


def _exists(run_id: str) -> bool:
    try:
        mlflow.get_run(run_id)
    except mlflow.exceptions.MlflowException:
        return False
    return True


def log_report(rows: list[dict[str, Any]], plots: Mapping[str, Figure]) -> None:
    """Log every figure of a report, the report itself as a table, and its plots."""
    mlflow.log_metrics({_metric(row): row["value"] for row in _of_one_name(rows) if row["value"] is not None})
    mlflow.log_table(pd.DataFrame(rows), "report.json")
    for name, figure in plots.items():
        mlflow.log_figure(figure, f"plots/{name}.png")


def _of_one_name(rows: Iterable[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    """Keep one row per figure: of several cut-offs the pooled one, which comes last."""
    return {_metric(row): row for row in rows}.values()


def _metric(row: Mapping[str, Any]) -> str:
    part = "" if row["slice"] == "all" else "." + re.sub(r"[^\w.\- :/]", "_", row["slice"])  # as MLflow wants names
    return f"{row['question']}.{row['method']}.{row['metric']}{part}"


def log_verdict(gate: Mapping[str, Any], card: str) -> None:
    """Log what the gate found and decided, and the model card."""
    mlflow.set_tag("okaeri.gate", gate["summary"])
    mlflow.log_dict(dict(gate), "gate.json")
    mlflow.log_text(card, "card.html")


def register(path: Path, inputs: list[str], outputs: list[str], tags: Mapping[str, str]) -> str:
    """Log a release as one models-from-code model, register it as a version of ``okaeri``; give the version."""
    signature = ModelSignature(
        Schema([ColSpec("double", name) for name in inputs]),
        Schema([ColSpec("double", name) for name in outputs]),
    )
    client = mlflow.MlflowClient()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*An input example was not provided")  # it would hold customers' values
        info = mlflow.pyfunc.log_model(
            name=MODEL,
            python_model=str(PYFUNC),
            artifacts={"release": str(path)},
            signature=signature,
            pip_requirements=["okaeri"],
        )
    with suppress(mlflow.exceptions.MlflowException):  # it is there from the second training on
        client.create_registered_model(MODEL)
    run_id = mlflow.active_run().info.run_id
    made = client.create_model_version(MODEL, info.model_uri, run_id, dict(tags), model_id=info.model_id)
    return str(made.version)


def unlogged(paths: Iterable[Path]) -> list[Path]:
    """List the releases that MLflow knows no version of: it could not be written when they were trained."""
    known = {version.tags.get(RELEASE) for version in _versions(mlflow.MlflowClient())}
    return [path for path in paths if path.name not in known]


def mirror(home: Home, aliases: Mapping[str, str]) -> None:
    """Set the model's aliases to what the home's pointers say: ``champion``, ``previous``, ``challenger``."""
    with explained(home):
        open_tracking(home)
        client = mlflow.MlflowClient()
        newest = {v.tags.get(RELEASE): v.version for v in sorted(_versions(client), key=lambda v: int(v.version))}
        if not newest:
            return
        there = client.get_registered_model(MODEL).aliases
        for alias in ("champion", "previous", "challenger"):
            version = newest.get(aliases.get(alias))
            if version is not None and str(there.get(alias)) != str(version):
                client.set_registered_model_alias(MODEL, alias, version)
            elif version is None and alias in there:
                client.delete_registered_model_alias(MODEL, alias)


def _versions(client: mlflow.MlflowClient) -> list[Any]:
    return list(client.search_model_versions(f"name='{MODEL}'"))
