"""What is known of each product on a day: how much it is bought of late, whether again and when, what kind it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.models.recommender.history import AGE, D14, D60, D120, IDLE, N_DAYS, Floats, History, Ints, lay_out

# Columns of ``facts``. Shares of all customers: bought in the last 14, 60, 120 days (decayed), ever. ``again``:
# share of its buyers who bought it on another day; ``cycle_days`` between; the same of its kind; its share of it.
FACTS = ("bought_14d", "bought_60d", "bought_120d", "buyers", "again", "cycle_days", "kind_again", "kind_cycle_days",
         "kind_share")  # fmt: skip
F_14, F_60, F_120, F_BUYERS, F_AGAIN, F_CYCLE, F_KIND_AGAIN, F_KIND_CYCLE, F_KIND_SHARE = range(len(FACTS))

# Columns of ``codes``: the deepest category, the one above it, the family (refills, sizes) and the brand.
LEVELS = ("kind", "group", "family", "brand")
KIND, GROUP, FAMILY, BRAND = range(len(LEVELS))
NONE = -1
PATH = " > "

UNTOLD = pd.DataFrame(
    {name: pd.Series(dtype=object) for name in ("product_id", "category", "brand", "family_id")}
    | {name: pd.Series(dtype=float) for name in ("lasts_days", "launched_day")}
)

LEAST_EXPECTED = 1e-9  # purchases; keeps the log finite

# With how many average buyers, and gaps, a product and a kind begin; engineering choice, 2026-11-24.
PSEUDO = 5.0
# From so many gaps between purchases on they say more than the label's `lasts_days` does.
TELLING_GAPS = 20
# A kind that fewer than 2 of 100 buyers (of at least 50) ever bought again is durable: nobody needs a second one
# soon. Complete Journey at 2017-08-14: 2,378 of 54,616 products; two of them stand in the first ten of anybody who
# bought them before (2026-11-24).
DURABLE_AGAIN, DURABLE_BUYERS = 0.02, 50
# Newly launched: not older than this. A first sale dates a product that the shop does not.
NEW_DAYS = 90
MOST_FRESH = 40  # of each sort are considered: thousands took .5 CPU-ms a customer (2026-11-24)


@dataclass(frozen=True)
class Catalogue:
    """Facts about products alone, a row each. Positions in it are what all else speaks of."""

    product_ids: npt.NDArray[np.str_]  # (n_items,), those bought ascending, then those added later
    facts: Floats  # (n_items, len(FACTS))
    codes: Ints  # (n_items, len(LEVELS)), -1 where the shop does not say
    launched: Ints  # (n_items,) business day
    durable: npt.NDArray[np.bool_]  # (n_items,)
    names: tuple[npt.NDArray[np.str_], ...]  # what the codes of each level stand for

    def __len__(self) -> int:
        return len(self.product_ids)

    @cached_property
    def index(self) -> pd.Index[str]:
        index: pd.Index[str] = pd.Index(self.product_ids.astype(object))
        return index

    @cached_property
    def momentum(self) -> Floats:
        """How much of its purchases are new, against the average product: 1 is steady, above 1 rising."""
        late, whole = self.facts[:, F_14], self.facts[:, F_60]
        ratio = np.divide(late, whole, out=np.zeros_like(late), where=whole > 0)
        usual = late.sum() / whole.sum() if whole.sum() > 0 else 0.0
        return (ratio / usual if usual > 0 else np.ones_like(ratio)).astype(np.float32)

    @cached_property
    def reach(self) -> npt.NDArray[np.float64]:
        """Popularity in units of the average product's."""
        bought = self.facts[:, F_60].astype(np.float64)
        return np.asarray(bought / bought.mean())

    @cached_property
    def pace(self) -> Floats:
        """Log-odds that a customer of whom nothing is known buys it in 30 days, at the pace of the last weeks.

        At r purchases a day the decayed count settles at r x 14 / ln 2; the chance is 1 - exp(-30 r).
        """
        expected = self.facts[:, F_14].astype(np.float64) * 30 * np.log(2) / 14
        return np.asarray(np.log(np.expm1(np.maximum(expected, LEAST_EXPECTED))), np.float32)

    @cached_property
    def by_popularity(self) -> Ints:
        """All products, the most bought of late first."""
        keys = (np.arange(len(self)), -self.facts[:, F_120], -self.facts[:, F_60], -self.facts[:, F_14])
        return np.lexsort(keys).astype(np.int32)

    def cycles(self) -> pd.DataFrame:
        """List how often a product is bought again: ``product_id``, ``cycle_days``, ``again`` (share of its buyers)."""
        cycle, again = self.facts[:, F_CYCLE], self.facts[:, F_AGAIN]
        return pd.DataFrame({"product_id": self.index, "cycle_days": cycle, "again": again}).astype(
            {"cycle_days": float, "again": float}
        )

    def fresh(self, day: int) -> Ints:
        """Name a few of the products launched within the last 90 days: the newest, and the most bought of late."""
        age = day - self.launched
        young = np.flatnonzero((age >= 0) & (age <= NEW_DAYS))
        newest = young[np.argsort(age[young], kind="stable")][:MOST_FRESH]
        bought = young[np.argsort(-self.facts[young, F_14], kind="stable")][:MOST_FRESH]
        return np.unique(np.concatenate([newest, bought])).astype(np.int32)

    def extended(self, products: pd.DataFrame, day: int) -> Catalogue:
        """Add what was launched within the last 90 days and never bought: nobody's history holds it yet."""
        launched = products[products["launched_day"].between(day - NEW_DAYS, day)]
        added = launched[~launched["product_id"].isin(self.index)]
        if added.empty:
            return self
        new = added["product_id"].to_numpy(dtype=str)
        codes = np.column_stack(
            [_coded(said, names) for said, names in zip(_said(added), self.names, strict=True)]
        ).astype(np.int32)
        facts = np.zeros((len(new), len(FACTS)), np.float32)
        for column in (F_AGAIN, F_CYCLE, F_KIND_AGAIN, F_KIND_CYCLE):
            facts[:, column] = self.facts[:, column].mean()
        return replace(
            self,
            product_ids=np.concatenate([self.product_ids, new]),
            facts=np.vstack([self.facts, facts]),
            codes=np.vstack([self.codes, codes]),
            launched=np.append(self.launched, added["launched_day"].to_numpy(np.int32)),
            durable=np.append(self.durable, np.zeros(len(new), np.bool_)),
        )


