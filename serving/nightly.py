"""The night: what is new is taken in, every customer is answered for, and the whole is published at once."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features import catalog, lake
from features.arrivals import arrivals, late_tables
from features.calendar import day_number
from features.door.ingest import ingest
from features.door.own import take_in_own
from features.errors import BadInput, Damaged, Refused
from features.frame import feature_frame
from features.home import Home
from features.identity import counted, others_of
from features.interactions import interactions
from features.journal import Journal
from features.journal.codes import Pool
from features.journal.keeping import KEPT_DAYS, prune
from features.margin import margin_share
from features.products import products, said_of
from features.shop import Shop, open_shop
from features.volume import Volume, expect_usual_volume, volume
from serving import tables
from serving.answers import Answers, Rows, answers
from serving.audiences.approvals import Decision
from serving.audiences.export import write_audiences
from serving.audiences.recorded import JournalRecorder
from serving.items import best_items
from serving.matured import matured, outcome
from serving.moves import due_to
from serving.policy.codes import Codes
from serving.policy.decisions import Purse
from serving.policy.limits import spent
from serving.policy.moment import Moment
from serving.policy.rules import Policy
from serving.publication import (
    CODES,
    POLICY,
    Publication,
    current_path,
    open_publication,
    previous,
    revisions,
    score_date,
)
from serving.replenishment import replenishment_due, usual_intervals
from serving.surroundings import Surroundings, look_around
from serving.tables import codes_table
from training import drift
from training.release import Release, champion, open_release
from training.season import season_of

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Night:
    """What one run works with; all of it pinned before anything is computed."""

    home: Home
    shop: Shop
    release: Release
    policy: Policy
    policy_text: bytes
    codes: Codes  # of offers with a pool
    codes_left: Mapping[str, int]
    day: int
    before: Publication | None
    late_tables: tuple[str, ...]
    volume: Volume
    judged: Publication | None  # an earlier night whose horizon is over
    release_before: Release | None  # the night before's, where it is another and still there
    force: bool

    @property
    def date(self) -> str:
        return self.shop.calendar.date(self.day).isoformat()

    @property
    def inputs(self) -> dict[str, Any]:
        """Give what decides the bytes: equal inputs, equal publication."""
        before, judged = (
            None if one is None else lake.sha256_file(one.path / lake.MANIFEST) for one in (self.before, self.judged)
        )
        return {
            "shop": self.shop.name,
            "lake": self.shop.version,
            "release": self.release.id,
            "policy": self.policy.hash,
            "codes": {
                name: [lake.digest(list(codes))[:16], self.codes_left[name]] for name, codes in self.codes.items()
            },
            "late_tables": list(self.late_tables),
            "previous": before,
            "judged": judged,
            "release_before": None if self.release_before is None else self.release_before.id,
        }


def nightly(
    home: Home,
    as_of: int | None,
    now: datetime,
    policy: tuple[Policy, bytes],
    codes: Codes | None = None,
    *,
    replace: bool = False,
    force: bool = False,
    say: Progress = lambda text: None,
) -> dict[str, Any]:
    """Publish the night of one business day: whole, or not at all; run again, it finishes what a kill left.

    Parameters
    ----------
    as_of
        Business day as of whose start customers are answered for; default the shop's own now.
    codes
        The coupon codes of the policy's pools.
    now
        The machine's clock, for what is taken in and for a shop whose clock is the system's.
    replace
        Publish another revision of a date that is published already.
    force
        Publish although the last day's order lines are far fewer or more than usual, or tonight's customers are hardly
        those that the release was trained on.

    Returns
    -------
    dict
        ``score_date, revision, path, manifest_sha256, state`` (published, already_published) and ``counts``.

    Raises
    ------
    Refused
        If another night runs, the last day's volume is unusual, the inputs drifted, or the scores fail their checks:
        what was published before stays.
    BadInput
        If nothing was ingested or trained yet.
    """
    with lake.locked(home.root / ".night.lock", "the night"):
        shop = _take_in(home, now, say)
        day = as_of if as_of is not None else shop_day(shop, now)
        shop = take_in_own(home, shop, day)
        lines = volume(shop, day) if force else expect_usual_volume(shop, day)
        release = open_release(champion(home))
        if release.facts["shop"] != shop.name:
            raise BadInput(
                f"the champion was trained for {release.facts['shop']}, not for {shop.name}; run `okaeri train`"
            )
        done = revisions(home, shop.calendar.date(day).isoformat())
        if done and not replace:
            return _finish(home, shop, open_publication(done[-1]), "already_published", None)
        before = previous(home, shop.calendar.date(day).isoformat())
        late = tuple(late_tables(shop.mapping, arrivals(home, shop.name), now))
        if late:
            say(f"late: {', '.join(late)}")
        night = Night(
            home, shop, release, *policy, codes or {}, codes_left(home, shop, codes or {}), day, before, late, lines,
            matured(home, day, say), _release_before(home, before, release, say), force,
        )  # fmt: skip
        started = time.monotonic()
        frame = feature_frame(shop, shop.calendar.start(day))
        say(f"answering for {len(frame):,} customers")
        publication = _publish(night, frame, len(done) + 1, say)
        say("publishing to the feature store")
        _log_run(home, night, time.monotonic() - started)
        prune(home, shop.name, shop.calendar.start(day - KEPT_DAYS))
        told = _finish(home, shop, publication, "published", frame)
        _write_lists(home, shop, publication, now, say)
        return told


def _write_lists(home: Home, shop: Shop, publication: Publication, now: datetime, say: Progress) -> None:
    """Write the list of every approved audience, unless a later night is current."""
    if current_path(home) != publication.path:
        return
    by = Decision("the night", now.isoformat())
    for told in write_audiences(home, publication, by, JournalRecorder(home, shop, publication)):
        said = told.get("error") or f"{told['rows']:,} rows"
        say(f"list {told['list']}: {said}")


def shop_day(shop: Shop, now: datetime) -> int:
    """Give the shop's own today: its clock if it has one, else the business day of ``now``."""
    clock = shop.mapping.clock
    return shop.calendar.day(now) if clock == "system" else day_number(clock)


