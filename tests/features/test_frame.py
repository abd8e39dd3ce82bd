"""The feature frame: nothing but what was known, whatever the order of rows, and the same as a second writing in SQL."""

import itertools
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from features import catalog
from features.catalog import CATALOG
from features.errors import BadInput
from features.frame import feature_frame
from features.lake import sha256_file
from features.shop import Shop
from tests.worlds import AS_OF, COLUMNS, Toy, at, examples, histories, instant, known_before, number

SQL = (Path(__file__).parent / "oracle.sql").read_text()
STORED = [name for name, feature in CATALOG.items() if feature.kind == "stored"]
DERIVED = [name for name, feature in CATALOG.items() if feature.kind == "derived"]
FIXED = pytest.fixture(scope="session")


@FIXED
def toys(tmp_path_factory):
    """Give an endless row of new toy shops: Hypothesis draws many within one test."""
    return lambda *args: Toy(tmp_path_factory.mktemp("toy"), *args)


def oracle(shop: Shop, day: int) -> pd.DataFrame:
    """Compute every feature again, in SQL of its own over the canonical tables."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'Asia/Tokyo'")
        for table, happened in (("order_lines", "ordered_at"), *((t, "at") for t in ("contacts", "responses", "consents"))):
            con.execute(
                f"CREATE VIEW {table} AS SELECT * EXCLUDE (day), datediff('day', DATE '1970-01-01', {happened}::DATE) AS day,"
                f" datediff('day', DATE '1970-01-01', known_at::DATE) AS known, hour({happened}) AS hour"
                f" FROM read_parquet({[str(path) for path in shop.parts(table)] or _empty(shop, table)})"
            )
        con.execute(
            f"CREATE VIEW products AS SELECT product_id, category"
            f" FROM read_parquet({[str(path) for path in shop.parts('products')]}, filename = true)"
            " QUALIFY row_number() OVER (PARTITION BY product_id ORDER BY filename DESC) = 1"
        )
        return con.execute(SQL, {"d": day}).df()


def _empty(shop: Shop, table: str) -> list[str]:
    raise AssertionError(f"{shop.name} has no {table}")


ONE_OF_EACH = {  # a customer without orders: every table is there whatever was drawn
    "contacts": [{"contact_id": "z", "customer_id": "z", "at": at(0)}],
    "responses": [{"customer_id": "z", "kind": "open", "at": at(0)}],
    "consents": [{"customer_id": "z", "channel": "line", "purpose": "train", "granted": "true", "at": at(0)}],
}


def whole(history):
    """Add a row of every table, so that every feature is available."""
    return {table: [*ONE_OF_EACH.get(table, ()), *rows] for table, rows in history.items()}


def in_loads(history, cuts):
    """Split a history into loads, by a list of numbers that says for each row which load brings it."""
    bring, loads = itertools.cycle(cuts), [{} for _ in range(max(cuts) + 1)]
    for table, rows in history.items():
        for row in rows:
            loads[next(bring)].setdefault(table, []).append(row)
    return [load for load in loads if load]


# ---- a second implementation ------------------------------------------------------------------------------------


@examples(25)
@given(history=histories(), cuts=st.lists(st.integers(0, 2), min_size=1, max_size=7))
def test_every_feature_agrees_with_sql_written_again(look, toys, history, cuts):
    toy = toys()
    toy.load({"order_lines": [], "products": [], **ONE_OF_EACH} | {"order_lines": whole(history)["order_lines"][:1]})
    for load in in_loads(history, cuts):
        toy.load(load)
    seen = look(toy.shop)
    event(f"{len(toy.shop.loads)} loads")
    for day in map(number, AS_OF):
        ours, theirs = seen[seen.as_of_day == day].reset_index(drop=True), oracle(toy.shop, day)
        assert set(theirs.columns) == {"customer_id", *CATALOG}
        assert ours.customer_id.tolist() == theirs.customer_id.tolist()
        pd.testing.assert_frame_equal(ours[STORED], theirs[STORED].astype("float64"), check_exact=True)
        for name in DERIVED:
            np.testing.assert_allclose(ours[name], theirs[name].astype("float64"), rtol=1e-12, err_msg=name)
