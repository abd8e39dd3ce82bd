"""The fault table of a shop's files: encodings, broken rows, forms of ids, dates and numbers, corrections, folders."""

import gzip
import os
import random
import re
import threading
import time
import unicodedata

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.door.mapping_file import parse_mapping
from features.errors import BadInput, Refused
from features.frame import feature_frame
from features.trace import trace
from features.volume import expect_usual_volume, volume
from tests.features.exports import workbook
from tests.features.test_frame import one_order
from tests.features.test_ingest import HEADER, PLAIN, order, quarantine, rows, take
from tests.worlds import Toy, at, examples, instant, lake_rows, mapping_text, number

MANY = [order(n) for n in range(100, 400)]  # so that one bad row is less than 1 %


@pytest.fixture(scope="session")
def mapped(new_toy):
    """Give plain shops whose order lines are read with further keys of the mapping."""

    def shop(extra="", columns="", head=""):
        text = PLAIN.replace("    columns: {", f"    {extra}\n    columns: {{{columns}", 1).replace(
            "tables:", f"{head}\ntables:"
        )
        return new_toy(["order_lines"], mapping=text.encode())

    return shop


def refused(toy, text, **options):
    """Say why a file is refused."""
    with pytest.raises(BadInput) as error:
        take(toy, text, **options)
    return str(error.value)


def kept(toy, column):
    """List a column of the lake's order lines by their order."""
    return lake_rows(toy.shop, "order_lines", "order_id")[column].tolist()


# ---- A17 to A21: encodings --------------------------------------------------------------------------------------

JAPANESE = "①㈱髙ソ表能～－"  # NEC and IBM letters of cp932, and letters whose second byte is a backslash


@pytest.mark.parametrize("declared", ["cp932", "shift_jis", "Shift-JIS", "windows-31j"])
def test_cp932_is_read_with_its_own_letters(mapped, declared):
    toy = mapped(f"encoding: {declared}")
    take(toy, rows(order(1, product_id=JAPANESE), order(2, product_id='"ソ,表"')).encode("cp932"))
    assert kept(toy, "product_id") == [JAPANESE, "ソ,表"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
def test_a_byte_order_mark_wins_over_what_was_declared(mapped, encoding):
    text = rows(order(1, product_id="髙"), order(2))
    marked = text.encode(encoding) if "bom" not in encoding else ("\ufeff" + text).encode(encoding[:9])
    toy = mapped("encoding: cp932")
    assert take(toy, marked).accepted == 2
    assert kept(toy, "product_id")[0] == "髙"


@examples(4)
@given(where=st.integers(0, 4000), seed=st.integers(0, 99))
def test_a_byte_of_another_encoding_is_named_by_offset_and_line(mapped, where, seed):
    lines = rows(*(order(n, product_id="花") for n in range(200))).encode()
    cut = lines.index(b"\n", 100 + where % (len(lines) - 200)) - 1
    spliced = lines[:cut] + "花".encode("cp932") + lines[cut:]
    said = refused(mapped(), spliced)
    line = lines[:cut].count(b"\n") + 1
    assert "not utf-8" in said and f"line {line};" in said
    offset = int(said.split("offset ")[1].split(",")[0])
    assert cut <= offset <= cut + 2


def test_text_that_was_decoded_wrongly_before_is_warned_of(mapped):
    garbled = "化粧水をお届け".encode().decode("cp932", "ignore")
    assert "looks garbled" in take(mapped(), rows(order(1, product_id=garbled[:20]))).warnings[0]
    assert take(mapped(), rows(order(1, product_id="化粧水をお届けします"))).warnings == []


def test_an_unknown_encoding_is_named(mapped):
    assert "'utf-9' is unknown" in refused(mapped("encoding: utf-9"), rows(order(1)))


# ---- A22 to A26: the structure of a file ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (order(1) + ",", "BAD_ROW"),
        (order(1) + ",x,y", "BAD_ROW"),
        ("o1,a", "BAD_ROW"),
        ('o1,a,"2024-01-02 10:00:00"x,p,1,10', "BROKEN_QUOTE"),
        ('o1,a,2024-01-02 10:00:00,"p,1,10', "BROKEN_QUOTE"),
        ("o1,a\x00,2024-01-02 10:00:00,p,1,10", "NUL"),
    ],
)
def test_a_broken_row_is_quarantined_and_its_neighbours_are_kept(mapped, bad, code):
    toy = mapped()
    ledger = take(toy, rows(*MANY[:150], bad, *MANY[150:]))
    assert (ledger.rows_in, ledger.accepted, ledger.reasons) == (301, 300, {f"order_lines.{code}": 1})
    [row] = quarantine(toy.shop)
    assert (row["line"], row["code"]) == (152, code)
    assert ledger.balanced()


def test_a_file_largely_broken_is_refused_with_its_first_line(mapped):
    said = refused(mapped(), rows(*MANY, "x", "y", "z", "w"))
    assert "4 of 304 rows are broken" in said and "line 302" in said and "6 columns" in said


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_may_end_as_any_system_ends_them(mapped, end, last):
    toy = mapped()
    text = rows(order(1), order(2, product_id='"a ""b"", c"'), order(3)).replace("\n", end)
    assert take(toy, text if last else text[: -len(end)]).accepted == 3
    assert kept(toy, "product_id")[1] == 'a "b", c'


def test_blank_lines_are_no_rows_and_lines_are_counted_as_an_editor_counts_them(mapped):
    toy = mapped("personal_data: [product_id]")
    note = '"two\nlines"'
    text = f"{HEADER},note\n{order(1)},{note}\n\n{order(2)},x\n{order(3, quantity='x')},y\n"
    assert take(toy, text).rows_in == 3
    assert [row["line"] for row in quarantine(toy.shop)] == [6]


