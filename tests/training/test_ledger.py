"""Who answers, who did before, and what may be thrown away."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from features import lake
from features.errors import BadInput, Damaged, Refused
from features.home import Home
from training import ledger as pointers
from training.ledger import (
    KEPT,
    aliases,
    answering,
    entries,
    list_releases,
    promote,
    prune,
    remember_challenger,
    rollback,
)
from training.release import Contents, champion, check_golden, open_release, write_release

from .conftest import MLFLOW_WARNS, WHEN, WHO, Trained

pytestmark = MLFLOW_WARNS


@pytest.fixture
def home(tmp_path: Path, small: list[Trained], monkeypatch: pytest.MonkeyPatch) -> Home:
    """A new home with copies of two releases; verified without the child process, which is tried on its own."""
    home = Home.open(tmp_path / "home")
    for each in small:
        shutil.copytree(each.path, home.releases / each.told["release"])
    monkeypatch.setattr(pointers, "probe", check_golden)
    return home


@pytest.fixture
def pair(home: Home, small: list[Trained]) -> list[Path]:
    return [home.releases / each.told["release"] for each in small]


def twin_of(path: Path, number: int) -> Path:
    """Another release with the same models: only its facts say so."""
    folder = path.with_name(f".copy-{number}")
    shutil.copytree(path, folder)
    facts = json.loads((folder / "release.json").read_text("utf-8"))
    (folder / "release.json").write_text(json.dumps(facts | {"data_snapshot": str(number)}, sort_keys=True))
    (folder / lake.MANIFEST).unlink()
    named = folder.rename(folder.with_name(lake.seal(folder)[:16]))
    os.utime(named / lake.MANIFEST, ns=(10**18 + number, 10**18 + number))
    return named


# --- back and forth ---


def test_rolling_back_goes_to_the_champion_before_and_says_so_in_the_ledger(home, pair):
    first, second = (path.name for path in pair)
    promote(home, pair[0], WHO, WHEN, "first", "train")
    promote(home, pair[1], WHO, WHEN, "second", "train")
    assert rollback(home, "彩", WHEN, "too many bands moved") == (first, second)
    assert (champion(home), answering(home)) == (pair[0], (first, second))
    assert [(e["release"], e["kind"], e["who"], e["why"]) for e in entries(home)][-1] == (
        first,
        "rollback",
        "彩",
        "too many bands moved",
    )
    assert rollback(home, WHO, WHEN, "no, it was right") == (second, first)  # one step: the second undoes the first
    assert [e["previous"] for e in entries(home)] == [None, first, second, first]


def test_without_an_earlier_champion_there_is_nothing_to_go_back_to(home, pair):
    with pytest.raises(BadInput, match="no champion before this one"):
        rollback(home, WHO, WHEN, "why not")
    promote(home, pair[0], WHO, WHEN, "first")
    with pytest.raises(BadInput, match="no champion before this one"):
        rollback(home, WHO, WHEN, "why not")


def test_what_is_damaged_or_gone_is_not_gone_back_to(home, pair):
    for path in pair:
        promote(home, path, WHO, WHEN, "one after the other")
    with (pair[0] / "items.npz").open("r+b") as file:
        file.write(b"\0\0\0")
    with pytest.raises(Damaged, match=r"items\.npz"):
        rollback(home, WHO, WHEN, "back")
    shutil.rmtree(pair[0])
    with pytest.raises(BadInput, match=f"{pair[0].name}: was the champion before, but its folder is gone"):
        rollback(home, WHO, WHEN, "back")
    assert champion(home) == pair[1]


def test_a_decision_against_another_champion_is_refused(home, pair):
    """B13: compare and swap. Somebody promoted the second while the first was being thought about."""
    third = twin_of(pair[0], 3)
    promote(home, pair[0], WHO, WHEN, "first")
    promote(home, pair[1], WHO, WHEN, "meanwhile", expected=pair[0].name)
    with pytest.raises(Refused, match=f"the champion is {pair[1].name} by now, not {pair[0].name}") as refused:
        promote(home, third, WHO, WHEN, "late", expected=pair[0].name)
    assert refused.value.exit_code == 4
    with pytest.raises(Refused, match=f"the champion is {pair[1].name} by now, not None"):
        promote(home, third, WHO, WHEN, "late", expected=None)
    assert champion(home) == pair[1] and len(entries(home)) == 2


def test_a_lock_says_who_holds_it_and_since_when(home, pair):
    """B10."""
    path = home.releases / ".lock"
    with lake.locked(path, "the release pointer"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
        with pytest.raises(Refused, match=rf"locked by pid {os.getpid()} on \S+ since 2023-11-14T22:13:20\+00:00"):
            promote(home, pair[0], WHO, WHEN, "at once")


# --- names ---


def test_each_release_is_listed_with_its_aliases_and_the_gates_word(home, pair):
    assert aliases(home) == {}
    promote(home, pair[0], WHO, WHEN, "first")
    remember_challenger(home, pair[1])
    assert aliases(home) == {"champion": pair[0].name, "challenger": pair[1].name}
    listed = {one["id"]: one for one in list_releases(home)}
    assert [listed[path.name]["aliases"] for path in pair] == [["champion"], ["challenger"]]
    assert [listed[path.name]["gate"] for path in pair] == ["promoted (first)", "promoted (refresh)"]
    promote(home, pair[1], WHO, WHEN, "by hand")
    assert aliases(home) == {"champion": pair[1].name, "previous": pair[0].name}


def test_a_release_of_before_the_gate_is_listed_without_its_word(home, pair):
    (pair[0] / "gate.json").unlink()
    (pair[0] / lake.MANIFEST).unlink()
    older = pair[0].rename(pair[0].with_name(lake.seal(pair[0])[:16]))
    assert next(one for one in list_releases(home) if one["id"] == older.name)["gate"] is None
    assert open_release(older).gate() == {}


def test_a_ledger_of_before_there_were_kinds_is_read(home):
    line = {"release": "a", "previous": None, "who": "x", "when": WHEN, "why": "trained"}
    lake.write_bytes(home.releases / "ledger.jsonl", json.dumps(line).encode() + b"\n")
    assert entries(home) == [line | {"kind": "train"}]


# --- thrown away ---


def test_pruning_keeps_the_newest_five_and_every_alias(home, pair):
    for path in pair:
        promote(home, path, WHO, WHEN, "one after the other")
        os.utime(path / lake.MANIFEST, ns=(1, 1))  # older than all the others
    younger = [twin_of(pair[0], number) for number in range(8)]
    remember_challenger(home, younger[0])
    gone = prune(home, also=[younger[1].name])
    assert gone == [path.name for path in younger[2 : 8 - KEPT]]
    left = {path.name for path in home.releases.iterdir() if path.is_dir()}
    assert left == {path.name for path in [*pair, younger[0], younger[1], *younger[-KEPT:]]}
    assert prune(home, also=[younger[1].name]) == []
    assert champion(home) == pair[1]


def test_nothing_is_pruned_while_a_training_runs(home, pair):
    with lake.locked(home.releases / ".training.lock", "training"), pytest.raises(Refused, match="training is locked"):
        prune(home)


def test_a_pruning_that_was_killed_leaves_no_half_release(home, pair, monkeypatch):
    promote(home, pair[1], WHO, WHEN, "first")
    for number in range(7):
        twin_of(pair[0], number)

    def killed(path):
        (path / "light.json").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pointers.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(home)
    assert all(open_release(home.releases / one["id"]) for one in list_releases(home))
    prune(home)
    assert not list(home.releases.glob(".staging-*"))


# --- the same contents are the same release ---


def test_what_is_said_of_a_release_makes_no_other_of_the_champion(home, pair, small):
    opened = open_release(pair[0])
    with np.load(pair[0] / "golden.npz") as saved:
        golden = {name[3:]: saved[name] for name in saved.files if name.startswith("in_")}
    own = (
        "format_version",
        "features",
        "feature_schema",
        "horizon_days",
        "method",
        "rung",
        "n",
        "gap_days",
        "why_light",
        "has_value",
    )
    facts = {name: value for name, value in opened.facts.items() if name not in own}
    contents = Contents(opened.models, facts, opened.report(), golden, {})
    said = {name: (pair[0] / name).read_bytes() for name in ("gate.json", "card.html")}
    assert write_release(home, contents, said) == pair[0]  # the very same bytes
    promote(home, pair[0], WHO, WHEN, "first")
    assert write_release(home, contents, said | {"gate.json": b"{}"}) == pair[0]
    promote(home, pair[1], WHO, WHEN, "second")
    other = write_release(home, contents, said | {"gate.json": b'{"summary": "kept"}'})
    assert other not in pair  # judged against another champion: another release
