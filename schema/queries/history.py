"""Reads of the movement table by its one key: newest first, each stream for itself.

A read of several streams at once by ``stream_id = ANY`` and one order sorts them whole (166 ms);
LATERAL reads a page of each from the key (0.8 ms at any depth).
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection

from schema.engine import BINARY
from schema.sql import Statement
from schema.types import micros_of, moment_of

MAX_INT64 = 2**63 - 1
MIN_INT64 = -(2**63)
Direction = Literal["in", "out"]


class Window(NamedTuple):
    """The movements of a stream before (``block``, ``pos``) and not below ``lo_block``."""

    stream_id: int
    block: int = MAX_INT64
    pos: int = MAX_INT64
    lo_block: int = 0


class MovementFilter(NamedTuple):
    """What a movement must be; None asks nothing."""

    asset_ids: Collection[int] | None = None
    kind: int | None = None
    direction: Direction | None = None


class MovementView(NamedTuple):
    """A movement as read, with what is shown of its asset; numbers of any size are texts."""

    stream_id: int
    block: int
    pos: int
    at: datetime
    kind: int
    tx_hash: bytes
    counterparty: bytes | None
    amount: str
    contract: bytes | None
    token_id: str | None
    symbol: str | None
    decimals: int | None


# A page of each stream from the key, then the newest of them all; assets only of what is shown.
# A time that falls within a stream must not put its rows out of their order: the cursor follows it.
_POSTGRES = """
SELECT x.stream_id, x.block, x.pos, x.at, x.kind, x.tx_hash, x.counterparty, x.amount::text,
  a.contract, a.token_id::text, a.symbol, a.decimals
FROM (
  SELECT w.chain_id, m.*, min(m.at) OVER (PARTITION BY m.stream_id ORDER BY m.block DESC,
    m.pos DESC) AS fell FROM unnest(%(ids)s::int[], %(chains)s::bigint[], %(blocks)s::bigint[],
    %(poss)s::bigint[], %(los)s::bigint[]) AS w(stream_id, chain_id, block, pos, lo)
  CROSS JOIN LATERAL (
    SELECT * FROM tallybook.movement m
    WHERE m.stream_id = w.stream_id AND (m.block, m.pos) < (w.block, w.pos) AND m.block >= w.lo
      {more}
    ORDER BY m.block DESC, m.pos DESC LIMIT %(most)s) m
  ORDER BY fell DESC, w.chain_id, m.block DESC, m.pos DESC, w.stream_id LIMIT %(most)s) x
JOIN tallybook.asset a ON a.id = x.asset_id
ORDER BY x.fell DESC, x.chain_id, x.block DESC, x.pos DESC, x.stream_id
"""
_SQLITE = """
SELECT m.stream_id, m.block, m.pos, m.at, m.kind, m.tx_hash, m.counterparty, m.amount,
  a.contract, a.token_id, a.symbol, a.decimals
FROM movement m JOIN asset a ON a.id = m.asset_id
WHERE m.stream_id = :stream_id AND (m.block, m.pos) < (:block, :pos) AND m.block >= :lo {more}
ORDER BY m.block DESC, m.pos DESC LIMIT :most
"""
# Two look-ups by the key; a join on both columns at once would read the whole table.
_TOPS = Statement("""
SELECT s.id,
  (SELECT block FROM {t}movement WHERE stream_id = s.id ORDER BY block DESC, pos DESC LIMIT 1),
  (SELECT pos FROM {t}movement WHERE stream_id = s.id ORDER BY block DESC, pos DESC LIMIT 1)
FROM {t}stream s WHERE s.id {any:stream_ids}
""")
# Times follow blocks, and the key is by block: halve the blocks until one is left, on the server.
_PROBE = """(SELECT at FROM {t}movement m WHERE m.stream_id = q.stream_id
  AND m.block >= q.lo + (q.hi - q.lo) / 2 ORDER BY m.block, m.pos LIMIT 1)"""
_FIRST_BLOCK = Statement(
    """
