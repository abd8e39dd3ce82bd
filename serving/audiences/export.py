"""The list of an audience leaves the house: by hand, every night for the approved ones, or as an answer."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from features.door.mapping import nearest
from features.errors import BadInput, OkaeriError
from features.home import Home
from features.members import ADDRESSES, addresses
from features.parcels import unshipped
from features.shop import Shop, open_shop
from serving.audiences.approvals import Decision, expect_approved, note_export, state
from serving.audiences.members import Asked, Members, audience, reason_texts
from serving.audiences.saved import SavedAudience, Written, names, read_audience
from serving.lists.files import List, write_list
from serving.lists.profiles import Profile, profile_of
from serving.publication import Publication
from serving.words import Language

EXPORTS = "exports"


class Recorder(Protocol):
    """Keeps what a list makes of its customers: contacts that go out, and contacts withheld for the control group.

    Called before the list is there, and again with the same rows when it is written again: recording is idempotent.
    It gives the rows to be sent as they were recorded, with their codes.
    """

    def __call__(self, audience: str, day: int, sent: pd.DataFrame, withheld: pd.DataFrame, /) -> pd.DataFrame: ...


def nobody_records(audience: str, day: int, sent: pd.DataFrame, withheld: pd.DataFrame, /) -> pd.DataFrame:
    """Keep nothing: a list to look at."""
    return sent


def asked_of(saved: SavedAudience) -> Asked:
    """Say what a saved audience asks of the night."""
    channel = saved.channel or profile_of(saved.profile).channel
    return Asked(saved.who, saved.scenario, channel, saved.budget)


def for_profile(found: Members, profile: Profile, shop: Callable[[], Shop], day: int) -> Members:
    """Name the included as a profile does, and leave out whom it cannot name: not linked to LINE, no order to ship.

    Aliases are taken from the shop's newest list, never from a night: no table of ours holds them. For
    ``warehouse-insert`` the included are rows by order. The lake is opened only where one of the two is needed.
    """
    if set(ADDRESSES) & {field.source for field in profile.fields}:
        included = found.included.merge(addresses(shop(), day), on="customer_id", how="left")
        found = Members(included, found.excluded)
    if profile.by == "line_user_id":
        is_one_word = found.included.line_user_id.fillna("").astype(str).str.fullmatch(r"[!-~]+").to_numpy(np.bool_)
        return found.leave_out(~is_one_word, "CHANNEL_UNREACHABLE")
    if profile.by == "order_id":
        orders = unshipped(shop(), day)
        found = found.leave_out(~found.included.customer_id.isin(orders.customer_id).to_numpy(), "NO_OPEN_ORDER")
        rows = found.included.merge(orders, on="customer_id").sort_values(["order_id"], kind="stable")
        return Members(rows.assign(gift=rows.offer_id).reset_index(drop=True), found.excluded)
    return found


def list_of(
    found: Members, name: str, profile: Profile, date: str, shop: Shop, lang: Language, note: str | None = None
) -> List:
    """Give the list of an audience's members as a file takes it."""
    included = in_shop_time(found.included, shop).assign(audience=name, score_date=date, note=note)
    excluded = found.excluded.assign(reason_texts=reason_texts(found.excluded.reasons, lang))
    return List(name, profile, included, excluded)


def in_shop_time(rows: pd.DataFrame, shop: Shop) -> pd.DataFrame:
    """Write instants, which a night keeps as seconds since 1970, on the shop's wall clock with its offset."""
    told = {
        name: [_instant(seconds, shop.calendar.zone) for seconds in rows[name]]
        for name in ("send_from", "send_until")
        if name in rows and rows[name].dtype.kind in "if"
    }
    return rows.assign(**{name: pd.Series(values, rows.index, object) for name, values in told.items()})


def _instant(seconds: float, zone: ZoneInfo) -> str | None:
    """Write one instant; ``None`` where none is known.

    >>> _instant(1795219200.0, ZoneInfo("Asia/Tokyo"))
    '2026-11-21T09:00:00+09:00'
    """
    return None if np.isnan(seconds) else datetime.fromtimestamp(int(seconds), zone).isoformat()


def export(
    home: Home,
    publication: Publication,
    written: Written,
    by: Decision,
    out: Path | None = None,
    record: Recorder = nobody_records,
) -> dict[str, Any]:
    """Write the list of an approved audience for the newest night; the same night gives the same files.

    Parameters
    ----------
    out
        A folder; default ``exports/<score_date>`` of the home, out of which `okaeri forget` takes customers.

    Returns
    -------
    What ``NAME.done`` says: the list, its profile and night, rows, excluded, and the files' sums.

    Raises
    ------
    Refused
        If it was not approved as it stands.
    BadInput
        If the night's policy has no such scenario, or a cell cannot be written for the profile.
    """
    expect_approved(home, written)
    saved, date = written.saved, str(publication.manifest["score_date"])
    shop = open_shop(home)
    profile = profile_of(saved.profile)
    found = for_profile(audience(publication, asked_of(saved)), profile, lambda: shop, publication.day)
    is_control = (found.excluded.reasons == "CONTROL_GROUP").to_numpy(np.bool_)
    sent = record(written.name, publication.day, found.included, found.excluded[is_control])
    found = Members(sent, found.excluded)
    one = list_of(found, written.name, profile, date, shop, shop.mapping.language, saved.note)
    folder = out or home.root / EXPORTS / date
    done = write_list(folder, one, score_date=date, scenario=saved.scenario, approved=written.sha256)
    note_export(home, written, by, done)
    return done


def write_audiences(
    home: Home, publication: Publication, by: Decision, record: Recorder = nobody_records
) -> list[dict[str, Any]]:
    """Write the list of every approved audience: what the night does when it has published.

    One that cannot be written stops no other: ``{"list": NAME, "error": why}`` stands in its place. Audiences that
    wait for approval are passed over.
    """
    told: list[dict[str, Any]] = []
    for name in names(home):
        try:
            written = read_audience(home, name)
            if state(home, written) != "proposed":
                told.append(export(home, publication, written, by, record=record))
        except OkaeriError as error:
            told.append({"list": name, "error": str(error)})
    return told


def expect_scenario(publication: Publication | None, saved: SavedAudience) -> None:
    """Find a misspelt scenario when an audience is proposed, if a night was published already.

    Raises
    ------
    BadInput
        Naming the nearest.
    """
    known = [] if publication is None else [scenario.id for scenario in publication.policy.scenarios]
    if publication is not None and saved.scenario not in known:
        raise BadInput(f"{saved.audience}: scenario: unknown{nearest(saved.scenario, known)}")
