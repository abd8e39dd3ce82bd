"""Erasure: followed through every file of a home, whole or unfinished, and never half."""

import json
import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features import lake
from features.door.forget import TOMBSTONES
from features.errors import BadInput, Refused
from features.home import Home
from features.shop import open_shop
from serving.forget import JOURNAL, forget
from serving.nightly import nightly
from serving.publication import current
from training.release import champion, open_release

from . import members
from . import shop as told
from .conftest import copy_of
from .members import ORDERS, PERSON, SECOND, TRACES

if TYPE_CHECKING:
    pass


@pytest.fixture
def mine(peopled: Home, tmp_path: Path) -> Home:
    return copy_of(peopled, tmp_path / "home")


@pytest.fixture(scope="module")
def erased(peopled: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, Any]]:
    """A copy from which the person was erased, by the id of the second account, and the receipt."""
    copied = copy_of(peopled, tmp_path_factory.mktemp("erased") / "home")
    return copied, forget(copied, SECOND, told.MACHINE_NOW)


def contents(home: Home) -> Iterator[tuple[str, bytes]]:
    """Give every file of a home as it lies there, and the texts that Parquet holds in compressed pages."""
    for path in sorted(path for path in home.root.rglob("*") if path.is_file()):
        name = str(path.relative_to(home.root))
        yield name, path.read_bytes()
        if path.suffix == ".parquet":
            columns = (pc.list_flatten(c) if pa.types.is_list(c.type) else c for c in pq.read_table(path).columns)
            texts = (pc.unique(column).to_pylist() for column in columns if pa.types.is_string(column.type))
            yield f"{name} (texts)", "\n".join(str(text) for some in texts for text in some).encode()


def naming(home: Home, word: str) -> set[str]:
    """List the files that hold a word that nothing else in the shop begins with."""
    others = (b"weekly-2", b"once_") if word == PERSON else ()

    def holds(content: bytes) -> bool:
        for other in others:
            content = content.replace(other, b"")
        return word.encode() in content

    return {name for name, content in contents(home) if holds(content)}


# ---- nothing is left --------------------------------------------------------------------------------------------


def test_before_every_trace_is_there_to_be_found(peopled: Home) -> None:
    rooms = {name.split("/")[0] for word in (PERSON, SECOND) for name in naming(peopled, word)}
    assert rooms == {"lake", "feast", "journal", "publications", "exports"}
    assert all(naming(peopled, word) for word in TRACES)


@pytest.mark.parametrize("word", TRACES)
def test_no_file_of_the_home_holds_it_any_more(erased: tuple[Home, dict[str, Any]], word: str) -> None:
    assert naming(erased[0], word) == set()


def test_the_receipt_says_what_was_removed_and_names_nobody(erased: tuple[Home, dict[str, Any]]) -> None:
    home, receipt = erased
    orders = len(told.TOLD[PERSON]) + len(ORDERS)
    assert receipt["rows_removed"]["lake"] == {
        "consents.parquet": 2,
        "contacts.parquet": 1,
        "customers.parquet": 2,
        "days.parquet": orders,
        "events.parquet": 2,
        "feedback.parquet": 1,
        "identities.parquet": 3,
        "order_lines.parquet": orders,
        "product_days.parquet": orders,
        "quarantine_order_lines.csv": 1,
        "quarantine_order_lines.parquet": 1,
        "responses.parquet": 2,
        "shipments.parquet": 3,
    }
    assert receipt["rows_removed"]["journal"] == {"decisions": 1, "outcomes": 2}
    assert receipt["rows_removed"]["feature store"]["online store"] == 1
    assert receipt["rows_removed"]["publications"]["customer_scores"] == 3
    lists = ("excel-ja.csv", "excel-ja.excluded.csv", "klaviyo-profiles.csv", "klaviyo-profiles.excluded.csv")
    lists += ("line-audience.excluded.csv", "line-audience.txt")
    assert receipt["rows_removed"]["other files"] == {
        "exports/audience.csv": 1,
        "exports/decisions.jsonl": 1,
        "exports/send.log": 1,
        **{f"exports/2024-12-31/{name}": 1 for name in lists},
    }
    (path,) = (home.root / "receipts").glob("*.json")
    assert json.loads(path.read_bytes()) == receipt
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "okaeri train" in str(receipt["stays"])


