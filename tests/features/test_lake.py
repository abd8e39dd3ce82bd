"""Folders that are whole or absent: whatever is done to a sealed folder is found before anything reads it."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from features import lake
from features.errors import Damaged, Refused
from features.home import Home
from features.shop import open_shop
from tests.features.test_frame import one_order


@pytest.fixture
def sealed(tmp_path):
    """A published folder of two files and the sha256 of its manifest."""
    final = tmp_path / "loads" / "000001"
    with lake.staging(final) as staged:
        (staged / "a.txt").write_bytes(b"tea and cups")
        (staged / "deep").mkdir()
        (staged / "deep" / "b.txt").write_bytes(b"two\nlines\n")
        sha256 = lake.seal(staged, rows=2)
        lake.publish(staged, final)
    return final, sha256


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_whole_folder_is_read(sealed):
    folder, sha256 = sealed
    manifest = lake.verify(folder, sha256)
    assert manifest == {"rows": 2, "files": {n: lake.sha256_file(folder / n) for n in ("a.txt", "deep/b.txt")}}
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*.txt")} == {0o600}


@pytest.mark.parametrize("name", ["a.txt", "deep/b.txt", lake.MANIFEST])
def test_any_flipped_byte_is_found_and_its_file_named(sealed, name):
    folder, sha256 = sealed
    whole = (folder / name).read_bytes()
    for position in range(len(whole)):
        flip(folder / name, position)
        with pytest.raises(Damaged, match=name):
            lake.verify(folder, sha256)
        (folder / name).write_bytes(whole)
    lake.verify(folder, sha256)


@pytest.mark.parametrize("name", ["a.txt", "deep/b.txt", lake.MANIFEST])
def test_any_file_cut_short_is_found_and_named(sealed, name):
    folder, sha256 = sealed
    whole = (folder / name).read_bytes()
    for length in range(len(whole)):
        (folder / name).write_bytes(whole[:length])
        with pytest.raises(Damaged, match=name):
            lake.verify(folder, sha256)


def test_a_manifest_cut_short_is_found_without_its_sha256_too(sealed):
    folder, _ = sealed
    manifest = folder / lake.MANIFEST
    manifest.write_bytes(manifest.read_bytes()[:-3])
    with pytest.raises(Damaged, match=f"{lake.MANIFEST}: not JSON"):
        lake.verify(folder)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        pytest.param(lambda f: (f / "deep" / "b.txt").unlink(), r"deep/b\.txt is listed or present", id="missing file"),
        pytest.param(lambda f: (f / "c.txt").write_text("x"), r"c\.txt is listed or present", id="extra file"),
        pytest.param(lambda f: (f / lake.MANIFEST).unlink(), f"no {lake.MANIFEST}", id="no manifest"),
        pytest.param(lambda f: shutil.rmtree(f), f"no {lake.MANIFEST}", id="no folder"),
        pytest.param(lambda f: (f / lake.MANIFEST).write_text("[]"), "expected a JSON object", id="not an object"),
        pytest.param(lambda f: (f / lake.MANIFEST).write_text("{}"), "lists no files", id="no list of files"),
        pytest.param(lambda f: (f / "a.txt").rename(f / "z.txt"), r"a\.txt is listed or present", id="renamed file"),
    ],
)
def test_other_harm_is_named(sealed, harm, named):
    folder, _ = sealed
    harm(folder)
    with pytest.raises(Damaged, match=named):
        lake.verify(folder)


def test_a_published_folder_is_never_written_again(sealed):
    folder, sha256 = sealed
    with lake.staging(folder) as staged:
        (staged / "a.txt").write_text("other")
        lake.seal(staged)
        lake.publish(staged, folder)
    lake.verify(folder, sha256)
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_what_is_staged_goes_with_its_block(tmp_path):
    def fails() -> None:
        with lake.staging(tmp_path / "final") as staged:
            (staged / "half").write_text("x")
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_swept(tmp_path):
    (tmp_path / ".staging-next-4711").mkdir()
    (tmp_path / ".staging-next-4711" / "half.parquet").write_text("x")
    (tmp_path / ".CURRENT.json.4711.tmp").write_text("{")
    (tmp_path / "000001").mkdir()
    with lake.staging(tmp_path / "next") as staged:
        assert sorted(tmp_path.iterdir()) == sorted([staged, tmp_path / "000001"])


def test_a_pointer_is_relative_and_moves_with_its_home(sealed, tmp_path):
    folder, sha256 = sealed
    pointer = tmp_path / "CURRENT.json"
    assert lake.pointed(pointer) is None
    lake.point(pointer, folder, sha256=sha256)
    assert json.loads(pointer.read_bytes()) == {"path": "loads/000001", "sha256": sha256}
    moved = tmp_path.with_name(tmp_path.name + "-moved")
    tmp_path.rename(moved)
    found, facts = lake.pointed(moved / "CURRENT.json")
    assert found == moved / "loads" / "000001"
    lake.verify(found, facts["sha256"])


def test_a_pointer_cut_short_is_damaged_by_name(sealed, tmp_path):
    pointer = tmp_path / "CURRENT.json"
    lake.point(pointer, sealed[0])
    pointer.write_bytes(pointer.read_bytes()[:-4])
    with pytest.raises(Damaged, match=r"CURRENT\.json: not JSON"):
        lake.pointed(pointer)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "facts.json"
    lake.write_json(path, {"n": 1})

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match="No space"):
        lake.write_json(path, {"n": 2})
    assert lake.read_json(path) == {"n": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["facts.json"]
    assert path.stat().st_mode & 0o777 == 0o600


# ---- locks ------------------------------------------------------------------------------------------------------


def test_a_lock_names_its_holder_and_dies_with_it(tmp_path):
    lock = tmp_path / ".lock"
    read, write = os.pipe()
    holder = os.fork()
    if holder == 0:
        with lake.locked(lock, "the lake"):
            os.write(write, b"held")
            signal.pause()
    try:
        assert os.read(read, 4) == b"held"
        with pytest.raises(Refused, match=f"the lake is locked by pid {holder} on "), lake.locked(lock, "the lake"):
            pass
    finally:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)
        os.close(read)
        os.close(write)
    with lake.locked(lock, "the lake"):
        assert lock.read_text().startswith(f"pid {os.getpid()} on ")


def test_a_lock_is_free_after_its_block(tmp_path):
    for _ in range(2):
        with lake.locked(tmp_path / "deep" / ".lock", "the lake"):
            pass


# ---- a shop's lake ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lake_of_two_loads(new_toy):
    toy = new_toy(["order_lines", "products"])
    toy.load({"order_lines": [one_order()], "products": [{"product_id": "p1"}]})
    toy.load({"order_lines": [one_order("b", 1)]})
    return toy.home.root


@pytest.mark.parametrize("load", [1, 2])
@pytest.mark.parametrize("name", ["order_lines.parquet", "days.parquet", "product_days.parquet", "shop.yaml"])
def test_a_shop_whose_file_has_changed_is_not_opened(lake_of_two_loads, tmp_path, load, name):
    home = Home.open(shutil.copytree(lake_of_two_loads, tmp_path / "home"))
    [folder] = (home.lake("toy") / "loads").glob(f"00000{load}-*")
    flip(folder / name, (folder / name).stat().st_size // 2)
    with pytest.raises(Damaged, match=f"{folder.name}/{name}"):
        open_shop(home)


def test_a_home_that_was_moved_is_the_same_shop(lake_of_two_loads, tmp_path):
    old = open_shop(Home.open(lake_of_two_loads))
    new = open_shop(Home.open(shutil.copytree(lake_of_two_loads, tmp_path / "elsewhere")))
    assert (new.name, new.version, len(new.loads)) == (old.name, old.version, 2)


def test_a_shop_sees_no_load_that_comes_after_it_was_opened(new_toy):
    toy = new_toy(["order_lines"])
    toy.load({"order_lines": [one_order()]})
    before = toy.shop
    parts, version = before.parts("days"), before.version
    toy.load({"order_lines": [one_order("b", 1)]})
    assert (before.parts("days"), before.version) == (parts, version)
    assert toy.shop.parts("days")[:1] == parts
    assert toy.shop.version != version
