"""A provider as the engine uses it: paced, held back, and asked once for what is shared."""

from collections.abc import Callable
from typing import TypeVar

from shared.clock import Clock, Deadline
from shared.errors import SourceRateLimitedError, SourceTimeoutError, SourceUnavailableError
from shared.gate import RateGate
from shared.heads import KEPT_S, Heads
from shared.sources.base import Answer, FeedRef, Limits, RangeQuery, Source

PAUSES_S = (0.2, 0.6)  # before a second and a third try of a call that broke

T = TypeVar("T")


class Reader:
    """All calls of one process to its providers.

    The head and the hashes asked for with it are kept for a few seconds: the streams of one
    address ask for the same.
    """

    def __init__(
        self, source_of: Callable[[str], Source], gate: RateGate, heads: Heads, clock: Clock
    ) -> None:
        self._source_of = source_of
        self._gate = gate
        self._heads = heads
        self._clock = clock
        self._hashes: dict[tuple[str, int, int], tuple[float, bytes | None]] = {}

    def limits(self, key: str, chain_id: int) -> Limits:
        """What the provider allows on this chain."""
        return self._source_of(key).limits(chain_id)

    def head(self, key: str, chain_id: int, deadline: Deadline) -> int:
        """The newest block, as anybody has seen it a moment ago."""
        known = self._heads.young(key, chain_id)
        if known is not None:
            return known
        asked_at = self._clock.monotonic()
        head = self._ask(key, deadline, lambda source: source.head(chain_id, deadline))
        self._heads.saw(key, chain_id, head, at=asked_at)
        return head

    def block_hash(self, key: str, chain_id: int, block: int, deadline: Deadline) -> bytes | None:
        """The hash of a block, at most ``KEPT_S`` old; None when the provider cannot tell.

        Never older than the hash of a higher block that was told before: else both could stand
        although the chain forked between them.
        """
        kept = self._hashes.get((key, chain_id, block))
        if kept is not None and self._is_young(kept[0]):
            return kept[1]
        asked_at = self._clock.monotonic()

        def tell(source: Source) -> bytes | None:
            return source.block_hash(chain_id, block, deadline)

        found = self._ask(key, deadline, tell)
        self._hashes = {
            name: value
            for name, value in self._hashes.items()
            if self._is_young(value[0]) and not (name[:2] == (key, chain_id) and name[2] < block)
        }
        if found is None:  # one null may be a slip, two are the provider's word
            found = self._ask(key, deadline, tell)
        self._hashes[key, chain_id, block] = (asked_at, found)
        return found

    def fetch(self, key: str, feed: FeedRef, query: RangeQuery, deadline: Deadline) -> Answer:
        """One page of one feed."""
        return self._ask(key, deadline, lambda source: source.fetch(feed, query, deadline))

    def forget(self, key: str, chain_id: int) -> None:
        """Drop what was kept of a chain: it reorganised."""
        self._heads.forget(key, chain_id)
        self._hashes = {
            name: value for name, value in self._hashes.items() if name[:2] != (key, chain_id)
        }

    def _ask(self, key: str, deadline: Deadline, call: Callable[[Source], T]) -> T:
        """Wait for our turn, call, and let everybody wait when the provider says so."""
        source = self._source_of(key)
        for pause_s in PAUSES_S:
            try:
                return self._ask_once(source, deadline, call)
            except SourceTimeoutError:
                raise
            except SourceUnavailableError:
                # One broken answer must not cost the pages of a dense block read before it.
                if pause_s >= deadline.remaining_s():
                    raise
                self._clock.sleep(pause_s, deadline)
        return self._ask_once(source, deadline, call)

    def _ask_once(self, source: Source, deadline: Deadline, call: Callable[[Source], T]) -> T:
        self._gate.acquire(source.key, deadline)
        try:
            return call(source)
        except SourceRateLimitedError as exc:
            self._gate.hold(source.key, exc.retry_after_s)
            raise

    def _is_young(self, asked_at: float) -> bool:
        return self._clock.monotonic() - asked_at < KEPT_S
