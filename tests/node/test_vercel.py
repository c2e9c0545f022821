"""The project as Vercel has it: built by its own command line, served by its own runtime."""

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from shared import auth
from shared.auth import SignedCall
from shared.emulator.emulator import Emulator
from shared.emulator.server import serving as serving_provider
from shared.emulator.server import variables
from shared.emulator.store import WorldStore
from shared.emulator.world import World, WorldConfig
from tests import npm, truth, vercel
from tests.vercel import Bundle

pytestmark = pytest.mark.slow

TOKEN, CRON_SECRET = "token-of-the-owner", "secret-of-the-cron"
MOST_SOURCE_BYTES, MOST_BYTES = 55_000_000, 80_000_000
AT_ONCE, POOL = 5, 6
# Nothing that only developers, other entry points or other platforms need.
FOREIGN = (".", "benchmarks/", "docs/", "functions/cli/", "shared/emulator/", "tests/")
# The last: a second copy of our own source.
FOREIGN_PACKAGES = ("bullmq", "redis", "boto3", "botocore", "mangum", "pytest", "shared")
OWN = {"_vendor", "functions", "pyproject.toml", "schema", "shared", "vc__handler__python.py"}
WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"


@dataclass(frozen=True)
class Built:
    """The built project, laid out as the platform does."""

    bundle: Bundle
    unpacked: Path
    python: Path

    @contextmanager
    def serving(self, url: str, *more: str) -> Iterator[httpx.Client]:
        env = {"DATABASE_URL": url, "API_TOKEN": TOKEN, "CRON_SECRET": CRON_SECRET}
        env |= dict(line.split("=", 1) for line in more)
        with (
            vercel.serving(self.unpacked, self.bundle, self.python, env) as base,
            vercel.client(base, TOKEN) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def python() -> Path:
    found = vercel.newer_python()
    if found is None:
        pytest.skip("Vercel's runtime needs Python 3.12 or newer, and there is none here")
    npm.install(vercel.CLI.parents[2])
    return found


@pytest.fixture(scope="module")
def built(python: Path, tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Built:
    """Built once, by whichever worker comes first."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # noqa: TID251 - pytest's own
        shared = shared.parent
    home = shared / f"vercel-{testrun_uid}"
    home.mkdir(exist_ok=True)
    project, unpacked = home / "project", home / "unpacked"
    bundle = Bundle(project, project / ".vercel/output/functions/fastapi.func")
    with (home / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not unpacked.exists():
            vercel.copy_project(project)
            vercel.build(project, python, "fastapi")
            bundle.unpack(unpacked)
            shutil.rmtree(project / ".vercel/python")  # some 200 MB, which pytest would keep
    return Built(bundle, unpacked, python)


@pytest.fixture(scope="module")
def world() -> World:
    return World(11, WorldConfig(wallets=1, movements=120, blocks=40))


def test_the_bundle_holds_the_product_and_nothing_else(built: Built) -> None:
    files = built.bundle.files
    top = {name.split("/")[0] for name in files}
    packages = {name.split("/")[1] for name in files if name.startswith("_vendor/")}

    assert top == OWN
    assert [name for name in files if name.startswith(FOREIGN)] == []
    assert packages.isdisjoint(FOREIGN_PACKAGES)
    assert "functions/aws_lambda.py" not in files
    assert "shared/sources/providers.toml" in files


def test_the_bundle_is_small_and_carries_its_bytecode(built: Built) -> None:
    sizes = {name: (built.unpacked / name).stat().st_size for name in built.bundle.files}
    sources = {name for name in sizes if name.endswith(".py")}
    compiled = {_source_of(name) for name in sizes if name.endswith(".pyc")}

    without = sum(size for name, size in sizes.items() if not name.endswith(".pyc"))
    assert without < MOST_SOURCE_BYTES
    assert sum(sizes.values()) < MOST_BYTES
    assert sources - compiled == {"vc__handler__python.py"}


def test_the_platform_is_told_the_box_and_one_daily_cron(built: Built) -> None:
    told = json.loads((built.bundle.project / ".vercel/output/config.json").read_text())

    assert built.bundle.config["maxDuration"] == 300
    assert told["crons"] == [{"path": "/api/internal/tick", "schedule": "0 3 * * *"}]


def test_a_wallet_is_added_synced_and_read_over_http(
    built: Built, postgres_url: str, world: World
) -> None:
    account = truth.hexed(world.wallets[0])
    body = {"address": account, "chains": [1], "source": "etherscan"}
    emulator = Emulator(WorldStore(world))

    with (
        serving_provider(emulator) as provider,
        built.serving(postgres_url, *variables(provider), "RUN_TRIGGER=none") as api,
    ):
        health = api.get("/api/health")
        added = api.post("/api/wallets", json=body)
        wallet = added.headers["location"]
        ticked = api.get("/api/internal/tick", headers={"authorization": f"Bearer {CRON_SECRET}"})
        sync = api.get(f"{wallet}/sync").json()
        balances = api.get(f"{wallet}/balances").json()
        history = api.get(f"{wallet}/history?limit=500").json()

    assert (health.status_code, health.json()["status"]) == (200, "ok")
    assert added.status_code == 201, added.text
    assert ticked.status_code == 200, ticked.text
    assert sync["state"] == "up_to_date", sync
    assert len(history["items"]) > 100
    assert balances["items"]


def test_work_goes_on_behind_an_early_answer_and_a_signed_call(
    built: Built, postgres_url: str, world: World
) -> None:
    body = {"address": truth.hexed(world.wallets[0]), "chains": [1], "source": "etherscan"}
    cron = {"authorization": f"Bearer {CRON_SECRET}"}

    with (
        serving_provider(Emulator(WorldStore(world))) as provider,
        built.serving(postgres_url, *variables(provider), "RUN_TRIGGER=none") as api,
    ):
        wallet = api.post("/api/wallets", json=body).headers["location"]
        early = api.post("/api/internal/tick?early=true", headers=cron)
        _until_up_to_date(api, wallet)
        assert api.post(f"{wallet}/sync").status_code == 202
        path, sent = "/api/internal/chunk", b'{"id": "1"}'
        call = SignedCall(int(time.time()), "POST", path, sent)  # noqa: TID251 - its own clock
        signed = auth.headers(auth.chunk_key(CRON_SECRET), call)
        accepted = api.post(path, content=sent, headers=signed)
        _until_up_to_date(api, wallet)
        replayed = api.post(path, content=sent, headers=signed)

    assert (early.status_code, early.json()["chunks"]) == (202, 0)
    assert accepted.status_code == 202
    assert replayed.status_code == 409


def _until_up_to_date(api: httpx.Client, wallet: str) -> None:
    give_up = time.monotonic() + 30
    while api.get(f"{wallet}/sync").json()["state"] != "up_to_date":
        assert time.monotonic() < give_up
        time.sleep(0.1)  # noqa: TID251 - a real process


def test_strangers_are_refused_behind_the_platforms_proxy(built: Built, postgres_url: str) -> None:
    with built.serving(postgres_url) as api:
        del api.headers["authorization"]
        statuses = [
            api.get(path).status_code
            for path in ("/api/wallets", "/api/internal/tick", "/api/internal/prices")
        ]

    assert statuses == [401, 401, 401]


def test_one_instance_serves_five_requests_at_once(built: Built, postgres_url: str) -> None:
    """All five wait in the database at once, for a lock that the test holds."""
    with built.serving(postgres_url) as api, psycopg.connect(postgres_url) as blocker:
        assert api.get("/api/wallets").status_code == 200
        blocker.execute("LOCK TABLE tallybook.wallet IN ACCESS EXCLUSIVE MODE")
        with ThreadPoolExecutor(AT_ONCE) as callers:
            answers = [callers.submit(api.get, "/api/wallets") for _ in range(AT_ONCE)]
            with psycopg.connect(postgres_url, autocommit=True) as watcher:
                while _number(watcher, WAITING) < AT_ONCE:
                    assert not any(answer.done() for answer in answers)
                sessions = _number(watcher, SESSIONS, blocker.info.dbname)
            blocker.rollback()
            statuses = [answer.result().status_code for answer in answers]

    assert statuses == [200] * AT_ONCE
    assert sessions - 1 <= POOL  # the blocker is one of them


def test_the_deadline_is_the_one_that_the_runtime_tells(built: Built, postgres_url: str) -> None:
    """The product's own code and Vercel's, in the bundle, for an invocation of 100 seconds."""
    code = """
import vc__handler__python
from datetime import UTC, datetime, timedelta
from functions.invocation import deadline_of
from shared.runtime import Runtime
from shared.settings import Settings
from vercel_runtime import deadline

runtime = Runtime.from_settings(Settings.load())
before = deadline_of(runtime).remaining_s()
deadline.set_deadline((datetime.now(UTC) + timedelta(seconds=100)).isoformat())
print(before, deadline_of(runtime).remaining_s())
"""
    env = {"DATABASE_URL": postgres_url, "RUN_BUDGET_S": "7", "RESERVE_S": "20"}

    done = subprocess.run(  # noqa: S603 - our own words
        [str(built.python), "-S", "-c", "import sys; sys.path.insert(0, '.')" + code],
        cwd=built.unpacked,
        env=vercel.process_env(built.bundle, env),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    settings_s, told_s = map(float, done.stdout.split())
    assert 0 < settings_s <= 7
    assert 7 < told_s <= 80


def test_an_ipv6_only_database_is_named_by_health_without_its_host(built: Built) -> None:
    url = "postgresql://postgres:hunter2@db.abcdefghijkl.supabase.co:5432/postgres?sslmode=require"
    with built.serving(url) as api:
        answer = api.get("/api/health")

    assert answer.status_code == 503
    assert "IPv6" in answer.json()["problem"]
    assert "abcdefghijkl" not in answer.text
    assert "hunter2" not in answer.text


def test_it_builds_as_a_service_beside_a_frontend(python: Path, tmp_path: Path) -> None:
    """With the very ``vercel.json`` that the documentation gives."""
    examples = vercel.json_blocks(vercel.ROOT / "docs/deploy-vercel.md")
    [config] = [example for example in examples if "services" in example]
    vercel.copy_project(tmp_path / "api")
    (tmp_path / "api/vercel.json").unlink()
    (tmp_path / "web").mkdir()
    (tmp_path / "web/index.html").write_text("<h1>Wallets</h1>")
    # Bytecode is not the question here, and takes most of a build.
    (tmp_path / "vercel.json").write_text(json.dumps(config | {"build": {}}))

    vercel.build(tmp_path, python, None)

    output = tmp_path / ".vercel/output"
    bundle = Bundle(tmp_path, output / "services/api/functions/fastapi.func")
    routes = json.loads((output / "config.json").read_text())["routes"]
    assert (output / "services/web/static/index.html").is_file()
    assert bundle.config["maxDuration"] == 300
    assert {name.split("/")[0] for name in bundle.files} == OWN
    assert "functions/asgi.py" in bundle.files
    assert [name for name in bundle.files if name.startswith(FOREIGN)] == []
    shutil.rmtree(tmp_path / "api/.vercel")
    assert [route["destination"]["service"] for route in routes if "destination" in route] == [
        "api",
        "web",
    ]


def _source_of(compiled: str) -> str:
    """``a/__pycache__/b.cpython-312.pyc`` is of ``a/b.py``."""
    path = Path(compiled)
    return str(path.parents[1] / path.name.split(".")[0]) + ".py"


def _number(connection: psycopg.Connection[Any], query: Any, *values: str) -> int:
    row = connection.execute(query, values or None).fetchone()
    assert row is not None
    number: int = row[0]
    return number
