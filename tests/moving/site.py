"""A deployment with everything: an API, workers set up for each queue, and a mover that dies."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from shared.emulator.world import World
from tests import commands, truth
from tests.flows.test_chain import free_port

CHAIN = 1
PATIENCE_S = 90.0
KILLED_AFTER_S = (0.3, 4.0)
LANDS = ("table", "upstash", "bullmq")


@dataclass
class Site:
    """Processes over one database, one Upstash and one Redis."""

    home: Path
    env: dict[str, str]
    upstash: dict[str, str]
    redis_url: str
    world: World
    kind: str = "table"  # the queue that the API is set up for
    workers: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.port = free_port()
        self._logs: list[Any] = []
        words = ("-m", "uvicorn", "functions.asgi:app", "--port", str(self.port))
        self.api = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, *words, "--log-level", "warning"],
            env=self.env_of(self.kind),
            cwd=commands.ROOT,
            text=True,
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10)
        self._over = threading.Event()
        self._caller = threading.Thread(target=self._call, daemon=True)

    def wait_for_api(self) -> None:
        until(self._answers, "the API does not answer")
        self._caller.start()

    def env_of(self, kind: str) -> dict[str, str]:
        """What a process set up for a queue sees."""
        if kind == "table":
            return self.env
        if kind == "upstash":
            return {**self.env, **self.upstash}
        return {**self.env, **self.upstash, "USE_BULLMQ": "true", "REDIS_URL": self.redis_url}

    def start_worker(self, kind: str) -> None:
        log = (self.home / f"worker-{kind}.log").open("a")
        self._logs.append(log)
        self.workers[kind] = subprocess.Popen(
            [sys.executable, "-m", "functions.cli", "worker", "--port", "0"],
            env=self.env_of(kind) | {"LOG_LEVEL": "WARNING"},
            cwd=commands.ROOT,
            text=True,
            stdout=log,
            stderr=log,
        )

    def kill_worker(self, kind: str) -> None:
        self.workers[kind].kill()
        self.workers[kind].wait()
        self.start_worker(kind)

    def watch(self, wallet: bytes) -> None:
        body = {"address": truth.hexed(wallet), "chains": [CHAIN], "source": "etherscan"}
        answer = self.client.post("/api/wallets", json=body)
        assert answer.status_code in {200, 201}, answer.text

    def move(self, rng: random.Random, *words: str, kills: int) -> str:
        """A mover that is killed so often, then one that may end; what the last one said."""
        env = self.env_of("bullmq")
        for _ in range(kills):
            process = commands.start(env, *words)
            try:
                process.wait(rng.uniform(*KILLED_AFTER_S))
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate()
        done = commands.run(env, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def states(self) -> set[str]:
        wallets = self.client.get("/api/wallets?limit=200").json()["items"]
        return {
            self.client.get(f"/api/wallets/{wallet['id']}/sync").json()["state"]
            for wallet in wallets
        }

    def close(self) -> None:
        self._over.set()
        if self._caller.is_alive():
            self._caller.join()
        for process in (*self.workers.values(), self.api):
            process.kill()
            process.wait()
        for log in self._logs:
            log.close()
        self.client.close()

    def _answers(self) -> bool:
        try:
            return self.client.get("/api/health").status_code == 200
        except httpx.HTTPError:
            return False

    def _call(self) -> None:
        """A frontend that never stops asking."""
        paths = ("/api/wallets", "/api/wallets/1/history", "/api/wallets/1/balances", "/api/health")
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10) as client:
            while not self._over.wait(0.1):
                for path in paths:
                    answer = client.get(path)
                    self.asked += 1
                    if answer.status_code >= 400 and answer.status_code != 404:
                        self.errors.append(f"{path}: {answer.status_code} {answer.text[:200]}")


def until(is_so: Callable[[], bool], why: str) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up, why
        time.sleep(0.2)  # noqa: TID251 - real processes


def stopped(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> int:
    """The exit code of a process that is told to end."""
    os.kill(process.pid, number)
    return process.wait(30)
