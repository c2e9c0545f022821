"""The queue in plain Python: the contract, readable."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.clock import Clock
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


@dataclass(slots=True)
class _Job:
    """A wake-up: waiting, claimed (``token``) or buried (``why``); see ``sync_job``."""

    ready_at: datetime
    urgent: bool
    token: int | None = None
    claims: int = 0
    again_at: datetime | None = None
    again_urgent: bool = False
    why: str | None = None


class MemoryQueue:
    """One job a stream, behind one lock; lives as long as its process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._jobs: dict[int, _Job] = {}
        self._last_token = 0
        self._lock = threading.Lock()

    def push(self, wake_up: WakeUp, *, delay_s: float = 0.0) -> None:
        """See ``Queue.push``."""
        self.push_many([Push(wake_up, delay_s)])

    def push_many(self, pushes: Sequence[Push]) -> None:
        """See ``Queue.push_many``."""
        with self._lock:
            self._push_all(pushes)

    def stats(self) -> QueueStats:
        """See ``Queue.stats``."""
        with self._lock:
            now = self._clock.now()
            alive = [job for job in self._jobs.values() if job.why is None]
            later = [job for job in alive if job.ready_at > now]
            claimed = sum(job.token is not None for job in later)
            return QueueStats(
                ready=len(alive) - len(later),
                delayed=len(later) - claimed,
                claimed=claimed,
                buried=len(self._jobs) - len(alive),
            )

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """See ``Queue.dead_letters``."""
        with self._lock:
            found = [
                DeadLetter(WakeUp(stream_id, job.urgent), job.why)
                for stream_id, job in sorted(self._jobs.items())
                if job.why is not None
            ]
            return found[:limit]

    def purge(self) -> int:
        """See ``Queue.purge``."""
        with self._lock:
            count = len(self._jobs)
            self._jobs.clear()
            return count

    def claim(self, lease_s: float) -> Claim | None:
        """See ``Queue.claim``."""
        with self._lock:
            return self._next(lease_s)

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        then: Sequence[Push] = (),
        claim_next_s: float | None = None,
    ) -> Claim | None:
        """See ``Queue.finish``."""
        with self._lock:
            self._push_all(then)
            job = self._jobs.get(claim.wake_up.stream_id)
            if job is not None and job.token == claim.token:
                self._settle(claim.wake_up.stream_id, job, outcome)
            return None if claim_next_s is None else self._next(claim_next_s)

    def _push_all(self, pushes: Sequence[Push]) -> None:
        """Push one after the other."""
        now = self._clock.now()
        for (stream_id, urgent), delay_s, _ in pushes:
            ready_at = now + timedelta(seconds=max(0.0, delay_s))
            job = self._jobs.get(stream_id)
            if job is None or job.why is not None:
                self._jobs[stream_id] = _Job(ready_at, urgent)
            elif job.token is None:
                job.ready_at = min(job.ready_at, ready_at)
                job.urgent = job.urgent or urgent
            else:
                job.again_at = min(job.again_at or ready_at, ready_at)
                job.again_urgent = job.again_urgent or urgent
                if job.ready_at <= now:
                    job.urgent = job.urgent or urgent

    def _settle(self, stream_id: int, job: _Job, outcome: Outcome) -> None:
        """End a claim; what was pushed meanwhile becomes its one follow-up."""
        match outcome:
            case Done() | Bury() if job.again_at is not None:
                self._jobs[stream_id] = _Job(job.again_at, job.again_urgent)
            case Done():
                del self._jobs[stream_id]
            case Bury(reason):
                job.token, job.why = None, reason.replace("\0", "")
            case Retry(delay_s):
                ready_at = self._clock.now() + timedelta(seconds=max(0.0, delay_s))
                job.ready_at = min(ready_at, job.again_at or ready_at)
                job.urgent = job.urgent or job.again_urgent
                job.token, job.again_at, job.again_urgent = None, None, False

    def _next(self, lease_s: float) -> Claim | None:
        """Claim the next wake-up."""
        now = self._clock.now()
        claimable = [
            (not job.urgent, job.ready_at, stream_id)
            for stream_id, job in self._jobs.items()
            if job.why is None and job.ready_at <= now
        ]
        if not claimable:
            return None
        stream_id = min(claimable)[2]
        job = self._jobs[stream_id]
        self._last_token += 1
        job.token = self._last_token
        job.claims += 1
        job.ready_at = now + timedelta(seconds=lease_s)
        return Claim(WakeUp(stream_id, job.urgent), job.token, job.claims)
