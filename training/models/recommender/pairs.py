"""What a ranker knows of a customer and one product: a row of numbers, the same for learning and for answering.

Counts of purchases are shares of the shop's customers, so that they mean the same in a shop that has grown.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from training.models.recommender.candidates import PADDING, Chosen
from training.models.recommender.catalogue import (
    F_14,
    F_60,
    F_120,
    F_AGAIN,
    F_BUYERS,
    F_CYCLE,
    F_KIND_AGAIN,
    F_KIND_SHARE,
    GROUP,
    KIND,
    Catalogue,
)
from training.models.recommender.history import (
    AGE,
    C_AGE,
    C_D14,
    C_D60,
    C_DAYS,
    C_IDLE,
    C_PRODUCTS,
    C_PURCHASES,
    C_REPEATED,
    D14,
    D60,
    D120,
    IDLE,
    N_DAYS,
    QUANTITY,
    Floats,
    History,
)

# Of both: the customer's rhythm and habits; how the product sells.
COMMON = (
    "customer_14d", "customer_60d", "customer_idle", "customer_gap", "customer_again", "basket", "n_products",
    "bought_14d", "bought_60d", "momentum", "again", "buyers", "kind_idle", "kind_bought", "group_idle",
)  # fmt: skip
# Of an own product: the customer's history with it, and the phase: days since against the usual days between.
REPEAT_INPUTS = (*COMMON, "decayed_14d", "decayed_60d", "decayed_120d", "n_order_days", "idle_days", "age_days",
                 "own_phase", "phase", "share", "cycle_days", "kind_again", "quantity")  # fmt: skip
# Of another: what the neighbours say, and what is new in the shop.
NEW_INPUTS = (*COMMON, "similar", "similar_now", "bought_120d", "long_momentum", "customer_days", "kind_share",
              "group_bought", "launched_days")  # fmt: skip
NEVER = 9999.0  # days, where a customer bought nothing of a kind


def repeat_pairs(history: History, catalogue: Catalogue, chosen: Chosen) -> Floats:
    """Describe the own candidates, row by row of ``chosen.own``, padding left out."""
    out = np.empty((int((chosen.own != PADDING).sum()), len(REPEAT_INPUTS)), np.float32)
    cells = history.ptr, history.items, history.values, history.customers
    _repeat(*cells, catalogue.facts, catalogue.momentum, catalogue.codes, chosen.own, out)
    return out


def new_pairs(history: History, catalogue: Catalogue, chosen: Chosen, day: int) -> Floats:
    """Describe the other candidates, row by row of ``chosen.items``, padding left out."""
    out = np.empty((int((chosen.items != PADDING).sum()), len(NEW_INPUTS)), np.float32)
    cells = history.ptr, history.items, history.values, history.customers
    launched = (day - catalogue.launched).astype(np.float32)
    _new(*cells, catalogue.facts, catalogue.momentum, catalogue.codes, chosen.items, chosen.similar, launched, out)
    return out


@njit(cache=True, nogil=True)
def _common(out, u, item, customers, facts, momentum, codes, last, bought):  # type: ignore[no-untyped-def]
    days = max(customers[u, C_DAYS], np.float32(1))
    out[0], out[1], out[2] = customers[u, C_D14], customers[u, C_D60], customers[u, C_IDLE]
    out[3] = (customers[u, C_AGE] - customers[u, C_IDLE]) / max(days - 1, np.float32(1))
    out[4] = customers[u, C_REPEATED] / max(customers[u, C_PRODUCTS], np.float32(1))
    out[5], out[6] = customers[u, C_PURCHASES] / days, customers[u, C_PRODUCTS]
    out[7], out[8], out[9] = facts[item, F_14], facts[item, F_60], momentum[item]
    out[10], out[11] = facts[item, F_AGAIN], facts[item, F_BUYERS]
    kind, group = codes[item, KIND] + 1, codes[item, GROUP] + 1
    out[12], out[13], out[14] = last[0, kind], bought[0, kind], last[1, group]
    return group, days


@njit(cache=True, nogil=True)
def _tell(first, end, items, values, codes, last, bought):  # type: ignore[no-untyped-def]
    """Write down when a customer last bought of each kind and group, and how much."""
    for c in range(first, end):
        for level in range(2):
            code = codes[items[c], level] + 1
            if code > 0:
                last[level, code] = min(last[level, code], values[c, IDLE])
                bought[level, code] += values[c, D120]


@njit(cache=True, nogil=True)
def _untell(first, end, items, codes, last, bought):  # type: ignore[no-untyped-def]
    for c in range(first, end):
        for level in range(2):
            last[level, codes[items[c], level] + 1] = NEVER
            bought[level, codes[items[c], level] + 1] = 0


@njit(cache=True, nogil=True)
def _repeat(ptr, items, values, customers, facts, momentum, codes, own, out):  # type: ignore[no-untyped-def]
    last = np.full((2, codes.max() + 2), np.float32(NEVER))
    bought = np.zeros((2, codes.max() + 2), np.float32)
    row = 0
    for u in range(len(own)):
        _tell(ptr[u], ptr[u + 1], items, values, codes, last, bought)
        for c in own[u]:
            if c == PADDING:
                break
            x, item, v = out[row], items[c], values[c]
            row += 1
            _, days = _common(x, u, item, customers, facts, momentum, codes, last, bought)
            x[15], x[16], x[17], x[18], x[19], x[20] = v[D14], v[D60], v[D120], v[N_DAYS], v[IDLE], v[AGE]
            span = v[AGE] - v[IDLE]
            x[21] = v[IDLE] * (v[N_DAYS] - 1) / span if span > 0 else np.float32(-1)
            x[22] = v[IDLE] / max(facts[item, F_CYCLE], np.float32(1))
            x[23] = v[N_DAYS] / days
            x[24], x[25] = facts[item, F_CYCLE], facts[item, F_KIND_AGAIN]
            x[26] = v[QUANTITY] / v[N_DAYS]
        _untell(ptr[u], ptr[u + 1], items, codes, last, bought)


@njit(cache=True, nogil=True)
def _new(  # type: ignore[no-untyped-def]
    ptr, items, values, customers, facts, momentum, codes, chosen, similar, launched, out
):
    last = np.full((2, codes.max() + 2), np.float32(NEVER))
    bought = np.zeros((2, codes.max() + 2), np.float32)
    row = 0
    for u in range(len(chosen)):
        _tell(ptr[u], ptr[u + 1], items, values, codes, last, bought)
        for place in range(chosen.shape[1]):
            item = chosen[u, place]
            if item == PADDING:
                break
            x = out[row]
            row += 1
            group, _ = _common(x, u, item, customers, facts, momentum, codes, last, bought)
            x[15], x[16] = similar[u, place], similar[u, place] * momentum[item]
            x[17] = facts[item, F_120]
            x[18] = facts[item, F_60] / facts[item, F_120] if facts[item, F_120] > 0 else np.float32(0)
            x[19], x[20], x[21] = customers[u, C_DAYS], facts[item, F_KIND_SHARE], bought[1, group]
            x[22] = launched[item]
        _untell(ptr[u], ptr[u + 1], items, codes, last, bought)
