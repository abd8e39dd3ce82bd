"""Who is in an audience, who approved it, and what leaves the house."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features import lake
from features.errors import BadInput, Refused
from features.home import Home
from features.members import addresses
from features.parcels import unshipped
from features.shop import Shop
from serving.audiences.answer import answer
from serving.audiences.approvals import Decision, approve, entries, expect_approved, propose, state
from serving.audiences.export import asked_of, export, for_profile, write_audiences
from serving.audiences.members import Asked, Members, audience, reason_texts
from serving.audiences.saved import names, parse_audience, read_audience
from serving.lists.profiles import PROFILES
from serving.policy.columns import CUSTOMER
from serving.policy.filters import matches, parse
from serving.publication import POLICY, Publication, current
from serving.replies import AudienceReply
from serving.schemas import AudienceRequest
from serving.schemas import Refused as NoAnswer
from serving.tables import write_table

from . import members
from . import shop as told

BY = Decision("hana", "2026-11-21T09:00:00+09:00", "winter campaign")
NIGHT = "2024-12-30"
WINTER = "audience: winter\nfilter: {lifecycle: [at_risk, dormant]}\nscenario: win_back\n"

# customer, lifecycle, scenario, state, guards failed, net value, cost, channel
PEOPLE = [
    ("a", "at_risk", "win_back", "send", "", 10.0, 3.0, "email"),
    ("b", "dormant", "win_back", "send", "", 30.0, 4.0, "line"),
    ("c", "dormant", "win_back", "withheld", "CONTROL_GROUP", 50.0, 4.0, "line"),
    ("d", "at_risk", "win_back", "withheld", "CONSENT_CHANNEL,RECENT_ORDER", 20.0, 4.0, "email"),
    ("e", "at_risk", "replenishment", "send", "", 90.0, 4.0, "email"),
    ("f", "at_risk", "win_back", "not_worth_it", "", -1.0, 4.0, "email"),
    ("g", "at_risk", None, None, None, None, None, None),
    ("h", "active", "win_back", "send", "", 99.0, 1.0, "email"),
    ("i", "at_risk", "win_back", "withheld", "", 5.0, 1.0, "email"),
    ("j", "dormant", "win_back", "send", "", 30.0, 4.0, "line"),
]
COLUMNS = ["customer_id", "lifecycle", "scenario", "state", "guards_failed", "net_value", "cost", "channel"]


def night(folder: Path, people: list[tuple[Any, ...]] = PEOPLE, without: tuple[str, ...] = ()) -> Publication:
    """Publish a made-up night of a few customers."""
    rows = pd.DataFrame(people, columns=COLUMNS)
    scores = rows[["customer_id", "lifecycle"]]
    offers = rows.loc[rows.scenario.notna(), [c for c in COLUMNS if c != "lifecycle"]]
    folder.mkdir(parents=True, exist_ok=True)
    write_table(scores.reset_index(drop=True), folder / "customer_scores.parquet")
    write_table(offers.assign(offer_id="care_tips").drop(columns=list(without)), folder / "offer_allocations.parquet")
    (folder / POLICY).write_bytes(told.POLICY[1])
    lake.seal(folder, day=told.D, score_date=NIGHT)
    return Publication(folder, lake.verify(folder))


def asked(**more: Any) -> Asked:
    who = parse({"lifecycle": ["at_risk", "dormant"]}, CUSTOMER)
    return replace(Asked(who, "win_back"), **more)


def reasons(found: Members) -> dict[str, str]:
    return dict(zip(found.excluded.customer_id, found.excluded.reasons, strict=True))


def test_everybody_who_is_meant_is_in_or_out_with_a_reason(tmp_path: Path) -> None:
    found = audience(night(tmp_path), asked())
    assert found.included.customer_id.tolist() == ["a", "b", "j"]
    assert reasons(found) == {
        "c": "CONTROL_GROUP",
        "d": "CONSENT_CHANNEL,RECENT_ORDER",
        "e": "OTHER_SCENARIO",
        "f": "NOT_WORTH_IT",
        "g": "NO_OFFER",
        "i": "WITHHELD",
    }
    assert found.included[["net_value", "cost", "offer_id"]].values.tolist()[0] == [10.0, 3.0, "care_tips"]


@pytest.mark.parametrize(
    ("budget", "within"),
    [
        pytest.param(0, [], id="nothing to spend"),
        pytest.param(3.5, ["a"], id="whoever still fits"),
        pytest.param(4, ["b"], id="the highest net value first, equal ones by customer"),
        pytest.param(7, ["a", "b"], id="a cheaper one fits where the next does not"),
        pytest.param(8, ["b", "j"], id="two of the best"),
        pytest.param(11, ["a", "b", "j"], id="everybody"),
    ],
)
def test_the_budget_goes_to_the_highest_net_value(budget: float, within: list[str], tmp_path: Path) -> None:
    found = audience(night(tmp_path), asked(budget=budget))
    assert found.included.customer_id.tolist() == within
    assert {c for c, reason in reasons(found).items() if reason == "BUDGET"} == {"a", "b", "j"} - set(within)


def test_a_channel_takes_only_those_whose_action_goes_over_it(tmp_path: Path) -> None:
    found = audience(night(tmp_path), asked(channel="line"))
    assert found.included.customer_id.tolist() == ["b", "j"] and reasons(found)["a"] == "OTHER_CHANNEL"


def test_line_lists_leave_out_who_is_not_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = audience(night(tmp_path), asked(channel="line"))
    linked = pd.DataFrame({"customer_id": ["b", "x"], "line_user_id": ["Ub", "Ux"], "member_no": [None, None]})
    monkeypatch.setattr("serving.audiences.export.addresses", lambda shop, day: linked)
    cut = for_profile(found, PROFILES["line-audience"], lambda: cast(Shop, None), told.D)
    assert cut.included.line_user_id.tolist() == ["Ub"] and reasons(cut)["j"] == "CHANNEL_UNREACHABLE"


def test_an_alias_is_that_of_the_account_that_has_one(peopled: Home) -> None:
    """Two accounts of one person, of which the list tells one; by the second load and by nobody before."""
    opened = told.opened(peopled)
    known = addresses(opened, told.D).set_index("customer_id")
    assert known.loc[members.PERSON].tolist() == [members.LINE_ID, members.MEMBER]
    assert known.loc["c0001"].tolist() == ["U0000000000001", "M0000001"]
    assert members.SECOND not in known.index and known.line_user_id.notna().sum() == 2
    apart = addresses(opened, told.D - 300).set_index("customer_id")  # before they were known to be one
    assert apart.loc[members.PERSON, "line_user_id"] == members.LINE_ID


def test_a_night_of_before_there_were_channels_has_an_audience(tmp_path: Path) -> None:
    found = audience(night(tmp_path, without=("channel",)), asked(channel="line"))
    assert found.included.customer_id.tolist() == ["a", "b", "j"]


def test_an_unknown_scenario_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="did you mean win_back"):
        audience(night(tmp_path), asked(scenario="win_bak"))


@given(data=st.data())
def test_in_and_out_are_all_who_are_meant_and_the_budget_holds(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    amount = st.floats(0, 9, allow_nan=False)
    states = st.sampled_from([("send", ""), ("withheld", "CONTROL_GROUP"), ("not_worth_it", "")])
    drawn = data.draw(st.lists(st.tuples(states, amount, amount), min_size=1, max_size=8))
    people = [
        (f"c{n}", "at_risk", "win_back", *told_, net, cost, "email") for n, (told_, net, cost) in enumerate(drawn)
    ]
    budget = data.draw(st.none() | amount)
    found = audience(night(tmp_path_factory.mktemp("night"), people), asked(budget=budget))
    assert sorted([*found.included.customer_id, *found.excluded.customer_id]) == sorted(p[0] for p in people)
    assert (found.excluded.reasons != "").all()
    if budget is not None:
        assert found.included.cost.sum() <= budget + 1e-9
        over = found.excluded[found.excluded.reasons == "BUDGET"]
        left = budget - found.included.cost.sum()
        costs = {p[0]: p[6] for p in people}
        assert all(costs[c] > left - 1e-9 for c in over.customer_id)  # nobody is cut who would have fitted


def test_reasons_are_said_in_both_languages() -> None:
    codes = pd.Series(["CONTROL_GROUP", "BUDGET,NO_OPEN_ORDER"])
    assert reason_texts(codes, "ja") == ["対照群(効果測定のため送らない)", "予算上限 / 出荷待ちの注文なし"]
    assert reason_texts(codes, "en") == ["Control group (withheld)", "Over budget / No order about to be shipped"]


# ---- the file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (WINTER + "budgt: 3", "f.yaml: budgt: unknown key; did you mean budget?"),
        (WINTER.replace("at_risk", "atrisk"), "f.yaml: filter.lifecycle.0: unknown word; did you mean at_risk?"),
        (WINTER.replace("lifecycle", "lifecycl"), "f.yaml: filter.lifecycl: unknown field; did you mean lifecycle?"),
        (WINTER + "profile: exel-ja", "f.yaml: profile: unknown; did you mean excel-ja?"),
        (WINTER + "channel: lime", "f.yaml: channel: unknown; did you mean line?"),
        (WINTER + "profile: line-audience\nchannel: email", "f.yaml: channel: must be line, which is where the"),
        (WINTER + "budget: -1", "f.yaml: budget: Input should be greater than or equal to 0"),
        (WINTER + "budget: .nan", "f.yaml: budget: Input should be a finite number"),
        (WINTER + "scenario: twice", "f.yaml: not YAML: key 'scenario' stands twice"),
        (WINTER.replace("winter", "../etc"), "f.yaml: audience: String should match pattern"),
        (WINTER.replace("{lifecycle: [at_risk, dormant]}", "{points_expire_on: 2026-02-30}"), "f.yaml: not YAML: day"),
        ("audience: winter", "f.yaml: filter: Field required"),
        ("- a", "f.yaml: must be keys"),
        ("a: [", "f.yaml: not YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_key_and_the_nearest_word(text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse_audience(text.encode(), "f.yaml")
    assert str(refused.value).startswith(said)


def test_all_of_it_is_read() -> None:
    text = WINTER + "budget: 30000\nchannel: line\nprofile: line-audience\nnote: 冬\n"
    saved = parse_audience(text.encode(), "f.yaml").saved
    assert asked_of(saved) == Asked(saved.who, "win_back", "line", 30000.0)
    assert (saved.profile, saved.note) == ("line-audience", "冬")
    assert asked_of(saved.model_copy(update={"channel": None})).channel == "line"  # where its profile leads


# ---- who approved it ------------------------------------------------------------------------------------------


def states(home: Home) -> list[str]:
    return [entry["state"] for entry in entries(home)]


def test_an_edit_after_the_approval_is_a_proposal_again(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    written = propose(home, WINTER.encode(), "f.yaml", BY)
    assert state(home, written) == "proposed"
    with pytest.raises(Refused, match="not approved yet"):
        expect_approved(home, written)
    approve(home, "winter", BY, seen=written.sha256[:8])
    approve(home, "winter", BY)
    assert state(home, written) == "approved" and states(home) == ["proposed", "approved"]
    (home.root / "audiences" / "winter.yaml").write_text(WINTER + "budget: 1\n")
    edited = read_audience(home, "winter")
    assert state(home, edited) == "proposed"
    with pytest.raises(Refused, match="changed since it was approved"):
        expect_approved(home, edited)
    again = propose(home, WINTER.encode(), "f.yaml", BY)
    assert state(home, again) == "approved" and states(home) == ["proposed", "approved"]
    assert entries(home)[1] == {
        "audience": "winter",
        "state": "approved",
        "sha256": written.sha256,
        "who": "hana",
        "when": BY.when,
        "why": BY.why,
    }


def test_an_approval_of_another_file_than_the_one_looked_at_is_refused(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    seen = propose(home, WINTER.encode(), "f.yaml", BY)
    propose(home, (WINTER + "budget: 10000000\n").encode(), "f.yaml", BY)
    with pytest.raises(Refused, match="look at it, then decide again"):
        approve(home, "winter", BY, seen=seen.sha256)
    with pytest.raises(BadInput, match="say why"):
        approve(home, "winter", replace(BY, why=" "))
    with (
        lake.locked(home.root / "audiences" / ".lock", "the list of audiences"),
        pytest.raises(Refused, match="is locked by"),
    ):
        approve(home, "winter", BY)
    assert states(home) == ["proposed", "proposed"]


def test_an_unknown_audience_names_the_nearest(tmp_path: Path) -> None:
    home = Home.open(tmp_path)
    with pytest.raises(BadInput, match="there is none yet"):
        read_audience(home, "winter")
    propose(home, WINTER.encode(), "f.yaml", BY)
    with pytest.raises(BadInput, match="did you mean winter"):
        read_audience(home, "wintr")
    assert names(home) == ["winter"]


# ---- the list, of a real night --------------------------------------------------------------------------------


def newest(home: Home) -> Publication:
    found = current(home)
    assert found is not None
    return found


def test_the_list_of_a_night_is_what_the_night_decided(copied: Home) -> None:
    """Counted again from the published tables, sharing no code."""
    written = propose(copied, (WINTER + "profile: excel-ja\n").encode(), "f.yaml", BY)
    publication = newest(copied)
    with pytest.raises(Refused, match="not approved yet"):
        export(copied, publication, written, BY)
    approve(copied, "winter", BY)
    kept: list[tuple[list[str], list[str]]] = []

    def record(name: str, day: int, sent: pd.DataFrame, withheld: pd.DataFrame, /) -> pd.DataFrame:
        assert (name, day) == ("winter", told.D)
        kept.append((sent.customer_id.tolist(), withheld.customer_id.tolist()))
        return sent

    done = export(copied, publication, written, BY, record=record)
    scores = publication.table("customer_scores")
    meant = scores[scores.lifecycle.isin(["at_risk", "dormant"])]
    sent = meant[(meant.action_scenario == "win_back") & meant.send_allowed].customer_id.tolist()
    assert sent and kept[0][0] == sent == sorted(sent)
    assert set(kept[0][1]) == set(meant[meant.guards_failed == "CONTROL_GROUP"].customer_id) & set(kept[0][1])
    assert len(kept[0][1]) > 0
    assert (done["rows"], done["rows"] + done["excluded"]) == (len(sent), len(meant))
    folder = copied.root / "exports" / NIGHT
    lines = (folder / "winter.csv").read_bytes().decode("cp932").splitlines()[1:]
    assert [line.split(",")[0] for line in lines] == [f'"\'{one}"' for one in sent]
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert export(copied, publication, read_audience(copied, "winter"), BY) == done
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert states(copied) == ["proposed", "approved", "exported"]


def test_the_night_writes_the_approved_ones_and_one_that_cannot_be_stops_no_other(copied: Home) -> None:
    publication = newest(copied)
    for name, more in (("a", ""), ("b", ""), ("waits", "")):
        propose(copied, (WINTER.replace("winter", name) + more).encode(), "f.yaml", BY)
    for name in ("a", "b"):
        approve(copied, name, BY)
    propose(copied, WINTER.replace("winter", "lost").replace("win_back", "no_such").encode(), "f.yaml", BY)
    approve(copied, "lost", BY)
    (copied.root / "audiences" / "broken.yaml").write_text("filter: [")
    found = {one["list"]: one for one in write_audiences(copied, publication, BY)}
    assert set(found) == {"a", "b", "lost", "broken"}
    assert "unknown" in found["lost"]["error"] and "not YAML" in found["broken"]["error"]
    assert found["a"]["rows"] == found["b"]["rows"] > 0
    assert found["a"]["score_date"] == NIGHT and json.loads((copied.root / "exports" / NIGHT / "a.done").read_bytes())


def test_every_column_that_a_night_publishes_can_be_asked_about(copied: Home) -> None:
    """With the kind it has; what filters know and no night has yet is unknown of everybody."""
    scores = newest(copied).table("customer_scores")
    kinds = {"f": "number", "i": "number", "b": "boolean"}
    for name in scores.columns.drop(["merged_from", "reason_texts"]):
        column = CUSTOMER[name]
        assert column.kind == kinds.get(scores[name].dtype.kind, column.kind), name
        if column.among:
            assert set(scores[name].dropna()) <= set(column.among), name
        assert column.kind != "number" or scores[name].dtype.kind in "fi", name
    columns = {str(name): scores[name].to_numpy() for name in scores.columns}
    kept = matches(parse({"points_expire_on": {"min": "0d", "max": "91d"}, "tier": "gold"}, CUSTOMER), columns, told.D)
    assert scores.customer_id[kept].tolist() == ["weekly"]
    lifecycles = Counter(scores.lifecycle)
    assert matches(parse({"lifecycle": "dormant"}, CUSTOMER), columns, told.D).sum() == lifecycles["dormant"] > 0
    assert np.array_equal(
        matches(parse({"churn_probability": {"min": 0.5}}, CUSTOMER), columns, told.D), scores.churn_probability >= 0.5
    )


def test_the_sample_policys_filters_can_be_read() -> None:
    sample = """
    - {delivered: false}
    - {csat: {max: 3}}
    - {order_count: 1, tag: トライアル}
    - {subscription_active: false, order_after_due: false}
    - {to_next_tier: {max: 3000}, tier_expires_on: {max: 60d}}
    - {points: {min: 300}}
    - {lifecycle: [at_risk, dormant], promo_share: {max: 0.8}}
    - {lifecycle: [at_risk], clv_grade: 5, tier: [platinum]}
    """
    from serving.policy.columns import ANCHOR

    for who in yaml.safe_load(sample):
        parse(who, CUSTOMER | ANCHOR)


# ---- asked for over HTTP --------------------------------------------------------------------------------------


def post(online: Any, **more: Any) -> Any:
    body = {"filter": {"lifecycle": ["at_risk", "dormant"]}, "scenario": "win_back", "lang": "en"} | more
    return online.audience(AudienceRequest.model_validate(body))


def test_an_audience_is_told_as_the_night_decided_it(online: Any) -> None:
    reply = post(online)
    AudienceReply.model_validate({"request_id": "r", **orjson.loads(orjson.dumps(reply))})
    found = audience(online.publication, asked())
    assert [one["customer_id"] for one in reply["included"]] == found.included.customer_id.tolist() != []
    assert {one["customer_id"]: ",".join(one["reasons"]) for one in reply["excluded"]} == reasons(found)
    assert reply["counts"]["meant"] == len(found.included) + len(found.excluded)
    assert reply["counts"]["cost"] == pytest.approx(sum(one["cost"] for one in reply["included"]))
    assert reply["who"] == "Life stage is At risk or Dormant" and reply["next_offset"] is None
    control = next(one for one in reply["excluded"] if one["reasons"] == ["CONTROL_GROUP"])
    assert control["reason_texts"] == ["Control group (withheld)"]


def test_pages_add_up_to_the_whole(online: Any) -> None:
    whole, offset = post(online), 0
    pages: dict[str, list[Any]] = {"included": [], "excluded": []}
    while offset is not None:
        page = post(online, limit=7, offset=offset)
        for name, rows in pages.items():
            rows.extend(page[name])
            assert len(page[name]) <= 7
        assert page["counts"] == whole["counts"]
        offset = page["next_offset"]
    assert pages == {name: whole[name] for name in pages}


def test_a_profile_gives_the_whole_list_as_its_file(online: Any) -> None:
    sheet = post(online, profile="excel-ja", limit=1)
    assert (sheet.name, sheet.media_type) == (f"audience-{NIGHT}.csv", "text/csv; charset=windows-31j")
    lines = sheet.content.decode("cp932").splitlines()
    assert len(lines) == 1 + post(online)["counts"]["included"] and lines[0].startswith('"顧客番号"')
    line = post(online, profile="line-audience")
    assert line.media_type == "text/plain; charset=utf-8" and line.content == b""  # the shop knows no LINE user ids


@pytest.mark.parametrize(
    ("more", "path", "hint"),
    [
        ({"filter": {"any": [{"lifecycl": "new"}]}}, "filter.any.0.lifecycl", "did you mean lifecycle?"),
        ({"filter": {"all": {}}}, "filter.all", "must be a list"),
        ({"filter": {"secret word": 1}}, "filter.?", "unknown field"),
        ({"scenario": "win_bak"}, "scenario", "did you mean win_back?"),
        ({"channel": "lime"}, "channel", "did you mean line?"),
        ({"channel": "email", "profile": "line-audience"}, "channel", "must be line"),
    ],
)
def test_a_wrong_question_names_the_path_and_the_nearest_word(
    online: Any, more: dict[str, Any], path: str, hint: str
) -> None:
    with pytest.raises(NoAnswer) as refused:
        post(online, **more)
    assert (refused.value.status, refused.value.path) == (422, path) and hint in refused.value.message
    assert "secret" not in refused.value.message


def test_whoever_was_forgotten_since_is_in_no_list(published: Publication, shop: Shop) -> None:
    request = AudienceRequest.model_validate({"filter": {}, "scenario": "win_back"})
    everyone = answer(request, published, lambda: shop, lambda one: False)
    others = answer(request, published, lambda: shop, lambda one: one in ("late", "c0001"))
    assert isinstance(everyone, dict) and isinstance(others, dict)
    assert everyone["counts"]["meant"] == others["counts"]["meant"] + 2
    assert not {"late", "c0001"} & {one["customer_id"] for name in ("included", "excluded") for one in others[name]}


# ---- the warehouse --------------------------------------------------------------------------------------------


def test_a_parcel_can_still_be_added_to_until_it_is_shipped(peopled: Home) -> None:
    """Worked by hand from what the second load tells: which orders of two weeks no shipment names."""
    opened = told.opened(peopled)
    waiting = unshipped(opened, told.D)
    assert waiting.columns.tolist() == ["customer_id", "order_id"]
    recent = {f"weekly-{ago}" for ago in range(5, 15, 7)}
    theirs = set(waiting.order_id[waiting.customer_id == "weekly"])
    assert theirs == recent - {"weekly-5"}  # shipped yesterday, as both of the second account's orders were
    assert not set(waiting.order_id) & {"g1", "g2"} and waiting.order_id.is_unique
    assert unshipped(opened, told.D - 400).empty


def test_a_shop_that_tells_no_shipments_has_no_parcels_to_add_to(home: Home) -> None:
    assert unshipped(told.opened(home), told.D).empty


def test_the_warehouse_gets_a_row_an_order_and_nobody_without_one(peopled: Home) -> None:
    opened, publication = told.opened(peopled), current(peopled)
    assert publication is not None
    found = audience(publication, Asked(parse({}, CUSTOMER), "win_back"))
    cut = for_profile(found, PROFILES["warehouse-insert"], lambda: opened, publication.day)
    orders = unshipped(opened, publication.day)
    meant = set(found.included.customer_id)
    assert sorted(cut.included.order_id) == sorted(orders.order_id[orders.customer_id.isin(meant)])
    without = set(cut.excluded.customer_id[cut.excluded.reasons == "NO_OPEN_ORDER"])
    assert without == meant - set(orders.customer_id)
    assert len(cut.excluded) == len(found.excluded) + len(without)
