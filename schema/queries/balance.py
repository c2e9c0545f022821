"""The balance table: sums of movements, per stream and asset."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.sql import Statement


class Place(NamedTuple):
    """Where an asset stands among all: by chain, the native coin first, contract, token id."""

    chain_id: int
    contract: bytes = b""
    token_id: int = -1


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

    @property
    def place(self) -> Place:
        """Where its asset stands; no other has the same place."""
        return Place(
            self.chain_id, self.contract or b"", -1 if self.token_id is None else self.token_id
        )


FIRST = Place(-1)
MOST = 2**31 - 1
_ROWS = """
SELECT a.id, a.chain_id, a.contract, a.token_id, a.symbol, a.name, a.decimals, b.amount
FROM {t}stream s JOIN {t}balance b ON b.stream_id = s.id JOIN {t}asset a ON a.id = b.asset_id
WHERE s.address_id = :address_id AND s.live = :yes AND s.chain_id {any:chain_ids}
  AND (:zeros OR b.amount <> :zero) AND (PLACE) > (AFTER)
ORDER BY PLACE LIMIT :most
"""
_POSTGRES = Statement(
    _ROWS.replace(
        "PLACE", "a.chain_id, coalesce(a.contract, ''::bytea), coalesce(a.token_id, -1)"
    ).replace("AFTER", ":chain_id, :contract, :token_id")
)
# Token ids are texts here: of two numbers the one of fewer digits is the smaller one.
_SQLITE = Statement(
    _ROWS.replace(
        "PLACE",
        "a.chain_id, coalesce(a.contract, x''),"
        " length(coalesce(a.token_id, '')), coalesce(a.token_id, '')",
    ).replace("AFTER", ":chain_id, :contract, length(:token_id), :token_id")
)


def balance_rows(
    connection: Connection,
    address_id: int,
    chain_ids: Collection[int],
    *,
    with_zeros: bool = True,
    after: Place = FIRST,
    most: int = MOST,
) -> list[BalanceRow]:
    """What the live streams of an address hold on some chains, in the order of places.

    Args:
        connection: Where to read.
        address_id: Whose.
        chain_ids: On which chains.
        with_zeros: Also rows of nothing, which add nothing to a sum.
        after: The assets behind this place only.
        most: So many rows at most; the rows of the last asset may then be cut.
    """
    is_sqlite = connection.dialect.name == "sqlite"
    token_id: int | str = after.token_id
    if is_sqlite:
        token_id = "" if after.token_id < 0 else str(after.token_id)
    found = (_SQLITE if is_sqlite else _POSTGRES).run(
        connection,
        address_id=address_id,
        yes=True,
        chain_ids=list(chain_ids),
        zeros=with_zeros,
        zero="0" if is_sqlite else 0,
        chain_id=after.chain_id,
        contract=after.contract,
        token_id=token_id,
        most=most,
    )
    rows: list[Any] = list(found)
    return [
        BalanceRow._make(
            (
                *row[:2],
                None if row[2] is None else bytes(row[2]),
                None if row[3] is None else int(row[3]),
                *row[4:7],
                int(row[7]),
            )
        )
        for row in rows
    ]
