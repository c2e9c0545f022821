"""The base of every table: one schema, one naming convention."""

from sqlalchemy import MetaData
from sqlmodel import SQLModel

SCHEMA = "tallybook"

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

METADATA = MetaData(schema=SCHEMA, naming_convention=NAMING)


class Table(SQLModel):
    """Base of the tables. SQLite has no schemas: there the engine translates ours away."""

    metadata = METADATA
