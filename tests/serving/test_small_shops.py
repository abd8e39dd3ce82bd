"""Shops of the smallest kind, from their first file to a published night: nothing is left out in silence."""

import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from features.calendar import day_number
from features.door.ingest import ingest
from features.door.mapping_file import parse_mapping
from features.home import Home
from features.shop import open_shop
from serving.nightly import nightly
from serving.publication import current
from tests.worlds import at

from . import shop as told
from .conftest import NOT_OURS

MAPPING = b"""
shop: tiny
currency: JPY
tax: included
timezone: Asia/Tokyo
predict: {horizon_days: 28, lookback_days: 90, min_order_days: 1}
tables:
  order_lines:
    source: "*.csv"
    columns: {order_id: o, customer_id: c, ordered_at: t, product_id: p, quantity: q, revenue: r}
"""
NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(("customers", "days", "method"), [(40, 90, "light"), (9, 20, "rule")])
def test_a_small_shop_has_its_night_two_days_after_its_training(
    tmp_path: Path, customers: int, days: int, method: str
) -> None:
    """Two thirds of the customers come back, at a pace of their own."""
    rows = [
        f"{c}-{day},c{c:02},{at(day)},tea,1,{100 + c}"
        for c in range(customers)
        for day in range(c % 7, days, 5 + c if c % 3 else days)
    ]
    path = tmp_path / "orders.csv"
    path.write_text("o,c,t,p,q,r\n" + "\n".join(rows) + "\n")
    home = Home.open(tmp_path / "home")
    ingest(home, parse_mapping(MAPPING, "shop.yaml"), MAPPING, [path], NOW)
    shop = open_shop(home)
    until = day_number(datetime.fromisoformat(at(0)).date()) + days
    with warnings.catch_warnings():
        for words in NOT_OURS:
            warnings.filterwarnings("ignore", words)
        from training.train import train

        assert train(home, shop, until, "tester", NOW.isoformat())["method"] == method
    nightly(home, until + 2, NOW, told.POLICY)
    night = current(home)
    assert night is not None
    scores = night.table("customer_scores")
    assert len(scores) == customers == scores.customer_id.nunique()
    assert set(scores.basis_method) == {method} and set(scores.status) == {"ok"}
    assert np.isfinite(scores[["next_order_p_30d", "clv_predicted_90d", "clv_grade"]].to_numpy(dtype=float)).all()
    assert (scores.churn_probability.notna() == (scores.days_since_last_order <= 90)).all()
