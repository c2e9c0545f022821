"""The address table."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Identity, Text, UniqueConstraint
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import UtcDateTime


class Address(Table, table=True):
    """An account on a chain family; synced once, however many wallets watch it."""

    __tablename__ = "address"
    __table_args__ = (
        UniqueConstraint("family", "account"),
        CheckConstraint("family in ('evm')", name="family"),
    )

    id: int | None = Field(default=None, primary_key=True, sa_column_args=[Identity(always=True)])
    family: str = Field(default="evm", sa_type=Text)
    account: str = Field(sa_type=Text, description="Lower-case hex with 0x.")
    created_at: datetime = Field(sa_type=UtcDateTime)
