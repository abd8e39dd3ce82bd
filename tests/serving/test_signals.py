"""What the tables beside the orders add to an answer: members, prospects, subscribers, bots, and late tables."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from features.door.ingest import ingest
from features.door.mapping_file import parse_mapping
from features.home import Home
from serving.cli import app
from serving.missing import LOYALTY
from serving.nightly import nightly
from serving.online import Online
from serving.publication import current
from serving.reasons import SENTENCES
from serving.results import Around, Asked, results
from serving.words import LANGUAGES, REASONS, say
from training.release import Release

from . import shop as told
from .conftest import Change, Score

POLICY = told.POLICY[0]
nan = float("nan")


def test_what_the_shops_list_says_is_passed_on(score: Score) -> None:
    weekly, once = score("weekly", "once")["results"]
    assert [weekly[name] for name in LOYALTY] == ["gold", None, None, 1250.5, "2025-03-31", None]
    assert [once[name] for name in LOYALTY] == [None] * 6


def test_a_prospect_is_answered_for(score: Score, scores: pd.DataFrame) -> None:
    result = score(told.PROSPECT)["results"][0]
    assert (result["status"], result["served_from"], result["lifecycle"]) == ("prior_only", "prior", "prospect")
    assert (result["order_count"], result["f_stage"], result["tier"]) == (0, "F0", "regular")
    assert result["churn"] is None and result["clv"] is None and result["action"]["kind"] == "none"
    assert {item["source"] for item in result["recommendations"]} == {"popular"}
    night = scores.loc[told.PROSPECT]
    assert (night.status, night.lifecycle, night.f_stage, night.order_count) == ("prior_only", "prospect", "F0", 0)


@pytest.mark.parametrize(
    ("active", "ships", "expected"),
    [
        pytest.param(1, told.D + 3, {"active": True, "next_ship_on": "2025-01-02"}, id="runs"),
        pytest.param(1, nan, {"active": True, "next_ship_on": None}, id="runs, nobody says when it sends"),
        pytest.param(1, told.D - 1, {"active": True, "next_ship_on": None}, id="that parcel has gone"),
        pytest.param(0, nan, {"active": False, "next_ship_on": None}, id="none runs"),
    ],
)
def test_a_subscription_is_told_where_the_table_is(
    changed: Change, online: Online, release: Release, active: int, ships: float, expected: dict[str, Any]
) -> None:
    answered = changed(subscriptions_active=[active], next_ship_day=[ships])
    [result] = results(answered, Around(online.shop.calendar, POLICY, release), Asked())
    assert result["subscription"] == expected
    assert "subscription" not in {one["field"] for one in result["missing"]}


def test_who_only_ever_had_a_subscriptions_parcels_is_a_customer(
    changed: Change, online: Online, release: Release
) -> None:
    """No order of their own: nothing says when they come back, but they are no prospect."""
    none = {name: [nan] for name in ("first_order_day", "last_order_day", "gap_days_sum", "gap_days_last")}
    zero = {name: [0.0] for name in ("n_order_days", "n_orders", "order_days_lookback")}
    for parcels in (1.0, 5.0):
        ever = {"order_days_all": [parcels], "orders_all": [parcels]}
        answered = changed(subscriptions_active=[1.0], next_ship_day=[nan], **none, **zero, **ever)
        [result] = results(answered, Around(online.shop.calendar, POLICY, release), Asked("full"))
        assert (result["status"], result["lifecycle"], result["order_count"]) == ("ok", "active", parcels)
        assert result["churn"] is None and result["clv"]["predicted_90d"] >= 0 and result["reasons"] == []


def test_a_bot_is_scored_within_what_people_do_and_flagged(changed: Change, online: Online, release: Release) -> None:
    cap = release.facts["caps"]["lines_91d"][1]
    mad = {name: [1e9] for name in ("revenue_total", "revenue_91d", "lines_91d", "order_day_revenue_max")}
    bot, mere = (changed(is_bot=[flag], **mad) for flag in (1.0, 0.0))
    assert bot.features["lines_91d"][0] == cap < 100 and mere.features["lines_91d"][0] == 1e9
    assert bot.historic[0] == 1e9 and bot.clv[0, 1] < mere.clv[0, 1]
    around = Around(online.shop.calendar, POLICY, release)
    told_of = {name: results(answered, around, Asked())[0] for name, answered in (("bot", bot), ("mere", mere))}
    assert {result["status"] for result in told_of.values()} == {"ok"}
    assert [name for name, result in told_of.items() if "50,000" in " ".join(result["warnings"])] == ["bot"]


def test_late_tables_stand_in_the_reply(changed: Change, online: Online, release: Release) -> None:
    answered = changed(late_tables=["consents"], ids=["someone"])
    [result] = results(answered, Around(online.shop.calendar, POLICY, release), Asked("full"))
    assert result["features"]["late_tables"] == ["consents"]
    assert {g["code"]: g["state"] for g in result["guards"]}["CONSENT_CHANNEL"] == "not_checked"
    assert result["send"]["allowed"] is False and any("consents" in words for words in result["warnings"])


def test_a_live_reply_knows_of_late_tables(score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    assert score("weekly")["results"][0]["features"]["late_tables"] == []
    monkeypatch.setattr("serving.online.late_tables", lambda *_: ["order_lines"])
    result = score("weekly")["results"][0]
    assert result["features"]["late_tables"] == ["order_lines"]
    assert {g["code"]: g["state"] for g in result["guards"]}["RECENT_ORDER"] == "not_checked"


def test_a_night_without_its_consents_sends_to_nobody_and_says_so(
    copied: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert current(copied).table("customer_scores").send_allowed.any()
    monkeypatch.setattr("serving.nightly.late_tables", lambda *_: ["consents"])
    done = nightly(copied, None, told.MACHINE_NOW, told.POLICY, replace=True)
    night = current(copied)
    assert (done["revision"], night.manifest["inputs"]["late_tables"]) == (2, ["consents"])
    assert not night.table("customer_scores").send_allowed.any()


def test_the_status_names_late_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop on the system's clock whose orders are due every night, and last came in 2025."""
    text = told.MAPPING.replace(b"clock: 2024-12-30\n", b"")
    text = text.replace(b"source: orders*.csv\n", b'source: orders*.csv\n    expect: {every: 1d, by: "02:00"}\n')
    orders = tmp_path / "orders.csv"
    orders.write_text(told.ORDERS + f"o1,c1,{told.at(3)},p01,1,1000,,\n")
    home = Home.open(tmp_path / "home")
    ingest(home, parse_mapping(text, "shop.yaml"), text, [orders], datetime(2025, 1, 1, tzinfo=UTC))
    monkeypatch.setenv("OKAERI_HOME", str(home.root))
    found = CliRunner().invoke(app, ["status", "--json"])
    assert (found.exit_code, json.loads(found.stdout)["late_tables"]) == (0, "order_lines")


