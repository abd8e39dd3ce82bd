"""What an answer says about a customer, field by field, with units (contracts.md, section 2).

These models describe; they do not serialise: a reply is a plain dict that goes straight to JSON. They stand
in ``/openapi.json`` and in the tests, where a reply with an unknown or a missing field is found. Amounts are
in the shop's ``currency``, before tax where the data lets us; chances are calibrated, 0 to 1.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Chance = Annotated[float, Field(ge=0, le=1, description="calibrated chance, 0 to 1")]
Amount = Annotated[float, Field(description="amount in the shop's currency")]
Status = Literal["ok", "prior_only", "stale_features", "opted_out", "unknown_customer"]
Stage = Literal["F0", "F1", "F2", "F3plus"]
Lifecycle = Literal["prospect", "new", "active", "at_risk", "dormant", "lapsed", "reactivated"]
Why = Literal["not_applicable", "not_active", "no_table", "too_little_history", "no_consent",
              "feature_store_down", "release_changed"]  # fmt: skip
Incentive = Literal["none", "content", "points", "early_access", "free_shipping", "coupon", "gift",
                    "experience", "service", "staff_call"]  # fmt: skip


class Part(BaseModel):
    """A part of an answer; its keys are never absent, an unknown value is null."""

    model_config = ConfigDict(extra="forbid")


class Basis(Part):
    method: Literal["rule", "prior", "light", "full"] = Field(description="rung of the small-shop ladder")
    n: int | None = Field(description="customers the estimate rests on")


class Features(Part):
    as_of: datetime | None = Field(description="instant of the features, exclusive")
    oldest_view_age_hours: float | None = Field(description="hours since the oldest part was known")
    late_tables: list[str] = Field(description="tables that had not come when expected")


class Churn(Part):
    probability: Chance = Field(description="P(no kept order within the horizon), calibrated, 0 to 1")
    horizon_days: int = Field(description="days")
    band: Literal["low", "watch", "high", "critical"] = Field(description="edges from the policy")
    percentile: float = Field(ge=0, le=100, description="0 to 100 among active customers; 100 most at risk")
    change_7d: float | None = Field(description="change of the probability in seven days, -1 to 1")
    silence_ratio: float | None = Field(description="days silent / own expected interval, >= 0")


class SecondOrder(Part):
    p_30d: Chance = Field(description="P(second order within 30 days), 0 to 1; F1 only")
    p_60d: Chance = Field(description="within 60 days")
    p_90d: Chance = Field(description="within 90 days")


class NextOrder(Part):
    p_7d: Chance = Field(description="P(order within 7 days of as_of), 0 to 1; monotone in the days")
    p_14d: Chance = Field(description="within 14 days")
    p_30d: Chance = Field(description="within 30 days")
    p_60d: Chance = Field(description="within 60 days")
    p_90d: Chance = Field(description="within 90 days")
    earliest_on: date | None = Field(description="day by which 10 % would have ordered; null beyond 365 days")
    expected_on: date | None = Field(description="day by which half would have ordered; null beyond 365 days")
    latest_on: date | None = Field(description="day by which 90 % would have ordered; null beyond 365 days")
    overdue_days: float | None = Field(description="days past expected_on")
    categories: list[str] = Field(description="categories most likely in it")


class Replenishment(Part):
    product_id: str = Field(description="product that runs out")
    due_on: date = Field(description="day")
    window_days: float = Field(description="days either side of due_on")
    basis: Literal["own_interval", "category_interval", "product_days"] = Field(description="whose interval")


class Clv(Part):
    predicted_90d: Amount = Field(description="value expected in the next 90 days, net of returns")
    predicted_365d: Amount = Field(description="in the next 365 days")
    low_365d: Amount | None = Field(description="lower end of the 80 % interval of 365 days; null from a prior")
    high_365d: Amount | None = Field(description="upper end of the 80 % interval of 365 days; null from a prior")
    historic: Amount = Field(description="value so far")
    grade: int = Field(ge=1, le=5, description="1 to 5, 5 best")
    basis: Literal["margin", "revenue"] = Field(description="what the amounts count")


class Subscription(Part):
    active: bool = Field(description="a 定期 runs now")
    next_ship_on: date | None = Field(description="day of its next parcel")


class Reason(Part):
    code: str = Field(description="glossary code, as silent_long")
    text: str = Field(description="sentence in the language asked")


class Recommendation(Part):
    rank: int = Field(ge=1, description="1 first")
    product_id: str = Field(description="product")
    score: float = Field(description="for ordering only")
    source: Literal["repeat", "als", "similar", "category", "new", "popular"] = Field(description="why it came up")
    reason: Reason = Field(description="safe to show to the customer")
    repurchase: bool = Field(description="bought before by this customer")


class Action(Part):
    scenario: str | None = Field(description="scenario of the policy; null when nothing is sent")
    kind: str = Field(description="scenario kind; none is a real answer")
    incentive: Incentive = Field(description="type of the offer")
    offer_id: str | None = Field(description="offer of the policy")
    coupon_code: str | None = Field(description="code to print, when one was drawn")
    channel: str | None = Field(description="channel chosen")
    topic: str | None = Field(description="topic of the content")
    template: str | None = Field(description="template to render")
    cost: Amount | None = Field(description="expected cost, amount")
    expires_at: datetime | None = Field(description="instant the offer ends")
    origin: Literal["night", "live"] | None = Field(description="tonight's allocation, or computed now")


class Candidate(Part):
    scenario: str | None = Field(description="scenario, or none")
    incentive: Incentive = Field(description="type of the offer")
    offer_id: str | None = Field(description="offer of the policy")
    channel: str | None = Field(description="channel it would go over")
    p_order_without: Chance | None = Field(description="P(order in the window) if nothing is sent, 0 to 1")
    p_order_with: Chance | None = Field(description="P(order in the window) if this is sent, 0 to 1")
    uplift: float | None = Field(description="p_order_with - p_order_without, -1 to 1")
    window_days: int | None = Field(description="days")
    margin_per_order: Amount | None = Field(description="amount")
    cost: Amount | None = Field(description="amount")
    net_value: Amount | None = Field(description="expected net gain, amount")
    low: Amount | None = Field(description="net_value at the low end of what the offer brings")
    high: Amount | None = Field(description="net_value at the high end of what the offer brings")
    evidence: Literal["randomised", "observed", "assumed"] | None = Field(description="how the uplift is known")


class Send(Part):
    allowed: bool = Field(description="may the action go out")
    from_: datetime | None = Field(alias="from", description="earliest instant")
    until: datetime | None = Field(description="latest instant")
    best_hour: int | None = Field(ge=0, le=23, description="hour of the shop's day, 0 to 23")
    best_hour_basis: Literal["own", "shop"] | None = Field(description="whose habit best_hour is")
    channels: list[str] = Field(description="reachable channels, best first")
    cap_left: dict[str, int] = Field(description="messages left under each channel's caps")


class GuardState(Part):
    code: str = Field(description="guard code, as QUIET_HOURS")
    state: Literal["pass", "fail", "not_checked"] = Field(description="not_checked: table absent or late")
    detail: str | None = Field(description="sentence for staff")
    clears_at: datetime | None = Field(description="instant from which it passes")


class Experiment(Part):
    arm: Literal["treatment", "control"] = Field(description="control: nothing is sent")
    group: str = Field(description="global, or the campaign")


class ChurnReason(Reason):
    direction: str = Field(description="raises or lowers the risk")
    strength: float | None = Field(description="share of the model's contributions; null where facts alone speak")
    value: Any = Field(description="this customer's value")
    typical: Any = Field(description="what is typical")
    actionable: bool = Field(description="can the shop do something about it")


class Missing(Part):
    field: str = Field(description="block that could not be given")
    why: Why = Field(description="reason")
    needs: str | None = Field(description="table or thing that would give it")


class Result(Part):
    """One customer's answer; a block that cannot be given is null and stands in `missing`."""

    customer_id: str = Field(description="the id the person goes by; as asked where nobody is known")
    merged_from: list[str] = Field(description="the person's other ids, sorted; the one asked among them")
    decision_id: str | None = Field(description="hash of customer, campaign, shop day and policy")
    status: Status = Field(description="how far the answer can be trusted")
    served_from: Literal["live", "last_night", "prior"] = Field(description="where the scores came from")
    basis: Basis | None
    as_of: datetime = Field(description="instant of the answer")
    valid_until: datetime | None = Field(description="instant after which to ask again")
    features: Features | None
    order_count: int | None = Field(description="kept orders, >= 0")
    f_stage: Stage | None = Field(description="kept orders as a stage")
    lifecycle: Lifecycle | None = Field(description="edges from the policy")
    tier: str | None = Field(description="rank of the loyalty programme")
    to_next_tier: Amount | None = Field(description="amount to the next tier")
    tier_expires_on: date | None = Field(description="day")
    points: float | None = Field(description="points held")
    points_expire_on: date | None = Field(description="day the next points expire")
    membership: str | None = Field(description="as the shop calls it")
    churn: Churn | None
    second_order: SecondOrder | None
    next_order: NextOrder | None
    replenishment: list[Replenishment]
    clv: Clv | None
    at_risk_365d: Amount | None = Field(description="amount lost in 365 days if the customer leaves")
    promo_share: float | None = Field(description="share of orders bought with a discount, 0 to 1")
    subscription: Subscription | None
    recommendations: list[Recommendation]
    action: Action | None
    candidates: list[Candidate]
    send: Send | None
    guards: list[GuardState]
    experiment: Experiment | None
    reasons: list[ChurnReason]
    missing: list[Missing]
    warnings: list[str] = Field(description="sentences")


