"""The words of the model card, Japanese and English; staff screens say 顧客 and 離脱."""

from typing import Literal

Language = Literal["ja", "en"]

WORDS: dict[str, tuple[str, str]] = {
    "title": ("モデルカード", "Model card"),
    "use": ("用途", "Intended use"),
    "use_text": (
        "一つの店が、自店の顧客の離脱、次回購入、購入額を見積もり、誰に何を送るか(送らないか)を決めるための値。",
        "For one shop, to estimate which of its own customers will leave, when each buys again and what they bring, and to"
        " decide what to send to whom, or not to send.",
    ),
    "not_use_text": (
        "与信、採用、価格の個別設定など、一人の人の権利や機会を左右する判断には使わない。ほかの店の顧客にも使わない。",
        "Not for decisions on a person's rights or chances: credit, employment, prices of their own. Not for another shop's"
        " customers.",
    ),
    "learnt": ("学習の内容", "What it learnt from"),
    "shop": ("店", "Shop"),
    "until": ("この日より前に判明した事実", "What was known before"),
    "method": ("方式", "Method"),
    "full": ("全モデル", "full models"),
    "light": ("購入回数と間隔だけのモデル(BG/NBD)", "light: BG/NBD, from number and time of orders alone"),
    "prior": ("店全体の傾向", "prior: shop-wide rates"),
    "rule": ("購入ペースからの計算式", "rule: own rate and the shop's, by formula"),
    "n": ("学習した顧客数", "Customers learnt from"),
    "horizon": ("離脱の判定期間", "Horizon of churn"),
    "days": ("日", "days"),
    "active": ("稼働の条件", "Active customers"),
    "active_text": (
        "購入した日が{orders}日以上、最後の購入が{lookback}日以内",
        "at least {orders} order days, the last within {lookback} days",
    ),
    "features": ("特徴量の数", "Features"),
    "season": ("これからの時期", "The weeks to come"),
    "snapshot": ("データの版", "Data snapshot"),
    "parts": ("一部だけ再学習したモデルの期限", "Learnt until, where a part is older"),
    "set": ("既定と異なる設定", "Set otherwise than by default"),
    "figures": ("過去の検証の結果", "Figures on held-back customers"),
    "figures_text": (
        "検証日より前だけから学んだモデルを、その後の実際の行動と比べた値。[ ]は95%区間、太字がOkaeri、ほかは単純な方法。",
        "Models that had learnt from the past of the cut-off alone, against what customers did afterwards. 95 % intervals in"
        " brackets; Okaeri in bold, the others are baselines.",
    ),
    "question": ("問い", "Question"),
    "cutoff": ("検証日", "Cut-off"),
    "figure": ("指標", "Figure"),
    "others": ("単純な方法", "Baselines"),
    "slice": ("対象", "Customers"),
    "all": ("全員", "everyone"),
    "churn": ("離脱", "Churn"),
    "next-purchase": ("次回購入", "Next purchase"),
    "second-order": ("2回目の購入", "Second order"),
    "value": ("購入額(90日)", "Value of 90 days"),
    "recommender": ("商品", "Products"),
    "skipped": ("検証できなかったもの", "Not judged"),
    "calibration": ("離脱確率の当たり方", "Are the churn probabilities right?"),
    "calibration_text": (
        "顧客を予測の低い順に10等分した。点線の上にあるほど、予測した割合と実際の割合が一致している。",
        "Customers in ten equal groups by predicted probability. The nearer to the dashed line, the more a stated chance is"
        " what came true.",
    ),
    "said": ("予測した離脱確率", "Predicted probability of leaving"),
    "happened": ("実際の離脱率", "Share that left"),
    "gate": ("昇格審査", "Gate"),
    "promoted": ("昇格", "promoted"),
    "kept_champion": ("昇格なし(現行モデルを継続)", "not promoted: the champion stays"),
    "first": ("現行モデルがないため", "there was no champion"),
    "fuller": ("全モデルを作れる規模になったため", "the shop has grown enough for the full models"),
    "better": ("現行モデルより有意に良いため", "significantly better than the champion"),
    "refresh": (
        "現行モデルの学習データが古く、有意に悪い点がないため",
        "the champion is due for a refresh, and nothing is worse",
    ),
    "lighter": ("現行モデルより簡易な方式のため", "a lighter rung does not replace a full champion"),
    "failed_check": ("検査に不合格のため", "a check failed"),
    "worse": ("現行モデルより有意に悪い点があるため", "significantly worse than the champion"),
    "no_gain": ("現行モデルより有意に良い点がないため", "not significantly better than the champion"),
    "effects": ("送信の効果", "What contacts do"),
    "effects_text": (
        "送らなかった顧客(対照群)との差。送ってから{days}日以内に購入する確率が何ポイント変わるか。[ ]は95%区間。",
        "Against customers who were left alone: by how many points the chance of an order within {days} days after a"
        " message changes. 95 % intervals in brackets.",
    ),
    "offer": ("特典", "Offer"),
    "channel": ("媒体", "Channel"),
    "effect": ("効果", "Effect"),
    "evidence": ("根拠", "Evidence"),
    "randomised": ("無作為の対照群", "randomised"),
    "observed": ("観察(無作為ではない)", "observed, not randomised"),
    "contacts": ("送信/対照", "Sent / left alone"),
    "alike": (
        "顧客による効果の違いは、偶然を超えて確かめられなかった。全員に同じ効果を用いる。",
        "No difference of effects between customers was found beyond chance: one effect is used for everyone.",
    ),
    "wish": (
        "効果は、送らなくても購入する確率と共に変わる(確かめられた違い)。",
        "Effects change with the chance of an order without any message; that was found beyond chance.",
    ),
    "trees": (
        "効果は顧客の特徴により異なる(確かめられた違い)。",
        "Effects differ between customers by what is known of them; that was found beyond chance.",
    ),
    "limit_effects": ("送信の効果を学べない理由: ", "Why no effects of contacts were learnt: "),
    "check": ("検査", "Check"),
    "against": ("比較の相手", "Against"),
    "result": ("値または差", "Value or gain"),
    "pass": ("可", "pass"),
    "fail": ("不可", "fail"),
    "told": ("参考", "reported"),
    "no_number": ("値のない顧客の数", "customers without a number"),
    "same_score": ("同じ値の割合", "share with the same score"),
    "beats": ("単純な規則より良い", "beats the simple rule"),
    "never_below": ("基準の方法より悪くない", "not below the baseline"),
    "silence": ("無購入が続くと危険が下がる割合", "risk falls with silence"),
    "drift": ("分布が変わった入力の割合", "share of inputs spread otherwise"),
    "inputs": ("入力", "Inputs"),
    "coverage": ("予測期間に入った割合", "orders within the dates promised"),
    "champion": ("現行モデル", "champion"),
    "limits": ("限界", "Limits"),
    "limit_shop": (
        "この店のデータだけで学んだ値。季節、価格、配信の仕方が変われば当たり方も変わる。",
        "Learnt from this shop alone: with another season, other prices or another way of writing to customers it will be"
        " less right.",
    ),
    "limit_cause": (
        "離脱確率は、送れば戻る確率ではない。効果は対照群との差でだけわかる。",
        "A chance of leaving is no chance of being won back: effects are seen against a control group alone.",
    ),
    "limit_year": (
        "365日の購入額は90日の見積もりを延ばした値。その区間は90日で見た幅。",
        "The value of 365 days is the estimate of 90 days stretched; its interval is the width seen over 90 days.",
    ),
    "limit_light": ("全モデルに足りないもの: ", "What the shop lacks for the full models: "),
    "ids": ("顧客の識別子は含まない。", "It names no customer."),
}

METHODS_JA = {
    "recency_rule": "直近購入日の規則",
    "rfm_logistic": "RFMロジスティック",
    "own_gap": "本人の平均間隔",
    "age_rates": "初回購入からの日数別の率",
    "last_quarter": "直近91日の繰り返し",
    "personal_frequency": "本人の購入頻度",
    "als": "ALSのみ",
    "popular": "売れ筋",
}


def words(lang: Language) -> dict[str, str]:
    """Give every word in one language.

    >>> words("en")["gate"], words("ja")["gate"]
    ('Gate', '昇格審査')
    """
    return {key: both[lang == "en"] for key, both in WORDS.items()}
