"""Time as a seam: a wall clock, a monotonic one for deadlines, and the only sleep."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from shared.errors import DeadlineExceededError


class Clock(Protocol):
    """What the product may know of time."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin that never go back."""
        ...

    def sleep(self, seconds: float, deadline: "Deadline") -> None:
        """Wait; raises DeadlineExceededError at once when the deadline comes first."""
        ...


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on a monotonic clock after which a wait is pointless."""

    at: float
    monotonic: Callable[[], float]

    @classmethod
    def after(cls, clock: Clock, seconds: float) -> "Deadline":
        """The moment ``seconds`` from now."""
        return cls(clock.monotonic() + seconds, clock.monotonic)

    def remaining_s(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - self.monotonic())

    def within(self, seconds: float) -> "Deadline":
        """The earlier of this deadline and ``seconds`` from now."""
        return Deadline(min(self.at, self.monotonic() + seconds), self.monotonic)

    def check(self, what: str) -> None:
        """Raise DeadlineExceededError naming ``what`` when no time is left."""
        if self.remaining_s() <= 0:
            message = f"no time left for {what}"
            raise DeadlineExceededError(message)


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """See ``Clock.now``."""
        return datetime.now(UTC)  # noqa: TID251 - the one place that reads the wall clock

    def monotonic(self) -> float:
        """See ``Clock.monotonic``."""
        return time.monotonic()

    def sleep(self, seconds: float, deadline: Deadline) -> None:
        """See ``Clock.sleep``."""
        if seconds > deadline.remaining_s():
            message = f"a wait of {seconds:.1f} s does not fit into the box"
            raise DeadlineExceededError(message)
        time.sleep(seconds)  # noqa: TID251 - the one place that sleeps
