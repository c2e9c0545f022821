"""How a chunk ends: the state, the due time and the cause that its stream is left with.

No path leads from an error to ``up_to_date``, and no state is left without a cause and a next step.
"""

from dataclasses import dataclass

from schema.queries.stream import Closing, Lease
from schema.types import StreamState
from shared.errors import (
    BoxTooShortError,
    DeadlineExceededError,
    HistoryChangedError,
    QuotaUsedUpError,
    SourceRateLimitedError,
    SourceTimeoutError,
    TallybookError,
    fault_of,
)
from shared.seams import Rng
from shared.settings import Settings

FIRST_BACKOFF_S = 2.0
LONGEST_BACKOFF_S = 900.0
FEWEST_PAGE_ROWS = 10
JITTER = 0.25
QUOTA_SPREAD_S = 60.0  # all streams of a provider are due when its new day begins


@dataclass(frozen=True, slots=True)
class Ending:
    """An outcome's name for the run table, and what is written to the stream."""

    outcome: str
    closing: Closing


class Endings:
    """Makes the endings of one chunk."""

    def __init__(self, lease: Lease, settings: Settings, rng: Rng) -> None:
        self._lease = lease
        self._settings = settings
        self._rng = rng

    def up_to_date(self, page_rows: int | None) -> Ending:
        """The pass reached its head."""
        due_in_s = self._jittered(self._settings.refresh_s)
        return Ending(
            "done",
            self._closing(StreamState.UP_TO_DATE, due_in_s, page_rows=page_rows, synced=True),
        )

    def unfinished(self, pass_head: int | None, page_rows: int | None, *, moved: bool) -> Ending:
        """The box closed first."""
        attempts = 0 if moved else self._lease.attempts
        closing = self._closing(
            StreamState.PENDING, 0.0, attempts=attempts, pass_head=pass_head, page_rows=page_rows
        )
        return Ending("unfinished", closing)

    def rewound(self, block: int, anchors: str) -> Ending:
        """The chain reorganised below the settled block: back to a block that both share."""
        error = HistoryChangedError(
            self._lease.provider, f"the chain reorganised; reading again from block {block}"
        )
        closing = self._closing(StreamState.PENDING, 0.0, error=error)
        return Ending("rewound", closing._replace(rewind_to=block, anchors=anchors))

    def other_provider(self, provider: str, error: TallybookError) -> Ending:
        """The provider does not serve this chain, and nothing was settled: another does."""
        closing = self._closing(StreamState.PENDING, 0.0, error=error)
        return Ending("unfinished", closing._replace(provider=provider))

    def failed(
        self, error: TallybookError, pass_head: int | None, page_rows: int, *, moved: bool
    ) -> Ending:
        """Something went wrong: wait, stop, or give up."""
        attempts = 0 if moved else self._lease.attempts
        slow = isinstance(error, SourceTimeoutError | DeadlineExceededError | BoxTooShortError)
        smaller = (
            max(FEWEST_PAGE_ROWS, page_rows // 2) if slow and not moved else self._lease.page_rows
        )
        state, due_in_s = StreamState.SNOOZED, 0.0
        if isinstance(error, QuotaUsedUpError):
            due_in_s = error.retry_after_s + QUOTA_SPREAD_S * self._rng.random()
        elif isinstance(error, SourceRateLimitedError):
            due_in_s = error.retry_after_s * (1 + JITTER * self._rng.random())
        elif not self._worth_waiting(error):
            state = StreamState.STOPPED
        elif attempts + 1 >= self._settings.max_attempts:
            attempts, state = attempts + 1, StreamState.DEAD
        else:
            attempts += 1
            due_in_s = self._jittered(min(FIRST_BACKOFF_S * 2 ** (attempts - 1), LONGEST_BACKOFF_S))
        closing = self._closing(
            state, due_in_s, attempts=attempts, pass_head=pass_head, page_rows=smaller, error=error
        )
        return Ending(state.value, closing)

    def _worth_waiting(self, error: TallybookError) -> bool:
        """A contradiction stops the stream when read a second time: one answer may have lied."""
        if isinstance(error, HistoryChangedError):
            return self._lease.error_code != HistoryChangedError.code
        return error.retryable

    def _closing(
        self,
        state: StreamState,
        due_in_s: float,
        *,
        attempts: int = 0,
        pass_head: int | None = None,
        page_rows: int | None = None,
        synced: bool = False,
        error: TallybookError | None = None,
    ) -> Closing:
        return Closing(
            state=state.value,
            due_in_s=due_in_s,
            attempts=attempts,
            provider=self._lease.provider,
            page_rows=page_rows,
            pass_head=pass_head,
            synced=synced,
            error=None if error is None else fault_of(error),
        )

    def _jittered(self, seconds: float) -> float:
        """Spread over +-25 %, so that what failed together does not come back together."""
        return seconds * (1 - JITTER + 2 * JITTER * self._rng.random())
