"""Whether messages paid: shops whose contacts and orders are told by hand, and a simulated one whose truth is known."""

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from features.assignments import assignments
from features.calendar import day_number
from features.door.ingest import ingest
from features.door.mapping_file import load_mapping, mapping_path, parse_mapping
from features.errors import Refused
from features.home import Home
from features.shop import open_shop
from features.simulate import UNTIL, simulate
from features.simulate.orders import WINDOW_DAYS
from tests.worlds import NOW, at, number, write_csv
from training.evaluation import incremental
from training.evaluation.incremental import Assumptions, judge, judge_experiments
from training.labels import orders_after

ORDERS = "order_id customer_id ordered_at product_id quantity revenue tax discount cost line_no returns_order_id status"
CONTACTS = "contact_id decision_id customer_id campaign_id scenario at cost withheld"
LINKS = "alias_type alias customer_id linked_at"
TABLES = {"order_lines": f"{ORDERS} known_at", "contacts": f"{CONTACTS} known_at", "identities": LINKS}
HEAD = """shop: toy
currency: JPY
tax: included
timezone: Asia/Tokyo
predict: {lookback_days: 56, min_order_days: 1}
tables:
"""
BLOCK = "  {0}:\n    source: {0}*.csv\n    columns: {{{1}}}\n"
ANYBODY = {"order_id": "o0", "customer_id": "z", "ordered_at": at(0), "product_id": "p", "quantity": 1, "revenue": 1}


def toy(folder, **tables):
    """Take rows in as a shop of their own; a table without rows is not brought."""
    folder.mkdir(exist_ok=True)
    tables = {"order_lines": [ANYBODY]} | tables
    files = [write_csv(folder / f"{name}.csv", TABLES[name].split(), rows) for name, rows in tables.items()]
    columns = {name: ", ".join(f"{c}: {c}" for c in TABLES[name].split()) for name in tables}
    text = (HEAD + "".join(BLOCK.format(*table) for table in columns.items())).encode()
    home = Home.open(folder / "home")
    ledger = ingest(home, parse_mapping(text, "shop.yaml"), text, files, NOW)
    assert not ledger.quarantined
    return open_shop(home, "toy")


def contact(customer, day, scenario="win_back", withheld=False, **more):
    """Write a contact; `ours` names the decision it stands for."""
    said = {"contact_id": f"{customer}-{day}-{scenario}", "customer_id": customer, "scenario": scenario, "at": at(day)}
    return said | {"withheld": str(withheld).lower(), "cost": 3, "known_at": at(day)} | more


def ours(customer, day, scenario="win_back", withheld=False, **more):
    return contact(customer, day, scenario, withheld, decision_id=f"d-{customer}-{day}-{scenario}") | more


def line(customer, day, revenue=1100, hour=15, order=None, **more):
    said = {"order_id": order or f"{customer}-{day}-{hour}", "customer_id": customer, "ordered_at": at(day, hour)}
    return said | {"product_id": "p", "quantity": 1, "revenue": revenue, "known_at": at(day, hour)} | more


def told(found):
    return {(row.experiment, row.customer_id): (row.arm, row.day - number(0), row.cost) for row in found.itertuples()}


# ---- who was drawn for what


def test_everyone_decided_on_counts_once_from_their_first_decision(tmp_path):
    rows = [
        contact("a", 40), contact("a", 10), contact("a", 15), contact("a", 12, withheld=True),
        contact("b", 20, withheld=True), contact("b", 30),
    ]  # fmt: skip
    found = assignments(toy(tmp_path, contacts=rows), number(50), window_days=14)
    assert told(found) == {
        ("win_back", "a"): ("treatment", 10, 6.0),  # that of day 15 counts, what was withheld costs nothing
        ("win_back", "b"): ("control", 20, 3.0),  # drawn to be left alone, and written to all the same
    }
    assert list(found.customer_id) == ["a", "b"] and found["at"].iloc[0] == 1704942000.0  # 2024-01-11 12:00 in Tokyo


def test_what_happens_or_is_known_later_changes_nothing(tmp_path):
    rows = [contact("a", 10), contact("b", 20, withheld=True)]
    later = [contact("c", 50), contact("d", 30, known_at=at(50)), contact("a", 49, known_at=at(60))]
    some, all_ = toy(tmp_path / "some", contacts=rows), toy(tmp_path / "all", contacts=rows + later)
    pd.testing.assert_frame_equal(assignments(some, number(50), 14), assignments(all_, number(50), 14))


def test_what_is_sent_to_everybody_is_no_experiment(tmp_path):
    rows = [contact("a", 10, "thanks"), contact("a", 11), contact("b", 12, withheld=True)]
    found = assignments(toy(tmp_path, contacts=rows), number(50), 14)
    assert set(found.experiment) == {"win_back"}


