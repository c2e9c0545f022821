"""The queue in the database: the embedded default."""

import secrets
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from schema.queries import sync_job
from schema.queries.sync_job import PushedJob
from shared.queue.base import (
    Bury,
    Claim,
    DeadLetter,
    Done,
    Outcome,
    Push,
    QueueStats,
    Retry,
    WakeUp,
)

T = TypeVar("T")
TOKEN_BITS = 63


class Unit(Protocol):
    """What this queue needs of ``shared.seams.UnitOfWork``, which stands above it."""

    def run(self, label: str, step: Callable[[Connection], T]) -> T:
        """Run ``step`` on a connection of its own."""
        ...


def new_token() -> int:
    """A token that no other claim has: rows come and go, so counting in them would begin anew."""
    return secrets.randbits(TOKEN_BITS)


class TableQueue:
    """One row a stream; on Postgres each statement commits by itself, on SQLite a call is one step.

    Dying between the statements of a call leaves a claim to its lease or a wake-up too many, never
    one too few.
    """

    def __init__(self, unit: Unit, token: Callable[[], int] = new_token) -> None:
        self._unit = unit
        self._token = token

    def push(self, wake_up: WakeUp, *, delay_s: float = 0.0) -> None:
        """See ``Queue.push``."""
        self.push_many([Push(wake_up, delay_s)])

    def push_many(self, pushes: Sequence[Push]) -> None:
        """See ``Queue.push_many``."""
        jobs = merged(pushes)
        if jobs:
            self._unit.run("queue push", lambda connection: sync_job.push(connection, jobs))

    def stats(self) -> QueueStats:
        """See ``Queue.stats``."""
        return QueueStats(*self._unit.run("queue stats", sync_job.counts))

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """See ``Queue.dead_letters``."""
        found = self._unit.run("queue buried", lambda conn: sync_job.buried(conn, most=limit))
        return [DeadLetter(WakeUp(stream, urgent), why) for stream, urgent, why in found]

    def purge(self) -> int:
        """See ``Queue.purge``."""
        return self._unit.run("queue purge", sync_job.purge)

    def claim(self, lease_s: float) -> Claim | None:
        """See ``Queue.claim``."""
        return self._unit.run("queue claim", lambda connection: self._next(connection, lease_s))

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        then: Sequence[Push] = (),
        claim_next_s: float | None = None,
    ) -> Claim | None:
        """See ``Queue.finish``."""
        jobs = merged(then)

        def step(connection: Connection) -> Claim | None:
            # The pushes first: to die after them costs a look, to die before them would lose them.
            # One for our own stream waits for the end of our claim like any other.
            sync_job.push(connection, jobs)
            _settle(connection, claim, outcome)
            return None if claim_next_s is None else self._next(connection, claim_next_s)

        return self._unit.run("queue finish", step)

    def _next(self, connection: Connection, lease_s: float) -> Claim | None:
        """Claim the next wake-up."""
        token = self._token()
        taken = sync_job.claim(connection, claim_token=token, lease_s=lease_s)
        if taken is None:
            return None
        return Claim(WakeUp(taken.stream_id, taken.urgent), token, taken.claims)


def merged(pushes: Sequence[Push]) -> list[PushedJob]:
    """One job a stream: what pushing one after the other comes to."""
    jobs: dict[int, PushedJob] = {}
    for (stream_id, urgent), delay_s, _ in pushes:
        known = jobs.get(stream_id, PushedJob(stream_id, urgent, delay_s))
        jobs[stream_id] = PushedJob(
            stream_id, known.urgent or urgent, max(0.0, float(min(known.delay_s, delay_s)))
        )
    return list(jobs.values())


def _settle(connection: Connection, claim: Claim, outcome: Outcome) -> None:
    """End a claim that is still ours; nothing for one that is not."""
    stream_id, token = claim.wake_up.stream_id, claim.token
    match outcome:
        case Done():
            sync_job.finish_done(connection, stream_id=stream_id, claim_token=token)
        case Retry(delay_s):
            sync_job.finish_retry(
                connection, stream_id=stream_id, claim_token=token, delay_s=max(0.0, delay_s)
            )
        case Bury(reason):
            # Postgres refuses NUL in a text.
            why = reason.replace("\0", "")
            sync_job.finish_bury(connection, stream_id=stream_id, claim_token=token, reason=why)
