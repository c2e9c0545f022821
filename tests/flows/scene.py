"""A database, a provider on this machine with a world behind it, and processes that come and go."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

from schema.engine import make_engine, reading
from schema.sql import Statement
from shared.clock import SystemClock
from shared.emulator.emulator import Emulator
from shared.emulator.server import serving, variables
from shared.emulator.store import WorldStore
from shared.emulator.world import World
from shared.ops.verify import verify
from tests import commands, truth
from tests.conftest import Database

CHAIN = 1
PATIENCE_S = 60.0
AN_HOUR = "3600"

_COUNTS = Statement("""
SELECT (SELECT count(*) FROM {t}movement), (SELECT coalesce(sum(next_block), 0) FROM {t}stream),
  (SELECT count(*) FROM {t}run), (SELECT coalesce(sum(lease_token), 0) FROM {t}stream),
  (SELECT coalesce(sum(movements), 0) FROM {t}balance)
""")
_HELD = Statement("""
SELECT id, lease_token, lease_holder FROM {t}stream WHERE lease_until > {now}
""")


class Counts(NamedTuple):
    """Everything that a writer would move."""

    movements: int
    blocks: int
    runs: int
    tokens: int
    counted: int


class Held(NamedTuple):
    """A stream under a lease that has not ended."""

    stream_id: int
    token: int
    holder: str


class Scene(NamedTuple):
    """A database, and a provider on this machine with a world behind it."""

    database: Database
    world: World
    emulator: Emulator
    env: dict[str, str]

    @property
    def wallet(self) -> bytes:
        return self.world.wallets[0]

    @property
    def subject(self) -> tuple[str, ...]:
        """The wallet as a command names it."""
        return truth.hexed(self.wallet), "--chain", str(CHAIN)

    @property
    def sync(self) -> tuple[str, ...]:
        """``tallybook sync`` of the wallet."""
        return "sync", *self.subject, "--source", "etherscan", "--json"

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """``tallybook sync`` of the wallet, under way."""
        return commands.start({**self.env, **env}, *self.sync, *args)

    @contextmanager
    def without_delay(self) -> Iterator["Scene"]:
        """The same with a provider that answers at once, in large pages."""
        with serving(self.emulator) as base:
            faster = dict(line.split("=", 1) for line in variables(base))
            faster["SOURCE__ETHERSCAN__PAGE_ROWS"] = "1000"
            yield self._replace(env={**self.env, **faster})

    def counts(self) -> Counts:
        with reading(self.database.engine) as connection:
            row: Any = _COUNTS.run(connection).one()
        return Counts(*map(int, row))

    def held(self) -> list[Held]:
        """Streams whose lease has not ended, by the database's clock."""
        with reading(self.database.engine) as connection:
            return [Held(*row) for row in _HELD.run(connection)]

    def assert_true(self) -> None:
        truth.assert_ledger_is_true(self.database.engine, self.world, self.wallet, CHAIN)
        assert verify(self.database.engine).agrees


@contextmanager
def scene_of(
    database: Database, world: World, home: Path, *, latency_s: float, **env: str
) -> Iterator[Scene]:
    """A scene on the machine's own clock."""
    emulator = Emulator(WorldStore(world))
    engine = make_engine(database.url, now=SystemClock().now)
    with serving(emulator, latency_s=latency_s) as base:
        seen = commands.environment(home, url=database.url, base=base, **env)
        yield Scene(replace(database, engine=engine), world, emulator, seen)
    engine.dispose()


class Stock:
    """Processes that are there at once: see ``worker_process``."""

    def __init__(self, home: Path) -> None:
        self._said = home / "children.txt"
        with self._said.open("w") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.flows.worker_process"],
                env=commands.environment(home),
                cwd=commands.ROOT,
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        self.child = 0

    def begin(self, env: dict[str, str], args: tuple[str, ...], *, elsewhere: bool = False) -> int:
        """Start one; its process id."""
        order = {"args": args, "env": env, "elsewhere": elsewhere}
        stdin = self._pipe(self._process.stdin)
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        self.child = self._number()
        return self.child

    def kill(self) -> int:
        """SIGKILL the one under way, if it still is; its exit code."""
        # Its parent may have reaped it already: nobody gets its number so soon.
        with suppress(ProcessLookupError):
            os.kill(self.child, signal.SIGKILL)
        return self.end()

    def end(self) -> int:
        """Wait for the one under way; its exit code."""
        code = self._number()
        self.child = 0
        return code

    def said(self) -> str:
        """What all of them have printed."""
        return self._said.read_text()

    def close(self) -> None:
        """Leave nobody behind."""
        if self.child:
            self.kill()
        self._process.kill()
        self._process.communicate()

    def _number(self) -> int:
        line = self._pipe(self._process.stdout).readline()
        assert line, self.said()
        return int(line)

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """The exit code of a command, and the document that it printed."""
    out, err = process.communicate(timeout=PATIENCE_S)
    assert not err, err
    return process.returncode, json.loads(out)


def nap(seconds: float) -> None:
    """Let real processes take real time."""
    time.sleep(seconds)  # noqa: TID251 - real processes take real time


def until(holds: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for something to hold, as long as the process that is to bring it about lives."""
    give_up = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < give_up, "waited in vain"
        assert process is None or process.poll() is None, process.communicate()
        nap(0.005)
