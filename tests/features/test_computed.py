"""Computed columns: an amount less its discounts, a line's place in its order, one word or otherwise another."""

import pytest

from features.door.mapping_file import parse_mapping
from features.errors import BadInput
from tests.worlds import lake_rows

MAPPING = """
shop: toy
currency: JPY
tax: excluded
predict: {lookback_days: 56, min_order_days: 1}
tables:
  order_lines:
    source: "orders*"
    columns:
      order_id: order
      line_no: {nth: order}
      customer_id: customer
      ordered_at: day
      product_id: sku
      quantity: n
      revenue: {product: [n, price], less: [reduced, voucher]}
      status: {constant: ok, when: {state: {not_matches: "^void"}}, otherwise: cancelled}
"""
ROWS = """order,customer,day,sku,n,price,reduced,voucher,state
1,a,2024-01-01,p,2,10.5,1,,paid
2,a,2024-01-02,p,1,3,0.25,0.25,void
1,a,2024-01-01,p,2,10.5,1,,
"""


def test_a_line_is_its_orders_nth_and_brings_its_price_less_its_discounts(new_toy):
    toy = new_toy(["order_lines"], mapping=MAPPING.encode())
    path = toy.folder / "orders.csv"
    path.write_text(ROWS)
    assert toy.take([path]).accepted == 3  # two lines that say the same are the first and the second of order 1
    found = lake_rows(toy.shop, "order_lines", "order_id, line_no")[["order_id", "line_no", "revenue", "status"]]
    assert [tuple(row) for row in found.itertuples(index=False)] == [
        ("1", "1", 20, "ok"),
        ("1", "2", 20, "ok"),
        ("2", "1", 2.5, "cancelled"),
    ]
    assert toy.take([path]).duplicates == 3


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("{join: [n, price], less: [price]}", "less goes with sum or product"),
        ("{constant: a, otherwise: b}", "otherwise goes with constant and when"),
        ("{nth: order, constant: a}", "give exactly one of constant, first, hmac, sum, product, join, nth"),
    ],
)
def test_ways_of_computing_that_do_not_go_together_are_refused(how, said):
    text = MAPPING.replace("{nth: order}", how)
    with pytest.raises(BadInput) as refused:
        parse_mapping(text.encode(), "shop.yaml")
    assert "tables.order_lines.columns.line_no" in str(refused.value) and said in str(refused.value)
