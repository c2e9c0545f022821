"""The local Upstash on a port of this machine, for a command line or for tests.

    with serving_upstash(redis_url) as upstash:
        Redis(url=upstash.url, token=upstash.token).set("a", 1)
        assert upstash.counters.commands == 1
        upstash.faults.add("lost", only="EVALSHA")

To run a client's own test suite, check out its repository (upstash/redis-py, upstash/redis-js,
upstash/ratelimit-js: what pip and npm bring holds no tests), start ``tallybook emulate upstash
--redis-url ..`` and give the suite the two variables that it prints. What then fails is what the
Redis behind lacks: JSON.*, search, vectors and arrays, and commands newer than itself. The
documentation behind what this package does: https://upstash.com/docs/redis/features/restapi.

Not as in the cloud: a script flagged ``allow-key-locking`` may use keys that it did not name, a
script that fails keeps what it wrote, there are no replicas, and no ACL RESTTOKEN.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.emulator.server import listen
from shared.emulator.upstash.app import UpstashApp
from shared.emulator.upstash.backend import Backend, BackendDownError
from shared.emulator.upstash.database import Counters, Database
from shared.emulator.upstash.fake import FakeBackend
from shared.emulator.upstash.faults import FaultPlan
from shared.emulator.upstash.policy import Limits
from shared.emulator.upstash.resp import RedisBackend
from shared.errors import ConfigError

TOKEN = "local-token"  # noqa: S105 - guards nothing
READY_WITHIN_S = 10.0
KEEP_ALIVE_S = 75
BACKLOG = 128


class LocalUpstash:
    """A running emulator: where it is, what it counted, and what it shall do wrong."""

    def __init__(
        self,
        backend: Backend,
        *,
        token: str = TOKEN,
        read_only_token: str | None = None,
        limits: Limits | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if not token or read_only_token == "":
            message = "a token must not be empty"
            raise ConfigError(message)
        if token == read_only_token:
            message = "the read-only token must differ from the token"
            raise ConfigError(message)
        self.token = token
        self.read_only_token = read_only_token
        self.faults = FaultPlan()
        self._database = Database(backend, limits=limits)
        self._open: dict[Any, asyncio.BaseTransport] = {}
        self._app = UpstashApp(
            self._database,
            token=token,
            read_only_token=read_only_token,
            plan=self.faults,
            hang_up=self._hang_up,
            on_refuse=self._refuse_for,
        )
        self._listener = listen(host, port)
        self._address = self._listener.getsockname()
        self._rounds = _Rounds()

    @property
    def url(self) -> str:
        """What UPSTASH_REDIS_REST_URL wants."""
        host, port = self._address[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def backend_name(self) -> str:
        """The Redis behind, for a person; no password in it."""
        return self._database.backend.name

    @property
    def counters(self) -> Counters:
        """What was asked since the start, or since ``reset_counters``."""
        return self._database.counters

    def reset_counters(self) -> None:
        """Count from nothing again."""
        self._database.counters = Counters()

    def empty(self) -> None:
        """Lose all data, from any thread."""
        self._in_loop(self._database.empty)

    def forget_scripts(self) -> None:
        """SCRIPT FLUSH, from any thread."""
        self._in_loop(self._database.forget_scripts)

    def refuse(self) -> None:
        """Refuse connections until ``accept``; open ones are closed."""
        self._refuse_for(None)
        self._rounds.refusing.wait(READY_WITHIN_S)

    def accept(self) -> None:
        """Take connections again, on the same port."""
        self._rounds.ready.clear()
        self._rounds.again.set()
        self._rounds.ready.wait(READY_WITHIN_S)

    def run(self, when_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until ``stop`` or a signal; the same port survives times of refusal.

        Raises:
            ConfigError: The Redis behind cannot be reached.
        """
        try:
            while True:
                asyncio.run(self._serve(when_ready))
                if self._rounds.stopping or self._rounds.pause_s == 0:
                    return
                when_ready = _nothing
                self._wait_refusing()
                if self._rounds.stopping:
                    return
        finally:
            self._listener.close()

    def stop(self) -> None:
        """End ``run``, from any thread."""
        self._rounds.stopping = True
        self._rounds.again.set()
        self._end_round()

    async def _serve(self, when_ready: Callable[[], None]) -> None:
        rounds = self._rounds
        backend = self._database.backend
        try:
            try:
                await self._database.start()
            except BackendDownError as exc:
                message = f"--redis-url: {exc}"
                raise ConfigError(message) from exc
            rounds.loop = asyncio.get_running_loop()
            rounds.pause_s = 0

            def announce() -> None:
                rounds.ready.set()
                when_ready()

            rounds.server = _Server(self._config(), announce)
            if not rounds.stopping:
                await rounds.server.serve(sockets=[self._listener])
        finally:
            rounds.loop = None
            await backend.close()

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            self._app,
            http=_tracking(self._open),
            log_level=uvicorn.config.LOG_LEVELS["critical"]
            + 1,  # dropped connections are on purpose
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )

    def _wait_refusing(self) -> None:
        """Hold the port without listening on it: whoever connects is refused."""
        family = self._listener.family
        self._listener.close()
        self._listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(self._address)
        self._rounds.refusing.set()
        self._rounds.again.wait(self._rounds.pause_s)
        self._rounds.refusing.clear()
        self._rounds.again.clear()
        self._listener.listen(BACKLOG)

    def _refuse_for(self, seconds: float | None) -> None:
        self._rounds.pause_s = seconds
        self._end_round()

    def _end_round(self) -> None:
        server, loop = self._rounds.server, self._rounds.loop
        if server is not None:
            server.should_exit = True
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it closed meanwhile
                loop.call_soon_threadsafe(self._app.end_streams)

    def _in_loop(self, work: Callable[[], Awaitable[None]]) -> None:
        async def done() -> None:
            await work()

        loop = self._rounds.loop
        if loop is None:
            message = "the local Upstash is not running"
            raise ConfigError(message)
        asyncio.run_coroutine_threadsafe(done(), loop).result(READY_WITHIN_S)

    def _hang_up(self, client: Any) -> None:
        transport = self._open.get(tuple(client or ()))
        if transport is not None:
            transport.close()


