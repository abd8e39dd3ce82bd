"""The door: each row is accepted, set aside, a duplicate or quarantined, with its reason; a killed load is none."""

import copy
import csv
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import lake
from features.door.mapping_file import parse_mapping
from features.door.quarantine import LEADING, RIGHT
from features.errors import BadInput, Refused
from features.home import Home
from features.shop import open_shop
from tests.features.test_frame import ONE_OF_EACH, one_order
from tests.worlds import EXAMPLES, NOW, at, examples, histories, lake_rows

HEADER = "order_id,customer_id,ordered_at,product_id,quantity,revenue"
PLAIN = """
shop: toy
currency: JPY
tax: excluded
timezone: Asia/Tokyo
predict: {lookback_days: 56, min_order_days: 1}
tables:
  order_lines:
    source: "orders*"
    columns: {order_id: order_id, customer_id: customer_id, ordered_at: ordered_at, product_id: product_id,
              quantity: quantity, revenue: revenue}
"""


@pytest.fixture
def plain(new_toy):
    """A shop of plain order lines, whose files are written by hand."""
    return new_toy(["order_lines"], mapping=PLAIN.encode())


def take(toy, text, name="orders.csv", **options):
    """Ingest one file of this text."""
    folder = toy.folder / f"files-{next(toy.count)}"
    folder.mkdir()
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return toy.take([folder / name], **options)


def rows(*lines):
    """Write a file of order lines under the usual header."""
    return "\n".join([HEADER, *lines]) + "\n"


def order(n, **columns):
    """Write one good order line, but for the columns given."""
    good = {"order_id": f"o{n}", "customer_id": "a", "ordered_at": "2024-01-02 10:00:00", "product_id": "p"}
    return ",".join(str(value) for value in (good | {"quantity": 1, "revenue": 10} | columns).values())


def quarantine(shop, load=0):
    """Read what a load has quarantined, once from Parquet and once from CSV: they say the same."""
    folder = shop.loads[load].path
    table = pq.read_table(folder / "quarantine_order_lines.parquet").to_pylist()
    with (folder / "quarantine_order_lines.csv").open(newline="", encoding="utf-8") as file:
        as_text = list(csv.DictReader(file))
    assert as_text == [{k: "" if v is None else str(v) for k, v in row.items()} for row in table]
    return table


# ---- the ledger -------------------------------------------------------------------------------------------------

IDS = {"a": None, "00042": None, "NA": None, "x" * 64: None, "x" * 65: "BAD_ID", "  ": "BAD_ID", "b\tc": "BAD_ID"}
DATES = {
    "2024-01-02 10:00:00": None,
    "2024-01-02T11:00:00": None,
    "2024-01-03": None,
    "2024-02-30 10:00:00": "BAD_DATE",
    "2024/01/02": "BAD_DATE",
    "45292": "BAD_DATE",
    "1900-01-01": "RANGE_DATE",
    "9999-12-31": "RANGE_DATE",
}
NUMBERS = {
    **dict.fromkeys(("1", "1.0", "+2", "-1", "0.5")),
    **dict.fromkeys(("1e308", "1000000001"), "RANGE"),
    **dict.fromkeys(("nan", "inf", "1.200,5", "¥10", "１", "x"), "BAD_NUMBER"),
}


def draw_from(values, *more):
    """Draw good values more often than the others."""
    good = [value for value, code in values.items() if code is None]
    return st.sampled_from(good * 8 + [*values, *more])


lines = st.fixed_dictionaries(
    {
        "order_id": draw_from(IDS, ""),
        "customer_id": draw_from(IDS, ""),
        "ordered_at": draw_from(DATES, ""),
        "product_id": draw_from(IDS, ""),
        "quantity": draw_from(NUMBERS, "", "0", "0.00001", "-0"),
        "revenue": draw_from(NUMBERS, "", "0"),
    }
)


def judge(line):
    """Say what is wrong with a line, reading from the left: ``(column, code)``, an own reason, or ``None``."""
    if line["quantity"] in ("0", "0.00001", "-0"):
        return "quantity_zero"
    for column in HEADER.split(","):
        value = line[column]
        known = DATES if column == "ordered_at" else NUMBERS if column in ("quantity", "revenue") else IDS
        code = "EMPTY" if value == "" and column != "customer_id" else known.get(value)
        if code:
            return column, code
    return None


