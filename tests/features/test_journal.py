"""The journal: what was decided first stands, whoever asks, however often, from however many processes."""

import json
import os
import random
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.door.forget import Trace
from features.errors import BadInput, Damaged, Refused
from features.home import Home
from features.journal import Journal
from features.journal import decisions as book
from features.journal.codes import Pool
from features.journal.decisions import Decision, contacts_since, decision, record, withdraw
from features.journal.keeping import decisions_of, erase, found_in, prune
from features.journal.outcomes import Conflict, Outcome, take
from tests.worlds import examples

DAY, NOON = 20_000, 20_000 * 86_400 + 43_200
SENT = Decision(
    "d1", "C1", "win_back", DAY, NOON, "treatment", "win_back", "policy-1", "release-1",
    '{"customer_id":"C1","名":1.5}'.encode(),
    "win_back", "cpn_500", "coupon", "email", 12.3, expires_at=NOON + 86_400,
)  # fmt: skip
CONTROL = replace(SENT, decision_id="d2", customer_id="C2", arm="control", withheld=True, why_withheld="control")
BLOCKED = replace(SENT, withheld=True, why_withheld="OPEN_TICKET,RECENT_ORDER")
NOTHING = replace(SENT, scenario=None, offer_id=None, incentive=None, channel=None, cost=0.0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


@pytest.fixture
def journal(home: Home) -> Iterator[Journal]:
    journal = Journal.open(home, "cha")
    yield journal
    journal.close()


def in_processes(n: int, work: Callable[[int], Any]) -> list[Any]:
    """Do the work in ``n`` processes at once and give what each returned."""
    children = []
    for k in range(n):
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            try:
                os.write(writer, json.dumps(work(k)).encode())
            finally:
                os._exit(0)
        os.close(writer)
        children.append((child, reader))
    said = []
    for child, reader in children:
        with os.fdopen(reader, "rb") as pipe:
            said.append(json.loads(pipe.read() or b"null"))
        os.waitpid(child, 0)
    return said


# ---- decisions ---------------------------------------------------------------------------------------------------


def test_a_decision_is_given_back_as_it_was_to_the_byte(journal: Journal) -> None:
    (first,) = record(journal, [SENT])
    assert first == book.Recorded(SENT, is_new=True)
    assert decision(journal, "d1") == book.Recorded(SENT)
    assert decision(journal, "d9") is None


@pytest.mark.parametrize(
    ("told", "stands"),  # the decisions in their order, and the place of the one that stands
    [
        pytest.param([SENT, replace(SENT, offer_id="other", at=NOON + 9)], 0, id="the first contact"),
        pytest.param([CONTROL, replace(CONTROL, withheld=False, why_withheld=None)], 0, id="withheld stays withheld"),
        pytest.param([SENT, BLOCKED], 0, id="a guard's word does not undo a contact by itself"),
        pytest.param([BLOCKED, SENT], 1, id="what a guard forbade at first may be sent later"),
        pytest.param([NOTHING, SENT], 1, id="so may what was not worth it"),
        pytest.param([BLOCKED, NOTHING], 0, id="of two that are no contacts the first"),
        pytest.param([SENT, replace(SENT, decision_id="d1-by-policy-2", policy="policy-2")], 0, id="a policy of noon"),
        pytest.param([BLOCKED, replace(SENT, decision_id="d1-by-policy-2")], 1, id="a policy of noon that sends"),
    ],
)
def test_of_a_customer_campaign_and_day_the_first_contact_stands(
    journal: Journal, told: list[Decision], stands: int
) -> None:
    said = [record(journal, [one])[0] for one in told]
    assert said[-1].decision == told[stands]
    assert said[-1].is_new == (stands == len(told) - 1)
    assert len(contacts_since(journal, 0)) == told[stands].is_contact
    assert decision(journal, told[stands].decision_id) == book.Recorded(told[stands])


@pytest.mark.parametrize(
    "other",
    [{"customer_id": "C9"}, {"campaign_id": "other"}, {"campaign_id": None}, {"day": DAY + 1}],
)
def test_another_customer_campaign_or_day_is_another_contact(journal: Journal, other: dict[str, Any]) -> None:
    record(journal, [SENT, replace(SENT, decision_id="d3", **other)])
    assert len(contacts_since(journal, 0)) == 2


decided = st.builds(
    lambda who, campaign, policy, offer, kind: replace(
        {"sent": SENT, "control": CONTROL, "blocked": BLOCKED, "nothing": NOTHING}[kind],
        decision_id=f"{who}-{campaign}-{policy}", customer_id=who, campaign_id=campaign, policy=policy, offer_id=offer,
    ),
    st.sampled_from("AB"), st.sampled_from(["x", None]), st.sampled_from("pq"), st.sampled_from("123"),
    st.sampled_from(["sent", "control", "blocked", "nothing"]),
)  # fmt: skip


@examples(60)
@given(calls=st.lists(st.lists(decided, max_size=4), max_size=8))
def test_asked_in_any_order_it_agrees_with_a_dictionary(
    tmp_path_factory: pytest.TempPathFactory, calls: list[list[Decision]]
) -> None:
    journal, model = Journal.open(Home.open(tmp_path_factory.mktemp("home")), "cha"), {}
    for call in calls:
        said = record(journal, call)
        for asked, known in zip(call, said, strict=True):
            key = asked.customer_id, asked.campaign_id, asked.day
            if key not in model or (asked.is_contact and not model[key].is_contact):
                model[key] = asked
            assert known.decision == model[key]
    wanted = sorted(one.decision_id for one in model.values() if one.is_contact)
    assert sorted(contacts_since(journal, 0).contact_id) == wanted
    journal.close()


def test_processes_that_decide_differently_at_once_agree_on_one_contact_each(home: Home) -> None:
    def work(k: int) -> list[str]:
        journal, said = Journal.open(home, "cha"), []
        turn = random.Random(k)
        for n in turn.sample(range(40), 40):
            one = replace(SENT, decision_id=f"d{n}", customer_id=f"C{n}", offer_id=f"offer-of-{k}", at=NOON + k)
            said.append((n, str(record(journal, [one])[0].decision.offer_id)))
        return [offer for _, offer in sorted(said)]

    said = in_processes(4, work)
    assert said[0] == said[1] == said[2] == said[3]
    assert len(said[0]) == 40
    journal = Journal.open(home, "cha")
    assert contacts_since(journal, 0).set_index("contact_id").offer_id[[f"d{n}" for n in range(40)]].tolist() == said[0]
    journal.close()


def test_killed_in_the_middle_a_call_leaves_all_of_it_or_nothing(home: Home) -> None:
    many = [replace(SENT, decision_id=f"d{n}", customer_id=f"C{n}") for n in range(50)]
    child = os.fork()
    if child == 0:
        journal = Journal.open(home, "cha")
        with journal.turn() as con:
            for one in many[:30]:
                book._record(con, one)
            os._exit(9)
    os.waitpid(child, 0)
    journal = Journal.open(home, "cha")
    assert len(contacts_since(journal, 0)) == 0
    assert all(known.is_new for known in record(journal, many))
    journal.close()


# ---- withdrawn ---------------------------------------------------------------------------------------------------


def test_a_withdrawn_contact_is_none_and_does_not_come_back_that_day(journal: Journal) -> None:
    record(journal, [SENT])
    assert withdraw(journal, "d1", "OPEN_TICKET", NOON + 60)
    assert not withdraw(journal, "d1", "OPEN_RETURN", NOON + 70)
    (known,) = record(journal, [replace(SENT, at=NOON + 90)])
    assert (known.stands, known.withdrawn_why, known.withdrawn_at) == (False, "OPEN_TICKET", NOON + 60)
    assert contacts_since(journal, 0).empty


def test_what_was_sent_cannot_be_withdrawn(journal: Journal) -> None:
    record(journal, [SENT, CONTROL])
    take(journal, [Outcome("delivered", NOON + 5, "d1")], NOON + 6)
    assert not withdraw(journal, "d1", "OPEN_TICKET", NOON + 60)
    assert withdraw(journal, "d2", "OPEN_TICKET", NOON + 60)
    assert contacts_since(journal, 0).contact_id.tolist() == ["d1"]
    take(journal, [Outcome("click", NOON + 5, "d2")], NOON + 99)  # it was sent after all
    assert contacts_since(journal, 0).contact_id.tolist() == ["d1", "d2"]


# ---- history -----------------------------------------------------------------------------------------------------


def test_caps_are_told_every_contact_with_its_amount_and_its_redemption(journal: Journal) -> None:
    record(journal, [CONTROL, SENT, replace(BLOCKED, decision_id="d3", customer_id="C3")])
    take(journal, [Outcome("redeem", NOON + 50, "d1", order_id="o1"), Outcome("redeem", NOON + 40, "d1")], NOON + 60)
    found = contacts_since(journal, NOON)
    assert found.customer_id.tolist() == ["C1", "C2"]
    assert found.withheld.tolist() == [False, True]
    assert found.cost.tolist() == [12.3, 12.3]
    assert found.redeemed_at[0] == NOON + 40 and np.isnan(found.redeemed_at[1])
    assert contacts_since(journal, NOON, ["C2", "C2", "C7"]).contact_id.tolist() == ["d2"]
    later = contacts_since(journal, NOON + 1)
    assert later.empty and later.dtypes.equals(found.dtypes)


# ---- codes -------------------------------------------------------------------------------------------------------


def test_codes_go_in_the_order_of_their_file_and_each_decision_keeps_its_own(journal: Journal) -> None:
    pool = Pool(journal, "spring", ["c", "a", "b"])
    assert [pool.claim(one) for one in ("d1", "d2", "d1", "d3", "d4", "d3")] == ["c", "a", "c", "b", None, "b"]
    assert pool.left() == 0
    longer = Pool(journal, "spring", ["new", "c", "a", "newer"])
    assert (longer.left(), longer.claim("d5"), longer.claim("d6"), longer.claim("d1")) == (2, "new", "newer", "c")
    assert Pool(journal, "summer", ["c"]).claim("d1") == "c"


def test_processes_never_give_one_code_to_two(home: Home) -> None:
    codes = [f"K{n:03d}" for n in range(70)]

    def work(k: int) -> dict[str, str | None]:
        pool = Pool(Journal.open(home, "cha"), "spring", codes)
        return {f"d{n}": pool.claim(f"d{n}") for n in range(10 * k, 10 * k + 30)}

    said = in_processes(4, work)
    given = {}
    for mine in said:
        for who, code in mine.items():
            assert given.setdefault(who, code) == code, "asked twice, another code"
    assert len(given) == 60
    assert max(Counter(given.values()).values()) == 1
    assert set(given.values()) == set(codes[:60])


# ---- outcomes ----------------------------------------------------------------------------------------------------

OPENED = Outcome("open", NOON + 60, "d1")


def states(journal: Journal, *told: Outcome) -> list[str]:
    return [taken.state for taken in take(journal, told, NOON + 100)]


def test_an_outcome_told_twice_counts_once(journal: Journal) -> None:
    record(journal, [SENT])
    assert states(journal, OPENED, OPENED, replace(OPENED, at=NOON + 61)) == ["accepted", "duplicate", "accepted"]
    assert states(journal, OPENED, replace(OPENED, outcome_id="e1")) == ["duplicate", "accepted"]
    assert states(journal, replace(OPENED, outcome_id="e1")) == ["duplicate"]


def test_an_id_with_other_content_is_a_conflict_and_nothing_is_kept_of_the_call(journal: Journal) -> None:
    record(journal, [SENT])
    named = replace(OPENED, outcome_id="e1")
    assert states(journal, named) == ["accepted"]
    with pytest.raises(Conflict) as told:
        states(journal, OPENED, replace(named, kind="click"))
    assert told.value.position == 1
    assert states(journal, OPENED) == ["accepted"]


@pytest.mark.parametrize(
    "outcome",
    [OPENED, Outcome("open", NOON + 60, campaign_id="win_back", customer_id="C1", day=DAY)],
)
def test_an_outcome_that_comes_before_its_contact_waits_for_it(journal: Journal, outcome: Outcome) -> None:
    assert states(journal, outcome) == ["unmatched"]
    record(journal, [BLOCKED])
    assert states(journal, outcome) == ["duplicate"]
    assert journal.rows("SELECT matched_to FROM outcomes")[0][0] is None, "a decision not to send has no reaction"
    record(journal, [SENT])
    (found,) = journal.rows("SELECT matched_to, whose, matched_at FROM outcomes")
    assert tuple(found) == ("d1", "C1", NOON + 100)


# ---- who is forgotten --------------------------------------------------------------------------------------------


def test_what_is_erased_leaves_no_byte_and_its_code_is_not_given_again(home: Home, journal: Journal) -> None:
    secret = replace(SENT, decision_id="secret-decision", customer_id="secret-customer", result=b"secret-result" * 900)
    record(journal, [secret, CONTROL])
    Pool(journal, "spring", ["K1", "K2"]).claim("secret-decision")
    told = [
        Outcome("redeem", NOON, "secret-decision", order_id="o1"),
        Outcome("open", NOON, "of-nobody", order_id="o1"),
    ]
    take(journal, [*told, Outcome("open", NOON, "d2")], NOON)
    assert decisions_of(home, "cha", ["secret-customer"]) == ("secret-decision",)
    theirs = Trace(("secret-customer",), (), ("o1",), ("secret-decision",))
    assert found_in(home, "cha", theirs) == {"decisions": 1, "outcomes": 2, "codes": 1}
    for _ in range(2):
        erase(home, "cha", theirs)
        assert found_in(home, "cha", theirs) == {}
    assert Pool(journal, "spring", ["K1", "K2"]).claim("d9") == "K2"
    assert contacts_since(journal, 0).contact_id.tolist() == ["d2"]
    assert len(journal.rows("SELECT * FROM outcomes")) == 1
    content = b"".join(path.read_bytes() for path in home.journal("cha").parent.iterdir())
    assert b"secret" not in content and b"d2" in content


def test_what_is_older_than_its_time_goes(home: Home, journal: Journal) -> None:
    record(journal, [SENT, replace(CONTROL, at=NOON + 10, day=DAY + 1)])
    take(journal, [OPENED, Outcome("open", NOON + 5, "d1")], NOON + 99)
    prune(home, "cha", datetime.fromtimestamp(NOON + 10, UTC))
    assert contacts_since(journal, 0).contact_id.tolist() == ["d2"]
    assert [row["at"] for row in journal.rows("SELECT at FROM outcomes")] == [NOON + 60]


# ---- the file ----------------------------------------------------------------------------------------------------


def test_the_files_are_for_their_owner_alone(home: Home, journal: Journal) -> None:
    record(journal, [SENT])
    folder = home.journal("cha").parent
    assert {path.name for path in folder.iterdir()} == {"cha.db", "cha.db-wal", "cha.db-shm"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_format_of_tomorrow_and_a_file_of_nobody_are_told(home: Home, journal: Journal) -> None:
    with journal.turn() as con:
        con.execute("PRAGMA user_version = 2")
    with pytest.raises(BadInput, match="format 2 is unknown here; this version reads 1"):
        Journal.open(home, "cha")
    home.journal("cha").with_name("mocha.db").write_bytes(b"no journal at all " * 300)
    with pytest.raises(Damaged, match=r"mocha\.db"):
        Journal.open(home, "mocha")


def test_who_cannot_get_a_turn_is_told_to_try_again(
    home: Home, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.journal.BUSY_S", 0.05)
    other = Journal.open(home, "cha")
    with journal.turn(), pytest.raises(Refused, match="try again shortly"):
        record(other, [SENT])
    assert record(other, [SENT])[0].is_new
    other.close()
