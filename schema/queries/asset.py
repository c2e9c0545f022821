"""The asset table, read only: ids are made by ``asset_ids``."""

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.sql import Statement


class AssetView(NamedTuple):
    """What is shown of an asset with each movement."""

    contract: bytes | None
    token_id: int | None
    symbol: str | None
    decimals: int | None


_BY_ID = Statement(
    "SELECT id, contract, token_id, symbol, decimals FROM {t}asset WHERE id {any:asset_ids}"
)
# By way of the balances, which know what a stream ever held: an asset that is absent costs nothing.
_HELD = """
SELECT b.stream_id, a.id FROM {{t}}balance b JOIN {{t}}asset a ON a.id = b.asset_id
WHERE b.stream_id {{any:stream_ids}} AND {}
"""


def assets_by_id(connection: Connection, asset_ids: Collection[int]) -> dict[int, AssetView]:
    """What is known of some assets."""
    rows: list[Any] = list(_BY_ID.run(connection, asset_ids=list(asset_ids)))
    return {
        row[0]: AssetView(
            None if row[1] is None else bytes(row[1]),
            None if row[2] is None else int(row[2]),
            row[3],
            row[4],
        )
        for row in rows
    }


def held_assets(
    connection: Connection,
    stream_ids: Collection[int],
    *,
    contract: bytes | None,
    token_id: int | None,
) -> dict[int, list[int]]:
    """Per stream, the assets it ever held of a contract (None: the native coin) or one token id."""
    conditions = ["a.contract IS NULL" if contract is None else "a.contract = :contract"]
    parameters: dict[str, Any] = {"stream_ids": list(stream_ids)}
    if contract is not None:
        parameters["contract"] = contract
    if token_id is not None:
        # An amount is text on SQLite.
        as_text = connection.dialect.name == "sqlite"
        conditions.append(
            "a.token_id = :token_id" if as_text else "a.token_id = :token_id::numeric"
        )
        parameters["token_id"] = str(token_id)
    found: dict[int, list[int]] = {}
    statement = Statement(_HELD.format(" AND ".join(conditions)))
    rows: list[Any] = list(statement.run(connection, **parameters))
    for stream_id, asset_id in rows:
        found.setdefault(stream_id, []).append(asset_id)
    return found