def content(line):
    """Give what makes two good lines the same line: their values, not how they are written."""
    instant = datetime.fromisoformat(line["ordered_at"])
    ids = (line["order_id"], line["customer_id"], line["product_id"])
    return *ids, instant, Decimal(line["quantity"]), Decimal(line["revenue"])


@examples(14)
@given(drawn=st.lists(lines, min_size=1, max_size=25), again=st.integers(0, 5))
def test_the_ledger_counts_every_row_under_its_reason(new_toy, drawn, again):
    toy, drawn = new_toy(["order_lines"], mapping=PLAIN.encode()), [*drawn, *drawn[:again]]
    path = toy.folder / "orders.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, HEADER.split(","), lineterminator="\n")
        writer.writeheader()
        writer.writerows(drawn)
    ledger = toy.take([path])
    verdicts = [judge(line) for line in drawn]
    wrong = [verdict for verdict in verdicts if isinstance(verdict, tuple)]
    good = [content(line) for line, verdict in zip(drawn, verdicts, strict=True) if verdict is None]
    reasons = Counter(f"order_lines.{code}" for _, code in wrong)
    reasons["order_lines.quantity_zero"] = verdicts.count("quantity_zero")
    assert ledger.as_dict() == {
        "rows_in": len(drawn),
        "accepted": len(set(good)),
        "set_aside": verdicts.count("quantity_zero"),
        "duplicates": len(good) - len(set(good)),
        "quarantined": len(wrong),
        "reasons": dict(+reasons),
        "notes": {
            "order_lines.guest_lines": sum(not line[1] for line in set(good)),
            "order_lines.return_lines": (returns := sum(line[4] < 0 for line in set(good))),
        }
        | ({"order_lines.returns_without_order": returns} if returns else {}),
        "warnings": [],
    }
    assert ledger.balanced()
    if wrong:
        kept = [(row["line"], row["column"], row["code"], row["value"] or "") for row in quarantine(toy.shop)]
        assert kept == [
            (number, *verdict, line[verdict[0]])
            for number, (line, verdict) in enumerate(zip(drawn, verdicts, strict=True), 2)
            if isinstance(verdict, tuple)
        ]


def test_a_row_in_quarantine_says_where_it_stood_and_what_would_be_right(plain):
    bad = [order(2, ordered_at="2024-02-30 10:00:00"), order(3, quantity='"1,200"'), order(4, product_id="")]
    take(plain, rows(order(1), *bad), name="orders_monday.csv")
    place = {"table": "order_lines", "file": "orders_monday.csv"}
    leading = [{name: row[name] for name in LEADING} for row in quarantine(plain.shop)]
    assert leading == [
        place | {"line": 3, "column": "ordered_at", "value": "2024-02-30 10:00:00", "code": "BAD_DATE"}
        | {"expected": "one of the mapping's formats"},
        place | {"line": 4, "column": "quantity", "value": "1,200", "code": "BAD_NUMBER"}
        | {"expected": RIGHT["BAD_NUMBER"]},
        place | {"line": 5, "column": "product_id", "value": None, "code": "EMPTY", "expected": "a value"},
    ]  # fmt: skip
    came = [[row[name] for name in HEADER.split(",")] for row in quarantine(plain.shop)]
    assert came[0] == ["o2", "a", "2024-02-30 10:00:00", "p", "1", "10"], "the row is kept as it came"


def test_every_code_says_what_would_be_right(plain):
    one_of_each = [
        order(1, order_id=""), order(2, customer_id=" "), order(3, ordered_at="x"), order(4, quantity="x"),
        order(5, ordered_at="1989-12-31"), order(6, ordered_at="2026-01-02 09:00:01"),
    ]  # fmt: skip
    take(plain, rows(*one_of_each, *(order(n) for n in range(10, 110))))
    found = quarantine(plain.shop)
    assert {row["code"] for row in found} == {"EMPTY", "BAD_ID", "BAD_DATE", "BAD_NUMBER", "RANGE_DATE", "FUTURE"}
    assert all(row["expected"] for row in found)


# ---- A1, A2: the same rows again --------------------------------------------------------------------------------


@examples(2)
@given(history=histories())
def test_taking_the_same_files_in_again_changes_nothing(new_toy, history):
    toy = new_toy()
    files = toy.files({table: [*ONE_OF_EACH.get(table, ()), *found] for table, found in history.items()})
    first, version = toy.take(files), toy.shop.version
    again = toy.take(files)
    assert (again.rows_in, again.set_aside, again.quarantined) == (first.rows_in, first.set_aside, first.quarantined)
    assert again.accepted == 0
    assert toy.shop.version == version


