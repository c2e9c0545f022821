"""The promises of ``RateGate`` about the calls of a day, kept by every implementation."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from shared.clock import Clock, Deadline, SystemClock
from shared.emulator.upstash.server import serving_upstash
from shared.errors import QuotaUsedUpError
from shared.gate import Pacer, RateGate
from shared.queue.upstash import UpstashShares
from shared.shares import ShareGate
from shared.upstash.client import UpstashClient
from shared.upstash.tcp import TcpClient
from tests.fakes import FakeClock
from tests.simulation.lua_redis import LuaRedis

SOURCE, OTHER, QUOTA = "etherscan", "blockscout", 5
RATES = {SOURCE: 900.0, OTHER: 900.0}
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HALF_A_DAY_S = 43_200


@dataclass
class Harness:
    """A gate of ``QUOTA`` calls of one source a day."""

    gate: RateGate
    clock: Clock
    advance: Callable[[float], None] | None

    def call(self, source: str = SOURCE, times: int = 1) -> None:
        for _ in range(times):
            self.gate.acquire(source, Deadline.after(self.clock, 60))


@pytest.fixture
def pacer() -> Harness:
    clock = FakeClock(NOON)
    return Harness(Pacer(clock, RATES, {SOURCE: QUOTA}), clock, clock.advance)


@pytest.fixture
def simulated_shares() -> Harness:
    clock = FakeClock(NOON - timedelta(hours=5))  # a machine whose clock is wrong
    redis = LuaRedis(lambda: NOON.timestamp() + clock.monotonic())
    gate = ShareGate(clock, UpstashShares(redis), "a", RATES, {SOURCE: QUOTA})
    return Harness(gate, clock, clock.advance)


@pytest.fixture
def shares(redis_url: str) -> Iterator[Harness]:
    clock = SystemClock()
    with serving_upstash(redis_url) as upstash:
        client = UpstashClient(upstash.url, upstash.token, prefix=f"test{uuid.uuid4().hex}")
        gate = ShareGate(clock, UpstashShares(client), "a", RATES, {SOURCE: QUOTA})
        yield Harness(gate, clock, None)
        client.close()


@pytest.fixture
def redis_shares(redis_url: str) -> Iterator[Harness]:
    clock = SystemClock()
    client = TcpClient(redis_url, prefix=f"test{uuid.uuid4().hex}")
    yield Harness(ShareGate(clock, UpstashShares(client), "a", RATES, {SOURCE: QUOTA}), clock, None)
    client.close()


@pytest.fixture(params=["pacer", "simulated_shares", "shares", "redis_shares"])
def harness(request: pytest.FixtureRequest) -> Harness:
    found: Harness = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["pacer", "simulated_shares"])
def movable(request: pytest.FixtureRequest) -> Harness:
    """One whose day a test can end."""
    found: Harness = request.getfixturevalue(request.param)
    return found


def test_a_day_has_so_many_calls_and_the_refusal_says_so(harness: Harness) -> None:
    harness.call(times=QUOTA)

    with pytest.raises(QuotaUsedUpError) as refused:
        harness.call()

    error = refused.value
    assert (error.code, error.retryable) == ("quota_used_up", True)
    assert "5 of 5 calls of today (UTC) used" in error.detail
    assert "SOURCE__ETHERSCAN__CALLS_A_DAY" in error.how_to_fix
    assert 0 < error.retry_after_s <= 86_400


def test_a_refused_call_is_not_counted_and_others_go_on(harness: Harness) -> None:
    harness.call(times=QUOTA)
    for _ in range(3):
        with pytest.raises(QuotaUsedUpError):
            harness.call()

    harness.call(OTHER, times=QUOTA + 1)

    assert harness.gate.usage([SOURCE, OTHER]).calls == {SOURCE: QUOTA, OTHER: QUOTA + 1}


def test_what_was_never_called_is_zero_and_the_day_s_end_is_told(harness: Harness) -> None:
    told = harness.gate.usage([SOURCE])

    assert told.calls == {SOURCE: 0}
    assert (told.resets_at.hour, told.resets_at.minute, told.resets_at.tzinfo) == (0, 0, UTC)


def test_the_refusal_lasts_to_the_end_of_the_day_in_utc(movable: Harness) -> None:
    assert movable.advance is not None
    movable.call(times=QUOTA)

    with pytest.raises(QuotaUsedUpError) as refused:
        movable.call()
    assert refused.value.retry_after_s == pytest.approx(HALF_A_DAY_S, abs=1)
    movable.advance(refused.value.retry_after_s + 0.1)

    movable.call(times=QUOTA)
    assert movable.gate.usage([SOURCE]).calls == {SOURCE: QUOTA}
    assert movable.gate.usage([SOURCE]).resets_at == datetime(2026, 11, 26, tzinfo=UTC)


def test_who_asked_just_before_midnight_is_not_refused_for_another_day(movable: Harness) -> None:
    assert movable.advance is not None
    movable.advance(HALF_A_DAY_S - 10)
    movable.call(times=QUOTA)
    with pytest.raises(QuotaUsedUpError):
        movable.call()

    movable.advance(11)

    movable.call()


def test_the_calls_of_all_processes_count_together() -> None:
    clock = FakeClock(NOON)
    redis = LuaRedis(lambda: NOON.timestamp() + clock.monotonic())
    gates = [
        ShareGate(clock, UpstashShares(redis), holder, RATES, {SOURCE: QUOTA})
        for holder in ("a", "b")
    ]
    for _ in range(3):
        gates[0].acquire(SOURCE, Deadline.after(clock, 60))
    clock.advance(31)  # what it called is told when it asks for its share again
    gates[0].acquire(SOURCE, Deadline.after(clock, 60))

    gates[1].acquire(SOURCE, Deadline.after(clock, 60))
    gates[1].acquire(SOURCE, Deadline.after(clock, 60))
    with pytest.raises(QuotaUsedUpError):
        gates[1].acquire(SOURCE, Deadline.after(clock, 60))

    assert gates[0].usage([SOURCE]).for_all


def test_what_was_told_is_known_to_all_at_once_and_counted_once() -> None:
    clock = FakeClock(NOON)
    redis = LuaRedis(lambda: NOON.timestamp() + clock.monotonic())
    one, other = (
        ShareGate(clock, UpstashShares(redis), holder, RATES, {SOURCE: QUOTA})
        for holder in ("a", "b")
    )
    for _ in range(4):
        one.acquire(SOURCE, Deadline.after(clock, 60))
    one.tell(Deadline.after(clock, 0.5))  # no time for it
    assert other.usage([SOURCE]).calls == {SOURCE: 0}

    one.tell(Deadline.after(clock, 60))
    calls = redis.calls
    one.tell(Deadline.after(clock, 60))

    assert redis.calls == calls  # nothing new
    assert other.usage([SOURCE]).calls == one.usage([SOURCE]).calls == {SOURCE: 4}
    one.acquire(SOURCE, Deadline.after(clock, 60))
    with pytest.raises(QuotaUsedUpError):
        one.acquire(SOURCE, Deadline.after(clock, 60))


def test_whoever_leaves_lets_others_have_what_it_held(shares: Harness) -> None:
    gate = shares.gate
    assert isinstance(gate, ShareGate)
    shares.call()
    assert gate.sources() == [SOURCE]
    successor = ShareGate(shares.clock, gate._ledger, "b", RATES, {})

    gate.leave()
    successor.acquire(SOURCE, Deadline.after(shares.clock, 60))

    stripes = successor._shares[SOURCE].grant.stripes
    assert stripes.count("1") > len(stripes) / 2
    assert gate.sources() == []
