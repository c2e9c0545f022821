"""The seen_call table."""

from datetime import datetime

from sqlalchemy import Text
from sqlmodel import Field

from schema.tables.base import Table
from schema.types import UtcDateTime


class SeenCall(Table, table=True):
    """A signed call that was accepted: a copy of it is not accepted again."""

    __tablename__ = "seen_call"

    signature: str = Field(sa_type=Text, primary_key=True)
    at: datetime = Field(sa_type=UtcDateTime)
