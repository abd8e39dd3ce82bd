"""What came of a night, of customers whose later orders are told by hand."""

import pandas as pd
import pytest

from training import metrics
from training.evaluation import realised as judge
from training.evaluation.realised import TOO_SMALL, realised
from training.metrics import newcombe, wilson

from .conftest import ZERO, Line

H, DAY = 28, 100  # days after ZERO
NEVER = None


def shop_of(told, comes_back):
    """Customers with an order on day 90, and perhaps another one so many days into the horizon."""
    lines = [Line(f"{who}-1", who, 90) for who in comes_back]
    lines += [Line(f"{who}-2", who, DAY + at) for who, at in comes_back.items() if at is not NEVER]
    return told(lines)


def scores_of(probability, band="low", **more):
    rows = pd.DataFrame({"customer_id": list(probability), "churn_probability": list(probability.values())})
    return rows.assign(churn_band=band, subscription_active=False, **more)


NO_OFFERS = pd.DataFrame({"customer_id": pd.Series(dtype=object)})


def found(shop, scores, offers=NO_OFFERS, until=DAY + H):
    return realised(shop, ZERO + DAY, H, scores, offers, ZERO + until)


def test_who_left_is_who_did_not_order_within_the_horizon(told):
    """On the day itself counts, on the last day counts, a day later does not; one was returned, one never known."""
    comes = {"today": 0, "last": H - 1, "late": H, "never": NEVER, "returned": 3}
    lines = [Line(f"{who}-1", who, 90) for who in comes]
    lines += [Line(f"{who}-2", who, DAY + at) for who, at in comes.items() if at is not NEVER]
    lines += [Line("r", "returned", DAY + 4, -100.0, -1, returns="returned-2")]
    scores = scores_of(dict.fromkeys(comes, 0.2) | {"stranger": 0.9})
    told_of = found(told(lines), scores)
    assert (told_of["n"], told_of["predicted"]) == (5, 0.2)  # nobody knows what a stranger did
    assert told_of["observed"] == {name: round(x, 4) for name, x in wilson(3, 5)._asdict().items()}


def test_what_became_known_after_the_horizon_changes_nothing(told):
    lines = [Line("1", "a", 90), Line("2", "b", 90), Line("3", "a", DAY + 3, known=DAY + H + 2)]
    scores = scores_of({"a": 0.5, "b": 0.5})
    shop = told(lines)
    at_once, later = (found(shop, scores, until=DAY + H + days) for days in (0, 7))
    assert at_once == later and at_once["observed"]["value"] == 1.0


def test_chances_are_held_against_what_happened(told):
    """Of ten said .1 one leaves, of ten said .8 eight do: right to the last one, and the order is nearly so."""
    comes = {f"low-{n}": NEVER if n == 0 else 5 for n in range(10)} | {
        f"high-{n}": NEVER if n < 8 else 5 for n in range(10)
    }
    scores = scores_of({who: 0.1 if "low" in who else 0.8 for who in comes})
    scores["churn_band"] = ["low"] * 10 + ["critical"] * 10
    told_of = found(shop_of(told, comes), scores)
    assert (told_of["predicted"], told_of["observed"]["value"]) == (0.45, 0.45)
    assert told_of["ece"]["value"] == pytest.approx(0, abs=1e-9)
    left = [comes[who] is NEVER for who in scores.customer_id]
    assert told_of["auc"]["value"] == round(metrics.auc(left, scores.churn_probability), 4)
    assert told_of["auc"]["low"] < told_of["auc"]["value"] < told_of["auc"]["high"]
    assert {
        band: (one["n"], one["predicted"], one["observed"]["value"]) for band, one in told_of["by_band"].items()
    } == {
        "low": (10, 0.1, 0.1),
        "critical": (10, 0.8, 0.8),
    }


def test_a_subscribers_parcels_are_no_orders(told):
    lines = [Line("1", "a", 90), Line("2", "b", 90)]
    lines += [Line(f"s{who}", who, DAY + 5, kind="subscription") for who in "ab"]
    shop = told(lines)
    scores = scores_of({"a": 0.5, "b": 0.5}).assign(subscription_active=[True, False])
    assert found(shop, scores)["observed"]["value"] == 0.5  # the other one is no subscriber: an order like any


