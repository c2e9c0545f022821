"""Real processes, killed at any moment and doubled: what was begun is finished, once."""

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shared.emulator.dice import Dice
from shared.emulator.world import World, WorldConfig
from tests import truth
from tests.conftest import Database
from tests.flows.scene import AN_HOUR, CHAIN, Held, Scene, Stock, ended, nap, scene_of

MOVEMENTS = 20_000
KILLS = {"postgres": 55, "sqlite": 16}
COMMAND_EVERY = 15  # every so many processes are started by hand, with a Python of their own
ELSEWHERE = 0.2  # the share of processes that nobody here can know to be dead
SHORT_LEASE_S = "1"
WHOLE_RUN = 0.8  # the part of the history that the killed may get through
LIFE_S = 0.3  # the longest life at first


@dataclass
class Deaths:
    """What the killed held: leases that only a dead holder's heir, or only their end, can free."""

    here: list[Held] = field(default_factory=list)
    elsewhere: list[Held] = field(default_factory=list)
    at_work: int = 0

    def add(self, held: set[Held]) -> None:
        self.at_work += bool(held)
        for one in held:
            (self.elsewhere if one.holder.startswith("unknown/") else self.here).append(one)


@pytest.fixture(scope="module")
def world() -> World:
    config = WorldConfig(wallets=2, movements=MOVEMENTS, blocks=800, dense_rows=200)
    return World(8, config)


@pytest.fixture
def scene(database: Database, world: World, tmp_path: Path) -> Iterator[Scene]:
    rows = {"SOURCE__ETHERSCAN__PAGE_ROWS": "100"}
    with scene_of(database, world, tmp_path, latency_s=0.02, **rows) as scene:
        yield scene


def test_sync_killed_again_and_again_goes_on_and_ends_with_the_truth(
    scene: Scene, stock: Stock, processes: list[subprocess.Popen[str]]
) -> None:
    kills = KILLS[scene.database.dialect]
    dice = Dice("kill")
    deaths = Deaths()
    life_s = LIFE_S
    for number in range(1, kills + 1):
        before = set(scene.held())
        if number % COMMAND_EVERY == 0:
            _kill_a_command(scene, dice, processes)
        else:
            _kill_a_child(scene, stock, dice, life_s)
        left = set(scene.held()) - before
        deaths.add(left)
        # However slow the machine is: most are killed at work, and all within this one sync.
        life_s *= 0.85 if left else 1.3
        if scene.counts().movements > WHOLE_RUN * MOVEMENTS * number / kills:
            life_s *= 0.8
    assert scene.counts().movements < MOVEMENTS, "the sync was over before the killing was"

    last = scene.start(LEASE_S=AN_HOUR)
    processes.append(last)
    code, document = ended(last)

    assert code == 0, document
    assert {each["state"] for each in document["streams"]} == {"up_to_date"}
    assert not scene.held()
    scene.assert_true()
    assert deaths.at_work >= kills // 4
    _assert_both_ways_were_gone(scene, deaths)


def _kill_a_child(scene: Scene, stock: Stock, dice: Dice, life_s: float) -> None:
    elsewhere = dice.chance(ELSEWHERE)
    # A lease that nobody could wait for: only a dead holder's is taken.
    lease_s = SHORT_LEASE_S if elsewhere else AN_HOUR
    stock.begin({**scene.env, "LEASE_S": lease_s}, scene.sync, elsewhere=elsewhere)
    nap(dice.random() * life_s)
    assert stock.kill() == -signal.SIGKILL, stock.said()


def _kill_a_command(scene: Scene, dice: Dice, processes: list[subprocess.Popen[str]]) -> None:
    process = scene.start(LEASE_S=AN_HOUR)
    processes.append(process)
    nap(dice.random() * 2.0)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.communicate()


def _assert_both_ways_were_gone(scene: Scene, deaths: Deaths) -> None:
    """Whatever the dead held was taken from them: at once, or when its lease had ended."""
    assert deaths.here
    assert deaths.elsewhere
    tokens = {
        row.id: row.token for row in truth.streams(scene.database.engine, scene.wallet, CHAIN)
    }
    assert all(tokens[held.stream_id] > held.token for held in deaths.here + deaths.elsewhere)


def test_two_processes_on_one_wallet_end_with_the_same_truth(
    scene: Scene, processes: list[subprocess.Popen[str]]
) -> None:
    processes += [scene.start(LEASE_S="2", RUN_BUDGET_S="1") for _ in range(2)]

    results = [ended(process) for process in processes]

    assert [code for code, _ in results] == [0, 0]
    assert results[0][1]["balances"] == results[1][1]["balances"]
    scene.assert_true()
