"""Whether messages paid, experiment by experiment: the figures of `okaeri report` and its table for people."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from features.assignments import GLOBAL, IsControl
from features.calendar import BusinessCalendar
from features.shop import Shop
from serving.policy.decisions import Purse
from serving.policy.rules import ASSUMED, Policy
from serving.words import ARM, PROOF, SCENARIOS, VERDICTS, Language, say
from training.evaluation.anytime import Arm, Bounds
from training.evaluation.incremental import FEWEST_BUYERS, Assumptions, Judged, Measure, judge_experiments


def assumptions(
    policy: Policy, control_shares: Mapping[str, float], window_days: int | None = None, margin: float | None = None
) -> Assumptions:
    """Give what a policy assumes of its scenarios, their offers taken together, and whom its draw leaves alone."""
    lifts = {one.id: statistics.mean(_lift(policy, offer) for offer in one.offer_ids) for one in policy.scenarios}
    exempt = policy.control.exempt
    shares = {one.id: policy.control.scenario_share for one in policy.scenarios if one.purpose not in exempt}
    return Assumptions(
        window_days or policy.window_days,
        Purse(margin_share=margin).margin_of(policy),
        lifts | {GLOBAL: statistics.mean(lifts.values())},
        {GLOBAL: policy.control.global_share} | {name: share for name, share in shares.items() if share},
        control_shares,
    )


def _lift(policy: Policy, offer: str) -> float:
    """Give the lift that is assumed of an offer."""
    return policy.offers[offer].lifts[1] if offer in policy.offers else ASSUMED["none"][1]


def report(
    shop: Shop, day: int, how: Assumptions, lang: Language, is_global_control: IsControl | None = None
) -> dict[str, Any]:
    """Give what came of every experiment, as known at the start of business day ``day``; every amount a plain number.

    Returns
    -------
    dict
        ``as_of``, ``shop``, ``currency``, ``window_days``, ``settle_days``, ``fewest_buyers`` (for
        a verdict), ``lang`` and ``experiments``: of
        each its arms, ``orders`` and ``profit`` (per customer, and in all for those drawn to be written to, with both
        intervals and a verdict), ``split`` and ``plan``. ``None`` where there is no answer.
    """
    judged = judge_experiments(shop, day, how, is_global_control)
    return {
        "as_of": shop.calendar.date(day).isoformat(),
        "shop": shop.name,
        "currency": shop.mapping.currency,
        "window_days": how.window_days,
        "settle_days": how.settle_days,
        "fewest_buyers": FEWEST_BUYERS,
        "lang": lang,
        "experiments": [_told(one, shop.calendar, lang) for one in judged],
    }


def _told(one: Judged, calendar: BusinessCalendar, lang: Language) -> dict[str, Any]:
    split = {"planned_control_share": one.planned_share, "p_value": one.split_p_value, "is_off": one.is_split_off}
    measures = {"orders": one.orders, "profit": one.profit}
    return {
        "experiment": one.experiment,
        "first_decision": calendar.date(one.first_day).isoformat(),
        "last_decision": calendar.date(one.last_day).isoformat(),
        "arms": {
            arm: {
                "assigned": one.assigned[arm],
                "counted": one.counted[arm],
                "buyers": one.buyers[arm],
                **{f"{name}_per_customer": _mean(getattr(measure, arm)) for name, measure in measures.items()},
            }
            for arm in one.assigned
        },
        **{name: _measure(measure, one.counted["treatment"], lang) for name, measure in measures.items()},
        "verdict": one.verdict,
        "verdict_text": say(VERDICTS[one.verdict], lang),
        "split": _rounded(split),
        "plan": _rounded(one.plan),
    }


def _measure(measure: Measure, n: int, lang: Language) -> dict[str, Any]:
    return {
        **{
            f"{grain}_{reading}": _interval(bounds, times)
            for reading, bounds in (("anytime", measure.anytime), ("fixed", measure.fixed))
            for grain, times in (("per_customer", 1), ("total", n))
        },
        "assumed_per_customer": _rounded(measure.assumed),
        "verdict": measure.verdict,
        "verdict_text": say(VERDICTS[measure.verdict], lang),
    }


def _interval(bounds: Bounds, times: int) -> dict[str, float | None]:
    return {name: _rounded(float(value)) for name, value in bounds.times(times)._asdict().items()}


def _mean(arm: Arm) -> float | None:
    found: float | None = _rounded(float(arm.mean))  # type: ignore[arg-type]
    return found


def _rounded(value: Any) -> Any:
    """Round to six places whatever numbers stand in it; NaN is ``None``."""
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    if isinstance(value, float):
        return None if value != value else round(value, 6)
    return value


def shown(found: Mapping[str, Any]) -> str:
    """Write a report for people, in its own language."""
    lang: Language = found["lang"]
    values = {name: found[name] for name in ("window_days", "settle_days", "fewest_buyers")}
    head = say(PROOF["head"], lang, as_of=found["as_of"], shop=found["shop"], **values)
    if not found["experiments"]:
        return f"{head}\n{say(PROOF['nothing'], lang)}"
    blocks = ["\n".join(_block(one, found["currency"], lang)) for one in found["experiments"]]
    return "\n\n".join([head, *blocks, say(PROOF["note"], lang, **values)])


def _block(one: Mapping[str, Any], currency: str, lang: Language) -> list[str]:
    """Write one experiment: what it shows first, the figures under it."""
    lines = [f"{_name(one['experiment'], lang)}: {one['verdict_text']}"]
    lines.append(f"  {say(PROOF['since'], lang, first=one['first_decision'], last=one['last_decision'])}")
    rows = [["", *(say(PROOF[name], lang) for name in ("assigned", "counted", "orders_each", "profit_each"))]]
    for arm, of in one["arms"].items():
        each = _number(of["orders_per_customer"], 4), _money(of["profit_per_customer"], currency, lang)
        rows.append([say(ARM[arm], lang), f"{of['assigned']:,}", f"{of['counted']:,}", *each])
    lines += _table(rows)
    rows = [["", *(say(PROOF[name], lang) for name in ("value", "anytime", "fixed", "shows"))]]
    rows.append([say(PROOF["orders"], lang), *_figures(one["orders"], lambda v: _number(v, 0, sign=True))])
    rows.append([say(PROOF["profit"], lang), *_figures(one["profit"], lambda v: _money(v, currency, lang, sign=True))])
    lines += _table(rows)
    if one["split"]["is_off"]:
        lines.append(f"  {say(PROOF['split'], lang, planned=_share(one['split']['planned_control_share']))}")
    return [*lines, *_plan(one["plan"], currency, lang)]


def _figures(measure: Mapping[str, Any], write: Callable[[float | None], str]) -> list[str]:
    of, once = measure["total_anytime"], measure["total_fixed"]
    ranges = [f"[{write(side['low'])}, {write(side['high'])}]" for side in (of, once)]
    return [write(of["value"]), *ranges, measure["verdict_text"]]


def _plan(plan: Mapping[str, Any], currency: str, lang: Language) -> list[str]:
    """Say what an experiment of this size can show, and what it would take to show what is assumed."""
    if not plan:
        return []
    any_day = plan["anytime"]
    values = {
        "p": _share(plan["p_order_without"]),
        "effect": _share(any_day["smallest_effect"]),
        "relative": _share(any_day["smallest_relative"]),
        "profit": _money(any_day["smallest_profit"], currency, lang),
    }
    lines = [f"  {say(PROOF['smallest'], lang, **values)}"]
    if plan["assumed_effect"] is not None:
        share, assumed = any_day["control_share"], _share(plan["assumed_effect"])
        word = "no_share" if share is None else "needed"
        lines.append(f"  {say(PROOF[word], lang, assumed=assumed, share=_share(share))}")
    return lines


def _name(experiment: str, lang: Language) -> str:
    if experiment == GLOBAL:
        return say(PROOF["global"], lang)
    return f"{say(SCENARIOS[experiment], lang)} ({experiment})" if experiment in SCENARIOS else experiment


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Line columns up; a Japanese letter is two columns wide."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _width(text: str) -> int:
    return sum(1 + (ord(letter) > 0x2E7F) for letter in text)


def _number(value: float | None, places: int, *, sign: bool = False) -> str:
    return "-" if value is None else f"{value:{'+' if sign else ''},.{places}f}"


def _money(value: float | None, currency: str, lang: Language, *, sign: bool = False) -> str:
    if value is None:
        return "-"
    amount = f"{value:{'+' if sign else ''},.{0 if currency == 'JPY' else 2}f}"
    return f"{amount}円" if (currency, lang) == ("JPY", "ja") else f"{amount} {currency}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"