def test_the_same_line_is_taken_in_once(plain):
    text = rows(order(1), order(1), order(2))
    first, version = take(plain, text), plain.shop.version
    again = take(plain, text, name="orders_again.csv")
    assert (first.accepted, first.duplicates) == (2, 1)
    assert (again.rows_in, again.accepted, again.duplicates) == (3, 0, 3)
    assert plain.shop.version == version


def test_the_same_line_twice_is_known_from_its_earliest_word(new_toy):
    toy = new_toy(["order_lines"])
    toy.load({"order_lines": [one_order(known_at=at(20)), one_order(known_at=at(7)), one_order(known_at=at(9))]})
    [row] = lake_rows(toy.shop, "order_lines", "order_id").to_dict("records")
    assert row["known_on"] - row["day"] == 7


def test_a_file_seen_before_can_be_skipped_by_its_bytes(plain):
    take(plain, rows(order(1)))
    assert take(plain, rows(order(1)), only_new=True).as_dict()["rows_in"] == 0
    assert take(plain, rows(order(1), order(2)), only_new=True).accepted == 1


def test_repeats_are_kept_where_the_mapping_says_so_and_dropped_when_sent_again(new_toy):
    keep = PLAIN.replace('    source: "orders*"', '    source: "orders*"\n    repeats: keep')
    toy = new_toy(["order_lines"], mapping=keep.encode())
    text = rows(order(1), order(1), order(1), order(2))
    assert take(toy, text).accepted == 4
    version = toy.shop.version
    assert take(toy, text).duplicates == 4
    assert toy.shop.version == version


def test_a_line_number_that_comes_with_other_content_is_quarantined(new_toy):
    toy = new_toy(["order_lines"])
    said = [one_order(line_no=1), one_order(line_no=2), one_order(line_no=1, revenue=7)]
    ledger = toy.load({"order_lines": said})
    assert (ledger.accepted, ledger.reasons) == (2, {"order_lines.DUP_CONFLICT": 1})
    [row] = quarantine(toy.shop)
    assert (row["line"], row["column"], row["expected"]) == (4, "order_id, line_no", RIGHT["DUP_CONFLICT"])
    later = toy.load({"order_lines": [one_order(line_no=2, revenue=8), one_order(line_no=3)]})
    assert (later.accepted, later.reasons) == (1, {"order_lines.DUP_CONFLICT": 1})
    assert lake_rows(toy.shop, "order_lines", "line_no").revenue.tolist() == [100, 100, 100]


def test_a_message_told_twice_in_different_words_is_counted_once(new_toy):
    toy = new_toy(["order_lines", "contacts"])
    message = {"contact_id": "m", "customer_id": "a", "at": at(3)}
    toy.load({"order_lines": [one_order()], "contacts": [message]})
    ledger = toy.load({"contacts": [message | {"at": at(4)}, message]})
    assert (ledger.duplicates, ledger.reasons) == (1, {"contacts.DUP_CONFLICT": 1})


def test_lines_without_a_number_do_not_conflict(new_toy):
    toy = new_toy(["order_lines"])
    assert toy.load({"order_lines": [one_order(), one_order(product_id="p2")]}).accepted == 2


def test_the_last_word_on_a_product_stands(new_toy):
    toy = new_toy(["order_lines", "products"])

    def say(*categories):
        products = [{"product_id": "p1", "category": category} for category in categories]
        return toy.load({"order_lines": [one_order()], "products": products})

    def stands():
        return lake_rows(toy.shop, "products", "product_id").category.tolist()

    ledger = say("tea", "cups", "tea", "cups", "tea")
    assert ledger.as_dict()["reasons"] == {"products.superseded": 2}
    assert (ledger.accepted, ledger.duplicates, stands()) == (2, 2, ["tea"])
    say("tea", "cups")
    assert len(toy.shop.parts("products")) == 2
    version = toy.shop.version
    again = say("tea", "cups")
    assert (again.accepted, again.set_aside, again.duplicates, toy.shop.version) == (0, 1, 2, version)
    say("tea")
    assert toy.shop.version != version, "what was said before and then taken back is new again"


# ---- whom a line belongs to -------------------------------------------------------------------------------------


