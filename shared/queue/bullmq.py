"""``bullmq``: the official Python port of BullMQ, on a Redis that is reached over TCP.

Jobs are pulled one by one, as from every other queue here, so the engine of the sync does not know
which one it has. One deduplication id per stream with ``keepLastIfActive``: a push while it waits
is swallowed, while it is active it yields exactly one follow-up. No delayed jobs (a waiting delayed
one swallows an immediate push): what is due later stands in the ledger, and the worker's leader
pushes it when its time has come. Failed jobs are evidence only: the sweep pushes again. No limiter:
the port resumes from one too late, and providers have their own gate.

Where a push-style queue cannot keep a promise of ``Queue``, ``CANNOT`` says so.

A Node worker, or Bull Board, reads the same jobs: name ``sync``, data ``{streamId, feed}``.
https://docs.bullmq.io (read 2026-11-24); what was seen of bullmq 3.4.4 stands beside the code.
"""

import asyncio
import itertools
import json
import math
import secrets
import threading
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from bullmq import Job, Queue, Worker
from bullmq.redis_connection import SCRIPT_DEFINITIONS, loadScript
from bullmq.scripts import raw2NextJobData
from redis.asyncio import Redis
from redis.exceptions import RedisError as DriverError

from shared.errors import RedisRefusedError
from shared.queue.base import Bury, Claim, DeadLetter, Done, Outcome, Push, Retry, WakeUp
from shared.queue.base import QueueStats as Stats
from shared.queue.loop_thread import LoopThread
from shared.redis import READ_TIMEOUT_S, connect, driver_errors

T = TypeVar("T")
QUEUE = "tallybook-sync"
JOB = "sync"
CANNOT = (
    "delays: a push, or a retry, with a delay is not kept here but in the ledger",
    "dead letters stay as evidence when their stream is pushed again, the newest first",
    "claims are counted by kills, not by retries",
    "a finish after the end of the lease does not count: the stream is looked at once more",
)
BACKGROUND = 10  # without a priority goes first: that is a user's
TIMEOUT_S = 10.0
LONGEST_BLOCK_S = READ_TIMEOUT_S / 2
KEEP_DONE, KEEP_FAILED = {"count": 1000, "age": 86_400}, {"count": 1000, "age": 7 * 86_400}
MOST_STALLS = 3  # killed once more, it fails; what was kept of it is worked nevertheless
UNFINISHED = ("waiting", "prioritized", "delayed", "active")
LOST = (-1, -2, -3, -6)  # no such job, no lock, not active, another's lock
NO_STREAM = "data must hold streamId, the number of a stream"
AT_ONCE = 500
RENEW_AFTER, TICK_S = 1 / 3, 0.5  # of the lease; how soon a short lease is noticed
ADDS = ("addStandardJob", "addPrioritizedJob")
# Runs before BullMQ's own script and in one step with it, since what it decides may change between
# two calls. BullMQ alone lets the last of the pushes win: a background one would take a user's
# urgency away, and a waiting background job, or a delayed one from Node, would swallow a user's.
OVERTAKE = """
local function overtake()
  local args, opts = cmsgpack.unpack(ARGV[1]), cmsgpack.unpack(ARGV[3])
  local prefix, priority = args[1], opts['priority'] or 0
  local id = redis.call('GET', args[9])
  if not id then return end
  local function key(name) return prefix .. name end
  if redis.call('LPOS', key('active'), id) then
    local kept = redis.call('EXISTS', key('dn:' .. opts['de']['id'])) == 1
    return kept and priority > 0 and id
  end
  local add = 'LPUSH'
  if redis.call('ZREM', key('delayed'), id) == 0 then
    if tonumber(redis.call('HGET', key(id), 'priority') or 0) <= priority then return end
    if redis.call('ZREM', key('prioritized'), id) == 0 then
      add = 'RPUSH' -- in front, since it was worked when its process died
      if redis.call('LREM', key('wait'), -1, id) == 0 then return end
    end
  end
  redis.call('HSET', key(id), 'delay', 0, 'priority', priority)
  if priority == 0 then
    redis.call(add, key('wait'), id)
  else
    local score = priority * 0x100000000 + redis.call('INCR', key('pc'))
    redis.call('ZADD', key('prioritized'), score, id)
  end
  redis.call('ZADD', key('marker'), 0, '0')
  return id
end
local waits = overtake()
if waits then return waits end
"""


