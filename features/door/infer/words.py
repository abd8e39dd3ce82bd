"""How shops call the canonical columns and their words, in English and Japanese."""

import re

from features.door.infer.columns import plain

CUSTOMER = (
    "customer id|customer|customer no|customer number|customer code|client id|client|user id|user|member id|buyer id"
    "|shopper id|household id|household key|account id|contact key|kunde|kundennummer|kunden nr|顧客番号|顧客ID"
    "|顧客コード"
    "|会員ID|会員番号|会員コード|お客様番号|ユーザーID|購入者ID|customer unique id|visitor id|cust id|msno"
    "|customer user id|お客様コード|お客様ID|得意先コード|member no|member number|member code|card no|card number"
    "|会員カード番号|カード番号|ポイントカード番号"
)
ORDER = (
    "order id|order|order no|order number|order name|invoice|invoice no|invoice id|invoice number|basket id"
    "|transaction id"
    "|transaction no|receipt id|receipt no|bestellnummer|bestellung|rechnungsnummer|auftragsnummer|注文番号|注文ID"
    "|受注番号"
    "|受注ID|伝票番号|取引番号|購入ID|ご注文番号|sales id|ticket|order key|order code"
    "|amazon order id|increment id|order increment id|purchase id|bon nr|bonnummer|belegnummer|beleg nr"
    "|受注コード|注文コード|オーダー番号|オーダーID|システム注文番号|取引ID|会計ID|会計番号|レシート番号"
)
PRODUCT = (
    "product id|sku|product|product code|product no|item id|item code|item|item no|stock code|article id|article"
    "|asin|jan"
    "|artikelnummer|artikel nr|artikel|商品コード|商品ID|商品番号|商品管理番号|品番|品目コード|型番|variant id"
    "|variant sku"
    "|line item sku|lineitem sku|product key|movie id|material"
    "|merchant sku|seller sku|msku|art nr|artnr|ean|独自商品コード|システム商品コード|SKUコード|商品SKU|JANコード"
)
ORDERED = (
    "ordered at|order date|order time|order datetime|created at|purchase date|purchased at|order purchase timestamp"
    "|transaction date|transaction dt|transaction time|transaction timestamp|invoice date|date"
    "|datetime|timestamp|time|t dat"
    "|sale date"
    "|sales date|bestelldatum|datum|rechnungsdatum|注文日時|注文日|受注日時|受注日|購入日時|購入日|ご注文日|売上日"
    "|日時|日付|day|purchase time|payments date"
    "|オーダー日時|オーダー日|注文受付日時|ご注文日時|取引日時|会計日時|会計日|売上日時|販売日時"
)
QUANTITY = (
    "quantity|qty|units|unit sales|item quantity|count|amount of items|menge|anzahl|stück|数量|個数|点数|購入数|注文数"
    "|qty ordered|quantity ordered|quantity shipped|quantity purchased|quantity refund|ordered quantity|pieces|stk"
    "|購入数量|購入個数|注文数量|注文個数|販売数量|販売個数|販売点数|受注数"
)
REVENUE = (
    "revenue|line revenue|net revenue|item total|extended price|total amount|purchase amount|price paid|turnover"
    "|amt|netto"
    "|売上額|販売金額|取引金額|購入額|利用金額|sales value|line total|line amount|total price|sales amount|sales"
    "|net sales"
    "|net amount|amount|spend|paid"
    "|gross sales|subtotal|total|umsatz|betrag|summe|gesamtpreis|金額|売上|売上金額|売上高|小計|税込金額|金額税込"
    "|税抜金額"
    "|金額税抜|購入金額|商品金額|合計金額|明細金額|value|gmv"
    "|row total|base row total|order line subtotal|order line total|line subtotal|item subtotal|net total|umsatz brutto"
    "|商品小計|商品合計額|商品別合計|販売総売上|純売上"
)
UNIT_PRICE = (
    "unit price|price|item price|sales price|selling price|price each|lineitem price|einzelpreis|preis|stückpreis|単価"
    "|販売単価|価格|販売価格|税込単価|税抜単価|商品単価|item cost|stk preis|商品価格"
)
TIME_OF_DAY = (
    "time|order time|time of day|uhrzeit|zeit|注文時間|注文時刻|受注時間|受注時刻|購入時間|会計時間|売上時間|時間|時刻"
)
AT = (
    "at|date|time|datetime|timestamp|occurred at|created at|event time|event timestamp|sent at|日時|日付|発生日時"
    "|登録日時"
)
CHANNEL = "channel|sales channel|source|媒体|媒体コード|経路|チャネル|販売経路|購入経路"

