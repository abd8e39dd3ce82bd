"""A mapping may take over the tables of ready ones; what it says itself stands before them."""

from pathlib import Path

import pytest

from features.door.mapping_file import load_mapping, parse_mapping
from features.errors import BadInput

HEAD = b"shop: mine\ncurrency: GBP\ntax: excluded\npredict: {lookback_days: 56, min_order_days: 1}\n"


def load_mapping_named(name):
    return load_mapping(Path(name))


def test_the_tables_of_a_ready_mapping_are_taken_over_and_nothing_else():
    mine, ready = parse_mapping(b"include: [online_retail]\n" + HEAD, "shop.yaml"), load_mapping_named("online_retail")
    assert mine.tables == ready.tables
    assert (mine.shop, mine.timezone, mine.notice) == ("mine", "Asia/Tokyo", None)


def test_a_table_of_its_own_stands_before_an_included_one():
    own = b"tables:\n  products: {source: 'goods*', columns: {product_id: sku}}\n"
    tables = parse_mapping(b"include: [online_retail]\n" + HEAD + own, "shop.yaml").tables
    assert tables["products"].source == "goods*"
    assert tables["order_lines"] == load_mapping_named("online_retail").tables["order_lines"]


@pytest.mark.parametrize(
    ("include", "said"),
    [
        (
            "[online_retial]",
            "shop.yaml: include: no ready mapping is called online_retial; did you mean online_retail?",
        ),
        ("[../x]", "shop.yaml: include: no ready mapping is called ../x"),
        ("[online_retail, hananone]", "both online_retail and hananone bring order_lines; write tables.order_lines"),
        ("[7]", "shop.yaml: include: no ready mapping is called 7"),
        ("online_retail", "shop.yaml: include: Input should be a valid list"),
        ("[]", "tables: order_lines is required"),
    ],
)
def test_an_include_that_cannot_be_is_refused_by_name(include, said):
    with pytest.raises(BadInput) as refused:
        parse_mapping(f"include: {include}\n".encode() + HEAD, "shop.yaml")
    assert said in str(refused.value)


def test_a_fragment_is_no_shop_of_its_own():
    with pytest.raises(
        BadInput, match=r"ga4\.yaml: has tables only: take it into a shop's mapping with `include: \[ga4\]`"
    ):
        load_mapping_named("ga4")
