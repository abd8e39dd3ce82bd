"""The night's answers as tables: one row per customer, product or change, ordered by key, always the same bytes."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.calendar import BusinessCalendar
from serving.answers import VALUES, Answers
from serving.moves import CUSTOMER
from serving.policy.candidates import EVIDENCE
from serving.policy.decisions import Decisions
from serving.policy.guards import CODES, FAIL
from serving.publication import ByCustomer
from serving.reasons import reasons
from serving.words import Language
from training.models.next_purchase import HORIZONS
from training.release import Release

EXPLAINED_BANDS = ("watch", "high", "critical")
REASONS_KEPT = 3
WINDOW = ("earliest", "expected", "latest")
NUMBERS = ("p_without", "p_with", "window_days", "cost", "net_value", "low", "high")
ALLOCATED = (
    "scenario", "offer_id", "incentive", "channel", "p_without", "p_with", "window_days", "cost", "net_value", "low",
    "high", "evidence", "send_from", "send_until",
)  # fmt: skip


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

    ``members`` is what is known of each member (:mod:`serving.surroundings`), ``merged_from`` lists a person's other
    ids, ``due`` what runs out by customer. Reasons (code and sentence) stand for those at or above the band ``watch``.
    """
    d, n = a.decisions, len(a.customer_id)
    explained = [p for p in range(n) if a.band[p] in EXPLAINED_BANDS]
    theirs = ByCustomer(due[due.customer_id.isin(a.customer_id[explained])])
    said = reasons(a, release, explained, REASONS_KEPT, lang, theirs, calendar)
    told = dict(zip(explained, said, strict=True))
    chosen = candidates_at(d, d.choice.chosen)
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
        "subscription_active": a.features.get("subscriptions_active", np.zeros(n)) > 0,
        "is_bot": a.bot,
        "action_scenario": np.where(chosen["scenario"] == None, "none", chosen["scenario"]),  # noqa: E711  elementwise
        "action_offer_id": chosen["offer_id"],
        "action_channel": chosen["channel"],
        "action_net_value": np.nan_to_num(chosen["net_value"]),
        "arm": np.where(is_control(d), "control", "treatment").astype(object),
        "send_allowed": d.choice.chosen >= 0,
        "guards_failed": _failed(d.guards),
        "reason_codes": [",".join(reason.code for reason in told.get(p, ())) for p in range(n)],
        "reason_texts": [" / ".join(reason.text for reason in told.get(p, ())) for p in range(n)],
    }  # fmt: skip
    flat: pd.DataFrame = pd.DataFrame(table).merge(members, on="customer_id", how="left")
    return flat


def is_control(d: Decisions) -> NDArray[np.bool_]:
    """Tell whom the control group keeps something from: everything, or what was due tonight."""
    return d.control | d.choice.withheld


def candidates_at(d: Decisions, at: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
    """Give the candidates at some rows, one per customer; ``None`` and NaN where there is none."""
    c, has = d.candidates, at >= 0
    channel = np.array(c.channels, object)[c.channel]
    words = {
        name: c.of(of) for name, of in (("scenario", "scenario"), ("offer_id", "offer"), ("incentive", "incentive"))
    }
    words |= {"channel": channel, "evidence": np.array(EVIDENCE, object)[c.evidence]}
    numbers = {name: getattr(c, name) for name in NUMBERS} | {"send_from": c.opens, "send_until": c.closes}
    out: dict[str, NDArray[Any]] = {}
    for name, values in (words | numbers).items():
        column = np.full(
            len(at), None if values.dtype == object else np.nan, object if values.dtype == object else float
        )
        column[has] = values[at[has]]
        out[name] = column
    return out


def _failed(states: NDArray[np.int8]) -> list[str]:
    """Name the guards that fail, joined by commas."""
    codes, which = np.array(CODES), states == FAIL
    known = {row: ",".join(codes[np.frombuffer(row, np.bool_)]) for row in {one.tobytes() for one in which}}
    return [known[one.tobytes()] for one in which]


def _dates(a: Answers, column: int, calendar: BusinessCalendar) -> list[date | None]:
    days = a.next_days[:, column]
    return [None if np.isnan(d) else calendar.date(a.day + int(np.ceil(d)) - 1) for d in days]


def offer_allocations(a: Answers) -> pd.DataFrame:
    """List what each customer gets, or what was held back and why: a row per customer for whom something was due.

    ``state``: send; withheld (``guards_failed`` says by what, ``arm`` whether by the control group); not_worth_it.
    ``send_from`` and ``send_until`` are seconds since 1970, UTC.
    """
    d = a.decisions
    at = np.where(d.choice.shown >= 0, d.choice.shown, _worth_most(d, len(a.customer_id)))
    state = np.where(d.choice.chosen >= 0, "send", np.where(d.choice.shown >= 0, "withheld", "not_worth_it"))
    told = candidates_at(d, at)
    table = pd.DataFrame(
        {
            "customer_id": a.customer_id,
            **{name: told[name] for name in ALLOCATED},
            "arm": np.where(is_control(d), "control", "treatment").astype(object),
            "is_explored": d.choice.explored,
            "state": state.astype(object),
            "guards_failed": _failed(d.guards),
        }
    )
    offered: pd.DataFrame = table[at >= 0].reset_index(drop=True)
    return offered


def _worth_most(d: Decisions, n: int) -> NDArray[np.intp]:
    """Give each customer's candidate with the highest net value, -1 where there is none."""
    c, out = d.candidates, np.full(n, -1, np.intp)
    known = np.flatnonzero(~np.isnan(c.net_value))
    order = known[np.lexsort((-c.net_value[known], c.customer[known]))]
    first = order[np.r_[True, c.customer[order][1:] != c.customer[order][:-1]]] if len(order) else order
    out[c.customer[first]] = first
    return out


def limits(a: Answers) -> dict[str, dict[str, float]]:
    """Say of each limit what is left after tonight, what tonight uses, and what one further unit would earn."""
    d = a.decisions
    return {
        limit.name: {
            "left": round(limit.left - d.choice.used.get(limit.name, 0.0), 4),
            "used": round(d.choice.used.get(limit.name, 0.0), 4),
            "price": round(d.choice.prices.get(limit.name, 0.0), 12),
        }
        for limit in d.limits
    }


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


def codes_table(codes: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """List the coupon codes of the policy's pools, a row each in the order of their files."""
    rows = [(offer, code) for offer, some in sorted(codes.items()) for code in some]
    return pd.DataFrame(rows, columns=["offer_id", "code"], dtype=object)


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
