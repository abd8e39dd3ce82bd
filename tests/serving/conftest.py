"""The generated shop, ingested, trained and published once; whoever changes something works on a copy."""

import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from features.frame import feature_frame
from features.home import Home
from features.shop import Shop
from serving.answers import Answers, Rows, answers
from serving.nightly import nightly
from serving.policy.decisions import Night
from serving.policy.moment import Moment
from serving.policy.rules import Policy
from serving.policy.situation import situation
from serving.publication import Publication, current
from serving.schemas import ScoreRequest
from training.release import Release, champion, open_release

from . import members
from . import shop as told

if TYPE_CHECKING:  # it takes seconds to import, and not every test needs it
    from serving.online import Online

# What MLflow says of its own database code and types, and that it would like an example of the input.
NOT_OURS = ("The ``noload`` loader strategy", ".*Any type hint is inferred as AnyType", ".*An input example was not")

TABLES = ("order_lines", "customers", "consents")  # of the generated shop

Change = Callable[..., Answers]
Score = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's files as it sends them, and its mapping."""
    folder = tmp_path_factory.mktemp("files")
    told.write_files(folder)
    return folder


@pytest.fixture(scope="session")
def home(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with one published night. Nobody writes here."""
    home = Home.open(tmp_path_factory.mktemp("home"))
    told.take_in(home, sorted(files.glob("*.csv")))
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        for words in NOT_OURS:
            warnings.filterwarnings("ignore", words)
        from training.evaluation import rows
        from training.train import train

        patch.setattr(rows, "RESAMPLES", 2)
        trained = train(home, told.opened(home), told.D, "tester", told.MACHINE_NOW.isoformat())
    assert trained["method"] == "full", "the shop must be large enough for the full models"
    nightly(home, None, told.MACHINE_NOW, told.POLICY)
    return home


@pytest.fixture
def copied(home: Home, tmp_path: Path) -> Home:
    """A home of the test's own, as after the first night."""
    return copy_of(home, tmp_path / "home")


def copy_of(home: Home, to: Path) -> Home:
    """Copy a home, which is a backup of it; MLflow's runs are not needed to answer."""
    shutil.copytree(home.root, to, ignore=shutil.ignore_patterns("mlruns"))
    return Home.open(to)


@pytest.fixture(scope="session")
def peopled(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The shop's home after a second load and another night; nobody writes here."""
    folder = tmp_path_factory.mktemp("peopled")
    copied = copy_of(home, folder / "home")
    ledger = members.take_in(copied, members.write_files(folder / "files"))
    assert ledger.quarantined == 2
    nightly(copied, told.D, told.MACHINE_NOW, told.POLICY, replace=True)
    nightly(copied, told.D + 1, told.MACHINE_NOW, told.POLICY)
    members.decide(copied)
    members.leave_files(copied)
    return copied


@pytest.fixture(scope="session")
def shop(home: Home) -> Shop:
    return told.opened(home)


@pytest.fixture(scope="session")
def frame(shop: Shop) -> pd.DataFrame:
    """Every customer as known at the start of the night's business day."""
    return feature_frame(shop, shop.calendar.start(told.D))


@pytest.fixture(scope="session")
def release(home: Home) -> Release:
    return open_release(champion(home))


@pytest.fixture(scope="session")
def published(home: Home) -> Publication:
    found = current(home)
    assert found is not None
    return found


@pytest.fixture(scope="session")
def scores(published: Publication) -> pd.DataFrame:
    """The night's customer_scores, by customer."""
    return published.table("customer_scores").set_index("customer_id", drop=False)


@pytest.fixture(scope="session")
def online(home: Home) -> "Iterator[Online]":
    """What the service answers with, opened as the service opens it."""
    from serving.online import Online

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OKAERI_HOME", str(home.root))
        opened = Online.open(lambda: told.MACHINE_NOW)
    yield opened


@pytest.fixture(scope="session")
def score(online: "Online") -> Score:
    """Ask about customers, as a caller would, and get the whole reply."""

    def ask(*customer_ids: str, **more: Any) -> dict[str, Any]:
        return online.score(ScoreRequest.model_validate({"customer_ids": list(customer_ids)} | more))

    return ask


@pytest.fixture(scope="session")
def changed(frame: pd.DataFrame, release: Release) -> Change:
    """Answer for made-up customers: each is ``weekly`` of the shop, but for the stored features given (lists)."""
    weekly = frame[frame.customer_id == "weekly"].iloc[0]
    stored = [name for name in release.stored_features if name in frame.columns]

    def change(
        policy: Policy = told.POLICY[0],
        day: int = told.D,
        now_day: int | None = None,
        release: Release = release,
        ids: list[str] | None = None,
        due: list[float] | None = None,
        found: list[bool] | None = None,
        late_tables: Sequence[str] = (),
        night: Night | None = None,
        **features: list[float],
    ) -> Answers:
        n = max([1, *map(len, features.values()), len(ids or ()), len(due or ()), len(found or ())])
        known = np.array(found or [True] * n)
        columns = {name: np.full(n, float(weekly[name])) for name in stored}
        columns |= {name: np.array(values, np.float64) for name, values in features.items()}
        columns = {name: np.where(known, values, np.nan) for name, values in columns.items()}
        who = np.array(ids or [f"made-up-{k}" for k in range(n)], dtype=object)
        soon = [(name, days) for name, days in zip(who, due or (), strict=False) if days == days]
        runs_out = {
            "customer_id": np.array([name for name, _ in soon], object),
            "event": np.full(len(soon), "replenishment.due_on", object),
            "at": np.array([told.start(told.D + int(days)) for _, days in soon], np.float64),
        }
        around = situation(who, TABLES, runs_out, {}, {}, {})
        rows = Rows(who, known, np.where(known, told.D, 0).astype(np.int64), columns, around)
        moment = Moment(told.CALENDAR, day, day if now_day is None else now_day, told.start(day))
        return answers(rows, release, policy, moment, late_tables, night=night)

    return change
