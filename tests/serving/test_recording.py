"""Recorded decisions: asked again, in whatever way mail tools do, a customer is told the same and contacted once."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from features.home import Home
from features.journal import Journal
from features.journal.codes import Pool
from features.journal.decisions import contacts_since, decision
from features.journal.outcomes import Outcome, take
from serving.nightly import nightly
from serving.policy.guards.control import in_control
from serving.recording import Occasion, earlier, recorded
from serving.replies import DecisionReply, OutcomesReply
from serving.settings import Settings

from . import shop as told
from .conftest import copy_of
from .test_http import Client, error, post

EVERYONE = [f"c{c:04d}" for c in range(told.N)]
CONTROL = told.POLICY[0].control
HELD = [str(one) for one in np.array(EVERYONE)[in_control(EVERYONE, CONTROL.global_share, CONTROL.salt)]]
ASKED = [told.LATE, "weekly", "dormant", "nobody-at-all", told.LATE, *HELD]
NOON = 20_000 * 86_400 + 43_200


@pytest.fixture(scope="module")
def mine(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return copy_of(home, tmp_path_factory.mktemp("recording") / "home")


@pytest.fixture(scope="module")
def client(mine: Home) -> Iterator[Client]:
    """A real shop behind the guard and the routes."""
    from serving.online import Online

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OKAERI_HOME", str(mine.root))
        online = Online.open(lambda: told.MACHINE_NOW)
    client = Client(online, Settings())  # type: ignore[arg-type]
    with client.loop:
        yield client


def journal_of(home: Home) -> Journal:
    return Journal.open(home, "cha")


def results(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


# ---- over HTTP, in the order written: nothing is recorded before it is asked for ---------------------------------


def test_a_preview_writes_nothing(client: Client, mine: Home) -> None:
    post(client, {"customer_ids": ASKED})
    post(client, {"customer_ids": ASKED, "campaign_id": "win_back", "record": False})
    client.get("/v1/decisions/5f0c")
    assert contacts_since(journal_of(mine), 0).empty
    assert journal_of(mine).rows("SELECT count(*) FROM decisions")[0][0] == 0


def test_asked_per_recipient_and_all_at_once_it_records_one_contact_each(client: Client, mine: Home) -> None:
    async def crowd() -> list[httpx.Response]:
        bodies = [{"customer_ids": [one], "campaign_id": "win_back"} for one in ASKED[:5]] * 3
        bodies += [{"customer_ids": ASKED[:5], "campaign_id": "win_back"}] * 2
        return await asyncio.gather(*(client.http.post("/v1/score", json=body) for body in bodies))

    said: dict[str, list[Any]] = {}
    for answer in client.loop.run(crowd()):
        for one in results(answer):
            said.setdefault(one["customer_id"], []).append([one["decision_id"], one["action"], one["send"]])
    assert all(one == mentioned[0] for mentioned in said.values() for one in mentioned)
    sent = {one for one, mentioned in said.items() if mentioned[0][1] and mentioned[0][1]["kind"] != "none"}
    assert told.LATE in sent
    rows = contacts_since(journal_of(mine), 0)
    assert sorted(rows[~rows.withheld].customer_id) == sorted(sent)
    row = rows.set_index("customer_id").loc[told.LATE]
    first = said[told.LATE][0]
    assert row.contact_id == row.decision_id == first[0]
    assert (row.campaign_id, row.scenario, row.offer_id) == ("win_back", first[1]["scenario"], first[1]["offer_id"])
    assert (row.channel, row.cost) == ("email", pytest.approx(first[1]["cost"], abs=5e-5))
    calendar = told.opened(mine).calendar
    assert row["at"] == calendar.start(told.D).timestamp(), "the shop's clock stands on that day"
    assert "nobody-at-all" not in set(rows.customer_id)


def test_a_control_is_recorded_as_withheld_and_what_a_guard_forbids_is_no_contact(client: Client, mine: Home) -> None:
    found = results(post(client, {"customer_ids": HELD, "campaign_id": "win_back"}))
    failed = {one["customer_id"]: [g["code"] for g in one["guards"] if g["state"] == "fail"] for one in found}
    due = {one["customer_id"] for one in found if any(c["scenario"] == "win_back" for c in one["candidates"])}
    assert all(
        c["net_value"] > 0 for one in found for c in one["candidates"] if one["customer_id"] in due and c["offer_id"]
    )
    wanted = {one for one in due if failed[one] == ["CONTROL_GROUP"]}
    assert wanted and {one for one in due if len(failed[one]) > 1}, "the shop should have both"
    rows = contacts_since(journal_of(mine), 0, HELD)
    assert set(rows.customer_id) == wanted and rows.withheld.all()
    states = {one["customer_id"]: client.get(f"/v1/decisions/{one['decision_id']}").json() for one in found}
    for one in found:
        state, why = states[one["customer_id"]]["state"], states[one["customer_id"]]["why"]
        if one["customer_id"] in wanted:
            assert (state, why) == ("withheld", ["control"])
        elif one["customer_id"] in due:
            assert (state, why) == ("held_back", failed[one["customer_id"]])
        else:
            assert (state, why) == ("nothing", [])


def test_a_decision_is_replayed_to_the_byte(client: Client) -> None:
    answer = post(client, {"customer_ids": ["twice"], "campaign_id": "win_back", "explain": "full"})
    (first,) = results(answer)
    again = client.get(f"/v1/decisions/{first['decision_id']}")
    assert again.status_code == 200
    DecisionReply.model_validate_json(again.content)
    told_then = answer.content.partition(b'"results":[')[2][:-2]
    assert orjson.loads(told_then) == first
    assert b'"result":' + told_then + b"}" in again.content
    post(client, {"customer_ids": ["twice"], "campaign_id": "win_back", "lang": "ja"})
    later = client.get(f"/v1/decisions/{first['decision_id']}")
    assert later.content.partition(b",")[2] == again.content.partition(b",")[2], "but for the request's own id"
    assert error(client.get("/v1/decisions/unknown"))["message"] == "no such decision"


@pytest.mark.parametrize("include", [["churn"], ["action", "send"], ["guards", "next_order"]])
def test_recording_changes_no_block_that_was_asked_for(client: Client, include: list[str]) -> None:
    body = {"customer_ids": [told.LATE, "once", "nobody-at-all"], "campaign_id": "win_back", "include": include}
    assert results(post(client, body)) == results(post(client, body | {"record": False}))


def tell(client: Client, *outcomes: dict[str, Any]) -> httpx.Response:
    return post(client, {"outcomes": list(outcomes)}, "/v1/outcomes")


def test_outcomes_count_once_each_and_all_are_accounted_for(client: Client, mine: Home) -> None:
    (one,) = results(post(client, {"customer_ids": [told.LATE], "campaign_id": "win_back"}))
    at = "2024-12-30T09:00:00+09:00"
    day = {"campaign_id": "win_back", "customer_id": told.LATE, "day": "2024-12-30"}
    redeem = {"decision_id": one["decision_id"], "kind": "redeem", "at": at, "order_id": "o-1", "amount": 1200.5}
    click = day | {"kind": "click", "at": at, "outcome_id": "e-1"}
    early = {"contact_id": "not-yet-known", "kind": "open", "at": at}
    answer = tell(client, redeem, click, early, redeem)
    OutcomesReply.model_validate_json(answer.content)
    said = answer.json()
    assert (said["accepted"], said["unmatched"], said["duplicates"]) == (2, 1, 1)
    assert [one["state"] for one in said["outcomes"]] == ["accepted", "accepted", "unmatched", "duplicate"]
    again = tell(client, early, click, redeem).json()
    assert (again["accepted"], again["unmatched"], again["duplicates"]) == (0, 0, 3)
    refused = tell(client, early | {"kind": "click"}, click | {"kind": "open"})
    assert (refused.status_code, error(refused)["path"]) == (409, "outcomes.1.outcome_id")
    assert tell(client, early | {"kind": "click"}).json()["unmatched"] == 1, "nothing of the refused call was kept"
    refused = tell(client, early, redeem | {"at": "2026-01-03T00:00:00Z"})  # the machine's clock says the first
    assert (refused.status_code, error(refused)["path"]) == (422, "outcomes.1.at")
    rows = contacts_since(journal_of(mine), 0, [told.LATE])
    assert rows.redeemed_at.tolist() == [pytest.approx(1_735_516_800)]


def test_who_is_forgotten_takes_decisions_and_outcomes_along(client: Client, mine: Home) -> None:
    (one,) = results(post(client, {"customer_ids": ["dormant"], "campaign_id": "win_back"}))
    opened = {"decision_id": one["decision_id"], "kind": "open", "at": "2024-12-30T09:00:00+09:00"}
    assert tell(client, opened).json()["accepted"] == (one["action"]["kind"] != "none")
    receipt = client.request("DELETE", "/v1/customers/dormant").json()
    assert receipt["rows_removed"]["journal"] == {"decisions": 1, "outcomes": 1}
    assert client.get(f"/v1/decisions/{one['decision_id']}").status_code == 404
    late = opened | {"kind": "click"}
    by_day = {"campaign_id": "x", "customer_id": "dormant", "day": "2024-12-30", "kind": "click", "at": opened["at"]}
    said = tell(client, late, by_day).json()
    assert said["unmatched"] == 2 and said["outcomes"][0]["outcome_id"] is None
    post(client, {"customer_ids": ["dormant"], "campaign_id": "win_back"})
    content = b"".join(path.read_bytes() for path in mine.journal("cha").parent.iterdir())
    assert b"dormant" not in content and one["decision_id"].encode() not in content


def test_who_waits_too_long_for_the_journal_is_told_to_come_back(
    client: Client, mine: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = journal_of(mine)
    monkeypatch.setattr("features.journal.BUSY_S", 0.05)
    monkeypatch.setitem(vars(client.online), "_journal", journal_of(mine))
    with journal.turn():
        answer = post(client, {"customer_ids": ["thrice"], "campaign_id": "win_back"})
    assert (answer.status_code, error(answer)["code"], answer.headers["retry-after"]) == (503, "busy", "1")


def test_the_next_nights_take_it_in_once_and_the_champion_still_answers(client: Client, mine: Home) -> None:
    before = told.opened(mine)
    nightly(mine, told.D + 1, told.MACHINE_NOW, told.POLICY)
    shop = told.opened(mine)
    assert len(shop.loads) == len(before.loads) + 1 and {"own_contacts", "own_responses"} <= shop.tables
    said = nightly(mine, told.D + 1, told.MACHINE_NOW, told.POLICY)
    assert said["state"] == "already_published" and told.opened(mine).version == shop.version


# ---- what stands, by hand -----------------------------------------------------------------------------------------


def answered(*failed: str, offer: str | None = "cpn", arm: str = "treatment", one: str = "d1") -> dict[str, Any]:
    """A result of somebody who gets an offer, is withheld from it, or for whom guards fail."""
    sends = not failed
    what = {"scenario": "win_back", "incentive": "coupon", "offer_id": offer, "channel": "email", "cost": 12.5}
    action = what | {
        "kind": "win_back",
        "coupon_code": None,
        "expires_at": "2024-10-08T12:00:00+00:00",
        "origin": "night",
    }
    if not sends:
        action = dict.fromkeys(action) | {"scenario": "none", "kind": "none", "cost": 0.0, "origin": "live"}
    return {
        "customer_id": "C1",
        "decision_id": one,
        "action": action,
        "candidates": [what, {"scenario": "none"}],
        "send": {"allowed": sends, "from": "2024-10-04T12:00:00+00:00" if sends else None, "until": None},
        "guards": [{"code": code, "state": "fail"} for code in failed] + [{"code": "TIER", "state": "not_checked"}],
        "experiment": {"arm": arm, "group": "campaign"},
        "warnings": [],
    }


OCCASION = Occasion(20_000, NOON, "win_back", "policy-1", "release-1", lambda offer, channel: 0.3)
WITHHELD = answered("CONTROL_GROUP", arm="control")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(Home.open(tmp_path / "home"), "cha")
    yield journal
    journal.close()


def ask(journal: Journal, result: dict[str, Any], later: int = 0, **more: Any) -> dict[str, Any]:
    (found,) = recorded([result], replace(OCCASION, at=NOON + later), journal, **more)
    return found


def test_the_first_action_is_put_back_and_everything_else_is_of_now(journal: Journal) -> None:
    first = ask(journal, answered())
    now = answered(offer="other") | {"churn": {"probability": 0.4}}
    assert ask(journal, now, 60) == now | {name: first[name] for name in ("action", "send")}
    elsewhere = answered(offer="other", one="d1-by-another-policy")
    assert ask(journal, elsewhere, 70)["decision_id"] == "d1"
    assert len(contacts_since(journal, 0)) == 1


@pytest.mark.parametrize("code", ["FREQUENCY_CAP", "DISCOUNT_CAP", "OFFER_STILL_OPEN", "CHANNEL_QUOTA", "BUDGET"])
def test_a_contact_is_not_withdrawn_for_having_been_made(journal: Journal, code: str) -> None:
    first = ask(journal, answered())
    again = ask(journal, answered(code), 60)
    assert (again["action"], again["send"]) == (first["action"], first["send"])


@pytest.mark.parametrize("first", [answered(), WITHHELD])
@pytest.mark.parametrize("code", ["OPEN_TICKET", "CONSENT_CHANNEL", "RECENT_ORDER", "BLACKOUT"])
def test_a_guard_that_fails_later_withdraws_it_for_the_day(journal: Journal, first: dict[str, Any], code: str) -> None:
    ask(journal, first)
    held = ["CONTROL_GROUP"] if first is WITHHELD else []
    for again in (ask(journal, answered(code, *held), 60), ask(journal, first, 120)):
        assert (again["action"]["kind"], again["action"]["incentive"], again["send"]["allowed"]) == (
            "none",
            "none",
            False,
        )
        assert "withdrawn" in again["warnings"][0]
    assert contacts_since(journal, 0).empty
    found = decision(journal, "d1")
    assert found is not None and (found.withdrawn_why, found.withdrawn_at) == (code, NOON + 60)


def test_what_was_sent_is_no_longer_withdrawn_but_not_sent_again(journal: Journal) -> None:
    first = ask(journal, answered())
    take(journal, [Outcome("delivered", NOON + 10, "d1")], NOON + 20)
    again = ask(journal, answered("OPEN_TICKET"), 60)
    assert (again["action"], again["send"]["allowed"]) == (first["action"], False)
    assert len(contacts_since(journal, 0)) == 1


def test_who_would_have_got_nothing_anyway_is_no_control(journal: Journal) -> None:
    ask(journal, WITHHELD, withheld=[False])
    found = decision(journal, "d1")
    assert found is not None and (found.decision.is_contact, found.decision.why_withheld) == (False, "CONTROL_GROUP")
    ask(journal, WITHHELD, 60, withheld=[True])
    assert contacts_since(journal, 0).withheld.tolist() == [True]


def test_quiet_hours_postpone(journal: Journal) -> None:
    first = ask(journal, answered())
    again = ask(journal, answered("QUIET_HOURS"), 60)
    assert (again["action"], again["send"]["allowed"]) == (first["action"], False)
    assert ask(journal, answered(), 90)["send"]["allowed"]


def test_the_caller_may_judge_what_forbids(journal: Journal) -> None:
    ask(journal, answered())
    said = ask(
        journal, answered(), 60, forbids=lambda now, before: ["TIER"] if before.decision.offer_id == "cpn" else []
    )
    assert said["action"]["kind"] == "none"


def test_codes_are_drawn_once_per_decision_until_none_is_left(journal: Journal) -> None:
    pool = Pool(journal, "cpn", ["K1"])

    def drawn(result: dict[str, Any]) -> Any:
        return ask(journal, result, pool_of=lambda offer: pool if offer == "cpn" else None)

    assert drawn(answered())["action"]["coupon_code"] == "K1" == drawn(answered())["action"]["coupon_code"]
    other = answered(one="d2") | {"customer_id": "C2"}
    assert drawn(other)["action"]["kind"] == "none"
    assert drawn(other | {"action": other["action"] | {"offer_id": "tips"}})["action"]["coupon_code"] is None
    assert contacts_since(journal, 0).contact_id.tolist() == ["d1", "d2"]
    assert drawn(WITHHELD | {"customer_id": "C3", "decision_id": "d3"})["action"]["coupon_code"] is None
    found = decision(journal, "d1")
    assert found is not None and found.decision.coupon_code == "K1"
    assert orjson.loads(found.decision.result)["action"]["coupon_code"] == "K1"


def test_an_answer_that_gives_way_to_an_earlier_one_draws_no_code(journal: Journal) -> None:
    ask(journal, answered(offer="tips"))
    pool = Pool(journal, "cpn", ["K1"])
    again = ask(journal, answered(offer="cpn"), pool_of=lambda offer: pool if offer == "cpn" else None)
    assert (again["action"]["offer_id"], again["action"]["coupon_code"], pool.left()) == ("tips", None, 1)


@pytest.mark.parametrize(("campaign", "left"), [("win_back", ["d2", "d3", "d4"]), (None, ["d1", "d2", "d4"]), ("x", 4)])
def test_a_contact_counts_against_no_cap_of_its_own(journal: Journal, campaign: str | None, left: Any) -> None:
    day = 86_400
    for one, occasion in {
        "d1": OCCASION,
        "d2": replace(OCCASION, day=OCCASION.day - 1, at=NOON - day),
        "d3": replace(OCCASION, campaign_id=None),
        "d4": replace(OCCASION, campaign_id="refill"),
    }.items():
        recorded([answered(one=one)], occasion, journal)
    today = OCCASION.day * day, (OCCASION.day + 1) * day
    found = earlier(journal, 0, ["C1", "C2"], campaign, today).contact_id.tolist()
    assert len(found) == 4 if left == 4 else sorted(found) == left


def test_an_erasure_that_ran_meanwhile_is_made_up_for(journal: Journal) -> None:
    ask(journal, answered(), is_forgotten=lambda customer: customer == "C1")
    assert decision(journal, "d1") is None and contacts_since(journal, 0).empty
