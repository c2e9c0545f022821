"""The price table."""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import ExactDecimal, UtcDateTime

STATES = "state in ('new', 'priced', 'unknown', 'spam')"
# What has a price has all of it; what has none has nothing that looks like one.
WHOLE = (
    "(state = 'priced') = (price_usd is not null) and (state = 'priced') = (priced_at is not null)"
    " and (state = 'priced') = (source is not null)"
    " and (state = 'priced') = (confidence is not null)"
)


class Price(Table, table=True):
    """The newest price of one asset, and when it is to be asked for again.

    A row is made when somebody first holds the asset. Once priced it stays so: a provider that no
    longer answers leaves the last price, which grows old and says so.
    """

    __tablename__ = "price"
    __table_args__ = (
        CheckConstraint(STATES, name="state"),
        CheckConstraint(WHOLE, name="whole"),
        Index("ix_price_next_ask_at", "next_ask_at", postgresql_where=text("state <> 'spam'")),
    )

    asset_id: int = Field(
        foreign_key="tallybook.asset.id",
        primary_key=True,
        sa_column_kwargs={"autoincrement": False},
    )
    state: str = Field(default="new", sa_type=Text, description="A PriceState.")
    price_usd: Decimal | None = Field(
        default=None, sa_type=ExactDecimal, description="Of one whole coin."
    )
    source: str | None = Field(default=None, sa_type=Text, description="Key of the provider.")
    priced_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, description="The provider's own time."
    )
    confidence: Decimal | None = Field(
        default=None, sa_type=ExactDecimal, description="From 0 to 1."
    )
    flag: str | None = Field(default=None, sa_type=Text, description="Why not to rely on it.")
    asked_at: datetime | None = Field(
        default=None,
        sa_type=UtcDateTime,
        description="When last claimed; fences the answer.",
    )
    next_ask_at: datetime = Field(
        sa_type=UtcDateTime, description="Due time; while asked, the end of the claim."
    )
    misses: int = Field(default=0, description="Answers in a row without a price.")
