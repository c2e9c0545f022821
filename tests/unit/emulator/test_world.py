import subprocess
import sys
from collections import Counter

import pytest

from shared.emulator.chain import Chain
from shared.emulator.dice import Dice
from shared.emulator.events import (
    ACTIONS,
    ERC20,
    TXLIST,
    Genesis,
    Internal,
    Transfer,
    Tx,
    Withdrawal,
    parties,
)
from shared.emulator.oracle import movements
from shared.emulator.world import World, WorldConfig

CONFIG = WorldConfig(blocks=300)


def fingerprint(world: World) -> tuple[list[bytes], list[object]]:
    head = world.head()
    return [world.block_hash(block) for block in range(head + 1)], list(world.events())


def test_same_seed_gives_the_same_world() -> None:
    assert fingerprint(World(5, CONFIG)) == fingerprint(World(5, CONFIG))


def test_another_seed_gives_another_world() -> None:
    assert fingerprint(World(5, CONFIG)) != fingerprint(World(6, CONFIG))


def test_the_world_is_the_same_in_another_process() -> None:
    script = (
        "from shared.emulator.world import World;"
        "w = World(5); w.grow(3); w.reorg(2);"
        "print(w.block_hash(w.head()).hex(), len(list(w.events())))"
    )
    world = World(5)
    world.grow(3)
    world.reorg(2)

    run = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "77"},
    )

    expected = f"{world.block_hash(world.head()).hex()} {len(list(world.events()))}"
    assert run.stdout.strip() == expected


def test_growing_at_once_or_step_by_step_is_the_same() -> None:
    at_once, by_steps = World(2), World(2)

    at_once.grow(7)
    for _ in range(7):
        by_steps.grow()

    assert fingerprint(at_once) == fingerprint(by_steps)


def test_a_world_holds_everything_that_breaks_careless_code() -> None:
    events = list(World(1, WorldConfig(blocks=1500)).events())
    txs = [event for event in events if isinstance(event, Tx)]
    internals = [event for event in events if isinstance(event, Internal)]
    transfers = [event for event in events if isinstance(event, Transfer)]

    assert any(tx.failed and tx.value for tx in txs)
    assert any(tx.to == tx.sender for tx in txs)
    assert any(tx.created and tx.value and not tx.failed for tx in txs)
    assert any(tx.gas_price == 0 for tx in txs)
    assert {"call", "delegatecall", "suicide", "create", "callcode"} <= {i.call for i in internals}
    assert any(internal.failed and not internal.tx.failed for internal in internals)
    assert {transfer.token.action for transfer in transfers} == set(ACTIONS[2:5])
    assert any(transfer.value == 2**256 - 1 for transfer in transfers)
    assert any(transfer.value == 0 for transfer in transfers)
    assert any(transfer.sender == transfer.to for transfer in transfers)
    assert max(Counter(t for t in transfers if t.token.action == ERC20).values()) > 1
    assert any("\x00" in transfer.token.symbol for transfer in transfers)
    assert any("\udfff" in transfer.token.symbol for transfer in transfers)
    assert any(len(transfer.token.symbol) > 10_000 for transfer in transfers)
    assert {None, ""} <= {transfer.token.decimals for transfer in transfers}
    assert any(isinstance(event, Withdrawal) for event in events)
    assert any(isinstance(event, Genesis) for event in events)


@pytest.mark.parametrize("wanted", [1, 7, 100, 5_000])
def test_the_first_wallet_has_exactly_the_movements_that_were_asked_for(wanted: int) -> None:
    world = World(3, WorldConfig(movements=wanted, blocks=40))

    assert sum(movements(world, world.wallets[0]).values()) == wanted


def test_a_wallet_can_have_more_rows_than_any_window() -> None:
    world = World(3, WorldConfig(movements=40_000, blocks=400))

    assert len(world.feed(ERC20, world.wallets[0])) > 10_000


