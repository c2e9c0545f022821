"""What takes too long is ended, once, and nothing else is."""

import socket
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.clock import Deadline, SystemClock
from shared.watchdog import EARLY_S, LEAST_S, Watchdog
from tests.fakes import FakeClock

GIVE_UP_S = 10.0


class Server:
    """A connection whose statement is under way until it is ended, or cut off."""

    def __init__(self, *, obeys: bool = True) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.cancels = 0
        self._obeys = obeys
        self._ended = threading.Event()
        weakref.finalize(self, self.ours.close)
        weakref.finalize(self, self.theirs.close)

    def cancel_safe(self, *, timeout: float) -> None:
        assert timeout > 0
        self.cancels += 1
        if not self._obeys:
            message = "nobody there"
            raise OSError(message)
        self._ended.set()

    def fileno(self) -> int:
        return self.ours.fileno()

    def work(self) -> None:
        """A statement without end."""
        if self._obeys:
            assert self._ended.wait(GIVE_UP_S)
        else:
            self.ours.settimeout(GIVE_UP_S)
            assert self.ours.recv(1) == b""


def by(seconds: float) -> Deadline:
    return Deadline.after(SystemClock(), seconds)


@pytest.mark.parametrize("obeys", [True, False], ids=["cancelled", "cut"])
def test_what_takes_too_long_is_ended(obeys: bool) -> None:
    server, begin = Server(obeys=obeys), time.monotonic()

    with Watchdog().watching(server, by(0.4)) as watched:
        server.work()

    assert watched.cancelled
    assert server.cancels == 1
    assert time.monotonic() - begin > 0.4 - EARLY_S - 0.01


def test_all_are_ended_whichever_began_first() -> None:
    dog, servers = Watchdog(), [Server() for _ in range(8)]

    def go(number: int) -> float:
        begin = time.monotonic()
        with dog.watching(servers[number], by(1.2 if number % 2 else 0.3)):
            servers[number].work()
        return time.monotonic() - begin

    with ThreadPoolExecutor(8) as threads:
        took_s = list(threads.map(go, range(8)))

    assert [server.cancels for server in servers] == [1] * 8
    assert max(took_s[0::2]) < min(took_s[1::2])


def test_one_thread_watches_all_and_is_not_woken_for_each() -> None:
    dog, server, before = Watchdog(), Server(), threading.active_count()
    begin = time.perf_counter()

    for _ in range(2_000):
        with dog.watching(server, by(60.0)) as watched:
            assert not watched.cancelled

    each_s = (time.perf_counter() - begin) / 2_000
    assert threading.active_count() <= before + 1
    assert server.cancels == 0
    assert each_s < 0.001  # a page takes 0.015


def test_who_is_over_already_has_a_moment_all_the_same() -> None:
    server, begin = Server(), time.monotonic()

    with Watchdog().watching(server, by(-5.0)):
        server.work()

    assert LEAST_S <= time.monotonic() - begin < GIVE_UP_S


def test_time_that_a_test_holds_still_ends_nothing(clock: FakeClock) -> None:
    server = Server()

    with Watchdog().watching(server, Deadline.after(clock, 0.2)) as watched:
        time.sleep(0.3)  # noqa: TID251 - real time passes
        assert not watched.cancelled
        clock.advance(1.0)
        server.work()

    assert server.cancels == 1
