"""Our own contacts on their way back into the lake: once, whole, and known when they were known."""

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest

from features import catalog
from features.contact_history import contact_history
from features.door.own import take_in_own
from features.frame import feature_frame
from features.journal import Journal
from features.journal.decisions import Decision, record, withdraw
from features.journal.outcomes import Outcome, take
from features.messages import contacts_sql, responses_sql
from features.shop import Shop
from features.trace import trace
from tests.worlds import Toy, at, instant, lake_rows, number

ALL = ("order_lines", "contacts", "responses")
ORDERS = [
    {"order_id": f"o{c}", "customer_id": c, "product_id": "p", "quantity": 1, "revenue": 100, "ordered_at": at(0)}
    for c in ("a", "b", "c")
]
SENT_ON, TOLD_ON, TONIGHT = 10, 12, 14  # days of the toy world


def second(day: int, hour: float = 12) -> int:
    return int(instant(day).timestamp() + hour * 3600)


def contact(one: str, customer: str, day: int = SENT_ON, **other: Any) -> Decision:
    values = {
        "decision_id": one, "customer_id": customer, "campaign_id": "win_back", "day": number(day), "at": second(day),
        "arm": "treatment", "experiment": "win_back", "policy": "p1", "release": "r1", "result": b"{}",
        "scenario": "win_back", "offer_id": "cpn", "incentive": "coupon", "channel": "email", "cost": 0.3,
        "expires_at": second(day + 14),
    }  # fmt: skip
    return Decision(**(values | other))


@pytest.fixture
def toy(new_toy: Callable[..., Toy]) -> Toy:
    toy = new_toy(ALL)
    toy.load(
        {
            "order_lines": ORDERS,
            "contacts": [{"contact_id": "theirs", "customer_id": "c", "at": at(9)}],
            "responses": [{"kind": "open", "at": at(9, 13), "contact_id": "theirs"}],
        }
    )
    return toy


@pytest.fixture
def journal(toy: Toy) -> Iterator[Journal]:
    journal = Journal.open(toy.home, "toy")
    yield journal
    journal.close()


def some(journal: Journal) -> None:
    """A message and a withheld one of day 10, one of the night's own day, and reactions told on day 12 and later."""
    withheld = contact("d2", "b", arm="control", withheld=True, why_withheld="control")
    record(journal, [contact("d1", "a"), withheld, contact("d3", "a", day=TONIGHT)])
    take(journal, [Outcome("open", second(SENT_ON, 13), "d1", amount=None)], second(TOLD_ON))
    take(journal, [Outcome("redeem", second(11), "d1", order_id="oa", amount=500.25)], second(TONIGHT))


def all_rows(shop: Shop, query: str | None) -> pd.DataFrame:
    assert query is not None
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        return con.execute(f'{query} ORDER BY "at", contact_id').df()


def at_night(toy: Toy, day: int = TONIGHT) -> Shop:
    return take_in_own(toy.home, toy.shop, number(day))


def test_what_was_known_before_the_day_comes_in_and_nothing_else(toy: Toy, journal: Journal) -> None:
    some(journal)
    shop = at_night(toy)
    rows = lake_rows(shop, "own_contacts", "contact_id")
    assert rows.contact_id.tolist() == rows.decision_id.tolist() == ["d1", "d2"]
    assert rows.withheld.tolist() == [False, True]
    assert [str(cost) for cost in rows.cost] == ["0.3", "0.3"]
    assert set(rows.day) == set(rows.known_on) == {number(SENT_ON)}
    assert rows["at"].tolist() == [pd.Timestamp(second(SENT_ON), unit="s", tz="UTC")] * 2
    (reaction,) = lake_rows(shop, "own_responses", "kind").to_dict("records")
    assert (reaction["kind"], reaction["contact_id"], reaction["customer_id"]) == ("open", "d1", "a")
    assert (reaction["day"], reaction["known_on"]) == (number(SENT_ON), number(TOLD_ON))
    shop = at_night(toy, TONIGHT + 1)
    assert lake_rows(shop, "own_contacts", "contact_id").contact_id.tolist() == ["d1", "d2", "d3"]
    late = lake_rows(shop, "own_responses", "known_on").iloc[-1]
    assert (late.kind, late.order_id, float(late.amount), late.known_on) == ("redeem", "oa", 500.25, number(TONIGHT))


def test_a_night_run_again_takes_nothing_twice(toy: Toy, journal: Journal) -> None:
    some(journal)
    first = at_night(toy)
    assert (at_night(toy).version, at_night(toy, TONIGHT - 1).version) == (first.version, first.version)
    assert len(first.loads) == 2 and first.mapping == toy.shop.mapping
    ledger = toy.load({"order_lines": ORDERS})
    assert (ledger.duplicates, len(toy.shop.loads)) == (3, 2)


def test_the_same_journal_gives_the_same_bytes(new_toy: Callable[..., Toy]) -> None:
    versions = set()
    for _ in range(2):
        toy = new_toy(ALL)
        toy.load({"order_lines": ORDERS})
        journal = Journal.open(toy.home, "toy")
        some(journal)
        journal.close()
        versions.add(at_night(toy).version)
    assert len(versions) == 1


