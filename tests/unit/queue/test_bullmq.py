"""BullMQ's queue and the traps of its driver: blocking reads, locks, outages, what others add."""

import json
import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from shared.errors import RedisRefusedError, RedisUnreachableError
from shared.queue.base import Bury, DeadLetter, Done, QueueStats, Retry, WakeUp
from shared.queue.bullmq import QUEUE, TIMEOUT_S, BullmqQueue
from tests.contract.queue_redis import HOLDER, OwnRedis, own_redis, process

LEASE_S = 60.0
A, B = WakeUp(1), WakeUp(2)


class Bench:
    """Two consumers of one queue, and the Redis below them."""

    def __init__(self, url: str) -> None:
        self.prefix = f"unit{uuid.uuid4().hex}"
        self.queue, self.other = (BullmqQueue(url, prefix=self.prefix) for _ in range(2))
        self.redis: Any = Redis.from_url(url, decode_responses=True)
        self.key = f"{self.prefix}:{QUEUE}:"

    def plant(self, data: str, **fields: str) -> str:
        """A job as somebody else may have added it."""
        job_id = uuid.uuid4().hex
        told = {"name": "theirs", "data": data, "opts": "{}", "timestamp": "1", **fields}
        self.redis.hset(self.key + job_id, mapping=told)
        self.redis.lpush(f"{self.key}wait", job_id)
        return job_id

    def reason(self, job_id: str) -> str:
        assert self.redis.zscore(f"{self.key}failed", job_id) is not None
        return str(self.redis.hget(self.key + job_id, "failedReason"))

    def close(self) -> None:
        self.queue.purge()
        self.queue.close()
        self.other.close()
        self.redis.close()


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    made = Bench(redis_url)
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture
def queue(own: OwnRedis) -> Iterator[BullmqQueue]:
    made = BullmqQueue(own.url)
    yield made
    made.close()


@pytest.mark.slow
def test_job_added_after_an_idle_wait_is_claimed_at_once(redis_url: str) -> None:
    def late_s(idle_s: float) -> float:
        """How long a push stays unseen by one that has waited for ``idle_s``."""
        bench = Bench(redis_url)
        pushed = [0.0]

        def push() -> None:
            bench.other.push(A)
            pushed[0] = time.monotonic()

        timer = threading.Timer(idle_s, push)
        timer.start()
        while (claim := bench.queue.claim(LEASE_S)) is None:
            bench.queue.wait(20.0)
        seen = time.monotonic()
        timer.join()
        bench.queue.finish(claim, Done())
        bench.close()
        return seen - pushed[0]

    with ThreadPoolExecutor(3) as pool:
        late = list(pool.map(late_s, (0.3, 7.0, 12.0)))

    assert max(late) < 0.5, late


def test_busy_caller_does_not_stop_the_renewal_of_its_claim(bench: Bench, redis_url: str) -> None:
    lease_s = 3.0
    bench.queue.push(A)
    claim = bench.queue.claim(lease_s)
    assert claim is not None
    thief = process(HOLDER, redis_url, bench.prefix, str(lease_s))

    began, longest_s = time.monotonic(), 0.0
    while time.monotonic() - began < 2.5 * lease_s:
        burst = time.monotonic()
        sum(range(4_000_000))  # one call in C: nobody else of this process runs meanwhile
        longest_s = max(longest_s, time.monotonic() - burst)
    thief.kill()
    stolen, _ = thief.communicate(timeout=10)

    assert longest_s > 0.03
    assert stolen == ""
    bench.queue.finish(claim, Done())
    assert bench.queue.stats() == QueueStats(0, 0, 0, 0)


