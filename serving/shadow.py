"""One night answered twice: by the champion and by a release that might take its place, and where they differ.

Nothing is published. The report names customers, so it lies beside the releases, never in one, and an erasure goes
through it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features import lake
from features.arrivals import arrivals, late_tables
from features.errors import BadInput
from features.frame import feature_frame
from features.home import Home
from features.interactions import interactions
from features.margin import margin_share
from features.products import products
from features.shop import Shop, open_shop
from serving.answers import BANDS, Answers, answers
from serving.nightly import rows_of, shop_day
from serving.policy.decisions import Purse
from serving.policy.limits import spent
from serving.policy.moment import Moment
from serving.policy.reading import load_policy
from serving.policy.rules import Policy
from serving.publication import current
from serving.replenishment import replenishment_due, usual_intervals
from serving.surroundings import look_around
from training.metrics import spearman
from training.release import champion, open_release

Progress = Callable[[str], None]
Matrix = NDArray[np.float64]

FOLDER = "shadow"
LARGEST = 20  # changes listed; contracts.md, section 6
NO_BAND = "none"  # of customers without a churn probability


def shadow(
    home: Home, path: Path, as_of: int | None, now: datetime, policy: Policy | None, say: Progress = lambda text: None
) -> dict[str, Any]:
    """Answer for every customer of a night with the champion and with the release at ``path``; write the report.

    Parameters
    ----------
    as_of
        Business day; default that of the current night, else the shop's own today.
    policy
        Default the current night's, else the one that ships.

    Returns
    -------
    dict
        ``champion``, ``challenger``, ``score_date``, ``customers``, ``churn`` and ``clv`` (rank correlations and
        means), ``bands`` (from, to, n), ``band_moved_share``, ``action_changed_share``, ``changes`` (the twenty
        largest) and ``path``.

    Raises
    ------
    BadInput
        If the release is the champion itself, or nothing was ingested or trained yet.
    """
    before = champion(home)
    if before == path.resolve():
        raise BadInput(f"{path.name}: is the champion itself; name another release")
    shop, night = open_shop(home), current(home)
    day = as_of if as_of is not None else night.day if night else shop_day(shop, now)
    rules = policy or (night.policy if night else load_policy())
    say(f"answering for the night of {shop.calendar.date(day)} twice")
    ours, theirs = _answered_twice(home, shop, day, now, rules, [path, before])
    found = {"champion": before.name, "challenger": path.name, "score_date": str(shop.calendar.date(day))}
    found |= _differences(ours, theirs)
    target = home.releases / FOLDER / f"{path.name}-{found['score_date']}.json"
    lake.write_json(target, found)
    return found | {"path": str(target.relative_to(home.root))}


def _answered_twice(
    home: Home, shop: Shop, day: int, now: datetime, policy: Policy, paths: Sequence[Path]
) -> list[Answers]:
    """Let each release answer the same rows by the same rules."""
    start, releases = shop.calendar.start(day), [open_release(path) for path in paths]
    frame = feature_frame(shop, start)
    facts, bought = products(shop, start), interactions(shop, start)
    due = replenishment_due(bought, usual_intervals(releases[0].models.recommender, facts), day)
    around = look_around(shop, day, policy, due, bought, facts)
    rows, purse = (
        rows_of(shop, frame, day, around),
        Purse(spent(around.contacts, policy, shop.calendar, day), margin_share=margin_share(shop, day)),
    )
    moment = Moment.night(shop.calendar, day)
    late = tuple(late_tables(shop.mapping, arrivals(home, shop.name), now))
    return [answers(rows, release, policy, moment, late, purse) for release in releases]


def _differences(ours: Answers, theirs: Answers) -> dict[str, Any]:
    """Compare two answers about the same customers."""
    both = ~np.isnan(ours.churn) & ~np.isnan(theirs.churn)
    n = max(1, int(ours.scored.sum()))
    bands = _bands(ours, theirs)
    moved = sum(cell["n"] for cell in bands if cell["champion"] != cell["challenger"])
    return {
        "customers": len(ours.customer_id),
        "scored": int(ours.scored.sum()),
        "with_churn": int(both.sum()),
        "churn": _alike(ours.churn[both], theirs.churn[both]),
        "p_order_30d": _alike(ours.next_order[ours.scored, 2], theirs.next_order[ours.scored, 2]),
        "clv_365d": _alike(ours.clv[ours.scored, 1], theirs.clv[ours.scored, 1]),
        "bands": bands,
        "band_moved_share": round(moved / max(1, sum(cell["n"] for cell in bands)), 4),
        "action_changed_share": round(float(sum(_actions(ours)[ours.scored] != _actions(theirs)[ours.scored])) / n, 4),
        "changes": _changes(ours, theirs, both),
    }


def _alike(ours: Matrix, theirs: Matrix) -> dict[str, float | None]:
    correlation = spearman(theirs, ours) if len(ours) > 1 else np.nan
    told = (
        {"spearman": correlation, "mean_champion": theirs.mean(), "mean_challenger": ours.mean()} if len(ours) else {}
    )
    return {name: None if value != value else round(float(value), 4) for name, value in told.items()}


def _bands(ours: Answers, theirs: Answers) -> list[dict[str, Any]]:
    """Count the customers by the band each release puts them in, the champion's first."""
    pairs = pd.DataFrame({"champion": _named(theirs), "challenger": _named(ours)})
    counts = pairs.value_counts().to_dict()
    order = [*BANDS, NO_BAND]
    return [
        {"champion": a, "challenger": b, "n": int(counts[a, b])} for a in order for b in order if counts.get((a, b))
    ]


