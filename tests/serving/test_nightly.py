"""A night is published whole or not at all, run again it is the same, and what was there stays."""

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest

from feature_repo.store import Generation, Store
from features import lake
from features.errors import BadInput, Damaged, OkaeriError, Refused
from features.home import Home
from features.shop import Shop
from serving import nightly as the_night
from serving import tables
from serving.nightly import check, nightly
from serving.policy.decisions import Night
from serving.policy.rules import Channel
from serving.publication import Publication, current, open_publication
from training.release import Release, champion

from . import shop as told
from .conftest import Change, copy_of
from .nights import Nights

D = told.D
DATE = "2024-12-30"
KILLS = int(os.environ.get("OKAERI_KILLS", "12"))  # a long run is the same test with OKAERI_KILLS=1000
TABLES = (
    "customer_scores", "offer_allocations", "recommendations", "rejects", "replenishment_due", "score_changes",
    "occasions", "standing", "contacts", "offer_codes",
)  # fmt: skip


KEYS = {
    "recommendations": ("customer_id", "rank"),
    "replenishment_due": ("customer_id", "due_day", "product_id"),
    "occasions": ("customer_id", "event", "at", "order_id", "product_id"),
    "contacts": ("customer_id", "at", "contact_id"),
    "offer_codes": ("offer_id",),
}


def night(home: Home, as_of: int | None = None, **more: Any) -> dict[str, Any]:
    return nightly(home, as_of, told.MACHINE_NOW, told.POLICY, **more)


