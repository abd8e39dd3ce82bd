"""Small exports of other shops' systems: their columns, their encodings, their typical dirt."""

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Row = Mapping[str, object]

SHOPIFY = [
    "Name",
    "Email",
    "Financial Status",
    "Paid at",
    "Fulfillment Status",
    "Fulfilled at",
    "Accepts Marketing",
    "Currency",
    "Subtotal",
    "Shipping",
    "Taxes",
    "Total",
    "Discount Code",
    "Discount Amount",
    "Shipping Method",
    "Created at",
    "Lineitem quantity",
    "Lineitem name",
    "Lineitem price",
    "Lineitem compare at price",
    "Lineitem sku",
    "Lineitem requires shipping",
    "Lineitem taxable",
    "Lineitem fulfillment status",
    "Billing Name",
    "Billing Phone",
    "Shipping Name",
    "Notes",
    "Cancelled at",
    "Payment Method",
    "Refunded Amount",
    "Vendor",
    "Id",
    "Tags",
    "Risk Level",
    "Source",
    "Lineitem discount",
]

ECCUBE = [
    "注文ID",
    "注文番号",
    "会員ID",
    "お名前(姓)",
    "お名前(名)",
    "メールアドレス",
    "TEL",
    "小計",
    "値引き",
    "送料",
    "税金",
    "合計",
    "支払合計",
    "対応状況(ID)",
    "対応状況(名称)",
    "支払方法(ID)",
    "支払方法(名称)",
    "受注日",
    "入金日",
    "注文詳細ID",
    "商品ID",
    "商品規格ID",
    "商品名",
    "商品コード",
    "規格名1",
    "規格分類名1",
    "価格",
    "個数",
    "税率",
    "税率ルール(ID)",
    "明細区分(ID)",
    "明細区分(名称)",
    "出荷ID",
    "発送日",
]

RAKUTEN = [
    "注文番号",
    "ステータス",
    "サブステータス",
    "注文日時",
    "注文日",
    "注文時間",
    "発送完了報告日時",
    "支払方法名",
    "配送方法",
    "商品合計金額",
    "消費税合計",
    "送料合計",
    "請求金額",
    "合計金額",
    "ポイント利用額",
    "クーポン利用総額",
    "店舗発行クーポン利用額",
    "楽天発行クーポン利用額",
    "注文者姓",
    "注文者名",
    "注文者電話番号1",
    "注文者メールアドレス",
    "送付先ID",
    "商品明細ID",
    "商品ID",
    "商品名",
    "商品番号",
    "商品管理番号",
    "単価",
    "個数",
    "送料込別",
    "税込別",
    "項目・選択肢",
]


