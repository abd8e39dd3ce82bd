"""The night's answers as tables: one row per customer, product or change, ordered by key, always the same bytes."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.calendar import BusinessCalendar
from serving.answers import Answers
from serving.moves import CUSTOMER
from serving.policy.guards import FAIL, GUARDS
from serving.publication import ByCustomer
from serving.reasons import reasons
from serving.words import Language
from training.models.next_purchase import HORIZONS
from training.release import Release

EXPLAINED_BANDS = ("watch", "high", "critical")
REASONS_KEPT = 3
WINDOW = ("earliest", "expected", "latest")
VALUES = ("predicted_90d", "predicted_365d", "low_365d", "high_365d")


def customer_scores(
    a: Answers,
    release: Release,
    calendar: BusinessCalendar,
    lang: Language,
    members: pd.DataFrame,
    due: pd.DataFrame,
    merged_from: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> pd.DataFrame:
    """Flatten the answers: one row per person, sorted by ``customer_id`` as the answers are.

    ``members`` are the facts of the shop's own list (:func:`features.members.members`), ``merged_from`` lists a
    person's other ids, ``due`` what runs out by customer. Reasons (code and sentence) stand for those at or above the
    band ``watch``.
    """
    c, chosen = a.candidates, a.choice
    rows = range(len(chosen))
    explained = [p for p in rows if a.band[p] in EXPLAINED_BANDS]
    theirs = ByCustomer(due[due.customer_id.isin(a.customer_id[explained])])
    said = reasons(a, release, explained, REASONS_KEPT, lang, theirs, calendar)
    told = dict(zip(explained, said, strict=True))
    table = {
        "customer_id": a.customer_id,
        "merged_from": [list(merged_from.get(customer_id, ())) for customer_id in a.customer_id],
        "status": a.status,
        "basis_method": np.where(a.scored, release.models.method, "prior").astype(object),
        "order_count": a.order_count,
        "f_stage": a.f_stage,
        "lifecycle": a.lifecycle,
        "churn_probability": a.churn,
        "churn_band": a.band,
        "churn_percentile": a.percentile,
        "silence_ratio": a.silence_ratio,
        "days_since_last_order": a.features["days_since_last_order"],
        "usual_gap_days": a.features["gap_days_mean"],
        **{f"next_order_p_{h}d": a.next_order[:, index] for index, h in enumerate(HORIZONS)},
        **{f"next_order_{name}": _dates(a, index, calendar) for index, name in enumerate(WINDOW)},
        "overdue_days": a.overdue_days,
        **{f"clv_{name}": a.clv[:, index] for index, name in enumerate(VALUES)},
        "clv_historic": a.historic,
        "clv_grade": a.grade,
        "at_risk_365d": a.at_risk,
        "promo_share": a.promo_share,
        "is_subscriber": a.features.get("subscriptions_active", np.zeros(len(chosen))) > 0,
        "is_bot": a.bot,
        "action_scenario": np.array([option.scenario for option in c.options], object)[chosen],
        "action_offer_id": np.array([option.offer for option in c.options], object)[chosen],
        "action_net_value": np.nan_to_num(c.net_value[rows, chosen]),
        "arm": np.where(a.control, "control", "treatment").astype(object),
        "send_allowed": a.allowed & (chosen != 0),
        "guards_failed": [",".join(np.array(GUARDS)[a.guards[p] == FAIL]) for p in rows],
        "reason_codes": [",".join(reason.code for reason in told.get(p, ())) for p in rows],
        "reason_texts": [" / ".join(reason.text for reason in told.get(p, ())) for p in rows],
    }  # fmt: skip
    flat: pd.DataFrame = pd.DataFrame(table).merge(members, on="customer_id", how="left")
    return flat


def _dates(a: Answers, column: int, calendar: BusinessCalendar) -> list[date | None]:
    days = a.next_days[:, column]
    return [None if np.isnan(d) else calendar.date(a.day + int(np.ceil(d)) - 1) for d in days]


def offer_allocations(a: Answers) -> pd.DataFrame:
    """List each customer's best offer with its value, and whether it goes out or what withholds it."""
    c, n = a.candidates, len(a.choice)
    if len(c.options) == 1:
        return pd.DataFrame({"customer_id": pd.Series(dtype=object)})
    best = 1 + np.argmax(np.where(np.isnan(c.net_value[:, 1:]), -np.inf, c.net_value[:, 1:]), axis=1)
    rows = np.arange(n)
    open_to = ~np.isnan(c.net_value[rows, best])
    withheld = [",".join(np.array(GUARDS)[a.guards[p] == FAIL]) for p in rows]
    table = pd.DataFrame(
        {
            "customer_id": a.customer_id,
            "scenario": np.array([option.scenario for option in c.options], object)[best],
            "offer_id": np.array([option.offer for option in c.options], object)[best],
            "incentive": np.array([option.incentive for option in c.options], object)[best],
            "p_order_without": c.p_without,
            "p_order_with": c.p_with[rows, best],
            "cost": c.cost[rows, best],
            "net_value": c.net_value[rows, best],
            "low": c.low[rows, best],
            "high": c.high[rows, best],
            "evidence": "assumed",
            "arm": np.where(a.control, "control", "treatment").astype(object),
            "state": np.where(
                a.choice != 0, "send", np.where(a.allowed & c.sendable[rows, best], "not_worth_it", "withheld")
            ).astype(object),
            "guards_failed": withheld,
        }
    )
    offered: pd.DataFrame = table[open_to].reset_index(drop=True)
    return offered


def score_changes(scores: pd.DataFrame, before: pd.DataFrame | None) -> pd.DataFrame:
    """List customers whose churn band differs from the previous publication's, with the main cause.

    ``due_to`` says ``customer``: what else may have moved it is :func:`serving.moves.due_to`'s to tell.
    """
    columns = ["customer_id", "churn_band", "churn_probability", "reason_codes"]
    earlier = scores[columns[:3]].iloc[:0] if before is None else before[columns[:3]]
    joined = scores[columns].merge(earlier, on="customer_id", suffixes=("", "_before"))
    moved = joined[joined.churn_band.fillna("") != joined.churn_band_before.fillna("")]
    return pd.DataFrame(
        {
            "customer_id": moved.customer_id,
            "band_before": moved.churn_band_before,
            "band": moved.churn_band,
            "change": moved.churn_probability - moved.churn_probability_before,
            "main_cause": moved.reason_codes.str.split(",").str[0],
            "due_to": CUSTOMER,
        }
    ).reset_index(drop=True)


def rejects(a: Answers) -> pd.DataFrame:
    """List the customers without scores and why."""
    rows = ~a.scored
    return pd.DataFrame({"customer_id": a.customer_id[rows], "reason": a.status[rows]})


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as Parquet: the same rows give the same bytes."""
    arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    fields = [f.with_type(_of_texts(f.type)) for f in arrow.schema]
    pq.write_table(arrow.cast(pa.schema(fields)), path, compression="zstd")


def _of_texts(kind: pa.DataType) -> pa.DataType:
    """Name the type of a column that is empty throughout, which could be anything: text, or lists of it."""
    if pa.types.is_list(kind):
        return pa.list_(_of_texts(kind.value_type))
    return pa.string() if pa.types.is_null(kind) else kind
