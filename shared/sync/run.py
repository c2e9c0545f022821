"""A run: one invocation's box, filled with chunks of one stream after another."""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from schema.queries import leader, stream
from schema.queries.stream import Feed, Standing, Waiting
from schema.types import StreamState
from shared import holder as holders
from shared.clock import Deadline
from shared.errors import DeadlineExceededError
from shared.queue.base import Done, Outcome, Push, Retry, WakeUp
from shared.seams import Seams
from shared.settings import Settings
from shared.sources.base import Source
from shared.sync import source_change, sweep
from shared.sync.box import Box
from shared.sync.chunk import Chunk, ChunkReport
from shared.sync.reader import Reader

RETRY_MARGIN_S = 0.05
TIDY, TIDY_EVERY_S = "tidy", 3600.0


@dataclass(frozen=True, slots=True)
class RunReport:
    """The chunks of one run; ``next_due_s`` is when the next of the streams asked for is due.

    ``more``: the box ended before the queue did, so another run has something to do.
    """

    chunks: tuple[ChunkReport, ...]
    next_due_s: float | None = None
    more: bool = False


class SyncEngine:
    """The engine behind every entry point: fills a box from the queue, or from named streams."""

    def __init__(
        self,
        seams: Seams,
        source_of: Callable[[str], Source],
        settings: Settings,
        holder: str | None = None,
    ) -> None:
        self._seams = seams
        self._settings = settings
        self._reader = Reader(source_of, seams.gate, seams.heads, seams.clock)
        self._holder = holder or holders.current()
        self._page_s = 0.0
        self._tidy_at = -math.inf

    def run(self, deadline: Deadline) -> RunReport:
        """Work what the queue says until the box is nearly over or nothing is claimable."""
        box = self._box(deadline)
        queue, lease_s = self._seams.queue, self._settings.lease_s
        chunks = []
        more = False
        claim = queue.claim(lease_s)
        while claim is not None:
            chunk, outcome, then = self._look(claim.wake_up, box)
            chunks += [chunk] if chunk else []
            more = not box.fits_page()
            next_s = None if more else lease_s
            claim = queue.finish(claim, outcome, then=then, claim_next_s=next_s)
        return self._ended(box, chunks, more=more)

    def step(self, stream_ids: Sequence[int], deadline: Deadline) -> RunReport:
        """Work the given streams now, straight from the ledger, until the box is nearly over."""
        box = self._box(deadline)
        chunks: list[ChunkReport] = []
        looked_at: set[int] = set()
        while box.fits_page():
            try:
                due = self._next_due(stream_ids, looked_at, box)
                chunk = None if due is None else self._turn(due, box)
            except DeadlineExceededError:
                break
            if due is None:
                break
            if chunk is None or chunk.outcome == "lost":
                looked_at.add(due)
            if chunk is not None:
                chunks.append(chunk)
        self._seams.gate.tell(deadline)
        return self._ended(box, chunks, self._next_due_s(stream_ids, box))

    def sweep(self) -> int:
        """Wake what is due and free; the number of wake-ups pushed."""
        return len(self.wake())

    def wake(self, *, but: Collection[Feed] = ()) -> list[Feed]:
        """The same for a process that remembers what it has pushed: all ``but`` that."""
        return sweep.push_due(self._seams, most=sweep.BATCH + len(but), but=but)

    def tidy(self) -> bool:
        """Finish what waits and delete what is kept for a time only; True while there is more."""
        return sweep.tidy(self._seams, self._settings)

    def tend(self) -> None:
        """What a tick does beside its work, busy or not: finish changes of provider, and tidy.

        Of all processes one tidies, once an hour, or again at once while there is more.
        """
        source_change.finish_changes(self._seams)
        now = self._seams.clock.monotonic()
        if now < self._tidy_at:
            return
        self._tidy_at = now + TIDY_EVERY_S
        is_ours = self._seams.unit.run(
            "tidy turn", lambda c: leader.lead(c, TIDY, self._holder, TIDY_EVERY_S)
        )
        if is_ours and self.tidy():
            self._tidy_at = now

    def _box(self, deadline: Deadline) -> Box:
        return Box(
            self._seams.clock,
            deadline,
            reserve_s=self._settings.reserve_s,
            first_guess_s=self._page_s,
        )

    def _ended(
        self,
        box: Box,
        chunks: list[ChunkReport],
        next_due_s: float | None = None,
        *,
        more: bool = False,
    ) -> RunReport:
        self._page_s = box.page_s()
        return RunReport(tuple(chunks), next_due_s, more)

    def _look(self, wake_up: WakeUp, box: Box) -> tuple[ChunkReport | None, Outcome, list[Push]]:
        """Answer a wake-up: what was done, what becomes of it, and who is to be woken next."""
        try:
            chunk = self._turn(wake_up.stream_id, box)
            now = None if chunk else self._standing(wake_up.stream_id, box)
        except DeadlineExceededError:
            box.shut()
            return None, Retry(RETRY_MARGIN_S), []
        if chunk is not None:
            again = chunk.state in {StreamState.PENDING, StreamState.SNOOZED}
            return chunk, Done(), [Push(wake_up, chunk.due_in_s)] if again else []
        if now is None or now.resting or now.state in {StreamState.STOPPED, StreamState.DEAD}:
            return None, Done(), []
        if now.lease_left_s > 0:
            # Somebody works on it: look again when that lease ends, should it die before it says
            # what comes next.
            return None, Retry(now.lease_left_s + RETRY_MARGIN_S), []
        if now.state == StreamState.SNOOZED and now.due_in_s > 0:
            return None, Retry(now.due_in_s), []
        return None, Done(), []

    def _turn(self, stream_id: int, box: Box) -> ChunkReport | None:
        """One chunk, or None when the stream cannot be had now."""
        lease = self._lease(stream_id, box)
        if lease is None:
            now = self._standing(stream_id, box)
            if now is None or now.lease_left_s <= 0 or not holders.is_dead(now.holder):
                return None
            lease = self._lease(stream_id, box, dead_holder=now.holder)
        if lease is None:
            return None
        return Chunk(self._seams, self._reader, self._settings, lease, box).run()

    def _lease(
        self, stream_id: int, box: Box, dead_holder: str | None = None
    ) -> stream.Lease | None:
        return self._seams.unit.run(
            "lease",
            lambda connection: stream.lease(
                connection,
                stream_id,
                lease_s=self._settings.lease_s,
                holder=self._holder,
                dead_holder=dead_holder,
            ),
            by=box.statements.within(self._settings.lease_s / 2),
        )

    def _standing(self, stream_id: int, box: Box) -> Standing | None:
        return self._seams.unit.run(
            "standing", lambda connection: stream.standing(connection, stream_id), by=box.last()
        )

    def _next_due(self, stream_ids: Sequence[int], but: set[int], box: Box) -> int | None:
        """The longest due of these streams that is free, or whose holder is dead."""
        for waiting in self._waiting(stream_ids, box):
            free = waiting.lease_left_s <= 0 or holders.is_dead(waiting.holder)
            if waiting.due_in_s <= 0 and free and waiting.stream_id not in but:
                return waiting.stream_id
        return None

    def _next_due_s(self, stream_ids: Sequence[int], box: Box) -> float | None:
        """Seconds until the first of these streams can be worked; 0 when one can, or may, now."""
        try:
            found = self._waiting(stream_ids, box)
        except DeadlineExceededError:
            return 0.0
        waits = [
            max(
                waiting.due_in_s,
                0.0 if holders.is_dead(waiting.holder) else waiting.lease_left_s,
                0.0,
            )
            for waiting in found
        ]
        return min(waits, default=None)

    def _waiting(self, stream_ids: Sequence[int], box: Box) -> list[Waiting]:
        return self._seams.unit.run(
            "due", lambda connection: stream.waiting(connection, stream_ids), by=box.last()
        )
