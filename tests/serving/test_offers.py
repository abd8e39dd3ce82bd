"""Offers from the night to the mail tool: within a budget, with codes of their own, written down when they leave."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.contact_history import contact_history
from features.errors import BadInput
from features.home import Home
from features.journal import Journal
from features.journal.decisions import contacts_since
from serving.audiences.approvals import Decision, approve, propose
from serving.audiences.export import export
from serving.audiences.recorded import JournalRecorder
from serving.audiences.saved import read_audience
from serving.nightly import nightly
from serving.online import Online
from serving.policy.codes import read_codes
from serving.policy.reading import DEFAULT, parse_policy
from serving.policy.rules import Policy
from serving.preview import preview
from serving.publication import Publication, current
from serving.schemas import ScoreRequest

from . import shop as told

BY = Decision("hana", "2024-12-30T09:00:00+09:00", "test")
COUPON = "{type: coupon, percent: 10, expires: 14d, lift: [0.010, 0.050, 0.100]}"
WITH_CODES = "{type: coupon, value: 20, expires: 14d, code: {pool: codes.csv}, lift: [0.3, 0.5, 0.6]}"
SCARCE = "budget: {per_night: 60}\n"
WINTER = b"audience: winter\nfilter: {lifecycle: [at_risk, dormant]}\nscenario: win_back\nprofile: generic\n"


def policy(*changes: tuple[str, str], more: str = "") -> tuple[Policy, bytes]:
    """Give the policy that ships with some of its text changed."""
    text = DEFAULT.read_text() + more
    for old, new in changes:
        assert old in text, f"the default policy no longer has {old}"
        text = text.replace(old, new)
    return parse_policy(text.encode(), "test"), text.encode()


CODED = policy((COUPON, WITH_CODES), ("offers: [care_tips, coupon_10]", "offers: [coupon_10]"))
RICH = policy(
    (COUPON, "{type: coupon, value: 20, lift: [0.3, 0.5, 0.6]}"),
    ("offers: [care_tips, coupon_10]", "offers: [coupon_10]"),
    more=SCARCE,
)
LOTS = {"coupon_10": tuple(f"CODE{n:04d}" for n in range(1000))}


def night(home: Home, rules: tuple[Policy, bytes], codes: dict[str, tuple[str, ...]] | None = None) -> Publication:
    nightly(home, told.D, told.MACHINE_NOW, rules, codes, replace=True)
    found = current(home)
    assert found is not None
    return found


def opened(home: Home, monkeypatch: pytest.MonkeyPatch) -> Online:
    monkeypatch.setenv("OKAERI_HOME", str(home.root))
    return Online.open(lambda: told.MACHINE_NOW)


def ask(online: Online, ids: list[str], **more: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = online.score(ScoreRequest(customer_ids=ids, **more))["results"]
    return found


# ---- within a budget


def test_a_night_keeps_to_its_budget_and_the_service_says_the_same(
    copied: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = night(copied, RICH)
    offers = published.table("offer_allocations").set_index("customer_id")
    sent = offers[offers.state == "send"]
    limit = published.manifest["limits"]["budget.per_night"]
    assert sent.cost.sum() <= 60 and sent.cost.sum() == pytest.approx(limit["used"], abs=1e-3)
    assert limit["price"] > 0 and (offers.guards_failed == "BUDGET").sum() > 10
    scores = published.table("customer_scores").set_index("customer_id")
    online = opened(copied, monkeypatch)
    for result in ask(online, scores.index.tolist(), explain="none"):
        row = scores.loc[result["customer_id"]]
        action = result["action"] or {"scenario": "none", "offer_id": None, "channel": None}
        assert (action["scenario"], action["offer_id"], action["channel"]) == (
            row.action_scenario, row.action_offer_id, row.action_channel,
        )  # fmt: skip
        assert (result["send"] or {"allowed": False})["allowed"] == row.send_allowed


def test_who_was_not_in_the_night_is_decided_at_its_prices(copied: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for the next day nothing is settled: what pays less than its share of the budget is worth stays unsent."""
    published = night(copied, RICH)
    price = published.manifest["limits"]["budget.per_night"]["price"]
    online = opened(copied, monkeypatch)
    ids = published.table("customer_scores").customer_id.tolist()
    found = Counter[str]()
    for result in ask(online, ids, as_of="2024-12-31T05:00:00+09:00", explain="brief"):
        assert (result["action"] or {"origin": "live"})["origin"] == "live"
        chosen = [c for c in result["candidates"] if c["scenario"] != "none"][:1]
        if (result["send"] or {})["allowed"] if result["send"] else False:
            assert chosen[0]["net_value"] - price * chosen[0]["cost"] > 0
            found["sent"] += 1
        elif any(guard["code"] == "BUDGET" and guard["state"] == "fail" for guard in result["guards"]):
            assert chosen[0]["net_value"] - price * chosen[0]["cost"] <= 0 or chosen[0]["cost"] > 0
            found["too dear"] += 1
    assert found["too dear"] > 0