def test_a_campaign_without_a_scenario_is_an_experiment_of_its_own(tmp_path):
    rows = [contact("a", 1, None, campaign_id="spring"), contact("b", 1, None, True, campaign_id="spring")]
    assert set(assignments(toy(tmp_path, contacts=rows), number(50), 14).experiment) == {"spring"}


def test_those_left_alone_altogether_are_the_global_control_and_in_no_scenario_of_ours(tmp_path):
    rows = [
        ours("a", 10), ours("b", 11, withheld=True), ours("b", 20, "refill"), ours("g", 9, withheld=True),
        ours("g", 30, "refill", True), ours("a", 31, "refill"), ours("c", 33, "refill", True), ours("g", 1, "thanks"),
        contact("h", 5), contact("h", 6, withheld=True),
    ]  # fmt: skip
    shop = toy(tmp_path, contacts=rows)
    found = assignments(shop, number(50), 14, lambda ids: np.array([i in "gh" for i in ids], np.bool_))
    assert told(found) == {
        ("global", "a"): ("treatment", 10, 3.0),
        ("global", "b"): ("treatment", 11, 3.0),
        ("global", "c"): ("treatment", 33, 0.0),
        ("global", "g"): ("control", 9, 0.0),
        ("refill", "a"): ("treatment", 31, 3.0),
        ("refill", "b"): ("treatment", 20, 3.0),
        ("refill", "c"): ("control", 33, 0.0),
        ("win_back", "a"): ("treatment", 10, 3.0),
        ("win_back", "b"): ("control", 11, 0.0),
        ("win_back", "h"): ("treatment", 5, 3.0),  # the shop's own, of another draw
    }
    assert found.set_index(["experiment", "customer_id"]).is_ours.to_dict()["win_back", "h"] is False


def test_two_ids_of_one_person_are_one_customer(tmp_path):
    links = [{"alias_type": "device", "alias": "x", "customer_id": c, "linked_at": at(3)} for c in "ab"]
    rows = [contact("b", 10, withheld=True), contact("a", 20), contact("c", 10)]
    shop = toy(tmp_path, contacts=rows, identities=links, order_lines=[ANYBODY, line("b", 12)])
    found = assignments(shop, number(50), 14)
    assert told(found) == {("win_back", "a"): ("control", 10, 3.0), ("win_back", "c"): ("treatment", 10, 3.0)}
    assert list(orders_after(shop, found, 14, 0, 0.3, number(50)).n_orders) == [1, 0]


def test_a_shop_without_contacts_has_no_experiments(tmp_path):
    shop = toy(tmp_path)
    assert assignments(shop, number(50), 14).empty
    assert judge_experiments(shop, number(50), Assumptions(14, 0.3)) == []


# ---- what they did


@pytest.mark.parametrize(
    ("lines", "expected"),  # n_orders, revenue, margin
    [
        pytest.param([line("a", 10, hour=11.9)], (0, 0, 0), id="an order before the decision does not count"),
        pytest.param([line("a", 10, hour=12.1)], (1, 1100, 330), id="one on its day but after it does"),
        pytest.param([line("a", 24, hour=23.9)], (1, 1100, 330), id="the window ends with the day"),
        pytest.param([line("a", 25, hour=0.1)], (0, 0, 0), id="an order on the day after it does not count"),
        pytest.param([line("a", 12, tax=100, cost=400)], (1, 1000, 600), id="without tax, less its cost"),
        pytest.param([line("a", 12, 900, discount=100)], (1, 900, 200), id="0.3 of 1000, less the discount"),
        pytest.param([line("a", 12, 900, discount=100, cost=500)], (1, 900, 400), id="a discount is off the revenue"),
        pytest.param([line("a", 12, status="cancelled")], (0, 0, 0), id="cancelled is no order"),
        pytest.param([line("a", 23, known_at=at(26))], (1, 1100, 330), id="entered late, before it is settled"),
        pytest.param([line("a", 23, known_at=at(27))], (0, 0, 0), id="told after it is settled changes nothing"),
        pytest.param(
            [
                line("a", 12, order="x", cost=500, tax=100),
                line("a", 26, -1100, order="r", quantity=-1, cost=500, tax=100, returns_order_id="x"),
            ],
            (0, 0, 0),
            id="sent back whole, with cost and tax written without signs",
        ),
        pytest.param(
            [line("a", 5, order="x"), line("a", 12, -1100, order="r", quantity=-1, returns_order_id="x")],
            (0, 0, 0),
            id="what comes back of an earlier order is not the message's",
        ),
        pytest.param([line("a", 12), line("a", 13), line("b", 13)], (2, 2200, 660), id="each order counts"),
        pytest.param(
            [line("a", 12, order="x", line_no=1), line("a", 12, order="x", line_no=2)],
            (1, 2200, 660),
            id="not each line",
        ),
    ],
)
def test_orders_after_a_decision_by_hand(tmp_path, lines, expected):
    shop = toy(tmp_path, contacts=[contact("a", 10), contact("c", 10, withheld=True)], order_lines=[ANYBODY, *lines])
    drawn = assignments(shop, number(50), 14)
    found = orders_after(shop, drawn, 14, 2, 0.3, number(50))
    assert tuple(found.iloc[0]) == pytest.approx(expected) and tuple(found.iloc[1]) == (0, 0, 0)