def test_a_lake_that_was_rewritten_did_not_grow_from_what_the_champion_learnt(
    peopled: Home, erased: tuple[Home, dict[str, Any]]
) -> None:
    """So that `okaeri train` may replace a champion that knew the forgotten; a new load alone is no such reason."""
    learnt = open_release(champion(peopled)).facts["data_snapshot"]
    assert open_shop(peopled, "cha").grew_from(learnt) and len(open_shop(peopled, "cha").loads) > 1
    assert not open_shop(erased[0], "cha").grew_from(learnt)


def test_everybody_else_is_as_before(peopled: Home, erased: tuple[Home, dict[str, Any]]) -> None:
    home = erased[0]
    before, after = (open_shop(h, "cha") for h in (peopled, home))
    for old, new in zip(before.loads, after.loads, strict=True):
        for path in sorted(old.path.glob("*.parquet")):
            was, now = (list(map(str, pq.read_table(load.path / path.name).to_pylist())) for load in (old, new))
            kept = set(now)
            assert [row for row in was if row in kept] == now, path.name
            assert all(any(word in row for word in TRACES) for row in was if row not in kept), path.name
    check_last_night(peopled, home)


def check_last_night(peopled: Home, home: Home) -> None:
    was, now = current(peopled), current(home)
    assert was is not None and now is not None and now.manifest["score_date"] == was.manifest["score_date"]
    scores = was.table("customer_scores")
    rest = scores[scores.customer_id != PERSON].reset_index(drop=True)
    assert now.table("customer_scores").astype(str).equals(rest.astype(str))
    counts = now.manifest["counts"]
    assert counts["eligible"] == counts["customer_scores"] == counts["scored"] + counts["rejects"] == len(rest)
    assert {str(p.relative_to(home.publications)) for p in home.publications.glob("*/*")} == {
        f"score_date={before}/revision={revision}" for before, revision in (("2024-12-30", 3), ("2024-12-31", 2))
    }


def test_the_markers_of_lists_tell_of_what_is_left(erased: tuple[Home, dict[str, Any]]) -> None:
    markers = sorted((erased[0].root / "exports").rglob("*.done"))
    assert len(markers) == 3
    for marker in markers:
        told_ = lake.read_json(marker)
        assert (told_["rows"], told_["excluded"]) == (1, 0)
        assert told_["files"] == {name: lake.sha256_file(marker.parent / name) for name in told_["files"]}


def test_lines_of_other_files_stay_byte_for_byte(erased: tuple[Home, dict[str, Any]]) -> None:
    folder = erased[0].root / "exports"
    assert (folder / "audience.csv").read_bytes() == "顧客番号,名前\r\n'c0001,花\r\n'weekly-2,別人\r\n".encode("cp932")
    assert (folder / "decisions.jsonl").read_text().splitlines() == [
        '{"customer_id": "c0001", "n": 1}',
        '{"customer_id": "weekly-2"}',
    ]
    assert (folder / "send.log").read_text() == "sent to c0001\n"


def test_a_tablet_of_many_stays_for_the_others(erased: tuple[Home, dict[str, Any]]) -> None:
    shop = open_shop(erased[0], "cha")
    with duckdb.connect() as con:
        links = con.execute(
            "SELECT count(*) FROM read_parquet(?) WHERE alias = ?",
            [[str(p) for p in shop.parts("identities")], members.TABLET],
        ).fetchone()
    assert links == (6,)


def test_the_next_night_and_training_data_do_without(mine: Home) -> None:
    forget(mine, PERSON, told.MACHINE_NOW)
    done = nightly(mine, told.D + 2, told.MACHINE_NOW, told.POLICY)
    assert done["state"] == "published"
    found = current(mine)
    assert found is not None and PERSON not in set(found.table("customer_scores").customer_id)


# ---- it stays so ------------------------------------------------------------------------------------------------


def test_a_later_file_comes_in_without_them(mine: Home, tmp_path: Path) -> None:
    forget(mine, PERSON, told.MACHINE_NOW)
    files = members.write_files(tmp_path / "again")
    (tmp_path / "again" / "orders_2.csv").write_text(
        f"o,c,t,p,q,r,d,b\nnew-1,{PERSON},{told.at(told.NIGHT + 1)},p01,1,500,,\n"
        f"new-2,{SECOND},never,p01,1,500,,\nnew-3,c0001,{told.at(told.NIGHT + 1)},p01,1,500,,\n"
    )
    ledger = members.take_in(mine, files)
    aside = {reason: n for reason, n in ledger.reasons.items() if reason.endswith(".forgotten")}
    assert aside == {
        "order_lines.forgotten": 2,
        "customers.forgotten": 1,
        "identities.forgotten": 3,
        "shipments.forgotten": 3,
        "events.forgotten": 2,
        "contacts.forgotten": 1,
        "responses.forgotten": 2,
        "feedback.forgotten": 1,
    }
    assert (ledger.accepted, ledger.quarantined, ledger.balanced()) == (1, 0, True)
    assert [naming(mine, word) for word in TRACES] == [set()] * len(TRACES)


