"""BullMQ's queue when consumers are killed, when Redis is, and when it forgets everything."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from shared.errors import RedisUnreachableError
from shared.queue.base import Claim, DeadLetter, Done, Push, Queue, QueueStats, WakeUp
from shared.queue.bullmq import MOST_STALLS, BullmqQueue
from tests.contract.queue_cases import URGENT_A, A, B, drained
from tests.contract.queue_redis import HOLDER, OwnRedis, own_redis, process

SHORT_S, LONG_S = 1.0, 60.0


def test_killed_consumer_s_job_is_worked_again_and_then_given_up(redis_url: str) -> None:
    prefix = f"test{uuid.uuid4().hex}"
    queue = BullmqQueue(redis_url, prefix=prefix)
    queue.push(A)
    worked = []
    for kill in range(MOST_STALLS + 1):
        holder = process(HOLDER, redis_url, prefix, str(SHORT_S))
        assert holder.stdout is not None
        worked.append(holder.stdout.readline())
        if kill == 1:
            queue.push(URGENT_A)
        holder.kill()
        holder.communicate(timeout=10)

    # Both kills that a deploy gone wrong may bring are worked again, with their number told.
    assert worked == [f"1 {claims}\n" for claims in range(1, MOST_STALLS + 2)]
    follow_up = eventually(lambda: queue.claim(SHORT_S))
    assert (follow_up.wake_up, follow_up.claims) == (URGENT_A, 1)
    assert queue.dead_letters() == [DeadLetter(A, "job stalled more than allowable limit")]
    queue.finish(follow_up, Done())
    queue.purge()
    queue.close()


def test_claim_is_kept_while_its_process_lives(redis_url: str) -> None:
    prefix = f"test{uuid.uuid4().hex}"
    holder, other = (BullmqQueue(redis_url, prefix=prefix) for _ in range(2))
    holder.push(A)
    claim = holder.claim(SHORT_S)
    assert claim is not None

    give_up = time.monotonic() + 4 * SHORT_S
    while time.monotonic() < give_up:
        assert other.claim(SHORT_S) is None
        time.sleep(0.1)  # noqa: TID251 - real time for a real server

    holder.finish(claim, Done())
    assert other.stats() == QueueStats(0, 0, 0, 0)
    holder.close()
    other.close()


def test_redis_killed_and_started_again_is_used_without_a_new_object(
    durable: OwnRedis, queue: BullmqQueue
) -> None:
    queue.push_many([Push(A), Push(B)])
    claim = queue.claim(LONG_S)
    assert claim is not None
    assert claim.wake_up == A
    queue.push(A)
    durable.kill()

    for call in calls(queue):
        began = time.monotonic()
        with pytest.raises(RedisUnreachableError):
            call()
        assert time.monotonic() - began < 15

    durable.start()
    queue.finish(claim, Done())
    assert sorted(drained(queue)) == [A, B]
    queue.push(URGENT_A)
    assert drained(queue) == [URGENT_A]


def test_redis_that_comes_back_empty_swallows_no_push(
    forgetful: OwnRedis, empty_queue: BullmqQueue
) -> None:
    queue = empty_queue
    queue.push_many([Push(A), Push(B)])
    stale = queue.claim(LONG_S)
    assert stale is not None
    queue.push(A)
    forgetful.kill()
    forgetful.start()

    assert queue.stats() == QueueStats(0, 0, 0, 0)
    queue.push_many([Push(A), Push(URGENT_A), Push(B)])
    queue.finish(stale, Done())

    assert drained(queue) == [URGENT_A, B]


def test_flushed_redis_swallows_no_push(forgetful: OwnRedis, empty_queue: BullmqQueue) -> None:
    queue = empty_queue
    queue.push_many([Push(A), Push(B)])
    stale = queue.claim(LONG_S)
    assert stale is not None
    with Redis.from_url(forgetful.url) as redis:
        redis.flushall()

    queue.push(B)
    fresh = queue.finish(stale, Done("of before"), then=[Push(A)], claim_next_s=LONG_S)

    assert fresh is not None
    assert fresh.wake_up == B
    queue.finish(fresh, Done())
    assert drained(queue) == [A]
    with Redis.from_url(forgetful.url) as redis:
        assert list(redis.scan_iter("*:logs")) == []


def test_snapshot_of_before_is_worked_once_more(forgetful: OwnRedis) -> None:
    """Restored from an old snapshot: what was finished since is looked at again, nothing hangs."""
    queue = BullmqQueue(forgetful.url, prefix="old")
    queue.push_many([Push(A), Push(B)])
    claim = queue.claim(SHORT_S)
    assert claim is not None
    queue.push(A)
    with Redis.from_url(forgetful.url) as redis:
        redis.save()
    queue.finish(claim, Done())
    assert drained(queue) == [B, A]
    forgetful.kill()
    forgetful.start()

    queue.push_many([Push(A), Push(B)])
    worked: list[int] = []
    while len(worked) < 3:
        again = eventually(lambda: queue.claim(SHORT_S))
        worked.append(again.wake_up.stream_id)
        queue.finish(again, Done())

    assert sorted(worked) == [1, 1, 2]
    assert queue.stats() == QueueStats(0, 0, 0, 0)
    queue.close()


def calls(queue: Queue) -> list[Callable[[], object]]:
    return [
        lambda: queue.push(WakeUp(9)),
        lambda: queue.claim(LONG_S),
        queue.stats,
        lambda: queue.wait(1.0),  # type: ignore[attr-defined]
    ]


def eventually(claim: Callable[[], Claim | None], within_s: float = 10.0) -> Claim:
    give_up = time.monotonic() + within_s
    while time.monotonic() < give_up:
        found = claim()
        if found is not None:
            return found
        time.sleep(0.05)  # noqa: TID251 - real time for a real server
    message = "nothing came"
    raise AssertionError(message)


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[OwnRedis]:
    with own_redis(tmp_path, "--appendonly", "no") as server:
        yield server


@pytest.fixture
def queue(durable: OwnRedis) -> Iterator[BullmqQueue]:
    made = BullmqQueue(durable.url)
    yield made
    made.close()


@pytest.fixture
def empty_queue(forgetful: OwnRedis) -> Iterator[BullmqQueue]:
    made = BullmqQueue(forgetful.url)
    yield made
    made.close()
