"""What earlier days teach: the candidates of that day, as known then, and which of them were bought next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.models.recommender import catalogue as catalogues
from training.models.recommender.candidates import PADDING, Hidden, Shelf
from training.models.recommender.history import Floats, positions
from training.models.recommender.neighbours import Neighbours
from training.models.recommender.pairs import NEW_INPUTS, REPEAT_INPUTS, new_pairs, repeat_pairs

# Customers a lesson is drawn from. Complete Journey at 2017-08-14, NDCG@10 of all and of new products with 500, 1,000,
# 2,000 and all 2,404: .4696, .0634; .4669, .0650; .4677, .0662; .4689, .0661 (2026-11-24).
MOST_CUSTOMERS = 2000
LISTED = 50  # candidates are chosen as for the night's lists

Described = tuple[Floats, npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Lesson:
    """One earlier day: what was known at its start, and what customers bought in the time the chances speak of."""

    known: pd.DataFrame  # as features.interactions.interactions gives it
    day: int
    bought: pd.DataFrame  # customer_id, product_id
    products: pd.DataFrame | None = None

    @cached_property
    def described(self) -> tuple[Described, Described, int]:
        """Describe the candidates, own and other apart, with 1.0 for those bought; count the customers known."""
        return _lesson(self)


def described(lessons: Sequence[Lesson]) -> tuple[Described, Described, int]:
    """Put the candidates of several lessons together; of the customers, give the most that one of them knew."""
    repeat: list[Described] = [(np.empty((0, len(REPEAT_INPUTS)), np.float32), np.empty(0))]
    new: list[Described] = [(np.empty((0, len(NEW_INPUTS)), np.float32), np.empty(0))]
    told = [lesson.described for lesson in lessons]
    repeat += [own for own, _, _ in told]
    new += [other for _, other, _ in told]
    return _together(repeat), _together(new), max((n for _, _, n in told), default=0)


def _together(parts: Sequence[Described]) -> Described:
    return np.vstack([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def _lesson(lesson: Lesson) -> tuple[Described, Described, int]:
    catalogue, everyone = catalogues.fit(lesson.known, lesson.day, lesson.products)
    shelf = Shelf(catalogue, Neighbours.fit(everyone, catalogue), None, lesson.day)
    drawn = np.sort(np.random.default_rng(0).permutation(len(everyone))[:MOST_CUSTOMERS])
    history = everyone.take(drawn)
    chosen = shelf.choose(history, Hidden.nothing(len(history), len(catalogue)), LISTED)
    customers = pd.Index(np.sort(lesson.known["customer_id"].unique().astype(object))[drawn])
    keys = _keys(lesson.bought, customers, catalogue)

    def is_bought(owner: npt.NDArray[np.intp], items: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        return np.isin(owner.astype(np.int64) * len(catalogue) + items, keys).astype(np.float64)

    row, place = np.nonzero(chosen.own != PADDING)
    own = repeat_pairs(history, catalogue, chosen), is_bought(row, history.items[chosen.own[row, place]])
    row, place = np.nonzero(chosen.items != PADDING)
    other = new_pairs(history, catalogue, chosen, lesson.day), is_bought(row, chosen.items[row, place])
    return own, other, len(everyone)


def _keys(bought: pd.DataFrame, customers: pd.Index[str], catalogue: catalogues.Catalogue) -> npt.NDArray[np.int64]:
    """Number the pairs bought that lie within these customers and the catalogue."""
    row, item = positions(bought["customer_id"], customers), positions(bought["product_id"], catalogue.index)
    inside = (row >= 0) & (item >= 0)
    return row[inside].astype(np.int64) * len(catalogue) + item[inside]
