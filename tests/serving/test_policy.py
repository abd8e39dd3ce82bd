"""The shop's rules: read strictly, guarded without exception, and never at a loss."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.errors import BadInput
from serving.policy.candidates import NOTHING, Candidates, candidates, choose, options_of
from serving.policy.guards import FAIL, GUARDS, NOT_CHECKED, PASS, guard_states, reachable, sending_allowed
from serving.policy.rules import DEFAULT, Policy, load_policy
from tests.worlds import examples

POLICY = load_policy()
nan = float("nan")


RULES = yaml.safe_load(DEFAULT.read_text())


def rules(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(RULES) | changes


def written(folder: Path, content: Any) -> Path:
    path = folder / "policy.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True))
    return path


# ---- the file


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("margin_share:", "margin_sare:", "margin_sare: unknown key; did you mean margin_share?"),
        ("dormant_days:", "dormant_day:", "lifecycle.dormant_day: unknown key; did you mean dormant_days?"),
        ("{watch: 0.25", "{wach: 0.25", "churn_bands.wach: unknown key; did you mean watch?"),
        ("salt: okaeri-1", "salz: x", "control.salz: unknown key; did you mean salt?"),
        ("email: {cost: 0.01}", "email: {costs: 0.01}", "channels.email.costs: unknown key; did you mean cost?"),
        ("type: content, percent", "type: content, prcent", "care_tips.prcent: unknown key; did you mean percent?"),
        ("priority: 5", "priorty: 5", "scenarios.0.priorty: unknown key; did you mean priority?"),
        ("[care_tips, coupon_10]", "[care_tips, coupon_1]", "unknown offer coupon_1; did you mean coupon_10?"),
        ("channels: [email]", "channels: [emial]", "scenarios.win_back: unknown channel emial; did you mean email?"),
        ("margin_share: 0.30", "margin_share: 30", "margin_share: Input should be less than or equal to 1"),
        ("window_days: 30", "window_days: 31", "window_days: Input should be 7, 14, 30, 60 or 90"),
        ("policy: 1", "policy: 1\nunknown_guard: maybe", "unknown_guard: Input should be 'block' or 'allow'"),
        ("high: 0.45", "high: 0.75", "churn_bands: watch, high and critical must rise"),
        ("lift_low: 0.010", "lift_low: 0.060", "offers.coupon_10: lift must lie between lift_low and lift_high"),
        ("id: replenishment", "id: win_back", "scenarios: win_back stands more than once"),
        ("policy: 1", "policy: [", "not YAML"),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_refused_with_what_would_be_right(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in DEFAULT.read_text(), "the default policy no longer has what this case changes"
    path = written(tmp_path, DEFAULT.read_text().replace(old, new, 1))
    with pytest.raises(BadInput) as refused:
        load_policy(path)
    assert str(path) in str(refused.value) and message in str(refused.value)


@pytest.mark.parametrize("content", ["", "[]", "hello", "policy: 1"])
def test_what_is_no_policy_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(BadInput, match=r"policy\.yaml: "):
        load_policy(written(tmp_path, content))


def test_a_policy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such policy file"):
        load_policy(tmp_path / "policy.yaml")


def test_the_hash_follows_the_rules_and_not_the_layout(tmp_path: Path) -> None:
    same = load_policy(written(tmp_path, yaml.safe_dump(rules(), sort_keys=True)))
    assert same == POLICY and same.hash == POLICY.hash
    for change in ({"policy": 2}, {"recent_order_days": 4}, {"control": {"global_share": 0.05, "salt": "x"}}):
        assert load_policy(written(tmp_path, rules(**change))).hash != POLICY.hash


# ---- guards


def states(columns: dict[str, float], silence: float = 10, control: bool = False) -> dict[str, int]:
    found = guard_states(
        {name: np.array([value]) for name, value in columns.items()},
        np.array([float(silence)]),
        np.array([control]),
        POLICY,
    )
    return dict(zip(GUARDS, found[0].tolist(), strict=True))


AGREED = {"consent_marketing_email": 1.0, "consent_personalise": 1.0}


@pytest.mark.parametrize(
    ("columns", "silence", "control", "failed", "not_checked"),
    [
        pytest.param(AGREED, 10, False, [], [], id="nothing against it"),
        pytest.param(AGREED | {"consent_marketing_email": 0.0}, 10, False, ["CONSENT_CHANNEL"], [], id="refused mail"),
        pytest.param(AGREED | {"consent_marketing_email": nan}, 10, False, ["CONSENT_CHANNEL"], [], id="never asked"),
        pytest.param(
            {**AGREED, "consent_marketing_email": 0.0, "consent_marketing_line": 1.0}, 10, False,
            ["CONSENT_CHANNEL"], [], id="agreed to a channel the policy lacks",
        ),
        pytest.param(AGREED | {"consent_personalise": 0.0}, 10, False, ["CONSENT_PERSONALISE"], [], id="no profile"),
        pytest.param(AGREED | {"consent_personalise": nan}, 10, False, [], [], id="never asked about personalising"),
        pytest.param({}, 10, False, [], ["CONSENT_CHANNEL", "CONSENT_PERSONALISE"], id="no consents table"),
        pytest.param(AGREED, 3, False, ["RECENT_ORDER"], [], id="ordered three days ago"),
        pytest.param(AGREED, 4, False, [], [], id="four days ago"),
        pytest.param(AGREED, np.inf, False, [], [], id="never ordered"),
        pytest.param(AGREED, 10, True, ["CONTROL_GROUP"], [], id="control group"),
        pytest.param(
            {"consent_marketing_email": 0.0, "consent_personalise": 0.0}, 0, True,
            list(GUARDS), [], id="everything at once",
        ),
    ],
)  # fmt: skip
def test_guards_by_hand(
    columns: dict[str, float], silence: float, control: bool, failed: list[str], not_checked: list[str]
) -> None:
    found = states(columns, silence, control)
    assert [code for code, state in found.items() if state == FAIL] == failed
    assert [code for code, state in found.items() if state == NOT_CHECKED] == not_checked


def test_one_channel_that_may_be_used_is_enough() -> None:
    policy = Policy.model_validate(rules(channels={"email": {"cost": 0.01}, "line": {"cost": 3}}))
    columns = {
        "consent_marketing_email": np.array([0.0, 0.0, nan]),
        "consent_marketing_line": np.array([1.0, 0.0, nan]),
    }
    found = guard_states(columns, np.full(3, 10.0), np.zeros(3, np.bool_), policy)
    assert found[:, 0].tolist() == [PASS, FAIL, FAIL]


@pytest.mark.parametrize(("unknown_guard", "allowed"), [("allow", True), ("block", False)])
def test_a_guard_that_could_not_be_checked_counts_as_the_policy_says(unknown_guard: str, allowed: bool) -> None:
    policy = Policy.model_validate(rules(unknown_guard=unknown_guard))
    found = guard_states({}, np.array([10.0, 1.0]), np.zeros(2, np.bool_), policy)
    assert (found == NOT_CHECKED).any(axis=1).all()
    assert sending_allowed(found, policy).tolist() == [allowed, False]


def consented(*answers: float) -> dict[str, np.ndarray]:
    return {"consent_marketing_email": np.array(answers), "consent_personalise": np.array(answers)}


@pytest.mark.parametrize(
    ("late", "unknown_guard", "states", "allowed"),  # of one who agreed and of one who refused
    [
        pytest.param([], None, [(PASS, PASS), (FAIL, FAIL)], [True, False], id="all came"),
        pytest.param(["consents"], None, [(NOT_CHECKED,) * 2, (FAIL, FAIL)], [False, False], id="late blocks"),
        pytest.param(["consents"], "allow", [(NOT_CHECKED,) * 2, (FAIL, FAIL)], [True, False], id="unless allowed"),
        pytest.param(["products"], None, [(PASS, PASS), (FAIL, FAIL)], [True, False], id="no guard reads products"),
    ],
)
def test_a_guard_whose_table_is_late_is_not_checked(
    late: list[str], unknown_guard: str | None, states: list[tuple[int, int]], allowed: list[bool]
) -> None:
    policy = Policy.model_validate(rules(unknown_guard=unknown_guard))
    found = guard_states(consented(1.0, 0.0), np.full(2, 10.0), np.zeros(2, np.bool_), policy, late)
    assert [tuple(row) for row in found[:, :2].tolist()] == states
    assert sending_allowed(found, policy, late).tolist() == allowed


def test_late_orders_leave_the_recent_order_unchecked() -> None:
    policy = Policy.model_validate(rules(unknown_guard=None))
    found = guard_states({}, np.array([10.0, 1.0]), np.zeros(2, np.bool_), policy, ["order_lines"])
    assert found[:, GUARDS.index("RECENT_ORDER")].tolist() == [NOT_CHECKED, FAIL]
    assert sending_allowed(found, policy, ["order_lines"]).tolist() == [False, False]
    absent = guard_states({}, np.array([10.0]), np.zeros(1, np.bool_), policy)
    assert (absent == NOT_CHECKED).any() and sending_allowed(absent, policy).tolist() == [True]


STATES = hnp.arrays(np.int8, st.tuples(st.integers(1, 8), st.just(len(GUARDS))), elements=st.sampled_from([0, 1, 2]))


@given(found=STATES, unknown_guard=st.sampled_from(["block", "allow"]))
@examples(200)
def test_nothing_is_ever_sent_where_a_guard_fails(found: np.ndarray, unknown_guard: str) -> None:
    allowed = sending_allowed(found, Policy.model_validate(rules(unknown_guard=unknown_guard)))
    for row, may in zip(found, allowed, strict=True):
        assert may == (FAIL not in row and (unknown_guard == "allow" or NOT_CHECKED not in row))


# ---- the choice


STAGES = np.array(["prospect", "new", "active", "at_risk", "dormant", "lapsed", "reactivated"], dtype=object)
CHANCES = st.none() | st.floats(0, 1)
AMOUNTS = st.none() | st.floats(-1e6, 1e6)
PEOPLE = st.lists(
    st.tuples(st.sampled_from(STAGES), st.none() | st.integers(-9, 9), CHANCES, AMOUNTS), min_size=1, max_size=6
)


def reckoned(people: list[tuple[Any, ...]], policy: Policy = POLICY) -> Candidates:
    stage, due, chance, revenue = (list(column) for column in zip(*people, strict=True))
    numbers = (
        np.array([nan if value is None else value for value in column], float) for column in (due, chance, revenue)
    )
    return candidates(np.array(stage, dtype=object), *numbers, policy)


@given(people=PEOPLE, data=st.data(), cost=st.floats(0, 10_000), percent=st.floats(0, 100))
@examples(200)
def test_the_choice_is_open_worth_it_and_allowed(people: Any, data: st.DataObject, cost: float, percent: float) -> None:
    content = rules(channels={"email": {"cost": cost}})
    content["offers"]["coupon_10"]["percent"] = percent
    c = reckoned(people, Policy.model_validate(content))
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=len(people), max_size=len(people))))
    for p, chosen in enumerate(choose(c, allowed)):
        value = c.net_value[p, chosen]
        assert value >= 0 and value == np.nanmax(c.net_value[p] if allowed[p] else [0.0])
        assert chosen == 0 or (allowed[p] and value > 0)  # where doing nothing is as good, nothing is done


@given(people=PEOPLE)
@examples(100)
def test_only_those_a_scenario_is_for_have_its_options(people: Any) -> None:
    c = reckoned(people)
    for p, (stage, due, chance, _) in enumerate(people):
        open_to = {
            option.scenario for option, value in zip(c.options, c.net_value[p], strict=True) if not np.isnan(value)
        }
        expected = {"none"}
        if chance is not None and stage in ("at_risk", "dormant"):
            expected.add("win_back")
        if chance is not None and due is not None and abs(due) <= 3:
            expected.add("replenishment")
        assert open_to == expected


@given(people=PEOPLE, percent=st.floats(0, 100))
@examples(100)
def test_an_offer_never_lowers_the_chance_and_its_value_lies_in_its_interval(people: Any, percent: float) -> None:
    content = rules()
    content["offers"]["coupon_10"]["percent"] = percent  # beyond the margin, who comes for it costs
    c = reckoned(people, Policy.model_validate(content))
    open_to = ~np.isnan(c.net_value) & ~np.isnan(c.p_without)[:, None]
    assert (c.p_with >= c.p_without[:, None])[open_to].all() and (c.p_with <= 1)[open_to].all()
    assert (c.cost >= 0)[open_to].all()
    margin = (c.margin >= 0).all()
    assert margin and (c.low <= c.net_value + 1e-6)[open_to].all() and (c.net_value <= c.high + 1e-6)[open_to].all()


def test_the_formula_by_hand() -> None:
    """Comes anyway with 20 %, spends 1,000; the coupon's lift of 5 % brings 4 % more, and costs 100 from each."""
    c = reckoned([("at_risk", None, 0.2, 1000.0)])
    at = {option.offer: column for column, option in enumerate(c.options)}
    assert c.margin.tolist() == [300.0]
    assert c.p_with[0, at["coupon_10"]] == pytest.approx(0.24)
    assert c.net_value[0, at["coupon_10"]] == pytest.approx(0.24 * (300 - 100) - 0.2 * 300 - 0.01)  # -12.01
    assert c.net_value[0, at["care_tips"]] == pytest.approx(0.208 * 300 - 0.2 * 300 - 0.01)  # 2.39
    assert c.cost[0, at["coupon_10"]] == pytest.approx(0.24 * 100 + 0.01)
    assert c.options[choose(c, np.array([True]))[0]].offer == "care_tips"


