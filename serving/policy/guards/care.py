"""Guards of customers with something unsettled: neither sold to nor asked until it is."""

import numpy as np

from serving.policy.guards.case import Case, Verdict
from serving.policy.spans import DAY

TICKET_REST = 14 * DAY  # before anybody is asked for a review: contracts.md section 5
SALES_REASONS = ("marketing", "survey")  # purposes that an open complaint forbids


def open_ticket(case: Case) -> Verdict:
    """A complaint that is not settled blocks selling and asking; a review waits 14 days after it was."""
    still, closed = case.stands("tickets_open"), case.stands("last_ticket_closed_at")
    if still is None or closed is None:
        return Verdict(case.none())
    spans = {
        s.id: max(s.after_ticket_closed or 0, TICKET_REST if s.kind == "review_request" else 0)
        for s in case.policy.scenarios
    }
    rest = np.array([spans.get(option.scenario, 0) for option in case.c.options] or [0])[case.c.option]
    until = closed + rest
    goes = np.where(np.isnan(case.c.opens), case.moment.at, case.c.opens)
    fresh = (rest > 0) & (until > goes)
    blocked = np.isin(case.purpose, SALES_REASONS) & (still > 0)
    return Verdict(blocked | (fresh & ~case.is_service), np.where(blocked, np.nan, until))


def open_return(case: Case) -> Verdict:
    """Something that is being sent back or exchanged blocks selling and asking."""
    still = case.stands("returns_open")
    return Verdict(case.none() if still is None else np.isin(case.purpose, SALES_REASONS) & (still > 0))
