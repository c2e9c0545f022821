"""A change of provider that is given up while another run makes it live, on two connections."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from schema.engine import autocommit, reading
from schema.queries import generation
from schema.queries.generation import Generation
from shared.emulator.world import World, WorldConfig
from shared.sync.source_change import begin_change
from tests.conftest import Database
from tests.rigs import Rig

CHAIN = 1
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE :what"
)


@pytest.mark.parametrize("dialect", ["postgres"])
def test_generation_given_up_while_it_is_made_live_stays_given_up(database: Database) -> None:
    rig = Rig(database, World(5, WorldConfig(wallets=1, coins=2, blocks=30)))
    rig.step(rig.watch(source="etherscan"))
    subject = (rig.address_id, CHAIN)
    rig.step(
        begin_change(database.engine, address_id=rig.address_id, chain_id=CHAIN, to="blockscout")
    )

    with database.engine.connect() as connection, ThreadPoolExecutor(1) as pool:
        generation.abandon(connection, *subject)
        flipped = pool.submit(_flip, database, Generation(*subject, 2))
        _wait_for_a_lock(database)
        connection.commit()
        assert not flipped.result(timeout=30)

    with reading(database.engine) as connection:
        assert generation.live_providers(connection, *subject) == ["etherscan"]
        assert generation.filling(connection, *subject) == []


def _flip(database: Database, filled: Generation) -> bool:
    with autocommit(database.engine) as connection:
        return generation.flip(connection, filled)


def _wait_for_a_lock(database: Database) -> None:
    give_up = time.monotonic() + 30
    with autocommit(database.engine) as connection:
        while not connection.execute(text(WAITING), {"what": "%WITH up AS%"}).scalar_one():
            assert time.monotonic() < give_up, "nobody waits"
            time.sleep(0.005)  # noqa: TID251 - a real server takes real time