def _take_in(home: Home, now: datetime, say: Progress) -> Shop:
    """Ingest what lies new in the mapping's packages and in ``drop/<shop>`` of the home."""
    shop = open_shop(home)
    say(f"taking in what is new for {shop.name}")
    text = (shop.loads[-1].path / "shop.yaml").read_bytes()
    drop = home.root / "drop" / shop.name
    for warning in ingest(home, shop.mapping, text, [drop] if drop.is_dir() else [], now, only_new=True).warnings:
        say(warning)
    return open_shop(home)


def _release_before(home: Home, before: Publication | None, now: Release, say: Progress) -> Release | None:
    """Open the release of the night before, if it is another one and still whole."""
    path = None if before is None else home.releases / str(before.manifest["inputs"]["release"])
    if path is None or path.name == now.id or not path.exists():
        return None
    try:
        return open_release(path)
    except Damaged as error:
        say(f"cannot be compared with: {error}")
        return None


@dataclass(frozen=True)
class Answered:
    """A night's answers, their items, what runs out, what was known, and what stood around the customers."""

    answers: Answers
    items: pd.DataFrame
    due: pd.DataFrame
    rows: Rows
    around: Surroundings


def answer(night: Night, frame: pd.DataFrame) -> Answered:
    """Answer for every customer of a frame."""
    start, recommender = night.shop.calendar.start(night.day), night.release.models.recommender
    bought, facts = interactions(night.shop, start), products(night.shop, start)
    due = replenishment_due(bought, usual_intervals(recommender, facts), night.day)
    customers = frame.customer_id.to_numpy(dtype=object)
    around = look_around(night.shop, night.day, night.policy, due, bought, facts)
    rows = rows_of(night.shop, frame, night.day, around)
    moment = Moment.night(night.shop.calendar, night.day)
    answered = answers(rows, night.release, night.policy, moment, night.late_tables, purse_of(night, around))
    agreed = customers[answered.status != "opted_out"]  # who refused to be personalised to has no list of their own
    items = best_items(recommender, night.shop, night.day, bought, facts, agreed)
    due = due.assign(name=said_of(due.product_id, facts, "name"))
    return Answered(answered, items, due[due.customer_id.isin(agreed)], rows, around)


