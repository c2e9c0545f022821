"""A seeded world: wallets and chains that grow and reorganise, the same for the same seed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.emulator.activities import (
    DECK,
    MOST_MOVEMENTS,
    Activity,
    Stage,
    coin_move,
    receive,
)
from shared.emulator.cast import Cast, cast_of
from shared.emulator.chain import Chain, rearranged
from shared.emulator.dice import Dice, digest
from shared.emulator.events import Event, Genesis, Tx, Withdrawal, placed
from shared.emulator.truth import count_of

FUNDS_WEI = 10**27


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """How large and how wild a world is.

    ``movements`` gives the first wallet exactly so many movements on the first chain, spread over
    ``blocks`` (more where ``dense_rows`` forces it). ``dense_rows`` puts so many rows into one
    block of the first wallet, in its transactions and in its ERC-20 feed each. ``busy`` is the
    share of other blocks in which something happens, ``withdrawals`` of those with a withdrawal.
    """

    chains: tuple[int, ...] = (1,)
    wallets: int = 3
    coins: int = 6
    nfts: int = 2
    blocks: int = 60
    movements: int = 0
    dense_rows: int = 0
    first_block: int = 100
    block_s: int = 12
    txs_per_block: int = 3
    busy: float = 0.7
    withdrawals: float = 0.1


class World:
    """Chains with everything that happened on them."""

    def __init__(self, seed: int, config: WorldConfig | None = None) -> None:
        self.seed = seed
        self.config = config or WorldConfig()
        self._lands = {chain_id: _Land(seed, chain_id, self.config) for chain_id in self.chains}
        for chain_id, land in self._lands.items():
            land.build(self.config.movements if chain_id == self.chains[0] else 0)

    @property
    def chains(self) -> tuple[int, ...]:
        """The chain ids, the main one first."""
        return self.config.chains

    @property
    def wallets(self) -> tuple[bytes, ...]:
        """The watched accounts, the same on every chain."""
        return self._land(None).cast.wallets

    def grow(self, blocks: int = 1, chain_id: int | None = None) -> None:
        """Add blocks to one chain, or to the main one."""
        self._land(chain_id).grow(blocks)

    def reorg(self, depth: int, chain_id: int | None = None) -> None:
        """Replace the last ``depth`` blocks by others."""
        self._land(chain_id).reorg(depth)

    def head(self, chain_id: int | None = None) -> int:
        """The newest block's number."""
        return self._land(chain_id).chain.head

    def block_hash(self, block: int, chain_id: int | None = None) -> bytes:
        """The hash of a block up to the head."""
        return self._land(chain_id).chain.block_hash(block)

    def block_time(self, block: int, chain_id: int | None = None) -> int:
        """The time of a block up to the head, in whole seconds."""
        return self._land(chain_id).chain.block_time(block)

    def cast(self, chain_id: int | None = None) -> Cast:
        """Who plays on a chain."""
        return self._land(chain_id).cast

    def events(self, chain_id: int | None = None) -> Iterator[Event]:
        """Everything that happened on a chain, in order."""
        return self._land(chain_id).chain.events()

    def feed(self, action: str, account: bytes, chain_id: int | None = None) -> Sequence[Event]:
        """What a provider's feed shows of an account, in the order of the chain."""
        return self._land(chain_id).chain.feed(action, account)

    def _land(self, chain_id: int | None) -> "_Land":
        return self._lands[self.chains[0] if chain_id is None else chain_id]


