"""What Hana no Ne sells, offers and celebrates: the same in every simulated world, whatever its seed."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from features.simulate.span import Span

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

# (top category, category, stem of the name, price of a full size in yen tax included, days a full size lasts)
CATEGORIES = (
    ("スキンケア", "クレンジング", "やわらぎクレンジング", 2_860, 45),
    ("スキンケア", "化粧水", "花しずく化粧水", 3_520, 40),
    ("スキンケア", "美容液", "根の美容液", 6_600, 50),
    ("スキンケア", "クリーム", "月夜のクリーム", 5_280, 60),
    ("スキンケア", "日焼け止め", "ひなた日焼け止め", 2_420, 35),
    ("メイク", "リップ", "紅しずくリップ", 2_750, 90),
    ("メイク", "ファンデーション", "素はだファンデーション", 4_400, 75),
    ("ボディケア", "ハンドクリーム", "手のひらクリーム", 1_650, 30),
)
N_CATEGORIES = len(CATEGORIES)

# Variants of every category: (name in skin and body care, name in make-up, price, days it lasts, popularity, tags).
# Price and days are factors on the full size's.
VARIANTS = (
    ("トライアル", "ミニサイズ", 0.3, 0.25, 0.00, "トライアル"),
    ("しっとり", "ローズ", 1.0, 1.0, 0.40, "定番;定期"),
    ("さっぱり", "コーラル", 1.0, 1.0, 0.25, "定番;定期"),
    ("敏感肌用", "ベージュ", 1.1, 1.0, 0.20, "定番;定期"),
    ("しっとり つめかえ", "ローズ レフィル", 0.85, 1.0, 0.10, "つめかえ;定期"),
    ("冬限定 ゆずの香り", "冬限定 つばき", 1.2, 1.0, 0.05, "限定"),
)
N_VARIANTS = len(VARIANTS)
TRIAL, FULL, LIMITED = 0, 1, 5
COST_SHARE = 0.28  # of the price without tax

# The offers of the win-back campaigns and the chance that one alone brings an order, for a middling customer.
OFFERS = {"care_tips": 0.03, "pts_300": 0.05, "ship_free": 0.06, "cpn_500": 0.10}
MONEY = np.array([False, True, True, True])  # which of them are money, and so work on the price-sensitive
CODED = {"ship_free": "OKAERISHIP", "cpn_500": "OKAERI500"}
CHANNELS = {"email": 0.8, "line": 1.2}  # how strongly an offer works over each
EMAIL, LINE = 0, 1  # their places above
CHANNEL_COST = {"email": 0.3, "line": 3.0}  # yen a message; policy-sample.yaml
PUBLIC_COUPON = "OKAERI10"

WINTER_SALE = ((12, 26), (1, 5))
SUMMER_SALE = ((6, 20), (6, 30))
SALE_DISCOUNT = 0.10
SUBSCRIPTION_DISCOUNT = 0.10


@dataclass(frozen=True)
class Products:
    """The shop's products as arrays; product ``category * N_VARIANTS + variant`` is that variant of the category."""

    id: NDArray[np.str_]
    name: list[str]
    path: list[str]  # category path, as the shop writes it
    price: Ints  # yen, tax included
    cost: Ints  # yen
    lasts_days: Ints
    launched: Ints  # day of the span; negative before it
    family: list[str]
    tags: list[str]


def products(span: Span) -> Products:
    """List the products. Limited ones are launched one after another from the middle of the span on."""
    category, variant = (a.ravel() for a in np.indices((N_CATEGORIES, N_VARIANTS)))
    price = np.array([c[3] for c in CATEGORIES])[category] * np.array([v[2] for v in VARIANTS])[variant]
    lasts = np.array([c[4] for c in CATEGORIES])[category] * np.array([v[3] for v in VARIANTS])[variant]
    is_makeup = [CATEGORIES[c][0] == "メイク" for c in category]
    names = [
        f"{CATEGORIES[c][2]} {VARIANTS[v][1 if makeup else 0]}"
        for c, v, makeup in zip(category, variant, is_makeup, strict=True)
    ]
    return Products(
        id=np.array([f"HN{c + 1:02d}{v + 1:02d}" for c, v in zip(category, variant, strict=True)]),
        name=names,
        path=[f"{CATEGORIES[c][0]}/{CATEGORIES[c][1]}" for c in category],
        price=(np.round(price / 10) * 10).astype(np.int64),
        cost=np.round(price / 1.1 * COST_SHARE).astype(np.int64),
        lasts_days=np.round(lasts).astype(np.int64),
        launched=np.where(variant == LIMITED, span.days // 2 + 20 * category, -365),
        family=[f"HN{c + 1:02d}" for c in category],
        tags=[VARIANTS[v][5] for v in variant],
    )


def _within(day: date, sale: tuple[tuple[int, int], tuple[int, int]]) -> bool:
    start, end = sale
    this = (day.month, day.day)
    return start <= this <= end if start <= end else this >= start or this <= end


def is_sale(span: Span, beyond: int = 0) -> NDArray[np.bool_]:
    """Tell for each day of the span (and ``beyond`` it) whether a sale is on."""
    days = [span.first + timedelta(d) for d in range(span.days + beyond)]
    return np.array([_within(d, WINTER_SALE) or _within(d, SUMMER_SALE) for d in days])


def season(span: Span, beyond: int) -> Floats:
    """Give the factor on everyone's order rate: 1.8 in the winter sale, 1.3 in the summer sale, 1.15 at weekends."""

    def factor(day: date) -> float:
        sale = 1.8 if _within(day, WINTER_SALE) else 1.3 if _within(day, SUMMER_SALE) else 1.0
        return sale * (1.15 if day.weekday() >= 5 else 1.0)

    return np.array([factor(span.first + timedelta(d)) for d in range(span.days + beyond)])
