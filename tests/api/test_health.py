"""What health tells: of the database, of the queue, and how to mend either."""

import os
import subprocess
import sys

import pytest

from shared.emulator.upstash.server import serving_upstash
from shared.runtime import Runtime
from tests import commands
from tests.api.conftest import Api, make_client, make_runtime
from tests.conftest import Database

CALL = """
import asyncio, functions.asgi as entry, httpx
async def ask(path):
    transport = httpx.ASGITransport(app=entry.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.request("DELETE" if path == "/" else "GET", path)
        print(answer.status_code, answer.headers["content-type"], answer.text)
for path in ("/api/health", "/api/wallets", "/"):
    asyncio.run(ask(path))
"""


def on_upstash(database: Database, url: str, token: str) -> Runtime:
    return make_runtime(database, upstash_redis_rest_url=url, upstash_redis_rest_token=token)


def test_health_is_ok_over_a_fit_database(api: Api) -> None:
    answer = api.get("/health")

    assert answer.status_code == 200
    body = answer.json()
    assert (body["status"], body["reachable"]) == ("ok", True)
    assert (body["problem"], body["fix"], body["standby"]) == (None, None, None)
    assert body["revision"] == body["head"]
    assert body["queue"] == {"ready": 0, "delayed": 0, "claimed": 0, "buried": 0}


def test_health_is_down_without_tables_and_says_so(empty_database: Database) -> None:
    runtime = make_runtime(empty_database)

    answer = make_client(runtime).get("/api/health")
    runtime.close()

    body = answer.json()
    assert (answer.status_code, body["status"], body["reachable"]) == (503, "down", True)
    assert "no tables" in body["problem"]
    assert body["fix"] == "Run tallybook init."


def test_health_is_down_without_a_database_and_holds_no_secret(database: Database) -> None:
    url = "postgresql://user:hunter2@127.0.0.1:1/none"
    runtime = make_runtime(Database(database.engine, url, "postgres", database.clock))

    answer = make_client(runtime).get("/api/health")
    runtime.close()

    body = answer.json()
    assert (answer.status_code, body["status"], body["reachable"]) == (503, "down", False)
    assert "DATABASE_URL" in body["fix"]
    assert "hunter2" not in answer.text


def test_the_queue_is_counted_no_more_than_twice_a_minute(database: Database) -> None:
    with serving_upstash() as upstash:
        runtime = on_upstash(database, upstash.url, upstash.token)
        client = make_client(runtime, "203.0.113.7")
        before = upstash.counters.calls

        answers = [client.get("/api/health").json() for _ in range(5)]
        asked = upstash.counters.calls - before
        database.clock.advance(30.5)
        client.get("/api/health")
        later = upstash.counters.calls - before
        runtime.close()

    assert (asked, later) == (1, 2)
    assert {answer["status"] for answer in answers} == {"ok"}
    assert None not in [answer["queue"] for answer in answers]


def test_a_queue_out_of_reach_degrades_and_says_how_to_mend_it(database: Database) -> None:
    runtime = on_upstash(database, "http://127.0.0.1:1", "token")

    answer = make_client(runtime).get("/api/health")
    reading = make_client(runtime).get("/api/wallets")
    runtime.close()

    body = answer.json()
    assert (answer.status_code, reading.status_code) == (200, 200)
    assert (body["status"], body["reachable"], body["queue"]) == ("degraded", True, None)
    assert body["problem"].startswith("the queue is out of reach: Upstash did not answer")
    assert "UPSTASH_REDIS_REST_URL" in body["fix"]


def test_a_trigger_that_cannot_be_made_is_told_with_its_fix(database: Database) -> None:
    runtime = make_runtime(database, run_trigger="self", public_url="https://app.example")

    answer = make_client(runtime).get("/api/health")
    runtime.close()

    body = answer.json()
    assert (answer.status_code, body["status"], body["reachable"]) == (503, "down", True)
    assert "CRON_SECRET" in body["problem"]
    assert "CRON_SECRET" in body["fix"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LEASE_S", "hunter2"),
        ("LEASE_S", "inf"),
        ("API_PREFIX", "hunter2"),
        ("SOURCE", "hunter2"),
        ("SOURCE__NOBODY__API_KEY", "hunter2"),
        ("PUBLIC_URL", "hunter2"),
        ("UPSTASH_REDIS_REST_TOKEN", "hunter2"),
    ],
)
def test_wrong_settings_are_told_by_every_answer(variable: str, value: str) -> None:
    found = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", CALL],
        env={"PATH": os.defpath, variable: value},
        cwd=commands.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    answers = found.stdout.splitlines()
    assert len(answers) == 3
    for answer in answers:
        assert answer.startswith("503 application/problem+json {")
        assert '"code":"config"' in answer
        assert '"fix":"' in answer
        assert variable.removesuffix("API_KEY") in answer
    assert "hunter2" not in found.stdout + found.stderr
    assert "Traceback" not in found.stderr
