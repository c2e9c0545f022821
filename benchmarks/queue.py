"""The queue on BullMQ: empty jobs a second and Redis commands a job, against its rivals.

All on one Redis of their own, in turns, and with jobs that do nothing: what is measured is the
queue alone. ``c`` is how many are worked at once: threads here, coroutines there.
"""

import asyncio
import shutil
import statistics
import subprocess
import time
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

from redis import Redis

from benchmarks.harness import Measure, limit
from shared.queue.base import Done, Push, WakeUp
from shared.queue.bullmq import BullmqQueue
from tests.npm import install, search_path
from tests.servers import redis_server

NODE = Path(__file__).parent / "node"
JOBS, ROUNDS, LEASE_S = 3000, 3, 30.0
LEAST = 0.2  # of Node's jobs a second: a look at a stream takes a hundred times longer than either
MOST_CALLS = 1.1  # a job in a chain is ended, and the next one claimed, by one script
Rival = Callable[[str, int], float]


def ours(url: str, at_once: int) -> float:
    """Seconds for all jobs, claimed in chains by so many threads."""
    queue = BullmqQueue(url, prefix=uuid.uuid4().hex)
    queue.push_many([Push(WakeUp(number + 1)) for number in range(JOBS)])

    def work(_: int) -> int:
        done = 0
        claim = queue.claim(LEASE_S)
        while claim is not None:
            claim = queue.finish(claim, Done(), claim_next_s=LEASE_S)
            done += 1
        return done

    with ThreadPoolExecutor(at_once) as pool:
        began = time.perf_counter()
        done = sum(pool.map(work, range(at_once)))
        took = time.perf_counter() - began
    assert done == JOBS
    queue.purge()
    queue.close()
    return took


def node(url: str, at_once: int) -> float:
    """Seconds of a Worker of Node for the same jobs."""
    command = ["node", "bullmq.mjs", url, uuid.uuid4().hex, str(JOBS), str(at_once)]
    done = subprocess.run(  # noqa: S603 - ours
        command,
        cwd=NODE,
        env={"PATH": search_path()},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return float(done.stdout)


ended: list[float] = []


async def nothing(*_: object, **__: object) -> str:
    """The job; a rival's time ends with the last one, not with its worker's own goodbye."""
    ended.append(time.perf_counter())
    return "looked at"


async def arq(url: str, at_once: int) -> float:
    connections, worker = import_module("arq.connections"), import_module("arq.worker")
    settings = connections.RedisSettings.from_dsn(url)
    pool: Any = await connections.create_pool(settings)
    for _ in range(JOBS):
        await pool.enqueue_job("nothing")
    made = worker.Worker(
        functions=[nothing],
        redis_settings=settings,
        burst=True,
        max_jobs=at_once,
        poll_delay=0.001,
        handle_signals=False,
    )
    ended.clear()
    began = time.perf_counter()
    await made.async_run()
    assert len(ended) == JOBS
    await made.close()
    await pool.aclose()
    return ended[-1] - began


async def saq(url: str, at_once: int) -> float:
    package = import_module("saq")
    queue: Any = package.Queue.from_url(url, name=uuid.uuid4().hex)
    await queue.connect()
    for _ in range(JOBS):
        await queue.enqueue("nothing")
    made = package.Worker(
        queue, functions=[nothing], concurrency=at_once, burst=True, dequeue_timeout=0.1
    )
    ended.clear()
    began = time.perf_counter()
    await made.start()
    assert len(ended) == JOBS
    await queue.disconnect()
    return ended[-1] - began


def in_a_loop(rival: Callable[[str, int], Awaitable[float]]) -> Rival:
    async def run(url: str, at_once: int) -> float:
        return await rival(url, at_once)

    return lambda url, at_once: asyncio.run(run(url, at_once))


def compared(name: str, rival: Rival, url: str, at_once: int) -> Measure:
    """Jobs a second of both, in turns so that the machine's moods hit both alike."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for times, work in zip(took, (ours, rival), strict=True):
            times.append(work(url, at_once))
    here, there = (JOBS / statistics.median(times) for times in took)
    return Measure(
        f"empty jobs through BullmqQueue, c={at_once}, against {name}",
        f"{here:,.0f} /s",
        f"{there:,.0f} /s",
        here / there,
        f"≥ {LEAST:g} x",
        here >= LEAST * there,
    )


def missing(name: str, at_once: int, why: str) -> Measure:
    what = f"empty jobs through BullmqQueue, c={at_once}, against {name}"
    return Measure(what, "", why, 0.0, "none", met=True)


def commands(url: str) -> list[Measure]:
    """What one job costs Redis from its claim to its end: calls, and what their scripts run."""
    with Redis.from_url(url) as redis:
        redis.config_resetstat()
        queue = BullmqQueue(url, prefix=uuid.uuid4().hex)
        queue.push_many([Push(WakeUp(number + 1)) for number in range(JOBS)])
        redis.config_resetstat()
        claim = queue.claim(LEASE_S)
        while claim is not None:
            claim = queue.finish(claim, Done(), claim_next_s=LEASE_S)
        told: dict[str, Any] = redis.info("commandstats")
        queue.purge()
        queue.close()
    calls = {name.removeprefix("cmdstat_"): each["calls"] for name, each in told.items()}
    scripts = calls.pop("evalsha")
    return [
        limit("calls of Redis a job, claim and end in a chain", scripts / JOBS, "calls",
              most=MOST_CALLS),
        limit("commands that run in Redis a job, in those scripts", sum(calls.values()) / JOBS,
              "commands", most=40),
    ]  # fmt: skip


def run() -> list[Measure]:
    """The measures of this file."""
    rivals: dict[str, Rival | None] = {"Node's BullMQ": None, "arq": None, "SAQ": None}
    if shutil.which("node") is not None:
        install(NODE)
        rivals["Node's BullMQ"] = node
    for name, rival in (("arq", arq), ("SAQ", saq)):
        try:
            import_module(name.lower())
        except ImportError:
            continue
        rivals[name] = in_a_loop(rival)
    with redis_server() as url:
        return [
            compared(name, rival, url, at_once)
            if rival is not None
            else missing(name, at_once, "not installed")
            for name, rival in rivals.items()
            for at_once in (1, 10)
        ] + commands(url)
