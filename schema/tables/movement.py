"""The movement table: the ledger itself."""

from datetime import datetime

from sqlalchemy import BigInteger, LargeBinary, PrimaryKeyConstraint, SmallInteger
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import RawAmount, UtcDateTime


class Movement(Table, table=True):
    """One signed change of one asset. Immutable once its block is settled.

    One key and no other index; no foreign keys: the page write's guard proves the stream, assets
    are resolved just before, and ``verify`` looks for orphans. The checks would cost a third of a
    page's time.
    """

    __tablename__ = "movement"
    __table_args__ = (
        PrimaryKeyConstraint("stream_id", "block", "pos"),
        {
            "sqlite_with_rowid": False,
            "postgresql_with": {"autovacuum_vacuum_insert_scale_factor": 0.02},
        },
    )

    # Wide columns first: no padding inside a Postgres row.
    block: int = Field(
        sa_type=BigInteger, primary_key=True, sa_column_kwargs={"autoincrement": False}
    )
    pos: int = Field(
        sa_type=BigInteger, primary_key=True, description="Place in the block, see position.py."
    )
    at: datetime = Field(sa_type=UtcDateTime)
    stream_id: int = Field(primary_key=True)
    asset_id: int
    kind: int = Field(sa_type=SmallInteger, description="A MovementKind.")
    tx_hash: bytes = Field(
        sa_type=LargeBinary, description="32 bytes; 20 for genesis, none for withdrawals."
    )
    counterparty: bytes | None = Field(default=None, sa_type=LargeBinary)
    amount: int = Field(sa_type=RawAmount, description="Smallest unit; negative when sent.")
