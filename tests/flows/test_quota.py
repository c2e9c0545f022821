"""A daily quota that is too small: the sync stops by it, says so, and goes on the next day."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.emulator.emulator import Emulator
from shared.emulator.in_process import EmulatorHttp
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.upstash.server import serving_upstash
from shared.emulator.world import World, WorldConfig
from shared.gate import Pacer, RateGate
from shared.queue.upstash import UpstashShares
from shared.runtime import Runtime
from shared.settings import Settings
from shared.shares import ShareGate
from shared.sync.progress import progress
from tests import commands, truth
from tests.api.conftest import Api, make_client
from tests.conftest import Database
from tests.fakes import START
from tests.rigs import Rig, local_sources, quiet_settings
from tests.simulation.lua_redis import LuaRedis

QUOTA = 15
FEW = 5  # with pages of the usual size
A_DAY_S = 86_400
WEEKS_S = 1e7
SMALL = WorldConfig(wallets=1, movements=400, blocks=150)


def _of_one_process(rig: Rig) -> RateGate:
    return Pacer(rig.database.clock, {}, {"etherscan": QUOTA})


def _of_many(rig: Rig) -> RateGate:
    clock = rig.database.clock
    redis = LuaRedis(lambda: START.timestamp() + clock.monotonic())
    return ShareGate(clock, UpstashShares(redis), "a", {"etherscan": 1e3}, {"etherscan": QUOTA})


@pytest.mark.parametrize("make", [_of_one_process, _of_many])
def test_the_sync_waits_for_the_next_day_and_goes_on(
    database: Database, make: Callable[[Rig], RateGate]
) -> None:
    rig = Rig(database, World(5, SMALL), settings=quiet_settings(refresh_s=WEEKS_S))
    rig.seams = replace(rig.seams, gate=make(rig))
    ids = rig.watch()
    days = 1
    while True:
        rig.step(ids)
        assert rig.emulator.calls <= QUOTA * days
        streams = progress(database.engine, address_id=rig.address_id, chain_ids=[1])
        waiting = [stream for stream in streams if stream.state != "up_to_date"]
        if not waiting:
            break
        for stream in waiting:
            assert (stream.state, stream.error is None) == ("snoozed", False)
            assert stream.error is not None
            assert stream.error.code == "quota_used_up"
            assert f"{QUOTA} of {QUOTA} calls of today (UTC) used" in stream.error.detail
        assert not rig.step(ids).chunks  # nothing is tried before the day is over
        today_s = rig.database.clock.monotonic() % A_DAY_S
        database.advance(A_DAY_S - today_s + 61)
        days += 1

    assert days > 2
    truth.assert_ledger_is_true(database.engine, rig.world, rig.world.wallets[0], 1)


@pytest.fixture
def api(database: Database) -> Iterator[Api]:
    emulator = Emulator(WorldStore(World(5, SMALL)))
    settings = Settings(database_url=SecretStr(database.url), source=local_sources(calls_a_day=FEW))
    http = EmulatorHttp(emulator, database.clock, latency_s=0.1)
    runtime = Runtime.from_settings(settings, clock=database.clock, http=http)
    yield Api(make_client(runtime), runtime, database)
    runtime.close()


def test_the_api_tells_the_cause_and_what_is_used(api: Api) -> None:
    account = truth.hexed(World(5, SMALL).wallets[0])
    body = {"address": account, "chains": [1], "source": "etherscan"}
    wallet_id = api.post("/wallets", json=body).json()["id"]
    api.post(f"/wallets/{wallet_id}/sync")
    api.post(f"/wallets/{wallet_id}/sync/step")

    told = api.get(f"/wallets/{wallet_id}/sync").json()
    used = {each["source"]: each for each in api.get("/usage").json()["items"]}

    assert told["state"] == "snoozed"
    (fault,) = {
        each["error"]["code"]: each["error"] for each in told["streams"] if each["error"]
    }.values()
    assert fault["code"] == "quota_used_up"
    assert "SOURCE__ETHERSCAN__CALLS_A_DAY" in fault["fix"]
    assert used["etherscan"] == {
        "source": "etherscan", "used": FEW, "limit": FEW, "left": 0,
        "resets_at": "2024-01-02T00:00:00Z",
    }  # fmt: skip
    assert (used["binance"]["used"], used["binance"]["left"]) == (0, FEW)


def test_the_command_line_tells_the_cause_and_the_limits(tmp_path: Path) -> None:
    world = World(5, SMALL)
    with serving(Emulator(WorldStore(world))) as base:
        env = commands.environment(
            tmp_path,
            url=f"sqlite:///{tmp_path / 'mine.db'}",
            base=base,
            SOURCE__ETHERSCAN__CALLS_A_DAY=str(FEW),
        )
        subject = (truth.hexed(world.wallets[0]), "--chain", "1", "--source", "etherscan")
        ended = commands.run(env, "sync", *subject, "--give-up", "0.2")
        shown = commands.run(env, "usage")
        told = json.loads(commands.run(env, "usage", "--json").stdout)

    assert ended.returncode == 1
    assert f"{FEW} of {FEW} calls of today (UTC) used" in ended.stdout
    assert "quota_used_up" in ended.stdout
    assert (shown.returncode, "etherscan" in shown.stdout) == (0, True)
    assert "each process counts its own calls" in shown.stderr
    assert told["counted"] == "process"
    assert told["items"][0]["limit"] == FEW


def test_on_upstash_the_calls_of_all_processes_count(tmp_path: Path, redis_url: str) -> None:
    world = World(5, SMALL)
    with serving(Emulator(WorldStore(world))) as base, serving_upstash(redis_url) as upstash:
        env = commands.environment(
            tmp_path,
            url=f"sqlite:///{tmp_path / 'mine.db'}",
            base=base,
            SOURCE__ETHERSCAN__CALLS_A_DAY=str(FEW),
            UPSTASH_REDIS_REST_URL=upstash.url,
            UPSTASH_REDIS_REST_TOKEN=upstash.token,
        )
        upstash.empty()  # of what other tests have called
        subject = (truth.hexed(world.wallets[0]), "--chain", "1", "--source", "etherscan")
        first = commands.run(env, "sync", *subject, "--give-up", "0.2")
        told = json.loads(commands.run(env, "usage", "--json").stdout)

    assert "quota_used_up" in first.stdout
    assert told["counted"] == "all"
    etherscan = next(each for each in told["items"] if each["source"] == "etherscan")
    assert (etherscan["used"], etherscan["left"]) == (FEW, 0)
