"""The same numbers by four ways: computed, recalled, looked up, and written again in SQL."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feature_repo import forget
from feature_repo.store import SENTINEL, Store
from features import catalog
from features.errors import BadInput, Refused
from features.frame import feature_frame
from features.home import Home
from features.shop import Shop, open_shop

from .conftest import AS_OF

MakeShop = Callable[..., tuple[Home, Shop]]
DAY = timedelta(days=1)
fork = multiprocessing.get_context("fork")  # a warmed parent: importing Feast anew takes 5 CPU-s


FRAMES: dict[tuple[str, tuple[datetime, ...]], pd.DataFrame] = {}


def known(shop: Shop, *as_of: datetime) -> pd.DataFrame:
    """Compute the feature frame, once for all tests on the same lake."""
    key = (shop.version, as_of)
    if key not in FRAMES:
        FRAMES[key] = feature_frame(shop, as_of)
    return FRAMES[key]


def names(shop: Shop) -> list[str]:
    return [feature.name for feature in catalog.available(shop.tables)]


def equal_bits(one: pd.DataFrame, other: pd.DataFrame, columns: list[str]) -> bool:
    """Compare as bytes, every NaN alike."""
    a, b = (np.where(np.isnan(m), np.nan, m) for m in (one[columns].to_numpy(), other[columns].to_numpy()))
    return a.tobytes() == b.tobytes()


def entities(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["customer_id", "as_of"]]


def grown(frame: pd.DataFrame, n: int) -> pd.DataFrame:
    """Repeat the tiny shop's customers under new ids until there are ``n``."""
    many = pd.concat([frame] * (n // len(frame) + 1), ignore_index=True).iloc[:n]
    return many.assign(customer_id=[f"n{i:06d}" for i in range(n)])


@pytest.mark.parametrize("full", [True, False], ids=["every table", "orders only"])
def test_computed_recalled_and_looked_up_are_bit_equal(make_shop: MakeShop, full: bool) -> None:
    home, shop = make_shop(full=full)
    store = Store.open(home, shop)
    frame = known(shop, AS_OF)
    store.write_snapshot(frame)
    store.publish(frame)

    recalled = store.history(entities(frame).sample(frac=1, random_state=1))
    assert list(recalled.columns) == ["customer_id", "as_of", *names(shop)]
    pd.testing.assert_frame_equal(entities(recalled), entities(frame), check_dtype=False)  # us, ns
    assert equal_bits(recalled, frame, names(shop))

    latest = store.latest(frame["customer_id"].tolist())
    assert latest.found.all()
    assert (latest.as_of == frame["as_of"].dt.tz_localize(None).to_numpy()).all()
    with np.errstate(divide="ignore", invalid="ignore"):
        derived = catalog.derive(latest.columns, float(shop.calendar.day(AS_OF)), shop.tables)
    assert equal_bits(pd.DataFrame({**latest.columns, **derived}), frame, names(shop))
    assert full == ("contacts_28d" in recalled.columns)


def test_history_agrees_with_an_asof_join_in_sql(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    store = Store.open(home, shop)
    frame = known(shop, AS_OF - 9 * DAY, AS_OF - 4 * DAY, AS_OF)
    store.write_snapshot(frame)
    moments = [
        AS_OF - 9 * DAY,
        AS_OF - 8 * DAY,
        AS_OF - 3 * DAY,
        AS_OF,
        AS_OF + 2 * DAY - timedelta(seconds=1),
    ]
    customers = [*frame["customer_id"].unique(), "nobody"]
    asked = pd.DataFrame([(c, m) for m in moments for c in customers], columns=["customer_id", "as_of"])
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("asked", asked)
        con.register("frame", frame)
        expected = con.execute(
            f"SELECT a.customer_id, a.as_of, {', '.join('f.' + name for name in names(shop))} FROM asked a"
            " ASOF LEFT JOIN frame f ON a.customer_id = f.customer_id AND a.as_of >= f.as_of ORDER BY 2, 1"
        ).df()
    recalled = store.history(asked)
    assert (recalled["customer_id"] == expected["customer_id"]).all()
    assert equal_bits(recalled, expected, names(shop))
    assert recalled.loc[recalled["customer_id"] == "nobody", names(shop)].isna().all(axis=None)


def test_what_was_known_over_two_days_before_is_not_recalled(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    store = Store.open(home, shop)
    frame = known(shop, AS_OF)
    rare, late = frame.iloc[:1], frame.iloc[1:].assign(as_of=frame["as_of"] + 3 * DAY)
    store.write_snapshot(rare)
    store.write_snapshot(late)
    at_limit = store.history(entities(rare).assign(as_of=rare["as_of"] + 2 * DAY))
    beyond = store.history(entities(rare).assign(as_of=rare["as_of"] + 3 * DAY))
    assert at_limit["n_orders"].notna().all()
    assert beyond[names(shop)].isna().all(axis=None)
    with pytest.raises(BadInput, match="no snapshot within 2 days"):
        store.history(entities(rare).assign(as_of=AS_OF + 30 * DAY))
    with pytest.raises(ValueError, match="time zone"):
        store.history(entities(rare).assign(as_of=rare["as_of"].dt.tz_localize(None)))


def test_a_snapshot_is_kept_until_the_lake_changes_or_its_bytes_do(make_shop: MakeShop) -> None:
    home, shop = make_shop(days=110)
    store = Store.open(home, shop)
    frame = known(shop, AS_OF)
    assert not store.has_snapshot(AS_OF)
    store.write_snapshot(frame)
    [path] = home.feast.rglob("*.parquet")
    first = path.read_bytes()
    assert store.has_snapshot(AS_OF)
    assert store.has_snapshot(AS_OF + timedelta(hours=23)) and not store.has_snapshot(AS_OF - DAY)

    path.write_bytes(first[:-9] + bytes([first[-9] ^ 1]) + first[-8:])
    assert not store.has_snapshot(AS_OF)
    with pytest.raises(Refused, match="damaged"):
        store.history(entities(frame))
    store.write_snapshot(frame)
    assert path.read_bytes() == first

    home, later = make_shop(days=120)
    newer = Store.open(home, later)
    assert not newer.has_snapshot(AS_OF)
    with pytest.raises(Refused, match="another state of the lake"):
        newer.history(entities(frame))
    newer.write_snapshot(known(later, AS_OF))
    assert newer.has_snapshot(AS_OF) and path.read_bytes() != first
    assert equal_bits(newer.history(entities(frame)), known(later, AS_OF), names(later))


def test_a_stranger_is_not_found_and_nobody_is_another(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    store = Store.open(home, shop)
    assert store.generation() is None
    frame = known(shop, AS_OF)
    store.publish(frame)
    one, other = frame["customer_id"].iloc[[3, 8]]
    latest = store.latest([one, "nobody", other, SENTINEL, one, "", "c00'; --"])
    assert latest.found.tolist() == [True, False, True, False, True, False, False]
    assert np.isnat(latest.as_of[~latest.found]).all()
    for name, column in latest.columns.items():
        assert np.isnan(column[~latest.found]).all()
        expected = frame.set_index("customer_id")[name][[one, other, one]].to_numpy()
        np.testing.assert_array_equal(column[latest.found], expected)
    assert store.latest([]).found.shape == (0,)
    generation = store.generation()
    assert generation is not None
    assert (generation.as_of, generation.n_customers) == (AS_OF, len(frame))
    assert generation.schema_hash == latest.schema_hash == catalog.schema_hash(catalog.stored_names(shop.tables))


def test_an_older_publish_never_overwrites_a_newer(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    store = Store.open(home, shop)
    base = known(shop, AS_OF).iloc[:4]

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.integers(0, 5), st.sets(st.integers(0, 3), min_size=1)), min_size=1, max_size=6))
    def law(pushes: list[tuple[int, set[int]]]) -> None:
        law.round += 1  # type: ignore[attr-defined]
        ids = [f"r{law.round}-{i}" for i in range(4)]  # type: ignore[attr-defined]
        newest: dict[int, int] = {}
        for n, (hours, who) in enumerate(pushes):
            at = base["as_of"] + timedelta(hours=hours, microseconds=1)
            rows = base.assign(customer_id=ids, as_of=at, n_orders=float(hours)).iloc[sorted(who)]
            result = store.push(rows)
            kept = [i for i in who if newest.get(i, -1) > hours]
            assert (result.written, result.kept_newer) == (len(who) - len(kept), len(kept)), n
            newest |= {i: hours for i in who if i not in kept}
        latest = store.latest(ids)
        assert latest.found.tolist() == [i in newest for i in range(4)]
        for i, hours in newest.items():
            assert latest.columns["n_orders"][i] == hours
            assert latest.as_of[i] == np.datetime64(AS_OF.replace(tzinfo=None), "us") + np.timedelta64(
                hours * 3_600_000_000 + 1, "us"
            )

    law.round = 0  # type: ignore[attr-defined]
    law()


def test_an_older_night_moves_neither_customers_nor_generation(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    store = Store.open(home, shop)
    new, old = known(shop, AS_OF), known(shop, AS_OF - 7 * DAY)
    store.publish(new)
    generation = store.generation()
    assert store.publish(old).written == 0
    assert store.generation() == generation
    assert (store.latest(new["customer_id"].tolist()).columns["n_orders"] == new["n_orders"]).all()


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_the_machine_s_time_zone_changes_nothing(
    make_shop: MakeShop, monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    home, shop = make_shop()
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        store = Store.open(home, shop)
        gap = pd.Timestamp("2024-03-10T02:30:00", tz="UTC").as_unit("us")  # no such time of day in New York
        frame = known(shop, AS_OF).assign(as_of=gap)
        store.publish(frame)
        store.write_snapshot(frame)
        assert (store.latest(["c39"]).as_of == np.datetime64("2024-03-10T02:30:00", "us")).all()
        assert equal_bits(store.history(entities(frame)), frame, names(shop))
        at_limit = store.history(entities(frame).assign(as_of=gap + 2 * DAY))
        assert equal_bits(at_limit, frame, names(shop))
    finally:
        monkeypatch.undo()
        time.tzset()


def test_reopening_keeps_all_and_so_does_moving_the_home(make_shop: MakeShop, tmp_path: Path) -> None:
    home, shop = make_shop()
    frame = known(shop, AS_OF)
    first = Store.open(home, shop)
    first.write_snapshot(frame)
    first.publish(frame)
    applied = (home.feast / shop.name / "applied.json").stat().st_mtime_ns
    again = Store.open(home, shop)
    assert (home.feast / shop.name / "applied.json").stat().st_mtime_ns == applied
    assert again.latest(["c39"]).found.all() and again.has_snapshot(AS_OF)

    home.root.rename(tmp_path / "moved")
    home = Home.open(tmp_path / "moved")
    moved = Store.open(home, open_shop(home))
    assert equal_bits(moved.history(entities(frame)), frame, names(shop))
    assert moved.latest(["c39"]).found.all()


def test_a_shop_that_gains_a_table_refuses_old_rows_until_the_next_night(make_shop: MakeShop) -> None:
    home, before = make_shop(full=False)
    store = Store.open(home, before)
    store.write_snapshot(known(before, AS_OF))
    store.publish(known(before, AS_OF))
    home, after = make_shop(full=True)
    richer = Store.open(home, after)
    with pytest.raises(Refused, match="schema"):
        richer.latest(["c39"])
    frame = known(after, AS_OF)
    richer.publish(frame)
    richer.write_snapshot(frame)
    assert richer.latest(["c39"]).found.all()
    assert equal_bits(richer.history(entities(frame)), frame, names(after))


def test_two_shops_of_one_home_do_not_meet(make_shop: MakeShop) -> None:
    home, one = make_shop("one")
    _, two = make_shop("two", full=False)
    Store.open(home, one).publish(known(one, AS_OF))
    assert not Store.open(home, two).latest(["c39"]).found.any()


def test_four_processes_may_open_a_new_store_at_once(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    frame = known(shop, AS_OF)
    start = fork.Barrier(4)

    def work(n: int) -> None:
        start.wait()
        store = Store.open(home, shop)
        store.push(frame.iloc[n::4])
        os._exit(0 if store.latest(frame["customer_id"].iloc[n::4].tolist()).found.all() else 3)

    workers = [fork.Process(target=work, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert Store.open(home, shop).latest(frame["customer_id"].tolist()).found.all()


def test_a_publish_killed_half_way_is_run_again_and_readers_never_fail(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    store = Store.open(home, shop)
    frame = grown(known(shop, AS_OF), 12_000)
    ids = frame["customer_id"].tolist()
    store.publish(frame)
    old = store.latest(ids)
    tonight = frame.assign(as_of=frame["as_of"] + DAY, n_orders=-1.0)

    def work() -> None:
        Store.open(home, shop).publish(tonight)
        os._exit(0)

    for delay in (0.05, 0.2, 0.4):
        worker = fork.Process(target=work)
        worker.start()
        until = time.monotonic() + delay
        while time.monotonic() < until:
            seen = store.latest(ids[::40])
            is_new = seen.as_of > old.as_of[::40]
            assert seen.found.all()
            assert (seen.columns["n_orders"] == np.where(is_new, -1.0, old.columns["n_orders"][::40])).all()
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        generation = store.generation()
        assert generation is not None
        assert generation.as_of == AS_OF or (store.latest(ids).as_of > old.as_of).all()
    store.publish(tonight)
    assert (store.latest(ids).columns["n_orders"] == -1.0).all()
    generation = store.generation()
    assert generation is not None and generation.as_of == AS_OF + DAY


def test_a_reader_never_sees_half_of_what_a_thread_writes(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    store = Store.open(home, shop)
    frame = known(shop, AS_OF)
    start = np.datetime64(AS_OF.replace(tzinfo=None), "us")

    def write() -> None:
        for second in range(60):
            at = frame["as_of"] + timedelta(seconds=second)
            store.push(frame.assign(as_of=at, n_orders=float(second)))

    store.push(frame.assign(n_orders=0.0))
    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        seen = store.latest(frame["customer_id"].tolist())
        assert (seen.columns["n_orders"] == (seen.as_of - start) / np.timedelta64(1, "s")).all()
    assert (store.latest(["c39"]).columns["n_orders"] == 59).all()


def test_feast_s_own_door_gives_the_same(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    store = Store.open(home, shop)
    frame = known(shop, AS_OF)
    store.publish(frame)
    feast = store._feast
    answer = feast.get_online_features(feast.get_feature_service("scoring"), [{"customer_id": "c39"}]).to_dict()
    np.testing.assert_array_equal(answer["vector"][0], [column[0] for column in store.latest(["c39"]).columns.values()])
    assert answer["schema_hash"] == [store.schema_hash]
    view = feast.get_feature_view("customer_features")
    assert not view.online
    assert [field.name for field in view.features] == names(shop)
    assert all(field.description and field.tags["kind"] in ("stored", "derived") for field in view.features)


def test_an_id_that_was_merged_away_is_not_found_until_it_is_its_own_again(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    store, frame = Store.open(home, shop), known(shop, AS_OF)
    store.publish(frame)
    away = frame.customer_id.iloc[0]
    store.publish(frame.iloc[1:], [away, "never seen"])
    assert store.latest([away, *frame.customer_id[1:3]]).found.tolist() == [False, True, True]
    store.publish(frame)
    assert store.latest([away]).found.tolist() == [True]


def test_an_erased_customer_leaves_no_bytes_online_and_no_snapshot(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    store, frame = Store.open(home, shop), known(shop, AS_OF)
    frame = frame.assign(customer_id=[f"zq{n:04d}x" for n in range(len(frame))])
    store.write_snapshot(frame)
    store.publish(frame)
    gone = frame.customer_id.iloc[0]
    assert forget.found_in(home, shop.name, [gone]) == {"offline snapshots": 1, "online store": 1}
    forget.erase(home, shop.name, [gone])
    assert forget.found_in(home, shop.name, [gone]) == {}
    files = [path for path in home.feast.rglob("*") if path.is_file()]
    assert not [path for path in files if gone.encode() in path.read_bytes()]
    assert store.latest([gone, frame.customer_id.iloc[1]]).found.tolist() == [False, True]
    assert store.generation() is not None, "the night stands for the others"
    forget.erase(home, shop.name, [gone])
    forget.erase(home, "another", [gone])


def test_an_online_store_of_another_kind_is_refused_rather_than_passed_over(make_shop: MakeShop) -> None:
    home, shop = make_shop()
    Store.open(home, shop)
    (home.feast / shop.name / "online.db").unlink()
    with pytest.raises(Refused, match=r"not the SQLite file"):
        forget.erase(home, shop.name, ["a"])
