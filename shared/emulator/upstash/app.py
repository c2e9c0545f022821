"""The local Upstash as an ASGI application; ``/__emulator/..`` is ours and needs no token."""

import asyncio
import contextlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Receive, Scope, Send

from shared.emulator.upstash import policy
from shared.emulator.upstash.backend import BackendDownError
from shared.emulator.upstash.database import Counters, Database
from shared.emulator.upstash.faults import Fault, FaultPlan
from shared.emulator.upstash.protocol import (
    METHODS,
    STREAMS,
    BadRequestError,
    Format,
    Request,
    commands_of,
)
from shared.emulator.upstash.replies import Command, Failure, Reply, document, dumps, failure, resp2
from shared.errors import ConfigError

OURS = "/__emulator/"
JSON = "application/json"
OK, UNAVAILABLE = 200, 503
PAGE = b"<!doctype html><title>Bad gateway</title><h1>Something went wrong</h1>"


@dataclass(slots=True)
class Answer:
    """An HTTP answer.

    Args:
        cut_at: The share of the body that comes before the connection dies.
        lost: The connection dies before anything comes.
    """

    body: bytes
    status: int = OK
    kind: str = JSON
    cut_at: float | None = None
    lost: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class UpstashApp:
    """One database under one or two tokens.

    Args:
        hang_up: Closes the connection of a client, given by the ``client`` of its scope.
        on_refuse: Called with seconds when somebody orders that connections are refused.
    """

    def __init__(
        self,
        database: Database,
        *,
        token: str,
        read_only_token: str | None = None,
        plan: FaultPlan | None = None,
        hang_up: Callable[[Any], None],
        on_refuse: Callable[[float], None] | None = None,
    ) -> None:
        self.database = database
        self.plan = plan or FaultPlan()
        self._token = token
        self._read_only_token = read_only_token
        self._hang_up = hang_up
        self._on_refuse = on_refuse
        self._streams: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http"  # noqa: S101 - the server has lifespan and websockets off
        request = await _received(scope, receive)
        answer: Answer | None
        if scope["path"].startswith(OURS):
            answer = await self._emulator(scope["path"].removeprefix(OURS), request)
        else:
            answer = await self._answer(request, receive, send)
        if answer is not None and answer.lost:
            self._hang_up(scope["client"])
            await _left(receive)
        elif answer is not None:
            await _send(send, answer)

    async def _answer(self, request: Request, receive: Receive, send: Send) -> Answer | None:
        """The answer, or None after a stream."""
        if request.method not in METHODS:
            return _error(
                "ERR method not allowed", status=405, headers={"allow": ",".join(METHODS)}
            )
        read_only = self._rights(request.token())
        if read_only is None:
            self.database.counters.refused_tokens += 1
            return _error(policy.WRONG_TOKEN, status=401)
        try:
            form = request.answer_format()
            commands = commands_of(request)
            if request.shape() in STREAMS:
                return await self._stream(commands[0], receive, send, read_only=read_only)
            answer = await self._commanded(request, commands, form, read_only=read_only)
        except BadRequestError as exc:
            answer = _error(exc.text, status=exc.status)
        except BackendDownError as exc:
            answer = _error(f"ERR {exc}", status=UNAVAILABLE)
        answer.headers["upstash-sync-token"] = self.database.sync_token
        self.database.counters.bytes_in += len(request.body)
        self.database.counters.bytes_out += len(answer.body)
        return answer

    async def _commanded(
        self, request: Request, commands: list[Command], form: Format, *, read_only: bool
    ) -> Answer:
        counters = self.database.counters
        counters.count(commands)
        fault = self.plan.draw(commands)
        spoilt = await self._before(fault)
        if spoilt is not None:
            return spoilt
        replies: list[Reply] | Failure
        if fault is not None and fault.name == "limit":
            replies = [failure(policy.LIMIT_REACHED)] * len(commands)
        elif request.shape() == "multi-exec":
            replies = await self.database.run_atomically(commands, read_only=read_only)
        else:
            replies = await self.database.run(commands, read_only=read_only)
        counters.errors += _failures(replies)
        return await _after(fault, _encoded(request.shape(), replies, form))

    async def _before(self, fault: Fault | None) -> Answer | None:
        """What a fault does instead of the commands, or before them."""
        name = fault.name if fault is not None else ""
        if name == "dropped":
            return Answer(b"", lost=True)
        if fault is not None and name == "http_500":
            return Answer(b"Internal Server Error", status=int(fault.amount), kind="text/plain")
        if fault is not None and name == "nonsense":
            return Answer(PAGE, status=int(fault.amount), kind="text/html")
        if name == "denied":
            return _error(policy.WRONG_TOKEN, status=401)
        if name == "emptied":
            await self.database.empty()
        if name == "scripts_gone":
            await self.database.forget_scripts()
        return None

    async def _stream(
        self, command: Command, receive: Receive, send: Send, *, read_only: bool
    ) -> Answer | None:
        """Server-sent events until the caller leaves."""
        name = policy.name_of(command)
        if read_only:
            return _error(policy.no_permission(name).decode(), status=400)
        if name != "MONITOR" and len(command) == 1:
            return _error(f"ERR wrong number of arguments for '{name.lower()}' command", status=400)
        events = self.database.listen(command)
        first = await anext(events)
        if isinstance(first, Failure):
            return _error(first.decode(), status=400)
        headers = {"cache-control": "no-cache", "upstash-sync-token": self.database.sync_token}
        await send(_head(OK, "text/event-stream", headers))
        pump = asyncio.create_task(_pump(name, first, events, send))
        leaving = asyncio.create_task(_left(receive))
        self._streams.add(leaving)
        try:
            await asyncio.wait((pump, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.discard(leaving)
            for task in (pump, leaving):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, BackendDownError, OSError):
                    await task
        with contextlib.suppress(OSError):
            await send({"type": "http.response.body", "body": b""})
        return None

    async def _emulator(self, word: str, request: Request) -> Answer:
        """``stats``, ``stats/reset``, ``faults``, ``empty`` and ``refuse``."""
        if request.method == "GET" and word == "stats":
            return Answer(dumps(self.stats()))
        if request.method != "POST":
            return _error(f"nothing at {OURS}{word}", status=404)
        try:
            order = json.loads(request.body or b"{}")
            if word == "stats/reset":
                self.database.counters = Counters()
            elif word == "faults":
                self.plan.obey(order)
            elif word == "empty":
                await self.database.empty()
            elif word == "refuse" and self._on_refuse is not None:
                self._on_refuse(float(order.get("seconds", 1.0)))
            else:
                return _error(f"nothing at {OURS}{word}", status=404)
        except (ConfigError, ValueError, TypeError, AttributeError) as exc:
            return _error(str(exc), status=400)
        return Answer(dumps(self.stats()))

    def end_streams(self) -> None:
        """Let every subscriber go; call it in the loop that serves."""
        for task in list(self._streams):
            task.cancel()

    def stats(self) -> dict[str, Any]:
        """The counters, and the faults that were met."""
        return {**self.database.counters.as_dict(), "faults": dict(self.plan.met)}

    def _rights(self, token: str) -> bool | None:
        """Whether the token may only read; None for a wrong one."""
        if _same(token, self._token):
            return False
        if self._read_only_token is not None and _same(token, self._read_only_token):
            return True
        return None


async def _after(fault: Fault | None, answer: Answer) -> Answer:
    if fault is not None and fault.name == "slow":
        await asyncio.sleep(fault.amount)
    if fault is not None and fault.name == "cut":
        answer.cut_at = fault.amount
    answer.lost = fault is not None and fault.name == "lost"
    return answer


def _encoded(shape: str, replies: list[Reply] | Failure, form: Format) -> Answer:
    as_base64 = form == "base64"
    if isinstance(replies, Failure):
        content = dumps(document(replies, as_base64=as_base64))
        return Answer(content, status=policy.status_of(replies))
    if form == "resp2":
        body = b"".join(map(resp2, replies))
        kind = "application/octet-stream"
    else:
        shown = [document(reply, as_base64=as_base64) for reply in replies]
        body = dumps(shown[0] if shape == "single" else shown)
        kind = JSON
    status = policy.status_of(replies[0]) if shape == "single" else OK
    return Answer(body, status=status, kind=kind)


def _failures(replies: list[Reply] | Failure) -> int:
    if isinstance(replies, Failure):
        return 1
    return sum(isinstance(reply, Failure) for reply in replies)


async def _pump(name: str, first: Reply, events: AsyncIterator[Reply], send: Send) -> None:
    await _event(name, first, send)
    async for reply in events:
        await _event(name, reply, send)


async def _event(name: str, reply: Reply, send: Send) -> None:
    if isinstance(reply, list):
        line = b",".join(_word(item) for item in reply)
    else:
        line = b'"OK"' if name == "MONITOR" and reply == b"OK" else _word(reply)
    lines = line.decode("utf-8", "replace").split("\n")
    body = "".join(f"data: {one}\n" for one in lines) + "\n"
    await send({"type": "http.response.body", "body": body.encode(), "more_body": True})


def _word(item: Reply) -> bytes:
    return item if isinstance(item, bytes) else str(item).encode()


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _received(scope: Scope, receive: Receive) -> Request:
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    headers = {name.decode("latin-1"): text.decode("latin-1") for name, text in scope["headers"]}
    return Request(
        method=scope["method"],
        raw_path=scope["raw_path"],
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=b"".join(parts),
    )


async def _send(send: Send, answer: Answer) -> None:
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    body = answer.body
    if answer.cut_at is not None:
        # One byte more is promised than comes, so the server drops the connection.
        headers["content-length"] = str(len(body) + 1)
        body = body[: int(len(body) * answer.cut_at)]
    await send(_head(answer.status, answer.kind, headers))
    await send({"type": "http.response.body", "body": body})


def _head(status: int, kind: str, headers: dict[str, str]) -> dict[str, Any]:
    pairs = [(b"content-type", kind.encode())]
    pairs += [(name.encode(), text.encode()) for name, text in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def _error(text: str, *, status: int, headers: dict[str, str] | None = None) -> Answer:
    return Answer(dumps({"error": text}), status=status, headers=headers or {})


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())
