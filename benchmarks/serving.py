"""``GET history`` against what a Node team would write, and against one bare psycopg handler.

Each server is one process; the load comes from autocannon over eight connections.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks import history
from benchmarks.harness import Measure, postgres, ratio

ROOT = Path(__file__).parent.parent
NODE = ROOT / "benchmarks" / "node"
ROUNDS, SECONDS, CONNECTIONS = 3, 4, 8
PATH = "/api/wallets/1/history?limit=100"
UVICORN = (sys.executable, "-m", "uvicorn", "--log-level", "warning")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def started(
    command: list[str],
    url: str,
    env: dict[str, str],
    folder: Path,
    path: str = PATH,
    *,
    hurry: bool = False,
) -> Iterator[str]:
    """A server of its own process that answers at ``url``, killed at the end in a ``hurry``."""
    everything = {**os.environ, **env}  # noqa: TID251 - for a child
    process = subprocess.Popen(command, env=everything, cwd=folder)  # noqa: S603 - ours
    try:
        give_up = time.monotonic() + 30
        while True:
            try:
                assert "items" in json.load(urlopen(url + path))  # noqa: S310 - ours
                break
            except URLError:
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < give_up, "the server does not answer"
                time.sleep(0.005)  # noqa: TID251 - a real process
        yield url
    finally:
        if hurry:
            process.kill()
        else:
            process.terminate()
        process.wait()


def load(url: str) -> tuple[float, float]:
    """Requests a second and the 99th percentile in milliseconds."""
    words = ("-c", str(CONNECTIONS), "-d", str(SECONDS), "--json", "--no-progress", url + PATH)
    done = subprocess.run(  # noqa: S603 - ours
        [str(NODE / "node_modules/.bin/autocannon"), *words],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert not told["non2xx"] and not told["errors"], told  # noqa: PT018 - one thing
    return float(told["requests"]["average"]), float(told["latency"]["p99"])


def run() -> list[Measure]:
    """The measures of this file."""
    npm = shutil.which("npm")
    assert npm is not None, "this benchmark needs Node"
    subprocess.run([npm, "ci", "--silent"], cwd=NODE, check=True)  # noqa: S603 - ours
    with postgres() as engine, ExitStack() as servers:
        streams = history.fill(engine)
        assert streams
        env = {"DATABASE_URL": engine.url.set(drivername="postgresql").render_as_string(False)}

        def serve(*words: str) -> str:
            port = free_port()
            env["PORT"] = str(port)
            command = [*words, str(port)] if words[0] == sys.executable else list(words)
            url = f"http://127.0.0.1:{port}"
            return servers.enter_context(started(command, url, dict(env), ROOT))

        ours = serve(*UVICORN, "functions.asgi:app", "--port")
        bare = serve(*UVICORN, "benchmarks.bare_handler:app", "--port")
        node = serve("node", str(NODE / "history.mjs"))
        took: dict[str, list[tuple[float, float]]] = {ours: [], bare: [], node: []}
        for _ in range(ROUNDS):
            for url, results in took.items():
                results.append(load(url))
    rate = {url: statistics.median(each[0] for each in results) for url, results in took.items()}
    p99 = {url: statistics.median(each[1] for each in results) for url, results in took.items()}
    return [
        rival("GET history against fastify + pg, prepared", rate[ours], rate[node], least=1.2),
        rival("GET history against a bare psycopg handler", rate[ours], rate[bare], least=0.8),
        ratio("its p99 against fastify + pg", p99[ours], p99[node], "ms", most=1.0),
    ]


def rival(what: str, ours: float, theirs: float, *, least: float) -> Measure:
    """Requests a second beside another server's."""
    value = ours / theirs
    aim = f"≥ {least:g} x"
    return Measure(what, f"{ours:.0f}/s", f"{theirs:.0f}/s", value, aim, value >= least)
