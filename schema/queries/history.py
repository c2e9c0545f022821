"""Reads of the movement table by its one key: newest first, each stream for itself.

A read of several streams at once by ``stream_id = ANY`` and one order sorts them whole (166 ms);
LATERAL reads a page of each from the key (0.8 ms at any depth).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection

from schema.engine import BINARY
from schema.queries.stream_view import live_streams
from schema.queries.wallet import wallet_of
from schema.sql import Statement
from schema.types import micros_of, moment_of

MAX_INT64 = 2**63 - 1
MIN_INT64 = -(2**63)
Direction = Literal["in", "out"]


class OfAddress(NamedTuple):
    """The live streams of an address on some chains."""

    address_id: int
    chain_ids: list[int]


class OfWallet(NamedTuple):
    """The live streams of a wallet, if it is the owner's; on one chain or on all it wants."""

    owner: str
    wallet_id: int
    chain_id: int | None = None


Subject = OfAddress | OfWallet


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


class LiveStream(NamedTuple):
    """A live stream, and where its newest movement stands; None when it has none, or not asked."""

    id: int
    chain_id: int
    block: int | None
    pos: int | None


class MovementView(NamedTuple):
    """A movement as read, with what is shown of its asset; numbers of any size are texts."""

    stream_id: int
    chain_id: int
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


class Found(NamedTuple):
    """What one moment showed: all live streams, and the newest movements of those asked for."""

    streams: list[LiveStream]
    rows: list[MovementView]


