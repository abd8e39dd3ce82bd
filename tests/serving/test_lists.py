"""Lists as tools and people open them: what was written reads back, and no cell is a formula."""

import csv
import hashlib
import io
import json
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BadInput
from serving.lists.cells import EXCEL_JA, GENERIC, TWINS, Dialect, Field, guarded, to_csv
from serving.lists.files import List, sums_again, write_list
from serving.lists.profiles import PROFILES, profile_of, written

FIELDS = (Field("id", "customer_id", True), Field("text", "text"), Field("net", "net_value"), Field("n", "n"))
TAKEN = {sign: sign.encode("cp932", "ignore").decode("cp932") for sign in map(chr, range(0xD800))}
CP932 = {sign for sign, read in TAKEN.items() if read == sign}
DANGEROUS = tuple("=+-@\t\r\n＝＋－＠")


def read_back(content: bytes, dialect: Dialect) -> list[tuple[Any, ...]]:
    """Read a list as a program would: numbers as numbers; in Excel's profile one quote mark is taken off."""
    rows = list(csv.reader(io.StringIO(content.decode(dialect.encoding), newline=""), strict=True))[1:]
    bare = [[cell.removeprefix("'") if dialect.guarded else cell for cell in row[:2]] + row[2:] for row in rows]
    return [(row[0], row[1], float(row[2]) if row[2] else None, int(row[3])) for row in bare]


def encodable(encoding: str) -> st.SearchStrategy[str]:
    """Texts of the signs an encoding has, those that are dangerous or are two bytes with a 0x5C among them often."""
    wild = st.sampled_from(sorted(CP932)) if encoding == "cp932" else st.characters(codec=encoding)
    often = st.sampled_from([*DANGEROUS, *"'\",; \u3000ソ表能①髙\\0\0"])
    return st.text(often | wild, max_size=8)


def rows_of(encoding: str) -> st.SearchStrategy[list[tuple[str, str, float | None, int]]]:
    text = encodable(encoding)
    number = st.none() | st.floats(allow_nan=False, allow_infinity=False)
    return st.lists(st.tuples(text, text, number, st.integers(-(2**60), 2**60)), max_size=5)


def table_of(rows: list[tuple[str, str, float | None, int]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer_id", "text", "net_value", "n"]).astype({"text": object})


@given(rows=rows_of("utf-8"))
def test_what_a_program_reads_is_what_was_written(rows: list[tuple[str, str, float | None, int]]) -> None:
    assert read_back(to_csv(table_of(rows), FIELDS, GENERIC), GENERIC) == rows


@given(rows=rows_of("cp932"))
def test_what_excel_reads_is_what_was_written_and_no_text_is_a_formula(
    rows: list[tuple[str, str, float | None, int]],
) -> None:
    content = to_csv(table_of(rows), FIELDS, EXCEL_JA)
    assert read_back(content, EXCEL_JA) == rows
    for row in list(csv.reader(io.StringIO(content.decode("cp932"), newline="")))[1:]:
        assert not any(cell.lstrip(" \u3000\xa0").startswith(DANGEROUS) for cell in row[:2])


def test_every_sign_that_cp932_would_give_back_as_another_has_its_twin_named() -> None:
    lossy = {sign: read for sign, read in TAKEN.items() if read not in ("", sign)}
    assert len(CP932) > 6_000 and lossy == {sign: twin for sign, twin in TWINS.items() if sign != "—"}


def test_excel_gets_text_in_quotes_ids_with_a_mark_and_numbers_bare() -> None:
    table = pd.DataFrame(
        {"customer_id": ["00042", "1E5"], "text": ["=1+1", "表"], "net_value": [-5.5, None], "n": [1, 2]}
    )
    expected = '"id","text","net","n"\r\n"\'00042","\'=1+1",-5.5,1\r\n"\'1E5","表","",2\r\n'
    assert to_csv(table, FIELDS, EXCEL_JA) == expected.encode("cp932")


def test_programs_get_formulas_as_they_are() -> None:
    table = table_of([("=a", "-1", 2.0, 3)])
    assert to_csv(table, FIELDS, GENERIC) == b"id,text,net,n\r\n=a,-1,2.0,3\r\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("春〜夏", "row 2, column text: 〜 (U+301C) cannot be written in cp932; cp932 has ～ (U+FF5E);"),
        ("花😀", "row 2, column text: 😀 (U+1F600) cannot be written in cp932;"),
        ("\u200b", "row 2, column text: a sign (U+200B) cannot be written in cp932;"),
    ],
)
def test_a_sign_excel_could_not_show_is_refused_with_its_row_and_column(text: str, told: str) -> None:
    table = table_of([("a", "ok", 1.0, 1), ("b", text, 2.0, 2)])
    with pytest.raises(BadInput) as refused:
        to_csv(table, FIELDS, EXCEL_JA)
    assert str(refused.value).startswith(told)


@given(text=st.text())
def test_one_mark_taken_off_gives_the_text_again(text: str) -> None:
    assert guarded(text).removeprefix("'") == text == guarded(text, is_id=True).removeprefix("'")


INCLUDED = pd.DataFrame(
    {
        "customer_id": ["C1", "C2"],
        "line_user_id": ["U1", "U2"],
        "scenario": ["win_back", "win_back"],
        "offer_id": ["care_tips", None],
        "net_value": [12.5, 3.0],
        "audience": ["winter", "winter"],
        "score_date": [date(2026, 11, 21)] * 2,
        "order_id": ["O-7", "O-9"],
        "gift": ["care_tips", "care_tips"],
    }
)
EXCLUDED = pd.DataFrame({"customer_id": ["C3"], "reasons": ["CONTROL_GROUP"], "reason_texts": ["対照群"]})


