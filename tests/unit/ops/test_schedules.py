"""The cron calls: installed again and again, asked for with their answers, and taken away."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from functions.cli.__main__ import main
from schema.engine import autocommit
from shared.errors import ConfigError, SchedulerError
from shared.ops.schedules.base import Call, Scheduler
from shared.ops.schedules.factory import make_scheduler
from shared.runtime import Runtime
from shared.settings import Settings
from tests.conftest import Database
from tests.fakes import FakeClock

STUBS = (Path(__file__).parents[2] / "fixtures" / "supabase.sql").read_text()
TOKEN = "token"
SECRET = "it's a secret"
URL = "https://app.example/"


def _runtime(database_url: str, **changes: Any) -> Runtime:
    values = {
        "database_url": SecretStr(database_url),
        "cron_secret": SecretStr(SECRET),
        "public_url": URL,
        **changes,
    }
    return Runtime.from_settings(Settings.load(**values), clock=FakeClock())


@pytest.fixture
def runtime(postgres_url: str) -> Iterator[Runtime]:
    made = _runtime(postgres_url)
    yield made
    made.close()


@pytest.fixture
def supabase(runtime: Runtime) -> Scheduler:
    _run(runtime, STUBS)
    return make_scheduler("supabase", runtime.settings, runtime.engine)


def _run(runtime: Runtime, sql: str) -> list[Any]:
    with autocommit(runtime.engine) as connection:
        done = connection.exec_driver_sql(sql, execution_options={"no_parameters": True})
        return list(done) if done.returns_rows else []


def _minute(runtime: Runtime) -> None:
    """What pg_cron does when the time has come."""
    for (command,) in _run(runtime, "SELECT command FROM cron.job ORDER BY jobname"):
        _run(runtime, command)


def test_supabase_calls_with_the_secret_of_the_vault(runtime: Runtime, supabase: Scheduler) -> None:
    supabase.install()
    _minute(runtime)

    sent = _run(runtime, "SELECT url, headers FROM net.http_request_queue ORDER BY url")

    assert [url for url, _ in sent] == [
        "https://app.example/api/internal/prices?early=true",
        "https://app.example/api/internal/tick?early=true",
    ]
    assert {headers["Authorization"] for _, headers in sent} == {f"Bearer {SECRET}"}
    (commands,) = _run(runtime, "SELECT string_agg(command, ' ') FROM cron.job")
    assert SECRET not in commands[0]


def test_supabase_installed_again_is_as_installed_once_with_what_is_new(
    runtime: Runtime, supabase: Scheduler
) -> None:
    supabase.install()
    before = _run(runtime, "SELECT jobid, jobname, schedule, command FROM cron.job ORDER BY 1")

    changed = _runtime(str(runtime.settings.resolved_database_url()), cron_secret=SecretStr("new"))
    make_scheduler("supabase", changed.settings, changed.engine).install()
    changed.close()
    _minute(runtime)

    after = _run(runtime, "SELECT jobid, jobname, schedule, command FROM cron.job ORDER BY 1")
    assert after == before
    (sent,) = _run(runtime, "SELECT DISTINCT headers->>'Authorization' FROM net.http_request_queue")
    assert sent == ("Bearer new",)


def test_supabase_s_status_shows_each_job_s_own_answers(
    runtime: Runtime, supabase: Scheduler
) -> None:
    assert [job.cron for job in supabase.status()] == [None, None]
    supabase.install()
    for _ in range(2):
        _minute(runtime)
    # The first tick was answered, the second prices call failed; the others have no answer yet.
    answers = """
    INSERT INTO net._http_response (id, status_code, content, error_msg)
    SELECT min(id), 202, '{"runs": 1}', NULL FROM tallybook_ops.call WHERE job = 'tallybook-tick'
    UNION ALL
    SELECT max(id), NULL, NULL, 'Timeout was reached' FROM tallybook_ops.call
      WHERE job = 'tallybook-prices'"""
    _run(runtime, answers)

    tick, prices = supabase.status()

    assert (tick.cron, prices.cron) == ("* * * * *", "*/15 * * * *")
    assert [(c.status, c.note) for c in tick.calls] == [(None, ""), (202, '{"runs": 1}')]
    assert [(c.status, c.note) for c in prices.calls] == [
        (None, "Timeout was reached"),
        (None, ""),
    ]


def test_supabase_is_left_as_it_was(runtime: Runtime, supabase: Scheduler) -> None:
    supabase.install()

    for _ in range(2):
        supabase.remove()

    assert _run(runtime, "SELECT jobname FROM cron.job") == []
    assert _run(runtime, "SELECT name FROM vault.secrets") == []
    assert [job.cron for job in supabase.status()] == [None, None]


def test_what_supabase_prints_can_be_pasted(runtime: Runtime, supabase: Scheduler) -> None:
    plan = supabase.plan()
    pasted = "\n".join(line for line in plan.splitlines() if "CREATE EXTENSION" not in line)

    _run(runtime, pasted)
    _minute(runtime)

    assert SECRET not in plan
    sent = _run(runtime, "SELECT url FROM net.http_request_queue ORDER BY url")
    assert sent[1] == ("https://app.example/api/internal/tick?early=true",)
    assert [job.cron for job in supabase.status()] == ["* * * * *", "*/15 * * * *"]


def test_a_refusal_installs_nothing_and_tells_no_secret(
    runtime: Runtime, supabase: Scheduler
) -> None:
    _run(runtime, "DROP FUNCTION cron.schedule")

    with pytest.raises(SchedulerError, match=r"cron\.schedule") as caught:
        supabase.install()

    assert SECRET not in caught.value.detail
    assert _run(runtime, "SELECT name FROM vault.secrets") == []


def test_a_database_without_the_extensions_is_told_so(runtime: Runtime) -> None:
    scheduler = make_scheduler("supabase", runtime.settings, runtime.engine)

    with pytest.raises(SchedulerError, match="no pg_cron"):
        scheduler.status()
    with pytest.raises(SchedulerError, match="pg_cron"):
        scheduler.install()


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"cron_secret": None}, "CRON_SECRET"),
        ({"public_url": None}, "URL"),
    ],
)
def test_what_is_missing_is_named(postgres_url: str, changes: Any, missing: str) -> None:
    runtime = _runtime(postgres_url, **changes)
    scheduler = make_scheduler("supabase", runtime.settings, runtime.engine)

    with pytest.raises(ConfigError, match=missing):
        scheduler.install()
    runtime.close()


def test_neither_is_possible_without_what_it_needs(tmp_path: Path) -> None:
    runtime = _runtime(f"sqlite:///{tmp_path}/t.db")

    with pytest.raises(ConfigError, match="DATABASE_URL"):
        make_scheduler("supabase", runtime.settings, runtime.engine)
    with pytest.raises(ConfigError, match="QSTASH_TOKEN"):
        make_scheduler("qstash", runtime.settings, runtime.engine)
    runtime.close()


@pytest.mark.parametrize("url", ["app.example", "https://it's.example", "https://a b", "ftp://x"])
def test_what_is_no_url_is_refused_before_anything_is_shown(runtime: Runtime, url: str) -> None:
    with pytest.raises(ConfigError, match="no URL"):
        make_scheduler("supabase", runtime.settings, runtime.engine, url)


class _Qstash(BaseHTTPRequestHandler):
    """Schedules and logs, as https://upstash.com/docs/qstash/api-reference tells."""

    schedules: ClassVar[dict[str, dict[str, Any]]]
    logs: ClassVar[list[dict[str, Any]]]

    def log_message(self, *_: object) -> None:
        """Be silent."""

    def do_POST(self) -> None:
        destination = self.path.removeprefix("/v2/schedules/")
        name = self.headers["Upstash-Schedule-Id"]
        self.schedules[name] = {
            "scheduleId": name,
            "cron": self.headers["Upstash-Cron"],
            "destination": destination,
            "forwarded": self.headers["Upstash-Forward-Authorization"],
        }
        self._answer({"scheduleId": name}, 201)

    def do_DELETE(self) -> None:
        found = self.schedules.pop(self.path.removeprefix("/v2/schedules/"), None)
        self._answer(None, 200 if found else 404)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/v2/schedules":
            self._answer(
                [*self.schedules.values(), {"scheduleId": "scd_other", "cron": "0 0 * * *"}]
            )
            return
        wanted = parse_qs(url.query)["scheduleId"][0]
        self._answer({"logs": [each for each in self.logs if each["scheduleId"] == wanted]})

    def _answer(self, body: Any, status: int = 200) -> None:
        if self.headers["Authorization"] != "Bearer token":
            body, status = {"error": "unauthorized"}, 401
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def _qstash() -> Iterator[tuple[str, type[_Qstash]]]:
    handler = type("Handler", (_Qstash,), {"schedules": {}, "logs": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()


def _qstash_scheduler(url: str, postgres_url: str, token: str = TOKEN) -> Scheduler:
    runtime = _runtime(postgres_url, qstash_url=url, qstash_token=SecretStr(token))
    return make_scheduler("qstash", runtime.settings, runtime.engine)


def test_qstash_is_installed_asked_and_left(database: Database) -> None:
    with _qstash() as (url, service):
        scheduler = _qstash_scheduler(url, database.url)
        for _ in range(2):
            scheduler.install()
        tick = service.schedules["tallybook-tick"]
        service.logs += [
            {"scheduleId": "tallybook-tick", "time": 1_790_000_060_000, "state": "ERROR",
             "responseStatus": 500, "error": "boom"},
            {"scheduleId": "tallybook-tick", "time": 1_790_000_000_000, "state": "CREATED"},
            {"scheduleId": "tallybook-tick", "time": 1_790_000_000_000, "state": "DELIVERED",
             "responseStatus": 202},
        ]  # fmt: skip

        status = scheduler.status()
        for _ in range(2):
            scheduler.remove()

        assert tick["destination"] == "https://app.example/api/internal/tick"
        assert tick["forwarded"] == f"Bearer {SECRET}"
        assert [job.cron for job in status] == ["*/2 * * * *", "*/15 * * * *"]
        assert [(c.status, c.note) for c in status[0].calls] == [(500, "boom"), (202, "DELIVERED")]
        assert isinstance(status[0].calls[0], Call)
        assert service.schedules == {}
        assert SECRET not in scheduler.plan()


def test_qstash_s_refusal_is_told(database: Database) -> None:
    with _qstash() as (url, _), pytest.raises(SchedulerError, match="401"):
        _qstash_scheduler(url, database.url, token="wrong").install()
    with pytest.raises(SchedulerError, match="cannot be reached"):
        _qstash_scheduler(url, database.url).status()


def test_the_command_prints_first_and_does_it_when_told(
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _run(runtime, STUBS)
    monkeypatch.setenv("DATABASE_URL", runtime.settings.resolved_database_url())
    monkeypatch.setenv("CRON_SECRET", SECRET)
    words = ["--on", "supabase", "--url", URL]

    assert main(["cron", "status", *words]) == 1
    assert "not installed" in capsys.readouterr().out
    assert main(["cron", "install", *words]) == 0
    assert "cron.schedule('tallybook-tick'" in capsys.readouterr().out
    assert main(["cron", "status", *words]) == 1
    assert main(["cron", "install", "--apply", *words]) == 0
    assert main(["cron", "status", *words]) == 1  # nobody has called yet
    for status, code in ((202, 0), (401, 1)):
        _minute(runtime)
        newest = """INSERT INTO net._http_response (id, status_code)
            SELECT id, STATUS FROM tallybook_ops.call WHERE NOT EXISTS (
                SELECT 1 FROM net._http_response r WHERE r.id = call.id)"""
        _run(runtime, newest.replace("STATUS", str(status)))
        assert main(["cron", "status", *words]) == code
        assert str(status) in capsys.readouterr().out
    _run(runtime, "UPDATE tallybook_ops.call SET at = at - interval '2 hours'")
    _run(runtime, "UPDATE net._http_response SET status_code = 202")
    assert main(["cron", "status", *words]) == 1  # nobody calls any more
    assert main(["cron", "remove", "--apply", *words]) == 0
    assert main(["cron", "status", *words]) == 1
