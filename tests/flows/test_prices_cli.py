"""``tallybook prices`` as a user meets it, in front of the local provider."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.emulator.emulator import Emulator
from shared.emulator.faults import fault
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from tests import commands

Ended = subprocess.CompletedProcess[str]
Run = Callable[..., Ended]
WORLD = World(11, WorldConfig(wallets=1, movements=120, blocks=40))
SUBJECT = ("0x" + WORLD.wallets[0].hex(), "--chain", "1")


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(WorldStore(WORLD))


@pytest.fixture
def run(tmp_path: Path, emulator: Emulator) -> Iterator[Run]:
    with serving(emulator) as base:
        env = commands.environment(tmp_path, url=f"sqlite:///{tmp_path / 'mine.db'}", base=base)

        def ran(*args: str) -> Ended:
            return commands.run(env, *args)

        assert ran("sync", *SUBJECT, "--source", "etherscan").returncode == 0
        yield ran


def _json(ended: Ended) -> Any:
    assert ended.stdout.count("\n") == 1, ended.stderr
    return json.loads(ended.stdout)


def test_prices_are_refreshed_listed_and_shown_with_the_balances(run: Run) -> None:
    before = run("balances", *SUBJECT)
    assert "price (USD)" not in before.stdout

    refreshed = run("prices", "refresh", "--json")

    report = _json(refreshed)
    assert (refreshed.returncode, report["left"], report["problems"]) == (0, 0, [])
    assert report["priced"] > 1
    assert report["calls"] == {"defillama": 1, "binance": 1}
    listed = _json(run("prices", "--json"))
    priced = [line for line in listed if line["price_usd"] is not None]
    assert len(priced) == report["priced"]
    assert {line["stale"] for line in priced} == {False}
    table = run("prices").stdout
    assert "ETH on Ethereum" in table
    assert "2,335.2663" in table
    balances = _json(run("balances", *SUBJECT, "--json"))
    assert sum(line["value"] is not None for line in balances) == len(priced)
    assert "value (USD)" in run("balances", *SUBJECT).stdout
    assert _json(run("prices", "refresh", "--json"))["asked"] == 0


def test_a_refresh_that_left_something_says_so(run: Run, emulator: Emulator) -> None:
    emulator.plan.push(fault("http_500"))

    ended = run("prices", "refresh")

    assert ended.returncode == 1
    assert "defillama: answered HTTP 500" in ended.stderr
    assert "left" in ended.stdout
    assert ended.stdout.count("\n") == 1


def test_a_wrong_use_is_one_clear_line(run: Run) -> None:
    ended = run("prices", "--again")

    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert run("prices", "guess").returncode == 2
