"""The engine's seams, stepped by the scheduler: each effect has an edge before and after."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine

from schema.engine import autocommit
from shared.clock import Deadline
from shared.errors import DeadlineExceededError
from shared.http import Http, HttpResponse
from shared.seams import Handle
from tests.simulation.scheduler import Process, Scheduler, Task

T = TypeVar("T")
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

    def __init__(self, scheduler: Scheduler, engine: Engine, check: Callable[[str], None]) -> None:
        self._scheduler = scheduler
        self._engine = engine
        self._check = check

    def run(self, label: str, step: Callable[[Connection], T]) -> T:
        self._scheduler.step(f"before {label}")
        with autocommit(self._engine) as connection:
            result = step(connection)
        self._check(label)
        self._scheduler.step(f"after {label}")
        return result


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
        return SimHandle(
            self._scheduler, self._scheduler.spawn(f"{self._process.name}+", work, self._process)
        )


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
