"""The shop's rules for talking to customers, as blocks: what contracts.md section 5 calls the policy."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from features import lake
from features.door.mapping import nearest
from serving.policy.spans import DAY, Hours, HoursOfDay, Offset, Span, hours_of

Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Purpose = Literal["service", "survey", "marketing"]
Kind = Literal[
    "thanks", "delay_notice", "arrival_survey", "make_it_right", "review_request", "welcome", "second_order",
    "replenishment", "birthday", "anniversary", "tier", "points_expiring", "cart", "new_product", "win_back",
]  # fmt: skip
Incentive = Literal[
    "none", "content", "points", "early_access", "free_shipping", "coupon", "gift", "experience", "service",
    "staff_call",
]  # fmt: skip
ChannelName = Literal["email", "line", "push", "sms", "web", "insert", "postal", "phone", "store"]
Anchor = Literal[
    "order.placed", "order.first", "shipment.shipped_at", "shipment.promised_at", "shipment.delivered_at",
    "feedback.csat", "feedback.review", "feedback.ticket_closed", "customer.signed_up_at", "replenishment.due_on",
    "birthday", "anniversary", "points.expire_on", "event.cart",
]  # fmt: skip
# Service before survey before marketing (contracts.md section 5).
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
# Kinds ask something of the customer, and so come after the parcel and under the survey's cap.
SURVEYS = ("arrival_survey", "review_request")
# What costs the shop money or margin, and so counts as selling by price and not by content.
MONEY = ("points", "free_shipping", "coupon", "gift")
# A person hears, sees or is woken by these; quiet hours by contracts.md section 5 (2026-11-21).
INTRUSIVE = ("email", "line", "push", "sms", "phone")
QUIET = hours_of("21:00-08:00")
# Share of those who would not have ordered that an offer brings back: low, assumed, high. Assumptions until an
# experiment of the shop's own has measured it; answers say `evidence: assumed`. Engineering choices (2026-11-25).
ASSUMED: dict[str, tuple[float, float, float]] = {
    "none": (0.000, 0.010, 0.030),
    "content": (0.000, 0.010, 0.020),
    "points": (0.005, 0.025, 0.060),
    "early_access": (0.000, 0.015, 0.040),
    "free_shipping": (0.005, 0.030, 0.070),
    "coupon": (0.010, 0.050, 0.100),
    "gift": (0.005, 0.030, 0.070),
    "experience": (0.000, 0.030, 0.080),
    "service": (0.000, 0.020, 0.060),
    "staff_call": (0.000, 0.030, 0.080),
}
# Of revenue, where neither the policy nor the shop's lines say what goods cost: an assumption (2026-11-25).
MARGIN_SHARE = 0.30
# Premiums given without a lottery: 20 % of an order from 1,000 yen, else 200 yen (contracts.md section 5).
GIFT_SHARE, GIFT_ORDER_FROM, GIFT_SMALL = 0.20, 1_000.0, 200.0


class Block(BaseModel):
    """A block whose unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Control(Block):
    """Customers to whom nothing is sent, so that effects can be measured: of everything, and of one scenario."""

    global_share: Share
    scenario_share: Share = 0.0
    salt: str
    exempt: tuple[Purpose, ...] = ("service",)


class Explore(Block):
    """The share of a scenario's customers who get an offer that no experiment has measured yet, by lot."""

    share: Share = 0.0


class Channel(Block):
    """What one message over a channel costs, and what limits it."""

    cost: Amount = 0.0
    cap: dict[Span, Count] = {}
    quiet: HoursOfDay | None = None
    hours: HoursOfDay | None = None  # the only hours at which it may be used
    monthly_quota: Count | None = None
    per_night: Count | None = None
    needs: Literal["line_user_id"] | None = None
    min_net_value: Amount | None = None


class SurveyCap(Block):
    """How often a customer may be asked something."""

    cap: dict[Span, Count]
    per: Literal["kind", "all"] = "all"

    @model_validator(mode="before")
    @classmethod
    def _caps_stand_beside(cls, given: Any) -> Any:
        """Read ``{90d: 1, per: kind}``."""
        if not isinstance(given, Mapping) or "cap" in given:
            return given
        return {
            "cap": {k: v for k, v in given.items() if k != "per"},
            **({"per": given["per"]} if "per" in given else {}),
        }


class ContentShare(Block):
    """The least share of messages without money in them."""

    min: Share
    over: Span


class WouldBuyAnyway(Block):
    """Above this chance of an order without any message there is no coupon."""

    p_order_without: Share


class Pressure(Block):
    """How much selling a customer is spared."""

    selling: dict[Span, Count] = {}
    survey: SurveyCap | None = None
    content_share: ContentShare | None = None
    coupon: dict[Span, Count] = {90 * DAY: 1}
    would_buy_anyway: WouldBuyAnyway | None = None
    recent_order: Span = 3 * DAY  # no selling so soon after an order


