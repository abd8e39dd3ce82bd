"""`make bench`: ours beside the peer or the limit, measured in the same run; CPU time, medians of several runs.

Needs a home in which the demo (or another shop) was ingested, trained and published. Prints and writes
`tests/benchmarks/latest.json`: name, ours, peer, unit, ratio, goal, better.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix

from feature_repo.store import Store
from features import catalog
from features.door.ingest import ingest
from features.door.mapping_file import load_mapping, mapping_path
from features.door.tables import STORED_AS
from features.frame import feature_frame
from features.home import Home
from features.interactions import interactions
from features.shop import open_shop
from serving.answers import Rows, answers
from serving.policy.allocation import allocate
from serving.policy.moment import Moment
from serving.publication import current
from serving.results import Around, Asked, results
from serving.surroundings import Kept
from tests.serving.markets import highs, market
from training.models.topn import top_n
from training.release import champion, open_release

ROUNDS = {"ci": 3, "day": 7, "full": 15}
LATEST = Path(__file__).with_name("latest.json")


def cpu(run: Callable[[], object], rounds: int) -> float:
    """Give the median CPU seconds of a call, after one that warms up."""
    run()
    spent = []
    for _ in range(rounds):
        started = time.process_time()
        run()
        spent.append(time.process_time() - started)
    return statistics.median(spent)


def row(name: str, ours: float, peer: float, goal: str) -> dict[str, Any]:
    """Compare two CPU times in seconds; the lower the better."""
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "unit": "CPU s",
        "ratio": ours / peer,
        "goal": goal,
        "better": "lower",
    }


def main() -> None:
    """Measure everything and print a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=sorted(ROUNDS), default="ci")
    rounds = ROUNDS[parser.parse_args().size]
    home = Home.open()
    shop, release, night = open_shop(home), open_release(champion(home)), current(home)
    if night is None or release.models.scores is None:
        raise SystemExit("run `make demo` first: there is no night to measure")
    rows = [*score(home, rounds), top(shop, rounds), features(shop, rounds), door(rounds), allocation(rounds)]
    LATEST.write_text(json.dumps(rows, indent=1))
    for r in rows:
        figures = f"ours {r['ours']:.4f}  peer {r['peer']:.4f} {r['unit']}  ratio {r['ratio']:.2f}"
        print(f"{r['name']:<12} {figures}  goal {r['goal']}")  # noqa: T201


def score(home: Home, rounds: int) -> list[dict[str, Any]]:
    """One and a thousand customers, answered with every block, against LightGBM's and NumPy's part of it alone."""
    shop, release, night = open_shop(home), open_release(champion(home)), current(home)
    assert night is not None and release.models.scores is not None
    store, policy, models = Store.open(home, shop), night.policy, release.models.scores
    frame = feature_frame(shop, shop.calendar.start(night.day))
    kept = Kept(night, shop.tables)
    out = []
    for name, n in (("score", 1), ("score_1000", 1000)):
        ids = frame.customer_id.tolist()[:n]
        latest = store.latest(ids)
        day = np.full(len(ids), night.day, np.int64)
        given = Rows(latest.customer_id, latest.found, day, latest.columns, kept.of(latest.customer_id))
        columns = latest.columns | catalog.derive(latest.columns, float(night.day), release.facts["tables"])
        x = models.inputs.matrix(columns)
        around = Around(shop.calendar, policy, release)

        def ours(given: Rows = given, around: Around = around) -> object:
            return results(answers(given, release, policy, Moment.night(shop.calendar, night.day)), around, Asked())

        def models_alone(x: np.ndarray = x) -> object:  # type: ignore[type-arg]
            value = models.value.predict(x, models.inputs.names) if models.value else None
            return models.churn.predict(x), models.next_purchase.predict(x), models.next_purchase.quantiles(x), value

        out.append(row(name, cpu(ours, rounds * 5), cpu(models_alone, rounds * 5), "measured here first; 1.2x in #7"))
    return out


