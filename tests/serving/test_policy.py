"""The shop's rules: read strictly, every line of them meant, and never at a loss."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features.errors import BadInput
from serving.policy.reading import DEFAULT, load_policy, parse_policy
from serving.policy.rules import Policy
from tests.serving.months import HANANONE
from tests.serving.one_customer import ASK, REVIEW, START, WIN, decided, nan, rules_of
from tests.worlds import examples

POLICY = load_policy()
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
        ("window_days:", "windw_days:", "windw_days: unknown key; did you mean window_days?"),
        ("dormant: {default:", "dormant: {defalt:", "lifecycle.dormant.defalt: unknown key; did you mean default?"),
        ("{watch: 0.25", "{wach: 0.25", "churn_bands.wach: unknown key; did you mean watch?"),
        ("salt: okaeri-1", "salz: x", "control.salz: unknown key; did you mean salt?"),
        ("email: {cost: 0.01", "email: {costs: 0.01", "channels.email.costs: unknown key; did you mean cost?"),
        ("email: {cost: 0.01", "emial: {cost: 0.01", "did you mean email?"),
        ("type: coupon, percent", "type: coupon, prcent", "coupon_10.prcent: unknown key; did you mean percent?"),
        ("type: content", "type: contents", "care_tips.type: must be one of"),
        ("priority: 5", "priorty: 5", "scenarios.0.priorty: unknown key; did you mean priority?"),
        ("kind: win_back", "kind: winback", "did you mean win_back?"),
        ("[care_tips, coupon_10]", "[care_tips, coupon_1]", "unknown word coupon_1; did you mean coupon_10?"),
        ("90d: 1, per: kind", "90: 1, per: kind", "write days or hours, such as 90d or 48h"),
        ("21:00-08:00", "21:00-8:00", "write them as 21:00-08:00"),
        ("policy: 2", "policy: 2\nmargin_share: 30", "margin_share: Input should be less than or equal to 1"),
        ("window_days: 30", "window_days: 31", "window_days: must be one of 7, 14, 30, 60, 90"),
        ("policy: 2", "policy: 2\nunknown_guard: maybe", "unknown_guard: must be one of block, allow"),
        ("high: 0.45", "high: 0.75", "churn_bands: watch, high and critical must rise"),
        ("lift: [0.010, 0.050, 0.100]", "lift: [0.060, 0.050, 0.100]", "coupon_10: lift must rise: low, assumed, high"),
        ("percent: 10", "percent: 10, value: 5", "coupon_10: a coupon has either value or percent"),
        ("window: [-3d, 4d]", "window: [4d, -3d]", "window: must open before it closes"),
        ("around: replenishment.due_on, ", "", "stands with after, around or before"),
        ("id: replenishment", "id: win_back", "scenarios.1.id: win_back stands more than once"),
        ("kind: replenishment, purpose: marketing", "kind: arrival_survey, purpose: service", "its purpose is survey"),
        ("policy: 2", "policy: 2\npolicy: 3", "key 'policy' stands twice"),
        ("policy: 2", "policy: [", "not YAML"),
    ],
)  # fmt: skip
def test_a_wrong_policy_is_refused_with_what_would_be_right(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = DEFAULT.read_text()
    assert old in text, "the default policy no longer has what this case changes"
    path = written(tmp_path, text.replace(old, new, 1))
    with pytest.raises(BadInput) as refused:
        load_policy(path)
    assert str(path) in str(refused.value) and message in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("window_days:", "windw_days:"),
        ("{watch: 0.25", "{wach: 0.25"),
        ("high: 0.45", "high: 0.75"),
        ("type: coupon, percent", "type: coupon, prcent"),
        ("priority: 6", "priorty: 6"),
        ("offers: [none]", "offers: [nothing]"),
    ],
)
def test_a_mistake_is_named_with_the_line_it_stands_on(tmp_path: Path, old: str, new: str) -> None:
    text = DEFAULT.read_text()
    line = text[: text.index(old)].count("\n") + 1
    with pytest.raises(BadInput) as refused:
        load_policy(written(tmp_path, text.replace(old, new, 1)))
    assert f"policy.yaml:{line}: " in str(refused.value)


@pytest.mark.parametrize("content", ["", "[]", "hello", "policy: 1"])
def test_what_is_no_policy_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(BadInput, match=r"policy\.yaml:"):
        load_policy(written(tmp_path, content))


def test_a_policy_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such policy file"):
        load_policy(tmp_path / "policy.yaml")


def test_the_hash_follows_the_rules_and_not_the_layout(tmp_path: Path) -> None:
    same = load_policy(written(tmp_path, yaml.safe_dump(rules(), sort_keys=True)))
    assert same == POLICY and same.hash == POLICY.hash
    changes = ({"policy": 3}, {"window_days": 14}, {"control": {"global_share": 0.05, "salt": "x"}})
    for change in changes:
        assert load_policy(written(tmp_path, rules(**change))).hash != POLICY.hash


def test_the_sample_of_a_cosmetics_shop_is_a_policy() -> None:
    sample = load_policy(HANANONE)
    assert len(sample.scenarios) == 13 and len(sample.offers) == 10 and sample.unknown_guard == "block"
    assert sample.channels_of(sample.scenario("birthday"), "sample_serum") == ("insert",)
    assert sample.channels_of(sample.scenario("review"), "pts_300") == tuple(sample.channels)


# ---- when a scenario is due


TWICE = [(-30, "win", None, "email")]


@pytest.mark.parametrize(
    ("scenario", "more", "is_due"),
    [
        pytest.param(WIN, {"sent": TWICE}, True, id="without an anchor every day"),
        pytest.param(WIN | {"once_per": "customer"}, {"sent": TWICE}, False, id="once a customer"),
        pytest.param(WIN | {"once_per": "order"}, {"sent": TWICE}, False, id="once an order, none since"),
        pytest.param(WIN | {"once_per": "order"}, {"sent": TWICE, "standing": {"last_order_at": -20.0}}, True, id="one since"),
        pytest.param(ASK, {"delivered": -71}, True, id="its window is open"),
        pytest.param(ASK, {"delivered": -73}, False, id="its window is over"),
        pytest.param(ASK, {"delivered": -20}, False, id="its window opens the day after"),
        pytest.param(ASK, {"delivered": -60, "sent": [(-11, "ask", None, "email")]}, False, id="asked in this window"),
        pytest.param(ASK, {"delivered": -60, "sent": [(-100, "ask", None, "email")]}, True, id="asked about another parcel"),
        pytest.param(ASK | {"stop_on": "order"}, {"delivered": -60, "standing": {"last_order_at": -50.0}}, False, id="an order since"),
        pytest.param(ASK | {"stop_on": "order"}, {"delivered": -60}, True, id="no order since"),
        pytest.param(ASK | {"who": {"delivered": False}}, {"delivered": -60}, False, id="it is about others"),
        pytest.param(REVIEW, {"delivered": -31 * 24}, False, id="a review, too late"),
        pytest.param(REVIEW | {"after_ticket_closed": "14d"}, {"delivered": -31 * 24, "standing": {"last_ticket_closed_at": -15 * 24.0}}, True, id="a ticket put it off"),
        pytest.param(REVIEW | {"after_ticket_closed": "14d"}, {"delivered": -31 * 24, "standing": {"last_ticket_closed_at": -31 * 24.0}}, False, id="by 16 days at most"),
        pytest.param(REVIEW | {"after_ticket_closed": "14d"}, {"delivered": -31 * 24, "standing": {"last_ticket_closed_at": -15 * 24.0}, "sent": [(-16 * 24, "review", "pts", "email")]}, False, id="asked before the ticket"),
    ],
)  # fmt: skip
def test_a_scenario_is_due_by_hand(scenario: dict[str, Any], more: dict[str, Any], is_due: bool) -> None:
    assert len(decided(rules_of(scenario), **more).candidates) == is_due


def test_an_unused_offer_is_reminded_of_once() -> None:
    """Points for 30 days, given 26 days ago, with a word five days before they go."""
    policy = rules_of(WIN | {"who": {"order_count": 9}, "offers": ["pts"], "remind_unused": "5d"})
    given = (-26 * 24, "win", "pts", "email")
    found = decided(policy, sent=[given])
    assert [o.is_reminder for o in np.array(found.candidates.options)[found.candidates.option]] == [True]
    assert (found.candidates.opens[0] - START) / 3600 == 8 and found.choice.chosen.tolist() == [0]
    assert len(decided(policy, sent=[(*given, -20 * 24)]).candidates) == 0  # used
    assert len(decided(policy, sent=[given, (-24, "win", None, "email")]).candidates) == 0  # reminded of
    assert len(decided(policy, sent=[(-24 * 24, "win", "pts", "email")]).candidates) == 0  # too early


# ---- the choice


def offered(policy: Policy, **more: Any) -> list[Any]:
    """List the offers that are candidates."""
    c = decided(policy, **more).candidates
    return [c.options[place].offer for place in c.option]


def got(policy: Policy, **more: Any) -> Any:
    """Name the offer that is chosen; nothing is the empty list."""
    found = decided(policy, **more)
    row = found.choice.chosen[0]
    return [] if row < 0 else found.candidates.options[found.candidates.option[row]].offer


def test_the_formula_by_hand() -> None:
    """Comes anyway with 20 %, spends 1,000; the coupon's lift of 5 % brings 4 % more, and costs 100 from each."""
    c = decided(
        rules_of(WIN | {"offers": ["tips", "cpn"]}, channels={"email": {"cost": 0.01}}),
        facts={"mean_order_day_revenue": 1000.0}, chance=0.2,
    ).candidates  # fmt: skip
    assert c.margin.tolist() == [300.0, 300.0]
    assert c.p_with.tolist() == pytest.approx([0.208, 0.24])
    assert c.net_value.tolist() == pytest.approx([0.208 * 300 - 60 - 0.01, 0.24 * 200 - 60 - 0.01])  # 2.39 and -12.01
    assert c.cost.tolist() == pytest.approx([0.01, 24.01])


