"""MLflow, and nothing else in this project: runs, figures, plots, and releases under one registered name."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
import pandas as pd
from matplotlib.figure import Figure
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

from features import lake
from features.home import Home

MODEL = "okaeri"
EXPERIMENT = "okaeri"
PYFUNC = Path(__file__).with_name("pyfunc.py")

logging.getLogger("mlflow").setLevel(logging.ERROR)
logging.getLogger("alembic").setLevel(logging.ERROR)


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
def run(home: Home, name: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    """Track one training. A run id that `mlflow run` made in another database is kept as the tag ``outer_run``."""
    outer = os.environ.pop("MLFLOW_RUN_ID", None)
    open_tracking(home)
    experiment = mlflow.get_experiment_by_name(EXPERIMENT)
    known = outer is not None and _exists(outer)
    with mlflow.start_run(
        run_id=outer if known else None,
        experiment_id=None if known else experiment.experiment_id,
        run_name=None if known else name,
    ) as active:
        if outer and not known:
            mlflow.set_tag("outer_run", outer)
        mlflow.log_params({f"okaeri.{key}": value for key, value in parameters.items()})
        yield active.info.run_id


def _exists(run_id: str) -> bool:
    try:
        mlflow.get_run(run_id)
    except mlflow.exceptions.MlflowException:
        return False
    return True


def log_report(rows: list[dict[str, Any]], plots: Mapping[str, Figure]) -> None:
    """Log every figure of a report, the report itself as a table, and its plots."""
    mlflow.log_metrics(
        {f"{r['question']}.{r['method']}.{r['metric']}": r["value"] for r in rows if r["value"] is not None}
    )
    mlflow.log_table(pd.DataFrame(rows), "report.json")
    for name, figure in plots.items():
        mlflow.log_figure(figure, f"plots/{name}.png")


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


def mirror_champion(home: Home, release: str) -> None:
    """Set the aliases ``champion`` and ``previous`` to what the pointer file says."""
    open_tracking(home)
    client = mlflow.MlflowClient()
    versions = [v for v in client.search_model_versions(f"name='{MODEL}'") if v.tags.get("release") == release]
    if not versions:
        return
    aliases = client.get_registered_model(MODEL).aliases
    newest = max(versions, key=lambda v: int(v.version))
    current = aliases.get("champion")
    if current is not None and str(current) not in {str(v.version) for v in versions}:
        client.set_registered_model_alias(MODEL, "previous", current)
    client.set_registered_model_alias(MODEL, "champion", newest.version)
