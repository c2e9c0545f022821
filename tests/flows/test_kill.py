"""Real processes, killed, doubled and frozen: what was begun is finished, once."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schema.engine import autocommit, make_engine, reading
from schema.queries import stream
from schema.sql import Statement
from shared.clock import SystemClock
from shared.emulator.dice import Dice
from shared.emulator.emulator import Emulator
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from shared.ops.verify import verify
from tests import commands, truth
from tests.conftest import Database

CHAIN = 1
MOVEMENTS = 20_000
KILLS = 10
AN_HOUR = "3600"
PATIENCE_S = 60.0

_COUNTS = Statement("""
SELECT (SELECT count(*) FROM {t}movement), (SELECT coalesce(sum(next_block), 0) FROM {t}stream),
  (SELECT count(*) FROM {t}run), (SELECT coalesce(sum(lease_token), 0) FROM {t}stream)
""")
_LEASED = Statement("SELECT id, lease_token FROM {t}stream WHERE lease_until > {in:left_s}")
_STREAMS = Statement("SELECT id FROM {t}stream ORDER BY id")


class Counts(NamedTuple):
    """Everything that a writer would move."""

    movements: int
    blocks: int
    runs: int
    tokens: int


class Scene(NamedTuple):
    """A database, and a provider on this machine with a world behind it."""

    database: Database
    world: World
    emulator: Emulator
    env: dict[str, str]

    @property
    def wallet(self) -> bytes:
        return self.world.wallets[0]

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """``tallybook sync`` of the wallet."""
        account = truth.hexed(self.wallet)
        return commands.start(
            {**self.env, **env},
            *("sync", account, "--chain", str(CHAIN), "--source", "etherscan", "--json", *args),
        )

    def counts(self) -> Counts:
        with reading(self.database.engine) as connection:
            row: Any = _COUNTS.run(connection).one()
        return Counts(*map(int, row))

    def leased(self) -> dict[int, int]:
        """Streams whose lease has more than ten minutes to go, with their tokens."""
        with reading(self.database.engine) as connection:
            rows: Any = _LEASED.run(connection, left_s=600.0).all()
        return {row[0]: row[1] for row in rows}

    def assert_true(self) -> None:
        truth.assert_ledger_is_true(self.database.engine, self.world, self.wallet, CHAIN)
        assert verify(self.database.engine).agrees


@pytest.fixture(scope="module")
def world() -> World:
    config = WorldConfig(wallets=2, movements=MOVEMENTS, blocks=800, dense_rows=450)
    return World(8, config)


@pytest.fixture
def scene(database: Database, world: World, tmp_path: Path) -> Iterator[Scene]:
    emulator = Emulator(WorldStore(world))
    engine = make_engine(database.url, now=SystemClock().now)
    real = Database(engine, database.url, database.dialect, database.clock)
    with serving(emulator, latency_s=0.03) as base:
        env = commands.environment(
            tmp_path, url=database.url, base=base, SOURCE__ETHERSCAN__PAGE_ROWS="150"
        )
        yield Scene(real, world, emulator, env)
    engine.dispose()


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    out, err = process.communicate(timeout=PATIENCE_S)
    assert not err
    return process.returncode, json.loads(out)


def nap(seconds: float) -> None:
    time.sleep(seconds)  # noqa: TID251 - real processes take real time


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    """Whatever a test leaves behind is killed."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        with suppress(ValueError):
            process.communicate()


def test_sync_killed_ten_times_goes_on_and_ends_with_the_truth(
    scene: Scene, processes: list[subprocess.Popen[str]]
) -> None:
    dice = Dice("kill")
    held: dict[int, int] = {}
    for _ in range(KILLS):
        before = scene.counts()
        wanted = before.movements + dice.below(MOVEMENTS // KILLS)
        # A lease that nobody could wait for: only a dead holder's is taken.
        process = scene.start(LEASE_S=AN_HOUR)
        processes.append(process)
        while scene.counts().blocks == before.blocks or scene.counts().movements < wanted:
            assert process.poll() is None, process.communicate()
            nap(0.01)
        nap(dice.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        held = {**held, **scene.leased()}

    last = scene.start(LEASE_S=AN_HOUR)
    processes.append(last)
    code, document = ended(last)

    assert code == 0
    assert {each["state"] for each in document["streams"]} == {"up_to_date"}
    scene.assert_true()
    # Streams were held by the dead, and were taken over although their leases had not ended.
    assert held
    tokens = {row.id: row.token for row in truth.streams(scene.database.engine, scene.wallet, 1)}
    assert all(tokens[stream_id] > token for stream_id, token in held.items())


def test_two_processes_on_one_wallet_end_with_the_same_truth(
    scene: Scene, processes: list[subprocess.Popen[str]]
) -> None:
    processes += [scene.start(LEASE_S="2", RUN_BUDGET_S="1") for _ in range(2)]

    results = [ended(process) for process in processes]

    assert [code for code, _ in results] == [0, 0]
    assert results[0][1]["balances"] == results[1][1]["balances"]
    scene.assert_true()


def test_process_frozen_until_its_lease_is_stolen_writes_nothing_more(
    scene: Scene, processes: list[subprocess.Popen[str]]
) -> None:
    with serving(scene.emulator, latency_s=0.4) as base:
        slow = commands.environment(
            Path(scene.env["HOME"]), url=scene.database.url, base=base, LEASE_S="2"
        )
        process = scene._replace(env=slow).start("--give-up", "2")
        processes.append(process)
        while not scene.counts().movements:
            assert process.poll() is None, process.communicate()
            nap(0.02)
        _freeze_in_a_request(scene, process)
        frozen = scene.counts()
        stolen = _steal_everything(scene)
        assert stolen, "nothing was left to steal"
        before = scene.counts()
        assert before._replace(tokens=0, blocks=0) == frozen._replace(tokens=0, blocks=0)

        process.send_signal(signal.SIGCONT)
        code, document = ended(process)

    assert scene.counts() == before
    assert code == 1
    assert {each["state"] for each in document["streams"]} <= {"syncing", "up_to_date"}


def _freeze_in_a_request(scene: Scene, process: subprocess.Popen[str]) -> None:
    """Stop the process while it does nothing but wait for the provider."""
    calls = scene.emulator.calls
    while scene.emulator.calls == calls:
        assert process.poll() is None, process.communicate()
        nap(0.005)
    nap(0.15)  # the write that overlaps with the request is over
    process.send_signal(signal.SIGSTOP)


def _steal_everything(scene: Scene) -> list[int]:
    """Lease every stream that is not done, the held one as soon as its lease has ended."""
    engine = scene.database.engine
    stolen: list[int] = []
    with reading(engine) as connection:
        rows: Any = _STREAMS.run(connection).all()
    give_up = time.monotonic() + PATIENCE_S
    for (stream_id,) in rows:
        while time.monotonic() < give_up:
            with autocommit(engine) as connection:
                taken = stream.lease(connection, stream_id, lease_s=3600, holder="thief")
                now = stream.standing(connection, stream_id)
            assert now is not None
            if taken is not None:
                stolen.append(stream_id)
            if taken is not None or now.lease_left_s <= 0:
                break
            nap(0.05)
    return stolen