def test_wait_ends_when_something_comes_or_the_time_is_over(bench: Bench) -> None:
    def took_s(seconds: float) -> float:
        began = time.monotonic()
        bench.queue.wait(seconds)
        return time.monotonic() - began

    assert took_s(0) < 0.5
    assert took_s(-1) < 0.5
    assert 0.15 < took_s(0.2) < 1
    bench.queue.push(A)
    assert took_s(10) < 0.5
    # Of two that wait one asks Redis, and the other only waits for its turn.
    assert bench.queue.claim(LEASE_S) is not None
    bench.queue.wait(0.1)
    with ThreadPoolExecutor(2) as pool:
        assert all(0.15 < took < 1.5 for took in pool.map(took_s, (0.2, 0.2)))


def test_wait_of_a_queue_that_is_closed_ends_with_a_named_error(redis_url: str) -> None:
    queue = BullmqQueue(redis_url, prefix=uuid.uuid4().hex)
    queue.stats()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(queue.wait, 10.0)
        time.sleep(0.2)  # noqa: TID251 - a thread takes real time
        queue.close()
        with pytest.raises(RedisUnreachableError):
            waiting.result(timeout=5)


def test_wait_for_a_redis_that_dies_ends_with_a_named_error(
    own: OwnRedis, queue: BullmqQueue
) -> None:
    queue.stats()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(queue.wait, 10.0)
        time.sleep(0.2)  # noqa: TID251 - a thread takes real time
        own.kill()
        with pytest.raises(RedisUnreachableError, match="ConnectionError"):
            waiting.result(timeout=8)

    own.start()
    queue.push(A)
    queue.wait(5.0)
    assert queue.claim(LEASE_S) is not None


@pytest.mark.slow
def test_redis_that_answers_nobody_is_an_error_and_not_a_hang(
    own: OwnRedis, queue: BullmqQueue
) -> None:
    queue.push(A)
    claim = queue.claim(LEASE_S)
    assert claim is not None
    assert own._process is not None
    os.kill(own._process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with ThreadPoolExecutor(3) as pool:
            calls: list[Future[Any]] = [
                pool.submit(queue.claim, LEASE_S),
                pool.submit(queue.push, B),
                pool.submit(queue.wait, 2.0),
            ]
            for call in calls:
                with pytest.raises(RedisUnreachableError):
                    call.result(timeout=TIMEOUT_S + 10)
        assert time.monotonic() - began < TIMEOUT_S + 5
    finally:
        os.kill(own._process.pid, signal.SIGCONT)

    queue.finish(claim, Done())
    queue.push(B)
    assert queue.stats().ready == 1


def test_claim_that_could_not_be_finished_is_not_kept_alive(
    own: OwnRedis, queue: BullmqQueue
) -> None:
    queue.push(A)
    claim = queue.claim(1.0)
    assert claim is not None
    own.kill()
    with pytest.raises(RedisUnreachableError):
        queue.finish(claim, Done())
    own.start()

    give_up = time.monotonic() + 10
    while (again := queue.claim(1.0)) is None and time.monotonic() < give_up:
        time.sleep(0.1)  # noqa: TID251 - a lease takes real time

    assert again is not None
    assert (again.wake_up, again.claims) == (A, 2)


@pytest.mark.parametrize(
    "data",
    [
        *("null", "{}", '"x"', "[]", '{"wallet": "0x00"}'),
        *('{"streamId": "42"}', '{"streamId": true}', '{"streamId": -1}', '{"streamId": 4.5}'),
    ],
)
def test_job_with_foreign_data_fails_with_a_reason_and_blocks_nobody(
    bench: Bench, data: str
) -> None:
    job_id = bench.plant(data)
    bench.queue.push(A)

    claim = bench.queue.claim(LEASE_S)

    assert claim is not None
    assert claim.wake_up == A
    assert bench.reason(job_id) == "data must hold streamId, the number of a stream"
    assert bench.queue.dead_letters() == []
    assert bench.queue.stats() == QueueStats(0, 0, 1, 1)


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ("{not json", {}),
        ('{"streamId": 5}', {"timestamp": "soon"}),
        ('{"streamId": 5}', {"opts": "[]"}),
        ('{"streamId": 5}', {"opts": '{"fpof": true, "rdof": true}'}),
    ],
)
def test_job_that_the_library_cannot_read_fails_with_a_reason_and_blocks_nobody(
    bench: Bench, data: str, fields: dict[str, str]
) -> None:
    job_id = bench.plant(data, **fields)
    bench.queue.push(A)

    claim = bench.queue.claim(LEASE_S)

    assert claim is not None
    assert claim.wake_up == A
    assert bench.reason(job_id).startswith("this job cannot be read: ")
    assert bench.queue.dead_letters() in (
        [],
        [DeadLetter(WakeUp(5, urgent=True), bench.reason(job_id))],
    )


