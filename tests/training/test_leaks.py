"""A planted leak is found and named; an honest history passes, whatever comes later."""

import pandas as pd
import pytest

from feature_repo.snapshots import Snapshots
from features.errors import Refused
from training import leaks
from training.dataset import Past
from training.leaks import expect_no_leak, shop_until

from .conftest import ZERO, Line, MakeShop

DAY, UNTIL = ZERO + 60, ZERO + 100
# Ann and Ben are alike until day 60; then Ann comes back. Cat's order of day 30 is told on day 80.
LINES = [
    *(Line(f"{who}{day}", who, day) for who in ("ann", "ben") for day in (10, 20, 40)),
    Line("cat5", "cat", 5),
    Line("cat30", "cat", 30, known=80),
    *(Line(f"ann{day}", "ann", day) for day in (61, 70, 90)),
]


@pytest.fixture
def past(told: MakeShop) -> Past:
    return Past(told(LINES), UNTIL)


def test_an_honest_history_has_no_leak(past):
    expect_no_leak(past, DAY)


def test_a_lake_that_ends_before_a_day_has_none_of_its_rows(past):
    def days(shop):
        found = [pd.read_parquet(part)[["day", "known_on"]] for part in shop.parts("days")]
        return pd.concat(found)

    with shop_until(past.shop, DAY) as before:
        rows, everything = days(before), days(past.shop)
        assert len(rows) == 7 and (rows < DAY).all(axis=None)
        folder = before.folder
    assert len(everything) == 11
    assert not folder.exists()


def test_a_feature_of_the_days_to_come_is_found_and_named(past, monkeypatch):
    """A careless family reads the lake past the frame's back: whoever comes back is told apart without an error."""
    honest = leaks.feature_frame

    def careless(shop, as_of):
        found = honest(shop, as_of)
        days = pd.concat([pd.read_parquet(part) for part in shop.parts("days")])
        later = days[days.day >= DAY].groupby("customer_id").size()
        return found.assign(promo_share=found.customer_id.map(later).fillna(0.0))

    monkeypatch.setattr("training.dataset.feature_frame", careless)
    monkeypatch.setattr(leaks, "feature_frame", careless)
    at = past.rows([DAY], UNTIL)
    assert (at.promo_share > 0).tolist() == (at.future_order_days > 0).tolist() == [True, False, False]
    with pytest.raises(Refused, match=r"LEAK: .* 2024-03-01 or later changes promo_share \(1 of 3 customers\); a"):
        expect_no_leak(past, DAY)


def test_a_kept_snapshot_with_the_future_in_it_is_found_and_named(past):
    """Whoever writes the file also writes its checksum: only the history itself can tell."""
    past.known(DAY)
    honest = Past(past.shop, UNTIL)
    snapshots = Snapshots.of(past.shop.home, past.shop)
    start = past.shop.calendar.start(DAY)
    rows = pd.read_parquet(snapshots.path(start)).drop(columns="event_timestamp")
    rows.loc[rows.customer_id == "ann", "orders_all"] += 3
    snapshots.path(start).with_suffix(".json").unlink()
    snapshots.write(start, rows)
    with pytest.raises(Refused, match=r"LEAK: .* changes orders_all \(1 of 3 customers\); a feature must not") as found:
        expect_no_leak(honest, DAY)
    assert found.value.exit_code == 4


def test_a_row_known_too_early_is_found(past, monkeypatch):
    """History forgets the second half of the law: Cat's order of day 30, told on day 80, counts on day 60."""
    honest = leaks.feature_frame
    monkeypatch.setattr("training.dataset.feature_frame", lambda shop, starts: honest(ToldAtOnce(shop), starts))
    with pytest.raises(Refused, match=r"LEAK: .* \(1 of 3 customers\)"):
        expect_no_leak(past, DAY)


class ToldAtOnce:
    """A shop whose late rows claim to have been known when they happened."""

    def __init__(self, shop):
        self._shop = shop

    def __getattr__(self, name):
        return getattr(self._shop, name)

    def parts(self, table):
        return [self._early(path, table) for path in self._shop.parts(table)]

    def _early(self, path, table):
        rows, early = pd.read_parquet(path), self._shop.home.root / f"early-{table}.parquet"
        if not {"day", "known_on"} <= set(rows):
            return path
        rows.assign(known_on=rows.day).to_parquet(early)
        return early
