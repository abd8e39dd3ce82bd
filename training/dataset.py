"""Point-in-time training rows: features from Feast as they were known, labels from what happened next."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.calendar import day_number
from features.frame import feature_frame
from features.home import Home
from features.interactions import interactions, purchases
from features.products import products
from features.shop import Shop, open_shop
from training.consent import withheld, without
from training.labels import (
    first_order_day,
    known_customers,
    labels,
    last_day,
    ordered_after,
    own_horizon,
    products_bought,
)
from training.models.parameters import AS_FOUND, Parameters

KEYS = ["as_of_day", "customer_id"]
DAYS_AT_ONCE = 8  # of contacts: a day of 12,000 customers takes 20 MB while it is described
FEWEST_IN_SLICE = 50  # faults.md B2 asks as many positives of a model


class Past:
    """A shop's past as it was known at each cut-off, read from Feast once per cut-off."""

    def __init__(self, shop: Shop, until: int, parameters: Parameters = AS_FOUND) -> None:
        self.shop = shop
        self.parameters = parameters  # of whatever is fitted to it
        self._withheld = withheld(shop, until)
        self.horizon = horizon_days(shop, until, self._withheld)  # one H for what is learnt and what is judged
        self._features: dict[int, pd.DataFrame] = {}
        self._made: dict[tuple[str, int], Any] = {}

    def rows(self, days: Sequence[int], observed_until: int) -> pd.DataFrame:
        """Describe customers at cut-offs (business days) with what they did before ``observed_until``.

        The columns are those of :func:`training_frame`. Bots are left out: what no person does teaches nothing.
        """
        self._recall([day for day in days if day not in self._features])
        found = pd.concat([self._features[day] for day in sorted(set(days))], ignore_index=True)
        features = without(found, self.shop, self._withheld)
        known = labels(self.shop, days, self.horizon, observed_until, features[KEYS][is_subscriber(features)])
        return features.merge(known, on=KEYS, how="inner", validate="one_to_one")

    def known(self, day: int) -> pd.DataFrame:
        """Recall what was known of everyone at one cut-off: ``customer_id`` and every feature, bots left out."""
        if day not in self._features:
            self._recall([day])
        return self._features[day]

    @property
    def first_day(self) -> int:
        """Name the business day of the shop's first order."""
        return first_order_day(self.shop)

    def learnable(self, day: int) -> pd.DataFrame:
        """Recall what was known at one cut-off of those who may be learnt from."""
        return without(self.known(day), self.shop, self._withheld)

    def newest_before(self, day: int) -> int:
        """Name the newest cut-off read so far that lies before a day; the day itself where there is none."""
        return max((known for known in self._features if known < day), default=day)

    def purchases(self, day: int) -> pd.DataFrame:
        """List what each customer has bought and kept, as :func:`features.interactions.interactions` does."""
        found: pd.DataFrame = self.remember(
            ("purchases", day),
            lambda: self._learnable(interactions(self.shop, self.shop.calendar.start(day)), day),
        )
        return found

    def remember(self, key: tuple[str, int], make: Callable[[], Any]) -> Any:
        """Give what was made under a key before, or make it: the report and the release ask for some things twice."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def purchase_days(self, day: int) -> pd.DataFrame:
        """List on which days each customer bought what, as :func:`features.interactions.purchases` does."""
        return self._learnable(purchases(self.shop, self.shop.calendar.start(day)), day)

    def products(self, day: int) -> pd.DataFrame:
        """List what the shop says of its products, as :func:`features.products.products` does."""
        return products(self.shop, self.shop.calendar.start(day))

    def bought_after(self, day: int, within_days: int, observed_until: int) -> pd.DataFrame:
        """List what each customer bought next, as :func:`training.labels.products_bought` does."""
        return self._learnable(products_bought(self.shop, day, within_days, observed_until), day)

    def of_contacts(self, contacts: pd.DataFrame, window_days: int, observed_until: int) -> pd.DataFrame:
        """Describe who was contacted as known when that day began, with whether they ordered, as ``ordered_after``.

        ``contacts`` has ``as_of_day`` and ``customer_id``, each pair once. Only these customers are read, and only a
        few days at a time; who was not known yet, bots and those not to be learnt from are left out.
        """
        days = sorted(int(day) for day in contacts.as_of_day.unique())
        parts = [
            self._described(contacts[contacts.as_of_day.isin(days[at : at + DAYS_AT_ONCE])][KEYS])
            for at in range(0, len(days), DAYS_AT_ONCE)
        ]
        found = pd.concat(parts, ignore_index=True)
        found = without(found[found.is_bot.notna()], self.shop, self._withheld)
        subscribers = found[KEYS][is_subscriber(found)]
        known = ordered_after(self.shop, found[KEYS], window_days, observed_until, subscribers)
        return found.merge(known, on=KEYS, how="inner", validate="one_to_one")

    def _learnable(self, rows: pd.DataFrame, day: int) -> pd.DataFrame:
        return without(rows.assign(as_of_day=day), self.shop, self._withheld).drop(columns="as_of_day")

    def _recall(self, days: Sequence[int]) -> None:
        """Ask Feast for all customers known at some cut-offs, keeping snapshots that are not there yet."""
        if days:
            found = self._described(known_customers(self.shop, days))
            self._features |= {int(str(day)): rows for day, rows in found.groupby("as_of_day")}

    def _described(self, entities: pd.DataFrame) -> pd.DataFrame:
        """Ask Feast for customers (``customer_id``) at cut-offs (``as_of_day``), bots left out."""
        from feature_repo.store import Store  # five CPU-seconds to import, and a night only asks who is active

        store, days = Store.open(self.shop.home, self.shop), sorted(entities.as_of_day.unique())
        starts = {int(day): self.shop.calendar.start(int(day)) for day in days}
        missing = [start for start in starts.values() if not store.has_snapshot(start)]
        if missing:
            store.write_snapshot(feature_frame(self.shop, missing))
        instants = {day: pd.Timestamp(start).as_unit("us") for day, start in starts.items()}
        entities = entities.assign(as_of=entities.as_of_day.map(instants))
        found = store.history(entities[["customer_id", "as_of"]])
        numbers = {instant: day for day, instant in instants.items()}
        found = found.assign(as_of_day=found.as_of.map(numbers).astype("int64"))
        known: pd.DataFrame = found[found.is_bot != 1]
        return known


def training_frame(
    cutoffs: Sequence[date | int], shop: Shop | str | None = None, *, observed_until: int | None = None
) -> pd.DataFrame:
    """Describe customers at past cut-offs as they were known then, with what they did next.

    Parameters
    ----------
    cutoffs
        Dates (or business-day numbers) in the shop's calendar.
    shop
        An opened shop, its name, or the home's default.
    observed_until
        Business day at which observation ends; default the shop's clock, else the lake's end.

    Returns
    -------
    DataFrame, one row per cut-off and customer known then, sorted by both
        ``customer_id``, ``as_of`` (UTC), every available feature of CATALOG (float64), ``as_of_day`` and the
        columns of :func:`training.labels.labels`.
    """
    shop = shop if isinstance(shop, Shop) else open_shop(Home.open(), shop)
    days = [day if isinstance(day, int) else day_number(day) for day in cutoffs]
    until = observed_until or observation_end(shop)
    return Past(shop, until).rows(days, until)


def horizon_days(shop: Shop, until: int, unseen: frozenset[str] = frozenset()) -> int:
    """Give the churn horizon H: the mapping's, else the shop's own, without looking at ``unseen`` ids."""
    return shop.mapping.predict.horizon_days or own_horizon(shop, until, unseen)


def observation_end(shop: Shop) -> int:
    """Give the business day at which observation ends: the shop's clock, else the day after the lake's last."""
    return last_day(shop) if shop.mapping.clock == "system" else day_number(shop.mapping.clock)


def is_subscriber(frame: pd.DataFrame) -> "pd.Series[bool]":
    """Tell who had a subscription running; nobody where the shop has no such table."""
    if "subscriptions_active" not in frame:
        return pd.Series(False, index=frame.index)
    return frame["subscriptions_active"] > 0


def slices(frame: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Give everyone first, then the subscribers apart, where there are enough of them to say anything."""
    yield "all", np.ones(len(frame), np.bool_)
    subscribers = is_subscriber(frame).to_numpy(dtype=bool)
    if subscribers.sum() >= FEWEST_IN_SLICE:
        yield "subscribers", subscribers


def is_active(columns: Mapping[str, NDArray[np.float64]], min_order_days: int) -> NDArray[np.bool_]:
    """Tell which customers are active: enough kept order days ever, the last of them within the look-back.

    design.md says "enough kept orders within the look-back"; its figures (recency AUC .742, BG/NBD .822)
    are those of this definition: counting all four days within 56 gives .681 and .790 (2026-11-21).
    """
    return (np.asarray(columns["n_order_days"]) >= min_order_days) & (np.asarray(columns["order_days_lookback"]) >= 1)