def purse_of(night: Night, around: Surroundings) -> Purse:
    """Add up what was spent this month and count the codes that are left."""
    gone = spent(around.contacts, night.policy, night.shop.calendar, night.day)
    return Purse(gone, night.codes_left, margin_share=margin_share(night.shop, night.day))


def codes_left(home: Home, shop: Shop, codes: Codes) -> dict[str, int]:
    """Count the codes of each offer that nobody was given yet."""
    if not codes:
        return {}
    with closing(Journal.open(home, shop.name)) as journal:
        return {name: Pool(journal, name, some).left() for name, some in codes.items()}


def rows_of(shop: Shop, frame: pd.DataFrame, day: int, around: Surroundings) -> Rows:
    """Give everyone of a night's frame as :func:`serving.answers.answers` reads them."""
    columns = {name: frame[name].to_numpy(dtype=np.float64) for name in catalog.stored_names(shop.tables)}
    known, days = np.ones(len(frame), np.bool_), np.full(len(frame), day, np.int64)
    customers = frame.customer_id.to_numpy(dtype=object)
    return Rows(customers, known, days, columns, around.of(customers, shop.tables))


def _publish(night: Night, frame: pd.DataFrame, revision: int, say: Progress) -> Publication:
    """Compute and write all tables aside, check them, seal the folder and give it its name."""
    found = answer(night, frame)
    answered, items, due, rows = found.answers, found.items, found.due, found.rows
    watched = _watched(night, answered)
    others = others_of(night.shop, night.day)
    scores = tables.customer_scores(
        answered, night.release, night.shop.calendar, night.shop.mapping.language, found.around.members, due, others
    )
    check(scores, frame, None if night.before is None else night.before.table("customer_scores"))
    final = night.home.publications / f"score_date={night.date}" / f"revision={revision}"
    final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    say(f"writing {len(items):,} recommendations and the tables")
    written = {
        "customer_scores": scores,
        "recommendations": items,
        "replenishment_due": due,
        "offer_allocations": tables.offer_allocations(answered),
        "score_changes": _changes(night, scores, rows),
        "rejects": tables.rejects(answered),
        **found.around.kept,
        CODES: codes_table(night.codes),
    }
    with lake.staging(final) as staged:
        for name, table in written.items():
            tables.write_table(table, staged / f"{name}.parquet")
        (staged / POLICY).write_bytes(night.policy_text)
        counts = {name: len(table) for name, table in written.items()}
        counts |= {"eligible": len(frame), "scored": int(answered.scored.sum())}
        counts |= {name: n for name, n in counted(night.shop, night.day).items() if n}
        limits = tables.limits(answered)
        hindsight = night.release.trained_until > night.day
        facts = {"day": night.day, "score_date": night.date, "revision": revision, "hindsight": hindsight}
        run_id = lake.digest([night.inputs, facts])[:32]
        lake.seal(
            staged,
            counts=counts,
            inputs=night.inputs,
            run_id=run_id,
            limits=limits,
            margin_share=margin_share(night.shop, night.day),
            **facts,
            **watched,
        )
        lake.publish(staged, final)
    return open_publication(final)


def _changes(night: Night, scores: pd.DataFrame, rows: Rows) -> pd.DataFrame:
    """List whose band moved since the night before, and whether the customer moved it or a new release."""
    if night.before is None:
        return tables.score_changes(scores, None)
    changes = tables.score_changes(scores, night.before.table("customer_scores"))
    is_other = night.before.manifest["inputs"]["release"] != night.release.id
    cause = due_to(changes, rows, night.release_before, is_other, night.policy, night.day, night.shop.calendar)
    return changes.assign(due_to=cause)


