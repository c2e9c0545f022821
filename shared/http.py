"""What the product may do with the network; the client itself is loaded when it is needed."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from shared.clock import Deadline


class HttpResponse(NamedTuple):
    """Status, lower-case headers and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http(Protocol):
    """What an adapter may do with the network."""

    def get(
        self,
        source: str,
        url: str,
        *,
        params: Mapping[str, Any],
        deadline: Deadline,
        max_bytes: int = 32 * 1024 * 1024,
    ) -> HttpResponse:
        """GET ``url``; a parameter may be a SecretStr.

        Any HTTP status that came whole is returned, except 429.

        Raises:
            SourceRateLimitedError: HTTP 429; carries ``retry_after_s``.
            SourceUnavailableError: No answer in time, a cut or oversized one, or no connection.
            DeadlineExceededError: There was no time left to ask.
        """
        ...
