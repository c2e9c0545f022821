"""The way to Postgres: cut at a chosen statement, or closed for a while."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from tests.cut import Cutter, Link, connect


class Wire(Cutter):
    """A cutter that can also end all connections at once, and take no new ones for a time."""

    _closed_until = 0.0

    def refuse_for(self, seconds: float) -> None:
        """Drop whoever is connected, and whoever comes within this time."""
        self._closed_until = time.monotonic() + seconds
        links, self._links = self._links, []
        for link in links:
            link.close()

    def spare(self) -> None:
        """Wait for no statement any more."""
        self._waits_for = None
        self._closed_until = 0.0

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if time.monotonic() < self._closed_until:
                    client.close()
                    continue
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._links.append(Link(self, client, connect(*self._upstream)))


@contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    """A wire to the server of this URL, whatever it is."""
    with psycopg.connect(url) as connection:
        upstream = (connection.info.host, connection.info.port)
    found = Wire(upstream, socket.create_server(("127.0.0.1", 0)))
    try:
        yield found
    finally:
        found.close()
