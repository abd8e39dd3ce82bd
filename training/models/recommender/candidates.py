"""Which few products are worth ranking for a customer: their own, and others that five ways of looking bring up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import sparse

from training.models.recommender.catalogue import F_14, F_KIND_CYCLE, KIND, Catalogue
from training.models.recommender.history import D14, D120, IDLE, N_DAYS, Floats, History, Ints
from training.models.recommender.neighbours import Neighbours
from training.models.recommender.taste import Taste

# What brought a product up: bought before; newly launched, of a kind the customer buys; bought by who buys the same
# (item-item); much bought of the customer's kinds; fits the taste (ALS); much bought by everybody. A product that
# several bring up is called by the first.
SOURCES = ("repeat", "new", "similar", "category", "als", "popular")
REPEAT, NEW, SIMILAR, CATEGORY, ALS, POPULAR = range(len(SOURCES))

# How many each brings up. Complete Journey, 2017-08-14 and 2017-09-25 (2026-11-24), NDCG@10 of all, of new products and
# CPU-ms a customer, everything counted: 60 own and 30 similar .4677, .0662, .4569, .0592, .37; 40 and 20 .4668, .0653,
# .4574, .0602, .35; 100 own .4692, .4572, .40; 60 similar .0661, .0582, .40. ALS brings up what adds nothing there.
OWN = 60
QUOTAS = np.array([0, 5, 30, 6, 6, 10], np.int64)
FAVOURITE_KINDS, OF_A_KIND = 3, 6
# How much a customer's purchases of the same kind, group, family and brand speak for a new product.
CONTENT = np.array([1.0, 0.3, 3.0, 0.1], np.float32)

PADDING = -1


@dataclass(frozen=True)
class Chosen:
    """Candidates of some customers: a row each, padded with -1; first the own, then the others in order of source."""

    own: npt.NDArray[np.int64]  # (n, k) cells of the history
    items: Ints  # (n, r) positions in the catalogue
    source: npt.NDArray[np.int8]  # (n, r) positions in SOURCES
    similar: Floats  # (n, r) what the neighbours say for it, 0 if nothing


@dataclass(frozen=True)
class Hidden:
    """What must not be shown: to each customer, every stored cell (n, n_items), and to anybody, (n_items,) bool."""

    of_customer: sparse.csr_matrix
    everywhere: npt.NDArray[np.bool_]

    @classmethod
    def nothing(cls, n: int, n_items: int) -> Hidden:
        return cls(sparse.csr_matrix((n, n_items)), np.zeros(n_items, np.bool_))

    @property
    def cells(self) -> tuple[npt.NDArray[np.int64], Ints, npt.NDArray[np.bool_]]:
        cells = self.of_customer
        return cells.indptr.astype(np.int64), cells.indices.astype(np.int32), self.everywhere

    def __getitem__(self, rows: slice) -> Hidden:
        return Hidden(self.of_customer[rows], self.everywhere)


@dataclass(frozen=True)
class Shelf:
    """Everything candidates are taken from; ``taste`` is needed for ALS alone."""

    catalogue: Catalogue
    neighbours: Neighbours
    taste: Taste | None
    day: int

    def choose(self, history: History, hidden: Hidden, n: int) -> Chosen:
        """Choose candidates for each customer, enough for lists of ``n``; never a hidden product."""
        catalogue, n_own = self.catalogue, max(OWN, n)
        if self.taste is None:
            liking, factors = np.zeros((len(history), 1), np.float32), np.zeros((len(catalogue), 1), np.float32)
        else:
            liking, factors = self.taste.of(history), self.taste.factors
        width = int(QUOTAS[:POPULAR].sum()) + max(n, int(QUOTAS[POPULAR]))
        chosen = Chosen(
            np.full((len(history), n_own), PADDING, np.int64),
            np.full((len(history), width), PADDING, np.int32),
            np.full((len(history), width), POPULAR, np.int8),
            np.zeros((len(history), width), np.float32),
        )
        _choose(
            (history.ptr, history.items, history.values),
            (
                hidden.of_customer.indptr.astype(np.int64),
                hidden.of_customer.indices.astype(np.int32),
                hidden.everywhere,
            ),
            (catalogue.codes, catalogue.durable, catalogue.facts[:, F_KIND_CYCLE], catalogue.momentum),
            (*self.neighbours.rows(catalogue), self.neighbours.target),
            self.neighbours.weights,
            (liking, factors[self.neighbours.target]),
            (catalogue.by_popularity, *_best_of_kinds(catalogue), catalogue.fresh(self.day)),
            (QUOTAS if self.taste is not None else _WITHOUT_ALS, n),
            (chosen.own, chosen.items, chosen.source, chosen.similar),
        )
        return chosen


_WITHOUT_ALS = np.where(np.arange(len(QUOTAS)) == ALS, 0, QUOTAS)


def _best_of_kinds(catalogue: Catalogue) -> tuple[npt.NDArray[np.int64], Ints]:
    """List each kind's products most bought of late, kind after kind."""
    kind = catalogue.codes[:, KIND]
    order = catalogue.by_popularity[catalogue.facts[catalogue.by_popularity, F_14] > 0]
    order = order[kind[order] >= 0]
    order = order[np.argsort(kind[order], kind="stable")]
    n_kinds = max(1, len(catalogue.names[KIND]))
    ptr = np.append(0, np.cumsum(np.bincount(kind[order], minlength=n_kinds))).astype(np.int64)
    return ptr, order


