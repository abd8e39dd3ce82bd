"""Shops to learn from: one told order by order, and one generated with rhythms, and with customers who leave."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from features.calendar import day_number
from features.door.ingest import ingest
from features.door.mapping_file import parse_mapping
from features.home import Home
from features.shop import Shop, open_shop

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FIRST = date(2024, 1, 1)
ZERO = day_number(FIRST)  # the business day of FIRST; the tests count days from it

# No word of the program, of MLflow or of a file format looks like these: a grep can tell them.
CUSTOMER, PRODUCT = "zq7k{:05d}", "pv9x{:03d}"

MAPPING = """
shop: {name}
currency: JPY
tax: included
timezone: Asia/Tokyo
clock: {clock}
predict: {{{predict}}}
tables:
  order_lines:
    source: {name}*.csv
    repeats: keep
    columns: {{order_id: o, customer_id: c, ordered_at: t, product_id: p, quantity: q, revenue: r,
      returns_order_id: b, known_at: k, order_type: y}}
  subscriptions:
    source: subscriptions*.csv
    columns: {{customer_id: c, product_id: p, started_at: t, cancelled_at: e}}
"""
HEADER = "o,c,t,p,q,r,b,k,y\n"
WHO, WHEN = "tests", "2026-01-01T00:00:00Z"
RESAMPLES = 15  # of a report: the same figures with rough intervals
PREDICT = "horizon_days: 28, lookback_days: 56, min_order_days: 1"

MakeShop = Callable[..., Shop]


@dataclass(frozen=True)
class Line:
    """One order line at noon of day ``day`` (from FIRST), known on day ``known`` if that is later."""

    order: str
    customer: str
    day: int
    revenue: float = 100.0
    quantity: int = 1
    returns: str = ""
    known: int | None = None
    product: str = "tea"
    kind: str = ""

    def __str__(self) -> str:
        known = at(self.known) if self.known is not None else ""
        return (
            f"{self.order},{self.customer},{at(self.day)},{self.product},"
            f"{self.quantity},{self.revenue:.2f},{self.returns},{known},{self.kind}"
        )


def at(day: int, minute: int = 720) -> str:
    return f"{datetime(FIRST.year, FIRST.month, FIRST.day) + timedelta(days=day, minutes=minute):%Y-%m-%d %H:%M:%S}"


def csv(lines: Iterable[Line]) -> str:
    return HEADER + "".join(f"{line}\n" for line in lines)


def take_in(
    home: Home, name: str, text: str, predict: str, clock: str = "system", subscriptions: str | None = None
) -> Shop:
    """Ingest one CSV of order lines, and perhaps one of subscriptions, as the next load of a shop."""
    number = len(list(home.root.glob(f"{name}*.csv")))
    path = home.root / f"{name}{number}.csv"
    path.write_text(text)
    mapping = MAPPING.format(name=name, predict=predict, clock=clock).encode()
    files = [path]
    if subscriptions is not None:
        files.append(home.root / f"subscriptions{number}.csv")
        files[1].write_text(f"c,p,t,e\n{subscriptions}")
    ledger = ingest(home, parse_mapping(mapping, name), mapping, files, NOW)
    assert ledger.quarantined == 0, ledger.as_dict()
    return open_shop(home, name)


@pytest.fixture
def told(tmp_path: Path) -> MakeShop:
    """Make a shop of the lines a test tells; a second telling is a second load."""

    def make(lines: Iterable[Line], predict: str = PREDICT, clock: str = "system") -> Shop:
        return take_in(Home.open(tmp_path / "home"), "told", csv(lines), predict, clock)

    return make


def order_lines(n_customers: int, n_days: int, seed: int = 0) -> str:
    """Write a shop's order lines: everyone has a rate and a spend of their own, most leave some day.

    Each day has its own seed, so a shop told for longer begins with the very same lines.
    """
    person = np.random.default_rng(seed)
    rate = person.gamma(1.2, 1 / 22, n_customers) + 1 / 120
    spend = person.gamma(4.0, 8.0, n_customers)
    joins = person.integers(0, 150, n_customers)
    leaves = np.where(person.random(n_customers) < 0.6, person.integers(30, 560, n_customers), 10**6)
    lines = [HEADER]
    for day in range(n_days):
        today = np.random.default_rng([seed, day])
        buys = (today.random(n_customers) < rate) & (joins < day) & (day < leaves) | (joins == day)
        minute, size = today.integers(0, 1440, n_customers), today.integers(1, 4, n_customers)
        worth, product = today.gamma(3.0, 1 / 3, (n_customers, 3)), today.integers(0, 30, (n_customers, 3))
        for c in np.flatnonzero(buys):
            for k in range(size[c]):
                order = f"o{day}-{c},{CUSTOMER.format(c)},{at(day, int(minute[c]))}"
                bought = PRODUCT.format((product[c, k] // 3 + c) % 30)
                lines.append(f"{order},{bought},1,{spend[c] * worth[c, k]:.2f},,,\n")
    return "".join(lines)


def generated(folder: Path, n_customers: int, n_days: int, seed: int = 0) -> Shop:
    """Make the only shop of a new home: predicts 28 days, of customers with two order days."""
    predict = "horizon_days: 28, lookback_days: 56, min_order_days: 2"
    return take_in(Home.open(folder), "toy", order_lines(n_customers, n_days, seed), predict)


MLFLOW_WARNS = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in (
        "The ``noload`` loader strategy is deprecated",  # MLflow 3.17 on SQLAlchemy 2.1
        ".*An input example was not provided when logging the model",  # the signature is given instead
        ".*Any type hint is inferred as AnyType",  # of its own classes, on import
    )
]


class Trained(NamedTuple):
    """A shop and what its training told."""

    home: Home
    shop: Shop
    until: int
    told: dict[str, Any]

    @property
    def path(self) -> Path:
        """The folder of the release."""
        return self.home.releases / self.told["release"]


def trained(shop: Shop, n_days: int) -> Trained:
    """Train as `okaeri train` does, with short intervals; needs a home of its own, as every process has one."""
    from training.evaluation import rows
    from training.train import train

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "RESAMPLES", RESAMPLES)
        return Trained(shop.home, shop, ZERO + n_days, train(shop.home, shop, ZERO + n_days, WHO, WHEN))


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Seven hundred customers over a year: enough for every model, and for judging each."""
    return trained(generated(tmp_path_factory.mktemp("large"), 700, 365), 365)


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    """Sixty customers over half a year, too few for more than the prior; trained, and again when a refresh is due."""
    shop = generated(tmp_path_factory.mktemp("small"), 60, 200)
    return [trained(shop, days) for days in (170, 200)]