class Season(Block):
    """A stretch of the calendar, both days included: a sale, or days off."""

    name: str
    first: date = Field(alias="from")
    last: date = Field(alias="until")
    no_coupon_before: Span | None = None
    block: tuple[ChannelName, ...] = ()
    no_training_labels: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> "Season":
        if self.last < self.first:
            raise ValueError(f"until {self.last} lies before from {self.first}")
        if self.no_training_labels:
            raise ValueError("no_training_labels: training does not leave out seasons yet; write false")
        return self


class AtRisk(Block):
    silence_ratio: float = Field(default=1.5, gt=0)


class Dormant(Block):
    """After how long without an order a customer is dormant; a category of the shop may have its own."""

    by_category: dict[str, Span] = {}
    default: Span = 120 * DAY


class Lapsed(Block):
    dormant_times: float = Field(default=2, ge=1)


class Reactivated(Block):
    for_: Span = Field(default=90 * DAY, alias="for")


class Lifecycle(Block):
    """Where one stage of a customer's life ends and the next begins."""

    first_order_window: Span = 90 * DAY
    at_risk: AtRisk = AtRisk()
    dormant: Dormant = Dormant()
    lapsed: Lapsed = Lapsed()
    reactivated: Reactivated = Reactivated.model_validate({})


class Bands(Block):
    """The lower edges of the churn bands."""

    watch: Share
    high: Share
    critical: Share

    @model_validator(mode="after")
    def _rise(self) -> "Bands":
        if not self.watch < self.high < self.critical:
            raise ValueError("watch, high and critical must rise")
        return self


class Level(Block):
    """One tier: from how much spent within the window, and which offers its members have anyway."""

    id: str
    from_: Amount = Field(default=0.0, alias="from")
    perks: tuple[str, ...] = ()


class Tiers(Block):
    """The shop's ranks."""

    window: Span
    review_on: Literal["monthly", "daily"] = "monthly"
    levels: tuple[Level, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _levels_rise(self) -> "Tiers":
        edges = [level.from_ for level in self.levels]
        if edges != sorted(set(edges)):
            raise ValueError("levels: each must begin above the one before")
        return self


class Pool(Block):
    """A file of codes, one a line, each given to one customer."""

    pool: str


class Valid(Block):
    """The days on which an offer may be given, both included."""

    first: date = Field(alias="from")
    last: date = Field(alias="until")


class Tagged(Block):
    tag: str


class Offer(Block):
    """What a customer would get, what it costs, and to whom it may go."""

    type: Incentive
    value: Amount | None = None
    percent: float | None = Field(default=None, gt=0, le=100)
    cost: Amount | None = None
    min_spend: Amount = 0.0
    code: str | Pool | None = None
    expires: Span | None = None
    valid: Valid | None = None
    products: Tagged | None = None
    not_tags: tuple[str, ...] = ()
    stock: Count | None = None
    per_night: Count | None = None
    cooldown: Span | None = None
    margin_floor: Share | None = None
    redemption: Share = 1.0  # of those who are given it
    max_share_of_order: Share | None = None
    channel: ChannelName | None = None  # the only one that can carry it
    topic: str | None = None
    template: str | None = None
    lift: tuple[float, float, float] | None = None  # low, assumed, high; default by type

    @model_validator(mode="after")
    def _says_what_it_gives(self) -> "Offer":
        if self.type == "coupon" and (self.value is None) == (self.percent is None):
            raise ValueError("a coupon has either value or percent")
        if self.type in ("points", "free_shipping") and self.value is None:
            raise ValueError(f"{self.type} need a value")
        if self.lift is not None and list(self.lift) != sorted(self.lift):
            raise ValueError("lift must rise: low, assumed, high")
        return self

    @property
    def lifts(self) -> tuple[float, float, float]:
        """Give the low, assumed and high share of those brought back, where no experiment has measured it."""
        return self.lift or ASSUMED[self.type]


class Scenario(Block):
    """When a message is due, to whom, with which offers over which channels."""

    id: str
    kind: Kind
    purpose: Purpose
    priority: int
    after: Anchor | None = None
    around: Anchor | None = None
    before: Anchor | None = None
    window: tuple[Offset, Offset] | None = None
    who: dict[str, Any] = {}
    offers: tuple[str, ...] = ()
    ladder: tuple[str, ...] = ()
    offers_by_tier: dict[str, tuple[str, ...]] = {}
    channels: tuple[ChannelName, ...] = ()
    once_per: Literal["order", "customer"] | None = None
    stop_on: Literal["order"] | None = None
    after_ticket_closed: Span | None = None
    same_reward_for_any_rating: bool = False
    disclose: bool = False
    remind_unused: Span | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> "Scenario":
        anchors = [name for name in ("after", "around", "before") if getattr(self, name) is not None]
        if len(anchors) > 1:
            raise ValueError(f"{' and '.join(anchors)}: a scenario has one anchor")
        if bool(anchors) != (self.window is not None):
            raise ValueError("window: stands with after, around or before, and neither without the other")
        if self.window is not None and self.window[0] >= self.window[1]:
            raise ValueError("window: must open before it closes")
        if self.kind in SURVEYS and self.purpose != "survey":
            raise ValueError(f"purpose: {self.kind} asks something of the customer, so its purpose is survey")
        given = [name for name in ("offers", "ladder", "offers_by_tier") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)}: give one of them")
        return self

    @property
    def anchor(self) -> Anchor | None:
        return self.after or self.around or self.before

    @property
    def offer_ids(self) -> tuple[str, ...]:
        """Name every offer the scenario may make, each once; ``none`` is a message without one."""
        by_tier = (offer for offers in self.offers_by_tier.values() for offer in offers)
        return tuple(dict.fromkeys((*self.offers, *self.ladder, *by_tier))) or ("none",)


