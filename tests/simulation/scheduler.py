"""One seed, one history: greenlets stepped one at a time, frozen and crashed at any step."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import getcurrent, greenlet

LONGEST_STEP_S = 0.4


class CrashError(BaseException):
    """The process is gone, without any chance to clean up."""


@dataclass(eq=False)
class Task:
    """One thread of control of a process."""

    name: str
    process: "Process"
    work: Callable[[], Any]
    let: greenlet = field(init=False)
    wakes_at: float = 0.0
    waits_for: "Task | None" = None
    done: bool = False
    result: Any = None
    error: BaseException | None = None
    answers_to: "Task | None" = None


@dataclass(eq=False)
class Process:
    """What crashes as a whole."""

    name: str
    dead: bool = False
    tasks: list[Task] = field(default_factory=list)


class Scheduler:
    """Runs tasks step by step in an order that the seed decides."""

    def __init__(
        self, seed: int, *, crash_odds: float = 0.0, freeze_odds: float = 0.0, crash_at: int = 0
    ) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.now_s = 0.0
        self.steps = 0
        self.trace: list[str] = []
        self.crashes = 0
        self._crash_odds = crash_odds
        self._freeze_odds = freeze_odds
        self.crash_at = crash_at
        self._tasks: list[Task] = []
        self._hub = getcurrent()
        self._by_let: dict[greenlet, Task] = {}

    def spawn(
        self,
        name: str,
        work: Callable[[], Any],
        process: Process | None = None,
        answers_to: Task | None = None,
    ) -> Task:
        """Add a task, in a process of its own unless one is given.

        What goes wrong in it is raised to the task it ``answers_to``, else by ``run``.
        """
        task = Task(name, process or Process(name), work, answers_to=answers_to)
        task.let = greenlet(lambda: self._body(task), parent=self._hub)
        task.process.tasks.append(task)
        self._by_let[task.let] = task
        self._tasks.append(task)
        return task

    def step(self, label: str) -> None:
        """A seam's edge: time passes, somebody else may go on, and this process may die here."""
        task = self.current()
        self.steps += 1
        self.trace.append(f"{self.steps:5d} {self.now_s:8.2f} {task.name:10s} {label}")
        if self.steps == self.crash_at or self.rng.random() < self._crash_odds:
            self.crashes += 1
            self.note(f"crash of {task.process.name}")
            task.process.dead = True
            raise CrashError
        self.now_s += self.rng.random() * LONGEST_STEP_S
        if self.rng.random() < self._freeze_odds:
            task.wakes_at = self.now_s + self.rng.random() * 60
            self.note(f"{task.name} frozen until {task.wakes_at:.2f}")
        self._hub.switch()

    def note(self, what: str) -> None:
        """Something that happened outside the seams, for the trace."""
        self.trace.append(f"      {self.now_s:8.2f} {what}")

    def sleep(self, seconds: float) -> None:
        """Let this task go on only after ``seconds``."""
        self.current().wakes_at = self.now_s + seconds
        self._hub.switch()

    def join(self, other: Task) -> Any:
        """Wait for another task; raises what it raised."""
        task = self.current()
        while not other.done:
            task.waits_for = other
            self._hub.switch()
        task.waits_for = None
        if other.error is not None:
            raise other.error
        return other.result

    def run(self) -> None:
        """Step until every task has ended or died."""
        while alive := [task for task in self._tasks if not task.done and not task.process.dead]:
            ready = [
                task
                for task in alive
                if task.wakes_at <= self.now_s and (task.waits_for is None or task.waits_for.done)
            ]
            if not ready:
                asleep = [task.wakes_at for task in alive if task.waits_for is None]
                assert asleep, "every task waits for another"
                self.now_s = max(self.now_s, heapq.nsmallest(1, asleep)[0])
                continue
            chosen = self.rng.choice(ready)
            chosen.let.switch()
            if chosen.error is not None and chosen.answers_to is None:
                raise chosen.error
            self._tasks = [task for task in self._tasks if not task.done and not task.process.dead]

    def calm_down(self) -> None:
        """No more crashes and freezes; every lease of the past has ended."""
        self._crash_odds = self._freeze_odds = 0.0
        self.crash_at = 0
        self.now_s += 10_000

    def current(self) -> Task:
        """The task that is running."""
        return self._by_let[getcurrent()]

    def _body(self, task: Task) -> None:
        try:
            task.result = task.work()
        except CrashError:
            task.process.dead = True
        except BaseException as exc:  # noqa: BLE001 - whoever joins it raises it
            task.error = exc
        task.done = True