def test_who_would_never_come_alone_gets_the_coupon() -> None:
    c = reckoned(
        [("dormant", None, 0.01, 10_000.0), ("dormant", None, 0.6, 10_000.0), ("active", None, 0.01, 10_000.0)]
    )
    assert [c.options[k].offer for k in choose(c, np.ones(3, np.bool_))] == ["coupon_10", "care_tips", None]


def test_options_stand_by_priority_then_in_the_files_order() -> None:
    assert [(o.scenario, o.offer) for o in options_of(POLICY)] == [
        ("none", None),
        ("win_back", "care_tips"),
        ("win_back", "coupon_10"),
        ("replenishment", "reminder"),
    ]
    content = rules()
    content["scenarios"][0]["priority"] = 9
    content["scenarios"][0]["offers"].reverse()
    assert [o.offer for o in options_of(Policy.model_validate(content))] == [None, "reminder", "coupon_10", "care_tips"]


def test_a_policy_without_scenarios_only_knows_nothing() -> None:
    c = reckoned([("at_risk", 0, 0.5, 100.0)], Policy.model_validate(rules(scenarios=[])))
    assert c.options == (NOTHING,) and choose(c, np.array([True])).tolist() == [0]


def test_equal_values_go_to_the_earlier_option() -> None:
    content = rules()
    content["offers"]["reminder"] |= {"lift": 0.01}
    content["offers"]["reminder"] |= {"lift_low": 0.0, "lift_high": 0.02}
    c = reckoned([("at_risk", 0, 0.2, 1000.0)], Policy.model_validate(content))
    at = {option.offer: column for column, option in enumerate(c.options)}
    assert c.net_value[0, at["care_tips"]] == c.net_value[0, at["reminder"]]
    assert c.options[choose(c, np.array([True]))[0]].offer == "care_tips"


def test_only_a_channel_the_customer_agreed_to_is_used() -> None:
    """Over the first channel of the scenario that reaches them: mail, else LINE, else nothing."""
    content = yaml.safe_load(DEFAULT.read_bytes())
    content["channels"] = {"email": {"cost": 0.0}, "line": {"cost": 0.0}}
    content["scenarios"] = [
        {"id": "w", "kind": "win_back", "priority": 1, "lifecycle": ["at_risk"], "offers": ["care_tips"]}
        | {"channels": ["email", "line"]}
    ]
    policy = Policy.model_validate(content)
    reached = reachable({"consent_marketing_email": np.array([1.0, 0.0, np.nan, 1.0])}, policy)
    assert reached is not None
    reached |= {"line": np.array([True, True, False, False])}
    found = candidates(np.full(4, "at_risk", object), *(np.full(4, x) for x in (np.nan, 0.5, 100.0)), policy, reached)
    chosen = choose(found, np.ones(4, np.bool_))
    assert [found.options[column].channel for column in chosen] == ["email", "line", None, "email"]
