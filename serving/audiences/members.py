"""Who is in an audience tonight with which offer, and who is meant but gets nothing, and why."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.door.mapping import nearest
from features.errors import BadInput
from serving.policy.filters import Filter, matches, names
from serving.publication import Publication
from serving.words import GUARDS, LANGUAGES, Language

# What an allocation says of an offer, as far as the night published it.
OFFERED = (
    "scenario", "offer_id", "incentive", "channel", "coupon_code", "p_without", "p_with", "net_value", "low", "high",
    "cost", "evidence", "decision_id", "send_from", "send_until",
)  # fmt: skip
# Reasons beside the guards of contracts.md section 5, and two guards that only a list decides.
REASONS: Mapping[str, tuple[str, str]] = {
    "BUDGET": ("予算上限", "Over budget"),
    "CHANNEL_UNREACHABLE": ("未連携・ブロック", "Unreachable"),
    "NO_OFFER": ("今夜は対象となる施策なし", "No scenario applies tonight"),
    "OTHER_SCENARIO": ("別の施策を優先", "Another scenario comes first"),
    "OTHER_CHANNEL": ("別のチャネルで配信", "Goes over another channel"),
    "NOT_WORTH_IT": ("見込み利益が費用を下回る", "Would cost more than it brings"),
    "WITHHELD": ("配信保留", "Withheld"),
    "NO_OPEN_ORDER": ("出荷待ちの注文なし", "No order about to be shipped"),
}


@dataclass(frozen=True)
class Asked:
    """Who is meant, for which scenario, over which channel (``None``: any) and what it may cost (``None``: any)."""

    who: Filter
    scenario: str
    channel: str | None = None
    budget: float | None = None


@dataclass(frozen=True)
class Members:
    """Everybody a filter means, in one of two tables, each sorted by customer.

    ``included``: ``customer_id`` and :data:`OFFERED` as far as the night knows them.
    ``excluded``: ``customer_id``, ``scenario``, ``offer_id``, ``net_value`` and ``reasons``, codes joined by commas.
    """

    included: pd.DataFrame
    excluded: pd.DataFrame

    def leave_out(self, rows: NDArray[np.bool_], reason: str) -> "Members":
        """Move included customers to the excluded, each with one reason."""
        gone = self.included[rows].assign(reasons=reason)
        excluded = pd.concat([part for part in (self.excluded, gone[list(EXCLUDED)]) if len(part)] or [self.excluded])
        return Members(
            self.included[~rows].reset_index(drop=True),
            excluded.sort_values("customer_id", kind="stable").reset_index(drop=True),
        )


EXCLUDED = ("customer_id", "scenario", "offer_id", "net_value", "reasons")


def audience(publication: Publication, asked: Asked) -> Members:
    """Find who is meant by a filter in the newest night, and what the night decided for each of them.

    The night has decided already: one action a customer, guards, net value. An audience picks from those decisions
    and adds nobody. Within the budget stay the customers of the highest net value that still fit, one after another.

    Raises
    ------
    BadInput
        If the night's policy has no such scenario.
    """
    known = [scenario.id for scenario in publication.policy.scenarios]
    if asked.scenario not in known:
        raise BadInput(f"scenario: unknown{nearest(asked.scenario, known)}")
    scores = read_columns(publication, "customer_scores", {"customer_id", *names(asked.who)})
    columns = {str(name): scores[name].to_numpy() for name in scores.columns}
    meant = scores.loc[matches(asked.who, columns, publication.day), ["customer_id"]]
    offered = read_columns(publication, "offer_allocations", {"customer_id", "state", "guards_failed", *OFFERED})
    theirs = offered[offered.customer_id.isin(meant.customer_id)]
    joined = meant.merge(_one_each(theirs, asked.scenario), on="customer_id", how="left")
    joined = joined.sort_values("customer_id", kind="stable").reset_index(drop=True)
    reasons = _reasons(joined, asked)
    is_in = reasons == ""
    if asked.budget is not None:
        over = _over_budget(joined[is_in], asked.budget)
        reasons[np.flatnonzero(is_in)[over]] = "BUDGET"
        is_in = reasons == ""
    shown = [name for name in joined.columns if name not in ("state", "guards_failed")]
    excluded = joined[~is_in].assign(reasons=reasons[~is_in]).reindex(columns=list(EXCLUDED))
    return Members(joined.loc[is_in, shown].reset_index(drop=True), excluded.reset_index(drop=True))


def read_columns(publication: Publication, name: str, wanted: Collection[str]) -> pd.DataFrame:
    """Read those of the wanted columns that a night's table has; days come as ``datetime64``."""
    path = publication.path / f"{name}.parquet"
    there = [column for column in pq.read_schema(path).names if column in wanted]
    table: pd.DataFrame = pq.read_table(path, columns=there).to_pandas(date_as_object=False)
    return table


