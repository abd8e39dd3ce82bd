"""What a shop had been told by a day: nothing that happens or is told later changes any of what is read from it."""

import pandas as pd
from hypothesis import event, given
from hypothesis import strategies as st

from features.contact_history import contact_history
from features.occasions import EVENTS, occasions
from features.standing import standing
from features.tiers import spend_tiers
from tests.features.test_frame import one_order
from tests.worlds import AS_OF, at, examples, histories, instant, known_before, number

CHANNELS = st.sampled_from(["email", "line", "push", ""])


@st.composite
def whole_histories(draw):
    """Draw a shop whose messages also have channels and campaigns, and whose customers have birthdays and LINE ids."""
    history = draw(histories(8))
    for row in history["contacts"]:
        row |= {"channel": draw(CHANNELS), "campaign_id": draw(st.sampled_from(["", "c1"]))}
    for row in history["responses"]:
        row["campaign_id"] = draw(st.sampled_from(["", "c1"]))
    for row in history["customers"]:
        row |= {"birth_month_day": draw(st.sampled_from(["", "02-29", "05-01"])), "line_user_id": row["customer_id"]}
    ends = st.sampled_from(["", at(100), at(300)])
    links = st.tuples(st.sampled_from("abz"), st.sampled_from(["a", "b", "z"]), st.integers(0, 300), ends)
    history["identities"] = [
        {"alias_type": "line_user_id", "alias": a, "customer_id": c, "linked_at": at(day), "unlinked_at": end}
        for c, a, day, end in draw(st.lists(links, max_size=4, unique_by=lambda link: link[:3]))
        if not end or end > at(day)
    ]
    return history


@examples(3)
@given(history=whole_histories(), day=st.sampled_from(AS_OF))
def test_the_future_changes_nothing(new_whole, history, day):
    first = {"order_lines": [one_order("z", 0)], "responses": [{"kind": "open", "customer_id": "z", "at": at(0)}]}
    first |= {"shipments": [{"order_id": "z0", "shipped_at": at(1)}]}
    first |= {"feedback": [{"customer_id": "z", "kind": "nps", "opened_at": at(1)}]}
    seen = []
    for rows in (history, known_before(history, day)):
        toy = new_whole()
        toy.load({table: [*first.get(table, ()), *found] for table, found in rows.items()})
        shop, n = toy.shop, number(day)
        tiers = spend_tiers(shop, n, 90, [("all", 0), ("some", 100), ("few", 150)], "monthly")
        seen.append((occasions(shop, n, 120, 120), standing(shop, n), contact_history(shop, n), tiers))
    for whole, cut in zip(*seen, strict=True):
        pd.testing.assert_frame_equal(whole, cut)
    happened = seen[0][0]
    event(f"occasions: {happened.event.nunique()}")
    assert set(happened.event) <= set(EVENTS)
    past = happened[~happened.event.isin(["birthday", "anniversary", "points.expire_on", "shipment.promised_at"])]
    assert (past["at"] < instant(day).timestamp()).all()
