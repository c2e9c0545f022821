"""Ids of assets, made on first sight.

In statements of their own before the page: get-or-create inside one statement returns only what
its snapshot saw, and unordered inserts of shared rows deadlock. So: look, insert only the missing,
sorted, look again.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.sql import Statement

Key = tuple[bytes | None, int | None]


class AssetRow(NamedTuple):
    """What is stored with an asset on first sight."""

    standard: str
    symbol: str | None
    name: str | None
    decimals: int | None


_FIND_POSTGRES = """
SELECT a.contract, a.token_id, a.id FROM unnest(%(contract)b::bytea[], %(token_id)b::numeric[]) AS
  u(contract, token_id)
JOIN tallybook.asset a ON a.chain_id = %(chain_id)s AND a.contract = u.contract AND a.token_id =
  u.token_id
UNION ALL
SELECT a.contract, NULL, a.id FROM tallybook.asset a
WHERE a.chain_id = %(chain_id)s AND a.contract = ANY (%(plain)b::bytea[]) AND a.token_id IS NULL
UNION ALL
SELECT NULL, NULL, a.id FROM tallybook.asset a
WHERE a.chain_id = %(chain_id)s AND a.contract IS NULL AND a.token_id IS NULL AND %(native)s
"""
# The join names the columns as the expression index does; a VALUES row a key, so many at once.
_FIND_SQLITE = """
WITH u(contract, token_id) AS (VALUES %s)
SELECT u.contract, u.token_id, a.id FROM u JOIN asset a
ON a.chain_id = ? AND coalesce(a.contract, x'') = u.contract
  AND coalesce(a.token_id, '') = u.token_id
"""
KEYS_AT_ONCE = 400
_INSERT = Statement("""
INSERT INTO {t}asset (chain_id, standard, contract, token_id, symbol, name, decimals)
VALUES (:chain_id, :standard, :contract, :token_id, :symbol, :name, :decimals) ON CONFLICT DO
  NOTHING
""")


def asset_ids(
    connection: Connection, chain_id: int, wanted: Mapping[Key, AssetRow]
) -> dict[Key, int]:
    """The id of every wanted (contract, token id) of a chain; missing ones are inserted."""
    found = _find(connection, chain_id, list(wanted))
    missing = sorted((key for key in wanted if key not in found), key=_order)
    if missing:
        as_text = connection.dialect.name == "sqlite"
        _INSERT.run_many(connection, [_row(chain_id, key, wanted[key], as_text) for key in missing])
        found |= _find(connection, chain_id, missing)
    return found


def _find(connection: Connection, chain_id: int, keys: list[Key]) -> dict[Key, int]:
    """Ids of the keys that exist."""
    if connection.dialect.name == "sqlite":
        return _find_sqlite(connection, chain_id, keys)
    numbered = [(contract, token_id) for contract, token_id in keys if token_id is not None]
    parameters = {
        "chain_id": chain_id,
        "native": (None, None) in keys,
        "contract": [contract for contract, _ in numbered],
        "token_id": [token_id for _, token_id in numbered],
        "plain": [
            contract for contract, token_id in keys if token_id is None and contract is not None
        ],
    }
    rows = connection.exec_driver_sql(_FIND_POSTGRES, parameters).all()
    return {
        (
            None if contract is None else bytes(contract),
            None if token_id is None else int(token_id),
        ): asset_id
        for contract, token_id, asset_id in rows
    }


def _find_sqlite(connection: Connection, chain_id: int, keys: list[Key]) -> dict[Key, int]:
    """Ids by the expression index, some hundred keys a statement."""
    found: dict[Key, int] = {}
    for at in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[at : at + KEYS_AT_ONCE]
        bound = [
            value
            for contract, token_id in some
            for value in (contract or b"", "" if token_id is None else str(token_id))
        ]
        sql = _FIND_SQLITE % ", ".join(["(?, ?)"] * len(some))
        for contract, token_id, asset_id in connection.exec_driver_sql(sql, (*bound, chain_id)):
            found[contract or None, int(token_id) if token_id else None] = asset_id
    return found


def _row(chain_id: int, key: Key, asset: AssetRow, as_text: bool) -> dict[str, Any]:
    """The parameters of one insert."""
    contract, token_id = key
    if token_id is not None and as_text:
        return {
            "chain_id": chain_id,
            "contract": contract,
            "token_id": str(token_id),
            **asset._asdict(),
        }
    return {"chain_id": chain_id, "contract": contract, "token_id": token_id, **asset._asdict()}


def _order(key: Key) -> tuple[bytes, int]:
    """One order for all writers, so that none waits in a circle."""
    contract, token_id = key
    return contract or b"", -1 if token_id is None else token_id
