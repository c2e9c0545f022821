"""What a platform does to those who live on it: how often, all drawn from one seed."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.emulator.dice import Dice
from shared.emulator.upstash.server import LocalUpstash
from tests.hostile.wire import Wire


@dataclass(frozen=True)
class Odds:
    """How often something happens, each 0 to 1, and how long it lasts; a quiet platform has none.

    Args:
        kill: An invocation's process is killed in the middle of its work.
        pause: It is frozen there, up to ``pause_s``; then goes on, or ``dies`` instead.
        cold: Before a request all idle instances are gone.
        spread: A request gets an instance of its own although another one is idle.
        delay: A trigger's call waits up to ``delay_s`` at the front.
        repeat: It is delivered twice.
        drop: It is not delivered; the caller sees an error.
        lose: It is delivered, and the caller sees an error all the same.
        tick_repeat: A cron's call is made twice.
        tick_drop: It is not made.
        storm_every_s: Mean time between failures of a service; 0 for none.
    """

    kill: float = 0.0
    pause: float = 0.0
    dies: float = 0.0
    pause_s: float = 0.0
    cold: float = 0.0
    spread: float = 0.0
    delay: float = 0.0
    delay_s: float = 0.0
    repeat: float = 0.0
    drop: float = 0.0
    lose: float = 0.0
    tick_repeat: float = 0.0
    tick_drop: float = 0.0
    storm_every_s: float = 0.0


QUIET = Odds()
HOSTILE = Odds(
    kill=0.06,
    pause=0.1,
    dies=0.3,
    pause_s=3.0,
    cold=0.01,
    spread=0.1,
    delay=0.2,
    delay_s=1.0,
    repeat=0.2,
    drop=0.1,
    lose=0.1,
    tick_repeat=0.3,
    tick_drop=0.3,
    storm_every_s=2.0,
)


class Span(NamedTuple):
    """A time in which the database could not be had, on the monotonic clock."""

    begin: float
    end: float


@dataclass
class Weather:
    """Breaks what the functions need: Upstash by its own faults, Postgres by the wire to it."""

    dice: Dice
    every_s: float
    wire: Wire | None = None
    upstash: LocalUpstash | None = None
    met: Counter[str] = field(default_factory=Counter)
    outages: list[Span] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._blow, daemon=True)

    def begin(self) -> None:
        """Until ``clear_up``, something breaks now and then."""
        if self.every_s > 0:
            self._thread.start()

    def clear_up(self) -> None:
        """From now on everything works."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.upstash is not None:
            self.upstash.faults.clear()
        if self.wire is not None:
            self.wire.spare()

    def had_outage(self, begin: float, end: float) -> bool:
        """Whether the database was out of reach within that time."""
        return any(span.begin < end and begin < span.end for span in self.outages)

    def _blow(self) -> None:
        dice = self.dice
        while not self._over.wait(dice.random() * 2 * self.every_s):
            if self.wire is not None and (self.upstash is None or dice.chance(0.5)):
                self._break_postgres(self.wire)
            elif self.upstash is not None:
                self._break_upstash(self.upstash)

    def _break_postgres(self, wire: Wire) -> None:
        dice = self.dice
        if dice.chance(0.7):
            step = dice.pick(["lease", "assets", "page", "close"])
            self.met[f"postgres: {step} cut"] += 1
            wire.cut(step, dice.pick(["before", "after"]))
            return
        self.met["postgres: refused"] += 1
        for_s = dice.random() * 0.8
        begin = time.monotonic()
        wire.refuse_for(for_s)
        self.outages.append(Span(begin, begin + for_s))

    def _break_upstash(self, upstash: LocalUpstash) -> None:
        dice = self.dice
        name = dice.pick(
            ["dropped", "http_500", "nonsense", "slow", "cut", "lost", "emptied", "scripts_gone"]
        )
        self.met[f"upstash: {name}"] += 1
        amount = dice.random() if name == "slow" else None
        times = 1 if name in {"emptied", "scripts_gone"} else 1 + dice.below(2)
        upstash.faults.add(name, amount, times=times)