def top(shop: Any, rounds: int) -> dict[str, Any]:
    """Exact top 10 of all products for every customer, against implicit's own."""
    bought = interactions(shop, shop.calendar.start(shop.calendar.day(datetime(2017, 12, 3, 12, tzinfo=UTC))))
    users, items = bought.customer_id.astype("category"), bought.product_id.astype("category")
    cells = csr_matrix((np.log1p(bought.decayed).astype(np.float32), (users.cat.codes, items.cat.codes)))
    model = AlternatingLeastSquares(factors=64, regularization=10.0, iterations=5, num_threads=1, random_state=0)
    model.fit(cells, show_progress=False)
    everyone = np.arange(cells.shape[0])
    theirs = cpu(lambda: model.recommend(everyone, cells, N=10, filter_already_liked_items=True), rounds)
    ours = cpu(lambda: top_n(model.user_factors, model.item_factors, 10, cells), rounds)
    return row("topn", ours, theirs, "at most 1/7")


def features(shop: Any, rounds: int) -> dict[str, Any]:
    """A whole feature snapshot, against DuckDB scanning and grouping the same tables once."""
    import duckdb

    start = shop.calendar.start(shop.calendar.day(datetime(2017, 12, 3, 12, tzinfo=UTC)))

    def scan() -> object:
        with duckdb.connect() as con:
            for name, keys in (("days", "customer_id, day"), ("product_days", "customer_id, product_id")):
                parts = [str(path) for path in shop.parts(name)]
                con.execute(
                    f"SELECT {keys}, sum(orders), sum(revenue) FROM read_parquet({parts}) GROUP BY ALL"
                ).fetchnumpy()
        return None

    return row("features", cpu(lambda: feature_frame(shop, start), rounds), cpu(scan, rounds), "measured here first")


def door(rounds: int) -> dict[str, Any]:
    """Taking 1.5 million order lines in from a CSV file, against DuckDB's bare copy of the same columns to Parquet.

    The copy is told the same types (ids as text, exact decimals), and neither judges a row nor adds up days.
    """
    import tempfile

    import duckdb

    from features.door.readers import locate

    path = mapping_path(Path("complete_journey"))
    mapping = load_mapping(path)
    lines = mapping.tables["order_lines"].model_copy(update={"source": "lines.csv"})
    parquet = locate(mapping.tables["order_lines"].source, [])[0]
    with tempfile.TemporaryDirectory() as files:
        csv = Path(files) / "lines.csv"
        duckdb.execute(f"COPY (FROM '{parquet}') TO '{csv}' (HEADER)")
        columns = ", ".join(f'"{name}"' for name in lines.source_columns())
        texts = ("basket_id", "household_id", "product_id")
        amounts = ("quantity", "sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
        types = dict.fromkeys(texts, "VARCHAR") | dict.fromkeys(amounts, STORED_AS["amount"])

        def take_in() -> object:
            with tempfile.TemporaryDirectory() as folder:
                bare = mapping.model_copy(update={"tables": {"order_lines": lines}})
                now = datetime(2026, 11, 21, tzinfo=UTC)
                return ingest(Home.open(Path(folder)), bare, path.read_bytes(), [csv], now)

        def copy() -> object:
            with tempfile.TemporaryDirectory() as folder, duckdb.connect() as con:
                query = f"SELECT {columns} FROM read_csv('{csv}', types = {types})"
                return con.execute(f"COPY ({query}) TO '{folder}/copy.parquet' (COMPRESSION zstd)")

        return row("ingest", cpu(take_in, min(rounds, 3)), cpu(copy, rounds), "2x")


def allocation(rounds: int) -> dict[str, Any]:
    """A night's choice for a million customers with eight actions each, per thousand, against HiGHS on 20,000 of them.

    HiGHS finds the bound alone, by the faster of its two forms, and no whole actions.
    """
    million, customers = market(1_000_000, 1), market(20_000, 1)
    ours = cpu(lambda: allocate(*million), min(rounds, 3)) / 1000
    customer, _, _, value, limits, n = customers
    started = time.process_time()
    highs(customer, value, limits, n)
    return row("allocation", ours, (time.process_time() - started) / 20, "a million in 30 s: 0.03")


if __name__ == "__main__":
    main()