def test_a_guest_is_kept_for_products_and_is_no_customer(plain):
    ledger = take(plain, rows(order(1), order(2, customer_id=""), order(3, customer_id='""')))
    assert ledger.as_dict()["notes"] == {"order_lines.guest_lines": 2, "order_lines.return_lines": 0}
    assert lake_rows(plain.shop, "order_lines", "order_id").customer_id.notna().tolist() == [True, False, False]
    assert lake_rows(plain.shop, "days", "customer_id").customer_id.tolist() == ["a"]


def test_ids_are_text_whatever_they_look_like(plain):
    ids = [
        "NA",
        "null",
        "nan",
        "None",
        "NULL",
        "true",
        "1e3",
        "00042",
        "42",
        "4.20",
        "-",
        "'x'",
        "名前",
        "０42",
        " a",
        "x" * 64,
    ]
    take(plain, rows(*(order(n, customer_id=c, product_id=c, order_id=c) for n, c in enumerate(ids))))
    kept = lake_rows(plain.shop, "order_lines", "order_id")
    for column in ("customer_id", "product_id", "order_id"):
        assert sorted(kept[column]) == sorted(ids)
    assert sorted(lake_rows(plain.shop, "days", "customer_id").customer_id) == sorted(ids)


@pytest.mark.parametrize("bad", ["  ", "x" * 65, "x" * 300, "a\x00b", "a\tb", '"a\nb"', "a\x7f", "\x1b[31m"])
def test_an_id_that_is_none_is_quarantined(plain, bad):
    ledger = take(plain, rows(order(1), order(2, customer_id=bad)))
    assert (ledger.accepted, ledger.reasons) == (1, {f"order_lines.{'NUL' if chr(0) in bad else 'BAD_ID'}": 1})


def test_whole_numbers_of_a_parquet_file_are_ids_and_others_are_not(plain):
    path = plain.folder / "orders.parquet"
    columns = {
        "order_id": pa.array([1, 2, 3, 4]),
        "customer_id": pa.array([42.0, None, float("nan"), 7.0]),
        "ordered_at": pa.array([datetime(2024, 1, 2, 10)] * 4, pa.timestamp("us")),
        "product_id": pa.array(["00042", "p", "p", "p"]),
        "quantity": pa.array([1, 2, 3, 4]),
        "revenue": pa.array([0.1, 0.2, float("nan"), 1.0]),
    }
    pq.write_table(pa.table(columns), path)
    assert plain.take([path]).reasons == {"order_lines.EMPTY": 1}
    kept = lake_rows(plain.shop, "order_lines", "order_id")
    assert kept[["order_id", "customer_id", "product_id", "revenue"]].values.tolist() == [
        ["1", "42", "00042", 0.1],
        ["2", None, "p", 0.2],
        ["4", "7", "p", 1.0],
    ]
    assert str(kept.ordered_at[0]) == "2024-01-02 01:00:00+00:00"
    assert [row["line"] for row in quarantine(plain.shop)] == [3]
    for lossy in (1.5, 9e15):
        pq.write_table(pa.table(columns | {"customer_id": pa.array([42.0, None, lossy, 7.0])}), path)
        with pytest.raises(BadInput, match=r"column customer_id is DOUBLE .* customer_id is id"):
            plain.take([path])


def test_quotes_and_lines_are_read_as_they_stand_and_not_guessed(plain):
    text = rows("'o1','a',2024-01-02 10:00:00,'p',1,10", 'o2,"b, ""c""",2024-01-02 10:00:00,p,1,10')
    take(plain, text.replace("\n", "\r\n"))
    kept = lake_rows(plain.shop, "order_lines", "order_id")
    assert kept[["order_id", "customer_id"]].values.tolist() == [["'o1'", "'a'"], ["o2", 'b, "c"']]
    with pytest.raises(BadInput, match=r"orders\.csv: "):
        take(plain, "Our export of Monday\n" + rows(order(1)))


# ---- when it happened -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("2024/02/30", "BAD_DATE"),
        ("2024-02-30", "BAD_DATE"),
        ("0000-00-00", "BAD_DATE"),
        ("02/01/2024", "BAD_DATE"),
        ("1900-01-01", "RANGE_DATE"),
        ("9999-12-31", "RANGE_DATE"),
        ("1990-01-01 08:59:59", "RANGE_DATE"),
        ("2100-01-01 09:00:00", "RANGE_DATE"),
    ],
)
def test_a_day_that_cannot_be_is_quarantined(plain, said, code):
    ledger = take(plain, rows(order(1), order(2, ordered_at=said), order(3, ordered_at="1990-01-01 09:00:00")))
    assert (ledger.accepted, ledger.reasons) == (2, {f"order_lines.{code}": 1})


