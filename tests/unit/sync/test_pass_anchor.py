"""The anchor of a pass vouches for all of it, however many chunks the pass takes."""

from sqlalchemy import text

from schema.engine import reading
from shared.emulator.world import World, WorldConfig
from shared.sync import anchors
from tests.conftest import Database
from tests.rigs import LIMITS, Rig


def test_row_of_a_later_chunk_does_not_displace_the_anchor_of_the_pass(database: Database) -> None:
    world = World(3, WorldConfig(wallets=1, coins=1, blocks=60, busy=1.0))
    rig = Rig(database, world)
    ids = rig.watch()
    native = ids[:1]

    chunks = [chunk for _ in range(40) for chunk in rig.step(native, 0.75).chunks]

    assert [chunk.outcome for chunk in chunks].count("unfinished") > 1
    assert chunks[-1].outcome == "done"
    table = "stream" if database.dialect == "sqlite" else "tallybook.stream"
    with reading(database.engine) as connection:
        query = text(f"SELECT anchors FROM {table} WHERE id = :id")
        stored = connection.execute(query, {"id": native[0]}).scalar_one()
    newest = anchors.parse(stored)[-1]
    assert newest.block == world.head(1) - LIMITS.settle_depth
    assert newest.hash == world.block_hash(newest.block, 1)
