"""Which products the night shows: nothing out of stock, nothing unwanted, and what was launched since the training."""

from pathlib import Path

import numpy as np
import pandas as pd

from features.interactions import interactions
from features.products import products
from serving.items import best_items, likely_categories
from tests.features.test_products import MAPPING, bought, bring
from tests.worlds import Toy, at, instant, number
from training.models.recommender import Recommender

PEOPLE = ("ann", "ben", "cat", "dan")
TRAINED, TONIGHT = 30, 40
KINDS = {"tea": "Drink > Tea", "cup": "Home > Cup", "honey": "Drink > Honey", "jam": "Drink > Jam"}


def test_the_night_shows_nothing_out_of_stock_or_unwanted_and_what_is_new(tmp_path: Path) -> None:
    """Everyone buys everything; then jam sells out, ann sends her tea back, and ben complains of honey."""
    toy = Toy(tmp_path, mapping=MAPPING)
    told = [f"{name},{kind},,true,,," for name, kind in KINDS.items()]
    lines = [bought(name, day, who=who) for name in KINDS for who in PEOPLE for day in (2, 12, 22)]
    bring(toy, order_lines=[f"{who}{line}" for who, line in zip(PEOPLE * 12, lines, strict=True)], products=told)
    start = instant(TRAINED)
    fitted = Recommender.fit(interactions(toy.shop, start), number(TRAINED), products(toy.shop, start), factors=2)
    bring(
        toy,
        order_lines=[f"back{bought('tea', 33, -1, 'ann')}"],
        feedback=[f"ben,ticket,,honey,{at(34)},"],
        products=[f"jam,Drink > Jam,,false,,,{at(35)}", f"green tea,Drink > Tea,,true,,{at(36)},{at(36)}"],
    )
    known = interactions(toy.shop, instant(TONIGHT))
    facts = products(toy.shop, instant(TONIGHT))
    items = best_items(fitted, toy.shop, number(TONIGHT), known, facts, np.array([*PEOPLE, "new"], dtype=object))
    assert items.category.tolist() == [KINDS.get(product, "Drink > Tea") for product in items.product_id]
    shown = items.groupby("customer_id").product_id.agg(set)
    assert "jam" not in set(items.product_id)
    assert shown["ann"] == {"cup", "honey", "green tea"}
    assert shown["ben"] == {"cup", "tea", "green tea"}
    assert shown["cat"] == shown["new"] == {"cup", "tea", "honey", "green tea"}
    source = items[items.customer_id == "cat"].set_index("product_id").source
    assert (source["green tea"], source["tea"]) == ("new", "repeat")
    assert pd.Series(items.score).between(0, 1).all()


def test_the_likely_categories_by_hand() -> None:
    """Tea: 1 - .7 x .8 = .44; a cup .4; honey .1; what has no category counts for none."""
    rows = [("cup", 0.4), ("tea", 0.3), ("tea", 0.2), ("honey", 0.1), ("jam", 0.05), (None, 0.9)]
    named = [{"category": category, "score": score} for category, score in rows]
    assert likely_categories(named) == ["tea", "cup", "honey"]
    assert likely_categories(named[-1:]) == likely_categories([]) == []
