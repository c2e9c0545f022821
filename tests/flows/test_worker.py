"""The long-running worker as a real process, whatever queue it has."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from schema.engine import make_engine
from shared.clock import SystemClock
from shared.emulator.emulator import Emulator
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.upstash.server import serving_upstash
from shared.emulator.world import World, WorldConfig
from tests import commands, truth
from tests.moving.site import CHAIN, LANDS, Site, until

GRACE_S = 5.0


@pytest.fixture(scope="module")
def world() -> World:
    return World(41, WorldConfig(wallets=2, movements=1_500, blocks=300))


@pytest.fixture
def kind() -> str:
    return "table"


@pytest.fixture
def site(
    world: World, redis_url: str, postgres_url: str, tmp_path: Path, kind: str
) -> Iterator[Site]:
    with (
        serving_upstash(redis_url) as upstash,
        serving(Emulator(WorldStore(world)), latency_s=0.1) as base,
    ):
        upstash.empty()
        env = commands.environment(
            tmp_path,
            url=postgres_url,
            base=base,
            SOURCE__ETHERSCAN__PAGE_ROWS="50",
            SOURCE__ETHERSCAN__CALLS_PER_S="15",
            LEASE_S="4",
            GRACE_S=str(GRACE_S),
        )
        keys = {
            "UPSTASH_REDIS_REST_URL": upstash.url,
            "UPSTASH_REDIS_REST_TOKEN": upstash.token,
        }
        made = Site(tmp_path, env, keys, redis_url, world, kind)
        try:
            made.wait_for_api()
            yield made
        finally:
            made.close()


@contextmanager
def working(env: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A worker, and where it tells of itself."""
    process = commands.start(env, "worker", "--port", "0")
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+?:\d+", process.stdout.readline())
        assert found is not None
        yield process, found[0]
    finally:
        process.kill()
        process.communicate()


def _chunks(postgres_url: str) -> int:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM tallybook.run").fetchone()
        return int(row[0]) if row else 0


def _is_leased(postgres_url: str) -> bool:
    sql = "SELECT count(*) FROM tallybook.stream WHERE lease_until > clock_timestamp()"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        row = connection.execute(sql).fetchone()
        return bool(row and row[0])


def _assert_true(site: Site, postgres_url: str, wallets: int = 2) -> None:
    engine = make_engine(postgres_url, now=SystemClock().now)
    for wallet in site.world.wallets[:wallets]:
        truth.assert_ledger_is_true(engine, site.world, wallet, CHAIN)
    engine.dispose()


@pytest.mark.parametrize("kind", LANDS)
def test_a_worker_completes_a_sync_and_tells_how_it_stands(
    site: Site, postgres_url: str, kind: str
) -> None:
    with working(site.env_of(kind)) as (_, url):
        for wallet in site.world.wallets:
            site.watch(wallet)
        until(lambda: site.states() == {"up_to_date"}, "it does not complete")
        ready = httpx.get(f"{url}/health/ready")
        live = httpx.get(f"{url}/health/live")
        metrics = httpx.get(f"{url}/metrics").text

    assert (ready.status_code, live.status_code) == (200, 200)
    assert ready.json()["queue"]["claimed"] == 0
    assert re.search(r'^tallybook_streams\{state="up_to_date"\} \d+', metrics, re.MULTILINE)
    assert re.search(r"^tallybook_pages_total [1-9]", metrics, re.MULTILINE)
    assert "tallybook_leader 1.0" in metrics
    _assert_true(site, postgres_url)


@pytest.mark.parametrize("kind", LANDS)
def test_sigterm_in_the_middle_ends_in_time_and_another_goes_on(
    site: Site, postgres_url: str, kind: str
) -> None:
    with working(site.env_of(kind)) as (process, _):
        site.watch(site.world.wallets[0])
        until(lambda: _is_leased(postgres_url), "it does not begin")
        process.send_signal(signal.SIGTERM)
        code = process.wait(GRACE_S + 10)

    assert code == 0
    assert not _is_leased(postgres_url)
    assert site.states() != {"up_to_date"}
    with working(site.env_of(kind)):
        until(lambda: site.states() == {"up_to_date"}, "nobody goes on")
    _assert_true(site, postgres_url, wallets=1)


def test_a_second_signal_ends_it_at_once(site: Site, postgres_url: str) -> None:
    with working(site.env) as (process, _):
        site.watch(site.world.wallets[0])
        until(lambda: _is_leased(postgres_url), "it does not begin")
        process.send_signal(signal.SIGSTOP)  # so that both are waiting for it
        process.send_signal(signal.SIGTERM)
        os.kill(process.pid, signal.SIGINT)
        process.send_signal(signal.SIGCONT)

        assert process.wait(5) in {0, 128 + signal.SIGTERM}


def test_when_the_leader_is_killed_another_leads(site: Site, postgres_url: str) -> None:
    with working(site.env) as (first, _), working(site.env) as (_, url):
        first.kill()
        first.wait()
        site.watch(site.world.wallets[0])
        until(lambda: site.states() == {"up_to_date"}, "nobody leads")
        until(lambda: "tallybook_leader 1.0" in httpx.get(f"{url}/metrics").text, "no leader")
    assert _chunks(postgres_url) > 0


@pytest.mark.parametrize("kind", ["bullmq"])
def test_workers_share_the_streams_and_none_works_one_twice(
    site: Site, postgres_url: str, kind: str
) -> None:
    env = site.env_of(kind)
    with working(env), working(env):
        for wallet in site.world.wallets:
            site.watch(wallet)
        until(lambda: site.states() == {"up_to_date"}, "they do not complete")
        time.sleep(0.1)  # noqa: TID251 - real processes
    _assert_true(site, postgres_url)
    sql = "SELECT count(*) FROM tallybook.run WHERE outcome = 'lost'"
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute(sql).fetchone() == (0,)
