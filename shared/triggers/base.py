"""The trigger seam: another run, soon, in an invocation of its own."""

import json
import secrets
from dataclasses import dataclass
from typing import Protocol

from shared import auth
from shared.auth import SignedCall
from shared.clock import Clock, Deadline


@dataclass(frozen=True, slots=True)
class RunCall:
    """The signed request that starts a run; each has an ``id`` of its own: a copy is refused."""

    url: str
    headers: dict[str, str]
    body: str
    id: str


class Trigger(Protocol):
    """One way to start a run; any one suffices, and none is needed for correctness."""

    def fire(self, deadline: Deadline) -> None:
        """Start one run; returns when it is on its way and never waits for its work.

        Raises:
            TriggerError: It is not on its way; the sweep will find what is due.
        """
        ...

    def in_closing(self) -> RunCall | None:
        """What the database is to send when the transaction that closes a chunk commits, if so."""
        ...

    def closed(self) -> None:
        """That transaction has committed, in the thread that asked for it."""
        ...


class Caller:
    """Makes the signed requests for one deployment."""

    def __init__(self, clock: Clock, key: str, base_url: str, path: str) -> None:
        self._clock = clock
        self._key = key
        self._base_url = base_url.rstrip("/")
        self._path = path

    def run_call(self) -> RunCall:
        """A new one, good for some minutes."""
        number = secrets.token_hex(16)
        body = json.dumps({"id": number})
        call = SignedCall(int(self._clock.now().timestamp()), "POST", self._path, body.encode())
        headers = {"content-type": "application/json", **auth.headers(self._key, call)}
        return RunCall(self._base_url + self._path, headers, body, number)


class NoTrigger:
    """Nobody is called: the cron tick or a client's step carries on."""

    def fire(self, deadline: Deadline) -> None:
        """See ``Trigger.fire``."""

    def in_closing(self) -> RunCall | None:
        """See ``Trigger.in_closing``."""
        return None

    def closed(self) -> None:
        """See ``Trigger.closed``."""
