"""The stream row as the engine uses it: lease, close, rewind, due.

Every write is guarded by the fencing token directly in its WHERE (a sub-select is not rechecked
after a lock wait), and closing or rewinding spends the token, so that nothing sent under it can
take effect later.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.queries.wake import POST, Wake
from schema.sql import Statement

RUNNABLE = "state IN ('pending', 'up_to_date', 'snoozed') AND resting_since IS NULL"


class Lease(NamedTuple):
    """The right to write to a stream, and the stream as it stood when the right was given."""

    stream_id: int
    token: int
    chain_id: int
    account: str
    kind: str
    provider: str
    settled_block: int
    next_block: int
    pass_head: int | None
    anchors: str
    page_rows: int | None
    attempts: int
    error_code: str | None
    live: bool
    due_at: Any


class Standing(NamedTuple):
    """What a run that got no lease, or whose write matched no row, must know."""

    token: int
    next_block: int
    state: str
    lease_left_s: float
    due_in_s: float
    holder: str | None
    resting: bool


class Waiting(NamedTuple):
    """A stream that a run may work once its due time has come and its lease, if any, has ended."""

    stream_id: int
    due_in_s: float
    lease_left_s: float
    holder: str | None


class Feed(NamedTuple):
    """Where a stream is read from; since when it is due, as the driver tells, where asked."""

    stream_id: int
    provider: str
    chain_id: int
    due_at: datetime | int | None = None

    @property
    def name(self) -> str:
        """Provider and chain, as a queue is told."""
        return f"{self.provider}/{self.chain_id}"


class Closing(NamedTuple):
    """How a chunk leaves its stream. ``due_in_s`` counts from the database's now."""

    state: str
    due_in_s: float
    attempts: int
    provider: str
    page_rows: int | None
    pass_head: int | None
    synced: bool
    error: tuple[str, str, str] | None
    rewind_to: int | None = None
    anchors: str | None = None


class RunRow(NamedTuple):
    """What a chunk did, for the run table."""

    took_s: float
    from_block: int
    to_block: int
    pages: int
    inserted: int
    deleted: int
    outcome: str
    detail: str | None


# A lease restarts at settled_block, so that the tail is asserted anew and one settled block is
# read again as the check on what lies before; an open pass goes on where its last page ended.
_LEASE = Statement(f"""
UPDATE {{t}}stream AS s SET
  lease_token = lease_token + 1, lease_until = {{in:lease_s}}, lease_holder = :holder,
  next_block = CASE WHEN pass_head IS NOT NULL THEN next_block
    WHEN settled_block > 0 THEN settled_block ELSE 0 END
FROM (
  SELECT id AS free_id FROM {{t}}stream
  WHERE id = :stream_id AND {RUNNABLE} AND due_at <= {{now}}
    AND (lease_until < {{now}} OR lease_holder = :dead_holder) {{skip}}) AS free
WHERE s.id = free.free_id
RETURNING id, lease_token, chain_id,
  (SELECT account FROM {{t}}address WHERE id = address_id), kind, provider,
  settled_block, next_block, pass_head, anchors, page_rows, attempts, error_code, live, due_at
""")

_STANDING = Statement("""
SELECT lease_token, next_block, state, {left:lease_until}, {left:due_at}, lease_holder,
  resting_since IS NOT NULL
FROM {t}stream WHERE id = :stream_id
""")

# due_at is left alone when somebody moved it while we worked: a user asked again.
_CLOSE = """
UPDATE {t}stream SET lease_token = lease_token + 1, lease_until = {epoch}, lease_holder = NULL,
  state = :state,
  due_at = CASE WHEN due_at = :due_seen THEN {in:due_in_s} ELSE due_at END, attempts = :attempts,
  provider = :provider, page_rows = :page_rows, pass_head = :pass_head,
  synced_block = CASE WHEN :synced THEN next_block - 1 ELSE synced_block END,
  synced_at = CASE WHEN :synced THEN {now} ELSE synced_at END,
  error_code = :error_code, error_detail = :error_detail, error_fix = :error_fix
WHERE id = :stream_id AND lease_token = :token
"""

_REWIND = """
UPDATE {t}stream SET lease_token = lease_token + 1, lease_until = {epoch}, lease_holder = NULL,
  state = :state, due_at = {now}, attempts = :attempts, pass_head = NULL,
  settled_block = :rewind_to, anchors = :anchors,
  next_block = CASE WHEN :rewind_to > 0 THEN :rewind_to ELSE 0 END,
  error_code = :error_code, error_detail = :error_detail, error_fix = :error_fix
WHERE id = :stream_id AND lease_token = :token
"""

