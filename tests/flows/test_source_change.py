"""A change of provider in real processes, killed again and again under the eyes of a reader."""

import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest

from schema.engine import reading
from schema.sql import Statement
from shared.emulator.dice import Dice
from shared.emulator.world import World, WorldConfig
from shared.sources import registry
from tests import commands
from tests.conftest import Database
from tests.flows.onlooker import Onlooker, Telling, telling
from tests.flows.scene import AN_HOUR, CHAIN, Scene, Stock, ended, nap, scene_of, until
from tests.flows.thief import Backends

FEWEST_KILLS = 10
LIFE_S = 0.4  # the longest life at first; each is allowed somewhat more than the one before
GROWTH = 1.1

CHANGER = "changer"
# What it is killed in, and what makes that wait until it is.
INSIDE: dict[str, LiteralString] = {
    "WITH up AS": "SELECT 1 FROM tallybook.stream WHERE live FOR UPDATE",
    "DELETE FROM tallybook.balance": "SELECT 1 FROM tallybook.balance FOR UPDATE",
    "DELETE FROM tallybook.movement": "SELECT 1 FROM tallybook.movement FOR UPDATE",
}

_LIVE = Statement("SELECT provider, live, count(*) FROM {t}stream GROUP BY provider, live")
_ORPHANS = Statement("""
SELECT count(*) FROM {t}movement WHERE stream_id NOT IN (SELECT id FROM {t}stream)
""")


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Iterator[Scene]:
    """A wallet read from Etherscan, and a chain that has grown since: each answer tells whose."""
    world = World(10, WorldConfig(wallets=2, movements=6_000, blocks=400))
    env = {"SOURCE__BLOCKSCOUT__PAGE_ROWS": "60", "LEASE_S": AN_HOUR}
    with scene_of(database, world, tmp_path, latency_s=0.02, **env) as scene:
        yield scene


@pytest.fixture
def small_scene(database: Database, tmp_path: Path) -> Iterator[Scene]:
    world = World(11, WorldConfig(wallets=1, blocks=40))
    env = {"PGAPPNAME": CHANGER, "LEASE_S": AN_HOUR}
    with scene_of(database, world, tmp_path, latency_s=0.0, **env) as scene:
        _sync(scene)
        yield scene


def _sync(scene: Scene) -> None:
    with scene.without_delay() as faster:
        code, document = ended(faster.start())
    assert code == 0, document


def change_of(scene: Scene) -> tuple[str, ...]:
    """``tallybook source`` of the wallet."""
    return "source", *scene.subject, "--to", "blockscout", "--json"


@contextmanager
def served(scene: Scene, processes: list[subprocess.Popen[str]]) -> Iterator[str]:
    """``tallybook serve`` without a worker; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = commands.start(scene.env, "serve", "--port", str(port), "--no-worker")
    processes.append(process)
    base = f"http://127.0.0.1:{port}"
    until(lambda: _answers(base), process)
    yield base
    process.terminate()
    assert process.wait() == 0, process.communicate()


def _answers(base: str) -> bool:
    url = f"{base}/api/health"
    with suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own server
        return True
    return False


def streams(scene: Scene) -> dict[tuple[str, bool], int]:
    """How many streams there are of which provider, live and not."""
    with reading(scene.database.engine) as connection:
        rows: Any = _LIVE.run(connection).all()
    return {(provider, bool(live)): count for provider, live, count in rows}


def assert_one_is_live(scene: Scene) -> None:
    """Every feed of one provider counts, and none of another."""
    [(provider, count)] = [(key, count) for (key, live), count in streams(scene).items() if live]
    assert count == len(registry.kinds(provider, CHAIN))


def known(scene: Scene, provider: str) -> Telling:
    kinds = {kind.value for kind in registry.kinds(provider, CHAIN)}
    return telling(scene.world, scene.wallet, kinds)


def test_change_killed_again_and_again_is_never_seen_half_done(
    scene: Scene, stock: Stock, processes: list[subprocess.Popen[str]]
) -> None:
    _sync(scene)
    old = known(scene, "etherscan")
    scene.world.grow(20)
    new = known(scene, "blockscout")

    with served(scene, processes) as base, Onlooker(base, old, new) as onlooker:
        _, first_page = onlooker.page(None)
        onlooker.sees("old")
        kills = _kill_until_done(scene, stock)
        onlooker.sees("new")
        # A cursor of the old history is of no use in the new one, and is told so.
        _, refused = onlooker.page(first_page["next_cursor"])

    assert kills >= FEWEST_KILLS
    assert refused["code"] == "invalid_cursor"
    _assert_changed(scene)


@pytest.mark.parametrize("dialect", ["postgres"])
@pytest.mark.parametrize(("statement", "locking"), INSIDE.items(), ids=INSIDE.keys())
def test_change_killed_inside_its_last_statements_goes_on(
    small_scene: Scene, stock: Stock, statement: str, locking: LiteralString
) -> None:
    scene = small_scene
    with Backends(scene.database.url, CHANGER) as backends:
        with psycopg.connect(scene.database.url) as other:
            other.execute(locking)
            stock.begin(scene.env, change_of(scene))
            until(backends.waiting)
            assert [each.startswith(statement) for each in backends.waiting()] == [True]
            assert_one_is_live(scene)
            assert stock.kill() == -signal.SIGKILL, stock.said()
        until(lambda: not backends.running())
    assert_one_is_live(scene)

    stock.begin(scene.env, change_of(scene))
    assert stock.end() == 0, stock.said()
    _assert_changed(scene)


def _kill_until_done(scene: Scene, stock: Stock) -> int:
    """Begin the change until it ends before it is killed; how often it was."""
    dice, life_s, kills = Dice("source change"), LIFE_S, 0
    while True:
        stock.begin(scene.env, change_of(scene))
        nap(dice.random() * life_s)
        code = stock.kill()
        if code == 0:
            return kills
        assert code == -signal.SIGKILL, stock.said()
        assert_one_is_live(scene)
        kills += 1
        life_s *= GROWTH


def _assert_changed(scene: Scene) -> None:
    """Nothing is left of the old provider, and the new one's word is the truth."""
    assert {provider for provider, _ in streams(scene)} == {"blockscout"}
    with reading(scene.database.engine) as connection:
        assert _ORPHANS.run(connection).scalar_one() == 0
    scene.assert_true()