def fit(interactions: pd.DataFrame, as_of_day: int, products: pd.DataFrame | None) -> tuple[Catalogue, History]:
    """Count what the shop's customers bought by ``as_of_day``; the second answer is their histories, by id.

    Raises
    ------
    ValueError
        If nothing was bought, or a purchase is dated after ``as_of_day``.
    """
    kept = interactions[interactions["n_order_days"] > 0]
    if kept.empty:
        raise ValueError("no kept purchase to learn from")
    ids = np.unique(kept["product_id"].unique().astype(str))
    index = pd.Index(ids.astype(object))
    history = lay_out(kept, as_of_day, np.sort(kept["customer_id"].unique().astype(object)), index)
    told = (UNTOLD if products is None else products).set_index("product_id").reindex(index)
    levels = [np.unique(level, return_inverse=True) for level in _said(told)]
    codes = np.column_stack([np.where(names[code] == "", NONE, code) for names, code in levels]).astype(np.int32)
    facts, durable = _counted(history, codes[:, KIND], told["lasts_days"].to_numpy(np.float64))
    launched = _launched(history, told["launched_day"].to_numpy(np.float64), as_of_day)
    catalogue = Catalogue(ids, facts, codes, launched, durable, tuple(names for names, _ in levels))
    return (catalogue if products is None else catalogue.extended(products, as_of_day)), history


def _said(products: pd.DataFrame) -> list[npt.NDArray[np.str_]]:
    """Name each product's kind, group, family and brand; empty where the shop does not say."""
    code, paths = pd.factorize(products["category"].fillna("").astype(str))
    groups = np.array([path.rpartition(PATH)[0] or path for path in paths], dtype=str)
    kinds = np.asarray(paths, dtype=str)
    others = (products[name].fillna("").to_numpy(dtype=str) for name in ("family_id", "brand"))
    return [kinds[code], groups[code], *others]


def _coded(said: npt.NDArray[np.str_], names: npt.NDArray[np.str_]) -> Ints:
    """Find each name's code; -1 for a name that nothing bought has."""
    place = np.minimum(np.searchsorted(names, said), len(names) - 1)
    return np.where((names[place] == said) & (said != ""), place, NONE).astype(np.int32)


def _counted(
    history: History, kind: npt.NDArray[np.int32], lasts_days: npt.NDArray[np.float64]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Add up the facts of each product and of its kind; products of no kind are one kind."""
    n_items, item = len(kind), history.items
    often = history.values[:, N_DAYS].astype(np.float64)
    span = (history.values[:, AGE] - history.values[:, IDLE]).astype(np.float64)
    totals = [np.bincount(item, history.values[:, column], n_items) for column in (D14, D60, D120)]
    buyers, again, gaps, days = (
        np.bincount(item, counted, n_items) for counted in (np.ones(len(item)), often > 1, often - 1, span)
    )
    of_kind = kind - NONE
    kinds = [np.bincount(of_kind, counted)[of_kind] for counted in (buyers, again, gaps, days, totals[1])]
    usual_cycle = days.sum() / gaps.sum() if gaps.sum() else float(NEW_DAYS)
    kind_again = _shrunk(kinds[1], kinds[0], again.sum() / buyers.sum())
    kind_cycle = _shrunk(kinds[3], kinds[2], usual_cycle)
    cycle = _shrunk(days, gaps, kind_cycle)
    cycle = np.where(~np.isnan(lasts_days) & (gaps < TELLING_GAPS), np.nan_to_num(lasts_days), cycle)
    share = np.divide(totals[1], kinds[4], out=np.zeros(n_items), where=kinds[4] > 0)
    columns = [*(each / len(history) for each in (*totals, buyers)), _shrunk(again, buyers, kind_again), cycle]
    facts = np.column_stack([*columns, kind_again, kind_cycle, share]).astype(np.float32)
    durable = (kinds[1] < DURABLE_AGAIN * kinds[0]) & (kinds[0] >= DURABLE_BUYERS) & np.isnan(lasts_days)
    return facts, durable


def _shrunk(
    part: npt.NDArray[np.generic], whole: npt.NDArray[np.generic], usual: npt.NDArray[np.float64] | float
) -> npt.NDArray[np.float64]:
    return np.asarray((part.astype(np.float64) + PSEUDO * usual) / (whole.astype(np.float64) + PSEUDO))


def _launched(history: History, told: npt.NDArray[np.float64], as_of_day: int) -> Ints:
    """Date each product by the shop's word, else by its first sale; what the shop began with is old."""
    first = np.full(len(told), 0.0)
    np.maximum.at(first, history.items, history.values[:, AGE])
    opened = first.max()
    first_sale = np.where(opened - first >= NEW_DAYS, as_of_day - first, as_of_day - opened - NEW_DAYS)
    return np.where(np.isnan(told), first_sale, np.nan_to_num(told)).astype(np.int32)