def pointed_at(home: Home) -> Publication:
    found = current(home)
    assert found is not None
    return found


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def content(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


# ---- what stands in it


def test_the_counts_add_up(published: Publication, scores: pd.DataFrame, frame: pd.DataFrame) -> None:
    counts = published.manifest["counts"]
    assert counts["eligible"] == counts["customer_scores"] == len(scores) == len(frame)
    assert counts["eligible"] == counts["scored"] + counts["rejects"]
    for name in TABLES:
        assert counts[name] == len(published.table(name)), name
    assert set(counts) == {*TABLES, "eligible", "scored"}
    refused = published.table("rejects").set_index("customer_id").reason
    assert refused[told.GAVE_BACK] == "prior_only" and refused["refuses_personal"] == "opted_out"
    assert set(scores.customer_id[scores.next_order_p_30d.isna()]) == set(refused.index)


def test_every_table_is_ordered_by_its_key(published: Publication) -> None:
    for name in TABLES:
        table = published.table(name)
        keys = KEYS.get(name, ("customer_id",))
        pd.testing.assert_frame_equal(table, table.sort_values(list(keys), ignore_index=True))
        assert not table.duplicated([*keys]).any(), name


def test_everybody_has_fifty_products_or_all_there_are(published: Publication, scores: pd.DataFrame) -> None:
    items = published.table("recommendations").groupby("customer_id").size()
    assert set(items.index) == set(scores.customer_id[scores.status != "opted_out"])
    assert items.max() == min(50, 40 + len({name[:4] for name in told.TOLD}))
    assert set(items.index[items < items.max()]) == {told.GAVE_BACK}, "what went back lately is not offered again"
    gave_back = published.table("recommendations").query("customer_id == @told.GAVE_BACK")
    assert len(gave_back) == items.max() - 1 and "p01" not in set(gave_back.product_id)


def test_the_manifest_says_what_it_was_made_of(published: Publication, shop: Shop, release: Release) -> None:
    facts = published.manifest
    assert (facts["day"], facts["score_date"], facts["revision"], facts["hindsight"]) == (D, DATE, 1, False)
    assert facts["inputs"] == {
        "shop": "cha",
        "lake": shop.version,
        "release": release.id,
        "policy": told.POLICY[0].hash,
        "codes": {},
        "late_tables": [],
        "previous": None,
        "judged": None,
        "release_before": None,
    }
    assert set(facts["files"]) == {*(f"{name}.parquet" for name in TABLES), "policy.yaml"}
    assert published.policy == told.POLICY[0]


def test_an_offer_goes_out_or_says_what_withholds_it(published: Publication, scores: pd.DataFrame) -> None:
    offers = published.table("offer_allocations")
    assert set(offers.state) == {"send", "withheld"}
    for row in offers.itertuples():
        mine = scores.loc[row.customer_id]
        assert (row.state == "send") == mine.send_allowed
        assert (row.state == "withheld") == (row.guards_failed != "")
        if row.state == "send":
            assert (row.offer_id, row.scenario, row.net_value) == (
                mine.action_offer_id, mine.action_scenario, mine.action_net_value,
            )  # fmt: skip
        else:
            assert mine.action_scenario == "none"
    by_name = offers.set_index("customer_id")
    assert (by_name.state["late"], by_name.state["refuses_mail"]) == ("send", "withheld")
    assert by_name.guards_failed["refuses_mail"] == "CONSENT_CHANNEL"


def test_an_offer_that_costs_more_than_it_brings_is_not_worth_it(changed: Change) -> None:
    policy = told.POLICY[0].model_copy(update={"channels": {"email": Channel(cost=1e6)}})
    offers = tables.offer_allocations(changed(policy, due=[0.0, np.nan]))
    assert offers[["customer_id", "offer_id", "state"]].to_numpy().tolist() == [["made-up-0", None, "not_worth_it"]]
    assert offers.net_value[0] < -900_000


def test_what_was_not_worth_its_cost_at_night_has_the_guards_of_any_message_live(changed: Change) -> None:
    """Neither the night nor a live answer has a message to show the guards of."""
    policy = told.POLICY[0].model_copy(update={"channels": {"email": Channel(cost=1e6)}})
    no, words = np.array([False]), [np.array([word], object) for word in ("replenishment", None, "email")]
    at_night = changed(policy, due=[0.0])
    settled = Night(~no, *words, is_sent=no, is_shown=no)
    live = changed(policy, due=[0.0], night=settled)
    held_back = changed(policy, due=[0.0], night=replace(settled, is_shown=~no))
    assert [len(one.decisions.candidates) for one in (at_night, live)] == [1, 1]
    assert [int(one.decisions.choice.shown[0]) for one in (at_night, live, held_back)] == [-1, -1, 0]


# ---- again


@dataclass
class Week:
    """A home that lived on for some days, what each night said, and what was current after it."""

    home: Home
    said: dict[str, dict[str, Any]] = field(default_factory=dict)
    current: dict[str, Publication] = field(default_factory=dict)
    bytes: dict[str, dict[str, bytes]] = field(default_factory=dict)
    generations: dict[str, Generation | None] = field(default_factory=dict)

    def live(self, name: str, as_of: int | None, **more: Any) -> None:
        self.said[name] = night(self.home, as_of, **more)
        self.current[name] = now = pointed_at(self.home)
        self.bytes[name] = content(now.path)
        self.generations[name] = Store.open(self.home, told.opened(self.home)).generation()


@pytest.fixture(scope="module")
def week(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Week:
    week = Week(copy_of(home, tmp_path_factory.mktemp("week") / "home"))
    week.live("again", None)
    week.live("tuesday", D + 1)
    week.live("tuesday replaced", D + 1, replace=True)
    week.live("tuesday again", D + 1)
    week.live("wednesday", D + 2)
    week.live("last week", D - 7)
    drop = week.home.root / "drop" / "cha"
    drop.mkdir(parents=True)
    line = f"o-new,newcomer,{told.at(told.NIGHT + 2)},p01,2,1234,,\n"
    (drop / "orders-2.csv").write_text(told.ORDERS + line)
    week.live("wednesday again", D + 2)
    week.live("thursday", D + 3)
    return week


def test_the_same_date_again_is_already_published(week: Week, published: Publication) -> None:
    again = week.said["again"]
    assert (again["state"], again["revision"], again["score_date"]) == ("already_published", 1, DATE)
    assert week.bytes["again"] == content(published.path)
    assert again["manifest_sha256"] == lake.sha256_file(published.path / lake.MANIFEST)
    assert again["counts"] == published.manifest["counts"]


def test_replacing_makes_a_second_revision_of_the_same_tables(week: Week) -> None:
    first, second = week.current["tuesday"], week.current["tuesday replaced"]
    assert len(first.table("score_changes")) > 0, "else the case tells nothing"
    said = week.said["tuesday replaced"]
    assert (said["state"], said["revision"], second.path.name) == ("published", 2, "revision=2")
    assert second.manifest["files"] == first.manifest["files"]
    assert second.manifest["inputs"] == first.manifest["inputs"]
    assert content(first.path) == week.bytes["tuesday"]  # the first is kept as it was
    assert week.said["tuesday again"]["revision"] == 2  # asked again, the newest revision is the one


def test_missed_nights_in_order_each_know_the_one_before(week: Week) -> None:
    for before, now in (("again", "tuesday"), ("tuesday replaced", "wednesday"), ("wednesday", "thursday")):
        manifest = week.bytes[before][lake.MANIFEST]
        assert week.current[now].manifest["inputs"]["previous"] == hashlib.sha256(manifest).hexdigest()
        earlier, later = (
            week.current[name].table("customer_scores").set_index("customer_id").churn_band for name in (before, now)
        )
        known = later.index.isin(earlier.index)
        earlier = earlier.reindex(later.index)
        moved = known & (earlier.fillna("") != later.fillna(""))
        changes = week.current[now].table("score_changes")
        assert changes.customer_id.tolist() == later.index[moved].tolist()
        assert changes.band_before.fillna("").tolist() == earlier[moved].fillna("").tolist()


def test_a_night_of_the_past_is_kept_beside_and_moves_nothing(week: Week) -> None:
    past = week.said["last week"]
    found = open_publication(week.home.root / past["path"])
    assert (past["state"], past["score_date"], found.manifest["hindsight"]) == ("published", "2024-12-23", True)
    assert week.current["last week"].path == week.current["wednesday"].path
    assert week.generations["last week"] == week.generations["wednesday"] is not None
    assert week.current["wednesday"].manifest["hindsight"] is False
    then, now = (p.table("customer_scores").clv_historic.sum() for p in (found, week.current["wednesday"]))
    assert 0 < then < now


def test_the_newest_night_is_online(week: Week) -> None:
    calendar = told.opened(week.home).calendar
    for name, day in (("again", D), ("tuesday", D + 1), ("wednesday", D + 2), ("thursday", D + 3)):
        generation = week.generations[name]
        assert generation is not None and generation.as_of == calendar.start(day)
        assert generation.n_customers == week.current[name].manifest["counts"]["eligible"]


def test_the_night_takes_in_what_lies_in_the_drop_folder_once(week: Week) -> None:
    assert (
        week.said["wednesday again"]["state"] == "already_published"
    )  # the date is done; the file is taken in all the same
    scores = week.current["thursday"].table("customer_scores").set_index("customer_id")
    new = scores.loc["newcomer", ["status", "f_stage", "lifecycle", "clv_historic"]]
    assert new.tolist() == ["ok", "F1", "new", 1234]
    assert len(told.opened(week.home).loads) == 2


def test_how_long_it_took_stands_outside_the_publications(week: Week) -> None:
    lines = [json.loads(line) for line in (week.home.publications / "run.jsonl").read_text().splitlines()]
    dates = ["2024-12-30", "2024-12-31", "2024-12-31", "2025-01-01", "2024-12-23", "2025-01-02"]
    assert [line["score_date"] for line in lines] == dates and all(line["seconds"] > 0 for line in lines)


def test_a_fresh_home_publishes_the_same_bytes(home: Home, files: Path, tmp_path: Path) -> None:
    fresh = Home.open(tmp_path / "fresh")
    told.take_in(fresh, sorted(files.glob("*.csv")))
    shutil.copytree(home.releases, fresh.releases)
    night(fresh)
    assert content(pointed_at(fresh).path) == content(pointed_at(home).path)


def test_a_broken_file_in_the_drop_folder_stops_the_night_and_is_named(copied: Home) -> None:
    drop = copied.root / "drop" / "cha"
    drop.mkdir(parents=True)
    (drop / "orders-2.csv").write_text("o,t,p,q,r,d,b\n1,2024-12-30 12:00:00,p01,1,1,,\n")
    before = pointed_at(copied).path
    with pytest.raises(BadInput, match=r"orders-2\.csv.*\bc\b"):
        night(copied, D + 1)
    assert pointed_at(copied).path == before


# ---- damage


def test_a_damaged_release_publishes_nothing(copied: Home) -> None:
    flip(champion(copied) / "churn.txt")
    before = pointed_at(copied).path
    with pytest.raises(Damaged, match=r"churn\.txt"):
        night(copied, D + 1)
    assert pointed_at(copied).path == before and not (copied.publications / "score_date=2024-12-31").exists()


def test_a_damaged_publication_is_not_read_and_can_be_replaced(copied: Home) -> None:
    before = pointed_at(copied).path
    for name in ("customer_scores.parquet", "policy.yaml", lake.MANIFEST):
        whole = (before / name).read_bytes()
        flip(before / name)
        with pytest.raises(Damaged):
            current(copied)
        with pytest.raises(Damaged):
            night(copied)
        if name != lake.MANIFEST:
            (before / name).write_bytes(whole)
    assert night(copied, replace=True)["revision"] == 2
    assert pointed_at(copied).path == before.with_name("revision=2")


def test_a_file_too_many_is_damage(copied: Home) -> None:
    (pointed_at(copied).path / "extra.parquet").write_bytes(b"")
    with pytest.raises(Damaged, match=r"extra\.parquet"):
        current(copied)


def test_without_a_release_the_night_says_what_to_do(files: Path, tmp_path: Path) -> None:
    fresh = Home.open(tmp_path / "fresh")
    with pytest.raises(BadInput, match="okaeri ingest"):
        night(fresh)
    told.take_in(fresh, sorted(files.glob("*.csv")))
    with pytest.raises(BadInput, match="okaeri train"):
        night(fresh)
    assert current(fresh) is None


# ---- what cannot be right is not published


def everyone_equal(scores: pd.DataFrame) -> pd.DataFrame:
    return scores.assign(churn_probability=scores.churn_probability.where(scores.churn_probability.isna(), 0.5))


def at_first(column: str, value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(scores: pd.DataFrame) -> pd.DataFrame:
        row = scores.index[scores[column].notna()][0]
        return scores.assign(**{column: scores[column].where(scores.index != row, value)})

    return change


def moved(scores: pd.DataFrame) -> pd.DataFrame:
    away = 5.01 * scores.churn_probability.std()
    return scores.assign(churn_probability=scores.churn_probability + away)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda scores: scores.iloc[1:], "712 customers answered for, 713 expected", id="one is missing"),
        pytest.param(
            lambda scores: pd.concat([scores.iloc[1:], scores.iloc[1:2]]),
            "713 customers answered for",
            id="one is there twice",
        ),
        pytest.param(everyone_equal, "churn probabilities are equal", id="all alike"),
        pytest.param(at_first("churn_probability", 1.01), "outside 0 to 1", id="above one"),
        pytest.param(at_first("churn_probability", -1e-9), "outside 0 to 1", id="below nothing"),
        pytest.param(at_first("next_order_p_90d", np.inf), "outside 0 to 1", id="infinite"),
        pytest.param(at_first("next_order_p_7d", np.nan), "absent", id="no number where there should be one"),
    ],
)
def test_what_cannot_be_right_is_refused(
    scores: pd.DataFrame, frame: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    table = scores.reset_index(drop=True)
    check(table, frame, None)
    with pytest.raises(Refused, match=message):
        check(change(table), frame, None)


def test_a_mean_that_moved_five_deviations_is_refused(scores: pd.DataFrame, frame: pd.DataFrame) -> None:
    near = scores.assign(churn_probability=0.4 + scores.churn_probability / 100)
    check(near, frame, near.assign(churn_probability=near.churn_probability - 4.9 * near.churn_probability.std()))
    before = near.assign(churn_probability=near.churn_probability - 5.1 * near.churn_probability.std())
    with pytest.raises(Refused, match="the mean churn moved"):
        check(near, frame, before)


def test_a_refused_night_leaves_the_old_one(copied: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    before, real = pointed_at(copied).path, the_night.tables.customer_scores
    monkeypatch.setattr(the_night.tables, "customer_scores", lambda *args: real(*args).iloc[:-1])
    with pytest.raises(Refused, match="nothing was published"):
        night(copied, D + 1)
    assert pointed_at(copied).path == before and not (copied.publications / "score_date=2024-12-31").exists()


# ---- killed, and raced


@pytest.fixture(scope="module")
def nights() -> Iterator[Nights]:
    parent = Nights.start()
    try:
        yield parent
    finally:
        parent.end()


class Reader(Thread):
    """Opens what is current again and again, as a consumer would."""

    def __init__(self, home: Home) -> None:
        super().__init__()
        self.home, self.done = home, Event()
        self.seen: list[tuple[str, int, str]] = []
        self.faults: list[str] = []

    def run(self) -> None:
        while not self.done.wait(0.1):
            self.look()

    def look(self) -> None:
        try:
            found = pointed_at(self.home)
            scores = found.table("customer_scores")
        except (OkaeriError, OSError, ValueError, AssertionError) as fault:
            self.faults.append(repr(fault))
            return
        if len(scores) != found.manifest["counts"]["customer_scores"]:
            self.faults.append(f"{found.path}: {len(scores)} rows")
        one = (found.manifest["score_date"], found.manifest["revision"], found.manifest["run_id"])
        if not self.seen or self.seen[-1] != one:
            self.seen.append(one)

    def __enter__(self) -> "Reader":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()
        self.look()  # what the last run left, however quick it was


def test_killed_at_any_moment_the_old_night_stands_and_the_rerun_ends_the_same(
    home: Home, tmp_path: Path, nights: Nights
) -> None:
    """Two nights, each killed several times; whatever is then current is whole, and the rerun's bytes are right.

    Once a date is published, the kills go on against its replacement.
    """
    killed, calm = copy_of(home, tmp_path / "killed"), copy_of(home, tmp_path / "calm")
    chance, outcomes = random.Random(0), []
    with Reader(killed) as reader:
        for day in (D + 1, D + 2):
            expected = nights.run({"home": str(calm.root), "as_of": day})[0]
            assert expected["state"] == "published", expected
            folder = (killed.root / expected["path"]).parent
            for _ in range(-(-KILLS // 2)):
                done = (folder / "revision=1" / lake.MANIFEST).exists()
                moment = chance.uniform(0, 1.1 * expected["seconds"])
                job = {"home": str(killed.root), "as_of": day, "replace": done, "kill_after_s": moment}
                outcomes += nights.run(job)
                assert not reader.faults, f"killed after {moment:.3f} s: {reader.faults[:3]}"
            rerun = nights.run({"home": str(killed.root), "as_of": day})[0]
            right = open_publication(calm.root / expected["path"]).manifest
            for revision in folder.glob("revision=*"):
                found = open_publication(revision).manifest
                assert found["files"] == right["files"]
                if (found["inputs"], found["revision"]) == (right["inputs"], 1):  # the night before was not replaced
                    assert content(revision) == content(calm.root / expected["path"])
            assert pointed_at(killed).path == killed.root / rerun["path"]
            generation = Store.open(killed, told.opened(killed)).generation()
            assert generation is not None and generation.as_of == told.opened(killed).calendar.start(day)
    assert not reader.faults
    assert [outcome for outcome in outcomes if "killed" in outcome], "none was killed in time"
    dates = [date for date, _, _ in reader.seen]
    assert dates == sorted(dates) and dates[0] == DATE and dates[-1] == "2025-01-01"


def test_of_two_nights_at_once_one_is_refused(home: Home, tmp_path: Path, nights: Nights) -> None:
    mine = copy_of(home, tmp_path / "home")
    job = {"home": str(mine.root), "as_of": D + 1}
    one, other = sorted(nights.run(job, job), key=lambda outcome: "refused" in outcome)
    assert one["state"] == "published"
    assert "the night is locked by pid" in other["refused"]
    assert nights.run(job)[0]["state"] == "already_published"  # the lock died with its holder


def test_nothing_but_its_owner_may_read_what_was_published(published: Publication) -> None:
    for path in (published.path, *published.path.iterdir()):
        assert path.stat().st_mode & 0o077 == 0, path
