"""What a proposal says of other systems' exports and of strange files takes in the same rows as a person's mapping."""

import pytest

from features.door.infer import infer
from features.door.mapping_file import SHOPS, parse_mapping
from features.shop import open_shop
from tests.features import exports
from tests.worlds import Toy, lake_rows

KNOWN = {
    "shopify": ("orders_export_1.csv", exports.SHOPIFY, exports.shopify_rows, "utf-8"),
    "eccube": ("order_20240301.csv", exports.ECCUBE, exports.eccube_rows, "cp932"),
    "rakuten": ("dl-normal_order_no-1.csv", exports.RAKUTEN, exports.rakuten_rows, "cp932"),
}
COLUMNS = ["order_id", "customer_id", "product_id", "quantity", "revenue"]


@pytest.fixture
def accepted(tmp_path):
    """Ingest a file under a mapping's text, into one home; gives the ledger and the accepted order lines."""

    def take(text, path):
        toy = Toy(tmp_path, mapping=text.encode() if isinstance(text, str) else text)
        ledger = toy.take([path])
        shop = open_shop(toy.home, parse_mapping(toy.mapping, "shop.yaml").shop)
        rows = lake_rows(shop, "order_lines", "ALL")[COLUMNS]
        return ledger, sorted(map(repr, rows.itertuples(index=False, name=None)))

    return take


@pytest.mark.parametrize("name", KNOWN)
def test_a_systems_export_is_recognised_and_read_as_its_ready_mapping_reads_it(tmp_path, accepted, name):
    file, columns, rows, encoding = KNOWN[name]
    path = exports.write(tmp_path / file, columns, rows(), encoding)
    proposal = infer([path])
    assert proposal.todo == ()
    assert f"as in the ready mapping {name}" in proposal.text
    assert accepted(proposal.text, path) == accepted((SHOPS / f"{name}.yaml").read_bytes(), path)


def test_a_system_nobody_knows_with_shopifys_habits_is_understood_by_what_it_holds(tmp_path, accepted):
    """Cells of the order blank on its later lines, times with an offset, an address for a customer, no line totals."""
    columns = ["Order", "Buyer", "Placed at", "SKU", "Qty", "Unit price"]
    rows = [
        ("1", "a@x.jp", "2024-01-05 10:00:00 +0900", "p", "1", "5"),
        ("1", "", "", "q", "2", "7"),
        ("2", "A@x.jp", "2024-01-06 10:00:00 +0900", "p", "1", "5"),
        ("2", "", "", "q", "1", "7"),
    ]
    path = exports.write(tmp_path / "sales.csv", columns, [dict(zip(columns, row, strict=True)) for row in rows])
    proposal = infer([path])
    assert proposal.todo == ()
    ledger, lines = accepted(proposal.text, path)
    assert (ledger.accepted, ledger.quarantined) == (4, 0)
    assert len({line.split(", ")[1] for line in lines}) == 1  # one customer, however the address was typed
    assert [line.split(", ")[2:] for line in lines] == [
        ["'p'", "1.0", "5.0)"],
        ["'q'", "2.0", "14.0)"],
        ["'p'", "1.0", "5.0)"],
        ["'q'", "1.0", "7.0)"],
    ]


def test_a_german_file_with_decimal_commas_is_read(tmp_path, accepted):
    columns = ["Bestellnummer", "Kundennummer", "Bestelldatum", "Artikelnummer", "Bezeichnung", "Menge", "Gesamtpreis"]
    rows = [
        ("B1", "K1", "31.12.2024", "A-1", "Größe M", "1", "1.234,50"),
        ("B1", "K1", "31.12.2024", "A-2", "Seife", "2", "9,90"),
        ("B2", "", "02.01.2025", "A-1", "Größe M", "1", "1.000,00"),
    ]
    path = exports.write(
        tmp_path / "umsatz.csv", columns, [dict(zip(columns, row, strict=True)) for row in rows], "cp1252", ";"
    )
    proposal = infer([path])
    assert proposal.todo == ()
    _, lines = accepted(proposal.text, path)
    assert lines == [
        repr(("B1", "K1", "A-1", 1.0, 1234.5)),
        repr(("B1", "K1", "A-2", 2.0, 9.9)),
        repr(("B2", None, "A-1", 1.0, 1000.0)),
    ]


def test_a_japanese_file_in_utf_16_with_tabs_is_read(tmp_path, accepted):
    columns = ["受注番号", "お客様番号", "購入日", "商品コード", "数量", "売上金額"]
    rows = [
        ("00012", "000345", "2024年1月5日", "S1", "２", "￥1,200"),
        ("00013", "", "2024年11月25日", "S2", "１", "300円"),
    ]
    path = exports.write(
        tmp_path / "uriage.tsv", columns, [dict(zip(columns, row, strict=True)) for row in rows], "utf-16", "\t"
    )
    proposal = infer([path])
    assert proposal.todo == ()
    _, lines = accepted(proposal.text, path)
    assert lines == [repr(("00012", "000345", "S1", 2.0, 1200.0)), repr(("00013", None, "S2", 1.0, 300.0))]
