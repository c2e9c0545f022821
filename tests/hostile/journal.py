"""What the platform allows, and what happened on it."""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field

from tests.hostile.process import Instance

BUSY = 3.0  # so much work waits for each processor that a limit says nothing of who meets it


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


def work_per_processor() -> float:
    """How much the machine has to do besides: a platform gives each instance a share of its own."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)
