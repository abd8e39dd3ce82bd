"""A night answered twice: the differences are those that were put in, and an erasure goes through the report."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features import lake
from features.errors import BadInput
from features.home import Home
from serving.forget import forget
from serving.publication import current
from serving.shadow import FOLDER, LARGEST, found_in, shadow, shown
from training.release import champion

from . import shop as told
from .conftest import copy_of

GLOOM = 1.0  # what the challenger adds to everyone's log-odds of leaving


def gloomy(probability):
    return 1 / (1 + np.exp(-(np.log(probability / (1 - probability)) + GLOOM)))


def gloomier(home: Home) -> Path:
    """Another release: the champion, but that it adds GLOOM to every log-odds of churn."""
    path = champion(home)
    folder = path.with_name(".gloomier")
    shutil.copytree(path, folder)
    calibration = json.loads((folder / "churn.json").read_text("utf-8"))
    calibration["intercept"] += GLOOM
    (folder / "churn.json").write_text(json.dumps(calibration, sort_keys=True))
    with np.load(folder / "golden.npz") as saved:
        golden = dict(saved)
    golden["out_churn"] = gloomy(golden["out_churn"])
    np.savez(folder / "golden.npz", **golden)
    (folder / lake.MANIFEST).unlink()
    return folder.rename(folder.with_name(lake.seal(folder)[:16]))


@pytest.fixture(scope="module")
def mine(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    return copy_of(home, tmp_path_factory.mktemp("shadow") / "home")


@pytest.fixture(scope="module")
def found(mine: Home) -> dict:
    return shadow(mine, gloomier(mine), None, told.MACHINE_NOW, None)


@pytest.fixture(scope="module")
def both(mine: Home) -> pd.DataFrame:
    """What the night said of each customer with a churn probability, and what the challenger must say."""
    night = current(mine)
    scores = night.table("customer_scores")
    scores = scores[scores.churn_probability.notna()].set_index("customer_id")
    p = scores.churn_probability
    after = gloomy(p)
    bands = night.policy.bands
    named = np.searchsorted([bands.watch, bands.high, bands.critical], after, side="right")
    order = np.array(["low", "watch", "high", "critical"])
    return pd.DataFrame({"before": p, "after": after, "from": scores.churn_band, "to": order[named]})


def test_the_same_order_with_more_gloom_is_a_rank_correlation_of_one(found, both):
    assert found["churn"]["spearman"] == 1
    assert found["churn"]["mean_champion"] == pytest.approx(both.before.mean(), abs=1e-4)
    assert found["churn"]["mean_challenger"] == pytest.approx(both.after.mean(), abs=1e-4)
    for same in ("p_order_30d", "clv_365d"):
        assert found[same]["spearman"] == 1 and found[same]["mean_champion"] == found[same]["mean_challenger"]


def test_every_band_move_is_counted(found, both):
    moves = both.groupby(["from", "to"]).size().to_dict()
    counted = {(c["champion"], c["challenger"]): c["n"] for c in found["bands"]}
    nobody = counted.pop(("none", "none"))
    assert counted == moves and sum(n for (a, b), n in moves.items() if a != b) > 10
    assert nobody + len(both) == found["customers"]


def test_the_twenty_largest_changes_are_named_the_largest_first(found, both):
    change = (both.after - both.before).sort_values(ascending=False)
    assert len(found["changes"]) == LARGEST
    named = {row["customer_id"]: row["change"] for row in found["changes"]}
    assert [round(value, 4) for value in change.head(LARGEST)] == pytest.approx(list(named.values()), abs=1e-4)
    assert all(both.after[who] - both.before[who] == pytest.approx(value, abs=1e-3) for who, value in named.items())


def test_no_action_changes_where_none_depends_on_churn(found):
    assert found["action_changed_share"] == 0


def test_nothing_is_published_and_the_report_is_kept(mine, found, home):
    assert current(mine).path.name == current(home).path.name == "revision=1"
    assert champion(mine).name == champion(home).name
    written = json.loads((mine.root / found["path"]).read_text("utf-8"))
    assert written == {name: value for name, value in found.items() if name != "path"}
    assert (mine.root / found["path"]).stat().st_mode & 0o777 == 0o600


def test_it_is_told_in_words(found):
    text = shown(found)
    assert f"{found['challenger']} beside the champion {found['champion']}, night of 2024-12-30" in text
    assert "rank correlation" in text and found["changes"][0]["customer_id"] in text and found["path"] in text


def test_another_night_may_be_asked_for(mine, found):
    later = shadow(mine, mine.releases / found["challenger"], told.D + 1, told.MACHINE_NOW, told.POLICY[0])
    assert later["score_date"] == "2024-12-31" and later["path"] != found["path"]


def test_the_champion_beside_itself_is_refused(mine):
    with pytest.raises(BadInput, match="is the champion itself"):
        shadow(mine, champion(mine), None, told.MACHINE_NOW, None)


def test_an_erasure_takes_a_customer_out_of_every_report(mine, found, tmp_path):
    home = copy_of(mine, tmp_path / "home")
    who = next(row["customer_id"] for row in found["changes"])
    reports = sorted((home.releases / FOLDER).glob("*.json"))
    assert any(who.encode() in path.read_bytes() for path in reports)
    counted = found_in(home, [who])
    receipt = forget(home, who, told.MACHINE_NOW)
    assert receipt["rows_removed"]["shadow reports"] == counted and sum(counted.values()) >= 1
    assert not any(who.encode() in path.read_bytes() for path in home.releases.rglob("*") if path.is_file())
    left = json.loads((home.root / found["path"]).read_text("utf-8"))
    assert left["changes"] == [row for row in found["changes"] if row["customer_id"] != who]
