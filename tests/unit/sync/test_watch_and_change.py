"""People watch, stop and change the provider in any order: a feed is live once, and whoever still
holds a stream that was given up writes nothing any more."""

import pytest
from sqlalchemy import text

from schema.engine import autocommit, reading
from schema.queries import generation, page, retire, stream
from schema.queries.page import PageWrite
from schema.queries.stream import Lease
from shared.emulator.world import World, WorldConfig
from shared.sources import registry
from shared.sync.source_change import begin_change
from shared.sync.watch import unwatch
from tests import truth
from tests.conftest import Database
from tests.rigs import Rig

CHAIN = 1
BOX_S = 100.0


class Watched:
    """A wallet synced from one provider."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.world = World(5, WorldConfig(wallets=1, coins=2, blocks=30, withdrawals=0.3))
        self.rig = Rig(database, self.world)
        self.prefix = "" if database.dialect == "sqlite" else "tallybook."

    def sync(self, source: str) -> None:
        self.rig.step(self.rig.watch(source=source), BOX_S)

    def begin(self, to: str) -> list[int]:
        return begin_change(
            self.database.engine, address_id=self.rig.address_id, chain_id=CHAIN, to=to
        )

    def give_up(self) -> None:
        with autocommit(self.database.engine) as connection:
            generation.abandon(connection, self.rig.address_id, CHAIN)

    def lease(self, stream_id: int) -> Lease:
        with autocommit(self.database.engine) as connection:
            held = stream.lease(connection, stream_id, lease_s=30.0, holder="frozen")
        assert held is not None
        return held

    def writes(self, held: Lease) -> bool:
        """Whether an empty page of whoever holds a lease is taken."""
        write = PageWrite(held.stream_id, held.token, held.next_block, 5, -1, 30, 30.0, None, ())
        with autocommit(self.database.engine) as connection:
            return page.write_page(connection, write).applied

    def feeds(self) -> list[str]:
        with reading(self.database.engine) as connection:
            found = connection.execute(
                text(f"SELECT kind FROM {self.prefix}stream WHERE live ORDER BY kind")
            )
            return list(found.scalars())


@pytest.fixture
def watched(database: Database) -> Watched:
    return Watched(database)


def test_feed_that_is_wanted_while_a_change_fills_is_live_once(watched: Watched) -> None:
    # Blockscout has no withdrawals: watched once more, they come from the default at once, while
    # the change to Etherscan, which has them too, is still filling.
    watched.sync("blockscout")
    new = watched.begin("etherscan")
    watched.sync("etherscan")

    watched.rig.step(new, BOX_S)
    while watched.rig.engine().tidy():
        pass

    assert watched.feeds() == sorted(kind.value for kind in registry.kinds("etherscan", CHAIN))
    truth.assert_ledger_is_true(
        watched.database.engine, watched.world, watched.world.wallets[0], CHAIN
    )


def test_whoever_fills_a_stream_that_nobody_wants_any_more_writes_nothing(watched: Watched) -> None:
    # Its rows are being deleted: a page between two of those statements would be left for good.
    watched.sync("etherscan")
    held = watched.lease(watched.begin("blockscout")[0])

    unwatch(watched.database.engine, owner="local", wallet_id=1)

    assert not watched.writes(held)


def test_whoever_works_a_live_stream_that_rests_may_end_its_turn(watched: Watched) -> None:
    watched.sync("etherscan")
    watched.rig.ask()
    held = watched.lease(watched.rig.watch(source="etherscan")[0])

    unwatch(watched.database.engine, owner="local", wallet_id=1)

    assert watched.writes(held)


def test_whoever_held_a_deleted_stream_writes_nothing_to_the_next_of_its_id(
    watched: Watched,
) -> None:
    watched.sync("etherscan")
    frozen = watched.lease(watched.begin("blockscout")[0])
    watched.give_up()
    with autocommit(watched.database.engine) as connection:
        while retire.delete_rested(connection, 1e9):
            pass

    watched.database.advance(0.001)
    again = watched.lease(watched.begin("routescan")[0])

    if watched.database.dialect == "sqlite":
        assert again.stream_id == frozen.stream_id
    assert not watched.writes(frozen)
    assert watched.writes(again)


def test_streams_of_a_new_wallet_begin_at_tokens_that_none_of_a_deleted_one_had(
    watched: Watched,
) -> None:
    frozen = watched.lease(watched.rig.watch(source="etherscan")[0])
    unwatch(watched.database.engine, owner="local", wallet_id=1)
    watched.database.advance(60.0)
    with autocommit(watched.database.engine) as connection:
        while retire.delete_rested(connection, -1.0):
            pass

    again = watched.lease(watched.rig.watch(source="etherscan")[0])

    assert again.token > frozen.token + 1
    assert not watched.writes(frozen)
