"""What a night says of itself and of earlier ones: how unusual it is, what came of them, and what moved a band."""

import csv
import json
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features import lake
from features.errors import Refused
from features.home import Home
from serving import matured as the_matured
from serving.matured import history, line, matured
from serving.nightly import nightly
from serving.publication import Publication, current, open_publication
from serving.words import LANGUAGES, SEASON_NOTE, say
from training import drift, metrics
from training.release import Release, champion

from . import shop as told
from .conftest import Change, Score, copy_of
from .test_shadow import gloomier

D, H = told.D, 28


def night(home: Home, as_of: int | None = None, **more: Any) -> Publication:
    said = nightly(home, as_of, told.MACHINE_NOW, told.POLICY, **more)
    return open_publication(home.root / said["path"])


def answer_with(home: Home, release: Path) -> None:
    lake.point(home.releases / "CURRENT.json", release, previous=None)


# ---- how unusual it is


def test_the_manifest_says_how_much_the_last_day_brought(published: Publication, files: Path) -> None:
    """The last day before 2024-12-30 and the eight Sundays before it, counted in the file itself."""
    with (files / "orders.csv").open(encoding="utf-8") as file:
        days = [(datetime.fromisoformat(row["t"]) - timedelta(hours=5)).date() for row in csv.DictReader(file)]
    counts = pd.Series(days).value_counts()
    last = told.FIRST + timedelta(days=told.NIGHT - 1)
    usual = np.median([counts.get(last - timedelta(weeks=week), 0) for week in range(1, 9)])
    found = published.manifest["volume"]
    assert (found["date"], found["lines"], found["usual"]) == (str(last), counts[last], usual)
    assert found["ratio"] == round(counts[last] / usual, 4)


def test_the_season_to_come_is_told_of(published: Publication, release: Release, online: Any) -> None:
    """One year of files: no window of a year before was learnt from."""
    found = published.manifest["season"]
    first, end = release.facts["learnt_span"]
    assert found["seen"] is False and end == D and first == D - told.NIGHT + (told.NIGHT - 56) % 28 + 56
    assert "2025-01-0" not in found["why"] and "(2024-01-01 to 2024-01-28)" in found["why"]
    assert release.facts["season"] == online.release()["season"] == found


def test_every_scored_customer_is_warned_of_an_unknown_season(score: Score) -> None:
    for lang in LANGUAGES:
        for result in score("weekly", "once", told.GAVE_BACK, "refuses_personal", "nobody", lang=lang)["results"]:
            warned = result["warnings"].count(say(SEASON_NOTE, lang))
            assert warned == (1 if result["customer_id"] in ("weekly", "once") else 0), result["customer_id"]


def test_a_known_season_is_no_warning(changed: Change, release: Release, shop: Any) -> None:
    from dataclasses import replace

    from serving.results import Around, Asked, results

    longer = replace(release, facts=release.facts | {"learnt_span": [D - 364, D]})
    (result,) = results(changed(), Around(shop.calendar, told.POLICY[0], longer), Asked())
    assert say(SEASON_NOTE, "en") not in result["warnings"]


def test_drift_is_measured_on_the_scored_and_named(
    published: Publication, scores: pd.DataFrame, release: Release, frame: pd.DataFrame
) -> None:
    found = published.manifest["drift"]
    names = release.facts["references"]["features"]
    assert found["n"] == published.manifest["counts"]["scored"] and len(found["largest"]) == drift.LARGEST
    assert found["inputs"] == len(names) - len(release.facts["restless"])
    theirs = frame[frame.customer_id.isin(scores.customer_id[scores.next_order_p_30d.notna()])]
    for name, value in found["largest"].items():
        assert value == round(drift.psi(names[name], theirs[name].to_numpy()), 4)
    assert found["share"] <= drift.SHARE_AT_MOST and found["gone"] == []


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(lambda f: f.filter(regex="revenue") * 100, r"inputs are spread otherwise.*revenue", id="x 100"),
        pytest.param(
            lambda f: f.filter(regex="discount|promo|coupon") * 0,
            r"the same for all customers now.*discount",
            id="gone",
        ),
        pytest.param(
            lambda f: f.filter(regex="order_day|n_order|gap_|lines_|weeks_") * np.nan,
            r"the same for all customers now",
            id="histories gone",
        ),
    ],
)
def test_a_planted_fault_is_refused(release: Release, frame: pd.DataFrame, fault: Any, message: str) -> None:
    people = np.flatnonzero(frame.order_days_all.to_numpy() >= 1)
    for columns, passes in ((frame, True), (frame.assign(**fault(frame)), False)):
        told_of = {name: columns[name].to_numpy() for name in release.facts["references"]["features"]}
        found = drift.drift(release.facts["references"]["features"], release.facts["restless"], told_of, people)
        if passes:
            drift.expect_familiar(found)
        else:
            with pytest.raises(Refused, match=message):
                drift.expect_familiar(found)


