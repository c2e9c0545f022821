"""Every statement on ``sync_job``, the table queue.

A row waits, is claimed, or is buried. ``ready_at`` is its due time and, while it is claimed, the
end of the lease: so one comparison finds what may be claimed, dead claims included.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.sql import Statement

SETTLE_TRIES = 5

_PUSH = Statement("""
INSERT INTO {t}sync_job AS job
    (stream_id, urgent, ready_at, claimed, claim_token, claims, again_urgent)
VALUES (:stream_id, :urgent, {in:delay_s}, false, 0, 0, false)
ON CONFLICT (stream_id) DO UPDATE SET
    urgent = CASE
        WHEN job.buried_why IS NOT NULL THEN excluded.urgent
        WHEN job.claimed AND job.ready_at > {now} THEN job.urgent
        ELSE job.urgent OR excluded.urgent END,
    ready_at = CASE
        WHEN job.buried_why IS NOT NULL THEN excluded.ready_at
        WHEN job.claimed OR job.ready_at < excluded.ready_at THEN job.ready_at
        ELSE excluded.ready_at END,
    again_at = CASE
        WHEN NOT job.claimed THEN NULL
        WHEN job.again_at < excluded.ready_at THEN job.again_at
        ELSE excluded.ready_at END,
    again_urgent = job.claimed AND (job.again_urgent OR excluded.urgent),
    claims = CASE WHEN job.buried_why IS NOT NULL THEN 0 ELSE job.claims END,
    buried_why = NULL
""")

# The clock stands in a subquery: clock_timestamp() is volatile and would keep the index from use.
_CLAIM = Statement("""
UPDATE {t}sync_job
SET claimed = true, claim_token = :claim_token, claims = claims + 1, ready_at = {in:lease_s}
WHERE stream_id = (
    SELECT stream_id FROM {t}sync_job
    WHERE buried_why IS NULL AND ready_at <= (SELECT {now})
    ORDER BY urgent DESC, ready_at, stream_id
    LIMIT 1 {skip})
RETURNING stream_id, urgent, claims
""")

_FOLLOW_UP = Statement("""
UPDATE {t}sync_job
SET claimed = false, claims = 0, urgent = again_urgent, ready_at = again_at,
    again_at = NULL, again_urgent = false
WHERE stream_id = :stream_id AND claim_token = :claim_token AND claimed AND again_at IS NOT NULL
""")

_DROP = Statement("""
DELETE FROM {t}sync_job
WHERE stream_id = :stream_id AND claim_token = :claim_token AND claimed AND again_at IS NULL
""")

_RETRY = Statement("""
UPDATE {t}sync_job
SET claimed = false, urgent = urgent OR again_urgent,
    ready_at = CASE WHEN again_at < {in:delay_s} THEN again_at ELSE {in:delay_s} END,
    again_at = NULL, again_urgent = false
WHERE stream_id = :stream_id AND claim_token = :claim_token AND claimed
""")

_BURY = Statement("""
UPDATE {t}sync_job
SET claimed = false,
    buried_why = CASE WHEN again_at IS NULL THEN :reason ELSE NULL END,
    claims = CASE WHEN again_at IS NULL THEN claims ELSE 0 END,
    urgent = CASE WHEN again_at IS NULL THEN urgent ELSE again_urgent END,
    ready_at = COALESCE(again_at, ready_at),
    again_at = NULL, again_urgent = false
WHERE stream_id = :stream_id AND claim_token = :claim_token AND claimed
""")

_COUNTS = Statement("""
SELECT
    COUNT(CASE WHEN buried_why IS NULL AND ready_at <= present THEN 1 END),
    COUNT(CASE WHEN buried_why IS NULL AND ready_at > present AND NOT claimed THEN 1 END),
    COUNT(CASE WHEN buried_why IS NULL AND ready_at > present AND claimed THEN 1 END),
    COUNT(buried_why)
FROM {t}sync_job CROSS JOIN (SELECT {now} AS present) AS clock
""")

_BURIED = Statement("""
SELECT stream_id, urgent, buried_why FROM {t}sync_job
WHERE buried_why IS NOT NULL ORDER BY stream_id LIMIT :most
""")

_PURGE = Statement("DELETE FROM {t}sync_job")


class PushedJob(NamedTuple):
    """A stream to be claimable after ``delay_s``."""

    stream_id: int
    urgent: bool
    delay_s: float


class ClaimedJob(NamedTuple):
    """A stream that is ours until its lease ends."""

    stream_id: int
    urgent: bool
    claims: int


def push(connection: Connection, jobs: Sequence[PushedJob]) -> None:
    """Make streams claimable; at most one job per stream.

    In the order of the streams, so that two callers never wait for each other's rows.
    """
    _PUSH.run_many(connection, [job._asdict() for job in sorted(jobs)])


def claim(connection: Connection, *, claim_token: int, lease_s: float) -> ClaimedJob | None:
    """Take the next claimable stream; ``claim_token`` must be new."""
    row: Any = _CLAIM.run(connection, claim_token=claim_token, lease_s=lease_s).one_or_none()
    return None if row is None else ClaimedJob(row[0], bool(row[1]), row[2])


def finish_done(connection: Connection, *, stream_id: int, claim_token: int) -> None:
    """End a claim: the row waits again if it was pushed meanwhile, else it goes.

    Two statements, and a push may come between them: whoever finds neither has been pushed just
    now, or has lost the claim. Pushed five times in between, the row is left to the end of its
    lease.
    """
    for _ in range(SETTLE_TRIES):
        for statement in (_FOLLOW_UP, _DROP):
            held = statement.run(connection, stream_id=stream_id, claim_token=claim_token)
            if held.rowcount:
                return


def finish_retry(
    connection: Connection, *, stream_id: int, claim_token: int, delay_s: float
) -> None:
    """End a claim: the row waits for ``delay_s``, or less if it was pushed meanwhile."""
    _RETRY.run(connection, stream_id=stream_id, claim_token=claim_token, delay_s=delay_s)


def finish_bury(connection: Connection, *, stream_id: int, claim_token: int, reason: str) -> None:
    """End a claim: the row is a dead letter, unless it was pushed meanwhile."""
    _BURY.run(connection, stream_id=stream_id, claim_token=claim_token, reason=reason)


def counts(connection: Connection) -> tuple[int, int, int, int]:
    """Rows that are claimable, due later, claimed, and buried."""
    row: Any = _COUNTS.run(connection).one()
    return row[0], row[1], row[2], row[3]


def buried(connection: Connection, *, most: int) -> list[tuple[int, bool, str]]:
    """Stream, urgency and reason of the dead letters, in the order of the streams."""
    rows: Any = _BURIED.run(connection, most=most)
    return [(row[0], bool(row[1]), row[2]) for row in rows]


def purge(connection: Connection) -> int:
    """Remove every row; their number."""
    return _PURGE.run(connection).rowcount
