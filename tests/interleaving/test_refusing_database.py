"""Disk full, read-only, no right to write: said clearly, nothing half-written, gone on after."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from schema import migrate
from schema.engine import make_engine
from shared.clock import SystemClock
from shared.emulator.emulator import Emulator
from shared.emulator.server import serving
from shared.emulator.store import WorldStore
from shared.emulator.truth import Move
from shared.emulator.world import World, WorldConfig
from shared.ops.verify import verify
from shared.runtime import Runtime
from shared.settings import Settings
from tests import commands, truth
from tests.api.conftest import NoNetwork, make_client
from tests.interleaving import outages
from tests.interleaving.outages import Outage
from tests.servers import PostgresServer, own_postgres

MOST_WALLETS = 80
ALL = ("native", "internal", "erc20", "erc721", "erc1155", "withdrawal")
LOUD = ("Traceback", "psycopg", "sqlalchemy", "sqlite3")


@pytest.fixture(scope="session")
def own_server(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server whose files we may touch: that of all other tests, if it is ours."""
    with ExitStack() as stack:
        yield postgres if postgres.data else stack.enter_context(own_postgres())


@pytest.fixture
def own_url(own_server: PostgresServer) -> Iterator[str]:
    """A migrated database on it."""
    name = own_server.create()
    with closing(_runtime(own_server.url_of(name))) as runtime:
        migrate.upgrade(runtime.engine)
    yield own_server.url_of(name)
    own_server.drop(name)


@pytest.fixture
def postgres_full(own_server: PostgresServer, own_url: str) -> Outage:
    return outages.postgres_full(own_server, own_url)


@pytest.fixture
def postgres_read_only(postgres: PostgresServer, postgres_url: str) -> Outage:
    return outages.postgres_read_only(postgres, postgres_url)


@pytest.fixture
def postgres_denied(postgres: PostgresServer, postgres_url: str) -> Outage:
    return outages.postgres_denied(postgres, postgres_url)


@pytest.fixture
def sqlite_full(sqlite_url: str, tmp_path: Path) -> Outage:
    return outages.sqlite_full(sqlite_url, tmp_path)


@pytest.fixture
def sqlite_read_only(sqlite_url: str) -> Outage:
    return outages.sqlite_read_only(sqlite_url)


@pytest.fixture(
    params=[
        "postgres_full",
        "postgres_read_only",
        "postgres_denied",
        "sqlite_full",
        "sqlite_read_only",
    ]
)
def outage(request: pytest.FixtureRequest) -> Iterator[Outage]:
    """A database that is well until its outage begins."""
    found: Outage = request.getfixturevalue(request.param)
    once = ExitStack()
    once.callback(found.end)
    found.end = once.close
    with once:
        yield found


def test_a_sync_names_the_cause_and_the_way_out_and_goes_on_when_it_is_mended(
    outage: Outage, tmp_path: Path
) -> None:
    # At first so little that it fits into one page of a table.
    world = World(7, WorldConfig(wallets=1, movements=20, blocks=5))
    [wallet] = world.wallets
    with serving(Emulator(WorldStore(world))) as base:
        well = commands.environment(tmp_path, url=outage.url, base=base)
        ill = commands.environment(tmp_path, url=outage.failing_url, base=base)
        ill["PYTHONPATH"] = os.pathsep.join([*map(str, outage.extra_path), ill["PYTHONPATH"]])
        # A call to the provider that was under way is dropped.
        ill["PYTHONWARNINGS"] = "error,ignore::ResourceWarning"
        sync = ("sync", truth.hexed(wallet), "--chain", "1", "--source", "etherscan")
        assert commands.run(well, *sync).returncode == 0
        before = _checked(outage, world)
        world.grow(60)

        outage.begin("movement")
        failed = commands.run(ill, *sync)
        outage.end()

        assert (failed.returncode, failed.stdout) == (1, "")
        assert failed.stderr.startswith("tallybook: ")
        assert failed.stderr.count("\n") == 1
        assert [part for part in outage.says if part not in failed.stderr] == []
        assert not [word for word in LOUD if word in failed.stderr]
        assert before <= _checked(outage, world) < truth.true_movements(world, wallet, 1, ALL)

        mended = commands.run(well, *sync)
        assert (mended.returncode, mended.stderr) == (0, "")
    assert _checked(outage, world) == truth.true_movements(world, wallet, 1, ALL)


def test_the_api_answers_with_a_problem_and_goes_on_when_it_is_mended(outage: Outage) -> None:
    added, answer = 0, None
    outage.begin("wallet")
    with closing(_runtime(outage.failing_url)) as runtime:
        client = make_client(runtime)
        # A small file has room for a few more.
        for number in range(MOST_WALLETS):
            answer = client.post("/api/wallets", json=_wallet(number))
            if answer.status_code != 201:
                break
            added += 1
        listed = client.get("/api/wallets", params={"limit": 200})
    outage.end()

    assert answer is not None
    body = answer.json()
    assert (answer.status_code, body["code"], body["status"]) == (503, outage.code, 503)
    assert answer.headers["content-type"] == "application/problem+json"
    assert outage.says[0] in body["detail"]
    assert body["fix"]
    assert not [word for word in LOUD if word in answer.text]
    assert (listed.status_code, len(listed.json()["items"])) == (200, added)
    with closing(_runtime(outage.url)) as runtime:
        assert verify(runtime.engine).agrees
        assert make_client(runtime).post("/api/wallets", json=_wallet(added)).status_code == 201


def _wallet(number: int) -> dict[str, object]:
    account = hashlib.sha256(bytes([number])).hexdigest()[:40]
    return {"address": f"0x{account}", "chains": [1]}


def _runtime(url: str) -> Runtime:
    return Runtime.from_settings(Settings(database_url=SecretStr(url)), http=NoNetwork())


def _checked(outage: Outage, world: World) -> Counter[Move]:
    """What the ledger holds, which agrees with itself."""
    engine = make_engine(outage.url, now=SystemClock().now)
    report = verify(engine)
    assert report.agrees, report
    held = truth.movements(engine, world.wallets[0], 1)
    sums = truth.balances(engine, world.wallets[0], 1)
    engine.dispose()
    assert sums == truth.true_balances(held)
    return held