WITH RECURSIVE q(stream_id, lo, hi) AS (
  SELECT s.id, CAST(0 AS BIGINT), coalesce((SELECT block + 1 FROM {t}movement
    WHERE stream_id = s.id ORDER BY block DESC, pos DESC LIMIT 1), 0)
  FROM {t}stream s WHERE s.id {any:stream_ids}
  UNION ALL
  SELECT q.stream_id,
    CASE WHEN PROBE < :at THEN q.lo + (q.hi - q.lo) / 2 + 1 ELSE q.lo END,
    CASE WHEN PROBE < :at THEN q.hi ELSE q.lo + (q.hi - q.lo) / 2 END
  FROM q WHERE q.lo < q.hi)
SELECT stream_id, lo FROM q WHERE lo >= hi
""".replace("PROBE", _PROBE)
)


def newest(
    connection: Connection,
    windows: Sequence[Window],
    wanted: MovementFilter,
    *,
    chain_of: Mapping[int, int],
    most: int,
) -> list[MovementView]:
    """The newest ``most`` movements of all windows, newest first, then by chain."""
    if connection.dialect.name == "sqlite":
        pages = [_newest_sqlite(connection, window, wanted, most) for window in windows]
        ordered = merge(*(_in_order(page, chain_of) for page in pages), key=itemgetter(0))
        return [row for _, row in islice(ordered, most)]
    parameters = {
        "ids": [window.stream_id for window in windows],
        "chains": [chain_of[window.stream_id] for window in windows],
        "blocks": [window.block for window in windows],
        "poss": [window.pos for window in windows],
        "los": [window.lo_block for window in windows],
        "kind": wanted.kind,
        "assets": list(wanted.asset_ids or ()),
        "most": most,
    }
    sql = _POSTGRES.format(more=_conditions(wanted, on_sqlite=False))
    found = connection.exec_driver_sql(sql, parameters, execution_options={BINARY: True})
    return [MovementView._make(row) for row in found.all()]


def tops(connection: Connection, stream_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Block and place of the newest movement of each stream that has any."""
    found = _TOPS.run(connection, stream_ids=list(stream_ids))
    return {row[0]: (row[1], row[2]) for row in found if row[1] is not None}


def _in_order(
    rows: Iterable[MovementView], chain_of: Mapping[int, int]
) -> Iterator[tuple[tuple[int, int, int, int, int], MovementView]]:
    """A stream's rows with their places among all, ascending where the history descends."""
    fell = MAX_INT64
    for row in rows:
        fell = min(fell, micros_of(row.at))
        yield (-fell, chain_of[row.stream_id], -row.block, -row.pos, row.stream_id), row


def first_blocks(
    connection: Connection, stream_ids: Collection[int], at: datetime
) -> dict[int, int]:
    """Per stream, the first block such that it and all after it lie at or after ``at``.

    Beyond the last block when the stream has nothing that late.
    """
    moment = micros_of(at) if connection.dialect.name == "sqlite" else at
    found = _FIRST_BLOCK.run(connection, stream_ids=list(stream_ids), at=moment)
    return {row[0]: row[1] for row in found}


def _newest_sqlite(
    connection: Connection, window: Window, wanted: MovementFilter, most: int
) -> list[MovementView]:
    """The same for one stream."""
    parameters = {
        "stream_id": window.stream_id,
        "block": window.block,
        "pos": window.pos,
        "lo": window.lo_block,
        "kind": wanted.kind,
        "most": most,
    }
    sql = _SQLITE.format(more=_conditions(wanted, on_sqlite=True))
    rows: list[Any] = list(connection.exec_driver_sql(sql, parameters))
    return [MovementView._make([*row[:3], moment_of(row[3]), *row[4:]]) for row in rows]


def _conditions(wanted: MovementFilter, *, on_sqlite: bool) -> str:
    """What the filter adds to the WHERE."""
    parts = []
    if wanted.asset_ids is not None:
        listed = ", ".join(str(int(asset_id)) for asset_id in wanted.asset_ids) or "NULL"
        parts.append(f"m.asset_id IN ({listed})" if on_sqlite else "m.asset_id = ANY(%(assets)s)")
    if wanted.kind is not None:
        parts.append("m.kind = :kind" if on_sqlite else "m.kind = %(kind)s")
    if wanted.direction == "in":
        parts.append("m.amount NOT LIKE '-%' AND m.amount <> '0'" if on_sqlite else "m.amount > 0")
    if wanted.direction == "out":
        parts.append("m.amount LIKE '-%'" if on_sqlite else "m.amount < 0")
    return "".join(f" AND {part}" for part in parts)
