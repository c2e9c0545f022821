"""Real processes that are frozen and have their lease stolen: they hold nobody, and write no more.

A platform freezes a process at any line: in the wait for a provider, between two statements, while
a statement of its runs on the server. "Held nobody longer than ``lease_s``" is a property of the
stream's row by the database's clock: whenever a process is frozen, its lease has at most
``lease_s`` to go, a statement under way ends without its process and leaves no lock, and a thief
has the stream as soon as the lease has ended.

One thing lasts longer: a statement of which only the beginning was sent before the freeze. The
server has read its text, and keeps the tables from being altered (no row, no snapshot) until the
process sends the rest or dies: runs and readers pass, a migration waits.

SQLite promises less: it runs inside the process, so that one frozen within a write keeps the lock
of the whole file until it is thawed or killed, and nobody else can write. It is embedded and meant
for one process; that moment is not tested. Frozen anywhere else it behaves as Postgres does.
"""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from schema.engine import autocommit
from shared.emulator.dice import Dice
from shared.emulator.world import World, WorldConfig
from tests.conftest import Database
from tests.flows.relay import Relay, relaying
from tests.flows.scene import Counts, Held, Scene, ended, nap, scene_of, until
from tests.flows.thief import Backends, Thief
from tests.pooler import Pooler

LEASE_S = 2.0
FREEZES = 20
FROZEN = "frozen"

STREAM_LOCK = "SELECT 1 FROM tallybook.stream WHERE id = %s FOR UPDATE"
BALANCE_LOCK = "SELECT 1 FROM tallybook.balance WHERE stream_id = %s FOR UPDATE"

on_postgres = pytest.mark.parametrize("dialect", ["postgres"])


@pytest.fixture(scope="module")
def world() -> World:
    return World(9, WorldConfig(wallets=2, movements=12_000, blocks=500))


@pytest.fixture
def latency_s() -> float:
    return 0.03


@pytest.fixture
def route() -> str:
    return "direct"


@pytest.fixture
def relay(database: Database) -> Iterator[Relay]:
    with relaying(database.url) as relay:
        yield relay


@pytest.fixture
def scene(
    database: Database,
    world: World,
    tmp_path: Path,
    latency_s: float,
    route: str,
    request: pytest.FixtureRequest,
) -> Iterator[Scene]:
    env = {"SOURCE__ETHERSCAN__PAGE_ROWS": "100", "LEASE_S": f"{LEASE_S:g}", "PGAPPNAME": FROZEN}
    if route == "pgbouncer":
        pgbouncer: Pooler = request.getfixturevalue("pgbouncer")
        env["DATABASE_URL"] = pgbouncer.url_of(database.url)
    if route == "relay":
        relay: Relay = request.getfixturevalue("relay")
        env["DATABASE_URL"] = relay.url
    with scene_of(database, world, tmp_path, latency_s=latency_s, **env) as scene:
        yield scene


