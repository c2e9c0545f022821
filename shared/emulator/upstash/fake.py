"""A Redis in this process, by fakeredis: nothing to install but Python packages.

Not the real thing. Seen with fakeredis 2.40.0: scripts have ``redis.call``, ``pcall``, TIME and
cjson, but no cmsgpack, struct, bit and ``redis.sha1hex``, and ``#!lua`` lines are dropped; there
is no EVAL_RO, EVALSHA_RO, INFO, OBJECT, CONFIG and no JSON.* command; all answer that the command
is not available. Whether a string is a simple one (``+OK``) is guessed for the resp2 format.
A script that never ends stops the whole server.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

from shared.clock import SystemClock
from shared.emulator.upstash.policy import name_of
from shared.emulator.upstash.replies import Command, Failure, NullArray, Reply, Status
from shared.errors import ConfigError

CODE = re.compile(r"[A-Z][A-Z0-9]+ ")
# redis-py turns these codes into classes and takes them off the text.
CODES = {
    "NoScriptError": "NOSCRIPT",
    "ExecAbortError": "EXECABORT",
    "BusyLoadingError": "LOADING",
    "ReadOnlyError": "READONLY",
    "NoPermissionError": "NOPERM",
    "OutOfMemoryError": "OOM",
}
NULL_ARRAYS = ("EXEC", "XREAD", "XREADGROUP", "LMPOP", "ZMPOP")
# fakeredis has some of them when other packages happen to be installed: here it never has.
MODULES = ("JSON.", "BF.", "CF.", "CMS.", "TOPK.", "TDIGEST.", "TS.", "FT.")
NEEDED = "without --redis-url this needs fakeredis: pip install 'tallybook[emulator]'"


class FakeConnection:
    """A connection of fakeredis, read before redis-py makes anything nicer of the replies."""

    def __init__(self, backend: "FakeBackend", raw: Any) -> None:
        self._backend = backend
        self.raw = raw

    async def call(self, commands: Sequence[Command]) -> list[Reply]:
        """See ``Connection.call``."""
        return [await self._one(command) for command in commands]

    async def read(self, name: str = "") -> Reply:
        """The next reply, to a command of this name."""
        try:
            found = await self.raw.read_response(disable_decoding=True, disconnect_on_error=False)
        except self._backend.redis_error as exc:
            found = exc
        return _exact(found, name)

    async def _one(self, command: Command) -> Reply:
        self._backend.tell(command)
        if name_of(command).startswith(MODULES):
            return Failure(b"ERR unknown command")
        await self.raw.send_command(*command)
        reply = await self.read(name_of(command))
        if name_of(command) == "HRANDFIELD" and not isinstance(reply, Failure):
            return _random_fields(command, reply)
        simple = isinstance(reply, bytes) and _is_simple(name_of(command), command, reply)
        return Status(reply) if simple and isinstance(reply, bytes) else reply


class FakeBackend:
    """A fakeredis server that lives as long as this object."""

    name = "fakeredis, in this process"

    def __init__(self) -> None:
        try:
            import fakeredis  # noqa: PLC0415 - an optional dependency
            import redis  # noqa: PLC0415
        except ImportError as exc:
            raise ConfigError(NEEDED) from exc
        if find_spec("lupa") is None:  # without it there are no scripts
            raise ConfigError(NEEDED)
        self.redis_error: type[Exception] = redis.RedisError
        self._server = fakeredis.FakeServer(version=(7,))
        self._connect: Any = fakeredis.FakeAsyncRedis
        self._clock = SystemClock()
        self._watching: set[asyncio.Queue[Reply]] = set()

    async def start(self) -> bool:
        """See ``Backend.start``."""
        return False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[FakeConnection]:
        """See ``Backend.connection``."""
        client = self._connect(server=self._server, protocol=2)
        raw = await client.connection_pool.get_connection()
        try:
            yield FakeConnection(self, raw)
        finally:
            await raw.disconnect()

    async def listen(self, command: Command) -> AsyncIterator[Reply]:
        """See ``Backend.listen``."""
        if name_of(command) == "MONITOR":
            queue: asyncio.Queue[Reply] = asyncio.Queue()
            self._watching.add(queue)
            try:
                yield Status(b"OK")
                while True:
                    yield await queue.get()
            finally:
                self._watching.discard(queue)
        async with self.connection() as connection:
            await connection.raw.send_command(*command)
            try:
                while True:
                    yield await connection.read()
            finally:
                # Its disconnect forgets the socket, not what the socket is subscribed to.
                await connection.raw.send_command(b"UNSUBSCRIBE")
                await connection.raw.send_command(b"PUNSUBSCRIBE")

    async def close(self) -> None:
        """See ``Backend.close``."""

    def tell(self, command: Command) -> None:
        """Show a command to those who watch."""
        if self._watching:
            at = self._clock.now().timestamp()
            words = b" ".join(b'"' + _quoted(word) + b'"' for word in command)
            line = b"%.6f [0 0.0.0.0:0] %s" % (at, words)
            for queue in self._watching:
                queue.put_nowait(Status(line))


def _exact(found: Any, name: str = "") -> Reply:
    """Undo what redis-py does to errors; the rest comes untouched."""
    if isinstance(found, Exception):
        return _failure(found)
    if isinstance(found, list):
        return [_exact(item) for item in found]
    if found is None:
        return NullArray() if name in NULL_ARRAYS else None
    if isinstance(found, (bytes, int)):
        return int(found) if isinstance(found, bool) else found
    return str(found).encode()


def _failure(error: Exception) -> Failure:
    text = str(error)
    code = CODES.get(type(error).__name__)
    if code is None and CODE.match(text):
        return Failure(text.encode())
    return Failure(f"{code or 'ERR'} {text}".encode())


def _random_fields(command: Command, reply: Reply) -> Reply:
    """One field without a count, else a list: fakeredis has it the other way round."""
    found: list[Reply] = []
    if reply is not None:
        found = reply if isinstance(reply, list) else [reply]
    if len(command) > len(("HRANDFIELD", "key")):
        return found
    return found[0] if found else None


def _is_simple(name: str, command: Command, reply: bytes) -> bool:
    if name == "TYPE":
        return True
    if reply in {b"PONG", b"QUEUED"}:
        return name == "PING" and len(command) == 1
    return reply == b"OK" and name not in {"GET", "HGET", "LINDEX", "ECHO", "GETRANGE", "GETDEL"}


def _quoted(word: bytes) -> bytes:
    return word.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