def test_the_future_is_told_by_the_clock_given(plain):
    good = [order(n) for n in range(200)]
    tomorrow, later = "2026-01-02 09:00:00", "2026-01-02 09:00:01"  # in Tokyo; NOW is 2026-01-01 00:00 UTC
    text = rows(*good, order("t", ordered_at=tomorrow), order("l", ordered_at=later))
    assert take(plain, text).reasons == {"order_lines.FUTURE": 1}
    assert quarantine(plain.shop)[0]["value"] == later
    assert take(plain, text, now=NOW + timedelta(seconds=1)).as_dict()["accepted"] == 1


def test_a_file_largely_of_the_future_is_refused_whole(plain):
    text = rows(*(order(n) for n in range(98)), *(order(n, ordered_at="2026-02-01") for n in (98, 99)))
    with pytest.raises(BadInput, match=r"orders\.csv: FUTURE: 2 of 100 rows lie in the future"):
        take(plain, text)
    with pytest.raises(BadInput, match="never ingested"):
        open_shop(plain.home, "toy")


def test_midnight_is_that_of_the_shop(plain):
    take(plain, rows(order(1, ordered_at="2024-02-01 00:30:00"), order(2, ordered_at="2024-01-31 23:30:00")))
    kept = lake_rows(plain.shop, "order_lines", "order_id")
    assert kept.ordered_at.dt.strftime("%m-%d %H:%M").tolist() == ["01-31 15:30", "01-31 14:30"]
    assert (kept.day - kept.day.min()).tolist() == [1, 0]


# ---- how much ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"quantity": "0"}, "quantity_zero"),
        ({"quantity": "-0.00"}, "quantity_zero"),
        ({"revenue": "1e308"}, "RANGE"),
        ({"revenue": "1000000000.01"}, "RANGE"),
        ({"quantity": "-99999999999999"}, "RANGE"),
        ({"revenue": "nan"}, "BAD_NUMBER"),
        ({"revenue": '"1,200"'}, "BAD_NUMBER"),
        ({"revenue": ""}, "EMPTY"),
    ],
)
def test_an_amount_that_cannot_be_is_counted_under_its_reason(plain, said, reason):
    assert take(plain, rows(order(1), order(2, **said))).reasons == {f"order_lines.{reason}": 1}


def test_amounts_are_kept_exactly(plain):
    said = ["0", "0.1", "1000000000", "-3.9999", "+7", "007.50"]
    take(plain, rows(*(order(n, revenue=r, quantity="0.0001") for n, r in enumerate(said))))
    with duckdb.connect() as con:
        kept = con.execute(
            "SELECT revenue, quantity FROM read_parquet(?) ORDER BY order_id", [str(plain.shop.parts("order_lines")[0])]
        )
        assert kept.fetchall() == [(Decimal(r).quantize(Decimal("0.0001")), Decimal("0.0001")) for r in said]


# ---- files and mappings that are not what was meant -------------------------------------------------------------


def test_an_empty_file_and_one_without_rows_are_refused_by_name(plain):
    with pytest.raises(BadInput, match=r"orders\.csv: EMPTY_FILE"):
        take(plain, "")
    for header in (HEADER, HEADER + "\n"):
        with pytest.raises(BadInput, match=r"orders\.csv: a header and no rows; give --allow-empty"):
            take(plain, header)
    ledger = take(plain, HEADER + "\n", allow_empty=True)
    assert (ledger.rows_in, ledger.accepted) == (0, 0)
    assert take(plain, rows(order(1))).accepted == 1


@pytest.mark.parametrize("column", HEADER.split(","))
def test_a_missing_column_is_named_with_what_was_found_and_the_nearest(plain, column):
    header = HEADER.replace(column, f"my_{column}")
    with pytest.raises(BadInput) as refused:
        take(plain, f"{header}\n{order(1)}\n")
    first, missing, found = str(refused.value).splitlines()
    assert first == f"orders.csv: no column {column}; did you mean my_{column}?"
    assert (missing.strip(), found.strip()) == (f"missing: {column}", f"found: {header.replace(',', ', ')}")


