"""One POST that must only be accepted, for the triggers that go over HTTP."""

from collections.abc import Collection, Mapping

import httpx

from shared.clock import Deadline
from shared.errors import TriggerError

ACCEPTED_IN_S = 8.0  # a cold start of whoever is called is part of it
TRIES = 2


class Poster:
    """A kept client with headers of our own only: a platform's headers are never passed on."""

    def __init__(self, who: str, accepted: Collection[int]) -> None:
        self._who = who
        self._accepted = accepted
        self._client: httpx.Client | None = None

    def post(self, url: str, *, headers: Mapping[str, str], body: str, deadline: Deadline) -> None:
        """Ask once, and once more when that failed.

        Raises:
            TriggerError: Neither was accepted.
        """
        fault = ""
        for _ in range(TRIES):
            deadline.check(f"a call to {self._who}")
            wait_s = min(ACCEPTED_IN_S, deadline.remaining_s())
            try:
                answer = self._opened().post(url, content=body, headers=headers, timeout=wait_s)
            except httpx.HTTPError as exc:
                fault = type(exc).__name__
                continue
            if answer.status_code in self._accepted:
                return
            fault = f"HTTP {answer.status_code}"
        message = f"{self._who} did not accept a run ({fault})"
        raise TriggerError(message)

    def _opened(self) -> httpx.Client:
        if self._client is None:
            self._client = httpx.Client(follow_redirects=False)
        return self._client