@pytest.fixture
def measured(told):
    """Sixty who could be written to, forty of whom came back; sixty withheld to measure, twenty of whom did."""
    comes = {f"t{n:02d}": 5 if n < 40 else NEVER for n in range(60)} | {
        f"c{n:02d}": 5 if n < 20 else NEVER for n in range(60)
    }
    who = pd.Series(list(comes))
    is_control = who.str.startswith("c")
    offers = pd.DataFrame(
        {
            "customer_id": who,
            "state": is_control.map({True: "withheld", False: "send"}),
            "arm": is_control.map({True: "control", False: "treatment"}),
            "guards_failed": is_control.map({True: "CONTROL_GROUP", False: ""}),
            "net_value": 1.0,
        }
    )
    return shop_of(told, comes), scores_of(dict.fromkeys(comes, 0.5)), offers


def test_the_lift_is_the_difference_between_the_arms(measured):
    lift = found(*measured)["lift"]
    assert (lift["treated"]["n"], lift["treated"]["value"]) == (60, 0.6667)
    assert (lift["control"]["n"], lift["control"]["value"]) == (60, 0.3333)
    assert lift["difference"] == {name: round(x, 4) for name, x in newcombe(40, 60, 20, 60)._asdict().items()}
    assert lift["verdict"] == "came back more often"


def test_who_would_not_have_been_written_to_anyway_is_in_neither_arm(measured):
    shop, scores, offers = measured
    offers.loc[offers.customer_id == "c59", "guards_failed"] = "RECENT_ORDER,CONTROL_GROUP"
    offers.loc[offers.customer_id == "c58", "net_value"] = -0.1
    offers.loc[offers.customer_id == "t59", "state"] = "not_worth_it"
    lift = found(shop, scores, offers)["lift"]
    assert (lift["treated"]["n"], lift["control"]["n"]) == (59, 58)


def test_of_few_no_verdict_is_given(measured):
    shop, scores, offers = measured
    lift = found(shop, scores, offers[offers.customer_id.str[1:] < "49"])["lift"]
    assert lift["control"]["n"] == judge.FEWEST - 1 and lift["verdict"] == TOO_SMALL
    assert lift["difference"]["low"] > 0  # however clear it looks


def test_worse_and_no_different_are_said_too(measured):
    shop, scores, offers = measured
    other = offers.assign(
        arm=offers.arm.map({"control": "treatment", "treatment": "control"}),
        state=offers.state.map({"send": "withheld", "withheld": "send"}),
        guards_failed=offers.guards_failed.map({"": "CONTROL_GROUP", "CONTROL_GROUP": ""}),
    )
    assert found(shop, scores, other)["lift"]["verdict"] == "came back less often"
    same = offers.assign(customer_id=[*offers.customer_id[:60]] * 2)  # the very same people in both arms
    assert found(shop, scores, same)["lift"]["verdict"] == "no difference shown"


def test_a_night_without_offers_or_scores_is_judged_as_such(told):
    shop = shop_of(told, {"a": 3})
    told_of = found(shop, scores_of({"a": float("nan")}))
    assert (told_of["n"], told_of["predicted"], told_of["by_band"]) == (0, None, {})
    assert told_of["observed"] == told_of["auc"] == {"value": None, "low": None, "high": None}
    assert told_of["lift"]["verdict"] == TOO_SMALL and told_of["lift"]["treated"]["n"] == 0


def test_of_one_outcome_there_is_no_order_to_judge(told):
    told_of = found(shop_of(told, {"a": 3, "b": 3}), scores_of({"a": 0.1, "b": 0.2}))
    assert told_of["auc"]["value"] is None and told_of["observed"]["value"] == 0.0


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),  # Newcombe (1998), Statistics in Medicine 17, 857-872, table I, score method
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_of_a_share_is_the_papers(hits, n, low, high):
    assert wilson(hits, n)[1:] == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("a", "n", "b", "m", "low", "high"),  # the same, 873-890, table II, method 10
    [(56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090), (5, 56, 0, 29, -0.0381, 0.1926)],
)
def test_the_interval_of_a_difference_is_the_papers(a, n, b, m, low, high):
    assert newcombe(a, n, b, m)[1:] == pytest.approx((low, high), abs=5e-5)
