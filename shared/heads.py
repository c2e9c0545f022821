"""The newest block of each chain, as somebody has seen it a moment ago.

The streams of an address, and the runs of many processes, all ask for it: one answer serves them.
An old head is harmless, it only ends a pass a little earlier.
"""

import threading

from shared.clock import Clock

KEPT_S = 10.0


class Heads:
    """Heads of the last seconds by provider and chain."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, int], tuple[float, int]] = {}
        self._news: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def young(self, source: str, chain_id: int) -> int | None:
        """A head that is at most ``KEPT_S`` old, or None."""
        with self._lock:
            seen = self._seen.get((source, chain_id))
            return seen[1] if seen and self._clock.monotonic() - seen[0] < KEPT_S else None

    def saw(self, source: str, chain_id: int, block: int, *, at: float) -> None:
        """The provider told it in answer to a question asked at ``at``, our monotonic time."""
        with self._lock:
            self._seen[source, chain_id] = (at, block)
            self._news.add((source, chain_id))

    def heard(self, source: str, chain_id: int, block: int, *, age_s: float) -> None:
        """Another process saw it ``age_s`` ago; ours stays if it is younger."""
        at = self._clock.monotonic() - age_s
        with self._lock:
            seen = self._seen.get((source, chain_id))
            if seen is None or seen[0] < at:
                self._seen[source, chain_id] = (at, block)

    def forget(self, source: str, chain_id: int) -> None:
        """The chain reorganised."""
        with self._lock:
            self._seen.pop((source, chain_id), None)
            self._news.discard((source, chain_id))

    def news(self) -> dict[tuple[str, int], tuple[int, float]]:
        """What we saw ourselves since this was last asked: block and age in seconds."""
        with self._lock:
            now, news = self._clock.monotonic(), sorted(self._news)
            self._news.clear()
            return {key: (self._seen[key][1], now - self._seen[key][0]) for key in news}