def test_another_policy_is_looked_at_without_publishing_it(copied: Home) -> None:
    published = night(copied, told.POLICY)
    same = preview(copied, told.POLICY[1], told.MACHINE_NOW)
    before = published.table("offer_allocations")
    pd.testing.assert_frame_equal(same, before.astype(same.dtypes.to_dict()), check_dtype=False)
    other = preview(copied, policy(more=SCARCE.replace("60", "0"))[1], told.MACHINE_NOW)
    assert (other[other.state == "send"].cost.fillna(0) == 0).all()
    now = current(copied)
    assert now is not None and now.path == published.path


# ---- codes


def test_each_recorded_coupon_has_a_code_of_its_own_and_keeps_it(copied: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    published = night(copied, CODED, LOTS)
    offers = published.table("offer_allocations")
    ids = offers.customer_id[(offers.state == "send") & (offers.offer_id == "coupon_10")].tolist()[:9]
    assert len(ids) == 9
    online = opened(copied, monkeypatch)
    seen = [r["action"]["coupon_code"] for r in ask(online, ids)]
    assert seen == [None] * 9, "a look takes no code"
    first = {r["customer_id"]: r["action"]["coupon_code"] for r in ask(online, ids, campaign_id="win_back")}
    again = {r["customer_id"]: r["action"]["coupon_code"] for r in ask(online, ids[::-1], campaign_id="win_back")}
    assert first == again and sorted(first.values()) == [f"CODE{n:04d}" for n in range(9)]


def test_codes_given_away_are_gone_the_next_night(copied: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three codes: three coupons tonight; recorded, none is left tomorrow, and nobody is told to get one."""
    few = {"coupon_10": ("A", "B", "C")}
    published = night(copied, CODED, few)
    offers = published.table("offer_allocations")
    chosen = offers.customer_id[(offers.state == "send") & (offers.offer_id == "coupon_10")].tolist()
    assert len(chosen) == 3 and published.manifest["inputs"]["codes"]["coupon_10"][1] == 3
    ask(opened(copied, monkeypatch), chosen, campaign_id="win_back")
    nightly(copied, told.D + 1, told.MACHINE_NOW, CODED, few)
    later = current(copied)
    assert later is not None and later.manifest["inputs"]["codes"]["coupon_10"][1] == 0
    given = later.table("offer_allocations")
    assert not ((given.state == "send") & (given.offer_id == "coupon_10")).any()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("A1\nB2\n", ("A1", "B2")),
        ("code\nA1\n", ("A1",)),
        ('"A1",500\n\n"B2",500\n', ("A1", "B2")),
        ("\ufeffA1\r\nB2\r\n", ("A1", "B2")),
        ("", ()),
        (None, ()),
    ],
)
def test_a_file_of_codes_has_one_a_line(tmp_path: Path, content: str | None, expected: tuple[str, ...]) -> None:
    if content is not None:
        (tmp_path / "codes.csv").write_bytes(content.encode())
    assert read_codes(CODED[0], tmp_path) == {"coupon_10": expected}


@pytest.mark.parametrize(("content", "said"), [(b"A1\nB2\nA1\n", "code 3 stands more than once"), (b"A\xff", "byte 1")])
def test_a_wrong_file_of_codes_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "codes.csv").write_bytes(content)
    with pytest.raises(BadInput, match=said):
        read_codes(CODED[0], tmp_path)


# ---- lists that leave the house


def contacts(home: Home) -> pd.DataFrame:
    journal = Journal.open(home, "cha")
    try:
        return contacts_since(journal, 0)
    finally:
        journal.close()


def test_a_list_is_written_down_once_with_codes_and_who_was_withheld(
    copied: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = night(copied, CODED, LOTS)
    propose(copied, WINTER, "winter.yaml", BY)
    approve(copied, "winter", BY)
    saved, record = read_audience(copied, "winter"), JournalRecorder(copied, told.opened(copied), published)
    first = export(copied, published, saved, BY, tmp_path / "first", record)
    again = export(copied, published, saved, BY, tmp_path / "again", record)
    assert first["rows"] > 10 and first == again
    lists = [pd.read_csv(tmp_path / folder / "winter.csv", dtype=str) for folder in ("first", "again")]
    pd.testing.assert_frame_equal(*lists)
    codes = lists[0].filter(like="coupon").iloc[:, 0]
    assert codes.is_unique and set(codes) <= set(LOTS["coupon_10"])
    known = contacts(copied)
    sent, held = known[~known.withheld], known[known.withheld]
    assert len(sent) == first["rows"] and sent.decision_id.is_unique
    offers = published.table("offer_allocations").set_index("customer_id")
    assert len(held) and (offers.loc[held.customer_id].guards_failed == "CONTROL_GROUP").all()
    assert np.allclose(sent.cost, 0.01), "what sending costs; the discount is the order's"

    online = opened(copied, monkeypatch)
    later = ask(online, sent.customer_id.tolist()[:5], campaign_id="win_back", explain="brief")
    for result in later:  # another campaign on the day of the list
        assert not result["send"]["allowed"]
        assert "FREQUENCY_CAP" in {g["code"] for g in result["guards"] if g["state"] == "fail"}
    nightly(copied, told.D + 1, told.MACHINE_NOW, CODED, LOTS)
    history = contact_history(told.opened(copied), told.D + 1)
    assert set(history.customer_id[~history.withheld]) >= set(sent.customer_id)


def test_the_night_writes_approved_lists_and_records_them(copied: Home) -> None:
    propose(copied, WINTER, "winter.yaml", BY)
    night(copied, told.POLICY)
    assert not (copied.root / "exports").exists(), "nobody has approved it"
    approve(copied, "winter", BY)
    published = night(copied, told.POLICY)
    folder = copied.root / "exports" / "2024-12-30"
    done = json.loads((folder / "winter.done").read_text())
    assert done["rows"] == len(pd.read_csv(folder / "winter.csv", dtype=str)) > 0
    assert (~contacts(copied).withheld).sum() == done["rows"]
    assert published.manifest["counts"]["offer_codes"] == 0


def test_a_campaign_may_be_a_saved_audience(copied: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    propose(copied, WINTER.replace(b"[at_risk, dormant]", b"[dormant]"), "winter.yaml", BY)
    published = night(copied, told.POLICY)
    scores = published.table("customer_scores").set_index("customer_id")
    online = opened(copied, monkeypatch)
    for result in ask(online, scores.index.tolist(), campaign_id="winter", record=False):
        mine = scores.loc[result["customer_id"]]
        scenarios = {one["scenario"] for one in result["candidates"]} - {"none"}
        assert scenarios <= ({"win_back"} if mine.lifecycle == "dormant" else set())
    assert (scores.lifecycle == "dormant").sum() > 5


def test_an_unknown_campaign_names_the_nearest_audience(copied: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving.schemas import Refused

    propose(copied, WINTER, "winter.yaml", BY)
    with pytest.raises(Refused) as refused:
        ask(opened(copied, monkeypatch), ["weekly"], campaign_id="wintr")
    assert refused.value.path == "campaign_id" and "did you mean winter?" in refused.value.message


# ---- trying what is untried


def test_a_share_tries_offers_that_nobody_has_measured(copied: Home) -> None:
    """By lot, and the same all month: half of those who would get the best offer get one of the two, whichever pays."""
    rules = policy(more="explore: {share: 0.5}\n")
    offers = night(copied, rules).table("offer_allocations")
    sent = offers[(offers.state == "send") & (offers.scenario == "win_back")]
    share = sent.is_explored.mean()
    assert 0.3 < share < 0.7
    assert set(sent.offer_id[sent.is_explored]) == {"care_tips", "coupon_10"}
    best = night(copied, told.POLICY).table("offer_allocations").set_index("customer_id")
    plain = sent[~sent.is_explored]
    assert (best.loc[plain.customer_id].offer_id.to_numpy() == plain.offer_id.to_numpy()).all()
