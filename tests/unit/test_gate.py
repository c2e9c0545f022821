"""The pacer of one process."""

import threading

import pytest

from shared.clock import Deadline, SystemClock
from shared.errors import SourceRateLimitedError
from shared.gate import LONGEST_PAUSE_S, Pacer
from tests.fakes import FakeClock


def test_calls_are_evenly_spaced(clock: FakeClock) -> None:
    gate = Pacer(clock, {"x": 4.0})
    times = []
    for _ in range(5):
        gate.acquire("x", Deadline.after(clock, 60))
        times.append(clock.monotonic())

    assert times == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_rest_makes_the_next_call_free(clock: FakeClock) -> None:
    gate = Pacer(clock, {"x": 1.0})
    gate.acquire("x", Deadline.after(clock, 60))
    clock.advance(10)
    before = clock.monotonic()

    gate.acquire("x", Deadline.after(clock, 60))

    assert clock.monotonic() == before


def test_sources_do_not_wait_for_each_other(clock: FakeClock) -> None:
    gate = Pacer(clock, {"x": 1.0, "y": 1.0})
    gate.acquire("x", Deadline.after(clock, 60))

    gate.acquire("y", Deadline.after(clock, 60))

    assert clock.monotonic() == 0.0


def test_unlisted_source_is_not_paced(clock: FakeClock) -> None:
    gate = Pacer(clock, {})
    for _ in range(10):
        gate.acquire("x", Deadline.after(clock, 60))

    assert clock.monotonic() == 0.0


def test_slot_beyond_the_deadline_is_refused_and_not_taken(clock: FakeClock) -> None:
    gate = Pacer(clock, {"x": 1.0})
    gate.acquire("x", Deadline.after(clock, 60))

    with pytest.raises(SourceRateLimitedError) as caught:
        gate.acquire("x", Deadline.after(clock, 0.5))

    assert caught.value.retry_after_s == 1.0
    clock.advance(1.0)
    gate.acquire("x", Deadline.after(clock, 0.5))
    assert clock.monotonic() == 1.0


def test_hold_stops_everybody_until_it_ends(clock: FakeClock) -> None:
    gate = Pacer(clock, {"x": 10.0})
    gate.hold("x", 30.0)

    with pytest.raises(SourceRateLimitedError) as caught:
        gate.acquire("x", Deadline.after(clock, 600))

    assert caught.value.retry_after_s == 30.0
    clock.advance(30.0)
    gate.acquire("x", Deadline.after(clock, 600))


def test_short_hold_is_waited_for(clock: FakeClock) -> None:
    gate = Pacer(clock, {})
    gate.hold("x", LONGEST_PAUSE_S - 1)

    gate.acquire("x", Deadline.after(clock, 60))

    assert clock.monotonic() == LONGEST_PAUSE_S - 1


def test_shorter_hold_does_not_shorten_a_longer_one(clock: FakeClock) -> None:
    gate = Pacer(clock, {})
    gate.hold("x", 4.0)
    gate.hold("x", 1.0)

    gate.acquire("x", Deadline.after(clock, 60))

    assert clock.monotonic() == 4.0


def test_threads_get_different_slots() -> None:
    clock = SystemClock()
    gate = Pacer(clock, {"x": 100.0})
    times: list[float] = []

    def call() -> None:
        gate.acquire("x", Deadline.after(clock, 10))
        times.append(clock.monotonic())

    threads = [threading.Thread(target=call) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert max(times) - min(times) >= 0.085