def write(
    path: Path, columns: Sequence[str], rows: Iterable[Row], encoding: str = "utf-8", delimiter: str = ","
) -> Path:
    """Write rows as a CSV in an encoding; a column that a row lacks is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def workbook(path: Path, *sheets_and_rows: Any) -> Path:
    """Write the smallest workbook Office Open XML allows (ECMA-376): names of sheets, each with its rows."""
    main, rel = "http://schemas.openxmlformats.org/spreadsheetml/2006/main", "http://schemas.openxmlformats.org"
    inline = '<c t="inlineStr"><is><t>{}</t></is></c>'
    sheets = dict(enumerate(zip(sheets_and_rows[::2], sheets_and_rows[1::2], strict=True), 1))
    kind = f'Type="{rel}/officeDocument/2006/relationships'
    files = {
        "[Content_Types].xml": f'<Types xmlns="{rel}/package/2006/content-types"><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType='
        '"application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{rel}/package/2006/relationships"><Relationship Id="r1" '
        f'{kind}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rel}/officeDocument/2006/relationships"><sheets>'
        + "".join(f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>' for n, (name, _) in sheets.items())
        + "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{rel}/package/2006/relationships">'
        + "".join(f'<Relationship Id="r{n}" {kind}/worksheet" Target="worksheets/sheet{n}.xml"/>' for n in sheets)
        + "</Relationships>",
    }
    for n, (_, table) in sheets.items():
        cells = "".join(
            "<row>"
            + "".join(f"<c><v>{v}</v></c>" if isinstance(v, int | float) else inline.format(v) for v in row)
            + "</row>"
            for row in table
        )
        files[f"xl/worksheets/sheet{n}.xml"] = f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def shopify_rows() -> list[Row]:
    """Write seven orders: of several lines, a guest's, cancelled, refunded, in dollars, with a tip, too long a name."""

    def order(name: str, email: str, day: str, *lines: Row, **more: object) -> list[Row]:
        head = {
            "Name": name,
            "Email": email,
            "Financial Status": "paid",
            "Paid at": f"{day} 10:12:00 +0900",
            "Accepts Marketing": "yes",
            "Currency": "JPY",
            "Subtotal": 1,
            "Total": 1,
            "Created at": f"{day} 10:11:12 +0900",
            "Source": "web",
            "Id": f"58{name[1:]}",
            "Billing Name": "花野 音",
            "Billing Phone": "'090-1234-5678",
        }
        known = {"Name": name, "Email": email}  # what Shopify repeats on an order's later rows
        return [{**(head | more if n == 0 else known), **line} for n, line in enumerate(lines)]

    def line(sku: str, name: str, price: object, quantity: int = 1, discount: object = "0.00") -> Row:
        return {
            "Lineitem sku": sku,
            "Lineitem name": name,
            "Lineitem price": price,
            "Lineitem quantity": quantity,
            "Lineitem discount": discount,
            "Vendor": "花の音",
        }

    soap, lotion = line("SOAP-1", "石鹸", "1200"), line("LOT-1", "化粧水 - 200ml", "3500", 2, "700.00")
    return [
        *order("#1001", "Hana@example.jp", "2024-01-05", soap, lotion, line("", "サンプル", "0")),
        *order("#1002", "", "2024-01-06", soap, Source="pos"),
        *order("#1003", "oto@example.jp", "2024-01-07", soap, lotion, **{"Cancelled at": "2024-01-08 09:00:00 +0900"}),
        *order(
            "#1004", "oto@example.jp", "2024-01-09", soap, **{"Financial Status": "refunded", "Refunded Amount": 1200}
        ),
        *order(
            "#1005",
            "hana@example.jp ",
            "2024-02-10",
            soap,
            soap,
            line("", "Tip", "500"),
            **{"Financial Status": "partially_refunded", "Discount Code": "HARU", "Discount Amount": 100},
        ),
        *order("#1006", "kai@example.com", "2024-02-11", soap, Currency="USD"),
        *order("#1007", "kai@example.com", "2024-02-12", line("", "と" * 70, "100")),
    ]


def eccube_rows() -> list[Row]:
    """Write six orders: goods, postage, a discount and points; one is cancelled, one not finished, one on 30 Feb."""

    def order(number: int, member: object, day: str, status: str, *items: Row, **more: object) -> list[Row]:
        head = {
            "注文ID": number,
            "注文番号": f"2024-{number}",
            "会員ID": member,
            "お名前(姓)": "髙橋",
            "メールアドレス": f"m{member or 'guest'}@example.jp",
            "TEL": "09012345678",
            "合計": 9999,
            "対応状況(名称)": status,
            "支払方法(名称)": "クレジット",
            "受注日": f"{day} 21:30:00",
            "発送日": f"{day} 23:00:00" if status == "発送済み" else "",
        }
        return [head | {"注文詳細ID": number * 10 + n} | item | more for n, item in enumerate(items)]

    def item(code: str, name: str, price: object, quantity: object = "1", kind: str = "商品") -> Row:
        return {
            "商品コード": code,
            "商品規格ID": "77" if kind == "商品" else "",
            "商品名": name,
            "価格": price,
            "個数": quantity,
            "税率": "10",
            "明細区分(名称)": kind,
        }

    soap = item("cube-01", "㈱花の音 石鹸①", "1200.00")
    lotion = item("cube-02", "髙級化粧水～能", "\\3,500", "２")
    points = item("", "ポイント", "-100", kind="ポイント")
    postage = item("", "送料", "500", kind="送料")
    return [
        *order(101, 55, "2024-01-05", "発送済み", soap, lotion, postage, item("", "割引", "-300", kind="割引")),
        *order(102, "", "2024-01-06", "新規受付", soap, postage),
        *order(103, 56, "2024-01-07", "注文取消し", lotion),
        *order(104, 56, "2024-01-08", "購入処理中", lotion),
        *order(105, 55, "2024-02-09", "対応中", item("", "名入れ", "800円"), points),
        *order(106, 55, "2024-02-30", "対応中", soap),
    ]


