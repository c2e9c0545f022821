"""One leased turn of one stream inside a run: open the pass, walk its pages, close."""

import logging
from dataclasses import dataclass

from sqlalchemy import Connection

from schema.queries import page, stream
from schema.queries.page import PageOutcome, PageWrite
from schema.queries.stream import Closing, Lease, RunRow
from schema.queries.wake import Wake
from schema.types import StreamKind, StreamState
from shared.clock import Deadline
from shared.errors import (
    BoxTooShortError,
    DeadlineExceededError,
    HistoryChangedError,
    LeaseLostError,
    SourceNotReadyError,
    SourceTimeoutError,
    SourceUnsupportedError,
    StorageError,
    StorageSchemaError,
    TallybookError,
)
from shared.seams import Handle, Seams
from shared.settings import Settings
from shared.sources import registry
from shared.sources.base import Answer, FeedRef, RangeQuery
from shared.sync import anchors
from shared.sync.anchors import Anchor
from shared.sync.box import Box
from shared.sync.ending import Ending, Endings
from shared.sync.flight import Flight
from shared.sync.pages import Cut, Walk
from shared.sync.placing import Placing
from shared.sync.reader import Reader

REGROW_AFTER_PAGES = 3
NO_PG_NET = "Enable the extension pg_net, or choose another RUN_TRIGGER."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChunkReport:
    """What one chunk did; ``outcome`` as in the run table, or lost."""

    stream_id: int
    outcome: str
    state: str | None
    due_in_s: float
    pages: int
    inserted: int
    deleted: int
    seconds: float
    error: tuple[str, str, str] | None


@dataclass(slots=True)
class _Progress:
    """What was done so far."""

    to_block: int
    pages: int = 0
    inserted: int = 0
    deleted: int = 0


