"""The cron calls that a deployment needs, and what every scheduler can do with them."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

import msgspec


class Job(NamedTuple):
    """One call that somebody has to make again and again: a POST of ``path`` below the prefix."""

    name: str
    path: str
    what: str


TICK = Job("tallybook-tick", "/internal/tick", "works what is due, sweeps what was lost")
PRICES = Job("tallybook-prices", "/internal/prices", "refreshes the prices of what is held")
JOBS = (TICK, PRICES)
CALLS_SHOWN = 5


class Call(msgspec.Struct, frozen=True):
    """One call that was made; ``status`` is null when there was no answer, ``note`` says why."""

    at: datetime
    status: int | None
    note: str


class JobStatus(msgspec.Struct, frozen=True):
    """How one job stands; ``cron`` is null when it is not installed. The last calls come first."""

    name: str
    what: str
    cron: str | None
    calls: list[Call]


class Target(NamedTuple):
    """What is called: the deployment's URL with the prefix, and the secret that it asks for."""

    url: str
    secret: str


class Scheduler(Protocol):
    """Somebody who makes our cron calls. All of it is safe to repeat."""

    def plan(self) -> str:
        """What ``install`` does, in the scheduler's own terms, without any secret."""

    def install(self) -> None:
        """Have the calls made from now on; what was installed before is replaced.

        Raises:
            SchedulerError: The scheduler refused, or is not there.
        """

    def remove(self) -> None:
        """Have none made any more.

        Raises:
            SchedulerError: The scheduler refused, or is not there.
        """

    def status(self) -> Sequence[JobStatus]:
        """How each job stands, with its last calls and their answers.

        Raises:
            SchedulerError: The scheduler refused, or is not there.
        """