# canonical table -> column -> what shops call it
NAMES: dict[str, dict[str, str]] = {
    "order_lines": {
        "order_id": ORDER,
        "customer_id": CUSTOMER,
        "ordered_at": ORDERED,
        "product_id": PRODUCT,
        "quantity": QUANTITY,
        "revenue": REVENUE,
        "line_no": "line no|line number|item no|line id|line item id|order item id|order line id|order line"
        "|positionsnummer|position"
        "|行番号|明細番号|明細ID|注文明細ID|注文詳細ID|商品明細ID|受注明細番号|枝番"
        "|amazon order item id|shipment item id|order item code|明細行番号|取引明細ID|注文明細番号|行No",
        "returns_order_id": "returns order id|original order id|original invoice|refund of|元受注番号|元注文番号"
        "|返品元注文番号",
        "currency": "currency|currency code|währung|通貨|通貨コード",
        "tax": "tax|tax amount|line tax|vat|mwst|消費税|内消費税|税額|消費税額",
        "list_price": "list price|regular price|msrp|compare at price|original price|定価|通常価格|希望小売価格",
        "discount": "discount|discount amount|line discount|lineitem discount|item discount|rabatt|値引|値引額"
        "|値引き|割引|割引額|item promotion discount|値引金額|割引金額",
        "cost": "cost|unit cost|cost of goods|cogs|原価|仕入原価|仕入れ値",
        "coupon_id": "coupon|coupon id|coupon code|discount code|voucher|promo code|gutschein|クーポン|クーポンコード",
        "channel": CHANNEL,
        "status": "status|order status|state|区分|状態|ステータス|注文ステータス|受注区分|対応状況|bestellstatus"
        "|処理状況|発送状況|注文状況|受注状況|受注ステータス|オーダーステータス|取引区分",
        "order_type": "order type|subscription|受注形態|注文種別|購入種別",
        "known_at": "known at|loaded at|recorded at|entered at|updated at|登録日時|更新日時|取込日時",
    },
    "products": {
        "product_id": PRODUCT + "|id|code",
        "name": "name|product name|item name|title|description|stock description|商品名|品名|名称|artikelname"
        "|bezeichnung",
        "category": "category|category name|product category|department|product type|type|分類|カテゴリ|カテゴリー"
        "|商品分類"
        "|kategorie",
        "brand": "brand|vendor|manufacturer|maker|marke|hersteller|ブランド|メーカー",
        "price": UNIT_PRICE,
        "cost": "cost|unit cost|原価|仕入原価",
        "in_stock": "in stock|available|在庫あり",
        "launched_at": "launched at|launch date|release date|発売日",
        "lasts_days": "lasts days|使用日数",
        "family_id": "family id|parent id|parent sku|シリーズ|親商品コード",
        "tags": "tags|labels|タグ",
    },
    "customers": {
        "customer_id": CUSTOMER + "|id",
        "signed_up_at": "signed up at|signup date|sign up date|registered at|registration date|created at"
        "|member since|join date"
        "|registration init time|会員登録日時|会員登録日|登録日|入会日",
        "region": "region|state|prefecture|province|country|city|都道府県|地域",
        "tier": "tier|rank|loyalty tier|member rank|会員ランク|ランク",
        "points": "points|point balance|保有ポイント|ポイント残高|ポイント",
        "points_expire_on": "points expire on|point expiry|ポイント期限|ポイント有効期限",
        "line_user_id": "line user id|line id",
        "member_no": "member no|member number|card number|会員番号|カード番号",
    },
    "consents": {
        "customer_id": CUSTOMER,
        "channel": CHANNEL,
        "purpose": "purpose|目的",
        "at": AT + "|consented at|同意日時",
        "granted": "granted|consent|opt in|同意|許諾",
    },
    "identities": {
        "alias_type": "alias type|identifier type|識別種別",
        "alias": "alias|identifier|識別子",
        "customer_id": CUSTOMER,
        "linked_at": "linked at|紐付日時",
        "unlinked_at": "unlinked at|解除日時",
    },
    "subscriptions": {
        "customer_id": CUSTOMER,
        "product_id": PRODUCT,
        "started_at": "started at|start date|subscription start|subscribed at|開始日時|開始日|申込日",
        "interval_days": "interval days|interval|frequency days|お届け間隔日数|お届け間隔|間隔日数",
        "next_ship_on": "next ship on|next shipment|next order date|next charge date|次回出荷日|次回お届け日",
        "paused_at": "paused at|休止日時|休止日",
        "cancelled_at": "cancelled at|canceled at|解約日時|解約日",
        "cancel_reason": "cancel reason|cancellation reason|解約理由",
    },
    "shipments": {
        "order_id": ORDER,
        "shipped_at": "shipped at|ship date|shipped date|shipping date|fulfilled at|出荷日時|出荷日|発送日|発送日時",
        "promised_at": "promised at|estimated delivery|estimated delivery date|お届け予定|お届け予定日",
        "delivered_at": "delivered at|delivery date|delivered date|配達完了|配達日|到着日",
    },
    "events": {
        "customer_id": CUSTOMER + "|user pseudo id|session user",
        "at": AT,
        "kind": "kind|event|event name|event type|action|行動",
        "product_id": PRODUCT,
        "query": "query|search term|keyword|検索語|検索キーワード",
    },
    "contacts": {
        "contact_id": "contact id|message id|send id|delivery id|配信番号|配信ID",
        "customer_id": CUSTOMER,
        "at": AT + "|配信日時|送信日時",
        "campaign_id": "campaign id|campaign|施策番号|キャンペーンID",
        "scenario": "scenario|シナリオ",
        "offer_id": "offer id|offer|特典",
        "channel": CHANNEL,
        "cost": "cost|費用",
        "withheld": "withheld|control|対照群",
    },
    "responses": {
        "kind": "kind|event|event type|response|reaction|反応",
        "at": AT + "|反応日時",
        "contact_id": "contact id|message id|配信番号|配信ID",
        "campaign_id": "campaign id|campaign|施策番号",
        "customer_id": CUSTOMER,
        "order_id": ORDER,
        "amount": REVENUE,
    },
    "feedback": {
        "customer_id": CUSTOMER,
        "kind": "kind|type|種別",
        "opened_at": "opened at|created at|review date|answered at|受付日時|投稿日時",
        "source": CHANNEL,
        "score": "score|rating|stars|評点|評価|点数",
        "order_id": ORDER,
        "product_id": PRODUCT,
        "closed_at": "closed at|resolved at|完了日時",
    },
    "loyalty_events": {
        "customer_id": CUSTOMER,
        "kind": "kind|type|reason|内容|種別",
        "at": AT,
        "points": "points|point|ポイント",
    },
    "costs": {
        "at": AT + "|計上日",
        "kind": "kind|type|費目",
        "amount": "amount|cost|spend|金額|費用",
        "channel": CHANNEL,
        "new_customers": "new customers|新規人数|新規獲得数",
    },
}
FILES = {  # words of a file's name that speak for a table
    "order_lines": "order|transaction|sales|invoice|受注|注文|売上|bestell",
    "products": "product|item|catalog|商品|artikel",
    "customers": "customer|member|user|client|顧客|会員|kunden",
    "consents": "consent|同意",
    "identities": "identit|alias",
    "subscriptions": "subscription|定期",
    "shipments": "shipment|shipping|deliver|出荷|配送",
    "events": "event|click|view|session|行動",
    "contacts": "contact|send|campaign|配信",
    "responses": "response|reaction|open|反応",
    "feedback": "feedback|review|survey|レビュー",
    "loyalty_events": "loyalty|point|ポイント",
    "costs": "cost|spend|費用",
}
# canonical word -> how shops write it; what stands nowhere here is asked, never guessed
WORDS: dict[str, dict[str, str]] = {
    "status": {
        "ok": "ok|paid|complete|completed|fulfilled|shipped|delivered|processing|invoiced|approved|created"
        "|pending|new"
        "|受注|完了|発送済み|発送済|出荷済|出荷済み|入金済み|入金済|新規受付|対応中|処理中|通常|bezahlt|versandt"
        "|abgeschlossen|wc completed|wc processing|unshipped|shipped delivered to buyer|shipped picked up|未発送|未対応"
        "|対応済み|対応済|未処理|処理済み|処理済|配送|配送済み|配送済|配達完了|発送準備中|発送待ち|売上|販売|verkauf",
        "cancelled": "cancelled|canceled|cancel|void|voided|failed|refunded|unavailable|キャンセル|取消|注文取消し"
        "|注文取消|wc cancelled|wc refunded|wc failed|注文キャンセル|キャンセル済み|キャンセル済|キャンセル完了"
        "|取消済み|取消済"
        "|storniert|storno",
        "returned": "returned|return|返品|返品済み|返品済|返送|retoure|zurückgegeben|rückgabe",
    },
    "order_type": {
        "one_off": "one off|one time|single|通常|都度|単品",
        "subscription": "subscription|recurring|定期|定期購入",
    },
    "kind": {
        "view": "view|view item|page view|detail|閲覧",
        "cart": "cart|add to cart|addtocart|カート",
        "search": "search|検索",
        "wishlist": "wishlist|favorite|favourite|add to wishlist|お気に入り",
        "delivered": "delivered|delivery|到達",
        "open": "open|opened|開封",
        "click": "click|clicked|クリック",
        "redeem": "redeem|redeemed|利用",
        "unsubscribe": "unsubscribe|unsubscribed|配信停止",
        "block": "block|blocked|ブロック",
        "bounce": "bounce|bounced|hard bounce|soft bounce|不達",
        "complaint": "complaint|spam|spamreport|spam complaint|苦情",
        "review": "review|レビュー",
        "csat": "csat|満足度調査",
        "nps": "nps|推奨度調査",
        "ticket": "ticket|問い合わせ",
        "return_request": "return request|返品申請",
        "earn_order": "earn order|購入付与",
        "earn_review": "earn review|レビュー付与",
        "expire": "expire|expired|失効",
        "acquisition": "acquisition|新規獲得",
        "retention": "retention|継続促進",
    },
    "purpose": {"marketing": "marketing|販促", "personalise": "personalise|personalize|個別化", "train": "train|学習"},
}
POSTAGE = r"^(post|postage|shipping|versand|versandkosten|delivery|dot|soryo|souryo|送料.*|配送料)$"