@dataclass(slots=True)
class _Held:
    """A job that this process has claimed, with the lock's own token and for how long at a time."""

    job: Job
    lock: str
    lease_s: float
    renew_at: float


class BullmqQueue:
    """See ``Queue`` for what every method promises; all of it may be called from any thread."""

    def __init__(self, url: str, *, prefix: str = "bull", renews: bool = True) -> None:
        """Nothing is connected before the first call.

        ``renews``: whether a claim is kept alive as long as this process lives.
        """
        self._url = url
        self._prefix = prefix
        self._renews = renews
        self._thread = LoopThread("tallybook-bullmq")
        self._both: tuple[Queue, Worker] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._held: dict[int, _Held] = {}
        self._numbers = itertools.count(secrets.randbits(40) << 22)
        self._waiter = threading.Lock()
        self._checked_at = -math.inf

    def push(self, wake_up: WakeUp, *, delay_s: float = 0.0) -> None:
        """See ``Queue.push``."""
        self.push_many([Push(wake_up, delay_s)])

    def push_many(self, pushes: Sequence[Push]) -> None:
        """See ``Queue.push_many``."""
        if any(push.delay_s <= 0 for push in pushes):
            self._run(self._push(pushes), TIMEOUT_S * (1 + len(pushes) // AT_ONCE))

    def stats(self) -> Stats:
        """See ``Queue.stats``."""
        return self._run(self._stats())

    def dead_letters(self, limit: int = 100) -> list[DeadLetter]:
        """See ``Queue.dead_letters``."""
        return self._run(self._dead_letters(limit)) if limit > 0 else []

    def purge(self) -> int:
        """See ``Queue.purge``."""
        return self._run(self._purge())

    def claim(self, lease_s: float) -> Claim | None:
        """See ``Queue.claim``."""
        return self._run(self._claim(lease_s))

    def finish(
        self,
        claim: Claim,
        outcome: Outcome,
        *,
        then: Sequence[Push] = (),
        claim_next_s: float | None = None,
    ) -> Claim | None:
        """See ``Queue.finish``."""
        return self._run(self._finish(claim, outcome, then, claim_next_s))

    def wait(self, seconds: float) -> None:
        """Return when something may be claimable, at the latest after ``seconds``.

        Of many threads one asks Redis; the others wait for their turn.
        """
        give_up = time.monotonic() + seconds
        if not self._waiter.acquire(timeout=max(seconds, 0)):
            return
        try:
            # Redis takes 0 for ever, and what blocks longer than a read may take is an error.
            left_s = min(give_up - time.monotonic(), LONGEST_BLOCK_S)
            if left_s > 0:
                self._run(self._marked(left_s), left_s + TIMEOUT_S)
        finally:
            self._waiter.release()

    def close(self) -> None:
        """Give the connections back; what is claimed stalls, and is worked again elsewhere."""
        try:
            if self._both is not None:
                self._run(self._close())
        finally:
            self._thread.close()

    def _run(self, work: Coroutine[Any, Any, T], timeout_s: float = TIMEOUT_S) -> T:
        with driver_errors():
            return self._thread.run(work, timeout_s)

    async def _push(self, pushes: Sequence[Push]) -> None:
        queue, _ = self._opened()
        jobs = [_job(queue, push) for push in pushes if push.delay_s <= 0]
        if len(jobs) == 1:
            await queue.backend.addJob(jobs[0])
            return
        for start in range(0, len(jobs), AT_ONCE):
            async with queue.client.pipeline(transaction=False) as pipe:
                for job in jobs[start : start + AT_ONCE]:
                    await queue.scripts.addJob(job, pipe)
                await pipe.execute()

    async def _claim(self, lease_s: float, found: list[Any] | None = None) -> Claim | None:
        """The next that asks for a stream; ``found`` is what the end of another job brought."""
        _, worker = self._opened()
        while True:
            if found is None:
                await self._look_for_stalled(worker, lease_s)
                lock = f"{worker.id}:{next(self._numbers)}"
                worker.opts["lockDuration"] = int(lease_s * 1000)
                found = [*await worker.backend.moveToActive(lock, worker.opts), lock]
            if not found[0]:
                return None
            claim = await self._taken(worker, found, lease_s)
            if claim is not None:
                return claim
            found = None

    async def _taken(self, worker: Worker, found: list[Any], lease_s: float) -> Claim | None:
        """The claim for a job that is ours now; None when it asks for nothing that there is."""
        try:
            # Not from its data alone: a job of a scheduler in Node has its next one made here.
            job = await worker.nextJobFromJobData(*found)
        except Exception as exc:  # noqa: BLE001 - whatever the library cannot read blocks nobody
            job = Job(worker, "?", None, {}, str(found[1]))
            job.deferredFailure = f"this job cannot be read: {exc}"
        held = _Held(job, found[-1], lease_s, time.monotonic() + lease_s * RENEW_AFTER)
        stream_id = _stream_id(job.data)
        if job.deferredFailure or stream_id is None:
            await self._end(worker, held, Bury(job.deferredFailure or NO_STREAM))
            return None
        token = next(self._numbers)
        self._held[token] = held
        return Claim(WakeUp(stream_id, not job.priority), token, 1 + job.stalledCounter)

    async def _finish(
        self, claim: Claim, outcome: Outcome, then: Sequence[Push], next_s: float | None
    ) -> Claim | None:
        _, worker = self._opened()
        # Whatever fails from here on: it is renewed no more, and worked again elsewhere.
        held = self._held.pop(claim.token, None)
        pushes = list(then)
        if held is not None and isinstance(outcome, Retry):
            feed = str(held.job.data.get("feed", ""))
            pushes.append(Push(claim.wake_up, outcome.delay_s, feed))
        # First: what is pushed while the job is active is kept with it, whatever happens to us.
        await self._push(pushes)
        if next_s is not None:  # before the next is ours: it must not be lost to an error here
            await self._look_for_stalled(worker, next_s)
        found = None if held is None else await self._end(worker, held, outcome, next_s)
        return None if next_s is None else await self._claim(next_s, found)

    async def _end(
        self, worker: Worker, held: _Held, outcome: Outcome, next_s: float | None = None
    ) -> list[Any] | None:
        """Have the job end, if it is still ours; with ``next_s``, what is next in the same step.

        Not by the methods of ``Job``: they tell a lost lock by the words of a TypeError only, and
        write "NoneType: None" for a stack trace.
        """
        job, lock, scripts, fetch = held.job, held.lock, worker.scripts, next_s is not None
        if isinstance(outcome, Done) and outcome.note:
            await worker.backend.addLog(job.id, outcome.note)
        worker.opts["lockDuration"] = int((next_s or held.lease_s) * 1000)
        if isinstance(outcome, Bury):
            reason = outcome.reason.replace("\0", "")
            keys, args = scripts.moveToFailedArgs(
                job, reason, KEEP_FAILED, lock, fetch, {"failedReason": reason, "stacktrace": "[]"}
            )
        else:
            told = _told(outcome)
            keys, args = scripts.moveToCompletedArgs(job, told, KEEP_DONE, lock, fetch)
        answer = await scripts.commands["moveToFinished"](keys=keys, args=args)
        if not isinstance(answer, int):
            return [*raw2NextJobData(answer), lock]
        if answer == LOST[0]:  # a log alone would stay for ever
            await worker.client.delete(f"{worker.backend.toKey(job.id)}:logs")
        elif answer < 0 and answer not in LOST:
            detail = f"BullMQ refused to end job {job.id} ({answer})"
            raise RedisRefusedError(detail, fix="A Node flow must not make jobs in our queue.")
        return None

    async def _look_for_stalled(self, worker: Worker, lease_s: float) -> None:
        """Free what the dead have claimed, once in half a lease."""
        now = time.monotonic()
        if now - self._checked_at >= lease_s / 2:
            self._checked_at = now
            await worker.backend.moveStalledJobsToWait(MOST_STALLS, int(lease_s * 500))

    async def _renew(self, worker: Worker) -> None:
        """Keep what this process holds; what fails now is tried again until it is lost.

        Not the library's own: that renews once in 7.5 s, for 30 s, whatever was asked for.
        """
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            for held in [held for held in self._held.values() if held.renew_at <= now]:
                held.renew_at = now + held.lease_s * RENEW_AFTER
                lease_ms = int(held.lease_s * 1000)
                with suppress(DriverError, OSError):
                    await worker.backend.extendLocks([held.job.id], [held.lock], lease_ms)

    async def _marked(self, seconds: float) -> None:
        """Block until BullMQ marks that there is something to do."""
        queue, _ = self._opened()
        await queue.client.bzpopmin(queue.toKey("marker"), timeout=seconds)

    async def _stats(self) -> Stats:
        queue, _ = self._opened()
        states = (*UNFINISHED, "failed")
        counts = await queue.getJobCounts(*states)
        waiting, prioritized, *others = (counts.get(state, 0) for state in states)
        return Stats(waiting + prioritized, *others)

    async def _dead_letters(self, limit: int) -> list[DeadLetter]:
        queue, _ = self._opened()
        letters = []
        for _, flat in itertools.chain(*await queue.scripts.getJobs(["failed"], 0, limit - 1)):
            job = dict(zip(flat[::2], flat[1::2], strict=True))
            stream_id = _stream_id(_read(job.get("data", "")))
            if stream_id is not None:
                urgent = job.get("priority", "0") == "0"
                letters.append(DeadLetter(WakeUp(stream_id, urgent), job.get("failedReason", "")))
        return letters

    async def _purge(self) -> int:
        """Not ``obliterate``: killed half-way, that leaves the queue paused for ever."""
        queue, _ = self._opened()
        counts = await queue.getJobCounts(*UNFINISHED)
        self._held.clear()
        client: Redis = queue.client
        keys = [key async for key in client.scan_iter(match=queue.toKey("*"), count=1000)]
        for start in range(0, len(keys), AT_ONCE):
            await client.unlink(*keys[start : start + AT_ONCE])
        return int(sum(counts.values()))

    def _opened(self) -> tuple[Queue, Worker]:
        """Queue and worker; made within the loop, which their connections belong to."""
        if self._both is None:
            client = connect(self._url)
            queue = Queue(QUEUE, {"connection": client, "prefix": self._prefix})
            options = {"connection": client, "prefix": self._prefix, "maxStalledCount": MOST_STALLS}
            worker = Worker(QUEUE, None, options)
            worker.on("error", lambda *_: None)
            for name in ADDS:
                text = OVERTAKE + loadScript(SCRIPT_DEFINITIONS[name])
                script = client.register_script(text)
                queue.redisConnection.commands[name] = script
            if self._renews:
                self._renewal = asyncio.ensure_future(self._renew(worker))
            self._both = (queue, worker)
        return self._both

    async def _close(self) -> None:
        queue, _ = self._opened()
        self._both = None
        self._held.clear()
        if self._renewal is not None:
            self._renewal.cancel()
        await asyncio.wait_for(queue.client.aclose(), TIMEOUT_S)


def _job(queue: Queue, push: Push) -> Job:
    """What BullMQ is given for a push."""
    name = f"s{push.wake_up.stream_id}"
    options: dict[str, Any] = {
        # No pure number and no colon: Node refuses them.
        "jobId": f"{name}-{secrets.token_hex(8)}",
        "deduplication": {"id": name, "keepLastIfActive": True},
        "removeOnComplete": KEEP_DONE,
        "removeOnFail": KEEP_FAILED,
    }
    if not push.wake_up.urgent:
        options["priority"] = BACKGROUND
    return Job(queue, JOB, {"streamId": push.wake_up.stream_id, "feed": push.feed}, options)


def _read(text: str) -> object:
    """The data of a job, None where it is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _stream_id(data: object) -> int | None:
    """Which stream the data of a job names; anybody may have written it."""
    found = data.get("streamId") if isinstance(data, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else None


def _told(outcome: Done | Retry) -> str:
    """What a person reads of a job that ended well."""
    if isinstance(outcome, Done):
        return outcome.note or "looked at"
    at_once = outcome.delay_s <= 0
    return "again at once" if at_once else f"to be looked at again in {outcome.delay_s:g} s"
