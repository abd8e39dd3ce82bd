"""A release: everything the service answers with, as one sealed folder of text and numbers. Never a pickle."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import lake
from features.catalog import schema_hash
from features.errors import BadInput, Damaged
from features.home import Home
from training.models.btyd import Btyd
from training.models.bundle import Models, Scores
from training.models.churn import Churn
from training.models.inputs import Inputs
from training.models.next_purchase import NextPurchase
from training.models.prior import Prior
from training.models.recommender import Recommender
from training.models.value import Value

FORMAT_VERSION = 1
GOLDEN_ROWS = 50
PROBE_SECONDS = 30  # faults.md, decisions 2
PROBE_TOLERANCE = 1e-9
KEPT = 5  # design.md: the last five and the champion are kept


@dataclass(frozen=True)
class Release:
    """One verified release in memory."""

    id: str  # sha256 of its manifest, shortened: equal content, equal id
    path: Path
    facts: dict[str, Any]  # release.json
    models: Models

    @property
    def trained_until(self) -> int:
        """The business day from which on nothing was known when it was trained."""
        return int(self.facts["trained_until"])

    @property
    def stored_features(self) -> list[str]:
        """The stored features whose packed vector this release reads."""
        return list(self.facts["stored_features"])

    def report(self) -> list[dict[str, Any]]:
        """Give the figures it was judged by when it was trained."""
        return list(lake.read_json(self.path / "report.json")["rows"])


def write_release(
    home: Home, models: Models, facts: dict[str, Any], report: list[dict[str, Any]], golden: dict[str, Any]
) -> Path:
    """Write a release aside, seal it and give it its name; the same content is the same release.

    Parameters
    ----------
    facts
        Shop, days, snapshot hash and features; what ``release.json`` keeps beside the models' own.
    golden
        Columns of a few customers, by feature name, whose answers the probe must reproduce.
    """
    with lake.staging(home.releases / "next") as staged:
        _save_models(models, staged)
        lake.write_json(staged / "release.json", facts | {"format_version": FORMAT_VERSION, **_own_facts(models)})
        lake.write_json(staged / "report.json", {"rows": report})
        arrays: dict[str, Any] = {f"in_{name}": np.asarray(v, np.float64) for name, v in golden.items()}
        arrays |= _outputs(models, golden)
        np.savez(staged / "golden.npz", **arrays)
        name = lake.seal(staged)[:16]
        lake.publish(staged, home.releases / name)
    return home.releases / name


def _own_facts(models: Models) -> dict[str, Any]:
    features = list(models.scores.inputs.features) if models.scores else []
    return {
        "features": features,
        "feature_schema": schema_hash(features),
        "horizon_days": models.horizon_days,
        "method": models.method,
        "n": models.prior.n,
        "why_light": models.why_light,
        "has_value": models.scores is not None and models.scores.value is not None,
    }


def _save_models(models: Models, folder: Path) -> None:
    models.prior.save(folder)
    models.recommender.save(folder)
    if models.scores is not None:
        models.scores.inputs.btyd.save(folder)
        models.scores.churn.save(folder)
        models.scores.next_purchase.save(folder)
        if models.scores.value is not None:
            models.scores.value.save(folder)


def open_release(path: Path) -> Release:
    """Read a release, every file checked against the manifest before any parser sees it.

    Raises
    ------
    Damaged
        If a file changed, the folder holds another release than its name says, or its format is unknown here.
    """
    found = _verified(path)
    facts = lake.read_json(path / "release.json")
    if facts["format_version"] != FORMAT_VERSION:
        raise Damaged(f"{path}: format_version {facts['format_version']}; this version reads {FORMAT_VERSION}")
    scores = None
    if facts["method"] == "full":
        inputs = Inputs(tuple(facts["features"]), Btyd.load(path))
        value = Value.load(path) if facts["has_value"] else None
        scores = Scores(inputs, Churn.load(path), NextPurchase.load(path), value)
    models = Models(scores, Recommender.load(path), Prior.load(path), facts["horizon_days"], facts["why_light"])
    return Release(found, path, facts, models)


def _verified(path: Path) -> str:
    """Check every file against the manifest and the manifest against the folder's name; give the release's id."""
    lake.verify(path)
    found = lake.sha256_file(path / lake.MANIFEST)[:16]
    if found != path.name:
        raise Damaged(f"{path}: holds the release {found}")
    return found


def _outputs(models: Models, columns: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Give every model's answers for a few customers."""
    churn, next_order, revenue = models.prior.predict(columns)
    out = {"prior_churn": churn, "prior_next_order": next_order, "prior_revenue": revenue}
    if models.scores is not None:
        x = models.scores.inputs.matrix(columns)
        out |= {"churn": models.scores.churn.predict(x), "next_order": models.scores.next_purchase.predict(x)}
        if models.scores.value is not None:
            out["value"] = models.scores.value.predict(x, models.scores.inputs.names)
    return {f"out_{name}": np.asarray(value, np.float64) for name, value in out.items()}


