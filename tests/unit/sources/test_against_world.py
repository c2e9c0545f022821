"""A seeded world read through each adapter: the movements are those that its oracle tells."""

from collections import Counter
from typing import Any

import pytest

from schema.types import StreamKind
from shared.clock import Deadline
from shared.emulator import oracle
from shared.emulator.emulator import Emulator
from shared.emulator.in_process import EmulatorHttp
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from shared.settings import Settings
from shared.sources import registry
from shared.sources.base import FeedRef, RangeQuery
from tests.fakes import FakeClock

URLS = {
    "etherscan": "http://emulator/etherscan/v2/api",
    "blockscout": "http://emulator/blockscout/v2/api",
    "routescan": "http://emulator/routescan/v2/network/mainnet/evm/{chain_id}/etherscan/api",
}
PAGE_ROWS = 50


@pytest.mark.parametrize("key", sorted(URLS))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_movements_are_those_of_the_oracle(key: str, seed: int) -> None:
    world = World(seed, WorldConfig(blocks=120, busy=1.0))
    clock = FakeClock()
    settings = Settings(source={key: {"base_url": URLS[key]}})
    source = registry.load(key, EmulatorHttp(Emulator(WorldStore(world)), clock), settings)
    deadline = Deadline.after(clock, 60)

    assert source.head(1, deadline) == world.head()
    assert source.block_hash(1, world.head(), deadline) == world.block_hash(world.head())
    for wallet in world.wallets:
        kinds = registry.kinds(key, 1)
        expected = Counter(
            {
                move: count
                for move, count in told(world, wallet).items()
                if StreamKind(move[0]) in kinds
            }
        )
        found: Counter[Any] = Counter()
        for kind in kinds:
            page_number = 0
            while True:
                page_number += 1
                query = RangeQuery(0, world.head(), page_number, PAGE_ROWS)
                page = source.fetch(FeedRef(1, "0x" + wallet.hex(), kind), query, deadline)
                found.update(
                    (
                        kind.value,
                        row.block,
                        draft.asset.contract,
                        draft.asset.token_id,
                        draft.counterparty,
                        draft.amount,
                    )
                    for row in page.rows
                    for draft in row.drafts
                )
                if len(page.rows) < PAGE_ROWS:
                    break
        assert found == expected


def told(world: World, wallet: bytes) -> Counter[Any]:
    """The oracle's movements without names of transactions and kinds."""
    moves: Counter[Any] = Counter()
    for move, count in oracle.movements(world, wallet).items():
        facts = (move.stream, move.block, move.contract, move.token_id)
        moves[*facts, move.counterparty, move.amount] += count
    return moves
