"""A serverless platform on this machine: a proxy in front of processes that it starts and ends.

As on Vercel, an invocation is one request with all work that goes on after its answer; it ends
when its runtime says so, or is killed, with its whole instance, at the limit. Several share an
instance. One without any is frozen, and thawed by the next request. The limit counts from when a
started instance is given the request: no platform counts the start.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from shared.clock import SystemClock
from shared.emulator.dice import Dice
from shared.emulator.server import listen
from tests.hostile.faults import QUIET, Odds
from tests.hostile.instance import END, NUMBER
from tests.hostile.process import Instance

MOST_BYTES = 4_500_000  # https://vercel.com/docs/functions/limitations: 4.5 MB each way
CHUNK, TICK = "/api/internal/chunk", "/api/internal/tick"
BUSY = 3.0  # so much work waits for each processor that a limit says nothing of who meets it
MARK = "x-hostile-error"  # on every answer that the platform itself gave
CONNECTS_IN_S = 30.0
STARTS_IN_S = 60.0
DUMPS_S = 0.05
READS_S = 0.05  # within so long a call of a user is met, if it is
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


@dataclass
class Rules:
    """What the platform allows and how often it calls."""

    limit_s: float = 5.0
    instances: int = 3
    cron_s: float = 0.0  # 0: no cron
    cron_secret: str = ""


@dataclass(eq=False)
class Invocation:
    """One of them: where it ran, and how it ended."""

    number: int
    what: str
    instance: Instance
    begun_at: float
    limit_s: float
    ended_at: float | None = None
    killed: str | None = None  # why
    answered: bool = False
    timer: asyncio.TimerHandle | None = None


@dataclass
class Journal:
    """What happened, for the test to look at."""

    invocations: list[Invocation] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    largest_answer: int = 0
    cold_starts: int = 0
    busiest: float = 0.0  # the most work that waited for a processor when something was late

    def killed(self) -> list[str]:
        """What the platform ended before its end."""
        return [f"{each.what}: {each.killed}" for each in self.invocations if each.killed]

    def of(self, what: str) -> list[Invocation]:
        """The invocations of one route."""
        return [each for each in self.invocations if each.what.split("?")[0] == what]

    def told(self) -> str:
        """All of it in a few lines."""
        kinds = Counter(each.what.split("?")[0] for each in self.invocations)
        killed = Counter(each.killed for each in self.invocations if each.killed)
        return (
            f"{dict(kinds.most_common(8))}; killed {dict(killed)}; faults {dict(self.faults)};"
            f" refused {dict(self.refused)}; cold starts {self.cold_starts};"
            f" largest answer {self.largest_answer}"
        )


class Platform:
    """Runs in a thread with a loop of its own; everything below happens in that loop."""

    def __init__(self, rules: Rules, home: Path, dice: Dice) -> None:
        self.rules = rules
        self.odds: Odds = QUIET
        self.env: dict[str, str] = {}
        self.journal = Journal()
        self.stderr = home / "instances.txt"
        self._dice = dice
        self._instances: list[Instance] = []
        self._numbers = count(1)
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
            self._kill_all()
            await serving
            self._kill_all()  # a request that lost its instance had begun another one
        self._listener.close()

    def _kill_all(self) -> None:
        for instance in self._instances:
            instance.kill()

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
        dice, odds = self._dice, self.odds
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
            if self._dice.chance(self.odds.tick_drop):
                self.journal.faults["tick dropped"] += 1
                continue
            twice = self._dice.chance(self.odds.tick_repeat)
            if twice:
                self.journal.faults["tick repeated"] += 1
            for _ in range(1 + twice):
                self._spawn(self._invoke(Call("GET", TICK, [bearer], b"")))

    async def _invoke(self, call: Call, after_s: float = 0.0) -> Answer:
        """One invocation, from its request to its answer; its work may go on."""
        await asyncio.sleep(after_s)
        if len(call.body) > MOST_BYTES:
            return self._refusal(413, "FUNCTION_PAYLOAD_TOO_LARGE")
        async with self._placed() as instance:
            limit_s, clock = self.rules.limit_s, SystemClock()
            job = Invocation(
                next(self._numbers),
                f"{call.method} {call.target}",
                instance,
                time.monotonic(),
                limit_s,
            )
            self.journal.invocations.append(job)
            instance.jobs[job.number] = job
            job.timer = self._loop.call_later(limit_s - DUMPS_S, self._too_late, job)
            self._meet(job)
            ours = {
                NUMBER: str(job.number),
                END: (clock.now() + timedelta(seconds=limit_s)).isoformat(),
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

    @contextlib.asynccontextmanager
    async def _placed(self) -> AsyncIterator[Instance]:
        """An instance that runs, kept from being frozen until the answer is there."""
        while True:
            instance = self._choose()
            instance.waiting += 1
            try:
                if await instance.runs():
                    instance.thaw()
                    yield instance
                    return
            finally:
                instance.waiting -= 1
                self._rest(instance)

    def _choose(self) -> Instance:
        """An idle one, else a new one, else the least busy: as a scheduler does it."""
        dice, odds = self._dice, self.odds
        living = [each for each in self._instances if not each.is_dead]
        if dice.chance(odds.cold):
            for each in living:
                if each.is_idle:
                    self.journal.faults["cold"] += 1
                    each.kill()
            living = [each for each in living if not each.is_dead]
        idle = [each for each in living if each.is_idle]
        if idle and not dice.chance(odds.spread):
            return idle[-1]
        if len(living) < self.rules.instances:
            made = Instance(self.env, self.stderr, self._ended, self._loop)
            self.journal.cold_starts += 1
            self._instances = [*living, made]
            return made
        return min(living, key=lambda each: each.load)

    def _meet(self, job: Invocation) -> None:
        """Decide, as it begins, what will happen to an invocation in the middle of its work."""
        dice, odds = self._dice, self.odds
        works = any(path in job.what for path in (CHUNK, TICK))
        at_s = dice.random() * (self.rules.limit_s * 0.8 if works else READS_S)
        if dice.chance(odds.kill):
            self._loop.call_later(at_s, self._kill, job, "at random")
        elif dice.chance(odds.pause):
            for_s, dies = dice.random() * odds.pause_s, dice.chance(odds.dies)
            self._loop.call_later(at_s, self._pause, job, for_s, dies)

    def _pause(self, job: Invocation, for_s: float, dies: bool) -> None:
        """Freeze at work; the platform's clock stands still as well, the told end does not."""
        if job.ended_at is not None or job.instance.is_dead:
            return
        self.journal.faults["pause"] += 1
        instance = job.instance
        instance.pause()
        for each in instance.jobs.values():
            if each.timer is not None:
                left_s = each.timer.when() - self._loop.time()
                each.timer.cancel()
                each.timer = self._loop.call_later(for_s + left_s, self._too_late, each)

        def go_on() -> None:
            if dies:
                self._kill(job, "in a pause")
            instance.unpause()
            self._rest(instance)

        self._loop.call_later(for_s, go_on)

    def _too_late(self, job: Invocation) -> None:
        """At its limit; what it is doing then stands in what the instances said."""
        job.instance.dump()
        self.journal.busiest = max(self.journal.busiest, work_per_processor())
        self._loop.call_later(DUMPS_S, self._kill, job, "late")

    def _kill(self, job: Invocation, why: str) -> None:
        if job.ended_at is None and not job.instance.is_dead:
            job.killed = why
            for other in job.instance.jobs.values():
                other.killed = other.killed or "with another"
            job.instance.kill()

    def _ended(self, instance: Instance, number: int) -> None:
        """The runtime says that an invocation is over."""
        job = instance.jobs.pop(number, None)
        if job is not None:
            job.ended_at = time.monotonic()
            if job.timer is not None:
                job.timer.cancel()
        self._rest(instance)

    def _rest(self, instance: Instance) -> None:
        if instance.is_idle:
            instance.freeze()


def work_per_processor() -> float:
    """How much the machine has to do besides: a platform gives each instance a share of its own."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


@contextlib.contextmanager
def platform(rules: Rules, home: Path, dice: Dice) -> Iterator[Platform]:
    """A platform for one test; set its ``env`` before the first request."""
    made = Platform(rules, home, dice)
    made.begin()
    try:
        yield made
    finally:
        made.end()
