"""``tallybook serve``: who may be served, and that server and worker end in order."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import pytest

from functions.cli import serve
from functions.local_worker import LocalWorker
from shared.clock import Deadline
from shared.errors import StorageError
from shared.runtime import Runtime
from shared.settings import Settings
from shared.sync.run import RunReport
from tests.fakes import FakeClock


def _arguments(*given: str) -> Namespace:
    parser = ArgumentParser()
    serve.configure(parser)
    return parser.parse_args(given)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])  # noqa: S104
def test_a_reachable_host_needs_a_token(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = serve.run(_arguments("--host", host))

    assert code == 2
    assert "Set API_TOKEN" in capsys.readouterr().err


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _health(port: int) -> int:
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as answer:
                status: int = answer.status
                return status
        except OSError:
            time.sleep(0.05)  # noqa: TID251 - a real process takes real time
    message = "the server does not answer"
    raise TimeoutError(message)


@pytest.mark.parametrize("options", [[], ["--no-worker"]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_server_and_worker_with_code_0(
    tmp_path: Path, number: signal.Signals, options: list[str]
) -> None:
    port = _free_port()
    program = (
        "import sys; from argparse import ArgumentParser; from functions.cli import serve;"
        "p = ArgumentParser(); serve.configure(p); sys.exit(serve.run(p.parse_args()))"
    )
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{tmp_path / 'serve.db'}"}  # noqa: TID251
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program, "--port", str(port), *options],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert _health(port) == 200

        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()

    assert process.returncode == 0, errors
    assert "Traceback" not in errors


class ScriptedEngine:
    """Does what it is told, turn by turn, and remembers."""

    def __init__(self, script: list[Exception | None]) -> None:
        self.script = script
        self.deadlines: list[Deadline] = []
        self.called = threading.Event()

    def sweep(self) -> int:
        return 1

    def tidy(self) -> None:
        pass

    def run(self, deadline: Deadline) -> RunReport:
        self.deadlines.append(deadline)
        failure = self.script.pop(0) if self.script else None
        if not self.script:
            self.called.set()
        if failure is not None:
            raise failure
        return RunReport(())


class ScriptedRuntime(Runtime):
    """A runtime over a scripted engine."""

    engine_of_sync: ScriptedEngine

    @property
    def sync(self) -> Any:
        return self.engine_of_sync


def test_the_worker_outlives_failures_and_stops_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.local_worker.AFTER_ERROR_S", 0.0)
    runtime = ScriptedRuntime.from_settings(Settings(), clock=FakeClock())
    assert isinstance(runtime, ScriptedRuntime)
    engine = ScriptedEngine([StorageError("gone"), RuntimeError("bug"), None])
    runtime.engine_of_sync = engine
    worker = LocalWorker(runtime, idle_s=0.01)

    worker.start()
    assert engine.called.wait(10)
    worker.stop()

    assert len(engine.deadlines) >= 3
    # To stop is to have no time left, also for the run under way.
    assert engine.deadlines[0].remaining_s() == 0.0