def _watched(night: Night, answered: Answers) -> dict[str, Any]:
    """Say whether tonight is like what was learnt from, and what came of a night whose horizon is over.

    Raises
    ------
    Refused
        If the inputs drifted too far, unless it is forced.
    """
    facts, lines, horizon = night.release.facts, night.volume, night.release.models.horizon_days
    calendar, people = night.shop.calendar, np.flatnonzero(answered.scored & ~answered.bot)
    found = None
    if "features" in facts["references"]:  # not in a release of before there was drift
        found = drift.drift(facts["references"]["features"], facts["restless"], answered.features, people)
        if not night.force:
            drift.expect_familiar(found)
    return {
        "horizon_days": horizon,
        "season": season_of(facts, night.day, horizon, calendar, night.shop.mapping.language),
        "volume": {"date": str(calendar.date(lines.day)), **lines.told()},
        "drift": found,
        "realised": None if night.judged is None else outcome(night.shop, night.judged, night.day),
    }


def check(scores: pd.DataFrame, frame: pd.DataFrame, before: pd.DataFrame | None) -> None:
    """Refuse to publish what cannot be right; the publication before stays.

    Raises
    ------
    Refused
        If customers are missing, or probabilities are absent, outside 0-1, constant, or moved beyond five deviations.
    """
    if len(scores) != len(frame) or scores.customer_id.nunique() != len(frame):
        raise Refused(f"{len(scores)} customers answered for, {len(frame)} expected; nothing was published")
    chances = scores[scores.status.isin(("ok", "stale_features"))].filter(regex=r"^next_order_p_")
    churn = scores.churn_probability.dropna()
    if not (chances.ge(0) & chances.le(1)).all(axis=None) or not churn.between(0, 1).all():
        raise Refused("a probability is absent or outside 0 to 1; nothing was published")
    if len(churn) >= 100 and churn.std() == 0:
        raise Refused(f"all {len(churn)} churn probabilities are equal; nothing was published")
    if before is not None:
        earlier = before.churn_probability.dropna()
        if len(earlier) >= 100 and len(churn) and abs(churn.mean() - earlier.mean()) > 5 * earlier.std():
            raise Refused(
                f"the mean churn moved from {earlier.mean():.3f} to {churn.mean():.3f}; nothing was published"
            )


def _finish(home: Home, shop: Shop, publication: Publication, state: str, frame: pd.DataFrame | None) -> dict[str, Any]:
    """Put the night online and move the pointer, unless a later night is current; safe to repeat."""
    found = current_path(home)
    if found is None or score_date(found) <= score_date(publication.path):
        _put_online(home, shop, publication.day, frame)
        if found != publication.path:
            lake.point(home.publications / "CURRENT.json", publication.path)
    return {
        "score_date": publication.manifest["score_date"],
        "revision": publication.manifest["revision"],
        "path": str(publication.path.relative_to(home.root)),
        "manifest_sha256": lake.sha256_file(publication.path / lake.MANIFEST),
        "state": state,
        "counts": dict(publication.manifest["counts"]),
    }


def _put_online(home: Home, shop: Shop, day: int, frame: pd.DataFrame | None) -> None:
    """Publish a night's features to Feast, offline and online, unless this very night is there already."""
    from feature_repo.store import Store  # five CPU-seconds to import

    store, start = Store.open(home, shop), shop.calendar.start(day)
    generation = store.generation()
    is_there = generation is not None and generation.as_of == start and store.has_snapshot(start)
    if frame is None and is_there:
        return
    rows = feature_frame(shop, start) if frame is None else frame
    store.write_snapshot(rows)
    store.publish(rows, [other for others in others_of(shop, day).values() for other in others])


def _log_run(home: Home, night: Night, seconds: float) -> None:
    """Append how long the night took; durations stand outside the publication, whose bytes repeat."""
    line = {"score_date": night.date, "seconds": round(seconds, 3), "release": night.release.id}
    with suppress(OSError), (home.publications / "run.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")
