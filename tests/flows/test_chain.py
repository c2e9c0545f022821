"""A real server without any worker: with one trigger only, whichever it is, a sync completes."""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

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
from shared.ops.verify import verify
from tests import commands, truth
from tests.conftest import Database

CHAIN, MOVEMENTS = 1, 3_000
SECRET, SIGNING_KEY = "cron-secret", "sig_test"
PATIENCE_S = 60.0
# As pg_net behaves: what is asked for in a transaction is sent once it has committed, by a worker.
STUB_OF_PG_NET = """
CREATE SCHEMA net;
CREATE TABLE net.queue (id bigserial PRIMARY KEY, url text, body jsonb, headers jsonb);
CREATE FUNCTION net.http_post(url text, body jsonb DEFAULT '{}', params jsonb DEFAULT '{}',
  headers jsonb DEFAULT '{}', timeout_milliseconds int DEFAULT 5000) RETURNS bigint
LANGUAGE sql AS $$ INSERT INTO net.queue (url, body, headers) VALUES ($1, $2, $4) RETURNING id $$;
"""


class Site:
    """A deployment: its URL, and what is called at its side."""

    def __init__(self, url: str, database: Database, world: World) -> None:
        self.url = url
        self.database = database
        self.world = world
        self.client = httpx.Client(base_url=url, verify=False)  # noqa: S501 - no TLS here

    def watch(self) -> int:
        account = truth.hexed(self.world.wallets[0])
        body = {"address": account, "chains": [CHAIN], "source": "etherscan"}
        answer = self.client.post("/api/wallets", json=body)
        assert answer.status_code == 201, answer.text
        number: int = answer.json()["id"]
        return number

    def state(self, wallet_id: int) -> str:
        state: str = self.client.get(f"/api/wallets/{wallet_id}/sync").json()["state"]
        return state

    def complete(self, wallet_id: int, push: Callable[[], object] = lambda: None) -> None:
        give_up = time.monotonic() + PATIENCE_S
        while self.state(wallet_id) != "up_to_date":
            assert time.monotonic() < give_up, self.client.get(
                f"/api/wallets/{wallet_id}/sync"
            ).text
            push()
            time.sleep(0.05)  # noqa: TID251 - a real process
        engine = self.database.engine
        truth.assert_ledger_is_true(engine, self.world, self.world.wallets[0], CHAIN)
        assert verify(engine).agrees

    def runs(self) -> int:
        """Invocations leave a chunk of each stream behind."""
        with psycopg.connect(self.database.url, autocommit=True) as connection:
            row = connection.execute("SELECT count(*) FROM tallybook.run").fetchone()
            return int(row[0]) if row else 0


@pytest.fixture(scope="module")
def world() -> World:
    return World(21, WorldConfig(wallets=1, movements=MOVEMENTS, blocks=300))


@contextmanager
def deployed(world: World, url: str, home: Path, port: int, **env: str) -> Iterator[Site]:
    """One server process without a worker, in boxes of two seconds."""
    engine = make_engine(url, now=SystemClock().now)
    with serving(Emulator(WorldStore(world)), latency_s=0.05) as base:
        environment = commands.environment(
            home,
            url=url,
            base=base,
            CRON_SECRET=SECRET,
            RUN_BUDGET_S="2",
            SOURCE__ETHERSCAN__PAGE_ROWS="100",
            **env,
        )
        words = ("-m", "uvicorn", "functions.asgi:app", "--port", str(port))
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, *words, "--log-level", "warning"], env=environment, cwd=commands.ROOT
        )
        site = Site(f"http://127.0.0.1:{port}", Database(engine, url, "postgres", None), world)  # type: ignore[arg-type]
        try:
            _wait_for(site)
            yield site
        finally:
            process.kill()
            process.wait()
            site.client.close()
            engine.dispose()


def _wait_for(site: Site) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        with suppress(httpx.HTTPError):
            if site.client.get("/api/health").status_code == 200:
                return
        time.sleep(0.05)  # noqa: TID251 - a real process
    message = "the server does not answer"
    raise TimeoutError(message)


def free_port() -> int:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port: int = server.server_address[1]
    server.server_close()
    return port


