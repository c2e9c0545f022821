"""Two clients of the whole product over a pooler that has one connection for both of them."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from logging import WARNING
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from functions.local_worker import LocalWorker
from schema import migrate
from schema.engine import make_engine, reading
from shared.clock import SystemClock
from shared.emulator.emulator import Emulator
from shared.emulator.in_process import EmulatorHttp
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from shared.ops.verify import verify
from shared.runtime import Runtime
from shared.settings import Settings
from tests import truth
from tests.api.conftest import make_client
from tests.pooler import Pooler, pgbouncer_binary, pooler
from tests.rigs import local_sources
from tests.servers import PostgresServer

LONGEST_S = 60.0
# What a session can leave behind for whoever gets its connection next.
LEFT_BEHIND = """
SELECT (SELECT count(*) FROM pg_prepared_statements),
  (SELECT count(*) FROM pg_cursors),
  (SELECT count(*) FROM pg_listening_channels()),
  (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'),
  (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
  (SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND backend_type = 'client backend'),
  (SELECT json_object_agg(name, setting ORDER BY name)::text FROM pg_settings
    WHERE source = 'session' AND name <> 'application_name')
"""


@pytest.fixture(scope="module")
def narrow(postgres: PostgresServer) -> Iterator[Pooler]:
    """A pooler with one connection to each database."""
    if pgbouncer_binary() is None:
        pytest.skip("no PgBouncer here: apt-get install pgbouncer")
    with pooler(postgres.url, pool_size=1) as started:
        yield started


@dataclass
class Clients:
    """A worker and an API that share nothing but the database."""

    url: str
    world: World

    def runtime(self) -> Runtime:
        settings = Settings(
            database_url=SecretStr(self.url),
            source=local_sources(page_rows=10, calls_per_s=1000.0),
            reserve_s=0.0,
        )
        clock = SystemClock()
        http = EmulatorHttp(Emulator(WorldStore(self.world)), clock, latency_s=0.0)
        return Runtime.from_settings(settings, clock=clock, http=http)


def left_behind(url: str) -> tuple[Any, ...]:
    engine = make_engine(url, now=SystemClock().now)
    with reading(engine) as connection:
        found = tuple(connection.execute(text(LEFT_BEHIND)).one())
    engine.dispose()
    return found


def test_worker_and_api_share_one_connection_and_leave_nothing_on_it(
    narrow: Pooler, empty_postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = narrow.url_of(empty_postgres_url)
    before = left_behind(url)
    clients = Clients(url, World(5, WorldConfig(wallets=2, blocks=40, busy=1.0)))
    with closing(clients.runtime()) as runtime:
        migrate.upgrade(runtime.engine)

    with closing(clients.runtime()) as runtime, closing(clients.runtime()) as other:
        worker, client = LocalWorker(other, idle_s=0.01), make_client(runtime)
        worker.start()
        try:
            wallets = [
                client.post("/api/wallets", json={"address": truth.hexed(wallet), "chains": [1]})
                for wallet in clients.world.wallets
            ]
            assert [answer.status_code for answer in wallets] == [201, 201]
            _read_until_synced(client, [answer.json()["id"] for answer in wallets])
        finally:
            worker.stop()
        for wallet in clients.world.wallets:
            truth.assert_ledger_is_true(runtime.engine, clients.world, wallet, 1)
        assert verify(runtime.engine).agrees
        assert runtime.seams.queue.stats().buried == 0

    assert left_behind(url) == before
    assert [record.getMessage() for record in caplog.records if record.levelno >= WARNING] == []


def _read_until_synced(client: Any, wallet_ids: list[int]) -> None:
    """Read everything that can be read, again and again, while the worker writes."""
    give_up = SystemClock().monotonic() + LONGEST_S
    states: set[str] = set()
    while states != {"up_to_date"}:
        assert SystemClock().monotonic() < give_up, states
        states = set()
        for wallet_id in wallet_ids:
            for path in ("", "/sync", "/balances", "/history"):
                answer = client.get(f"/api/wallets/{wallet_id}{path}")
                assert answer.status_code == 200, answer.text
            states.add(client.get(f"/api/wallets/{wallet_id}/sync").json()["state"])
        for path in ("/api/health", "/api/wallets"):
            assert client.get(path).status_code == 200