def test_a_mapped_column_that_stands_twice_is_refused_and_another_is_not(mapped):
    twice = rows(order(1)).replace("revenue\n", "revenue,revenue\n").replace(",10\n", ",10,10\n")
    assert "two columns are called 'revenue'" in refused(mapped(), twice)
    other = rows(order(1)).replace("revenue\n", "revenue,memo,memo\n").replace(",10\n", ",10,a,b\n")
    assert take(mapped(), other).accepted == 1


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


@examples(20)
@given(drawn=st.lists(st.tuples(cells, cells), min_size=1, max_size=30), end=st.sampled_from(["\n", "\r\n"]))
def test_any_text_written_by_the_rules_is_read_back(new_toy, drawn, end):
    quoted = [['"' + cell.replace('"', '""') + '"' for cell in row] for row in drawn]
    text = end.join([f"{HEADER},memo", *(f"{order(n)},{a}" for n, (a, _) in enumerate(quoted))]) + end
    mapping = PLAIN.replace("revenue: revenue}", "revenue: revenue, channel: memo}\n    personal_data: [channel]")
    toy = new_toy(["order_lines"], mapping=mapping.encode())
    assert take(toy, text).accepted == len(drawn)
    read = dict(zip(kept(toy, "order_id"), kept(toy, "channel"), strict=True))
    assert read == {f"o{n}": a or None for n, (a, _) in enumerate(drawn)}


@examples(20)
@given(data=st.binary(min_size=1, max_size=300))
def test_any_bytes_are_refused_or_counted(new_toy, data):
    toy = new_toy(["order_lines"], mapping=PLAIN.encode())
    try:
        ledger = take(toy, rows(*MANY[:5]).encode() + data)
    except BadInput as error:
        assert "orders.csv" in str(error)
    else:
        assert ledger.balanced()


def test_line_numbers_hold_in_a_file_of_several_megabytes(mapped):
    bad = {7, 60_000, 119_999}
    lines = [order(n, quantity="x" if n in bad else 1) + f',"two\nlines {n}"' for n in range(120_000)]
    toy = mapped()
    text = rows(*lines).replace(HEADER, f"{HEADER},memo")
    assert len(text) > 1 << 22
    ledger = take(toy, text)
    assert ledger.reasons["order_lines.BAD_NUMBER"] == len(bad)
    assert {row["line"] for row in quarantine(toy.shop) if row["code"] == "BAD_NUMBER"} == {2 + 2 * n for n in bad}


# ---- A13 to A17: ids --------------------------------------------------------------------------------------------


def test_an_id_a_spreadsheet_shortened_is_quarantined_and_many_refuse_the_file(mapped):
    lines = [order(n, product_id=f"p{n}") for n in range(1500)]
    toy = mapped()
    ledger = take(toy, rows(order(9999, customer_id="1.23457E+15"), *lines))
    assert ledger.reasons == {"order_lines.EXCEL_MANGLED_ID": 1}
    said = refused(mapped(), rows(*lines, order(9998, customer_id="1E+15"), order(9999, customer_id="1.2E+15")))
    assert "EXCEL_MANGLED_ID: 2 of 1502" in said and "line 1502" in said


def test_ids_that_differ_in_zeros_are_two_and_are_counted(mapped):
    toy = mapped()
    ledger = take(toy, rows(order(1, customer_id="00042"), order(2, customer_id="42"), order(3, customer_id="007")))
    assert ledger.notes["order_lines.ids_equal_but_for_zeros"] == 1
    assert kept(toy, "customer_id") == ["00042", "42", "007"]


def test_ids_are_made_equal_only_where_the_mapping_says_so_and_each_case_is_listed(mapped):
    text = rows(*(order(n, customer_id=c) for n, c in enumerate(["①", "1", "Ａ1", "A1 ", "ｶﾅ", "カナ", "b"])))
    plain, made = mapped(), mapped("ids: {trim: true, nfkc: true}")
    take(plain, text)
    assert len(set(kept(plain, "customer_id"))) == 7
    ledger = take(made, text)
    assert kept(made, "customer_id") == ["1", "1", "A1", "A1", "カナ", "カナ", "b"]
    assert sorted(w.split("ids`: ")[1] for w in ledger.warnings) == ["'1', '①'", "'A1 ', 'Ａ1'", "'カナ', 'ｶﾅ'"]
    manifest = (made.shop.loads[0].path / "MANIFEST.json").read_text(encoding="utf-8")
    assert "Ａ1" not in manifest and "warnings" not in manifest, "what is sealed names nobody"


# ---- A8 to A10: instants ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formats", "said", "utc"),
    [
        ("['%d/%m/%Y']", "02/01/2024", "2024-01-01 15:00:00"),
        ("['%Y年%m月%d日']", "2024年1月2日", "2024-01-01 15:00:00"),
        ("['%Y-%m-%d %H:%M:%S %z']", "2024-01-02 10:00:00 +0300", "2024-01-02 07:00:00"),
        ("['%Y-%m-%dT%H:%M:%S%z']", "2024-01-02T10:00:00Z", "2024-01-02 10:00:00"),
        ("['%Y-%m-%d', '%Y-%m-%dT%H:%M:%S%z']", "2024-01-02T10:00:00-05:00", "2024-01-02 15:00:00"),
        ("[epoch_s]", "1704157200", "2024-01-02 01:00:00"),
        ("[epoch_ms]", "1704157200000", "2024-01-02 01:00:00"),
        ("[epoch_us]", "1704157200000000", "2024-01-02 01:00:00"),
        ("[excel]", "45293.4166666667", "2024-01-02 01:00:00"),
    ],
)
def test_a_time_is_read_by_the_formats_named_and_no_other(mapped, formats, said, utc):
    toy = mapped(f"formats: {formats}")
    take(toy, rows(order(1, ordered_at=said)))
    assert [str(t)[:19] for t in kept(toy, "ordered_at")] == [utc]
    assert take(mapped("formats: ['%Y.%m.%d']"), rows(order(1, ordered_at=said))).reasons == {"order_lines.BAD_DATE": 1}