@pytest.mark.parametrize(
    ("chance", "chosen"),
    [
        pytest.param(0.01, "cpn", id="would hardly come alone"),
        pytest.param(0.4, "tips", id="may well come alone"),
        pytest.param(1.0, [], id="comes for sure, nothing is best"),
    ],
)
def test_what_earns_most_is_chosen(chance: float, chosen: Any) -> None:
    calm = {"calendar": [], "channels": {"email": {"cost": 0.5}}}
    assert got(rules_of(WIN | {"offers": ["tips", "cpn"]}, **calm), chance=chance) == chosen


def test_equal_values_go_to_the_earlier_offer() -> None:
    two = {"first": {"type": "content"}, "second": {"type": "content"}}
    assert got(rules_of(WIN | {"offers": ["first", "second"]}, offers=two)) == "first"
    assert got(rules_of(WIN | {"offers": ["second", "first"]}, offers=two)) == "second"


def test_a_ladder_is_climbed_by_what_was_sent_since_the_last_order() -> None:
    policy = rules_of(WIN | {"ladder": ["tips", "pts", "cpn"]})
    step = [(-200, "win", "tips", "email"), (-100, "win", "pts", "email")]
    assert offered(policy) == ["tips"]
    assert offered(policy, sent=step[:1]) == ["tips", "pts"]
    assert offered(policy, sent=step) == ["tips", "pts", "cpn"]
    assert offered(policy, sent=step, standing={"last_order_at": -150.0}) == ["tips", "pts"]


