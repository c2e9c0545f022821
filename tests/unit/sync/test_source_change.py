"""A change of provider: the new streams fill beside the live ones and take their place at once."""

import pytest
from sqlalchemy import text

from schema.engine import autocommit, reading
from schema.queries import generation
from shared.emulator.world import World, WorldConfig
from shared.errors import InvalidInputError
from shared.ops.verify import verify
from shared.sync.source_change import begin_change, finish_changes
from tests import truth
from tests.conftest import Database
from tests.rigs import Rig

CHAIN = 1
BOX_S = 100.0


class Move:
    """A wallet synced from Etherscan that is to be read from Blockscout."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.world = World(5, WorldConfig(wallets=1, coins=2, blocks=30))
        self.rig = Rig(database, self.world)
        self.old = self.rig.watch(source="etherscan")
        self.rig.step(self.old, BOX_S)
        with reading(database.engine) as connection:
            table = "stream" if database.dialect == "sqlite" else "tallybook.stream"
            found = connection.execute(text(f"SELECT min(address_id) FROM {table}"))
            self.address_id = found.scalar_one()

    def begin(self, to: str = "blockscout") -> list[int]:
        return begin_change(self.database.engine, address_id=self.address_id, chain_id=CHAIN, to=to)

    def live(self) -> list[str]:
        with reading(self.database.engine) as connection:
            return generation.live_providers(connection, self.address_id, CHAIN)

    def tidy_up(self) -> None:
        while self.rig.engine().tidy():
            pass


@pytest.fixture
def move(database: Database) -> Move:
    return Move(database)


def test_new_streams_count_only_once_all_of_them_are_filled(move: Move) -> None:
    new = move.begin()
    assert move.live() == ["etherscan"]

    move.rig.step(new[:1], BOX_S)
    assert finish_changes(move.rig.engine()._seams) == 0
    truth.assert_ledger_is_true(move.database.engine, move.world, move.world.wallets[0], CHAIN)

    move.rig.step(new, BOX_S)
    assert finish_changes(move.rig.engine()._seams) == 1
    assert move.live() == ["blockscout"]
    truth.assert_ledger_is_true(move.database.engine, move.world, move.world.wallets[0], CHAIN)


def test_old_streams_are_deleted_whole_in_batches(move: Move) -> None:
    new = move.begin()
    move.rig.step(new, BOX_S)
    move.tidy_up()

    with reading(move.database.engine) as connection:
        table = "stream" if move.database.dialect == "sqlite" else "tallybook.stream"
        left = connection.execute(text(f"SELECT id FROM {table} ORDER BY id")).scalars().all()
    assert list(left) == new
    report = verify(move.database.engine)
    assert report.agrees
    assert report.orphans.movements_without_stream == 0


def test_asking_again_goes_on_with_what_was_begun(move: Move) -> None:
    assert move.begin() == move.begin()


def test_another_choice_gives_the_unfinished_one_up(move: Move) -> None:
    first = move.begin()
    second = move.begin("routescan")
    assert not set(first) & set(second)

    move.rig.step(second, BOX_S)
    move.tidy_up()
    assert move.live() == ["routescan"]


def test_going_back_to_the_live_one_changes_nothing(move: Move) -> None:
    move.begin()

    assert move.begin("etherscan") == []
    move.tidy_up()
    assert move.live() == ["etherscan"]


def test_run_on_the_old_streams_writes_nothing_behind_the_change(move: Move) -> None:
    new = move.begin()
    move.rig.step(new, BOX_S)
    move.rig.ask()
    with autocommit(move.database.engine) as connection:
        flipped = generation.flip(connection, generation.ready(connection)[0])
    assert flipped

    report = move.rig.step(move.old, BOX_S)

    assert report.chunks == ()


@pytest.mark.parametrize(("to", "says"), [("blockscout", "not watched"), ("nobody", "not known")])
def test_what_cannot_be_changed_is_refused(database: Database, to: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        begin_change(database.engine, address_id=99, chain_id=CHAIN, to=to)
