"""Which messages a customer was sent, and what came of them: worked by hand, as of a day, by person."""

import math

import pytest

from features.contact_history import contact_history
from tests.features.test_frame import one_order
from tests.features.whole import Whole
from tests.worlds import at, instant, number

COLUMNS = ["customer_id", "at", "contact_id", "decision_id", "campaign_id", "scenario", "offer_id", "channel", "cost"]
COLUMNS += ["withheld", "redeemed_at", "opened"]
MINE = {"campaign_id": "c1", "customer_id": "a"}


def seconds(day, hour=12.0):
    """Give the instant that ``at`` writes."""
    return instant(day).timestamp() + 3600 * hour


def message(n, day=10, who="a", **more):
    return {"contact_id": f"m{n}", "customer_id": who, "at": at(day)} | more


def answer(kind, day, **more):
    return {"kind": kind, "at": at(day)} | more


@pytest.fixture
def toy(tmp_path):
    return Whole(tmp_path)


def came(toy, contacts, responses, day=30):
    """Give (redeemed day, opened) by contact as known at the start of a toy day."""
    toy.load({"order_lines": [one_order()], "contacts": contacts, "responses": responses})
    found = contact_history(toy.shop, number(day)).set_index("contact_id")
    days = ((found.redeemed_at - instant(0).timestamp()) // 86400).astype(object).where(found.redeemed_at.notna(), None)
    return {row.Index: (days[row.Index], row.opened) for row in found.itertuples()}


def test_every_column_is_what_the_shop_wrote(toy):
    told = {"decision_id": "d", "campaign_id": "c", "scenario": "birthday", "offer_id": "pts", "channel": "line"}
    rows = [message(1, 5, cost="3.5", **told), message(2, 9, who="b", withheld="true")]
    toy.load({"order_lines": [one_order()], "contacts": rows})
    found = contact_history(toy.shop, number(10))
    assert found.columns.tolist() == COLUMNS
    first, second = found.to_dict("records")
    nothing = {"redeemed_at": pytest.approx(math.nan, nan_ok=True), "opened": False}
    assert (
        first
        == {"customer_id": "a", "at": seconds(5), "contact_id": "m1", "cost": 3.5, "withheld": False} | told | nothing
    )
    assert (second["at"], second["withheld"], second["channel"], second["cost"] != second["cost"]) == (
        seconds(9), True, None, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([], (None, False), id="no word"),
        pytest.param([answer("delivered", 11, contact_id="m1")], (None, False), id="delivered is not opened"),
        pytest.param([answer("open", 11, contact_id="m1")], (None, True), id="opened"),
        pytest.param([answer("click", 11, contact_id="m1")], (None, True), id="who clicks has opened"),
        pytest.param([answer("redeem", 12, contact_id="m1")], (12, False), id="redeemed"),
        pytest.param([answer("redeem", d, contact_id="m1") for d in (14, 12)], (12, False), id="twice: the first time"),
        pytest.param([answer("redeem", 12, decision_id="d1")], (12, False), id="by its decision"),
        pytest.param([answer("redeem", 12, **MINE)], (12, False), id="by its campaign"),
        pytest.param([answer("redeem", 10, **MINE, at=at(10, 0))], (10, False), id="by a date"),
        pytest.param([answer("redeem", 9, **MINE)], (None, False), id="before the message"),
        pytest.param([answer("redeem", 12, **MINE | {"customer_id": "b"})], (None, False), id="of somebody else"),
        pytest.param([answer("redeem", 12, **MINE | {"campaign_id": "c2"})], (None, False), id="of another campaign"),
        pytest.param(
            [answer("redeem", 12, contact_id="m1", known_at=at(29))], (12, False), id="told on the day before"
        ),
        pytest.param([answer("redeem", 12, contact_id="m1", known_at=at(30))], (None, False), id="told on the day"),
    ],
)
def test_what_came_of_a_message(toy, answers, expected):
    assert came(toy, [message(1, decision_id="d1", campaign_id="c1")], answers)["m1"] == expected


def test_a_word_on_a_campaign_is_to_its_newest_message_before_it(toy):
    messages = [message(n, day, campaign_id="c") for n, day in enumerate((10, 20, 25))]
    found = came(toy, messages, [answer("redeem", 22, campaign_id="c", customer_id="a")])
    assert found == {"m0": (None, False), "m1": (22, False), "m2": (None, False)}


def test_the_window_ends_where_it_says_and_nothing_of_the_day_is_known(toy):
    toy.load({"order_lines": [one_order()], "contacts": [message(n, day) for n, day in enumerate((19, 20, 29, 30))]})
    assert contact_history(toy.shop, number(30), back_days=10).contact_id.tolist() == ["m1", "m2"]


def test_messages_to_a_persons_ids_are_the_persons(toy):
    links = [
        {"alias_type": "email_hash", "alias": "x", "customer_id": who, "linked_at": at(day)}
        for who, day in (("a", 1), ("b", 15))
    ]
    rows = [message(1, 5, "a", campaign_id="c"), message(2, 9, "b", campaign_id="e")]
    answers = [answer("redeem", 12, campaign_id="e", customer_id="a")]
    toy.load({"order_lines": [one_order()], "contacts": rows, "responses": answers, "identities": links})
    apart, merged = contact_history(toy.shop, number(15)), contact_history(toy.shop, number(20))
    assert apart.customer_id.tolist() == ["a", "b"]
    assert apart.redeemed_at.notna().tolist() == [False, False]
    assert merged.customer_id.tolist() == ["a", "a"]
    assert merged.redeemed_at.notna().tolist() == [False, True]


def test_a_shop_without_contacts_has_the_same_columns_and_no_rows(new_whole, toy):
    toy.load({"order_lines": [one_order()], "contacts": [message(1, cost="1")]})
    bare = new_whole(("order_lines",))
    bare.load({"order_lines": [one_order()]})
    nothing, one = contact_history(bare.shop, number(30)), contact_history(toy.shop, number(30))
    assert (len(nothing), len(one)) == (0, 1)
    assert nothing.dtypes.equals(one.dtypes)
