"""What another policy changes: in the rules, a plain line each, and in tonight's list, customer by customer."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from serving.cli import policy as command
from serving.policy.examine.changes import changes
from serving.policy.examine.compared import Totals, compare, told
from serving.policy.reading import parse_policy
from serving.policy.rules import Policy
from tests.worlds import examples

SAMPLE = Path(__file__).with_name("hananone_policy.yaml").read_text()


def policy(text: str) -> Policy:
    return parse_policy(text.encode(), "x")


def said(old: str, new: str, text: str = SAMPLE) -> list[tuple[str, str]]:
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
    return [change.said for change in changes(policy(text), policy(text.replace(old, new)), "JPY")]


@pytest.mark.parametrize(
    ("old", "new", "ja", "en"),
    [
        ("window: [-7d, 3d]", "window: [-10d, 3d]", "補充のご案内(refill): 期間が7日前〜3日後から10日前〜3日後に",
         "Replenishment (refill): the window from 7 days before to 3 days after to 10 days before to 3 days after"),
        ("policy: 7", "policy: 8", "方針の版が7から8に", "the policy's version from 7 to 8"),
        ("global_share: 0.05", "global_share: 0.1", "効果測定: 全体の対照群が5%から10%に",
         "Control: the global control group from 5 % to 10 %"),
        ("salt: hananone-2026", "salt: x", "効果測定: 対照群の割り当てをやり直し(salt の変更)",
         "Control: everybody is drawn anew (another salt)"),
        ("cap: {7d: 1, 30d: 4}", "cap: {7d: 2, 30d: 4}", "LINE: 7日あたりの上限が1から2に",
         "LINE: the cap per 7 days from 1 to 2"),
        ("cap: {7d: 1, 30d: 4}", "cap: {7d: 1}", "LINE: 30日あたりの上限が4からなしに",
         "LINE: the cap per 30 days from 4 to none"),
        ('quiet: "21:00-09:00"', 'quiet: "20:00-10:00"', "LINE: 配信停止時間帯が21:00〜09:00から20:00〜10:00に",
         "LINE: quiet hours from 21:00-09:00 to 20:00-10:00"),
        ("selling: {7d: 2, 30d: 6}", "selling: {7d: 1, 30d: 6}", "送りすぎの制限: 販促の7日あたりの上限が2から1に",
         "Pressure: selling: the cap per 7 days from 2 to 1"),
        ("until: 2027-01-05", "until: 2027-01-06", "「冬のセール」: 終了が2027-01-05から2027-01-06に",
         "冬のセール: the end from 2027-01-05 to 2027-01-06"),
        ("スキンケア: 90d", "スキンケア: 80d", "顧客ステージ: スキンケアで休眠とみなす日数が90日から80日に",
         "Life stages: dormant in スキンケア after from 90 days to 80 days"),
        ("from: 20000, perks", "from: 25000, perks", "会員ランク silver: ランクの下限金額が20,000円から25,000円に",
         "Tier silver: its lower edge from 20,000 JPY to 25,000 JPY"),
        ("percent: 10,", "percent: 15,", "特典 cpn_10pct: 割引率が10%から15%に",
         "Offer cpn_10pct: the discount from 10 % to 15 %"),
        ("per_night: 30000", "per_night: 20000", "予算: 1晩の予算が30,000円から20,000円に",
         "Budget: per night from 30,000 JPY to 20,000 JPY"),
        ("  exchange:       {type: service, cost: 700}\n", "  exchange:       {type: service, cost: 700}\n"
         "  tea:            {type: gift, cost: 100}\n", "特典 teaを追加", "Offer tea is new"),
        ("who: {points: {min: 300}}", "who: {points: {min: 500}}",
         "ポイント失効前(points_expire): 対象が「保有ポイントが300以上」から「保有ポイントが500以上」に",
         "Points expiring (points_expire): who it is for from 'Points at least 300' to 'Points at least 500'"),
        ("silver: [pts_500_birthday],", "silver: [],",
         "誕生日(birthday): 会員ランク silver の特典がpts_500_birthdayからなしに",
         "Birthday (birthday): the offers of tier silver from pts_500_birthday to none"),
        ("channels: [line, email, postal]", "channels: [email, line, postal]",
         "掘り起こし(休眠・離脱予兆)(win_back): チャネルがLINE・メール・郵送からメール・LINE・郵送に",
         "Win-back (win_back): the channels from LINE, Email, Post to Email, LINE, Post"),
        ("stop_on: order, ", "", "F2転換(2回目購入)(f2_step_2): 終了の条件がorderからなしに",
         "Second order (f2_step_2): what ends it from order to none"),
        ("disclose: true, once_per: order", "disclose: true", "レビュー依頼(review): 1回だけ送る単位がorderからなしに",
         "Review request (review): once per from order to none"),
    ],
)  # fmt: skip
def test_a_change_is_one_plain_line(old: str, new: str, ja: str, en: str) -> None:
    assert said(old, new) == [(ja, en)]


def test_a_scenario_that_comes_or_goes_is_one_line() -> None:
    vip = next(row for row in SAMPLE.splitlines(keepends=True) if "id: vip_call" in row)
    assert said(vip, "") == [("掘り起こし(休眠・離脱予兆)(vip_call)を削除", "Win-back (vip_call) is gone")]
    assert [c.said for c in changes(policy(SAMPLE.replace(vip, "")), policy(SAMPLE))] == [
        ("掘り起こし(休眠・離脱予兆)(vip_call)を追加", "Win-back (vip_call) is new")
    ]


def test_the_order_of_channels_is_told_where_a_scenario_names_none() -> None:
    line = next(row for row in SAMPLE.splitlines(keepends=True) if row.startswith("  line:"))
    email = next(row for row in SAMPLE.splitlines(keepends=True) if row.startswith("  email:"))
    assert [ja for ja, _ in said(line + email, email + line)] == [
        "チャネル: 指定のないシナリオで使う順番がLINE・メール・同梱・郵送・電話からメール・LINE・同梱・郵送・電話に"
    ]


def test_the_order_of_scenarios_is_told_where_they_compete() -> None:
    rows = SAMPLE.splitlines(keepends=True)
    first, second = (next(row for row in rows if f"id: {name}," in row) for name in ("f2_step_1", "f2_step_2"))
    assert [en for _, en in said(first + second, second + first)] == [
        "Scenarios: their order at equal priority from f2_step_1, f2_step_2, vip_call to f2_step_2, f2_step_1, vip_call"
    ]


def shuffled(value: Any, data: st.DataObject) -> Any:
    """Write the keys of every block in another order; those of channels, whose order counts, stay."""
    if isinstance(value, dict):
        keys = list(value) if {"line", "email"} <= set(value) else data.draw(st.permutations(list(value)))
        return {key: shuffled(value[key], data) for key in keys}
    return [shuffled(one, data) for one in value] if isinstance(value, list) else value


@examples(15)
@given(st.data(), st.booleans())
def test_another_layout_of_the_same_rules_says_nothing(data: st.DataObject, is_flow: bool) -> None:
    tree = shuffled(yaml.safe_load(SAMPLE), data)
    text = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False, default_flow_style=is_flow)
    assert changes(policy(SAMPLE), policy(text)) == []


def leaves(value: Any, steps: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [leaf for key, inner in entries for leaf in leaves(inner, (*steps, key))]
    return [steps, *below] if steps else below


PLACES = leaves(yaml.safe_load(SAMPLE))


@examples(80)
@given(st.sampled_from(PLACES), st.data())
def test_whatever_decides_otherwise_is_said(place: tuple[Any, ...], data: st.DataObject) -> None:
    tree = yaml.safe_load(SAMPLE)
    block = tree
    for step in place[:-1]:
        block = block[step]
    old = block[place[-1]]
    if isinstance(old, bool):
        block[place[-1]] = not old
    elif isinstance(old, int | float) and data.draw(st.booleans()):
        block[place[-1]] = old * data.draw(st.sampled_from([0.5, 2, 0]))
    else:
        del block[place[-1]]
    try:
        new = policy(yaml.safe_dump(tree, allow_unicode=True, sort_keys=False))
    except Exception as refused:  # a policy that cannot be read has no difference to tell
        assert "x:" in str(refused)
        return
    old_policy = policy(SAMPLE)
    told_of = changes(old_policy, new)
    assert (told_of == []) == (new.hash == old_policy.hash)
    assert all(change.said[0] and change.said[1] and "{" not in "".join(change.said) for change in told_of)


# ---- tonight's list


def table(**rows: tuple[str | None, str | None, str | None, str, float, float, str]) -> pd.DataFrame:
    names = ["scenario", "offer_id", "channel", "state", "cost", "net_value", "guards_failed"]
    frame = pd.DataFrame([dict(zip(names, row, strict=True)) for row in rows.values()], columns=names)
    return frame.assign(customer_id=list(rows)).astype({"cost": float, "net_value": float})


BEFORE = table(
    a=("refill", None, "line", "send", 3.0, 40.0, ""),
    b=("win_back", "cpn_500", "email", "send", 120.3, 80.0, ""),
    c=("win_back", "pts_300", "email", "send", 90.3, 10.0, ""),
    d=("birthday", "care_tips", "email", "withheld", 0.3, 5.0, "FREQUENCY_CAP"),
    e=("thanks", "care_tips", "email", "send", 0.3, -0.3, ""),
    g=("refill", None, "line", "send", 3.0, 7.0, ""),
)
AFTER = table(
    a=("refill", None, "email", "send", 0.3, 43.0, ""),
    b=("win_back", "cpn_500", "email", "withheld", 120.3, 80.0, "BUDGET,DISCOUNT_CAP"),
    c=("win_back", "pts_300", "email", "not_worth_it", 90.3, -10.0, ""),
    d=("birthday", "care_tips", "email", "send", 0.3, 5.0, ""),
    e=("thanks", "care_tips", "email", "send", 0.3, -0.3, ""),
)


def test_two_lists_are_compared_as_by_hand() -> None:
    found = compare(BEFORE, AFTER)
    assert found.before == Totals(5, 216.9, 136.7, {"email": 3, "line": 2})
    assert found.after == Totals(3, 0.9, 47.7, {"email": 3})
    assert (found.gains, found.loses, found.others, found.changed) == (1, 3, 1, 5)
    assert found.moves == (
        (None, "birthday / care_tips / email", 1),
        ("refill / none / line", None, 1),
        ("refill / none / line", "refill / none / email", 1),
        ("win_back / cpn_500 / email", None, 1),
        ("win_back / pts_300 / email", None, 1),
    )
    assert found.blocked == {"BUDGET": 1, "DISCOUNT_CAP": 1}
    assert (found.not_worth_it, found.not_due) == (1, 1)
    assert told(found, "ja", "JPY")[:4] == [
        "配信 5件→3件、費用 217円→1円、見込み純増利益 137円→48円",
        "内容が変わる顧客 5人(新たに届く 1人、届かなくなる 3人、別の内容になる 1人)",
        "LINE: 2件→0件",
        "なし → birthday / care_tips / email: 1人",
    ]
    assert told(found, "en")[-4:] == [
        "No longer, because: Over budget: 1",
        "No longer, because: Coupon within 90 days: 1",
        "No longer, because: not worth it: 1",
        "No longer, because: nothing is due: 1",
    ]
    assert json.loads(json.dumps(found.as_dict()))["loses"] == 3


def test_a_list_beside_itself_stays_as_it_is() -> None:
    empty = BEFORE.iloc[:0]
    assert told(compare(BEFORE, BEFORE.iloc[::-1]), "ja") == ["今夜の配信は変わりません"]
    assert told(compare(empty, empty), "en") == ["Tonight's list stays as it is"]
    assert compare(empty, BEFORE).gains == 5


row = st.tuples(
    st.sampled_from(["refill", "win_back"]), st.sampled_from([None, "cpn_500"]), st.sampled_from(["line", "email"]),
    st.sampled_from(["send", "withheld", "not_worth_it"]), st.sampled_from([0.3, 3.0]), st.sampled_from([-1.0, 5.0]),
    st.sampled_from(["", "BUDGET", "BUDGET,TIER"]),
)  # fmt: skip
lists = st.dictionaries(st.sampled_from("abcdefghij"), row, max_size=10).map(lambda rows: table(**rows))


@examples(60)
@given(lists, lists, st.randoms(use_true_random=False))
def test_the_counts_add_up_whatever_the_order(before: pd.DataFrame, after: pd.DataFrame, chance: Any) -> None:
    found = compare(before, after)
    sent = [t[t.state == "send"] for t in (before, after)]
    gets = [
        {r.customer_id: f"{r.scenario} / {r.offer_id or 'none'} / {r.channel}" for r in rows.itertuples()}
        for rows in sent
    ]
    who = {*gets[0], *gets[1]}
    moves = Counter((gets[0].get(one), gets[1].get(one)) for one in who if gets[0].get(one) != gets[1].get(one))
    assert {(old, new): n for old, new, n in found.moves} == moves
    assert found.changed == sum(moves.values())
    assert found.after.messages - found.before.messages == found.gains - found.loses
    assert sum(found.after.channels.values()) == found.after.messages
    rows = list(range(len(after)))
    chance.shuffle(rows)
    assert compare(before, after.iloc[rows]) == found


# ---- the commands


@pytest.fixture
def okaeri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("OKAERI_HOME", str(tmp_path / "home"))
    runner = CliRunner()
    return lambda *args: runner.invoke(command.policy, [str(arg) for arg in args])


def written(path: Path, text: str) -> Path:
    """Write a policy, with the codes that the sample names beside it."""
    path.write_text(text, encoding="utf-8")
    (path.parent / "codes").mkdir(exist_ok=True)
    (path.parent / "codes" / "cpn500.csv").write_text("HANA1\n")
    return path


def test_codes_that_are_not_there_are_told(okaeri: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", SAMPLE)
    (tmp_path / "codes" / "cpn500.csv").unlink()
    found = json.loads(okaeri("check", path, "--json", "--as-of", "2026-11-21").stdout)
    assert [(one["code"], one["line"]) for one in found["findings"]] == [("no_codes", 41), ("offer_dead", 42)]


def test_check_ends_with_0_for_warnings_and_2_for_mistakes(okaeri: Any, tmp_path: Path) -> None:
    sound = okaeri("check", written(tmp_path / "a.yaml", SAMPLE), "--as-of", "2026-11-21", "--lang", "ja")
    assert (sound.exit_code, sound.stdout.count("注意")) == (0, 1)
    wrong = okaeri("check", written(tmp_path / "b.yaml", SAMPLE.replace("salt:", "salz:")))
    assert wrong.exit_code == 2
    assert f"{tmp_path / 'b.yaml'}:3: mistake: control.salz: unknown key; did you mean salt?" in wrong.stdout


def test_check_without_a_file_looks_at_the_policy_that_ships(okaeri: Any) -> None:
    told_of = okaeri("check", "--json")
    assert told_of.exit_code == 0
    assert json.loads(told_of.stdout) | {"file": ""} == {"file": "", "mistakes": 0, "warnings": 0, "findings": []}
    assert "nothing wrong" in okaeri("check").stdout


def test_check_gives_json_with_line_path_and_both_languages(okaeri: Any, tmp_path: Path) -> None:
    found = json.loads(okaeri("check", written(tmp_path / "a.yaml", SAMPLE), "--json", "--as-of", "2026-11-21").stdout)
    assert (found["mistakes"], found["warnings"]) == (0, 1)
    assert found["findings"][0] | {"ja": "", "en": ""} == {
        "level": "warning", "line": 42, "path": "offers.cpn_10pct", "code": "offer_dead", "ja": "", "en": "",
    }  # fmt: skip


def test_diff_says_the_rules_and_leaves_out_the_list_without_a_night(okaeri: Any, tmp_path: Path) -> None:
    old = written(tmp_path / "old.yaml", SAMPLE)
    new = written(tmp_path / "new.yaml", SAMPLE.replace("per_night: 30000", "per_night: 20000"))
    found = okaeri("diff", old, new, "--lang", "ja", "--rules-only")
    assert found.stdout.splitlines() == ["予算: 1晩の予算が30,000から20,000に"]
    assert json.loads(okaeri("diff", old, old, "--json").stdout)["changes"] == []
    assert okaeri("diff", old, old, "--rules-only").stdout.splitlines() == ["the rules are the same"]
    assert okaeri("diff", old, new, old).exit_code == 2


def test_diff_says_what_it_does_to_tonights_list(okaeri: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Shop:
        class mapping:
            currency, language = "JPY", "ja"

    old, new = written(tmp_path / "old.yaml", SAMPLE), written(tmp_path / "new.yaml", SAMPLE.replace("7d: 1", "7d: 2"))
    monkeypatch.setattr(command, "_shop", lambda: Shop)
    monkeypatch.setattr(command, "_has_night", lambda: True)
    monkeypatch.setattr(command, "tonight", lambda home, text: BEFORE if text == SAMPLE.encode() else AFTER)
    lines = okaeri("diff", old, new).stdout.splitlines()
    assert lines[:2] == ["LINE: 7日あたりの上限が1から2に", "配信 5件→3件、費用 217円→1円、見込み純増利益 137円→48円"]
    assert json.loads(okaeri("diff", old, new, "--json").stdout)["tonight"]["loses"] == 3
