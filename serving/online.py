"""Live answers: the newest features and the last night's lists, through the same function as the night."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from feature_repo.store import Store
from features import errors
from features.arrivals import arrivals, late_tables
from features.calendar import day_number
from features.door.forget import Tombstones
from features.door.mapping import nearest
from features.errors import BadInput, OkaeriError
from features.exclusions import out_of_stock
from features.home import Home
from features.identity import Holders
from features.journal import Journal
from features.journal.codes import Pool
from features.links import changes_of, links_of
from features.members import listed
from features.products import products
from features.shop import Shop, open_shop
from serving.answers import Answers, Rows, answers
from serving.audiences.answer import Sheet, answer
from serving.audiences.saved import names as audience_names
from serving.audiences.saved import read_audience
from serving.forget import forget
from serving.missing import LOYALTY, OF_TIERS
from serving.outcomes import replay, told
from serving.policy.candidates import fixed_cost
from serving.policy.decisions import Night, Purse
from serving.policy.moment import Moment
from serving.policy.narrow import narrow
from serving.policy.rules import Policy, Scenario
from serving.policy.situation import Table, columns_of
from serving.publication import Publication, current
from serving.recording import Occasion, earlier, only, recorded
from serving.results import BLOCKS, LISTS, Around, Asked, items_shown, results
from serving.schemas import AudienceRequest, OutcomesRequest, RecommendRequest, Refused, ScoreRequest
from serving.surroundings import Kept, Settled, joined
from serving.words import Language
from training.release import Release, champion, open_release, probe
from training.season import season_of

AHEAD = timedelta(days=7)
TIMELINE_ROWS = 20
POPULAR_ITEMS = 50
NOBODY = "\x1f"  # before an alias that nobody holds: the door refuses ids with control characters

Reply = dict[str, Any]


class Online:
    """One release, one published night and one feature store, opened together and never changed."""

    def __init__(
        self, shop: Shop, release: Release, publication: Publication, store: Store, now: Callable[[], datetime]
    ) -> None:
        self.shop, self._release, self.publication, self.store, self.now = shop, release, publication, store, now
        self.policy: Policy = publication.policy
        self.items = publication.by_customer("recommendations")
        self.due = publication.by_customer("replenishment_due")
        self.members = publication.by_customer("customer_scores", LOYALTY)
        self._around = Kept(publication, shop.tables)
        self._settled = Settled(publication)
        self._limits = publication.manifest["limits"]
        facts = products(shop, shop.calendar.start(publication.day))
        self._recommender = release.models.recommender.extended(facts, publication.day)
        self._out_of_stock = out_of_stock(facts)
        self._popular = _rows(self._recommender.popular(POPULAR_ITEMS, self._out_of_stock))
        self._tombstones = Tombstones(shop.home, shop.name)
        self._others = publication.others()
        self._person = {other: person for person, others in self._others.items() for other in others}

    @classmethod
    def open(cls, now: Callable[[], datetime]) -> "Online":
        """Open the home's champion and its last night, the release in a child process first.

        Raises
        ------
        OkaeriError
            If nothing was ingested, trained or published, or a file is damaged.
        """
        home = Home.open()
        shop = open_shop(home)
        path = champion(home)
        probe(path)
        publication = current(home)
        if publication is None:
            raise OkaeriError(f"{home.publications}: no night was published yet; run `okaeri nightly`")
        return cls(shop, open_release(path), publication, Store.open(home, shop), now)

    def score(self, request: ScoreRequest, /) -> Reply:
        """Answer a request: one result per id, in the order asked; the same id is answered once."""
        moment = self._moment(request.as_of)
        asked_ids = self._ids(request)
        distinct = list(dict.fromkeys(asked_ids))
        policy = self._policy(request)
        lang = request.lang or self.shop.mapping.language
        include = BLOCKS if request.include is None else tuple(request.include)
        blocks = BLOCKS if request.record else include  # a decision is recorded whole
        asked = Asked(request.explain or "none", lang, request.n_items, blocks, request.campaign_id)
        answered = self._answers(distinct, policy, moment, request)
        around = self._context(policy, request, lang, moment.day)
        by_id = dict(zip(distinct, results(answered, around, asked), strict=True))
        for named, result in by_id.items():
            result["customer_id"] = named.removeprefix(NOBODY)
        if request.record:
            by_id = self._recorded(by_id, request, moment, include, answered)
        return {
            "scored_at": self.now().isoformat(),
            "currency": self.shop.mapping.currency,
            "release": self._names(),
            "results": [by_id[named] for named in asked_ids],
        }

    def _recorded(
        self, by_id: dict[str, Reply], request: ScoreRequest, moment: Moment, include: tuple[str, ...], a: Answers
    ) -> dict[str, Reply]:
        """Write down what is to be sent or withheld, and put back what was decided first."""
        lang = request.lang or self.shop.mapping.language
        names, cost_of = (self.policy.hash, self._release.id), partial(fixed_cost, self.policy)
        occasion = Occasion(moment.day, int(moment.at), request.campaign_id, *names, cost_of, lang)
        held = a.decisions.choice.withheld.tolist()
        with _turn_awaited():
            stand = recorded(
                list(by_id.values()), occasion, self._journal, withheld=held, pool_of=self._pools.get,
                is_forgotten=self._tombstones.now(),
            )  # fmt: skip
        return {named: only(one, include, BLOCKS, LISTS) for named, one in zip(by_id, stand, strict=True)}

    def outcomes(self, request: OutcomesRequest, /) -> Reply:
        """Take in what came of messages, each once."""
        known_at, buried = int(self._moment(None).at), self._tombstones.buried()
        with _turn_awaited():
            return told(request, self._journal, known_at, self.now(), lambda one: self._person.get(one, one), buried)

    def decision(self, decision_id: str, /) -> Reply | None:
        """Give a recorded decision exactly as it was; ``None`` for an unknown id."""
        return replay(self._journal, decision_id)

    @cached_property
    def _journal(self) -> Journal:
        return Journal.open(self.shop.home, self.shop.name)

    @cached_property
    def _pools(self) -> dict[str, Pool]:
        codes = self.publication.codes()
        return {name: Pool(self._journal, name, some) for name, some in codes.items()}

    def _ids(self, request: ScoreRequest) -> list[str]:
        """Name the person behind each id or alias asked; what names nobody stays as asked, marked."""
        is_forgotten = self._tombstones.now()
        if request.customer_ids is not None:
            return [self._named(one, is_forgotten) for one in request.customer_ids]
        aliases = [(alias.type, alias.value) for alias in request.identifiers or ()]
        held = self._holders.find(aliases)
        named = {alias: self._named(one, is_forgotten) for alias, one in held.items()}
        return [named[a] if not named.get(a, NOBODY).startswith(NOBODY) else NOBODY + a[1] for a in aliases]

    def _named(self, customer_id: str, is_forgotten: Callable[[str], bool]) -> str:
        """Name the person behind an id; whoever was forgotten is nobody from that moment."""
        person = self._person.get(customer_id, customer_id)
        nobody = customer_id.startswith(NOBODY) or any(map(is_forgotten, {customer_id, person}))
        return NOBODY + customer_id if nobody else person

    @cached_property
    def _holders(self) -> Holders:
        return Holders(self._lake(), self.publication.day)

    def _lake(self) -> Shop:
        """Give the lake, opened again where somebody was forgotten since and loads were written anew."""
        if not all(load.path.exists() for load in self.shop.loads):
            self.shop = open_shop(self.shop.home, self.shop.name)
        return self.shop

    def recommend(self, request: RecommendRequest, /) -> Reply:
        """Name products for a customer, or beside a product or a basket."""
        lang = request.lang or self.shop.mapping.language
        hidden = set(request.exclude_product_ids or ())
        if request.customer_id is not None:
            rows = self.items.get(self._named(request.customer_id, self._tombstones.now())) or self._popular
        else:
            beside = request.product_ids or [request.product_id or ""]
            hidden |= set(beside)
            most = POPULAR_ITEMS + len(hidden)
            rows = _rows(self._recommender.beside(beside, most, self._out_of_stock)) or self._popular
        return {"release": self._names(), "recommendations": items_shown(rows, hidden, request.n_items, lang)}

    def audience(self, request: AudienceRequest, /) -> Reply | Sheet:
        """Tell whom a filter means in the night that answers, who gets what, and who does not and why."""
        night = self.publication if self.publication.path.exists() else current(self.shop.home)  # an erasure since
        if night is None:
            raise Refused(503, "not_ready", "the night that answers is being published again")
        return answer(request, night, self._lake, self._tombstones.now())

    def customer(self, customer_id: str, /) -> Reply | None:
        """Give the 360-degree view: the full answer, the latest orders and what makes these ids one person.

        ``None`` for an unknown customer.
        """
        request = ScoreRequest(customer_ids=[customer_id], explain="full")
        reply = self.score(request)
        if reply["results"][0]["status"] == "unknown_customer":
            return None
        person = reply["results"][0]["customer_id"]
        ids = [person, *reply["results"][0]["merged_from"]]
        return {
            "customer_id": person,
            "release": reply["release"],
            "currency": reply["currency"],
            "result": reply["results"][0],
            "orders": self._orders(ids),
            "links": links_of(self._lake(), ids, self.publication.day),
            "identity_changes": changes_of(self._lake(), person, self.publication.day),
        }

    def forget(self, customer_id: str, /) -> Reply | None:
        """Remove a customer from the whole home and give the receipt; ``None`` for an unknown customer.

        From the first step on every worker answers as if it had never known them.
        """
        try:
            return forget(self.shop.home, customer_id, self.now(), self.shop.name)
        except BadInput:
            return None
        except errors.Refused:
            busy = "an ingest, a night or a training runs, or another erasure; try again when it is done"
            raise Refused(503, "busy", busy) from None

    def release(self) -> Reply:
        """Say which release, policy and night answer, and whether the season to come was learnt from."""
        facts, models, lang = self._release.facts, self._release.models, self.shop.mapping.language
        names = ("shop", "trained_until_date", "method", "n", "horizon_days", "feature_schema")
        return {
            **self._names(),
            "facts": {name: facts[name] for name in names},
            "season": season_of(facts, self._moment(None).day, models.horizon_days, self.shop.calendar, lang),
            "publication": {name: self.publication.manifest[name] for name in ("score_date", "revision", "run_id")},
        }

    def ready(self) -> tuple[bool, Reply]:
        """Tell whether the feature store answers and holds a whole night."""
        generation = self.store.generation()
        return generation is not None, {"release": self._release.id, "features": generation is not None}

    def _names(self) -> Reply:
        models = {"method": self._release.models.method, "trained_until": self._release.facts["trained_until_date"]}
        return {"id": self._release.id, "models": models, "policy": self.policy.version}

    def _moment(self, as_of: datetime | None) -> Moment:
        """Find the instant asked for: not before the features' instant, at most seven days ahead.

        Without ``as_of`` it is the shop's now, or the start of the last night's day if that is later.
        """
        calendar, clock, night = self.shop.calendar, self.shop.mapping.clock, self.publication.day
        now = self.now() if clock == "system" else calendar.start(day_number(clock))
        now_day = max(calendar.day(now), night)
        earliest = calendar.start(night)
        if as_of is None:
            return Moment(calendar, now_day, now_day, max(now, earliest).timestamp())
        latest = calendar.start(now_day) + AHEAD
        if not earliest <= as_of <= latest:
            span = f"{earliest.isoformat()} to {latest.isoformat()}"
            raise Refused(422, "as_of_out_of_range", f"as_of must be from {span}", "as_of")
        day = calendar.day(as_of)
        return Moment(calendar, day, max(day, night), as_of.timestamp())

    def _policy(self, request: ScoreRequest) -> Policy:
        """Narrow the policy to the campaign, channels and offers asked for."""
        whole = request.purpose == "marketing"  # one decision over all purposes, unless another is asked for
        chosen = [s for s in self.policy.scenarios if whole or s.purpose == request.purpose]
        if request.campaign_id is not None:
            chosen = [self._campaign(request.campaign_id)]
        for word in request.offers or ():
            _expect(word, ["none", *self.policy.offers], "offers")
        for word in request.channels or ():
            _expect(word, list(self.policy.channels), "channels")
        narrowed = [narrow(self.policy, s, request.offers, request.channels) for s in chosen]
        kept = tuple(s for s in narrowed if s is not None)
        return self.policy if kept == self.policy.scenarios else self.policy.model_copy(update={"scenarios": kept})

    def _campaign(self, campaign_id: str) -> Scenario:
        """Find the scenario a campaign is of; a saved audience's, narrowed to whom and over what it goes."""
        saved = audience_names(self.shop.home)
        _expect(campaign_id, [*(s.id for s in self.policy.scenarios), *saved], "campaign_id")
        if campaign_id not in saved:
            return self.policy.scenario(campaign_id)
        asked = read_audience(self.shop.home, campaign_id).saved
        _expect(asked.scenario, [s.id for s in self.policy.scenarios], "campaign_id")
        whole = self.policy.scenario(asked.scenario)
        who = {"all": [one for one in (whole.who, asked.filter) if one]} if whole.who or asked.filter else {}
        channels = (asked.channel,) if asked.channel in self.policy.channels else whole.channels
        return whole.model_copy(update={"who": who, "channels": channels})

    def _answers(
        self, customer_ids: list[str], policy: Policy, moment: Moment, request: ScoreRequest | None = None
    ) -> Answers:
        latest = self.store.latest(customer_ids)
        ids = latest.customer_id
        starts = {start: self._store_day(start) for start in np.unique(latest.as_of[latest.found])}
        feature_day = np.array([starts.get(start, 0) for start in latest.as_of], np.int64)
        campaign = None if request is None else request.campaign_id
        night = self._night(ids, policy, moment, request)
        around = self._around.of(ids, self._since(ids, campaign, moment, policy))
        rows = Rows(ids, latest.found, feature_day, latest.columns, around)
        late = late_tables(self.shop.mapping, arrivals(self.shop.home, self.shop.name), self.now())
        return answers(rows, self._release, policy, moment, late, self._purse(), night)

    def _night(
        self, ids: NDArray[np.object_], policy: Policy, moment: Moment, request: ScoreRequest | None
    ) -> Night | None:
        """Give what the night has settled of what is asked: all of it, or a campaign's; on its own day alone."""
        narrowed = request is not None and (request.offers or request.channels or request.purpose != "marketing")
        if moment.day != self.publication.day or narrowed:
            return None
        return self._settled.of(ids, None if policy is self.policy else {s.id for s in policy.scenarios})

    def _since(self, ids: NDArray[np.object_], campaign_id: str | None, moment: Moment, policy: Policy) -> Table | None:
        """Give what was recorded for customers since the night, and what it planned for them beside what is asked."""
        start, today = self.shop.calendar.start(self.publication.day), (int(moment.start), int(moment.end))
        found = []
        if self.shop.home.journal(self.shop.name).exists():
            told = earlier(self._journal, int(start.timestamp()), [str(one) for one in ids], campaign_id, today)
            found.append(columns_of(told.astype({"at": float})))
        if moment.day == self.publication.day and policy is not self.policy:
            found.append(self._settled.planned(ids, {s.id for s in policy.scenarios}))
        return joined([some for some in found if len(some["customer_id"])])

    def _purse(self) -> Purse:
        """Give the night's prices and what it has left."""
        prices = {name: limit["price"] for name, limit in self._limits.items()}
        left = {name: limit["left"] for name, limit in self._limits.items()}
        return Purse(prices=prices, left=left, margin_share=self.publication.manifest["margin_share"])

    def _store_day(self, start: np.datetime64) -> int:
        return self.shop.calendar.day(pd.Timestamp(start).tz_localize("UTC").to_pydatetime())

    def _context(self, policy: Policy, request: ScoreRequest, lang: Language, day: int) -> Around:
        hidden = frozenset(request.exclude_product_ids or ())
        return Around(
            self.shop.calendar, self.policy, self._release, self.items, self.due, self._popular, hidden,
            self._others, self.members, self._listed(),
        )  # fmt: skip

    def _listed(self) -> frozenset[str]:
        """Name the facts of members that the shop's list or the policy's tiers tell."""
        return listed(self.shop) | (frozenset(("tier", *OF_TIERS)) if self.policy.tiers else frozenset())

    def _orders(self, ids: list[str]) -> list[Reply]:
        """List a person's latest orders as the shop wrote them."""
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            rows = con.execute(
                "SELECT order_id, min(ordered_at), sum(quantity), sum(revenue), count(*) FROM read_parquet(?)"
                " WHERE customer_id IN (SELECT unnest(?)) AND day < ? AND known_on < ?"
                " GROUP BY order_id ORDER BY 2 DESC, 1 LIMIT ?",
                [
                    [str(path) for path in self._lake().parts("order_lines")],
                    ids,
                    self.publication.day,
                    self.publication.day,
                    TIMELINE_ROWS,
                ],
            ).fetchall()
        names = ("order_id", "ordered_at", "quantity", "revenue", "lines")
        return [
            dict(zip(names, (row[0], row[1].isoformat(), float(row[2]), float(row[3]), row[4]), strict=True))
            for row in rows
        ]


@contextmanager
def _turn_awaited() -> Iterator[None]:
    """Tell a caller to come back if another process kept the journal for seconds."""
    try:
        yield
    except errors.Refused:
        raise Refused(503, "busy", "decisions are being written by others; try again shortly") from None


def _expect(word: str, known: list[str], path: str) -> None:
    if word not in known:
        raise Refused(422, "unknown_word", f"unknown {path}{nearest(word, known)}", path)


def _rows(shown: pd.DataFrame) -> list[Reply]:
    """Give a list of products as the rows of a reply are made from."""
    return [{str(name): value for name, value in row.items()} for row in shown.to_dict("records")]
