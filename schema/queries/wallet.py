"""The wallet table: who watches which address on which chains."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, delete, insert, select, update

from schema.queries.address import ADDRESS
from schema.sql import Statement
from schema.tables import METADATA, SCHEMA
from schema.types import moment_of

WALLET = METADATA.tables[f"{SCHEMA}.wallet"]


class WalletRow(NamedTuple):
    """A wallet with the account it watches."""

    id: int
    owner: str
    address_id: int
    account: str
    label: str | None
    chain_ids: list[int]
    created_at: datetime


# Every call of the API begins with it: not compiled anew each time.
_ONE = Statement("""
SELECT w.id, w.owner, w.address_id, a.account, w.label, w.chain_ids, w.created_at
FROM {t}wallet w JOIN {t}address a ON a.id = w.address_id
WHERE w.owner = :owner AND w.id = :wallet_id
""")


def wallet_of(connection: Connection, owner: str, wallet_id: int) -> WalletRow | None:
    """One wallet of an owner; None for anybody else's."""
    row = _ONE.run(connection, owner=owner, wallet_id=wallet_id).one_or_none()
    if row is None:
        return None
    *head, chain_ids, created_at = row
    if connection.dialect.name == "sqlite":
        chain_ids, created_at = json.loads(chain_ids), moment_of(created_at)
    return WalletRow._make((*head, chain_ids, created_at))


def wallets_of(connection: Connection, owner: str, *, after_id: int, most: int) -> list[WalletRow]:
    """An owner's wallets in the order they were added, from the one after ``after_id``."""
    page = _of(owner).where(WALLET.c.id > after_id).order_by(WALLET.c.id).limit(most)
    return [WalletRow._make(row) for row in connection.execute(page)]


def put_wallet(
    connection: Connection,
    *,
    owner: str,
    address_id: int,
    chain_ids: Collection[int],
    label: str | None,
    now: datetime,
) -> tuple[WalletRow, bool]:
    """Add a wallet, or add chains to the one there is; True when it is new.

    The caller holds the address's lock.
    """
    known = connection.execute(_of(owner).where(WALLET.c.address_id == address_id)).one_or_none()
    if known is None:
        values = {
            "owner": owner,
            "address_id": address_id,
            "label": label,
            "chain_ids": sorted(set(chain_ids)),
            "created_at": now,
        }
        connection.execute(insert(WALLET).values(**values))
    else:
        found = WalletRow._make(known)
        changes = {
            "chain_ids": sorted({*found.chain_ids, *chain_ids}),
            "label": found.label if label is None else label,
        }
        connection.execute(update(WALLET).where(WALLET.c.id == found.id).values(**changes))
    row = connection.execute(_of(owner).where(WALLET.c.address_id == address_id)).one()
    return WalletRow._make(row), known is None


def delete_wallet(connection: Connection, wallet_id: int) -> None:
    """Forget a wallet; the address and its streams stay."""
    connection.execute(delete(WALLET).where(WALLET.c.id == wallet_id))


def chains_wanted(connection: Connection, address_id: int) -> set[int]:
    """The chains that any wallet of an address wants."""
    rows = connection.execute(select(WALLET.c.chain_ids).where(WALLET.c.address_id == address_id))
    return {chain_id for (chain_ids,) in rows for chain_id in chain_ids}


def _of(owner: str) -> Select[Any]:
    """The wallets of one owner: nothing is ever read without naming one."""
    columns = (
        WALLET.c.id,
        WALLET.c.owner,
        WALLET.c.address_id,
        ADDRESS.c.account,
        WALLET.c.label,
        WALLET.c.chain_ids,
        WALLET.c.created_at,
    )
    joined = WALLET.join(ADDRESS, WALLET.c.address_id == ADDRESS.c.id)
    return select(*columns).select_from(joined).where(WALLET.c.owner == owner)