def test_a_clock_set_forward_and_back_follows_one_rule_and_is_counted(mapped):
    toy = mapped("zone: America/New_York")
    times = ["2024-03-10 01:59:59", "2024-03-10 02:30:00", "2024-11-03 01:30:00", "2024-11-03 02:30:00"]
    ledger = take(toy, rows(*(order(n, ordered_at=t) for n, t in enumerate(times))))
    assert [str(t)[:19] for t in kept(toy, "ordered_at")] == [
        "2024-03-10 06:59:59", "2024-03-10 07:30:00", "2024-11-03 05:30:00", "2024-11-03 07:30:00",
    ]  # fmt: skip
    assert (ledger.notes["order_lines.clock_set_forward"], ledger.notes["order_lines.clock_set_back"]) == (1, 1)


# ---- A5, A6, A27: amounts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "said", "value"),
    [
        ("{}", "1,200", None),
        ("{thousands: ','}", "1,200", 1200),
        ("{thousands: ','}", "-1,234,567.5", -1234567.5),
        ("{thousands: ','}", "1,20", None),
        ("{thousands: '.', decimal: ','}", "1.200,50", 1200.5),
        ("{thousands: '.', decimal: ','}", "1200.5", None),
        ("{decimal: ','}", "12,5", 12.5),
        ("{strip: [¥, 円]}", "¥1200", 1200),
        ("{strip: [¥, 円]}", "1200 円", 1200),
        ("{full_width: true}", "１２００", 1200),
        ("{full_width: true, thousands: ',', strip: [￥]}", "￥１，２００", 1200),
        ("{}", "1e3", None),
        ("{}", "1_000", None),
    ],
)
def test_a_number_is_read_in_the_forms_named_and_no_other(mapped, numbers, said, value):
    toy = mapped(f"numbers: {numbers}")
    ledger = take(toy, rows(order(1, revenue=f'"{said}"'), order(2)))
    assert ledger.reasons == ({} if value is not None else {"order_lines.BAD_NUMBER": 1})
    assert kept(toy, "revenue")[:-1] == ([value] if value is not None else [])


def test_another_currency_is_quarantined_or_converted_by_its_rate(mapped):
    text = f"{HEADER},cur\n{order(1)},JPY\n{order(2)},USD\n{order(3)},\n"
    alone = mapped(columns="currency: cur, ")
    assert take(alone, text).reasons == {"order_lines.CURRENCY": 1}
    rated = mapped(columns="currency: cur, ", head="rates: {USD: 150.25}")
    take(rated, text)
    assert kept(rated, "revenue") == [10, 1502.5, 10]
    assert set(kept(rated, "currency")) == {"JPY"}


# ---- A2 to A4: corrections, cancellations, returns --------------------------------------------------------------


def total(toy, day):
    """Sum a customer's orders and revenue as known at the start of a day."""
    known = lake_rows(toy.shop, "days", "day")
    known = known[(known.day < number(day)) & (known.known_on < number(day))]
    return int(known.orders.sum()), float(known.revenue.sum())


def test_a_correction_counts_from_the_newest_row_of_its_file(new_toy):
    mapping = mapping_with("corrections: newest")
    toy = new_toy(["order_lines"], mapping=mapping)
    toy.load({"order_lines": [one_order(line_no=1, revenue=100), one_order("b", 2, line_no=1)]})
    fixed = toy.load({"order_lines": [one_order(line_no=1, revenue=70), one_order("c", 9, line_no=1)]})
    assert (fixed.accepted, fixed.notes["order_lines.lines_taken_back"]) == (2, 1)
    assert total(toy, 5) == (2, 200), "before the correction was known the first word stands"
    assert total(toy, 30) == (3, 270)
    again = toy.load({"order_lines": [one_order(line_no=1, revenue=70), one_order(line_no=1, revenue=100)]})
    assert again.duplicates == 2, "an old file sent again takes nothing back"
    assert total(toy, 30) == (3, 270)


@pytest.mark.parametrize("together", [True, False])
def test_what_is_said_again_after_a_change_is_a_change_and_an_old_file_is_none(new_toy, together):
    toy = new_toy(["order_lines"], mapping=mapping_with("corrections: newest"))
    said = [one_order(line_no=1, revenue=price, known_at=at(day)) for price, day in ((100, 1), (120, 5), (100, 9))]
    for rows_ in [said[::-1]] if together else [[row] for row in said]:
        toy.load({"order_lines": rows_})
    assert [total(toy, day)[1] for day in (2, 6, 10, 30)] == [100, 120, 100, 100]
    assert toy.load({"order_lines": [*said, said[1]]}).duplicates == 4
    assert total(toy, 30) == (1, 100)


def test_a_version_that_comes_late_never_dips_below_what_was_known(new_toy):
    toy = new_toy(["order_lines"], mapping=mapping_with("corrections: newest"))
    for price, day in ((100, 1), (130, 9), (120, 5)):
        toy.load({"order_lines": [one_order(line_no=1, revenue=price, known_at=at(day))]})
    assert [total(toy, day)[1] for day in (2, 6, 10, 30)] == [100, 100, 120, 120], "the newest file has the last word"


