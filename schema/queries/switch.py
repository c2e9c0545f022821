"""The one row that names the active queue. Every change is a compare-and-set on its epoch."""

from typing import NamedTuple

from sqlalchemy import Connection

from schema.sql import Statement


class SwitchRow(NamedTuple):
    """Which queue is active, which was before, and how far a move is."""

    queue: str
    was: str | None
    epoch: int
    paused: bool
    stage: str | None


_READ = Statement("SELECT queue, was, epoch, paused, stage FROM {t}switch WHERE id = 1")
_FIRST = Statement("""
INSERT INTO {t}switch (id, queue, epoch, paused, changed_at)
VALUES (1, :queue, 1, :no, {now}) ON CONFLICT DO NOTHING
""")
_PUT = Statement("""
UPDATE {t}switch SET queue = :queue, was = :was, paused = :paused, stage = :stage,
  epoch = epoch + 1, changed_at = {now}
WHERE id = 1 AND epoch = :epoch
""")


def read(connection: Connection) -> SwitchRow | None:
    """The row; None as long as nobody has ever moved or paused."""
    row = _READ.run(connection).one_or_none()
    if row is None:
        return None
    queue, was, epoch, paused, stage = row
    return SwitchRow(queue, was, epoch, bool(paused), stage)


def first(connection: Connection, queue: str) -> None:
    """Make the row, unless it is there."""
    _FIRST.run(connection, queue=queue, no=False)


def put(connection: Connection, row: SwitchRow) -> bool:
    """Write it over the row of ``row.epoch``; False when somebody has changed that meanwhile."""
    return _PUT.run(connection, **row._asdict()).rowcount == 1
