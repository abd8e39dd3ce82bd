"""Published nights whose horizon is over: which of them tonight judges, and what was found of those before."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from features import lake
from features.errors import Damaged
from features.home import Home
from features.shop import Shop
from serving.publication import Publication, open_publication, revisions, score_date
from training.evaluation.realised import realised

WITHIN_DAYS = 7  # a night that was missed is made up for by the next, within so many days


def matured(home: Home, day: int, say: Callable[[str], None]) -> Publication | None:
    """Open the newest night whose horizon ended within the last week, and that no night before ``day`` has judged.

    A night published with hindsight is left out: its release had learnt what came of it.
    """
    before = list(_nights(home, day))
    judged = {found["score_date"] for _, manifest in before if (found := manifest.get("realised"))}
    for path, manifest in before:
        is_open = not manifest["hindsight"] and manifest["score_date"] not in judged
        if is_open and "horizon_days" in manifest and 0 <= day - _over(manifest) <= WITHIN_DAYS:
            try:
                return open_publication(path)
            except Damaged as error:
                say(f"cannot be judged: {error}")
    return None


def _over(manifest: Mapping[str, Any]) -> int:
    """Give the business day at whose start all is known of a night's horizon."""
    return int(manifest["day"]) + int(manifest["horizon_days"])


def outcome(shop: Shop, night: Publication, until: int) -> dict[str, Any]:
    """Say what came of a matured night, as the manifest of ``until`` keeps it."""
    scores, offers = night.table("customer_scores"), night.table("offer_allocations")
    names = {"score_date": night.manifest["score_date"], "release": night.manifest["inputs"]["release"]}
    horizon = int(night.manifest["horizon_days"])
    return {**names, "horizon_days": horizon, **realised(shop, night.day, horizon, scores, offers, until)}


def history(home: Home) -> list[dict[str, Any]]:
    """List what came of every night that was judged, a row per ``score_date``, oldest first."""
    found = (manifest["realised"] for _, manifest in _nights(home) if manifest.get("realised"))
    return sorted({one["score_date"]: one for one in found}.values(), key=lambda one: str(one["score_date"]))


def line(found: Mapping[str, Any]) -> str:
    """Write what came of one night as a line for people."""
    lift = found["lift"]
    arms = "; ".join(
        f"{name} {_rate(lift[name])} of {lift[name]['n']:,} back" for name in ("treated", "control") if lift[name]["n"]
    )
    return (
        f"{found['score_date']}: {_share(found['predicted'])} said to leave, {_rate(found['observed'])} left"
        f" (n {found['n']:,}); ece {_number(found['ece'])}; auc {_number(found['auc'])};"
        f" {arms or 'nobody to be written to'}: {lift['verdict']}"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _rate(found: Mapping[str, float | None]) -> str:
    return f"{_share(found['value'])} [{_share(found['low'])}, {_share(found['high'])}]"


def _number(found: Mapping[str, float | None]) -> str:
    value, low, high = ("-" if found[name] is None else f"{found[name]:.3f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _nights(home: Home, day: int | None = None) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Give the newest revision of every night, of those before ``day`` if it is given, newest first, unchecked."""
    dates = {score_date(path) for path in home.publications.glob("score_date=*/revision=*")}
    for date in sorted(dates, reverse=True):
        for path in revisions(home, date)[-1:]:
            manifest = lake.read_json(path / lake.MANIFEST)
            if day is None or manifest["day"] < day:
                yield path, manifest