@njit(cache=True, nogil=True)
def _choose(cells, hides, facts, rows, weights, tastes, lists, wanted, out):  # type: ignore[no-untyped-def]
    """Fill the candidates of all customers, one after the other; scratch arrays are marked, not cleared."""
    ptr, items, values = cells
    codes, durable, kind_cycle, momentum = facts
    row_of_item, row_of_kind, target = rows
    liking, factors = tastes
    popular, kind_ptr, kind_best, fresh = lists
    quotas, n_list = wanted
    own, chosen, source, similar = out
    closed = hides[2]
    hidden, seen = np.full(len(codes), -1), np.full(len(codes), -1)
    likes = np.zeros((codes.shape[1], codes.max() + 2), np.float32)
    near = np.zeros(len(target), np.float32)
    for u in range(len(ptr) - 1):
        for h in hides[1][hides[0][u] : hides[0][u + 1]]:
            hidden[h] = u
            seen[h] = u
        near[:] = 0
        for c in range(ptr[u], ptr[u + 1]):
            seen[items[c]] = u
            _spread(near, row_of_item[items[c]], np.float32(1), weights)
            for level in range(codes.shape[1]):
                likes[level, codes[items[c], level] + 1] += values[c, D120]
        likes[:, 0] = 0
        n_own = _take_own(own[u], ptr[u], ptr[u + 1], items, values, hidden, closed, u, durable, kind_cycle)
        favourites = _favourite_kinds(likes[KIND], ptr[u], ptr[u + 1], items, codes, row_of_kind, near, weights)
        count = _take_fresh(fresh, likes, codes, seen, closed, u, quotas[NEW], chosen[u], source[u])
        count = _take_best(
            near, momentum, target, seen, closed, u, quotas[SIMILAR], SIMILAR, count, chosen[u], source[u]
        )
        for kind in favourites:
            end = min(kind_ptr[kind + 1], kind_ptr[kind] + OF_A_KIND)
            most = min(quotas[CATEGORY] // FAVOURITE_KINDS + count, len(chosen[u]))
            count = _take(kind_best[kind_ptr[kind] : end], seen, closed, u, most, CATEGORY, count, chosen[u], source[u])
        if quotas[ALS] > 0 and ptr[u] < ptr[u + 1]:
            fit, most = _liked(liking[u], factors), quotas[ALS]
            count = _take_best(fit, momentum, target, seen, closed, u, most, ALS, count, chosen[u], source[u])
        most = min(max(count + quotas[POPULAR], n_list - n_own), len(chosen[u]))
        count = _take(popular, seen, closed, u, most, POPULAR, count, chosen[u], source[u])
        for place in range(count):
            row = row_of_item[chosen[u, place]]
            similar[u, place] = near[row] if row >= 0 else 0
        for c in range(ptr[u], ptr[u + 1]):
            for level in range(codes.shape[1]):
                likes[level, codes[items[c], level] + 1] = 0


@njit(cache=True, nogil=True)
def _liked(liking, factors):  # type: ignore[no-untyped-def]
    """Score the targets by one customer's taste: a sum in one order, whoever else is asked about."""
    fit = np.zeros(len(factors), np.float32)
    for j in range(len(factors)):
        for f in range(factors.shape[1]):
            fit[j] += liking[f] * factors[j, f]
    return fit


@njit(cache=True, nogil=True)
def _spread(near, row, by, weights):  # type: ignore[no-untyped-def]
    """Add what one input says for all targets."""
    if row >= 0:
        for k in range(len(near)):
            near[k] += by * weights[row, k]


@njit(cache=True, nogil=True)
def _take_own(out, first, last, items, values, hidden, closed, u, durable, kind_cycle):  # type: ignore[no-untyped-def]
    """Take a customer's own products, the most bought of late first; a durable one not right after it was bought."""
    order = np.argsort(-(values[first:last, D120] + values[first:last, D14]), kind="mergesort")
    count = 0
    for place in order:
        c = first + place
        is_soon = durable[items[c]] and values[c, N_DAYS] <= 1 and values[c, IDLE] < kind_cycle[items[c]]
        if hidden[items[c]] != u and not closed[items[c]] and not is_soon and count < len(out):
            out[count] = c
            count += 1
    return count


@njit(cache=True, nogil=True)
def _favourite_kinds(likes, first, last, items, codes, row_of_kind, near, weights):  # type: ignore[no-untyped-def]
    """Find the kinds a customer buys most; let each kind they buy speak for its neighbours on the way."""
    best = np.full(FAVOURITE_KINDS, -1)
    done = np.empty(last - first, np.int64)
    n_done = 0
    for c in range(first, last):
        kind = codes[items[c], KIND]
        if kind < 0 or likes[kind + 1] < 0:
            continue
        done[n_done] = kind
        n_done += 1
        _spread(near, row_of_kind[kind], np.log1p(likes[kind + 1]), weights)
        slot = FAVOURITE_KINDS
        while slot > 0 and (best[slot - 1] < 0 or -likes[best[slot - 1] + 1] < likes[kind + 1]):
            slot -= 1
            if slot + 1 < FAVOURITE_KINDS:
                best[slot + 1] = best[slot]
        if slot < FAVOURITE_KINDS:
            best[slot] = kind
        likes[kind + 1] = -likes[kind + 1]  # spoken for
    for k in range(n_done):
        likes[done[k] + 1] = -likes[done[k] + 1]
    return best[best >= 0]


@njit(cache=True, nogil=True)
def _take(ranked, seen, closed, u, most, origin, count, chosen, source):  # type: ignore[no-untyped-def]
    """Take the first of a ranked list that the customer has not met, until there are ``most`` candidates."""
    for item in ranked:
        if count >= most:
            break
        if seen[item] != u and not closed[item]:
            seen[item] = u
            chosen[count] = item
            source[count] = origin
            count += 1
    return count


@njit(cache=True, nogil=True)
def _take_best(score, momentum, target, seen, closed, u, quota, origin, count, chosen, source):  # type: ignore[no-untyped-def]
    """Take the targets with the highest score x momentum, above zero, that the customer has not met."""
    best, place, n = np.zeros(quota, np.float32), np.empty(quota, np.int64), 0
    for j in range(len(target)):
        value = score[j] * momentum[target[j]]
        if value <= 0 or (n == quota and value <= best[n - 1]) or seen[target[j]] == u or closed[target[j]]:
            continue
        slot = min(n, quota - 1)
        while slot > 0 and value > best[slot - 1]:
            best[slot], place[slot] = best[slot - 1], place[slot - 1]
            slot -= 1
        best[slot], place[slot] = value, j
        n = min(n + 1, quota)
    return _take(target[place[:n]], seen, closed, u, count + n, origin, count, chosen, source)


@njit(cache=True, nogil=True)
def _take_fresh(fresh, likes, codes, seen, closed, u, quota, chosen, source):  # type: ignore[no-untyped-def]
    """Take the newly launched products nearest to what the customer buys: same kind, group, family, brand."""
    value = np.zeros(len(fresh), np.float32)
    for f in range(len(fresh)):
        for level in range(codes.shape[1]):
            value[f] += CONTENT[level] * likes[level, codes[fresh[f], level] + 1]
    order = np.argsort(-value, kind="mergesort")
    return _take(fresh[order[: np.sum(value > 0)]], seen, closed, u, quota, NEW, 0, chosen, source)