def check_golden(path: Path) -> None:
    """Answer for the golden rows again and compare.

    Raises
    ------
    Damaged
        If any answer differs.
    """
    release = open_release(path)
    with np.load(path / "golden.npz", allow_pickle=False) as golden:
        columns = {name[3:]: golden[name] for name in golden.files if name.startswith("in_")}
        for name, found in _outputs(release.models, columns).items():
            if not np.allclose(found, golden[name], rtol=0, atol=PROBE_TOLERANCE, equal_nan=True):
                raise Damaged(f"{path}: {name[4:]} answers its golden rows otherwise than when it was made")


def probe(path: Path) -> None:
    """Load a release in a child process first: LightGBM dies on a damaged model file, and must not take us along.

    Raises
    ------
    Damaged
        If the checksums, the child or the golden rows fail.
    """
    _verified(path)
    command = [sys.executable, "-m", "training.release", str(path)]
    try:
        # LightGBM quotes a damaged file's bytes in its last words, whatever they are.
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Damaged(f"{path}: did not load within {PROBE_SECONDS} s") from None
    if done.returncode != 0:
        raise Damaged((done.stderr.strip().splitlines() or [f"{path}: the process that loaded it died"])[-1])


def champion(home: Home) -> Path:
    """Find the release that answers now: the pointer file is the truth, MLflow's alias mirrors it.

    Raises
    ------
    BadInput
        If nothing has been trained yet.
    """
    found = lake.pointed(home.releases / "CURRENT.json")
    if found is None:
        raise BadInput(f"{home.releases}: no release yet; run `okaeri train`")
    return found[0]


def promote(home: Home, path: Path, who: str, when: str, why: str) -> str | None:
    """Make a verified release the champion in one rename and write the ledger; give the previous one's name.

    Promoting the champion changes nothing, but for a ledger that a kill left behind its pointer.
    """
    probe(path)
    pointer, ledger = home.releases / "CURRENT.json", home.releases / "ledger.jsonl"
    with lake.locked(home.releases / ".lock", "the release pointer"):
        found = lake.pointed(pointer)
        previous = found[0].name if found else None
        if found is None or previous != path.name:
            lake.point(pointer, path, previous=previous)
        else:
            previous = found[1]["previous"]
        lines = ledger.read_bytes() if ledger.exists() else b""
        if not lines or json.loads(lines.splitlines()[-1])["release"] != path.name:
            entry = {"release": path.name, "previous": previous, "who": who, "when": when, "why": why}
            lake.write_bytes(ledger, lines + json.dumps(entry, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return previous


def list_releases(home: Home) -> list[dict[str, Any]]:
    """List the releases of a home with their facts, the champion marked."""
    found = lake.pointed(home.releases / "CURRENT.json")
    current = found[0].name if found else None
    folders = sorted(p for p in home.releases.glob("*") if p.is_dir() and (p / lake.MANIFEST).exists())
    return [
        {"id": p.name, "champion": p.name == current, **_listed(lake.read_json(p / "release.json"))} for p in folders
    ]


def _listed(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("shop", "trained_until_date", "method", "n", "horizon_days")}


if __name__ == "__main__":
    try:
        check_golden(Path(sys.argv[1]))
    except Damaged as error:
        sys.exit(str(error))
