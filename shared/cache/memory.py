"""A cache of this process: what was used longest ago goes first."""

import threading
from collections import OrderedDict
from typing import NamedTuple, TypeVar

from shared.cache.base import Hit, Key, decoded, encoded, jittered
from shared.clock import Clock
from shared.seams import Rng

T = TypeVar("T")

MOST_ENTRIES = 2_000
MOST_BYTES_OF_ALL = 16 * 1024 * 1024


class _Entry(NamedTuple):
    body: bytes
    ends_at: float


class MemoryCache:
    """A dictionary in the order of use, bounded by entries and by bytes."""

    is_near = True

    def __init__(
        self,
        clock: Clock,
        rng: Rng,
        *,
        most_entries: int = MOST_ENTRIES,
        most_bytes: int = MOST_BYTES_OF_ALL,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._most_entries = most_entries
        self._most_bytes = most_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key, shape: type[T]) -> Hit[T] | None:
        """See ``Cache.get``."""
        name = key.name
        with self._lock:
            entry = self._entries.get(name)
            if entry is None:
                return None
            if self._clock.monotonic() >= entry.ends_at:
                self._forget(name)
                return None
            self._entries.move_to_end(name)
        # Decoded each time: a caller that changes its value changes nobody else's.
        return decoded(entry.body, shape)

    def put(self, key: Key, value: object, ttl_s: float) -> None:
        """See ``Cache.put``."""
        body = encoded(key, value)
        with self._lock:
            self._forget(key.name)
            if body is None or len(body) > self._most_bytes:
                return
            ends_at = self._clock.monotonic() + jittered(ttl_s, self._rng)
            self._entries[key.name] = _Entry(body, ends_at)
            self._bytes += len(body)
            while len(self._entries) > self._most_entries or self._bytes > self._most_bytes:
                self._forget(next(iter(self._entries)))

    def drop(self, key: Key) -> None:
        """See ``Cache.drop``."""
        with self._lock:
            self._forget(key.name)

    def reserve(self, key: Key, seconds: float) -> bool:  # noqa: ARG002 - nobody else sees it
        """See ``Cache.reserve``: threads of one process wait for each other in ``Fills``."""
        return True

    def release(self, key: Key) -> None:
        """See ``Cache.release``: nothing was reserved."""

    def close(self) -> None:
        """See ``Cache.close``: it has none, but forgets all."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    def _forget(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._bytes -= len(entry.body)
