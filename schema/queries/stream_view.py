"""Streams as people see them, and the two things people do to them: want them, and ask for now."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, case, func, insert, select, update

from schema.queries.address import database_now, first_token
from schema.sql import Statement
from schema.tables import METADATA, SCHEMA
from schema.types import moment_of

STREAM = METADATA.tables[f"{SCHEMA}.stream"]


class Wanted(NamedTuple):
    """A feed that a wallet wants, and the provider to read it from if it is new."""

    chain_id: int
    kind: str
    provider: str


class StreamView(NamedTuple):
    """How a stream stands. ``leased``: somebody is working on it now."""

    id: int
    chain_id: int
    kind: str
    provider: str
    state: str
    leased: bool
    settled_block: int
    next_block: int
    pass_head: int | None
    synced_block: int | None
    synced_at: datetime | None
    due_at: datetime
    anchored: bool
    error_code: str | None
    error_detail: str | None
    error_fix: str | None
    movements: int


_VIEW = Statement("""
SELECT id, chain_id, kind, provider, state, lease_until > {now}, settled_block, next_block,
  pass_head, synced_block, synced_at, due_at, anchors <> '[]', error_code, error_detail, error_fix,
  coalesce((SELECT sum(movements) FROM {t}balance b WHERE b.stream_id = s.id), 0)
FROM {t}stream s WHERE s.address_id = :address_id AND s.live = :yes AND s.chain_id {any:chain_ids}
ORDER BY chain_id, id
""")
_LIVE = Statement("""
SELECT id, chain_id FROM {t}stream
WHERE address_id = :address_id AND live = :yes AND chain_id {any:chain_ids} ORDER BY id
""")
# A stream that gave up starts afresh; one that waits goes on where it stands, with its attempts.
# One that stopped at a contradiction is read from the beginning: nothing in it can be believed.
_DISBELIEVED = "state = 'stopped' AND error_code = 'history_changed'"
_MARK_DUE = Statement(
    """
UPDATE {t}stream SET due_at = {now},
  lease_token = CASE WHEN DISBELIEVED THEN lease_token + 1 ELSE lease_token END,
  settled_block = CASE WHEN DISBELIEVED THEN -1 ELSE settled_block END,
  pass_head = CASE WHEN DISBELIEVED THEN NULL ELSE pass_head END,
  anchors = CASE WHEN DISBELIEVED THEN '[]' ELSE anchors END,
  attempts = CASE WHEN state IN ('stopped', 'dead') THEN 0 ELSE attempts END,
  error_code = CASE WHEN state IN ('stopped', 'dead') THEN NULL ELSE error_code END,
  error_detail = CASE WHEN state IN ('stopped', 'dead') THEN NULL ELSE error_detail END,
  error_fix = CASE WHEN state IN ('stopped', 'dead') THEN NULL ELSE error_fix END,
  state = CASE WHEN state IN ('stopped', 'dead', 'snoozed') THEN 'pending' ELSE state END
WHERE id {any:stream_ids}
""".replace("DISBELIEVED", _DISBELIEVED)
)


def stream_views(
    connection: Connection, address_id: int, chain_ids: Collection[int]
) -> list[StreamView]:
    """The live streams of an address on some chains."""
    found = _VIEW.run(connection, address_id=address_id, yes=True, chain_ids=list(chain_ids))
    return [_view(row) for row in found]


def live_streams(
    connection: Connection, address_id: int, chain_ids: Collection[int]
) -> dict[int, int]:
    """Ids of the live streams of an address on some chains, with their chains."""
    found = _LIVE.run(connection, address_id=address_id, yes=True, chain_ids=list(chain_ids))
    return {row[0]: row[1] for row in found}


def mark_due(connection: Connection, stream_ids: Sequence[int]) -> None:
    """Somebody is waiting: due now by the database's clock, waits ended, the given-up replayed."""
    _lock(connection, stream_ids)
    _MARK_DUE.run(connection, stream_ids=list(stream_ids))


def want(connection: Connection, address_id: int, wanted: Collection[Wanted]) -> list[int]:
    """Have a live stream for every feed wanted; returns the ids of all on these chains.

    Those there are go on as they are, due now; a new one follows the generations there were. The
    caller holds the address's lock.
    """
    now = database_now(connection)
    chain_ids = {feed.chain_id for feed in wanted}
    _lock(connection, live_streams(connection, address_id, chain_ids))
    awake = (
        update(STREAM)
        .where(STREAM.c.address_id == address_id, STREAM.c.live)
        .where(STREAM.c.chain_id.in_(chain_ids))
        .values(resting_since=None, due_at=now)
        .returning(STREAM.c.id, STREAM.c.chain_id, STREAM.c.kind)
    )
    rows = connection.execute(awake).all()
    known = {(chain_id, kind) for _, chain_id, kind in rows}
    missing = [feed for feed in wanted if (feed.chain_id, feed.kind) not in known]
    added = [_add(connection, address_id, feed, now) for feed in missing]
    return sorted([*(int(row[0]) for row in rows), *added])


def rest(connection: Connection, address_id: int, but: Collection[int]) -> None:
    """Let the streams of an address rest that no wallet wants: those of all chains ``but`` some.

    The caller holds the address's lock.
    """
    now = database_now(connection)
    unwanted = (
        STREAM.c.address_id == address_id,
        STREAM.c.chain_id.not_in(but),
        STREAM.c.resting_since.is_(None),
    )
    ids = connection.scalars(select(STREAM.c.id).where(*unwanted)).all()
    _lock(connection, ids)
    # One that does not count yet is deleted from now on: nobody may write to it meanwhile.
    spent = STREAM.c.lease_token + case((STREAM.c.live, 0), else_=1)
    resting = update(STREAM).where(*unwanted)
    connection.execute(resting.values(resting_since=now, lease_token=spent))


def _add(connection: Connection, address_id: int, feed: Wanted, now: datetime) -> int:
    """A new stream of the next generation."""
    generations = select(func.coalesce(func.max(STREAM.c.generation), 0) + 1).where(
        STREAM.c.address_id == address_id,
        STREAM.c.chain_id == feed.chain_id,
        STREAM.c.kind == feed.kind,
    )
    values = {
        **feed._asdict(),
        "address_id": address_id,
        "generation": connection.scalar(generations),
        "lease_token": first_token(connection),
        "due_at": now,
        "created_at": now,
    }
    added = connection.execute(insert(STREAM).values(**values).returning(STREAM.c.id))
    return int(added.scalar_one())


def _lock(connection: Connection, stream_ids: Iterable[int]) -> None:
    """Lock rows in one order for all, so that none waits in a circle."""
    ordered = select(STREAM.c.id).where(STREAM.c.id.in_(list(stream_ids))).order_by(STREAM.c.id)
    connection.execute(ordered.with_for_update()).all()


def _view(row: Any) -> StreamView:
    view = StreamView(*row)
    return view._replace(
        leased=bool(view.leased),
        anchored=bool(view.anchored),
        movements=int(view.movements),
        synced_at=None if view.synced_at is None else _moment(view.synced_at),
        due_at=_moment(view.due_at),
    )


def _moment(value: datetime | int) -> datetime:
    """A time as either driver gives it."""
    return moment_of(value) if isinstance(value, int) else value
