"""From provider pages to complete blocks: which request comes next, and what may be asserted.

Pure: it sends nothing and knows no clock. A *window* is one range request ``start..head`` walked
page by page as far as the provider's window reaches; the next window starts at the last block
seen, inclusive.

- A page's last block is held back until a later block or the end of history proves it complete.
- Only a positively empty answer proves the end. A page that is merely short may have been cut, so
  what follows it is asked for: with T rows of a window known, page ``T / s + 1`` of size ``s``
  begins exactly behind them for any divisor.
- Between two pages of a window the provider's rows may shift, and some providers repeat rows or
  ignore the page number. Where a transaction of the held block shows up again on the next page, a
  repeated row and two equal transfers look alike: the block is read again from a fresh window. One
  that is larger than a page is believed once two readings with different page sizes agree.
- A block that fills a whole window is also read from its other end; where the two do not meet,
  BlockTooLargeError.
"""

from collections.abc import Sequence
from typing import NamedTuple

from shared.errors import BlockTooLargeError, SourcePayloadError
from shared.sources.base import RangeQuery, Row
from shared.sync.position import KEYED

WORTH_KEEPING_ROWS = 50
MOST_REPEATS = 12  # pages full of equal transfers of one transaction, one after the other


class Cut(NamedTuple):
    """An assertion: blocks ``lo..hi`` hold exactly ``rows``."""

    lo: int
    hi: int
    rows: Sequence[Row]


