"""Fakes that we own: a clock that moves only when told."""

import threading
from datetime import UTC, datetime, timedelta

from shared.clock import Deadline
from shared.errors import DeadlineExceededError

# Long past on every machine: what is due "now" on this clock is due on a Postgres server's too.
START = datetime(2024, 1, 1, tzinfo=UTC)


class FakeClock:
    """Time as the test tells it; ``sleep`` moves it on."""

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """See ``Clock.now``."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic(self) -> float:
        """See ``Clock.monotonic``."""
        return self._elapsed_s

    def sleep(self, seconds: float, deadline: Deadline) -> None:
        """See ``Clock.sleep``."""
        if seconds > deadline.remaining_s():
            message = f"a wait of {seconds:.1f} s does not fit into the box"
            raise DeadlineExceededError(message)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        with self._lock:
            self._elapsed_s += seconds
