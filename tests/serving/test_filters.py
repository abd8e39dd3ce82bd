"""Who is meant by a filter: worked by hand, against a second implementation, and every mistake named."""

from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features.calendar import day_number
from features.errors import BadInput
from serving.policy.columns import ANCHOR, CUSTOMER, Column
from serving.policy.filter_words import words
from serving.policy.filters import BadFilter, matches, names, parse

TODAY = date(2026, 11, 21)
DAY = day_number(TODAY)
EVERYTHING = CUSTOMER | ANCHOR
SHOP: dict[str, list[Any]] = {  # four customers; the last is one of whom nothing is known
    "order_count": [1.0, 2.0, 9.0, np.nan],
    "lifecycle": ["new", "at_risk", "dormant", None],
    "promo_share": [1.0, 0.8, 0.1, np.nan],
    "subscription_active": [False, True, False, None],
    "tier": ["silver", "gold", None, None],
    "to_next_tier": [3000.0, 3000.5, 0.0, np.nan],
    "tier_expires_on": [date(2027, 1, 20), date(2027, 1, 21), date(2026, 11, 20), None],
    "reason_codes": ["silent_long,promo_only", "promo_only", "", None],
    "tag": [["トライアル", "限定"], [], ["定期"], None],
}


def columns(content: dict[str, list[Any]]) -> dict[str, np.ndarray[Any, Any]]:
    return {
        name: np.array(values, np.float64) if EVERYTHING[name].kind == "number" else as_objects(values)
        for name, values in content.items()
    }


def as_objects(values: list[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def meant(text: str, content: dict[str, list[Any]] = SHOP) -> list[int]:
    """Number the customers that a filter, written as YAML, means."""
    read = parse(yaml.safe_load(text), EVERYTHING)
    return np.flatnonzero(matches(read, columns(content), DAY)).tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("{}", [0, 1, 2, 3], id="nothing asked is everyone"),
        pytest.param("{order_count: 1}", [0], id="a bare value is equals"),
        pytest.param("{lifecycle: [at_risk, dormant]}", [1, 2], id="a list is in"),
        pytest.param("{lifecycle: {in: [at_risk]}}", [1], id="in"),
        pytest.param("{promo_share: {max: 0.8}}", [1, 2], id="max includes its end"),
        pytest.param("{order_count: {min: 2}}", [1, 2], id="min includes its end"),
        pytest.param("{order_count: {between: [1, 2]}}", [0, 1], id="between includes both"),
        pytest.param("{order_count: {min: 2, max: 8}}", [1], id="min and max"),
        pytest.param("{order_count: {in: [1, 9], max: 8}}", [0], id="in and max"),
        pytest.param("{lifecycle: [at_risk, dormant], promo_share: {max: 0.5}}", [2], id="every key must hold"),
        pytest.param("{to_next_tier: {max: 3000}, tier_expires_on: {max: 60d}}", [0, 2], id="the sample's tier_near"),
        pytest.param("{tier_expires_on: {min: 0d, max: 61d}}", [0, 1], id="from today on"),
        pytest.param("{tier_expires_on: 60d}", [0], id="a duration is a date"),
        pytest.param("{tier_expires_on: {max: -1d}}", [2], id="a negative duration is past"),
        pytest.param("{tier_expires_on: 2027-01-21}", [1], id="YAML's date"),
        pytest.param("{tier_expires_on: {between: ['2027-01-20', '2027-01-21']}}", [0, 1], id="ISO dates"),
        pytest.param("{subscription_active: false}", [0, 2], id="a boolean"),
        pytest.param("{not: {tier: gold}}", [0], id="not of what nobody knows is not known"),
        pytest.param("{not: {not: {tier: gold}}}", [1], id="not twice"),
        pytest.param("{any: [{tier: gold}, {order_count: 9}]}", [1, 2], id="any, though one part is not known"),
        pytest.param("{all: [{order_count: {min: 2}}, {not: {lifecycle: dormant}}]}", [1], id="all"),
        pytest.param("{not: {any: [{tier: gold}, {order_count: 1}]}}", [], id="neither; of the third one is unknown"),
        pytest.param("{not: {all: [{tier: gold}, {order_count: 1}]}}", [0, 1, 2], id="one known not to hold is enough"),
        pytest.param("{reason_codes: promo_only}", [0, 1], id="one of several words"),
        pytest.param("{not: {reason_codes: promo_only}}", [2], id="known to have none"),
        pytest.param("{tag: [トライアル, 定期]}", [0, 2], id="one of several tags"),
        pytest.param("{membership: plus}", [], id="a column the shop has not"),
        pytest.param("{not: {membership: plus}}", [], id="nor its not"),
    ],
)
def test_worked_by_hand(text: str, expected: list[int]) -> None:
    assert meant(text) == expected


