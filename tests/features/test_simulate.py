"""The simulated shop: its export is whole and repeatable, and its truths can be found again in what the shop sees."""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from features.door.ingest import ingest
from features.door.mapping_file import load_mapping, mapping_path
from features.door.tables import TABLES
from features.errors import BadInput
from features.home import Home
from features.lake import sha256_file
from features.shop import open_shop
from features.simulate import CHUNK, DAYS, UNTIL, simulate
from features.simulate.catalogue import OFFERS
from features.simulate.orders import LATE_FACTOR, LEAST_SERVICE, WINDOW_DAYS
from features.simulate.span import Span
from features.simulate.truth import truth
from features.simulate.world import draw_world
from serving.cli.simulate import simulate as command

CUSTOMERS = int(os.environ.get("OKAERI_SIMULATED", "20000"))  # a long run: the same with OKAERI_SIMULATED=1000000
SIGMAS = 4.0  # an honest simulator fails one such test in 16,000; seeds are fixed, so a pass stays one
PROMISES = {"お届け予定", "次回出荷日", "ポイント期限"}  # the only columns that may look past the end
MOST_MEMORY_MB = 1024


@dataclass(frozen=True)
class Simulated:
    """A simulated shop's folder, asked in SQL: the export's files and the truth's are views."""

    folder: Path
    con: duckdb.DuckDBPyConnection

    def rows(self, sql, *values):
        return self.con.execute(sql, values).fetchall()

    def columns(self, sql):
        return self.con.execute(sql).fetchnumpy()


def opened(folder):
    """Open a simulated shop's files as views."""
    con = duckdb.connect()
    for path in folder.rglob("*.parquet"):
        name = f"truth_{path.stem}" if path.parent.name == "truth" else path.stem
        con.execute(f"CREATE VIEW {name} AS FROM '{path}'")
    return Simulated(folder, con)


