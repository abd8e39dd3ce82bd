"""Whom the shop's own contacts move, judged on its randomised ones by models that had not seen the customer.

No truth is needed: what a way of choosing would have earned is told by doubly robust values of those contacts whose
draw fell as it would have chosen, weighed by the chance of that.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import Refused
from training import metrics
from training.contacts import RANDOMISED, Found
from training.evaluation.profit import OURS, choices
from training.evaluation.rows import EVERYONE, POOLED, RESAMPLES, Row
from training.evaluation.uplift_metrics import auuc, qini, uplift_at_30pct
from training.models.effects import ALIKE, Effects
from training.models.moved import Drawn, folds
from training.models.uplift import CONSTANT, RULE, Part, best_rule

Matrix = NDArray[np.float64]
Ints = NDArray[np.intp]

QUESTION, PROFIT, GAIN = "uplift", "profit_at_budget", "uplift_at_30pct_gain_over_rule"
METRICS = {"qini": qini, "auuc": auuc, "uplift_at_30pct": uplift_at_30pct}
FOLDS = 4
BUDGET_SHARE = 0.3  # contacting 30 % of customers at the mean cost
PER = 1000  # customers of whom a profit is told


@dataclass(frozen=True)
class Believed:
    """What was said of every contact by models that had not seen its customer."""

    p_without: Matrix  # (n,)
    p_with: Matrix  # (n, n_offers), over the contact's channel
    rule: Matrix  # (n, n_offers): the side of the best rule of one column that is moved more
    kinds: tuple[str, ...]  # how effects leant on customers, by fold


def judge_contacts(found: Found, margin_share: float) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """Judge the effects learnt, offer by offer and as a choice within a budget; give figures and what must be said.

    ``margin_share`` is what is left of an order's usual revenue once its goods are paid.

    Raises
    ------
    Refused
        If no contacts were randomised.
    """
    if found.drawn is None or found.frame is None:
        raise Refused(f"uplift: {found.why_not}")
    drawn, frame = found.drawn, found.frame
    is_random = np.array([evidence == RANDOMISED for evidence in drawn.evidence])
    if not is_random.any():
        raise Refused("uplift: what was known tells who was withheld; no campaign was drawn by lot")
    believed = cross_fitted(drawn)
    rows = [row for nth in np.flatnonzero(is_random) for row in _of_offer(drawn, believed, int(nth))]
    rows += _profits(drawn, frame, believed, margin_share)
    return tuple(rows), _notes(found, believed, margin_share)


def cross_fitted(drawn: Drawn) -> Believed:
    """Ask of every contact models fitted on the other customers."""
    n, n_offers = len(drawn.y), len(drawn.offers)
    fold, said = (
        folds(drawn.customer, FOLDS, 2),
        Believed(np.zeros(n), np.zeros((n, n_offers)), np.zeros((n, n_offers)), ()),
    )
    kinds = []
    for nth in range(FOLDS):
        here, seen = fold == nth, drawn.of(fold != nth)
        model = Effects.fit(seen)
        kinds.append(model.leaning.kind)
        moved = model.predict({name: drawn.x[here, column] for column, name in enumerate(drawn.names)})
        said.p_without[here] = moved.p_without
        said.p_with[here] = moved.p_without[:, None] + _over_channel(model, moved.effect, drawn, here)
        for offer in range(n_offers):
            who = (seen.arm == 0) | (seen.arm == offer + 1)
            rule = best_rule(Part(seen.x[who], seen.arm[who] > 0, seen.y[who]))
            said.rule[here, offer] = rule.score(drawn.x[here]) if rule else 0.5
    return Believed(said.p_without, said.p_with, said.rule, tuple(kinds))


def _over_channel(model: Effects, effect: Matrix, drawn: Drawn, here: NDArray[np.bool_]) -> Matrix:
    """Take each contact's own channel of every offer, (n, n_offers); another one where an offer never used it."""
    places: dict[str, list[int]] = {}
    for channel in sorted(set(drawn.channel[here].tolist())):
        of_offer = [[at for at, (name, _) in enumerate(model.arms) if name == offer] for offer in drawn.offers]
        own = [[at for at in some if model.arms[at][1] == channel] for some in of_offer]
        places[channel] = [(mine or some)[0] for mine, some in zip(own, of_offer, strict=True)]
    at = np.array([places[channel] for channel in drawn.channel[here].tolist()])
    return np.take_along_axis(effect, at, axis=1)


