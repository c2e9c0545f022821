"""A wire between a process and its Postgres server that can stop in the middle of a statement."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from sqlalchemy import make_url

# More than the text of any statement of ours, less than a page of rows: libpq sends both in pieces.
BEGINNING = 6_000
PIECE = 65_536


class Relay:
    """Passes bytes on in both directions, all of them until it is told to hold some back."""

    def __init__(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            info = connection.info
            self._server = (info.host, info.port)
            user, password = info.user, info.password
        self._listener = socket.create_server(("127.0.0.1", 0))
        address = make_url(url).set(
            username=user,
            password=password or None,
            host="127.0.0.1",
            port=self._listener.getsockname()[1],
            query={"sslmode": "disable", "gssencmode": "disable"},
        )
        self.url = address.render_as_string(hide_password=False)
        self._wanted: bytes | None = None
        self._holding, self._go_on = threading.Event(), threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def holds_back(self, text: str) -> None:
        """Stop after the beginning of the next large statement with this text."""
        self._wanted = text.encode()

    @property
    def is_holding(self) -> bool:
        """Whether the server has the beginning, and waits for the rest."""
        return self._holding.is_set()

    def lets_go(self) -> None:
        """Pass the rest on, and from now on everything."""
        self._go_on.set()

    def close(self) -> None:
        """Take no more connections."""
        self.lets_go()
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = self._connected()
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _connected(self) -> socket.socket:
        host, port = self._server
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    def _pass_on(self, giver: socket.socket, taker: socket.socket) -> None:
        with giver, suppress(OSError):
            while piece := giver.recv(PIECE):
                taker.sendall(self._stopped_in(piece, taker))
            taker.shutdown(socket.SHUT_WR)

    def _stopped_in(self, piece: bytes, taker: socket.socket) -> bytes:
        """What is still to be sent of a piece, once that may be."""
        if self._wanted is None or self._wanted not in piece or len(piece) <= BEGINNING:
            return piece
        self._wanted = None
        taker.sendall(piece[:BEGINNING])
        self._holding.set()
        self._go_on.wait()
        return piece[BEGINNING:]


@contextmanager
def relaying(url: str) -> Iterator[Relay]:
    """A relay in front of the server of a database."""
    relay = Relay(url)
    try:
        yield relay
    finally:
        relay.close()
