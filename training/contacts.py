"""The shop's past contacts as an experiment: who could have been sent what, by what chance, and what they did after.

A contact that was withheld and one that was sent can be compared where a draw decided between them. That is looked at,
not believed: if what was known of customers tells better than chance who was withheld, it was no draw.
"""

from dataclasses import dataclass

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata

from features import catalog
from features.identity import persons, teach
from features.shop import Shop
from training.dataset import KEYS, Past
from training.models.linear import Linear
from training.models.moved import Drawn, folds

Matrix = NDArray[np.float64]
Flags = NDArray[np.bool_]

WINDOW_DAYS = 14  # in which an order counts as the contact's; as long as the simulated shop's, 2026-11-25
MOST_DAYS = 60  # of contacts that are learnt from, those with the most; each costs a snapshot where there is none
FEWEST_IN_ARM = 100  # contacts of an offer, and of who was left alone: a chance of .05 is then known to within .04
FEWEST_ORDERS = 50  # among all of them; faults.md B2
FEWEST_A_DAY = 100  # contacts of one campaign day whose own shares are taken; fewer are taken four weeks at a time
# Standard errors by which customers may be told apart from those withheld before it was no draw. Campaigns are looked
# at one by one, 92 of them in the simulated shop: a fair draw passes 3.3 once in a thousand (2026-11-25).
NO_DRAW = 3.3
CHANCE_EDGES = (0.02, 0.98)  # of an estimated chance of being contacted: no row counts more than fifty times
NO_OFFER = "none"
RANDOMISED, OBSERVED = "randomised", "observed"


@dataclass(frozen=True)
class Found:
    """What the shop's contacts come to, or why nothing is to be learnt from them; and each campaign's balance."""

    drawn: Drawn | None
    why_not: str = ""
    frame: pd.DataFrame | None = None  # a row per contact of ``drawn``, in its order, as known when its day began
    balance: tuple["Balance", ...] = ()


@dataclass(frozen=True)
class Balance:
    """How well what was known tells who of a campaign got an offer and who was withheld: .5 is a fair draw."""

    campaign: str
    offer: str
    auc: float
    error: float
    n: int

    @property
    def is_drawn(self) -> bool:
        return abs(self.auc - 0.5) <= NO_DRAW * self.error


def find_contacts(past: Past, until: int, window_days: int = WINDOW_DAYS) -> Found:
    """Find what may be learnt from the contacts whose window is over at business day ``until``."""
    if not past.shop.parts("contacts"):
        return Found(None, "no contacts are known")
    rows = contacted(past.shop, until - window_days, until)
    rows = _of_the_fullest_days(rows)
    rows = rows.groupby(["campaign", "as_of_day"]).filter(lambda some: some.withheld.any() and not some.withheld.all())
    if rows.empty:
        return Found(None, "no campaign withheld its message from anybody")
    features = past.of_contacts(rows, window_days, until)
    frame = rows.merge(features, on=KEYS, how="inner", validate="one_to_one")
    frame, offers = _with_enough(frame)
    if why := _too_few(frame, offers):
        return Found(None, why)
    return _drawn(frame, offers, tuple(catalog.model_inputs(past.shop.tables)), window_days)


def contacted(shop: Shop, before: int, until: int) -> pd.DataFrame:
    """List who was contacted, or meant to be and withheld, on a business day before ``before``, as known at ``until``.

    Returns
    -------
    DataFrame, sorted by ``as_of_day`` (the contact's business day) and ``customer_id`` (the person as of then)
        ``campaign`` (campaign and scenario), ``offer`` (``none`` without one), ``channel`` (empty where nobody says),
        ``withheld``, ``cost`` of the message. Who had several contacts on one day is left out: what moved them is
        not known.
    """
    parts = [str(path) for path in shop.parts("contacts")]
    with duckdb.connect() as con:
        query = "SELECT DISTINCT day FROM read_parquet(?) WHERE day < ?"
        days = [int(row[0]) for row in con.execute(query, [parts, before]).fetchall()]
        teach(con, persons(shop, tuple(days)).merged)
        return con.execute(
            """
            WITH rows AS (
                SELECT day AS as_of_day, person(day, customer_id) AS customer_id,
                       coalesce(campaign_id, '') || ' ' || coalesce(scenario, '') AS campaign,
                       coalesce(offer_id, $none) AS offer, coalesce(channel, '') AS channel,
                       coalesce(withheld, false) AS withheld, offer_id IS NOT NULL AS says_offer,
                       cost::DOUBLE AS cost
                FROM read_parquet($parts, union_by_name = true) WHERE day < $before AND known_on < $until
            )
            FROM rows QUALIFY count(*) OVER (PARTITION BY as_of_day, customer_id) = 1
            ORDER BY as_of_day, customer_id
            """,
            {"parts": parts, "before": before, "until": until, "none": NO_OFFER},
        ).df()