def test_a_negative_quantity_takes_its_amount_back_whatever_its_sign(mapped):
    toy = mapped()
    take(toy, rows(order(1, quantity=-2, revenue=100), order(2, quantity=-2, revenue=-100)))
    assert kept(toy, "revenue") == [-100, -100]


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_a_line_sent_again_as_cancelled_undoes_its_first_word(new_toy, numbered, together):
    mapping = mapping_with("") if numbered else mapping_with("").replace(b"line_no: line_no, ", b"")
    toy = new_toy(["order_lines"], mapping=mapping)
    first = [one_order(line_no=1), one_order(line_no=2)]
    cancelled = [one_order(line_no=1, status="cancelled", known_at=at(8))]
    if not numbered:
        first[1] = one_order(product_id="p2")
    if together:
        toy.load({"order_lines": [*first, *cancelled]})
    else:
        toy.load({"order_lines": first})
        toy.load({"order_lines": cancelled})
    assert total(toy, 5) == (1, 200)
    assert total(toy, 30) == (1, 100)


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("told", ["cancelled", "cancelled with a minus", "returned"])
def test_a_cancellation_told_before_its_order_undoes_it_from_when_both_are_known(new_toy, numbered, told):
    mapping = mapping_with("") if numbered else mapping_with("").replace(b"line_no: line_no, ", b"")
    toy = new_toy(["order_lines"], mapping=mapping)
    said = [
        one_order(line_no=1, known_at=at(3)),
        one_order(line_no=1, known_at=at(8), status="cancelled", quantity=1 if told == "cancelled" else -1)
        if told != "returned"
        else one_order(line_no=1, ordered_at=at(8), quantity=-1, revenue=-100),
        one_order("b", order_id="other", line_no=1),
    ]
    ledgers = [toy.load({"order_lines": [row]}) for row in said[::-1]]
    assert [total(toy, day) for day in (2, 5, 30)] == [(1, 100), (2, 200), (1, 100)]
    assert [ledger.accepted for ledger in ledgers] == [1, 1, 1]
    version = toy.shop.version
    assert [toy.load({"order_lines": [row]}).duplicates for row in said] == [1, 1, 1]
    assert toy.shop.version == version, "what was said again changes nothing"


def test_a_second_order_under_a_cancelled_number_is_a_conflict_whichever_came_first(new_toy):
    toy = new_toy(["order_lines"], mapping=mapping_with(""))
    toy.load({"order_lines": [one_order(line_no=1, status="cancelled", known_at=at(8))]})
    assert toy.load({"order_lines": [one_order(line_no=1)]}).accepted == 1
    assert toy.load({"order_lines": [one_order(line_no=1, revenue=70)]}).reasons == {"order_lines.DUP_CONFLICT": 1}
    assert [total(toy, day) for day in (5, 30)] == [(1, 100), (0, 0)]


def test_a_return_can_be_cancelled_too(new_toy):
    toy = new_toy(["order_lines"], mapping=mapping_with(""))
    back = {"order_id": "r", "line_no": 1, "quantity": -1, "revenue": -100}
    toy.load({"order_lines": [one_order(line_no=1), one_order("a", 4, **back)]})
    toy.load({"order_lines": [one_order("a", 4, **back, status="cancelled", known_at=at(9))]})
    assert [total(toy, day)[1] for day in (3, 7, 30)] == [100, 0, 100]


def mapping_with(extra):
    """Write the mapping of a toy shop with all columns of order lines and one more key."""
    return mapping_text(["order_lines"]).replace(b"    columns", f"    {extra}\n    columns".encode(), 1)


def test_a_return_of_an_order_nobody_knows_or_not_yet_made_is_quarantined(new_toy):
    toy = new_toy(["order_lines"])
    back = {"quantity": -1, "revenue": -100, "order_id": "r"}
    ledger = toy.load({"order_lines": [
        one_order("a", 5, order_id="o"),
        one_order("a", 9, **back, returns_order_id="o", line_no=1),
        one_order("a", 9, **back, returns_order_id="nobody", line_no=2),
        one_order("a", 3, **back, returns_order_id="o", line_no=3),
        one_order("a", 9, **back, line_no=4),
    ]})  # fmt: skip
    assert ledger.reasons == {"order_lines.ORPHAN_RETURN": 2}
    assert ledger.notes["order_lines.returns_without_order"] == 1
    later = toy.load({"order_lines": [one_order("a", 20, **back, returns_order_id="o", line_no=5)]})
    assert later.accepted == 1, "an order of an earlier load is known"


# ---- names as another system writes them ------------------------------------------------------------------------

GADGET = {"o": "ガジェット番号", "c": "お客様番号", "f": "注文データ"}  # each with a letter that has two spellings


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("in_file", ["NFC", "NFD"])
@pytest.mark.parametrize("in_mapping", ["NFC", "NFD"])
def test_a_name_is_the_same_however_its_letters_are_composed(new_toy, kind, in_file, in_mapping):
    written, meant = (
        {key: unicodedata.normalize(form, name) for key, name in GADGET.items()} for form in (in_file, in_mapping)
    )
    mapping = (
        PLAIN.replace("product_id: product_id", f"product_id: {meant['o']}")
        .replace("customer_id: customer_id", f"customer_id: {{first: [{meant['c']}]}}")
        .replace("orders*", f"{meant['f']}*")
    )
    toy = new_toy(
        ["order_lines"], mapping=f"{mapping}    set_aside: [{{reason: x, when: {{{meant['c']}: b}}}}]\n".encode()
    )
    path = toy.folder / f"{written['f']}.{kind}"
    names = [{"product_id": written["o"], "customer_id": written["c"]}.get(name, name) for name in HEADER.split(",")]
    lines = [order(1, product_id="ガ"), order(2, customer_id="b")]
    path.write_text("\n".join([",".join(names), *lines]), encoding="utf-8")
    if kind == "parquet":
        table = pd.read_csv(path, dtype=str)
        path.unlink()
        pq.write_table(pa.Table.from_pandas(table), path)
    drop = toy.folder / "drop"
    drop.mkdir()
    path.rename(drop / path.name)
    assert toy.take([drop]).as_dict()["set_aside"] == 1
    assert kept(toy, "product_id") == ["ガ"], "values stay as they are written"


# ---- quarantine, and back ---------------------------------------------------------------------------------------


