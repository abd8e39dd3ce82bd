"""The canonical tables a shop may bring. Names are spelled here once; contracts.md section 1 is the source."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["id", "text", "instant", "day", "amount", "quantity", "integer", "boolean", "word"]

# What DuckDB stores for each kind. Amounts are exact decimals: sums of doubles differ from run to run.
STORED_AS: dict[Kind, str] = {
    "id": "VARCHAR",
    "text": "VARCHAR",
    "word": "VARCHAR",
    "instant": "TIMESTAMPTZ",
    "day": "DATE",
    "amount": "DECIMAL(18,4)",
    "quantity": "DECIMAL(18,4)",
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
}


@dataclass(frozen=True)
class Column:
    """One column of a canonical table; ``words`` are the only values a ``word`` may take."""

    name: str
    kind: Kind
    required: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """One canonical table: its columns, when a row happened, and what makes two rows the same row."""

    name: str
    columns: tuple[Column, ...]
    happened: str | None = None  # the column that says when; None for facts without a time of their own
    key: tuple[str, ...] = ()  # empty: a row is its whole content

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def _columns(required: str, optional: str = "", words: dict[str, str] | None = None) -> tuple[Column, ...]:
    """Read ``name:kind`` pairs; the kinds are those of :data:`STORED_AS`."""
    known = words or {}

    def column(pair: str, needed: bool) -> Column:
        name, kind = pair.split(":")
        return Column(name, kind, needed, tuple(known.get(name, "").split()))  # type: ignore[arg-type]

    return tuple(column(p, True) for p in required.split()) + tuple(column(p, False) for p in optional.split())


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table(
            "order_lines",
            _columns(
                "order_id:id customer_id:id ordered_at:instant product_id:id quantity:quantity revenue:amount",
                "line_no:id returns_order_id:id currency:text tax:amount list_price:amount discount:amount cost:amount"
                " coupon_id:id channel:text status:word order_type:word known_at:instant",
                {"status": "ok cancelled returned", "order_type": "one_off subscription"},
            ),
            happened="ordered_at",
        ),
        Table(
            "products",
            _columns(
                "product_id:id",
                "name:text category:text brand:text price:amount cost:amount in_stock:boolean launched_at:instant"
                " lasts_days:integer family_id:id tags:text known_at:instant",
            ),
            key=("product_id",),
        ),
        Table(
            "customers",
            _columns(
                "customer_id:id",
                "signed_up_at:instant birth_month_day:text region:text tier:text points:quantity points_expire_on:day"
                " membership:text line_user_id:id member_no:id attributes:text known_at:instant",
            ),
            key=("customer_id",),
        ),
        Table(
            "consents",
            _columns(
                "customer_id:id channel:text purpose:word granted:boolean at:instant",
                "known_at:instant",
                {"purpose": "marketing personalise train"},
            ),
            happened="at",
        ),
        Table(
            "identities",
            _columns(
                "alias_type:text alias:id customer_id:id linked_at:instant",
                "unlinked_at:instant known_at:instant",
            ),
            happened="linked_at",
        ),
        Table(
            "subscriptions",
            _columns(
                "customer_id:id product_id:id started_at:instant",
                "interval_days:integer next_ship_on:day paused_at:instant cancelled_at:instant cancel_reason:text"
                " known_at:instant",
            ),
            happened="started_at",
        ),
        Table(
            "shipments",
            _columns("order_id:id shipped_at:instant", "promised_at:instant delivered_at:instant known_at:instant"),
            happened="shipped_at",
        ),
        Table(
            "events",
            _columns(
                "at:instant kind:word",
                "customer_id:id alias_type:text alias:id product_id:id query:text known_at:instant",
                {"kind": "view cart search wishlist"},
            ),
            happened="at",
        ),
        Table(
            "contacts",
            _columns(
                "contact_id:id customer_id:id at:instant",
                "decision_id:id campaign_id:id scenario:text offer_id:id channel:text cost:amount withheld:boolean"
                " known_at:instant",
            ),
            happened="at",
            key=("contact_id",),
        ),
        Table(
            "responses",
            _columns(
                "kind:word at:instant",
                "contact_id:id decision_id:id campaign_id:id customer_id:id order_id:id amount:amount known_at:instant",
                {"kind": "delivered open click redeem unsubscribe block bounce complaint"},
            ),
            happened="at",
        ),
        Table(
            "feedback",
            _columns(
                "customer_id:id kind:word opened_at:instant",
                "source:text score:quantity order_id:id product_id:id closed_at:instant known_at:instant",
                {"kind": "review csat nps ticket return_request"},
            ),
            happened="opened_at",
        ),
        Table(
            "loyalty_events",
            _columns(
                "customer_id:id kind:word at:instant",
                "points:quantity known_at:instant",
                {"kind": "earn_order earn_review earn_share earn_referral earn_survey redeem expire tier_up tier_down"},
            ),
            happened="at",
        ),
        Table(
            "costs",
            _columns(
                "at:instant kind:word amount:amount",
                "channel:text new_customers:integer known_at:instant",
                {"kind": "acquisition retention"},
            ),
            happened="at",
        ),
    )
}
