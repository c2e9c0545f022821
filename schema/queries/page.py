"""The page write: one guarded statement asserts what a range of blocks holds.

"This stream's blocks lo..hi hold exactly these movements": what the ledger holds there is
compared, what is no longer true goes, what is new comes, and the balances move with it, in the
same breath as the guard moves the cursor. A page delivered again changes nothing; a stale writer's
guard matches no row and nothing happens.

Why an old snapshot cannot hurt on Postgres: ``old`` is read before the guard waits for the row.
Whatever another commit did to this stream meanwhile, it moved ``next_block`` (pages) or
``lease_token`` (lease, close, rewind), and within one token ``next_block`` only grows; the guard
is rechecked on the newest row after the wait, and fails.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.sql import Statement

MICROS = 1_000_000


class MovementRow(NamedTuple):
    """A movement ready for the ledger; ``at_s`` is whole seconds since 1970 UTC."""

    block: int
    pos: int
    at_s: int
    asset_id: int
    kind: int
    tx_hash: bytes
    counterparty: bytes | None
    amount: int


class PageWrite(NamedTuple):
    """One assertion. ``rows`` lie in ``lo..next_block - 1`` with distinct (block, pos).

    ``settle_to`` is the last block of the pass that can no longer change. ``anchors`` replaces the
    stored list unless it is None.
    """

    stream_id: int
    token: int
    lo: int
    next_block: int
    settle_to: int
    pass_head: int
    lease_s: float
    anchors: str | None
    rows: Sequence[MovementRow]


class PageOutcome(NamedTuple):
    """Whether the guard matched, how many settled rows disagreed, and what was written."""

    applied: bool
    contradicted: int
    inserted: int
    deleted: int


_POSTGRES = """
WITH u AS MATERIALIZED (
  SELECT block, pos, to_timestamp(at_s) AS at, asset_id, kind, tx_hash, counterparty, amount
  FROM unnest(%(block)b::int8[], %(pos)b::int8[], %(at_s)b::int8[], %(asset_id)b::int4[],
      %(kind)b::int2[], %(tx_hash)b::bytea[], %(counterparty)b::bytea[], %(amount)b::numeric[])
    AS x(block, pos, at_s, asset_id, kind, tx_hash, counterparty, amount)),
old AS MATERIALIZED (
  SELECT m.ctid AS tid, m.block <= s.settled_block AS settled,
    u.pos IS NOT NULL AND (u.asset_id, u.amount, u.kind, u.tx_hash, u.counterparty, u.at)
      IS NOT DISTINCT FROM (m.asset_id, m.amount, m.kind, m.tx_hash, m.counterparty, m.at) AS same
  FROM tallybook.movement m JOIN tallybook.stream s ON s.id = m.stream_id
  LEFT JOIN u ON u.block = m.block AND u.pos = m.pos
  WHERE m.stream_id = %(stream_id)s AND m.block BETWEEN %(lo)s AND %(hi)s),
fresh AS MATERIALIZED (
  SELECT count(*) AS n
  FROM u JOIN tallybook.stream s ON s.id = %(stream_id)s AND u.block <= s.settled_block
  WHERE NOT EXISTS (SELECT 1 FROM tallybook.movement m
    WHERE m.stream_id = %(stream_id)s AND m.block = u.block AND m.pos = u.pos)),
bad AS MATERIALIZED (
  SELECT (SELECT count(*) FROM old WHERE settled AND NOT same) + (SELECT n FROM fresh) AS n),
g AS (
  UPDATE tallybook.stream SET next_block = %(next_block)s, pass_head = %(pass_head)s, attempts = 0,
    settled_block = greatest(settled_block, least(%(hi)s, %(settle_to)s)),
    anchors = coalesce(%(anchors)s, anchors),
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
  WHERE id = %(stream_id)s AND lease_token = %(token)s AND next_block = %(lo)s
    AND (SELECT n FROM bad) = 0
  RETURNING id),
del AS (
  DELETE FROM tallybook.movement m USING g
  WHERE m.stream_id = g.id AND m.ctid = ANY (ARRAY(SELECT tid FROM old WHERE NOT same))
  RETURNING m.asset_id, m.amount),
ins AS (
  -- The count makes the delete an input of the insert: CTEs run in no promised order.
  INSERT INTO tallybook.movement
    (stream_id, block, pos, at, asset_id, kind, tx_hash, counterparty, amount)
  SELECT g.id, u.* FROM g CROSS JOIN (SELECT count(*) FROM del) AS d CROSS JOIN u
  ON CONFLICT DO NOTHING RETURNING asset_id, amount),
bal AS (
  INSERT INTO tallybook.balance AS b (stream_id, asset_id, amount, movements)
  SELECT %(stream_id)s, asset_id, sum(amount), sum(n) FROM (
    SELECT asset_id, amount, 1 AS n FROM ins UNION ALL SELECT asset_id, -amount, -1 FROM del) AS x
  GROUP BY asset_id ORDER BY asset_id
  ON CONFLICT (stream_id, asset_id) DO UPDATE
    SET amount = b.amount + excluded.amount, movements = b.movements + excluded.movements
  RETURNING 1)
SELECT (SELECT count(*) FROM g),
  -- Only the owner's contradiction counts: a stale writer's page is merely old.
  (SELECT n FROM bad WHERE EXISTS (SELECT 1 FROM tallybook.stream
    WHERE id = %(stream_id)s AND lease_token = %(token)s AND next_block = %(lo)s)),
  (SELECT count(*) FROM ins), (SELECT count(*) FROM del), (SELECT count(*) FROM bal)