@pytest.fixture
def process(scene: Scene, processes: list[subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """A sync that has begun to write."""
    process = scene.start("--give-up", "1")
    processes.append(process)
    until(lambda: scene.counts().movements, process)
    return process


@pytest.fixture
def thief(scene: Scene) -> Thief:
    return Thief(scene.database.engine)


@pytest.fixture
def backends(scene: Scene) -> Iterator[Backends | None]:
    """What the server does for the process; SQLite has no server."""
    on_server = scene.database.dialect == "postgres"
    with Backends(scene.database.url, FROZEN) if on_server else nullcontext() as backends:
        yield backends


@pytest.mark.parametrize("latency_s", [0.4])
def test_process_frozen_in_the_wait_for_a_provider_writes_nothing_more(
    scene: Scene, process: subprocess.Popen[str], thief: Thief, backends: Backends | None
) -> None:
    calls = scene.emulator.calls
    until(lambda: scene.emulator.calls > calls, process)
    nap(0.15)  # the write that overlaps with the request is over
    process.send_signal(signal.SIGSTOP)
    _assert_holds_nobody(backends)

    _steal_thaw_and_finish(scene, process, thief)


@on_postgres
@pytest.mark.parametrize("latency_s", [0.0])
def test_process_frozen_between_statements_holds_nothing_and_writes_nothing_more(
    scene: Scene, process: subprocess.Popen[str], thief: Thief, backends: Backends
) -> None:
    dice = Dice("freeze")
    for _ in range(FREEZES):
        process.send_signal(signal.SIGCONT)
        nap(dice.random() * 0.05)
        process.send_signal(signal.SIGSTOP)
        # A statement that was under way ends by itself; no transaction is ever left open.
        _assert_holds_nobody(backends)
        assert thief.longest_lease_s() <= LEASE_S
    while backends.half_sent() or not scene.held():
        assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGCONT)
        nap(0.005)
        process.send_signal(signal.SIGSTOP)
        _assert_holds_nobody(backends)
    # A provider without any delay: whatever was asked is answered, only the process stands still.
    until(lambda: _is_quiet(scene))

    _steal_thaw_and_finish(scene, process, thief)


@on_postgres
@pytest.mark.parametrize(
    ("route", "locking"),
    [("direct", STREAM_LOCK), ("direct", BALANCE_LOCK), ("pgbouncer", BALANCE_LOCK)],
    ids=["stream", "balances", "balances, by way of PgBouncer"],
)
def test_statement_of_a_frozen_process_is_ended_by_the_server_and_counts_once(
    scene: Scene,
    process: subprocess.Popen[str],
    thief: Thief,
    backends: Backends,
    locking: LiteralString,
) -> None:
    with psycopg.connect(scene.database.url) as other:
        held = _held_up_in_a_page(scene, process, backends, other, locking)
        process.send_signal(signal.SIGSTOP)
        before = scene.counts()
        # The row is not to be had while the statement lasts, but nobody queues up behind it.
        with autocommit(scene.database.engine) as connection:
            connection.exec_driver_sql("SET lock_timeout = '5s'")
            assert thief.takes(connection, held) is None
            connection.exec_driver_sql("RESET lock_timeout")
        assert backends.waiting()
        other.rollback()
    _assert_holds_nobody(backends)
    after = scene.counts()
    assert after.blocks > before.blocks
    assert after.movements > before.movements
    assert after.counted == after.movements
    assert after.runs == before.runs

    _steal_thaw_and_finish(scene, process, thief)


@on_postgres
def test_statement_that_waited_for_the_theft_itself_writes_nothing(
    scene: Scene, process: subprocess.Popen[str], thief: Thief, backends: Backends
) -> None:
    while True:
        [held] = _held(scene, process)
        with scene.database.engine.connect() as connection:
            if thief.takes(connection, held) is not None:
                until(backends.waiting, process)
                if _is_a_page(backends):
                    process.send_signal(signal.SIGSTOP)
                    before = scene.counts()
                    connection.commit()
                    break
    _assert_holds_nobody(backends)
    assert scene.counts() == before._replace(tokens=before.tokens + 1)

    _steal_thaw_and_finish(scene, process, thief)


@on_postgres
@pytest.mark.parametrize("route", ["relay"])
def test_statement_of_which_a_frozen_process_has_sent_the_beginning_writes_nothing(
    scene: Scene,
    process: subprocess.Popen[str],
    thief: Thief,
    backends: Backends,
    relay: Relay,
) -> None:
    relay.holds_back("WITH u AS")
    until(lambda: relay.is_holding, process)
    process.send_signal(signal.SIGSTOP)
    until(backends.half_sent)
    _assert_holds_nobody(backends)

    _steal_thaw_and_finish(scene, process, thief, relay.lets_go)


def _held(scene: Scene, process: subprocess.Popen[str]) -> list[Held]:
    until(scene.held, process)
    return scene.held() or _held(scene, process)


def _held_up_in_a_page(
    scene: Scene,
    process: subprocess.Popen[str],
    backends: Backends,
    other: psycopg.Connection,
    locking: LiteralString,
) -> Held:
    """Have ``other`` hold rows for which a page of the process, under way on the server, waits."""
    while True:
        [held] = _held(scene, process)
        other.execute(locking, [held.stream_id])
        if held in scene.held():
            until(backends.waiting, process)
            if _is_a_page(backends):
                return held
        other.rollback()


def _is_a_page(backends: Backends) -> bool:
    """Whether what waits is the write of a page, rather than the end of a chunk."""
    return all(statement.startswith("WITH u AS") for statement in backends.waiting())


def _assert_holds_nobody(backends: Backends | None) -> None:
    """Whatever the server had of it has ended; no transaction is open, no row is locked."""
    if backends is not None:
        until(lambda: not backends.running())
        assert not backends.in_transaction()
        assert not backends.locks()


def _is_quiet(scene: Scene) -> bool:
    calls = scene.emulator.calls
    nap(0.05)
    return scene.emulator.calls == calls


def _steal_thaw_and_finish(
    scene: Scene,
    process: subprocess.Popen[str],
    thief: Thief,
    thaw: Callable[[], None] = lambda: None,
) -> None:
    """Take everything from a frozen process, wake it, and have somebody else do its work."""
    frozen = scene.counts()
    assert thief.longest_lease_s() <= LEASE_S
    assert thief.waits_and_takes_all(), "nothing was left to steal"
    stolen = scene.counts()
    assert _written(stolen) == _written(frozen)

    process.send_signal(signal.SIGCONT)
    thaw()
    code, document = ended(process)

    assert code == 1
    assert {each["state"] for each in document["streams"]} <= {"syncing", "up_to_date"}
    assert scene.counts() == stolen

    thief.gives_back()
    with scene.without_delay() as faster:
        code, document = ended(faster.start())
    assert code == 0, document
    scene.assert_true()


def _written(counts: Counts) -> Counts:
    """What only a writer moves: a lease moves the tokens, and the place where reading goes on."""
    return counts._replace(tokens=0, blocks=0)
