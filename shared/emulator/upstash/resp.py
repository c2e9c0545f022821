"""A real Redis or Valkey over its own protocol; nothing is interpreted on the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, unquote, urlsplit

from shared.emulator.upstash.backend import BackendDownError
from shared.emulator.upstash.replies import CRLF, Command, Failure, NullArray, Reply, Status
from shared.errors import ConfigError

DEFAULT_PORT = 6379
CONNECT_WITHIN_S = 5.0
READ_AHEAD = 16 * 1024 * 1024  # a line of MONITOR can be long
KNOWS_SHEBANGS = 7  # the first version that does
MOST_IDLE = 32
SCHEMES = ("redis", "rediss", "unix")


class RespConnection:
    """One socket to a Redis."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @property
    def usable(self) -> bool:
        """Whether nothing says that it is closed."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    async def call(self, commands: Sequence[Command]) -> list[Reply]:
        """See ``Connection.call``."""
        try:
            self._writer.write(b"".join(map(_packed, commands)))
            await self._writer.drain()
            return [await self.read() for _ in commands]
        except (OSError, EOFError) as exc:
            message = f"the Redis behind hung up: {exc}"
            raise BackendDownError(message) from exc

    async def read(self) -> Reply:
        """The next reply."""
        line = (await self._reader.readuntil(CRLF))[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"+":
            return Status(rest)
        if kind == b"-":
            return Failure(rest)
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return await self._bulk(int(rest))
        if kind == b"*":
            length = int(rest)
            return [await self.read() for _ in range(length)] if length >= 0 else NullArray()
        message = f"not a reply of RESP2: {line[:40]!r}"
        raise BackendDownError(message)

    def close(self) -> None:
        """Hang up."""
        self._writer.close()

    async def _bulk(self, length: int) -> bytes | None:
        return (await self._reader.readexactly(length + 2))[:-2] if length >= 0 else None


class RedisBackend:
    """A pool of sockets to one Redis.

    Args:
        url: ``redis://[[user]:password@]host[:port][/db]``, ``rediss://`` for TLS, or
            ``unix:///path?db=0``.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        if self._parts.scheme not in SCHEMES:
            message = f"--redis-url wants {', '.join(f'{one}://' for one in SCHEMES)}"
            raise ConfigError(message)
        try:
            self._port = self._parts.port or DEFAULT_PORT
            self._db = int(self._database() or "0")
        except ValueError as exc:
            message = f"--redis-url has no usable port or database number: {exc}"
            raise ConfigError(message) from exc
        self._idle: list[RespConnection] = []

    @property
    def name(self) -> str:
        """The URL without its password."""
        place = (
            self._parts.path if self._parts.scheme == "unix" else self._host() + f":{self._port}"
        )
        return f"{self._parts.scheme}://{place}" + f" db {self._db}"

    async def start(self) -> bool:
        """See ``Backend.start``."""
        async with self.connection() as connection:
            (info,) = await connection.call([[b"INFO", b"server"]])
        if isinstance(info, Failure):
            message = f"{self.name} answers {info.decode()}"
            raise BackendDownError(message)
        text = info.decode() if isinstance(info, bytes) else ""
        found = [line for line in text.splitlines() if line.startswith("redis_version:")]
        return bool(found) and int(found[0].partition(":")[2].split(".")[0]) >= KNOWS_SHEBANGS

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[RespConnection]:
        """See ``Backend.connection``; one that saw an error is not used again."""
        taken = await self._taken()
        try:
            yield taken
        except BaseException:
            taken.close()
            raise
        if len(self._idle) < MOST_IDLE:
            self._idle.append(taken)
        else:
            taken.close()

    async def listen(self, command: Command) -> AsyncIterator[Reply]:
        """See ``Backend.listen``."""
        opened = await self._opened()
        try:
            yield (await opened.call([command]))[0]
            while True:
                yield await opened.read()
        except (OSError, EOFError) as exc:
            message = f"the Redis behind hung up: {exc}"
            raise BackendDownError(message) from exc
        finally:
            opened.close()

    async def close(self) -> None:
        """See ``Backend.close``."""
        while self._idle:
            self._idle.pop().close()

    async def _taken(self) -> RespConnection:
        while self._idle:
            idle = self._idle.pop()
            if idle.usable:
                return idle
            idle.close()
        return await self._opened()

    async def _opened(self) -> RespConnection:
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                connection = RespConnection(*await self._streams())
                greeting = self._greeting()
                replies = await connection.call(greeting) if greeting else []
        except (OSError, TimeoutError) as exc:
            message = f"cannot reach {self.name}: {str(exc) or 'no answer'}"
            raise BackendDownError(message) from exc
        for reply in replies:
            if isinstance(reply, Failure):
                connection.close()
                message = f"{self.name} answers {reply.decode()}"
                raise BackendDownError(message)
        return connection

    async def _streams(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._parts.scheme == "unix":
            return await asyncio.open_unix_connection(self._parts.path, limit=READ_AHEAD)
        tls = True if self._parts.scheme == "rediss" else None
        return await asyncio.open_connection(self._host(), self._port, ssl=tls, limit=READ_AHEAD)

    def _greeting(self) -> list[Command]:
        words: list[Command] = []
        if self._parts.password:
            user = [unquote(self._parts.username).encode()] if self._parts.username else []
            words.append([b"AUTH", *user, unquote(self._parts.password).encode()])
        if self._db:
            words.append([b"SELECT", str(self._db).encode()])
        return words

    def _host(self) -> str:
        return self._parts.hostname or "127.0.0.1"

    def _database(self) -> str:
        if self._parts.scheme == "unix":
            return parse_qs(self._parts.query).get("db", [""])[0]
        return self._parts.path.strip("/")


def _packed(command: Command) -> bytes:
    parts = [b"*%d\r\n" % len(command)]
    for word in command:
        parts += (b"$%d\r\n" % len(word), word, CRLF)
    return b"".join(parts)
