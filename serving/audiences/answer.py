"""An audience asked for over HTTP: who gets what, who does not and why, or the list itself as a tool's file."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.door.mapping import nearest
from features.errors import BadInput
from features.shop import Shop
from serving.audiences.export import for_profile, in_shop_time, list_of
from serving.audiences.members import OFFERED, Asked, Members, audience, reason_texts
from serving.audiences.saved import CHANNELS
from serving.lists.profiles import Profile, profile_of, written
from serving.policy.columns import CUSTOMER
from serving.policy.filter_words import words
from serving.policy.filters import BadFilter, Filter, parse
from serving.publication import Publication
from serving.schemas import AudienceRequest, Refused, plain_path
from serving.words import Language

NAME = "audience"  # what a list is called that nobody saved


@dataclass(frozen=True)
class Sheet:
    """A list as a file: what it is called, how it is typed, its bytes."""

    name: str
    media_type: str
    content: bytes


def answer(
    request: AudienceRequest, publication: Publication, shop: Callable[[], Shop], is_forgotten: Callable[[str], bool]
) -> dict[str, Any] | Sheet:
    """Answer for the newest night: a page of rows as JSON, or with a profile the whole list.

    Raises
    ------
    Refused
        422, naming the path and the nearest word, or the cell that a profile cannot hold.
    """
    asked, profile = _asked(request, publication)
    lang = request.lang or shop().mapping.language
    found = _without(audience(publication, asked), is_forgotten)
    if profile is None:
        return _page(request, publication, asked.who, found, shop(), lang)
    found = for_profile(found, profile, shop, publication.day)
    one = list_of(found, NAME, profile, str(publication.manifest["score_date"]), shop(), lang)
    try:
        content, _ = written(one.included, profile)
    except BadInput as error:
        raise Refused(422, "not_writable", str(error), "profile") from None
    kind = "text/plain" if profile.suffix == ".txt" else "text/csv"
    charset = "windows-31j" if profile.dialect.encoding == "cp932" else "utf-8"  # as IANA calls it
    return Sheet(f"{NAME}-{publication.manifest['score_date']}{profile.suffix}", f"{kind}; charset={charset}", content)


def _asked(request: AudienceRequest, publication: Publication) -> tuple[Asked, Profile | None]:
    for path, word, known in (
        ("scenario", request.scenario, [scenario.id for scenario in publication.policy.scenarios]),
        ("channel", request.channel, list(CHANNELS)),
    ):
        if word is not None and word not in known:
            raise Refused(422, "unknown_word", f"unknown {path}{nearest(word, known)}", path)
    profile = None if request.profile is None else profile_of(request.profile)
    only = None if profile is None else profile.channel
    if only is not None and request.channel not in (None, only):
        raise Refused(422, "invalid", f"must be {only}, which is where this profile leads", "channel")
    return Asked(_filter(request.filter), request.scenario, request.channel or only, request.budget), profile


def _filter(content: Mapping[str, Any]) -> Filter:
    try:
        return parse(dict(content), CUSTOMER)
    except BadFilter as wrong:
        path, message = wrong.mistakes[0]
        raise Refused(422, "invalid", message, plain_path(path.split("."))) from None


def _without(found: Members, is_forgotten: Callable[[str], bool]) -> Members:
    """Leave out whoever was forgotten since the night; nobody is told that they were."""

    def kept(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[~np.fromiter(map(is_forgotten, rows.customer_id), np.bool_, len(rows))].reset_index(drop=True)

    return Members(kept(found.included), kept(found.excluded))


def _page(
    request: AudienceRequest, publication: Publication, who: Filter, found: Members, shop: Shop, lang: Language
) -> dict[str, Any]:
    reasons = Counter(code for codes in found.excluded.reasons for code in codes.split(","))
    included = in_shop_time(found.included, shop).reindex(columns=["customer_id", *OFFERED])
    texts = pd.Series(reason_texts(found.excluded.reasons, lang), dtype=object).str.split(" / ", regex=False)
    excluded = found.excluded.assign(reasons=found.excluded.reasons.str.split(","), reason_texts=texts)
    upto = request.offset + request.limit
    return {
        "score_date": publication.manifest["score_date"],
        "revision": publication.manifest["revision"],
        "currency": shop.mapping.currency,
        "who": words(who, lang),
        "counts": {
            "meant": len(found.included) + len(found.excluded),
            "included": len(found.included),
            "excluded": len(found.excluded),
            "cost": _sum(found.included, "cost"),
            "net_value": _sum(found.included, "net_value"),
            "reasons": dict(sorted(reasons.items())),
        },
        "included": _records(included.iloc[request.offset : upto]),
        "excluded": _records(excluded.iloc[request.offset : upto]),
        "next_offset": upto if upto < max(len(included), len(excluded)) else None,
    }


def _sum(rows: pd.DataFrame, name: str) -> float:
    return float(rows[name].sum()) if name in rows else 0.0


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Give rows as JSON takes them: what is not known is null."""
    columns = [
        [None if not isinstance(value, list) and pd.isna(value) else value for value in rows[name]]
        for name in rows.columns
    ]
    return [dict(zip(map(str, rows.columns), row, strict=True)) for row in zip(*columns, strict=True)]
