"""Words for people, Japanese and English, as the glossary has them."""

from datetime import date
from typing import Literal

Language = Literal["ja", "en"]
LANGUAGES: tuple[Language, Language] = ("ja", "en")

REASONS: dict[str, tuple[str, str]] = {
    "silent_long": (
        "前回購入から{days}日。ふだんは約{typical}日おき",
        "{days} days since last order; usually about {typical}",
    ),
    "interval_growing": ("購入間隔が延びている({a}日→{b}日)", "Gaps growing ({a} to {b} days)"),
    "frequency_down": ("直近90日の購入が{a}回→{b}回", "Orders in 90 days {a} to {b}"),
    "spend_down": ("購入金額が前期比{pct}%減", "Spend down {pct} %"),
    "one_order_only": ("初回購入から{days}日、2回目なし", "{days} days since first order, no second"),
    "promo_only": ("購入の{pct}%がセール・クーポン利用", "{pct} % of orders with a discount"),
    "bad_experience": ("直近に返品・低評価・問い合わせあり", "Recent return, low rating or ticket"),
    "late_delivery": ("直近の配送が予定より{days}日遅れ", "Last delivery {days} days late"),
    "no_response": ("直近{n}通に開封・クリックなし", "No response to last {n} messages"),
    "runs_out": ("{product}を使い切る頃({date})", "{product} due to run out {date}"),
    "steady": ("{months}か月続けて購入", "Ordered {months} months running"),
}
# What a customer may see: polite, and silent about scores, silence and segments.
ITEM_REASONS: dict[str, tuple[str, str]] = {
    "repeat": ("以前お求めいただいた商品です", "You have bought this before"),
    "due": ("そろそろご入り用の頃の商品です", "You may need this again soon"),
    "bought_together": ("お求めの商品とあわせて選ばれている商品です", "Chosen together with what you buy"),
    "category": ("お求めの商品と同じカテゴリの人気商品です", "Popular among the kind of products you buy"),
    "new": ("お求めの商品に近い新商品です", "New, and close to what you buy"),
    "als": ("お好みに近い商品です", "Close to what you like"),
    "similar": ("ご覧の商品に近い商品です", "Close to what you are looking at"),
    "popular": ("人気の商品です", "Popular right now"),
}
GUARDS: dict[str, tuple[str, str]] = {
    "CONSENT_CHANNEL": ("このチャネルの配信許諾なし", "No consent for this channel"),
    "CONSENT_PERSONALISE": ("パーソナライズの許諾なし", "No consent to personalise"),
    "FREQUENCY_CAP": ("配信回数の上限", "Frequency cap reached"),
    "QUIET_HOURS": ("配信停止時間帯", "Quiet hours"),
    "NOT_DELIVERED": ("商品未着", "Not delivered yet"),
    "SURVEY_WINDOW": ("アンケート時期外", "Outside survey window"),
    "SURVEY_CAP": ("アンケート回数の上限", "Survey cap"),
    "OPEN_TICKET": ("問い合わせ対応中", "Open ticket"),
    "OPEN_RETURN": ("返品・交換対応中", "Open return"),
    "RECENT_ORDER": ("購入直後", "Ordered recently"),
    "SALES_PRESSURE": ("販促の送りすぎ", "Too much selling"),
    "DISCOUNT_CAP": ("クーポン間隔(90日)内", "Coupon within 90 days"),
    "OFFER_STILL_OPEN": ("未使用の特典あり", "Offer still open"),
    "MARGIN_FLOOR": ("粗利の下限割れ", "Below margin floor"),
    "BUDGET": ("予算上限", "Over budget"),
    "TIER": ("対象ランク外", "Tier not eligible"),
    "CONTROL_GROUP": ("対照群(効果測定のため送らない)", "Control group (withheld)"),
    "REVIEW_INCENTIVE": ("レビュー特典の条件違反", "Review reward not allowed"),
    "ACTIVE_SUBSCRIPTION": ("定期購入中", "On subscription"),
    "CHANNEL_UNREACHABLE": ("未連携・ブロック", "Unreachable"),
    "CHANNEL_QUOTA": ("月間通数の上限", "Monthly quota used"),
    "STAFF_CAPACITY": ("対応人数の上限", "Staff capacity"),
    "BLACKOUT": ("配信停止期間", "Blackout"),
    "GIFT_LIMIT": ("景品上限超過", "Gift limit"),
}
NOT_CHECKED = ("未確認(データなし・遅れ)", "Not checked (no data, or late)")
SCENARIOS: dict[str, tuple[str, str]] = {
    "none": ("送らない", "Do nothing"),
    "thanks": ("購入お礼", "Thank-you"),
    "delay_notice": ("配送遅延のお知らせ", "Delay notice"),
    "arrival_survey": ("到着後アンケート", "Arrival survey"),
    "make_it_right": ("不満フォロー(交換・相談)", "Make it right"),
    "review_request": ("レビュー依頼", "Review request"),
    "welcome": ("ウェルカム", "Welcome"),
    "second_order": ("F2転換(2回目購入)", "Second order"),
    "replenishment": ("補充のご案内", "Replenishment"),
    "birthday": ("誕生日", "Birthday"),
    "anniversary": ("記念日", "Anniversary"),
    "cart": ("カゴ落ち", "Abandoned cart"),
    "new_product": ("新商品案内", "New product"),
    "tier": ("ランクアップ案内", "Tier"),
    "points_expiring": ("ポイント失効前", "Points expiring"),
    "win_back": ("掘り起こし(休眠・離脱予兆)", "Win-back"),
}
INCENTIVES: dict[str, tuple[str, str]] = {
    "none": ("特典なし", "No incentive"),
    "content": ("お役立ち情報(値引きなし)", "Content"),
    "points": ("ポイント", "Points"),
    "coupon": ("クーポン", "Coupon"),
    "free_shipping": ("送料無料", "Free shipping"),
    "early_access": ("先行案内", "Early access"),
    "gift": ("プレゼント・サンプル", "Gift"),
    "experience": ("体験特典", "Experience"),
    "service": ("交換・サポート対応", "Service"),
    "staff_call": ("電話フォロー(スタッフ)", "Staff call"),
}
LIFECYCLES: dict[str, tuple[str, str]] = {
    "prospect": ("未購入会員(F0)", "Prospect"),
    "new": ("初回購入(90日以内)", "New customer"),
    "active": ("稼働(アクティブ)", "Active"),
    "at_risk": ("離脱予兆", "At risk"),
    "dormant": ("休眠", "Dormant"),
    "lapsed": ("離脱", "Lapsed"),
    "reactivated": ("休眠復帰", "Won back"),
}
BANDS: dict[str, tuple[str, str]] = {
    "low": ("低", "Low"),
    "watch": ("注意", "Watch"),
    "high": ("高", "High"),
    "critical": ("最優先", "Critical"),
}
EVIDENCE: dict[str, tuple[str, str]] = {
    "randomised": ("実験で確認", "Tested"),
    "observed": ("過去の実績から推定", "Observed"),
    "assumed": ("仮定(未検証)", "Assumed"),
}
ARM: dict[str, tuple[str, str]] = {"treatment": ("配信群", "Treatment"), "control": ("対照群", "Control")}
VERDICTS: dict[str, tuple[str, str]] = {
    "gain": ("効果あり(増加)", "Gain"),
    "loss": ("逆効果(減少)", "Loss"),
    "no_difference": ("差なし(想定した効果の範囲内)", "No difference worth having"),
    "too_small": ("判定できません", "Too few to tell"),
}
PROOF: dict[str, tuple[str, str]] = {
    "head": (
        "{shop} 効果測定 {as_of}時点(配信判断後{window_days}日以内の注文、確定まで{settle_days}日)",
        "{shop}: what messages brought, as of {as_of} (orders within {window_days} days, settled {settle_days} later)",
    ),
    "nothing": ("対照群のある施策はまだありません。", "No campaign has a control group yet."),
    "global": ("全施策(全体対照群比)", "Everything against nothing (global)"),
    "since": ("集計対象の配信判断: {first} ~ {last}", "Decisions counted: {first} to {last}"),
    "assigned": ("割付", "Assigned"),
    "counted": ("判定対象", "Counted"),
    "orders_each": ("注文/人", "Orders each"),
    "profit_each": ("利益/人", "Profit each"),
    "value": ("推定値", "Estimate"),
    "anytime": ("95%区間(毎日確認可)", "95 % at every look"),
    "fixed": ("95%区間(最終確認1回のみ)", "95 % at one final look"),
    "shows": ("判定", "Verdict"),
    "orders": ("純増注文(対照群比)", "Incremental orders"),
    "profit": ("純増利益(対照群比)", "Incremental profit"),
    "split": (
        "割付比が計画(対照群{planned})と異なります。結果を使う前に原因を確認してください。",
        "The split is not the planned one ({planned} control): find out why before using these figures.",
    ),
    "smallest": (
        "この規模で検出できる最小の効果: 注文率{p}に対し+{effect}(相対{relative})、利益{profit}/人",
        "Smallest effect to be found at this size: +{effect} on {p} who order anyway ({relative} more), {profit} each",
    ),
    "needed": (
        "想定効果+{assumed}の検出に必要な対照群: {share}",
        "To find the assumed effect of +{assumed}: a control group of {share}",
    ),
    "no_share": (
        "想定効果+{assumed}は、この人数ではどの対照群比率でも検出できません。",
        "The assumed effect of +{assumed} would not be found with any control share at this size.",
    ),
    "note": (
        "判定は毎日確認しても有効な区間によります。各群の購入者が{fewest_buyers}人未満の場合は判定しません。",
        "Verdicts go by the interval that holds at every look; none with fewer than {fewest_buyers} buyers in an arm.",
    ),
}
CONTROL_NOTE = (
    "この顧客は対照群です。配信案は参考のみです。",
    "This customer is in the control group; what would have been sent stands in candidates.",
)
CONSENT_NOTE = ("許諾データがないため、許諾は未確認です。", "The shop has no consents table: consent is not checked.")
WITHDRAWN_NOTE = (
    "本日の最初の配信案は、その後の確認で不可となったため取り消しました。",
    "The day's first decision was withdrawn: a guard failed later.",
)
NO_CODES_NOTE = ("クーポンコードの残りがありません。", "No coupon code is left.")
BOT_NOTE = (
    "明細が50,000行を超えており、個人の購買とは考えにくい顧客です。参考値としてください。",
    "More than 50,000 order lines: hardly a person. Take the scores with care.",
)
LATE_NOTE = ("到着が遅れている表: {tables}", "Tables that have not come when expected: {tables}")
SEASON_NOTE = (
    "1年前の同じ時期を学習していないため、季節による変化は見込まれていません。",
    "The same season a year before was not learnt from: what it changes is not foreseen.",
)
STALE_NOTE = ("データが遅れています。", "The features are late.")


def say(words: tuple[str, str], lang: Language, **values: object) -> str:
    """Give a phrase in a language, its places filled.

    >>> say(REASONS["spend_down"], "en", pct=40)
    'Spend down 40 %'
    """
    return words[LANGUAGES.index(lang)].format(**values)


def say_date(day: date, lang: Language) -> str:
    """Write a date as staff screens do.

    >>> say_date(date(2026, 11, 21), "ja"), say_date(date(2026, 11, 21), "en")
    ('2026年11月21日(土)', '2026-11-21')
    """
    return (
        day.isoformat() if lang == "en" else f"{day.year}年{day.month}月{day.day}日({'月火水木金土日'[day.weekday()]})"
    )
