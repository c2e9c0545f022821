"""Shares of a provider's rate: never above it, nearly all of it used, nobody keeps what is dead."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from shared.clock import Deadline
from shared.errors import RedisUnreachableError, SourceRateLimitedError
from shared.queue.upstash import UpstashShares
from shared.shares import SHARE_S, ShareGate
from tests.fakes import FakeClock
from tests.simulation.lua_redis import LuaRedis
from tests.simulation.scheduler import Scheduler
from tests.simulation.seams import SimClock

SOURCE, RATE = "etherscan", 3.0
EPOCH_S = 1_795_000_000.0
SHORT_NAP_S = 1.0


class Runs:
    """Runs of different processes that call one provider as often as they may."""

    def __init__(self, seed: int = 1) -> None:
        self.scheduler = Scheduler(seed)
        self.redis = LuaRedis(lambda: EPOCH_S + self.scheduler.now_s)
        self.calls: list[tuple[float, str]] = []

    def add(self, name: str, *, from_s: float, until_s: float) -> ShareGate:
        # Each machine's wall clock is off by something of its own.
        clock = SimClock(self.scheduler, skew_s=len(name) * 1_000.0)
        gate = ShareGate(clock, UpstashShares(self.redis), name, {SOURCE: RATE}, {})

        def work() -> None:
            self.scheduler.sleep(from_s)
            while self.scheduler.now_s < until_s:
                try:
                    gate.acquire(SOURCE, Deadline.after(clock, 60))
                except SourceRateLimitedError as exc:
                    self.scheduler.sleep(min(exc.retry_after_s, SHORT_NAP_S))
                else:
                    self.calls.append((self.scheduler.now_s, name))

        self.scheduler.spawn(name, work)
        return gate

    def most_in_a_second(self) -> int:
        times = sorted(at for at, _ in self.calls)
        return max(bisect_left(times, at + 1.0) - place for place, at in enumerate(times))

    def between(self, from_s: float, until_s: float) -> Counter[str]:
        return Counter(name for at, name in self.calls if from_s <= at < until_s)


def test_ten_runs_at_once_use_the_rate_and_never_more() -> None:
    runs = Runs()
    for number in range(10):
        runs.add(f"run{number}", from_s=number * 0.1, until_s=150)

    runs.scheduler.run()

    assert runs.most_in_a_second() <= RATE
    assert runs.between(0, 150).total() >= 0.9 * RATE * 150
    settled = runs.between(60, 150)
    assert set(settled) == {f"run{number}" for number in range(10)}
    assert max(settled.values()) <= 1.5 * min(settled.values())


@pytest.mark.parametrize("seed", range(8))
def test_runs_that_come_and_go_never_pass_the_rate(seed: int) -> None:
    runs = Runs(seed)
    for number in range(6):
        from_s = runs.scheduler.rng.random() * 60
        runs.add(f"run{number}", from_s=from_s, until_s=from_s + 20 + number * 15)

    runs.scheduler.run()

    assert runs.most_in_a_second() <= RATE


def test_a_lone_run_has_nearly_all_and_the_next_one_begins_at_once() -> None:
    runs = Runs()
    runs.add("first", from_s=0, until_s=100)
    runs.add("second", from_s=10, until_s=100)

    runs.scheduler.run()

    assert runs.between(0, 10)["first"] >= 0.85 * RATE * 10
    assert min(at for at, name in runs.calls if name == "second") < 10 + 5
    assert runs.most_in_a_second() <= RATE


def test_a_dead_run_s_share_is_anybody_s_when_its_lease_ends() -> None:
    runs = Runs()
    runs.add("dies", from_s=0, until_s=5)  # ends without giving anything back
    runs.add("lives", from_s=5, until_s=5 + 3 * SHARE_S)

    runs.scheduler.run()

    late = 5 + 2 * SHARE_S
    assert runs.between(late, late + 20)["lives"] >= 0.85 * RATE * 20


class Desk:
    """One gate, with time in the test's hand."""

    def __init__(self, quota: int | None = None, redis: LuaRedis | None = None) -> None:
        self.clock = FakeClock()
        self.redis = redis or LuaRedis(lambda: EPOCH_S + self.clock.monotonic())
        quotas = {} if quota is None else {SOURCE: quota}
        self.gate = ShareGate(self.clock, UpstashShares(self.redis), "a", {SOURCE: RATE}, quotas)

    def call(self) -> None:
        self.gate.acquire(SOURCE, Deadline.after(self.clock, 1e6))


def test_one_call_to_redis_every_thirty_seconds() -> None:
    desk = Desk()

    while desk.clock.monotonic() < 4 * SHARE_S:
        desk.call()

    assert desk.redis.calls <= 5


def test_a_source_without_a_rate_is_not_asked_about() -> None:
    desk = Desk()

    for _ in range(10):
        desk.gate.acquire("unpaced", Deadline.after(desk.clock, 10))

    assert (desk.redis.calls, desk.clock.monotonic()) == (0, 0.0)


def test_what_one_is_asked_to_wait_holds_for_all_who_ask_after_it() -> None:
    first = Desk()
    second = Desk(redis=first.redis)
    first.call()
    first.gate.hold(SOURCE, 40.0)

    for desk in (first, second):
        with pytest.raises(SourceRateLimitedError) as refused:
            desk.call()
        assert 30 < refused.value.retry_after_s <= 41


def test_a_machine_that_was_frozen_uses_no_share_of_before() -> None:
    desk = Desk()
    desk.call()
    asked = desk.redis.calls

    # Its monotonic clock stood still, the world went on.
    now = desk.clock.now
    desk.clock.now = lambda: now() + timedelta(seconds=SHARE_S + 1)  # type: ignore[method-assign]
    desk.call()

    assert desk.redis.calls == asked + 1


def test_the_day_s_quota_is_kept_and_told() -> None:
    desk = Desk(quota=5)
    for _ in range(5):
        desk.call()

    with pytest.raises(SourceRateLimitedError, match="5 of 5 calls of today") as refused:
        desk.call()

    assert 0 < refused.value.retry_after_s <= 86_400


class Gone(LuaRedis):
    """A Redis that answers nobody."""

    def script(self, name: str, ask: Mapping[str, Any]) -> Any:
        del name, ask
        message = "gone"
        raise RedisUnreachableError(message)


def test_without_redis_each_process_keeps_to_the_rate_by_itself() -> None:
    desk = Desk(redis=Gone(lambda: 0.0))

    for _ in range(31):
        desk.call()

    assert desk.clock.monotonic() == pytest.approx(30 / RATE)
