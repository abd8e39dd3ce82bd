"""What a guard looks at and what it says: the candidates, what stands around their customers, a verdict on each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.policy.candidates import Candidates
from serving.policy.due import Due, Facts
from serving.policy.moment import Moment
from serving.policy.rules import MONEY, ChannelName, Offer, Policy
from serving.policy.situation import Flags, Matrix, Situation, nth_newest

NOBODY_KNOWS = np.inf  # among the times at which several reasons of one guard end


class Verdict(NamedTuple):
    """What a guard says of each candidate: where it fails, and from when it would not (NaN or inf: unknown)."""

    fails: Flags
    clears: Matrix | None = None


@dataclass(frozen=True)
class Case:
    """Everything a guard may look at: the candidates and what stands around their customers."""

    policy: Policy
    c: Candidates
    due: Due
    facts: Facts
    around: Situation
    moment: Moment
    is_control: Flags  # per candidate: its customer is withheld from its scenario, or from everything
    currency: str
    margin_share: float

    def __len__(self) -> int:
        return len(self.c)

    @cached_property
    def purpose(self) -> NDArray[np.object_]:
        return self.c.of("purpose")

    @cached_property
    def incentive(self) -> NDArray[np.object_]:
        return self.c.of("incentive")

    @cached_property
    def is_marketing(self) -> Flags:
        return np.asarray(self.purpose == "marketing", np.bool_)

    @cached_property
    def is_service(self) -> Flags:
        return np.asarray(self.purpose == "service", np.bool_)

    @cached_property
    def is_money(self) -> Flags:
        return np.isin(self.incentive, MONEY)

    def none(self) -> Flags:
        return np.zeros(len(self), np.bool_)

    def over(self, channel: ChannelName) -> Flags:
        """Tell which candidates go over a channel."""
        if channel not in self.c.channels:
            return self.none()
        return np.asarray(self.c.channel == self.c.channels.index(channel), np.bool_)

    def theirs(self, per_customer: NDArray[Any]) -> NDArray[Any]:
        """Give each candidate its customer's value."""
        return per_customer[self.c.customer]

    def stands(self, name: str) -> Matrix | None:
        """Give a fact of the shop's tables per candidate; ``None`` where the table is absent."""
        found = self.around.standing.get(name)
        return None if found is None else self.theirs(found)

    def by_offer(self, worth: Callable[[Offer], float]) -> Matrix:
        """Give a number of each candidate's offer, NaN without one."""
        known = [self.policy.offers.get(option.offer or "") for option in self.c.options]
        values = np.array([np.nan if offer is None else worth(offer) for offer in known] or [np.nan])
        return values[self.c.option]

    @cached_property
    def sent_purpose(self) -> NDArray[np.object_]:
        """Name the purpose of each message sent before; of a scenario that is no more it is taken to be selling."""
        purposes = {s.id: s.purpose for s in self.policy.scenarios}
        return looked_up(self.around.sent["scenario"], purposes, "marketing")

    @cached_property
    def sent_incentive(self) -> NDArray[np.object_]:
        """Name the incentive of each message sent before; an offer that is no more is taken to have cost money."""
        types = {name: offer.type for name, offer in self.policy.offers.items()} | {"none": "none"}
        return np.where(
            np.asarray(self.around.sent["offer_id"] == None, np.bool_),  # noqa: E711  elementwise
            "none",
            looked_up(self.around.sent["offer_id"], types, "coupon"),
        )


def looked_up(words: NDArray[Any], known: dict[Any, Any], otherwise: str) -> NDArray[np.object_]:
    return np.array([known.get(word, otherwise) for word in words], object)


def capped(case: Case, here: Flags, which: Flags, span: int, most: int, fails: Flags, clears: Matrix) -> None:
    """Mark the candidates whose customer has had ``most`` of some messages within a span, and until when."""
    if most == 0:
        fails |= here
        clears[here] = NOBODY_KNOWS
        return
    newest = case.theirs(nth_newest(case.around.sent, which, most, case.around.n))
    full = here & (newest > case.moment.at - span)
    fails |= full
    np.copyto(clears, np.fmax(clears, newest + span), where=full)