def test_chained_claims_pass_over_what_cannot_be_read(bench: Bench) -> None:
    bench.queue.push(A)
    claim = bench.queue.claim(LEASE_S)
    assert claim is not None
    bench.plant("{}")
    bench.queue.push(B)

    following = bench.queue.finish(claim, Done(), claim_next_s=LEASE_S)

    assert following is not None
    assert following.wake_up == B


def test_ids_are_such_as_node_takes(bench: Bench) -> None:
    bench.queue.push(WakeUp(42))

    [job_id] = bench.redis.zrange(f"{bench.key}prioritized", 0, -1)
    assert job_id.startswith("s42-")
    assert ":" not in job_id
    assert not job_id.isdecimal()
    assert bench.redis.get(f"{bench.key}de:s42") == job_id


def test_no_limiter_is_used_since_the_port_resumes_too_late_from_one(bench: Bench) -> None:
    bench.queue.push(A)
    claim = bench.queue.claim(LEASE_S)
    assert claim is not None
    bench.queue.finish(claim, Done(), claim_next_s=LEASE_S)

    assert bench.redis.exists(f"{bench.key}limiter") == 0
    assert bench.redis.hmget(f"{bench.key}meta", "max", "duration") == [None, None]


def test_retry_at_once_keeps_the_hint(bench: Bench) -> None:
    job_id = bench.plant('{"streamId": 7, "feed": "etherscan/1"}')
    claim = bench.queue.claim(LEASE_S)
    assert claim is not None
    bench.queue.finish(claim, Retry(0))
    assert bench.redis.hget(bench.key + job_id, "returnvalue") == '"again at once"'

    again = bench.queue.claim(LEASE_S)

    assert again is not None
    [active] = bench.redis.lrange(f"{bench.key}active", 0, -1)
    assert active != job_id
    assert json.loads(bench.redis.hget(bench.key + active, "data")) == {
        "streamId": 7,
        "feed": "etherscan/1",
    }


def test_log_of_a_job_that_is_gone_does_not_stay(bench: Bench) -> None:
    bench.queue.push(A)
    claim = bench.queue.claim(LEASE_S)
    assert claim is not None
    bench.redis.delete(*bench.redis.keys(f"{bench.prefix}:*"))

    bench.queue.finish(claim, Done("3 pages"))

    assert bench.redis.keys("*:logs") == []


def test_end_that_bullmq_refuses_is_a_named_error(bench: Bench) -> None:
    bench.queue.push(A)
    claim = bench.queue.claim(LEASE_S)
    assert claim is not None
    [active] = bench.redis.lrange(f"{bench.key}active", 0, -1)
    bench.redis.sadd(f"{bench.key}{active}:dependencies", "a child")

    with pytest.raises(RedisRefusedError, match="-4"):
        bench.queue.finish(claim, Done())
    assert bench.queue.finish(claim, Bury("late")) is None


def test_object_can_be_closed_twice_and_used_again(redis_url: str) -> None:
    queue = BullmqQueue(redis_url, prefix=uuid.uuid4().hex)
    queue.close()
    for _ in range(2):
        queue.push(A)
        claim = queue.claim(LEASE_S)
        assert claim is not None
        queue.finish(claim, Done())
        queue.close()
        queue.close()
