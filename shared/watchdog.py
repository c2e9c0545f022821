"""Ends statements whose time is over: one thread for the whole process, nearly always asleep.

A cancel is a call of its own beside the connection, so it needs no state of the session and works
through a transaction pooler. The statement then has had its effect whole or not at all.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Protocol

from shared.clock import Deadline

EARLY_S = 0.15  # before the deadline: the cancel travels, and whoever waited has to say what became
LEAST_S = 0.1  # a statement that begins at the very end has this; a page takes a fifth of it
CANCEL_S = 0.3  # on the way to the server, with its handshake
CUT_S = 0.2  # a server that has not answered so long after a cancel cannot be reached
LONGEST_SLEEP_S = 3600.0
SHORTEST_SLEEP_S = 0.01

log = logging.getLogger(__name__)


class Driver(Protocol):
    """What is needed of a connection of psycopg; both may be called from any thread."""

    def cancel_safe(self, *, timeout: float) -> None:
        """Ask the server to end the statement under way."""
        ...

    def fileno(self) -> int:
        """Its socket."""
        ...


def until(by: Deadline) -> float:
    """When a step that begins now is ended, on the clock of the deadline that it was given."""
    return max(by.at - EARLY_S, by.monotonic() + LEAST_S)


class Watched:
    """A step that is under way on one connection."""

    def __init__(self, driver: Driver, by: Deadline) -> None:
        self.deadline = Deadline(until(by), by.monotonic)
        self.cancelled = False
        self._driver = driver
        self._over = threading.Event()
        # Whoever leaves waits for a cancel on its way: it must not meet another statement.
        self._busy = threading.Lock()

    def leave(self) -> None:
        """It came to its end."""
        with self._busy:
            self._over.set()

    def end(self) -> None:
        """Cancel it; where that does not help, cut the connection: what became of it is unknown."""
        with self._busy:
            if self._over.is_set():
                return
            self.cancelled = True
            try:
                self._driver.cancel_safe(timeout=CANCEL_S)
            except Exception as exc:  # noqa: BLE001 - whatever it is, the connection is cut
                log.warning("statement not cancelled: %s", exc)
        if self._over.wait(CUT_S):
            return
        with self._busy:
            if not self._over.is_set():
                with suppress(OSError), socket.socket(fileno=os.dup(self._driver.fileno())) as end:
                    end.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """Knows what is under way, and sleeps until the first of it has to end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched: set[Watched] = set()
        self._wakes_at = 0.0
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, driver: Driver, by: Deadline) -> Iterator[Watched]:
        """Have what happens within ended when its time is over.

        Every page of a run has the same deadline: the thread is woken for the first one only.
        """
        watched = Watched(driver, by)
        due_at = time.monotonic() + watched.deadline.remaining_s()
        with self._changed:
            self._watched.add(watched)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._watch, name="tallybook-watchdog", daemon=True
                )
                self._thread.start()
            elif due_at < self._wakes_at:
                self._wakes_at = due_at
                self._changed.notify()
        try:
            yield watched
        finally:
            with self._changed:
                self._watched.discard(watched)
            watched.leave()

    def _watch(self) -> None:
        with self._changed:
            while True:
                over = {each for each in self._watched if each.deadline.remaining_s() <= 0}
                self._watched -= over
                for each in over:
                    # A server that is hard to reach must not keep the others waiting.
                    threading.Thread(target=each.end, daemon=True).start()
                waits = (each.deadline.remaining_s() for each in self._watched)
                rest_s = max(min(waits, default=LONGEST_SLEEP_S), SHORTEST_SLEEP_S)
                rest_s = min(rest_s, LONGEST_SLEEP_S)
                self._wakes_at = time.monotonic() + rest_s
                self._changed.wait(rest_s)


@cache
def watchdog() -> Watchdog:
    """The one of this process; its thread starts with the first use."""
    return Watchdog()