def test_all_missing_columns_are_listed_at_once(plain):
    with pytest.raises(BadInput, match="missing: customer_id, revenue"):
        take(plain, "order_id,ordered_at,product_id,quantity,note\n1,2024-01-01,p,1,x\n")


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("timezon: Asia/Tokyo", "timezone: Asia/Tokyo", "shop.yaml: timezon: unknown key; did you mean timezone?"),
        ("sorce:", "source:", "shop.yaml: tables.order_lines.sorce: unknown key; did you mean source?"),
        (
            "lookback_day:",
            "lookback_days:",
            "shop.yaml: predict.lookback_day: unknown key; did you mean lookback_days?",
        ),
        ("custmer_id:", "customer_id:", "tables.order_lines.columns.custmer_id: unknown; did you mean customer_id?"),
        ("order_line:", "order_lines:", "order_lines is required"),
        ("Asia/Tokio", "Asia/Tokyo", "timezone: 'Asia/Tokio' is no IANA time zone"),
        ("currency: yen", "currency: JPY", "shop.yaml: currency: "),
    ],
)
def test_a_misspelt_mapping_names_the_key_and_the_nearest_right_one(wrong, right, said):
    assert right in PLAIN
    with pytest.raises(BadInput) as refused:
        parse_mapping(PLAIN.replace(right, wrong).encode(), "shop.yaml")
    assert said in str(refused.value)


def test_a_mapping_without_a_required_column_is_refused():
    with pytest.raises(BadInput, match=r"tables\.order_lines\.columns: revenue is required"):
        parse_mapping(PLAIN.replace(", revenue: revenue", "").replace("revenue: revenue", "").encode(), "shop.yaml")


def test_a_table_nobody_knows_names_the_nearest():
    with pytest.raises(BadInput, match=r"tables\.product: unknown; did you mean products\?"):
        parse_mapping((PLAIN + "  product: {source: x, columns: {product_id: p}}\n").encode(), "shop.yaml")


def test_two_files_of_one_name_are_refused(plain):
    for folder in ("monday", "tuesday"):
        (plain.folder / folder).mkdir()
        (plain.folder / folder / "orders.csv").write_text(rows(order(folder), order(folder)))
    with pytest.raises(BadInput, match=r"tuesday/orders\.csv: another file given is called orders\.csv too"):
        plain.take(sorted(plain.folder.glob("*day/orders.csv")))


def test_a_shop_begins_with_its_order_lines(new_toy):
    with pytest.raises(BadInput, match=re.escape("order_lines: no file given matches 'order_lines*.csv'")):
        new_toy().load({"products": ONE_OF_EACH["products"]})


JOINED = PLAIN.replace("revenue: revenue}", "revenue: price}") + "    join: {source: prices.csv, key: product_id}\n"


def test_a_second_file_brings_columns_by_a_shared_key(new_toy):
    toy = new_toy(["order_lines"], mapping=JOINED.encode())
    (toy.folder / "orders.csv").write_text(rows(order(1, product_id="p"), order(2, product_id="q")))
    (toy.folder / "prices.csv").write_text("product_id,price\np,7\nr,9\n")
    ledger = toy.take([toy.folder / "orders.csv", toy.folder / "prices.csv"])
    assert (ledger.accepted, ledger.reasons) == (1, {"order_lines.EMPTY": 1})
    assert lake_rows(toy.shop, "order_lines", "order_id").revenue.tolist() == [7]


def test_a_second_file_that_is_absent_or_ambiguous_is_refused(new_toy):
    toy = new_toy(["order_lines"], mapping=JOINED.encode())
    (toy.folder / "orders.csv").write_text(rows(order(1)))
    (toy.folder / "prices.csv").write_text("product_id,price\np,7\np,8\n")
    with pytest.raises(BadInput, match=r"no file given matches 'prices\.csv'"):
        toy.take([toy.folder / "orders.csv"])
    with pytest.raises(BadInput, match=r"prices\.csv: product_id 'p' stands more than once"):
        toy.take([toy.folder / "orders.csv", toy.folder / "prices.csv"])


def test_a_refused_load_leaves_the_lake_as_it_was(plain):
    take(plain, rows(order(1)))
    version = plain.shop.version
    with pytest.raises(BadInput):
        take(plain, "order_id,revenue\n1,2\n")
    assert plain.shop.version == version
    assert [path.name for path in (plain.home.lake("toy") / "loads").iterdir()] == [plain.shop.loads[0].path.name]