def test_the_first_channel_that_may_be_used_is_used() -> None:
    """LINE, else mail, else nothing."""
    policy = rules_of(WIN | {"channels": ["line", "email"]})
    names = [
        [found.candidates.channels[found.candidates.channel[row]] for row in found.choice.chosen if row >= 0]
        for found in (
            decided(policy),
            decided(policy, standing={"is_line_friend": 0.0}),
            decided(policy, facts={"consent_marketing_line": 0.0}),
            decided(policy, facts={"consent_marketing_line": nan, "consent_marketing_email": nan}),
        )
    ]
    assert names == [["line"], ["email"], ["email"], []]


def test_a_policy_without_scenarios_only_knows_nothing() -> None:
    policy = parse_policy(yaml.safe_dump(rules(scenarios=[])).encode(), "the policy")
    found = decided(policy)
    assert len(found.candidates) == 0 and found.choice.chosen.tolist() == [-1]


@given(
    chance=st.floats(0, 1),
    revenue=st.floats(0, 1e6),
    cost=st.floats(0, 10_000),
    percent=st.floats(0.5, 100),
    agrees=st.booleans(),
)
@examples(30)
def test_the_choice_is_worth_it_and_allowed(
    chance: float, revenue: float, cost: float, percent: float, agrees: bool
) -> None:
    offers = {"cpn": {"type": "coupon", "percent": percent}}
    policy = rules_of(
        WIN | {"offers": ["none", "tips", "cpn"]}, offers=offers, channels={"email": {"cost": cost}}, calendar=[]
    )
    facts = {"mean_order_day_revenue": revenue, "consent_marketing_email": float(agrees)}
    found = decided(policy, facts=facts, chance=chance)
    c, chosen = found.candidates, int(found.choice.chosen[0])
    may = agrees & (np.array([o.offer for o in c.options], object)[c.option] != "cpn") | (agrees & (chance <= 0.6))
    best = max([0.0, *c.net_value[may].tolist()])
    assert (chosen < 0) == (best <= 0) and (chosen < 0 or (may[chosen] and c.net_value[chosen] == best))
    assert (c.p_with >= c.p_without).all() and (c.p_with <= 1).all() and (c.cost >= 0).all()
    assert (c.low <= c.net_value + 1e-6).all() and (c.net_value <= c.high + 1e-6).all()
