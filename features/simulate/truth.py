"""What the shop does not know: written beside its export, never read by the mapping."""

import numpy as np
import pyarrow as pa

from features.simulate.catalogue import CATEGORIES, CHANNELS, OFFERS
from features.simulate.orders import OWN
from features.simulate.people import Ints
from features.simulate.world import Tables, World, by_customer, pick


def truth(world: World) -> Tables:
    """Write the truths of customers and of contacts; their columns are described in :mod:`features.simulate`."""
    people, history = world.people, world.history
    buyer = people.is_buyer
    second = np.flatnonzero(people.same_as >= 0)
    same_as = np.full(len(people), -1)
    same_as[second] = second - 1
    customers = {
        "customer_id": world.customer_ids,
        "first_order_day": world.dates(np.where(buyer, people.first, 0), buyer),
        "rate_per_day": pa.array(people.rate),
        "dropout_day": world.dates(np.where(buyer, people.dropout, 0), buyer),
        "is_one_off_only": pa.array(people.is_one_off_only),
        "supply_days": pa.array(people.supply_days),
        "exposure_days": pa.array(history.exposure),
        "expected_own_orders": pa.array(history.expected),
        "own_orders": pa.array(_own_orders(world)),
        "service_factor": pa.array(history.service),
        "price_sensitivity": pa.array(people.price_sensitivity),
        "favourite_category": pick([c[1] for c in CATEGORIES], people.taste.argmax(axis=1)),
        "taste": pa.FixedSizeListArray.from_arrays(pa.array(people.taste.ravel()), len(CATEGORIES)),
        **{
            f"effect_{offer}_{channel}": pa.array(people.effect[:, o, c])
            for o, offer in enumerate(OFFERS)
            for c, channel in enumerate(CHANNELS)
        },
        "same_person_as": world.customer_ids.take(pa.array(same_as, mask=same_as < 0)),
    }
    return {"customers": customers, "contacts": _contacts(world)}


def _own_orders(world: World) -> Ints:
    sales = world.sales
    return by_customer((sales.why == OWN).astype(np.int64), sales.who, len(world.people))


def _contacts(world: World) -> dict[str, pa.Array]:
    c = world.history.contacts
    chances = {f"p_order_{offer}": pa.array(c.p_with[:, o]) for o, offer in enumerate(OFFERS)}
    return {
        "contact_id": world.contact_ids,
        "arm": pick(["control", *OFFERS], c.arm),
        "p_order_without": pa.array(c.p_without),
        **chances,
    }
