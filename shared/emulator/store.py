"""Where a local provider's rows come from: a made-up world, recordings, or facts."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Sequence
from functools import cache
from operator import attrgetter
from typing import NamedTuple, Protocol

from shared.emulator.events import Event
from shared.emulator.wire import Stamp, WireRow, hexed, wire_row
from shared.emulator.world import World

BLOCK_OF = attrgetter("block")


class Feed(NamedTuple):
    """One action's rows of one account; ``account`` is lower-case hex with 0x."""

    provider: str
    chain_id: int
    account: str
    action: str


class Header(NamedTuple):
    """What is known of a block; ``hash`` is hex with 0x."""

    hash: str
    time_s: int


class Rows(Protocol):
    """A feed's rows in block order, rendered only when asked for."""

    def between(self, lo: int, hi: int) -> tuple[int, int]:
        """The first row at or after block ``lo``, and the first after ``hi``."""
        ...

    def wire(self, start: int, stop: int) -> list[WireRow]:
        """The rows ``start`` to ``stop`` - 1, as served."""
        ...


class RowStore(Protocol):
    """What a local provider can tell."""

    def chains(self, provider: str) -> Collection[int]:
        """The chains that a provider serves."""
        ...

    def refusal(self, provider: str, chain_id: int) -> str | None:
        """The text by which a provider is known to refuse a chain."""
        ...

    def head(self, chain_id: int) -> int:
        """The newest block of a chain."""
        ...

    def header(self, chain_id: int, block: int) -> Header | None:
        """A block's hash and time, or None where nothing tells."""
        ...

    def rows(self, feed: Feed) -> Rows:
        """A feed's rows; of an unknown account there are none."""
        ...


class WorldStore:
    """The rows of a made-up world, which is the same to every provider."""

    def __init__(self, world: World) -> None:
        self.world = world

    def chains(self, provider: str) -> Collection[int]:  # noqa: ARG002
        """See ``RowStore.chains``."""
        return self.world.chains

    def refusal(self, provider: str, chain_id: int) -> str | None:  # noqa: ARG002
        """See ``RowStore.refusal``."""
        return None

    def head(self, chain_id: int) -> int:
        """See ``RowStore.head``."""
        return self.world.head(chain_id)

    def header(self, chain_id: int, block: int) -> Header | None:
        """See ``RowStore.header``."""
        if not 0 <= block <= self.world.head(chain_id):
            return None
        block_hash = self.world.block_hash(block, chain_id)
        return Header(hexed(block_hash), self.world.block_time(block, chain_id))

    def rows(self, feed: Feed) -> Rows:
        """See ``RowStore.rows``."""
        account = bytes.fromhex(feed.account[2:])
        events = self.world.feed(feed.action, account, feed.chain_id)
        return EventRows(events, feed, lambda block: self._stamp(feed.chain_id, block))

    def _stamp(self, chain_id: int, block: int) -> Stamp:
        block_hash = hexed(self.world.block_hash(block, chain_id))
        return Stamp(block_hash, str(self.world.block_time(block, chain_id)))


class EventRows:
    """Rows made from events at the moment they are asked for."""

    def __init__(self, events: Sequence[Event], feed: Feed, stamp: Callable[[int], Stamp]) -> None:
        self._events = events
        self._provider = feed.provider
        self._stamp = stamp

    def between(self, lo: int, hi: int) -> tuple[int, int]:
        """See ``Rows.between``."""
        start = bisect_left(self._events, lo, key=BLOCK_OF)
        return start, bisect_right(self._events, hi, lo=start, key=BLOCK_OF)

    def wire(self, start: int, stop: int) -> list[WireRow]:
        """See ``Rows.wire``."""
        stamp = cache(self._stamp)  # many rows of a page share a block
        return [wire_row(self._provider, event, stamp) for event in self._events[start:stop]]


class ListedRows:
    """Rows that already are as served, in block order."""

    def __init__(self, rows: Sequence[WireRow] = ()) -> None:
        self._rows = rows
        self._blocks = [int(row["blockNumber"]) for row in rows]

    def between(self, lo: int, hi: int) -> tuple[int, int]:
        """See ``Rows.between``."""
        start = bisect_left(self._blocks, lo)
        return start, bisect_right(self._blocks, hi, lo=start)

    def wire(self, start: int, stop: int) -> list[WireRow]:
        """See ``Rows.wire``."""
        return list(self._rows[start:stop])
