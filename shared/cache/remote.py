"""A cache in one Redis, over HTTP or TCP, for processes that share nothing else."""

import logging
import threading
from typing import Any, Protocol, TypeVar

from shared.cache.base import Hit, Key, decoded, encoded, jittered
from shared.clock import Clock
from shared.errors import RedisError
from shared.seams import Rng

T = TypeVar("T")

LEFT_ALONE_S = 30.0
MILLIS = 1_000
OUT_OF_REACH = object()

log = logging.getLogger(__name__)


class Commands(Protocol):
    """What runs plain Redis commands: ``UpstashClient`` or ``TcpClient``."""

    def command(self, *words: str) -> Any:
        """Run one that may run twice; raises RedisError."""
        ...

    def close(self) -> None:
        """Close its connections."""
        ...


class RemoteCache:
    """Plain SET and GET with an expiry: one call a step, and each may run twice.

    A Redis that does not answer is left alone for ``LEFT_ALONE_S``, so that an outage costs one
    caller its timeout, not every request.
    """

    is_near = False

    def __init__(self, client: Commands, clock: Clock, rng: Rng, *, prefix: str) -> None:
        self._client = client
        self._clock = clock
        self._rng = rng
        self._prefix = prefix
        self._down_until: float | None = None
        self._lock = threading.Lock()

    def get(self, key: Key, shape: type[T]) -> Hit[T] | None:
        """See ``Cache.get``."""
        found = self._asked("GET", self._name(key))
        return decoded(found, shape) if isinstance(found, str) else None

    def put(self, key: Key, value: object, ttl_s: float) -> None:
        """See ``Cache.put``."""
        body = encoded(key, value)
        if body is None:
            self.drop(key)
            return
        ttl_ms = max(1, round(jittered(ttl_s, self._rng) * MILLIS))
        self._asked("SET", self._name(key), body.decode(), "PX", str(ttl_ms))

    def drop(self, key: Key) -> None:
        """See ``Cache.drop``."""
        self._asked("DEL", self._name(key), self._reservation(key))

    def reserve(self, key: Key, seconds: float) -> bool:
        """See ``Cache.reserve``."""
        ends_ms = str(max(1, round(seconds * MILLIS)))
        # Repeated because its answer was lost, it finds its own mark and says no: who asked then
        # waits for nobody, and builds.
        found = self._asked("SET", self._reservation(key), "1", "NX", "PX", ends_ms)
        return found is True or found is OUT_OF_REACH

    def release(self, key: Key) -> None:
        """See ``Cache.release``."""
        self._asked("DEL", self._reservation(key))

    def close(self) -> None:
        """See ``Cache.close``."""
        self._client.close()

    def _name(self, key: Key) -> str:
        return f"{{{self._prefix}}}:cache:{key.name}"

    def _reservation(self, key: Key) -> str:
        return f"{{{self._prefix}}}:filling:{key.name}"

    def _asked(self, *words: str) -> Any:
        """What the command answers, or ``OUT_OF_REACH``."""
        if not self._may_ask():
            return OUT_OF_REACH
        try:
            answer = self._client.command(*words)
        except RedisError as exc:
            self._went_down(exc)
            return OUT_OF_REACH
        self._came_back()
        return answer

    def _may_ask(self) -> bool:
        """Whether it is up, or this caller is the one to see whether it is up again."""
        with self._lock:
            now = self._clock.monotonic()
            if self._down_until is None:
                return True
            if now < self._down_until:
                return False
            self._down_until = now + LEFT_ALONE_S
            return True

    def _went_down(self, error: RedisError) -> None:
        with self._lock:
            was_down = self._down_until is not None
            self._down_until = self._clock.monotonic() + LEFT_ALONE_S
        if not was_down:
            extra = {"code": error.code, "detail": error.detail}
            log.warning("cache out of reach: going on without it", extra=extra)

    def _came_back(self) -> None:
        with self._lock:
            was_down, self._down_until = self._down_until is not None, None
        if was_down:
            log.warning("cache is back")