@pytest.mark.parametrize(
    ("profile", "head", "first"),
    [
        (
            "excel-ja",
            "顧客番号 会員番号 LINEユーザーID シナリオ 特典 チャネル クーポンコード 見込み純増利益 費用"
            " 配信開始 配信終了 対象日",
            ["'C1", "", "'U1", "win_back", "care_tips", "", "", "12.5", "", "", "", "2026-11-21"],
        ),
        (
            "generic",
            "customer_id member_no line_user_id scenario offer_id channel coupon_code net_value cost send_from"
            " send_until score_date",
            ["C1", "", "U1", "win_back", "care_tips", "", "", "12.5", "", "", "", "2026-11-21"],
        ),
        (
            "klaviyo-profiles",
            "External_ID okaeri_audience okaeri_scenario okaeri_offer okaeri_channel okaeri_coupon_code"
            " okaeri_send_from okaeri_send_until okaeri_score_date",
            ["C1", "winter", "win_back", "care_tips", "", "", "", "", "2026-11-21"],
        ),
        (
            "braze-attributes",
            "external_id okaeri_audience okaeri_scenario okaeri_offer okaeri_channel okaeri_coupon_code"
            " okaeri_send_from okaeri_send_until okaeri_score_date",
            ["C1", "winter", "win_back", "care_tips", "", "", "", "", "2026-11-21"],
        ),
        ("warehouse-insert", "order_id customer_id offer_id gift note", ["O-7", "C1", "care_tips", "care_tips", ""]),
    ],
)
def test_a_tool_gets_the_columns_it_documents(profile: str, head: str, first: list[str]) -> None:
    content, rows = written(INCLUDED, profile_of(profile))
    read = list(csv.reader(io.StringIO(content.decode(profile_of(profile).dialect.encoding), newline="")))
    assert [name.replace(" ", "_") for name in read[0]] == head.split()
    assert read[1] == first and rows == 2 == len(read) - 1


def test_line_gets_one_id_a_line_each_once() -> None:
    twice = pd.concat([INCLUDED, INCLUDED.assign(customer_id="again")])
    assert written(twice, PROFILES["line-audience"]) == (b"U1\nU2\n", 2)


def test_mail_tools_are_told_no_amounts() -> None:
    for name in ("klaviyo-profiles", "braze-attributes", "line-audience", "warehouse-insert"):
        assert not {"net_value", "cost"} & {field.source for field in PROFILES[name].fields}


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="did you mean excel-ja"):
        profile_of("exel-ja")


def test_the_marker_says_the_rows_and_sums_of_what_is_there(tmp_path: Path) -> None:
    said = write_list(tmp_path, List("winter", PROFILES["generic"], INCLUDED, EXCLUDED), score_date="2026-11-21")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["winter.csv", "winter.done", "winter.excluded.csv"]
    assert said == json.loads((tmp_path / "winter.done").read_bytes())
    assert (said["rows"], said["excluded"], said["score_date"]) == (2, 1, "2026-11-21")
    for name, sha in said["files"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == sha
    assert (tmp_path / "winter.excluded.csv").read_text("utf-8").splitlines()[1] == "C3,CONTROL_GROUP,対照群"


def test_the_same_list_again_touches_nothing(tmp_path: Path) -> None:
    one = List("winter", PROFILES["excel-ja"], INCLUDED, EXCLUDED)
    write_list(tmp_path, one)
    before = {path.name: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.iterdir()}
    write_list(tmp_path, one)
    assert {path.name: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("step", range(4))
def test_no_marker_stands_over_files_that_are_not_its_own(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever write is the last before a kill: a marker that is there tells the truth, and the next run finishes."""
    from features import lake

    write_list(tmp_path, List("winter", PROFILES["generic"], INCLUDED, EXCLUDED))
    changed = List("winter", PROFILES["line-audience"], INCLUDED, EXCLUDED)
    left, write = [step], lake.write_bytes

    def dies(path: Path, content: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(lake, "write_bytes", dies)
        try:
            write_list(tmp_path, changed)
        except KeyboardInterrupt:
            assert not (tmp_path / "winter.done").exists()
    write_list(tmp_path, changed)
    told = json.loads((tmp_path / "winter.done").read_bytes())
    assert {path.name for path in tmp_path.iterdir()} == {"winter.done", *told["files"]}
    assert told["files"] == {name: lake.sha256_file(tmp_path / name) for name in told["files"]}


def test_nothing_is_written_when_a_cell_cannot_be(tmp_path: Path) -> None:
    bad = INCLUDED.assign(scenario="春〜夏")
    with pytest.raises(BadInput, match="row 1, column シナリオ"):
        write_list(tmp_path, List("winter", PROFILES["excel-ja"], bad, EXCLUDED))
    assert not list(tmp_path.iterdir())


def test_a_marker_can_be_made_to_fit_what_was_taken_out(tmp_path: Path) -> None:
    write_list(tmp_path, List("winter", PROFILES["generic"], INCLUDED, EXCLUDED))
    file = tmp_path / "winter.csv"
    file.write_bytes(b"".join(line for line in file.read_bytes().splitlines(True) if not line.startswith(b"C2")))
    sums_again(tmp_path)
    told = json.loads((tmp_path / "winter.done").read_bytes())
    assert told["files"]["winter.csv"] == hashlib.sha256(file.read_bytes()).hexdigest()
