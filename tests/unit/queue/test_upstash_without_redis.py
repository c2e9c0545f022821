"""The queue on the local Upstash as the README starts it: without any Redis."""

from collections.abc import Iterator

import pytest

from shared.clock import SystemClock
from shared.emulator.upstash.server import serving_upstash
from shared.heads import Heads
from shared.queue.base import Done, Push, WakeUp
from shared.queue.upstash import UpstashQueue, UpstashShares
from shared.shares import ShareGate
from shared.upstash.client import UpstashClient

LEASE_S = 30.0


@pytest.fixture
def queue() -> Iterator[UpstashQueue]:
    clock = SystemClock()
    with serving_upstash() as upstash:
        client = UpstashClient(upstash.url, upstash.token)
        gate = ShareGate(clock, UpstashShares(client), "test", {"etherscan": 5.0}, {})
        yield UpstashQueue(client, clock, gate, Heads(clock))
        client.close()


def test_an_empty_queue_is_empty(queue: UpstashQueue) -> None:
    assert queue.claim(LEASE_S) is None
    assert queue.purge() == 0
    assert queue.dead_letters() == []


def test_what_is_pushed_is_worked_to_its_end(queue: UpstashQueue) -> None:
    queue.push_many([Push(WakeUp(7), feed="etherscan/1"), Push(WakeUp(8, urgent=True))])

    first = queue.claim(LEASE_S)
    assert first is not None
    second = queue.finish(first, Done(), then=[Push(first.wake_up)], claim_next_s=LEASE_S)
    assert second is not None
    third = queue.finish(second, Done(), claim_next_s=LEASE_S)
    assert third is not None

    assert [claim.wake_up.stream_id for claim in (first, second, third)] == [8, 8, 7]
    assert queue.finish(third, Done(), claim_next_s=LEASE_S) is None
    assert queue.claim(LEASE_S) is None