def sha256s(folder):
    return {path.relative_to(folder): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def small(folder, name, customers=600, seed=7, **options):
    """Simulate a shop of small chunks and give its folder."""
    simulate(folder / name, customers, seed, **{"days": 200, "chunk": 200} | options)
    return folder / name


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A whole shop of the default span."""
    folder = tmp_path_factory.mktemp("simulated") / "hana"
    simulate(folder, CUSTOMERS, 1, chunk=min(CHUNK, CUSTOMERS // 4))
    return opened(folder)


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path):
    first, again, other = small(tmp_path, "a"), small(tmp_path, "b"), small(tmp_path, "c", seed=8)
    assert sha256s(first) == sha256s(again)
    theirs = sha256s(other)
    assert {name.name for name, sha256 in sha256s(first).items() if sha256 == theirs[name]} == {"products.parquet"}


def test_a_larger_shop_begins_with_the_same_full_chunks(tmp_path):
    two, three = small(tmp_path, "two", 400), small(tmp_path, "three", 600)
    for path in (p for p in two.rglob("*.parquet") if p.stem not in ("products", "costs")):
        whole = pq.read_table(path)
        assert whole.equals(pq.ParquetFile(three / path.relative_to(two)).read_row_groups([0, 1])), path.name


def test_a_chunk_is_the_same_whatever_was_drawn_before_it(tmp_path):
    written = pq.ParquetFile(small(tmp_path, "three") / "truth" / "customers.parquet").read_row_group(2)
    alone = truth(draw_world(7, 2, np.arange(400, 600), Span(UNTIL, 200)))["customers"]
    assert alone == {name: written[name].combine_chunks() for name in written.column_names}


def test_nothing_happens_before_the_span_or_on_its_end_or_later(shop):
    first, end = UNTIL - timedelta(DAYS), UNTIL
    for path in shop.folder.glob("*.parquet"):
        schema = pq.read_schema(path)
        for name in (f.name for f in schema if str(f.type).startswith(("timestamp", "date"))):
            earliest, latest = shop.rows(f'SELECT min("{name}")::DATE, max("{name}")::DATE FROM {path.stem}')[0]
            assert name in PROMISES or latest < end, (path.stem, name)
            assert name == "発売日" or earliest >= first, (path.stem, name)


def test_no_more_comes_back_than_was_bought_and_never_before_it(shop):
    traded = (
        "SELECT 顧客番号, 商品コード, sum(数量) AS n, sum(金額税込) AS yen, min(受注日時) AS first FROM order_lines"
    )
    found = shop.rows(
        f"WITH back AS ({traded} WHERE 区分 = '返品' GROUP BY ALL), sold AS ({traded} WHERE 区分 = '受注' GROUP BY ALL)"
        " SELECT coalesce(back.n <= sold.n AND back.yen <= sold.yen AND back.first > sold.first, false)"
        " FROM back LEFT JOIN sold USING (顧客番号, 商品コード)"
    )
    assert len(found) > 0.05 * CUSTOMERS
    assert all(right for (right,) in found)


def test_a_named_return_names_an_order_of_the_same_customer_and_product(shop):
    named, right = shop.rows(
        "SELECT count(*), count(o.受注番号) FROM order_lines r LEFT JOIN order_lines o ON o.受注番号 = r.元受注番号"
        " AND o.行番号 = r.行番号 AND o.顧客番号 = r.顧客番号 AND o.商品コード = r.商品コード AND o.区分 = '受注'"
        " WHERE r.元受注番号 IS NOT NULL"
    )[0]
    assert named == right > 0
    unnamed = shop.rows("SELECT count(*) FROM order_lines WHERE 区分 = '返品' AND 元受注番号 IS NULL")[0][0]
    assert 0.3 < unnamed / (named + unnamed) < 0.5


def test_every_line_adds_up_and_only_known_products_are_sold_after_their_launch(shop):
    wrong = "金額税込 <> 定価 * 数量 - 値引額 OR 金額税込 < 0 OR 値引額 < 0 OR 受注日時 < 発売日"
    sold = "FROM order_lines JOIN products USING (商品コード) WHERE 区分 <> '返品'"
    assert shop.rows(f"SELECT count(*) > 1000, count(*) FILTER ({wrong}) {sold}") == [(True, 0)]
    unknown = "SELECT DISTINCT 商品コード FROM order_lines ANTI JOIN products USING (商品コード)"
    assert shop.rows(unknown) == [("SORYO",)]


@pytest.mark.parametrize(
    "slices",
    [
        pytest.param("'all'", id="altogether"),
        pytest.param("ntile(5) OVER (ORDER BY rate_per_day)", id="by true rate"),
        pytest.param("favourite_category", id="by taste"),
        pytest.param("least(dropout_day, DATE '2026-11-21') - first_order_day > 180", id="by time alive"),
    ],
)
def test_own_orders_are_as_many_as_expected(shop, slices):
    found = shop.rows(
        f"SELECT s, sum(own_orders), sum(expected_own_orders) FROM (SELECT *, {slices} AS s FROM truth_customers"
        " WHERE first_order_day IS NOT NULL) GROUP BY ALL"
    )
    for name, own, expected in found:
        assert abs(float(own) - expected) < SIGMAS * max(expected, 1.0) ** 0.5, name


def test_the_true_rate_is_the_mean_rate_of_the_orders_that_the_shop_sees(shop):
    """From the export alone: one-off orders after the first, of who was never written to, in quarters of true rate."""
    found = shop.rows(
        """
        WITH placed AS (SELECT 顧客番号 AS customer_id, count(DISTINCT 受注番号) - 1 AS later FROM order_lines
                        WHERE 受注形態 = '通常' AND 区分 <> '返品' GROUP BY ALL),
             agreed AS (SELECT DISTINCT 顧客番号 AS customer_id FROM consents WHERE 目的 = '販促' AND 同意),
             alone AS (SELECT *, ntile(4) OVER (ORDER BY rate_per_day) AS quarter FROM truth_customers
                       JOIN placed USING (customer_id) ANTI JOIN agreed USING (customer_id))
        SELECT count(*), count(*) FILTER (later <> own_orders), sum(later) / sum(exposure_days),
               sum(rate_per_day * exposure_days) / sum(exposure_days), sum(later) FROM alone GROUP BY quarter
        """
    )
    assert len(found) == 4
    for customers, differing, seen, true, orders in found:
        assert customers > 0.03 * CUSTOMERS
        assert differing == 0
        # Two orders of one day are one: 4 % fewer for the busiest quarter.
        assert seen == pytest.approx(true, rel=0.04 + SIGMAS / float(orders) ** 0.5)


def test_a_late_parcel_lowers_the_rate_by_the_factor_it_should(shop):
    found = shop.rows(
        """
        WITH orders AS (SELECT DISTINCT 受注番号, 顧客番号 AS customer_id FROM order_lines),
             disappointed AS (SELECT customer_id, count(*) AS late FROM shipments JOIN orders USING (受注番号)
                              WHERE 配達完了 > お届け予定 GROUP BY ALL)
        SELECT service_factor, coalesce(late, 0) FROM truth_customers LEFT JOIN disappointed USING (customer_id)
        """
    )
    assert max(late for _, late in found) >= 2
    assert all(factor == pytest.approx(max(LATE_FACTOR**late, LEAST_SERVICE)) for factor, late in found)


@pytest.fixture(scope="module")
def contacts(shop):
    """Every contact whose window is over: its arm, its true chances and whether an order was placed in the window."""
    last = UNTIL - timedelta(WINDOW_DAYS + 1)
    return shop.columns(
        f"""
        WITH placed AS (SELECT DISTINCT 顧客番号, 受注日時::DATE AS day FROM order_lines WHERE 区分 <> '返品'),
             ordered AS (SELECT DISTINCT 配信番号 FROM contacts JOIN placed USING (顧客番号)
                         WHERE day > 配信日時::DATE AND day <= 配信日時::DATE + {WINDOW_DAYS})
        SELECT t.*, 対照群 AS withheld, 特典 AS offer, (o.配信番号 IS NOT NULL)::BIGINT AS ordered,
               p_order_cpn_500 < p_order_without AS is_annoyed
        FROM contacts c JOIN truth_contacts t ON t.contact_id = c.配信番号
        LEFT JOIN ordered o USING (配信番号) WHERE 配信日時::DATE <= DATE '{last}'
        """
    )


@pytest.mark.parametrize("offer", OFFERS)
def test_treated_minus_control_is_the_true_effect(contacts, offer):
    treated, control = contacts["arm"] == offer, contacts["arm"] == "control"
    y, true = contacts["ordered"], contacts[f"p_order_{offer}"] - contacts["p_order_without"]
    seen = y[treated].mean() - y[control].mean()
    error = np.sqrt(y[treated].var() / treated.sum() + y[control].var() / control.sum())
    assert abs(seen - true.mean()) < SIGMAS * error
    assert true.mean() > 0.003  # there is something to find


@pytest.mark.parametrize("arm", ["control", *OFFERS])
@pytest.mark.parametrize("annoyed", [True, False])
def test_each_arm_orders_as_often_as_its_true_chances_say(contacts, arm, annoyed):
    rows = (contacts["arm"] == arm) & (contacts["is_annoyed"] == annoyed)
    p = contacts["p_order_without" if arm == "control" else f"p_order_{arm}"][rows]
    assert abs(contacts["ordered"][rows].sum() - p.sum()) < SIGMAS * np.sqrt((p * (1 - p)).sum())


def test_arms_are_drawn_evenly_and_only_the_control_arm_is_withheld(contacts):
    arms, n = np.unique(contacts["arm"], return_counts=True)
    assert set(arms) == {"control", *OFFERS}
    assert (abs(n - n.mean()) < SIGMAS * np.sqrt(n.mean())).all()
    assert ((contacts["arm"] == "control") == contacts["withheld"]).all()
    assert (np.ma.getmaskarray(contacts["offer"]) == contacts["withheld"]).all()


def test_nobody_is_written_to_without_consent_or_while_subscribed(shop):
    assert not shop.rows(
        "SELECT 配信番号 FROM contacts JOIN consents USING (顧客番号, 媒体コード)"
        " WHERE 目的 = '販促' AND 同意日時 < 配信日時 GROUP BY ALL HAVING NOT arg_max(同意, 同意日時) LIMIT 1"
    )
    assert not shop.rows(
        "SELECT 1 FROM contacts JOIN subscriptions USING (顧客番号) WHERE 開始日時 < 配信日時"
        " AND coalesce(解約日時, 休止日時, DATE '2099-01-01')::DATE > 配信日時::DATE LIMIT 1"
    )


def test_subscriptions_are_sent_at_their_interval_until_they_end(shop):
    found = shop.rows(
        "WITH parcels AS (SELECT DISTINCT 顧客番号, 受注日時::DATE AS day FROM order_lines"
        " WHERE 受注形態 = '定期' AND 区分 = '受注')"
        " SELECT day - lag(day, 1, 開始日時::DATE) OVER (PARTITION BY 顧客番号 ORDER BY day), お届け間隔日数,"
        " day > coalesce(解約日時, 休止日時, DATE '2099-01-01')::DATE FROM subscriptions JOIN parcels USING (顧客番号)"
    )
    assert len(found) > 0.1 * CUSTOMERS
    assert all(gap == interval and not is_over for gap, interval, is_over in found)


def test_points_are_never_below_zero_and_the_last_balance_is_the_customers(shop):
    lowest, members, wrong = shop.rows(
        "SELECT min(balance), count(DISTINCT 顧客番号), count(*) FILTER (nth_last = 1 AND balance <> 保有ポイント)"
        " FROM (SELECT 顧客番号, sum(ポイント) OVER (PARTITION BY 顧客番号 ORDER BY 発生日時) AS balance,"
        " row_number() OVER (PARTITION BY 顧客番号 ORDER BY 発生日時 DESC) AS nth_last FROM loyalty_events)"
        " JOIN customers USING (顧客番号)"
    )[0]
    assert (lowest >= 0, members > 0.9 * CUSTOMERS, wrong) == (True, True, 0)


def test_a_second_account_shares_its_mail_hash_with_the_first(shop):
    linked = shop.rows(
        "SELECT list(顧客番号 ORDER BY 紐付日時) FROM identities WHERE 識別種別 = 'email_hash'"
        " GROUP BY 識別子 HAVING count(*) > 1"
    )
    same = {tuple(pair) for (pair,) in linked}
    assert same <= set(shop.rows("SELECT same_person_as, customer_id FROM truth_customers"))
    assert len(same) > 0.001 * CUSTOMERS


def test_the_shop_looks_like_the_one_of_the_sample_policy(shop):
    orders = "SELECT count(DISTINCT 受注番号) AS n FROM order_lines WHERE 区分 = '受注' GROUP BY 顧客番号"
    assert shop.rows(f"SELECT avg((n = 1)::INT) FROM ({orders})")[0][0] == pytest.approx(0.45, abs=0.02)
    consents = "SELECT arg_max(同意, 同意日時) AS agrees FROM consents WHERE 媒体コード = ? GROUP BY 顧客番号"
    newest = f"SELECT avg(agrees::INT) FROM ({consents})"
    assert shop.rows(newest, "email")[0][0] == pytest.approx(8_400 / 12_000, abs=0.02)
    assert shop.rows(newest, "line")[0][0] == pytest.approx(3_100 / 12_000, abs=0.02)


def test_the_door_takes_all_of_it_in_with_nothing_quarantined(tmp_path):
    folder, path = small(tmp_path, "hana", 3_000, days=400, chunk=2_000), mapping_path(Path("hananone"))
    home, mapping = Home.open(tmp_path / "home"), load_mapping(path)
    now, files = datetime(2026, 11, 21, tzinfo=UTC), sorted(folder.glob("*.parquet"))
    ledger = ingest(home, mapping, path.read_bytes(), files, now)
    assert ledger.balanced()
    assert (ledger.quarantined, ledger.duplicates, set(ledger.reasons)) == (0, 0, {"order_lines.postage"})
    assert open_shop(home, "hananone").tables >= set(TABLES)
    assert mapping.clock == UNTIL


def test_memory_stays_that_of_one_chunk(tmp_path):
    code = (
        "import sys; from pathlib import Path; from features.simulate import CHUNK, simulate;"
        " n = int(sys.argv[2]); simulate(Path(sys.argv[1]), n, 1, days=90, chunk=min(CHUNK, n // 10));"
        " status = Path('/proc/self/status').read_text()"  # rusage would count the parent's peak before the exec
        "; print(int(status.partition('VmHWM:')[2].split()[0]) // 1024)"
    )
    ran = [sys.executable, "-c", code, str(tmp_path / "big"), str(CUSTOMERS)]
    peak = int(subprocess.run(ran, capture_output=True, check=True, text=True, timeout=3600).stdout)
    assert peak < MOST_MEMORY_MB


@pytest.mark.parametrize(
    ("wrong", "named"), [({"customers": 0}, "customers"), ({"seed": -1}, "seed"), ({"days": 3}, "days")]
)
def test_an_argument_out_of_range_is_named_and_nothing_is_written(tmp_path, wrong, named):
    with pytest.raises(BadInput, match=named):
        simulate(tmp_path / "hana", **{"customers": 10, "seed": 1} | wrong)
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="--out"):
        simulate(tmp_path, 10, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_simulation_that_breaks_off_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("features.simulate.truth", lambda world: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        simulate(tmp_path / "hana", 50, 1, days=60)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("customers", [1, 2, 30])
def test_a_tiny_shop_is_a_shop(tmp_path, customers):
    counts = simulate(tmp_path / "hana", customers, 3, days=30)
    assert counts["customers"] == counts["truth/customers"] == customers


def test_the_command_says_how_many_rows_went_where(tmp_path):
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, ["--customers", "40", "--out", str(tmp_path / "hana"), "--until", "2025-03-01"])
    assert result.exit_code == 0, result.output
    assert "okaeri ingest --shop hananone" in result.output
    latest = duckdb.sql(f"SELECT max(受注日時)::DATE FROM '{tmp_path}/hana/order_lines.parquet'").fetchone()
    assert latest[0] < date(2025, 3, 1)
    assert CliRunner().invoke(app, ["--until", "soon"]).exit_code == 2