class Release(Part):
    id: str | None = Field(description="release that answered; one per answer")
    models: Any = Field(description="its models, by name")
    policy: Any = Field(description="version of the policy")


class ScoreReply(Part):
    """One result per id asked, in the order asked."""

    request_id: str = Field(description="also in the header x-request-id")
    scored_at: datetime = Field(description="instant")
    currency: str | None = Field(description="ISO 4217 code of every amount")
    release: Release
    results: list[Result]


class OpenReply(BaseModel):
    """An answer whose further fields depend on what the shop has."""

    model_config = ConfigDict(extra="allow")
    request_id: str = Field(description="also in the header x-request-id")


class OutcomeState(Part):
    outcome_id: str | None = Field(description="the caller's id, else the hash of the content; null: not kept")
    state: Literal["accepted", "duplicate", "unmatched"] = Field(description="unmatched: kept for a message to come")


class OutcomesReply(Part):
    """accepted + duplicates + unmatched is how many were told."""

    request_id: str = Field(description="also in the header x-request-id")
    accepted: int = Field(description="kept now, and their message is known")
    duplicates: int = Field(description="told before")
    unmatched: int = Field(description="kept aside: no message of that name is known yet")
    outcomes: list[OutcomeState] = Field(description="one per outcome, in the order told")


