"""What is pushed while a wake-up is claimed: kept by every ``Queue``, and yields one follow-up."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from shared.queue.base import Done, Push, Queue, QueueStats, Retry, WakeUp
from tests.contract.conftest import Harness
from tests.contract.queue_cases import (
    LATER_S,
    LEASE_S,
    SOON_S,
    URGENT_A,
    URGENT_B,
    A,
    B,
    claimed,
    drained,
)


def test_pushes_while_claimed_yield_one_follow_up(queue: Queue) -> None:
    queue.push(A)
    claim = claimed(queue)
    for _ in range(3):
        queue.push(A)
    assert queue.claim(LEASE_S) is None

    queue.finish(claim, Done())

    assert drained(queue) == [A]


def test_follow_up_is_the_earliest_and_most_urgent_of_the_pushes(keeping_harness: Harness) -> None:
    queue = keeping_harness.queue
    queue.push(A)
    claim = claimed(queue)
    queue.push(A, delay_s=LATER_S)
    queue.push(URGENT_A, delay_s=LATER_S)
    queue.push(A, delay_s=SOON_S)
    queue.finish(claim, Done())
    assert queue.claim(LEASE_S) is None

    keeping_harness.advance(SOON_S + 1)

    follow_up = claimed(queue)
    assert follow_up.wake_up == URGENT_A
    assert follow_up.claims == 1
    queue.finish(follow_up, Done())
    keeping_harness.advance(LATER_S)
    assert queue.claim(LEASE_S) is None


def test_push_while_claimed_and_a_retry_are_one_follow_up(keeping_harness: Harness) -> None:
    queue = keeping_harness.queue
    queue.push(A)
    claim = claimed(queue)
    queue.push(URGENT_A)

    queue.finish(claim, Retry(LATER_S))

    follow_up = claimed(queue)
    assert follow_up.wake_up == URGENT_A
    assert follow_up.claims == 2
    queue.finish(follow_up, Done())
    keeping_harness.advance(LATER_S + 1)
    assert queue.claim(LEASE_S) is None


def test_retry_sooner_than_the_push_wins(queue: Queue) -> None:
    queue.push(A)
    claim = claimed(queue)
    queue.push(A, delay_s=LATER_S)

    queue.finish(claim, Retry(0))

    assert drained(queue) == [A]
    assert queue.stats() == QueueStats(0, 0, 0, 0)


def test_push_while_claimed_survives_the_end_of_the_lease(harness: Harness) -> None:
    queue = harness.queue
    queue.push(A)
    claimed(queue)
    queue.push(A)
    harness.advance(LEASE_S + 1)

    again = claimed(queue)
    assert again.claims == 2
    queue.finish(again, Done())

    assert drained(queue) == [A]


def test_push_after_the_lease_is_not_lost_to_a_late_finish(harness: Harness) -> None:
    queue = harness.queue
    queue.push(A)
    claim = claimed(queue)
    harness.advance(LEASE_S + 1)
    queue.push(A)

    queue.finish(claim, Done())

    assert drained(queue) == [A]


def test_urgent_push_makes_an_expired_claim_urgent(harness: Harness) -> None:
    queue = harness.queue
    queue.push(A)
    queue.push(B)
    assert {claimed(queue).wake_up, claimed(queue).wake_up} == {A, B}
    harness.advance(LEASE_S + 1)

    queue.push(URGENT_B)

    assert claimed(queue).wake_up == URGENT_B


@pytest.mark.parametrize("workers", [2, 8])
def test_concurrent_claimers_never_get_the_same(queue: Queue, workers: int) -> None:
    queue.push_many([Push(WakeUp(stream_id)) for stream_id in range(40)])
    barrier = Barrier(workers)

    def work(_: int) -> list[int]:
        barrier.wait()
        taken = []
        claim = queue.claim(LEASE_S)
        while claim is not None:
            taken.append(claim.wake_up.stream_id)
            claim = queue.finish(claim, Done(), claim_next_s=LEASE_S)
        return taken

    with ThreadPoolExecutor(workers) as pool:
        taken = Counter(stream_id for part in pool.map(work, range(workers)) for stream_id in part)

    assert taken == Counter(range(40))


def test_pushes_racing_with_finishes_are_never_lost(queue: Queue) -> None:
    rounds = 60
    queue.push(A)
    looks: list[int] = []
    pushed = [0]

    def push() -> None:
        for number in range(1, rounds + 1):
            pushed[0] = number
            queue.push(A)

    def work() -> None:
        while not looks or looks[-1] < rounds:
            claim = queue.claim(LEASE_S)
            if claim is not None:
                # The look: whatever had been pushed when it began is seen by it.
                looks.append(pushed[0])
                queue.finish(claim, Done())

    with ThreadPoolExecutor(2) as pool:
        worker = pool.submit(work)
        pool.submit(push).result(timeout=30)
        worker.result(timeout=30)

    drained(queue)
    assert queue.stats() == QueueStats(0, 0, 0, 0)
