"""What could be done for each customer and what it would net, doing nothing included; then the choice."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.policy.rules import Policy

Matrix = NDArray[np.float64]
Reached = Mapping[str, NDArray[np.bool_]] | None


@dataclass(frozen=True)
class Option:
    """One scenario with one offer over one channel, or nothing."""

    scenario: str
    kind: str
    offer: str | None
    incentive: str
    channel: str | None


NOTHING = Option("none", "none", None, "none", None)


@dataclass(frozen=True)
class Candidates:
    """Every option for every customer; arrays have shape (n_customers, n_options), NaN where not open to them."""

    options: tuple[Option, ...]
    p_without: Matrix  # (n_customers,) chance of an order in the window if nothing is sent
    p_with: Matrix
    margin: Matrix  # (n_customers,) expected margin of one order, in the shop's currency
    cost: Matrix  # expected cost, in the shop's currency
    net_value: Matrix
    low: Matrix
    high: Matrix
    sendable: NDArray[np.bool_]  # over a channel that reaches the customer


def options_of(policy: Policy) -> tuple[Option, ...]:
    """List the policy's options, nothing first, then by priority and file order."""
    by_priority = sorted(policy.scenarios, key=lambda scenario: scenario.priority)
    return (
        NOTHING,
        *(
            Option(s.id, s.kind, offer, policy.offers[offer].type, channel)
            for s in by_priority
            for offer in s.offers
            for channel in s.channels
        ),
    )


def candidates(
    lifecycle: NDArray[np.object_],
    due_in_days: Matrix,
    p_without: Matrix,
    order_revenue: Matrix,
    policy: Policy,
    reached: Reached = None,
) -> Candidates:
    """Reckon what every option would bring.

    With lift l, those who would not have ordered come with chance l: ``p_with = p + l (1 - p)``. An order
    earns its margin less the offer's discount, which those who would have come anyway take as well:
    ``net = p_with (margin - discount) - p margin - message``.

    Parameters
    ----------
    lifecycle, due_in_days
        Per customer; days until the next replenishment, NaN where none is expected.
    p_without, order_revenue
        Chance of an order in the policy's window; mean net revenue of an order day.
    reached
        Per channel who may be written to over it; ``None`` where the shop does not say.
    """
    options = options_of(policy)
    margin = np.maximum(np.nan_to_num(order_revenue), 0.0) * policy.margin_share
    shape = (len(p_without), len(options))
    p_with, cost, net, low, high = (np.full(shape, np.nan) for _ in range(5))
    p_with[:, 0], cost[:, 0], net[:, 0], low[:, 0], high[:, 0] = p_without, 0.0, 0.0, 0.0, 0.0
    for column, option in enumerate(options[1:], start=1):
        open_to = _open(option, lifecycle, due_in_days, policy, reached) & ~np.isnan(p_without)
        offer = policy.offers[option.offer or ""]
        discount = np.maximum(np.nan_to_num(order_revenue), 0.0) * offer.percent / 100
        message = policy.channels[option.channel or ""].cost
        values = []
        for lift in (offer.lift, offer.lift_low, offer.lift_high):
            chance = p_without + lift * (1 - p_without)
            values.append((chance, chance * (margin - discount) - p_without * margin - message))
        p_with[:, column] = np.where(open_to, values[0][0], np.nan)
        cost[:, column] = np.where(open_to, values[0][0] * discount + message, np.nan)
        (_, value), *ends = values
        worst, best = np.sort([end for _, end in ends], axis=0)  # a discount beyond the margin loses by every order
        for target, amount in ((net, value), (low, worst), (high, best)):
            target[:, column] = np.where(open_to, amount, np.nan)
    sendable = np.column_stack([_sendable(option, len(p_without), reached) for option in options])
    return Candidates(options, p_without, p_with, margin, cost, net, low, high, sendable)


def _open(
    option: Option, lifecycle: NDArray[np.object_], due_in_days: Matrix, policy: Policy, reached: Reached
) -> NDArray[np.bool_]:
    """Tell to whom a scenario applies, over the first of its channels that reaches them."""
    scenario = next(s for s in policy.scenarios if s.id == option.scenario)
    who = np.isin(lifecycle, scenario.lifecycle) if scenario.lifecycle else np.ones(len(lifecycle), np.bool_)
    if scenario.due_within_days is not None:
        who &= np.abs(np.nan_to_num(due_in_days, nan=np.inf)) <= scenario.due_within_days
    first = np.zeros(len(lifecycle), np.intp)  # also of those whom none reaches: what is withheld from them is shown
    if reached is not None:
        first = np.argmax([reached[channel] for channel in scenario.channels], axis=0)
    here: NDArray[np.bool_] = first == scenario.channels.index(option.channel or "")
    return who & here


def _sendable(option: Option, n: int, reached: Reached) -> NDArray[np.bool_]:
    """Tell whom the option's channel reaches."""
    return np.ones(n, np.bool_) if reached is None or option.channel is None else reached[option.channel]


def choose(c: Candidates, allowed: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Choose the option with the highest net value where sending is allowed and pays; else nothing (column 0).

    Equal values go to the earlier option: by priority, then by the order of the file.
    """
    best = np.argmax(np.where(np.isnan(c.net_value) | ~c.sendable, -np.inf, c.net_value), axis=1)
    return np.where(allowed, best, 0)
