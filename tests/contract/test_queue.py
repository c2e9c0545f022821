"""The promises of ``Queue``, kept by every implementation."""

from shared.queue.base import Bury, DeadLetter, Done, Push, Queue, QueueStats, Retry, WakeUp
from tests.contract.conftest import Harness
from tests.contract.queue_cases import (
    LATER_S,
    LEASE_S,
    SOON_S,
    URGENT_A,
    URGENT_B,
    A,
    B,
    C,
    claimed,
    drained,
)


def test_empty_queue_gives_nothing(queue: Queue) -> None:
    assert queue.claim(LEASE_S) is None
    assert queue.stats() == QueueStats(0, 0, 0, 0)
    assert queue.dead_letters() == []
    assert queue.purge() == 0


def test_pushed_wake_up_is_claimed_once(queue: Queue) -> None:
    queue.push(A)

    claim = claimed(queue)

    assert claim.wake_up == A
    assert claim.claims == 1
    assert queue.claim(LEASE_S) is None


def test_finished_wake_up_is_gone(queue: Queue) -> None:
    queue.push(A)
    assert queue.finish(claimed(queue), Done()) is None

    assert queue.claim(LEASE_S) is None
    assert queue.stats() == QueueStats(0, 0, 0, 0)


def test_delayed_wake_up_comes_when_due(keeping_harness: Harness) -> None:
    keeping_harness.queue.push(A, delay_s=SOON_S)
    assert keeping_harness.queue.claim(LEASE_S) is None

    keeping_harness.advance(SOON_S + 1)

    assert claimed(keeping_harness.queue).wake_up == A


def test_negative_delay_is_none(queue: Queue) -> None:
    queue.push(A, delay_s=-1000)
    queue.push(B)

    assert drained(queue) == [A, B]


def test_duplicates_collapse(queue: Queue) -> None:
    for _ in range(5):
        queue.push(A)

    assert drained(queue) == [A]


def test_immediate_push_overtakes_a_delayed_one(harness: Harness) -> None:
    harness.queue.push(A, delay_s=LATER_S)
    harness.queue.push(A)

    assert drained(harness.queue) == [A]

    harness.advance(LATER_S + 1)

    assert drained(harness.queue) == []


def test_delayed_push_does_not_hold_back_an_immediate_one(queue: Queue) -> None:
    queue.push(A)
    queue.push(A, delay_s=LATER_S)

    assert drained(queue) == [A]


def test_urgent_goes_before_background(queue: Queue) -> None:
    queue.push(A)
    queue.push(URGENT_B)
    queue.push(C)

    assert drained(queue) == [URGENT_B, A, C]


def test_urgent_push_upgrades_a_waiting_background_one(queue: Queue) -> None:
    queue.push(B)
    queue.push(A)
    queue.push(URGENT_A)

    assert drained(queue) == [URGENT_A, B]


def test_background_push_does_not_downgrade_an_urgent_one(queue: Queue) -> None:
    queue.push(B)
    queue.push(URGENT_A)
    queue.push(A)

    assert drained(queue) == [URGENT_A, B]


def test_the_longest_due_comes_first(keeping_harness: Harness) -> None:
    keeping_harness.queue.push(A, delay_s=300)
    keeping_harness.queue.push(B, delay_s=100)
    keeping_harness.queue.push(C, delay_s=200)

    keeping_harness.advance(1000)

    assert drained(keeping_harness.queue) == [B, C, A]


def test_expired_claim_is_claimable_again(harness: Harness) -> None:
    harness.queue.push(A)
    first = claimed(harness.queue)

    harness.advance(LEASE_S + 1)

    second = claimed(harness.queue)
    assert second.wake_up == A
    assert second.claims == 2
    assert second.token != first.token


def test_stale_finish_is_ignored_but_what_follows_is_pushed(harness: Harness) -> None:
    queue = harness.queue
    queue.push(A)
    stale = claimed(queue)
    harness.advance(LEASE_S + 1)
    fresh = claimed(queue)

    queue.finish(stale, Bury("stale"), then=[Push(B)])

    assert queue.dead_letters() == []
    assert claimed(queue).wake_up == B
    assert queue.claim(LEASE_S) is None
    queue.finish(fresh, Done())
    assert queue.stats() == QueueStats(ready=0, delayed=0, claimed=1, buried=0)


def test_finishing_twice_does_not_touch_the_successor(queue: Queue) -> None:
    queue.push(A)
    first = claimed(queue)
    queue.finish(first, Done())
    queue.push(A)
    second = claimed(queue)

    queue.finish(first, Done())

    assert queue.stats().claimed == 1
    queue.finish(second, Done())
    assert queue.stats() == QueueStats(0, 0, 0, 0)


def test_retries_are_counted(keeping_queue: Queue) -> None:
    queue = keeping_queue
    queue.push(A)
    queue.finish(claimed(queue), Retry(0))

    assert claimed(queue).claims == 2


