"""The instances of a platform: where an invocation goes, its limit, and what is done to it.

Several invocations share an instance. One without any is frozen, and thawed by the next request.
The limit counts from when a started instance is given the request: no platform counts the start.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

from shared.emulator.dice import Dice
from tests.hostile.faults import QUIET, Odds
from tests.hostile.journal import Invocation, Journal, Rules, work_per_processor
from tests.hostile.process import Instance

CHUNK, TICK = "/api/internal/chunk", "/api/internal/tick"
DUMPS_S = 0.05
READS_S = 0.05  # within so long a call of a user is met, if it is


class Fleet:
    """Started when they are needed, in the platform's loop; ``env`` is set before the first."""

    def __init__(self, rules: Rules, journal: Journal, dice: Dice, stderr: Path) -> None:
        self.rules = rules
        self.odds: Odds = QUIET
        self.env: dict[str, str] = {}
        self.stderr = stderr
        self._journal = journal
        self._dice = dice
        self._instances: list[Instance] = []
        self._numbers = count(1)

    def live_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Everything happens in this loop."""
        self._loop = loop

    def kill_all(self) -> None:
        """The end."""
        for instance in self._instances:
            instance.kill()

    def begin(self, what: str, instance: Instance) -> Invocation:
        """An invocation begins, and with it its limit; what will happen to it is decided."""
        limit_s = self.rules.limit_s
        job = Invocation(next(self._numbers), what, instance, time.monotonic(), limit_s)
        self._journal.invocations.append(job)
        instance.jobs[job.number] = job
        job.timer = self._loop.call_later(limit_s - DUMPS_S, self._too_late, job)
        self._meet(job)
        return job

    @contextlib.asynccontextmanager
    async def placed(self) -> AsyncIterator[Instance]:
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
                    self._journal.faults["cold"] += 1
                    each.kill()
            living = [each for each in living if not each.is_dead]
        idle = [each for each in living if each.is_idle]
        if idle and not dice.chance(odds.spread):
            return idle[-1]
        if len(living) < self.rules.instances:
            made = Instance(self.env, self.stderr, self._ended, self._loop)
            self._journal.cold_starts += 1
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
        self._journal.faults["pause"] += 1
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
        self._journal.busiest = max(self._journal.busiest, work_per_processor())
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
