"""The wallet table."""

from datetime import datetime

from sqlalchemy import JSON, Identity, Text, UniqueConstraint
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import UtcDateTime


class Wallet(Table, table=True):
    """An owner's view of an address: a label and the chains wanted."""

    __tablename__ = "wallet"
    __table_args__ = (UniqueConstraint("owner", "address_id"),)

    id: int | None = Field(default=None, primary_key=True, sa_column_args=[Identity(always=True)])
    owner: str = Field(sa_type=Text)
    address_id: int = Field(foreign_key="tallybook.address.id", index=True)
    label: str | None = Field(default=None, sa_type=Text)
    chain_ids: list[int] = Field(sa_type=JSON, description="Chains wanted, ascending.")
    created_at: datetime = Field(sa_type=UtcDateTime)