def test_another_key_is_refused_rather_than_let_them_return(mine: Home, tmp_path: Path) -> None:
    forget(mine, PERSON, told.MACHINE_NOW)
    (mine.root / "shop.key").unlink()
    with pytest.raises(Refused, match="another shop key"):
        members.take_in(mine, members.write_files(tmp_path / "again"))


def test_forgetting_again_finds_nothing_and_says_so(erased: tuple[Home, dict[str, Any]], tmp_path: Path) -> None:
    home = copy_of(erased[0], tmp_path / "home")
    again = forget(home, SECOND, told.MACHINE_NOW.replace(hour=1))
    assert set(again["rows_removed"]) == {
        "lake", "journal", "feature store", "publications", "shadow reports", "other files",
    }  # fmt: skip
    assert not any(again["rows_removed"].values())
    assert again["customer"] == erased[1]["customer"]
    assert len(list((home.root / "receipts").iterdir())) == 2


# ---- refused, locked, killed ------------------------------------------------------------------------------------


def test_an_unknown_id_is_bad_input_and_changes_nothing(mine: Home) -> None:
    before = dict(contents(mine))
    with pytest.raises(BadInput, match="no table knows") as refused:
        forget(mine, "Weekly", told.MACHINE_NOW)
    assert (refused.value.exit_code, "Weekly" in str(refused.value)) == (2, False)
    assert {name: content for name, content in contents(mine) if not name.endswith(".lock")} == {
        name: content for name, content in before.items() if not name.endswith(".lock")
    }


@pytest.mark.parametrize("lock", [".night.lock", "releases/.training.lock", "lake/cha/.lock"])
def test_it_waits_for_no_running_command(mine: Home, lock: str) -> None:
    with lake.locked(mine.root / lock, "it"), pytest.raises(Refused, match="locked by") as refused:
        forget(mine, PERSON, told.MACHINE_NOW)
    assert refused.value.exit_code == 4
    assert naming(mine, PERSON)


def state(home: Home) -> dict[str, bytes]:
    """Give what must come out the same however often the run was killed: all but locks and databases' pages."""
    left = {
        name: content for name, content in contents(home) if not name.endswith((".lock", ".db", ".db-wal", ".db-shm"))
    }
    return {name: content for name, content in left.items() if not name.startswith("receipts/")}


def killed_at(home: Home, step: int) -> bool:
    """Forget in a child that dies before its ``step``-th change of a name; tell whether it came so far."""
    child = os.fork()
    if child == 0:
        try:
            _die_before(step)
            forget(home, SECOND, told.MACHINE_NOW)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _die_before(step: int) -> None:
    left = [step]

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return call

    for owner, name in ((Path, "rename"), (Path, "replace"), (Path, "unlink"), (shutil, "rmtree")):
        setattr(owner, name, counting(getattr(owner, name)))


def test_killed_at_any_step_the_next_run_finishes(
    peopled: Home, erased: tuple[Home, dict[str, Any]], tmp_path: Path
) -> None:
    wanted, receipt = state(erased[0]), erased[1]
    same = {name: content for name, content in wanted.items() if TOMBSTONES not in name and "shop.key" not in name}
    for step in (1, 5, 11, 18, 27, 40, 60, 85, 10_000):
        home = copy_of(peopled, tmp_path / f"home-{step}")
        came_so_far = killed_at(home, step)
        shop = open_shop(home, "cha")  # whole, or Damaged is raised
        assert current(home) is not None
        again = forget(home, SECOND, told.MACHINE_NOW) if came_so_far else receipt
        assert again["rows_removed"] == receipt["rows_removed"], step
        now = state(home)
        assert {name: now[name] for name in same if name in now} == same, step
        assert set(now) == set(wanted), step
        assert not (home.root / JOURNAL).exists() and len(shop.loads) == 2
        assert naming(home, SECOND) == naming(home, PERSON) == set()
        shutil.rmtree(home.root)
        if not came_so_far:
            break
    assert not came_so_far, "the last step lies beyond the end"
