"""A serverless platform on this machine: a proxy in front of processes that it starts and ends.

As on Vercel, an invocation is one request with all work that goes on after its answer; it ends
when its runtime says so, or is killed, with its whole instance, at the limit: see fleet.py.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from shared.clock import SystemClock
from shared.emulator.dice import Dice
from shared.emulator.server import listen
from tests.hostile.fleet import CHUNK, TICK, Fleet
from tests.hostile.instance import END, NUMBER
from tests.hostile.journal import Journal, Rules

MOST_BYTES = 4_500_000  # https://vercel.com/docs/functions/limitations: 4.5 MB each way
MARK = "x-hostile-error"  # on every answer that the platform itself gave
CONNECTS_IN_S = 30.0
STARTS_IN_S = 60.0
LEFT_OUT = {b"host", b"connection", b"content-length", b"transfer-encoding", b"accept-encoding"}


class Call(NamedTuple):
    """A request as it came."""

    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.split("?")[0]


class Answer(NamedTuple):
    """What the caller gets."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Platform:
    """Runs in a thread with a loop of its own; everything below happens in that loop."""

    def __init__(self, rules: Rules, home: Path, dice: Dice) -> None:
        self.rules = rules
        self.journal = Journal()
        self.stderr = home / "instances.txt"
        self.fleet = Fleet(rules, self.journal, dice, self.stderr)
        self._dice = dice
        self._tasks: set[asyncio.Task[Any]] = set()
        self._listener = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._ready = threading.Event()
        self._stopping: asyncio.Event
        self._client: httpx.AsyncClient
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()), daemon=True)

    def begin(self) -> None:
        """Take requests."""
        self._thread.start()
        assert self._ready.wait(STARTS_IN_S)

    def end(self) -> None:
        """Kill everything."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.fleet.live_in(self._loop)
        self._stopping = asyncio.Event()
        limits = httpx.Limits(max_keepalive_connections=0)
        timeout = httpx.Timeout(None, connect=CONNECTS_IN_S)
        config = uvicorn.Config(
            self._serve,
            log_level="error",
            access_log=False,
            lifespan="off",
            ws="none",
            interface="asgi3",
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(config)
        async with httpx.AsyncClient(limits=limits, timeout=timeout, trust_env=False) as client:
            self._client = client
            serving = asyncio.create_task(server.serve(sockets=[self._listener]))
            if self.rules.cron_s:
                self._spawn(self._cron())
            self._ready.set()
            await self._stopping.wait()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            server.should_exit = True
            self.fleet.kill_all()
            await serving
            self.fleet.kill_all()  # a request that lost its instance had begun another one
        self._listener.close()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The front door: a request comes, is judged, and is answered, whatever happens behind."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = scope["query_string"].decode()
        target = scope["path"] + (f"?{query}" if query else "")
        headers = [pair for pair in scope["headers"] if pair[0] not in LEFT_OUT]
        call = Call(scope["method"], target, headers, body)
        if call.path == CHUNK:
            answer = await self._deliver(call)
        else:
            answer = await self._invoke(call)
        await send(
            {"type": "http.response.start", "status": answer.status, "headers": answer.headers}
        )
        await send({"type": "http.response.body", "body": answer.body})

    async def _deliver(self, call: Call) -> Answer:
        """A trigger's call, which the network treats as it likes."""
        dice, odds = self._dice, self.fleet.odds
        if dice.chance(odds.drop):
            return self._refusal(502, "DROPPED")
        if dice.chance(odds.delay):
            self.journal.faults["delay"] += 1
            await asyncio.sleep(dice.random() * odds.delay_s)
        if dice.chance(odds.repeat):
            self.journal.faults["repeat"] += 1
            self._spawn(self._invoke(call, after_s=dice.random() * odds.delay_s))
        answer = await self._invoke(call)
        return self._refusal(502, "LOST") if dice.chance(odds.lose) else answer

    async def _cron(self) -> None:
        bearer = (b"authorization", f"Bearer {self.rules.cron_secret}".encode())
        while True:
            await asyncio.sleep(self.rules.cron_s)
            if self._dice.chance(self.fleet.odds.tick_drop):
                self.journal.faults["tick dropped"] += 1
                continue
            twice = self._dice.chance(self.fleet.odds.tick_repeat)
            if twice:
                self.journal.faults["tick repeated"] += 1
            for _ in range(1 + twice):
                self._spawn(self._invoke(Call("GET", TICK, [bearer], b"")))

    async def _invoke(self, call: Call, after_s: float = 0.0) -> Answer:
        """One invocation, from its request to its answer; its work may go on."""
        await asyncio.sleep(after_s)
        if len(call.body) > MOST_BYTES:
            return self._refusal(413, "FUNCTION_PAYLOAD_TOO_LARGE")
        async with self.fleet.placed() as instance:
            end = SystemClock().now() + timedelta(seconds=self.rules.limit_s)
            job = self.fleet.begin(f"{call.method} {call.target}", instance)
            ours = {
                NUMBER: str(job.number),
                END: end.isoformat(),
                "host": self.url.removeprefix("http://"),
            }
            headers = [*call.headers, *((k.encode(), v.encode()) for k, v in ours.items())]
            try:
                got = await self._client.request(
                    call.method, instance.url + call.target, headers=headers, content=call.body
                )
            except httpx.TransportError:
                late = job.killed == "late"
                name = "FUNCTION_INVOCATION_TIMEOUT" if late else "FUNCTION_INVOCATION_FAILED"
                return self._refusal(504 if late else 500, name)
            finally:
                job.answered = True
        self.journal.largest_answer = max(self.journal.largest_answer, len(got.content))
        if len(got.content) > MOST_BYTES:
            return self._refusal(500, "FUNCTION_RESPONSE_PAYLOAD_TOO_LARGE")
        kept = [(k.lower(), v) for k, v in got.headers.raw if k.lower() not in LEFT_OUT]
        kept.append((b"content-length", str(len(got.content)).encode()))
        return Answer(got.status_code, kept, got.content)

    def _refusal(self, status: int, name: str) -> Answer:
        self.journal.refused[name] += 1
        return Answer(status, [(MARK.encode(), name.encode())], name.encode())


@contextlib.contextmanager
def platform(rules: Rules, home: Path, dice: Dice) -> Iterator[Platform]:
    """A platform for one test; set its fleet's ``env`` before the first request."""
    made = Platform(rules, home, dice)
    made.begin()
    try:
        yield made
    finally:
        made.end()