def test_rows_corrected_in_the_quarantine_come_in_and_the_others_stay(mapped):
    toy = mapped()
    take(toy, rows(order(1), order(2, quantity="two"), order(3, ordered_at="soon")))
    path = toy.folder / "corrected.csv"
    text = (toy.shop.loads[0].path / "quarantine_order_lines.csv").read_text(encoding="utf-8")
    path.write_text(text.replace("o2,a,2024-01-02 10:00:00,p,two", "o2,a,2024-01-02 10:00:00,p,2"), encoding="utf-8")
    ledger = toy.take([path], requeue=True)
    assert (ledger.accepted, ledger.reasons) == (1, {"order_lines.BAD_DATE": 1})
    assert kept(toy, "quantity") == [1, 2]
    assert toy.take([path], requeue=True).accepted == 0
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="no quarantine file"):
        toy.take([path], requeue=True)


@pytest.mark.parametrize("name", ["line", "Line", "FILE", "n", "Code", "okaeri_row", "places", "source_file", "it's"])
def test_a_row_is_quarantined_and_corrected_whatever_its_columns_are_called(new_toy, name):
    toy = new_toy(["order_lines"], mapping=PLAIN.replace("quantity: quantity", f'quantity: "{name}"').encode())
    take(toy, rows(order(1), order(2, quantity="two")).replace("quantity", name, 1))
    path = toy.folder / "corrected.csv"
    path.write_bytes((toy.shop.loads[0].path / "quarantine_order_lines.csv").read_bytes().replace(b"p,two", b"p,2"))
    assert toy.take([path], requeue=True).accepted == 1
    assert kept(toy, "quantity") == [1, 2]


@pytest.mark.parametrize("name", ["orders*.csv", "orders?.csv", "orders[1].csv", "orders'2024.csv", "orders 1.csv"])
def test_a_file_is_read_by_its_own_name_and_no_pattern(mapped, name):
    toy = mapped()
    folder = toy.folder / "named"
    folder.mkdir()
    (folder / "ordersX.csv").write_text(rows(order(9)))
    (folder / name).write_text(rows(order(1)))
    assert toy.take([folder / name]).rows_in == 1
    assert kept(toy, "order_id") == ["o1"]


def test_a_home_may_have_an_apostrophe_in_its_path(tmp_path):
    (tmp_path / "o'brien").mkdir()
    toy = Toy(tmp_path / "o'brien", ["order_lines", "products", "customers", "identities"])
    said = {
        "customers": [{"customer_id": "a"}],
        "identities": [{"alias_type": "device", "alias": "d", "customer_id": "a", "linked_at": at(0)}],
    }
    for n in (1, 2):
        toy.load(said | {"order_lines": [one_order(day=n)], "products": [{"product_id": f"p{n}"}]})
    assert kept(toy, "order_id") == ["a1", "a2"]
    assert len(feature_frame(toy.shop, instant(20))) == 1
    assert trace(toy.shop, "a").orders == ("a1", "a2")


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ("zone: Asia/Tokio", "zone: 'Asia/Tokio' is no IANA time zone"),
        ("formats: ['%Q']", "formats.0: '%Q' is no strptime format"),
        ("formats: [yyyy-mm-dd]", "formats.0: 'yyyy-mm-dd' is no strptime format"),
        ("formats: []", "formats: List should have at least 1 item"),
        ("returns: {quantity: {matches: '(('}}", "matches: '((' is no regular expression"),
        ("returns: {quantity: {not_matches: '(?!x)'}}", "not_matches: '(?!x)' is no regular expression"),
        ("returns: {quantity: {}}", "returns.quantity: says nothing"),
        ("returns: {}", "returns: Dictionary should have at least 1 item"),
        ("returns: {quantity: {min: .nan}}", "min: Input should be a finite number"),
        ("source: twice", "key 'source' stands twice"),
    ],
)
def test_a_mistake_in_a_mapping_is_named_before_anything_is_read(mapped, extra, told):
    with pytest.raises(BadInput, match=re.escape(told)):
        take(mapped(extra), rows(order(1)))


@pytest.mark.parametrize("computed", ["{sum: []}", "{first: []}", "{constnt: x}"])
def test_a_mistake_in_a_computed_column_is_one_message(mapped, computed):
    with pytest.raises(BadInput) as error:
        take(mapped(columns=f"coupon_id: {computed}, "), rows(order(1)))
    assert str(error.value).count("\n") == 0
    assert "constnt" not in computed or "did you mean constant?" in str(error.value)


@pytest.mark.parametrize("name", ["hex", "rot13", "zip", "a\\0b", ""])
def test_an_encoding_that_is_of_no_text_is_unknown(mapped, name):
    assert "is unknown" in refused(mapped(f'encoding: "{name}"'), rows(order(1)))


def test_utf_16_without_its_mark_is_refused_with_what_would_be_right(mapped):
    text = rows(order(1))
    assert "utf-16-le" in refused(mapped("encoding: utf-16"), text.encode("utf-16-le"))
    assert take(mapped("encoding: utf-16-le"), text.encode("utf-16-le")).accepted == 1


def test_a_typed_path_is_never_passed_over_in_silence(mapped):
    toy = mapped()
    with pytest.raises(BadInput, match="nowhere: no such file"):
        toy.take([toy.folder / "nowhere"])
    (toy.folder / "ordres.csv").write_text(rows(order(1)))
    (toy.folder / "orders.csv").write_text(rows(order(2)))
    ledger = toy.take([toy.folder / "ordres.csv", toy.folder / "orders.csv"])
    assert ledger.warnings == [f"{toy.folder}/ordres.csv: ignored: matches no source of the mapping"]


