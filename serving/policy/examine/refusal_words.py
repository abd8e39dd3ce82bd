"""Why something of a policy can never go out, in Japanese and English."""

from serving.policy.examine.findings import Said

CONTRADICTS: Said = (
    "対象の条件が互いに矛盾し、当てはまる顧客がいません",
    "its `who` contradicts itself: there is no such customer",
)
AGAINST_ANCHOR: Said = (
    "起点({anchor})の顧客に、対象の条件に当てはまる人はいません",
    "of whoever {anchor} is about, nobody can fit its `who`",
)
NO_SUCH_LIFE: Said = (
    "顧客ステージの境界では、{lives}の顧客はあり得ません",
    "by the edges in `lifecycle` nobody can be {lives}",
)
DECIDED_LATER: Said = (
    "{fields}は配信を決めた後にわかる項目で、対象の条件には使えません",
    "{fields} is decided after the scenarios: nobody can be meant by it",
)
SUBSCRIBERS: Said = (
    "定期購入中の顧客に補充のご案内は送りません(ACTIVE_SUBSCRIPTION)",
    "a subscriber is never told that it runs out (ACTIVE_SUBSCRIPTION)",
)
TOO_EARLY: Said = (
    "到着後48時間より前に期間が終わります(SURVEY_WINDOW)",
    "its window closes before 48 hours after delivery (SURVEY_WINDOW)",
)
GATED: Said = (
    "レビュー依頼を満足度や問い合わせで選んでいます(REVIEW_INCENTIVE)",
    "it asks only some for a review, by how content they are (REVIEW_INCENTIVE)",
)
UNEQUAL: Said = (
    "レビューの特典には same_reward_for_any_rating と disclose の両方が必要です(REVIEW_INCENTIVE)",
    "a reward for a review needs both same_reward_for_any_rating and disclose (REVIEW_INCENTIVE)",
)
JUST_ORDERED: Said = (
    "期間が終わるまで購入直後({days}日)の販促停止中です(RECENT_ORDER)",
    "its whole window lies within the {days} days after an order without selling (RECENT_ORDER)",
)
NO_SELLING: Said = ("販促の上限が0です(SALES_PRESSURE)", "pressure.selling allows 0 messages (SALES_PRESSURE)")
NO_SURVEYS: Said = ("アンケートの上限が0です(SURVEY_CAP)", "pressure.survey allows 0 surveys (SURVEY_CAP)")
ALL_CONTROL: Said = ("全員が対照群です(CONTROL_GROUP)", "everybody is in the control group (CONTROL_GROUP)")

OVER: Said = ("特典の期限が{until}に終わっています", "its validity ended on {until}")
COUPON_REST: Said = (
    "有効期間のすべてが「{season}」前のクーポン停止期間です(BLACKOUT)",
    "all its valid days lie before {season}, when no coupon goes out (BLACKOUT)",
)
NO_STOCK: Said = ("在庫が0です", "its stock is 0")
NONE_A_NIGHT: Said = ("1晩の上限が0です(STAFF_CAPACITY)", "per_night is 0 (STAFF_CAPACITY)")
NO_BUDGET: Said = (
    "費用が予算({budget})の{most:g}を超えます(BUDGET)",
    "it costs more than {budget} has, {most:g} (BUDGET)",
)
THIN: Said = (
    "粗利率{margin:.4g}から値引きを引くと、下限{floor:g}を必ず下回ります(MARGIN_FLOOR)",
    "a margin of {margin:.4g} leaves less than its margin_floor of {floor:g}, whatever the order (MARGIN_FLOOR)",
)
GIFT: Said = (
    "景品の上限が0です(GIFT_LIMIT)",
    "its max_share_of_order leaves no room for it, whatever the order (GIFT_LIMIT)",
)
PERK: Said = (
    "対象の会員ランクが特典としてすでに持っています(TIER)",
    "every tier it goes to has it as a perk anyway (TIER)",
)
NO_TIER: Said = (
    "対象の条件に合う会員ランクには割り当てられていません(TIER)",
    "it is given to no tier that its `who` lets in (TIER)",
)
NO_COUPONS: Said = ("クーポンの上限が0です(DISCOUNT_CAP)", "pressure allows no coupon at all (DISCOUNT_CAP)")
CONTENT_ONLY: Said = (
    "お役立ち情報の割合が100%で、金銭的な特典は送れません(SALES_PRESSURE)",
    "pressure.content_share leaves no message with money in it (SALES_PRESSURE)",
)
NEVER_PAYS: Said = (
    "どの顧客でも見込み純増利益が0以下です(粗利率{margin:g}、想定効果{lift:g})",
    "its expected net gain is never above 0 (margin {margin:g}, assumed lift {lift:g})",
)