_RUN = """
INSERT INTO {t}run (stream_id, lease_token, started_at, ended_at, from_block, to_block, pages,
  inserted, deleted, outcome, error_code, detail)
SELECT :stream_id, :token, {in:minus_took_s}, {now}, :from_block, :to_block, :pages,
  :inserted, :deleted, :outcome, :error_code, :detail
"""


class _Ending:
    """An UPDATE of a stream and its run row: one statement on Postgres, one step on SQLite."""

    def __init__(self, update: str) -> None:
        self._update = Statement(update)
        self._run = Statement(_RUN)
        self._both = Statement(f"WITH closed AS ({update} RETURNING id) {_RUN} FROM closed")
        self._woken = Statement(
            f"WITH closed AS ({update} RETURNING id),"
            f" woken AS MATERIALIZED (SELECT {POST} FROM closed) {_RUN} FROM closed, woken"
        )

    def run(self, connection: Connection, parameters: dict[str, Any], wake: Wake | None) -> bool:
        """False when the token was not ours any more; then nothing is written or sent."""
        if wake is not None and connection.dialect.name != "sqlite":
            called = self._woken.run(connection, **parameters, **wake.parameters())
            return called.rowcount == 1
        if connection.dialect.name != "sqlite":
            return self._both.run(connection, **parameters).rowcount == 1
        if self._update.run(connection, **parameters).rowcount != 1:
            return False
        self._run.run(connection, **parameters)
        return True


_CLOSING = _Ending(_CLOSE)
_REWINDING = _Ending(_REWIND)

_DUE = Statement(f"""
SELECT id, provider, chain_id, due_at FROM {{t}}stream
WHERE {RUNNABLE} AND due_at <= {{now}} AND lease_until < {{now}} ORDER BY due_at, id LIMIT :most
""")
_LEASED = Statement("SELECT count(*) FROM {t}stream WHERE lease_until > {now}")
_FEEDS = Statement(
    "SELECT id, provider, chain_id FROM {t}stream WHERE id {any:stream_ids} ORDER BY id"
)
_AMONG = Statement(f"""
SELECT id, {{left:due_at}}, {{left:lease_until}}, lease_holder FROM {{t}}stream
WHERE {RUNNABLE} AND id {{any:stream_ids}} ORDER BY due_at, id
""")


def lease(
    connection: Connection,
    stream_id: int,
    *,
    lease_s: float,
    holder: str,
    dead_holder: str | None = None,
) -> Lease | None:
    """Take a stream that is due and free, or whose lease a dead process holds."""
    row = _LEASE.run(
        connection,
        stream_id=stream_id,
        lease_s=lease_s,
        holder=holder,
        dead_holder=dead_holder or "",
    ).one_or_none()
    return None if row is None else Lease(*row)


def standing(connection: Connection, stream_id: int) -> Standing | None:
    """How a stream stands, or None when it is gone."""
    row = _STANDING.run(connection, stream_id=stream_id).one_or_none()
    return None if row is None else Standing._make((*row[:6], bool(row[6])))


def close(
    connection: Connection, held: Lease, closing: Closing, run: RunRow, wake: Wake | None = None
) -> bool:
    """Release a lease and write its run row; False when the lease was another's already.

    With ``rewind_to`` the settled block is lowered to it: the only statement that does so. ``wake``
    is sent by Postgres when this very statement commits.
    """
    code, detail, fix = closing.error or (None, None, None)
    parameters = {
        **closing._asdict(),
        **run._asdict(),
        "stream_id": held.stream_id,
        "token": held.token,
        "due_seen": held.due_at,
        "minus_took_s": -run.took_s,
        "error_code": code,
        "error_detail": detail,
        "error_fix": fix,
    }
    del parameters["error"], parameters["took_s"]
    ending = _CLOSING if closing.rewind_to is None else _REWINDING
    return ending.run(connection, parameters, wake)


def due(connection: Connection, *, most: int) -> list[Feed]:
    """Streams that are due and that nobody works on, the longest due first."""
    return [Feed(*row) for row in _DUE.run(connection, most=most)]


def feeds(connection: Connection, stream_ids: Sequence[int]) -> list[Feed]:
    """Where some streams are read from."""
    return [Feed(*row) for row in _FEEDS.run(connection, stream_ids=list(stream_ids))]


def leased(connection: Connection) -> int:
    """How many streams somebody works on now."""
    return int(_LEASED.run(connection).scalar_one())


def waiting(connection: Connection, stream_ids: Sequence[int]) -> list[Waiting]:
    """Those of ``stream_ids`` that a run may work, now or later, the longest due first."""
    found = _AMONG.run(connection, stream_ids=list(stream_ids))
    return [Waiting(*row) for row in found]
