"""What a ledger holds, as one short text per stream: equal before and after a move, or not."""

import hashlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from schema.sql import Statement

_STREAMS = Statement("""
SELECT id, generation, live, settled_block, next_block FROM {t}stream ORDER BY id
""")
_BALANCES = Statement("""
SELECT asset_id, amount, movements FROM {t}balance WHERE stream_id = :stream_id ORDER BY asset_id
""")
_MOVEMENTS = Statement("""
SELECT block, pos, asset_id, kind, amount FROM {t}movement WHERE stream_id = :stream_id
ORDER BY block, pos
""")
# The server adds up what it has: a hundred million rows need not travel.
_MOVEMENTS_POSTGRES = Statement("""
SELECT count(*),
  sum(hashtextextended(concat_ws('/', block, pos, asset_id, kind, amount), 0)::numeric)
FROM {t}movement WHERE stream_id = :stream_id
""")


def streams(connection: Connection) -> list[tuple[int, str]]:
    """Every stream's number, and where it stands."""
    return [(row[0], _digest([row])) for row in _STREAMS.run(connection)]


def contents(connection: Connection, stream_id: int) -> str:
    """All balances and movements of a stream."""
    on_sqlite = connection.dialect.name == "sqlite"
    movements = _MOVEMENTS if on_sqlite else _MOVEMENTS_POSTGRES
    parts = [each.run(connection, stream_id=stream_id).all() for each in (_BALANCES, movements)]
    return _digest(row for part in parts for row in [*part, ("/",)])


def _digest(rows: Iterable[Any]) -> str:
    total = hashlib.blake2b(digest_size=8)
    for row in rows:
        total.update(repr(tuple(map(str, row))).encode())
    return total.hexdigest()
