"""The table queue."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import UtcDateTime


class SyncJob(Table, table=True):
    """One wake-up of one stream: waiting, claimed or buried. The ledger knows the rest."""

    __tablename__ = "sync_job"
    __table_args__ = (Index("ix_sync_job_ready_at", "ready_at"),)

    stream_id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    urgent: bool = Field(default=False, description="A user is waiting.")
    ready_at: datetime = Field(
        sa_type=UtcDateTime, description="Due time; while claimed, the end of the lease."
    )
    claimed: bool = Field(default=False)
    claim_token: int = Field(
        default=0, sa_type=BigInteger, description="Random, new with every claim."
    )
    claims: int = Field(default=0, description="Claims since the last success.")
    again_at: datetime | None = Field(
        default=None, sa_type=UtcDateTime, description="Pushed while claimed."
    )
    again_urgent: bool = Field(default=False)
    buried_why: str | None = Field(default=None, sa_type=Text, description="Set: a dead letter.")