def test_a_window_that_is_not_over_is_refused(tmp_path):
    shop = toy(tmp_path, contacts=[contact("a", 10), contact("c", 10, withheld=True)])
    drawn = assignments(shop, number(27), 14)
    assert len(orders_after(shop, drawn, 14, 2, 0.3, number(27)))
    with pytest.raises(Refused, match="not known before"):
        orders_after(shop, drawn, 14, 3, 0.3, number(27))


def test_only_windows_that_are_over_count_and_everyone_drawn_is_in_the_split(tmp_path):
    rows = [contact(f"a{n}", n) for n in range(1, 31)] + [contact(f"c{n}", n, withheld=True) for n in range(1, 31)]
    how = Assumptions(14, 0.3, control_shares={"win_back": 0.5}, settle_days=2)
    (found,) = judge_experiments(toy(tmp_path, contacts=rows), number(31), how)
    assert found.counted == {"treatment": 14, "control": 14} and found.assigned == {"treatment": 30, "control": 30}
    assert (found.first_day, found.last_day) == (number(1), number(14)) and found.split_p_value == pytest.approx(1)


# ---- what is said of it


def drawn_as(n_treated, n_control, buys, buys_beside, margin=1000.0, cost=10.0, ours=True):
    """Write the rows of an experiment whose shares of buyers are given."""
    arm = np.repeat(["treatment", "control"], [n_treated, n_control])
    orders = np.concatenate([np.arange(n) < share * n for n, share in ((n_treated, buys), (n_control, buys_beside))])
    profit = margin * orders - cost * (arm == "treatment")
    return pd.DataFrame(
        {"arm": arm, "day": 1, "is_ours": ours, "n_orders": orders.astype(int), "margin": margin * orders}
    ).assign(profit=profit)


HOW = Assumptions(14, 0.3, lifts={"e": 0.03}, own_shares={"e": 0.2})


@pytest.mark.parametrize(
    ("rows", "orders", "profit"),
    [
        (drawn_as(8_000, 2_000, 0.15, 0.10), "gain", "gain"),
        (drawn_as(8_000, 2_000, 0.10, 0.15), "loss", "loss"),
        (drawn_as(800, 200, 0.15, 0.10), "too_small", "too_small"),
        (drawn_as(80_000, 20_000, 0.101, 0.100, cost=1.0), "no_difference", "no_difference"),
        (drawn_as(80_000, 20_000, 0.13, 0.10, cost=80.0), "gain", "loss"),  # more orders, and it does not pay
        (drawn_as(8_000, 400, 0.60, 0.10), "too_small", "too_small"),  # 40 buyers beside
        (drawn_as(100, 0, 0.5, 0.5), "too_small", "too_small"),
    ],
)
def test_what_is_said_by_hand(rows, orders, profit):
    found = judge("e", rows, rows, HOW)
    assert (found.orders.verdict, found.profit.verdict, found.verdict) == (orders, profit, profit)
    assert not found.is_split_off or len(rows) in (8_400, 100)


def test_the_figures_by_hand():
    rows = drawn_as(8_000, 2_000, 0.15, 0.10)
    found = judge("e", rows, rows, HOW)
    assert float(found.orders.anytime.value) == pytest.approx(0.05)
    assert float(found.profit.anytime.value) == pytest.approx(50 - 10)
    assert found.orders.assumed == pytest.approx(0.03 * 0.9) and found.profit.assumed == pytest.approx(27.0)
    p = found.plan
    assert (p["n"], p["control_share"], p["p_order_without"]) == (10_000, 0.2, 0.1)
    error = (0.15 * 0.85 / 7_999 + 0.10 * 0.90 / 1_999) ** 0.5
    half = float(found.orders.fixed.high - found.orders.fixed.value)
    assert half == pytest.approx(1.9607 * error, rel=1e-3) and found.buyers == {"treatment": 1_200, "control": 200}


def test_a_split_that_is_not_the_planned_one_is_told():
    rows = drawn_as(8_200, 1_800, 0.15, 0.10)
    assert judge("e", rows, rows, HOW).is_split_off
    theirs = drawn_as(8_200, 1_800, 0.15, 0.10, ours=False)  # of another draw than the policy's
    assert judge("e", theirs, theirs, HOW).split_p_value is None
    planned = Assumptions(14, 0.3, own_shares={"e": 0.2}, control_shares={"e": 0.18})
    assert not judge("e", rows, rows, planned).is_split_off


