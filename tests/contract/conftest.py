"""The implementations that the contract suites run over."""

import math
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from redis import Redis
from sqlalchemy import text

from schema.engine import make_engine
from shared.clock import SystemClock
from shared.emulator.upstash.server import serving_upstash
from shared.heads import Heads
from shared.http_client import HttpxClient
from shared.queue.base import Queue
from shared.queue.bullmq import MOST_STALLS, QUEUE, BullmqQueue
from shared.queue.memory import MemoryQueue
from shared.queue.table import TableQueue
from shared.queue.upstash import UpstashQueue, UpstashShares
from shared.seams import SqlUnit
from shared.shares import ShareGate
from shared.upstash.client import UpstashClient
from tests.contract.source_cases import ADAPTERS, Bench, built
from tests.fakes import FakeClock
from tests.http_server import Server
from tests.simulation.lua_redis import LuaRedis

# A server's clock cannot be moved: what it compares with it moves back instead.
BACK = """
local function back(text) return text == '' and '' or string.format('%.0f', text - ARGV[1]) end
for _, set in ipairs({KEYS[2], KEYS[3], KEYS[4]}) do
  for _, id in ipairs(redis.call('ZRANGE', set, 0, -1)) do
    redis.call('ZINCRBY', set, -ARGV[1], id)
  end
end
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local u, ready, token, claims, again, rest =
    string.match(all[at + 1], '^(%d)|(%d+)|(%d*)|(%d+)|(%d*)|(.*)$')
  if u then
    redis.call('HSET', KEYS[1], all[at],
      table.concat({u, back(ready), token, claims, back(again), rest}, '|'))
  end
end
"""


@dataclass
class Harness:
    """A queue and the means to let time pass for it, which it may do by itself or not."""

    queue: Queue
    advance: Callable[[float], None]
    stands_still: bool = False


@pytest.fixture
def memory_queue() -> Harness:
    clock = FakeClock()
    return Harness(MemoryQueue(clock), clock.advance, stands_still=True)


@pytest.fixture
def sqlite_queue(sqlite_url: str) -> Iterator[Harness]:
    clock = FakeClock()
    engine = make_engine(sqlite_url, now=clock.now)
    yield Harness(TableQueue(SqlUnit(engine)), clock.advance, stands_still=True)
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


@pytest.fixture
def upstash_queue(redis_url: str) -> Iterator[Harness]:
    clock = SystemClock()
    with serving_upstash(redis_url) as upstash:
        client = UpstashClient(upstash.url, upstash.token, prefix=f"test{uuid.uuid4().hex}")
        gate = ShareGate(clock, UpstashShares(client), "test", {}, {})

        def advance(seconds: float) -> None:
            client.command("EVAL", BACK, "4", *client.keys[:4], str(round(seconds * 1e6)))

        yield Harness(UpstashQueue(client, clock, gate, Heads(clock)), advance)
        client.close()


@pytest.fixture
def simulated_upstash_queue() -> Harness:
    clock = FakeClock()
    client = LuaRedis(clock.monotonic)
    gate = ShareGate(clock, UpstashShares(client), "test", {}, {})
    queue = UpstashQueue(client, clock, gate, Heads(clock))
    return Harness(queue, clock.advance, stands_still=True)


@pytest.fixture
def bullmq_prefix() -> str:
    return f"test{uuid.uuid4().hex}"


@pytest.fixture
def bullmq_queue(redis_url: str, bullmq_prefix: str) -> Iterator[Harness]:
    queue = BullmqQueue(redis_url, prefix=bullmq_prefix, renews=False)
    with Redis.from_url(redis_url) as redis:

        def advance(seconds: float) -> None:
            for lock in redis.scan_iter(f"{bullmq_prefix}:*:lock", count=1000):
                redis.pexpire(lock, max(int(redis.pttl(lock) - seconds * 1000), 0))
            # The first check marks whoever is active, the second frees those without a lock.
            for _ in range(2):
                redis.delete(f"{bullmq_prefix}:{QUEUE}:stalled-check")
                queue._run(_looked_for_stalled(queue))
            queue._checked_at = -math.inf

        yield Harness(queue, advance)
    queue.close()


async def _looked_for_stalled(queue: BullmqQueue) -> None:
    _, worker = queue._opened()
    await worker.backend.moveStalledJobsToWait(MOST_STALLS, 1)


# An implementation joins the suite by its fixture and its name here.
HARNESSES = [
    "memory_queue",
    "sqlite_queue",
    "postgres_queue",
    "upstash_queue",
    "simulated_upstash_queue",
    "bullmq_queue",
]
# Those that keep delays, count retries and forget a dead letter when it is revived. BullMQ, where
# work is pushed to workers, keeps what is due later in the ledger, and failed jobs as evidence;
# ``shared.queue.bullmq.CANNOT`` lists it. What happens there instead: test_queue_push_style.py.
KEEPING = [name for name in HARNESSES if name != "bullmq_queue"]


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest) -> Harness:
    found: Harness = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def queue(harness: Harness) -> Queue:
    return harness.queue


@pytest.fixture(params=KEEPING)
def keeping_harness(request: pytest.FixtureRequest) -> Harness:
    found: Harness = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def keeping_queue(keeping_harness: Harness) -> Queue:
    return keeping_harness.queue


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
