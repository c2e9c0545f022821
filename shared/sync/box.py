"""The time a platform gives one invocation, and whether the next page still fits into it."""

from collections import deque

from shared.clock import Clock, Deadline
from shared.watchdog import EARLY_S

REMEMBERED = 20
MARGIN = 1.25
LAST_S = 0.4  # for closing what is open when the box is over; within the usual reserve


class Box:
    """A deadline less a reserve, with a moving estimate of what one page takes."""

    def __init__(
        self, clock: Clock, deadline: Deadline, *, reserve_s: float, first_guess_s: float = 0.0
    ) -> None:
        # A reserve larger than the box would leave nothing to work in.
        reserve_s = min(reserve_s, deadline.remaining_s() / 2)
        self.deadline = Deadline(deadline.at - reserve_s, deadline.monotonic)
        # By the clock itself: to have been told to stop does not end a statement under way.
        self.statements = Deadline(self.deadline.at, clock.monotonic)
        self.length_s = self.deadline.remaining_s()
        self._is_shut = False
        self._guess_s = first_guess_s
        self._pages_s: deque[float] = deque(maxlen=REMEMBERED)

    def fits_page(self) -> bool:
        """Whether a page that starts now is expected to end in time.

        A box always gets one try: else one slow page, remembered, would keep all later boxes idle.
        """
        left_s = self.deadline.remaining_s()
        if self._is_shut:
            return False
        if not self._pages_s:
            return left_s > min(self._guess_s * MARGIN, self.length_s / 2)
        return left_s > self.page_s() * MARGIN

    @property
    def is_over(self) -> bool:
        """Whether it ended; statements are ended a moment before it."""
        return self._is_shut or self.deadline.remaining_s() <= EARLY_S

    def shut(self) -> None:
        """Begin no page any more, however little time one seems to need."""
        self._is_shut = True

    def last(self) -> Deadline:
        """Until when the last statements may take, by which what was begun is left in order."""
        clock = self.statements.monotonic
        return Deadline(max(self.statements.at, clock()) + LAST_S, clock)

    def page_s(self) -> float:
        """What a slow page takes: the slowest of the last ones but one in ten."""
        if not self._pages_s:
            return self._guess_s
        slowest_first = sorted(self._pages_s, reverse=True)
        return slowest_first[len(slowest_first) // 10]

    def took(self, seconds: float) -> None:
        """A page took this long, from its request to its commit."""
        self._pages_s.append(seconds)
