"""What BullMQ cannot keep of ``Queue``, what happens instead, and what it adds."""

import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from types import ModuleType
from typing import Any

import pytest
from redis import Redis

from shared.queue.base import Bury, DeadLetter, Done, Push, Queue, QueueStats, Retry, WakeUp
from shared.queue.bullmq import CANNOT, KEEP_DONE, KEEP_FAILED, QUEUE, BullmqQueue
from tests.contract import test_queue, test_queue_follow_ups
from tests.contract.conftest import Harness
from tests.contract.queue_cases import (
    LATER_S,
    LEASE_S,
    SOON_S,
    URGENT_A,
    A,
    B,
    C,
    claimed,
    drained,
)
from tests.contract.queue_redis import PUSHER, process

EMPTY = QueueStats(0, 0, 0, 0)


@dataclass
class Jobs:
    """A queue of BullMQ as it stands in Redis."""

    redis: Any
    key: str

    def names(self) -> list[str]:
        return [name.removeprefix(self.key) for name in self.redis.scan_iter(f"{self.key}*")]

    def ended(self, state: str) -> list[dict[str, str]]:
        ids = self.redis.zrange(self.key + state, 0, -1)
        return [{"id": job_id, **self.redis.hgetall(self.key + job_id)} for job_id in ids]

    def forget(self) -> None:
        names = self.names()
        if names:
            self.redis.unlink(*(self.key + name for name in names))


def test_push_with_a_delay_leaves_nothing(push_queue: Queue) -> None:
    push_queue.push(A, delay_s=SOON_S)

    assert push_queue.stats() == EMPTY


def test_the_longest_waiting_comes_first(push_queue: Queue) -> None:
    push_queue.push_many([Push(B), Push(C), Push(A)])

    assert drained(push_queue) == [B, C, A]


def test_claims_count_kills_and_not_retries(bullmq_queue: Harness) -> None:
    queue = bullmq_queue.queue
    queue.push(A)
    queue.finish(claimed(queue), Retry(0))
    assert claimed(queue).claims == 1

    bullmq_queue.advance(LEASE_S + 1)

    assert claimed(queue).claims == 2


def test_late_finish_does_not_count_and_costs_one_more_look(bullmq_queue: Harness) -> None:
    queue = bullmq_queue.queue
    queue.push(A)
    claim = claimed(queue)
    bullmq_queue.advance(LEASE_S + 1)

    queue.finish(claim, Done())

    assert drained(queue) == [A]


def test_retry_with_a_delay_ends_the_job_and_says_so(push_queue: Queue, jobs: Jobs) -> None:
    push_queue.push(A)
    push_queue.finish(claimed(push_queue), Retry(SOON_S))

    assert push_queue.stats() == EMPTY
    [job] = jobs.ended("completed")
    assert job["returnvalue"] == '"to be looked at again in 100 s"'


def test_dead_letters_are_limited_and_the_newest_come_first(push_queue: Queue) -> None:
    for stream_id in (3, 1, 2):
        push_queue.push(WakeUp(stream_id))
        push_queue.finish(claimed(push_queue), Bury("why"))

    assert [letter.wake_up.stream_id for letter in push_queue.dead_letters(2)] == [2, 1]
    assert push_queue.dead_letters(0) == []


def test_push_many_pushes_what_is_due(push_queue: Queue) -> None:
    push_queue.push_many([])
    push_queue.push_many([Push(B, LATER_S), Push(A), Push(URGENT_A), Push(A, SOON_S), Push(C)])

    assert drained(push_queue) == [URGENT_A, C]


def test_push_works_a_buried_one_and_its_letter_stays(push_queue: Queue) -> None:
    push_queue.push(A)
    push_queue.finish(claimed(push_queue), Bury("evidence"))

    push_queue.push(URGENT_A)

    assert drained(push_queue) == [URGENT_A]
    assert push_queue.dead_letters() == [DeadLetter(A, "evidence")]


def test_push_while_claimed_is_worked_after_burial(push_queue: Queue) -> None:
    push_queue.push(A)
    claim = claimed(push_queue)
    push_queue.push(A)

    push_queue.finish(claim, Bury("evidence"))

    assert drained(push_queue) == [A]
    assert push_queue.dead_letters() == [DeadLetter(A, "evidence")]


def test_then_with_a_delay_for_the_own_stream_leaves_nothing(push_queue: Queue) -> None:
    push_queue.push(URGENT_A)

    push_queue.finish(claimed(push_queue), Done(), then=[Push(A, SOON_S)], claim_next_s=LEASE_S)

    assert push_queue.stats() == EMPTY