def test_killed_at_any_step_the_load_is_whole_or_absent(toy: Toy, journal: Journal) -> None:
    some(journal)
    journal.close()
    for step in range(1, 40):
        child = os.fork()
        if child == 0:
            try:
                _die_before(step)
                at_night(toy)
            finally:
                os._exit(0)
        was_killed = os.WIFSIGNALED(os.waitpid(child, 0)[1])
        loads = toy.shop.loads  # whole, or Damaged is raised
        if len(loads) == 2:
            break
        assert was_killed and len(loads) == 1
    assert 5 < step < 39
    assert lake_rows(at_night(toy), "own_contacts", "contact_id").contact_id.tolist() == ["d1", "d2"]


def _die_before(step: int) -> None:
    left = [step]

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **options)

        return call

    for name in ("rename", "replace", "unlink", "chmod", "mkdir"):
        setattr(Path, name, counting(getattr(Path, name)))


def test_a_shop_that_brings_no_contacts_gets_no_features_of_them(new_toy: Callable[..., Toy]) -> None:
    toy = new_toy(["order_lines"])
    toy.load({"order_lines": ORDERS})
    before = toy.shop
    known = feature_frame(before, instant(TONIGHT))
    journal = Journal.open(toy.home, "toy")
    some(journal)
    journal.close()
    shop = at_night(toy)
    assert catalog.stored_names(shop.tables) == catalog.stored_names(before.tables)
    pd.testing.assert_frame_equal(feature_frame(shop, instant(TONIGHT)), known)
    assert all_rows(shop, contacts_sql(shop)).contact_id.tolist() == ["d1", "d2"]
    assert all_rows(shop, responses_sql(shop)).customer_id.tolist() == ["a"]
    assert contacts_sql(before) is responses_sql(before) is None


def features_of(shop: Shop, day: int = TONIGHT) -> pd.DataFrame:
    return feature_frame(shop, instant(day)).set_index("customer_id")[["contacts_28d", "opens_91d", "redeems_91d"]]


def test_a_shop_with_contacts_counts_ours_among_its_own(toy: Toy, journal: Journal) -> None:
    some(journal)
    assert features_of(toy.shop).values.tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 0]]
    shop = at_night(toy)
    assert features_of(shop).values.tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 0]], "a withheld message was never sent"
    assert features_of(shop, TOLD_ON).values.tolist() == [[1, 0, 0], [0, 0, 0], [1, 1, 0]], "not told yet"
    assert features_of(at_night(toy, TONIGHT + 1), TONIGHT + 1).values.tolist()[0] == [2, 1, 1]


@pytest.mark.parametrize("named", [{"contact_id": "d1"}, {"contact_id": "esp-7", "decision_id": "d1"}])
def test_what_the_shops_file_tells_too_counts_once(toy: Toy, journal: Journal, named: dict[str, str]) -> None:
    some(journal)
    alone = features_of(at_night(toy))
    toy.load(
        {
            "contacts": [{"customer_id": "a", "at": at(SENT_ON, 12.5), **named}],
            "responses": [{"kind": "open", "at": at(SENT_ON, 13), "decision_id": "d1"}],
        }
    )
    shop = toy.shop
    assert len(lake_rows(shop, "contacts", "contact_id")) == 2
    pd.testing.assert_frame_equal(features_of(shop), alone)
    rows = all_rows(shop, contacts_sql(shop, extra=True))
    assert rows[rows.customer_id == "a"].policy.tolist() == ["p1"]
    assert rows[rows.customer_id == "c"].policy.isna().all()