@pytest.mark.parametrize("write", [lambda d: np.array(d, "datetime64[us]"), lambda d: [day_number(x) for x in d]])
def test_dates_may_be_stored_as_instants_or_day_numbers(write: Any) -> None:
    stored = np.asarray(write([TODAY, TODAY + timedelta(days=61)]))
    assert matches(parse({"tier_expires_on": {"max": "60d"}}, CUSTOMER), {"tier_expires_on": stored}, DAY).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("{lifecycl: new}", "who.lifecycl: unknown field; did you mean lifecycle?", id="field"),
        pytest.param("{nott: {tier: gold}}", "who.nott: unknown field; did you mean not?", id="group"),
        pytest.param("{lifecycle: at_rsk}", "who.lifecycle: unknown word; did you mean at_risk?", id="word"),
        pytest.param("{lifecycle: [new, dormnt]}", "who.lifecycle.1: unknown word; did you mean dormant?", id="in"),
        pytest.param("{points: {mx: 3}}", "who.points.mx: unknown condition; did you mean max?", id="condition"),
        pytest.param("{points: {max: '3'}}", "who.points.max: must be a number", id="text for a number"),
        pytest.param("{points: true}", "who.points: must be a number", id="true is not 1"),
        pytest.param("{points: .nan}", "who.points: must be a number", id="NaN"),
        pytest.param("{points: .inf}", "who.points: must be a number", id="infinity"),
        pytest.param("{points: {between: [1]}}", "who.points.between: must be a list of two", id="half a range"),
        pytest.param("{points: {min: 3, max: 2}}", "who.points: its lower end lies above", id="an empty range"),
        pytest.param("{points: {between: [3, 4], min: 2}}", "who.points: between already says", id="said twice"),
        pytest.param("{points: {}}", "who.points: says nothing", id="an empty condition"),
        pytest.param("{points: []}", "who.points: must be a list", id="an empty list"),
        pytest.param("{tier: 5}", "who.tier: must be a text: put it in quotes", id="a number for a text"),
        pytest.param("{tier: null}", "who.tier: must be a text; what is not known is never meant", id="null"),
        pytest.param("{tier: {min: gold}}", "who.tier.min: goes with numbers and dates", id="a range of texts"),
        pytest.param("{subscription_active: 'no'}", "who.subscription_active: must be true or false", id="no as text"),
        pytest.param("{tier_expires_on: 60}", "who.tier_expires_on: must be a date", id="a number for a date"),
        pytest.param("{tier_expires_on: '2026-02-30'}", "who.tier_expires_on: must be a date", id="no such date"),
        pytest.param("{overdue_days: 60d}", "who.overdue_days: must be a number; days are written without", id="days"),
        pytest.param("{any: {tier: gold}}", "who.any: must be a list", id="any of a mapping"),
        pytest.param("{any: []}", "who.any: must be a list", id="any of nothing"),
        pytest.param("{any: [{tier: gold}, {}]}", "who.any.1: must be fields", id="an empty part"),
        pytest.param("{not: []}", "who.not: must be fields", id="not of a list"),
        pytest.param("[tier]", "who: must be fields", id="a list"),
        pytest.param("gold", "who: must be fields", id="a text"),
        pytest.param("{1: 2}", "who.1: unknown field", id="a number as a field"),
        pytest.param("{not: " * 9 + "{tier: gold}" + "}" * 9, "nested deeper than 8", id="a deep nest"),
    ],
)
def test_every_mistake_names_its_path_and_what_would_be_right(text: str, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(yaml.safe_load(text), EVERYTHING, "who")
    assert told in str(refused.value)


def test_all_mistakes_are_told_at_once_and_none_repeats_a_value() -> None:
    with pytest.raises(BadFilter) as refused:
        parse({"all": [{"tier": 7531}, {"points": "7531"}], "x": 7531}, EVERYTHING)
    assert [path for path, _ in refused.value.mistakes] == ["filter.all.0.tier", "filter.all.1.points", "filter.x"]
    assert "7531" not in str(refused.value)


SMALL = {
    "points": Column("number", ("p", "p")),
    "tier": Column("text", ("t", "t")),
    "until": Column("date", ("u", "u")),
    "open": Column("boolean", ("o", "o")),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "points": st.integers(0, 3).map(float),
    "tier": st.sampled_from(["a", "b", "c"]),
    "until": st.integers(-2, 2).map(lambda n: TODAY + timedelta(days=n)),
    "open": st.booleans(),
}
WRITTEN = VALUES | {"until": VALUES["until"] | st.integers(-2, 2).map(lambda n: f"{n}d")}


def leaf_of(name: str) -> st.SearchStrategy[Any]:
    value = WRITTEN[name]
    simple = value | st.lists(value, min_size=1, max_size=3)
    if name in ("tier", "open"):
        return simple.map(lambda content: {name: content})
    ends = st.fixed_dictionaries({"min": value}) | st.fixed_dictionaries({"max": value})
    return (simple | ends).map(lambda content: {name: content})


leaves = st.sampled_from(sorted(SMALL)).flatmap(leaf_of)
filters = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=6,
)
people = st.lists(st.fixed_dictionaries({k: st.none() | v for k, v in VALUES.items()}), min_size=1, max_size=6)