def test_a_night_of_strangers_is_not_published_unless_forced(copied: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before = current(copied)
    monkeypatch.setattr(drift, "CONSIDERABLE", 0.0)
    with pytest.raises(Refused, match="give --force"):
        night(copied, D + 1)
    assert current(copied) == before and not (copied.publications / "score_date=2024-12-31").exists()
    found = night(copied, D + 1, force=True).manifest["drift"]
    assert found["considerable"] > 0.5 * found["inputs"]


def test_a_release_of_before_there_was_drift_still_answers(copied: Home) -> None:
    def forgets(facts: dict[str, Any]) -> None:
        for name in ("learnt_span", "season", "restless"):
            facts.pop(name)
        facts["references"].pop("features")

    answer_with(copied, changed_release(champion(copied), forgets))
    manifest = night(copied, D + 1).manifest
    assert (manifest["drift"], manifest["season"]) == (None, None)


def changed_release(path: Path, change: Any) -> Path:
    """Seal another release, with other facts and the same models."""
    folder = path.with_name(".changed")
    shutil.copytree(path, folder)
    facts = lake.read_json(folder / "release.json")
    change(facts)
    lake.write_json(folder / "release.json", facts)
    (folder / lake.MANIFEST).unlink()
    return folder.rename(folder.with_name(lake.seal(folder)[:16]))


# ---- what came of it


@pytest.fixture(scope="module")
def lived(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home whose release says it knew nothing of the last five weeks, and which published then and now."""
    lived = copy_of(home, tmp_path_factory.mktemp("lived") / "home")
    shutil.rmtree(lived.publications)
    answer_with(lived, changed_release(champion(lived), lambda facts: facts.update(trained_until=D - 35)))
    for day in (D - 30, D - H, D, D + 1, D + 5):
        night(lived, day)
    return lived


def of(home: Home, day: int) -> Publication:
    date = told.FIRST + timedelta(days=told.NIGHT + day - D)
    return open_publication(home.publications / f"score_date={date}" / "revision=1")


def test_a_night_judges_the_one_whose_horizon_has_just_ended(lived: Home, files: Path) -> None:
    then, found = of(lived, D - H), of(lived, D).manifest["realised"]
    scores = then.table("customer_scores").dropna(subset=["churn_probability"])
    with (files / "orders.csv").open(encoding="utf-8") as file:
        rows = [(row["c"], datetime.fromisoformat(row["t"]) - timedelta(hours=5)) for row in csv.DictReader(file)]
    span = [datetime.combine(told.FIRST, datetime.min.time()) + timedelta(days=told.NIGHT - ago) for ago in (H, 0)]
    came = {who for who, at in rows if span[0] <= at < span[1]}
    left = ~scores.customer_id.isin(came).to_numpy()
    p = scores.churn_probability.to_numpy()
    assert (found["score_date"], found["release"]) == (then.manifest["score_date"], then.manifest["inputs"]["release"])
    assert (found["n"], found["horizon_days"]) == (len(scores), H) and 0 < left.mean() < 1
    assert found["predicted"] == round(p.mean(), 4) and found["observed"]["value"] == round(left.mean(), 4)
    assert found["auc"]["value"] == round(metrics.auc(left, p), 4) and found["ece"]["value"] == round(
        metrics.ece(left, p), 4
    )
    for band, one in found["by_band"].items():
        mine = (scores.churn_band == band).to_numpy()
        assert (one["n"], one["observed"]["value"]) == (mine.sum(), round(left[mine].mean(), 4))
    offers = then.table("offer_allocations")
    sent = offers.customer_id[offers.state == "send"]
    assert found["lift"]["treated"]["n"] == len(sent)
    assert found["lift"]["treated"]["value"] == round(sent.isin(came).mean(), 4)
    assert found["lift"]["verdict"] == "too small to tell"  # one in twenty of some hundreds is withheld


def test_what_was_judged_is_an_input_of_the_night(lived: Home) -> None:
    then, now = of(lived, D - H), of(lived, D)
    assert now.manifest["inputs"]["judged"] == lake.sha256_file(then.path / lake.MANIFEST)


def test_a_missed_night_is_made_up_for_once(lived: Home) -> None:
    """Nothing matures on the 31st; the night of thirty days before is two days over, and judged by nobody yet."""
    assert of(lived, D + 1).manifest["realised"]["score_date"] == of(lived, D - 30).manifest["score_date"]
    assert of(lived, D + 5).manifest["realised"] is None and of(lived, D + 5).manifest["inputs"]["judged"] is None
    assert of(lived, D - H).manifest["realised"] is None


def test_the_same_night_again_judges_the_same(lived: Home, tmp_path: Path) -> None:
    again = copy_of(lived, tmp_path / "home")
    assert night(again, D, replace=True).manifest["realised"] == of(lived, D).manifest["realised"]


def test_of_every_judged_night_there_is_a_row(lived: Home) -> None:
    rows = history(lived)
    assert [row["score_date"] for row in rows] == [of(lived, day).manifest["score_date"] for day in (D - 30, D - H)]
    assert rows[1] == of(lived, D).manifest["realised"]
    words = line(rows[1])
    assert words.startswith("2024-12-02: ") and "said to leave" in words and words.endswith("too small to tell")


def told_of(score_date: str, day: int, **more: Any) -> dict[str, Any]:
    return {"score_date": score_date, "day": day, "horizon_days": H, "hindsight": False} | more


@pytest.mark.parametrize(
    ("nights", "expected"),  # newest first; tonight is day 100
    [
        pytest.param([told_of("a", 72)], "a", id="just over"),
        pytest.param([told_of("a", 73)], None, id="not over"),
        pytest.param([told_of("a", 65)], "a", id="over for a week"),
        pytest.param([told_of("a", 64)], None, id="too long ago"),
        pytest.param([told_of("b", 71), told_of("a", 70)], "b", id="the newest"),
        pytest.param(
            [told_of("c", 99, realised={"score_date": "b"}), told_of("b", 71), told_of("a", 70)], "a", id="once"
        ),
        pytest.param([told_of("b", 71, hindsight=True), told_of("a", 70)], "a", id="never one with hindsight"),
        pytest.param([told_of("b", 86, horizon_days=14), told_of("a", 72)], "b", id="each by its own horizon"),
        pytest.param([{"score_date": "a", "day": 72, "hindsight": False}], None, id="of before nights were judged"),
    ],
)
def test_which_night_is_judged(nights: Any, expected: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(the_matured, "_nights", lambda home, day: [(Path(n["score_date"]), n) for n in nights])
    monkeypatch.setattr(the_matured, "open_publication", lambda path: path.name)
    assert matured(None, 100, pytest.fail) == expected  # type: ignore[arg-type]


def test_a_damaged_night_is_not_judged_and_stops_nothing(lived: Home, tmp_path: Path) -> None:
    again = copy_of(lived, tmp_path / "home")
    (of(again, D - H).path / "customer_scores.parquet").write_bytes(b"")
    said: list[str] = []
    assert matured(again, D, said.append) is not None  # the older one
    assert "customer_scores.parquet" in said[0]


# ---- what moved a band


@pytest.fixture(scope="module")
def moved(home: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Publication, Publication, Home]:
    """The night after, by the release before and by a gloomier one, and the latter's home before it."""
    calm, changed, later = (
        copy_of(home, tmp_path_factory.mktemp(name) / "home") for name in ("calm", "changed", "later")
    )
    for one in (changed, later):
        answer_with(one, gloomier(one))
    return night(calm, D + 1), night(changed, D + 1), later


def test_a_move_is_the_releases_where_the_release_before_makes_none(moved: Any, scores: pd.DataFrame) -> None:
    calm, changed, _ = moved
    changes = changed.table("score_changes").set_index("customer_id")
    before = scores.churn_band.fillna("")
    by_the_old = calm.table("customer_scores").set_index("customer_id").churn_band.fillna("")
    expected = (by_the_old[changes.index] == before[changes.index]).map({True: "release", False: "customer"})
    assert changes.due_to.tolist() == expected.tolist()
    assert set(changes.due_to) == {"release", "customer"}, "else the case tells nothing"


def test_with_the_same_release_every_move_is_the_customers(moved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = moved[0]
    assert set(calm.table("score_changes").due_to) == {"customer"}
    assert calm.manifest["inputs"]["release_before"] is None


def test_the_release_compared_with_is_an_input(moved: Any, release: Release) -> None:
    assert moved[1].manifest["inputs"]["release_before"] == release.id


def test_nobody_can_tell_once_the_release_before_is_gone(moved: Any, release: Release) -> None:
    later = moved[2]
    shutil.rmtree(later.releases / release.id)
    found = night(later, D + 1)
    assert set(found.table("score_changes").due_to) == {"unknown"}
    assert found.manifest["inputs"]["release_before"] is None


# ---- told


def test_status_tells_the_newest_and_the_history_all(lived: Home, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from serving.cli.night import status

    monkeypatch.setenv("OKAERI_HOME", str(lived.root))
    status()
    assert "realised         2024-12-02: " in capsys.readouterr().out
    status(history=True)
    assert [text[:10] for text in capsys.readouterr().out.splitlines()] == ["2024-11-30", "2024-12-02"]
    status(history=True, json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["realised"]["score_date"] == "2024-12-02" and len(found["history"]) == 2
