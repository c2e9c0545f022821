"""The local provider over HTTP, on the local machine only."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from shared.emulator.emulator import Emulator
from shared.errors import ConfigError

BACKLOG = 128
READY_WITHIN_S = 10.0


class _CutResponse(Response):
    """Promises one byte more than it sends, so that the server drops the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        length = str(len(self.body) + 1).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def make_app(emulator: Emulator, *, latency_s: float = 0.0) -> Starlette:
    """The emulator as an ASGI application; ``/_control`` steers it."""

    async def answer(request: Request) -> Response:
        reply = emulator.answer(request.url.path, dict(request.query_params), time.monotonic())
        if latency_s + reply.delay_s > 0:
            await asyncio.sleep(latency_s + reply.delay_s)
        kind = _CutResponse if reply.dropped else Response
        return kind(reply.body, status_code=reply.status, headers=reply.headers)

    async def control(request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse(emulator.stats())
        try:
            return JSONResponse(emulator.control(json.loads(await request.body())))
        except (ConfigError, ValueError, TypeError) as exc:
            return JSONResponse({"error": str(exc)}, status_code=400)

    routes = [Route("/_control", control, methods=["GET", "POST"]), Route("/{path:path}", answer)]
    return Starlette(routes=routes)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: The port is taken or the host is none of ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named TCP, so that asyncio turns Nagle's algorithm off: else each answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, OverflowError) as exc:
        listener.close()
        message = (
            f"cannot listen on {host} port {port}: {exc}. Choose another --port, or 0 for any."
        )
        raise ConfigError(message) from exc
    return listener


class _Server(uvicorn.Server):
    """Tells when it really answers."""

    def __init__(self, config: uvicorn.Config, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._when_ready = when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._when_ready()


def server_for(
    emulator: Emulator, *, latency_s: float = 0.0, when_ready: Callable[[], None]
) -> uvicorn.Server:
    """A server that is not running yet; give ``run`` the listening socket."""
    config = uvicorn.Config(
        make_app(emulator, latency_s=latency_s),
        log_level=uvicorn.config.LOG_LEVELS["critical"] + 1,  # dropped connections are on purpose
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=1,
    )
    return _Server(config, when_ready)


@contextlib.contextmanager
def serving(emulator: Emulator, *, latency_s: float = 0.0) -> Iterator[str]:
    """Serve on a free port of this machine from a thread; gives ``http://127.0.0.1:PORT``."""
    ready = threading.Event()
    listener = listen("127.0.0.1", 0)
    server = server_for(emulator, latency_s=latency_s, when_ready=ready.set)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        if not ready.wait(READY_WITHIN_S):
            message = f"the local provider did not start within {READY_WITHIN_S:g} s"
            raise ConfigError(message)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def variables(base_url: str) -> list[str]:
    """The settings that point each provider to this server."""
    routed = "v2/network/mainnet/evm/{chain_id}/etherscan/api"
    return [
        f"SOURCE__ETHERSCAN__BASE_URL={base_url}/etherscan/v2/api",
        f"SOURCE__BLOCKSCOUT__BASE_URL={base_url}/blockscout/v2/api",
        f"SOURCE__ROUTESCAN__BASE_URL={base_url}/routescan/{routed}",
        f"SOURCE__DEFILLAMA__BASE_URL={base_url}/defillama",
        f"SOURCE__COINGECKO__BASE_URL={base_url}/coingecko/api/v3",
        f"SOURCE__BINANCE__BASE_URL={base_url}/binance",
    ]
