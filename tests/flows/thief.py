"""What meets a frozen process from outside: the thief of its lease, and an eye on the server."""

from types import TracebackType
from typing import Any, LiteralString

import psycopg
from sqlalchemy import Connection, Engine

from schema.engine import autocommit, reading
from schema.queries import stream
from schema.queries.stream import Lease
from schema.sql import Statement
from tests.flows.scene import AN_HOUR, Held, until

NAME = "thief"

_STREAMS = Statement("SELECT id FROM {t}stream ORDER BY id")
_LEFT = Statement("""
SELECT max({left:lease_until}) FROM {t}stream WHERE lease_until > {now} AND lease_holder <> :thief
""")
_RETURN = Statement("""
UPDATE {t}stream SET lease_until = {epoch}, lease_holder = NULL WHERE lease_holder = :thief
""")


class Thief:
    """Takes streams from a process that can do nothing about it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def longest_lease_s(self) -> float:
        """The longest time that a stream of others has still to be waited for."""
        with reading(self._engine) as connection:
            left: Any = _LEFT.run(connection, thief=NAME).scalar_one()
        return float(left or 0.0)

    def takes(self, connection: Connection, held: Held) -> Lease | None:
        """Steal a stream whose lease has not ended: it is always safe to."""
        lease_s = float(AN_HOUR)
        return stream.lease(
            connection, held.stream_id, lease_s=lease_s, holder=NAME, dead_holder=held.holder
        )

    def waits_and_takes_all(self) -> list[int]:
        """Lease every stream that is due, the held ones as soon as their leases have ended."""
        with reading(self._engine) as connection:
            rows: Any = _STREAMS.run(connection).all()
        stolen: list[int] = []

        def is_had_or_done(stream_id: int) -> bool:
            with autocommit(self._engine) as connection:
                taken = stream.lease(connection, stream_id, lease_s=float(AN_HOUR), holder=NAME)
                now = stream.standing(connection, stream_id)
            assert now is not None
            if taken is not None:
                stolen.append(stream_id)
            return (
                taken is not None or now.holder == NAME or (now.holder is None and now.due_in_s > 0)
            )

        for (stream_id,) in rows:
            until(lambda stream_id=stream_id: is_had_or_done(stream_id))  # type: ignore[misc]
        return stolen

    def gives_back(self) -> None:
        """Let go of everything, so that somebody else may finish it."""
        with autocommit(self._engine) as connection:
            _RETURN.run(connection, thief=NAME)


class Backends:
    """What a Postgres server does for the connections of one application."""

    def __init__(self, url: str, name: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self._name = name

    def __enter__(self) -> "Backends":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def running(self) -> int:
        """How many statements go on, all of which the server has."""
        return self._count(
            "{activity} AND state = 'active' AND wait_event IS DISTINCT FROM 'ClientRead'"
        )

    def half_sent(self) -> int:
        """How many statements the server has the beginning of, and waits for the rest.

        libpq sends a large one in pieces. The server has read its text by then, and with it
        locked the tables: in a way that only a migration would have to wait for.
        """
        return self._count("{activity} AND state = 'active' AND wait_event = 'ClientRead'")

    def waiting(self) -> list[str]:
        """The statements that wait for a lock."""
        rows = self._rows("{activity} AND state = 'active' AND wait_event_type = 'Lock'")
        return [str(row[1]).strip() for row in rows]

    def in_transaction(self) -> int:
        """How many have a transaction open that wrote or that sees the past, or are idle in one."""
        return self._count(
            "{activity} AND (state LIKE 'idle in%%' OR backend_xid IS NOT NULL"
            " OR backend_xmin IS NOT NULL)"
        )

    def locks(self) -> int:
        """How many locks they hold or wait for; that they are alive and read a table is none."""
        return self._count(
            "SELECT 1 FROM pg_locks WHERE pid IN (SELECT pid FROM ({activity}) AS a)"
            " AND locktype <> 'virtualxid'"
            " AND mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')"
        )

    def _count(self, statement: LiteralString) -> int:
        return len(self._rows(statement))

    def _rows(self, statement: LiteralString) -> list[Any]:
        ours: LiteralString = (
            "SELECT pid, query FROM pg_stat_activity"
            " WHERE application_name = %s AND datname = current_database()"
        )
        return self._connection.execute(
            statement.replace("{activity}", ours), [self._name]
        ).fetchall()
