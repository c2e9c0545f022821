"""The run table."""

from datetime import datetime

from sqlalchemy import BigInteger, Identity, Integer, Text
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import UtcDateTime


class Run(Table, table=True):
    """One row a chunk: what one leased turn of one stream did, and how it ended. Pruned."""

    __tablename__ = "run"

    id: int | None = Field(
        default=None,
        primary_key=True,
        sa_type=BigInteger().with_variant(Integer(), "sqlite"),
        sa_column_args=[Identity(always=True)],
    )
    stream_id: int = Field(index=True)
    lease_token: int = Field(sa_type=BigInteger)
    started_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime = Field(sa_type=UtcDateTime, index=True)
    from_block: int = Field(sa_type=BigInteger)
    to_block: int = Field(sa_type=BigInteger)
    pages: int
    inserted: int = Field(description="Movements written.")
    deleted: int = Field(description="Movements of the tail that were gone or different.")
    outcome: str = Field(
        sa_type=Text, description="done, unfinished, rewound, snoozed, stopped, dead or lost."
    )
    error_code: str | None = Field(default=None, sa_type=Text)
    detail: str | None = Field(default=None, sa_type=Text)
