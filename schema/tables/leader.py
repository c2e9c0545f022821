"""The leader table."""

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import UtcDateTime


class Leader(Table, table=True):
    """Who does, of many equal processes, what only one needs to do."""

    __tablename__ = "leader"

    role: str = Field(sa_type=Text, primary_key=True)
    holder: str = Field(sa_type=Text)
    until: datetime = Field(sa_type=UtcDateTime, description="The end of its lease.")