def test_a_joined_file_is_found_in_a_folder(mapped):
    toy = mapped("join: {source: 'people*', key: customer_id}", columns="channel: how, ")
    folder = toy.folder / "drop"
    folder.mkdir()
    (folder / "orders.csv").write_text(rows(order(1)))
    (folder / "people.csv").write_text("customer_id,how\na,shop\n")
    ledger = toy.take([folder])
    assert (ledger.accepted, ledger.warnings, kept(toy, "channel")) == (1, [], ["shop"])


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.struct([("x", pa.int64())])])
@pytest.mark.parametrize("how", ["item", "{first: [item]}"])
def test_a_nested_column_is_refused(new_toy, tmp_path, kind, how):
    toy = new_toy(["order_lines"], mapping=PLAIN.replace("product_id: product_id", f"product_id: {how}").encode())
    table = pa.Table.from_pylist([one_order()]).drop_columns(["product_id"])
    nested = pa.array([[1] if pa.types.is_list(kind) else {"x": 1}], kind)
    pq.write_table(table.append_column("item", nested), tmp_path / "orders.parquet")
    with pytest.raises(BadInput, match="flatten it to one value"):
        toy.take([tmp_path / "orders.parquet"])


def test_text_in_parquet_that_is_no_utf_8_is_refused(mapped, tmp_path):
    path = tmp_path / "orders.parquet"
    pq.write_table(pa.Table.from_pylist([one_order()]), path, compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"p1", b"p\xb6"))
    with pytest.raises(BadInput, match="cannot be read"):
        mapped().take([path])


@pytest.mark.parametrize("content", ["受注番号".encode("cp932"), b"", b"PAR1\xff\xfe", None])
def test_what_is_no_quarantine_is_refused_by_name(mapped, content):
    toy = mapped()
    take(toy, rows(order(1)))
    path = toy.folder / "corrected.csv"
    if content is not None:
        path.write_bytes(content)
    for files in ([path], [toy.folder]):
        with pytest.raises(BadInput, match=str(files[0])):
            toy.take(files, requeue=True)
    with pytest.raises(BadInput, match="name them"):
        toy.take([], requeue=True)


# ---- A38: personal data -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["hana@example.jp", "090-1234-5678", "+81 90-1234-5678"])
def test_a_column_of_addresses_is_refused_and_a_stray_one_is_hidden(mapped, who):
    said = refused(mapped(), rows(order(1, customer_id=who)))
    assert "PERSONAL_DATA" in said and "column customer_id" in said and "line 2" in said and who not in said
    toy = mapped()
    assert take(toy, rows(*MANY, order(1, customer_id=who))).reasons == {"order_lines.PERSONAL_DATA": 1}
    assert grep(toy, who) == []
    allowed = mapped("personal_data: [customer_id]")
    assert take(allowed, rows(order(1, customer_id=who))).accepted == 1


PHONES = {
    "mobile": lambda n: f"0{'789'[n % 3]}0{10_000_000 + n}",
    "landline": lambda n: f"03{31_000_000 + n}",
    "abroad": lambda n: f"+8190{10_000_000 + n}",
    "of a spreadsheet": lambda n: f"'070{10_000_000 + n}",
}


@pytest.mark.parametrize("form", PHONES)
def test_a_column_of_telephone_numbers_without_hyphens_is_refused_and_nearly_one_is_not(mapped, new_toy, form):
    def told(phones, others):
        ids = [PHONES[form](n) for n in range(phones)] + [f"{n:05}" for n in range(others)]
        return rows(*(order(n, customer_id=c) for n, c in enumerate(ids)))

    said = refused(mapped(), told(27, 3))
    assert said.startswith("orders.csv: PERSONAL_DATA: 27 of 30 values look like telephone numbers: column customer_id")
    assert "first on line 2" in said and PHONES[form](0) not in said
    assert take(mapped(), told(26, 3)).accepted == 29, "89.7 % are not nearly all"
    assert take(mapped(), told(19, 0)).accepted == 19, "nor are 19 a column"
    assert take(mapped("personal_data: [customer_id]"), told(30, 0)).accepted == 30
    keyed = PLAIN.replace("customer_id: customer_id", "customer_id: {hmac: customer_id}")
    assert take(new_toy(mapping=keyed.encode()), told(30, 0)).accepted == 30


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("product_id", lambda n: f"0{663_713_001 + 7_001 * n}"),  # a clothes shop's articles: ten digits
        ("order_id", lambda n: f"03{12_000_000 + n}"),  # the third shop's receipts
        ("customer_id", lambda n: f"{n:010}"),
        ("customer_id", lambda n: f"{n:011}"),
        ("customer_id", lambda n: f"{49_012_345 + n:013}"),
    ],
)
def test_ids_of_digits_with_leading_zeros_are_ordinary_ids(mapped, column, value):
    toy = mapped()
    assert take(toy, rows(*(order(n, **{column: value(n)}) for n in range(40)))).accepted == 40
    assert set(kept(toy, column)) == {value(n) for n in range(40)}


def test_an_address_is_kept_only_as_its_pseudonym(new_toy):
    mapping = PLAIN.replace("customer_id: customer_id", "customer_id: {hmac: customer_id}").encode()
    toy = new_toy(["order_lines"], mapping=mapping)
    who = "Hana@Example.jp"
    take(toy, rows(order(1, customer_id=who), order(2, customer_id=" hana@example.JP "), order(3, customer_id="")))
    take(toy, rows(*MANY, order(4, customer_id=who, quantity="x")), name="orders_bad.csv")
    found = lake_rows(toy.shop, "order_lines", "order_id").set_index("order_id").customer_id
    assert found["o1"] == found["o2"] and len(found["o1"]) == 64 and pd.isna(found["o3"])
    assert quarantine(toy.shop, 1)[0]["customer_id"] == found["o1"]
    assert grep(toy, "xample.") == []