def test_stats_count_each_kind_but_delayed(bullmq_queue: Harness) -> None:
    queue = bullmq_queue.queue
    queue.push_many([Push(WakeUp(stream_id)) for stream_id in range(1, 6)])
    queue.push(WakeUp(6), delay_s=LATER_S)
    queue.finish(claimed(queue), Bury("why"))
    claimed(queue)

    assert queue.stats() == QueueStats(ready=3, delayed=0, claimed=1, buried=1)

    bullmq_queue.advance(LEASE_S + 1)

    assert queue.stats() == QueueStats(ready=4, delayed=0, claimed=0, buried=1)


def test_purge_leaves_no_key_behind(push_queue: Queue, jobs: Jobs) -> None:
    push_queue.push_many([Push(A), Push(B), Push(C, LATER_S)])
    claim = claimed(push_queue)
    push_queue.push(A)  # kept, which must not come back

    assert push_queue.purge() == 2

    assert jobs.names() == []
    push_queue.finish(claim, Retry(0))
    assert push_queue.claim(LEASE_S) is None
    push_queue.push(A)
    assert drained(push_queue) == [A]


def test_follow_up_is_the_most_urgent_of_the_pushes(push_queue: Queue) -> None:
    push_queue.push_many([Push(A), Push(B)])
    claim = claimed(push_queue)
    for push in (A, URGENT_A, A):
        push_queue.push(push)

    push_queue.finish(claim, Done())

    assert drained(push_queue) == [URGENT_A, B]


def test_push_while_claimed_and_a_retry_at_once_are_one_follow_up(push_queue: Queue) -> None:
    push_queue.push(A)
    claim = claimed(push_queue)
    push_queue.push(URGENT_A)

    push_queue.finish(claim, Retry(0))

    assert drained(push_queue) == [URGENT_A]


# Each case of the suite that asks what BullMQ cannot do, and the case here that says what it does.
INSTEAD = {
    "test_delayed_wake_up_comes_when_due": test_push_with_a_delay_leaves_nothing,
    "test_the_longest_due_comes_first": test_the_longest_waiting_comes_first,
    "test_retries_are_counted": test_claims_count_kills_and_not_retries,
    "test_late_finish_of_a_claim_that_nobody_took_counts": (
        test_late_finish_does_not_count_and_costs_one_more_look
    ),
    "test_retry_comes_back_after_its_delay": test_retry_with_a_delay_ends_the_job_and_says_so,
    "test_dead_letters_are_limited_and_in_order": (
        test_dead_letters_are_limited_and_the_newest_come_first
    ),
    "test_push_many_is_a_push_of_each": test_push_many_pushes_what_is_due,
    "test_push_revives_a_buried_one": test_push_works_a_buried_one_and_its_letter_stays,
    "test_push_while_claimed_wins_over_burial": test_push_while_claimed_is_worked_after_burial,
    "test_then_for_the_own_stream_waits_as_pushed": (
        test_then_with_a_delay_for_the_own_stream_leaves_nothing
    ),
    "test_stats_count_each_kind": test_stats_count_each_kind_but_delayed,
    "test_purge_forgets_everything": test_purge_leaves_no_key_behind,
    "test_follow_up_is_the_earliest_and_most_urgent_of_the_pushes": (
        test_follow_up_is_the_most_urgent_of_the_pushes
    ),
    "test_push_while_claimed_and_a_retry_are_one_follow_up": (
        test_push_while_claimed_and_a_retry_at_once_are_one_follow_up
    ),
}


def test_every_case_that_it_is_left_out_of_has_one_here() -> None:
    modules: list[ModuleType] = [test_queue, test_queue_follow_ups]
    left_out = {
        name
        for module in modules
        for name, case in inspect.getmembers(module, inspect.isfunction)
        if any(asked.startswith("keeping") for asked in inspect.signature(case).parameters)
    }

    assert left_out == set(INSTEAD)
    assert len(CANNOT) == 4


def test_pushes_of_several_processes_while_claimed_are_one_follow_up(
    push_queue: Queue, redis_url: str, bullmq_prefix: str
) -> None:
    push_queue.push(A)
    claim = claimed(push_queue)
    kinds = ("background", "urgent", "background")
    pushers = [process(PUSHER, redis_url, bullmq_prefix, kind) for kind in kinds]
    for pusher in pushers:
        assert pusher.stdout is not None
        assert pusher.stdout.readline() == "ready\n"
    for pusher in pushers:
        pusher.communicate("go\n", timeout=30)

    push_queue.finish(claim, Done())

    assert [pusher.returncode for pusher in pushers] == [0, 0, 0]
    assert drained(push_queue) == [URGENT_A]


