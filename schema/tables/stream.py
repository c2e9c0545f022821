"""The stream table: what is synced, what is due and who is working."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Text, UniqueConstraint, text
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import EPOCH, UtcDateTime

KINDS = "kind in ('native', 'internal', 'erc20', 'erc721', 'erc1155', 'withdrawal')"
STATES = "state in ('pending', 'up_to_date', 'snoozed', 'stopped', 'dead')"


class Stream(Table, table=True):
    """One feed of one address on one chain from one provider.

    A *pass* reads from ``settled_block`` to the pinned ``pass_head``; it may take many chunks.
    Only the holder of ``lease_token`` writes, and within one token ``next_block`` only grows: the
    page write relies on both.
    """

    __tablename__ = "stream"
    __table_args__ = (
        UniqueConstraint("address_id", "chain_id", "kind", "generation"),
        CheckConstraint(KINDS, name="kind"),
        CheckConstraint(STATES, name="state"),
        Index(
            "ix_stream_due_at",
            "due_at",
            postgresql_where=text("state in ('pending', 'up_to_date', 'snoozed')"),
        ),
    )

    id: int | None = Field(default=None, primary_key=True, sa_column_args=[Identity(always=True)])
    address_id: int = Field(foreign_key="tallybook.address.id")
    chain_id: int = Field(sa_type=BigInteger)
    kind: str = Field(sa_type=Text, description="A StreamKind.")
    provider: str = Field(sa_type=Text, description="Key of the source.")
    generation: int = Field(default=1, description="Grows with each change of provider.")
    live: bool = Field(default=True, description="Counts in balances and history.")
    state: str = Field(
        default="pending", sa_type=Text, description="A StreamState; syncing is a live lease."
    )
    lease_token: int = Field(
        default=0, sa_type=BigInteger, description="Fencing token; grows with every lease."
    )
    lease_until: datetime = Field(default=EPOCH, sa_type=UtcDateTime)
    lease_holder: str | None = Field(
        default=None, sa_type=Text, description="The process that took it."
    )
    settled_block: int = Field(
        default=-1, sa_type=BigInteger, description="Last block that can no longer change."
    )
    next_block: int = Field(
        default=0, sa_type=BigInteger, description="First block not yet asserted in this pass."
    )
    pass_head: int | None = Field(
        default=None, sa_type=BigInteger, description="Head pinned for the open pass."
    )
    synced_block: int | None = Field(
        default=None, sa_type=BigInteger, description="Head of the last whole pass."
    )
    synced_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    anchors: str = Field(
        default="[]", sa_type=Text, description="JSON [[block, hash hex], ..], oldest first."
    )
    page_rows: int | None = Field(
        default=None, description="Smaller pages, learned from a slow provider."
    )
    due_at: datetime = Field(sa_type=UtcDateTime)
    attempts: int = Field(default=0, description="Failures in a row without progress.")
    error_code: str | None = Field(default=None, sa_type=Text)
    error_detail: str | None = Field(default=None, sa_type=Text)
    error_fix: str | None = Field(default=None, sa_type=Text)
    resting_since: datetime | None = Field(
        default=None, sa_type=UtcDateTime, description="No wallet wants it."
    )
    created_at: datetime = Field(sa_type=UtcDateTime)
