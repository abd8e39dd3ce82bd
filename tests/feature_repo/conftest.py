"""A tiny shop, generated: forty customers, four months, everything a feature family may need."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.door.ingest import ingest
from features.door.mapping_file import load_mapping
from features.home import Home
from features.shop import Shop, open_shop

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
AS_OF = datetime(2024, 4, 20, 15, tzinfo=UTC)  # the start of 21 April in Tokyo
NOW = datetime(2024, 6, 1, tzinfo=UTC)

MAPPING = """
shop: {name}
currency: JPY
tax: included
timezone: Asia/Tokyo
predict: {{lookback_days: 56, min_order_days: 1}}
tables:
  order_lines:
    source: orders.csv
    columns: {{order_id: o, customer_id: c, ordered_at: t, product_id: p, quantity: q, revenue: r}}
"""
MORE = """
  products:
    source: products.csv
    columns: {product_id: p, name: n, category: k}
  contacts:
    source: contacts.csv
    columns: {contact_id: i, customer_id: c, at: t, channel: h}
"""


def order_lines(days: int = 120) -> str:
    """Write the order lines of forty customers, each with their own rhythm."""
    chance = random.Random(7)
    lines = ["o,c,t,p,q,r"]
    for day in range(days):
        for customer in range(40):
            if chance.random() < 0.01 + 0.004 * customer:
                at = FIRST + timedelta(days=day, minutes=chance.randrange(1440))
                for _ in range(chance.randrange(1, 4)):
                    product, revenue = chance.randrange(12), chance.randrange(100, 5000) / 10
                    order = f"o{day}-{customer},c{customer:02d},{at:%Y-%m-%d %H:%M:%S}"
                    lines.append(f"{order},p{product},1,{revenue}")
    return "\n".join(dict.fromkeys(lines)) + "\n"


@pytest.fixture
def make_shop(tmp_path: Path) -> Callable[..., tuple[Home, Shop]]:
    """Ingest the tiny shop into a home; ``full`` brings products and contacts as well."""

    def make(name: str = "tiny", full: bool = True, days: int = 120) -> tuple[Home, Shop]:
        files = tmp_path / "files"
        files.mkdir(exist_ok=True)
        (files / "orders.csv").write_text(order_lines(days))
        products = [f"p{n},product {n},kind {n % 3} > sort {n}" for n in range(12)]
        (files / "products.csv").write_text("\n".join(["p,n,k", *products]) + "\n")
        contacts = [f"m{n},c{n:02d},2024-03-{1 + n % 28:02d} 09:00:00,mail" for n in range(30)]
        (files / "contacts.csv").write_text("\n".join(["i,c,t,h", *contacts]) + "\n")
        text = MAPPING.format(name=name) + (MORE if full else "")
        (files / "shop.yaml").write_text(text)
        home = Home.open(tmp_path / "home")
        ingest(home, load_mapping(files / "shop.yaml"), text.encode(), sorted(files.glob("*.csv")), NOW)
        return home, open_shop(home, name)

    return make
