"""The asset table, read only: ids are made by ``asset_ids``."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection

from schema.sql import Statement

# By way of the balances, which know what a stream ever held: an asset that is absent costs nothing.
_HELD = """
SELECT b.stream_id, a.id FROM {{t}}balance b JOIN {{t}}asset a ON a.id = b.asset_id
WHERE b.stream_id {{any:stream_ids}} AND {}
"""


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
