"""Feast's registry and databases of one shop: created once, by whoever comes first, under a lock."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from string import Template
from typing import Any

import yaml
from feast import FeatureStore, RepoConfig

from feature_repo import definitions
from feature_repo.definitions import Definitions
from features import lake
from features.errors import Refused

CONFIG = Path(__file__).with_name("feature_store.yaml")
# Creating a store takes 1 s, a chunk of an online write 0.2 s (2026-11-21): longer means its holder is stuck.
PATIENCE_SECONDS = 60.0


def opened(folder: Path, described: Definitions) -> FeatureStore:
    """Open the registry in ``folder``; definitions that are not those applied last, and there, are applied.

    Raises
    ------
    Refused
        If another process has been at it for a minute.
    """
    with turn(folder / ".lock", f"the feature store in {folder}"):
        feast = FeatureStore(config=_config(folder))
        applied = folder / "applied.json"
        wanted = {"definitions": _fingerprint(described)}
        if not applied.exists() or lake.read_json(applied) != wanted:
            feast.apply(described.objects())
            _prepare(folder)
            lake.write_json(applied, wanted)
        return feast


@contextmanager
def turn(path: Path, what: str) -> Iterator[None]:
    """Wait for a lock that dies with its holder.

    Raises
    ------
    Refused
        If it is still held after a minute.
    """
    give_up = time.monotonic() + PATIENCE_SECONDS
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(lake.locked(path, what))
                break
            except Refused:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.005)
        yield


def _config(folder: Path) -> RepoConfig:
    """Read ``feature_store.yaml`` with ``folder`` in place of its variable."""

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(inner) for name, inner in value.items()}
        return Template(value).safe_substitute(OKAERI_FEAST=folder) if isinstance(value, str) else value

    return RepoConfig(**filled(yaml.safe_load(CONFIG.read_bytes())))


def _fingerprint(described: Definitions) -> str:
    """Hash what is applied (a home that was moved has another path) and the two files that say how."""
    ours = [lake.sha256_file(Path(definitions.__file__)), lake.sha256_file(CONFIG)]
    fields = [*described.customer_features.features, *described.customer_vector.features]
    features = [[field.name, field.description, field.tags] for field in fields]
    return lake.digest([ours, features, described.snapshots.path])


def _prepare(folder: Path) -> None:
    """Keep the databases to their owner, and let readers go on while a night is written (write-ahead log)."""
    for path in folder.glob("*.db"):
        path.chmod(0o600)
    if (online := folder / "online.db").exists():
        con = sqlite3.connect(online)
        con.execute("PRAGMA journal_mode = WAL")
        con.close()