class Walk:
    """The way from ``lo`` to ``head``."""

    def __init__(
        self,
        source: str,
        lo: int,
        head: int,
        *,
        page_rows: int,
        window_rows: int,
        confirm_empty: bool = False,
    ) -> None:
        self.done = lo > head
        self._source = source
        self._head = head
        self._asserted = lo
        self._page_rows = min(page_rows, window_rows)
        self._window_rows = window_rows
        self._flowing = False
        self._backward: list[Row] | None = None
        self._confirm_empty = confirm_empty
        self._before: Sequence[Row] = ()
        self._repeats = 0
        self._reading: tuple[int, list[Row]] | None = None
        self._probing = self._checking = self._doubtful = False
        self._open_window(lo, must_show=False)

    def upcoming(self, most: int) -> list[RangeQuery]:
        """The next requests, at most ``most``; several only while pages come full."""
        if self.done:
            return []
        if self._backward is not None:
            return [RangeQuery(self._start, self._start, self._page, self._size, descending=True)]
        last = min(self._page + most - 1, self._last_page) if self._flowing else self._page
        return [
            RangeQuery(self._start, self._head, page, self._size)
            for page in range(self._page, last + 1)
        ]

    def feed(self, rows: Sequence[Row]) -> Cut | None:
        """Take the answer to the first of ``upcoming``; returns what it completes.

        Raises:
            SourcePayloadError: The answers contradict each other; nothing more may be asserted.
            BlockTooLargeError: No window of the provider shows all of one block.
        """
        if self._backward is not None:
            return self._feed_backward(rows)
        if rows and self._held and rows[0].block < self._held[-1].block:
            detail = (
                f"page {self._page} goes back from block {self._held[-1].block} to {rows[0].block}"
            )
            raise SourcePayloadError(self._source, detail)
        if not rows:
            return self._end()
        return self._check(rows) if self._checking else self._take(rows)

    def _take(self, rows: Sequence[Row]) -> Cut | None:
        """One page with rows, in block order behind what is held."""
        self._count_repeats(rows)
        if self._border_unclear(rows):
            if self._held[-1].block != self._start:
                self._open_window(self._held[-1].block)
                return None
            self._doubtful = True
        if self._probing and not self._keep_small_pages():
            self._open_window(self._held[-1].block)
            return None
        self._probing = False
        if len(rows) >= self._size:
            return self._full_page(rows)
        return self._short_page(rows)

    @property
    def _last_page(self) -> int:
        """The last page that the provider's window allows."""
        return max(1, self._window_rows // self._size)

    def _open_window(self, start: int, *, must_show: bool = True, size: int | None = None) -> None:
        """A fresh window; the rows held back come again with it."""
        self._start = start
        self._page = 1
        self._size = size or self._page_rows
        self._held: list[Row] = []
        self._before = ()
        self._probing = False
        self._doubtful = size is not None
        self._checking = False
        self._must_show = must_show

    def _count_repeats(self, rows: Sequence[Row]) -> None:
        """Refuse a provider that ignores the page number; equal transfers may look like it."""
        self._repeats = self._repeats + 1 if self._page > 1 and rows == self._before else 0
        self._before = rows
        if self._repeats and (_cannot_repeat(rows) or self._repeats > MOST_REPEATS):
            detail = f"page {self._page} repeats the page before it"
            raise SourcePayloadError(self._source, detail)

    def _end(self) -> Cut | None:
        """A positively empty answer: nothing follows what is held."""
        if self._page == 1 and self._must_show:
            detail = f"block {self._start} had rows a moment ago and none now"
            raise SourcePayloadError(self._source, detail)
        if self._page == 1 and self._confirm_empty:
            self._confirm_empty = False
            return None
        if self._doubtful and not self._agrees(self._held):
            return None
        self.done = True
        return self._cut(self._head, self._held)

    def _border_unclear(self, rows: Sequence[Row]) -> bool:
        """Whether rows may have been served twice: a transaction shows up on both pages.

        Rows that the provider numbers need no such care: a repeated one is refused by its number.
        """
        if not self._held or (self._held[-1].drafts and _is_numbered(self._held[-1])):
            return False
        here = {row.tx_hash for row in self._held}
        return any(row.tx_hash in here for row in rows if row.block == self._held[-1].block)

    def _agrees(self, rows: Sequence[Row]) -> bool:
        """Whether a block in doubt came the same in two readings; after the first, ask again.

        Raises:
            SourcePayloadError: The two readings differ.
        """
        told = _sorted_block(rows, self._start)
        if self._reading is None or self._reading[0] != self._start:
            self._reading = (self._start, told)
            self._open_window(self._start)
            self._checking = True
            return False
        self._compare(told)
        return True

    def _compare(self, told: list[Row]) -> None:
        assert self._reading is not None  # noqa: S101 - for the type checker
        if self._reading[1] != told:
            detail = f"block {self._start} comes different when it is read again"
            raise SourcePayloadError(self._source, detail)
        self._doubtful = False

    def _check(self, rows: Sequence[Row]) -> Cut | None:
        """The second reading begins: in one piece if the block fits, else in smaller pages."""
        self._checking = False
        here = [row for row in rows if row.block == self._start]
        is_whole = len(rows) < self._size or len(here) < len(rows)
        may_be_capped = len(here) == len(rows) >= WORTH_KEEPING_ROWS
        if is_whole and not may_be_capped:
            self._compare(_sorted_block(here, self._start))
            return self._pass_by(here)
        # Rows repeated behind another transaction than the first time make another block.
        half = len(here) // 2 + 1
        sizes = (size for size in range(half, 0, -1) if here[size - 1].tx_hash != here[-1].tx_hash)
        self._open_window(self._start, size=next(sizes, half))
        return None

    def _keep_small_pages(self) -> bool:
        """Whether to go on with pages of the probe's size, once a page is known to have been cut.

        A provider may cap its pages lower than it says; in a block that fills the window there is
        no other way on.
        """
        one_cut_page = self._page == 2 and self._held[-1].block == self._start  # noqa: PLR2004 - behind the first
        return self._size >= WORTH_KEEPING_ROWS or one_cut_page

    def _full_page(self, rows: Sequence[Row]) -> Cut | None:
        """Hold back the last block and go on with the next page, or the next window."""
        if self._page >= self._last_page:
            everything = [*self._held, *rows]
            if everything[-1].block == self._start:
                self._turn_back(everything)
                return None
            return self._restart_at_last(rows)
        self._flowing = True
        return self._next_page(rows)

    def _short_page(self, rows: Sequence[Row]) -> Cut | None:
        """The end, or a page that was cut: ask for exactly what follows it."""
        known = (self._page - 1) * self._size + len(rows)
        # Not more than the last page: a provider that caps a page also skips by its cap.
        most = min(self._size, self._window_rows - known)
        self._size = next(size for size in range(min(most, known), 0, -1) if known % size == 0)
        self._page = known // self._size
        self._probing = True
        return self._next_page(rows)

    def _next_page(self, rows: Sequence[Row]) -> Cut | None:
        """Assert all but the last block, which is held back."""
        complete, held = _split([*self._held, *rows])
        if complete and self._doubtful and not self._agrees(complete):
            return None
        self._page += 1
        self._held = held
        return self._cut(held[0].block - 1, complete)

    def _restart_at_last(self, rows: Sequence[Row]) -> Cut | None:
        """Assert all but the last block and open a window at it."""
        complete, held = _split([*self._held, *rows])
        if self._doubtful and not self._agrees(complete):
            return None
        cut = self._cut(held[0].block - 1, complete)
        self._open_window(held[0].block)
        return cut

    def _pass_by(self, rows: Sequence[Row]) -> Cut | None:
        """Assert the window's first block and open a window behind it."""
        block = self._start
        self._open_window(block + 1, must_show=False)
        self.done = block + 1 > self._head
        return self._cut(block, rows)

    def _turn_back(self, rows: list[Row]) -> None:
        """One block fills the window: read it from its other end too."""
        self._held = rows
        self._backward = []
        self._page = 1

    def _feed_backward(self, rows: Sequence[Row]) -> Cut | None:
        """Collect rows from the block's end until they meet those from its beginning."""
        assert self._backward is not None  # noqa: S101 - for the type checker; feed() asked
        self._backward += rows
        whole = _joined(self._held, self._backward[::-1])
        if whole is not None:
            self._backward = None
            if self._doubtful and not self._agrees(whole):
                return None
            return self._pass_by(whole)
        if len(rows) < self._size:
            # It filled a window a moment ago: an answer was cut, or the block is another by now.
            detail = f"block {self._start} has fewer rows from its end than from its beginning"
            raise SourcePayloadError(self._source, detail)
        if self._page >= self._last_page:
            most = 2 * self._window_rows
            detail = f"block {self._start} holds more than the {most} rows that can be shown"
            raise BlockTooLargeError(self._source, detail)
        self._page += 1
        return None

    def _cut(self, hi: int, rows: Sequence[Row]) -> Cut | None:
        """The assertion up to ``hi``, if it reaches beyond what was asserted."""
        if hi < self._asserted:
            return None
        cut = Cut(self._asserted, hi, rows)
        self._asserted = hi + 1
        return cut


def _sorted_block(rows: Sequence[Row], block: int) -> list[Row]:
    """The rows of one block in an order of their own."""
    return sorted((row for row in rows if row.block == block), key=repr)


def _is_numbered(row: Row) -> bool:
    """Whether a repeated row would be known by its number, or by its transaction."""
    return all(draft.identity or draft.kind in KEYED for draft in row.drafts)


def _cannot_repeat(rows: Sequence[Row]) -> bool:
    """Whether no honest page looks like the one before; equal transfers of one transaction do."""
    first, last = rows[0], rows[-1]
    return first.tx_hash != last.tx_hash or (bool(first.drafts) and _is_numbered(first))


def _split(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Rows before the last block, and those of the last block."""
    last = rows[-1].block
    at = len(rows)
    while at and rows[at - 1].block == last:
        at -= 1
    return rows[:at], rows[at:]


def _joined(forward: list[Row], backward: list[Row]) -> list[Row] | None:
    """One block from both ends, or None while they do not meet.

    The last transaction of ``forward`` and the first of ``backward`` may be cut; every other one
    is whole in the list that holds it. They meet when backward's first transaction is whole in
    forward.
    """
    if not backward:
        return None
    seam = backward[0].tx_hash
    place = {row.tx_hash: at for at, row in enumerate(forward)}
    if seam not in place or seam == forward[-1].tx_hash:
        return None
    rest = next((at for at, row in enumerate(backward) if row.tx_hash != seam), len(backward))
    return [*forward[: place[seam] + 1], *backward[rest:]]
