"""The ready mappings: what becomes of each row of another system's export, by hand."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from features.door.mapping_file import SHOPS, load_mapping
from features.door.secret import pseudonym, shop_key
from features.shop import open_shop
from tests.features import exports
from tests.worlds import Toy, lake_rows


@pytest.fixture
def taken(tmp_path):
    """Ingest files under a ready mapping, or a text that includes some; gives the shop and its ledger."""

    def take(name, *files, text=None):
        toy = Toy(tmp_path, mapping=text or (SHOPS / f"{name}.yaml").read_bytes())
        ledger = toy.take(files)
        return toy, ledger

    return take


def lines_of(toy, name, *columns):
    rows = lake_rows(open_shop(toy.home, name), "order_lines", "order_id, line_no")
    return [tuple(row) for row in rows[list(columns)].itertuples(index=False)]


LINES = ("order_id", "line_no", "customer_id", "product_id", "quantity", "revenue", "status")


# ---- Shopify ----------------------------------------------------------------------------------------------------


def test_shopify_gives_each_line_its_order_and_its_customer(taken, tmp_path):
    path = exports.write(tmp_path / "orders_export_1.csv", exports.SHOPIFY, exports.shopify_rows())
    toy, ledger = taken("shopify", path)
    hana, oto = (pseudonym(shop_key(toy.home), address) for address in ("hana@example.jp", "oto@example.jp"))
    assert lines_of(
        toy, "shopify", "order_id", "line_no", "customer_id", "product_id", "quantity", "revenue", "status"
    ) == [
        ("#1001", "1", hana, "SOAP-1", 1, 1200, "ok"),
        ("#1001", "2", hana, "LOT-1", 2, 6300, "ok"),
        ("#1001", "3", hana, "サンプル", 1, 0, "ok"),
        ("#1002", "1", None, "SOAP-1", 1, 1200, "ok"),
        ("#1003", "1", oto, "SOAP-1", 1, 1200, "cancelled"),
        ("#1003", "2", oto, "LOT-1", 2, 6300, "cancelled"),
        ("#1004", "1", oto, "SOAP-1", 1, 1200, "cancelled"),
        ("#1005", "1", hana, "SOAP-1", 1, 1200, "ok"),
        ("#1005", "2", hana, "SOAP-1", 1, 1200, "ok"),  # two equal lines of one order are two
    ]
    assert ledger.balanced()
    reasons = {reason: n for reason, n in ledger.reasons.items() if reason.startswith("order_lines.")}
    assert reasons == {"order_lines.tip": 1, "order_lines.CURRENCY": 1, "order_lines.BAD_ID": 1}
    assert ledger.rows_in == len(exports.shopify_rows())
    assert ledger.notes["order_lines.guest_lines"] == 1


def test_shopify_times_have_their_own_zone_and_the_till_is_a_store(taken, tmp_path):
    path = exports.write(tmp_path / "orders_export_1.csv", exports.SHOPIFY, exports.shopify_rows())
    toy, _ = taken("shopify", path)
    found = {row[0]: row[1:] for row in lines_of(toy, "shopify", "order_id", "ordered_at", "channel", "coupon_id")}
    assert found["#1002"][1] == "store" and found["#1001"][1] == "web"
    assert found["#1001"][0].to_pydatetime().astimezone(UTC) == datetime(2024, 1, 5, 1, 11, 12, tzinfo=UTC)
    assert found["#1005"][2] == "HARU"


def test_an_order_refunded_later_replaces_what_was_taken_in(tmp_path):
    rows = exports.shopify_rows()[:3]
    toy = Toy(tmp_path, mapping=(SHOPS / "shopify.yaml").read_bytes())
    assert toy.take([exports.write(tmp_path / "orders_export_1.csv", exports.SHOPIFY, rows)]).accepted == 3
    refunded = [{**rows[0], "Financial Status": "refunded"}, *rows[1:]]
    again = toy.take([exports.write(tmp_path / "orders_export_2.csv", exports.SHOPIFY, refunded)])
    assert again.quarantined == 0
    days = lake_rows(open_shop(toy.home, "shopify"), "days", "day")
    assert (days.orders.sum(), days.revenue.sum()) == (0, 0)


# ---- EC-CUBE ----------------------------------------------------------------------------------------------------


def test_eccube_keeps_goods_and_sets_aside_postage_discounts_points_and_checkouts(taken, tmp_path):
    path = exports.write(tmp_path / "order_20240301.csv", exports.ECCUBE, exports.eccube_rows(), "cp932")
    toy, ledger = taken("eccube", path)
    assert lines_of(
        toy, "eccube", "order_id", "line_no", "customer_id", "product_id", "quantity", "revenue", "status"
    ) == [
        ("101", "1010", "55", "cube-01", 1, 1200, "ok"),
        ("101", "1011", "55", "cube-02", 2, 7000, "ok"),
        ("102", "1020", None, "cube-01", 1, 1200, "ok"),
        ("103", "1030", "56", "cube-02", 2, 7000, "cancelled"),
        ("105", "1050", "55", "77", 1, 800, "ok"),
    ]
    reasons = {reason.partition(".")[2]: n for reason, n in ledger.reasons.items() if reason.startswith("order_lines.")}
    assert reasons == {
        "postage": 2,
        "discount_entry": 1,
        "points_used": 1,
        "checkout_not_finished": 1,
        "BAD_DATE": 1,
    }
    assert ledger.balanced() and ledger.rows_in == len(exports.eccube_rows())


def test_eccube_reads_the_characters_of_cp932_and_links_members_to_their_address(taken, tmp_path):
    path = exports.write(tmp_path / "order_20240301.csv", exports.ECCUBE, exports.eccube_rows(), "cp932")
    toy, _ = taken("eccube", path)
    shop = open_shop(toy.home, "eccube")
    assert list(lake_rows(shop, "products", "product_id").name) == ["名入れ", "㈱花の音 石鹸①", "髙級化粧水～能"]
    links = lake_rows(shop, "identities", "customer_id")
    assert set(zip(links.alias_type, links.alias, links.customer_id, strict=True)) == {
        ("email_hash", pseudonym(shop_key(toy.home), f"m{n}@example.jp"), str(n)) for n in (55, 56)
    }
    assert list(lake_rows(shop, "shipments", "order_id").order_id) == ["101"]


def test_eccube_has_postage_twice_in_its_header_and_is_read_all_the_same(taken, tmp_path):
    """The columns it comes with hold 送料 of the order and 送料 of the parcel; no mapping reads either."""
    path = tmp_path / "order_1.csv"
    rows = [[row.get(name, "") for name in exports.ECCUBE] + ["500"] for row in exports.eccube_rows()[:2]]
    text = "\r\n".join(",".join(map(str, row)) for row in [[*exports.ECCUBE, "送料"], *rows]).replace("\\3,500", "3500")
    path.write_bytes(text.encode("cp932"))
    _, ledger = taken("eccube", path)
    assert (ledger.accepted, ledger.quarantined) == (2, 0)


# ---- Rakuten ----------------------------------------------------------------------------------------------------


def test_rakuten_knows_a_buyer_by_the_masked_address_only(taken, tmp_path):
    path = exports.write(tmp_path / "dl-normal_order_no-1.csv", exports.RAKUTEN, exports.rakuten_rows(), "cp932")
    toy, ledger = taken("rakuten", path)
    aa, bb = (pseudonym(shop_key(toy.home), f"{who}s1@fw.rakuten.ne.jp") for who in ("aa", "bb"))
    first, second = "123456-20240105-0000000001", "123456-20240106-0000000002"
    columns = ("order_id", "customer_id", "product_id", "quantity", "revenue", "coupon_id", "status")
    assert lines_of(toy, "rakuten", *columns) == [
        (first, aa, "soap-1", 1, 1200, "coupon", "ok"),
        (first, aa, "lotion", 2, 7000, "coupon", "ok"),
        (second, bb, "soap-1", 1, 1200, None, "cancelled"),
    ]
    reasons = {reason.partition(".")[2]: n for reason, n in ledger.reasons.items() if reason.startswith("order_lines.")}
    assert reasons == {"price_before_tax": 1, "BAD_WORD": 1}
    stored = b"".join(path.read_bytes() for path in toy.home.root.rglob("*") if path.is_file())
    assert b"fw.rakuten" not in stored


# ---- fragments --------------------------------------------------------------------------------------------------

HEAD = b"""
shop: mine
currency: JPY
tax: excluded
predict: {lookback_days: 365, min_order_days: 1}
"""
HANA = "hana@example.jp"


def test_ga4_events_are_of_customers_and_of_browsers_linked_to_them(taken, tmp_path):
    columns = ["event_timestamp", "event_name", "user_pseudo_id", "user_id", "item_id", "search_term"]
    events = [
        (1704420672000001, "view_item", "b1", "", "SOAP-1", ""),
        (1704420673000002, "add_to_cart", "b1", "55", "SOAP-1", ""),
        (1704420674000003, "view_search_results", "b1", "55", "", "石鹸"),
        (1704420675000004, "purchase", "b1", "55", "SOAP-1", ""),
        (1704420676000005, "scroll", "b2", "", "", ""),
    ]
    ga4 = exports.write(tmp_path / "ga4_20240105.csv", columns, [dict(zip(columns, e, strict=True)) for e in events])
    orders = exports.write(tmp_path / "orders_export_1.csv", exports.SHOPIFY, exports.shopify_rows()[:1])
    toy, ledger = taken("", orders, ga4, text=b"include: [shopify, ga4]" + HEAD)
    shop = open_shop(toy.home, "mine")
    found = lake_rows(shop, "events", '"at"')
    assert [tuple(row) for row in found[["customer_id", "kind", "product_id", "query"]].itertuples(index=False)] == [
        ("b1", "view", "SOAP-1", None),
        ("55", "cart", "SOAP-1", None),
        ("55", "search", None, "石鹸"),
    ]
    assert found["at"][0].to_pydatetime() == datetime(2024, 1, 5, 2, 11, 12, 1, tzinfo=UTC)
    assert ledger.reasons["events.purchase"] == ledger.reasons["events.other_event"] == 1
    links = lake_rows(shop, "identities", "linked_at")
    assert set(zip(links.alias_type, links.alias, links.customer_id, strict=True)) == {("device", "b1", "55")}


def test_a_mail_tool_names_the_same_customer_as_the_order_file(taken, tmp_path):
    sends = [{"message_id": "m1", "campaign_id": "c", "email": HANA.upper(), "sent_at": "2024-01-06T10:00:00+09:00"}]
    kinds = [
        "delivered",
        "opened",
        "clicked",
        "hard_bounce",
        "unsubscribed",
        "spamreport",
        "deferred",
        "dropped",
        "teleported",
    ]
    reactions = [
        {
            "message_id": "m1",
            "campaign_id": "c",
            "email": HANA,
            "event": kind,
            "occurred_at": "2024-01-06 11:00:00 +0900",
        }
        for kind in kinds
    ]
    files = [
        exports.write(tmp_path / "orders_export_1.csv", exports.SHOPIFY, exports.shopify_rows()[:1]),
        exports.write(tmp_path / "mail_sends_1.csv", list(sends[0]), sends),
        exports.write(tmp_path / "mail_responses_1.csv", list(reactions[0]), reactions),
    ]
    toy, ledger = taken("", *files, text=b"include: [shopify, mailtool]" + HEAD)
    shop = open_shop(toy.home, "mine")
    customer = pseudonym(shop_key(toy.home), HANA)
    assert set(lake_rows(shop, "order_lines", "order_id").customer_id) == {customer}
    assert set(lake_rows(shop, "contacts", "contact_id").customer_id) == {customer}
    kept = Counter(lake_rows(shop, "responses", "kind").kind)
    assert kept == dict.fromkeys(("delivered", "open", "click", "bounce", "unsubscribe", "complaint"), 1)
    reasons = {reason: n for reason, n in ledger.reasons.items() if reason.startswith("responses.")}
    assert reasons == {"responses.on_its_way": 1, "responses.never_sent": 1, "responses.BAD_WORD": 1}


@pytest.mark.parametrize("name", ["shopify", "eccube", "rakuten"])
def test_every_ready_mapping_of_a_system_can_be_read(name):
    mapping = load_mapping(SHOPS / f"{name}.yaml")
    assert mapping.shop == name
    assert mapping.tables["order_lines"].corrections == "newest"  # statuses change from export to export