def test_urgency_is_never_lost_to_a_background_push_at_the_same_moment(
    push_queue: Queue, redis_url: str, bullmq_prefix: str
) -> None:
    others = [BullmqQueue(redis_url, prefix=bullmq_prefix) for _ in range(3)]
    barrier = Barrier(3)

    def push(queue: Queue, wake_up: WakeUp) -> None:
        barrier.wait(timeout=10)
        queue.push(wake_up)

    with ThreadPoolExecutor(3) as pool:
        for number in range(60):
            if number % 2:  # as what is kept of an active one; else as what waits
                push_queue.push(A)
                claim = claimed(push_queue)
            list(pool.map(push, others, (A, URGENT_A, A), timeout=20))
            if number % 2:
                push_queue.finish(claim, Done())
            assert drained(push_queue) == [URGENT_A], number
    for queue in others:
        queue.close()


@pytest.mark.parametrize("wake_up", [A, URGENT_A])
def test_immediate_push_overtakes_a_delayed_job_of_node(
    push_queue: Queue, jobs: Jobs, wake_up: WakeUp
) -> None:
    push_queue.push_many([Push(B), Push(A)])
    job_id = jobs.redis.get(f"{jobs.key}de:s1")
    jobs.redis.zrem(f"{jobs.key}prioritized", job_id)
    jobs.redis.zadd(f"{jobs.key}delayed", {job_id: 4e15})

    push_queue.push(wake_up)

    assert sorted(drained(push_queue)) == sorted([B, wake_up])
    assert push_queue.stats() == EMPTY


def test_what_a_lost_job_left_behind_swallows_no_push(push_queue: Queue, jobs: Jobs) -> None:
    push_queue.push(A)
    claimed(push_queue)
    push_queue.push(URGENT_A)
    # An eviction, or a snapshot that was too old: its marks stay, the job itself does not.
    marks = (f"{jobs.key}de:s1", f"{jobs.key}dn:s1")
    jobs.redis.delete(jobs.key + jobs.redis.get(marks[0]), f"{jobs.key}active")
    assert jobs.redis.exists(*marks) == 2

    push_queue.push(A)

    assert drained(push_queue) == [A]
    assert jobs.redis.exists(*marks) == 0


def test_what_has_ended_is_kept_within_bounds(push_queue: Queue, jobs: Jobs) -> None:
    push_queue.push_many([Push(WakeUp(stream_id)) for stream_id in range(1, 3001)])
    claim = push_queue.claim(LEASE_S)
    while claim is not None:
        bad = claim.wake_up.stream_id > 1800
        outcome = Bury("why") if bad else Done("looked at 3 pages")
        claim = push_queue.finish(claim, outcome, claim_next_s=LEASE_S)

    assert push_queue.stats() == QueueStats(0, 0, 0, 1000)
    assert len(jobs.ended("completed")) == KEEP_DONE["count"] == 1000
    assert len(jobs.ended("failed")) == KEEP_FAILED["count"] == 1000
    # Each with its log, and the few keys of the queue itself.
    assert len(jobs.names()) < 3010


def test_what_came_of_a_job_can_be_read_by_people(push_queue: Queue, jobs: Jobs) -> None:
    push_queue.push_many([Push(A), Push(B)])
    push_queue.finish(claimed(push_queue), Done("3 pages, up to block 19"))
    push_queue.finish(claimed(push_queue), Bury("no such chain\0"))

    [done], [failed] = jobs.ended("completed"), jobs.ended("failed")
    assert done["returnvalue"] == '"3 pages, up to block 19"'
    assert jobs.redis.lrange(f"{jobs.key}{done['id']}:logs", 0, -1) == ["3 pages, up to block 19"]
    assert (failed["failedReason"], failed["stacktrace"]) == ("no such chain", "[]")


@pytest.fixture
def push_queue(bullmq_queue: Harness) -> Queue:
    return bullmq_queue.queue


@pytest.fixture
def jobs(redis_url: str, bullmq_prefix: str) -> Iterator[Jobs]:
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        found = Jobs(redis, f"{bullmq_prefix}:{QUEUE}:")
        yield found
        found.forget()
