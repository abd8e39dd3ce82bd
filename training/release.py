"""A release: everything the service answers with, as one sealed folder of text and numbers. Never a pickle."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import lake
from features.catalog import schema_hash
from features.errors import BadInput, Damaged
from features.home import Home
from training.models.btyd import Btyd
from training.models.bundle import RUNGS, Models, Scores
from training.models.churn import Churn
from training.models.effects import Effects
from training.models.held import Held, load_held, save_held
from training.models.inputs import Inputs
from training.models.next_purchase import NextPurchase
from training.models.recommender import Recommender
from training.models.second_order import SecondOrder
from training.models.value import Value

FORMAT_VERSION = 2
GOLDEN_ROWS = 50
PROBE_SECONDS = 30  # faults.md, decisions 2
PROBE_TOLERANCE = 1e-9
SAID = ("gate.json", "card.html")  # of a release, not part of what it answers with
NOTHING: Mapping[str, bytes] = MappingProxyType({})


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

    def learnt_until(self, question: str) -> int:
        """Give the business day from which on one question's model knows nothing: a release may be fitted in parts."""
        return int(self.facts.get("learnt_until", {}).get(question, self.trained_until))

    def held(self, question: str, day: int) -> Held | None:
        """Find a model that may be judged on business day ``day``: the one that answers, else its held-back twin.

        ``None`` if both had learnt from that day or a later one, or there is none for the question.
        """
        if self.models.scores is None:
            return None
        served = getattr(self.models.scores, question.replace("-", "_"))
        if served is not None and self.learnt_until(question) <= day:
            return Held(question, self.learnt_until(question), self.models.scores.inputs, served)
        twin = load_held(self.path, question)
        return twin if twin is not None and twin.day <= day else None

    def gate(self) -> dict[str, Any]:
        """Give what the gate found and decided when it was trained; empty for a release of before there was one."""
        path = self.path / "gate.json"
        return lake.read_json(path) if path.exists() else {}

    def report(self) -> list[dict[str, Any]]:
        """Give the figures it was judged by when it was trained."""
        return list(lake.read_json(self.path / "report.json")["rows"])


@dataclass(frozen=True)
class Contents:
    """What a release is made of, apart from what was said of it."""

    models: Models
    facts: dict[str, Any]  # shop, days, snapshot hash and features; what release.json keeps beside the models' own
    report: list[dict[str, Any]]
    golden: dict[str, Any]  # columns of a few customers, by feature name, whose answers the probe must reproduce
    twins: Mapping[str, Held]  # the models of the report, which had learnt less


def write_release(home: Home, contents: Contents, said: Mapping[str, bytes] = NOTHING) -> Path:
    """Write a release aside, seal it and give it its name; the same content is the same release.

    Parameters
    ----------
    said
        The gate's verdict and the card (:data:`SAID`), as bytes. If the champion has the very same contents, it
        is the release, whatever is said of it now.
    """
    with lake.staging(home.releases / "next") as staged:
        _write_contents(contents, staged)
        found = lake.pointed(home.releases / "CURRENT.json")
        if found is not None and _content(found[0]) == _checksums(staged):
            return found[0]
        for name, content in said.items():
            (staged / name).write_bytes(content)
        name = lake.seal(staged)[:16]
        lake.publish(staged, home.releases / name)
    return home.releases / name


def _write_contents(contents: Contents, folder: Path) -> None:
    models = contents.models
    _save_models(models, folder)
    save_held(contents.twins, folder)
    facts = contents.facts | {"format_version": FORMAT_VERSION, **_own_facts(models)}
    lake.write_json(folder / "release.json", facts)
    lake.write_json(folder / "report.json", {"rows": contents.report})
    arrays: dict[str, Any] = {f"in_{name}": np.asarray(v, np.float64) for name, v in contents.golden.items()}
    np.savez(folder / "golden.npz", **(arrays | _outputs(models, contents.golden)))


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): lake.sha256_file(path) for path in files}


def _content(path: Path) -> dict[str, str]:
    """List a release's files with their checksums, but for what was said of it; nothing if it is damaged."""
    try:
        files: dict[str, str] = lake.verify(path)["files"]
    except Damaged:
        return {}
    return {name: sha256 for name, sha256 in files.items() if name not in SAID}


def _own_facts(models: Models) -> dict[str, Any]:
    features = list(models.scores.inputs.features) if models.scores else []
    return {
        "features": features,
        "feature_schema": schema_hash(features),
        "horizon_days": models.horizon_days,
        "method": models.method,
        "rung": models.rung.method,
        "n": models.n,
        "gap_days": models.gap_days,
        "why_light": models.why_light,
        "has_second_order": models.scores is not None and models.scores.second_order is not None,
        "has_value": models.scores is not None and models.scores.value is not None,
        "has_effects": models.effects is not None,
        "why_no_effects": models.why_no_effects,
    }


def _save_models(models: Models, folder: Path) -> None:
    models.rung.save(folder)
    models.recommender.save(folder)
    if models.effects is not None:
        models.effects.save(folder)
    if models.scores is not None:
        models.scores.inputs.btyd.save(folder)
        models.scores.churn.save(folder)
        models.scores.next_purchase.save(folder)
        if models.scores.second_order is not None:
            models.scores.second_order.save(folder)
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
        second_order = SecondOrder.load(path) if facts["has_second_order"] else None
        scores = Scores(inputs, Churn.load(path), NextPurchase.load(path), second_order, value)
    rung = RUNGS[facts["rung"]].load(path)
    n, gap_days, horizon_days, why_light = (facts[name] for name in ("n", "gap_days", "horizon_days", "why_light"))
    effects = Effects.load(path) if facts.get("has_effects") else None  # releases of before 2026-11-25 have none
    recommender, why_not = Recommender.load(path), facts.get("why_no_effects", "")
    models = Models(scores, recommender, rung, n, gap_days, horizon_days, why_light, effects, why_not)
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
    below = {f"rung_{name}": said for name, said in vars(models.rung.predict(columns)).items()}
    out = vars(models.predict(columns)) | below
    if models.effects is not None:
        out |= {f"effects_{name}": said for name, said in models.effects.predict(columns)._asdict().items()}
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


if __name__ == "__main__":
    try:
        check_golden(Path(sys.argv[1]))
    except Damaged as error:
        sys.exit(str(error))