class DecidedBy(Part):
    id: str = Field(description="release that answered")
    policy: str = Field(description="hash of the policy")


class DecisionReply(Part):
    """A decision as it was recorded; its result is that of the answer then, byte for byte."""

    request_id: str = Field(description="also in the header x-request-id")
    decision_id: str = Field(description="as /v1/score gave it")
    campaign_id: str | None = Field(description="campaign asked for")
    recorded_at: datetime = Field(description="instant")
    state: Literal["planned", "withheld", "held_back", "nothing", "withdrawn"] = Field(
        description="withheld: as a control; held_back: by guards; withdrawn: a guard failed later"
    )
    why: list[str] = Field(description="control, or the codes of the guards that held it back")
    withdrawn_at: datetime | None = Field(description="instant")
    withdrawn_why: list[str] = Field(description="codes of the guards that failed later")
    release: DecidedBy
    result: Result


class RecommendReply(OpenReply):
    recommendations: list[Recommendation]


class Included(Part):
    """A customer of an audience, with what the night decided for them."""

    customer_id: str = Field(description="the id the person goes by")
    scenario: str = Field(description="the scenario asked for")
    offer_id: str | None = Field(description="offer of the policy; null for a message alone")
    incentive: str | None = Field(description="kind of offer")
    channel: str | None = Field(description="channel of the action")
    coupon_code: str | None = Field(description="code to print in the message")
    p_without: Chance | None = Field(description="chance of an order in the window if nothing is sent")
    p_with: Chance | None = Field(description="the same with the offer")
    net_value: Amount | None = Field(description="expected net gain, amount")
    low: Amount | None = Field(description="lower end of net_value's 80 % interval")
    high: Amount | None = Field(description="upper end of net_value's 80 % interval")
    cost: Amount | None = Field(description="expected cost, amount")
    evidence: str | None = Field(description="how the uplift is known")
    decision_id: str | None = Field(description="hash of customer, campaign, shop day and policy")
    send_from: datetime | None = Field(description="earliest instant")
    send_until: datetime | None = Field(description="latest instant")


class Excluded(Part):
    """A customer whom the filter means and who gets nothing."""

    customer_id: str = Field(description="the id the person goes by")
    scenario: str | None = Field(description="the scenario the night had for them")
    offer_id: str | None = Field(description="what they would have got")
    net_value: Amount | None = Field(description="what that would have brought, amount")
    reasons: list[str] = Field(
        description="failed guards, or BUDGET, NO_OFFER, OTHER_SCENARIO, OTHER_CHANNEL, NOT_WORTH_IT, WITHHELD"
    )
    reason_texts: list[str] = Field(description="the same in words")


class Counts(Part):
    meant: int = Field(description="customers the filter means: included and excluded")
    included: int = Field(description="customers")
    excluded: int = Field(description="customers")
    cost: Amount = Field(description="expected cost of the list, amount")
    net_value: Amount = Field(description="expected net gain of the list, amount")
    reasons: dict[str, int] = Field(description="excluded by reason; who has several counts under each")


class AudienceReply(Part):
    """A page of an audience, by customer; with a `profile` the list itself comes instead, as a file."""

    request_id: str = Field(description="also in the header x-request-id")
    score_date: date = Field(description="the night that decided")
    revision: int = Field(description="of that night")
    currency: str = Field(description="ISO 4217 code of every amount")
    who: str = Field(description="the filter in words")
    counts: Counts
    included: list[Included]
    excluded: list[Excluded]
    next_offset: int | None = Field(description="offset of the next page; null on the last one")


class Failure(Part):
    code: str = Field(description="stable word for programs")
    message: str = Field(description="sentence for people; never repeats what was sent")
    path: str | None = Field(description="field at fault, as customer_ids.3")
    request_id: str = Field(description="quote it when asking for help")


class ErrorReply(Part):
    """The one shape of every refusal."""

    error: Failure
