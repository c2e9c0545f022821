"""The local provider behind the Http seam, without sockets: for the simulation and unit tests."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from shared.clock import Clock, Deadline
from shared.emulator.emulator import Emulator
from shared.emulator.provider import Reply
from shared.errors import (
    DeadlineExceededError,
    SourceRateLimitedError,
    SourceTimeoutError,
    SourceUnavailableError,
)
from shared.http import HttpResponse

TOO_MANY_REQUESTS = 429


class EmulatorHttp:
    """Behaves as the real client in front of the server would; waits on the given clock only."""

    def __init__(self, emulator: Emulator, clock: Clock, *, latency_s: float = 0.0) -> None:
        self.emulator = emulator
        self.clock = clock
        self.latency_s = latency_s

    def get(
        self,
        source: str,
        url: str,
        *,
        params: Mapping[str, Any],
        deadline: Deadline,
        max_bytes: int = 32 * 1024 * 1024,
    ) -> HttpResponse:
        """See ``Http.get``."""
        deadline.check(f"a request to {source}")
        allowed_s = deadline.remaining_s()
        parts = urlsplit(url)
        # As httpx does it: parameters replace whatever query the URL has.
        given = {key: _plain(value) for key, value in params.items()}
        query = given or dict(parse_qsl(parts.query))
        reply = self.emulator.answer(parts.path, query, self.clock.monotonic())
        if not self._arrives(reply, deadline):
            late = f"did not answer within {allowed_s:.1f} s"
            raise SourceTimeoutError(source, late)
        if reply.status == TOO_MANY_REQUESTS:
            wait_s = float(reply.headers.get("retry-after", "1"))
            raise SourceRateLimitedError(source, "HTTP 429", retry_after_s=wait_s)
        if reply.dropped:
            reason = "could not be read (RemoteProtocolError)"
        elif len(reply.body) > max_bytes:
            reason = f"answered with more than {max_bytes} bytes"
        else:
            return HttpResponse(reply.status, reply.headers, reply.body)
        raise SourceUnavailableError(source, reason)

    def _arrives(self, reply: Reply, deadline: Deadline) -> bool:
        """Wait as long as the answer takes, or as long as there is time."""
        wait_s = self.latency_s + reply.delay_s
        in_time = wait_s < deadline.remaining_s()
        if wait_s > 0:
            try:
                self.clock.sleep(min(wait_s, deadline.remaining_s()), deadline)
            except DeadlineExceededError:
                return False
        return in_time


def _plain(value: Any) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
