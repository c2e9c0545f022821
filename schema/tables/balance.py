"""The balance table."""

from sqlalchemy import BigInteger
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import RawAmount


class Balance(Table, table=True):
    """The sum of one stream's movements of one asset, moved in the same statement as they are.

    An address's balance is the sum over its live streams: rows of different streams never share a
    lock.
    """

    __tablename__ = "balance"
    __table_args__ = {"sqlite_with_rowid": False, "postgresql_with": {"fillfactor": 70}}

    stream_id: int = Field(foreign_key="tallybook.stream.id", primary_key=True)
    asset_id: int = Field(primary_key=True)
    amount: int = Field(sa_type=RawAmount(None))
    movements: int = Field(sa_type=BigInteger)
