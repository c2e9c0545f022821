"""What goes wrong on purpose: a seeded plan with odds, or a script by call number."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from shared.emulator.dice import Dice
from shared.errors import ConfigError

# Name -> what its amount means when none is given.
FAULTS: dict[str, float] = {
    "http_429": 2.0,  # Retry-After in seconds
    "rate_text": 0.0,  # HTTP 200, NOTOK, "Max calls per sec rate limit reached"
    "http_500": 500.0,  # the status
    "http_502": 502.0,  # an HTML page from a proxy
    "html_200": 200.0,  # the same page, with a lie in its status
    "slow": 5.0,  # seconds
    "truncated": 0.6,  # share of the body that comes, in a whole HTTP answer
    "dropped": 0.5,  # share of the body that comes before the connection dies
    "error_list": 0.0,  # NOTOK with an empty list
    "error_text": 0.0,  # NOTOK with a sentence
    "null_result": 0.0,  # result null
    "status_2": 0.5,  # share of the rows that come with status 2
    "shuffled": 0.0,  # rows of one transaction in another order
    "late": 3.0,  # one transaction of the newest blocks is hidden until so many are above it
    "late_calls": 3.0,  # one transaction of the newest 3 blocks is hidden for so many calls
    "short_page": 0.5,  # share of the rows that come, silently
    "grow": 1.0,  # blocks that the chain grows before the answer
    "reorg": 2.0,  # blocks that are replaced before the answer
}


class Fault(NamedTuple):
    """One thing that goes wrong with one call; FAULTS says what ``amount`` means."""

    name: str
    amount: float


def fault(name: str, amount: float | None = None) -> Fault:
    """A fault by name, with its usual amount where none is given."""
    if name not in FAULTS:
        message = f"there is no fault {name!r}; there are: {', '.join(FAULTS)}"
        raise ConfigError(message)
    return Fault(name, FAULTS[name] if amount is None else amount)


def odds_of(text: str) -> dict[str, float]:
    """Read ``http_429:0.1,slow:0.05``."""
    odds: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, share = part.partition(":")
        try:
            odds[fault(name.strip()).name] = float(share or "0.1")
        except ValueError as exc:
            message = f"--faults wants NAME:PROBABILITY, not {part!r}"
            raise ConfigError(message) from exc
    return odds


class FaultPlan:
    """Which fault meets which call: pushed ones first, then the script, then the odds.

    Args:
        seed: Makes the odds the same each time.
        odds: Probability of each fault, for each call.
        script: Fault by call number; the first call is 1.
        until_call: The odds sleep after this call, so that a test comes to an end.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        odds: Mapping[str, float] | None = None,
        script: Mapping[int, Fault] | None = None,
        until_call: int | None = None,
    ) -> None:
        self.dice = Dice(f"faults/{seed}")
        self.stopped = False
        self._odds = [(fault(name), share) for name, share in (odds or {}).items()]
        self._script = dict(script or {})
        self._until_call = until_call
        self._pushed: deque[Fault] = deque()

    def push(self, one: Fault, times: int = 1) -> None:
        """Let the next ``times`` calls meet this fault."""
        self._pushed.extend([one] * times)

    def stop(self) -> None:
        """From now on nothing goes wrong, and nothing is hidden any more."""
        self.stopped = True
        self._pushed.clear()

    def draw(self, call: int) -> Fault | None:
        """The fault that meets this call."""
        if self.stopped:
            return None
        if self._pushed:
            return self._pushed.popleft()
        if call in self._script:
            return self._script[call]
        if self._until_call is not None and call > self._until_call:
            return None
        luck = self.dice.random()
        for one, share in self._odds:
            luck -= share
            if luck < 0:
                return one
        return None
