"""A release is whole or it is refused, it names nobody, and one file says which one answers."""

import json
import multiprocessing
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from features import catalog, lake
from features.errors import BadInput, Damaged, Refused
from features.home import Home
from tests.contracts.model_contract import assert_no_pickle
from training import drift
from training import ledger as pointers
from training import release as releases
from training.dataset import Past
from training.ledger import list_releases, promote
from training.release import GOLDEN_ROWS, champion, check_golden, open_release, probe

from .conftest import CUSTOMER, MLFLOW_WARNS, PRODUCT, WHEN, WHO, Trained

pytestmark = MLFLOW_WARNS
fork = multiprocessing.get_context("fork")

MUTATIONS = int(os.environ.get("OKAERI_MUTATIONS", "60"))  # faults.md B14 asks for 1,000 in a long run


@pytest.fixture
def home(tmp_path: Path, small: list[Trained]) -> Home:
    """A new home with copies of two releases, neither of them promoted."""
    home = Home.open(tmp_path / "home")
    for each in small:
        shutil.copytree(each.path, home.releases / each.told["release"])
    return home


@pytest.fixture
def pair(home: Home, small: list[Trained]) -> list[Path]:
    return [home.releases / each.told["release"] for each in small]


@pytest.fixture
def trusting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Promote without the child process, which is tried on its own and takes seconds."""
    monkeypatch.setattr(pointers, "probe", check_golden)


def ledger(home: Home) -> list[dict]:
    return [json.loads(line) for line in (home.releases / "ledger.jsonl").read_text("utf-8").splitlines()]


def resealed(folder: Path) -> Path:
    """Write a manifest that agrees with a folder as it is, as a wrong program (or a thief) would."""
    (folder / lake.MANIFEST).unlink()
    name = lake.seal(folder)[:16]
    return folder.rename(folder.with_name(name))


# --- whole ---


def test_a_release_is_opened_with_the_facts_of_its_training(large):
    release = open_release(large.path)
    assert release.id == large.path.name == large.told["release"]
    assert release.trained_until == large.until
    assert release.facts["shop"] == "toy" and release.facts["currency"] == "JPY"
    assert release.facts["data_snapshot"] == large.shop.version
    assert release.models.horizon_days == 28
    assert set(release.stored_features) <= set(release.facts["features"]) | set(release.facts["stored_features"])
    assert json.loads((large.path / "report.json").read_text())["rows"] == large.told["report"]


def test_every_input_has_a_frozen_distribution_of_the_newest_customers(large):
    """Of everyone with an order a fortnight before the training: shares add up, and those very rows did not drift."""
    facts = open_release(large.path).facts
    rows = Past(large.shop, large.until).rows([large.until - 14], large.until)
    rows = rows[rows.order_days_all >= 1]
    kept = facts["references"]["features"]
    assert list(kept) == sorted(catalog.model_inputs(large.shop.tables))
    for name, told in kept.items():
        assert sum(told["shares"]) == pytest.approx(1), name
        assert drift.psi(told, rows[name].to_numpy()) == pytest.approx(0, abs=1e-12), name


def test_what_drifts_in_a_horizon_whatever_happens_is_named(large):
    """Among the restless is how long ago the first order was; among the others nothing is beyond the bound."""
    facts, past = open_release(large.path).facts, Past(large.shop, large.until)
    before, now = (past.rows([large.until - ago], large.until).query("order_days_all >= 1") for ago in (28, 14))
    for name in catalog.model_inputs(large.shop.tables):
        index = drift.psi(drift.reference(before[name].to_numpy()), now[name].to_numpy())
        assert facts["restless"].get(name) == (round(index, 4) if index > drift.CONSIDERABLE else None), name


def test_the_golden_rows_cover_every_answer(large):
    with np.load(large.path / "golden.npz", allow_pickle=False) as golden:
        answers = {name[4:]: golden[name] for name in golden.files if name.startswith("out_")}
    said = ("churn", "next_order", "next_days", "clv")
    assert set(answers) == {*said, *(f"rung_{name}" for name in said)}
    assert all(len(answer) == GOLDEN_ROWS for answer in answers.values())
    for of in ("", "rung_"):
        days = answers.pop(f"{of}next_days")
        assert (np.isnan(days) | (days <= 365)).all() and np.isfinite(days[:, 1]).any()  # beyond a year is no date
    assert np.isnan(answers["rung_clv"][:, 2:]).all()  # a rung knows no interval
    answers["rung_clv"] = answers["rung_clv"][:, :2]
    assert all(np.isfinite(answer).all() for answer in answers.values())
    assert np.ptp(answers["churn"]) > 0.1


def test_a_whole_release_passes_the_probe(large):
    probe(large.path)


# --- damaged ---


def test_a_changed_byte_or_a_cut_anywhere_is_seen_before_any_parser(large, tmp_path):
    """B14: LightGBM dies on a damaged model file, so this process would not live to tell."""
    folder, chance = tmp_path / large.path.name, random.Random(7)
    shutil.copytree(large.path, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for number in range(MUTATIONS):
        path = files[number % len(files)]
        whole = path.read_bytes()
        at = chance.randrange(len(whole))
        if number // len(files) % 2:
            path.write_bytes(whole[:at])
        else:
            path.write_bytes(whole[:at] + bytes([whole[at] ^ chance.randrange(1, 256)]) + whole[at + 1 :])
        for use in (open_release, probe):
            with pytest.raises(Damaged):
                use(folder)
        path.write_bytes(whole)
    assert open_release(folder).id == large.path.name


@pytest.mark.parametrize("space", [b"\t", b"\r"])
def test_a_manifest_that_says_the_same_in_other_bytes_is_another_release(home, pair, space):
    manifest = pair[0] / lake.MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b" ", space, 1))
    lake.verify(pair[0])
    with pytest.raises(Damaged, match="holds the release"):
        open_release(pair[0])


def test_a_release_under_the_name_of_another_is_refused(pair):
    shutil.rmtree(pair[0])
    pair[1].rename(pair[0])
    for use in (open_release, probe):
        with pytest.raises(Damaged, match=f"holds the release {pair[1].name}"):
            use(pair[0])


def test_a_file_too_many_or_too_few_is_refused(pair):
    (pair[0] / "more.txt").write_text("more")
    with pytest.raises(Damaged, match=r"more\.txt is listed or present, but not both"):
        open_release(pair[0])
    (pair[1] / "light.json").unlink()
    with pytest.raises(Damaged, match=r"light\.json is listed or present, but not both"):
        open_release(pair[1])


def test_an_unfinished_release_is_refused(pair):
    (pair[0] / lake.MANIFEST).unlink()
    with pytest.raises(Damaged, match="never finished"):
        open_release(pair[0])


def test_a_release_of_a_later_format_is_refused_by_number(pair):
    facts = json.loads((pair[0] / "release.json").read_text())
    (pair[0] / "release.json").write_text(json.dumps(facts | {"format_version": 99}))
    with pytest.raises(Damaged, match="format_version 99; this version reads 2"):
        open_release(resealed(pair[0]))


def test_a_release_of_before_effects_were_learnt_still_answers(pair):
    facts = json.loads((pair[0] / "release.json").read_text())
    assert (facts.pop("has_effects"), facts.pop("why_no_effects")) == (False, "no contacts are known")
    (pair[0] / "release.json").write_text(json.dumps(facts))
    opened = open_release(resealed(pair[0]))
    assert (opened.models.effects, opened.models.why_no_effects) == (None, "")
    check_golden(opened.path)


def test_a_model_file_that_kills_its_reader_kills_only_the_child(large, tmp_path):
    folder = tmp_path / large.path.name
    shutil.copytree(large.path, folder)
    model = (folder / "churn.txt").read_text()
    (folder / "churn.txt").write_text(model[: len(model) // 2])
    with pytest.raises(Damaged):
        probe(resealed(folder))


def test_a_release_that_answers_otherwise_than_it_did_is_refused(pair):
    rates = json.loads((pair[0] / "light.json").read_text())
    rates["bgnbd"]["r"] += 1e-4
    (pair[0] / "light.json").write_text(json.dumps(rates))
    changed = resealed(pair[0])
    assert open_release(changed).id == changed.name
    with pytest.raises(Damaged, match="churn answers its golden rows otherwise"):
        check_golden(changed)


def test_a_release_that_does_not_load_in_time_is_refused(pair, monkeypatch):
    monkeypatch.setattr(releases, "PROBE_SECONDS", 0.01)
    with pytest.raises(Damaged, match=r"did not load within 0\.01 s"):
        probe(pair[0])


# --- the pointer and the ledger ---


def test_a_home_without_a_release_says_what_to_do(home):
    with pytest.raises(BadInput, match="no release yet; run `okaeri train`"):
        champion(home)


def test_training_promotes_with_the_whole_story(small):
    home = small[-1].home
    first, second = ledger(home)[:2]
    told = {"who": WHO, "when": WHEN, "why": "trained on what was known before 2024-06-19", "kind": "train"}
    assert first == {"release": small[0].told["release"], "previous": None} | told
    assert (second["release"], second["previous"]) == (small[1].told["release"], small[0].told["release"])


def test_promoting_moves_the_pointer_and_adds_a_line(home, pair, trusting):
    assert promote(home, pair[0], WHO, WHEN, "first") is None
    assert champion(home) == pair[0]
    assert promote(home, pair[1], "彩", WHEN, "better") == pair[0].name
    assert champion(home) == pair[1]
    assert promote(home, pair[0], WHO, WHEN, "back") == pair[1].name
    assert [(e["release"], e["previous"], e["who"], e["why"]) for e in ledger(home)] == [
        (pair[0].name, None, WHO, "first"),
        (pair[1].name, pair[0].name, "彩", "better"),
        (pair[0].name, pair[1].name, WHO, "back"),
    ]
    assert {r["id"]: r["champion"] for r in list_releases(home)} == {pair[0].name: True, pair[1].name: False}


def test_promoting_the_champion_changes_nothing(home, pair, trusting):
    promote(home, pair[0], WHO, WHEN, "first")
    promote(home, pair[1], WHO, WHEN, "second")
    before = {name: (home.releases / name).read_bytes() for name in ("CURRENT.json", "ledger.jsonl")}
    assert promote(home, pair[1], "another", "later", "again") == pair[0].name
    assert {name: (home.releases / name).read_bytes() for name in before} == before


def test_a_promotion_killed_before_its_ledger_is_completed_by_the_next(home, pair, trusting, monkeypatch):
    promote(home, pair[0], WHO, WHEN, "first")

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lake, "write_bytes", _after_the_pointer(killed))
        with pytest.raises(KeyboardInterrupt):
            promote(home, pair[1], WHO, WHEN, "second")
    assert champion(home) == pair[1]
    promote(home, pair[1], WHO, WHEN, "second")
    assert [(e["release"], e["previous"]) for e in ledger(home)] == [
        (pair[0].name, None),
        (pair[1].name, pair[0].name),
    ]


def _after_the_pointer(then):
    write = lake.write_bytes
    return lambda path, content: write(path, content) if path.name == "CURRENT.json" else then()


def test_a_damaged_release_is_never_promoted(home, pair):
    with (pair[0] / "items.npz").open("r+b") as file:
        file.write(b"\x00\x00\x00")
    with pytest.raises(Damaged):
        promote(home, pair[0], WHO, WHEN, "worse")
    assert not (home.releases / "CURRENT.json").exists()


def test_of_two_promoters_at_once_each_wins_whole_or_is_refused(home, pair, trusting):
    """B13: the pointer names the release of the ledger's last line, and each line follows from the one before."""
    rounds = 15
    gate, ends = fork.Barrier(2), fork.Queue()

    def keep_promoting(path):
        for n in range(rounds):
            gate.wait(60)
            try:
                promote(home, path, str(os.getpid()), WHEN, str(n))
                ends.put("promoted")
            except Refused as refused:
                ends.put(str(refused))

    promoters = [fork.Process(target=keep_promoting, args=(path,)) for path in pair]
    for promoter in promoters:
        promoter.start()
    told = [ends.get(timeout=60) for _ in range(2 * rounds)]
    for promoter in promoters:
        promoter.join()
    assert "promoted" in told
    assert all(end == "promoted" or "the release pointer is locked by" in end for end in told), told
    lines = ledger(home)
    assert [line["previous"] for line in lines] == [None, *(line["release"] for line in lines[:-1])]
    assert all(line["release"] != line["previous"] for line in lines)
    assert champion(home).name == lines[-1]["release"]
    assert not list(home.releases.glob(".*.tmp"))


