"""How the words, spans and amounts of a policy are said, Japanese and English."""

from serving.policy.examine.findings import Said
from serving.policy.spans import DAY, HOUR, Hours

CHANNELS: dict[str, Said] = {
    "email": ("メール", "Email"),
    "line": ("LINE", "LINE"),
    "push": ("プッシュ", "Push"),
    "sms": ("SMS", "SMS"),
    "web": ("Web", "Web"),
    "insert": ("同梱", "Parcel insert"),
    "postal": ("郵送", "Post"),
    "phone": ("電話", "Phone"),
    "store": ("店頭", "Store"),
}
PURPOSES: dict[str, Said] = {
    "service": ("サービス連絡", "Service"),
    "survey": ("アンケート", "Survey"),
    "marketing": ("販促", "Marketing"),
}
ANCHORS: dict[str, Said] = {
    "order.placed": ("注文", "an order"),
    "order.first": ("初回注文", "the first order"),
    "shipment.shipped_at": ("発送", "dispatch"),
    "shipment.promised_at": ("お届け予定", "the promised delivery"),
    "shipment.delivered_at": ("到着", "delivery"),
    "feedback.csat": ("満足度回答", "a satisfaction answer"),
    "feedback.review": ("レビュー投稿", "a review"),
    "feedback.ticket_closed": ("問い合わせ解決", "a ticket's close"),
    "customer.signed_up_at": ("会員登録", "sign-up"),
    "replenishment.due_on": ("補充予定日", "the day it runs out"),
    "birthday": ("誕生日", "the birthday"),
    "anniversary": ("記念日", "the anniversary"),
    "points.expire_on": ("ポイント失効日", "the points' expiry"),
    "event.cart": ("カゴ入れ", "a cart left"),
}
NOTHING: Said = ("なし", "none")
YES_NO: dict[bool, Said] = {True: ("する", "yes"), False: ("しない", "no")}


def span(seconds: float) -> Said:
    """Say a length of time.

    >>> span(14 * 86400), span(48 * 3600), span(5 * 3600)
    (('14日', '14 days'), ('48時間', '48 hours'), ('5時間', '5 hours'))
    """
    if seconds % DAY or 0 < abs(seconds) <= 2 * DAY:
        n = int(seconds // HOUR)
        return f"{n}時間", f"{n} hour{'s' * (n != 1)}"
    n = int(seconds // DAY)
    return f"{n}日", f"{n} day{'s' * (n != 1)}"


def offset(seconds: int) -> Said:
    """Say when something lies beside an event.

    >>> offset(-7 * 86400), offset(0), offset(24 * 3600)
    (('7日前', '7 days before'), ('当日', 'the day itself'), ('24時間後', '24 hours after'))
    """
    if seconds == 0:
        return "当日", "the day itself"
    ja, en = span(abs(seconds))
    return (ja + "前", en + " before") if seconds < 0 else (ja + "後", en + " after")


def window(opens: int, closes: int) -> Said:
    """Say from when to when beside an event.

    >>> window(-7 * 86400, 4 * 86400)
    ('7日前〜4日後', '7 days before to 4 days after')
    """
    first, last = offset(opens), offset(closes)
    return f"{first[0]}〜{last[0]}", f"{first[1]} to {last[1]}"


def hours(value: Hours) -> Said:
    """Say a stretch of the day."""
    start, end = f"{value.start:%H:%M}", f"{value.end:%H:%M}"
    return f"{start}〜{end}", f"{start}-{end}"


def share(value: float) -> Said:
    """Say a share.

    >>> share(0.05)
    ('5%', '5 %')
    """
    told = f"{value * 100:.10g}"
    return told + "%", told + " %"


def amount(value: float, currency: str | None) -> Said:
    """Say an amount.

    >>> amount(12400, "JPY"), amount(12.5, None)
    (('12,400円', '12,400 JPY'), ('12.5', '12.5'))
    """
    told = f"{value:,.10g}"
    return (
        (told, told)
        if currency is None
        else (told + ("円" if currency == "JPY" else f" {currency}"), f"{told} {currency}")
    )
