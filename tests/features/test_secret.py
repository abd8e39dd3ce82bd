"""The shop's key: made once, kept to its owner, and the same pseudonym from Python and from SQL."""

import multiprocessing
import stat

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.door.secret import KEY_BYTES, keyed, pseudonym, shop_key, sql_keyed
from features.errors import BadInput, Refused
from features.home import Home
from tests.worlds import examples


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("OKAERI_SHOP_KEY", raising=False)
    return Home.open(tmp_path / "home")


def test_the_key_is_made_once_and_only_its_owner_reads_it(home):
    key = shop_key(home)
    assert len(key) == KEY_BYTES and shop_key(home) == key
    assert stat.S_IMODE((home.root / "shop.key").stat().st_mode) == 0o600
    assert [path.name for path in home.root.glob(".*")] == []


def test_processes_that_need_the_first_key_together_get_the_same(home):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        assert len(set(pool.map(shop_key, [home] * 16))) == 1


def test_a_key_that_others_can_read_is_refused(home):
    shop_key(home)
    (home.root / "shop.key").chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        shop_key(home)


def test_the_environment_names_the_key_and_no_file_is_made(home, monkeypatch):
    monkeypatch.setenv("OKAERI_SHOP_KEY", "ab" * 32)
    assert shop_key(home) == b"\xab" * 32
    assert not (home.root / "shop.key").exists()


@pytest.mark.parametrize("text", ["ab" * 31, "correct horse battery staple"])
def test_a_poor_key_is_refused_and_not_repeated(home, monkeypatch, text):
    monkeypatch.setenv("OKAERI_SHOP_KEY", text)
    with pytest.raises(BadInput, match="OKAERI_SHOP_KEY") as refused:
        shop_key(home)
    assert text not in str(refused.value)


def test_rfc_4231_knows_the_answer():
    """Test case 2 (key "Jefe") and test case 6 (a key longer than a block), https://www.rfc-editor.org/rfc/rfc4231."""
    assert keyed(b"Jefe", "what do ya want for nothing?").startswith("5bdcc146bf60754e6a042426089575c7")
    text = "Test Using Larger Than Block-Size Key - Hash Key First"
    assert keyed(b"\xaa" * 131, text).startswith("60e431591ee0b67f0d8a26aacbf5b77f")
    assert pseudonym(b"Jefe", "  What do ya want for NOTHING?\n") == keyed(b"Jefe", "what do ya want for nothing?")


@examples(20)
@given(key=st.binary(min_size=32, max_size=131), texts=st.lists(st.text(st.characters(codec="utf-8")), max_size=5))
def test_sql_gives_the_same_pseudonym(key, texts):
    with duckdb.connect() as con:
        found = con.execute(f"SELECT {sql_keyed(key, 't')} FROM (SELECT unnest(?::VARCHAR[]) AS t)", [texts]).fetchall()
    assert [row[0] for row in found] == [keyed(key, text) for text in texts]
