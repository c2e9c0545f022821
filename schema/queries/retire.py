"""What is kept for a time only: run rows, and streams that no wallet wants any more."""

from sqlalchemy import Connection

from schema.sql import Statement

BATCH = 5_000

_PRUNE = Statement("""
DELETE FROM {t}run WHERE id IN
  (SELECT id FROM {t}run WHERE ended_at < {in:minus_keep_s} ORDER BY ended_at LIMIT :most)
""")
# From here on the stream is nobody's: a wallet that comes back starts a new generation beside it.
_LET_GO = Statement("""
UPDATE {t}stream SET live = :no, lease_token = lease_token + 1
WHERE live = :yes AND resting_since < {in:minus_keep_s} AND lease_until < {now}
""")
_GONE = Statement(
    "SELECT id FROM {t}stream WHERE live = :no AND resting_since IS NOT NULL ORDER BY id LIMIT 1"
)
_MOVEMENTS = Statement("""
DELETE FROM {t}movement WHERE stream_id = :stream_id AND (block, pos) IN
  (SELECT block, pos FROM {t}movement WHERE stream_id = :stream_id ORDER BY block, pos LIMIT :most)
""")
_BALANCES = Statement("DELETE FROM {t}balance WHERE stream_id = :stream_id")
_STREAM = Statement("DELETE FROM {t}stream WHERE id = :stream_id")


def prune_runs(connection: Connection, keep_s: float, most: int = BATCH) -> int:
    """Delete up to ``most`` run rows older than ``keep_s``; how many."""
    return _PRUNE.run(connection, minus_keep_s=-keep_s, most=most).rowcount


def delete_rested(connection: Connection, keep_s: float, most: int = BATCH) -> bool:
    """Let go of streams rested for ``keep_s``, and delete up to ``most`` movements of one of them.

    False when nothing is left to delete. Each statement leaves a state from which the next call
    goes on: balances go first, the stream's row last.
    """
    _LET_GO.run(connection, yes=True, no=False, minus_keep_s=-keep_s)
    stream_id = _GONE.run(connection, no=False).scalar_one_or_none()
    if stream_id is None:
        return False
    _BALANCES.run(connection, stream_id=stream_id)
    deleted = _MOVEMENTS.run(connection, stream_id=stream_id, most=most).rowcount
    if deleted < most:
        _STREAM.run(connection, stream_id=stream_id)
    return True