# ---- killed and locked ------------------------------------------------------------------------------------------

FIRST_LOAD = rows(*(order(n) for n in range(40)))
SECOND_LOAD = rows(*(order(n, quantity=-1) for n in range(20)), *(order(n) for n in range(40, 60)))


class Killed:
    """A shop with one load, copied for each round, whose second load is taken in by a child that is killed."""

    def __init__(self, toy) -> None:
        self.toy, self.files = toy, toy.folder / "orders_2.csv"
        take(toy, FIRST_LOAD, name="orders_1.csv")
        self.files.write_text(SECOND_LOAD)
        self.before = toy.shop.version
        done = self.copy()
        start = time.monotonic()
        done.take([self.files])
        self.seconds, self.after = time.monotonic() - start, done.shop.version

    def copy(self):
        toy, root = copy.copy(self.toy), self.toy.folder / f"copy-{next(self.toy.count)}"
        toy.home = Home.open(shutil.copytree(self.toy.home.root, root))
        return toy

    def round(self, prepare, seconds=60.0) -> bool:
        """Kill one load, watch the shop meanwhile, take the load in again; tell whether the kill came in time."""
        toy = self.copy()
        child = os.fork()
        if child == 0:
            try:
                prepare()
                toy.take([self.files])
            finally:
                os._exit(0)
        started, ended = time.monotonic(), (0, 0)
        while ended[0] == 0:
            assert toy.shop.version in (self.before, self.after)  # opened whole, or Damaged is raised
            if time.monotonic() - started > seconds:
                os.kill(child, signal.SIGKILL)
            ended = os.waitpid(child, os.WNOHANG)
        seen = toy.shop.version
        again = toy.take([self.files])
        assert again.duplicates == (40 if seen == self.after else 0)
        assert toy.shop.version == self.after
        assert {path.name for path in (toy.home.lake("toy") / "loads").iterdir()} == {
            load.path.name for load in toy.shop.loads
        }
        return os.WIFSIGNALED(ended[1])


@pytest.fixture(scope="module")
def killed(new_toy):
    return Killed(new_toy(["order_lines"], mapping=PLAIN.encode()))


def test_a_load_killed_at_any_moment_is_there_whole_or_not_at_all(killed):
    chance, rounds = random.Random(), max(1, round(6 * EXAMPLES))
    for _ in range(rounds):
        killed.round(lambda: None, chance.uniform(0, 1.1 * killed.seconds))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_load_killed_beside_any_rename_is_there_whole_or_not_at_all(killed, when):
    """The moments that matter: each file or folder gets its name by one rename."""

    def die_at(nth):
        def prepare():
            left = [nth]

            def dying(rename):
                def renames(*args, **options):
                    left[0] -= 1
                    if left[0] == 0 and when == "before":
                        os.kill(os.getpid(), signal.SIGKILL)
                    rename(*args, **options)
                    if left[0] == 0:
                        os.kill(os.getpid(), signal.SIGKILL)

                return renames

            os.rename, os.replace = dying(os.rename), dying(os.replace)

        return prepare

    renames = 0
    while renames < 10 and killed.round(die_at(renames + 1)):
        renames += 1
    assert renames == 5  # the mapping, the manifest, the load itself, the pointer, what came when


def test_a_second_ingest_of_a_shop_is_refused_while_one_runs(plain):
    take(plain, rows(order(1)))
    holder = f"the lake of toy is locked by pid {os.getpid()} on "
    with lake.locked(plain.home.lake("toy") / ".lock", "the test"), pytest.raises(Refused, match=holder):
        take(plain, rows(order(2)))
    assert take(plain, rows(order(2))).accepted == 1


# ---- a real shop, counted again by plain SQL --------------------------------------------------------------------

POSTAGE = "StockCode IN ('POST', 'DOT', 'C2', 'C3')"
BY_HAND = "StockCode IN ('M', 'm', 'S', 'PADS')"
OTHER_CODES = (
    "StockCode IN ('D', 'ADJUST', 'ADJUST2', 'B', 'BANK CHARGES', 'AMAZONFEE') OR starts_with(StockCode, 'TEST')"
    " OR starts_with(StockCode, 'gift_') OR starts_with(StockCode, 'GIFT')"
)
CANCELLED = "left(InvoiceNo, 1) = 'C'"
CORRECTION = f"(UnitPrice <= 0 AND CustomerID IS NULL) OR (Quantity < 0 AND NOT {CANCELLED})"
PRODUCT = "regexp_matches(StockCode, '^([0-9]{5}|DCGS|SP)') AND UnitPrice > 0"
SALE = f"NOT ({POSTAGE}) AND NOT ({BY_HAND}) AND NOT ({OTHER_CODES}) AND NOT ({CORRECTION})"


