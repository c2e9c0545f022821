"""``qstash``: Upstash's message service calls us, and tries again by itself.

https://upstash.com/docs/qstash/api/publish (read 2026-11-24)
"""

from shared.clock import Deadline
from shared.triggers.base import Caller, RunCall
from shared.triggers.posting import Poster

# A run may come twice, and one repetition, 12 s later, gets it over a deployment that was not up.
# The plan's most, which is the default, would knock for hours; the next tick is nearer.
# https://upstash.com/docs/qstash/features/retry (read 2026-11-25)
RETRIES = 1


class QstashTrigger:
    """One published message a run; at most so many are delivered at once."""

    def __init__(self, caller: Caller, *, token: str, url: str, at_once: int) -> None:
        self._caller = caller
        self._token = token
        self._url = url.rstrip("/")
        self._at_once = at_once
        self._poster = Poster("QStash", {200, 201, 202})

    def fire(self, deadline: Deadline) -> None:
        """See ``Trigger.fire``."""
        call = self._caller.run_call()
        headers = {
            "authorization": f"Bearer {self._token}",
            "content-type": "application/json",
            "upstash-method": "POST",
            "upstash-retries": str(RETRIES),
            "upstash-deduplication-id": call.id,
            "upstash-flow-control-key": "tallybook-runs",
            "upstash-flow-control-value": f"parallelism={self._at_once}",
        }
        url = f"{self._url}/v2/publish/{call.url}"
        self._poster.post(url, headers=headers, body=call.body, deadline=deadline)

    def in_closing(self) -> RunCall | None:
        """See ``Trigger.in_closing``."""
        return None

    def closed(self) -> None:
        """See ``Trigger.closed``."""