def _named(a: Answers) -> list[str]:
    return [NO_BAND if band is None else str(band) for band in a.band]


def _actions(a: Answers) -> NDArray[np.str_]:
    """Name what each customer would get: scenario and offer."""
    c, chosen = a.decisions.candidates, a.decisions.choice.chosen
    names = np.array([option.scenario + (f"/{option.offer}" if option.offer else "") for option in c.options])
    return np.where(chosen >= 0, names[c.option[chosen]], "none") if len(c) else np.full(len(chosen), "none")


def _changes(ours: Answers, theirs: Answers, both: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """List the customers whose churn probability differs most."""
    change = np.where(both, ours.churn - theirs.churn, 0.0)
    largest = np.lexsort((ours.customer_id.astype(str), -np.abs(change)))[:LARGEST]
    actions = _actions(theirs), _actions(ours)
    return [
        {
            "customer_id": str(ours.customer_id[p]),
            "champion": round(float(theirs.churn[p]), 4),
            "challenger": round(float(ours.churn[p]), 4),
            "change": round(float(change[p]), 4),
            "bands": f"{_named(theirs)[p]} -> {_named(ours)[p]}",
            "actions": f"{actions[0][p]} -> {actions[1][p]}",
        }
        for p in largest
        if change[p]
    ]


def shown(found: dict[str, Any]) -> str:
    """Write a report as text."""
    lines = [
        f"{found['challenger']} beside the champion {found['champion']}, night of {found['score_date']}:"
        f" {found['scored']:,} customers scored, {found['with_churn']:,} with a churn probability",
        "",
        f"{'':<14}{'rank correlation':>17}{'mean, champion':>16}{'challenger':>12}",
    ]
    for name in ("churn", "p_order_30d", "clv_365d"):
        if told := found[name]:
            widths = {"spearman": 17, "mean_champion": 16, "mean_challenger": 12}
            lines.append(f"{name:<14}" + "".join(f"{_figure(told[key]):>{width}}" for key, width in widths.items()))
    lines += ["", f"bands moved for {found['band_moved_share']:.1%} of customers (champion down, challenger across):"]
    lines += _matrix(found["bands"])
    lines += ["", f"another action for {found['action_changed_share']:.1%} of the scored", "", "largest changes:"]
    for row in found["changes"]:
        moved = f"{row['champion']:.3f} -> {row['challenger']:.3f} ({row['change']:+.3f})"
        lines.append(f"  {row['customer_id']:<16} {moved}  {row['bands']:<22} {row['actions']}")
    return "\n".join([*lines, "", f"written to {found['path']}"])


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _matrix(bands: Sequence[dict[str, Any]]) -> list[str]:
    names = [str(name) for name in (*BANDS, NO_BAND)]
    counts = {(cell["champion"], cell["challenger"]): cell["n"] for cell in bands}
    head = f"  {'':<10}" + "".join(f"{name:>10}" for name in names)
    return [head, *(f"  {a:<10}" + "".join(f"{counts.get((a, b), 0):>10,}" for b in names) for a in names)]


# ---- an erasure's part -------------------------------------------------------------------------------------------


def found_in(home: Home, ids: Sequence[str]) -> dict[str, int]:
    """Count the rows of reports that name a customer, by report."""
    counts = {
        path.name: sum(_is_theirs(row, ids) for row in lake.read_json(path)["changes"]) for path in _reports(home)
    }
    return {name: n for name, n in counts.items() if n}


def erase(home: Home, ids: Sequence[str]) -> None:
    """Write the reports that name a customer again without them."""
    for path in _reports(home):
        found = lake.read_json(path)
        kept = [row for row in found["changes"] if not _is_theirs(row, ids)]
        if len(kept) < len(found["changes"]):
            lake.write_json(path, found | {"changes": kept})


def _reports(home: Home) -> list[Path]:
    return sorted((home.releases / FOLDER).glob("*.json"))


def _is_theirs(row: dict[str, Any], ids: Sequence[str]) -> bool:
    return row["customer_id"] in ids