def oracle(content: dict[str, Any], person: dict[str, Any]) -> bool | None:
    """Judge one person by Kleene's logic over the filter as it is written, sharing no code."""
    verdicts = [judged(key, inner, person) for key, inner in content.items()]
    return False if False in verdicts else None if None in verdicts else True


def judged(key: str, inner: Any, person: dict[str, Any]) -> bool | None:
    if key == "not":
        found = oracle(inner, person)
        return None if found is None else not found
    if key in ("any", "all"):
        verdicts, wins = [oracle(part, person) for part in inner], key == "any"
        return wins if wins in verdicts else None if None in verdicts else not wins
    if (value := person[key]) is None:
        return None
    if isinstance(inner, dict):
        (how, end), *_ = inner.items()
        return bool(value >= dated(end) if how == "min" else value <= dated(end))
    return value in [dated(one) for one in (inner if isinstance(inner, list) else [inner])]


def dated(value: Any) -> Any:
    return TODAY + timedelta(days=int(value[:-1])) if isinstance(value, str) and value[-1] == "d" else value


@given(content=filters, shop=people)
def test_a_second_implementation_means_the_same_people(content: dict[str, Any], shop: list[dict[str, Any]]) -> None:
    table = {
        name: np.array([np.nan if p[name] is None else p[name] for p in shop], np.float64)
        if name == "points"
        else as_objects([p[name] for p in shop])
        for name in SMALL
    }
    read = parse(content, SMALL)
    assert matches(read, table, DAY).tolist() == [oracle(content, person) is True for person in shop]
    assert names(read) <= set(SMALL)


@given(content=filters, shop=people)
def test_nobody_is_meant_by_a_filter_and_by_its_not(content: dict[str, Any], shop: list[dict[str, Any]]) -> None:
    table = {name: as_objects([p[name] for p in shop]) for name in SMALL}
    both = [matches(parse(one, SMALL), table, DAY) for one in (content, {"not": content})]
    assert not (both[0] & both[1]).any()


@pytest.mark.parametrize(
    ("text", "ja", "en"),
    [
        ("{}", "すべての顧客", "everyone"),
        ("{order_count: 1}", "購入回数が1", "Orders is 1"),
        (
            "{to_next_tier: {max: 3000}, tier_expires_on: {min: 0d, max: 60d}}",
            "次のランクまでの金額が3,000以下、かつランクの期限が当日から60日後まで",
            "To the next tier at most 3,000, and Tier expires from today to 60 days ahead",
        ),
        (
            "{not: {any: [{subscription_active: true}, {tier: gold, overdue_days: {min: 3}}]}}",
            "(定期購入中がはい、または(会員ランクがgold、かつ購入予定からの超過日数が3日以上))ではない",
            "not (On subscription is yes, or (Tier is gold, and Days overdue at least 3 days))",
        ),
        (
            "{points_expire_on: {max: 2026-12-31}, tag: [限定]}",
            "ポイントの期限が2026年12月31日(木)まで、かつ商品タグに限定を含む",
            "Points expire by 2026-12-31, and Product tag include 限定",
        ),
    ],
)
def test_a_filter_reads_as_a_sentence(text: str, ja: str, en: str) -> None:
    read = parse(yaml.safe_load(text), EVERYTHING)
    assert (words(read, "ja"), words(read, "en")) == (ja, en)