class Budget(Block):
    """What may be spent, in the shop's currency: messages and what offers cost."""

    per_night: Amount | None = None
    per_month: Amount | None = None
    per_offer: dict[str, Amount] = {}


class Policy(Block):
    """One version of a shop's rules."""

    version: int = Field(alias="policy")
    control: Control
    explore: Explore = Explore()
    unknown_guard: Literal["block", "allow"] | None = None  # None: block where the table is late, not where none is
    window_days: Literal[7, 14, 30, 60, 90] = 30  # an order within so many days counts for an offer
    margin_share: Share | None = None  # of revenue; default what the shop's costs say, else MARGIN_SHARE
    channels: dict[ChannelName, Channel] = Field(min_length=1)
    pressure: Pressure = Pressure()
    calendar: tuple[Season, ...] = ()
    lifecycle: Lifecycle = Lifecycle()
    bands: Bands = Field(alias="churn_bands")
    tiers: Tiers | None = None
    offers: dict[str, Offer] = {}
    scenarios: tuple[Scenario, ...]
    budget: Budget = Budget()

    @field_validator("offers")
    @classmethod
    def _none_is_taken(cls, offers: dict[str, Offer]) -> dict[str, Offer]:
        if "none" in offers:
            raise ValueError("none: means a message without an offer; choose another name")
        return offers

    @model_validator(mode="after")
    def _names_what_it_has(self) -> "Policy":
        ids = [scenario.id for scenario in self.scenarios]
        if twice := {name for name in ids if ids.count(name) > 1}:
            raise ValueError(f"scenarios: {min(twice)} stands more than once")
        for path, word, known in self.references():
            if word not in known:
                raise ValueError(f"{path}: unknown word {word}{nearest(word, list(known))}")
        return self

    def references(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """List every word that names something elsewhere in the policy: where it stands, the word, what there is."""
        offers, channels = tuple(self.offers), tuple(self.channels)
        levels = tuple(level.id for level in self.tiers.levels) if self.tiers else ()
        found: list[tuple[str, str, tuple[str, ...]]] = []
        for i, scenario in enumerate(self.scenarios):
            named = [("offers", scenario.offers), ("ladder", scenario.ladder)]
            named += [(f"offers_by_tier.{tier}", given) for tier, given in scenario.offers_by_tier.items()]
            found += [(f"scenarios.{i}.{key}", word, ("none", *offers)) for key, words in named for word in words]
            found += [(f"scenarios.{i}.channels", word, channels) for word in scenario.channels]
            found += [(f"scenarios.{i}.offers_by_tier", tier, levels) for tier in scenario.offers_by_tier]
        found += [("budget.per_offer", word, offers) for word in self.budget.per_offer]
        found += [(f"offers.{name}.channel", o.channel, channels) for name, o in self.offers.items() if o.channel]
        return found

    def scenario(self, name: str) -> Scenario:
        return next(scenario for scenario in self.scenarios if scenario.id == name)

    def channels_of(self, scenario: Scenario, offer: str) -> tuple[ChannelName, ...]:
        """Name the channels an offer of a scenario may go over, best first: the offer's own, else the scenario's."""
        own = self.offers[offer].channel if offer in self.offers else None
        return (own,) if own else scenario.channels or tuple(self.channels)

    def quiet(self, name: ChannelName) -> Hours | None:
        """Give the hours at which a channel must be still; those of Japanese practice where the policy is silent."""
        channel = self.channels[name]
        if channel.quiet is None and channel.hours is None and name in INTRUSIVE:
            return QUIET
        return channel.quiet

    @property
    def longest_look(self) -> int:
        """Give the days before and after tonight that a scenario's anchor may lie, as whole days."""
        windows = [abs(edge) + (s.after_ticket_closed or 0) for s in self.scenarios for edge in s.window or ()]
        return max([*windows, 30 * DAY]) // DAY + 2

    @property
    def hash(self) -> str:
        return lake.digest(self.model_dump(mode="json", by_alias=True))[:16]
