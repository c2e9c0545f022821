"""What goes wrong on purpose with the calls to the local Upstash."""

from collections import Counter
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple

from shared.emulator.dice import Dice
from shared.emulator.upstash.policy import name_of
from shared.emulator.upstash.replies import Command
from shared.errors import ConfigError

# Name -> what its amount means when none is given.
FAULTS: dict[str, float] = {
    "dropped": 0.0,  # the connection dies; no command ran
    "http_500": 500.0,  # the status, with a text for a body; no command ran
    "nonsense": 200.0,  # the status of an HTML page; no command ran
    "denied": 0.0,  # HTTP 401, as after a change of the token; no command ran
    "limit": 0.0,  # every command: ERR max daily request limit exceeded; none ran
    "slow": 2.0,  # seconds until the answer; the commands ran at once
    "cut": 0.5,  # share of the body that comes before the connection dies; the commands ran
    "lost": 0.0,  # the connection dies without an answer; the commands ran
    "emptied": 0.0,  # all data is lost before the commands, then all is well
    "scripts_gone": 0.0,  # SCRIPT FLUSH before the commands, as after a restart
}


class Fault(NamedTuple):
    """One thing that goes wrong with one call; FAULTS says what ``amount`` means."""

    name: str
    amount: float


@dataclass(slots=True)
class Rule:
    """A fault and the calls that it meets.

    Args:
        times: How many calls; None is every one.
        after: So many matching calls pass unharmed before.
        only: The name of a command that the call must hold, such as EVALSHA.
        odds: The probability for each call.
    """

    fault: Fault
    times: int | None = 1
    after: int = 0
    only: str | None = None
    odds: float = 1.0

    def matches(self, commands: list[Command]) -> bool:
        """Whether it is about such a call."""
        return self.only is None or any(name_of(one) == self.only.upper() for one in commands)


class FaultPlan:
    """Rules in the order in which they were added; the first that meets a call wins."""

    def __init__(self, *, seed: int = 0) -> None:
        self.met: Counter[str] = Counter()
        self._dice = Dice(f"upstash/{seed}")
        self._rules: list[Rule] = []
        self._lock = Lock()

    def add(
        self,
        name: str,
        amount: float | None = None,
        *,
        times: int | None = 1,
        after: int = 0,
        only: str | None = None,
        odds: float = 1.0,
    ) -> None:
        """Let calls meet a fault; see ``Rule``.

        Raises:
            ConfigError: There is no fault of this name, or a number makes no sense.
        """
        if name not in FAULTS:
            message = f"there is no fault {name!r}; there are: {', '.join(FAULTS)}"
            raise ConfigError(message)
        if after < 0 or (times is not None and times < 1) or not 0 <= odds <= 1:
            message = "a fault wants times of 1 or more, after of 0 or more, odds from 0 to 1"
            raise ConfigError(message)
        fault = Fault(name, FAULTS[name] if amount is None else amount)
        with self._lock:
            self._rules.append(Rule(fault, times, after, only, odds))

    def clear(self) -> None:
        """From now on nothing goes wrong."""
        with self._lock:
            self._rules.clear()

    def draw(self, commands: list[Command]) -> Fault | None:
        """The fault that meets this call."""
        with self._lock:
            for rule in self._rules:
                if not rule.matches(commands):
                    continue
                if rule.after > 0:
                    rule.after -= 1
                elif rule.odds >= 1 or self._dice.random() < rule.odds:
                    self._use(rule)
                    return rule.fault
        return None

    def obey(self, order: Any) -> None:
        """What came over HTTP: ``{"fault": "lost", "times": 2}`` or ``{"clear": true}``.

        Raises:
            ConfigError: It is no such order.
        """
        if not isinstance(order, dict):
            message = "an order is a JSON object"
            raise ConfigError(message)
        order = dict(order)
        if order.pop("clear", False):
            self.clear()
        if not order:
            return
        try:
            self.add(order.pop("fault", ""), order.pop("amount", None), **order)
        except TypeError as exc:
            message = f"a fault has fault, amount, times, after, only and odds: {exc}"
            raise ConfigError(message) from exc

    def _use(self, rule: Rule) -> None:
        self.met[rule.fault.name] += 1
        if rule.times is not None:
            rule.times -= 1
            if rule.times == 0:
                self._rules.remove(rule)