class Chunk:
    """Works one lease until its stream is done, the box is over, or something stops it."""

    def __init__(
        self, seams: Seams, reader: Reader, settings: Settings, lease: Lease, box: Box
    ) -> None:
        self._seams = seams
        self._reader = reader
        self._settings = settings
        self._lease = lease
        self._box = box
        self._started_at = seams.clock.monotonic()
        self._had_a_fair_share = box.deadline.remaining_s() >= box.length_s / 2
        self._limits = reader.limits(lease.provider, lease.chain_id)
        self._page_rows = min(lease.page_rows or self._limits.page_rows, self._limits.page_rows)
        self._pass_head = lease.pass_head
        self._anchors = anchors.parse(lease.anchors)
        self._anchors_changed = False
        self._done = _Progress(to_block=lease.next_block - 1)
        self._placing = Placing(seams.unit, lease, self._statement)

    def run(self) -> ChunkReport:
        """Do the turn and close it; errors of providers end in the stream's row.

        Raises:
            StorageError: The database is gone; the lease ends by itself.
        """
        try:
            ending = self._read()
        except LeaseLostError as exc:
            return self._report("lost", None, 0.0, exc)
        except StorageError as exc:
            if exc.retryable:
                raise
            ending = self._failed(exc)
        except TallybookError as exc:
            ending = self._failed(exc)
        return self._close(ending)

    def _read(self) -> Ending:
        """Open or go on with the pass, then assert page after page."""
        lease, flight = self._lease, Flight(self._start_fetch)
        if self._pass_head is not None:
            # An open pass knows its next request: it is under way while the anchor is checked.
            flight.keep(self._new_walk(self._pass_head).upcoming(1), self._box.fits_page)
        stood = self._anchors
        if self._pass_head is None:
            self._open_pass()
        # Asked after the new anchor: a fork between the two would have the new one vouch for
        # what was read of the old chain.
        shared = self._fork(stood)
        if shared is not None:
            return self._rewound(shared)
        assert self._pass_head is not None  # noqa: S101 - for the type checker
        walk = self._new_walk(self._pass_head)
        self._walk(walk, flight)
        if walk.done:
            return self._endings().up_to_date(self._regrown())
        moved = self._done.pages > 0
        if not moved and self._had_a_fair_share:
            return self._failed(self._too_short("nothing came to its end"))
        return self._endings().unfinished(
            self._pass_head if moved else lease.pass_head, self._regrown(), moved=moved
        )

    def _new_walk(self, head: int) -> Walk:
        return Walk(
            self._lease.provider,
            self._lease.next_block,
            head,
            page_rows=self._page_rows,
            window_rows=self._limits.window_rows,
            # An empty history is the one claim that nothing else would ever contradict.
            confirm_empty=self._lease.settled_block < 0,
        )

    def _fork(self, stood: list[Anchor]) -> list[Anchor] | None:
        """Those anchors that still stand if the chain reorganised below them, else None."""
        wait = self._box.deadline.within(self._settings.lease_s / 2)
        return anchors.fork(stood, lambda block: self._hash_of(block, wait))

    def _hash_of(self, block: int, wait: Deadline) -> bytes | None:
        return self._reader.block_hash(self._lease.provider, self._lease.chain_id, block, wait)

    def _too_short(self, what: str) -> BoxTooShortError:
        """The box as the cause, with its length and the block that it was too short for."""
        block, length_s = self._lease.next_block, self._box.length_s
        detail = f"a box of {length_s:.1f} s is too short for block {block} and on: {what}"
        return BoxTooShortError(self._lease.provider, detail)

    def _open_pass(self) -> None:
        """Pin the head, and fetch the anchor before the pages that it vouches for."""
        lease = self._lease
        wait = self._box.deadline.within(self._settings.lease_s / 2)
        head = self._reader.head(lease.provider, lease.chain_id, wait)
        if head < lease.settled_block:
            detail = f"its newest block is {head}, but block {lease.settled_block} was settled"
            raise SourceNotReadyError(lease.provider, detail)
        self._pass_head = head
        settle_to = self._settle_to()
        if settle_to > lease.settled_block:
            found = self._hash_of(settle_to, wait)
            if found is not None:
                self._anchors = anchors.added(self._anchors, Anchor(settle_to, found))
                self._anchors_changed = True

    def _settle_to(self) -> int:
        """The last block of this pass that can no longer change."""
        assert self._pass_head is not None  # noqa: S101 - for the type checker
        return self._pass_head - self._limits.settle_depth

    def _walk(self, walk: Walk, flight: Flight) -> None:
        """The page loop: the next fetch is under way while a page is written."""
        began = self._seams.clock.monotonic()
        while not walk.done:
            flight.keep(walk.upcoming(self._ahead()), self._box.fits_page)
            answer = flight.land()
            if answer is None:
                return
            cut = walk.feed(answer.rows)
            self._placing.learn(answer.tokens)
            # Asked for before the write, so that both happen at once.
            flight.keep(walk.upcoming(self._ahead()), self._box.fits_page)
            if cut is not None:
                self._write(cut)
            now = self._seams.clock.monotonic()
            self._box.took(now - began)
            began = now

    def _ahead(self) -> int:
        """Pages of one window in flight."""
        return registry.fetch_ahead(self._lease.provider, self._settings)

    def _start_fetch(self, query: RangeQuery) -> Handle[Answer]:
        lease = self._lease
        feed = FeedRef(lease.chain_id, lease.account, StreamKind(lease.kind))

        def fetch() -> Answer:
            wait = self._box.deadline.within(self._settings.lease_s / 2)
            return self._reader.fetch(lease.provider, feed, query, wait)

        return self._seams.spawn.start(fetch)

    def _write(self, cut: Cut) -> None:
        """Assert one range of complete blocks."""
        lease = self._lease
        assert self._pass_head is not None  # noqa: S101 - for the type checker
        write = PageWrite(
            stream_id=lease.stream_id,
            token=lease.token,
            lo=cut.lo,
            next_block=cut.hi + 1,
            settle_to=self._settle_to(),
            pass_head=self._pass_head,
            lease_s=self._settings.lease_s,
            anchors=self._anchors_to_store(cut),
            rows=self._placing.movements(cut.rows),
        )
        outcome = self._apply(write)
        self._done.pages += 1
        self._done.inserted += outcome.inserted
        self._done.deleted += outcome.deleted
        self._done.to_block = cut.hi

    def _anchors_to_store(self, cut: Cut) -> str | None:
        """The anchor list if it is news; a row's own block hash serves where no other is had."""
        if not self._anchors_changed and self._done.pages == 0:
            newest = self._anchors[-1].block if self._anchors else self._lease.settled_block
            for row in reversed(cut.rows):
                if row.block_hash is not None and newest < row.block <= self._settle_to():
                    self._anchors = anchors.added(self._anchors, Anchor(row.block, row.block_hash))
                    self._anchors_changed = True
                    break
        return anchors.dump(self._anchors) if self._anchors_changed else None

    def _apply(self, write: PageWrite) -> PageOutcome:
        """Write a page and find out what became of it."""
        lease = self._lease
        late: DeadlineExceededError | None = None
        for label in ("page", "page again"):
            try:
                outcome = self._tried(label, write)
            except DeadlineExceededError as exc:
                outcome, late = page.NOTHING, exc
            if outcome.applied:
                return outcome
            if outcome.contradicted:
                detail = (
                    f"{outcome.contradicted} settled movements from block {write.lo} on changed"
                )
                raise HistoryChangedError(lease.provider, detail)
            now = self._seams.unit.run(
                "standing",
                lambda connection: stream.standing(connection, lease.stream_id),
                by=self._box.last(),
            )
            if now is None or now.token != lease.token:
                message = f"stream {lease.stream_id} was taken over by another run"
                raise LeaseLostError(message)
            stands_at = now.next_block
            if stands_at == write.next_block:
                return outcome
            if stands_at != write.lo:
                break
            if late is not None:
                raise late
        message = f"stream {lease.stream_id} stands at block {stands_at}, not at {write.lo}"
        raise LeaseLostError(message)

    def _tried(self, label: str, write: PageWrite) -> PageOutcome:
        """One try; of the first, an answer that is lost is only that: the page may stand."""
        try:
            return self._seams.unit.run(
                label,
                lambda connection: page.write_page(connection, write),
                by=self._statement(),
            )
        except StorageError as exc:
            if label != "page" or not exc.retryable:
                raise
            return page.NOTHING

    def _statement(self) -> Deadline:
        """Until when a statement that begins now may take."""
        return self._box.statements.within(self._settings.lease_s / 2)

    def _rewound(self, shared: list[Anchor]) -> Ending:
        """Go back to the newest block that the chain still shares with what was read."""
        self._reader.forget(self._lease.provider, self._lease.chain_id)
        block = min(shared[-1].block, self._lease.settled_block) if shared else -1
        return self._endings().rewound(block, anchors.dump(shared))

    def _failed(self, error: TallybookError) -> Ending:
        """What an error means for the stream."""
        moved = self._done.pages > 0
        if (
            self._lease.live
            and isinstance(error, SourceUnsupportedError)
            and self._lease.settled_block < 0
            and not moved
        ):
            other = registry.next_source(self._lease.provider, self._lease.chain_id, self._settings)
            if other is not None:
                return self._endings().other_provider(other, error)
        pass_head = self._pass_head if moved else self._lease.pass_head
        if isinstance(error, SourceTimeoutError | DeadlineExceededError) and self._box.is_over:
            self._box.shut()
            if moved or not self._had_a_fair_share:
                return self._endings().unfinished(pass_head, self._lease.page_rows, moved=moved)
            error = self._too_short(error.detail)
        return self._endings().failed(error, pass_head, self._page_rows, moved=moved)

    def _endings(self) -> Endings:
        return Endings(self._lease, self._settings, self._seams.rng)

    def _regrown(self) -> int | None:
        """Pages that were made smaller grow again once several went well."""
        if self._lease.page_rows is None or self._done.pages < REGROW_AFTER_PAGES:
            return self._lease.page_rows
        larger = self._page_rows * 2
        return None if larger >= self._limits.page_rows else larger

    def _close(self, ending: Ending) -> ChunkReport:
        """Release the lease with its reason; a lease lost meanwhile is nothing of ours."""
        done, closing = self._done, ending.closing
        run = RunRow(
            took_s=self._seams.clock.monotonic() - self._started_at,
            from_block=self._lease.next_block,
            to_block=done.to_block,
            pages=done.pages,
            inserted=done.inserted,
            deleted=done.deleted,
            outcome=ending.outcome,
            detail=closing.error[1] if closing.error else None,
        )
        # With the box over, who goes on is called as part of the very same transaction.
        call = self._seams.trigger.in_closing() if ending.outcome == "unfinished" else None
        wake = None if call is None else Wake(call.url, call.headers, call.body)
        try:
            closed = self._closed(closing, run, wake)
        except DeadlineExceededError as exc:
            # The lease ends by itself.
            self._box.shut()
            due_in_s = self._settings.lease_s
            return self._report("unfinished", StreamState.PENDING.value, due_in_s, exc)
        if not closed:
            return self._report("lost", None, 0.0, None)
        return self._report(ending.outcome, closing.state, closing.due_in_s, closing.error)

    def _closed(self, closing: Closing, run: RunRow, wake: Wake | None) -> bool:
        """Close, with the wake-up if the database can send one; else without."""

        def step(connection: Connection) -> bool:
            return stream.close(connection, self._lease, closing, run, wake)

        try:
            closed = self._seams.unit.run("close", step, by=self._box.last())
        except StorageSchemaError as exc:
            if wake is None:
                raise
            log.warning("pg_net sends no wake-up: %s", exc.detail, extra={"fix": NO_PG_NET})
            return self._closed(closing, run, None)
        if closed and wake is not None:
            self._seams.trigger.closed()
        return closed

    def _report(
        self,
        outcome: str,
        state: str | None,
        due_in_s: float,
        error: tuple[str, str, str] | TallybookError | None,
    ) -> ChunkReport:
        fault = (
            (error.code, error.detail, error.how_to_fix)
            if isinstance(error, TallybookError)
            else error
        )
        return ChunkReport(
            stream_id=self._lease.stream_id,
            outcome=outcome,
            state=state,
            due_in_s=due_in_s,
            pages=self._done.pages,
            inserted=self._done.inserted,
            deleted=self._done.deleted,
            seconds=self._seams.clock.monotonic() - self._started_at,
            error=fault,
        )