def _one_each(offered: pd.DataFrame, scenario: str) -> pd.DataFrame:
    """Keep one allocation a customer: of the scenario asked for rather than of another, sent rather than not."""
    if offered.empty:
        lacking = [name for name in ("scenario", "state", "net_value", "cost") if name not in offered]
        return offered.reindex(columns=[*offered.columns, *lacking])
    ranked = offered.assign(
        is_other=offered.scenario != scenario, is_kept=offered.state != "send", worth=-offered.net_value
    ).sort_values(["customer_id", "is_other", "is_kept", "worth"], kind="stable")
    first: pd.DataFrame = ranked.drop_duplicates("customer_id").drop(columns=["is_other", "is_kept", "worth"])
    return first


def _reasons(joined: pd.DataFrame, asked: Asked) -> NDArray[np.object_]:
    """Say why each customer gets nothing, as codes joined by commas; empty for who does."""
    n = len(joined)
    failed = joined["guards_failed"].fillna("") if "guards_failed" in joined else pd.Series([""] * n, dtype=object)
    state, scenario = joined["state"], joined["scenario"]
    channel = joined["channel"] if "channel" in joined else pd.Series([None] * n, dtype=object)
    withheld = np.where(failed == "", "WITHHELD", failed)
    other_channel = channel.notna() & (channel != asked.channel) if asked.channel else pd.Series(np.zeros(n, np.bool_))
    return np.select(
        [
            scenario.isna(),
            scenario != asked.scenario,
            state == "not_worth_it",
            state != "send",
            other_channel,
        ],
        [
            np.full(n, "NO_OFFER", object),
            np.full(n, "OTHER_SCENARIO", object),
            np.full(n, "NOT_WORTH_IT", object),
            withheld.astype(object),
            np.full(n, "OTHER_CHANNEL", object),
        ],
        default=np.full(n, "", object),
    )


def _over_budget(rows: pd.DataFrame, budget: float) -> NDArray[np.bool_]:
    """Tell who no longer fits: by falling net value, equal ones by customer, each in if the rest of the money does."""
    order = np.lexsort((rows["customer_id"].to_numpy().astype(str), -rows["net_value"].to_numpy()))
    cost, spent = np.nan_to_num(rows["cost"].to_numpy(np.float64)), 0.0
    over = np.zeros(len(rows), np.bool_)
    for row in order:
        if spent + cost[row] > budget:
            over[row] = True
        else:
            spent += cost[row]
    return over


def reason_texts(reasons: pd.Series, lang: Language) -> list[str]:
    """Say reasons in words; a code without words stands for itself.

    >>> reason_texts(pd.Series(["BUDGET,NEW_CODE"]), "ja")
    ['予算上限 / NEW_CODE']
    """
    said = {code: words[LANGUAGES.index(lang)] for code, words in {**REASONS, **GUARDS}.items()}
    told = {joined: " / ".join(said.get(code, code) for code in joined.split(",")) for joined in set(reasons)}
    return [told[joined] for joined in reasons]