def test_late_finish_of_a_claim_that_nobody_took_counts(keeping_harness: Harness) -> None:
    keeping_harness.queue.push(A)
    claim = claimed(keeping_harness.queue)
    keeping_harness.advance(LEASE_S + 1)

    keeping_harness.queue.finish(claim, Done())

    assert keeping_harness.queue.stats() == QueueStats(0, 0, 0, 0)


def test_retry_comes_back_after_its_delay(keeping_harness: Harness) -> None:
    keeping_harness.queue.push(A)
    keeping_harness.queue.finish(claimed(keeping_harness.queue), Retry(SOON_S))
    assert keeping_harness.queue.claim(LEASE_S) is None

    keeping_harness.advance(SOON_S + 1)

    assert claimed(keeping_harness.queue).claims == 2


def test_claims_count_from_the_last_success(queue: Queue) -> None:
    queue.push(A)
    queue.finish(claimed(queue), Retry(0))
    queue.finish(claimed(queue), Done())
    queue.push(A)

    assert claimed(queue).claims == 1


def test_buried_wake_up_is_listed_and_not_claimed(queue: Queue) -> None:
    queue.push(A)
    queue.finish(claimed(queue), Bury("no\0 hope"))

    assert queue.claim(LEASE_S) is None
    assert queue.dead_letters() == [DeadLetter(A, "no hope")]
    assert queue.stats() == QueueStats(ready=0, delayed=0, claimed=0, buried=1)


def test_push_revives_a_buried_one(keeping_queue: Queue) -> None:
    queue = keeping_queue
    queue.push(A)
    queue.finish(claimed(queue), Bury(""))

    queue.push(URGENT_A)

    assert queue.dead_letters() == []
    revived = claimed(queue)
    assert revived.wake_up == URGENT_A
    assert revived.claims == 1


def test_push_while_claimed_wins_over_burial(keeping_queue: Queue) -> None:
    queue = keeping_queue
    queue.push(A)
    claim = claimed(queue)
    queue.push(A)

    queue.finish(claim, Bury("too late"))

    assert queue.dead_letters() == []
    assert claimed(queue).claims == 1


def test_dead_letters_are_limited_and_in_order(keeping_queue: Queue) -> None:
    queue = keeping_queue
    for stream_id in (3, 1, 2):
        queue.push(WakeUp(stream_id))
    for _ in range(3):
        queue.finish(claimed(queue), Bury("why"))

    assert [letter.wake_up.stream_id for letter in queue.dead_letters(2)] == [1, 2]


def test_push_many_is_a_push_of_each(keeping_harness: Harness) -> None:
    queue = keeping_harness.queue
    queue.push_many([])
    queue.push_many(
        [Push(B, LATER_S), Push(A, LATER_S), Push(URGENT_A, LATER_S), Push(A, SOON_S), Push(C)]
    )

    assert drained(queue) == [C]
    keeping_harness.advance(SOON_S + 1)
    assert drained(queue) == [URGENT_A]
    keeping_harness.advance(LATER_S)
    assert drained(queue) == [B]


def test_finish_pushes_and_claims_the_next(queue: Queue) -> None:
    queue.push(A)
    claim = claimed(queue)

    following = queue.finish(claim, Done(), then=[Push(B), Push(URGENT_A)], claim_next_s=LEASE_S)

    assert following is not None
    assert following.wake_up == URGENT_A
    assert claimed(queue).wake_up == B


def test_then_for_the_own_stream_waits_as_pushed(keeping_harness: Harness) -> None:
    queue = keeping_harness.queue
    queue.push(URGENT_A)

    queue.finish(claimed(queue), Done(), then=[Push(A, SOON_S)], claim_next_s=LEASE_S)

    assert queue.stats() == QueueStats(ready=0, delayed=1, claimed=0, buried=0)
    keeping_harness.advance(SOON_S + 1)
    follow_up = claimed(queue)
    assert follow_up.wake_up == A
    assert follow_up.claims == 1


def test_finish_without_a_next_gives_none(queue: Queue) -> None:
    queue.push(A)

    assert queue.finish(claimed(queue), Done(), claim_next_s=LEASE_S) is None


def test_stats_count_each_kind(keeping_harness: Harness) -> None:
    queue = keeping_harness.queue
    for stream_id in range(1, 6):
        queue.push(WakeUp(stream_id))
    queue.push(WakeUp(6), delay_s=LATER_S)
    queue.finish(claimed(queue), Bury("why"))
    claimed(queue)

    assert queue.stats() == QueueStats(ready=3, delayed=1, claimed=1, buried=1)

    keeping_harness.advance(LEASE_S + 1)

    assert queue.stats() == QueueStats(ready=4, delayed=1, claimed=0, buried=1)


def test_purge_forgets_everything(keeping_queue: Queue) -> None:
    queue = keeping_queue
    queue.push_many([Push(A), Push(B), Push(C, LATER_S)])
    claim = claimed(queue)

    assert queue.purge() == 3

    assert queue.stats() == QueueStats(0, 0, 0, 0)
    queue.finish(claim, Retry(0))
    assert queue.claim(LEASE_S) is None