# One statement, so one moment: rows of a stream are deleted only when it is no longer live.
# A page of each stream from the key, then the newest of them all; assets only of what is shown.
# A time that falls within a stream must not put its rows out of their order: the cursor follows it.
_POSTGRES = """
WITH w AS MATERIALIZED ({streams})
SELECT false AS is_row, w.stream_id, w.chain_id, w.top_block AS block, w.top_pos AS pos,
  NULL AS at, NULL::int, NULL, NULL, NULL, NULL, NULL, NULL, NULL::int, NULL AS fell
FROM w
UNION ALL
SELECT true, x.stream_id, x.chain_id, x.block, x.pos, x.at, x.kind, x.tx_hash, x.counterparty,
  x.amount::text, a.contract, a.token_id::text, a.symbol, a.decimals, x.fell
FROM (
  SELECT w.chain_id, m.* FROM w CROSS JOIN LATERAL (
    SELECT p.*, min(at) OVER (ORDER BY block DESC, pos DESC) AS fell FROM (
      SELECT * FROM tallybook.movement m
      WHERE m.stream_id = w.stream_id AND (m.block, m.pos) < (w.block, w.pos) AND m.block >= w.lo
        {more}
      ORDER BY m.block DESC, m.pos DESC LIMIT %(most)s) p) m
  ORDER BY fell DESC, chain_id, block DESC, pos DESC, stream_id LIMIT %(most)s) x
JOIN tallybook.asset a ON a.id = x.asset_id
ORDER BY is_row, fell DESC, chain_id, block DESC, pos DESC, stream_id
"""
_LIVE = {
    OfAddress: "s.address_id = %(address_id)s AND s.live AND s.chain_id = ANY (%(chain_ids)s)",
    # In the same breath as the page: over a network each round trip costs more than the reading.
    OfWallet: """s.live AND s.address_id = (
      SELECT address_id FROM tallybook.wallet WHERE owner = %(owner)s AND id = %(wallet_id)s)
    AND s.chain_id IN (
      SELECT json_array_elements_text(chain_ids)::bigint
      FROM tallybook.wallet WHERE owner = %(owner)s AND id = %(wallet_id)s)
    AND s.chain_id = coalesce(%(chain_id)s, s.chain_id)""",
}
_FROM_THE_TOP = f"""
SELECT s.id AS stream_id, s.chain_id, {MAX_INT64} AS block, {MAX_INT64} AS pos, 0 AS lo,
  m.block AS top_block, m.pos AS top_pos
FROM tallybook.stream s LEFT JOIN LATERAL (
  SELECT block, pos FROM tallybook.movement WHERE stream_id = s.id
  ORDER BY block DESC, pos DESC LIMIT 1) m ON true
WHERE {{live}}
"""
_FROM_WINDOWS = """
SELECT s.id AS stream_id, s.chain_id, v.block, v.pos, v.lo, NULL::bigint AS top_block,
  NULL::bigint AS top_pos
FROM tallybook.stream s LEFT JOIN unnest(%(ids)s::int[], %(blocks)s::bigint[], %(poss)s::bigint[],
  %(los)s::bigint[]) AS v(stream_id, block, pos, lo) ON v.stream_id = s.id
WHERE {live}
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
    subject: Subject,
    windows: Sequence[Window] | None,
    wanted: MovementFilter,
    *,
    most: int,
) -> Found:
    """The newest ``most`` movements of a subject, newest first, then by chain.

    Args:
        connection: On SQLite within one transaction.
        subject: Whose; of a wallet that is not there or another owner's there is nothing.
        windows: What to read of which stream; what is not live is left out. None reads all live
            streams from the top, and tells where that is.
        wanted: What a movement must be.
        most: At least one.
    """
    if connection.dialect.name == "sqlite":
        return _newest_sqlite(connection, subject, windows, wanted, most)
    parameters: dict[str, Any] = {
        **subject._asdict(),
        "kind": wanted.kind,
        "assets": list(wanted.asset_ids or ()),
        "most": most,
    }
    if windows is not None:
        parameters["ids"] = [window.stream_id for window in windows]
        parameters["blocks"] = [window.block for window in windows]
        parameters["poss"] = [window.pos for window in windows]
        parameters["los"] = [window.lo_block for window in windows]
    streams = _FROM_THE_TOP if windows is None else _FROM_WINDOWS
    sql = _POSTGRES.format(
        streams=streams.format(live=_LIVE[type(subject)]),
        more=_conditions(wanted, on_sqlite=False),
    )
    answer = connection.exec_driver_sql(sql, parameters, execution_options={BINARY: True})
    found = Found([], [])
    # Straight from the driver: rows of SQLAlchemy's own would cost as much again.
    for is_row, *row in answer.cursor.fetchall():
        if is_row:
            found.rows.append(MovementView._make(row[:-1]))
        else:
            found.streams.append(LiveStream._make(row[:4]))
    return found


def streams_of(connection: Connection, subject: Subject) -> dict[int, int]:
    """Ids of the live streams of a subject, with their chains."""
    if isinstance(subject, OfAddress):
        return live_streams(connection, *subject)
    wallet = wallet_of(connection, subject.owner, subject.wallet_id)
    if wallet is None:
        return {}
    chain_ids = [c for c in wallet.chain_ids if subject.chain_id in {None, c}]
    return live_streams(connection, wallet.address_id, chain_ids)


def tops(connection: Connection, stream_ids: Collection[int]) -> dict[int, tuple[int, int]]:
    """Block and place of the newest movement of each stream that has any."""
    found = _TOPS.run(connection, stream_ids=list(stream_ids))
    return {row[0]: (row[1], row[2]) for row in found if row[1] is not None}


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
    connection: Connection,
    subject: Subject,
    windows: Sequence[Window] | None,
    wanted: MovementFilter,
    most: int,
) -> Found:
    """The same in several statements, which the one transaction holds together."""
    chain_of = streams_of(connection, subject)
    at_top = tops(connection, list(chain_of)) if windows is None else {}
    streams = [
        LiveStream(stream_id, chain_id, *at_top.get(stream_id, (None, None)))
        for stream_id, chain_id in chain_of.items()
    ]
    given = [Window(stream_id) for stream_id in chain_of] if windows is None else windows
    pages = [
        _page_sqlite(connection, chain_of[window.stream_id], window, wanted, most)
        for window in given
        if window.stream_id in chain_of
    ]
    ordered = merge(*(_in_order(page) for page in pages), key=itemgetter(0))
    return Found(streams, [row for _, row in islice(ordered, most)])


def _page_sqlite(
    connection: Connection, chain_id: int, window: Window, wanted: MovementFilter, most: int
) -> list[MovementView]:
    """A page of one stream."""
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
    return [
        MovementView._make([row[0], chain_id, *row[1:3], moment_of(row[3]), *row[4:]])
        for row in rows
    ]


def _in_order(
    rows: Iterable[MovementView],
) -> Iterator[tuple[tuple[int, int, int, int, int], MovementView]]:
    """A stream's rows with their places among all, ascending where the history descends."""
    fell = MAX_INT64
    for row in rows:
        fell = min(fell, micros_of(row.at))
        yield (-fell, row.chain_id, -row.block, -row.pos, row.stream_id), row


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
