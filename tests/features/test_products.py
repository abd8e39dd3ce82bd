"""What the shop says of its products, and what must not be shown: worked by hand, as of a day."""

import pandas as pd
import pytest

from features.exclusions import COMPLAINED_DAYS, RETURNED_DAYS, out_of_stock, unwanted
from features.products import COLUMNS, products, said_of
from tests.worlds import HEAD, Toy, at, instant, number

MAPPING = (
    HEAD
    + """
  order_lines:
    source: order_lines*.csv
    columns: {order_id: order_id, customer_id: customer_id, ordered_at: ordered_at, product_id: product_id,
      quantity: quantity, revenue: revenue, status: status, known_at: known_at}
  products:
    source: products*.csv
    columns: {product_id: product_id, category: category, family_id: family_id, in_stock: in_stock,
      lasts_days: lasts_days, launched_at: launched_at, known_at: known_at}
  feedback:
    source: feedback*.csv
    columns: {customer_id: customer_id, kind: kind, score: score, product_id: product_id, opened_at: opened_at,
      known_at: known_at}
"""
).encode()
HEADS = {
    "order_lines": "order_id,customer_id,ordered_at,product_id,quantity,revenue,status,known_at",
    "products": "product_id,category,family_id,in_stock,lasts_days,launched_at,known_at",
    "feedback": "customer_id,kind,score,product_id,opened_at,known_at",
}


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path, mapping=MAPPING)


def bring(toy, **tables):
    """Ingest lines of CSV as one load."""
    folder = toy.folder / f"load-{next(toy.count)}"
    folder.mkdir()
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join([HEADS[name], *lines]) + "\n")
    return toy.take(sorted(folder.glob("*.csv")))


def bought(product, day, quantity=1, who="ann", status="ok"):
    return f"{product}{day}{quantity},{who},{at(day)},{product},{quantity},{10 * quantity},{status},"


def test_the_newest_word_on_a_product_stands_once_it_is_known(toy):
    bring(toy, order_lines=[bought("tea", 1)], products=["tea,Drink > Tea,f1,true,30,2024-01-05,", "cup,,,,,,"])
    bring(toy, products=[f"tea,Drink > Tea,f1,false,30,2024-01-05,{at(20)}"])
    before, after = products(toy.shop, instant(20)), products(toy.shop, instant(21))
    assert tuple(before.columns) == COLUMNS
    assert before.product_id.tolist() == ["cup", "tea"]
    assert (out_of_stock(before), out_of_stock(after)) == (frozenset(), frozenset({"tea"}))
    tea = after[after.product_id == "tea"].iloc[0]
    assert (tea.category, tea.family_id, tea.lasts_days, tea.launched_day) == ("Drink > Tea", "f1", 30, number(4))


def test_a_shop_without_products_says_nothing_of_them(toy):
    bring(toy, order_lines=[bought("tea", 1)])
    assert products(toy.shop, instant(9)).empty
    assert out_of_stock(products(toy.shop, instant(9))) == frozenset()
    assert unwanted(toy.shop, instant(9)).empty


@pytest.mark.parametrize(
    ("lines", "day", "is_unwanted"),
    [
        pytest.param([bought("tea", 1)], 9, False, id="kept"),
        pytest.param([bought("tea", 1), bought("tea", 5, -1)], 9, True, id="given back"),
        pytest.param([bought("tea", 1), bought("tea", 5, -1)], 5, False, id="given back on the very day"),
        pytest.param([bought("tea", 1), bought("tea", 5, -1), bought("tea", 7)], 9, False, id="and bought again"),
        pytest.param([bought("tea", 1), bought("tea", 5, -1)], 6 + RETURNED_DAYS, False, id="long ago"),
        pytest.param([bought("tea", 1, status="cancelled")], 9, False, id="cancelled"),
        pytest.param([bought("tea", 1), bought("tea", 1, status="cancelled")], 9, False, id="taken back unsent"),
    ],
)
def test_what_was_given_back_lately_and_not_bought_since_is_unwanted(toy, lines, day, is_unwanted):
    bring(toy, order_lines=[*lines, bought("tea", 3, who="ben")])
    found = unwanted(toy.shop, instant(day)).to_dict("records")
    assert found == ([{"customer_id": "ann", "product_id": "tea"}] if is_unwanted else [])


@pytest.mark.parametrize(
    ("word", "day", "is_unwanted"),
    [
        pytest.param("review,5", 9, False, id="praised"),
        pytest.param("review,2", 9, True, id="reviewed badly"),
        pytest.param("csat,1", 9, True, id="unhappy"),
        pytest.param("nps,1", 9, False, id="that is about the shop"),
        pytest.param("ticket,", 9, True, id="a ticket names it"),
        pytest.param("return_request,", 9, True, id="asked to return it"),
        pytest.param("ticket,", 4, False, id="not before it is known"),
        pytest.param("ticket,", 5 + COMPLAINED_DAYS, False, id="long ago"),
    ],
)
def test_what_was_complained_of_is_unwanted(toy, word, day, is_unwanted):
    bring(toy, order_lines=[bought("tea", 1)], feedback=[f"ann,{word},tea,{at(4)},", f"ben,{word},,{at(4)},"])
    assert unwanted(toy.shop, instant(day)).product_id.tolist() == (["tea"] if is_unwanted else [])


def test_products_are_named_as_the_newest_list_names_them(tmp_path):
    toy = Toy(tmp_path, mapping=MAPPING.replace(b"category: category", b"name: category"))
    bring(toy, order_lines=[bought("tea", 1)], products=["tea,Tea,,,,,", "cup,Cup,,,,,", "pot,Pot,,,,,"])
    bring(toy, products=["tea,Green tea,,,,,", "pot,,,,,,"])
    found = said_of(pd.Series(["tea", "cup", "pot", "jug"]), products(toy.shop, instant(20)), "name")
    assert found.tolist() == ["Green tea", "Cup", None, None]
