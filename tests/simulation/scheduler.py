"""One seed, one history: greenlets stepped one at a time, frozen and crashed at any step."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from greenlet import getcurrent, greenlet

LONGEST_STEP_S = 0.4
STEP_FIELDS = 4


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

    @property
    def over(self) -> bool:
        """Ended, or gone with its process."""
        return self.done or self.process.dead


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
        self._trace: list[tuple[Any, ...]] = []
        self.crashes = 0
        self._crash_odds = crash_odds
        self._freeze_odds = freeze_odds
        self.crash_at = crash_at
        self._tasks: list[Task] = []
        self._hub = getcurrent()
        self._running: Task | None = None

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
        self._tasks.append(task)
        return task

    def step(self, label: str) -> None:
        """A seam's edge: time passes, somebody else may go on, and this process may die here."""
        task = self.current()
        self.steps += 1
        self._trace.append((self.steps, self.now_s, task.name, label))
        if self.steps == self.crash_at or self.rng.random() < self._crash_odds:
            self.crashes += 1
            self.note(f"crash of {task.process.name}")
            task.process.dead = True
            raise CrashError
        self.now_s += self.rng.random() * LONGEST_STEP_S
        if self.rng.random() < self._freeze_odds:
            task.wakes_at = self.now_s + self.rng.random() * 60
            self.note(f"{task.name} frozen until {task.wakes_at:.2f}")
        self._pass_on(task)

    def note(self, what: str) -> None:
        """Something that happened outside the seams, for the trace."""
        self._trace.append((self.now_s, what))

    @property
    def trace(self) -> list[str]:
        """What happened so far, a line each."""
        return [
            f"{entry[0]:5d} {entry[1]:8.2f} {entry[2]:10s} {entry[3]}"
            if len(entry) == STEP_FIELDS
            else f"      {entry[0]:8.2f} {entry[1]}"
            for entry in self._trace
        ]

    def sleep(self, seconds: float) -> None:
        """Let this task go on only after ``seconds``."""
        task = self.current()
        task.wakes_at = self.now_s + seconds
        self._pass_on(task)

    def join(self, other: Task) -> Any:
        """Wait for another task; raises what it raised."""
        task = self.current()
        while not other.done:
            task.waits_for = other
            self._pass_on(task)
        task.waits_for = None
        if other.error is not None:
            raise other.error
        return other.result

    def outlive(self, other: Task) -> None:
        """Wait until a task of another process has ended, or died with it."""
        task = self.current()
        while not other.over:
            task.waits_for = other
            self._pass_on(task)
        task.waits_for = None

    def run(self) -> None:
        """Step until every task has ended or died."""
        while self._tasks:
            self._running = self._choose()
            self._running.let.switch()
            # Back here only when a task has ended: tasks pass on to each other.
            ended = self.current()
            if ended.error is not None and ended.answers_to is None:
                raise ended.error
            self._tasks = [task for task in self._tasks if not task.done and not task.process.dead]

    def _pass_on(self, task: Task) -> None:
        """Somebody goes on, perhaps this very task."""
        chosen = self._choose()
        if chosen is not task:
            self._running = chosen
            chosen.let.switch()

    def _choose(self) -> Task:
        """One of those that can go on; when all are asleep, time passes until one wakes."""
        while True:
            now_s = self.now_s
            ready = [
                task
                for task in self._tasks
                if task.wakes_at <= now_s and (task.waits_for is None or task.waits_for.over)
            ]
            if ready:
                return ready[int(self.rng.random() * len(ready))]
            asleep = [task.wakes_at for task in self._tasks if task.waits_for is None]
            assert asleep, "every task waits for another"
            self.now_s = max(now_s, min(asleep))

    def calm_down(self) -> None:
        """No more crashes and freezes; every lease of the past has ended."""
        self._crash_odds = self._freeze_odds = 0.0
        self.crash_at = 0
        self.now_s += 10_000

    def current(self) -> Task:
        """The task that is running."""
        assert self._running is not None
        return self._running

    def _body(self, task: Task) -> None:
        try:
            task.result = task.work()
        except CrashError:
            task.process.dead = True
        except BaseException as exc:  # noqa: BLE001 - whoever joins it raises it
            task.error = exc
        task.done = True
