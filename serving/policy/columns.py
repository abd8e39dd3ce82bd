"""What may be asked of a customer: the columns that filters know, each with its kind and its words for people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from serving.words import BANDS, LIFECYCLES

Kind = Literal["number", "text", "texts", "boolean", "date"]
Unit = Literal["", "share", "days"]
Words = tuple[str, str]  # Japanese, English


@dataclass(frozen=True)
class Column:
    """One column a filter may name.

    ``texts`` is a set of words in one cell, a list or joined by ``,`` or ``;``: to equal one is to hold it.
    ``among`` lists the only values a text may have, with their words for people; empty: any text.
    """

    kind: Kind
    said: Words
    unit: Unit = ""
    among: Mapping[str, Words] = field(default_factory=dict)


STATUSES: dict[str, Words] = {
    "ok": ("正常", "OK"),
    "prior_only": ("参考値", "Estimate from shop average"),
    "stale_features": ("データ遅れ", "Data late"),
    "opted_out": ("パーソナライズ停止", "Personalisation off"),
    "unknown_customer": ("該当する顧客なし", "Unknown customer"),
}
STAGES: dict[str, Words] = {
    "F0": ("F0", "F0"),
    "F1": ("F1", "F1"),
    "F2": ("F2", "F2"),
    "F3plus": ("F3以上", "F3 or more"),
}
ARMS: dict[str, Words] = {"treatment": ("配信群", "Treatment"), "control": ("対照群", "Control")}
METHODS: dict[str, Words] = {
    "rule": ("規則", "Rule"),
    "prior": ("店全体の傾向", "Prior"),
    "light": ("簡易モデル", "Light"),
    "full": ("モデル", "Full"),
}

_CHANCES = {
    f"next_order_p_{days}d": Column(
        "number", (f"{days}日以内の購入確率", f"Chance of an order in {days} days"), "share"
    )
    for days in (7, 14, 30, 60, 90)
}
_SECOND = {
    f"second_order_p_{days}d": Column(
        "number", (f"{days}日以内のF2転換確率", f"Chance of a second order in {days} days"), "share"
    )
    for days in (30, 60, 90)
}

# The columns of customer_scores (contracts.md, section 4), in the order of the published table where they stand there.
CUSTOMER: dict[str, Column] = {
    "customer_id": Column("text", ("顧客番号", "Customer id")),
    "status": Column("text", ("状態", "Status"), among=STATUSES),
    "basis_method": Column("text", ("算出方法", "Basis"), among=METHODS),
    "order_count": Column("number", ("購入回数", "Orders")),
    "f_stage": Column("text", ("F段階", "Order stage"), among=STAGES),
    "lifecycle": Column("text", ("ステージ", "Life stage"), among=LIFECYCLES),
    "churn_probability": Column("number", ("離脱確率", "Churn probability"), "share"),
    "churn_band": Column("text", ("離脱リスク", "Churn band"), among=BANDS),
    "churn_percentile": Column("number", ("離脱リスクの順位(0-100)", "Churn percentile")),
    "silence_ratio": Column("number", ("間隔超過(倍)", "Overdue (times usual)")),
    "days_since_last_order": Column("number", ("前回購入からの日数", "Days since last order"), "days"),
    "usual_gap_days": Column("number", ("ふだんの購入間隔", "Usual gap"), "days"),
    **_SECOND,
    **_CHANCES,
    "next_order_earliest": Column("date", ("次回購入(早ければ)", "Next order, earliest")),
    "next_order_expected": Column("date", ("次回購入の見込み", "Next order, expected")),
    "next_order_latest": Column("date", ("次回購入(遅くとも)", "Next order, latest")),
    "overdue_days": Column("number", ("購入予定からの超過日数", "Days overdue"), "days"),
    "clv_predicted_90d": Column("number", ("LTV予測(90日)", "Predicted CLV, 90 days")),
    "clv_predicted_365d": Column("number", ("LTV予測(365日)", "Predicted CLV, 365 days")),
    "clv_low_365d": Column("number", ("LTV予測(365日)の下限", "Predicted CLV, low end")),
    "clv_high_365d": Column("number", ("LTV予測(365日)の上限", "Predicted CLV, high end")),
    "clv_historic": Column("number", ("これまでの購入金額", "Value so far")),
    "clv_grade": Column("number", ("LTVランク(5が最高)", "CLV grade (5 best)")),
    "at_risk_365d": Column("number", ("離脱で失う見込み金額", "Value at risk, 365 days")),
    "promo_share": Column("number", ("セール・クーポン利用率", "Share of orders with a discount"), "share"),
    "subscription_active": Column("boolean", ("定期購入中", "On subscription")),
    "is_bot": Column("boolean", ("個人でない可能性", "Hardly a person")),
    "action_scenario": Column("text", ("今夜のシナリオ", "Tonight's scenario")),
    "action_offer_id": Column("text", ("今夜の特典", "Tonight's offer")),
    "action_channel": Column("text", ("今夜のチャネル", "Tonight's channel")),
    "action_net_value": Column("number", ("見込み純増利益", "Expected net gain")),
    "arm": Column("text", ("配信群・対照群", "Arm"), among=ARMS),
    "send_allowed": Column("boolean", ("配信可", "May be sent to")),
    "guards_failed": Column("texts", ("配信不可の理由", "Failed guards")),
    "reason_codes": Column("texts", ("離脱の理由", "Reasons")),
    "region": Column("text", ("地域", "Region")),
    "attributes": Column("texts", ("属性", "Attributes")),
    "tier": Column("text", ("会員ランク", "Tier")),
    "to_next_tier": Column("number", ("次のランクまでの金額", "To the next tier")),
    "tier_expires_on": Column("date", ("ランクの期限", "Tier expires")),
    "points": Column("number", ("保有ポイント", "Points")),
    "points_expire_on": Column("date", ("ポイントの期限", "Points expire")),
    "category": Column("text", ("前回購入のカテゴリ", "Category of last order")),
    "membership": Column("text", ("会員種別", "Membership")),
}

# What a scenario may ask besides, of the order, parcel or survey it is anchored to (contracts.md, section 3).
ANCHOR: dict[str, Column] = {
    "delivered": Column("boolean", ("商品到着済み", "Delivered")),
    "csat": Column("number", ("満足度(CSAT)", "CSAT")),
    "open_ticket": Column("boolean", ("問い合わせ対応中", "Open ticket")),
    "tag": Column("texts", ("商品タグ", "Product tag")),
    "order_after_due": Column("boolean", ("予定日以降の購入あり", "Ordered since it was due")),
}