"""

_GUARD = Statement("""
UPDATE {t}stream SET next_block = :next_block, pass_head = :pass_head, attempts = 0,
  settled_block = max(settled_block, min(:hi, :settle_to)), anchors = coalesce(:anchors, anchors),
  lease_until = {in:lease_s}
WHERE id = :stream_id AND lease_token = :token AND next_block = :lo
""")
_SETTLED = Statement("SELECT settled_block FROM {t}stream WHERE id = :stream_id")
_HELD = Statement("""
SELECT block, pos, at / 1000000, asset_id, kind, tx_hash, counterparty, amount FROM {t}movement
WHERE stream_id = :stream_id AND block BETWEEN :lo AND :hi
""")
_DELETE = Statement(
    "DELETE FROM {t}movement WHERE stream_id = :stream_id AND block = :block AND pos = :pos"
)
_BALANCES = Statement(
    "SELECT asset_id, amount, movements FROM {t}balance WHERE stream_id = :stream_id"
)
_SET_BALANCE = Statement("""
INSERT INTO {t}balance (stream_id, asset_id, amount, movements) VALUES (:stream_id, :asset_id,
  :amount, :movements)
ON CONFLICT (stream_id, asset_id) DO UPDATE SET amount = excluded.amount, movements =
  excluded.movements
""")
_INSERT = (
    "INSERT INTO movement"
    " (stream_id, block, pos, at, asset_id, kind, tx_hash, counterparty, amount)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

NOTHING = PageOutcome(applied=False, contradicted=0, inserted=0, deleted=0)


def write_page(connection: Connection, page: PageWrite) -> PageOutcome:
    """Apply one page, or nothing of it."""
    if connection.dialect.name == "sqlite":
        return _write_sqlite(connection, page)
    columns = zip(*page.rows, strict=True) if page.rows else ((),) * len(MovementRow._fields)
    parameters: dict[str, Any] = dict(zip(MovementRow._fields, map(list, columns), strict=True))
    parameters |= _guard_of(page)
    guarded, contradicted, inserted, deleted, _ = connection.exec_driver_sql(
        _POSTGRES, parameters
    ).one()
    return PageOutcome(guarded == 1, contradicted or 0, inserted, deleted)


def _guard_of(page: PageWrite) -> dict[str, Any]:
    """The parameters of the guard."""
    parameters = page._asdict()
    del parameters["rows"]
    return {**parameters, "hi": page.next_block - 1}


def _write_sqlite(connection: Connection, page: PageWrite) -> PageOutcome:
    """The same inside one BEGIN IMMEDIATE: guard first, compare in Python, where sums are exact."""
    settled_before = _SETTLED.run(connection, stream_id=page.stream_id).scalar_one_or_none()
    guard = _guard_of(page)
    if settled_before is None or _GUARD.run(connection, **guard).rowcount != 1:
        return NOTHING
    held = {
        (row[0], row[1]): MovementRow._make((*row[:7], int(row[7])))
        for row in _HELD.run(connection, stream_id=page.stream_id, lo=page.lo, hi=guard["hi"])
    }
    told = {(row.block, row.pos): row for row in page.rows}
    gone = [row for key, row in held.items() if told.get(key) != row]
    new = [row for key, row in told.items() if held.get(key) != row]
    contradicted = len(
        {(row.block, row.pos) for row in [*gone, *new] if row.block <= settled_before}
    )
    if contradicted:
        connection.rollback()
        return PageOutcome(applied=False, contradicted=contradicted, inserted=0, deleted=0)
    _DELETE.run_many(
        connection,
        [{"stream_id": page.stream_id, "block": row.block, "pos": row.pos} for row in gone],
    )
    if new:
        connection.exec_driver_sql(_INSERT, [_bound(page.stream_id, row) for row in new])
    _move_balances(connection, page.stream_id, new, gone)
    return PageOutcome(applied=True, contradicted=0, inserted=len(new), deleted=len(gone))


def _bound(stream_id: int, row: MovementRow) -> tuple[Any, ...]:
    """A row as the SQLite driver takes it: times in microseconds, amounts as text."""
    block, pos, at_s, asset_id, kind, tx_hash, counterparty, amount = row
    return (
        stream_id,
        block,
        pos,
        at_s * MICROS,
        asset_id,
        kind,
        tx_hash,
        counterparty,
        str(amount),
    )


def _move_balances(
    connection: Connection, stream_id: int, new: Iterable[MovementRow], gone: Iterable[MovementRow]
) -> None:
    """Add what came and take back what went, per asset."""
    amounts: defaultdict[int, int] = defaultdict(int)
    counts: defaultdict[int, int] = defaultdict(int)
    for sign, rows in ((1, new), (-1, gone)):
        for row in rows:
            amounts[row.asset_id] += sign * row.amount
            counts[row.asset_id] += sign
    if not counts:
        return
    stored = {
        row[0]: (int(row[1]), row[2]) for row in _BALANCES.run(connection, stream_id=stream_id)
    }
    changed = []
    for asset_id in counts:
        amount, movements = stored.get(asset_id, (0, 0))
        changed.append(
            {
                "stream_id": stream_id,
                "asset_id": asset_id,
                "amount": str(amount + amounts[asset_id]),
                "movements": movements + counts[asset_id],
            }
        )
    _SET_BALANCE.run_many(connection, changed)
