"""One connection in the middle of something while another begins."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TypeVar

from sqlalchemy import Connection, Engine, text

from schema.engine import autocommit, reading

T = TypeVar("T")

GIVE_UP_S = 20.0
BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""

Rivalry = Callable[[Connection], object]


def late(
    engine: Engine,
    rivalry: Rivalry,
    step: Callable[[Connection], T],
    *,
    commit: bool = True,
    before_release: Rivalry = lambda _: None,
) -> T:
    """What ``step`` returns when it began while the rival's transaction held what it waits for."""

    def begin() -> T:
        with autocommit(engine) as connection:
            return step(connection)

    with ThreadPoolExecutor(1) as threads:
        with engine.connect() as other, other.begin() as transaction:
            rivalry(other)
            under_way = threads.submit(begin)
            _wait_until_somebody_waits(engine)
            before_release(other)
            if not commit:
                transaction.rollback()
        return under_way.result()


def _wait_until_somebody_waits(engine: Engine) -> None:
    give_up = time.monotonic() + GIVE_UP_S
    with reading(engine) as connection:
        while not connection.execute(text(BLOCKED)).scalar_one():
            assert time.monotonic() < give_up, "it waits for nobody"
            time.sleep(0.01)  # noqa: TID251 - another thread takes real time


@contextmanager
def impatient(engine: Engine) -> Iterator[Connection]:
    """A connection on which waiting for a lock is an error, not a delay."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '500ms'"))
        yield connection


def at_once(*works: Callable[[], T]) -> list[T]:
    """What each returns when all begin together; the first error is raised."""
    barrier = Barrier(len(works), timeout=GIVE_UP_S)

    def go(work: Callable[[], T]) -> T:
        barrier.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        under_way = [threads.submit(go, work) for work in works]
        return [each.result() for each in under_way]
