"""What a tick does beside its work, busy or not."""

from functools import partial

from shared.emulator.world import World, WorldConfig
from shared.sync.source_change import begin_change
from tests.conftest import Database
from tests.rigs import Rig

CHAIN = 1


def _live(database: Database) -> set[str]:
    prefix = "" if database.dialect == "sqlite" else "tallybook."
    with database.engine.connect() as connection:
        sql = f"SELECT provider FROM {prefix}stream WHERE live = :yes"
        if database.dialect == "postgres":
            sql = sql.replace(":yes", "%(yes)s")
        return {row[0] for row in connection.exec_driver_sql(sql, {"yes": True})}


def test_a_change_of_provider_is_finished_by_any_tick(database: Database) -> None:
    rig = Rig(database, World(5, WorldConfig(wallets=1, coins=2, blocks=30)))
    rig.step(rig.watch(source="etherscan"))
    ids = begin_change(database.engine, address_id=rig.address_id, chain_id=CHAIN, to="blockscout")
    rig.step(ids)
    assert _live(database) == {"etherscan"}

    rig.engine().tend()

    assert _live(database) == {"blockscout"}


def test_one_process_of_many_tidies_once_an_hour(database: Database) -> None:
    rig = Rig(database, World(5, WorldConfig(wallets=1, coins=2, blocks=10)))
    rig.step(rig.watch())
    calls: list[str] = []

    def tidied(name: str) -> bool:
        calls.append(name)
        return False

    for name in ("one", "other"):
        engine = rig.engine()
        engine._holder = name
        engine.tidy = partial(tidied, name)  # type: ignore[method-assign]
        for _ in range(5):
            engine.tend()

    assert calls == ["one"]