def test_a_reaction_in_the_shops_file_to_a_message_of_ours_finds_its_customer(new_toy: Callable[..., Toy]) -> None:
    toy = new_toy(["order_lines", "responses"])
    toy.load({"order_lines": ORDERS, "responses": [{"kind": "click", "at": at(11), "decision_id": "d1"}]})
    clicks = feature_frame(toy.shop, instant(TONIGHT)).set_index("customer_id").clicks_91d
    assert clicks.tolist() == [0, 0, 0]
    journal = Journal.open(toy.home, "toy")
    record(journal, [contact("d1", "a")])
    journal.close()
    clicks = feature_frame(at_night(toy), instant(TONIGHT)).set_index("customer_id").clicks_91d
    assert clicks.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ("outcome", "matched"),
    [
        pytest.param(Outcome("click", second(11), "theirs"), True, id="the contact of a file"),
        pytest.param(Outcome("click", second(11), "mail-9"), True, id="a contact of a later file"),
        pytest.param(Outcome("click", second(11), "decided"), True, id="its decision"),
        pytest.param(
            Outcome("click", second(11), campaign_id="spring", customer_id="b", day=number(10)), True, id="its day"
        ),
        pytest.param(
            Outcome("click", second(11), campaign_id="spring", customer_id="b", day=number(9)), False, id="other day"
        ),
        pytest.param(Outcome("click", second(11), "of-nobody"), False, id="nobody's"),
    ],
)
def test_outcomes_kept_aside_find_contacts_of_the_shops_files(
    new_toy: Callable[..., Toy], outcome: Outcome, matched: bool
) -> None:
    columns = "{contact_id: contact_id, decision_id: decision_id, customer_id: customer_id, campaign_id: camp, at: at}"
    toy = new_toy(ALL)
    text = toy.mapping.decode()
    start = text.index("  contacts:")
    end = text.index("  responses:")
    toy.mapping = (
        text[:start] + f"  contacts:\n    source: contacts*.csv\n    columns: {columns}\n" + text[end:]
    ).encode()
    toy.load({"order_lines": ORDERS})
    journal = Journal.open(toy.home, "toy")
    assert [taken.state for taken in take(journal, [outcome], second(11, 13))] == ["unmatched"]
    assert len(at_night(toy).loads) == 1
    path = toy.folder / "contacts_1.csv"
    path.write_text(
        "contact_id,decision_id,customer_id,camp,at\n"
        f"theirs,,c,spring,{at(9)}\nmail-9,decided,b,spring,{at(10)}\nother,,a,spring,{at(9)}\n"
    )
    toy.take([path])
    shop = at_night(toy)
    if matched:
        (row,) = lake_rows(shop, "own_responses", "kind").to_dict("records")
        who = "c" if outcome.message_id == "theirs" else "b"
        assert (row["customer_id"], row["contact_id"]) == (who, {"c": "theirs", "b": "mail-9"}[who])
    else:
        assert not shop.parts("own_responses")
    assert at_night(toy).version == shop.version
    journal.close()


def test_a_withdrawn_contact_comes_in_only_if_a_reaction_proves_it(toy: Toy, journal: Journal) -> None:
    record(journal, [contact("d1", "a"), contact("d2", "b")])
    for one in ("d1", "d2"):
        withdraw(journal, one, "OPEN_TICKET", second(SENT_ON, 15))
    assert len(at_night(toy, SENT_ON + 1).loads) == 1
    take(journal, [Outcome("open", second(SENT_ON, 13), "d2")], second(TOLD_ON))
    (row,) = lake_rows(at_night(toy), "own_contacts", "contact_id").to_dict("records")
    assert (row["contact_id"], row["day"], row["known_on"]) == ("d2", number(SENT_ON), number(TOLD_ON))


def test_what_names_our_message_is_part_of_a_persons_trace(toy: Toy, journal: Journal) -> None:
    some(journal)
    shop = at_night(toy)
    assert trace(shop, "a").contacts == ("d1",)
    assert trace(shop, "c").contacts == ("theirs",)


def test_a_file_of_reactions_sent_twice_and_out_of_order_counts_each_once(toy: Toy) -> None:
    told = [
        {"kind": kind, "at": at(9, 13 + n / 2), "contact_id": one}
        for one in ("late", "theirs")
        for n, kind in enumerate(("redeem", "click", "delivered"))
    ]
    first = toy.files({"responses": told})
    backwards = toy.files({"responses": told[::-1]})
    toy.mapping = toy.mapping.replace(
        b"    source: responses*.csv\n    repeats: keep\n", b"    source: responses*.csv\n"
    )
    toy.take(first)
    for again in (first, backwards):
        ledger = toy.take(again)
        assert (ledger.accepted, ledger.duplicates) == (0, len(told))
    toy.load({"contacts": [{"contact_id": "late", "customer_id": "a", "at": at(9)}]})
    assert features_of(toy.shop).loc[["a", "c"], "redeems_91d"].tolist() == [1, 1]


def test_dates_of_our_own_rows_are_the_shops_business_days(toy: Toy, journal: Journal) -> None:
    early = contact("d1", "a", at=second(SENT_ON, 0))
    record(journal, [early, replace(early, decision_id="d2", customer_id="b", at=second(SENT_ON, 0) - 1)])
    days = lake_rows(at_night(toy), "own_contacts", "contact_id").day.tolist()
    calendar = toy.shop.calendar
    assert days == [calendar.day(pd.Timestamp(second(SENT_ON, 0) - n, unit="s", tz="UTC")) for n in (0, 1)]


def test_the_history_of_contacts_has_ours_among_the_shops_with_what_came_of_each(toy: Toy, journal: Journal) -> None:
    some(journal)
    at_night(toy)
    shop = at_night(toy, TONIGHT + 1)
    found = contact_history(shop, number(TONIGHT + 1)).set_index("contact_id")
    assert found.customer_id.to_dict() == {"d1": "a", "d3": "a", "d2": "b", "theirs": "c"}
    assert found.withheld.to_dict() == {"d1": False, "d3": False, "d2": True, "theirs": False}
    assert found.opened.to_dict() == {"d1": True, "d3": False, "d2": False, "theirs": True}
    assert (found.redeemed_at["d1"], found["at"]["d1"]) == (second(11), second(SENT_ON))
    assert found.redeemed_at[["d2", "d3", "theirs"]].isna().all()
    assert contact_history(shop, number(TOLD_ON)).opened.tolist() == [False, False, True], "not told yet"
