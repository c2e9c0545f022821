"""One made-up chain: it grows block by block, and its end can be replaced by another."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

from shared.emulator.dice import Dice, digest
from shared.emulator.events import (
    ACTIONS,
    Event,
    Tx,
    Withdrawal,
    action_of,
    bundles,
    parties,
    placed,
)

GENESIS_TIME_S = 1_438_269_973


class Chain:
    """The blocks from ``first`` on, what happens in them, and each account's feeds."""

    def __init__(self, name: str, *, first: int, block_s: int) -> None:
        self.first = first
        self.fork = 0
        self._name = name
        self._block_s = block_s
        self._hashes: list[bytes] = []
        self._times: list[int] = []
        self._events: list[list[Event]] = []
        self._genesis: list[Event] = []
        self._feeds: dict[str, dict[bytes, list[Event]]] = {action: {} for action in ACTIONS}

    @property
    def head(self) -> int:
        """The newest block's number."""
        return self.first + len(self._hashes) - 1

    def block_hash(self, block: int) -> bytes:
        """A block's hash; it depends on the parent's and on the fork."""
        if block < self.first:
            return digest("block", self._name, block)
        return self._hashes[block - self.first]

    def block_time(self, block: int) -> int:
        """A block's time in whole seconds."""
        if block < self.first:
            return GENESIS_TIME_S + block * self._block_s
        return self._times[block - self.first]

    def feed(self, action: str, account: bytes) -> Sequence[Event]:
        """What a feed shows of an account, in the order of the chain."""
        return self._feeds[action].get(account, ())

    def events(self) -> Iterator[Event]:
        """Everything that happened, in order."""
        yield from self._genesis
        for events in self._events:
            yield from events

    def begin(self, allocations: list[Event]) -> None:
        """Write what the chain began with into block 0."""
        for event in allocations:
            self._genesis.append(event)
            self._index(event)

    def seal(self, events: list[Event]) -> None:
        """Add a block with these events, which name it as theirs."""
        block = self.head + 1
        parent = self.block_hash(block - 1)
        # The time differs between forks too, but blocks never go back in time.
        time_s = GENESIS_TIME_S + block * self._block_s + self.fork % max(1, self._block_s)
        self._hashes.append(sha256(parent + f"{self._name}/{block}/{self.fork}".encode()).digest())
        self._times.append(max(time_s, self.block_time(block - 1)))
        self._events.append(events)
        for event in events:
            self._index(event)

    def pop(self) -> list[Event]:
        """Take the newest block away and return what happened in it."""
        self._hashes.pop()
        self._times.pop()
        events = self._events.pop()
        for event in reversed(events):
            feed = self._feeds[action_of(event)]
            for party in parties(event):
                feed[party].pop()
        return events

    def _index(self, event: Event) -> None:
        feed = self._feeds[action_of(event)]
        for party in parties(event):
            known = feed.get(party)
            if known is None:
                feed[party] = [event]
            else:
                known.append(event)


def rearranged(
    old: list[list[Event]], dice: Dice, first: int
) -> tuple[list[list[Event]], list[list[Event]]]:
    """What another fork makes of the same blocks: transactions moved and reordered.

    Returns:
        The new blocks, and the transactions that did not make it into any of them.
    """
    dropped: list[list[Event]] = []
    pools: list[list[list[Event]]] = [[] for _ in old]
    for number, events in enumerate(old):
        for bundle in bundles(events):
            luck = dice.random()
            stays = isinstance(bundle[0], Withdrawal) or luck > 0.35  # noqa: PLR2004
            if luck < 0.15:  # noqa: PLR2004
                if isinstance(bundle[0], Tx):
                    dropped.append(bundle)
                continue
            pools[number if stays else dice.below(len(old))].append(bundle)
    blocks = [
        _laid_out(dice.shuffled(pool) if dice.chance(0.5) else pool, first + number)
        for number, pool in enumerate(pools)
    ]
    return blocks, dropped


def _laid_out(pool: list[list[Event]], block: int) -> list[Event]:
    events: list[Event] = []
    index = 0
    for bundle in pool:
        events.extend(placed(bundle, block, index))
        index += isinstance(bundle[0], Tx)  # withdrawals have no place among the transactions
    return events
