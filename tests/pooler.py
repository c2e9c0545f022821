"""PgBouncer in transaction mode in front of a Postgres server: what hosters put there."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

# Above what any test opens at once: who waits here would look like a lock.
POOL_SIZE = 12
INI = """
[databases]
* = {server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
"""


class Pooler:
    """A running PgBouncer; whatever database the server has is reached through it."""

    def __init__(self, port: int) -> None:
        self._port = port

    def url_of(self, direct_url: str) -> str:
        """The URL of the same database through the pooler."""
        name = make_url(direct_url).database
        return f"postgresql://tallybook@127.0.0.1:{self._port}/{name}?sslmode=disable"


def pgbouncer_binary() -> str | None:
    """Where the PATH or Debian has it."""
    return shutil.which("pgbouncer", path=os.pathsep.join([*os.get_exec_path(), "/usr/sbin"]))


@contextmanager
def pooler(server_url: str, *, pool_size: int = POOL_SIZE) -> Iterator[Pooler]:
    """A PgBouncer of our own on a free port."""
    binary = pgbouncer_binary()
    assert binary is not None, "apt-get install pgbouncer"
    folder = Path(tempfile.mkdtemp(prefix="tbpgb"))
    port, server = _free_port(), _server_of(server_url)
    user = _unprivileged(server["host"])
    try:
        ini = folder / "pgbouncer.ini"
        ini.write_text(INI.format(server=_line(server), port=port, pool_size=pool_size))
        if user is not None:
            for path in (folder, ini):
                shutil.chown(path, user)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - found above
                [binary, str(ini)], user=user, stdout=log, stderr=log, cwd=folder
            )
        try:
            _wait_for(process, port, folder / "log")
            yield Pooler(port)
        finally:
            process.terminate()
            process.wait(timeout=10)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server_of(url: str) -> dict[str, str]:
    """Where the server is and who logs in there; libpq's own defaults count too."""
    with psycopg.connect(url) as connection:
        info = connection.info
        return {
            "host": info.host,
            "port": str(info.port),
            "user": info.user,
            "password": info.password,
        }


def _line(server: dict[str, str]) -> str:
    """The same in PgBouncer's words."""
    quoted = {key: value.replace("'", "''") for key, value in server.items() if value}
    return " ".join(f"{key}='{value}'" for key, value in quoted.items())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _unprivileged(host: str) -> str | None:
    """Whom to run as: PgBouncer refuses root, and not everybody may open a server's socket."""
    if os.geteuid() != 0:
        return None
    return Path(host).owner() if host.startswith("/") else "nobody"


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until it takes connections."""
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)  # noqa: TID251 - a real server takes real time
        else:
            return
    message = f"PgBouncer does not answer: {log.read_text()}"
    raise TimeoutError(message)
