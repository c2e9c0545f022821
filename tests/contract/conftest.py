"""The implementations that the contract suites run over."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import text

from schema.engine import make_engine
from shared.http_client import HttpxClient
from shared.queue.base import Queue
from shared.queue.memory import MemoryQueue
from shared.queue.table import TableQueue
from shared.seams import SqlUnit
from tests.contract.source_cases import ADAPTERS, Bench, built
from tests.fakes import FakeClock
from tests.http_server import Server


@dataclass
class Harness:
    """A queue and the means to let time pass for it."""

    queue: Queue
    advance: Callable[[float], None]


@pytest.fixture
def memory_queue() -> Harness:
    clock = FakeClock()
    return Harness(MemoryQueue(clock), clock.advance)


@pytest.fixture
def sqlite_queue(sqlite_url: str) -> Iterator[Harness]:
    clock = FakeClock()
    engine = make_engine(sqlite_url, now=clock.now)
    yield Harness(TableQueue(SqlUnit(engine)), clock.advance)
    engine.dispose()


@pytest.fixture
def postgres_queue(postgres_url: str) -> Iterator[Harness]:
    engine = make_engine(postgres_url, now=FakeClock().now, pool_size=8)

    def advance(seconds: float) -> None:
        back = text(
            "UPDATE tallybook.sync_job SET ready_at = ready_at - make_interval(secs => :s),"
            " again_at = again_at - make_interval(secs => :s)"
        )
        with engine.begin() as connection:
            connection.execute(back, {"s": seconds})

    yield Harness(TableQueue(SqlUnit(engine)), advance)
    engine.dispose()


# An implementation joins the suite by its fixture and its name here.
HARNESSES = ["memory_queue", "sqlite_queue", "postgres_queue"]


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest) -> Harness:
    found: Harness = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def queue(harness: Harness) -> Queue:
    return harness.queue


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def http() -> Iterator[HttpxClient]:
    client = HttpxClient()
    yield client
    client.close()


@pytest.fixture(params=ADAPTERS)
def bench(request: pytest.FixtureRequest, server: Server, http: HttpxClient) -> Bench:
    return Bench(request.param, built(request.param, server, http), server)