class _Rounds:
    """What the thread that serves and the others tell each other."""

    def __init__(self) -> None:
        self.server: uvicorn.Server | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.pause_s: float | None = 0  # of the refusal that follows; None is until told
        self.stopping = False
        self.ready = threading.Event()
        self.refusing = threading.Event()
        self.again = threading.Event()


class _Server(uvicorn.Server):
    """Tells when it really answers."""

    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._when_ready()


def _tracking(transports: dict[Any, asyncio.BaseTransport]) -> type[H11Protocol]:
    """A protocol that notes the transport of each client."""

    class Tracking(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            transports[tuple(self.client or ())] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(tuple(self.client or ()), None)
            super().connection_lost(exc)

    return Tracking


def _nothing() -> None:
    """Nobody waits any more."""


def make_backend(redis_url: str | None) -> Backend:
    """The Redis at the URL, else one in this process.

    Raises:
        ConfigError: The URL is none, or the packages are missing.
    """
    return FakeBackend() if redis_url is None else RedisBackend(redis_url)


@contextlib.contextmanager
def serving_upstash(
    redis_url: str | None = None,
    *,
    token: str = TOKEN,
    read_only_token: str | None = None,
    limits: Limits | None = None,
) -> Iterator[LocalUpstash]:
    """Serve on a free port of this machine from a thread."""
    made = LocalUpstash(
        make_backend(redis_url), token=token, read_only_token=read_only_token, limits=limits
    )
    failed: list[Exception] = []
    ready = threading.Event()

    def serve() -> None:
        try:
            made.run(ready.set)
        except Exception as exc:  # noqa: BLE001 - raised again in the thread that waits
            failed.append(exc)
            ready.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        if not ready.wait(READY_WITHIN_S):
            message = f"the local Upstash did not start within {READY_WITHIN_S:g} s"
            raise ConfigError(message)
        if failed:
            raise failed[0]
        yield made
    finally:
        made.stop()
        thread.join()
