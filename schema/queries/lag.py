"""How far behind the whole ledger is, in one look."""

from typing import NamedTuple

from sqlalchemy import Connection

from schema.queries.stream import RUNNABLE
from schema.sql import Statement

_LAG = Statement(f"""
SELECT count(*), coalesce(-min({{left:due_at}}), 0) FROM {{t}}stream
WHERE {RUNNABLE} AND due_at <= {{now}} AND lease_until < {{now}}
""")
_STATES = Statement("""
SELECT CASE WHEN lease_until > {now} THEN 'syncing' ELSE state END, count(*)
FROM {t}stream WHERE resting_since IS NULL GROUP BY 1
""")


class Lag(NamedTuple):
    """Streams that are due and free, how long the first of them has waited, and all by state."""

    due: int
    lag_s: float
    states: dict[str, int]


def standing(connection: Connection) -> Lag:
    """Where things stand."""
    due, lag_s = _LAG.run(connection).one()
    return Lag(due, float(lag_s), {row[0]: row[1] for row in _STATES.run(connection)})
