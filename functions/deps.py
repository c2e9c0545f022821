"""What handlers are given: the runtime, and whose request it is.

All ``async``, though nothing waits: a plain function would cost each request a thread of its own.
"""

import hmac
import ipaddress
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request, WebSocket
from fastapi.security import HTTPBearer
from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from shared.errors import UnauthorizedError
from shared.platform import Platform, platform_of
from shared.runtime import Runtime
from shared.settings import Settings

OWNER = "local"
BEARER = "bearer."
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
# Somebody stands between us and the caller: its address is not the caller's.
PROXY_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host")


class _Bearer(HTTPBearer):
    """Checks who calls; being a scheme of FastAPI's, it documents itself at no further cost."""

    def __init__(self, variable: str, secret: Callable[[Settings], SecretStr | None]) -> None:
        description = f"{variable}; none is needed on loopback."
        super().__init__(auto_error=False, scheme_name=variable, description=description)
        self._variable = variable
        self._secret = secret

    async def __call__(self, request: Request) -> str:  # type: ignore[override]
        """The owner on whose behalf the call is made.

        Raises:
            UnauthorizedError: The token is missing or wrong, or none is set and the caller is not
                on this machine.
        """
        _check_bearer(request, self._secret(_runtime(request).settings), self._variable)
        return OWNER


require_user = _Bearer("API_TOKEN", lambda settings: settings.api_token)
# Nothing but a cron call of the operator's own.
require_cron = _Bearer("CRON_SECRET", lambda settings: settings.cron_secret)


async def ready_runtime(request: Request) -> Runtime:
    """The runtime, with its database at this version's revision."""
    runtime = _runtime(request)
    if not runtime.is_ready:
        await run_in_threadpool(runtime.ensure_schema)
    return runtime


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host in LOCAL_NAMES


async def raw_runtime(request: Request) -> Runtime:
    """The runtime as it is."""
    return _runtime(request)


def _runtime(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def _check_bearer(request: Request, secret: SecretStr | None, variable: str) -> None:
    """Refuse who does not bear the secret; where none is set, who is not on this machine."""
    token = secret.get_secret_value() if secret is not None else ""
    if token:
        sent = request.headers.get("authorization", "").encode("latin-1")
        kind, _, value = sent.partition(b" ")
        if kind.lower() == b"bearer" and hmac.compare_digest(value.strip(), token.encode()):
            return
        detail = f"this call needs the {variable} as bearer token"
        raise UnauthorizedError(detail, fix=f"Send Authorization: Bearer with the {variable}.")
    if _is_local(request):
        return
    detail = f"without {variable} set only callers on this machine are served"
    raise UnauthorizedError(detail, fix=f"Set {variable} on the server and send it as Bearer.")


def websocket_objection(socket: WebSocket) -> bool:
    """Whether a socket comes from somebody who may not; a browser can send no header with one."""
    secret = socket.app.state.runtime.settings.api_token
    token = secret.get_secret_value() if secret is not None else ""
    if not token:
        return not _is_local(socket)
    offered = socket.scope.get("subprotocols", [])
    bearer = f"{BEARER}{token}".encode()
    return not any(hmac.compare_digest(each.encode(), bearer) for each in offered)


def _is_local(request: HTTPConnection) -> bool:
    """A caller on this machine who means this machine, not a web page in its browser.

    A page elsewhere can point a name of its own at 127.0.0.1, or post blindly to localhost.
    """
    if request.client is None or not is_loopback(request.client.host):
        return False
    if any(header in request.headers for header in PROXY_HEADERS):
        return False
    if request.headers.get("sec-fetch-site") == "cross-site":
        return False
    at_home = platform_of(request.app.state.runtime.settings) is Platform.LOCAL
    return at_home and is_loopback(request.url.hostname or "")


RawRuntimeDep = Annotated[Runtime, Depends(raw_runtime)]
RuntimeDep = Annotated[Runtime, Depends(ready_runtime)]
OwnerDep = Annotated[str, Depends(require_user)]