@pytest.mark.parametrize("queue", ["table", "upstash"])
def test_a_deployment_that_calls_itself_completes(
    world: World, postgres_url: str, redis_url: str, tmp_path: Path, queue: str
) -> None:
    port = free_port()
    # One run at a time: each must have left its slot before the next may begin.
    env = {"RUN_TRIGGER": "self", "PUBLIC_URL": f"http://127.0.0.1:{port}", "MAX_RUNS": "1"}
    with serving_upstash(redis_url) as upstash:
        upstash.empty()
        if queue == "upstash":
            env |= {
                "UPSTASH_REDIS_REST_URL": upstash.url,
                "UPSTASH_REDIS_REST_TOKEN": upstash.token,
            }
        with deployed(world, postgres_url, tmp_path, port, **env) as site:
            site.complete(site.watch())
            assert site.runs() > 3
        assert (upstash.counters.calls > 0) == (queue == "upstash")


def test_cron_ticks_alone_complete_a_sync_and_survive_an_emptied_redis(
    world: World, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    with serving_upstash(redis_url) as upstash:
        env = {
            "UPSTASH_REDIS_REST_URL": upstash.url,
            "UPSTASH_REDIS_REST_TOKEN": upstash.token,
        }
        with deployed(world, postgres_url, tmp_path, free_port(), **env) as site:
            wallet_id = site.watch()

            def tick() -> None:
                upstash.empty()
                bearer = {"authorization": f"Bearer {SECRET}"}
                assert site.client.get("/api/internal/tick", headers=bearer, timeout=30).is_success

            site.complete(wallet_id, tick)


def test_the_database_calls_when_a_chunk_is_closed(
    world: World, postgres_url: str, tmp_path: Path
) -> None:
    port = free_port()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(STUB_OF_PG_NET)
    stop = threading.Event()

    def worker() -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            while not stop.is_set():
                taken = connection.execute(
                    "DELETE FROM net.queue WHERE id = (SELECT min(id) FROM net.queue)"
                    " RETURNING url, body::text, headers"
                ).fetchone()
                if taken is None:
                    stop.wait(0.05)
                    continue
                # pg_net sends the text of the jsonb: it must still be what was signed.
                httpx.post(taken[0], content=taken[1], headers=taken[2])

    thread = threading.Thread(target=worker)
    thread.start()
    env = {"RUN_TRIGGER": "postgres", "PUBLIC_URL": f"http://127.0.0.1:{port}"}
    try:
        with deployed(world, postgres_url, tmp_path, port, **env) as site:
            site.complete(site.watch())
            assert site.runs() > 3
    finally:
        stop.set()
        thread.join()


class _Qstash(BaseHTTPRequestHandler):
    """Takes a message and delivers it, signed, as https://upstash.com/docs/qstash tells."""

    published: list[dict[str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.published.append({name.lower(): text for name, text in self.headers.items()})
        url = self.path.removeprefix("/v2/publish/")
        signature = {"upstash-signature": signed(url, body)}
        threading.Thread(
            target=httpx.post, args=(url,), kwargs={"content": body, "headers": signature}
        ).start()
        self.send_response(201)
        answer = b'{"messageId":"msg_1"}'
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def signed(url: str, body: bytes, key: str = SIGNING_KEY) -> str:
    """A JWT as QStash makes it."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    now = int(time.time())  # noqa: TID251 - another service's clock
    claims = {
        "iss": "Upstash",
        "sub": url,
        "nbf": now,
        "exp": now + 300,
        "jti": os.urandom(8).hex(),
        "body": part(hashlib.sha256(body).digest()),
    }
    head = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
    return head + "." + part(hmac.new(key.encode(), head.encode(), hashlib.sha256).digest())


def test_qstash_calls(world: World, postgres_url: str, tmp_path: Path) -> None:
    port = free_port()
    handler = type("Handler", (_Qstash,), {"published": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    env = {
        "RUN_TRIGGER": "qstash",
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "QSTASH_URL": f"http://127.0.0.1:{server.server_address[1]}",
        "QSTASH_TOKEN": "token",
        "QSTASH_CURRENT_SIGNING_KEY": "sig_other",
        "QSTASH_NEXT_SIGNING_KEY": SIGNING_KEY,
    }
    try:
        with deployed(world, postgres_url, tmp_path, port, **env) as site:
            site.complete(site.watch())
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    asked = handler.published  # type: ignore[attr-defined]
    assert len({each["upstash-deduplication-id"] for each in asked}) == len(asked) > 1
    assert {each["upstash-flow-control-value"] for each in asked} == {"parallelism=3"}
    assert {each["authorization"] for each in asked} == {"Bearer token"}
