"""The single customer view: two accounts are answered for as one person, by any id or alias, with the reason why."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from features.home import Home
from features.shop import open_shop
from serving.forget import forget
from serving.nightly import nightly
from serving.publication import current
from serving.replies import ScoreReply
from serving.schemas import RecommendRequest, ScoreRequest

from . import members
from . import shop as told
from .conftest import copy_of
from .members import DEVICE, LINE_ID, MEMBER, ORDERS, PERSON, SECOND, TABLET

if TYPE_CHECKING:
    from serving.online import Online

Ask = Callable[..., list[dict[str, Any]]]


def opened(home: Home, patch: pytest.MonkeyPatch) -> "Online":
    from serving.online import Online

    patch.setenv("OKAERI_HOME", str(home.root))
    return Online.open(lambda: told.MACHINE_NOW)


@pytest.fixture(scope="module")
def peopled_online(peopled: Home) -> Iterator["Online"]:
    with pytest.MonkeyPatch.context() as patch:
        yield opened(peopled, patch)


@pytest.fixture(scope="module")
def ask(peopled_online: "Online") -> Ask:
    def ask(*customer_ids: str, aliases: list[tuple[str, str]] | None = None) -> list[dict[str, Any]]:
        asked: dict[str, Any] = {"customer_ids": list(customer_ids)}
        if aliases is not None:
            asked = {"identifiers": [{"type": kind, "value": value} for kind, value in aliases]}
        reply = peopled_online.score(ScoreRequest.model_validate(asked))
        ScoreReply.model_validate_json(_json({"request_id": "r", **reply}))
        return list(reply["results"])

    return ask


def _json(reply: dict[str, Any]) -> bytes:
    import orjson

    return orjson.dumps(reply, option=orjson.OPT_SERIALIZE_NUMPY)


def test_each_id_of_a_person_is_answered_for_as_the_person(ask: Ask) -> None:
    first, other, stranger = ask(PERSON, SECOND, "c0001")
    assert (first["customer_id"], first["merged_from"], first["status"]) == (PERSON, [SECOND], "ok")
    assert other == first
    assert (stranger["customer_id"], stranger["merged_from"]) == ("c0001", [])
    assert first["order_count"] == len(told.TOLD[PERSON]) + len(ORDERS)


@pytest.mark.parametrize(
    "alias", [("line_user_id", LINE_ID), ("member_no", MEMBER), ("device", DEVICE)], ids=lambda alias: alias[0]
)
def test_an_alias_leads_to_the_person(ask: Ask, alias: tuple[str, str]) -> None:
    (found,) = ask(aliases=[alias])
    assert (found["customer_id"], found["status"]) == (PERSON, "ok")


def test_an_alias_of_nobody_of_too_many_or_of_another_type_is_unknown(ask: Ask) -> None:
    asked = [("device", "nobody's"), ("device", TABLET), ("email_hash", DEVICE), ("member_no", PERSON)]
    found = ask(aliases=[*asked, ("device", DEVICE), ("member_no", DEVICE)])
    assert [one["status"] for one in found] == ["unknown_customer"] * 4 + ["ok", "unknown_customer"]
    assert [one["customer_id"] for one in found] == [*(value for _, value in asked), PERSON, DEVICE]


def test_the_night_has_one_row_per_person(peopled: Home) -> None:
    found = current(peopled)
    assert found is not None
    scores = found.table("customer_scores").set_index("customer_id")
    assert scores.merged_from[PERSON].tolist() == [SECOND]
    assert SECOND not in scores.index and scores.index.is_unique
    assert scores.order_count[PERSON] == len(told.TOLD[PERSON]) + len(ORDERS)
    assert found.manifest["counts"]["merged_ids"] == 1
    assert found.manifest["counts"]["crowded_aliases"] == 1
    assert SECOND not in set(found.table("recommendations").customer_id)


def test_no_table_and_no_reply_shows_an_alias(peopled: Home, peopled_online: "Online", ask: Ask) -> None:
    seen = [repr(ask(PERSON)), repr(peopled_online.customer(SECOND))]
    for path in peopled.publications.rglob("*.parquet"):
        seen.append(str(pq.read_table(path).to_pydict()))
    for alias in (LINE_ID, MEMBER, DEVICE):
        assert not [text for text in seen if alias in text], alias


def test_the_view_tells_what_joined_them_and_when(peopled_online: "Online") -> None:
    view = peopled_online.customer(SECOND)
    assert view is not None and view["customer_id"] == PERSON
    assert {order["order_id"] for order in view["orders"]} > set(ORDERS)
    assert {(link["alias_type"], link["alias"], link["customer_id"]) for link in view["links"]} == {
        ("line_user_id", "…9aa", PERSON),
        ("member_no", "…717", PERSON),
        ("member_no", "…717", SECOND),
        ("device", "…y-9", SECOND),
        ("device", "…hop", SECOND),
    }
    (merge,) = view["identity_changes"]
    assert (merge["joined"], merge["left"], merge["on"]) == ([SECOND], [], "2024-12-13")
    (why,) = merge["because"]
    assert (why["alias_type"], why["customer_id"], why["linked_at"]) == (
        "member_no",
        SECOND,
        "2024-12-12T08:00:00+00:00",
    )
    assert why["load"].startswith("000002-")


def test_the_command_line_shows_the_person_by_any_id(
    peopled: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from serving.cli.data import show_features

    monkeypatch.setenv("OKAERI_HOME", str(peopled.root))
    show_features(SECOND, json=True)
    shown = json.loads(capsys.readouterr().out)
    assert (shown["customer_id"], shown["merged_from"]) == (PERSON, [SECOND])
    assert shown["identity_changes"][0]["joined"] == [SECOND]


def test_taken_apart_they_are_two_again_after_the_next_night(
    peopled: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copy_of(peopled, tmp_path / "home")
    (tmp_path / "identities_3.csv").write_text(
        f"kind,alias,c,t,u\nmember_no,{MEMBER},{SECOND},{told.at(told.NIGHT - 18)},{told.at(told.NIGHT + 1)}\n"
    )
    members.take_in(home, [tmp_path / "identities_3.csv"])
    nightly(home, told.D + 2, told.MACHINE_NOW, told.POLICY)
    online = opened(home, monkeypatch)
    first, other = online.score(ScoreRequest(customer_ids=[PERSON, SECOND]))["results"]
    assert (first["customer_id"], first["merged_from"]) == (PERSON, [])
    assert (other["customer_id"], other["merged_from"]) == (SECOND, [])
    assert (first["order_count"], other["order_count"]) == (len(told.TOLD[PERSON]), len(ORDERS))
    view = online.customer(SECOND)
    assert view is not None
    changes = view["identity_changes"]
    assert [(change["joined"], change["left"]) for change in changes] == [([PERSON], []), ([], [PERSON])]
    assert changes[1]["because"][0]["load"].startswith("000003-")


# ---- erased while the service runs ------------------------------------------------------------------------------


def test_a_running_service_forgets_at_once_and_answers_for_the_others(
    peopled: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copy_of(peopled, tmp_path / "home")
    online = opened(home, monkeypatch)
    before = online.recommend(RecommendRequest(customer_id=SECOND))
    forget(home, SECOND, told.MACHINE_NOW)
    known = online.score(ScoreRequest(customer_ids=[PERSON, SECOND, "c0001"]))["results"]
    assert [(one["customer_id"], one["status"]) for one in known] == [
        (PERSON, "unknown_customer"),
        (SECOND, "unknown_customer"),
        ("c0001", "ok"),
    ]
    assert [one["recommendations"][0]["source"] for one in known[:2]] == ["popular"] * 2
    by_alias = online.score(ScoreRequest.model_validate({"identifiers": [{"type": "device", "value": DEVICE}]}))
    assert by_alias["results"][0]["status"] == "unknown_customer"
    assert (online.customer(PERSON), online.forget("nobody")) == (None, None)
    assert online.recommend(RecommendRequest(customer_id=SECOND)) != before
    other = online.customer("c0001")
    assert other is not None and other["orders"], "whose loads were written anew meanwhile"


def test_an_erasure_over_http_gives_the_receipt(peopled: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = copy_of(peopled, tmp_path / "home")
    receipt = opened(home, monkeypatch).forget(SECOND)
    assert receipt is not None and receipt["rows_removed"]["lake"]["customers.parquet"] == 2
    shop = open_shop(home, "cha")
    assert [PERSON in str(pq.read_table(path).to_pydict()) for path in shop.parts("order_lines")] == [False, False]