def rakuten_rows() -> list[Row]:
    """Write four orders: with a coupon, cancelled, with a price before tax, with an unknown status."""

    def order(number: str, status: object, day: str, buyer: str, *lines: Row, **more: object) -> list[Row]:
        head = {
            "注文番号": number,
            "ステータス": status,
            "注文日時": f"{day} 08:05:09",
            "発送完了報告日時": f"{day} 18:00:00",
            "クーポン利用総額": 0,
            "注文者姓": "髙田",
            "注文者メールアドレス": f"{buyer}s1@fw.rakuten.ne.jp",
            "税込別": 1,
        }
        return [head | line | more for line in lines]

    def line(detail: int, item: str, name: str, price: object, quantity: object = 1, **more: object) -> Row:
        return {"商品明細ID": detail, "商品管理番号": item, "商品名": name, "単価": price, "個数": quantity} | more

    two = line(1, "soap-1", "【ポイント10倍】石鹸①", "1,200"), line(2, "lotion", "化粧水㈱", "3500", "２")
    return [
        *order("123456-20240105-0000000001", 700, "2024-01-05", "aa", *two, クーポン利用総額=500),
        *order("123456-20240106-0000000002", 900, "2024-01-06", "bb", line(3, "soap-1", "石鹸", "￥1200")),
        *order("123456-20240107-0000000003", 500, "2024-01-07", "aa", line(4, "cream", "クリーム", 1000, 税込別=0)),
        *order("123456-20240108-0000000004", 123, "2024-01-08", "aa", line(5, "soap-1", "石鹸", 1200)),
    ]


ODD_CODES = {  # of invoices that are not about products, and of products whose codes are no five digits
    "POST": 8, "DOT": 7, "C2": 2, "C3": 1, "M": 8, "m": 1, "S": 1, "PADS": 1, "D": 2, "ADJUST": 2, "ADJUST2": 1, "B": 1,
    "BANK CHARGES": 2, "AMAZONFEE": 1, "TEST001": 1, "gift_0001_30": 2, "GIFT": 1, "DCGS0058": 3, "SP1002": 2,
}  # fmt: skip


def online_retail(path: Path, invoices: int = 6000) -> Path:
    """Write invoices as UCI Online Retail II has them: guests, cancellations, corrections, fees, rows sent twice."""
    draw = np.random.default_rng(12)
    codes = [*(f"{n}{letter}" for n in range(20000, 20150) for letter in ("", "A")), *ODD_CODES]
    odds = np.array([1.0] * 300 + [0.05 * often for often in ODD_CODES.values()])
    n = draw.integers(1, 12, invoices)
    of, total = np.repeat(np.arange(invoices), n), int(n.sum())
    cancelled = draw.random(invoices) < 0.06
    customer = np.where(draw.random(invoices) < 0.2, 0, draw.integers(12346, 12900, invoices))[of]
    start = pd.Timestamp("2009-12-01 08:00") + pd.to_timedelta(np.sort(draw.integers(0, 370 * 1440, invoices)), "min")
    code = draw.choice(codes, total, p=odds / odds.sum())
    wrong = draw.random(total)  # a stock correction: negative without being cancelled, or a guest's at no price
    quantity = draw.integers(1, 48, total) * np.where(cancelled[of] | (wrong < 0.01), -1, 1)
    price = np.round(draw.gamma(2.0, 2.0, total) + 0.01, 2)
    price[((wrong > 0.98) & (customer == 0)) | (wrong > 0.998)] = 0.0
    frame = pd.DataFrame(
        {
            "InvoiceNo": [f"{'C' if cancelled[nth] else ''}{489434 + nth}" for nth in of],
            "StockCode": code,
            "Description": [f" {one} of something" for one in code],
            "Quantity": quantity,
            "InvoiceDate": start.to_numpy()[of],
            "UnitPrice": price,
            "CustomerID": pd.array(np.where(customer == 0, None, customer), dtype="Int64"),
            "Country": "United Kingdom",
        }
    )
    sent_twice = frame[draw.random(total) < 0.01]
    pd.concat([frame, sent_twice]).sort_values("InvoiceDate", kind="stable").to_parquet(path, index=False)
    return path