def test_one_block_can_be_fuller_than_a_page() -> None:
    world = World(3, WorldConfig(blocks=20, dense_rows=60))

    for action in (TXLIST, ERC20):
        rows = Counter(event.block for event in world.feed(action, world.wallets[0]))
        assert max(rows.values()) >= 60


def test_a_reorg_replaces_the_end_and_keeps_what_lies_below() -> None:
    world = World(4, WorldConfig(blocks=50, busy=1.0))
    before, below = fingerprint(world)
    kept = world.head() - 6

    world.reorg(6)

    after, events = fingerprint(world)
    assert len(after) == len(before)
    assert after[: kept + 1] == before[: kept + 1]
    assert not set(after[kept + 1 :]) & set(before[kept + 1 :])
    count = sum(1 for event in below if block_of(event) <= kept)
    assert events[:count] == below[:count]
    assert events[count:] != below[count:]


def test_reorgs_move_and_drop_and_add_transactions() -> None:
    moved = dropped = added = 0
    for seed in range(10):
        world = World(seed, WorldConfig(blocks=30, busy=1.0))
        old = places(world)
        world.reorg(8)
        new = places(world)
        moved += sum(1 for tx in old.keys() & new.keys() if old[tx] != new[tx])
        dropped += len(old.keys() - new.keys())
        added += len(new.keys() - old.keys())

    assert moved
    assert dropped
    assert added


def test_a_dropped_transaction_can_be_mined_later() -> None:
    world = World(1, WorldConfig(blocks=40, busy=1.0))
    before = places(world)
    world.reorg(20)
    dropped = before.keys() - places(world).keys()

    world.grow(60)

    assert dropped & places(world).keys()


def test_feeds_show_what_happened_and_nothing_else_after_reorgs() -> None:
    world = World(9, WorldConfig(blocks=60))
    for depth in (1, 4, 9, 3):
        world.grow(2)
        world.reorg(depth)
    events = list(world.events())
    accounts = {party for event in events for party in parties(event)}

    for account in accounts:
        shown = Counter(event for action in ACTIONS for event in world.feed(action, account))
        assert shown == Counter(event for event in events if account in parties(event))


def test_a_feed_is_in_block_order_and_blocks_never_go_back_in_time() -> None:
    world = World(9, WorldConfig(blocks=80))
    world.reorg(30)
    world.reorg(10)

    blocks = [event.block for event in world.feed(TXLIST, world.wallets[1])]
    times = [world.block_time(block) for block in range(world.head() + 1)]

    assert blocks == sorted(blocks)
    assert times == sorted(times)


def test_a_reorg_never_reaches_below_the_first_block() -> None:
    world = World(9, WorldConfig(blocks=3))

    world.reorg(1000)

    assert world.head() == world.config.first_block + 3


def test_chains_of_one_world_share_wallets_but_not_events() -> None:
    world = World(9, WorldConfig(chains=(1, 10)))

    assert world.cast(1).wallets == world.cast(10).wallets
    assert list(world.events(1)) != list(world.events(10))


def test_block_hashes_chain_from_their_parent() -> None:
    one, other = (Chain(name, first=1, block_s=12) for name in ("one", "one"))
    one.seal([])
    other.fork = 1
    other.seal([])
    other.fork = 0

    one.seal([])
    other.seal([])

    assert one.block_hash(2) != other.block_hash(2)


def test_dice_fall_the_same_on_every_python() -> None:
    dice = Dice("x")

    assert [dice.below(1000) for _ in range(3)] + [dice.bits(16)] == [630, 596, 483, 50000]
    assert dice.shuffled(range(6)) == [3, 0, 1, 4, 2, 5]


def places(world: World) -> dict[bytes, tuple[int, int]]:
    return {e.hash: (e.block, e.number) for e in world.events() if isinstance(e, Tx)}


def block_of(event: object) -> int:
    return event.block if isinstance(event, Tx | Internal | Transfer | Withdrawal) else 0