def margin_share(shop: Shop, until: int) -> float:
    """Give what is left of revenue before discounts once the goods are paid; 1 where no line says their cost."""
    with duckdb.connect() as con:
        row = con.execute(
            "SELECT sum(cost)::DOUBLE / nullif(sum(revenue + coalesce(discount, 0)), 0)::DOUBLE"
            " FROM read_parquet(?, union_by_name = true)"
            " WHERE cost IS NOT NULL AND quantity > 0 AND revenue > 0 AND known_on < ?",
            [[str(path) for path in shop.parts("order_lines")], until],
        ).fetchone()
    return 1.0 if row is None or row[0] is None else float(min(1.0, max(0.0, 1 - row[0])))


def _of_the_fullest_days(rows: pd.DataFrame) -> pd.DataFrame:
    sizes = rows.as_of_day.value_counts().sort_index(ascending=False).sort_values(ascending=False, kind="stable")
    return rows[rows.as_of_day.isin(sizes.index[:MOST_DAYS])]


def _with_enough(frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Keep the offers sent often enough, and name them."""
    sent = frame.offer[~frame.withheld].value_counts()
    offers = tuple(sorted(str(offer) for offer in sent.index[sent >= FEWEST_IN_ARM]))
    return frame[frame.withheld | frame.offer.isin(offers)].reset_index(drop=True), offers


def _too_few(frame: pd.DataFrame, offers: tuple[str, ...]) -> str:
    if not offers:
        return f"no offer was sent to {FEWEST_IN_ARM} customers beside whom some were withheld"
    if (alone := int(frame.withheld.sum())) < FEWEST_IN_ARM:
        return f"{alone} customers were withheld; {FEWEST_IN_ARM} are needed"
    orders = int(frame.ordered.sum())
    return "" if orders >= FEWEST_ORDERS else f"{orders} orders followed contacts; {FEWEST_ORDERS} are needed"


def _drawn(frame: pd.DataFrame, offers: tuple[str, ...], names: tuple[str, ...], window_days: int) -> Found:
    """Give every contact the chances it was drawn with, its evidence being what the balance says."""
    arm = np.where(frame.withheld, 0, 1 + frame.offer.map({o: n for n, o in enumerate(offers)}).fillna(0)).astype(
        np.intp
    )
    x = frame[list(names)].to_numpy(np.float64)
    customer = np.unique(frame.customer_id.to_numpy(str), return_inverse=True)[1].astype(np.intp)
    block = _blocks(frame)
    shares = _shares(block, arm, len(offers))
    balance, is_drawn = _balance(frame, x, customer, block, arm, offers)
    evidence, chance, usable = [], shares.copy(), np.ones(len(frame), np.bool_)
    for nth in range(1, 1 + len(offers)):
        randomised = is_drawn[:, nth - 1]
        alone, sent = ((randomised & (shares[:, nth] > 0) & (arm == who)).sum() for who in (0, nth))
        if min(alone, sent) >= FEWEST_IN_ARM:
            evidence.append(RANDOMISED)
            chance[~randomised, nth] = 0.0
            usable &= randomised | (arm != nth)
        else:
            evidence.append(OBSERVED)
            chance[:, nth] = chance[:, 0] * _odds(x, customer, arm, nth, shares)
    usable &= (chance[:, 0] > 0) & (chance[:, 1:].sum(axis=1) > 0)
    chance = chance / np.maximum(chance.sum(axis=1, keepdims=True), 1e-9)
    channel = frame.channel.to_numpy(str)
    y = frame.ordered.to_numpy(np.float64)
    drawn = Drawn(x, names, customer, arm, offers, chance, channel, y, tuple(evidence), window_days).of(usable)
    return Found(drawn, "", frame[usable].reset_index(drop=True), balance)


def _blocks(frame: pd.DataFrame) -> NDArray[np.intp]:
    """Number the draws: a campaign's day, and what a withheld row says it would have been, its channel and its offer.

    Days with few contacts are taken four weeks at a time.
    """
    by_day = frame.groupby(["campaign", "as_of_day"])
    day = np.where(by_day.offer.transform("size") >= FEWEST_A_DAY, frame.as_of_day, -(frame.as_of_day // 28))
    keys = pd.DataFrame({"campaign": frame.campaign, "day": day})
    draw = keys.groupby(["campaign", "day"]).ngroup()
    for column, says in (("channel", frame.channel != ""), ("offer", frame.says_offer)):
        is_told = (says | ~frame.withheld).groupby(draw).transform("all")  # of everyone who was withheld
        keys[column] = frame[column].where(is_told, "")
    return np.asarray(keys.groupby(list(keys.columns)).ngroup(), np.intp)


def _shares(block: NDArray[np.intp], arm: NDArray[np.intp], n_offers: int) -> Matrix:
    """Give the share of each arm in a contact's draw, (n, 1 + n_offers)."""
    counts = np.zeros((block.max() + 1, 1 + n_offers))
    np.add.at(counts, (block, arm), 1.0)
    return np.asarray((counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))[block], np.float64)