@pytest.fixture(scope="module")
def count(online_retail_file):
    """Count rows of the raw file; with ``distinct``, rows that say the same once."""
    with duckdb.connect() as con:
        con.execute(f"CREATE TABLE raw AS FROM '{online_retail_file}'")

        def counted(where, what="count(*)"):
            return con.execute(f"SELECT {what} FROM raw WHERE {where}").fetchone()[0]

        yield counted


NAMED = "InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice"
SAME = f"count(DISTINCT ({NAMED}, coalesce(CAST(CustomerID AS VARCHAR), '')))"


def test_online_retail_is_counted_as_plain_sql_counts_it(online_retail, count):
    ledger = online_retail.ledger.as_dict()
    reasons = {reason.removeprefix("order_lines."): n for reason, n in ledger["reasons"].items()}
    assert reasons["postage"] == count(POSTAGE)
    assert reasons["manual_entry"] == count(BY_HAND)
    assert reasons["test"] == count("starts_with(StockCode, 'TEST')")
    assert reasons["gift_voucher"] == count("starts_with(lower(StockCode), 'gift')")
    assert reasons["discount_entry"] == count("StockCode = 'D'")
    assert reasons["fee"] == count("StockCode IN ('BANK CHARGES', 'AMAZONFEE')")
    assert reasons["adjustment"] == count("StockCode IN ('ADJUST', 'ADJUST2', 'B')")
    assert reasons["stock_correction"] == count(f"({CORRECTION}) AND NOT ({POSTAGE} OR {BY_HAND} OR {OTHER_CODES})")
    assert sum(reasons.values()) == count(f"NOT ({SALE})")
    assert ledger["quarantined"] == 0
    assert ledger["rows_in"] == count("true")  # once, though products are read from the same file
    assert ledger["duplicates"] == count(SALE) - count(SALE, SAME)
    assert ledger["accepted"] == count(SALE, SAME)
    assert ledger["notes"] == {
        "products.accepted": count(PRODUCT, "count(DISTINCT StockCode)"),
        "order_lines.guest_lines": count(f"{SALE} AND CustomerID IS NULL", SAME),
        "order_lines.return_lines": (returns := count(f"{SALE} AND {CANCELLED}", SAME)),
        "order_lines.returns_without_order": returns,
    }


def test_online_retail_is_kept_to_the_penny(online_retail, count):
    kept = f"(SELECT DISTINCT {NAMED}, CustomerID FROM raw WHERE {SALE})"
    revenue = count("true", f"(SELECT sum(Quantity * CAST(UnitPrice AS DECIMAL(18,4)))::VARCHAR FROM {kept})")
    with duckdb.connect() as con:
        parts = [str(path) for path in online_retail.shop.parts("order_lines")]
        lines, total, customers = con.execute(
            "SELECT count(*), sum(revenue)::VARCHAR, count(DISTINCT customer_id) FROM read_parquet(?)", [parts]
        ).fetchone()
    assert lines == count(SALE, SAME)
    assert Decimal(total) == Decimal(revenue)
    assert customers == count(SALE, "count(DISTINCT CustomerID)")


def test_online_retail_names_each_product_once(online_retail, count):
    products = lake_rows(online_retail.shop, "products", "product_id")
    assert products.product_id.is_unique
    assert len(products) == count(PRODUCT, "count(DISTINCT StockCode)")
    assert "POST" not in set(products.product_id)


def test_complete_journey_is_taken_in_whole(complete_journey):
    ledger = complete_journey.ledger.as_dict()
    assert complete_journey.ledger.balanced()
    assert ledger["quarantined"] == 0
    days = lake_rows(complete_journey.shop, "days", "customer_id, day")
    assert days.customer_id.nunique() == 2469
    assert set(days.known_on - days.day) == {0}
    assert complete_journey.shop.version == open_shop(complete_journey.shop.home).version
    assert datetime.fromtimestamp(int(days.day.min()) * 86400, UTC).year == 2017
