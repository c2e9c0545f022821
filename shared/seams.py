"""All that the engine knows of the world.

A test can step, freeze and crash the engine at each of these; the product gives it the real ones.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from schema.engine import autocommit
from shared.clock import Clock, Deadline, SystemClock
from shared.errors import DeadlineExceededError, StorageUnreachableError
from shared.gate import Pacer, RateGate
from shared.heads import Heads
from shared.http import Http
from shared.queue.base import Queue
from shared.storage import storage_error
from shared.triggers.base import NoTrigger, Trigger
from shared.watchdog import Watched, watchdog

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

__all__ = [
    "Clock",
    "Deadline",
    "Handle",
    "Http",
    "Pacer",
    "Queue",
    "RateGate",
    "Rng",
    "Seams",
    "Spawn",
    "SqlUnit",
    "SystemClock",
    "Threads",
    "UnitOfWork",
]


class UnitOfWork(Protocol):
    """One step against the ledger: happens whole or not at all."""

    def run(self, label: str, step: Callable[[Connection], T], *, by: Deadline | None = None) -> T:
        """Run ``step`` on a connection of its own. ``label`` names it in traces.

        Args:
            label: What it is called.
            step: What is to be done.
            by: Until when to wait for it; None: as long as it takes.

        Raises:
            DeadlineExceededError: The step was ended because of ``by``. As good as surely it did
            not happen: read again where that matters.
            StorageError: The database refused or went away. Whether the step happened may be
            unknown: read again.
        """
        ...


class Handle(Protocol[T_co]):
    """Something under way."""

    def result(self) -> T_co:
        """Wait for it; raises what it raised."""
        ...


class Spawn(Protocol):
    """The overlap of fetch and write, never a bare thread."""

    def start(self, work: Callable[[], T]) -> Handle[T]:
        """Begin ``work`` beside the caller."""
        ...


class Rng(Protocol):
    """Chance, for jitter."""

    def random(self) -> float:
        """A number in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True)
class Seams:
    """The bundle that the engine is given."""

    clock: Clock
    unit: UnitOfWork
    queue: Queue
    gate: RateGate
    heads: Heads
    rng: Rng
    spawn: Spawn
    trigger: Trigger = field(default_factory=NoTrigger)


class SqlUnit:
    """Steps on a pooled connection: one statement on Postgres, one transaction on SQLite."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, label: str, step: Callable[[Connection], T], *, by: Deadline | None = None) -> T:
        """See ``UnitOfWork.run``; on SQLite its own busy timeout ends a wait, whatever ``by``."""
        watched: Watched | None = None
        try:
            with autocommit(self._engine) as connection:
                if by is None or self._engine.dialect.name == "sqlite":
                    return step(connection)
                with _watched(connection, by) as watched:
                    return step(connection)
        except DBAPIError as exc:
            if watched is not None and watched.cancelled:
                message = f"the database did not end step {label} in the time that was left"
                raise DeadlineExceededError(message) from exc
            raise storage_error(exc, f" at step {label}") from exc
        except PoolTimeoutError as exc:
            message = f"no connection to the database was free in time at step {label}"
            raise StorageUnreachableError(message) from exc


@contextmanager
def _watched(connection: Connection, by: Deadline) -> Iterator[Watched]:
    """Have the statements within ended in time."""
    driver: Any = connection.connection.driver_connection
    with watchdog().watching(driver, by) as watched:
        try:
            yield watched
        finally:
            watched.leave()
            if watched.cancelled:
                # Nobody else's statement shall meet what may still be on its way.
                connection.invalidate()


class Threads:
    """Spawns on a small pool of threads of its own."""

    def __init__(self, size: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=size, thread_name_prefix="tallybook-fetch")

    def start(self, work: Callable[[], T]) -> Handle[T]:
        """See ``Spawn.start``."""
        return self._pool.submit(work)

    def close(self) -> None:
        """Stop taking work; what is under way ends by its own deadline."""
        self._pool.shutdown(wait=False, cancel_futures=True)
