"""The balance table: sums of movements, per stream and asset."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.sql import Statement


class BalanceRow(NamedTuple):
    """What one stream holds of one asset."""

    asset_id: int
    chain_id: int
    contract: bytes | None
    token_id: int | None
    symbol: str | None
    name: str | None
    decimals: int | None
    amount: int


_ROWS = Statement("""
SELECT a.id, a.chain_id, a.contract, a.token_id, a.symbol, a.name, a.decimals, b.amount
FROM {t}stream s JOIN {t}balance b ON b.stream_id = s.id JOIN {t}asset a ON a.id = b.asset_id
WHERE s.address_id = :address_id AND s.live = :yes AND s.chain_id {any:chain_ids}
""")


def balance_rows(
    connection: Connection, address_id: int, chain_ids: Collection[int]
) -> list[BalanceRow]:
    """What the live streams of an address hold on some chains, in no order."""
    found = _ROWS.run(connection, address_id=address_id, yes=True, chain_ids=list(chain_ids))
    rows: list[Any] = list(found)
    return [
        BalanceRow._make(
            (*row[:3], None if row[3] is None else int(row[3]), *row[4:7], int(row[7]))
        )
        for row in rows
    ]
