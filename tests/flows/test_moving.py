"""From queue to queue and back under load, with movers and workers that are killed."""

import random
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from schema.engine import make_engine
from shared.clock import SystemClock
from shared.emulator.emulator import Emulator
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.upstash.server import LocalUpstash, serving_upstash
from shared.emulator.world import World, WorldConfig
from shared.ops.verify import verify
from tests import commands, truth
from tests.moving.site import CHAIN, LANDS, Site, stopped, until

WALLETS = 16
ROUTE = ("upstash", "bullmq", "upstash", "table")


@pytest.fixture(scope="module")
def world() -> World:
    return World(31, WorldConfig(wallets=WALLETS, movements=300, blocks=120))


@pytest.fixture
def upstash(redis_url: str) -> Iterator[LocalUpstash]:
    with serving_upstash(redis_url) as served:
        served.empty()
        yield served


@pytest.fixture
def site(
    world: World, upstash: LocalUpstash, redis_url: str, postgres_url: str, tmp_path: Path
) -> Iterator[Site]:
    with serving(Emulator(WorldStore(world)), latency_s=0.05) as base:
        env = commands.environment(
            tmp_path,
            url=postgres_url,
            base=base,
            SOURCE__ETHERSCAN__PAGE_ROWS="20",
            LEASE_S="4",
            RUN_BUDGET_S="2",
            WORKER_BOX_S="2",
        )
        keys = {
            "UPSTASH_REDIS_REST_URL": upstash.url,
            "UPSTASH_REDIS_REST_TOKEN": upstash.token,
        }
        made = Site(tmp_path, env, keys, redis_url, world)
        try:
            made.wait_for_api()
            yield made
        finally:
            made.close()


def _assert_true(site: Site, postgres_url: str) -> None:
    engine = make_engine(postgres_url, now=SystemClock().now)
    for wallet in site.world.wallets:
        truth.assert_ledger_is_true(engine, site.world, wallet, CHAIN)
    assert verify(engine).agrees
    engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1))
def test_work_moves_through_every_queue_and_back(
    site: Site, redis_url: str, postgres_url: str, seed: int
) -> None:
    rng = random.Random(seed)
    for kind in LANDS:
        site.start_worker(kind)
    share = WALLETS // len(ROUTE)
    for leg, to in enumerate(ROUTE):
        for wallet in site.world.wallets[leg * share : (leg + 1) * share]:
            site.watch(wallet)
        site.kill_worker(rng.choice(LANDS))
        if rng.random() < 0.5:
            Redis.from_url(redis_url).flushall()  # Upstash and the workers' Redis, both empty
        told = site.move(rng, "cutover", "--to", to, kills=rng.randint(0, 2))
        assert told.splitlines()[-1] in {
            f"done: work goes on, on {to}",
            f"{to} is the active queue already; nothing to do",
        }
        site.kill_worker(rng.choice(LANDS))

    until(lambda: site.states() == {"up_to_date"}, "some wallets are not finished")

    _assert_true(site, postgres_url)
    assert site.errors == []
    assert site.asked > 50


def test_a_paused_deployment_answers_and_works_nothing(site: Site, postgres_url: str) -> None:
    site.start_worker("table")
    assert commands.run(site.env, "pause").returncode == 0
    assert commands.run(site.env, "drain").returncode == 0

    site.watch(site.world.wallets[0])
    health = site.client.get("/api/health").json()
    drained = commands.run(site.env, "drain")

    assert health["standby"] == "work is paused"
    assert drained.stdout.splitlines()[-1] == "drained: nobody works"
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM tallybook.run").fetchone() == (0,)
    assert commands.run(site.env, "resume").returncode == 0
    until(lambda: site.states() == {"up_to_date"}, "it does not go on")
    assert stopped(site.workers["table"]) == 0


def test_a_process_of_another_queue_stands_by_and_a_rollback_brings_it_back(site: Site) -> None:
    site.start_worker("table")
    env = site.env_of("bullmq")
    # Whoever works first names the queue: here the worker, neither the API nor the mover.
    site.watch(site.world.wallets[1])
    until(lambda: site.states() == {"up_to_date"}, "it does not begin")
    planned = commands.run(env, "cutover", "--to", "bullmq", "--dry-run")
    assert planned.stdout.startswith("1. pause")
    assert site.client.get("/api/health").json()["standby"] is None

    assert commands.run(env, "cutover", "--to", "bullmq").returncode == 0
    site.watch(site.world.wallets[0])
    until(
        lambda: "active queue is bullmq" in str(site.client.get("/api/health").json()["standby"]),
        "the API does not stand by",
    )
    assert "pending" in site.states()

    done = commands.run(env, "rollback")

    assert done.stdout.splitlines()[-1] == "done: work goes on, on table"
    until(lambda: site.states() == {"up_to_date"}, "it does not go on")
    again = commands.run(env, "cutover", "--to", "table")
    assert again.stdout.splitlines() == ["table is the active queue already; nothing to do"]