# ---- a shop whose truth is known

LAST = day_number(UNTIL)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A shop of 6,000 customers, taken in, with the folder of its truth."""
    folder = tmp_path_factory.mktemp("simulated")
    simulate(folder / "hana", 6_000, 3, days=400)
    home = Home.open(folder / "home")
    path = mapping_path(Path("hananone"))
    files = [folder / "hana" / f"{name}.parquet" for name in ("order_lines", "contacts", "products")]  # nobody merged
    ingest(home, load_mapping(path), path.read_bytes(), files, NOW.replace(year=2027))
    return open_shop(home, "hananone"), folder / "hana"


def test_every_mornings_bounds_cover_the_simulated_truth(simulated):
    """Kept orders of 98.5 in 100 placed; offers drawn evenly, so that the effect is the mean over them."""
    shop, folder = simulated
    last = LAST
    con = duckdb.connect()
    truth = con.execute(
        f"SELECT 顧客番号 AS customer, epoch(配信日時) AS second, p_order_without,"
        f" (p_order_care_tips + p_order_pts_300 + p_order_ship_free + p_order_cpn_500) / 4 AS p_order_with"
        f" FROM '{folder}/contacts.parquet' c JOIN '{folder}/truth/contacts.parquet' t ON t.contact_id = c.配信番号"
        " QUALIFY row_number() OVER (PARTITION BY 顧客番号 ORDER BY 配信日時) = 1"
    ).df()
    effect = float((truth.p_order_with - truth.p_order_without).mean())
    for day in (last - 200, last - 100, last):
        (found,) = judge_experiments(shop, day, Assumptions(WINDOW_DAYS, 0.3, control_shares={"win_back": 0.2}))
        assert found.orders.anytime.low < effect < found.orders.anytime.high and not found.is_split_off
        assert found.orders.fixed.high - found.orders.fixed.low < found.orders.anytime.high - found.orders.anytime.low
    assert found.counted["treatment"] > 1_500 and found.counted["control"] > 300
    assert found.plan["p_order_without"] == pytest.approx(truth.p_order_without.mean(), abs=0.05)


def test_outcomes_agree_with_a_second_way_of_counting(simulated):
    """The same orders counted in the shop's own export, sharing no code."""
    shop, folder = simulated
    drawn = assignments(shop, LAST, WINDOW_DAYS)
    over = drawn[drawn.day + WINDOW_DAYS + 7 < LAST][:800].reset_index(drop=True)
    ours = orders_after(shop, over, WINDOW_DAYS, 7, 0.3, LAST).n_orders
    lines = pd.read_parquet(folder / "order_lines.parquet")
    lines = lines[lines["商品コード"] != "SORYO"].copy()
    for name in ("受注日時", "登録日時"):
        lines[name] = pd.to_datetime(lines[name])
        lines[name] = lines[name].dt.tz_localize("Asia/Tokyo") if lines[name].dt.tz is None else lines[name]
    lines["the_order"] = lines["元受注番号"].fillna(lines["受注番号"])
    sign = lines["区分"].map({"受注": 1, "キャンセル": 0, "返品": -1})
    lines["net"] = lines["数量"] * sign
    by_customer = dict(list(lines.groupby("顧客番号")))
    expected = []
    for row in over.itertuples():
        theirs = by_customer.get(row.customer_id)
        start = pd.Timestamp(row.at, unit="s", tz="UTC")
        midnight = start.tz_convert("Asia/Tokyo").normalize()
        end, settled = (midnight + pd.Timedelta(days=d + 1) for d in (WINDOW_DAYS, WINDOW_DAYS + 7))
        n = 0
        if theirs is not None:
            placed = theirs[(theirs["区分"] != "返品") & (theirs["受注日時"] > start) & (theirs["受注日時"] < end)]
            for order in placed.the_order.unique():
                n += theirs[(theirs.the_order == order) & (theirs["登録日時"] < settled)].net.sum() > 0
        expected.append(n)
    assert sum(expected) > 50 and list(ours) == expected


def test_the_figures_of_a_window_stand_still_once_it_is_over(simulated):
    shop, _ = simulated
    last = LAST
    drawn = assignments(shop, last, WINDOW_DAYS)
    over = drawn[drawn.day + WINDOW_DAYS + incremental.SETTLE_DAYS + 1 <= last - 60].reset_index(drop=True)
    then, now = (orders_after(shop, over, WINDOW_DAYS, incremental.SETTLE_DAYS, 0.3, day) for day in (last - 60, last))
    pd.testing.assert_frame_equal(then, now)