# --- what is in it ---


def everything_written(trained: Trained) -> list[Path]:
    """All files of the releases and of MLflow: the database, the artefacts, the logged models."""
    found = [p for root in (trained.home.releases, trained.home.mlruns) for p in root.rglob("*") if p.is_file()]
    names = {path.name for path in found}
    assert {"mlflow.db", "items.npz", "report.json", "MLmodel"} <= names
    return found


def spellings(word: str) -> list[bytes]:
    return [word.encode(encoding) for encoding in ("utf-8", "utf-16-le", "utf-32-le")]


@pytest.mark.parametrize("which", ["large", "small"])
def test_no_customer_is_named_in_a_release_or_in_mlflow(which, request):
    """The products are, in the encoding that would hide a customer: so this search can find what there is."""
    trained = request.getfixturevalue(which)
    trained = trained[-1] if isinstance(trained, list) else trained
    customers, products = (spellings(form.format(0)[:4]) for form in (CUSTOMER, PRODUCT))
    content = {path: path.read_bytes() for path in everything_written(trained)}
    assert any(word in content[path] for path in content if path.name == "items.npz" for word in products)
    assert [path for path in content if any(word in content[path] for word in customers)] == []


@pytest.mark.parametrize("which", ["large", "small"])
def test_there_is_no_pickle_anywhere(which, request):
    trained = request.getfixturevalue(which)
    trained = trained[-1] if isinstance(trained, list) else trained
    assert_no_pickle(trained.home.releases / trained.told["release"])
    for path in everything_written(trained):
        assert path.suffix not in (".pkl", ".pickle", ".joblib", ".dill", ".skops", ".bin"), path
        assert path.read_bytes()[:2] not in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), path


def test_a_release_is_for_its_owner_alone(large):
    modes = {path.is_dir(): path.stat().st_mode & 0o777 for path in [large.path, *large.path.rglob("*")]}
    assert modes == {False: 0o600, True: 0o700}
