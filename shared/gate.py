"""Provider limits behind one gate, so that many streams share one allowance."""

import threading
from collections.abc import Mapping
from typing import Protocol

from shared.clock import Clock, Deadline
from shared.errors import SourceRateLimitedError

LONGEST_PAUSE_S = 5.0


class RateGate(Protocol):
    """Hands out the right to call a provider once."""

    def acquire(self, source: str, deadline: Deadline) -> None:
        """Wait for the next free slot of ``source``.

        Raises:
            SourceRateLimitedError: The slot lies beyond the deadline, or a hold has not ended.
        """
        ...

    def hold(self, source: str, seconds: float) -> None:
        """Let nobody call ``source`` for ``seconds``: it asked us to wait."""
        ...


class Pacer:
    """A gate for one process: evenly spaced slots per source."""

    def __init__(self, clock: Clock, calls_per_s: Mapping[str, float]) -> None:
        self._clock = clock
        self._interval_s = {key: 1.0 / rate for key, rate in calls_per_s.items()}
        self._free_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def acquire(self, source: str, deadline: Deadline) -> None:
        """See ``RateGate.acquire``."""
        with self._lock:
            now = self._clock.monotonic()
            slot = max(now, self._free_at.get(source, now))
            wait_s = slot - now
            if wait_s > min(deadline.remaining_s(), LONGEST_PAUSE_S):
                raise SourceRateLimitedError(source, "waiting for our turn", retry_after_s=wait_s)
            self._free_at[source] = slot + self._interval_s.get(source, 0.0)
        if wait_s > 0:
            self._clock.sleep(wait_s, deadline)

    def hold(self, source: str, seconds: float) -> None:
        """See ``RateGate.hold``."""
        with self._lock:
            until = self._clock.monotonic() + seconds
            self._free_at[source] = max(until, self._free_at.get(source, until))