@pytest.mark.parametrize(
    ("code", "facts", "expected"),
    [
        ("late_delivery", {"delivery_delay_last": 3.0}, {"days": 3}),
        ("late_delivery", {"delivery_delay_last": -1.0}, None),
        ("late_delivery", {}, None),
        ("bad_experience", {"returned_91d": 0.0, "tickets_91d": 1.0}, {}),
        ("bad_experience", {"returned_91d": 0.0, "csat_last": 3.0, "days_since_feedback": 91.0}, {}),
        ("bad_experience", {"returned_91d": 0.0, "csat_last": 3.0, "days_since_feedback": 92.0}, None),
        ("bad_experience", {"returned_91d": 0.0, "csat_last": nan, "days_since_feedback": nan}, None),
        ("bad_experience", {"returned_91d": 10.0}, {}),
        ("no_response", {"opens_91d": 0.0, "clicks_91d": 0.0, "delivered_91d": 4.0, "contacts_91d": 6.0}, {"n": 4}),
        ("no_response", {"opens_91d": 0.0, "clicks_91d": 0.0, "delivered_91d": nan, "contacts_91d": 6.0}, {"n": 6}),
        ("no_response", {"opens_91d": 0.0, "clicks_91d": 0.0, "delivered_91d": 1.0}, None),
        ("no_response", {"opens_91d": 1.0, "clicks_91d": 0.0, "delivered_91d": 4.0}, None),
        ("no_response", {}, None),
    ],
)
def test_a_sentence_of_the_other_tables_is_said_where_the_figures_bear_it_out(
    code: str, facts: dict[str, float], expected: dict[str, int] | None
) -> None:
    said = SENTENCES[code](facts)
    assert (said and said[0]) == expected
    if expected is not None:
        assert all(say(REASONS[code], lang, **expected) for lang in LANGUAGES)
