"""A queue that is worked only while it is the active one: two are never worked at once.

What is asked of the wrong queue is not lost: the ledger knows what is due, and whoever works the
right one sweeps it up.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from schema.queries import switch
from schema.queries.switch import SwitchRow
from shared.clock import Clock
from shared.queue.base import Claim, DeadLetter, Outcome, Push, Queue, QueueStats, WakeUp
from shared.seams import UnitOfWork

LOOK_AGAIN_S = 2.0

log = logging.getLogger(__name__)


class Switchboard:
    """What the switch says of this process's queue; looked up at most every ``LOOK_AGAIN_S``."""

    def __init__(self, kind: str, unit: UnitOfWork, clock: Clock) -> None:
        self.kind = kind
        self._unit = unit
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._row: SwitchRow | None = None
        self._said: str | None = None

    def objection(self, *, to_work: bool = False) -> str | None:
        """Why this process must not work now; None when it may.

        ``to_work``: it is about to. Whoever works first names the queue, so that no second one is
        ever worked; who only looks, or pushes, names nothing.
        """
        why = objection_to(self._looked_up(to_work=to_work), self.kind)
        if why != self._said:
            log.warning("not working: %s" if why else "working again%s", why or "")
            self._said = why
        return why

    def is_active(self) -> bool:
        """Whether this queue is the one to push to, paused or not."""
        row = self._looked_up()
        return row is None or row.queue == self.kind

    def _looked_up(self, *, to_work: bool = False) -> SwitchRow | None:
        with self._lock:
            now = self._clock.monotonic()
            is_old = self._read_at is None or now - self._read_at >= LOOK_AGAIN_S
            if is_old or (to_work and self._row is None):
                read = self._named if to_work else switch.read
                self._row = self._unit.run("switch", read)
                self._read_at = now
            return self._row

    def _named(self, connection: Connection) -> SwitchRow | None:
        """The row, made where there is none."""
        found = switch.read(connection)
        if found is None:
            switch.first(connection, self.kind)
            found = switch.read(connection)
        return found


def objection_to(row: SwitchRow | None, kind: str) -> str | None:
    """Why a process with a queue of this kind must not work."""
    if row is None:
        return None
    if row.queue != kind:
        return (
            f"this process is set up for {kind}, the active queue is {row.queue};"
            f" tallybook cutover --to {kind} moves work here"
        )
    return "work is paused" if row.paused else None


class SwitchedQueue:
    """See ``Queue``; claims nothing while the switch objects, and pushes only to the active one."""

    def __init__(self, inner: Queue, board: Switchboard) -> None:
        self._inner = inner
        self._board = board
        self.stats: Callable[[], QueueStats] = inner.stats
        self.purge: Callable[[], int] = inner.purge

    def push(self, wake_up: WakeUp, *, delay_s: float = 0.0) -> None:
        """See ``Queue.push``."""
        self.push_many([Push(wake_up, delay_s)])

    def push_many(self, pushes: Sequence[Push]) -> None:
        """See ``Queue.push_many``."""
        if pushes and self._board.is_active():
            self._inner.push_many(pushes)

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """See ``Queue.dead_letters``."""
        return self._inner.dead_letters(limit)

    def claim(self, lease_s: float) -> Claim | None:
        """See ``Queue.claim``."""
        return None if self._board.objection(to_work=True) else self._inner.claim(lease_s)

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        then: Sequence[Push] = (),
        claim_next_s: float | None = None,
    ) -> Claim | None:
        """See ``Queue.finish``."""
        if claim_next_s is not None and self._board.objection(to_work=True):
            claim_next_s = None
        kept = then if self._board.is_active() else ()
        return self._inner.finish(claim, outcome, then=kept, claim_next_s=claim_next_s)
