"""The recommender: few candidates for each customer, ordered by the estimated chance that they buy each soon."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse, special

from training.models.recommender import catalogue as catalogues
from training.models.recommender.candidates import NEW, PADDING, REPEAT, SOURCES, Chosen, Hidden, Shelf
from training.models.recommender.catalogue import F_14, KIND, LEVELS, Catalogue
from training.models.recommender.history import Floats, History, Ids, Ints, lay_out, positions
from training.models.recommender.lessons import Lesson, described
from training.models.recommender.lists import is_due, keep_new, leave_room
from training.models.recommender.neighbours import Neighbours
from training.models.recommender.pairs import new_pairs, repeat_pairs
from training.models.recommender.ranker import Ranker, formula_new, formula_repeat, log_odds
from training.models.recommender.taste import FACTORS, Taste

# Customers ranked together; it bounds the memory and changes no answer.
BLOCK = 2048

ITEMS, FACTS_FILE = "items.npz", "recommender.json"

# Codes of the sentences a customer may see (serving/words.py), by source; the last for what is due again.
REASONS = ("repeat", "new", "bought_together", "category", "als", "popular", "due")
_NAMES, _REASONS = np.array(SOURCES, dtype=object), np.array(REASONS, dtype=object)

NOTHING = pd.DataFrame({"customer_id": [], "product_id": []}, dtype=object)


@dataclass(frozen=True)
class Recommender:
    """Facts about products alone, and two rankers. A customer is worked out from their own purchases when asked.

    So a new customer needs no new training ("fold-in"), and a release never holds a customer's id.
    """

    catalogue: Catalogue
    neighbours: Neighbours
    taste: Taste
    ranker: Ranker
    day: int = 0
    facts: dict[str, int] = field(default_factory=dict)  # what it learnt from

    @property
    def method(self) -> str:
        """The rung of the ladder: ``ranker``, ``half`` or ``formula``."""
        return self.ranker.method

    @property
    def product_ids(self) -> npt.NDArray[np.str_]:
        return self.catalogue.product_ids

    @classmethod
    def fit(
        cls,
        interactions: pd.DataFrame,
        as_of_day: int,
        products: pd.DataFrame | None = None,
        lessons: Sequence[Lesson] = (),
        factors: int = FACTORS,
        seed: int = 0,
    ) -> Recommender:
        """Learn from what was bought by ``as_of_day``; the rankers from what followed earlier days.

        Parameters
        ----------
        interactions : DataFrame
            As :func:`features.interactions.interactions` gives it, in any order.
        as_of_day : int
            Business day of knowledge.
        products : DataFrame, optional
            As :func:`features.products.products` gives it: kinds, families, launches.
        lessons
            Earlier days, each with what was known then and what was bought next; all over by ``as_of_day``.

        Raises
        ------
        ValueError
            If nothing was bought, or a purchase is dated after ``as_of_day``.
        """
        catalogue, history = catalogues.fit(interactions, as_of_day, products)
        neighbours = Neighbours.fit(history, catalogue)
        taste = Taste.fit(history, len(catalogue), factors, seed)
        repeat, new, n_customers = described(lessons)
        learnt = {"customers": n_customers, "repeat_bought": int(repeat[1].sum()), "new_bought": int(new[1].sum())}
        return cls(catalogue, neighbours, taste, Ranker.fit(repeat, new, n_customers), as_of_day, learnt)

    def extended(self, products: pd.DataFrame, day: int) -> Recommender:
        """Take in what the shop launched since the training: it is of a kind and a family, and has no buyers yet."""
        catalogue = self.catalogue.extended(products, day)
        if catalogue is self.catalogue:
            return self
        more = np.zeros((len(catalogue) - len(self.catalogue), self.taste.factors.shape[1]), np.float32)
        return replace(self, catalogue=catalogue, taste=Taste(np.vstack([self.taste.factors, more])))

    def history(self, interactions: pd.DataFrame, as_of_day: int, customer_ids: Ids) -> History:
        """Lay out what these customers (distinct) bought, a row each; unknown products are left out."""
        return lay_out(interactions, as_of_day, customer_ids, self.catalogue.index)

    def recommend(
        self,
        interactions: pd.DataFrame,
        as_of_day: int,
        customer_ids: Ids,
        n: int = 50,
        exclude: pd.DataFrame | None = None,
        hidden: Collection[str] = (),
    ) -> pd.DataFrame:
        """List for each customer the products they will most likely buy in the 30 days from ``as_of_day``.

        Parameters
        ----------
        interactions, as_of_day
            As for ``fit``. Rows of customers not asked for change nothing.
        customer_ids : sequence of str
            Whose lists, known or not; the answer keeps this order.
        n : int
            Length of a list; it is shorter only where there is no other product left.
        exclude : DataFrame, optional
            ``customer_id`` and ``product_id``: what this customer must not be shown.
        hidden
            What nobody must be shown.

        Returns
        -------
        DataFrame, one row per customer and rank
            ``customer_id``, ``rank`` (from 1), ``product_id``, ``score`` (chance of a purchase, 0-1, never
            rising with rank), ``source`` (one of ``candidates.SOURCES``), ``reason`` (code of a sentence the
            customer may see) and ``repurchase`` (bought before).
        """
        position, customers = pd.factorize(np.asarray(customer_ids, dtype=object), use_na_sentinel=False)
        history = self.history(interactions, as_of_day, customers)
        not_shown = self.hidden(NOTHING if exclude is None else exclude, hidden, customers)
        blocks = [slice(at, at + BLOCK) for at in range(0, max(1, len(customers)), BLOCK)]
        ranked = [self.ranked(history[block], as_of_day, not_shown[block], n) for block in blocks]
        items, scores, sources, due = (np.concatenate(part)[position] for part in zip(*ranked, strict=True))
        row, place = np.nonzero(items != PADDING)
        source = sources[row, place]
        return pd.DataFrame(
            {
                "customer_id": customers[position[row]],
                "rank": place + 1,
                "product_id": self.catalogue.index.to_numpy()[items[row, place]],
                "score": special.expit(scores[row, place].astype(np.float64)),
                "source": _NAMES[source],
                "reason": _REASONS[np.where(due[row, place], len(SOURCES), source)],
                "repurchase": source == REPEAT,
            }
        )

    def popular(self, n: int, hidden: Collection[str] = ()) -> pd.DataFrame:
        """List what everybody buys of late, for customers nothing is known of; columns as of ``recommend``."""
        return self._listed(self.catalogue.by_popularity, special.expit(self.catalogue.pace), "popular", n, hidden)

    def beside(self, product_ids: Sequence[str], n: int, hidden: Collection[str] = ()) -> pd.DataFrame:
        """List what goes with some products: liked by the same customers; where nobody bought them, of their kind.

        ``score`` is the cosine of the products' factors, -1 to 1. Empty if no product is known.
        """
        at = self.catalogue.index.get_indexer(pd.Index(list(dict.fromkeys(product_ids)), dtype=object))
        at = at[at >= 0]
        norms = np.linalg.norm(self.taste.factors, axis=1, keepdims=True)
        unit = self.taste.factors / np.maximum(norms, 1e-12)
        closeness = unit @ unit[at].mean(axis=0) if len(at) else np.zeros(len(unit))
        same_kind = np.isin(self.catalogue.codes[:, KIND], self.catalogue.codes[at, KIND]) if len(at) else closeness > 0
        order = np.lexsort((-self.catalogue.facts[:, F_14], ~same_kind, -closeness))
        out = np.union1d(at, self.catalogue.index.get_indexer(pd.Index(sorted(hidden), dtype=object)))
        order = order[~np.isin(order, out)] if len(at) else order[:0]
        return self._listed(order, closeness, "similar", n, ())

    def _listed(
        self, order: npt.NDArray[np.integer], score: npt.NDArray[np.floating], source: str, n: int,
        hidden: Collection[str],
    ) -> pd.DataFrame:  # fmt: skip
        shown = order[~np.isin(self.product_ids[order], sorted(hidden))][:n] if hidden else order[:n]
        return pd.DataFrame(
            {
                "rank": np.arange(1, len(shown) + 1),
                "product_id": self.catalogue.index.to_numpy()[shown],
                "score": score[shown].astype(np.float64),
                "source": source,
                "reason": source,
                "repurchase": False,
            }
        )

    def ranked(
        self, history: History, as_of_day: int, hidden: Hidden, n: int
    ) -> tuple[Ints, Floats, npt.NDArray[np.int8], npt.NDArray[np.bool_]]:
        """Rank own and other products of some customers together.

        Returns
        -------
        items, log-odds, positions in SOURCES, whether due again : arrays of shape (n_customers, n)
            Best first; padded with -1 where there is no other product.
        """
        shelf = Shelf(self.catalogue, self.neighbours, self.taste, as_of_day)
        chosen = shelf.choose(history, hidden, n)
        is_own, is_other = chosen.own != PADDING, chosen.items != PADDING
        own = np.full(chosen.own.shape, PADDING, np.int32)
        own[is_own] = history.items[chosen.own[is_own]]
        logits = [np.full(each.shape, -np.inf, np.float32) for each in (own, chosen.items)]
        logits[0][is_own], logits[1][is_other] = self._log_odds(history, chosen, as_of_day)
        leave_room(logits[0], is_other.sum(axis=1), n)
        due = np.zeros(own.shape, np.bool_)
        due[is_own] = is_due(self.catalogue, history, chosen.own[is_own])
        source = np.hstack([np.full(own.shape, REPEAT, np.int8), chosen.source])
        score = np.hstack(logits)
        keep_new(score, (source == NEW) & (score > -np.inf), n)
        best = np.argsort(-score, axis=1, kind="stable")[:, :n]
        score = np.take_along_axis(score, best, axis=1)
        items = np.take_along_axis(np.hstack([own, chosen.items]), best, axis=1)
        again = np.hstack([due, np.zeros(chosen.items.shape, np.bool_)])
        items = np.where(np.isneginf(score), np.int32(PADDING), items)
        return items, score, np.take_along_axis(source, best, axis=1), np.take_along_axis(again, best, axis=1)

    def save(self, folder: Path) -> None:
        """Write facts about products, none about a customer. Same model, same bytes."""
        c, near = self.catalogue, self.neighbours
        names: dict[str, Any] = {f"names_{level}": names for level, names in zip(LEVELS, c.names, strict=True)}
        np.savez(
            folder / ITEMS,
            product_ids=c.product_ids, facts=c.facts, codes=c.codes, launched=c.launched,
            durable=c.durable.astype(np.int8), item_factors=self.taste.factors, target=near.target,
            kinds=near.kinds, weights=near.weights.astype(np.float16), **names,
        )  # fmt: skip
        self.ranker.save(folder)
        facts = {"day": self.day, "learnt_from": self.facts, "method": self.method}
        (folder / FACTS_FILE).write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Recommender:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        with np.load(folder / ITEMS, allow_pickle=False) as saved:
            items = {name: saved[name] for name in saved.files}
        names = tuple(items[f"names_{level}"] for level in LEVELS)
        durable = items["durable"].astype(np.bool_)
        catalogue = Catalogue(items["product_ids"], items["facts"], items["codes"], items["launched"], durable, names)
        near = Neighbours(items["target"], items["kinds"], items["weights"].astype(np.float32))
        taste, ranker = Taste(items["item_factors"]), Ranker.load(folder)
        return cls(catalogue, near, taste, ranker, facts["day"], facts["learnt_from"])

    def hidden(self, exclude: pd.DataFrame, everywhere: Collection[str], customers: Ids) -> Hidden:
        """Lay out what must not be shown to these customers, and to anybody."""
        row = positions(exclude["customer_id"], pd.Index(np.asarray(customers, dtype=object)))
        item = positions(exclude["product_id"], self.catalogue.index)
        known = (row >= 0) & (item >= 0)
        cells = np.ones(known.sum()), (row[known], item[known])
        of_customer = sparse.csr_matrix(cells, shape=(len(customers), len(self.catalogue)))
        return Hidden(of_customer, self.catalogue.index.isin(sorted(everywhere)))

    def _log_odds(self, history: History, chosen: Chosen, as_of_day: int) -> tuple[Floats, Floats]:
        """Give the log-odds of all candidates, row by row; of whom nothing is known, by how much all buy it."""
        owner, place = np.nonzero(chosen.items != PADDING)
        items = chosen.items[owner, place]
        repeat = repeat_pairs(history, self.catalogue, chosen)
        reach = self.catalogue.reach
        if self.ranker.repeat is not None:
            own = log_odds(self.ranker.repeat, repeat)
        else:
            own = formula_repeat(repeat, reach[history.items[chosen.own[chosen.own != PADDING]]])
        if self.ranker.new is not None:
            other = log_odds(self.ranker.new, new_pairs(history, self.catalogue, chosen, as_of_day))
        else:
            liking = np.einsum("ij,ij->i", self.taste.of(history)[owner], self.taste.factors[items])
            other = formula_new(liking, reach[items])
        unknown = (np.diff(history.ptr) == 0)[owner]
        other[unknown] = self.catalogue.pace[items[unknown]]
        return own, other