def grep(toy, text):
    """List the files of a home that hold a text, Parquet read as rows."""
    found = []
    for path in toy.home.root.rglob("*"):
        if path.is_file():
            read = pd.read_parquet(path).to_csv() if path.suffix == ".parquet" else path.read_bytes().decode("latin-1")
            found += [path] if text.lower() in read.lower() else []
    return found


# ---- A33, A34: folders and archives -----------------------------------------------------------------------------


def test_of_a_folder_only_finished_regular_files_are_read_and_each_once(mapped):
    toy = mapped()
    drop, outside = toy.folder / "drop", toy.folder / "outside.csv"
    (drop / "2024").mkdir(parents=True)
    outside.write_text(rows(order(9)))
    (drop / "orders1.csv").write_text(rows(order(1)))
    (drop / "2024" / "orders2.csv").write_text(rows(order(2)))
    (drop / "readme.md").write_text("?")
    (drop / "orders_empty.csv").touch()
    (drop / "orders_header.csv").write_text(rows())
    (drop / "orders_link.csv").symlink_to(outside)
    os.mkfifo(drop / "orders_pipe.csv")
    ledger = toy.take([drop])
    assert (ledger.accepted, kept(toy, "order_id")) == (2, ["o1", "o2"])
    assert [w.split(": ", 1)[1].split(":")[0] for w in ledger.warnings] == ["skipped", "skipped", "ignored", "skipped"]
    again = toy.take([drop])
    assert (again.rows_in, again.duplicates) == (0, 0)


def test_two_files_of_one_name_in_a_folder_are_told_apart_by_the_way_to_them(mapped):
    toy = mapped("join: {source: 'people*', key: customer_id}", columns="channel: how, ")
    drop = toy.folder / "drop"
    for day, how in (("monday", "shop"), ("tuesday", "web")):
        (drop / day).mkdir(parents=True)
        (drop / day / "orders.csv").write_text(rows(order(day), order(f"{day}'s other", quantity="x")))
        (drop / day / "people.csv").write_text(f"customer_id,how\na,{how}\n")
    for file in drop.rglob("*.csv"):
        file.with_name(f"{file.name}.done").touch()
    assert toy.take([drop]).accepted == 2
    assert kept(toy, "channel") == ["shop", "web"], "what is joined lies beside what it is joined to"
    assert [(row["file"], row["line"]) for row in quarantine(toy.shop)] == [
        ("monday/orders.csv", 3),
        ("tuesday/orders.csv", 3),
    ]
    assert toy.take([drop]).rows_in == 0
    for day in ("monday", "tuesday"):
        with (drop / day / "orders.csv").open("a") as file:
            file.write(order(f"{day}'s third") + "\n")
    with pytest.raises(BadInput, match=r"tuesday/orders\.csv: another file given is called orders\.csv too"):
        toy.take([drop / "monday", drop / "tuesday"])
    (drop / "monday" / "people.csv").rename(drop / "tuesday" / "people2.csv")
    (drop / "tuesday" / "people2.csv.done").touch()
    with pytest.raises(BadInput, match=r"2 files match 'people\*', which its mapping joins to .*monday/orders\.csv"):
        toy.take([drop])


def test_a_file_still_being_written_waits_for_the_next_run(mapped):
    toy = mapped()
    drop = toy.folder / "drop"
    drop.mkdir()
    (drop / "orders1.csv").write_text(rows(order(1)))
    stop = threading.Event()

    def write():
        with (drop / "orders2.csv").open("w") as file:
            file.write(f"{HEADER}\n")
            for n in range(1000, 100_000):
                file.write(order(n) + "\n")
                file.flush()
                if stop.wait(0.02):
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(0.1)
        ledger = toy.take([drop])
    finally:
        stop.set()
        writer.join()
    assert ledger.accepted == 1 and "still being written" in ledger.warnings[0]
    assert toy.take([drop]).accepted > 1
    (drop / "orders3.csv").write_text(rows(order(3)))
    (drop / "orders3.csv.done").touch()
    assert toy.take([drop]).accepted == 1


def test_a_gzip_file_is_read_and_a_bomb_or_a_cut_one_is_refused(mapped):
    toy = mapped()
    assert take(toy, gzip.compress(rows(order(1), order(2)).encode()), name="orders.csv.gz").accepted == 2
    bomb = gzip.compress(rows(order(1)).encode() + b"x" * (64 << 20))
    assert "grows more than 200 times" in refused(mapped(), bomb, name="orders.csv.gz")
    noise = random.Random(7).randbytes(5000).hex().encode()
    assert "gzip" in refused(mapped(), gzip.compress(rows(*MANY).encode() + noise)[:-4000], name="orders.csv.gz")


def test_a_workbook_is_read_with_its_ids_and_days_as_they_stand(mapped, tmp_path):
    toy = mapped("sheet: 受注")
    path = tmp_path / "orders.xlsx"
    workbook(
        path,
        "受注",
        [
            HEADER.split(","),
            ["o1", "00042", "2024-01-02 10:00:00", "p", 2, 1200.5],
            ["o2", 42, "2024-01-03", "p", 1, 10],
        ],
    )
    assert toy.take([path]).accepted == 2
    assert kept(toy, "customer_id") == ["00042", "42"]
    assert kept(toy, "revenue") == [1200.5, 10]
    with pytest.raises(BadInput, match="no sheet 'orders'; did you mean"):
        mapped("sheet: orders").take([path_with(tmp_path, "order")])


