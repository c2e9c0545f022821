"""The switch table."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Text
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import UtcDateTime


class Switch(Table, table=True):
    """The one row that names the active queue; without it every process works its own."""

    __tablename__ = "switch"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    queue: str = Field(sa_type=Text, description="table, upstash or bullmq.")
    was: str | None = Field(default=None, sa_type=Text, description="The queue before.")
    epoch: int = Field(default=0, sa_type=BigInteger, description="One higher with each change.")
    paused: bool = Field(default=False, description="Nobody claims, whatever the queue.")
    stage: str | None = Field(
        default=None, sa_type=Text, description="How far a move is; null when none is under way."
    )
    changed_at: datetime = Field(sa_type=UtcDateTime)
