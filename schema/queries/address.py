"""The address table: an account is one row, however many wallets watch it."""

from datetime import datetime

from sqlalchemy import Connection, select

from schema.sql import Statement
from schema.tables import METADATA, SCHEMA
from schema.types import micros_of, moment_of

ADDRESS = METADATA.tables[f"{SCHEMA}.address"]
_INSERT = Statement("""
INSERT INTO {t}address (family, account, created_at) VALUES ('evm', :account, {now})
ON CONFLICT (family, account) DO NOTHING
""")
_NOW = Statement("SELECT {now}")


def locked_address_id(connection: Connection, account: str) -> int:
    """The id of an account, made on first sight.

    Its row stays locked until the transaction ends: whoever changes what is wanted of an address
    takes turns here.
    """
    _INSERT.run(connection, account=account)
    found = select(ADDRESS.c.id).where(ADDRESS.c.family == "evm", ADDRESS.c.account == account)
    return int(connection.execute(found.with_for_update()).scalar_one())


def lock_address(connection: Connection, address_id: int) -> None:
    """Take the turn of an address that is known."""
    connection.execute(select(ADDRESS.c.id).where(ADDRESS.c.id == address_id).with_for_update())


def address_id_of(connection: Connection, account: str) -> int | None:
    """The id of an account, or None when nobody ever watched it."""
    found = select(ADDRESS.c.id).where(ADDRESS.c.family == "evm", ADDRESS.c.account == account)
    address_id = connection.execute(found).scalar_one_or_none()
    return None if address_id is None else int(address_id)


def database_now(connection: Connection) -> datetime:
    """The database's clock, which decides what is due."""
    now: datetime | int = _NOW.run(connection).scalar_one()
    return moment_of(now) if isinstance(now, int) else now


def first_token(connection: Connection) -> int:
    """Where the fencing tokens of a new stream begin.

    SQLite gives the id of a deleted row again. Whoever still holds a token of the stream that had
    it must not write to the one that has it now, so no two begin at the same number.
    """
    return micros_of(database_now(connection))
