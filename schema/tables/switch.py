"""The switch table."""

from sqlalchemy import BigInteger, CheckConstraint, Text
from sqlmodel import Field

from schema.tables.base import Table


class Switch(Table, table=True):
    """The one row that names the active queue, the epoch, and whether work is paused."""

    __tablename__ = "switch"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(default=1, primary_key=True, sa_column_kwargs={"autoincrement": False})
    queue: str = Field(default="table", sa_type=Text)
    epoch: int = Field(default=1, sa_type=BigInteger)
    paused: bool = Field(default=False)