class _Land:
    """One chain of a world with its dice and its cast."""

    def __init__(self, seed: int, chain_id: int, config: WorldConfig) -> None:
        self.config = config
        self.chain = Chain(f"{seed}/{chain_id}", first=config.first_block, block_s=config.block_s)
        self.cast = cast_of(
            seed, chain_id, wallets=config.wallets, coins=config.coins, nfts=config.nfts
        )
        self._dice = Dice(f"world/{seed}/{chain_id}")
        self._stage = Stage(self._dice, self.cast)
        self._salt = int.from_bytes(digest("uid", seed, chain_id)[:8]) << 64
        self._serial = 0
        self._pending: list[list[Event]] = []

    def build(self, movements: int) -> None:
        """Fund the wallets, then live through the configured number of blocks."""
        funded = self.cast.wallets[::2]
        self.chain.begin([Genesis(0, wallet, FUNDS_WEI) for wallet in funded])
        self._open()
        self.chain.seal([self._funding(wallet) for wallet in self.cast.wallets[1::2]])
        dense_at = self.config.blocks // 2
        missing = movements - 1
        for left in range(self.config.blocks, 0, -1):
            dense = self.config.dense_rows if left == self.config.blocks - dense_at else 0
            if movements:
                missing -= self._fill(dense, missing, left)
            else:
                self._block(dense)

    def grow(self, blocks: int) -> None:
        """Live through more blocks."""
        for _ in range(blocks):
            self._block(0)

    def reorg(self, depth: int) -> None:
        """Forget the last blocks and live through others, in which most of the same happens."""
        depth = min(depth, self.chain.head - self.chain.first)
        old = [self.chain.pop() for _ in range(depth)][::-1]
        self.chain.fork += 1
        blocks, dropped = rearranged(old, self._dice, self.chain.head + 1)
        self._pending.extend(dropped)
        for events in blocks:
            self._open(sum(1 for event in events if isinstance(event, Tx)))
            if self._dice.chance(0.3):
                events.extend(self._play(self._dice.pick(DECK), self._someone()))
            self.chain.seal(events)

    def _open(self, index: int = 0) -> None:
        self._stage.block = self.chain.head + 1
        self._stage.number = index

    def _someone(self) -> bytes:
        return self._dice.pick(self.cast.wallets)

    def _play(self, activity: Activity, wallet: bytes) -> list[Event]:
        self._serial += 1
        self._stage.uid = self._salt | self._serial
        events = activity(self._stage, wallet)
        self._stage.number += 1
        return events

    def _funding(self, wallet: bytes) -> Event:
        (event,) = self._play(receive, wallet)
        if isinstance(event, Tx):
            return event._replace(value=FUNDS_WEI)
        return event

    def _block(self, dense: int) -> None:
        self._open()
        events = self._crowd(dense)
        if self._dice.chance(self.config.busy):
            for _ in range(1 + self._dice.below(self.config.txs_per_block)):
                events.extend(self._play(self._dice.pick(DECK), self._someone()))
        if self._pending and self._dice.chance(0.3):
            events.extend(placed(self._pending.pop(0), self._stage.block, self._stage.number))
        if self._dice.chance(self.config.withdrawals):
            events.append(self._withdrawal(self._someone()))
        self.chain.seal(events)

    def _fill(self, dense: int, missing: int, left: int) -> int:
        """One block with the first wallet's share of what it still misses; returns the share."""
        hero = self.cast.wallets[0]
        self._open()
        events = self._crowd(dense)
        made = sum(count_of(event, hero) for event in events)
        share = -(-missing // left)
        while made < share:
            short = missing - made <= MOST_MOVEMENTS
            bundle = self._play(receive if short else self._dice.pick(DECK), hero)
            made += sum(count_of(event, hero) for event in bundle)
            events.extend(bundle)
        self.chain.seal(events)
        return made

    def _crowd(self, rows: int) -> list[Event]:
        hero = self.cast.wallets[0] if self.cast.wallets else b""
        events: list[Event] = []
        for _ in range(rows):
            events.extend(self._play(receive, hero))
        for _ in range(rows):
            events.extend(self._play(coin_move, hero))
        return events

    def _withdrawal(self, account: bytes) -> Withdrawal:
        self._serial += 1
        gwei = 10_000_000 + self._dice.below(9_000_000)
        return Withdrawal(self._stage.block, self._serial, self._dice.below(10**6), account, gwei)