TITLE = ["売上明細,,,,,", "期間,2024-01-01,から,,,", ""]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_header_below_a_title_is_named_and_read_where_the_mapping_says(mapped, tmp_path, kind):
    path = tmp_path / f"orders.{kind}"
    lines = [*TITLE, *rows(order(1), order(2, quantity="two")).splitlines()]
    if kind == "csv":
        path.write_text("\n".join(lines) + "\n")
    else:
        workbook(path, "受注", [[line, *[""] * 5] if "," not in line else line.split(",") for line in lines])
    with pytest.raises(BadInput, match=rf"orders\.{kind}: line 4 looks like the header, not line 1: give `header: 4`"):
        mapped().take([path])
    toy = mapped("header: 4")
    assert toy.take([path]).reasons == {"order_lines.BAD_NUMBER": 1}
    assert (kept(toy, "order_id"), quarantine(toy.shop)[0]["line"]) == (["o1"], 6)
    with pytest.raises(BadInput, match=r"line 4 looks like the header, not line 3"):
        mapped("header: 3").take([path])


def test_each_sheet_of_a_workbook_is_a_table_and_its_rows_are_counted(new_toy, tmp_path):
    path = tmp_path / "orders.xlsx"
    orders = [["order_id", "customer_id", "ordered_at", "product_id", "quantity", "revenue"], *[
        ["o1", "a", "2024-01-02", "p", 1, 10], ["o2", "a", "2024-01-02", "p", 1, 10]]]  # fmt: skip
    workbook(path, "受注", orders, "商品", [["product_id", "name"], ["p", "石鹸"], ["", "?"], ["q", "茶"]])
    products = "  products: {source: 'orders*', sheet: 商品, columns: {product_id: product_id, name: name}}\n"
    toy = new_toy(["order_lines"], mapping=(PLAIN + products).encode())
    ledger = toy.take([path])
    assert (ledger.rows_in, ledger.accepted, ledger.reasons) == (5, 4, {"products.EMPTY": 1})


def path_with(folder, sheet):
    """Write a workbook with one empty sheet of this name."""
    path = folder / "orders_b.xlsx"
    workbook(path, sheet, [["a"]])
    return path


# ---- A36, A37: what a person should look at ---------------------------------------------------------------------


@pytest.mark.parametrize(("lines", "usual"), [(100, True), (30, True), (10, False), (700, False), (0, False)])
def test_a_day_far_from_its_weekdays_is_refused_with_both_counts(mapped, lines, usual):
    toy = mapped()
    days = pd.date_range("2024-01-01", periods=57)
    told = [order(f"{d:%j}-{n}", ordered_at=f"{d:%Y-%m-%d} 10:00:00") for d in days[:-1] for n in range(100)]
    take(toy, rows(*told, *(order(f"last-{n}", ordered_at=f"{days[-1]:%Y-%m-%d} 10:00:00") for n in range(lines))))
    if usual:
        expect_usual_volume(toy.shop, number(57))
    else:
        with pytest.raises(Refused, match=rf"{lines:,} order lines on 2024-02-26, where 100 are usual"):
            expect_usual_volume(toy.shop, number(57))


def mondays(toy, per_day=60, **last):
    """Tell nine Mondays with as many lines, each by a customer who comes every week; the last may differ."""
    days = pd.date_range("2024-01-01", periods=9, freq="7D")
    told = [
        order(
            f"{d:%j}-{n}",
            ordered_at=f"{d:%Y-%m-%d} 10:00:00",
            **({"customer_id": f"c{n}"} | (last if d == days[-1] else {})),
        )
        for d in days
        for n in range(per_day)
    ]
    return take(toy, rows(*told))


def test_amounts_in_another_unit_are_refused_on_the_first_day(mapped):
    toy = mapped()
    mondays(toy)
    usual = volume(toy.shop, number(57))
    assert (usual.lines, usual.usual_lines, usual.newcomers, usual.unusual()) == (60, 60, 0.0, None)
    other = mapped()
    mondays(other, revenue=str(100 * usual.per_line))
    with pytest.raises(
        Refused, match=rf"{100 * usual.per_line:,.2f} of revenue a line on 2024-02-26, where {usual.per_line:,.2f} are"
    ):
        expect_usual_volume(other.shop, number(57))


def test_customers_numbered_anew_are_refused_on_the_first_day(mapped):
    toy = mapped()
    days = pd.date_range("2024-01-01", periods=9, freq="7D")
    told = [
        order(f"{d:%j}-{n}", ordered_at=f"{d:%Y-%m-%d} 10:00:00", customer_id=f"{'new-' * (d == days[-1])}c{n}")
        for d in days
        for n in range(60)
    ]
    take(toy, rows(*told))
    with pytest.raises(Refused, match="100% new customers on 2024-02-26, where 0% are usual"):
        expect_usual_volume(toy.shop, number(57))


def test_a_quiet_day_is_not_judged_by_its_few_lines(mapped):
    toy = mapped()
    mondays(toy, per_day=49, revenue="99999")
    assert expect_usual_volume(toy.shop, number(57)).unusual() is None


def test_products_that_all_have_new_names_are_warned_of(mapped):
    toy = mapped()
    take(toy, rows(*MANY))
    assert (
        take(toy, rows(*(order(n, product_id="q") for n in range(1000, 1200)), *MANY[:20]), name="orders2.csv")
        .warnings[0]
        .startswith("order_lines: 200 of 200 lines are of products never seen before")
    )
    assert take(toy, rows(*(order(n) for n in range(2000, 2200))), name="orders3.csv").warnings == []


# ---- mapping keys -----------------------------------------------------------------------------------------------


def test_an_empty_cell_is_filled_from_its_groups_first_row_and_no_other(mapped):
    toy = mapped("fill_down: {by: order_id, columns: [customer_id]}")
    take(toy, rows(order(1, customer_id="a"), order(1, customer_id="", product_id="q"), order(2, customer_id="")))
    assert kept(toy, "customer_id") == ["a", "a", None]


def test_the_first_of_several_columns_that_is_not_empty_stands(mapped):
    mapping = PLAIN.replace("customer_id: customer_id", "customer_id: {first: [customer_id, mail]}")
    assert parse_mapping(mapping.encode(), "m").tables["order_lines"].source_columns()[-1] == "mail"
