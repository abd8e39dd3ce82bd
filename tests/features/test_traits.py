"""Where a customer last bought and what they mostly buy, told by hand."""

import pytest

from features.traits import traits
from tests.worlds import COLUMNS, Toy, at, mapping_text, number, write_csv

LINES = f"{COLUMNS['order_lines']} channel".split()


@pytest.fixture
def toy(tmp_path):
    """A toy shop whose order lines name the channel."""
    mapping = mapping_text(("order_lines", "products")).replace(
        b"known_at: known_at}", b"known_at: known_at, channel: channel}"
    )
    return Toy(tmp_path, mapping=mapping)


def line(order, day, channel, product="p1", customer="ann", quantity=1, **more):
    told = {"order_id": order, "customer_id": customer, "ordered_at": at(day), "product_id": product}
    return told | {"quantity": quantity, "revenue": 10 * quantity, "line_no": 1, "channel": channel} | more


def known(toy, lines, products=(), day=10):
    toy.folder.joinpath("in").mkdir()
    files = [write_csv(toy.folder / "in" / "order_lines.csv", LINES, lines)]
    if products:
        files.append(write_csv(toy.folder / "in" / "products.csv", COLUMNS["products"].split(), products))
    toy.take(files)
    found = traits(toy.shop, number(day)).set_index("customer_id")
    return {who: tuple(None if v != v else v for v in row) for who, *row in found.itertuples()}


def test_the_channel_is_that_of_the_newest_order_known(toy):
    lines = [
        line("a", 1, "web"),
        line("b", 3, "app"),
        line("c", 10, "store"),  # on the day itself: not yet known
        line("d", 4, "phone", known_at=at(12)),  # entered later
        line("e", 5, "", customer="ben"),
        line("f", 6, "web", quantity=-1, returns_order_id="a"),  # a return is no order
    ]
    assert known(toy, lines) == {"ann": ("app", None)}


def test_the_category_is_the_one_bought_on_most_days_of_the_last_year(toy):
    products = [{"product_id": p, "category": c} for p, c in (("p1", "tea > green"), ("p2", "tea"), ("p3", "cups"))]
    lines = [
        line("a", 1, "web", "p3"),
        line("b", 2, "web", "p3"),
        line("c", 400, "web", "p1"),
        line("d", 401, "web", "p2"),
        line("e", 402, "web", "p3"),
        line("f", 403, "web", "p1", customer="ben"),
        line("g", 404, "web", "p3", customer="ben"),  # once each: the first by name
    ]
    assert known(toy, lines, products, 500) == {"ann": ("web", "tea"), "ben": ("web", "cups")}
