"""What each tool takes: a profile's columns, as its documentation describes them.

Tables of ours hold no e-mail address and no telephone number, only their HMACs: a list names customers by the shop's
own customer id, by LINE user id or by order id, and the tool knows the rest. Amounts of money are for the shop's own
eyes (``excel-ja``, ``generic``); mail tools get none, for what they hold can end up in a message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from features.door.mapping import nearest
from features.errors import BadInput
from serving.lists.cells import EXCEL_JA, GENERIC, Dialect, Field, to_csv

LINE_IDS = 1_500_000  # of one file: LINE, "Create audience for uploading user IDs (by file)" (read 2026-11-25)

OUR_COLUMNS = (  # header for people in Japanese, our column; the order of `excel-ja` and `generic`
    Field("顧客番号", "customer_id", True),
    Field("会員番号", "member_no", True),
    Field("LINEユーザーID", "line_user_id", True),
    Field("シナリオ", "scenario"),
    Field("特典", "offer_id"),
    Field("チャネル", "channel"),
    Field("クーポンコード", "coupon_code", True),
    Field("見込み純増利益", "net_value"),
    Field("費用", "cost"),
    Field("配信開始", "send_from"),
    Field("配信終了", "send_until"),
    Field("対象日", "score_date"),
)
TOLD_TO_TOOLS = tuple(
    Field(f"okaeri_{header}", source)
    for header, source in (
        ("audience", "audience"),
        ("scenario", "scenario"),
        ("offer", "offer_id"),
        ("channel", "channel"),
        ("coupon_code", "coupon_code"),
        ("send_from", "send_from"),
        ("send_until", "send_until"),
        ("score_date", "score_date"),
    )
)


@dataclass(frozen=True)
class Profile:
    """How a list is written for one tool."""

    name: str
    suffix: Literal[".csv", ".txt"]
    fields: tuple[Field, ...]
    dialect: Dialect = GENERIC
    by: Literal["customer_id", "line_user_id", "order_id"] = "customer_id"  # what a row is
    channel: Literal["line", "insert"] | None = None  # the only one such a list serves


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        # For people: Excel in Japanese opens cp932 by a double click, and runs what begins like a formula.
        Profile("excel-ja", ".csv", OUR_COLUMNS, EXCEL_JA),
        # For programs: UTF-8 without a mark, RFC 4180.
        Profile("generic", ".csv", tuple(Field(f.source, f.source, f.is_id) for f in OUR_COLUMNS)),
        # LINE Official Account, "Create audience for uploading user IDs (by file)": a text file, one user id a line,
        # no header (developers.line.biz, read 2026-11-25). Whoever is not linked is excluded: CHANNEL_UNREACHABLE.
        Profile("line-audience", ".txt", (Field("line_user_id", "line_user_id"),), by="line_user_id", channel="line"),
        # Klaviyo, "Create and add contacts to a list": first row headers; a column of another name becomes a custom
        # property; up to 50 MB (help.klaviyo.com, read 2026-11-25). A row needs an e-mail or telephone number to be
        # uploaded by hand, which we do not have: join them by External ID, or use the bulk import of profiles.
        Profile("klaviyo-profiles", ".csv", (Field("External ID", "customer_id", True), *TOLD_TO_TOOLS)),
        # Braze, "CSV import": `external_id` names the user, a column that is no default attribute becomes a custom
        # one, up to 500 MB, and an empty cell leaves what was there (braze.com/docs, read 2026-11-25): ask for
        # okaeri_score_date in a segment, for yesterday's offer stays on whoever has none today.
        Profile("braze-attributes", ".csv", (Field("external_id", "customer_id", True), *TOLD_TO_TOOLS)),
        # A warehouse packs by order: one row per order that is about to be shipped and gets something put in.
        Profile(
            "warehouse-insert",
            ".csv",
            tuple(Field(name, name) for name in ("order_id", "customer_id", "offer_id", "gift", "note")),
            by="order_id",
            channel="insert",
        ),
    )
}


def profile_of(name: str) -> Profile:
    """Find a profile by its name.

    Raises
    ------
    BadInput
        Naming the nearest one.
    """
    if name not in PROFILES:
        raise BadInput(f"profile: unknown{nearest(name, list(PROFILES))}")
    return PROFILES[name]


def written(table: pd.DataFrame, profile: Profile) -> tuple[bytes, int]:
    """Write a list as its tool takes it; give the bytes and how many rows they are.

    Raises
    ------
    BadInput
        Naming the row and column that cannot be written.
    """
    if profile.suffix == ".csv":
        return to_csv(table, profile.fields, profile.dialect), len(table)
    lines = list(dict.fromkeys(table["line_user_id"]))
    if len(lines) > LINE_IDS:
        raise BadInput(f"{len(lines):,} LINE user ids; LINE takes {LINE_IDS:,} a file: split the audience")
    return "".join(f"{line}\n" for line in lines).encode(), len(lines)