def _balance(
    frame: pd.DataFrame,
    x: Matrix,
    customer: NDArray[np.intp],
    block: NDArray[np.intp],
    arm: NDArray[np.intp],
    offers: tuple[str, ...],
) -> tuple[tuple[Balance, ...], Flags]:
    """Look at each campaign and offer; give the findings, and for each contact and offer whether a draw decided.

    Campaigns of one scenario that pass alone are looked at together as well: many small ones hide what one shows.
    """
    found: list[Balance] = []
    is_drawn = np.zeros((len(frame), len(offers)), np.bool_)

    def look(name: str, here: Flags, nth: int) -> None:
        who = here & ((arm == 0) | (arm == nth))
        one = _told_apart(x[who], customer[who], block[who], arm[who] == nth)
        if one is not None:
            found.append(Balance(name, offers[nth - 1], *one, int(who.sum())))
        is_drawn[here, nth - 1] = one is not None and found[-1].is_drawn

    campaign, scenario = _large_enough(frame), frame.campaign.str.partition(" ")[2].to_numpy(str)
    for nth in range(1, 1 + len(offers)):
        for name in sorted(set(campaign.tolist())):
            look(name.strip(), campaign == name, nth)
        for name in sorted(set(scenario.tolist())):
            look(f"{name} (all)", (scenario == name) & is_drawn[:, nth - 1], nth)
    return tuple(found), is_drawn


def _large_enough(frame: pd.DataFrame) -> NDArray[np.str_]:
    """Name the campaign to look at by contact; small campaigns of one scenario are looked at together."""
    alone = frame.withheld.groupby(frame.campaign).transform("sum")
    scenario = frame.campaign.str.partition(" ")[2]
    return np.where(alone >= FEWEST_IN_ARM, frame.campaign, " " + scenario).astype(np.str_)


def _told_apart(
    x: Matrix, customer: NDArray[np.intp], block: NDArray[np.intp], treated: Flags
) -> tuple[float, float] | None:
    """Give the AUC, within draws and of customers not learnt from, of telling who was treated, and its error.

    ``None`` where an arm is empty.
    """
    share = _shares(block, treated.astype(np.intp), 1)[:, 1]
    if min(treated.sum(), (~treated).sum()) < 10:
        return None
    fold, said = folds(customer, 2, 0), np.empty(len(x))
    for nth in range(2):
        seen = fold != nth
        said[~seen] = Linear.ridge(x[seen], treated[seen] - share[seen]).predict(x[~seen])
    told = (treated - share) * (pd.Series(said).groupby([block, fold]).transform(_places).to_numpy() - 0.5)
    whole = (share * (1 - share)).sum()
    if whole <= 0:
        return None
    error = np.sqrt((np.bincount(np.unique(customer, return_inverse=True)[1], told) ** 2).sum())
    # What one half tells of the other and the other of it are one number seen twice, so that halves do not average out:
    # on 88 fair draws of the simulated shop the spread was 1.48 of the error without this root of two (2026-11-25).
    return float(0.5 + told.sum() / whole), float(np.sqrt(2) * error / whole)


def _places(said: "pd.Series[float]") -> Matrix:
    return np.asarray((rankdata(said) - 0.5) / len(said), np.float64)


def _odds(x: Matrix, customer: NDArray[np.intp], arm: NDArray[np.intp], offer: int, shares: Matrix) -> Matrix:
    """Estimate the odds of an offer against being left alone, of customers not learnt from; 0 where never sent."""
    fold, found = folds(customer, 2, 0), np.zeros(len(x))
    could = (shares[:, offer] > 0) & (shares[:, 0] > 0)
    for nth in range(2):
        seen = could & (fold != nth) & ((arm == 0) | (arm == offer))
        chance = expit(Linear.logistic(x[seen], (arm[seen] == offer).astype(np.float64)).predict(x[fold == nth]))
        chance = np.clip(chance, *CHANCE_EDGES)
        found[fold == nth] = chance / (1 - chance)
    return np.where(could, found, 0.0)
