"""Which products the night shows: nothing out of stock, nothing unwanted, and what was launched since the training."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from features.interactions import interactions
from features.products import products
from serving.nightly import Night, _items
from serving.policy.rules import load_policy
from tests.features.test_products import MAPPING, bought, bring
from tests.worlds import Toy, at, instant, number
from training.models.recommender import Recommender

PEOPLE = ("ann", "ben", "cat", "dan")
TRAINED, TONIGHT = 30, 40
KINDS = {"tea": "Drink > Tea", "cup": "Home > Cup", "honey": "Drink > Honey", "jam": "Drink > Jam"}


@pytest.fixture
def night(tmp_path: Path) -> Night:
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
    release = SimpleNamespace(models=SimpleNamespace(recommender=fitted))
    return Night(toy.home, toy.shop, release, load_policy(), b"", number(TONIGHT), None, ())  # type: ignore[arg-type]


def test_the_night_shows_nothing_out_of_stock_or_unwanted_and_what_is_new(night: Night) -> None:
    known = interactions(night.shop, instant(TONIGHT))
    items = _items(night, known, np.array([*PEOPLE, "new"], dtype=object))
    shown = items.groupby("customer_id").product_id.agg(set)
    assert "jam" not in set(items.product_id)
    assert shown["ann"] == {"cup", "honey", "green tea"}
    assert shown["ben"] == {"cup", "tea", "green tea"}
    assert shown["cat"] == shown["new"] == {"cup", "tea", "honey", "green tea"}
    source = items[items.customer_id == "cat"].set_index("product_id").source
    assert (source["green tea"], source["tea"]) == ("new", "repeat")
    assert pd.Series(items.score).between(0, 1).all()
