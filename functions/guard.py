"""The outermost layer of the API: request ids, and bodies that no later layer can stumble over.

Bare FastAPI answers 500 to ``NaN`` and to a lone surrogate in a string: both pass its parser and
fail where the answer is written.
"""

import re
import uuid
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.problems import problem, unexpected

MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 16
REQUEST_ID = "x-request-id"
GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Guard:
    """Gives each request an id, checks its body, and answers for whatever nobody else caught."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_marked(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [
                    *message.get("headers", []),
                    (REQUEST_ID.encode(), request_id.encode()),
                    (b"x-content-type-options", b"nosniff"),
                ]
            await send(message)

        try:
            body = await _whole_body(receive)
            fault = _fault(body)
            if fault is None:
                await self._app(scope, _replayed(body, receive), send_marked)
            else:
                await problem(scope, *fault)(scope, receive, send_marked)
        except Exception as exc:
            if started:
                raise
            await unexpected(scope, exc)(scope, receive, send_marked)


def _request_id(scope: Scope) -> str:
    """The caller's own id if it is one, else a new one."""
    given = dict(scope["headers"]).get(REQUEST_ID.encode(), b"").decode("latin-1")
    return given if GIVEN_ID.fullmatch(given) else uuid.uuid4().hex


async def _whole_body(receive: Receive) -> bytes:
    """The body, read no further than what is too much."""
    body = b""
    while len(body) <= MAX_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A channel that tells of the body once more, then of what else happens."""
    told = False

    async def replay() -> Message:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _fault(body: bytes) -> tuple[int, str, str] | None:
    """Status, code and detail of what is wrong with a body, whatever it is meant for."""
    if not body:
        return None
    if len(body) > MAX_BODY_BYTES:
        return 413, "too_large", f"the body is larger than {MAX_BODY_BYTES} bytes"
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 400, "invalid_json", "the body is not valid JSON in UTF-8, or nested too deep"
    return _oddity(found)


def _oddity(found: Any) -> tuple[int, str, str] | None:
    """What is valid JSON but cannot be stored or is meant to hurt."""
    level: list[Any] = [found]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str) and "\0" in value:
                return 422, "invalid_input", "a text contains the character NUL"
            if isinstance(value, dict):
                below += [*value.keys(), *value.values()]
            elif isinstance(value, list):
                below += value
        if not below:
            return None
        level = below
    return 400, "invalid_json", f"the body is nested deeper than {MAX_DEPTH} levels"
