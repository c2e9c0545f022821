"""The engine's seams, stepped by the scheduler: each effect has an edge before and after."""

import random
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar, cast

from sqlalchemy import Connection

from shared.clock import Deadline
from shared.errors import (
    DeadlineExceededError,
    RedisUnreachableError,
    StorageError,
    StorageRefusedError,
)
from shared.gate import Usage
from shared.http import Http, HttpResponse
from shared.queue.base import Claim, Outcome, Push, Queue
from shared.seams import Handle
from shared.watchdog import until
from tests.simulation.lua_redis import LuaRedis
from tests.simulation.raw import RawConnection
from tests.simulation.scheduler import Process, Scheduler, Task

T = TypeVar("T")
ENDED_ODDS = 0.2  # more would leave no stale writer in time to be one
START = datetime(2026, 1, 1, tzinfo=UTC)


class SimClock:
    """A machine's clock; ``skew_s`` is how far its wall clock is off."""

    def __init__(self, scheduler: Scheduler, skew_s: float = 0.0) -> None:
        self._scheduler = scheduler
        self._skew_s = skew_s

    def now(self) -> datetime:
        return START + timedelta(seconds=self._scheduler.now_s + self._skew_s)

    def monotonic(self) -> float:
        return self._scheduler.now_s

    def sleep(self, seconds: float, deadline: Deadline) -> None:
        if seconds > deadline.remaining_s():
            message = "the wait does not fit into the box"
            raise DeadlineExceededError(message)
        self._scheduler.sleep(seconds)


class SimUnit:
    """Steps against the ledger: whole or not at all; after a crash nobody learns of one."""

    def __init__(
        self,
        scheduler: Scheduler,
        driver: sqlite3.Connection,
        check: Callable[[str, str], None],
        process: Process,
        lost_odds: float,
    ) -> None:
        self._scheduler = scheduler
        self._process = process
        self._lost_odds = lost_odds
        self._driver = driver
        self._check = check

    def run(self, label: str, step: Callable[[Connection], T], *, by: Deadline | None = None) -> T:
        end = None if by is None else Deadline(until(by), by.monotonic)
        self._scheduler.step(f"before {label}")
        self._end(label, end)
        if self._scheduler.rng.random() < self._lost_odds:
            self._deliver_late(label, step)
        result = self._take(label, step)
        self._scheduler.step(f"after {label}")
        if self._scheduler.rng.random() < self._lost_odds:
            self._break(f"the answer to {label} is lost")
        self._end(label, end)
        return result

    def _end(self, label: str, end: Deadline | None) -> None:
        """Time passes at an edge: the step may be ended, before or after it had its effect."""
        late = end is not None and end.remaining_s() <= 0
        if end is not None and late and self._scheduler.rng.random() < ENDED_ODDS:
            self._scheduler.note(f"{label} is ended")
            end.check(label)

    def _take(self, label: str, step: Callable[[Connection], T]) -> T:
        try:
            with RawConnection(self._driver) as connection:
                result = step(cast("Connection", connection))
        except sqlite3.IntegrityError as exc:
            raise StorageRefusedError(str(exc)) from exc
        self._check(label, self._process.name)
        return result

    def _deliver_late(self, label: str, step: Callable[[Connection], T]) -> None:
        """The connection breaks, and a pooler still delivers the statement some time later."""
        delay_s = self._scheduler.rng.random() * 40

        def deliver() -> None:
            self._scheduler.sleep(delay_s)
            self._scheduler.note(f"{label} of {self._process.name} is delivered late")
            self._take(label, step)

        self._scheduler.spawn("pooler", deliver)
        self._break(f"{label} did not arrive")

    def _break(self, what: str) -> NoReturn:
        self._scheduler.note(what)
        raise StorageError(what)


