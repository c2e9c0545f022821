"""Provider limits behind one gate, so that many streams share one allowance."""

import math
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple, Protocol

from shared.clock import Clock, Deadline
from shared.errors import QuotaUsedUpError, SourceRateLimitedError

LONGEST_PAUSE_S = 5.0


class Usage(NamedTuple):
    """Calls made of each source in the present day (UTC); ``for_all``: by all processes."""

    calls: dict[str, int]
    resets_at: datetime
    for_all: bool


class RateGate(Protocol):
    """Hands out the right to call a provider once."""

    def acquire(self, source: str, deadline: Deadline) -> None:
        """Wait for the next free slot of ``source``.

        Raises:
            SourceRateLimitedError: The slot lies beyond the deadline, or a hold has not ended.
            QuotaUsedUpError: The source's calls of this day are used up.
        """
        ...

    def hold(self, source: str, seconds: float) -> None:
        """Let nobody call ``source`` for ``seconds``: it asked us to wait."""
        ...

    def tell(self, deadline: Deadline) -> None:
        """Tell what was called, where the calls of all are counted; no error when that fails."""
        ...

    def leave(self) -> None:
        """Tell, and let others have what we held: this process ends."""
        ...

    def usage(self, sources: Sequence[str]) -> Usage:
        """What was called today.

        Raises:
            RedisError: It is counted elsewhere, and that cannot be reached.
        """
        ...


class Pacer:
    """A gate for one process: evenly spaced slots per source, and its own calls of the day."""

    def __init__(
        self,
        clock: Clock,
        calls_per_s: Mapping[str, float],
        calls_a_day: Mapping[str, int] | None = None,
    ) -> None:
        self._clock = clock
        self._interval_s = {key: 1.0 / rate for key, rate in calls_per_s.items()}
        self._quotas = calls_a_day or {}
        self._free_at: dict[str, float] = {}
        self._day: date | None = None
        self._made: Counter[str] = Counter()
        self._lock = threading.Lock()

    def acquire(self, source: str, deadline: Deadline) -> None:
        """See ``RateGate.acquire``."""
        with self._lock:
            made = self._made_today()[source]
            check_quota(source, made, self._quotas.get(source), self._clock.now())
            now = self._clock.monotonic()
            slot = max(now, self._free_at.get(source, now))
            wait_s = slot - now
            if wait_s > min(deadline.remaining_s(), LONGEST_PAUSE_S):
                raise SourceRateLimitedError(source, "waiting for our turn", retry_after_s=wait_s)
            self._free_at[source] = slot + self._interval_s.get(source, 0.0)
            self._made[source] += 1
        if wait_s > 0:
            self._clock.sleep(wait_s, deadline)

    def hold(self, source: str, seconds: float) -> None:
        """See ``RateGate.hold``."""
        with self._lock:
            until = self._clock.monotonic() + seconds
            self._free_at[source] = max(until, self._free_at.get(source, until))

    def tell(self, deadline: Deadline) -> None:
        """See ``RateGate.tell``: there is nobody to tell."""

    def leave(self) -> None:
        """See ``RateGate.leave``: nobody waits for it."""

    def usage(self, sources: Sequence[str]) -> Usage:
        """See ``RateGate.usage``: only what this process called."""
        with self._lock:
            made = self._made_today()
            calls = {source: made[source] for source in sources}
        return Usage(calls, day_end(self._clock.now()), for_all=False)

    def _made_today(self) -> Counter[str]:
        today = self._clock.now().astimezone(UTC).date()
        if today != self._day:
            self._day, self._made = today, Counter()
        return self._made


def day_end(now: datetime) -> datetime:
    """The midnight in UTC that follows."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1)


def check_quota(source: str, used: int, quota: int | None, now: datetime) -> None:
    """Refuse a call when those of the day are used up.

    Raises:
        QuotaUsedUpError: With the time until the next day.
    """
    if quota is not None and used >= quota:
        left_s = (day_end(now) - now).total_seconds()
        detail = f"{used} of {quota} calls of today (UTC) used"
        raise QuotaUsedUpError(source, detail, retry_after_s=math.ceil(left_s))