def _of_offer(drawn: Drawn, believed: Believed, nth: int) -> list[Row]:
    """Judge one offer against being left alone, among those for whom both could have been drawn."""
    could = (drawn.chance[:, nth + 1] > 0) & ((drawn.arm == 0) | (drawn.arm == nth + 1))
    treated, y, customer = drawn.arm[could] == nth + 1, drawn.y[could], drawn.customer[could]
    effect = (believed.p_with[:, nth] - believed.p_without)[could]
    lot = np.random.default_rng(1).random(int(could.sum()))
    scores = {OURS: effect, RULE: believed.rule[could, nth], CONSTANT: np.zeros(len(y)), "random": lot}
    place = {name: np.unique(np.round(score, 9), return_inverse=True)[1] for name, score in scores.items()}
    found = [
        _row(method, drawn.offers[nth], name, customer, metric, y, treated, place[method])
        for name, metric in METRICS.items()
        for method in place
    ]

    def gain(y: Matrix, treated: NDArray[np.bool_], ours: Ints, rule: Ints) -> float:
        return uplift_at_30pct(y, treated, ours) - uplift_at_30pct(y, treated, rule)

    return [*found, _row(OURS, drawn.offers[nth], GAIN, customer, gain, y, treated, place[OURS], place[RULE])]


def _profits(drawn: Drawn, frame: pd.DataFrame, believed: Believed, share: float) -> list[Row]:
    """Tell what each way of choosing earns beyond sending nothing, per 1,000 customers."""
    value, net, cost = _values(drawn, frame, believed, share)
    budget = BUDGET_SHARE * len(cost) * float(cost.mean())
    made = choices(net, cost, believed.p_without, believed.p_with, budget)
    at = np.arange(len(net))
    return [
        _row(method, EVERYONE, PROFIT, drawn.customer, lambda each: PER * float(each.mean()), value[at, choice])
        for method, choice in made.items()
    ]


def _values(drawn: Drawn, frame: pd.DataFrame, believed: Believed, share: float) -> tuple[Matrix, Matrix, Matrix]:
    """Give the doubly robust value of nothing (0) and of each offer, and what is believed of them: net and cost.

    A contact's profit is the window's revenue without the goods' cost, less what the message cost. What an offer
    takes off an order is the discount beyond that of who ordered without one.
    """
    usual = np.nan_to_num(frame.mean_order_day_revenue.to_numpy(np.float64))
    margin, discount, message = share * np.maximum(usual, 0.0), _discounts(drawn, frame), _messages(frame)
    goods = (1 - share) * (frame.revenue + frame.discount).to_numpy(np.float64)
    profit = frame.revenue.to_numpy(np.float64) - goods
    alone = believed.p_without * margin
    expected = np.column_stack([alone, believed.p_with * (margin[:, None] - discount)])
    surprise = drawn.flags * (profit[:, None] - expected) / np.where(drawn.chance > 0, drawn.chance, np.inf)
    robust = expected + surprise
    value = np.column_stack([np.zeros(len(frame)), robust[:, 1:] - robust[:, [0]] - message[:, None]])
    cost = message[:, None] + believed.p_with * discount
    net = expected[:, 1:] - alone[:, None] - message[:, None]
    return value, np.where(drawn.chance[:, 1:] > 0, net, -np.inf), cost


def _discounts(drawn: Drawn, frame: pd.DataFrame) -> Matrix:
    """Give what each offer takes off an order, (n_offers,), never below 0."""
    ordered, off = frame.ordered.to_numpy() > 0, frame.discount.to_numpy(np.float64)
    means = [off[ordered & (drawn.arm == arm)].mean() if (ordered & (drawn.arm == arm)).any() else 0.0
             for arm in range(1 + len(drawn.offers))]  # fmt: skip
    return np.maximum(np.array(means[1:]) - means[0], 0.0)


def _messages(frame: pd.DataFrame) -> Matrix:
    """Give what a message over each contact's channel costs, (n,): the mean of those that were sent."""
    sent = frame[~frame.withheld]
    means = sent.groupby("channel").cost.mean()
    return np.asarray(frame.channel.map(means).fillna(0.0), np.float64)


def _row(method: str, part: str, name: str, customer: Ints, metric: object, *arrays: NDArray[np.generic]) -> Row:
    value, low, high = metrics.bootstrap(metric, *arrays, groups=customer, n=RESAMPLES)  # type: ignore[arg-type]
    return Row(QUESTION, method, POOLED, part, name, value, low, high, len(customer))


def _notes(found: Found, believed: Believed, share: float) -> tuple[str, ...]:
    drawn, odd = found.drawn, [one for one in found.balance if not one.is_drawn]
    assert drawn is not None
    leaning = [kind for kind in believed.kinds if kind != ALIKE]
    some = f"in {len(leaning)} of {len(believed.kinds)} training parts effects lean on customers beyond chance"
    reliable = "reliable" if 2 * len(leaning) > len(believed.kinds) else "no reliable"
    return (
        f"{reliable} heterogeneity ({some}{': ' + ', '.join(sorted(set(leaning))) if leaning else ''})",
        f"profit_at_budget: per {PER:,} customers, what an order earns taken as {share:.2f} of its usual revenue",
        f"{len(found.balance) - len(odd)} of {len(found.balance)} looks at campaigns find a fair draw"
        + "".join(f"; not {one.campaign}, {one.offer}: AUC {one.auc:.2f}" for one in odd[:3]),
    )