class LossyQueue:
    """A queue that loses and doubles pushes: the ledger must not mind."""

    def __init__(self, queue: Queue, rng: random.Random, lost_odds: float) -> None:
        self._queue = queue
        self._rng = rng
        self._lost_odds = lost_odds
        self.push = queue.push
        self.stats = queue.stats
        self.dead_letters = queue.dead_letters
        self.purge = queue.purge
        self.claim = queue.claim

    def push_many(self, pushes: Sequence[Push]) -> None:
        """Some are lost."""
        self._queue.push_many(self._left_of(pushes))

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        then: Sequence[Push] = (),
        claim_next_s: float | None = None,
    ) -> Claim | None:
        """What is to be pushed then may be lost, or come twice."""
        return self._queue.finish(
            claim, outcome, then=self._left_of(then), claim_next_s=claim_next_s
        )

    def _left_of(self, pushes: Sequence[Push]) -> list[Push]:
        left = [push for push in pushes if self._rng.random() >= self._lost_odds]
        return left * 2 if self._rng.random() < self._lost_odds else left


class SimRedis:
    """Redis over HTTP: calls and answers are lost, the client repeats them, all may be emptied."""

    def __init__(self, scheduler: Scheduler, redis: LuaRedis, lost_odds: float) -> None:
        self._scheduler = scheduler
        self._redis = redis
        self._lost_odds = lost_odds

    def script(self, name: str, ask: Mapping[str, Any]) -> Any:
        self._scheduler.step(f"before redis {name}")
        if self._happens():
            self._break(f"redis {name} did not arrive")
        answer = self._redis.script(name, ask)
        if self._happens():
            answer = self._redis.script(name, ask)
        if self._happens():
            self._redis.clear()
            self._scheduler.note("redis is emptied")
        self._scheduler.step(f"after redis {name}")
        if self._happens():
            self._break(f"the answer to redis {name} is lost")
        return answer

    def _happens(self) -> bool:
        return self._scheduler.rng.random() < self._lost_odds

    def _break(self, what: str) -> NoReturn:
        self._scheduler.note(what)
        raise RedisUnreachableError(what)


class SimHttp:
    """The network: time passes on the way there and on the way back."""

    def __init__(self, scheduler: Scheduler, http: Http) -> None:
        self._scheduler = scheduler
        self._http = http

    def get(
        self,
        source: str,
        url: str,
        *,
        params: Mapping[str, Any],
        deadline: Deadline,
        max_bytes: int = 2**25,
    ) -> HttpResponse:
        what = (
            f"{params.get('action')} {params.get('startblock', '')}..{params.get('endblock', '')}"
        )
        self._scheduler.step(f"ask {what} page {params.get('page', '')}")
        answer = self._http.get(source, url, params=params, deadline=deadline, max_bytes=max_bytes)
        self._scheduler.step(f"answer {what}")
        return answer


class SimSpawn:
    """Work beside the caller, in the same process."""

    def __init__(self, scheduler: Scheduler, process: Process) -> None:
        self._scheduler = scheduler
        self._process = process

    def start(self, work: Callable[[], T]) -> Handle[T]:
        name, parent = f"{self._process.name}+", self._scheduler.current()
        task = self._scheduler.spawn(name, work, self._process, answers_to=parent)
        return SimHandle(self._scheduler, task)


class SimHandle(Handle[T]):
    """A task under way."""

    def __init__(self, scheduler: Scheduler, task: Task) -> None:
        self._scheduler = scheduler
        self._task = task

    def result(self) -> T:
        found: T = self._scheduler.join(self._task)
        return found


class SimGate:
    """A gate that never waits; holds are kept by the streams' own snooze."""

    def acquire(self, source: str, deadline: Deadline) -> None:
        """Always our turn."""

    def hold(self, source: str, seconds: float) -> None:
        """Nobody else asks."""

    def leave(self) -> None:
        """See ``RateGate.leave``: a simulated process only ever dies."""

    def tell(self, deadline: Deadline) -> None:
        """Nothing is counted."""

    def usage(self, sources: Sequence[str]) -> Usage:
        """Nothing is counted."""
        return Usage(dict.fromkeys(sources, 0), START, for_all=False)
