"""Mistakes of a policy in Japanese: what the reading says in English, phrase by phrase."""

import re

# What a message may be, and how it is said; the first that fits counts. `did you mean` and `known are` come after.
PHRASES: tuple[tuple[str, str], ...] = (
    (r"unknown key", "知らないキーです"),
    (r"unknown word (.+)", r"\1 はこの方針にありません"),
    (r"unknown word", "知らない語です"),
    (r"unknown field", "知らない項目です"),
    (r"unknown condition", "知らない条件です"),
    (r"must be one of (.+)", r"\1 のいずれかにしてください"),
    (r"is missing", "必須のキーがありません"),
    (r"must be a number, not (\w+)", r"数値にしてください(\1 は不可)"),
    (
        r"(.+) is no span of time; write days or hours, such as 90d or 48h",
        r"\1 は期間ではありません。90d や 48h のように書いてください",
    ),
    (
        r"(.+) are no hours of a day; write them as 21:00-08:00",
        r"\1 は時間帯ではありません。21:00-08:00 のように書いてください",
    ),
    (r"(.+) begins when it ends; .+", r"\1 は始まりと終わりが同じです。省くか、終わりを変えてください"),
    (r"must be longer than nothing, such as 90d", "90d のような正の期間にしてください"),
    (r"key (.+) stands twice; the first is on line (\d+)", r"キー \1 が2回あります(最初は\2行目)"),
    (r"(.+) stands more than once; the first is on line (\d+)", r"\1 が2回あります(最初は\2行目)"),
    (r"(.+) is no plain number; .+", r"\1 は数値として読めません。数字だけで書くか、文字なら引用符で囲んでください"),
    (
        r"(.+) is asked of what a scenario is anchored to; .+",
        r"\1 は起点についての条件です。after、around、before のいずれかを書いてください",
    ),
    (r"(.+): a scenario has one anchor", r"\1: 起点は1つだけです"),
    (
        r"window: stands with after, around or before, and neither without the other",
        "window は after・around・before のいずれかと一緒に書いてください",
    ),
    (r"window: must open before it closes", "window の始まりは終わりより前にしてください"),
    (r"(.+): give one of them", r"\1: いずれか1つにしてください"),
    (
        r"purpose: (\w+) asks something of the customer, so its purpose is survey",
        r"purpose: \1 は顧客に尋ねるものなので、目的は survey にしてください",
    ),
    (
        r"no_training_labels: training does not leave out seasons yet; write false",
        "no_training_labels: 学習からの除外にはまだ対応していません。false にしてください",
    ),
    (r"a coupon has either value or percent", "クーポンには value か percent のどちらか一方が必要です"),
    (r"(\w+) need a value", r"\1 には value が必要です"),
    (r"lift must rise: low, assumed, high", "lift は低・想定・高の順に大きくしてください"),
    (r"watch, high and critical must rise", "watch・high・critical の順に大きくしてください"),
    (r"levels: each must begin above the one before", "levels は前のランクより高い金額から始めてください"),
    (r"until (.+) lies before from (.+)", r"until \1 が from \2 より前です"),
    (
        r"none: means a message without an offer; choose another name",
        "none は特典なしを表す語です。別の名前にしてください",
    ),
    (r"says nothing; give a value, a list, or (.+)", r"条件がありません。値、リスト、または \1 を書いてください"),
    (r"between already says min and max", "between は min と max を兼ねています"),
    (r"its lower end lies above its upper end", "下限が上限を上回っています"),
    (r"goes with numbers and dates; .+", "数値と日付にだけ使えます。文字や真偽は値かリストで書いてください"),
    (r"must be a list of two values, both included", "2つの値のリストにしてください(両端を含む)"),
    (r"must be a list of values", "値のリストにしてください"),
    (r"must be a list of filters", "条件のリストにしてください"),
    (r"must be fields with their conditions, or (.+)", r"項目と条件、または \1 を書いてください"),
    (r"nested deeper than (\d+)", r"入れ子が\1段を超えています"),
    (r"must be a number; days are written without the d", "数値にしてください(日数に d は付けません)"),
    (r"must be a number.*", "数値にしてください"),
    (r"must be a text: put it in quotes", "文字にしてください。引用符で囲んでください"),
    (r"must be a text.*", "文字にしてください"),
    (r"must be true or false.*", "true か false にしてください"),
    (r"must be a date such as (\S+), .+", r"\1 のような日付か、60d のような基準日からの日数にしてください"),
    (r"must be the blocks of a policy, such as `policy: 1`", "`policy: 1` のような方針のブロックにしてください"),
    (r"not YAML: (.+)", r"YAMLとして読めません: \1"),
    (r"\*(.+): write out what is meant, without \*", r"*\1: * を使わず、内容をそのまま書いてください"),
    (r"Input should be greater than or equal to (.+)", r"\1以上にしてください"),
    (r"Input should be greater than (.+)", r"\1より大きくしてください"),
    (r"Input should be less than or equal to (.+)", r"\1以下にしてください"),
    (r"Input should be less than (.+)", r"\1未満にしてください"),
    (r"Input should be a valid integer.*", "整数にしてください"),
    (r"Input should be a valid number.*", "数値にしてください"),
    (r"Input should be a valid string.*", "文字にしてください。引用符で囲んでください"),
    (r"Input should be a valid boolean.*", "true か false にしてください"),
    (r"Input should be a valid date.*", "2026-12-31 のような実在する日付にしてください"),
    (r"(Input should be a valid (list|tuple).*)", "リストにしてください"),
    (r"(Input should be a valid dictionary.*)", "キーと値のブロックにしてください"),
    (r"(List|Tuple|Dictionary) should have at least (\d+) items? .*", r"\2つ以上必要です"),
    (r"Field required", "必須の値がありません"),
    (r"(.+): must be fields .*", r"\1: 項目と条件を書いてください"),
)
MEANT = re.compile(r"^(.*?); did you mean (.+)\?$", re.S)
KNOWN = re.compile(r"^(.*?); known are (.*)$", re.S)


def in_japanese(message: str) -> str:
    """Say a mistake in Japanese, its path as it is; what has no phrase stays English.

    >>> in_japanese("control.salz: unknown key; did you mean salt?")
    'control.salz: 知らないキーです。salt ではありませんか'
    """
    path, colon, rest = message.partition(": ")
    if not colon or " " in path or re.fullmatch("window|none|levels|not YAML", path):
        path, colon, rest = "", "", message
    tail = ""
    if found := MEANT.match(rest):
        rest, tail = found[1], f"。{found[2]} ではありませんか"
    elif found := KNOWN.match(rest):
        rest, tail = found[1], f"。使えるのは {found[2]}"
    for phrase, words in PHRASES:
        if whole := re.fullmatch(phrase, rest, re.S):
            return path + colon + whole.expand(words) + tail
    return message
