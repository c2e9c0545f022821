"""A connection to Postgres that is cut just before, or just after, a chosen statement happens."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import psycopg
from sqlalchemy import make_url

Side = Literal["before", "after"]

CHUNK = 65536
HEADER = 5  # a type and the length of all but it
READY = b"Z"
# What is sent at each step of the product, and at no other.
STEPS = {
    "lease": b"OR lease_holder = ",
    "assets": b"INSERT INTO tallybook.asset",
    "page": b"WITH u AS MATERIALIZED",
    "close": b"WITH closed AS",
    "queue push": b"INSERT INTO tallybook.sync_job",
    "queue claim": b"SET claimed = true",
    "queue finish": b"DELETE FROM tallybook.sync_job",
    "commit": b"COMMIT\0",
}


class Cutter:
    """Passes on what client and server say until the statement comes that it waits for."""

    def __init__(self, upstream: tuple[str, int], listener: socket.socket) -> None:
        self._upstream = upstream
        self._listener = listener
        self._links: list[Link] = []
        self._waits_for: tuple[bytes, Side] | None = None
        self._lock = threading.Lock()
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def url_of(self, direct_url: str) -> str:
        """The URL of the same database through here; in the clear, so that it can be read."""
        host, port = self._listener.getsockname()
        url = make_url(direct_url).set(host=host, port=port)
        url = url.difference_update_query(["host", "port"])
        url = url.update_query_dict({"sslmode": "disable", "gssencmode": "disable"})
        return url.render_as_string(hide_password=False)

    def cut(self, step: str, side: Side) -> None:
        """Cut the next connection that sends this step, once."""
        self._waits_for = (STEPS[step], side)

    def close(self) -> None:
        """End every connection."""
        self._listener.close()
        for link in self._links:
            link.close()

    def side_for(self, said: bytes) -> Side | None:
        """Whether this is what was waited for."""
        with self._lock:
            if self._waits_for is None or self._waits_for[0] not in said:
                return None
            side = self._waits_for[1]
            self._waits_for = None
            self.cuts += 1
            return side

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._links.append(Link(self, client, connect(*self._upstream)))


class Link:
    """One client's connection."""

    def __init__(self, cutter: Cutter, client: socket.socket, server: socket.socket) -> None:
        self._cutter = cutter
        self._client = client
        self._server = server
        self._hides_answers = False
        for pump in (self._to_server, self._to_client):
            threading.Thread(target=pump, daemon=True).start()

    def close(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _to_server(self) -> None:
        end_of_last = b""
        with suppress(OSError):
            while data := self._client.recv(CHUNK):
                side = self._cutter.side_for(end_of_last + data)
                if side == "before":
                    break
                self._hides_answers = self._hides_answers or side == "after"
                # A statement may come in two pieces.
                end_of_last = data[-64:]
                self._server.sendall(data)
        self.close()

    def _to_client(self) -> None:
        """Pass on whole messages, so that it is seen when a statement has come to its end."""
        held = b""
        with suppress(OSError):
            while data := self._server.recv(CHUNK):
                whole, held = _whole_messages(held + data)
                if not self._hides_answers:
                    self._client.sendall(b"".join(whole))
                elif any(message.startswith(READY) for message in whole):
                    break
        self.close()


def _whole_messages(said: bytes) -> tuple[list[bytes], bytes]:
    """The messages that have come, and the beginning of the next."""
    whole, at = [], 0
    while len(said) >= at + HEADER:
        end = at + 1 + int.from_bytes(said[at + 1 : at + HEADER])
        if len(said) < end:
            break
        whole.append(said[at:end])
        at = end
    return whole, said[at:]


def connect(host: str, port: int) -> socket.socket:
    """A socket to the server, which may be a file."""
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    found = socket.socket(socket.AF_UNIX)
    found.connect(f"{host}/.s.PGSQL.{port}")
    return found


@contextmanager
def cutter(url: str) -> Iterator[Cutter]:
    """A cutter in front of the server of this URL, whatever it is."""
    with psycopg.connect(url) as connection:
        upstream = (connection.info.host, connection.info.port)
    found = Cutter(upstream, socket.create_server(("127.0.0.1", 0)))
    try:
        yield found
    finally:
        found.close()