PURCHASES = {"purchase", "transaction", "buy", "order", "checkout", "conversion", "購入", "注文"}


# What an amount's name says of tax or currency does not make it another thing.
_TAX = re.compile("(消費税込|税込み?|税抜き?|税別|円|jpy|yen|incltax|inclvat|excltax|wotax)$")


def likeness(name: str, known: str) -> float:
    """Tell how far a source column's name speaks for a canonical one: 1 is one of its names, 0 nothing of the kind.

    >>> likeness("Customer ID", CUSTOMER), likeness("注文者会員ID", CUSTOMER), likeness("Country", CUSTOMER)
    (1.0, 0.7, 0.0)
    """
    said, names = plain(name), [plain(word) for word in known.split("|")]
    for called in (said, _TAX.sub("", said)):
        if called in names:
            return 1.0 - 0.002 * names.index(called)  # the more usual name stands before the less usual one
    long_enough = [n for n in names if len(n) >= (5 if n.isascii() else 3)]
    return 0.7 if any(said.endswith(n) for n in long_enough) else 0.0


def translate(column: str, allowed: tuple[str, ...], values: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """Give the mapping's ``words`` for the values of a column, and the values nobody can be sure of."""
    known = {plain(said): word for word, all_ in WORDS.get(column, {}).items() for said in all_.split("|")}
    found = {value: value if value in allowed else known.get(plain(value), "") for value in values}
    unsure = [value for value, word in found.items() if word not in allowed]
    return {value: word for value, word in found.items() if word in allowed and word != value}, unsure
