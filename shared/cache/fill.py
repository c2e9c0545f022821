"""Read through a cache: many may ask at once, one builds."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError
from typing import Any, TypeVar

from shared.cache.base import Cache, Hit, Key
from shared.clock import Clock, Deadline

T = TypeVar("T")

RESERVED_S = 10.0  # how long a filler that died keeps the others waiting at most
WAIT_S = 2.0
POLL_S = 0.1

log = logging.getLogger(__name__)


class Fills:
    """A cache, and the fills that are under way in this process."""

    def __init__(self, cache: Cache, clock: Clock) -> None:
        self.cache = cache
        self._clock = clock
        self._under_way: dict[str, Future[Any]] = {}
        self._lock = threading.Lock()

    def filled(
        self,
        key: Key,
        shape: type[T],
        build: Callable[[], T | None],
        *,
        ttl_s: float,
        nothing_ttl_s: float = 0.0,
        wait_s: float = WAIT_S,
    ) -> T | None:
        """What is kept under ``key``, else what ``build`` returns, which is then kept.

        Of those who miss at once, one builds: among the threads of a process, and, by a short
        reservation, among processes. The others wait for it, for at most ``wait_s``, then build
        themselves. None from ``build`` says that there is nothing: kept for ``nothing_ttl_s``, and
        not at all when that is zero. What ``build`` raises is never kept; it goes to whoever asked,
        and to the threads that were waiting for this very call.
        """
        found = self.cache.get(key, shape)
        if found is not None:
            return found.value
        mine: Future[T | None] = Future()
        with self._lock:
            theirs = self._under_way.setdefault(key.name, mine)
        if theirs is not mine:
            try:
                value: T | None = theirs.result(wait_s)
            except NotInTimeError:
                if theirs.done():  # its own error, which happens to be of this class
                    raise
                return build()
            return value
        try:
            value = self._led(key, shape, build, ttl_s, nothing_ttl_s, wait_s)
        except BaseException as exc:
            mine.set_exception(exc)
            raise
        else:
            mine.set_result(value)
            return value
        finally:
            with self._lock:
                del self._under_way[key.name]

    def _led(
        self,
        key: Key,
        shape: type[T],
        build: Callable[[], T | None],
        ttl_s: float,
        nothing_ttl_s: float,
        wait_s: float,
    ) -> T | None:
        """The one of this process that fills, or waits for another process."""
        reserved = self.cache.reserve(key, RESERVED_S)
        if not reserved:
            elsewhere = self._awaited(key, shape, wait_s)
            if elsewhere is not None:
                return elsewhere.value
        try:
            value = build()
        except BaseException:
            if reserved:
                self.cache.release(key)
            raise
        kept_s = nothing_ttl_s if value is None else ttl_s
        if kept_s > 0:
            self.cache.put(key, value, kept_s)
        elif reserved:
            self.cache.release(key)
        return value

    def _awaited(self, key: Key, shape: type[T], wait_s: float) -> Hit[T] | None:
        """What another process puts there within ``wait_s``."""
        deadline = Deadline.after(self._clock, wait_s)
        while deadline.remaining_s() > POLL_S:
            self._clock.sleep(POLL_S, deadline)
            found = self.cache.get(key, shape)
            if found is not None:
                return found
        log.info("built it ourselves: nobody filled it in time", extra={"space": key.space})
        return None
